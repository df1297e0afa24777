"""Reading a run's journal back: what was claimed, what may have been sent, what was settled, and whether to trust it.

A torn tail is the trace of a crash; anything else that cannot be read stops with a LedgerError. What is lost without a
trace is told in ``docs/guarantees.md``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from batchpost.errors import LedgerError
from batchpost.journal import FORMAT, boot_id
from batchpost.records import Line, cut_off, lost_in_a_power_cut, read_lines
from batchpost.recordshapes import OF_ROWS, Claim
from batchpost.settled import Settled

__all__ = ["DamagedJournal", "History", "Open", "check_header", "replay", "sitting_number"]


_NAME = re.compile(r"sitting-(\d+)\.log")
_PART = 50_000  # settled rows in a frame, about


class DamagedJournal(LedgerError):
    """A journal that says what no crash leaves behind: a disk, a copy or an editor has changed it. Its text names the
    file, the byte and the way out; a run's folder bears its id."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        super().__init__(
            f"{path}: {what}; what it recorded there is lost. `batchpost abandon {path.parent.name}` gives the run up: "
            "it books what can be read, and whatever else may have been sent is in doubt from then on",
            then=f"batchpost abandon {path.parent.name}, then {{run}}",
        )


@dataclass(slots=True)
class Open:
    """A row that was claimed and not settled. ``in_doubt``: an attempt of it may have arrived, the last of them in
    ``sitting``; ``redirected``: where the platform answered with a redirect, and nowhere else. ``claimed`` is the
    sitting of its last claim."""

    claim: Claim
    in_doubt: bool = False
    attempts: int = 0
    first_attempt_at: float = 0.0
    started: bool = False
    sitting: int = 1
    claimed: int = 1
    redirected: bool = False

    def attempted(self, *, may_be_applied: bool, redirected: bool = False) -> None:
        """An attempt is over, or nobody knows whether it is."""
        self.started = False
        if may_be_applied:
            self.redirected = redirected and (self.redirected or not self.in_doubt)
            self.in_doubt = True


@dataclass(slots=True)
class History:
    """What is left when a journal was read to its end.

    ``header`` is the first sitting's, ``open`` the rows claimed and not settled by number, ``over`` the cause and exit
    code of the last sitting if it ended in order, ``starts`` the requests of all sittings, ``seconds`` those that
    started in each second of Unix time.
    """

    header: dict[str, Any] = field(default_factory=dict)
    open: dict[int, Open] = field(default_factory=dict)
    sittings: int = 0
    over: tuple[str, int] | None = None
    starts: int = 0
    sitting: int = 1
    seconds: Counter[int] = field(default_factory=Counter, compare=False)
    # Nearly all rows are claimed, started and settled once, in one sitting. Those are kept out of ``open`` until it is
    # over, in two maps that take many of them at a time.
    _claims: dict[int, tuple[bytes, bytes, bytes, str]] = field(default_factory=dict, init=False, repr=False)
    _started: dict[int, float] = field(default_factory=dict, init=False, repr=False)

    def begin(self, sitting: int) -> None:
        """The file of this sitting begins; which boot it is of, its first record will say."""
        self.sitting = sitting
        self.over = None
        self.header = {**self.header, "boot_id": ""}

    def knows(self, row: int) -> bool:
        """Whether the row is claimed and not settled."""
        return row in self._claims or row in self.open

    def apply(self, record: Sequence[Any], settled: Settled) -> None:
        """Take in the next record; the rows that it ends go to ``settled``. Raises KeyError for a row without a
        claim."""
        match record:
            case ("claim", _, rows, claims):
                self._claim(rows, claims)
            case ("start", at, rows):
                self._start(at, rows)
            case ("end", at, rows, latencies, applied, *settlement):
                self._end(at, rows, latencies, applied, settlement, settled)
            case ("again", row, _, kind, applied):
                self._opened(row).attempted(may_be_applied=applied, redirected=kind == "redirect")
            case ("sitting", facts):
                self.header = {**facts, **self.header, "boot_id": facts["boot_id"]}
                self.sittings += 1
            case ("over", _, _, cause, code):
                self.over = (cause, code)
            case _:
                raise ValueError(f"no record: {record[0]}")

    def close(self, *, lost_writes: bool) -> None:
        """The sitting is over. A row started and without an end is in doubt; where records may be lost, every one is
        that the sitting claimed: the claim is on disk before anything is lost of it."""
        for number in list(self._claims):
            self._opened(number)
        for number, row in list(self.open.items()):
            lost = lost_writes and row.claimed == self.sitting
            row.attempted(may_be_applied=row.started or lost)
            if lost:
                row.sitting = self.sitting
            if not row.in_doubt and not row.attempts:
                del self.open[number]  # claimed, and certainly not sent

    def is_of_boot(self, boot: str) -> bool:
        """Whether the sitting read last was of this boot of the machine; no where either is not known."""
        return bool(boot) and self.header.get("boot_id") == boot

    def _claim(self, rows: Sequence[int], claims: Sequence[tuple[bytes, bytes, bytes, str]]) -> None:
        for row in self.open.keys() & rows if self.open else ():
            self.open[row].claimed = self.sitting
        again = self._claims.keys() & rows if self._claims else ()
        fresh = zip(rows, claims, strict=True)
        self._claims.update(
            ((row, claim) for row, claim in fresh if row not in self.open and row not in again)
            if self.open or again
            else fresh
        )

    def _start(self, at: float, rows: Sequence[int]) -> None:
        self.starts += len(rows)
        self.seconds[int(at)] += len(rows)
        if self._plain(rows) and self._started.keys().isdisjoint(rows):
            self._started.update(dict.fromkeys(rows, at))
            return
        for number in rows:
            row = self._opened(number)
            row.started = True
            row.sitting = self.sitting
            row.attempts += 1
            row.first_attempt_at = row.first_attempt_at or at

    def _end(
        self, at: float, rows: Sequence[int], latencies: Any, applied: Any, settlement: Sequence[Any], settled: Settled
    ) -> None:
        if self._plain(rows) and self._started.keys() >= set(rows):
            claims = [self._claims.pop(number) for number in rows]
            firsts = [self._started.pop(number) for number in rows]
            settled.add(rows, zip(*claims, strict=True), settlement, at, firsts, 1, latencies, applied, self.sitting)
            return
        ended = [self._opened(number) for number in rows]
        for number in rows:
            del self.open[number]
        claims = [row.claim for row in ended]
        firsts = [row.first_attempt_at for row in ended]
        attempts, sittings = [row.attempts for row in ended], [row.sitting for row in ended]
        settled.add(rows, zip(*claims, strict=True), settlement, at, firsts, attempts, latencies, applied, sittings)

    def _plain(self, rows: Sequence[int]) -> bool:
        """Whether nothing is known of these rows but their claims, and perhaps a first start."""
        return (not self.open or self.open.keys().isdisjoint(rows)) and self._claims.keys() >= set(rows)

    def _opened(self, number: int) -> Open:
        """The row with all that is known of it, for what is not said of many rows at a time. Raises KeyError."""
        if number in self.open:
            return self.open[number]
        row = self.open[number] = Open(Claim(*self._claims.pop(number)), sitting=self.sitting, claimed=self.sitting)
        if (at := self._started.pop(number, None)) is not None:
            row.started, row.attempts, row.first_attempt_at = True, 1, at
        return row


def replay(files: Sequence[Path], history: History, *, boot: Callable[[], str] = boot_id) -> Iterator[pl.DataFrame]:
    """Read all sittings of a run in order and yield every settled row, in the order settled, as frames of
    :data:`batchpost.settled.SETTLED`.

    ``history`` is filled meanwhile and complete at the end. Memory grows with the rows open at one time, not with the
    rows settled. A row can be settled twice, in two sittings: the later one counts. Raises LedgerError for damage and
    for a format newer than this program.
    """
    _check_sequence(files)
    for index, path in enumerate(files):
        history.begin(sitting_number(path) or index + 1)
        torn = yield from _sitting(path, files[:index], history, boot())
        # What a crash of this sitting leaves in doubt is decided by its own boot, before the next sitting's records.
        # Within one boot a torn record is all that is lost, and nothing was sent after it.
        history.close(lost_writes=not history.is_of_boot(boot()) and (torn or history.over is None))


def sitting_number(path: Path) -> int:
    """Which sitting of its run a file is of, from 1; 0 for a file of another name."""
    named = _NAME.fullmatch(path.name)
    return int(named[1]) if named else 0


def _check_sequence(files: Sequence[Path]) -> None:
    """Raises DamagedJournal where the file of a sitting is missing."""
    for index, path in enumerate(files):
        number = sitting_number(path)
        if number and (number != index + sitting_number(files[0]) or number > index + 1):
            raise DamagedJournal(path, "the file of the sitting before is missing")


def _sitting(path: Path, earlier: Sequence[Path], history: History, boot: str) -> Generator[pl.DataFrame, None, bool]:
    """Read one sitting; returns whether something of it was lost in a crash."""
    settled = Settled()
    damaged_at = -1
    under_way = False
    for line in read_lines(path):
        record = line.record
        if record is None:
            damaged_at = line.offset if damaged_at < 0 else damaged_at
            if (line.offset and not under_way) or not _is_of_a_crash(line, history.is_of_boot(boot)):
                raise DamagedJournal(path, f"damaged at byte {damaged_at}")
            continue
        if not under_way or record[0] not in OF_ROWS:
            _check(path, line, damaged_at, under_way, earlier)
            under_way = record[0] != "over"
        try:
            history.apply(record, settled)
        except KeyError as row:
            raise DamagedJournal(
                path, f"damaged before byte {line.offset}: row {row} was sent without a claim"
            ) from row
        if settled.height >= _PART:
            yield settled.frame()
    if settled.height:
        yield settled.frame()
    return damaged_at >= 0


def _is_of_a_crash(line: Line, same_boot: bool) -> bool:
    """Within one boot no write is lost, so the last one cut off is all that a killed process leaves."""
    return cut_off(line) or (not same_boot and lost_in_a_power_cut(line))


def _check(path: Path, line: Line, damaged_at: int, under_way: bool, earlier: Sequence[Path]) -> None:
    """Raises DamagedJournal for a sound record that cannot come after what was read before it."""
    kind, facts = (line.record or ["", None])[:2]
    if under_way == (line.offset == 0) or under_way == (kind == "sitting"):
        raise DamagedJournal(path, f"damaged at byte {line.offset if damaged_at < 0 else damaged_at}")
    if kind == "sitting":
        check_header(facts, path)
        _check_earlier(facts, path, earlier)
    elif 0 <= damaged_at < facts[0]:
        raise DamagedJournal(path, f"damaged at byte {damaged_at}")


def check_header(header: dict[str, Any], path: Path) -> None:
    """Raises LedgerError for a first record in a format newer than this program's."""
    made_as = header.get("format", 1)
    if made_as not in (1, FORMAT):
        raise LedgerError(
            f"{path}: written in format {made_as} of the journal, and this program knows {FORMAT}: "
            "go on with the program that wrote it"
        )


def _check_earlier(header: dict[str, Any], path: Path, earlier: Sequence[Path]) -> None:
    """Raises DamagedJournal where an earlier file is not as this sitting found it."""
    for file, size in zip(earlier, header.get("before", ()), strict=False):
        found = file.stat().st_size
        if found != size:
            raise DamagedJournal(file, f"{found} bytes, and {size} when {path.name} was begun: damaged at its end")
