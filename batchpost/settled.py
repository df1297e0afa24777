"""Settled rows of a journal, collected into frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from batchpost.model import Settlement

__all__ = ["SETTLED", "Settled"]

SETTLED: dict[str, type[pl.DataType]] = {
    "row": pl.UInt32,
    "key": pl.Binary,
    "body_hash": pl.Binary,
    "stake": pl.Binary,
    "amount": pl.String,
    **{name: pl.UInt16 if name == "http_status" else pl.String for name in Settlement._fields},
    "settled_at": pl.Float64,
    "first_attempt_at": pl.Float64,
    "attempts": pl.UInt32,
    "latency_ms": pl.Float64,
    "may_be_applied": pl.Boolean,
    "sitting": pl.UInt32,
}
"""The columns of a frame of settled rows: the row, what was claimed of it, its settlement, and the evidence. Times are
Unix seconds; ``sitting`` (from 1) is that of its last attempt."""


class Settled:
    """Settled rows in the order given, until :meth:`frame` takes them."""

    def __init__(self) -> None:
        self._columns = [_Column() for _ in SETTLED]

    @property
    def height(self) -> int:
        """Rows collected."""
        return self._columns[0].height

    def add(
        self,
        rows: Sequence[int],
        claims: Iterable[Sequence[Any]],
        settlement: Sequence[Any],
        at: float,
        firsts: Any,
        attempts: Any,
        latencies: Any,
        applied: Any,
        sittings: Any,
    ) -> None:
        """Take in rows that were settled ``at`` one time. ``claims`` and ``settlement`` are columns in the order of
        :data:`SETTLED`; each column is a sequence with an item a row, or a bare item that holds for all."""
        values = (rows, *claims, *settlement, at, firsts, attempts, latencies, applied, sittings)
        height = len(rows)
        for column, value in zip(self._columns, values, strict=True):
            column.extend(value, height)

    def frame(self) -> pl.DataFrame:
        """The rows collected since the last call, in the order given; :data:`SETTLED` has its columns."""
        taken = zip(SETTLED.items(), self._columns, strict=True)
        frame = pl.DataFrame([column.series(name, dtype) for (name, dtype), column in taken])
        self._columns = [_Column() for _ in SETTLED]
        return frame


class _Column:
    """Values of one column; as long as they are all the same, only how many."""

    __slots__ = ("_same", "_values", "height")

    def __init__(self) -> None:
        self.height = 0
        self._same: Any = None
        self._values: list[Any] | None = None

    def extend(self, value: Any, height: int) -> None:
        """Take in one value for each of so many rows, or one that is the same for all."""
        bare = type(value) is not list and type(value) is not tuple
        if self._values is None:
            first = value if bare else value[0]
            if (self.height == 0 or first == self._same) and (bare or value.count(first) == height):
                self._same = first
                self.height += height
                return
            self._values = [self._same] * self.height
        self._values.extend([value] * height if bare else value)
        self.height += height

    def series(self, name: str, dtype: type[pl.DataType]) -> pl.Series:
        """All of them."""
        if self._values is None:
            return pl.Series(name, [self._same], dtype=dtype).new_from_index(0, self.height)
        return pl.Series(name, self._values, dtype=dtype)
