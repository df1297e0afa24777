"""A byte or a bit for every row of an input, for all rows at once: between bytes and columns."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa

__all__ = ["bitmap", "bits", "byte_column", "bytes_of", "mark"]


def byte_column(content: bytes) -> pl.Series:
    """A byte a row as a column, UInt8."""
    return _column(pa.uint8(), len(content), content)


def bytes_of(column: pl.Series) -> bytes:
    """The other way: a column of UInt8 without nulls."""
    array = column.to_arrow()
    return bytes(array.buffers()[1] or b"")[array.offset : array.offset + len(column)]


def mark(content: bytearray, rows: pl.Series, value: int) -> None:
    """Set the bytes of these rows, whose numbers count from 0."""
    if rows.is_empty():
        return
    first: Any = rows.min()
    last: Any = rows.max()
    here = byte_column(bytes(memoryview(content)[first : last + 1]))
    content[first : last + 1] = bytes_of(here.scatter(rows - first, value))


def bitmap(flags: bytes | bytearray) -> bytes:
    """A byte a row (0 or 1) as a bit a row, least significant first; at least one byte behind the last whole one."""
    column = byte_column(bytes(flags)).cast(pl.Boolean)
    size = len(flags) // 8 + 1
    return bytes(column.to_arrow().buffers()[1] or b"").ljust(size, b"\0")[:size]


def bits(content: bytes, rows: int) -> pl.Series:
    """The bits of a bitmap as a column of booleans of so many rows; false beyond its end."""
    return _column(pa.bool_(), rows, content.ljust(rows // 8 + 1, b"\0"))


def _column(kind: pa.DataType, rows: int, content: bytes) -> pl.Series:
    return pl.Series(pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(content)]))
