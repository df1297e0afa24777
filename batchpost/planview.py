"""What ``plan`` prints: files, counts with their reasons, money, sample requests, and how long it will take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from batchpost.batch import Decision
from batchpost.compare import waiting_rows
from batchpost.layout import aligned, amount_text, span
from batchpost.masking import Sample
from batchpost.model import Outcome
from batchpost.preview import TO_SEND, Preview
from batchpost.reasons import meaning
from batchpost.resolutions import Resolutions
from batchpost.summary import Books, exit_code, plain

__all__ = ["FileView", "PlanView", "decision_lines", "plan_json", "plan_text", "view_of"]

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
    the first rows that were taken for totals."""

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
        """0: everything can go; 1: some rows cannot; 3: some wait for a person to settle them."""
        return exit_code(self.books)


def view_of(preview: Preview, limit: float = math.inf) -> PlanView:
    """What to print of a preview."""
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
    )


def plan_text(view: PlanView) -> str:
    """The plan for a person."""
    test = "  (a test: the platform is this machine)" if view.test else ""
    parts = [
        [f"{view.job}: {view.route} to {view.origin}{test}", *_files(view)],
        _books(view.books),
        [*_reasons(view), *_totals(view)],
        [*_runs(view), *_sending(view)],
        _samples(view),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


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
        (file.path, f"{file.rows:,} rows", f"{file.bytes:,} bytes", f"sha256 {file.sha256[:12]}") for file in view.files
    ]
    found = decision_lines((file.path, file.decisions) for file in view.files)
    return [*aligned(rows, right=(1, 2), indent="  "), *found]


def _books(books: Books) -> list[str]:
    money = list(books.money)
    total = {name: sum(books.money[name].values(), Decimal(0)) for name in money}
    rows = [["", "rows", *money], ["read", f"{books.read:,}", *(amount_text(plain(total[name])) for name in money)]]
    for outcome in _ORDER:
        if books.rows[outcome]:
            amounts = [amount_text(plain(books.money[name].get(outcome, Decimal(0)))) for name in money]
            rows.append([outcome.replace("_", " "), f"{books.rows[outcome]:,}", *amounts])
    return aligned(rows, right=range(1, 2 + len(money)))


def _reasons(view: PlanView) -> list[str]:
    rows = [
        (f"{count:,}", outcome.replace("_", " "), reason, meaning(reason)) for outcome, reason, count in view.reasons
    ]
    return aligned(rows, right=(0,))


def _totals(view: PlanView) -> Iterator[str]:
    for name, row, line in view.totals:
        place = f"line {line:,}" if line else f"row {row:,}"
        yield f'{name}, {place}: taken for a row of totals ([rows] totals = "reject" would not)'


def _runs(view: PlanView) -> Iterator[str]:
    if view.under_way is not None:
        pid = view.under_way.get("pid")
        yield f"This job is running right now{f' (process {pid})' if pid else ''}; the counts are of this moment."
    elif view.continues:
        yield f"The next run goes on with {view.continues}, which settled {view.settled:,} rows before it ended."
    for run_id in view.abandons:
        yield f"The unfinished run {run_id} was of another input or another job file: the next run gives it up."
    if view.in_doubt:
        yield f"{view.in_doubt:,} rows may have arrived before; sending them again is harmless."
    for run_id, count in view.waits.items():
        yield f"{count:,} wait until somebody says what became of them in an earlier run: batchpost resolve {run_id}"


def _sending(view: PlanView) -> Iterator[str]:
    if not view.to_send:
        yield "Nothing is left to send."
        return
    limited = f" (of {view.books.rows[TO_SEND]:,}: --limit)" if view.to_send < view.books.rows[TO_SEND] else ""
    yield f"{view.to_send:,} requests{limited} at {view.rate:g} a second take {span(view.seconds)} at least."
    yield "Nothing was sent."


def _samples(view: PlanView) -> list[str]:
    if not view.samples:
        return []
    return [f"The first {len(view.samples)}, with personal data masked:", *map(str, view.samples)]
