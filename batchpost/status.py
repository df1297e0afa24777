"""Is it all in? From how the rows of a job's files stand to the answer: pure.

Rows meant to go out are those read less the skipped ones; in are those delivered, in this run or before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Literal, NamedTuple

from batchpost.expectation import NOT_A_CONVERSION, allowances
from batchpost.job import Expect
from batchpost.jobends import Stood
from batchpost.jobsources import Source
from batchpost.model import Outcome

__all__ = ["Answer", "FileStatus", "Kind", "Part", "Sum", "answered", "by_day", "left_by_reason"]

Kind = Literal["in", "left", "unknown", "skipped"]
_IN = (Outcome.DELIVERED.value, Outcome.ALREADY_DELIVERED.value)


class Part(NamedTuple):
    """Rows of a file with the same end, which the run of this number has last. ``amount`` is their money, as far as it
    is known: that of ``priced`` rows."""

    outcome: str
    reason: str
    run: int
    kind: Kind
    rows: int
    priced: int
    amount: Decimal
    tolerated: bool = False

    @property
    def out(self) -> bool:
        """Whether they are not in and not tolerated, those without a known end included."""
        return self.kind in ("left", "unknown") and not self.tolerated


@dataclass(frozen=True, slots=True)
class Sum:
    """Rows and their money, by what became of them. ``left`` did not get through, ``tolerated`` neither, within what
    ``[expect] reasons`` allows; ``unknown`` have no known end."""

    rows: Mapping[str, int]
    money: Mapping[str, Decimal]

    @classmethod
    def of(cls, parts: Iterable[Part]) -> Sum:
        """The sum of these."""
        rows, money = dict.fromkeys(_GROUPS, 0), dict.fromkeys(_GROUPS, Decimal(0))
        for part in parts:
            group = "tolerated" if part.tolerated else part.kind
            rows[group] += part.rows
            money[group] += part.amount
        return cls(rows, money)

    @property
    def read(self) -> int:
        """All rows."""
        return sum(self.rows.values())

    @property
    def meant(self) -> int:
        """Rows meant to go out."""
        return self.read - self.rows["skipped"]

    @property
    def out(self) -> int:
        """Rows that are not in and not tolerated, those without a known end included."""
        return self.rows["left"] + self.rows["unknown"]

    @property
    def money_meant(self) -> Decimal:
        """The money of :attr:`meant`."""
        return sum(self.money.values(), Decimal(0)) - self.money["skipped"]

    @property
    def money_out(self) -> Decimal:
        """The money of :attr:`out`."""
        return self.money["left"] + self.money["unknown"]


_GROUPS = ("in", "left", "unknown", "tolerated", "skipped")


@dataclass(frozen=True, slots=True)
class FileStatus:
    """A file of the job: its name, SHA-256, the local ``day`` and the moment (Unix seconds) on which it was first read,
    and its rows by their ends."""

    name: str
    sha256: str
    day: date
    first_read: float
    parts: tuple[Part, ...]

    @property
    def sum(self) -> Sum:
        """Its rows and money."""
        return Sum.of(self.parts)


@dataclass(frozen=True, slots=True)
class Answer:
    """``files`` in the order first read; ``unread`` are numbers of runs that read files of which nothing else is
    known."""

    files: tuple[FileStatus, ...] = ()
    unread: tuple[int, ...] = ()

    @property
    def parts(self) -> list[Part]:
        """The ends of all files."""
        return [part for file in self.files for part in file.parts]

    @property
    def sum(self) -> Sum:
        """Rows and money of all files."""
        return Sum.of(self.parts)

    @property
    def exit_code(self) -> int:
        """0: all is in, or tolerated; 1: something is not, or nothing was read; 3: something has no known end."""
        if self.sum.rows["unknown"]:
            return 3
        return 1 if self.sum.out or self.unread or not self.files else 0


def answered(
    stood: Stood,
    expect: Expect,
    day_of: Callable[[float], date],
    wanted: Callable[[Source], bool] = lambda _: True,
) -> Answer:
    """The answer for the wanted files. ``day_of`` gives the local day of a moment."""
    found: dict[int, list[Part]] = {}
    for source, run, outcome, reason, rows, priced, amount in stood.tally.sort("outcome", "reason", "run").iter_rows():
        kind = _kind(outcome, reason, expect)
        found.setdefault(source, []).append(Part(outcome, reason, run, kind, rows, priced, Decimal(amount)))
    files, unread = [], set[int]()
    for source in filter(wanted, stood.files.sources):
        if source.readings or source.number in found:
            parts = tolerant(found.get(source.number, ()), expect)
            files.append(FileStatus(source.name, source.sha256, day_of(source.first_read), source.first_read, parts))
        elif not source.mends:
            unread.add(source.first_run)
    return Answer(tuple(files), tuple(sorted(unread)))


def tolerant(parts: Sequence[Part], expect: Expect) -> tuple[Part, ...]:
    """The parts of one file, with those marked that ``[expect] reasons`` tolerates: a reason that more rows have than
    it allows is not tolerated at all."""
    allowed = allowances(expect, Sum.of(parts).meant)
    counts: dict[str, int] = {}
    for part in parts:
        if part.kind == "left":
            counts[part.reason] = counts.get(part.reason, 0) + part.rows
    within = {reason for reason, count in counts.items() if count <= allowed.get(reason, 0)}
    return tuple(part._replace(tolerated=part.kind == "left" and part.reason in within) for part in parts)


def _kind(outcome: str, reason: str, expect: Expect) -> Kind:
    if outcome in _IN:
        return "left" if reason == NOT_A_CONVERSION and expect.conversion is not False else "in"
    if outcome == Outcome.SKIPPED:
        return "skipped"
    return "unknown" if outcome == Outcome.UNKNOWN else "left"


def by_day(files: Sequence[FileStatus]) -> list[tuple[date, list[FileStatus]]]:
    """The files of each day, the newest day at the end."""
    ordered = sorted(files, key=lambda file: file.day)
    return [(day, list(group)) for day, group in groupby(ordered, key=lambda file: file.day)]


def left_by_reason(parts: Iterable[Part], *, tolerated: bool = False) -> list[tuple[str, str, list[Part]]]:
    """The rows that are not in by outcome and reason, most rows first: those that are tolerated, or all others."""
    found: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        if part.tolerated if tolerated else part.out:
            found.setdefault((part.outcome, part.reason), []).append(part)
    ranked = sorted(found.items(), key=lambda entry: (-sum(part.rows for part in entry[1]), entry[0]))
    return [(*ended, parts) for ended, parts in ranked]
