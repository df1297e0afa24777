"""What ``plan`` prints: files, sample requests, how long it will take, the table of books, and what to type next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchpost.batch import Decision
from batchpost.booksview import books_lines
from batchpost.closing import next_lines
from batchpost.compare import waiting_rows
from batchpost.expectation import Assessment
from batchpost.firstrun import MANY, is_first
from batchpost.lastruns import PastRun, compared
from batchpost.layout import aligned, counted, repeated, span
from batchpost.masking import Sample
from batchpost.model import Outcome
from batchpost.output import Line, wrapped
from batchpost.planbooks import read_of_files, source_part
from batchpost.prepare import Prepared
from batchpost.preview import TO_SEND, Preview
from batchpost.resolutions import Resolutions
from batchpost.summary import Books, exit_code, plain

__all__ = ["FileView", "PlanView", "decision_lines", "plan_json", "plan_lines", "view_of"]

_REFUSED = 5
_ORDER = (TO_SEND, *(outcome.value for outcome in Outcome))


@dataclass(frozen=True, slots=True)
class FileView:
    """A file of the input; ``decisions`` say how it is written, and how that was found out."""

    path: str
    rows: int
    bytes: int
    sha256: str
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanView:
    """All that is printed. ``reasons`` are (outcome, reason, rows); ``limit`` is math.inf without one; ``in_doubt``
    rows go out again although an attempt of them may have arrived, which is harmless for them; ``waits`` are the runs
    that left operations of this input without a known end, each with how many; ``totals`` the file, row and line of
    the first rows that were taken for totals, ``sources`` what files say of themselves, as in ``summary.source``;
    ``unmet`` what of ``[expect]`` does not hold, ``tolerated`` rows by reason that it lets pass; ``before`` the job's
    last runs, newest first; ``first``: it is the first run of a job that updates many leads;
    ``run`` is the command that sends what was planned."""

    job: str
    route: str
    origin: str
    test: bool
    files: list[FileView]
    books: Books
    reasons: list[tuple[str, str, int]]
    rate: float
    samples: list[Sample]
    limit: float = math.inf
    in_doubt: int = 0
    continues: str = ""
    settled: int = 0
    abandons: list[str] = field(default_factory=list)
    under_way: dict[str, Any] | None = None
    waits: dict[str, int] = field(default_factory=dict)
    totals: list[tuple[str, int, int | None]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    tolerated: Mapping[str, int] = field(default_factory=dict)
    before: Sequence[PastRun] = ()
    first: bool = False
    run: str = ""

    @property
    def to_send(self) -> int:
        """Rows that the next run sends."""
        return int(min(self.books.rows[TO_SEND], self.limit))

    @property
    def seconds(self) -> float:
        """How long sending takes at the job's rate, if the platform keeps up."""
        return self.to_send / self.rate

    @property
    def exit_code(self) -> int:
        """0: everything can go; 1: some rows cannot; 3: some wait for a person to settle them; 5: the input is not as
        expected."""
        return _REFUSED if self.unmet else exit_code(self.books, assessment=Assessment(self.tolerated))

    @property
    def meant(self) -> int:
        """Rows meant to go out: all but the skipped ones."""
        return self.books.read - self.books.rows[Outcome.SKIPPED]

    @property
    def next(self) -> str:
        """The command to type next; empty where there is nothing to do, or the job must be changed first."""
        if self.under_way is not None:
            return f"batchpost show {shlex.quote(self.job)}"
        if self.unmet:
            return ""
        if not self.to_send and self.waits:
            return f"batchpost resolve {next(iter(self.waits))}"
        return self.run if self.to_send or self.books.rows[Outcome.INVALID] else ""


def view_of(
    preview: Preview, limit: float = math.inf, *, sources: Sequence[str] = (), again: Sequence[str] = ()
) -> PlanView:
    """What to print of a preview. ``sources`` and ``again`` are what ``run`` must be told as ``plan`` was (see
    :func:`batchpost.layout.repeated`)."""
    prepared = preview.prepared
    job, plan = prepared.job, prepared.plan
    return PlanView(
        job=job.name,
        route=job.route,
        origin=job.api.origin,
        test=prepared.at.test,
        files=[
            FileView(file.path, file.rows, file.bytes, file.sha256, reader.decisions)
            for file, reader in zip(plan.files, prepared.readers, strict=True)
        ],
        books=preview.books,
        reasons=sorted(
            ((str(outcome), reason, count) for (outcome, reason), count in preview.counts.items() if reason),
            key=lambda entry: (_ORDER.index(entry[0]), -entry[2], entry[1]),
        ),
        rate=job.delivery.rate,
        samples=preview.samples,
        limit=limit,
        in_doubt=len(plan.in_doubt),
        continues=prepared.run.run_id if prepared.continued else "",
        settled=prepared.settled_before,
        abandons=[record.run_id for record in prepared.abandoned],
        under_way=preview.under_way,
        totals=preview.totals,
        waits=Resolutions(prepared.ledger).raised_by({key for _, key, _ in waiting_rows(plan, job)}),
        sources=_said_by_files(prepared),
        unmet=preview.unmet,
        tolerated=preview.tolerated,
        before=preview.before,
        first=is_first(prepared),
        run=repeated(shlex.join(["batchpost", "run", str(job.path)]), again, sources=sources),
    )


def _said_by_files(prepared: Prepared) -> list[dict[str, Any]]:
    """What files say that they come to, beside what was read of them."""
    said = any(total.money for total in prepared.plan.totals)
    return source_part(prepared.plan, read_of_files(prepared)) if said else []


def plan_lines(view: PlanView, *, width: int = 0, here: Path = Path()) -> list[Line]:
    """The plan for a person at a terminal of ``width`` columns (0: for a file); ``here`` shortens the next command."""
    test = "  (a test: the platform is this machine)" if view.test else ""
    parts = [
        [Line(f"{view.job}: {view.route} to {view.origin}{test}", "strong"), *map(Line, _files(view))],
        [Line(text) for sample in _samples(view) for text in sample.splitlines()],
        _noted([*_totals(view), *_runs(view), *compared(view.meant, view.books.meant, view.before)], width),
        [*books_lines(view.books.books_part(), view.sources, width=width), *_unmet(view, width)],
        _noted([*_sending(view)], width),
        next_lines(view.next, here) if view.next else [],
    ]
    lines = [line for part in parts if part for line in (Line(""), *part)]
    return lines[1:]


def _noted(texts: Iterable[str], width: int) -> list[Line]:
    return [line for text in texts for line in wrapped(Line(text), width, indent="  ")]


def plan_json(view: PlanView) -> dict[str, Any]:
    """The plan for a program."""
    books = view.books
    return {
        "job": view.job,
        "route": view.route,
        "origin": view.origin,
        "test": view.test,
        "exit_code": view.exit_code,
        "source": [
            {**asdict(file), "decisions": [asdict(decision) for decision in file.decisions]} for file in view.files
        ],
        "rows": {"read": books.read, TO_SEND: books.rows[TO_SEND], **_rows_part(books)},
        "reasons": [{"outcome": outcome, "reason": reason, "rows": count} for outcome, reason, count in view.reasons],
        "books": books.books_part(),
        "money": {
            name: {"read": plain(sum(totals.values(), Decimal(0))), **{key: plain(totals[key]) for key in totals}}
            for name, totals in books.money.items()
        },
        "send": {"rows": view.to_send, "rate": view.rate, "seconds": round(view.seconds, 1)},
        "in_doubt": view.in_doubt,
        "continues": view.continues or None,
        "abandons": view.abandons,
        "under_way": view.under_way is not None,
        "waits": view.waits,
        "expected": view.unmet,
        "tolerated": sum(view.tolerated.values()),
        "before": [
            {**run._asdict(), "money": {name: plain(total) for name, total in run.money.items()}} for run in view.before
        ],
        "next": view.next or None,
        "totals": [{"path": path, "row": row, "line": line} for path, row, line in view.totals],
        "samples": [sample.as_dict() for sample in view.samples],
    }


def _rows_part(books: Books) -> dict[str, int]:
    return {outcome.value: books.rows[outcome.value] for outcome in Outcome}


def decision_lines(files: Iterable[tuple[str, tuple[Decision, ...]]], indent: str = "    ") -> Iterator[str]:
    """What was found out about files, each by its name, with the evidence; files that are alike are told once."""
    told: dict[tuple[Decision, ...], list[str]] = {}
    for name, decisions in files:
        told.setdefault(decisions, []).append(name)
    for decisions, names in told.items():
        if len(told) > 1:
            more = f" and {len(names) - 1} more like it" if len(names) > 1 else ""
            yield f"{indent}{names[0]}{more}:"
        yield from aligned([(decision.said, decision.evidence) for decision in decisions], indent=indent)


def _files(view: PlanView) -> list[str]:
    rows = [
        (file.path, counted(file.rows, "row"), counted(file.bytes, "byte"), f"sha256 {file.sha256[:12]}")
        for file in view.files
    ]
    found = decision_lines((file.path, file.decisions) for file in view.files)
    return [*aligned(rows, right=(1, 2), indent="  "), *found]


def _totals(view: PlanView) -> Iterator[str]:
    for name, row, line in view.totals:
        place = f"line {line:,}" if line else f"row {row:,}"
        yield f'{name}, {place}: taken for a row of totals ([rows] totals = "reject" would not)'


def _runs(view: PlanView) -> Iterator[str]:
    if view.under_way is not None:
        pid = view.under_way.get("pid")
        yield f"This job is running right now{f' (process {pid})' if pid else ''}; the counts are of this moment."
    elif view.continues:
        settled = counted(view.settled, "row")
        yield f"The next run goes on with {view.continues}, which settled {settled} before it ended."
    for run_id in view.abandons:
        yield f"The unfinished run {run_id} was of another input or another job file: the next run gives it up."
    if view.in_doubt:
        yield f"{counted(view.in_doubt, 'row')} may have arrived before; sending again is harmless."
    for run_id, count in view.waits.items():
        yield f"{count:,} wait until somebody says what became of them in an earlier run: batchpost resolve {run_id}"


def _sending(view: PlanView) -> Iterator[str]:
    if not view.to_send:
        yield "Nothing is left to send."
        return
    limited = f" (of {view.books.rows[TO_SEND]:,}: --limit)" if view.to_send < view.books.rows[TO_SEND] else ""
    least = " at least" if view.seconds >= 1 else ""
    take = "takes" if view.to_send == 1 else "take"
    yield f"{counted(view.to_send, 'request')}{limited} at {view.rate:g} a second {take} {span(view.seconds)}{least}."
    if view.first:
        yield (
            f"It is the first run of this job, and updates more than {MANY:,} leads: it asks before it sends; where "
            "nobody can be asked, it needs --yes."
        )
    yield "Nothing was sent."


def _unmet(view: PlanView, width: int) -> list[Line]:
    """What of ``[expect]`` does not hold, for which a run would refuse the input."""
    told = [Line(f"! Not as expected: {sentence}", "trouble") for sentence in view.unmet]
    if told:
        told.append(Line("A run would refuse this input (exit code 5) and send nothing."))
    return [line for long in told for line in wrapped(long, width, indent="  ")]


def _samples(view: PlanView) -> list[str]:
    if not view.samples:
        return []
    return [f"The first {len(view.samples)}, with personal data masked:", *map(str, view.samples)]
