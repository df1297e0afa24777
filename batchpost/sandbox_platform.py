"""The platform's rules as its pages give them: what each request is answered, and what it does. No I/O, no clock.

Where the pages are silent, the choice is written beside the rule. Sources: "Update Lead API", "Global Event Postback
API" and the public page of the campaign postback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote
from zlib import crc32

import orjson

from batchpost.routes import ROUTES, Credential, Route
from batchpost.sandbox_faults import Faults, Latency
from batchpost.sandbox_fields import invalid_fields

__all__ = [
    "DEFAULT_EVENTS",
    "Answer",
    "EventRule",
    "Lead",
    "Operation",
    "Platform",
    "Request",
    "SandboxConfig",
    "answer",
    "find_route",
]

LOCKED = "Forbidden: concurrent event lock in progress"


@dataclass(frozen=True, slots=True)
class EventRule:
    """An event as campaigns configure it; an empty ``campaigns`` means all of them. Without ``duplicates`` (the
    platform's default) a second one for a lead gets 400."""

    conversion: bool = False
    duplicates: bool = False
    campaigns: tuple[str, ...] = ()


DEFAULT_EVENTS = {
    "sale_completed": EventRule(conversion=True),
    "repeat_purchase": EventRule(conversion=True, duplicates=True),
    "application_submitted": EventRule(),
    "call_connected": EventRule(duplicates=True),
}


@dataclass(frozen=True)
class SandboxConfig:
    """What the sandbox listens on, knows and does. Port 0 is any free one; ``latency`` in seconds, or (low, high).

    ``leads`` is a CSV or Parquet file of the leads that exist. With ``accept_any`` every transaction id, campaign and
    event id exists; token and organisation must still be right. ``unsold`` is the share of leads that are updated but
    not re-distributed.
    """

    host: str = "127.0.0.1"
    port: int = 0
    leads: Path | None = None
    accept_any: bool = False
    token: str = field(default="sandbox-token", repr=False)
    org_id: str = field(default="org_sandbox", repr=False)
    campaigns: tuple[str, ...] = ("cmp_sandbox",)
    events: dict[str, EventRule] = field(default_factory=lambda: dict(DEFAULT_EVENTS))
    inactive_pids: tuple[str, ...] = ()
    latency: Latency = 0.0
    faults: Faults = field(default_factory=Faults)
    seed: int = 0
    unsold: float = 0.1


class Lead(NamedTuple):
    """A lead that the platform knows. An empty ``campaign_id`` is the first campaign, an empty ``pid`` ``organic``."""

    campaign_id: str = ""
    pid: str = ""


class Request(NamedTuple):
    """A request to one of the three routes. ``scope`` is the decoded id in the path, ``authorization`` the header."""

    method: str
    route: Route
    scope: str
    authorization: str
    body: bytes


class Answer(NamedTuple):
    """A reply's status and JSON body, and what was done for it: ``updated``, ``fired`` or nothing."""

    status: int
    body: bytes
    effect: str | None = None
    conversion_id: str = ""


class Operation(NamedTuple):
    """A request found in order, not yet done. ``rule`` is None for an update."""

    transaction_id: str
    campaign_id: str
    pid: str
    event_id: str = ""
    rule: EventRule | None = None


class _Refused(Exception):
    """Ends the checks of a request with the reply it gets."""

    def __init__(self, status: int, message: str, lead_status: str = "rejected", **more: object) -> None:
        self.status, self.message, self.lead_status, self.more = status, message, lead_status, more


@lru_cache(maxsize=4096)
def find_route(path: str) -> tuple[Route, str] | None:
    """The route of a request's path and the id in it, decoded; None for any other path."""
    for route in ROUTES.values():
        prefix, scoped, suffix = route.path.partition("{scope}")
        raw = path[len(prefix) : len(path) - len(suffix)]
        if path.startswith(prefix) and path.endswith(suffix) and "/" not in raw and bool(raw) == bool(scoped):
            return route, unquote(raw)
    return None


def answer(route: Route, status: int, message: str, lead_status: str = "rejected", **more: object) -> Answer:
    """A reply in the shape of its route: updates give ``status`` as a string and a ``leadStatus``, events a number."""
    if route.is_event:
        return Answer(status, orjson.dumps({"status": status, "message": message, **more}))
    return Answer(
        status, orjson.dumps({"status": str(status), "message": message, "data": {"leadStatus": lead_status}})
    )


class Platform:
    """The leads, events and rules of one organisation.

    ``begin`` checks a request, ``commit`` does it: between the two the pair of lead and event is locked.
    """

    def __init__(self, config: SandboxConfig, leads: dict[str, Lead]) -> None:
        self.token = config.token
        self.inactive_pids = frozenset(config.inactive_pids)
        self._config = config
        self._leads = leads
        self._campaigns = {*config.campaigns, *(lead.campaign_id for lead in leads.values())} - {""}
        self._fired: dict[tuple[str, str], int] = {}
        self._locked: set[tuple[str, str]] = set()

    def authorized(self, request: Request) -> bool:
        """Whether the route's credential is right: the token, the organisation in the path, or the ``cid`` in the
        body."""
        if request.route.credential is Credential.BEARER:
            scheme, _, token = request.authorization.partition(" ")
            return scheme.lower() == "bearer" and token == self.token
        if request.route.credential is Credential.ORG_IN_PATH:
            return request.scope == self._config.org_id
        cid = (_parsed(request.body) or {}).get("cid")
        return isinstance(cid, str) and (self._config.accept_any or cid in self._campaigns)

    def begin(self, request: Request) -> Operation | Answer:
        """Checks the request in the order of the pages' tables; an ``Operation`` must go to ``commit``."""
        try:
            if request.method != "POST":
                raise _Refused(405, "Method Not Allowed")
            if not request.route.is_event and not self.authorized(request):
                raise _Refused(401, "Unauthorized")
            body = _parsed(request.body)
            if body is None:
                raise _Refused(400, "Request body is not a JSON object")
            return self._begin_event(request, body) if request.route.is_event else self._begin_update(request, body)
        except _Refused as refused:
            return answer(request.route, refused.status, refused.message, refused.lead_status, **refused.more)

    def commit(self, operation: Operation) -> Answer:
        """Does what ``begin`` allowed and releases its lock."""
        return self._update(operation) if operation.rule is None else self._fire(operation, operation.rule)

    def _begin_update(self, request: Request, body: dict[str, Any]) -> Operation:
        transaction_id = _required(body, "transaction_id")
        _check_fields(request.route, body)
        lead = self._lead(transaction_id, request.scope)
        if lead is None:
            raise _Refused(400, "Lead not found for the given transaction_id")
        return Operation(transaction_id, request.scope, lead.pid)

    def _begin_event(self, request: Request, body: dict[str, Any]) -> Operation:
        event_id = _required(body, "event_id")
        transaction_id = _required(body, "transaction_id")
        by_campaign = request.route.by_campaign
        campaign_id = _required(body, "cid") if by_campaign else ""
        known = by_campaign or self.authorized(request)
        lead = self._lead(transaction_id, campaign_id) if known else None
        if lead is None:  # a wrong organisation has no leads: the pages name no other reply to it
            scope = "campaign" if by_campaign else "organization"
            raise _Refused(400, f"No lead found for the provided transaction_id in this {scope}")
        campaign_id = campaign_id or lead.campaign_id or self._config.campaigns[0]
        rule = self._rule(event_id, campaign_id, body)
        _check_fields(request.route, body)
        if rule.conversion and "revenue" not in body:  # by the page's text; its schema knows only ``amount``
            raise _Refused(400, "revenue is required for conversion events")
        pid = body.get("pid") or lead.pid or "organic"
        self._lock(pid, (transaction_id, event_id))
        return Operation(transaction_id, campaign_id, pid, event_id, rule)

    def _lead(self, transaction_id: str, campaign_id: str) -> Lead | None:
        lead = self._leads.get(transaction_id)
        if lead is None:
            return Lead(campaign_id) if self._config.accept_any else None
        own = lead.campaign_id or self._config.campaigns[0]
        return lead if campaign_id in ("", own) or self._config.accept_any else None

    def _rule(self, event_id: str, campaign_id: str, body: dict[str, Any]) -> EventRule:
        rule = self._config.events.get(event_id)
        if self._config.accept_any:
            return rule or EventRule(conversion="revenue" in body)
        if rule is None or (rule.campaigns and campaign_id not in rule.campaigns):
            raise _Refused(400, "Invalid event_id — event not configured for the associated campaign")
        return rule

    def _lock(self, pid: str, pair: tuple[str, str]) -> None:
        if pid in self.inactive_pids:
            raise _Refused(403, "Forbidden: source inactive")
        if pair in self._locked:
            raise _Refused(403, LOCKED)
        self._locked.add(pair)

    def _update(self, operation: Operation) -> Answer:
        tid = operation.transaction_id
        data = {"transaction_id": tid, "leadStatus": "unsold"}
        # By the lead, not by a draw: an update that is sent again must hear the same.
        if crc32(f"{self._config.seed}:{tid}".encode()) >= self._config.unsold * 2**32:
            data |= {"leadStatus": "accepted", "redirect_url": f"https://thank-you.example.com?tid={tid.split('-')[0]}"}
        body = {
            "status": "201",
            "message": "Lead successfully updated",
            "transaction_id": tid,
            "data": data,
            "isDeDupe": False,  # the page does not say when it is true
        }
        return Answer(201, orjson.dumps(body), "updated")

    def _fire(self, operation: Operation, rule: EventRule) -> Answer:
        pair = operation.transaction_id, operation.event_id
        self._locked.discard(pair)
        count = self._fired.get(pair, 0)
        if count and not rule.duplicates:
            body = {"status": 400, "message": "Duplicate event for this transaction_id"}
            return Answer(400, orjson.dumps(body))
        self._fired[pair] = count + 1
        conversion_id = _conversion_id(self._config.seed, pair, count) if rule.conversion else ""
        data = {
            "cid": operation.campaign_id,
            "pid": operation.pid,
            "transaction_id": operation.transaction_id,
            "conversion_id": conversion_id,
            "conversion": rule.conversion,
        }
        body = {"status": 200, "message": "Event triggered successfully", "data": data}
        return Answer(200, orjson.dumps(body), "fired", conversion_id)


def _conversion_id(seed: int, pair: tuple[str, str], count: int) -> str:
    text = blake2b(f"{seed}\0{pair[0]}\0{pair[1]}\0{count}".encode(), digest_size=16).hexdigest()
    return f"conv_{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _required(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None or value == "":
        raise _Refused(400, f"{name} is required", "missingField")
    if not isinstance(value, str):
        raise _invalid([name])
    return value


def _check_fields(route: Route, body: dict[str, Any]) -> None:
    if wrong := invalid_fields(route, body):
        raise _invalid(wrong)


def _invalid(names: Iterable[str]) -> _Refused:
    fields = dict.fromkeys(names, "invalid value")
    return _Refused(400, f"Invalid value for {', '.join(fields)}", "invalidField", invalidFields=fields)
