"""The platform in virtual time: it answers well or badly, as the seed has it, and remembers every side effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import anyio
import orjson
import trio

from batchpost.model import Reply, Target
from batchpost.taskwire import TaskWire
from batchpost.transport import MaybeSent, NotSent
from tests.fakes import CONVERSION, DUPLICATE, INACTIVE, LOCKED, NO_LEAD, UPDATED, reply, requests_in
from tests.simulation.disk import Crash, Disk

__all__ = ["DEDUPED", "TAKEN", "Arrival", "Attempt", "Pause", "Platform", "Weather"]

DEDUPED = "sale_completed"
TAKEN = "taken"  # leads whose events somebody else has fired before
_NO_LEAD_YET, _INACTIVE = "ghost", "off"


class Attempt(NamedTuple):
    """A request that a lane was asked to make, of this row of the sitting's input; ``sent``: bytes of it left."""

    at: float
    job: str
    sitting: int
    operation: tuple[str, ...]
    row: int
    sent: bool


class Arrival(NamedTuple):
    """A request that had its effect, made of this row of the night's input."""

    at: float
    sitting: int
    operation: tuple[str, ...]
    row: int


class Pause(NamedTuple):
    """A reply that asks for so many seconds without a request."""

    at: float
    sitting: int
    seconds: float


@dataclass
class Weather:
    """How the platform behaves: the share of requests that meet trouble, the longest latency in seconds, the share of
    the trouble that strikes after the effect, whether it limits the rate, whether ghosts have become leads."""

    trouble: float = 0.0
    latency: float = 0.2
    after: float = 0.5
    limit: float = 0.0
    ghosts_known: bool = True
    sources_active: bool = True


@dataclass
class Platform:
    """``effects`` counts side effects by operation, ``voids`` those that were taken back; ``shared`` counts requests
    that went out on a connection on which another one was under way. ``weather`` may change in between."""

    random: Random
    weather: Weather = field(default_factory=Weather)
    attempts: list[Attempt] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    effects: Counter[tuple[str, ...]] = field(default_factory=Counter)
    voids: Counter[tuple[str, ...]] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    pauses: list[Pause] = field(default_factory=list)
    unclaimed: list[str] = field(default_factory=list)
    shared: int = 0
    meanwhile: Callable[[], None] = lambda: None

    def stands(self, operation: tuple[str, ...]) -> bool:
        """Whether the operation had an effect that was not taken back."""
        return self.effects[operation] > self.voids[operation]

    def _refusal(self, operation: tuple[str, ...], lead: str, pid: str) -> Reply | None:
        if pid == _INACTIVE and not self.weather.sources_active:
            return reply(403, INACTIVE)
        if lead.startswith(_NO_LEAD_YET) and not self.weather.ghosts_known:
            return reply(400, NO_LEAD)
        if operation[-1] == DEDUPED and (self.stands(operation) or lead.startswith(TAKEN)):
            return reply(400, DUPLICATE)
        return None


_TROUBLES: tuple[tuple[str, bool, bool], ...] = (  # name, whether bytes left, whether it may strike after the effect
    ("refused", False, False),
    ("tls", False, False),
    ("dropped", True, True),
    ("reset", True, True),
    ("timeout", True, True),
    ("cut_off", True, True),
    ("error", True, True),
    ("html", True, True),
    ("empty", True, True),
    ("unavailable", True, True),
    ("limited", True, False),
    ("locked", True, False),
    ("forbidden", True, False),
)


@dataclass
class Visit:
    """The platform as the lanes of one sitting see it. ``number_of`` gives the row of a mark and an operation in the
    sitting's input, ``place_of`` the one in the night's."""

    platform: Platform
    disk: Disk
    random: Random
    job: str
    sitting: int
    number_of: Callable[[str, tuple[str, ...]], int]
    place_of: Callable[[str, tuple[str, ...]], int]

    @asynccontextmanager
    async def open(self, *args: object, count: int, timeout: float, **options: object) -> AsyncIterator[TaskWire]:
        """As many lanes as requests may be in flight."""
        async with requests_in(anyio.create_task_group()) as tasks:
            yield TaskWire([Lane(self, timeout) for _ in range(count)], tasks.start_soon)


class Lane:
    """A transport to the platform, one request at a time."""

    def __init__(self, visit: Visit, timeout: float) -> None:
        self._visit, self._timeout = visit, timeout
        self._busy = False
        self.handed_over = False

    async def post(self, target: Target, body: bytes, *, max_idle: float = 30.0) -> Reply:
        if self._busy:
            self._visit.platform.shared += 1
        self._busy, self.handed_over = True, False
        try:
            return await self._post(target, orjson.loads(body))
        finally:
            self._busy = False

    async def aclose(self) -> None:
        """Nothing to close."""

    async def _post(self, target: Target, body: dict[str, str]) -> Reply:
        visit, platform = self._visit, self._visit.platform
        visit.platform.meanwhile()
        if visit.disk.dead:
            raise Crash
        random, weather = visit.random, platform.weather
        operation = _operation(target, body)
        row = visit.number_of(body.get("sub1", ""), operation)
        if row not in visit.disk.claims.durable:
            platform.unclaimed.append(f"{visit.job}, row {row}: {operation}")
        trouble = random.choice(_TROUBLES) if random.random() < weather.trouble else None
        latency = random.uniform(0.01, weather.latency)
        sent = trouble is None or trouble[1]
        now = trio.current_time()
        platform.attempts.append(Attempt(now, visit.job, visit.sitting, operation, row, sent))
        if trouble is None:
            early = random.random() < 0.5
            await self._wait(latency, early)
            result = self._apply(operation, body)
            await self._wait(latency, not early)
            return result
        platform.troubles[trouble[0]] += 1
        await self._wait(latency, sent)
        if trouble[2] and random.random() < weather.after:
            self._apply(operation, body)
        return await self._trouble(trouble[0], random)

    async def _wait(self, latency: float, handed_over: bool) -> None:
        """Part of an exchange; before it is handed over nothing of the request has left."""
        self.handed_over = self.handed_over or handed_over
        await anyio.sleep(latency / 2)
        self.handed_over = True

    def _apply(self, operation: tuple[str, ...], body: dict[str, str]) -> Reply:
        visit, platform = self._visit, self._visit.platform
        if visit.disk.dead:
            raise Crash
        refusal = platform._refusal(operation, body["transaction_id"], body.get("pid", ""))
        if refusal:
            return refusal
        platform.effects[operation] += 1
        place = visit.place_of(body.get("sub1", ""), operation)
        platform.arrivals.append(Arrival(trio.current_time(), visit.sitting, operation, place))
        return reply(200, CONVERSION) if operation[0] == "event" else reply(201, UPDATED)

    async def _trouble(self, kind: str, random: Random) -> Reply:
        if kind == "timeout":
            await anyio.sleep(self._timeout)
        if kind in ("refused", "tls"):
            self.handed_over = False
            raise NotSent(f"connect_{kind}", "")
        if kind in ("dropped", "reset", "timeout", "cut_off"):
            raise MaybeSent(kind, "")
        retry_after = random.choice(["1", "3", "0", "soon"])
        if kind in ("unavailable", "limited") and retry_after != "soon":
            pause = Pause(trio.current_time(), self._visit.sitting, float(retry_after))
            self._visit.platform.pauses.append(pause)
        return {
            "error": reply(500, {"message": "oops"}),
            "html": reply(200, b"<html>"),
            "empty": reply(200),
            "unavailable": reply(503, retry_after=retry_after),
            "limited": reply(429, retry_after=retry_after),
            "locked": reply(403, LOCKED),
            "forbidden": reply(403, {}),
        }[kind]


def _operation(target: Target, body: dict[str, str]) -> tuple[str, ...]:
    """What the platform knows a request by."""
    if "event_id" in body:
        return ("event", body["transaction_id"], body["event_id"])
    return ("update", target.campaign_id, body["transaction_id"])
