"""What can be told of rows whose ends cannot be read any more: their number by the books of their run, or how many of
them the ledger knows to be delivered; never which ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from batchpost.booksview import books_of
from batchpost.jobsources import STOOD, Reading
from batchpost.model import Outcome
from batchpost.rowends import RunEnds

__all__ = ["GONE", "tally_of_gone"]

GONE = "gone"
"""In place of an outcome and of a reason: how the row ended is not known any more."""


def tally_of_gone(
    runs: Sequence[RunEnds], readings: Mapping[int, Reading], delivered: Mapping[bytes, tuple[int, int]]
) -> pl.DataFrame:
    """The rows of these sources as :data:`batchpost.jobsources.STOOD`; ``delivered`` has, by content, the rows and how
    many of them are delivered."""
    entries: list[tuple[Any, ...]] = []
    for source, reading in readings.items():
        run = runs[reading.run]
        booked = _booked(run, reading) if not run.fault else None
        told = booked if booked is not None else _counted(run, reading, delivered)
        entries += [(source, run.number, *parts) for parts in told]
    return pl.DataFrame(entries, schema=STOOD, orient="row")


def _booked(run: RunEnds, reading: Reading) -> list[tuple[Any, ...]] | None:
    """By the run's books at its end, which say enough where it read one file; None elsewhere."""
    books = [entry for entry in books_of(run.summary) if entry["reason"] and entry["money"] is not None]
    if len(run.files) != 1 or sum(entry["rows"] for entry in books) != reading.rows:
        return None
    return [
        (
            entry["outcome"],
            entry["reason"],
            entry["rows"],
            entry["rows"] if entry["money"] else 0,
            _first(entry["money"]),
        )
        for entry in books
    ]


def _first(money: Mapping[str, str]) -> Decimal:
    """The row's amount is its first money field."""
    return next((Decimal(amount) for amount in money.values()), Decimal(0))


def _counted(run: RunEnds, reading: Reading, delivered: Mapping[bytes, tuple[int, int]]) -> list[tuple[Any, ...]]:
    content = run.record.contents[reading.file] if reading.file < len(run.record.contents) else b""
    rows, through = delivered.get(content, (reading.rows, 0))
    through = through if rows == reading.rows else 0
    parts = [(Outcome.DELIVERED.value, GONE, through), (GONE, GONE, reading.rows - through)]
    return [(outcome, reason, count, 0, Decimal(0)) for outcome, reason, count in parts if count]
