"""``summary.json``: the books of a run and how it went, from its start to its end."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil
from pathlib import Path

import polars as pl
import pyarrow as pa

from batchpost.model import Outcome

__all__ = ["Books", "exit_code", "next_command", "percentiles", "plain"]

_TROUBLE = (Outcome.INVALID, Outcome.REJECTED, Outcome.FAILED)
_BY_PRIORITY = (130, 143, 70, 4, 69, 6, 3, 1, 0)


@dataclass(slots=True)
class Books:
    """Rows by outcome and by reason, and money by field and outcome: exact decimals."""

    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    money: dict[str, dict[str, Decimal]] = field(default_factory=dict)

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
        for name, total in money.items():
            totals = self.money.setdefault(name, {})
            totals[outcome] = totals.get(outcome, Decimal(0)) + total

    @property
    def read(self) -> int:
        """Rows read: every one of them has exactly one outcome."""
        return sum(self.rows.values())

    def rows_part(self) -> dict[str, int]:
        """``summary.rows``: every outcome, also those of no row."""
        return {"read": self.read, **{outcome.value: self.rows[outcome.value] for outcome in Outcome}}

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


def exit_code(books: Books, *stops: int) -> int:
    """The exit code of a run: of all that hold, the first in the contract's order. ``stops`` are those of its ends."""
    held = {0, *stops}
    if books.rows[Outcome.UNKNOWN]:
        held.add(3)
    if any(books.rows[outcome] for outcome in _TROUBLE) or books.reasons["not_a_conversion"]:
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
        return f"batchpost run {job} --source {results / 'to_fix.csv'}"
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
