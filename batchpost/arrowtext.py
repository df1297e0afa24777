"""Arrow columns → text, exactly: what each type of a Parquet file looks like as a cell."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["BYTES", "as_text", "is_any", "unsupported"]

Test = Callable[[pa.DataType], bool]

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
SHOWN = 60  # characters of a type's name; that of a nested one has no end
COUNTED = {
    "halffloat": 2**11,
    "float": 2**24,
    "double": 2**53,
}  # below it a float tells each whole number from the next
SMALLEST = Decimal("0.000000001")  # what is smaller keeps its exponent, as no field takes more decimals


def unsupported(kind: pa.DataType) -> str:
    """Why columns of this type cannot become text; empty where they can."""
    if isinstance(kind, pa.UuidType):
        return ""
    if isinstance(kind, pa.BaseExtensionType):
        return unsupported(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return unsupported(kind.value_type)
    if is_any(kind, *TEXTS, *BYTES, *PLAIN):
        return ""
    name = str(kind)
    shown = name if len(name) <= SHOWN else f"{name[:SHOWN]}…"
    return f"its type is {shown}, which {'is no single value' if pa.types.is_nested(kind) else 'has no text'}"


def is_any(kind: pa.DataType, *tests: Test) -> bool:
    """Whether one of ``pyarrow.types``' questions holds of a type."""
    return any(test(kind) for test in tests)


def as_text(column: pa.Array) -> pa.Array:
    """The column as ``pa.large_string()``, nulls kept.

    Integers and decimals with every digit (a decimal with its scale); booleans ``true`` and ``false``; dates
    ``YYYY-MM-DD``, timestamps ``YYYY-MM-DD HH:MM:SS[.ffffff]``, zoned ones as the same instant in UTC with ``+00:00``;
    bytes as the UTF-8 that they are. Floats as the shortest text that reads back the same, whole ones without a
    decimal point (an id that some program made a float, ``12345.0``, is ``12345`` again), and those so large that
    their type cannot tell neighbours apart with an exponent, as which no id passes. Raises pa.ArrowInvalid for text
    or bytes that are not UTF-8 or have a NUL, ValueError for a value out of range.
    """
    kind = column.type
    if isinstance(kind, pa.UuidType):
        text = _uuids(column.storage)
    elif isinstance(kind, pa.BaseExtensionType):
        return as_text(column.storage)
    elif pa.types.is_dictionary(kind):
        return as_text(column.dictionary_decode())
    elif pa.types.is_run_end_encoded(kind):
        return as_text(pc.run_end_decode(column))
    else:
        text = next(write for test, write in WRITERS if test(kind))(column)
    if text.null_count != column.null_count:  # a cast that fails yields null in some versions
        raise ValueError(f"a value of type {kind} is out of range")
    return text


def _plainly(column: pa.Array) -> pa.Array:
    return column.cast(pa.large_string())


def _utf8(column: pa.Array) -> pa.Array:
    return column.cast(pa.large_binary()).cast(pa.large_string())


def _bytes(column: pa.Array) -> pa.Array:
    text = _utf8(column.cast(pa.binary()) if pa.types.is_fixed_size_binary(column.type) else column)
    if pc.any(pc.match_substring(text, "\0")).as_py():
        raise pa.ArrowInvalid("a NUL in what should be text")
    return text


# From here on by polars, which takes longer to import than many files to read: only where a column needs it.


def _series(column: pa.Array) -> Any:
    import polars as pl

    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)  # noqa: S101 - an array is no table
    return series


def _arrow(series: Any) -> pa.Array:
    import polars as pl

    return series.cast(pl.String).to_arrow().cast(pa.large_string())


def _floats(column: pa.Array) -> pa.Array:
    import polars as pl

    counted = COUNTED[str(column.type)]
    frame = pl.DataFrame({"number": _series(column)}).with_columns(pl.col("number").cast(pl.String).alias("text"))
    number, text = pl.col("number").cast(pl.Float64), pl.col("text")
    whole = (number.abs() < counted) & (number == number.round())
    odd = number.is_finite() & ((number.abs() >= counted) | (text.str.contains("e") & ~whole))
    spelled = frame.select(
        pl.when(whole).then(number.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(text).alias("text"),
        pl.when(odd).then(text).alias("odd"),
    )
    rare = spelled["odd"].drop_nulls().unique().to_list()
    mended = pl.col("odd").replace_strict(rare, [_spelled(text, counted) for text in rare], return_dtype=pl.String)
    return _arrow(spelled.select(pl.coalesce(mended, "text") if rare else "text").to_series())


def _spelled(text: str, counted: int) -> str:
    """A float's text with an exponent where it is beyond what its type counts, and where it is tiny; else without."""
    number = Decimal(text)
    if abs(number) >= counted:
        return f"{number.normalize():e}"
    return text if abs(number) < SMALLEST else format(number, "f")


def _decimals(column: pa.Array) -> pa.Array:
    if column.type.bit_width <= 128 and column.type.scale >= 0:
        return _arrow(_series(column))
    # beyond what polars can hold; arrow's own text would use exponents
    return pa.array([None if value is None else format(value, "f") for value in column.to_pylist()], pa.large_string())


def _timestamps(column: pa.Array) -> pa.Array:
    if column.type.tz:
        in_utc = _series(column.cast(pa.timestamp(column.type.unit, "UTC")))
        return _arrow(in_utc.dt.to_string("%Y-%m-%d %H:%M:%S%.f%:z"))
    return _arrow(_series(column).dt.to_string("%Y-%m-%d %H:%M:%S%.f"))


def _times(column: pa.Array) -> pa.Array:
    return _arrow(_series(column).dt.to_string("%H:%M:%S%.f"))


def _dates(column: pa.Array) -> pa.Array:
    return _arrow(_series(column.cast(pa.date32())))


def _uuids(storage: pa.Array) -> pa.Array:
    digits = _series(storage.cast(pa.binary())).bin.encode("hex")
    return _arrow(digits.str.replace(r"^(.{8})(.{4})(.{4})(.{4})(.{12})$", "$1-$2-$3-$4-$5"))


WRITERS: tuple[tuple[Test, Callable[[pa.Array], pa.Array]], ...] = (
    (lambda kind: is_any(kind, *TEXTS), _utf8),
    (lambda kind: is_any(kind, *BYTES), _bytes),
    (lambda kind: is_any(kind, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null), _plainly),
    (pa.types.is_floating, _floats),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_timestamp, _timestamps),
    (pa.types.is_time, _times),
    (pa.types.is_date, _dates),
)
