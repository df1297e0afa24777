"""The rows of a frame as a relation in an SQL statement, without a Python object for each value.

SQLite is handed a value at a time, and that is most of the time that a row takes. Here it is handed a column at a time:
all its values end to end, out of which the statement cuts those of each row. The relation is named ``given``, and its
columns as those of the frame.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import apsw
import polars as pl

__all__ = ["given"]

_ROWS = 20_000  # rows of a statement: SQLite keeps what one has changed in memory until it ends
_NUMBERS = array("q", range(_ROWS))


def given(frame: pl.DataFrame, statement: str) -> Iterator[tuple[str, list[Any]]]:
    """The statement for all rows of the frame, in order, in parts: each with its text and the values to bind.

    Columns are of integers, finite floats, booleans, text or bytes; any may have nulls.
    """
    for part in frame.iter_slices(_ROWS):
        values: list[Any] = [apsw.carray(_NUMBERS, stop=part.height)]
        columns = ", ".join(f"{_column(column, values)} AS {column.name}" for column in part)
        yield f"WITH given AS (SELECT {columns} FROM carray(?1)) {statement}", values  # noqa: S608 - our own names


def _column(column: pl.Series, values: list[Any]) -> str:
    """The expression for a row's value; what it takes is added to ``values``."""
    empty = column.null_count()
    if empty == len(column):
        return "NULL"
    if not empty:
        return _bound(column[0], values) if (column == column.head(1)).all() else _value(column, values)
    filled = column.is_not_null()
    there = _numbers(filled.cast(pl.UInt8), values)
    compact = column.fill_null(b"" if column.dtype == pl.Binary else "" if column.dtype == pl.String else 0)
    return f"CASE WHEN {there} THEN {_value(compact, values)} END"


def _value(column: pl.Series, values: list[Any]) -> str:
    if column.dtype == pl.Binary:
        return _cut(column, values)
    if column.dtype == pl.String:
        return f"CAST({_cut(column.cast(pl.Binary), values)} AS TEXT)"
    return _numbers(column.cast(pl.UInt8) if column.dtype == pl.Boolean else column, values)


def _numbers(column: pl.Series, values: list[Any]) -> str:
    """Numbers go as digits, all of one length."""
    digits = column.cast(pl.String)
    padded = digits.str.zfill(digits.str.len_bytes().max())  # type: ignore[arg-type]
    kind = "REAL" if column.dtype.is_float() else "INTEGER"
    return f"CAST({_cut(padded.cast(pl.Binary), values)} AS {kind})"


def _cut(column: pl.Series, values: list[Any]) -> str:
    sizes = column.bin.size().cast(pl.Int64)
    _, _, joined = column.to_arrow().buffers()
    whole = _bound(bytes(joined), values)
    longest: Any = sizes.max()
    if sizes.min() == longest:
        return f"substr({whole}, value * {longest} + 1, {longest})"
    return f"substr({whole}, {_numbers(sizes.cum_sum() - sizes + 1, values)}, {_numbers(sizes, values)})"


def _bound(value: Any, values: list[Any]) -> str:
    values.append(value)
    return f"?{len(values)}"
