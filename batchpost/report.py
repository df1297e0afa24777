"""What ``report.html`` says of a run: pure data, from its summary, its outcomes and its job.

Every key of the summary may be missing: a run may have died early, or be one of an older version.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from batchpost.booksview import books_of
from batchpost.layout import counted, moment, span
from batchpost.model import Outcome
from batchpost.noteworthy import NotedRow, Noteworthy
from batchpost.reasons import UNTROUBLED, meaning
from batchpost.reportverdict import Standing, Verdict, standing_of, verdict_of
from batchpost.saidtotals import said_totals
from batchpost.summary import plain

__all__ = ["Book", "Line", "Report", "Told", "Total", "Trouble", "report_of"]

Summary = Mapping[str, Any]

_GOES_ON = "batchpost run goes on from there"
_ENDINGS = {
    0: "every row is delivered, was delivered before, was skipped on purpose, or is tolerated by the job",
    1: "finished, but some rows are invalid, rejected, failed, or not what was expected",
    3: "finished, but some rows are unknown: they may have arrived, and a person must find out",
    4: f"stopped, and a person must act; then {_GOES_ON}",
    6: f"stopped where it was told to; {_GOES_ON}",
    69: f"the platform is not available; later {_GOES_ON}, and nobody needs to act",
    70: "an error of batchpost itself: report it",
    130: f"stopped by SIGINT; requests in flight were finished and recorded, and {_GOES_ON}",
    143: f"stopped by SIGTERM; requests in flight were finished and recorded, and {_GOES_ON}",
}
_WITHOUT_END = {"crashed": "the run died", "abandoned": "the run was given up", "died": "the run died early"}


@dataclass(frozen=True, slots=True)
class Line:
    """Rows of one reason, with their money by field (None where it is not known) and what the reason means."""

    name: str
    rows: int
    money: tuple[str | None, ...] = ()
    meaning: str = ""
    is_trouble: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """Rows of one outcome, and its reasons."""

    outcome: str
    rows: int
    money: tuple[str | None, ...]
    reasons: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Total:
    """A buyer's own total beside what it comes nearest to, by field; ``place`` is the line, or the row where there are
    no lines. ``more`` is by how much it says more (less: negative). Both it and ``ours`` are None where nothing is
    known of that."""

    source: str
    place: str
    field: str
    theirs: str
    beside: str
    ours: str | None
    more: Decimal | None

    @property
    def agrees(self) -> bool:
        """Whether both are the same amount."""
        return self.more == 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kind of trouble: what it means, how many rows it took, and the first of them."""

    outcome: str
    reason: str
    rows: int
    meaning: str
    first: tuple[NotedRow, ...]

    @property
    def detail(self) -> str:
        """What is told of every one of the rows shown; empty where that is not the same, or nothing."""
        details = {row.detail or "" for row in self.first}
        return details.pop() if len(details) == 1 else ""


@dataclass(frozen=True, slots=True)
class Told:
    """A command to type, and what for."""

    command: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that the page says. ``noted`` is None where there are no outcomes to read, and then ``missing`` says why;
    ``job_text`` is empty where it is not known as what the run was made."""

    summary: Summary
    verdict: Verdict
    standing: Standing
    ended: str
    fields: tuple[str, ...]
    books: tuple[Book, ...]
    totals: tuple[Total, ...]
    statuses: tuple[Line, ...]
    troubles: tuple[Trouble, ...]
    commands: tuple[Told, ...]
    noted: Noteworthy | None
    missing: str = ""
    job_text: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def timeline(self) -> Summary:
        """The summary's ``timeline``; empty where nothing was sent, or it is not whole."""
        found = self.summary.get("timeline") or {}
        lists = [found.get(name) for name in ("requests", "p50", "p95", "p99")]
        whole = found.get("step") and "began" in found and all(lists) and len({len(each or ()) for each in lists}) == 1
        return found if whole else {}

    @property
    def several_files(self) -> bool:
        """Whether rows must say which file they are of."""
        return len(self.summary.get("source") or ()) != 1


def report_of(
    summary: Summary, noted: Noteworthy | None, *, missing: str = "", job_text: str = "", notes: Sequence[str] = ()
) -> Report:
    """What to say of a run. ``noted`` and ``missing`` are of its outcomes, ``job_text`` is its job as TOML, ``notes``
    what became known since it ended, a sentence each."""
    standing = standing_of(summary, conversions_only=_conversions_only(job_text))
    books = tuple(_books(summary))
    return Report(
        summary=summary,
        verdict=verdict_of(summary, standing),
        standing=standing,
        ended=" ".join(_ended(summary)),
        fields=tuple(summary.get("money") or {}),
        books=books,
        totals=tuple(_totals(summary)),
        statuses=tuple(_statuses(summary)),
        troubles=tuple(_troubles(books, noted)),
        commands=tuple(_commands(summary, books)),
        noted=noted,
        missing=missing,
        job_text=job_text,
        notes=(*notes, *_outstanding(summary)),
    )


def _conversions_only(job_text: str) -> bool:
    """Whether an event that is no conversion is not in."""
    expect = tomllib.loads(job_text).get("expect", {})
    return not isinstance(expect, dict) or expect.get("conversion") is not False


def _ended(summary: Summary) -> Iterator[str]:
    """How the run ended, in sentences."""
    state, code = summary.get("state") or "died", summary.get("exit_code")
    begun = f"Begun {moment(summary['started_at'])}; " if summary.get("started_at") else ""
    took = f" after {span(summary['duration_s'])}" if summary.get("duration_s") else ""
    if message := summary.get("message"):
        yield f"{message}."
    if state == "running":
        yield f"{begun}this is how it stands{took}."
    elif summary.get("finished_at"):
        yield f"{state.capitalize()} {moment(summary['finished_at'])}{took}."
    else:
        yield f"{begun}{_WITHOUT_END.get(state, f'it is {state}')}."
    if code in _ENDINGS:
        yield f"Exit code {code}: {_ENDINGS[code]}."


# -- books and totals ------------------------------------------------------------------------------------------------


def _books(summary: Summary) -> Iterator[Book]:
    """The reasons of an outcome only where they make up its rows, which those of an old summary need not."""
    rows, money = summary.get("rows") or {}, summary.get("money") or {}
    reasons: dict[str, list[Line]] = {}
    for entry in books_of(summary):
        if entry["reason"]:
            reasons.setdefault(entry["outcome"], []).append(_line(entry, tuple(money)))
    for outcome in Outcome:
        if count := rows.get(outcome.value, 0):
            sums = tuple(totals.get(outcome.value) for totals in money.values())
            lines = reasons.get(outcome.value, [])
            whole = sum(line.rows for line in lines) == count
            yield Book(outcome.value, count, sums, tuple(lines) if whole else ())


def _line(entry: Mapping[str, Any], fields: Sequence[str]) -> Line:
    reason, told = entry["reason"], entry["money"]
    money = tuple(None if told is None else told.get(name, "0.00") for name in fields)
    is_trouble = reason not in UNTROUBLED and entry["outcome"] != Outcome.NOT_ATTEMPTED
    return Line(reason, entry["rows"], money, meaning(reason), is_trouble)


def _totals(summary: Summary) -> Iterator[Total]:
    sources, fields = summary.get("source") or (), list(summary.get("money") or {})
    for said in said_totals(books_of(summary), sources, fields):
        for name, theirs in said.says.items():
            more = said.more.get(name)
            ours = None if more is None else plain(theirs - more)
            yield Total(said.path, said.place, name, plain(theirs), said.beside, ours, more)


# -- replies, troubles, commands -------------------------------------------------------------------------------------


def _statuses(summary: Summary) -> Iterator[Line]:
    for code, count in (summary.get("http") or {}).items():
        known = code.isdigit() and int(code) in set(HTTPStatus)
        yield Line(code, count, meaning=HTTPStatus(int(code)).phrase if known else "")


def _troubles(books: Sequence[Book], noted: Noteworthy | None) -> Iterator[Trouble]:
    for book in books:
        for line in book.reasons:
            if line.is_trouble:
                first = noted.first.get((book.outcome, line.name), []) if noted else []
                yield Trouble(book.outcome, line.name, line.rows, line.meaning, tuple(first))


def _commands(summary: Summary, books: Sequence[Book]) -> Iterator[Told]:
    run_id, job_file = summary["run_id"], summary.get("job_file")
    if command := summary.get("next"):
        yield Told(command, "what to do now")
    if job_file:
        yield Told(shlex.join(["batchpost", "status", job_file]), "is it all in, over all runs of this job")
    yield Told(f"batchpost show {run_id}", "this run in the terminal, as it stands today")
    left = [book.outcome for book in books if any(line.is_trouble for line in book.reasons)]
    if left:
        yield Told(
            f"batchpost export {run_id} --only {','.join(left)} -o rows.csv", "all rows with a trouble, as a table"
        )
    if any(book.outcome == Outcome.UNKNOWN for book in books):
        yield Told(f"batchpost resolve {run_id}", "the rows that may have arrived, and how to say what became of them")
    if books and summary.get("state") != "running":
        yield Told(f"batchpost verify {run_id}", "adds up the files of this run once more")


def _outstanding(summary: Summary) -> Iterator[str]:
    for run_id, rows in (summary.get("outstanding") or {}).items():
        yield f"When this run was made, {counted(rows, 'row')} of {run_id} had no known end"
