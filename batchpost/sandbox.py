"""The platform's three routes on this machine, with a record of every request and faults on demand.

Plain ``asyncio.Protocol`` and llhttp rather than a web framework: a reply must be cut in its middle and a connection
reset at will, and the server must be quicker than what it measures. Besides the routes it answers

    GET  /_sandbox/received   NDJSON, one object a request, in order of arrival
    GET  /_sandbox/effects    the same for what was done, in the order in which it was done
    POST /_sandbox/reset      forgets the record (not what was fired)
    POST /_sandbox/config     token, inactive_pids, latency, faults: changes them from the next request on
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import anyio
import orjson

from batchpost.errors import UsageError
from batchpost.sandbox_faults import Dice, FaultKind, Faults, Latency, parse_faults, parse_latency
from batchpost.sandbox_http import Connection, Ending, Incoming, Response
from batchpost.sandbox_leads import load_leads
from batchpost.sandbox_platform import (
    LOCKED,
    Answer,
    EventRule,
    Operation,
    Platform,
    Request,
    SandboxConfig,
    answer,
    find_route,
)

__all__ = ["EventRule", "Faults", "Received", "Sandbox", "SandboxConfig", "parse_faults", "parse_latency", "serve"]


@dataclass(slots=True)
class Received:
    """One request as the sandbox saw it, kept compact: the body as bytes.

    ``n`` counts from 1 in order of arrival, ``at`` is in monotonic seconds. ``authorized``: the route's credential was
    right; ``bearer``: there was an ``Authorization`` header. ``status`` is what was or would have been answered, None
    if nothing (yet). ``effect`` is ``updated``, ``fired`` or None.
    """

    n: int
    at: float
    method: str
    path: str
    route: str
    campaign_id: str
    authorized: bool
    bearer: bool
    raw: bytes
    status: int | None = None
    fault: str | None = None
    effect: str | None = None
    conversion_id: str = ""

    @property
    def body(self) -> Any:
        """The JSON as parsed, or the text where it is none."""
        try:
            return orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            return self.raw.decode(errors="replace")

    @property
    def transaction_id(self) -> str:
        """The body's ``transaction_id``, empty without one."""
        return _text(self.body, "transaction_id")

    @property
    def event_id(self) -> str:
        """The body's ``event_id``, empty without one."""
        return _text(self.body, "event_id")

    def as_dict(self) -> dict[str, Any]:
        """The object of the NDJSON record."""
        body = self.body
        return {
            **{name: getattr(self, name) for name in ("n", "at", "method", "path", "route")},
            "campaign_id": self.campaign_id or _text(body, "cid"),
            "transaction_id": _text(body, "transaction_id"),
            "event_id": _text(body, "event_id"),
            "body": body,
            **{name: getattr(self, name) for name in ("authorized", "bearer", "status", "fault", "effect")},
            "conversion_id": self.conversion_id,
        }


class _Exchange(NamedTuple):
    """A request on its way: its record, what will be done or answered, and where the reply goes."""

    entry: Received
    request: Request
    fault: FaultKind | None
    step: Operation | Answer
    respond: Callable[[Response], None]


class Sandbox:
    """The server as an async context manager: bound and listening inside, closed with all its connections after.

    For a test that is not async: ``start_blocking_portal().wrap_async_context_manager(Sandbox(config))`` of anyio.
    Raises ``UsageError`` for an address that is not a loopback one or not free, and for leads that cannot be read.
    """

    def __init__(self, config: SandboxConfig) -> None:
        if not _is_loopback(config.host):
            raise UsageError(f"the sandbox listens on this machine only: {config.host} is not a loopback address")
        self.config = config
        self.platform = Platform(config, load_leads(config.leads) if config.leads else {})
        self.received: list[Received] = []
        self.effects: list[Received] = []
        self.base_url = ""
        self._dice = Dice(config.faults, config.latency, config.seed)
        self._connections: set[Connection] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Connection(self._handle, self._connections), self.config.host, self.config.port, backlog=1024
            )
        except OSError as error:
            raise UsageError(f"cannot listen on {self.config.host}:{self.config.port}: {error.strerror}") from error
        host, port = self._server.sockets[0].getsockname()[:2]
        self.base_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self._server.wait_closed()

    def histories(self) -> dict[str, list[Received]]:
        """What was done for each lead, by transaction id, in the order in which it was done."""
        found: dict[str, list[Received]] = {}
        for entry in self.effects:
            found.setdefault(entry.transaction_id, []).append(entry)
        return found

    def configure(
        self,
        *,
        token: str | None = None,
        inactive_pids: Iterable[str] | None = None,
        latency: Latency | None = None,
        faults: Faults | None = None,
    ) -> None:
        """Changes what is given, from the next request on; new faults or latency begin their draws anew."""
        self.platform.token = self.platform.token if token is None else token
        if inactive_pids is not None:
            self.platform.inactive_pids = frozenset(inactive_pids)
        if latency is not None or faults is not None:
            self.config = replace(
                self.config,
                latency=self.config.latency if latency is None else latency,
                faults=self.config.faults if faults is None else faults,
            )
            self._dice = Dice(self.config.faults, self.config.latency, self.config.seed)

    def _handle(self, incoming: Incoming, respond: Callable[[Response], None]) -> None:
        path = incoming.target.partition("?")[0]
        if path.startswith("/_sandbox/"):
            respond(self._control(incoming.method, path, incoming.body))
        elif found := find_route(path):
            route, scope = found
            authorization = incoming.headers.get("authorization", "")
            self._begin(path, Request(incoming.method, route, scope, authorization, incoming.body), respond)
        else:
            respond(_plain(404, "Not Found"))

    def _begin(self, path: str, request: Request, respond: Callable[[Response], None]) -> None:
        now = time.monotonic()
        is_update = not request.route.is_event
        draw = self._dice.throw(now, update=is_update)
        entry = Received(
            n=len(self.received) + 1,
            at=now,
            method=request.method,
            path=path,
            route=request.route.name,
            campaign_id=request.scope if is_update else "",
            authorized=self.platform.authorized(request),
            bearer=bool(request.authorization),
            raw=request.body,
            fault=draw.fault,
        )
        self.received.append(entry)
        step = self.platform.begin(request) if draw.does else _UNSEEN
        exchange = _Exchange(entry, request, draw.fault, step, respond)
        if draw.delay:
            asyncio.get_running_loop().call_later(draw.delay, self._finish, exchange)
        else:
            self._finish(exchange)

    def _finish(self, exchange: _Exchange) -> None:
        """Does the request, whether or not its sender is still there, and answers as the fault will have it."""
        entry, step = exchange.entry, exchange.step
        done = self.platform.commit(step) if isinstance(step, Operation) else step
        if isinstance(step, Operation):
            entry.campaign_id = step.campaign_id
        if done.effect:
            entry.effect, entry.conversion_id = done.effect, done.conversion_id
            self.effects.append(entry)
        response = _spoilt(exchange.request, exchange.fault, done)
        entry.status = None if exchange.fault is FaultKind.DROP else response.status
        exchange.respond(response)

    def _control(self, method: str, path: str, body: bytes) -> Response:
        if (method, path) == ("GET", "/_sandbox/received"):
            return _ndjson(self.received)
        if (method, path) == ("GET", "/_sandbox/effects"):
            return _ndjson(self.effects)
        if (method, path) == ("POST", "/_sandbox/reset"):
            self.received.clear()
            self.effects.clear()
            return _plain(200, "forgotten")
        if (method, path) == ("POST", "/_sandbox/config"):
            return self._control_config(body)
        return _plain(404, "Not Found")

    def _control_config(self, body: bytes) -> Response:
        try:
            self.configure(**_config_changes(orjson.loads(body)))
        except (UsageError, orjson.JSONDecodeError) as error:
            return _plain(400, str(error))
        return _plain(200, "configured")


async def serve(config: SandboxConfig, *, ready: Callable[[str], None] | None = None) -> None:
    """Runs the sandbox until cancelled; ``ready`` is told the base URL once it listens. Raises as ``Sandbox``."""
    async with Sandbox(config) as sandbox:
        if ready is not None:
            ready(sandbox.base_url)
        await anyio.sleep_forever()


# Stands for a request that the platform never saw; every such fault has a reply of its own.
_UNSEEN = Answer(500, b"")

_REFUSALS: dict[FaultKind, tuple[int, str, dict[str, str]]] = {
    FaultKind.ERROR: (500, "Internal server error", {}),
    FaultKind.LOCK: (403, LOCKED, {}),
    FaultKind.UNAVAILABLE: (503, "Service Unavailable", {"Retry-After": "1"}),
    FaultKind.LIMIT: (429, "Too Many Requests", {"Retry-After": "1"}),
    FaultKind.UNAUTHORIZED: (401, "Unauthorized", {}),
}
_ENDINGS = {FaultKind.DROP: Ending.DROP, FaultKind.RESET: Ending.RESET, FaultKind.HALF: Ending.HALF}
_PAGE = b"<!doctype html><html><body><h1>Welcome</h1><p>One moment, please.</p></body></html>"


def _spoilt(request: Request, fault: FaultKind | None, done: Answer) -> Response:
    if fault in _REFUSALS:
        status, message, headers = _REFUSALS[fault]
        return Response(status, answer(request.route, status, message).body, headers)
    if fault is FaultKind.GARBAGE:
        return Response(200, _PAGE, content_type="text/html; charset=utf-8")
    headers = {"Allow": "POST"} if done.status == 405 else {}  # RFC 9110, 15.5.6
    return Response(
        done.status, done.body, headers, ending=_ENDINGS.get(fault, Ending.WHOLE) if fault else Ending.WHOLE
    )


def _plain(status: int, message: str) -> Response:
    return Response(status, orjson.dumps({"status": status, "message": message}))


def _ndjson(entries: Iterable[Received]) -> Response:
    body = b"".join(orjson.dumps(entry.as_dict(), option=orjson.OPT_APPEND_NEWLINE) for entry in entries)
    return Response(200, body, content_type="application/x-ndjson")


def _config_changes(values: object) -> dict[str, Any]:
    known = {"token": str, "inactive_pids": list, "latency": str, "faults": str}
    if not isinstance(values, dict):
        raise UsageError("the configuration is a JSON object")
    for name, value in values.items():
        if name not in known or not isinstance(value, known[name]):
            raise UsageError(
                f"{name}: not a setting, or of another type; there are token, latency, faults (texts), "
                "inactive_pids (a list)"
            )
    parsers: dict[str, Callable[[str], object]] = {"latency": parse_latency, "faults": parse_faults}
    return {name: parsers[name](value) if name in parsers else value for name, value in values.items()}


def _text(body: object, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) else ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
