"""What must hold when a job that was killed many times has ended: its books are the sandbox's record, row by row."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from batchpost.resolutions import Resolutions
from batchpost.sandbox import Received
from batchpost.sandbox_faults import FaultKind
from tests.crash.kinds import CONCURRENCY, RATE
from tests.crash.story import Story

__all__ = ["Books", "broken_promises", "doubled", "in_doubt", "lost", "peak", "read_books"]

_TOLD = 3  # examples of one kind of broken promise
_WITHOUT_A_WORD = {FaultKind.DROP, FaultKind.RESET, FaultKind.HALF, FaultKind.ERROR, FaultKind.GARBAGE}
_STOPPED = {FaultKind.UNAVAILABLE}


@dataclass(frozen=True)
class Row:
    """A row's end as ``outcomes.csv`` has it, and the requests for it as the sandbox has them."""

    number: int
    lead: str
    outcome: str
    reason: str
    attempts: int
    conversion_id: str
    amount: str
    received: list[Received] = field(default_factory=list)

    @property
    def end(self) -> str:
        return f"row {self.number} ({self.lead}) is {self.outcome}: {self.reason}"

    @property
    def effects(self) -> list[Received]:
        """The requests for it that had an effect."""
        return [entry for entry in self.received if entry.effect]

    @property
    def through(self) -> bool:
        return self.outcome == "delivered" or self.reason == "confirmed_duplicate"


@dataclass(frozen=True)
class Books:
    """A story's end: the summary, the rows, and the requests that were for none of them."""

    summary: dict[str, Any]
    rows: list[Row]
    strangers: int

    def counted(self) -> Counter[str]:
        """Rows by outcome and reason."""
        return Counter(f"{row.outcome}: {row.reason}" for row in self.rows)


def read_books(story: Story) -> Books:
    """The results of the job's only run beside the sandbox's record."""
    workspace = story.load.workspace
    folder, *_ = sorted((workspace.folder / "results" / "job").iterdir())
    summary = json.loads((folder / "summary.json").read_text())
    columns = ("row", "transaction_id", "outcome", "reason", "attempts", "conversion_id", "amount")
    rows = [
        Row(int(number), lead, outcome, reason, int(attempts), *rest)
        for number, lead, outcome, reason, attempts, *rest in workspace.outcomes(summary).select(columns).iter_rows()
    ]
    by_mark = dict(zip(story.load.marks, rows, strict=False))
    strangers = 0
    for entry in story.received:
        row = by_mark.get(story.load.mark_of(entry))
        if row is None:
            strangers += 1
        else:
            row.received.append(entry)
    return Books(summary, rows, strangers)


def broken_promises(story: Story, books: Books) -> list[str]:
    """A sentence for each promise that was broken, with a few examples; empty where all were kept."""
    found = list(story.complaints)
    for promise in (_ends, _one_run, _rows, _effects, _kinds_own, _evidence, _bounds, _rate, _money):
        told = list(promise(story, books))
        found += told[:_TOLD]
        if len(told) > _TOLD:
            found.append(f"… and {len(told) - _TOLD} more of this kind")
    return found


def lost(books: Books) -> int:
    """Rows that are told delivered and had no effect, or had none without anybody being told."""
    return sum(not row.effects and (row.through or row.outcome == "not_attempted") for row in books.rows)


def peak(story: Story) -> int:
    """The most requests that arrived within a second."""
    arrived = [entry.at for entry in story.received]
    return max((bisect_left(arrived, at + 1) - number for number, at in enumerate(arrived)), default=0)


def doubled(story: Story, books: Books) -> int:
    """Events that had more than one effect."""
    return sum(len(row.effects) > 1 for row in books.rows) if story.load.kind != "update" else 0


def in_doubt(books: Books) -> int:
    """Rows of events that a kill left without a known end: unknown, or confirmed only by the platform."""
    confirmed = sum(row.reason == "confirmed_duplicate" and not _dubious(row) for row in books.rows)
    return confirmed + sum(row.reason == "in_doubt" for row in books.rows)


def _ends(story: Story, books: Books) -> Iterator[str]:
    """Every program was killed or went to its end, and none of them met a bug."""
    for number, sat in enumerate(story.sat, start=1):
        if "Traceback" in sat.said or "internal error" in sat.said:
            yield f"sitting {number} ({sat.aim}) said: {sat.said[-500:]}"
    last, rows = story.sat[-1], books.summary["rows"]
    due = 3 if rows["unknown"] else 1 if rows["rejected"] + rows["failed"] + rows["invalid"] else 0
    if last.code not in (due, None) or books.summary["exit_code"] != due:
        yield f"the last sitting ended in {last.code}, its summary says {books.summary['exit_code']}, and {due} is due"
    if books.summary["state"] != "finished" or rows["not_attempted"]:
        yield f"the run is {books.summary['state']} with {rows['not_attempted']} rows not attempted: {last.said[-500:]}"


def _one_run(story: Story, books: Books) -> Iterator[str]:
    """All sittings are one run, whose doubts are in the ledger."""
    with story.load.workspace.ledger() as ledger:
        runs = ledger.runs()
        doubts = {run: len(rows) for run, rows in Resolutions(ledger).outstanding().items()}
    if [(run.run_id, run.state) for run in runs] != [(books.summary["run_id"], "finished")]:
        yield f"the register has {[(run.run_id, run.state) for run in runs]}"
    unknown = books.summary["rows"]["unknown"]
    if doubts != ({books.summary["run_id"]: unknown} if unknown else {}):
        yield f"the ledger has the doubts {doubts}, the books {unknown} unknown rows"


def _rows(story: Story, books: Books) -> Iterator[str]:
    """Every row of the input is there once, in file order, and nothing else was sent."""
    given = list(enumerate(story.load.leads, start=1))
    if [(row.number, row.lead) for row in books.rows] != given:
        yield f"outcomes.csv does not have the {len(given):,} rows of the input, each once, in file order"
    if books.strangers:
        yield f"{books.strangers} requests were for no row of the input"
    if sum(books.counted().values()) != books.summary["rows"]["read"]:
        yield f"{books.summary['rows']['read']} rows were read, and {len(books.rows)} have an outcome"


def _effects(story: Story, books: Books) -> Iterator[str]:
    """Delivered means that it was done, unknown that it may have been, anything else that it was not; and no event
    is done twice."""
    for row in books.rows:
        done = len(row.effects)
        if row.through and not done:
            yield f"{row.end}, and nothing was done"
        if not row.through and row.outcome != "unknown" and done:
            yield f"{row.end}, and it was done"
        if done > 1 and story.load.kind != "update":
            yield f"{row.end}, and it was done {done} times"


def _kinds_own(story: Story, books: Books) -> Iterator[str]:
    """What a kind of job promises beyond that."""
    own: dict[str, Callable[[Story, Books], Iterator[str]]] = {
        "dedupe": _all_through,
        "no-dedupe": _sent_once,
        "update": _in_file_order,
    }
    yield from own[story.load.kind](story, books)


def _all_through(story: Story, books: Books) -> Iterator[str]:
    for row in books.rows:
        if not row.through:
            yield f"{row.end}, and every row of this kind can be brought through"


def _sent_once(story: Story, books: Books) -> Iterator[str]:
    """Only what was refused without a doubt goes out again; a row without a known end has a reason for it."""
    for row in books.rows:
        dubious = [entry for entry in row.received if entry.fault not in (FaultKind.LIMIT, FaultKind.LOCK)]
        if len(dubious) > 1:
            yield f"{row.end}, and went out {len(dubious)} times though it may have been done the first time"
        if row.outcome == "unknown" and row.reason != "in_doubt":
            if not {entry.fault for entry in row.received} & (_WITHOUT_A_WORD | _STOPPED):
                yield f"{row.end}, and every request for it was answered in full"
        elif not row.through and row.outcome != "unknown" and row.reason != "locked_elsewhere":
            yield f"{row.end}: there is no reason for that"


def _in_file_order(story: Story, books: Books) -> Iterator[str]:
    """Updates of a lead arrive in file order, each as often as it had to be sent, and none after the next one."""
    yield from _all_through(story, books)
    order = {mark: number for number, mark in enumerate(story.load.marks)}
    for what, entries in (("arrived", story.received), ("was done", story.effects)):
        last: dict[str, int] = {}
        for entry in entries:
            number, lead = order.get(story.load.mark_of(entry), -1), entry.transaction_id
            if number < last.get(lead, -1):
                yield f"{lead}: the update of row {number + 1} {what} after that of row {last[lead] + 1}"
            last[lead] = number


def _evidence(story: Story, books: Books) -> Iterator[str]:
    """No request without its record, and the platform's own ids with the rows."""
    for row in books.rows:
        if len(row.received) > row.attempts:
            yield f"{row.end} after {row.attempts} attempts, and {len(row.received)} arrived"
        if row.conversion_id and [entry.conversion_id for entry in row.effects] != [row.conversion_id]:
            yield f"{row.end} with a conversion id that is not the platform's"
        if row.outcome == "delivered" and story.load.kind != "update" and not row.conversion_id:
            yield f"{row.end} without the platform's conversion id"
    sent, arrived = books.summary["requests"]["sent"], len(story.received)
    if not 0 <= sent - arrived <= CONCURRENCY * story.counted:
        yield f"the books have {sent:,} requests, the sandbox has {arrived:,}"


def _bounds(story: Story, books: Books) -> Iterator[str]:
    """A kill leaves at most ``concurrency`` rows in doubt."""
    hit = story.kills["sending"] + story.kills["waiting"]
    if in_doubt(books) > CONCURRENCY * hit:
        yield f"{in_doubt(books)} rows were in doubt after {hit} kills while sending"


def _rate(story: Story, books: Books) -> Iterator[str]:
    """No more than ``rate`` requests start within a second, also over a kill. To arrive, some may take longer than
    others, but never more than are in flight, in the dead process and in the next one."""
    if peak(story) > RATE + 2 * CONCURRENCY:
        yield f"{peak(story)} requests arrived within a second, and the rate is {RATE}"


def _dubious(row: Row) -> bool:
    """Whether a fault of the sandbox alone accounts for a second request."""
    return any(entry.fault in _WITHOUT_A_WORD for entry in row.effects)


def _money(story: Story, books: Books) -> Iterator[str]:
    """The money of the books is that of the input, and what is told delivered is what the sandbox was sent."""
    if not story.load.money:
        return
    for row, money in zip(books.rows, story.load.money, strict=False):
        if Decimal(row.amount or 0) != money:
            yield f"{row.end} with {row.amount}, and the input has {money}"
        for entry in row.effects:
            fired = json.loads(entry.raw, parse_float=Decimal)["revenue"]
            if Decimal(fired) != money:
                yield f"{row.end}: {fired} was sent, and the input has {money}"
    through = sum((money for row, money in zip(books.rows, story.load.money, strict=False) if row.through), Decimal(0))
    told = books.summary["money"]["revenue"]
    if Decimal(told["delivered"]) + Decimal(told["already_delivered"]) != through:
        yield f"the summary has {told} delivered, the rows that got through have {through}"
