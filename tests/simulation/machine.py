"""One machine in virtual time: its clock, its disk, and the runs that it makes of real jobs, whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Thread, get_ident
from typing import Any

import anyio
import trio
import trio._core._run as scheduling
from trio.testing import MockClock

from batchpost.edge import Edge
from batchpost.errors import BatchpostError
from batchpost.job import Job
from batchpost.jobfile import load_job
from batchpost.jobrun import Options, run_job
from batchpost.model import Stop
from tests.simulation.disk import Crash, Disk, SimulatedLog
from tests.simulation.platform import Platform, Visit

__all__ = ["ENVIRON", "LEDGER", "Ended", "Machine", "Quiet", "Trip"]

ENVIRON = {"ORG": "org_sandbox", "TOKEN": "sandbox-token"}
LEDGER = ".batchpost/ledger-test.db"
WALL = 1_750_000_000.0  # Unix seconds at virtual time 0
_AS_USUAL = Options()
_LONGEST = 48 * 3600.0  # virtual seconds after which a sitting hangs


class Quiet:
    """Nobody looks on."""

    def planned(self, prepared: object) -> None:
        """The plan stands."""

    def doing(self, what: str, rows: int = 0, /) -> None:
        """Something goes on."""

    def progress(self, tally: object, pulse: object) -> None:
        """A second has passed."""


@dataclass(frozen=True)
class Ended:
    """How a sitting ended: with a summary, with an error of ours, or with the machine."""

    summary: dict[str, Any] = field(default_factory=dict)
    error: BatchpostError | None = None
    crashed: bool = False

    @property
    def code(self) -> int:
        """The exit code; -9 for a dead process."""
        return -9 if self.crashed else self.error.exit_code if self.error else int(self.summary["exit_code"])


class _Instants(trio.abc.Instrument):
    """Every step of every task, which is what follows each await, is an instant at which the machine may die."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def before_task_step(self, task: object) -> None:
        if self._disk.dies("await"):
            self._disk.die()


@dataclass
class Trip:
    """What is particular to one sitting: the file of its job, the number of its night, the row of its input that a mark
    and an operation are of, where that row stands in the night's input, what the command line says, when SIGTERM comes
    (virtual seconds after its start), and the input if it is not the job's."""

    job: str
    night: int
    number_of: Callable[[str, tuple[str, ...]], int]
    place_of: Callable[[str, tuple[str, ...]], int]
    options: Options = _AS_USUAL
    term_after: float | None = None
    source: tuple[str, ...] = ()


class Machine:
    """Runs sittings one after the other, or one inside another. Everything random comes from ``random``. ``run_of`` and
    ``night_of`` tell each sitting's run, and its job and night."""

    def __init__(self, root: Path, random: Random, disk: Disk) -> None:
        self.root, self.random, self.disk = root, random, disk
        self.platform = Platform(random)
        self.now = 0.0
        self.boots = 0
        self.sittings = 0
        disk.wall = lambda: WALL + self.now
        self.run_of: dict[int, str] = {}
        self.night_of: dict[int, tuple[str, int]] = {}
        self._scopes: list[tuple[int, anyio.CancelScope]] = []
        disk.on_death = self._cancel

    def sit(self, trip: Trip) -> Ended:
        """One sitting of a job, to its end or the machine's."""
        self.sittings += 1
        self.night_of[self.sittings] = (trip.job, trip.night)
        clock = MockClock(autojump_threshold=0)
        clock.jump(self.now)
        job = self.job(trip.job, trip.source)
        try:
            ended = Ended(run_job(job, trip.options, ENVIRON, Quiet(), self._edge(trip, clock)))
        except Crash:
            ended = Ended(crashed=True)
        except BatchpostError as error:
            ended = Ended(error=error)
        self.now = max(self.now, clock.current_time())
        return Ended(crashed=True) if self.disk.dead else ended

    def job(self, name: str, source: tuple[str, ...] = ()) -> Job:
        """A job by its file's name, with another input if one is given."""
        paths = tuple(str(self.root / path) for path in source)
        return load_job(self.root / f"{name}.toml", workspace=self.root, source=paths)

    def sit_inside(self, trip: Trip) -> Ended:
        """One sitting while another one stands still in the middle of its own."""
        ended: list[Ended] = []
        thread = Thread(target=lambda: ended.append(self.sit(trip)))
        thread.start()
        thread.join()
        return ended[0]

    def start_again(self) -> None:
        """After a crash: the disk as it is found; time has passed."""
        if self.disk.power_cut:
            self.boots += 1
        self.disk.restart()
        self.now += self.random.choice([0.0, 0.3, 1.0, self.random.uniform(0.0, 100.0)])

    # -- the edge ----------------------------------------------------------------------------------------------

    def _edge(self, trip: Trip, clock: MockClock) -> Edge:
        random = Random(self.random.random())
        visit = Visit(self.platform, self.disk, random, trip.job, self.sittings, trip.number_of, trip.place_of)

        def wall() -> float:
            self.now = max(self.now, clock.current_time())
            return WALL + clock.current_time()

        async def slow_disk(call: Callable[[], None]) -> None:
            await anyio.sleep(random.choice([0.0, 0.001, 0.01, 0.1]))
            call()

        async def told_to_stop(stop: Callable[[Stop], None]) -> None:
            await anyio.sleep(trip.term_after if trip.term_after is not None else _LONGEST)
            stop(Stop("interrupted", "Stopped by SIGTERM", 143))

        sitting = self.sittings

        def create_sitting(folder: Path) -> SimulatedLog:
            self.run_of[sitting] = folder.name
            return self.disk.create_sitting(folder)

        def run(main: Callable[[], Awaitable[Any]]) -> Any:
            return self._run(main, clock, random)

        return Edge(
            wall=wall,
            clock=clock.current_time,
            entropy=random.randbytes,
            random=lambda: random,
            boot=lambda: f"boot {self.boots}",
            create_sitting=create_sitting,
            run_blocking=slow_disk,
            open_wire=visit.open,
            run=run,
            heed_signals=told_to_stop,
        )

    def _run(self, main: Callable[[], Awaitable[Any]], clock: MockClock, random: Random) -> Any:
        async def mortal() -> Any:
            with anyio.CancelScope() as scope, anyio.fail_after(_LONGEST):
                self._scopes.append((get_ident(), scope))
                return await main()

        # Trio shuffles its tasks on purpose; this makes the shuffling part of the seed.
        scheduling._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
        scheduling._r.seed(random.random())
        options = {"clock": clock, "instruments": [_Instants(self.disk)]}
        try:
            result = anyio.run(mortal, backend="trio", backend_options=options)
        except BaseException:
            if self.disk.dead:
                raise Crash from None
            raise
        finally:
            self._scopes.pop()
        if self.disk.dead:
            raise Crash
        return result

    def _cancel(self) -> None:
        """The machine died between two steps of its tasks: none of them takes another one. The loop that another one
        is a visitor of stands still, and finds the machine dead when it goes on."""
        if self._scopes and self._scopes[-1][0] == get_ident():
            self._scopes[-1][1].cancel()
