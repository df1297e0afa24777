"""Do a run's own files agree with each other? Everything is added up again; the platform is not asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from batchpost.export import outcomes_frame
from batchpost.guards import unguard_formula
from batchpost.model import Outcome
from batchpost.results import NO_MEND
from batchpost.rowbytes import mark
from batchpost.summary import Books, plain

__all__ = ["differences"]

_KNOWN = [outcome.value for outcome in Outcome]
_LINK = ("source", "row", "line", "outcome", "reason", "detail")
_MENDABLE = pl.col("outcome").is_in(["invalid", "rejected"]) & ~pl.col("reason").is_in(NO_MEND)
_CONFLICT = pl.col("reason") == "conflict"
_CHUNK = 50_000  # rows looked at a time


@dataclass
class _Outcomes:
    """What is found in a run's outcomes: of all rows their books and the numbers of each source's rows, a byte each
    that is not 0 where the row is there; whole are only those rows that other files have as well."""

    books: Books = field(default_factory=Books)
    nameless: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    there: dict[str, bytearray] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)
    parts: list[pl.DataFrame] = field(default_factory=list)

    def add(self, outcomes: pl.DataFrame) -> None:
        """Take in the next rows."""
        self.nameless += outcomes["reason"].null_count()
        named = outcomes.select(pl.col("outcome", "reason").fill_null(""), pl.col("amount").alias("money_amount"))
        self.books.add(named)
        for (source,), rows in outcomes.select("source", "row").group_by("source"):
            self._number(str(source), rows["row"])
        also = outcomes.filter(_MENDABLE | _CONFLICT)
        self.parts.append(pl.DataFrame(also.to_arrow(compat_level=pl.CompatLevel.oldest())))  # without the others' text

    def _number(self, source: str, rows: pl.Series) -> None:
        self.counted[source] += len(rows)
        there = self.there.get(source, bytearray())
        if not rows.is_between(1, len(there)).all():
            self.strangers.add(source)
            rows = rows.filter(rows.is_between(1, len(there)))
        mark(there, rows - 1, 1)


def differences(results: Path, summary: Mapping[str, Any]) -> list[str]:
    """What does not agree in a run's results folder, a sentence each; empty where the books agree.

    Raises UsageError where there are no outcomes.
    """
    sources = {source["path"]: source["rows"] for source in summary.get("source", ())}
    outcomes = _Outcomes(there={path: bytearray(rows) for path, rows in sources.items()})
    frame = outcomes_frame(results)
    try:
        columns = frame.select(
            *_LINK, "transaction_id", "event_id", pl.col("amount").cast(pl.Decimal(38, 9)).alias("amount")
        )
        for batch in columns.collect_batches(chunk_size=_CHUNK, maintain_order=True, lazy=True, engine="streaming"):
            outcomes.add(batch)
    except pl.exceptions.PolarsError as error:  # its text may have cells of the file
        return [f"outcomes: the file cannot be read as it was written ({type(error).__name__})"]
    found = [*_rows(outcomes, sources), *_totals(outcomes.books, summary), *_sums(summary)]
    also = pl.concat(outcomes.parts) if outcomes.parts else columns.clear().collect()
    return [
        *found,
        *_to_fix(results, also.filter(_MENDABLE), summary),
        *_corrections(results, also.filter(_CONFLICT), summary),
    ]


def _rows(outcomes: _Outcomes, sources: Mapping[str, int]) -> Iterator[str]:
    """Every row of every file is there once, with one known outcome."""
    unknown = sum(rows for outcome, rows in outcomes.books.rows.items() if outcome not in _KNOWN)
    if unknown:
        yield f"outcomes: {unknown:,} rows have no known outcome"
    if outcomes.nameless:
        yield f"outcomes: {outcomes.nameless:,} rows have no reason"
    for path, rows in sources.items():
        counted = outcomes.counted.pop(path, 0)
        if counted != rows:
            yield f"outcomes: {path} has {rows:,} rows, of which {counted:,} are there"
        elif path in outcomes.strangers or 0 in outcomes.there[path]:
            yield f"outcomes: the row numbers of {path} are not 1 to {rows:,}, each once"
    for path in outcomes.counted:
        yield f"outcomes: rows of {path}, which the summary does not name"


def _totals(books: Books, summary: Mapping[str, Any]) -> Iterator[str]:
    """Counts, reasons and the money of ``amount`` are those of the summary."""
    yield from _unequal("rows", books.rows_part(), summary.get("rows", {}))
    yield from _unequal("reasons", dict(books.reasons), summary.get("reasons", {}))
    for name, totals in list(summary.get("money", {}).items())[:1]:  # the first money field is the row's amount
        yield from _unequal(f"money {name}", books.money_part()["amount"], totals)


def _unequal(what: str, counted: Mapping[str, Any], stated: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*counted, *stated}):
        if counted.get(name, 0) != stated.get(name, 0):
            yield f"{what}: {name} is {counted.get(name, 0)} in outcomes, {stated.get(name, 0)} in the summary"


def _sums(summary: Mapping[str, Any]) -> Iterator[str]:
    """In the summary itself, all outcomes together are what was read."""
    rows = summary.get("rows", {})
    if sum(rows.get(outcome, 0) for outcome in _KNOWN) != rows.get("read"):
        yield "summary: the outcomes do not add up to the rows read"
    for name, totals in summary.get("money", {}).items():
        total = sum((Decimal(totals.get(outcome, "0")) for outcome in _KNOWN), Decimal(0))
        if plain(total) != totals.get("read"):
            yield f"summary: {name} does not add up to what was read"


def _to_fix(results: Path, mendable: pl.DataFrame, summary: Mapping[str, Any]) -> Iterator[str]:
    """``to_fix.csv`` has the rows that a mend can help, with the outcome that they have in the outcomes."""
    stated = summary.get("to_fix")
    if stated is None:  # the input had changed, so that it could not be written
        return
    expected = mendable.select(pl.col(_LINK).cast(pl.String).fill_null(""))
    there = _csv(results / "to_fix.csv", ["batchpost_run", *(f"batchpost_{name}" for name in _LINK)])
    if not there.height == stated == expected.height:
        rows = f"{there.height:,} rows, {stated:,} in the summary, {expected.height:,} to mend in outcomes"
        yield f"to_fix.csv: {rows}"
        return
    # A row that mends another one keeps that one's place; its outcome is this run's.
    own = there.filter(pl.col("batchpost_run") != summary["run_id"]).is_empty()
    columns = _LINK if own else _LINK[3:]
    found = there.select(pl.col(f"batchpost_{name}").alias(name) for name in columns)
    if not found.equals(expected.select(columns)):
        yield "to_fix.csv: its rows are not those of the outcomes"


def _corrections(results: Path, conflicts: pl.DataFrame, summary: Mapping[str, Any]) -> Iterator[str]:
    """``corrections.csv`` has an entry for every conflict, with the amount that the row has now."""
    stated = summary.get("corrections", 0)
    there = _csv(results / "corrections.csv", ["transaction_id", "event_id", "now"])
    if not there.height == stated == conflicts.height:
        rows = f"{there.height:,} rows, {stated:,} in the summary, {conflicts.height:,} conflicts in outcomes"
        yield f"corrections.csv: {rows}"
        return
    amount = pl.col("now").replace("", None).cast(pl.Decimal(38, 9), strict=False)
    now = there.select("transaction_id", "event_id", amount.alias("amount"))
    expected = conflicts.select(pl.col("transaction_id", "event_id").fill_null(""), "amount")
    if not now.sort(pl.all()).equals(expected.sort(pl.all())):
        yield "corrections.csv: its entries are not the conflicts of the outcomes"


def _csv(path: Path, columns: list[str]) -> pl.DataFrame:
    """These columns of a CSV that we wrote, as text without the formula guard; no rows where it cannot be read."""
    try:
        frame = pl.read_csv(path, infer_schema=False, empty_string_is_null=False, columns=columns, glob=False)
    except (OSError, pl.exceptions.PolarsError):
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return frame.select(unguard_formula(pl.col(columns)).fill_null(""))
