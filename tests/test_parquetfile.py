"""Parquet files on disk → batches of text: every value exactly, every damage refused, memory bounded."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from batchpost.firstpass import Plan, read_input
from batchpost.identity import Identity
from batchpost.job import Source
from batchpost.jobfile import check_columns
from batchpost.parquetfile import ParquetFile
from batchpost.readerprocess import Header, ReaderProcess, reader_process
from batchpost.source import find_files, open_input
from batchpost.spool import read_spool
from tests.jobtexts import job_text, load
from tests.thrift import footer_of, numbers_in, read_struct, with_footer, write_struct

Open = Callable[..., ParquetFile]
TABLE = pa.table(
    {
        "id": [f"txn_{number}" for number in range(200)],
        "big": [2**53 + number for number in range(200)],
        "money": pa.array([Decimal(number) / 100 for number in range(200)], pa.decimal128(12, 2)),
        "state": pa.array(["NY", None] * 100).dictionary_encode(),
    }
)

NESTED = pa.table(
    {
        **{name: TABLE[name] for name in TABLE.column_names},
        "at": pa.array(range(200), pa.timestamp("us", "UTC")),
        "lead": [{"id": f"lead{n}", "tags": ["x"] * (n % 3)} if n % 5 else None for n in range(200)],
        "raw": [b"raw%d" % n for n in range(200)],
        "ratio": [n / 7 for n in range(200)],
    }
)
_kept: list[ReaderProcess] = []


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


@contextmanager
def stubborn() -> Iterator[ReaderProcess]:
    """A reader that goes on after damage, unlike that of a run: hundreds of damaged files need only one."""
    process = _kept[0] if _kept and _kept[0].is_alive else ReaderProcess()
    _kept[:] = [process]
    try:
        yield process
    except InputRefused:
        raise
    except BaseException:
        process.close()
        raise


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


def test_lists_and_maps_are_left_out_and_named(open_parquet: Open) -> None:
    pairs = pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8()))
    file = open_parquet(pa.table({"l": [["x"]], "a": [1], "m": pairs, "r": [[{"a": 2}]], "z": ["last"]}))
    assert file.columns == ("a", "z")
    assert {name: why.split(",")[1] for name, why in file.unsupported_columns.items() if name != "m"} == {
        "l": " which is no single value",
        "r": " which is no single value",
    }
    assert "map<string" in file.unsupported_columns["m"]
    assert rows(file) == [("1", "last")]
    with pytest.raises(InputRefused, match="no column"):
        open_parquet(pa.table({"l": [["x"]]}))


def test_members_of_structs_are_columns_by_their_path(open_parquet: Open) -> None:
    leads = [
        {"id": "x1", "tags": ["t"], "address": {"zip": "02134"}},
        {"id": None, "tags": [], "address": None},
        None,
    ]
    file = open_parquet(pa.table({"lead": leads, "n": [1, 2, 3]}))
    assert file.columns == ("lead.id", "lead.address.zip", "n")
    assert rows(file) == [("x1", "02134", "1"), (None, None, "2"), (None, None, "3")]
    assert file.unsupported_columns["lead"] == "it is nested: name one of its members, such as lead.id"
    assert list(file.unsupported_columns) == ["lead", "lead.tags", "lead.address"]


@pytest.mark.parametrize(
    "table",
    [
        {"a": [{"b": 1}], "a.b": [2]},
        {"a.b": [2], "a": [{"b ": 1}]},
        {"a": [{"b.c": 1, "b": {"c": 2}}]},
    ],
    ids=repr,
)
def test_two_paths_of_one_name_are_refused(open_parquet: Open, table: dict[str, list[Any]]) -> None:
    with pytest.raises(InputRefused, match="have the same name"):
        open_parquet(pa.table(table))


def test_decisions_say_what_the_file_is_and_what_is_left_out(open_parquet: Open) -> None:
    file = open_parquet(pa.table({"lead": [{"id": 1, "at": 2}] * 3, "l": [["secret"]] * 3, "l2": [["x"]] * 3}))
    size, nested, left = [(decision.value, decision.evidence) for decision in file.decisions]
    assert size[0] == "3 rows in 1 row group"
    assert size[1].startswith("its footer says so; written by parquet-cpp-arrow version ")
    assert nested == ("members by their path: lead.id, lead.at", "nested: lead")
    assert left == ("left out: l, l2", "its type is list<element: string>, which is no single value")
    assert {decision.key for decision in file.decisions} == {""}


def test_bytes_are_text_only_where_all_of_them_are(open_parquet: Open) -> None:
    file = open_parquet(pa.table({"a": [b"x", b"y"], "b": [b"x", b"\xff"]}), 1)
    assert rows(file) == [("x",), ("y",)]
    assert "not UTF-8" in file.unsupported_columns["b"]


def test_text_that_is_not_utf_8_is_refused(open_parquet: Open) -> None:
    wrong = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    with pytest.raises(InputRefused, match="column 'a' holds what no string can be"):
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


def test_a_file_that_changes_while_it_is_read_for_the_first_time_is_refused(open_parquet: Open, tmp_path: Path) -> None:
    """The same columns and rows: the batches could not tell, and its fingerprint would be that of unread content."""
    long = pa.table({"a": [f"{number:0100}" for number in range(60_000)]})  # more than a pipe holds
    file = open_parquet(long)
    batches = file.batches()
    next(batches)
    pq.write_table(long, tmp_path / "other", compression="zstd")
    (tmp_path / "other").replace(tmp_path / "in.parquet")
    with pytest.raises(InputRefused, match="changed while it was being read"):
        list(batches)
    assert file.fingerprint is None
    assert len(rows(open_parquet(TABLE))) == 200


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


def damaged(content: bytes, random: Random) -> bytes:
    """The file cut off, with flipped bits, without a piece, or with a piece of itself in a wrong place."""
    kind, broken, at = random.randrange(5), bytearray(content), random.randrange(len(content))
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + content[at + random.randint(1, 40) :]
    if kind == 2:
        size, other = random.randint(1, 200), random.randrange(len(content))
        broken[at : at + size] = content[other : other + size]
    else:
        footer = len(content) - 8 - struct.unpack("<I", content[-8:-4])[0]
        for _ in range(random.randint(1, 3)):
            broken[random.randrange(footer * (kind - 3), len(content))] ^= 1 << random.randrange(8)
    return bytes(broken)


def lying(content: bytes, random: Random) -> bytes:
    """The file with other numbers in its footer, or in the head of a page; all else is as it was."""
    absurd = [0, 1, -1, 3, 127, 128, 199, 201, 2**31 - 1, 2**31, -(2**31), 2**40, 2**63 - 1, -(2**63)]
    footer = footer_of(content)
    if random.random() < 0.7:
        for number in random.sample(list(numbers_in(footer)), random.choice([1, 1, 2])):
            number[1] = random.choice([*absurd, number[1] + 1, number[1] - 1])
        return with_footer(content, footer)
    chunks = [chunk[3][1] for group in footer[4][1][1] for chunk in group[1][1][1]]
    places = [chunk[number][1] for chunk in chunks for number in (9, 11) if number in chunk]
    at = random.choice(places)
    head, end = read_struct(content, at)
    number = random.choice(list(numbers_in(head)))
    number[1] = random.choice([*absurd, number[1] + 1, number[1] - 1])
    return content[:at] + write_struct(head) + content[end:]


@pytest.mark.parametrize("spoil", [damaged, lying])
@pytest.mark.parametrize(
    "how",
    [{"row_group_size": 70}, {"compression": "zstd", "use_dictionary": False}, {"data_page_version": "2.0"}],
    ids=str,
)
def test_no_damage_anywhere_ends_in_anything_but_a_refusal_or_the_same_cells(
    tmp_path: Path, spoil: Callable[[bytes, Random], bytes], how: dict[str, Any]
) -> None:
    """What can be damaged without notice is a column's name or kind, as footers have no checksum: such a column is
    not there, or not as text. No cell is another one."""
    path, random = tmp_path / "in.parquet", Random(spoil.__name__ + str(how))
    content = packed(NESTED, write_page_checksum=True, **how)

    def cells(content: bytes) -> dict[str, list[str | None]]:
        path.write_bytes(content)
        file = ParquetFile(InputFile(path, path.name, "parquet"), Source(path="x"), 64, stubborn)
        frames = [batch.frame for batch in file.batches()]
        return {name: [cell for frame in frames for cell in frame[name]] for name in file.columns}

    good, refused = cells(content), 0
    for _ in range(60):
        try:
            found = cells(spoil(content, random))
        except InputRefused:
            refused += 1
            continue
        assert {name: good[name] for name in found if name in good} == {n: found[n] for n in found if n in good}
        assert {len(column) for column in found.values()} == {200}
    assert refused > 15


def test_rows_that_do_not_add_up_are_refused(open_parquet: Open) -> None:
    footer = footer_of(packed())
    footer[3][1] += 1  # FileMetaData.num_rows
    with pytest.raises(InputRefused, match="do not add up"):
        open_parquet(with_footer(packed(), footer))


def test_a_footer_and_row_groups_that_agree_on_too_many_rows_are_refused(open_parquet: Open) -> None:
    footer = footer_of(packed())
    footer[3][1] += 1
    footer[4][1][1][0][3][1] += 1  # RowGroup.num_rows
    with pytest.raises(InputRefused, match=r"in\.parquet"):
        rows(open_parquet(with_footer(packed(), footer)))


def test_a_few_bytes_that_want_gigabytes_are_refused_before_they_get_them(open_parquet: Open) -> None:
    long = pa.array(["x" * 1_000_000]).dictionary_encode()
    for count, message in ((300, "more than 256 MB of text"), (16_000, "more memory to read than any table should")):
        repeated = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), long.dictionary)
        file = open_parquet(pa.table({"a": repeated}), batch_rows=16_384, compression="zstd")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(InputRefused, match=message):
            rows(file)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


def test_a_page_that_says_that_it_unpacks_to_gigabytes_is_refused(open_parquet: Open) -> None:
    content = packed(pa.table({"a": ["x"] * 9}), use_dictionary=False, compression="zstd")
    at = footer_of(content)[4][1][1][0][1][1][1][0][3][1][9][1]  # ColumnMetaData.data_page_offset
    head, end = read_struct(content, at)
    head[2][1] = 2**31 - 1  # PageHeader.uncompressed_page_size
    with pytest.raises(InputRefused, match=r"in\.parquet"):
        rows(open_parquet(content[:at] + write_struct(head) + content[end:]))


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


def test_a_table_of_too_many_columns_is_refused(open_parquet: Open) -> None:
    with pytest.raises(InputRefused, match="has 10,001 columns"):
        open_parquet(pa.table({f"a{number}": pa.nulls(1, pa.int8()) for number in range(10_001)}))


# --- the process that reads -------------------------------------------------------------------------------------------


def test_a_footer_at_which_arrow_ends_its_process_is_a_refusal(open_parquet: Open) -> None:
    """Statistics of another type than the schema's abort pyarrow 26 where a column's place is asked for."""
    for number in (1, 4):
        footer = footer_of(packed())
        footer[2][1][1][number][1][1] = 4  # SchemaElement.type: FLOAT
        with pytest.raises(InputRefused, match=r"in\.parquet"):
            open_parquet(with_footer(packed(), footer))
    assert len(rows(open_parquet(TABLE))) == 200


def test_a_reader_that_dies_at_a_file_is_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(TABLE, path)

    @contextmanager
    def killed() -> Iterator[ReaderProcess]:
        with reader_process() as process:
            os.kill(process.pid, signal.SIGSEGV)
            yield process

    with pytest.raises(InputRefused, match="ended the process that read it: signal 11"):
        ParquetFile(InputFile(path, path.name, "parquet"), Source(path="x"), process=killed)


def test_what_is_no_text_of_sound_cells_reaches_nobody(tmp_path: Path) -> None:
    """A reader whose memory a file has spoiled may answer anything."""
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"a": ["xyz", "b"]}), path)

    class Spoiled:
        def __init__(self, process: ReaderProcess) -> None:
            self.ask, self._process = process.ask, process

        def heard(self) -> tuple[Header, bytearray]:
            header, body = self._process.heard()
            return header, bytearray(bytes(body).replace(b"xyzb", b"x\xff\xffb"))

    @contextmanager
    def spoiled() -> Iterator[Any]:
        with reader_process() as process:
            yield Spoiled(process)

    file = ParquetFile(InputFile(path, path.name, "parquet"), Source(path="x"), process=spoiled)
    with pytest.raises(InputRefused, match="ended the process that read it: no text"):
        rows(file)


def test_a_pass_that_is_given_up_ends_its_reader(tmp_path: Path) -> None:
    path, used = tmp_path / "in.parquet", []
    pq.write_table(TABLE, path)

    @contextmanager
    def noted() -> Iterator[ReaderProcess]:
        with reader_process() as process:
            used.append(process)
            yield process

    batches = ParquetFile(InputFile(path, path.name, "parquet"), Source(path="x"), 10, noted).batches()
    next(batches)
    assert used[-1].is_alive
    batches.close()
    assert not used[-1].is_alive


# --- through mapping and plan -----------------------------------------------------------------------------------------


def test_a_job_names_members_by_their_path_in_fields_and_in_sql(tmp_path: Path) -> None:
    leads = [{"id": "a", "state": "NY"}, None, {"id": None, "state": "NY"}, {"id": "b", "state": "TX"}]
    pq.write_table(pa.table({"lead": leads, "paid": [85.0, 1.0, 2.5, 3.0]}), tmp_path / "in.parquet")
    fields = 'transaction_id = { column = "lead.id" }\nevent_id = { value = "sale" }\nrevenue = { column = "paid" }'
    where = 'where = """"lead.state" = \'NY\'"""'
    plan = planned(tmp_path, fields, where)
    assert [plan.fates.table[code] for code in plan.fates.codes] == [
        plan.fates.table[0],
        ("invalid", "missing_required"),
        ("invalid", "missing_required"),
        ("skipped", "filtered"),
    ]
    assert [amount for frame in read_spool(plan.spool) for amount in frame["amount"]] == ["85", "1", "2.5", "3"]


def test_ids_that_some_program_made_floats_are_ids_again_or_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [12345.0, None, float(2**53)], "f": [1.5, 2.5, 3.5]}), tmp_path / "in.parquet")
    plan = planned(tmp_path, 'transaction_id = { column = "id" }\nevent_id = { value = "sale" }')
    assert [plan.fates.table[code][1] for code in plan.fates.codes] == ["", "missing_required", "scientific_notation"]
    assert next(read_spool(plan.spool))["transaction_id"][0] == "12345"


def planned(folder: Path, fields: str, rows: str = "") -> Plan:
    job = load(folder, job_text(source='path = "in.parquet"', fields=fields, **({"rows": rows} if rows else {})))
    readers = open_input(find_files(job.source, job.workspace), job.source)
    assert check_columns(job, readers[0].columns, readers[0].unsupported_columns) == []
    return read_input(job, readers, Identity(b"k" * 32, "https://a:443", is_event=True), folder / "plan.arrow")
