"""Stand-ins that are given through constructors: rows, replies, a log file in memory, a platform in virtual time."""

from __future__ import annotations

import errno
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple, TypeVar

import anyio
import orjson
import trio
import trio._core._run as scheduling
from anyio.abc import TaskGroup
from trio.testing import MockClock

from batchpost.delivery import Delivery, Limits
from batchpost.journal import Journal
from batchpost.model import Repeat, Reply, Row, Stop, Target
from batchpost.pacing import Pacing
from batchpost.taskwire import TaskWire
from batchpost.transport import Wire

T = TypeVar("T")

WALL = 1_750_000_000.0  # Unix seconds at virtual time 0
TARGET = Target("/api/event/global/org_1")

# The replies of the platform's two pages, word for word.
UPDATED = {
    "status": "201",
    "message": "Lead successfully updated",
    "transaction_id": "txn_1",
    "data": {"transaction_id": "txn_1", "leadStatus": "accepted", "redirect_url": "https://thanks.example.com?tid=1"},
    "isDeDupe": False,
}
UNSOLD = {**UPDATED, "data": {"transaction_id": "txn_1", "leadStatus": "unsold"}}
CONVERSION = {
    "status": 200,
    "message": "Event triggered successfully",
    "data": {
        "cid": "cmp_9z8y7x6w",
        "pid": "src_abc123",
        "transaction_id": "txn_1",
        "conversion_id": "conv_a1",
        "conversion": True,
    },
}
TRACKING = {**CONVERSION, "data": {**CONVERSION["data"], "conversion_id": "", "conversion": False}}  # type: ignore[dict-item]
DUPLICATE = {"status": 400, "message": "Duplicate event for this transaction_id"}
NO_LEAD = {
    "status": 400,
    "message": "No lead found for the provided transaction_id in this organization",
}
LOCKED = {"status": 403, "message": "Concurrent event lock in progress"}
INACTIVE = {"status": 403, "message": "Source inactive"}


def reply(status: int, body: object = b"", **headers: str) -> Reply:
    """A whole reply; ``retry_after`` among the headers becomes ``retry-after``."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def a_row(number: int = 0, repeat: Repeat = Repeat.FIRES_AGAIN, **changes: Any) -> Row:
    """A row whose body tells its number; its lane key and key are its own unless given."""
    body = orjson.dumps({"transaction_id": f"txn_{number}", "row": number})
    mark = number.to_bytes(16, "big")
    row = Row(number, number, TARGET, body, repeat, mark, mark, b"", "", "organic")
    return row._replace(**changes)


async def slow_disk(function: Callable[[], None]) -> None:
    """As a disk that takes its time: others go on meanwhile."""
    await anyio.sleep(0.004)
    function()


async def inline(function: Callable[[], None]) -> None:
    """Call it on the loop, as if a thread had done it at once."""
    function()


def events_of(record: list[Any]) -> list[tuple[Any, ...]]:
    """A record of the journal as events of one row each, ``(start, row, at)`` and ``(end, row, at, *settlement,
    latency_ms, may_be_applied)``; and ``(claim, so_far, [[row], …])``."""
    match record:
        case ("claim", so_far, rows, *_):
            return [("claim", so_far, [[row] for row in rows])]
        case ("start", at, rows):
            return [("start", row, at) for row in rows]
        case ("end", at, rows, latencies, *columns):
            full = [column if type(column) is list else [column] * len(rows) for column in (latencies, *columns)]
            return [
                ("end", row, at, *settlement, latency, applied)
                for row, latency, applied, *settlement in zip(rows, *full, strict=True)
            ]
        case _:
            return [tuple(record)]


class FakeLog:
    """A log file in memory. ``trace`` gets every record and sync in order; ``durable`` is how much a sync covered;
    ``writes`` is what came in one call each.

    ``broken`` makes every further append or sync fail, as a full disk does.
    """

    def __init__(self, trace: list[tuple[Any, ...]] | None = None) -> None:
        self.trace: list[tuple[Any, ...]] = [] if trace is None else trace
        self.data = bytearray()
        self.writes: list[bytes] = []
        self.durable = 0
        self.broken = ""

    def append(self, data: bytes) -> None:
        self._fail("append")
        self.data += data
        self.writes.append(data)
        self.trace += (event for line in data.splitlines() for event in events_of(orjson.loads(line[9:])))

    def sync(self) -> None:
        self._fail("sync")
        self.durable = len(self.data)
        self.trace.append(("sync",))

    def close(self) -> None:
        self.trace.append(("close",))

    def _fail(self, call: str) -> None:
        if self.broken in (call, "all"):
            raise OSError(errno.ENOSPC, "No space left on device")


class Step(NamedTuple):
    """What the platform does with one request: its reply or fault, how long it takes, whether it has its effect."""

    result: Reply | Exception
    latency: float = 0.1
    applies: bool = False
    handed_over: bool = True


class Request(NamedTuple):
    """A request that the platform received."""

    at: float
    number: int
    token: str
    lane: int
    max_idle: float


OK = Step(reply(200, CONVERSION), applies=True)


@dataclass
class Platform:
    """Receives what the lanes post. ``answer`` decides about a request (its row, how often it came, the time)."""

    answer: Callable[[int, int, float], Step] = lambda number, times, now: OK
    dedupes: bool = False
    trace: list[tuple[Any, ...]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    arrivals: Counter[int] = field(default_factory=Counter)
    effects: Counter[int] = field(default_factory=Counter)
    order: list[int] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0

    def step(self, number: int) -> Step:
        self.arrivals[number] += 1
        step = self.answer(number, self.arrivals[number], trio.current_time())
        if step.applies and self.dedupes and self.effects[number]:
            step = Step(reply(400, DUPLICATE), step.latency)
        if step.applies:
            self.effects[number] += 1
            self.order.append(number)
        return step

    def starts(self) -> list[float]:
        """When the requests started, in order."""
        return [request.at for request in self.requests]


class Lane:
    """A transport to the fake platform; like a real one it takes one request at a time."""

    def __init__(self, platform: Platform, name: int) -> None:
        self._platform, self._name = platform, name
        self._busy = False
        self.handed_over = False

    async def post(self, target: Target, body: bytes, *, max_idle: float = 30.0) -> Reply:
        platform = self._platform
        assert not self._busy
        number = orjson.loads(body)["row"]
        platform.trace.append(("post", number))
        platform.requests.append(Request(trio.current_time(), number, target.token, self._name, max_idle))
        step = platform.step(number)
        platform.busy += 1
        platform.busiest = max(platform.busiest, platform.busy)
        self._busy = True
        self.handed_over = step.handed_over
        try:
            await anyio.sleep(step.latency)
        finally:
            self._busy = False
            platform.busy -= 1
        if isinstance(step.result, Exception):
            raise step.result
        return step.result

    async def aclose(self) -> None:
        """Nothing to close."""


class Sitting:
    """A delivery over the fakes, to be made inside the virtual loop; keyword arguments go to ``Limits``."""

    def __init__(
        self,
        rows: Iterable[Row],
        platform: Platform,
        /,
        *,
        rate: float = 1000,
        concurrency: int = 4,
        seed: int = 1,
        renew: Callable[[Row], Row | None] = lambda row: None,
        quiet_until: float = 0.0,
        wire: Callable[..., Wire] = TaskWire,
        **limits: Any,
    ) -> None:
        self.platform = platform
        self.log = FakeLog(platform.trace)
        self.random = Random(seed)
        self.pacing = Pacing(rate, concurrency, self.random, quiet_until=quiet_until)
        self.journal = Journal(self.log, run_blocking=slow_disk, clock=lambda: WALL + trio.current_time())
        self.delivery = Delivery(
            rows=iter(rows),
            wire=wire([Lane(platform, name) for name in range(concurrency)], self._start_soon),
            journal=self.journal,
            pacing=self.pacing,
            limits=Limits(2 * concurrency, **{"max_failures": math.inf, **limits}),
            clock=trio.current_time,
            wall=lambda: WALL + trio.current_time(),
            random=self.random,
            on_unauthorized=renew,
        )

    async def run(self) -> Stop | None:
        """One whole sitting."""
        async with requests_in(anyio.create_task_group()) as self._tasks:
            return await self.delivery.run()

    def _start_soon(self, call: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """A request begins, in the task group of :meth:`run`."""
        self._tasks.start_soon(call, *arguments)

    def records(self, kind: str) -> list[tuple[Any, ...]]:
        """The journal's records of one kind."""
        return [record for record in self.log.trace if record[0] == kind]

    @property
    def ends(self) -> dict[int, tuple[str, str]]:
        """Row -> outcome and reason; a row that ended twice is an error."""
        ends = [(record[1], (record[3], record[4])) for record in self.records("end")]
        assert len(ends) == len(dict(ends)), "a row was settled twice"
        return dict(ends)


@asynccontextmanager
async def requests_in(tasks: TaskGroup) -> AsyncIterator[TaskGroup]:
    """A task group for requests; what goes wrong beside them comes out as it is, not in the group's wrap."""
    failure: Exception | None = None
    async with tasks:
        try:
            yield tasks
        except Exception as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure:
        raise failure


def in_virtual_time(main: Callable[[], Awaitable[T]], *, seed: int = 1) -> T:
    """Run on trio, where waiting takes no time; the clock starts at 0. ``seed`` is that of the order of tasks."""
    # Trio shuffles its tasks on purpose; pytest-trio makes it repeatable in the same way.
    scheduling._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    scheduling._r.seed(seed)
    clock = MockClock(autojump_threshold=0)
    return anyio.run(main, backend="trio", backend_options={"clock": clock})


def deliver(
    rows: Iterable[Row], platform: Platform, /, *, seed: int = 1, **options: Any
) -> tuple[Sitting, Stop | None]:
    """One whole sitting in virtual time."""

    async def main() -> tuple[Sitting, Stop | None]:
        sitting = Sitting(rows, platform, seed=seed, **options)
        with anyio.fail_after(3600):
            return sitting, await sitting.run()

    return in_virtual_time(main, seed=seed)


def assert_recorded_before_sent(trace: list[tuple[Any, ...]]) -> None:
    """Every post follows a claim of its row, a sync after that claim, and a start of its own."""
    claimed: set[int] = set()
    durable: set[int] = set()
    started: Counter[int] = Counter()
    for event in trace:
        match event:
            case ("claim", _, entries):
                claimed |= {entry[0] for entry in entries}
            case ("sync",):
                durable |= claimed
            case ("start", number, _):
                started[number] += 1
            case ("post", number):
                started[number] -= 1
                assert number in durable, f"row {number} was sent before its claim was on disk"
                assert started[number] == 0, f"row {number} was sent without a start of its own"
            case _:
                pass
