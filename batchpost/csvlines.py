"""Columns of cells as the lines of a CSV file (RFC 4180, UTF-8), guarded against spreadsheets.

Of the columns of a batch of outcomes two thirds say the same in every row. Such a cell is made once; the others are put
together with it a line at a time, in polars. A column is guarded or quoted only if it has a cell that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import polars as pl

__all__ = ["Guard", "csv_lines"]

Guard = Callable[[pl.Series], pl.Series]
"""Puts an apostrophe before the cells that need one, as those of :mod:`batchpost.guards`."""

_SPECIAL = '[",\r\n]'


def csv_lines(columns: Sequence[tuple[pl.Series, Guard | None]]) -> bytes | memoryview:
    """The lines of columns of one length, each with its guard; what is empty or null stays bare."""
    height = columns[0][0].len()
    if height == 0:
        return b""
    # A row of one bare empty cell is a blank line, which readers leave out: there it has quotes.
    cells = [_cells(column, guard, '""' if len(columns) == 1 else "") for column, guard in columns]
    parts = [cells[0], *(part for cell in cells[1:] for part in (",", cell)), "\n"]
    lines = pl.select(pl.concat_str(*_joined(parts))).to_series()
    return _bytes(lines if lines.len() == height else lines.new_from_index(0, height))


def _joined(parts: Sequence[str | pl.Series]) -> Iterator[pl.Expr]:
    """The parts of a line, with those that are the same in all lines put together."""
    for is_same, run in groupby(parts, lambda part: isinstance(part, str)):
        if is_same:
            yield pl.lit("".join(str(part) for part in run))
        else:
            yield from map(pl.lit, run)


def _cells(column: pl.Series, guard: Guard | None, empty: str) -> str | pl.Series:
    """A column's cells as they stand in the file, or the one cell that they all are."""
    if column.null_count() == column.len():
        return empty
    if not column.has_nulls() and (column == column[0]).all():
        return _cell(column[0], column.dtype, guard) or empty
    text = _text(column, guard).fill_null("")
    return text.replace("", empty) if empty else text


@lru_cache(1024)
def _cell(value: Any, dtype: pl.DataType, guard: Guard | None) -> str:
    return str(_text(pl.Series([value], dtype=dtype), guard).item())


def _text(column: pl.Series, guard: Guard | None) -> pl.Series:
    """Cells as text, guarded and quoted where they need it."""
    text = column.cast(pl.String)
    if column.dtype.is_numeric() and not (column < 0).any():
        return text
    if guard is not None:
        text = guard(text)
    if (special := text.str.contains(_SPECIAL)).any():
        quoted = '"' + text.str.replace_all('"', '""', literal=True) + '"'
        text = quoted.zip_with(special, text)
    return text


def _bytes(lines: pl.Series) -> memoryview:
    """The text of all lines, one after the other, as it is in memory."""
    array = lines.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, ends, text = array.buffers()
    return memoryview(text)[: memoryview(ends).cast("q")[len(lines)]]
