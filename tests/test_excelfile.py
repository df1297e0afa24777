"""A workbook as batches of text: every cell exactly, rows by their number in the sheet, all else refused."""

from __future__ import annotations

import datetime as dt
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchpost import sheetxml, workbook
from batchpost.batch import Batch, Decision, InputFile
from batchpost.csvgrammar import Limits
from batchpost.errors import InputChanged, InputRefused, UsageError
from batchpost.excelfile import ExcelFile
from batchpost.job import Source
from batchpost.sandbox import Sandbox
from tests.workbooks import MAIN, table, workbook_parts, write_package
from tests.workspaces import Workspace, leads

Cells = list[list[Any]]


def excel(path: Path, limits: Limits | None = None, **source: Any) -> ExcelFile:
    return ExcelFile(InputFile(path, path.name, "excel"), Source(path=path.name, **source), limits)


def saved(
    path: Path, cells: Cells, *, row: int = 1, column: int = 1, formats: dict[tuple[int, int], str] | None = None
) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    for down, line in enumerate(cells):
        for across, value in enumerate(line):
            if value is not None:
                cell = sheet.cell(row + down, column + across, value)
                if isinstance(value, str):
                    cell.data_type = "s"
                if code := (formats or {}).get((down, across)):
                    cell.number_format = code
    book.save(path)
    return path


def raw(path: Path, rows: str, **parts: Any) -> Path:
    return write_package(path, workbook_parts(rows, **parts))


def read(file: ExcelFile) -> tuple[list[tuple[str, ...]], list[int]]:
    batches = list(file.batches())
    return [row for batch in batches for row in batch.frame.iter_rows()], [
        line for batch in batches for line in batch.lines.to_list()
    ]


def test_every_cell_is_its_exact_text(tmp_path: Path) -> None:
    moment = dt.datetime.fromisoformat("2025-03-04 16:30")
    line = ["00123", "a\nb", "  x ", 7, 7.5, True, moment, dt.date(2025, 3, 4), dt.time(16, 30), "#N/A", None, "=1"]
    path = saved(tmp_path / "t.xlsx", [[f"c{at}" for at in range(len(line))], line])
    rows, lines = read(excel(path))
    assert rows == [
        ("00123", "a\nb", "  x ", "7", "7.5", "true", "2025-03-04 16:30:00", "2025-03-04", "16:30:00", "#N/A", "", "=1")
    ]
    assert lines == [2]


def test_a_midnight_in_a_column_of_times_is_no_date(tmp_path: Path) -> None:
    midnight = dt.datetime.fromisoformat("2025-03-04")
    path = saved(
        tmp_path / "t.xlsx", [["a", "b"], [midnight, midnight]], formats={(1, 0): "m/d/yyyy h:mm", (1, 1): "m/d/yyyy"}
    )
    assert read(excel(path))[0] == [("2025-03-04 00:00:00", "2025-03-04")]


def test_errors_booleans_formulas_and_rich_text_as_a_spreadsheet_stores_them(tmp_path: Path) -> None:
    cells = (
        '<c r="A2" t="e"><f>NA()</f><v>#N/A</v></c><c r="B2" t="b"><v>0</v></c><c r="C2"><f>1+1</f><v>2</v></c>'
        '<c r="D2" t="str"><f>"x"</f><v>x_x000D_</v></c><c r="E2" t="str"><f>""</f><v></v></c>'
        '<c r="F2" t="s"><v>0</v></c>'
        '<c r="G2" t="d"><v>2025-03-04T16:30:00</v></c><c r="H2" s="0"/>'
    )
    strings = "<si><r><t>ri</t></r><r><t>ch</t></r><rPh sb='0' eb='1'><t>aside</t></rPh></si>"
    rows = f"{table(tuple('abcdefgh'))}<row r='2'>{cells}</row>"
    path = raw(tmp_path / "t.xlsx", rows, strings=strings)
    assert read(excel(path))[0] == [("#N/A", "false", "2", "x\r", "", "rich", "2025-03-04 16:30:00", "")]


def test_names_with_a_prefix_are_the_same_names(tmp_path: Path) -> None:
    parts = workbook_parts()
    rows = "<x:row><x:c t='inlineStr'><x:is><x:t>a</x:t></x:is></x:c></x:row><x:row><x:c><x:v>1</x:v></x:c></x:row>"
    parts["xl/worksheets/sheet1.xml"] = f'<x:worksheet xmlns:x="{MAIN}"><x:sheetData>{rows}</x:sheetData></x:worksheet>'
    assert read(excel(write_package(tmp_path / "t.xlsx", parts)))[0] == [("1",)]


@pytest.mark.parametrize(
    ("cell", "book"),
    [
        ("<c><f>1+1</f></c>", ""),
        ("<c><f>1+1</f><v></v></c>", ""),
        (
            "<c><f>1+1</f><v>0</v></c>",
            '<calcPr fullCalcOnLoad="1"/>',
        ),  # what programs store before Excel has worked it out
    ],
)
def test_a_formula_without_its_result_is_refused(tmp_path: Path, cell: str, book: str) -> None:
    path = raw(tmp_path / "t.xlsx", f"{table(('a',))}<row r='5'>{cell}</row>", book=book)
    with pytest.raises(
        InputRefused, match=r"t\.xlsx, line 5: the result of the formula in column A was never worked out"
    ):
        read(excel(path))


def test_rows_keep_their_number_wherever_the_table_lies(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.xlsx", [["id", "x"], ["a", 1], [None, None], ["b", None]], row=4, column=3)
    file = excel(path)
    assert file.columns == ("id", "x")
    assert read(file) == ([("a", "1"), ("b", "")], [5, 7])
    assert file.decisions == (
        Decision("sheet", "Sheet", "the only sheet"),
        Decision("header_row", "4", "the first row"),
    )


@pytest.mark.parametrize("source", [{"header_row": 3}, {"skip_rows": 2}])
def test_title_rows_are_left_out_where_the_job_says_so(tmp_path: Path, source: dict[str, Any]) -> None:
    path = saved(tmp_path / "t.xlsx", [["Report"], [None], ["id", "x"], ["a", 1]])
    file = excel(path, **source)
    assert (file.columns, read(file)) == (("id", "x"), ([("a", "1")], [4]))
    assert [decision.key for decision in file.decisions] == ["sheet"]


def test_title_rows_above_the_header_are_found(tmp_path: Path) -> None:
    titles = [["Sales of March"], [None], ["made by", "Ann"]]
    header = ["id", "status", "payout", "city"]
    path = saved(tmp_path / "t.xlsx", [*titles, header, *[[f"r{row}", "sold", row, "Rome"] for row in range(5)]])
    file = excel(path)
    assert (file.columns, read(file)[1]) == (tuple(header), [5, 6, 7, 8, 9])
    assert file.decisions[1].value == "4"
    assert "titles above it" in file.decisions[1].evidence


def test_a_sheet_without_a_header_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.xlsx", [["ann@x.example", 5], ["bob@x.example", 6]])
    with pytest.raises(InputRefused, match=r"line 1: this row may be the header or not: .* \[source\] header_row = 1"):
        excel(path)
    assert excel(path, header_row=1).columns == ("ann@x.example", "5")


def test_a_header_must_be_where_the_job_says(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.xlsx", [["id"], ["a"]])
    with pytest.raises(InputRefused, match="line 3: the header should be here"):
        excel(path, header_row=3)
    with pytest.raises(UsageError, match="disagree"):
        excel(path, header_row=3, skip_rows=5)


def test_a_column_without_a_name_is_kept_where_it_holds_something(tmp_path: Path) -> None:
    """pandas writes its index like that."""
    file = excel(saved(tmp_path / "t.xlsx", [[None, "id", None, "x"], [0, "a", None, 1], [1, "b", 2, 2]]))
    assert file.columns == ("column 1", "id", "column 3", "x")
    assert read(file)[0] == [("0", "a", "", "1"), ("1", "b", "2", "2")]


def test_a_cell_beside_the_header_is_refused_or_its_row_rejected(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.xlsx", [["id", "x"], ["a", 1], ["b", 2, None, "note"]])
    with pytest.raises(InputRefused, match="line 3: there is a cell in column D, where the header has none"):
        read(excel(path))
    [batch] = excel(path, ragged="reject").batches()
    assert (batch.ragged, batch.frame.rows()) == ((1,), [("a", "1"), ("", "")])


SHEETS = (("Notes", "hidden"), ("Leads", "visible"), ("Old", "veryHidden"), ("More", "visible"))


def test_the_first_sheet_that_is_not_hidden_is_read_and_the_others_are_told_of(tmp_path: Path) -> None:
    path = raw(tmp_path / "t.xlsx", table(("a",), ("1",)), sheets=SHEETS)
    with pytest.raises(InputRefused, match="its sheet 'Leads' is empty"):
        excel(path)
    file = excel(path, empty="ok")
    assert (file.columns, list(file.batches())) == ((), [])
    assert file.decisions == (Decision("sheet", "Leads", "the first sheet; not read: 'More'"),)


def test_the_job_names_a_sheet_hidden_or_not(tmp_path: Path) -> None:
    path = raw(tmp_path / "t.xlsx", table(("a",), ("1",)), sheets=SHEETS)
    assert read(excel(path, sheet="Notes"))[0] == [("1",)]
    with pytest.raises(InputRefused, match=r"has no sheet 'notes'\. It has 'Notes', 'Leads', 'Old', 'More'"):
        excel(path, sheet="notes")


def test_a_chart_is_no_sheet(tmp_path: Path) -> None:
    parts = workbook_parts(table(("a",), ("1",)), sheets=(("Data", "visible"), ("Chart", "visible")))
    part = "xl/_rels/workbook.xml.rels"
    parts[part] = parts[part].replace('/worksheet" Target="worksheets/sheet2', '/chartsheet" Target="worksheets/sheet2')
    assert excel(write_package(tmp_path / "t.xlsx", parts)).decisions[0].evidence == "the only sheet"


def test_batches_fingerprint_and_digests(tmp_path: Path) -> None:
    cells = [["id", "x"], *[[f"r{row}", row] for row in range(10)]]
    path = saved(tmp_path / "t.xlsx", cells)
    file = excel(path, Limits(rows=4))
    assert file.fingerprint is None
    batches: list[Batch] = list(file.batches(3))
    assert [(batch.file, batch.first_row, batch.frame.height, batch.last) for batch in batches] == [
        (3, 1, 4, False),
        (3, 5, 4, False),
        (3, 9, 2, True),
    ]
    content = path.read_bytes()
    assert file.fingerprint
    assert (file.fingerprint.sha256, file.fingerprint.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert file.fingerprint.rows == 10
    again = [batch.digest for batch in excel(path, Limits(rows=4)).batches()]
    assert again == [batch.digest for batch in batches]
    saved(path, [*cells[:-1], ["r9", 10]])
    changed = [batch.digest for batch in excel(path, Limits(rows=4)).batches()]
    assert [one == other for one, other in zip(again, changed, strict=True)] == [True, True, False]


def test_big_cells_make_small_batches(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.xlsx", [["id"], *[["x" * 100]] * 5])
    assert [batch.frame.height for batch in excel(path, Limits(block_bytes=200)).batches()] == [2, 2, 1]


def test_a_header_that_changed_between_two_passes_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.xlsx", [["id", "x"], ["a", 1]])
    for cells, row in (([["id", "y"], ["a", 1]], 1), ([["id", "x"], ["a", 1]], 2)):
        file = excel(saved(path, [["id", "x"], ["a", 1]]))
        saved(path, cells, row=row)
        with pytest.raises(InputChanged):
            list(file.batches())


def test_words_for_nothing_are_empty_cells(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.xlsx", [["id", "x"], ["a", "N/A"], ["b", " n/a"]])
    assert read(excel(path, null_values=["N/A"]))[0] == [("a", ""), ("b", " n/a")]


def test_a_to_fix_that_a_spreadsheet_saved_is_known_as_one(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.xlsx", [["'=id", "batchpost_row"], ["'=1+1", 5]])
    file = excel(path, sheet="Leads", header_row=7)
    assert file.is_to_fix
    assert file.columns == ("=id", "batchpost_row")
    assert read(file) == ([("=1+1", "5")], [2])
    assert not excel(saved(tmp_path / "u.xlsx", [["id"], ["'=1"]])).is_to_fix


def test_a_header_without_rows_is_refused_unless_that_may_be(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.xlsx", [["id"]])
    with pytest.raises(InputRefused, match="has a header and no rows"):
        list(excel(path).batches())
    assert list(excel(path, empty="ok").batches()) == []


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="columns 1 and 3 have the same name, 'id'"):
        excel(saved(tmp_path / "t.xlsx", [["id", "x", " id"], ["a", 1, 2]]))


def test_a_workbook_is_sent_row_by_row(workspace: Workspace, server: Sandbox) -> None:
    cells: Cells = [["Leads of March"], [None], ["Lead", "Payout", "Email"]]
    cells += [[lead, 12.5, f"{lead}@mail.example.com"] for lead in leads(3)]
    cells += [[None], [1.02e17, 12.5, "x@mail.example.com"]]
    saved(workspace.folder / "in.xlsx", cells)
    workspace.sales()
    (workspace.folder / "job.toml").write_text(workspace.text.replace('"in.csv"', '"in.xlsx"'))
    summary = workspace.run()
    outcomes = workspace.outcomes(summary)
    assert sorted(entry.transaction_id for entry in server.received) == leads(3)
    assert outcomes.select("source", "row", "line", "outcome", "reason").rows() == [
        *(("in.xlsx", f"{row}", f"{row + 3}", "delivered", "conversion") for row in (1, 2, 3)),
        ("in.xlsx", "4", "8", "invalid", "scientific_notation"),
    ]
    assert summary["money"]["revenue"]["delivered"] == "37.50"


# --- what is no sound workbook ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "protected by a password, or an old .xls"),
        (b"id,x\n1,2\n", "named as a workbook and is none. If it is text, name it .csv"),
        (b"<html><body>Please log in", "is a web page or XML"),
        (b"PAR1....", "a Parquet file"),
        (b"", "named as a workbook and is none"),
        (b"PK\x03\x04 and then nothing", "is no sound workbook: File is not a zip file"),
    ],
)
def test_other_content_is_refused_by_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.xlsx").write_bytes(content)
    with pytest.raises(InputRefused, match=message):
        excel(tmp_path / "t.xlsx")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="a ZIP archive of something else"):
        excel(write_package(tmp_path / "t.xlsx", {"a.csv": "id,x\n"}))


@pytest.mark.parametrize(
    "rows",
    [
        "<row r='2'/><row r='1'/>",
        "<row r='x'/>",
        "<row><c r='B1'/><c r='A1'/></row>",
        "<row><c r='1A'/></row>",
        "<row><c t='s'><v>0</v></c></row>",
        "<row><c t='s'><v>-1</v></c></row>",
        "<row><c><v>1,5</v></c></row>",
        "<row><c s='9'><v>1</v></c></row>",
        "<row><c><v>1</v></row>",
        "<row><c><v>&unknown;</v></c></row>",
    ],
)
def test_xml_that_makes_no_sense_is_refused(tmp_path: Path, rows: str) -> None:
    with pytest.raises(InputRefused, match="is no sound workbook"):
        read(excel(raw(tmp_path / "t.xlsx", rows)))


def test_declared_entities_are_refused(tmp_path: Path) -> None:
    parts = workbook_parts()
    part = "xl/worksheets/sheet1.xml"
    parts[part] = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + parts[part]
    with pytest.raises(InputRefused, match="declares entities"):
        excel(write_package(tmp_path / "t.xlsx", parts))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = raw(tmp_path / "t.xlsx", table(("a",), ("1",)))
    content = bytearray(path.read_bytes())
    entry = content.rfind(b"xl/worksheets/sheet1.xml") - 46  # in the archive's index
    content[entry + 24 : entry + 28] = (300_000_000).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputRefused, match=r"bytes of it would unpack to 300,000,000"):
        excel(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
def test_flipped_bytes_and_cuts_are_refused_or_change_nothing(tmp_path: Path, where: float, flip: int) -> None:
    """Each part of a package has a checksum; no damage ends in anything but a refusal."""
    path = saved(tmp_path / "t.xlsx", [["id", "x"], ["a", 1], ["b", 2.5]])
    content = bytearray(path.read_bytes())
    place = int(where * len(content))
    if flip:
        content[place] ^= flip
    else:
        del content[place:]
    (tmp_path / "u.xlsx").write_bytes(content)
    with suppress(InputRefused):
        assert read(excel(tmp_path / "u.xlsx"))[0] == [("a", "1"), ("b", "2.5")]


# --- against another reader -------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), min_size=1, max_size=20)
numbers = st.integers(-(10**15) + 1, 10**15 - 1) | st.floats(-1e12, 1e12).filter(lambda x: abs(x) > 1e-4)


def told(value: Any) -> Any:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(texts | numbers | st.booleans() | st.none(), min_size=3, max_size=3), min_size=1, max_size=5))
def test_it_reads_what_openpyxl_reads(tmp_path: Path, cells: Cells) -> None:
    path = saved(tmp_path / "t.xlsx", [["a", "b", "c"], *cells])
    expected = [
        row[:3] for row in openpyxl.load_workbook(path, data_only=True).active.iter_rows(min_row=2, values_only=True)
    ]
    kept = [tuple(told(value) for value in row) for row in expected if any(value not in (None, "") for value in row)]
    rows = read(excel(path, empty="ok"))[0]
    assert len(rows) == len(kept)
    for row, expect in zip(rows, kept, strict=True):
        for text, value in zip(row, expect, strict=True):
            assert text == value if isinstance(value, str) else float(text) == value


def test_the_bounds_are_those_of_excel() -> None:
    """A row of a sheet holds 16,384 cells of 32,767 characters at most; what we take is below memory's bounds."""
    assert sheetxml.ROW_BYTES <= 64 << 20
    assert workbook.STRINGS_BYTES <= 512 << 20
