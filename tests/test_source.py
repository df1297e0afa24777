"""Paths → files, and files → readers: found in order, named once, alike in their columns, or refused."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchpost.csvgrammar import Limits
from batchpost.errors import InputRefused, NoInput, UsageError
from batchpost.job import Source
from batchpost.source import InputFile, Reader, find_files, names_one_file, open_input, unsupported
from tests.workbooks import table, workbook_parts, write_package


def touch(folder: Path, *names: str) -> None:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"a,b\n{name},2\n")


def found(workspace: Path, *paths: str, job: str = "nothing.csv") -> list[str]:
    return [file.name for file in find_files(Source(path=job), workspace, paths)]


@pytest.mark.parametrize(
    ("name", "kind", "compression"),
    [
        ("a.csv", "csv", ""),
        ("a.TSV", "csv", ""),
        ("a.txt", "csv", ""),
        ("a.csv.gz", "csv", "gzip"),
        ("a.tsv.ZST", "csv", "zstd"),
        ("a.b.parquet", "parquet", ""),
        ("a.xlsx", "excel", ""),
        ("a.XLSM", "excel", ""),
    ],
)
def test_a_files_name_says_what_it_is(tmp_path: Path, name: str, kind: str, compression: str) -> None:
    touch(tmp_path, name)
    [file] = find_files(Source(path=name), tmp_path)
    assert (file.path, file.name, file.kind, file.compression) == (tmp_path / name, name, kind, compression)


@pytest.mark.parametrize("name", ["with space.csv", "ünï.csv", "-rf.csv", "[abc].csv", "a*.csv", "{x}.csv", "in/a.csv"])
def test_any_name_is_that_file(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name, "a.csv")
    assert found(tmp_path, name) == [name]


def test_a_folder_stands_for_its_tables_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "in", "b.csv", "a.csv.gz", "c.parquet", "notes.md", "a.csv.part", "sub/d.csv")
    touch(tmp_path / "in", ".hidden.csv", "_SUCCESS", "_draft.csv", ".a.csv.crc", "d.xlsx")  # marked as no data
    assert found(tmp_path, "in") == ["in/a.csv.gz", "in/b.csv", "in/c.parquet", "in/d.xlsx"]


@pytest.mark.parametrize("path", ["out", "out/*.parquet", "*/*.parquet", "out/**/*.parquet"])
def test_the_files_of_a_lake_are_no_table(tmp_path: Path, path: str) -> None:
    touch(tmp_path, "out/_delta_log/0.json", "out/a.parquet", "out/sub/b.parquet")
    with pytest.raises(
        InputRefused, match="out: is a Delta table, whose Parquet files also hold rows that were deleted"
    ):
        found(tmp_path, path)
    assert found(tmp_path, "out/a.parquet") == ["out/a.parquet"]  # a file that a person names is meant


def test_folders_that_are_a_column_are_read_by_a_pattern_only(tmp_path: Path) -> None:
    touch(tmp_path, "out/day=1/a.csv", "out/day=2/a.csv", "out/_SUCCESS")
    with pytest.raises(InputRefused, match="divided into folders by 'day', which would be lost"):
        found(tmp_path, "out")
    assert found(tmp_path, "out/**/*.csv") == ["out/day=1/a.csv", "out/day=2/a.csv"]
    assert found(tmp_path, "out/*/*") == ["out/day=1/a.csv", "out/day=2/a.csv"]


def test_what_spark_leaves_is_passed_over_by_patterns_too(tmp_path: Path) -> None:
    touch(tmp_path, "out/_SUCCESS", "out/_started_1", "out/part-0.csv", "out/part-0.csv.crc")
    assert found(tmp_path, "out/*") == ["out/part-0.csv"]


def test_a_table_in_a_folder_that_cannot_be_read_yet_is_not_passed_over(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.csv", "b.xls")
    with pytest.raises(UsageError, match=r"in/b\.xls: .xls files are not supported yet"):
        found(tmp_path, "in")


def test_a_pattern_stands_for_what_it_matches_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "x/conv-2.csv", "x/conv-10.csv", "x/other.csv", "y/conv-1.csv")
    assert found(tmp_path, "x/conv-*.csv") == ["x/conv-10.csv", "x/conv-2.csv"]
    assert found(tmp_path, "**/conv-[12].csv") == ["x/conv-2.csv", "y/conv-1.csv"]
    assert found(tmp_path, str(tmp_path / "y" / "*")) == ["y/conv-1.csv"]


def test_the_command_line_replaces_the_jobs_path(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv", "b.csv", "c.csv")
    assert found(tmp_path, "b.csv", "a.csv", job="c.csv") == ["b.csv", "a.csv"]
    assert [file.name for file in find_files(Source(path=["c.csv", "a.csv"]), tmp_path)] == ["c.csv", "a.csv"]


def test_a_file_outside_the_workspace_is_shown_in_full(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv")
    (tmp_path / "work").mkdir()
    assert found(tmp_path / "work", str(tmp_path / "a.csv")) == [str(tmp_path / "a.csv")]


@pytest.mark.parametrize("path", ["a.csv", "x/*.csv", "empty"])
def test_nothing_there_is_no_input_yet(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoInput):
        found(tmp_path, path)


def test_what_cannot_be_read_twice_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "in" / "odd.csv").mkdir(parents=True)
    (tmp_path / "dangling.csv").symlink_to("nowhere")
    for path, message in (
        ("pipe.csv", "pipe or a device"),
        ("/dev/null", "pipe or a device"),
        ("-", "standard input"),
        ("in", r"in/odd\.csv: is a folder"),
        ("i*", "in: is a folder"),
        ("dangling.csv", "cannot be read: No such file"),
    ):
        with pytest.raises(InputRefused, match=message):
            found(tmp_path, path)


def test_the_same_file_twice_is_refused_however_it_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv")
    (tmp_path / "link.csv").symlink_to("a.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "a.csv")
    for again in ("a.csv", "link.csv", "hard.csv", "./a.csv", "*.csv"):
        with pytest.raises(InputRefused, match=r"is the same file as a\.csv"):
            found(tmp_path, "a.csv", again)
    assert found(tmp_path, "link.csv") == ["link.csv"]


@pytest.mark.parametrize("name", ["README", "data.dat", "a.gz", "a.md.gz"])
def test_an_unknown_ending_is_refused(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    with pytest.raises(InputRefused, match=r"no ending that says what it is. Known are \.csv"):
        found(tmp_path, name)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("gs://bucket/a.csv", "gs:// addresses"),
        ("sftp://example.com/a.csv", "sftp:// addresses"),
        ("s3://bucket/a.xls", ".xls files"),
        ("in/a.XLSB", ".xlsb files"),
        ("a.parquet.gz", ".parquet.gz files"),
        ("a.jsonl", ".jsonl files"),
        ("conv-{date:%Y%m%d}.csv", "dated paths"),
    ],
)
def test_what_is_not_supported_yet_is_refused_by_name(tmp_path: Path, path: str, word: str) -> None:
    assert word in (unsupported(path) or "")
    with pytest.raises(UsageError, match="not supported yet"):
        found(tmp_path, path)


@pytest.mark.parametrize(
    "path",
    [
        *("a.csv", "in", "in/*.csv", "a.csv.gz", "a.parquet", "xlsx", "a.xlsx", "a:b.csv"),
        *("s3://bucket/in/", "https://example.com/a.csv?b=c.xls"),
    ],
)
def test_what_may_be_there_is_not_refused_by_its_name(path: str) -> None:
    assert unsupported(path) is None


# --- readers ----------------------------------------------------------------------------------------------------------


def inputs(folder: Path, **contents: bytes) -> list[InputFile]:
    for name, content in contents.items():
        (folder / f"{name}.csv").write_bytes(content)
    return [InputFile(folder / f"{name}.csv", f"{name}.csv", "csv") for name in contents]


def test_the_files_of_an_input_are_numbered_and_read_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv", "b.csv")
    pq.write_table(pa.table({"a": ["c"], "b": [2]}), tmp_path / "c.parquet")
    (tmp_path / "d.tsv.gz").write_bytes(gzip.compress(b"a\tb\nd\t2\n"))
    readers = open_input(find_files(Source(path="."), tmp_path), Source(path="."))
    batches = [batch for reader in readers for batch in reader.batches()]
    assert [(batch.file, *batch.frame.row(0)) for batch in batches] == [
        (0, "a.csv", "2"),
        (1, "b.csv", "2"),
        (2, "c", "2"),
        (3, "d", "2"),
    ]
    assert [reader.fingerprint.rows for reader in readers if reader.fingerprint] == [1, 1, 1, 1]
    assert [reader.dialect.delimiter if reader.dialect else None for reader in readers] == [",", ",", None, "\t"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (b"a,c\n1,2\n", "it lacks 'b' and adds 'c'"),
        (b"a,b,c,d\n1,2,3,4\n", "it adds 'c', 'd'"),
        (b"a\n1\n", "it lacks 'b'"),
        (b"b,a\n1,2\n", "it has them in another order"),
    ],
)
def test_files_with_other_columns_are_refused_with_the_difference(tmp_path: Path, other: bytes, message: str) -> None:
    files = inputs(tmp_path, one=b"a,b\n1,2\n", two=other)
    with pytest.raises(InputRefused, match=rf"two\.csv: has other columns than one\.csv: {message}"):
        open_input(files, Source(path="x"))


def test_a_file_of_no_bytes_has_no_columns_to_compare(tmp_path: Path) -> None:
    files = inputs(tmp_path, none=b"", one=b"a,b\n1,2\n", two=b"a,b\n")
    readers = open_input(files, Source(path="x", empty="ok"))
    assert [sum(batch.frame.height for batch in reader.batches()) for reader in readers] == [0, 1, 0]


def test_a_reader_shows_what_it_reads(tmp_path: Path) -> None:
    [file] = inputs(tmp_path, one=b"batchpost_row;b\n1;'=2\n")
    reader = Reader(file, Source(path="x", delimiter="|"), 5, Limits(block_bytes=3))
    assert repr(reader) == "Reader('one.csv', columns=['batchpost_row', 'b'])"
    assert reader.is_to_fix
    assert reader.fingerprint is None
    assert [(batch.file, batch.frame.row(0)) for batch in reader.batches()] == [(5, ("1", "=2"))]
    assert reader.unsupported_columns == {}


def test_nested_parquet_columns_are_told_of(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["c"], "n": [[1]]}), tmp_path / "c.parquet")
    [reader] = open_input(find_files(Source(path="c.parquet"), tmp_path), Source(path="x"))
    assert (reader.columns, list(reader.unsupported_columns)) == (("a",), ["n"])


def test_a_workbook_is_read_beside_others(tmp_path: Path) -> None:
    write_package(tmp_path / "a.xlsx", workbook_parts(table(("a", "b"), ("x", "y"))))
    touch(tmp_path, "b.csv")
    readers = open_input(find_files(Source(path="."), tmp_path), Source(path="."))
    assert [row for reader in readers for batch in reader.batches() for row in batch.frame.iter_rows()] == [
        ("x", "y"),
        ("b.csv", "2"),
    ]
    assert [reader.dialect is None for reader in readers] == [True, False]


@pytest.mark.parametrize(
    ("path", "one"),
    [
        *(("a.csv", True), ("in", False), ("*.csv", False), ("https://example.com/*", True), ("env:URL", True)),
        *(("s3://bucket/a.csv", True), ("s3://bucket/in/", False), ("s3://bucket/*.csv", False)),
    ],
)
def test_one_file_is_told_from_many(tmp_path: Path, path: str, one: bool) -> None:
    touch(tmp_path, "a.csv", "in/b.csv")
    assert names_one_file(path, tmp_path) is one


def test_batches_of_a_csv_file_are_read_by_their_places_and_those_of_other_kinds_have_none(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv")
    pq.write_table(pa.table({"a": ["1"], "b": ["2"]}), tmp_path / "b.parquet")
    source = Source(path=["a.csv", "b.parquet"])
    text, other = open_input(find_files(source, tmp_path), source)
    [batch], [one] = text.batches(), other.batches()
    assert batch.place
    [again] = text.batches_at([batch.place])
    assert (again.digest, again.frame.rows()) == (batch.digest, batch.frame.rows())
    assert one.place is None
    with pytest.raises(TypeError, match=r"b\.parquet"):
        other.batches_at([batch.place])
