"""``summary.json``: the books of a run and how it went, from its start to its end."""

from __future__ import annotations

import shlex
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from batchpost.expectation import EXPECTED, NOT_A_CONVERSION, Assessment
from batchpost.model import Outcome

__all__ = ["TO_SEND", "TROUBLE", "Books", "Entry", "exit_code", "next_command", "percentiles", "plain"]

TO_SEND = "to_send"  # beside the outcomes: rows that go out

TROUBLE = (Outcome.INVALID, Outcome.REJECTED, Outcome.FAILED)
_BY_PRIORITY = (130, 143, 70, 4, 69, 6, 3, 1, 0)


@dataclass(slots=True)
class Entry:
    """Rows of one outcome and reason, and their money by field."""

    rows: int = 0
    money: dict[str, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class Books:
    """Rows by outcome and by reason, and money by field and outcome: exact decimals. ``entries`` has both by outcome
    and reason."""

    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    money: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)

    def add(self, outcomes: pl.DataFrame) -> None:
        """Take in rows: columns ``outcome``, ``reason`` and any ``money_<field>``."""
        money = [name for name in outcomes.columns if name.startswith("money_")]
        fields = [name.removeprefix("money_") for name in money]
        for outcome, reason, rows, *sums in (
            outcomes.group_by("outcome", "reason").agg(pl.len().alias("rows"), pl.col(money).sum()).iter_rows()
        ):
            self.count(outcome, reason, rows, dict(zip(fields, sums, strict=True)))

    def count(self, outcome: str, reason: str, rows: int, money: Mapping[str, Decimal]) -> None:
        """Take in so many rows of one outcome and reason, with their money by field."""
        self.rows[outcome] += rows
        self.reasons[reason] += rows
        entry = self.entries.setdefault((outcome, reason), Entry())
        entry.rows += rows
        for name, total in money.items():
            totals = self.money.setdefault(name, {})
            totals[outcome] = totals.get(outcome, Decimal(0)) + total
            entry.money[name] = entry.money.get(name, Decimal(0)) + total

    @property
    def read(self) -> int:
        """Rows read: every one of them has exactly one outcome."""
        return sum(self.rows.values())

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """Rows by outcome and reason."""
        return {key: entry.rows for key, entry in self.entries.items()}

    @property
    def meant(self) -> dict[str, Decimal]:
        """The money of the rows meant to go out, which are all but the skipped ones, by field."""
        return {
            name: sum((total for outcome, total in totals.items() if outcome != Outcome.SKIPPED), Decimal(0))
            for name, totals in self.money.items()
        }

    def rows_part(self) -> dict[str, int]:
        """``summary.rows``: every outcome, also those of no row."""
        return {"read": self.read, **{outcome.value: self.rows[outcome.value] for outcome in Outcome}}

    def books_part(self) -> list[dict[str, Any]]:
        """``summary.books``: rows and money of every outcome and reason, in the order of the outcomes, most rows
        first."""
        order = {name: index for index, name in enumerate((TO_SEND, *(outcome.value for outcome in Outcome)))}
        ranked = sorted(self.entries.items(), key=lambda item: (order[item[0][0]], -item[1].rows, item[0][1]))
        return [
            {
                "outcome": outcome,
                "reason": reason,
                "rows": entry.rows,
                "money": {name: plain(total) for name, total in entry.money.items()},
            }
            for (outcome, reason), entry in ranked
            if entry.rows
        ]

    def money_part(self) -> dict[str, dict[str, str]]:
        """``summary.money``: exact decimals as text, the sum over all rows under ``read``."""
        return {
            name: {
                "read": plain(sum(totals.values(), Decimal(0))),
                **{outcome.value: plain(totals.get(outcome.value, Decimal(0))) for outcome in Outcome},
            }
            for name, totals in self.money.items()
        }


def plain(amount: Decimal) -> str:
    """A decimal with at least two places and no zeros behind them."""
    text = f"{amount:.9f}".rstrip("0")
    whole, _, places = text.partition(".")
    return f"{whole}.{places:0<2}"


def exit_code(books: Books, *stops: int, assessment: Assessment = EXPECTED) -> int:
    """The exit code of a run: of all that hold, the first in the contract's order. ``stops`` are those of its ends,
    ``assessment`` what came of its ``[expect]``."""
    held = {0, *stops}
    if books.rows[Outcome.UNKNOWN]:
        held.add(3)
    trouble = sum(books.rows[outcome] for outcome in TROUBLE) + books.reasons[NOT_A_CONVERSION]
    if trouble > assessment.rows or assessment.unmet:
        held.add(1)
    return next(code for code in _BY_PRIORITY if code in held)


def next_command(rows: Mapping[str, int], run_id: str, job: Path | str, results: Path, to_fix: int | None) -> str:
    """The command to type after a run that came to its end, by its rows of each outcome; empty where nothing is left
    to do. ``to_fix`` is how many rows its ``to_fix.csv`` has."""
    if rows.get(Outcome.FAILED):
        return f"batchpost retry {run_id}"
    if rows.get(Outcome.UNKNOWN):
        return f"batchpost resolve {run_id}"
    if to_fix:
        return shlex.join(["batchpost", "run", str(job), "--source", str(results / "to_fix.csv")])
    if rows.get(Outcome.INVALID) or rows.get(Outcome.REJECTED):
        return f"batchpost export {run_id} --only invalid,rejected"
    return ""


def percentiles(values: array[float]) -> dict[str, float]:
    """``summary.latency_ms``: p50, p95, p99 (nearest rank) and max, milliseconds; empty where nothing was sent.

    ``values`` are of type ``f``, an attempt each, in any order.
    """
    if not values:
        return {}
    ordered = pl.Series(pa.Array.from_buffers(pa.float32(), len(values), [None, pa.py_buffer(values)])).sort()
    shares = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    return {name: round(ordered[ceil(share * len(ordered)) - 1], 1) for name, share in shares}
