"""Headers and delimiters: stated, noted, seen, or refused; never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchpost.batch import InputFile
from batchpost.charset import Charset
from batchpost.csvdialect import Header, as_mended, read_header
from batchpost.errors import InputRefused, UsageError
from batchpost.job import Source


def header(head: str, name: str = "in.csv", **source: Any) -> Header:
    file = InputFile(Path("/") / name, name, "csv")
    return read_header(head.encode(), file, Charset("utf-8"), Source(path=name, **source))


@pytest.mark.parametrize(
    ("head", "delimiter", "columns"),
    [
        ("a,b\n1,2\n", ",", ("a", "b")),
        ("a;b\n1;2\n", ";", ("a", "b")),
        ("a\tb\n1\t2\n", "\t", ("a", "b")),
        ("a|b\n1|2\n", "|", ("a", "b")),
        ("Lead ID\n1\n", ",", ("Lead ID",)),
        ('"a,b";c\n1;2\n', ";", ("a,b", "c")),
        ("Name, full;City\nDoe;NY\n\nRoe;LA\n", ";", ("Name, full", "City")),
        ("a,b;c\n1,2\n", ",", ("a", "b;c")),
        ('a;b,c\n1;"2\n3"\n', ";", ("a", "b,c")),
    ],
)
def test_the_delimiter_is_what_divides_header_and_records_alike(
    head: str, delimiter: str, columns: tuple[str, ...]
) -> None:
    found = header(head)
    assert (found.dialect.delimiter, found.columns) == (delimiter, columns)


@pytest.mark.parametrize(
    "head",
    ["a,b;c\n", "a,b;c\n1,2;3\n", "a,b;c\n1\n", 'a,b;c\n5" x\n', "a,b;c\n1,2;3\n4,5;6\n"],
    ids=["no records", "both fit", "neither fits", "faulty", "both fit longer"],
)
def test_an_ambiguous_delimiter_is_asked_for(head: str) -> None:
    with pytest.raises(InputRefused, match=r"divided by ',' or ';'.*delimiter ="):
        header(head)
    assert header(head, delimiter=";").columns == ("a,b", "c")


def test_a_tsv_file_is_divided_by_tabs_where_it_has_any() -> None:
    assert header("a,b\tc\n1,2\t3\n", "in.TSV.gz").columns == ("a,b", "c")
    assert header("a;b\n1;2\n", "in.tsv").columns == ("a", "b")


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=;\r"])
def test_a_sep_line_is_honoured_and_counts_as_a_line(first: str) -> None:
    found = header(f"{first}\na,b;c\n1;2\n")
    assert (found.columns, found.dialect.delimiter, found.dialect.header_line, found.line) == (("a,b", "c"), ";", 2, 3)
    assert header(f"{first}\na;b\n", header_row=1).columns == ("a", "b")
    assert header(f"{first}\nTitle\na;b\n", header_row=3).columns == ("a", "b")


def test_a_sep_line_against_the_job_is_refused() -> None:
    assert header("sep=;\na;b\n", delimiter=";").columns == ("a", "b")
    with pytest.raises(InputRefused, match="line 1: its first line says sep=;, but"):
        header("sep=;\na;b\n", delimiter=",")
    with pytest.raises(InputRefused, match="no ASCII"):
        read_header(b"sep=\xa6\na;b\n", InputFile(Path("/a"), "a", "csv"), Charset("utf-8"), Source(path="a"))


@pytest.mark.parametrize("where", [{"header_row": 3}, {"skip_rows": 2}, {"header_row": 3, "skip_rows": 2}])
def test_title_lines_are_left_out_as_the_job_says(where: dict[str, int]) -> None:
    found = header('Report "May\n\na,b\n1,2\n', **where)
    assert (found.columns, found.dialect.header_line, found.line) == (("a", "b"), 3, 4)
    assert found.preamble == b'Report "May\n\na,b\n'


def test_header_row_and_skip_rows_must_agree() -> None:
    with pytest.raises(UsageError, match="disagree"):
        header("x\na,b\n", header_row=3, skip_rows=1)


def test_a_header_beyond_the_end_is_refused() -> None:
    with pytest.raises(InputRefused, match="should be on line 9"):
        header("a,b\n1,2\n", header_row=9)


@pytest.mark.parametrize(
    ("head", "line", "message"),
    [
        ("a,b, a \n", 1, "columns 1 and 3 have the same name, 'a'"),
        ("a,,column 2\n", 1, "columns 2 and 3 have the same name, 'column 2'"),
        ("\na,b\n", 1, "the header is empty.*header_row"),
        (" , ,\n1,2,3\n", 1, "the header is empty"),
        ('a,"b\n1,2\n', 1, "a quote is opened here and never closed"),
        ('"a\nb","c\n', 2, "a quote is opened here and never closed"),
        ('a"b,c\n', 1, "stray quote"),
        ("a,b\r1,2\r", 1, "carriage return.*LF or CRLF"),
        ("a,b" * 1000, 1, "the header: it is longer than"),
    ],
)
def test_an_unsound_header_is_refused(head: str, line: int, message: str) -> None:
    with pytest.raises(InputRefused, match=message) as caught:
        header(head)
    assert caught.value.line == line


def test_names_are_trimmed_and_empty_ones_numbered() -> None:
    assert header("\u00a0a , b c,,\n").columns == ("a", "b c", "column 3", "column 4")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"delimiter": "¦"}, "one ASCII character"),
        ({"delimiter": "\n"}, "one ASCII character"),
        ({"quote": "“"}, "one ASCII character"),
        ({"delimiter": '"'}, "the same character"),
    ],
)
def test_impossible_settings_are_mistakes_of_the_job(source: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        header("a,b\n", **source)


@pytest.mark.parametrize(("end", "newline"), [("\n", "\n"), ("\r\n", "\r\n")])
def test_the_dialect_is_told(end: str, newline: str) -> None:
    dialect = header(f"a;b{end}1;2{end}").dialect
    assert (dialect.encoding, dialect.delimiter, dialect.quote, dialect.newline) == ("utf-8", ";", '"', newline)


def test_a_mended_file_is_known_by_its_column() -> None:
    settings = Source(path="a", quote="'", skip_rows=4, encoding="cp1252", delimiter="|", null_values=["x"])
    mended = as_mended(b'"a;b";batchpost_row\n1;2\n', settings)
    assert mended == Source(path="a", delimiter=";", null_values=["x"])
    assert as_mended(b"a,b\nbatchpost_row,1\n", settings) is None
    assert as_mended(b"my_batchpost_row,1\n", settings) is None
