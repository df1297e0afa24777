"""Reading a run's journal back: what was claimed, what may have been sent, what was settled, and whether to trust it.

A torn tail is the trace of a crash; anything else that cannot be read stops with a LedgerError. What is lost without a
trace is told in ``docs/guarantees.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from batchpost.errors import LedgerError
from batchpost.journal import FORMAT, boot_id
from batchpost.model import Outcome, Settlement
from batchpost.records import OF_A_ROW, Claim, Line, cut_off, lost_in_a_power_cut, read_lines

__all__ = ["Claim", "DamagedJournal", "Ended", "History", "Open", "check_header", "replay", "sitting_number"]


_OUTCOMES = {outcome.value: outcome for outcome in Outcome}  # a quarter of the time of Outcome(value)
_NAME = re.compile(r"sitting-(\d+)\.log")


class DamagedJournal(LedgerError):
    """A journal that says what no crash leaves behind: a disk, a copy or an editor has changed it. Its text names the
    file, the byte and the way out; a run's folder bears its id."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        super().__init__(
            f"{path}: {what}; what it recorded there is lost. `batchpost abandon {path.parent.name}` gives the run up: "
            "it books what can be read, and whatever else may have been sent is in doubt from then on"
        )


class Ended(NamedTuple):
    """A settled row: its claim, its end and the evidence. Times are Unix seconds; ``sitting`` (from 1) is that of its
    last attempt."""

    number: int
    claim: Claim
    settlement: Settlement
    at: float
    first_attempt_at: float
    attempts: int
    latency_ms: float
    may_be_applied: bool
    sitting: int = 1


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
    code of the last sitting if it ended in order, ``starts`` the requests of all sittings.
    """

    header: dict[str, Any] = field(default_factory=dict)
    open: dict[int, Open] = field(default_factory=dict)
    sittings: int = 0
    over: tuple[str, int] | None = None
    starts: int = 0
    sitting: int = 1

    def begin(self, sitting: int) -> None:
        """The file of this sitting begins; which boot it is of, its first record will say."""
        self.sitting = sitting
        self.over = None
        self.header = {**self.header, "boot_id": ""}

    def apply(self, record: list[Any]) -> Ended | None:
        """Take in the next record; returns the row that it ends. Raises KeyError for a row without a claim."""
        kind = record[0]
        if kind == "claim":
            for number, claim in record[2]:
                self.open.setdefault(number, Open(claim)).claimed = self.sitting
        elif kind == "sitting":
            self.header = {**record[1], **self.header, "boot_id": record[1]["boot_id"]}
            self.sittings += 1
        elif kind == "over":
            self.over = (record[3], record[4])
        else:
            return self._apply_to_row(record, self.open[record[1]])
        return None

    def close(self, *, lost_writes: bool) -> None:
        """The sitting is over. A row started and without an end is in doubt; where records may be lost, every one is
        that the sitting claimed: the claim is on disk before anything is lost of it."""
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

    def _apply_to_row(self, record: list[Any], row: Open) -> Ended | None:
        kind, number, at = record[:3]
        if kind == "start":
            row.started = True
            row.sitting = self.sitting
            row.attempts += 1
            self.starts += 1
            row.first_attempt_at = row.first_attempt_at or at
        elif kind == "again":
            row.attempted(may_be_applied=record[4], redirected=record[3] == "redirect")
        else:
            settlement = Settlement(_OUTCOMES[record[3]], *record[4:11])
            del self.open[number]
            latency, may_be_applied = record[11:13]
            evidence = (row.first_attempt_at, row.attempts, latency, may_be_applied, row.sitting)
            return Ended(number, row.claim, settlement, at, *evidence)
        return None


def replay(files: Sequence[Path], history: History, *, boot: Callable[[], str] = boot_id) -> Iterator[Ended]:
    """Read all sittings of a run in order and yield every settled row, in the order settled.

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


def _sitting(path: Path, earlier: Sequence[Path], history: History, boot: str) -> Generator[Ended, None, bool]:
    """Read one sitting; returns whether something of it was lost in a crash."""
    damaged_at = -1
    under_way = False
    for line in read_lines(path):
        record = line.record
        if record is None:
            damaged_at = line.offset if damaged_at < 0 else damaged_at
            if (line.offset and not under_way) or not _is_of_a_crash(line, history.is_of_boot(boot)):
                raise DamagedJournal(path, f"damaged at byte {damaged_at}")
            continue
        if not under_way or record[0] not in OF_A_ROW:
            _check(path, line, damaged_at, under_way, earlier)
            under_way = record[0] != "over"
        try:
            ended = history.apply(record)
        except KeyError as row:
            raise DamagedJournal(
                path, f"damaged before byte {line.offset}: row {row} was sent without a claim"
            ) from row
        if ended:
            yield ended
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
    made_as = header.get("format", FORMAT)
    if made_as != FORMAT:
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
