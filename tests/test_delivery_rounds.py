"""Delivery goes by rounds: what came back together is settled together, and nothing that happens in a round is lost."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise
from random import Random

import anyio
import orjson
import pytest

from batchpost.delivery import Delivery, Limits
from batchpost.journal import Journal
from batchpost.lane import Lanes
from batchpost.model import Repeat, Row, Stop
from batchpost.pacing import Pacing
from batchpost.taskwire import TaskWire
from batchpost.transport import Ended, Heads, Origin, Request
from tests.fakes import OK, WALL, FakeLog, Platform, Sitting, Step, a_row, deliver, in_virtual_time, inline, reply
from tests.hostile import Hostile, Visit
from tests.wire import PATIENCE, trusting

TERM = Stop("interrupted", "Stopped by SIGTERM", 143)


def rows_of(count: int, repeat: Repeat = Repeat.FIRES_AGAIN) -> list[Row]:
    return [a_row(number, repeat) for number in range(count)]


def kinds(write: bytes) -> list[tuple[str, list[int]]]:
    """The starts and ends of a write, with the rows that each is about."""
    records = [orjson.loads(line[9:]) for line in write.splitlines()]
    return [(record[0], sorted(record[2])) for record in records if record[0] in ("start", "end")]


def test_what_came_back_together_is_settled_in_one_write_with_the_next_starts() -> None:
    platform = Platform(lambda number, times, now: OK._replace(latency=0.5))
    sitting, _ = deliver(rows_of(24), platform, concurrency=8)
    assert [kinds(write) for write in sitting.log.writes if kinds(write)] == [
        [("start", [*range(8)])],
        [("end", [*range(8)]), ("start", [*range(8, 16)])],
        [("end", [*range(8, 16)]), ("start", [*range(16, 24)])],
        [("end", [*range(16, 24)])],
    ]


def test_an_end_does_not_wait_for_the_others_of_its_start() -> None:
    platform = Platform(lambda number, times, now: OK._replace(latency=0.5 + number % 4))
    sitting, _ = deliver(rows_of(4), platform, concurrency=4)
    assert [kinds(write) for write in sitting.log.writes if kinds(write)] == [
        [("start", [0, 1, 2, 3])],
        *([("end", [number])] for number in range(4)),
    ]
    at = [record[2] - WALL for record in sitting.records("end")]
    assert at == pytest.approx([0.504, 1.504, 2.504, 3.504], abs=0.01)


def test_the_outcomes_of_one_round_may_differ() -> None:
    """Delivered, rejected, unknown and tried again, all within the same instant."""
    steps = {1: Step(reply(400, {"message": "No lead found"})), 2: Step(reply(500)), 3: Step(reply(429))}
    platform = Platform(lambda number, times, now: steps.get(number, OK) if times == 1 else OK)
    sitting, _ = deliver(rows_of(4), platform, concurrency=4)
    assert kinds(sitting.log.writes[2]) == [("end", [0, 1, 2])]
    assert sitting.ends == {
        0: ("delivered", "conversion"),
        1: ("rejected", "lead_not_found"),
        2: ("unknown", "server_error"),
        3: ("delivered", "conversion"),
    }


def test_no_more_start_in_one_round_than_the_rate_lets_start_at_once() -> None:
    platform = Platform(lambda number, times, now: OK._replace(latency=0.01))
    sitting, _ = deliver(rows_of(300), platform, concurrency=64, rate=100)
    started = [len(rows) for write in sitting.log.writes for kind, rows in kinds(write) if kind == "start"]
    assert sum(started) == 300
    assert max(started) <= 3, "a burst of a fiftieth of the rate, and the one that is due"
    starts = platform.starts()
    assert all(later - earlier > 1.0 for earlier, later in zip(starts, starts[100:], strict=False))


def test_a_pause_that_one_reply_of_a_round_asks_for_holds_for_the_others_rows() -> None:
    limited = Step(reply(429, retry_after="20"))
    platform = Platform(lambda number, times, now: limited if number == 2 and times == 1 else OK)
    deliver(rows_of(12), platform, concurrency=4)
    first, second = next((one, other) for one, other in pairwise(platform.starts()) if other > one)
    assert second - first >= 20


class Choosy(TaskWire):
    """Cannot begin the request of row 5, which is a bug of ours; says so at once, in the middle of the round."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._refused: list[Ended] = []

    def begin(self, requests: Iterable[Request]) -> None:
        for request in requests:
            if request[0].row.number == 5:  # type: ignore[attr-defined]
                self._refused.append((request[0], ZeroDivisionError("a bug")))
                self.notify()
            else:
                super().begin([request])

    def take(self) -> list[Ended]:
        refused, self._refused = self._refused, []
        return refused + super().take()


@pytest.mark.parametrize(("concurrency", "rows"), [(1, 6), (1, 40), (4, 6), (4, 40)])
def test_a_request_that_ends_while_it_is_begun_is_taken_at_once_and_the_others_are_recorded(
    concurrency: int, rows: int
) -> None:
    """Even where nothing else is under way, and nothing is left to claim, that could wake the sender up."""
    platform = Platform(lambda number, times, now: OK._replace(latency=1.0))

    async def main() -> Sitting:
        sitting = Sitting(rows_of(rows), platform, concurrency=concurrency, wire=Choosy)
        with anyio.fail_after(60), pytest.raises(ZeroDivisionError):
            await sitting.run()
        return sitting

    sitting = in_virtual_time(main)
    assert set(sitting.ends) == {request.number for request in platform.requests}
    assert 5 not in sitting.ends


# -- over real connections -----------------------------------------------------------------------------------------


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("repeat", [Repeat.FIRES_AGAIN, Repeat.REFUSED])
async def test_a_stop_while_all_are_still_connecting_leaves_rows_that_were_certainly_not_sent(repeat: Repeat) -> None:
    """A server that takes connections and never answers the handshake; the drain is no time at all."""
    knocked = anyio.Event()

    async def mute(visit: Visit) -> None:
        await visit.body(1)
        knocked.set()
        await visit.gone()

    async with Hostile(mute) as server:
        heads = Heads(Origin.parse(server.url.replace("http:", "https:")))
        lanes = Lanes(heads, count=3, timeout=PATIENCE, tls=trusting())
        log = FakeLog()
        delivery = Delivery(
            rows=iter(rows_of(9, repeat)),
            wire=lanes,
            journal=Journal(log, run_blocking=inline),
            pacing=Pacing(1000, 3, Random(1)),
            limits=Limits(6, drain=0.0),
            clock=time.monotonic,
            wall=time.time,
            random=Random(1),
            on_unauthorized=lambda row: None,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(delivery.run)
            await knocked.wait()
            delivery.stop(TERM)
        lanes.close()
    assert delivery.stop_reason == TERM
    assert [event for event in log.trace if event[0] == "end"] == []
    assert sorted((event[1], *event[3:]) for event in log.trace if event[0] == "again") == [
        (number, "interrupted", False) for number in range(3)
    ]
    assert server.requests == []
