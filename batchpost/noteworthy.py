"""What a report shows of single rows: the first of each kind of trouble, the slowest, and how many attempts rows took.

One pass over a run's outcomes in flat memory, however many they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from batchpost.model import Outcome
from batchpost.reasons import UNTROUBLED

__all__ = ["FIRST", "SLOWEST", "NotedRow", "Noteworthy", "note", "read_noteworthy"]

FIRST = 3  # rows shown of each kind of trouble
SLOWEST = 10
_CHUNK = 100_000


class NotedRow(NamedTuple):
    """A row to show, as ``outcomes`` has it; ``line`` is None for Parquet, ``latency_ms`` for a row that was not
    sent."""

    source: str | None
    row: int | None
    line: int | None
    transaction_id: str | None
    outcome: str
    reason: str
    detail: str | None
    http_status: int | None
    attempts: int | None
    latency_ms: float | None


@dataclass(slots=True)
class Noteworthy:
    """Rows by the attempts they took (those that were sent), the slowest rows, and by outcome and reason the first
    rows of what somebody should look at."""

    attempts: Counter[int] = field(default_factory=Counter)
    slowest: list[NotedRow] = field(default_factory=list)
    first: dict[tuple[str, str], list[NotedRow]] = field(default_factory=dict)


def read_noteworthy(outcomes: pl.LazyFrame) -> Noteworthy:
    """Look through outcomes as :func:`batchpost.export.outcomes_frame` gives them. Raises polars' errors where somebody
    has changed the file."""
    found = Noteworthy()
    for batch in _batches(outcomes.select(NotedRow._fields)):
        note(batch, found)
    return found


def note(batch: pl.DataFrame, found: Noteworthy) -> None:
    """Take in the next rows, with the columns of :class:`NotedRow`."""
    sent = batch.filter(pl.col("attempts") > 0)
    for attempts, rows in sent.group_by("attempts").len().iter_rows():
        found.attempts[attempts] += rows
    _note_slowest(sent, found)
    _note_first(batch, found.first)


def _batches(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    yield from frame.collect_batches(chunk_size=_CHUNK, maintain_order=True, lazy=True, engine="streaming")


def _note_slowest(sent: pl.DataFrame, found: Noteworthy) -> None:
    """Of equally slow rows the earlier ones."""
    full = len(found.slowest) == SLOWEST
    least = (found.slowest[-1].latency_ms or 0.0) if full else -1.0
    slow = sent.filter(pl.col("latency_ms") > least).sort("latency_ms", descending=True, maintain_order=True)
    rows = [*found.slowest, *map(NotedRow._make, slow.head(SLOWEST).iter_rows())]
    found.slowest = sorted(rows, key=lambda row: -(row.latency_ms or 0.0))[:SLOWEST]


def _note_first(batch: pl.DataFrame, first: dict[tuple[str, str], list[NotedRow]]) -> None:
    # Rows that were not attempted are no trouble of theirs: the books say how many there are, and why.
    troubled = batch.filter(
        ~pl.col("reason").is_in(list(UNTROUBLED)) & (pl.col("outcome") != Outcome.NOT_ATTEMPTED.value)
    )
    some = troubled.group_by("outcome", "reason", maintain_order=True).head(FIRST).select(NotedRow._fields)
    for row in map(NotedRow._make, some.iter_rows()):
        rows = first.setdefault((row.outcome, row.reason), [])
        if len(rows) < FIRST:
            rows.append(row)
