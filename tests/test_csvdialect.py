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
    [
        *("a,b;c\n", "a,b;c\n1,2;3\n", "a,b;c\n1\n", 'a,b;c\n5" x\n', "a,b;c\n1,2;3\n4,5;6\n"),
        "a,b;2024\n1,5;7\n2,5;8\n",
    ],
    ids=["no records", "both fit", "neither fits", "faulty", "both fit longer", "one looks like a row"],
)
def test_an_ambiguous_delimiter_is_asked_for(head: str) -> None:
    with pytest.raises(InputRefused, match=r"divided by ',' or ';'.*delimiter ="):
        header(head)
    assert header(head, delimiter=";", header_row=1).columns[0] == "a,b"


@pytest.mark.parametrize(("names", "line"), [('"Lead,"Name"', 1), ('Le"ad,Name', 1), ('May\nLe"ad,Name', 2)])
def test_a_header_whose_quotes_are_not_right_is_not_taken_for_a_title(names: str, line: int) -> None:
    with pytest.raises(
        InputRefused, match=rf"line {line}: this may be the header .*: it has cells, and quotes"
    ) as caught:
        header(f"{names}\nAnna,Bern\nBen,Basel\nCleo,Chur\n")
    assert f"[source] header_row = {line}" in caught.value.hint
    assert header('The "best" of May\nLead,Name\nAnna,Bern\nBen,Basel\n').columns == ("Lead", "Name")


def test_apostrophes_of_a_cell_are_no_quotes_of_the_file() -> None:
    with pytest.raises(InputRefused, match=r"what is above it may be titles.*\[source\] header_row = 2"):
        header("Lead\n';'\n")
    assert header("Lead\n';'\n", delimiter=",").dialect.quote == '"'


def test_a_table_above_another_one_is_not_taken_for_titles() -> None:
    with pytest.raises(InputRefused, match=r"line 1: the lines above line 3 .* divided by ','.*header_row = 3"):
        header("Lead,Pay\ntxn_1,12.50\nLead;Pay\ntxn_2;8.00\n")
    assert header("Report, March\nLead;Pay\ntxn_2;8.00\n").columns == ("Lead", "Pay")
    assert header('"Lead","Pay"\n"txn_1","12.50"\n"Lead";"Pay"\n"txn_2";"8.00"\n').dialect.delimiter == ","


def test_what_may_be_a_header_is_not_taken_for_a_title_of_another_delimiter() -> None:
    with pytest.raises(InputRefused, match=r"line 1: this may be the header or not") as caught:
        header("2024;Lead;Payout;City\n;;;1,25\n1,25;;;\n")
    assert "[source] header_row = 1" in caught.value.hint


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
        ("\n,\n", 1, "the header is empty.*header_row"),
        (" , ,\n1,2,3\n4,5,6\n", 2, "this may be the header or not: column 1 of it is a number"),
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
    assert mended == Source(path="a", delimiter=";", header_row=1, null_values=["x"])
    assert as_mended(b"a,b\nbatchpost_row,1\n", settings) is None
    assert as_mended(b"my_batchpost_row,1\n", settings) is None


# -- what is found out, with its evidence ------------------------------------------------------------------------------


def decided(head: str, name: str = "in.csv", **source: Any) -> dict[str, tuple[str, str]]:
    return {decision.key: (decision.value, decision.evidence) for decision in header(head, name, **source).decisions}


def test_titles_above_the_header_are_left_out_and_told() -> None:
    head = 'Sales report "May 2025"\n\n"Lead; ID";Payout\n1;2,50\n2;3,50\n'
    found = header(head)
    assert (found.columns, found.dialect.header_line, found.line) == (("Lead; ID", "Payout"), 3, 4)
    assert decided(head)["header_row"] == (
        "3",
        "2 lines of titles above it; it and the 2 rows below it have 2 cells each",
    )


@pytest.mark.parametrize(
    ("head", "source", "evidence"),
    [
        ("a;b,c\n1;2\n3;4\n", {}, "it divides the header and the 2 records below it into 2 cells, and ',' does not"),
        ("a;b\n", {}, "it divides the header into 2 cells"),
        ("a;b\n1;2\n", {"delimiter": ";"}, "as the job says"),
        ("sep=;\na;b\n1;2\n", {}, "its sep= line says so"),
    ],
)
def test_a_delimiter_has_its_evidence(head: str, source: dict[str, str], evidence: str) -> None:
    assert decided(head, **source)["delimiter"] == (";", evidence)


def test_a_german_file_with_decimal_commas_is_divided_by_semicolons() -> None:
    assert header("Lead;Betrag\ntxn_1;12,50\ntxn_2;1,75\n").dialect.delimiter == ";"
    assert header("Lead ID;Payout\n1;1,50\n2;2,50\n").columns == ("Lead ID", "Payout")
    titled = "Bericht Juli\n\nLead;Betrag;Wann\ntxn_1;12,50;01.07.2025\ntxn_2;1,75;02.07.2025\n"
    assert (header(titled).columns, header(titled).line) == (("Lead", "Betrag", "Wann"), 4)
    assert header("Lead ID;Payout;Name\na;1,50;x\nb;2,50;y\nc;3,50;z\n").columns == ("Lead ID", "Payout", "Name")


def test_cells_between_apostrophes_are_quoted_by_them_unless_the_job_says_otherwise() -> None:
    head = "'Lead ID','Pay,out'\n'1','2'\n"
    found = header(head)
    assert (found.columns, found.dialect.quote) == (("Lead ID", "Pay,out"), "'")
    assert decided(head)["quote"] == ("'", "the header begins and ends with one")
    assert header("'a','b'\n1,2\n", quote='"').columns == ("'a'", "'b'")


@pytest.mark.parametrize("delimiter", ["~", "^", "\x01"])
def test_a_rare_delimiter_is_asked_for(delimiter: str) -> None:
    head = f"a{delimiter}b\n1{delimiter}2\n"
    with pytest.raises(InputRefused, match=r"cells may be divided by .* delimiter = ") as caught:
        header(head)
    assert caught.value.line == 1
    assert header(head, delimiter=delimiter).columns == ("a", "b")
    assert header(head, delimiter=",").columns == (f"a{delimiter}b",)


def test_a_table_without_a_header_is_refused_with_the_key_to_set() -> None:
    with pytest.raises(InputRefused, match=r"line 1: this may be .* column 2 of it is a number.*header_row = 1"):
        header("txn,12.50\ntxn,8.00\n")
    assert header("txn,12.50\ntxn,8.00\n", header_row=1).columns == ("txn", "12.50")
