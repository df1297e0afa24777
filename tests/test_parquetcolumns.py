"""The columns of Parquet files of all writers: as cells, or each named with why it has none."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchpost.batch import InputFile
from batchpost.job import Source
from batchpost.parquetfile import ParquetFile
from tests.thrift import BINARY, I32, STRUCT, footer_of, with_footer


def read(path: Path) -> tuple[dict[str, list[str | None]], dict[str, str]]:
    """Each column's cells, and why others have none."""
    file = ParquetFile(InputFile(path, path.name, "parquet"), Source(path="x"))
    [batch] = file.batches()
    return batch.frame.to_dict(as_series=False), file.unsupported_columns


def stored(path: Path, column: pa.Array, **how: Any) -> tuple[list[str | None] | None, str]:
    """What comes of a column: cells, or a reason."""
    pq.write_table(pa.table({"keep": ["k"] * len(column), "c": column}), path, **how)
    return result(path)


def result(path: Path) -> tuple[list[str | None] | None, str]:
    cells, reasons = read(path)
    return cells.get("c"), reasons.get("c", "")


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        (["a", None, "a"], pa.dictionary(pa.int8(), pa.string()), ["a", None, "a"]),
        ([7, 7, None], pa.dictionary(pa.int8(), pa.int64()), ["7", "7", None]),
        (["a", "longer than twelve"], pa.string_view(), ["a", "longer than twelve"]),
        ([b"a"], pa.binary_view(), ["a"]),
        ([b"abc"], pa.binary(3), ["abc"]),
        ([1.5, 12.0], pa.float16(), ["1.5", "12"]),
        ([Decimal("1.50")], pa.decimal32(5, 2), ["1.50"]),
        ([Decimal("1.50")], pa.decimal64(15, 2), ["1.50"]),
        ([Decimal("0.0000000001")], pa.decimal256(60, 10), ["0.0000000001"]),
        ([0], pa.date64(), ["1970-01-01"]),
        ([1, 255], pa.uint8(), ["1", "255"]),
        ([2**64 - 1], pa.uint64(), ["18446744073709551615"]),
        ([2**53 + 1], pa.int64(), ["9007199254740993"]),
        ([0], pa.timestamp("s", "America/New_York"), ["1970-01-01 00:00:00+00:00"]),
        ([1], pa.timestamp("ns"), ["1970-01-01 00:00:00.000000001"]),
        ([1], pa.time64("ns"), ["00:00:00.000000001"]),
        ([None], pa.null(), [None]),
    ],
    ids=str,
)
def test_a_type_that_arrow_writes_comes_back_as_its_text(
    tmp_path: Path, values: list[Any], kind: pa.DataType, text: list[str | None]
) -> None:
    for how in ({}, {"store_schema": False}, {"use_dictionary": False}):
        assert stored(tmp_path / "in.parquet", pa.array(values, kind), **how) == (text, "")


@pytest.mark.parametrize(
    ("kind", "storage", "value", "text"),
    [
        (pa.uuid(), pa.binary(16), bytes(range(16)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (pa.json_(), pa.string(), '{"a": 1}', '{"a": 1}'),
        (pa.bool8(), pa.int8(), 1, "1"),
    ],
    ids=str,
)
def test_an_extension_type_is_what_it_is_stored_as(
    tmp_path: Path, kind: pa.DataType, storage: pa.DataType, value: Any, text: str
) -> None:
    column = pa.ExtensionArray.from_storage(kind, pa.array([value, None], storage))
    assert stored(tmp_path / "in.parquet", column) == ([text, None], "")


def test_a_duration_is_not_taken_for_the_number_that_it_is_stored_as(tmp_path: Path) -> None:
    reason = "it was written as duration[s] and is stored as int64"
    assert stored(tmp_path / "in.parquet", pa.array([1], pa.duration("s"))) == (None, reason)


def test_times_whose_zone_their_storage_does_not_keep_are_not_taken_for_local_ones(tmp_path: Path) -> None:
    column = pa.array([1], pa.timestamp("us", "UTC"))
    cells, reason = stored(tmp_path / "in.parquet", column, use_deprecated_int96_timestamps=True)
    assert (cells, reason) == (None, "it was written as timestamp[us, tz=UTC] and is stored as timestamp[us]")


def test_a_decimal_whose_footer_gives_two_scales_is_not_read_with_either(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    stored(path, pa.array([Decimal("85.00")], pa.decimal128(12, 2)))
    footer = footer_of(path.read_bytes())
    footer[2][1][1][2][10][1][5][1][1][1] = 4  # SchemaElement.logicalType.DECIMAL.scale
    path.write_bytes(with_footer(path.read_bytes(), footer))
    assert result(path)[0] is None


@pytest.mark.parametrize(
    ("logical", "converted", "cells", "reason"),
    [
        (4, 4, ["\x01\x02"], ""),  # ENUM
        (12, 19, ["\x01\x02"], ""),  # JSON
        (13, 20, None, "its type is BSON, which has no text"),
        (None, 20, None, "its type is BSON, which has no text"),
        (None, 4, ["\x01\x02"], ""),
        (None, None, ["\x01\x02"], ""),
    ],
)
def test_bytes_are_text_only_where_the_file_does_not_say_otherwise(
    tmp_path: Path, logical: int | None, converted: int | None, cells: list[str] | None, reason: str
) -> None:
    """LogicalType and ConvertedType by their numbers in parquet.thrift."""
    path = tmp_path / "in.parquet"
    stored(path, pa.array([b"\x01\x02"]), store_schema=False)
    footer = footer_of(path.read_bytes())
    element = footer[2][1][1][2]
    if converted is not None:
        element[6] = [I32, converted]
    if logical is not None:
        element[10] = [STRUCT, {logical: [STRUCT, {}]}]
    path.write_bytes(with_footer(path.read_bytes(), footer))
    assert result(path) == (cells, reason)


def test_an_interval_is_no_text_even_where_its_bytes_could_be(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    stored(path, pa.array([b"a" * 12], pa.binary(12)), store_schema=False)
    footer = footer_of(path.read_bytes())
    footer[2][1][1][2][6] = [I32, 21]  # SchemaElement.converted_type INTERVAL
    path.write_bytes(with_footer(path.read_bytes(), footer))
    assert result(path) == (None, "its type is INTERVAL, which has no text")


def test_a_name_in_the_footer_that_its_columns_do_not_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    stored(path, pa.array(["x"]))
    footer = footer_of(path.read_bytes())
    footer[2][1][1][2][4] = [BINARY, b"d"]  # SchemaElement.name: another column now, and known as such
    path.write_bytes(with_footer(path.read_bytes(), footer))
    assert read(path)[0] == {"keep": ["k"], "d": ["x"]}


def test_structs_deeper_than_any_table_are_refused(tmp_path: Path) -> None:
    value: Any = 1
    for _ in range(40):
        value = {"a": value}
    pq.write_table(pa.table({"s": [value]}), tmp_path / "in.parquet")
    with pytest.raises(Exception, match="more than 32 deep"):
        read(tmp_path / "in.parquet")
