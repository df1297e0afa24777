"""What names say: of a file its kind, of a folder which of its files are tables."""

from __future__ import annotations

import pytest

from batchpost.errors import InputRefused
from batchpost.kinds import ending_of, form_of, is_marker, tables_of, unreadable_ending


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.csv", ".csv"),
        ("a.b.TSV.GZ", ".tsv.gz"),
        ("a.txt.zst", ".txt.zst"),
        ("part-0.c000.snappy.parquet", ".parquet"),
        ("a.XLSX", ".xlsx"),
        ("a.xlsm", ".xlsm"),
        ("a.gz", ""),
        ("csv", ""),
        ("a.xls", ""),
        ("", ""),
    ],
)
def test_an_ending_says_what_a_file_is(name: str, ending: str) -> None:
    assert ending_of(name) == ending
    assert bool(form_of(name)) == bool(ending)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.xls", "save the workbook as .xlsx"),
        ("a.xlsb", "save the workbook as .xlsx"),
        ("a.ods", "save the workbook as .xlsx"),
        ("a.xlsx.gz", ".xlsx.gz files are not supported yet"),
        ("a.parquet.zst", ".parquet.zst files"),
        ("a.JSONL", "save the table as CSV UTF-8 or Parquet"),
    ],
)
def test_what_cannot_be_read_yet_is_named(name: str, told: str) -> None:
    assert told in (unreadable_ending(name) or "")


def test_what_spark_leaves_beside_a_table_is_no_table() -> None:
    files = [
        "_SUCCESS",
        "_committed_12",
        "_started_12",
        ".part-0.csv.crc",
        "part-0.csv.crc",
        ".hidden.csv",
        "_draft.csv",
    ]
    assert tables_of("out", [*files, "part-1.csv", "part-0.csv", "notes.md"], ["_temporary"]) == [
        "part-0.csv",
        "part-1.csv",
    ]
    assert [name for name in files if is_marker(name)] == files[:5]


@pytest.mark.parametrize(
    ("files", "folders", "message"),
    [
        (["part-0.parquet"], ["_delta_log"], "is a Delta table"),
        (["a.parquet"], [".hoodie"], "is a Hudi table"),
        ([], ["data", "metadata"], "is an Iceberg table"),
        ([], ["date=2025-01-02", "date=2025-01-01"], r"divided into folders by 'date', .* read out/\*\*/\*\.parquet"),
        (["part-00000", "_SUCCESS"], [], "out/part-00000: has no ending"),
    ],
)
def test_a_folder_that_is_more_than_its_files_is_refused(files: list[str], folders: list[str], message: str) -> None:
    with pytest.raises(InputRefused, match=message):
        tables_of("out", files, folders)


def test_other_folders_are_let_pass() -> None:
    assert tables_of("in", ["a.csv"], ["archive", "data", "metadata", "old"]) == ["a.csv"]
