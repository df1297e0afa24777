"""CSV files on disk → batches of text: every cell exactly, every line right, in the same batches each time."""

from __future__ import annotations

import csv
import gzip
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchpost.batch import Batch, InputFile
from batchpost.csvfile import CsvFile
from batchpost.csvgrammar import Limits
from batchpost.errors import InputChanged, InputRefused
from batchpost.job import Source

Open = Callable[..., CsvFile]
TINY = Limits(block_bytes=7, rows=2)
SINGLE = Limits(block_bytes=4, rows=1)  # a row a batch, where no cell is quoted


@pytest.fixture
def open_csv(tmp_path: Path) -> Open:
    def write(content: str | bytes, limits: Limits | None = None, name: str = "in.csv", **source: Any) -> CsvFile:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return CsvFile(InputFile(path, name, "csv"), Source(path=name, **source), limits)

    return write


def rows(file: CsvFile) -> list[tuple[str, ...]]:
    return [row for batch in file.batches() for row in batch.frame.rows()]


def lines(file: CsvFile) -> list[int]:
    return [line for batch in file.batches() for line in batch.lines]


# --- what comes out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [None, TINY], ids=["one block", "tiny blocks"])
@pytest.mark.parametrize(
    ("text", "expected", "starts"),
    [
        ("a,b\n1,2\n3,4\n", [("1", "2"), ("3", "4")], [2, 3]),
        ("a,b\r\n1,2\n3,4\r\n5,6", [("1", "2"), ("3", "4"), ("5", "6")], [2, 3, 4]),
        ("a,b\n1,2\n\n3,4\n\r\n", [("1", "2"), ("", ""), ("3", "4"), ("", "")], [2, 3, 4, 5]),
        ("a,b\n\n\n1,2\n", [("", ""), ("", ""), ("1", "2")], [2, 3, 4]),
        ("a\nx\n\ny\n\n", [("x",), ("",), ("y",), ("",)], [2, 3, 4, 5]),
        ('a,b\n"x\ny","1,2"\n"say ""hi""",\n', [("x\ny", "1,2"), ('say "hi"', "")], [2, 4]),
        ('a,b\n"\n\n\n",1\n2,"\r\n"\n3,4\n', [("\n\n\n", "1"), ("2", "\r\n"), ("3", "4")], [2, 6, 8]),
        ('a,b\n"",""""\n', [("", '"')], [2]),
        ("a,b\n00123,1.02E+17\nNULL,N/A\n", [("00123", "1.02E+17"), ("NULL", "N/A")], [2, 3]),
        ("a,b\n x , y \n", [(" x ", " y ")], [2]),
        ("a,b\n#c,=1+1\n", [("#c", "=1+1")], [2]),
        ("a,b\n\ufeffx,\ufeff\n", [("\ufeffx", "\ufeff")], [2]),
        ('"a\nb",c\n1,2\n', [("1", "2")], [3]),
        ("a,b\nö€😀,\u00a0\u200b\n", [("ö€😀", "\u00a0\u200b")], [2]),
    ],
)
def test_cells_and_lines_come_out_exactly(
    open_csv: Open, limits: Limits | None, text: str, expected: list[tuple[str, ...]], starts: list[int]
) -> None:
    file = open_csv(text, limits)
    assert (rows(file), lines(file)) == (expected, starts)


CELL = st.text(
    st.one_of(
        st.sampled_from(",;\"'\n\r \t=|x\ufeff"), st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1a")
    ),
    max_size=6,
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], str, str, Any]:
    """Rows of 1 to 4 cells, and the delimiter, line end and quoting to write them with."""
    width = draw(st.integers(1, 4))
    table = draw(st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=12))
    return (
        table,
        draw(st.sampled_from(",;\t|")),
        draw(st.sampled_from(["\n", "\r\n"])),
        draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), st.integers(1, 40), st.integers(1, 5), st.booleans())
def test_whatever_csv_writer_writes_reads_back_at_any_block_size(
    open_csv: Open, written: tuple[list[list[str]], str, str, Any], block: int, most: int, ended: bool
) -> None:
    table, delimiter, newline, quoting = written
    if quoting == csv.QUOTE_MINIMAL and newline == "\n":  # it would leave a carriage return unquoted
        table = [[cell.replace("\r", "") for cell in row] for row in table]
    records = []
    for row in [[f"c{n}" for n in range(len(table[0]))], *table]:
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=quoting).writerow(row)
        records.append(out.getvalue())
    text = "".join(records)
    starts = [1 + "".join(records[:n]).count("\n") for n in range(1, len(records))]
    file = open_csv(text if ended else text.removesuffix(newline), Limits(block, most), delimiter=delimiter)
    assert [list(row) for row in rows(file)] == table
    assert lines(file) == starts


def test_a_long_file_of_folded_cells_reads_as_pythons_own_reader_has_it(open_csv: Open) -> None:
    random = Random(7)
    table = [["".join(random.choices('ab,"\n', k=random.randrange(9))) for _ in range(3)] for _ in range(20_000)]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([["a", "b", "c"], *table])
    reader = csv.reader(io.StringIO(out.getvalue(), newline=""))
    ends = [reader.line_num for _ in reader]
    file = open_csv(out.getvalue())
    assert [list(row) for row in rows(file)] == table
    assert lines(file) == [end + 1 for end in ends[:-1]]


def test_a_batch_is_numbered_from_the_rows_before_it_and_the_last_is_marked(open_csv: Open) -> None:
    file = open_csv("a,b\n" + "1,2\n" * 5, Limits(block_bytes=9, rows=1))
    batches = list(file.batches(index=3))
    assert [batch.first_row for batch in batches] == [
        1 + sum(b.frame.height for b in batches[:n]) for n in range(len(batches))
    ]
    assert [batch.last for batch in batches] == [False] * (len(batches) - 1) + [True]
    assert {batch.file for batch in batches} == {3}
    assert len(batches) > 1


def test_the_frame_is_all_text_under_the_names_of_the_header(open_csv: Open) -> None:
    [batch] = open_csv("Lead ID, Payout ,,Lead id\n1,2,3,4\n").batches()
    assert batch.frame.schema == dict.fromkeys(["Lead ID", "Payout", "column 3", "Lead id"], pl.String)
    assert batch.lines.dtype == pl.UInt64


def test_null_values_become_empty_cells(open_csv: Open) -> None:
    assert rows(open_csv("a,b\nNULL, n/a \nnull,NULLS\n", null_values=["NULL", "n/a"])) == [("", ""), ("null", "NULLS")]


def test_without_quoting_quotes_are_text(open_csv: Open) -> None:
    assert rows(open_csv('a,b\n5" pipe,"x\n', quote="")) == [('5" pipe', '"x')]


def test_another_quote_character(open_csv: Open) -> None:
    assert rows(open_csv("a,b\n'x,''y''',5\" pipe\n", quote="'")) == [("x,'y'", '5" pipe')]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [None, TINY], ids=["one block", "tiny blocks"])
@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", 3, "3 cells, more than the 2 of the header"),
        ("a,b\n1,2\n1\n", 3, "1 cell, fewer than the 2"),
        ("a,b\n1,2\n\n   \n", 4, "1 cell, fewer than the 2"),
        ('a,b\n"x\ny",2\n1\n', 4, "1 cell"),
        ("a,b\n1,2\n3", 3, "1 cell"),
        ('a,b\n1,2\n5" pipe,2\n', 3, "stray quote"),
        ('a,b\n1, "2"\n', 2, "stray quote"),
        ('a,b\n"x"y,2\n', 2, "text after a closing quote"),
        ('a,b\n"x" ,2\n', 2, "text after a closing quote"),
        ('a,b\n1,2\n3,"x\n4,5\n6,7\n', 3, "never closed"),
        ('a,b\n"x\n\ny","z\n', 4, "never closed"),
        ("a,b\n1,2\r3,4\r", 2, "carriage return"),
        ("a,b\r1,2\n3,4\r", 2, "a line feed"),
        ("a,b\n1,2\n3,\0\n", 3, "NUL"),
        ("a,b\n1,2\n\x1a", 3, "Ctrl-Z"),
        ("a,b\n1,2\n3,4\x1a\r\n", 3, "Ctrl-Z"),
    ],
)
def test_an_unsound_record_is_refused_by_its_line(
    open_csv: Open, limits: Limits | None, text: str, line: int, message: str
) -> None:
    with pytest.raises(InputRefused, match=message) as caught:
        rows(open_csv(text, limits))
    assert caught.value.line == line
    assert caught.value.hint


@pytest.mark.parametrize("limits", [None, TINY], ids=["one block", "tiny blocks"])
@pytest.mark.parametrize(
    ("text", "torn"),
    [
        ("a,b\n1,2\n3", True),
        ("a,b\r1,2\r3", True),
        ("a,b\n1,2\n3\n", False),
        ("a,b\n1\n3,4", False),
        ("a,b\n1,2\n3,4,5", False),
    ],
)
def test_a_file_that_ends_in_the_middle_of_a_line_is_to_be_fetched_again(
    open_csv: Open, limits: Limits | None, text: str, torn: bool
) -> None:
    """Mending the line would hide that others are missing."""
    with pytest.raises(InputRefused) as caught:
        rows(open_csv(text, limits))
    assert ("fetch or export it again" in caught.value.hint) is torn


def test_nothing_of_a_file_is_withheld_or_sent_on_before_the_fault(open_csv: Open) -> None:
    seen: list[Batch] = []
    with pytest.raises(InputRefused, match="line 6"):
        seen.extend(open_csv("a,b\n1,2\n3,4\n5,6\n7,8\n9\n", Limits(8, 1)).batches())


def test_a_record_that_does_not_end_is_refused_before_it_fills_the_memory(open_csv: Open) -> None:
    file = open_csv('a,b\n1,2\n3,"' + "x\n" * 5000, Limits(block_bytes=64, rows=8, record_bytes=1000))
    with pytest.raises(InputRefused, match="line 3: a quote is opened here"):
        rows(file)
    file = open_csv("a,b\n1,2\n3," + "x" * 5000, Limits(block_bytes=64, rows=8, record_bytes=1000))
    with pytest.raises(InputRefused, match="line 3: a record of more than"):
        rows(file)


@pytest.mark.parametrize("limits", [None, TINY], ids=["one block", "tiny blocks"])
def test_ragged_rows_are_set_apart_where_the_job_rejects_them(open_csv: Open, limits: Limits | None) -> None:
    file = open_csv('a,b\n1,2\nx\n3,4\n"y\nz",1,2\n5,6\n', limits, ragged="reject")
    assert rows(file) == [("1", "2"), ("", ""), ("3", "4"), ("", ""), ("5", "6")]
    assert lines(file) == [2, 3, 4, 5, 7]
    assert [batch.first_row + offset for batch in file.batches() for offset in batch.ragged] == [2, 4]


def test_what_is_not_even_a_record_is_refused_also_where_ragged_rows_are_rejected(open_csv: Open) -> None:
    with pytest.raises(InputRefused, match="line 3: a stray quote"):
        rows(open_csv('a,b\nx\n5" pipe,1\n', ragged="reject"))


# --- nothing there ----------------------------------------------------------------------------------------------------


def test_a_file_of_no_bytes_is_refused_at_once(open_csv: Open) -> None:
    for content in (b"", b"\xef\xbb\xbf"):
        with pytest.raises(InputRefused, match="is empty"):
            open_csv(content)


def test_a_header_alone_is_refused_when_read(open_csv: Open) -> None:
    for text in ("a,b\n", "a,b"):
        with pytest.raises(InputRefused, match="a header and no rows"):
            rows(open_csv(text, TINY))


@pytest.mark.parametrize(("text", "columns"), [("", ()), ("a,b\r\n", ("a", "b")), ("a,b", ("a", "b"))])
def test_an_empty_file_has_no_batch_where_the_job_allows_it(
    open_csv: Open, text: str, columns: tuple[str, ...]
) -> None:
    file = open_csv(text, empty="ok")
    assert list(file.batches()) == []
    assert file.columns == columns
    assert file.fingerprint
    assert (file.fingerprint.rows, file.fingerprint.bytes) == (0, len(text))


# --- the second pass --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [None, TINY])
def test_two_passes_over_an_unchanged_file_are_the_same(open_csv: Open, limits: Limits | None) -> None:
    file = open_csv('a,b\n1,2\n"3\n",4\n5,6\n', limits)
    first, second = ([(b.digest, b.first_row, b.frame.rows()) for b in file.batches()] for _ in range(2))
    assert first == second
    assert {len(digest) for digest, _, _ in first} == {16}


@pytest.mark.parametrize(
    "after",
    ["a,b\n1,2\n3,5\n", "a,b\n1,2\n3,4\n5,6\n", "a,b\n1,2\n", "a,b\n3,4\n1,2\n", 'a,b\n1,2\n3,"4"\n'],
    ids=["a cell", "appended", "cut off", "sorted", "quoted anew"],
)
@pytest.mark.parametrize("limits", [None, TINY])
def test_a_changed_file_has_other_digests(open_csv: Open, limits: Limits | None, after: str) -> None:
    before = [batch.digest for batch in open_csv("a,b\n1,2\n3,4\n", limits).batches()]
    assert [batch.digest for batch in open_csv(after, limits).batches()] != before


def test_the_same_rows_under_another_header_have_other_digests(open_csv: Open) -> None:
    [before], [after] = (open_csv(f"{header}\n1,2\n", name=f"{header}.csv").batches() for header in ("a,b", "b,a"))
    assert before.digest != after.digest


@pytest.mark.parametrize("after", ["b,a\n1,2\n", "", "a"])
def test_a_header_that_changed_since_stops_the_pass(open_csv: Open, tmp_path: Path, after: str) -> None:
    file = open_csv("a,b\n1,2\n")
    (tmp_path / "in.csv").write_text(after)
    with pytest.raises(InputChanged, match=r"in\.csv"):
        rows(file)


# --- batches by their places ------------------------------------------------------------------------------------------


def same(one: Batch, other: Batch) -> bool:
    """Whether two batches are alike in everything."""
    alike = one.frame.equals(other.frame) and one.lines.equals(other.lines)
    values = [
        (batch.file, batch.first_row, batch.ragged, batch.digest, batch.last, batch.place) for batch in (one, other)
    ]
    return alike and values[0] == values[1]


RECORDS = st.sampled_from(["1,2", "", ",", '"x\ny",z', '"a""b",', "é,ü", "alone", '"\r\n\n",1'])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(RECORDS, min_size=1, max_size=40),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([None, TINY, Limits(block_bytes=31, rows=5), Limits(block_bytes=200, rows=3)]),
    st.data(),
)
def test_a_batch_read_by_its_place_is_the_batch(
    open_csv: Open, records: list[str], end: str, ended: bool, mark: bytes, limits: Limits | None, data: st.DataObject
) -> None:
    text = mark + (f"a,b{end}" + end.join(records) + end * ended).encode()
    file = open_csv(text, limits, ragged="reject", empty="ok")
    batches = list(file.batches(3))
    wanted = data.draw(st.lists(st.sampled_from(range(len(batches))), unique=True)) if batches else []
    places = [place for number in wanted if (place := batches[number].place)]
    assert len(places) == len(wanted)
    again = list(file.batches_at(places, 3))
    assert all(same(one, batches[number]) for one, number in zip(again, wanted, strict=True))


def test_only_what_is_asked_for_is_read(open_csv: Open, tmp_path: Path) -> None:
    file = open_csv("a,b\n1,2\n3,4\n5,6\n7,8\n", SINGLE)
    places = [batch.place for batch in file.batches()]
    (tmp_path / "in.csv").write_text('a,b\n"""\n3,4\n"""\n7,8\n')
    assert [batch.frame.rows() for batch in file.batches_at([place for place in places if place][1::2])] == [
        [("3", "4")],
        [("7", "8")],
    ]


@pytest.mark.parametrize(
    ("after", "error"),
    [
        ("b,a\n1,2\n3,4\n", InputChanged),
        ("a,b\n1,2\n3,4\n5,6\n", InputRefused),
        ("a,b\n1,2\n3,4\nx", InputRefused),
        ('a,b\n1,2\n"""\n', InputRefused),
    ],
    ids=["other header", "longer", "one more byte", "unsound"],
)
def test_a_place_in_a_file_that_changed_is_refused(
    open_csv: Open, tmp_path: Path, after: str, error: type[Exception]
) -> None:
    file = open_csv("a,b\n1,2\n3,4\n", SINGLE)
    *_, last = file.batches()
    assert last.place
    (tmp_path / "in.csv").write_text(after)
    with pytest.raises(error, match=r"in\.csv"):
        list(file.batches_at([last.place]))


@pytest.mark.parametrize("after", ["a,b\n1,2\n3,5\n", "a,b\n1,2\n3\n", "a,b\n1,2\n", "a,b\n"])
def test_a_batch_of_other_text_at_its_place_has_another_digest(open_csv: Open, tmp_path: Path, after: str) -> None:
    file = open_csv("a,b\n1,2\n3,4\n", SINGLE, ragged="reject")
    *_, last = file.batches()
    assert last.place
    (tmp_path / "in.csv").write_text(after)
    [again] = file.batches_at([last.place])
    assert again.digest != last.digest


@pytest.mark.parametrize(
    ("content", "source"),
    [
        (gzip.compress(b"a,b\n1,2\n"), {}),
        ("a,b\n1,2\n".encode("utf-16"), {}),
        ("a,b\né,2\n".encode("cp1252"), {"encoding": "cp1252"}),
        (b"a,b\r1,2\r", {}),
    ],
    ids=["packed", "UTF-16", "a code page", "CR"],
)
def test_where_bytes_are_not_the_text_batches_have_no_place(
    open_csv: Open, content: bytes, source: dict[str, Any]
) -> None:
    assert [batch.place for batch in open_csv(content, **source).batches()] == [None]


def test_the_fingerprint_is_of_the_bytes_on_disk(open_csv: Open) -> None:
    import hashlib

    text = "a,b\n1,2\n3,4\n"
    file = open_csv(text.encode("utf-16"), TINY)
    assert file.fingerprint is None
    rows(file)
    assert file.fingerprint
    assert file.fingerprint.sha256 == hashlib.sha256(text.encode("utf-16")).hexdigest()
    assert (file.fingerprint.path, file.fingerprint.rows) == ("in.csv", 2)
    assert file.fingerprint.bytes == len(text.encode("utf-16"))


def test_memory_does_not_grow_with_the_file(open_csv: Open) -> None:
    def peak(count: int) -> int:
        file = open_csv("a,b\n" + "some text,more text\n" * count, Limits(block_bytes=1 << 14, rows=500))
        tracemalloc.start()
        for _ in file.batches():
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)  # what is imported or compiled once
    assert peak(60_000) < 1.5 * peak(6_000) + 100_000


# --- encodings and to_fix.csv -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "stated", "shown"),
    [
        ("utf-8", None, "utf-8"),
        ("utf-8-sig", None, "utf-8 with a byte order mark"),
        ("utf-16", None, "utf-16-le with a byte order mark"),
        ("utf-16-be", "utf-16-be", "utf-16-be"),
        ("cp1252", "cp1252", "cp1252"),
        ("latin-1", "latin-1", "iso8859-1"),
        ("shift_jis", "shift_jis", "shift_jis"),
    ],
)
@pytest.mark.parametrize("limits", [None, TINY], ids=["one block", "tiny blocks"])
def test_every_encoding_reads_the_same(
    open_csv: Open, limits: Limits | None, encoding: str, stated: str | None, shown: str
) -> None:
    name = "名前" if encoding == "shift_jis" else "Zoë"
    file = open_csv(f"a,b\r\n{name},1\r\n\r\n2,{name}".encode(encoding), limits, encoding=stated)
    assert rows(file) == [(name, "1"), ("", ""), ("2", name)]
    assert lines(file) == [2, 3, 4]
    assert file.dialect
    assert (file.dialect.encoding, file.dialect.newline) == (shown, "\r\n")


ODD = {"encoding": "utf-16-le", "delimiter": "|", "quote": "'", "skip_rows": 3, "header_row": 4}


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-16")])
def test_a_mended_file_is_read_in_its_own_dialect_whatever_the_job_says(
    open_csv: Open, delimiter: str, encoding: str
) -> None:
    cells = [["Näme; x", "batchpost_row"], ["'=1+1", "7"], ["''=1", "8"], ["'tis", "9"]]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(cells)
    file = open_csv(out.getvalue().encode(encoding), **ODD)
    assert file.is_to_fix
    assert rows(file) == [("=1+1", "7"), ("'=1", "8"), ("'tis", "9")]


def test_a_mended_file_in_a_spreadsheets_old_encoding_is_refused_with_what_to_save_it_as(open_csv: Open) -> None:
    with pytest.raises(InputRefused, match=r'line 2: the text is not utf-8\. Save it as "CSV UTF-8"'):
        rows(open_csv("a,batchpost_row\nZoë,1\n".encode("cp1252"), encoding="cp1252"))


def test_apostrophes_of_other_files_are_left_alone(open_csv: Open) -> None:
    file = open_csv("a,not_batchpost_row\n'=1,batchpost_row\n")
    assert not file.is_to_fix
    assert rows(file) == [("'=1", "batchpost_row")]


# -- lines that end in CR, and other things that are found out ---------------------------------------------------------


@pytest.mark.parametrize("limits", [None, Limits(block_bytes=7, rows=2)], ids=["one block", "tiny blocks"])
def test_lines_that_end_in_cr_alone_are_read_cell_for_cell(tmp_path: Path, limits: Limits | None) -> None:
    content = b'a;b\r1;"x\ry"\r\r2;"x\ny, \r\n"\r3;\r'
    (tmp_path / "in.csv").write_bytes(content)
    reader = CsvFile(InputFile(tmp_path / "in.csv", "in.csv", "csv"), Source(path="in.csv"), limits)
    batches = list(reader.batches())
    rows = [row for batch in batches for row in batch.frame.iter_rows()]
    assert rows == [("1", "x\ry"), ("", ""), ("2", "x\ny, \r\n"), ("3", "")]
    assert [line for batch in batches for line in batch.lines] == [2, 4, 5, 7]
    assert reader.dialect is not None
    assert reader.dialect.newline == "\r"


def test_a_line_feed_among_lines_that_end_in_cr_is_refused_by_its_line(tmp_path: Path) -> None:
    place = tmp_path / "in.csv"
    place.write_bytes(b"a,b\r" + b"1,2\r" * (1 << 18) + b"3,4\n5,6\r")
    reader = CsvFile(InputFile(place, "in.csv", "csv"), Source(path="in.csv"))
    with pytest.raises(InputRefused, match=r"a line feed.*in a file whose lines end in CR") as caught:
        list(reader.batches())
    assert caught.value.line == 2 + (1 << 18)


@pytest.mark.parametrize("record", [b"3,4\n\r", b'"3",4\n\r', b"\n\r"])
def test_lf_and_cr_the_wrong_way_round_end_no_line(tmp_path: Path, record: bytes) -> None:
    place = tmp_path / "in.csv"
    place.write_bytes(b"a,b\r1,2\r" + record + b"5,6\r")
    reader = CsvFile(InputFile(place, "in.csv", "csv"), Source(path="in.csv"))
    with pytest.raises(InputRefused, match=r"a line feed.*in a file whose lines end in CR") as caught:
        list(reader.batches())
    assert caught.value.line == 3


def test_lines_that_end_in_cr_may_be_fewer_than_the_line_feeds_in_their_cells(open_csv: Open) -> None:
    file = open_csv(b'Lead,"Note\nof a day"\r1,"a\n\nb"\r2,"c\r"\r')
    assert file.columns == ("Lead", "Note\nof a day")
    assert rows(file) == [("1", "a\n\nb"), ("2", "c\r")]
    assert lines(file) == [2, 3]


def test_a_short_file_that_is_cut_in_the_middle_of_a_character_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes("a,b\n1,Zü".encode()[:-1])
    with pytest.raises(InputRefused, match=r"in\.csv, line 2: ends in the middle of a character"):
        CsvFile(InputFile(tmp_path / "in.csv", "in.csv", "csv"), Source(path="in.csv"))


def test_a_file_that_is_utf_8_although_the_job_says_otherwise_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "in.csv"
    place.write_bytes("a,b\n1,2\n3,é\n".encode())
    reader = CsvFile(InputFile(place, "in.csv", "csv"), Source(path="in.csv", encoding="cp1252"))
    with pytest.raises(InputRefused, match=r"the text is UTF-8, but .* is cp1252\. Remove") as caught:
        list(reader.batches())
    assert caught.value.line == 3
    place.write_bytes("a,b\n1,2\n3,é\n".encode("cp1252"))
    reader = CsvFile(InputFile(place, "in.csv", "csv"), Source(path="in.csv", encoding="cp1252"))
    assert [batch.frame.row(-1) for batch in reader.batches()] == [("3", "é")]


@pytest.mark.parametrize(
    ("name", "pack", "said"),
    [
        ("in.csv.gz", gzip.compress, ("gzip", "its first bytes")),
        ("in.csv", gzip.compress, ("gzip", "its first bytes, although its name says otherwise")),
        ("in.csv.gz", bytes, ("not packed", "its first bytes, although its name says otherwise")),
    ],
)
def test_a_file_is_unpacked_by_its_content(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes], said: tuple[str, str]
) -> None:
    (tmp_path / name).write_bytes(pack(b"a,b\n1,2\n"))
    reader = CsvFile(InputFile(tmp_path / name, name, "csv", "gzip" if name.endswith("gz") else ""), Source(path=name))
    assert [batch.frame.rows() for batch in reader.batches()] == [[("1", "2")]]
    assert (reader.decisions[0].value, reader.decisions[0].evidence) == said


def test_everything_that_was_found_out_is_told(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes("\ufeffSales\r\na;b\r\n1;2\r\n".encode("utf-16-le"))
    reader = CsvFile(InputFile(tmp_path / "in.csv", "in.csv", "csv"), Source(path="in.csv"))
    assert [decision.said for decision in reader.decisions] == [
        *('encoding = "utf-16-le"', 'delimiter = ";"', "header_row = 2", "lines end in CRLF")
    ]
