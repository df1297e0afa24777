"""Whole sittings from a seed, with an oracle: what the books say and what the platform did agree, also after kills."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import anyio
import pytest

from batchpost.errors import JournalError
from batchpost.history import History, replay
from batchpost.journal import boot_id
from batchpost.model import Repeat, Row
from batchpost.transport import MaybeSent, NotSent
from tests.endings import ends_of
from tests.fakes import (
    INACTIVE,
    LOCKED,
    NO_LEAD,
    OK,
    FakeLog,
    Platform,
    Sitting,
    Step,
    a_row,
    assert_recorded_before_sent,
    deliver,
    in_virtual_time,
    reply,
)

BOOT_ID = boot_id()
TROUBLE = (
    Step(MaybeSent("dropped", "")),
    Step(MaybeSent("timeout", ""), 3.0),
    Step(NotSent("connect_refused", "")),
    Step(reply(500)),
    Step(reply(200, b"<html>")),
    Step(reply(503, retry_after="1")),
    Step(reply(429, retry_after="1")),
    Step(reply(403, LOCKED)),
    Step(reply(403, {})),
)
MAYBE_APPLIED = TROUBLE[:2] + TROUBLE[3:6]


@dataclass
class Trouble:
    """Answers from a seed: some rows have no lead, one source is inactive, a share of the requests meets trouble."""

    random: Random
    share: float

    def __call__(self, number: int, times: int, now: float) -> Step:
        latency = self.random.uniform(0.01, 1.5)
        if self.random.random() < self.share:
            step = self.random.choice(TROUBLE)
            applies = step in MAYBE_APPLIED and not self._refused(number) and self.random.random() < 0.5
            return step._replace(latency=max(latency, step.latency), applies=applies)
        return (self._refused(number) or OK)._replace(latency=latency)

    def _refused(self, number: int) -> Step | None:
        return {3: Step(reply(400, NO_LEAD)), 7: Step(reply(403, INACTIVE))}.get(number % 10)


def rows_of(random: Random, repeat: Repeat, count: int = 30) -> list[Row]:
    return [
        a_row(number, repeat, lane_key=random.randrange(12), pid="off" if number % 10 == 7 else "organic")
        for number in range(count)
    ]


def assert_books_agree(ends: dict[int, tuple[str, str]], platform: Platform, rows: list[Row]) -> None:
    """Delivered or confirmed: exactly one effect. Unknown: at most one. Everything else: none."""
    for row in rows:
        outcome, reason = ends.get(row.number, ("not_attempted", ""))
        effects = platform.effects[row.number]
        if outcome in ("delivered", "already_delivered"):
            assert effects == 1, (row.number, outcome, reason)
        else:
            assert effects <= (outcome == "unknown"), (row.number, outcome, reason)


@pytest.mark.parametrize("seed", range(50))
def test_the_books_and_the_platform_agree(seed: int) -> None:
    random = Random(seed)
    repeat = random.choice([Repeat.FIRES_AGAIN, Repeat.REFUSED])
    rows = rows_of(random, repeat)
    platform = Platform(Trouble(random, random.choice([0.1, 0.3, 0.6])), dedupes=repeat is Repeat.REFUSED)
    sitting, stop = deliver(
        rows, platform, seed=seed, concurrency=random.choice([1, 3, 8]), rate=random.choice([10, 50])
    )
    assert stop is None
    held = {row.number for row in rows if row.pid in sitting.delivery.tally.held_pids}
    assert {row.number for row in rows} - held <= sitting.ends.keys()
    assert_books_agree(sitting.ends, platform, rows)
    assert_recorded_before_sent(platform.trace)
    for lane in range(12):
        own = [number for number in platform.order if rows[number].lane_key == lane]
        assert own == sorted(own)


# -- killed and continued --------------------------------------------------------------------------------------


@dataclass
class Machine:
    """A disk with the journals of a run that is killed again and again and goes on."""

    folder: Path
    platform: Platform
    rows: list[Row]
    random: Random
    logs: list[FakeLog] = field(default_factory=list)
    power_was_cut: bool = False

    def read(self) -> tuple[dict[int, tuple[str, str]], set[int]]:
        """What the next sitting knows: the rows settled and those in doubt."""
        files = [self.folder / f"sitting-{number:04d}.log" for number in range(len(self.logs))]
        for file, log in zip(files, self.logs, strict=True):
            file.write_bytes(log.data)
        history = History()
        ends = ends_of(replay(files, history, boot=lambda: "another" if self.power_was_cut else BOOT_ID))
        settled = {end.number: (str(end.settlement.outcome), end.settlement.reason) for end in ends}
        return settled, {number for number, row in history.open.items() if row.in_doubt}

    def to_send(self) -> list[Row]:
        """The rows left: one in doubt goes out again only where that is refused."""
        settled, doubts = self.read()
        left = [row for row in self.rows if row.number not in settled]
        left = [row for row in left if row.repeat is Repeat.REFUSED or row.number not in doubts]
        return [row._replace(in_doubt=row.number in doubts) for row in left]

    def sit(self, seconds: float = math.inf) -> None:
        """A sitting; after so many seconds it is killed: not one more byte is written."""

        async def main() -> None:
            sitting = Sitting(self.to_send(), self.platform, rate=20, seed=self.random.randrange(999))
            self.logs.append(sitting.log)
            sitting.journal.begin({"run_id": "r1"})
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(kill, sitting, tasks.cancel_scope)
                with suppress(JournalError):
                    await sitting.run()
                tasks.cancel_scope.cancel()

        async def kill(sitting: Sitting, scope: anyio.CancelScope) -> None:
            await anyio.sleep(seconds)
            sitting.log.broken = "all"
            scope.cancel()

        in_virtual_time(main, seed=self.random.randrange(999))

    def cut_power(self) -> None:
        """Every file keeps what was synced, and as much of the rest as chance wants, in part as zeros."""
        self.power_was_cut = True
        for log in self.logs:
            kept = self.random.randint(log.durable, len(log.data))
            zeros = b"\0" * self.random.choice([0, len(log.data) - kept])
            log.data[kept:] = zeros
            log.durable = len(log.data)


@pytest.mark.parametrize("seed", range(20))
def test_a_run_that_is_killed_again_and_again_settles_every_row_once(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    repeat = random.choice([Repeat.FIRES_AGAIN, Repeat.REFUSED])
    rows = [row for row in rows_of(random, repeat) if row.pid != "off"]
    platform = Platform(Trouble(random, random.choice([0.0, 0.2])), dedupes=repeat is Repeat.REFUSED)
    machine = Machine(tmp_path, platform, rows, random)
    for _ in range(random.randint(1, 5)):
        machine.sit(random.uniform(0.0, 2.0))
        if random.random() < 0.3:
            machine.cut_power()
    machine.sit()
    ends, doubts = machine.read()
    if repeat is Repeat.FIRES_AGAIN:
        ends |= dict.fromkeys(doubts - ends.keys(), ("unknown", "in_doubt"))
    assert ends.keys() == {row.number for row in rows}
    assert_books_agree(ends, platform, rows)
    assert_recorded_before_sent(platform.trace)


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_leaves_no_more_in_doubt_than_was_in_flight(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    platform = Platform(lambda number, times, now: OK._replace(latency=random.uniform(0.05, 0.6)))
    machine = Machine(tmp_path, platform, rows_of(random, Repeat.FIRES_AGAIN, 100), random)
    machine.sit(random.uniform(0.2, 3.0))
    ends, doubts = machine.read()
    assert len(doubts) <= 4
    assert doubts | ends.keys() == set(platform.order)
    machine.cut_power()
    ends, doubts = machine.read()
    assert doubts | ends.keys() >= set(platform.order)
    assert len(doubts) <= 4 + 2 * 4 + 2, "and what came back within the last 50 ms"
