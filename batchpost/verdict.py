"""What a reply or a fault means for its row: one pure function, one table.

The rules are the table of ``docs/guarantees.md``; the words matched come from the platform's "Global Event Postback
API" and "Update Lead API" pages. Exact 403 bodies are not documented, so words are matched, never whole messages.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, NamedTuple

import orjson

from batchpost.model import Fault, Outcome, Repeat, Reply, Row, Settlement, Stop, Target
from batchpost.redact import printable

__all__ = ["Action", "Verdict", "judge", "when_exhausted"]


class Action(Enum):
    """What delivery does next with the row."""

    SETTLE = "settle"
    RETRY = "retry"
    HOLD = "hold"
    STOP = "stop"


class Verdict(NamedTuple):
    """The meaning of one attempt.

    ``settlement`` is the row's end, or for a retry what it becomes if it is the last. ``served``: the platform
    answered as it should (the circuit counts the others). ``may_be_applied``: the attempt may have had its effect.
    ``counted``: it uses up one of ``max_attempts`` (429, locks and requests not sent have a time limit instead).
    ``few``: retried a few times only. ``pause``: seconds that every request waits (-1: as long as a backoff says);
    None: no pause. ``stop``: why the run ends.
    """

    action: Action
    settlement: Settlement | None = None
    served: bool = True
    may_be_applied: bool = False
    counted: bool = True
    few: bool = False
    pause: float | None = None
    stop: Stop | None = None


_LONGEST = 2_000  # characters of a text of the platform's
_LOCK = re.compile(r"(?<![a-z])lock|concurren|in progress", re.IGNORECASE)  # not "blocked"
_INACTIVE = re.compile(r"inactive|not active|deactivated|disabled", re.IGNORECASE)
_REASONS = (
    ("lead_not_found", re.compile(r"no lead found|lead not found", re.IGNORECASE)),
    ("invalid_event", re.compile(r"invalid event_id|event not configured", re.IGNORECASE)),
    ("missing_field", re.compile(r"is required|missing", re.IGNORECASE)),
    ("invalid_field", re.compile(r"invalid", re.IGNORECASE)),
)
_DIGITS = re.compile(r"[0-9]+")  # str.isdigit knows digits that int() does not
_DELIVERED, _SETTLE = Outcome.DELIVERED, Action.SETTLE  # looking an enum member up costs more than using it
_EVIDENCE = ("conversion_id", "pid", "redirect_url")
_TAKEN = frozenset({"accepted", "unsold"})
_NO = (False, "false")
_BY_LEAD_STATUS = {"missingField": "missing_field", "invalidField": "invalid_field"}
_REFUSALS = frozenset({"rejected", *_BY_LEAD_STATUS})
_STATED = {as_written: code for code in range(100, 1000) for as_written in (code, str(code))}
_BY_CODE = {404: "not_found", 413: "too_large", 422: "invalid_field"}
_NO_POST = Stop(
    "method_not_allowed", "The platform takes no POST on this path (405): check [api] base_url and the route", 4
)


def judge(result: Reply | Fault, row: Row, *, now: float, accept_foreign: bool = False) -> Verdict:
    """Decide what one attempt means for its row.

    ``row.in_doubt`` says whether an attempt with this body may have arrived before. ``now`` is the wall clock (Unix
    seconds) for a ``Retry-After`` date; ``accept_foreign`` is ``[rows] foreign_duplicates = "accept"``.
    """
    if isinstance(result, Fault):
        return _fault(result, row)
    body = _read(result)
    stated = _stated_status(body) if body else 0
    code = result.status
    if stated >= 400 and 200 <= code < 300:
        code = stated
    if 200 <= code < 300:
        return _success(result, body, stated, row, accept_foreign)
    message = _message(body)
    if code == 429 or (code == 503 and "retry-after" in result.headers):
        return _pause(result, code, row, now)
    if code >= 500 or code == 408:
        return _no_end("server_error" if code >= 500 else "timeout", message or f"HTTP {code}", row, result.status)
    if code == 403:
        return _forbidden(message, row, result.status)
    if code in (401, 405):
        return Verdict(Action.STOP, stop=_unauthorized(row.target) if code == 401 else _NO_POST)
    if code < 400:
        return _redirect(result, row)
    return _refused(result.status, body, message, row, accept_foreign)


def when_exhausted(settlement: Settlement, repeat: Repeat, *, may_be_applied: bool) -> Settlement:
    """What a row becomes when its attempts, its time or the run's retry budget are used up."""
    unknown = may_be_applied and repeat is not Repeat.HARMLESS
    return settlement._replace(outcome=Outcome.UNKNOWN if unknown else Outcome.FAILED)


def _fault(fault: Fault, row: Row) -> Verdict:
    if fault.may_have_arrived:
        return _no_end(fault.kind, fault.detail, row, None)
    settlement = Settlement(Outcome.FAILED, fault.kind, fault.detail)
    return Verdict(Action.RETRY, settlement, served=False, counted=False)


def _no_end(reason: str, detail: str, row: Row, status: int | None, pause: float | None = None) -> Verdict:
    """The request may have been applied: again where that is harmless or refused, else nobody can know."""
    settlement = Settlement(Outcome.UNKNOWN, reason, detail, status)
    action = Action.SETTLE if row.repeat is Repeat.FIRES_AGAIN else Action.RETRY
    if action is Action.RETRY:
        settlement = settlement._replace(outcome=Outcome.FAILED)
    return Verdict(action, settlement, served=False, may_be_applied=True, pause=pause)


def _success(reply: Reply, body: dict[str, Any] | None, stated: int, row: Row, accept_foreign: bool) -> Verdict:
    if body is None:
        return _no_end("unreadable_reply", "the reply is not readable JSON, so it proves nothing", row, reply.status)
    data = body.get("data")
    fields = data if type(data) is dict else {}
    lead_status = _text(fields.get("leadStatus"))
    success, kind = body.get("success"), body.get("type")
    if success in _NO or kind == "error" or lead_status in _REFUSALS:
        return _refused(reply.status, body, _message(body), row, accept_foreign)
    taken = lead_status in _TAKEN
    if not (taken or 200 <= stated < 300 or success is True or kind == "success"):
        return _no_end("unreadable_reply", "the reply does not say that it succeeded", row, reply.status)
    reason = lead_status if taken else _event_reason(fields, row)
    evidence = [_text(value) if value else "" for value in map(fields.get, _EVIDENCE)]
    return Verdict(_SETTLE, Settlement(_DELIVERED, reason, "", reply.status, lead_status, *evidence), True, True)


def _event_reason(data: dict[str, Any], row: Row) -> str:
    conversion = data.get("conversion")
    if conversion is True:
        return "conversion"
    if conversion is False:
        return "not_a_conversion" if row.money_sent else "tracking"
    return "accepted"


def _pause(reply: Reply, code: int, row: Row, now: float) -> Verdict:
    seconds = _retry_after(reply.headers.get("retry-after", ""), now)
    if code == 503:
        return _no_end("unavailable", "HTTP 503", row, reply.status, pause=seconds)
    settlement = Settlement(Outcome.FAILED, "rate_limited", "HTTP 429", reply.status)
    return Verdict(Action.RETRY, settlement, counted=False, pause=seconds)


def _retry_after(value: str, now: float) -> float:
    """Seconds of a ``Retry-After`` (RFC 9110, 10.2.3), or -1 where it says nothing usable."""
    if _DIGITS.fullmatch(value.strip()):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, moment.timestamp() - now)
    except (ValueError, OverflowError):
        return -1


def _forbidden(message: str, row: Row, status: int) -> Verdict:
    locked, inactive = bool(_LOCK.search(message)), bool(_INACTIVE.search(message))
    if locked and not inactive:
        if row.repeat is Repeat.FIRES_AGAIN:
            return Verdict(Action.SETTLE, Settlement(Outcome.REJECTED, "locked_elsewhere", message, status))
        return Verdict(Action.RETRY, Settlement(Outcome.FAILED, "locked", message, status), counted=False)
    if inactive and not locked:
        return Verdict(Action.HOLD, Settlement(Outcome.REJECTED, "source_inactive", message, status))
    return Verdict(Action.RETRY, Settlement(Outcome.FAILED, "forbidden", message, status), few=True)


def _unauthorized(target: Target) -> Stop:
    """Names where the token comes from, never the token. Events have none (the platform's pages)."""
    if not target.token:
        message = "The platform asks for a token (401), and an event has none: check [api] base_url and the id there"
    else:
        place = f"into {target.token_from}" if target.token_from else "where [api] says"
        message = (
            f"The platform refused the token (401) of the campaign {target.campaign_id}: put its enrichment token, "
            f"not the form's, {place}"
        )
    return Stop("unauthorized", message, 4)


def _redirect(reply: Reply, row: Row) -> Verdict:
    """Not an answer (RFC 9110, 15.2 and 15.4): whoever sent it, the request did arrive there."""
    stop = Stop("redirect", f"The platform answered with a redirect ({reply.status}): check [api] base_url", 4)
    if row.repeat is Repeat.FIRES_AGAIN:
        settlement = Settlement(Outcome.UNKNOWN, "redirect", f"HTTP {reply.status}", reply.status)
        return Verdict(Action.STOP, settlement, may_be_applied=True, stop=stop)
    return Verdict(Action.STOP, may_be_applied=True, stop=stop)


def _refused(status: int, body: dict[str, Any] | None, message: str, row: Row, accept_foreign: bool) -> Verdict:
    if "duplicate" in message.lower():
        return Verdict(Action.SETTLE, _duplicate(status, message, row, accept_foreign))
    data = (body or {}).get("data")
    lead_status = _text(data.get("leadStatus")) if isinstance(data, dict) else ""
    reason = _BY_LEAD_STATUS.get(lead_status) or next((name for name, words in _REASONS if words.search(message)), "")
    reason = reason or _BY_CODE.get(status, "refused")
    return Verdict(
        Action.SETTLE, Settlement(Outcome.REJECTED, reason, message or f"HTTP {status}", status, lead_status)
    )


def _duplicate(status: int, message: str, row: Row, accept_foreign: bool) -> Settlement:
    if row.in_doubt and row.repeat is Repeat.REFUSED:
        return Settlement(Outcome.ALREADY_DELIVERED, "confirmed_duplicate", message, status)
    if accept_foreign:
        return Settlement(Outcome.ALREADY_DELIVERED, "foreign_duplicate", message, status)
    return Settlement(Outcome.REJECTED, "server_duplicate", message, status)


def _read(reply: Reply) -> dict[str, Any] | None:
    if reply.oversized or reply.garbled:
        return None
    try:
        body = orjson.loads(reply.body)
    except orjson.JSONDecodeError:  # also of an empty body
        return None
    return body if type(body) is dict else None


def _stated_status(body: dict[str, Any]) -> int:
    """The body's own ``status``: a string for updates, a number for events, a string in both schemas; 0 if none."""
    status = body.get("status")
    return _STATED.get(status, 0) if isinstance(status, (str, int)) else 0


def _message(body: dict[str, Any] | None) -> str:
    for name in ("message", "reason", "error"):
        value = (body or {}).get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _text(value: object) -> str:
    """A text of the platform's that is kept as evidence: on one line, and not without bounds."""
    if not value or type(value) is not str:
        return ""
    return value if len(value) <= _LONGEST and value.isprintable() else printable(value, _LONGEST)
