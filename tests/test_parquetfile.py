"""Parquet files on disk → batches of text: every value exactly, every damage refused, memory bounded."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchpost.batch import InputFile
from batchpost.errors import InputChanged, InputRefused
from batchpost.job import Source
from batchpost.parquetfile import ParquetFile

Open = Callable[..., ParquetFile]
TABLE = pa.table(
    {
        "id": [f"txn_{number}" for number in range(200)],
        "big": [2**53 + number for number in range(200)],
        "money": pa.array([Decimal(number) / 100 for number in range(200)], pa.decimal128(12, 2)),
        "state": pa.array(["NY", None] * 100).dictionary_encode(),
    }
)


@pytest.fixture
def open_parquet(tmp_path: Path) -> Open:
    def write(
        table: pa.Table | bytes, batch_rows: int = 1000, source: dict[str, Any] | None = None, **how: Any
    ) -> ParquetFile:
        path = tmp_path / "in.parquet"
        if isinstance(table, bytes):
            path.write_bytes(table)
        else:
            pq.write_table(table, path, **how)
        return ParquetFile(InputFile(path, path.name, "parquet"), Source(path="x", **source or {}), batch_rows)

    return write


def rows(file: ParquetFile) -> list[tuple[str | None, ...]]:
    return [row for batch in file.batches() for row in batch.frame.rows()]


def packed(table: pa.Table = TABLE, **how: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **how)
    return bytes(sink.getvalue().to_pybytes())


def footer_edited(content: bytes, old: bytes, new: bytes) -> bytes:
    """The file with other bytes of the same length in its footer."""
    start = len(content) - 8 - struct.unpack("<I", content[-8:-4])[0]
    assert content.count(old, start) == 1
    assert len(old) == len(new)
    return content[:start] + content[start:].replace(old, new)


def test_every_value_comes_out_as_text_and_null_stays_null(open_parquet: Open) -> None:
    file = open_parquet(TABLE, 64, row_group_size=50)
    assert file.columns == ("id", "big", "money", "state")
    assert rows(file) == [
        (f"txn_{n}", str(2**53 + n), f"{n // 100}.{n % 100:02}", None if n % 2 else "NY") for n in range(200)
    ]


def test_batches_are_numbered_and_have_no_lines(open_parquet: Open) -> None:
    batches = list(open_parquet(TABLE, 64).batches(index=2))
    assert [batch.first_row for batch in batches] == [1, 65, 129, 193]
    assert [batch.last for batch in batches] == [False, False, False, True]
    assert {batch.file for batch in batches} == {2}
    assert all(batch.lines.is_null().all() and len(batch.lines) == batch.frame.height for batch in batches)
    assert {dtype for batch in batches for dtype in batch.frame.dtypes} == {pl.String}


@pytest.mark.parametrize("how", [{"use_deprecated_int96_timestamps": True}, {"coerce_timestamps": "us"}])
def test_a_date_far_ahead_does_not_wrap_around(open_parquet: Open, how: dict[str, Any]) -> None:
    far = pa.table({"t": pa.array([253402214400], pa.timestamp("s"))})
    assert rows(open_parquet(far, **how)) == [("9999-12-31 00:00:00",)]


def test_names_are_trimmed_numbered_and_may_have_dots(open_parquet: Open) -> None:
    file = open_parquet(pa.table([["1"], ["2"], ["3"], [4]], [" a ", "", "b.c", "d.e"]))
    assert file.columns == ("a", "column 2", "b.c", "d.e")
    assert rows(file) == [("1", "2", "3", "4")]


def test_two_columns_of_one_name_are_refused(open_parquet: Open) -> None:
    with pytest.raises(InputRefused, match="columns 1 and 2 have the same name"):
        open_parquet(pa.table([["1"], ["2"]], ["a", "a "]))


def test_nested_columns_are_left_out_and_named(open_parquet: Open) -> None:
    file = open_parquet(pa.table({"a": [1], "n": [{"a": 2}], "l": [["x"]]}))
    assert file.columns == ("a",)
    assert sorted(file.unsupported_columns) == ["l", "n"]
    assert "struct" in file.unsupported_columns["n"]
    assert rows(file) == [("1",)]
    with pytest.raises(InputRefused, match="no column"):
        open_parquet(pa.table({"n": [{"a": 2}]}))


def test_bytes_are_text_only_where_all_of_them_are(open_parquet: Open) -> None:
    file = open_parquet(pa.table({"a": [b"x", b"y"], "b": [b"x", b"\xff"]}), 1)
    assert rows(file) == [("x",), ("y",)]
    assert "not UTF-8" in file.unsupported_columns["b"]


def test_text_that_is_not_utf_8_is_refused(open_parquet: Open) -> None:
    wrong = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    with pytest.raises(InputRefused, match="no sound Parquet file"):
        rows(open_parquet(pa.table({"a": wrong})))


def test_null_values_become_empty_text(open_parquet: Open) -> None:
    file = open_parquet(pa.table({"a": ["NULL", None, "x"]}), source={"null_values": ["NULL"]})
    assert rows(file) == [("",), (None,), ("x",)]


@pytest.mark.parametrize("count", [0, 1])
def test_a_file_without_rows_is_refused_unless_the_job_allows_it(
    open_parquet: Open, tmp_path: Path, count: int
) -> None:
    with pq.ParquetWriter(tmp_path / "none", TABLE.schema) as writer:  # no row group, or one of no rows
        for _ in range(count):
            writer.write_table(TABLE.slice(0, 0))
    content = (tmp_path / "none").read_bytes()
    with pytest.raises(InputRefused, match="has no rows"):
        open_parquet(content)
    file = open_parquet(content, source={"empty": "ok"})
    assert list(file.batches()) == []
    assert file.fingerprint
    assert file.fingerprint.rows == 0


# --- the second pass --------------------------------------------------------------------------------------------------


def test_two_passes_are_the_same_and_one_changed_cell_is_seen(open_parquet: Open) -> None:
    def digests(table: pa.Table, **how: Any) -> list[bytes]:
        file = open_parquet(table, 64, **how)
        first, second = ([batch.digest for batch in file.batches()] for _ in range(2))
        assert first == second
        assert {len(digest) for digest in first} == {16}
        return first

    before = digests(pa.table({"a": ["x", None, ""], "b": ["", "y", "z"]}))
    assert digests(pa.table({"a": ["x", None, ""], "b": ["", "y", "z"]}), compression="zstd") == before
    for other in (
        {"a": ["x", "", ""], "b": ["", "y", "z"]},
        {"a": ["x", None, "y"], "b": ["", "", "z"]},
        {"a": ["x", None, ""], "b": ["", "y", "Z"]},
        {"a": ["x", None, ""], "c": ["", "y", "z"]},
        {"a": ["x", None], "b": ["", "y"]},
    ):
        assert digests(pa.table(other)) != before


def test_other_columns_than_before_stop_the_pass(open_parquet: Open, tmp_path: Path) -> None:
    file = open_parquet(TABLE)
    pq.write_table(TABLE.rename_columns(["id", "money", "big", "state"]), tmp_path / "in.parquet")
    with pytest.raises(InputChanged, match="columns changed"):
        rows(file)


def test_the_fingerprint_is_of_the_bytes_on_disk(open_parquet: Open) -> None:
    content = packed()
    file = open_parquet(content)
    assert file.fingerprint is None
    rows(file)
    assert file.fingerprint
    assert file.fingerprint.sha256 == hashlib.sha256(content).hexdigest()
    assert (file.fingerprint.bytes, file.fingerprint.rows) == (len(content), 200)


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PAR1",
        b"PAR1PAR1",
        b"id,big\n1,2\n",
        b"PAR1" + b"\xff" * 8 + b"PAR1",
        b"PAR1" + b"\0" * 380 + b"\xff\xff\xff\x7fPAR1",
        packed()[:-1],
        packed()[4:],
        packed()[: len(packed()) // 2],
        packed() + b"\n",
        packed()[:-4] + b"PARE",
    ],
    ids=[
        "empty",
        "magic",
        "magics",
        "csv",
        "no footer",
        "absurd footer",
        "cut",
        "headless",
        "half",
        "trailing",
        "encrypted",
    ],
)
def test_a_broken_file_is_refused(open_parquet: Open, content: bytes) -> None:
    with pytest.raises(InputRefused, match=r"in\.parquet"):
        rows(open_parquet(content))


def test_a_flipped_bit_in_the_data_of_a_file_with_checksums_is_refused(open_parquet: Open) -> None:
    content = packed(write_page_checksum=True, compression="none", write_statistics=False)
    good = rows(open_parquet(content))
    start = content.index(b"txn_150")
    for position in range(start, start + 7):
        damaged = bytearray(content)
        damaged[position] ^= 1
        with pytest.raises(InputRefused, match=r"in\.parquet"):
            rows(open_parquet(bytes(damaged)))
    assert good[150][0] == "txn_150"


def test_no_damage_anywhere_ends_in_anything_but_a_refusal_or_all_the_rows(open_parquet: Open) -> None:
    content, random, refused = packed(write_page_checksum=True), Random(3), 0
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        try:
            assert len(rows(open_parquet(bytes(damaged)))) == 200
        except InputRefused:
            refused += 1
    assert refused > 200


def test_rows_that_do_not_add_up_are_refused(open_parquet: Open) -> None:
    # thrift: field 3 of FileMetaData, i64 num_rows, zigzag varint: 200 is 0x90 0x03
    content = packed(pa.table({"a": [str(n) for n in range(200)]}), write_statistics=False, store_schema=False)
    start = len(content) - 8 - struct.unpack("<I", content[-8:-4])[0]
    at = content.index(b"\x16\x90\x03\x19", start)
    with pytest.raises(InputRefused, match="do not add up"):
        open_parquet(content[: at + 1] + b"\x92\x03" + content[at + 3 :])


def test_a_few_bytes_that_want_gigabytes_are_refused_before_they_get_them(open_parquet: Open) -> None:
    long = pa.array(["x" * 1_000_000]).dictionary_encode()
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), long.dictionary)
    file = open_parquet(pa.table({"a": repeated}), compression="zstd")
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(InputRefused, match="more than 512 MB of text"):
        rows(file)
    assert pa.default_memory_pool().max_memory() - before < 100_000_000


def test_a_file_that_would_unpack_to_a_thousand_times_its_size_is_refused(open_parquet: Open, tmp_path: Path) -> None:
    zeros = pa.table({"a": pl.repeat(0, 1_000_000, dtype=pl.Int64, eager=True).to_arrow()})
    with pq.ParquetWriter(tmp_path / "zeros", zeros.schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(34):
            writer.write_table(zeros)
    with pytest.raises(InputRefused, match="would unpack to 272,"):
        open_parquet((tmp_path / "zeros").read_bytes())


def test_what_is_no_file_is_refused_in_plain_words(tmp_path: Path) -> None:
    for name, message in (("folder", "is a folder"), ("nothing", "No such file")):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(InputRefused, match=message):
            ParquetFile(InputFile(tmp_path / name, name, "parquet"), Source(path="x"))
