"""Every Arrow type of a Parquet file as text, exactly, or named as one that has none."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.arrowtext import as_text, unsupported

NOON = dt.datetime(2025, 7, 4, 12, 0, 0)  # noqa: DTZ001 - a time without a zone is the case
ID = uuid.UUID("7f3a2b1c-4d56-78ef-9012-abcdef123456")


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        (["a", "", "00123", "ü😀"], pa.string(), ["a", "", "00123", "ü😀"]),
        (["a"], pa.large_string(), ["a"]),
        (["a", "longer than twelve bytes"], pa.string_view(), ["a", "longer than twelve bytes"]),
        (["a", "b", "a"], pa.dictionary(pa.int32(), pa.string()), ["a", "b", "a"]),
        ([7, 8], pa.dictionary(pa.int8(), pa.int64()), ["7", "8"]),
        ([-128, 127], pa.int8(), ["-128", "127"]),
        ([2**53 + 1, -(2**63)], pa.int64(), ["9007199254740993", "-9223372036854775808"]),
        ([2**64 - 1], pa.uint64(), ["18446744073709551615"]),
        ([True, False], pa.bool_(), ["true", "false"]),
        ([85.0, 0.1, -3.5, -0.0], pa.float64(), ["85", "0.1", "-3.5", "0"]),
        ([0.00001, 0.000000002, 5e-324], pa.float64(), ["0.00001", "0.000000002", "5e-324"]),
        ([float("nan"), float("inf")], pa.float64(), ["NaN", "inf"]),
        ([0.1], pa.float32(), ["0.1"]),
        ([1.5], pa.float16(), ["1.5"]),
        ([Decimal("85.00"), Decimal("-0.01")], pa.decimal128(10, 2), ["85.00", "-0.01"]),
        ([Decimal("0.000000001")], pa.decimal128(38, 9), ["0.000000001"]),
        ([Decimal("9" * 29 + "." + "9" * 9)], pa.decimal128(38, 9), ["9" * 29 + "." + "9" * 9]),
        ([Decimal("1200")], pa.decimal128(5, -2), ["1200"]),
        ([Decimal("0.0000000001"), Decimal("1.5")], pa.decimal256(60, 10), ["0.0000000001", "1.5000000000"]),
        ([Decimal("1.50")], pa.decimal32(5, 2), ["1.50"]),
        ([dt.date(2025, 2, 28), dt.date(1, 1, 1)], pa.date32(), ["2025-02-28", "0001-01-01"]),
        ([dt.date(2025, 2, 28)], pa.date64(), ["2025-02-28"]),
        ([NOON], pa.timestamp("s"), ["2025-07-04 12:00:00"]),
        ([NOON.replace(microsecond=120_000)], pa.timestamp("ms"), ["2025-07-04 12:00:00.120"]),
        ([NOON.replace(microsecond=1)], pa.timestamp("us"), ["2025-07-04 12:00:00.000001"]),
        ([1], pa.timestamp("ns"), ["1970-01-01 00:00:00.000000001"]),
        ([0], pa.timestamp("us", "America/New_York"), ["1970-01-01 00:00:00+00:00"]),
        ([0], pa.timestamp("us", "+02:00"), ["1970-01-01 00:00:00+00:00"]),
        ([dt.time(23, 59, 59)], pa.time32("s"), ["23:59:59"]),
        ([dt.time(1, 2, 3, 5)], pa.time64("us"), ["01:02:03.000005"]),
        ([b"txn_1", b"\xc3\xa9"], pa.binary(), ["txn_1", "é"]),
        ([b"ab"], pa.binary(2), ["ab"]),
        ([b"ab"], pa.large_binary(), ["ab"]),
        ([ID.bytes], pa.uuid(), [str(ID)]),
        (['{"a": 1}'], pa.json_(), ['{"a": 1}']),
        (["a"], pa.dictionary(pa.int32(), pa.large_string()), ["a"]),
        (["a", "a", "b"], pa.run_end_encoded(pa.int32(), pa.string()), ["a", "a", "b"]),
        ([b"ab"], pa.binary_view(), ["ab"]),
        ([Decimal("1.50")], pa.decimal64(15, 2), ["1.50"]),
        ([5_000_000_001], pa.time64("ns"), ["00:00:05.000000001"]),
        ([-1], pa.timestamp("ms"), ["1969-12-31 23:59:59.999"]),
        ([], pa.null(), []),
    ],
    ids=str,
)
def test_a_value_is_written_exactly_and_a_null_stays_null(
    values: list[Any], kind: pa.DataType, text: list[str]
) -> None:
    assert unsupported(kind) == ""
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.ExtensionArray.from_storage(kind, pa.array([*values, None], kind.storage_type))
    elif pa.types.is_run_end_encoded(kind):
        column = pc.run_end_encode(pa.array([*values, None], kind.value_type))
    else:
        column = pa.array([*values, None], kind)
    written = as_text(column)
    assert written.type == pa.large_string()
    assert written.to_pylist() == [*text, None]
    assert as_text(column.slice(1)).to_pylist() == [*text, None][1:]


@pytest.mark.parametrize(
    ("kind", "last", "text", "beyond"),
    [
        (pa.float64(), 2**53 - 1, "9007199254740991", "9.007199254740992e+15"),
        (pa.float32(), 2**24 - 1, "16777215", "1.6777216e+7"),
        (pa.float16(), 2**11 - 1, "2047", "2.048e+3"),
    ],
    ids=str,
)
def test_an_id_that_a_float_cannot_hold_is_written_as_one_that_lost_its_digits(
    kind: pa.DataType, last: int, text: str, beyond: str
) -> None:
    """12345.0 was 12345; but beyond what the type counts, nobody knows which id it was, and mapping takes none with
    an exponent."""
    column = pa.array([12345.0 if last > 12345 else 1234.0, float(last), float(last + 1), -float(last + 1)], kind)
    assert as_text(column).to_pylist()[1:] == [text, beyond, f"-{beyond}"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats()), st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_numbers_read_back_as_they_were(floats: list[float], integers: list[int]) -> None:
    for text, number in zip(as_text(pa.array(floats, pa.float64())).to_pylist(), floats, strict=True):
        assert float(text) == number or number != number
    assert [int(text) for text in as_text(pa.array(integers, pa.int64())).to_pylist()] == integers


@settings(max_examples=100, deadline=None)
@given(st.lists(st.decimals(-(10**20), 10**20, places=6)))
def test_decimals_keep_every_digit(values: list[Decimal]) -> None:
    for kind in (pa.decimal128(38, 6), pa.decimal256(50, 6)):
        assert as_text(pa.array(values, kind)).to_pylist() == [format(v or abs(v), "f") for v in values]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.struct([("a", pa.int64())]),
        pa.map_(pa.string(), pa.int64()),
        pa.list_view(pa.int8()),
        pa.list_(pa.int8(), 2),
        pa.dictionary(pa.int8(), pa.list_(pa.int8())),
    ],
    ids=str,
)
def test_what_is_no_single_value_is_named(kind: pa.DataType) -> None:
    assert "no single value" in unsupported(kind)
    assert len(unsupported(pa.struct([(f"a{number}", pa.int8()) for number in range(1000)]))) < 120


@pytest.mark.parametrize("kind", [pa.duration("s"), pa.month_day_nano_interval()], ids=str)
def test_what_no_cell_says_is_named(kind: pa.DataType) -> None:
    assert "has no text" in unsupported(kind)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2)], ids=str)
def test_bytes_that_are_no_text_are_an_error(kind: pa.DataType) -> None:
    for content in (b"\xff\xfe", b"\0\1"):
        with pytest.raises(pa.ArrowInvalid):
            as_text(pa.array([content], kind))


def test_a_date_that_no_calendar_has_is_an_error_not_a_null() -> None:
    for column in (pa.array([2**62], pa.timestamp("ms")), pa.array([2**31 - 1], pa.date32())):
        try:
            text = as_text(column).to_pylist()
        except (ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        assert text != [None]
