"""Every Arrow type of a Parquet file as text, exactly, or named as one that has none."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
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
        ([85.0, 0.1, 1e22, 5e-324, -0.0], pa.float64(), ["85.0", "0.1", "1e+22", "5e-324", "-0.0"]),
        ([float("nan"), float("inf")], pa.float64(), ["NaN", "inf"]),
        ([0.1, 16777216.0], pa.float32(), ["0.1", "16777216.0"]),
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
    else:
        column = pa.array([*values, None], kind)
    written = as_text(column)
    assert written.dtype == pl.String
    assert written.to_list() == [*text, None]
    assert as_text(column.slice(1)).to_list() == [*text, None][1:]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats()), st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_numbers_read_back_as_they_were(floats: list[float], integers: list[int]) -> None:
    for text, number in zip(as_text(pa.array(floats, pa.float64())), floats, strict=True):
        assert float(text) == number or number != number
    assert [int(text) for text in as_text(pa.array(integers, pa.int64()))] == integers


@settings(max_examples=100, deadline=None)
@given(st.lists(st.decimals(-(10**20), 10**20, places=6)))
def test_decimals_keep_every_digit(values: list[Decimal]) -> None:
    for kind in (pa.decimal128(38, 6), pa.decimal256(50, 6)):
        assert as_text(pa.array(values, kind)).to_list() == [format(v or abs(v), "f") for v in values]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.struct([("a", pa.int64())]),
        pa.map_(pa.string(), pa.int64()),
        pa.duration("s"),
        pa.month_day_nano_interval(),
        pa.dictionary(pa.int8(), pa.list_(pa.int8())),
    ],
    ids=str,
)
def test_what_is_no_single_value_is_named(kind: pa.DataType) -> None:
    assert "no single value" in unsupported(kind)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2)], ids=str)
def test_bytes_that_are_no_text_are_an_error(kind: pa.DataType) -> None:
    with pytest.raises(pa.ArrowInvalid):
        as_text(pa.array([b"\xff\xfe"], kind))


def test_a_date_that_no_calendar_has_is_an_error_not_a_null() -> None:
    for column in (pa.array([2**62], pa.timestamp("ms")), pa.array([2**31 - 1], pa.date32())):
        try:
            text = as_text(column).to_list()
        except (ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        assert text != [None]
