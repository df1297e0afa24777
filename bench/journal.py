"""What recording each row costs, and what SIGKILL takes with it: our journal beside SQLite, in one run.

    python bench/journal.py [--rows 100000] [--kills 10] [--folder DIR]

Every store records the same of each row: claimed (on disk before the next step), about to be sent, answered and how.
First as fast as it goes; then at 25,000 rows a second in a process of its own, which gets SIGKILL after a random
while. What really happened is in shared memory, which outlives the process. *Starts lost* are rows that were sent and
are not recorded as such, *ends lost* those answered whose answer is not in the store: the worst of all kills.
"""

from __future__ import annotations

import argparse
import asyncio
import mmap
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Protocol

from batchpost.history import History, replay
from batchpost.journal import DiskFile, Journal
from batchpost.model import Outcome, Repeat, Row, Settlement, Target

RATE = 25_000  # rows a second
TICK = 25  # rows handled in one turn of the event loop: a millisecond at that rate
WINDOW = 128  # rows claimed at a time
IN_FLIGHT = 128  # requests between their start and their answer
FLUSH = 0.05  # seconds within which an answer is to be on disk
ANSWER = Settlement(Outcome.DELIVERED, "conversion", "", 200, "", "conv_a1b2c3d4-e5f6-7890-abcd-ef1234567890", "src_a")


class Store(Protocol):
    """Where rows are recorded."""

    async def claim(self, rows: Sequence[Row]) -> None: ...

    def start(self, row: Row) -> None: ...

    def settle(self, row: Row) -> None: ...

    async def tick(self) -> None: ...

    async def flush(self) -> None: ...


class Log:
    """batchpost's journal."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(DiskFile(path), run_blocking=_in_thread)
        self._journal.begin({"run_id": "bench"})

    async def claim(self, rows: Sequence[Row]) -> None:
        if rows:
            await self._journal.claim(rows)

    def start(self, row: Row) -> None:
        self._journal.start([row.number])

    def settle(self, row: Row) -> None:
        self._journal.settle(row.number, ANSWER, latency_ms=12.3, may_be_applied=True)

    async def tick(self) -> None:
        await asyncio.sleep(0)

    async def flush(self) -> None:
        await self._journal.sync()


_CLAIM = "INSERT INTO claims VALUES (?, ?, ?, ?, ?)"
_START = "INSERT INTO starts VALUES (?, ?)"
_END = "INSERT INTO ends VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Sqlite:
    """SQLite with the same records as rows of append-only tables, its cheapest use; commits in a thread."""

    def __init__(self, path: Path, mode: str, synchronous: str, *, each_tick: bool) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute(f"PRAGMA journal_mode = {mode}")
        self._db.execute(f"PRAGMA synchronous = {synchronous}")
        self._db.execute("CREATE TABLE claims (row INTEGER PRIMARY KEY, key, body, stake, amount)")
        self._db.execute("CREATE TABLE starts (row INTEGER PRIMARY KEY, at)")
        self._db.execute("CREATE TABLE ends (row INTEGER PRIMARY KEY, at, a, b, c, d, e, f, g, h, i, j, k, l)")
        self._each_tick = each_tick
        self._committing = asyncio.Lock()
        self._starts: list[tuple[object, ...]] = []
        self._ends: list[tuple[object, ...]] = []

    async def claim(self, rows: Sequence[Row]) -> None:
        claims = [(row.number, row.key, row.body_hash, row.stake, row.amount) for row in rows]
        await self._commit(claims)

    def start(self, row: Row) -> None:
        self._starts.append((row.number, time.time()))

    def settle(self, row: Row) -> None:
        self._ends.append((row.number, time.time(), *ANSWER, time.time(), 1, 12.3, True))

    async def tick(self) -> None:
        if self._each_tick:
            await self._commit(())
        else:
            await asyncio.sleep(0)

    async def flush(self) -> None:
        if self._starts or self._ends:
            await self._commit(())

    async def _commit(self, claims: Sequence[tuple[object, ...]]) -> None:
        async with self._committing:
            self._db.execute("BEGIN")
            self._db.executemany(_CLAIM, claims)
            self._db.executemany(_START, self._starts)
            self._db.executemany(_END, self._ends)
            self._starts, self._ends = [], []
            await _in_thread(self._db.commit)


class Nothing:
    """What the measurement itself costs."""

    def __init__(self, path: Path) -> None: ...

    async def claim(self, rows: Sequence[Row]) -> None:  # noqa: ARG002 - a store's signature
        await _in_thread(lambda: None)

    def start(self, row: Row) -> None: ...

    def settle(self, row: Row) -> None: ...

    async def tick(self) -> None:
        await asyncio.sleep(0)

    async def flush(self) -> None: ...


STORES: dict[str, Callable[[Path], Store]] = {
    "nothing": Nothing,
    "journal": Log,
    "rollback, 50 ms": lambda path: Sqlite(path, "delete", "full", each_tick=False),
    "WAL, 50 ms": lambda path: Sqlite(path, "wal", "full", each_tick=False),
    "rollback, each tick": lambda path: Sqlite(path, "delete", "full", each_tick=True),
    "WAL, each tick": lambda path: Sqlite(path, "wal", "full", each_tick=True),
    "WAL, each tick, no fsync": lambda path: Sqlite(path, "wal", "normal", each_tick=True),
}


class Truth:
    """How many rows were sent and answered, in memory that outlives the process. Rows are in order."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(16))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 16)

    @property
    def sent(self) -> int:
        return int(struct.unpack_from("q", self._memory, 0)[0])

    @sent.setter
    def sent(self, value: int) -> None:
        struct.pack_into("q", self._memory, 0, value)

    @property
    def answered(self) -> int:
        return int(struct.unpack_from("q", self._memory, 8)[0])

    @answered.setter
    def answered(self, value: int) -> None:
        struct.pack_into("q", self._memory, 8, value)


async def drive(store: Store, truth: Truth, rows: Sequence[Row], rate: float | None) -> None:
    """Take rows through the store in order as delivery does: ``IN_FLIGHT`` at once, the next window claimed meanwhile,
    answers brought to disk every ``FLUSH`` seconds; as fast as it goes, or ``rate`` a second."""
    flusher = asyncio.create_task(_flush_for_ever(store))
    ahead = asyncio.create_task(store.claim(rows[:WINDOW]))
    begun = time.monotonic()
    for number, row in enumerate(rows):
        if number % WINDOW == 0:
            await ahead
            ahead = asyncio.create_task(store.claim(rows[number + WINDOW : number + 2 * WINDOW]))
        if number >= IN_FLIGHT:
            truth.answered = number - IN_FLIGHT + 1
            store.settle(rows[number - IN_FLIGHT])
        store.start(row)
        truth.sent = number + 1
        if number % TICK == TICK - 1:
            await store.tick()
            if rate:
                await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
    await ahead
    flusher.cancel()
    await store.flush()


async def _flush_for_ever(store: Store) -> None:
    while True:
        await asyncio.sleep(FLUSH)
        await store.flush()


def make_rows(count: int) -> list[Row]:
    target = Target("/api/event/global/org_bench")
    key, body = bytes(range(16)), bytes(range(16, 32))
    return [
        Row(number, number, target, b"{}", Repeat.FIRES_AGAIN, key, body, key, "85.00", "src_a")
        for number in range(count)
    ]


class Speed(NamedTuple):
    """CPU and wall time (µs a row), bytes a row handed to the operating system and sent to the disk."""

    cpu: float
    wall: float
    written: float
    to_disk: float


def measure(name: str, count: int, folder: Path) -> Speed:
    """One store as fast as it goes."""
    rows = make_rows(count)
    store, truth = STORES[name](folder / "store"), Truth(folder / "truth")
    before, cpu, wall = _written(), time.process_time(), time.perf_counter()
    asyncio.run(drive(store, truth, rows, None))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    written, to_disk = (after - then for after, then in zip(_written(), before, strict=True))
    return Speed(cpu / count * 1e6, wall / count * 1e6, written / count, to_disk / count)


class Loss(NamedTuple):
    """What one SIGKILL took: rows a second until then, rows sent and answers received that are not recorded."""

    rate: float
    starts: int
    ends: int


def kill_once(name: str, seed: int, folder: Path) -> Loss:
    """A process that records at ``RATE``, killed after 0.3 to 0.8 s of it, and what its store still knows."""
    wait = random.Random(seed).uniform(0.3, 0.8)
    truth = Truth(folder / "truth")
    child = subprocess.Popen([sys.executable, __file__, "--child", name, "--folder", str(folder)])
    while truth.sent == 0:
        time.sleep(0.001)
    begun = time.monotonic()
    time.sleep(wait)
    child.send_signal(signal.SIGKILL)
    child.wait()
    rate = truth.sent / (time.monotonic() - begun)
    started, ended = _recorded(name, folder / "store")
    return Loss(rate, max(0, truth.sent - started), max(0, truth.answered - ended))


def _recorded(name: str, path: Path) -> tuple[int, int]:
    if name == "journal":
        history = History()
        ended = sum(1 for _ in replay([path], history))
        return ended + sum(row.in_doubt for row in history.open.values()), ended
    with closing(sqlite3.connect(path)) as db:
        started, ended = db.execute("SELECT (SELECT COUNT(*) FROM starts), (SELECT COUNT(*) FROM ends)").fetchone()
        return started, ended


def _written() -> tuple[int, int]:
    """Bytes of this process so far: given to ``write``, and sent to a disk (proc_pid_io(5))."""
    facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(facts["wchar"]), int(facts["write_bytes"])


async def _in_thread(call: Callable[[], None]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, call)


_HEAD = "{:25}{:>8}{:>9}{:>11}{:>11}{:>9}{:>13}{:>11}".format(
    "store", "CPU µs", "wall µs", "written B", "to disk B", "rows/s", "starts lost", "ends lost"
)


def report(count: int, kills: int, parent: Path | None) -> None:
    print(
        f"{count:,} rows at full speed, then {kills} kills at {RATE:,} rows a second; SQLite {sqlite3.sqlite_version}"
    )
    print(_HEAD)
    for name in STORES:
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            speed = measure(name, count, Path(folder))
        print(f"{name:25}{speed.cpu:>8.1f}{speed.wall:>9.1f}{speed.written:>11.0f}{speed.to_disk:>11.0f}", end="")
        print("" if name == "nothing" else _worst(name, kills, parent), flush=True)


def _worst(name: str, kills: int, parent: Path | None) -> str:
    losses = []
    for seed in range(kills):
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            losses.append(kill_once(name, seed, Path(folder)))
    rate = sum(loss.rate for loss in losses) / kills
    return f"{rate:>9,.0f}{max(loss.starts for loss in losses):>13}{max(loss.ends for loss in losses):>11}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="rows at full speed")
    parser.add_argument("--kills", type=int, default=10, help="times to kill each store")
    parser.add_argument("--folder", type=Path, help="where to write: a folder on the disk in question")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        store, truth = STORES[given.child](given.folder / "store"), Truth(given.folder / "truth")
        asyncio.run(drive(store, truth, make_rows(2 * RATE), RATE))
    else:
        report(given.rows, given.kills, given.folder)


if __name__ == "__main__":
    main()
