"""A history from a seed: nights of overlapping files, weather, crashes, other jobs, and a person in between."""

from __future__ import annotations

import shutil
from csv import reader
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from batchpost.errors import Locked
from batchpost.jobrun import Options
from batchpost.records import read_lines
from batchpost.recordshapes import OF_ROWS, rows_of
from batchpost.retry import retry_rows
from tests.simulation.cases import Case, Night
from tests.simulation.disk import Disk, Disks
from tests.simulation.machine import Ended, Machine, Trip
from tests.simulation.person import Person
from tests.simulation.platform import Weather

__all__ = ["NOWHERE", "CrashPoint", "History", "Sat", "clean", "play"]

_KINDS = {"await": 120, "append": 25, "sync": 12, "sqlite": 150, "entry": 110}  # instants of a usual sitting, by kind
_LEADS = ("txn",) * 6 + ("ghost",) * 2 + ("taken",)
_CALM = Weather(trouble=0.0, latency=0.1)


@dataclass
class Sat:
    """A sitting that was: which night it worked at, its exit code, what broke it; ``of``: the run whose rows it tried
    again."""

    night: Night
    ended: Ended
    number: int
    crash: tuple[str, int] | None = None
    power_cut: bool = False
    disk_full: bool = False
    inside: bool = False
    of: str | None = None


@dataclass
class History:
    """All that happened, for the oracle. ``instants`` are those passed, by kind, ``instants_of`` those of each sitting
    that was not the last calm; ``complaints`` what was seen wrong on the way."""

    seed: int
    machine: Machine
    cases: list[Case]
    nights: list[Night] = field(default_factory=list)
    sat: list[Sat] = field(default_factory=list)
    instants: dict[str, int] = field(default_factory=dict)
    instants_of: dict[int, dict[str, int]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    decisions: int = 0

    def crashes(self, *, power_cut: bool) -> int:
        return sum(one.ended.crashed and one.power_cut == power_cut for one in self.sat)


class CrashPoint(NamedTuple):
    """An instant: of which sitting, of which kind, which one of that kind (from 1), and whether the power is cut."""

    sitting: int
    kind: str
    number: int
    power_cut: bool


NOWHERE = CrashPoint(0, "", 0, False)


def play(seed: int, root: Path, disks: Disks, *, crash: CrashPoint | None = None) -> History:
    """Play the history of a seed in an empty folder.

    With ``crash`` it has one night, and the machine dies at that instant and at no other.
    """
    random = Random(seed)
    root.mkdir()
    disk = Disk(root, Random(random.random()))
    machine = Machine(root, Random(random.random()), disk)
    cases = _cases(random)
    history = History(seed, machine, cases)
    for case in cases:
        (root / f"{case.name}.toml").write_text(case.text())
    disks.current = disk
    try:
        _Player(history, random, crash).play()
    finally:
        disks.current = None
    return history


def _cases(random: Random) -> list[Case]:
    def one(name: str, kind: str, **more: Any) -> Case:
        return Case(name, kind, random.choice([5, 20, 100]), random.choice([1, 3, 8]), **more)

    campaign = random.choice(["cmp_a", "cmp_b"])
    every = [
        one("sales", "sales"),
        one("repeats", "repeats"),
        one("updates", "updates", campaign="cmp_a", redistributes=random.random() < 0.3),
        one("more", "updates", campaign=campaign, redistributes=random.random() < 0.3),
    ]
    return sorted(random.sample(every, random.choice([1, 1, 2, 3])), key=lambda case: case.name)


class _Player:
    def __init__(self, history: History, random: Random, crash: CrashPoint | None) -> None:
        self.history, self.random = history, random
        self.machine = history.machine
        self.only = crash
        self.crashes_left = 0 if crash else random.choice([0, 1, 2, 4, 6])
        self.marks = 0
        self.current: dict[str, Night] = {}

    def play(self) -> None:
        for number in range(1 if self.only else self.random.choice([1, 2, 3])):
            for case in self.history.cases:
                self._night(case, number)
        self.crashes_left = 0
        self._calm_down()

    # -- nights ------------------------------------------------------------------------------------------------

    def _night(self, case: Case, number: int) -> None:
        night = Night(case, number, self._rows(case, number))
        self.history.nights.append(night)
        self.current[case.name] = night
        night.write(self.machine.root)
        self.machine.disk.settle()
        self.machine.platform.weather = self._weather()
        for _ in range(6):
            sat = self._sit(night)
            if sat.ended.code in (0, 1, 3) or self.random.random() < 0.08:
                break  # finished, or nobody comes back to it before the next night
            self._ask(sat, 0.3)
            self.machine.now += self.random.choice([0.0, 0.5, 30.0, 3600.0])
        if self.random.random() < 0.3:
            self._try_again(sat)
        if self.random.random() < 0.2:
            self._look_back(case)
        self._ask(sat, 0.5)
        if self.random.random() < 0.3:
            self._sit(night)

    def _rows(self, case: Case, number: int) -> tuple[tuple[str, str, str, str], ...]:
        random = self.random
        before = [row for night in self.history.nights if night.case is case for row in night.rows]
        rows = []
        for _ in range(random.randint(4, 24)):
            if before and random.random() < 0.3:
                rows.append(self._again(random.choice(before)))
                continue
            lead = f"{random.choice(_LEADS)}_{random.randrange(60 if case.is_event else 12)}"
            self.marks += 1
            source = "off" if random.random() < 0.1 else "organic"
            rows.append((lead, f"{random.randint(1, 90)}.50", f"m{self.marks}", source))
        if case.is_event:  # a second row of an operation is told apart by its mark: a contradiction
            seen: set[str] = set()
            rows = [row for row in rows if random.random() < 0.1 or not (row[0] in seen or seen.add(row[0]))]
        return tuple({(row[0], row[2]): row for row in rows}.values())

    def _again(self, row: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
        """A row of an earlier night: the same, or with other money, or with another mark."""
        lead, payout, mark, source = row
        change = self.random.random()
        if change < 0.2:
            return (lead, "91.00", mark, source)
        self.marks += 1
        return (lead, payout, f"m{self.marks}" if change < 0.4 else mark, source)

    def _weather(self) -> Weather:
        random = self.random
        return Weather(
            trouble=random.choice([0.0, 0.0, 0.1, 0.3, 0.6]),
            latency=random.choice([0.05, 0.3, 2.0, 7.0]),
            after=random.choice([0.0, 0.5, 1.0]),
            ghosts_known=random.random() < 0.5,
            sources_active=random.random() < 0.7,
        )

    # -- sittings ----------------------------------------------------------------------------------------------

    def _sit(self, night: Night) -> Sat:
        sat = Sat(night, Ended(), self.machine.sittings + 1)
        self._do(sat, self._trip(night))
        return sat

    def _do(self, sat: Sat, trip: Trip) -> None:
        self._plan_trouble(sat)
        if not self.only and self.random.random() < 0.15:
            self._plan_visitor(sat.night)
        sat.ended = self.machine.sit(trip)
        self.history.instants_of[sat.number] = dict(self.machine.disk.instants)
        self._close(sat)

    def _ask(self, sat: Sat, chance: float) -> None:
        """A person looks at the run, whether it is finished or will go on."""
        if self.random.random() < chance and sat.ended.summary:
            person = Person(self.machine, self.random)
            self.history.decisions += person.look_at(sat.night, self.machine.run_of[sat.number])

    def _look_back(self, case: Case) -> None:
        """An earlier night once more: its file again, or its rows that did not get through."""
        earlier = [sat for sat in self.history.sat if sat.night.case is case and sat.of is None and not sat.inside]
        sat = self.random.choice(earlier)
        if self.random.random() < 0.5:
            self._sit(sat.night)
        else:
            self._try_again(sat)

    def _try_again(self, before: Sat) -> None:
        """``retry`` of a run that is finished, as often as it takes to get it to its end."""
        if before.ended.summary.get("state") != "finished":
            return
        night, run_id = before.night, self.machine.run_of[before.number]
        results = self.machine.root / "results" / night.case.name / run_id
        job = self.machine.job(night.case.name, (night.file,))
        path, rows = retry_rows(job, results, before.ended.summary, {"failed", "rejected", "not_attempted"})
        if not rows:
            return
        again = replace(night, rows=tuple(tuple(row[:4]) for row in reader(path.read_text().splitlines()[1:])))
        for _ in range(3):
            sat = Sat(night, Ended(), self.machine.sittings + 1, of=run_id)
            trip = Trip(
                night.case.name, night.number, again.row_of, night.row_of, Options(retry=True), source=(str(path),)
            )
            self._do(sat, trip)
            if sat.ended.code in (0, 1, 3):
                break

    def _trip(self, night: Night) -> Trip:
        random = self.random
        free = not self.only
        options = Options(
            limit=random.randint(1, 6) if free and random.random() < 0.1 else float("inf"),
            new_run=free and random.random() < 0.05,
        )
        term = random.uniform(0.0, 5.0) if free and random.random() < 0.1 else None
        return _trip_of(night, options=options, term_after=term)

    def _plan_trouble(self, sat: Sat) -> None:
        disk, random = self.machine.disk, self.random
        if self.only:
            if sat.number == self.only.sitting:
                sat.crash, sat.power_cut = (self.only.kind, self.only.number), self.only.power_cut
        elif self.crashes_left and random.random() < 0.7:
            self.crashes_left -= 1
            kind = random.choice(list(_KINDS))
            sat.crash = (kind, random.randint(1, _KINDS[kind]))
            sat.power_cut = random.random() < 0.5
        elif random.random() < 0.04:
            disk.full = random.randint(1, 60)
            sat.disk_full = True
        disk.crash, disk.power_cut = sat.crash, sat.power_cut

    def _plan_visitor(self, night: Night) -> None:
        """Once, while a request is under way, another job (or the same one) is started."""
        other = self.random.choice(list(self.current.values()))
        left = [self.random.randint(1, 8)]

        def meanwhile() -> None:
            left[0] -= 1
            if left[0] == 0:
                self._visit(night, other)

        self.machine.platform.meanwhile = meanwhile

    def _visit(self, night: Night, other: Night) -> None:
        before = len(self.machine.platform.attempts)
        sat = Sat(other, Ended(), self.machine.sittings + 1, inside=True)
        sat.disk_full = self.machine.disk.full is not None
        sat.ended = self.machine.sit_inside(_trip_of(other))
        sat.power_cut = sat.ended.crashed and self.machine.disk.power_cut
        if _clash(night.case, other.case) and not sat.ended.crashed:
            locked = isinstance(sat.ended.error, Locked) and len(self.machine.platform.attempts) == before
            if not locked:
                self.history.complaints.append(f"{other.case.name} ran beside {night.case.name}")
        self.history.sat.append(sat)

    def _close(self, sat: Sat) -> None:
        history, disk = self.history, self.machine.disk
        self.machine.platform.meanwhile = lambda: None
        for kind, count in disk.instants.items():
            history.instants[kind] = history.instants.get(kind, 0) + count
        sat.power_cut = sat.power_cut and sat.ended.crashed
        history.sat.append(sat)
        if sat.ended.crashed:
            self.machine.start_again()
            if not sat.power_cut and len(left := self._left_open(sat)) > sat.night.case.concurrency:
                history.complaints.append(
                    f"a kill left {len(left)} rows of {sat.night.case.name} with a start and no end"
                )
        else:
            disk.power_cut = False
            disk.restart()

    def _left_open(self, sat: Sat) -> set[int]:
        """The rows that the journal of a sitting says were started, and not how that ended."""
        files = sorted(self.machine.root.rglob(f"{self.machine.run_of.get(sat.number)}/sitting-*.log"))
        left: set[int] = set()
        for line in read_lines(files[-1]) if files else ():
            if line.record and line.record[0] in OF_ROWS:
                rows = set(rows_of(line.record))
                left = left | rows if line.record[0] == "start" else left - rows
        return left

    # -- the end -----------------------------------------------------------------------------------------------

    def _calm_down(self) -> None:
        """Nothing goes wrong any more: every job must come to its end, and then have nothing left to send."""
        self.machine.platform.weather = _CALM
        for night in self.current.values():
            codes = [self._calmly(night).code for _ in range(2)]
            if not {*codes} <= {0, 1, 3}:
                self.history.complaints.append(f"{night.case.name} does not come to its end: {codes}")
            before = len(self.machine.platform.attempts)
            again = self._calmly(night)
            settled = {"delivered", "already_delivered", "skipped", "unknown"}
            sent = len(self.machine.platform.attempts) - before
            left = sum(n for name, n in again.summary.get("rows", {}).items() if name not in {*settled, "read"})
            if sent > left:
                self.history.complaints.append(
                    f"{night.case.name}: {sent} requests of a finished job, {left} rows left"
                )

    def _calmly(self, night: Night) -> Ended:
        sat = Sat(night, Ended(), self.machine.sittings + 1)
        sat.ended = self.machine.sit(_trip_of(night))
        self._close(sat)
        return sat.ended


def _trip_of(night: Night, **more: Any) -> Trip:
    """A sitting at a night's own input."""
    return Trip(night.case.name, night.number, night.row_of, night.row_of, source=(night.file,), **more)


def _clash(one: Case, other: Case) -> bool:
    """Whether the two could touch the same operations (guarantee 9)."""
    return one.is_event and other.is_event if one.is_event or other.is_event else one.campaign == other.campaign


def clean(root: Path) -> None:
    """Remove what a history left."""
    shutil.rmtree(root, ignore_errors=True)
