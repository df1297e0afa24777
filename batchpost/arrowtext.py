"""Arrow columns → text, exactly: what each type of a Parquet file looks like as a cell."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pyarrow as pa

__all__ = ["as_text", "unsupported"]

TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
PLAIN = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_null,
)


def unsupported(kind: pa.DataType) -> str:
    """Why columns of this type cannot become text; empty where they can."""
    if isinstance(kind, pa.UuidType):
        return ""
    if isinstance(kind, pa.BaseExtensionType):
        return unsupported(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return unsupported(kind.value_type)
    return "" if _is(kind, *TEXTS, *BYTES, *PLAIN) else f"its type is {kind}, which is no single value"


def as_text(column: pa.Array) -> pl.Series:
    """The column as ``pl.String``, nulls kept.

    Integers and decimals with every digit (a decimal with its scale), floats as the shortest text that reads back the
    same (``85.0``), booleans ``true`` and ``false``, dates ``YYYY-MM-DD``, timestamps ``YYYY-MM-DD HH:MM:SS[.ffffff]``,
    zoned ones as the same instant in UTC with ``+00:00``, bytes as the UTF-8 that they are. Raises pa.ArrowInvalid for
    text or bytes that are not UTF-8, ValueError for a value out of range.
    """
    kind = column.type
    if isinstance(kind, pa.UuidType):
        text = _uuids(column.storage)
    elif isinstance(kind, pa.BaseExtensionType):
        return as_text(column.storage)
    elif pa.types.is_dictionary(kind):
        return as_text(column.dictionary_decode())
    else:
        text = next((write for test, write in WRITERS if test(kind)), _polars)(column)
    if text.null_count() != column.null_count:  # a cast that fails yields null in some versions
        raise ValueError(f"a value of type {kind} is out of range")
    return text


def _is(kind: pa.DataType, *tests: Callable[[pa.DataType], bool]) -> bool:
    return any(test(kind) for test in tests)


def _series(column: pa.Array) -> pl.Series:
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)  # noqa: S101 - an array is no table
    return series


def _polars(column: pa.Array) -> pl.Series:
    return _series(column).cast(pl.String)


def _utf8(column: pa.Array) -> pl.Series:
    return _series(column.cast(pa.large_binary()).cast(pa.large_string()))


def _fixed(column: pa.Array) -> pl.Series:
    return _utf8(column.cast(pa.binary()))


def _decimals(column: pa.Array) -> pl.Series:
    if column.type.bit_width <= 128 and column.type.scale >= 0:
        return _polars(column)
    # beyond what polars can hold; arrow's own text would use exponents
    return pl.Series([None if value is None else format(value, "f") for value in column.to_pylist()], dtype=pl.String)


def _timestamps(column: pa.Array) -> pl.Series:
    if column.type.tz:
        in_utc = _series(column.cast(pa.timestamp(column.type.unit, "UTC")))
        return in_utc.dt.to_string("%Y-%m-%d %H:%M:%S%.f%:z")
    return _series(column).dt.to_string("%Y-%m-%d %H:%M:%S%.f")


def _times(column: pa.Array) -> pl.Series:
    return _series(column).dt.to_string("%H:%M:%S%.f")


def _dates(column: pa.Array) -> pl.Series:
    return _series(column.cast(pa.date32())).cast(pl.String)


def _uuids(storage: pa.Array) -> pl.Series:
    digits = _series(storage.cast(pa.binary())).bin.encode("hex")
    return digits.str.replace(r"^(.{8})(.{4})(.{4})(.{4})(.{12})$", "$1-$2-$3-$4-$5")


WRITERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pl.Series]], ...] = (
    (lambda kind: _is(kind, *TEXTS), _utf8),
    (pa.types.is_fixed_size_binary, _fixed),
    (lambda kind: _is(kind, *BYTES), _utf8),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_timestamp, _timestamps),
    (pa.types.is_time, _times),
    (pa.types.is_date, _dates),
)
