"""What columns show: counted by the converters that a run uses, and without a person's data."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchpost.columnfacts import Table, looked_at
from batchpost.job import Source
from batchpost.routes import FieldType
from batchpost.source import find_files, open_input
from tests.newjobs import column, csv


def look(folder: Path, text: str, rows: int = 1_000) -> Table:
    csv(folder, text)
    settings = Source(path="export.csv")
    return looked_at(open_input(find_files(settings, folder), settings), rows)


def test_rows_that_are_no_leads_are_counted_apart(tmp_path: Path) -> None:
    table = look(tmp_path, "Lead,Pay\na,1\n,\nb,2\nTotal,3\n")
    assert str(table) == "all 4 rows (1 blank and 1 with a total among them)"
    assert (table.columns["Lead"].rows, table.columns["Pay"].filled) == (2, 2)


def test_a_look_is_bounded_and_says_so(tmp_path: Path) -> None:
    text = "Lead\n" + "".join(f"lead-{number}\n" for number in range(60_000))
    table = look(tmp_path, text, rows=10)
    assert not table.whole
    assert 10 <= table.rows < 60_000
    assert str(table) == f"the first {table.rows:,} rows"


def test_cells_are_trimmed_as_a_run_trims_them(tmp_path: Path) -> None:
    table = look(tmp_path, 'Lead,Zip\n  a ,"=""02134"""\na,02134\n')
    assert table.columns["Lead"].distinct == 1
    assert table.columns["Zip"].cells.rows() == [("02134", 2)]


@pytest.mark.parametrize(
    ("kind", "values", "count"),
    [
        (FieldType.MONEY, ["$1,250.00", "85", "N/A"], 2),
        (FieldType.EMAIL, ["a@example.com", "a at example.com"], 1),
        (FieldType.PHONE, ["(212) 555-0123", "555-01"], 1),
        (FieldType.ZIP, ["02134", "2134"], 1),
        (FieldType.STATE, ["NY", "New York", "XX"], 2),
    ],
)
def test_a_value_passes_if_a_run_would_take_it(kind: FieldType, values: list[str], count: int) -> None:
    fit = column("Column", *values).fit(kind)
    assert (fit.count, fit.filled) == (count, len(values))


def test_what_passes_is_told_in_words() -> None:
    assert str(column("A", "1", "2").fit(FieldType.NUMBER)) == "all 2 values are"
    assert str(column("A", "1", "x").fit(FieldType.NUMBER)) == "1 of 2 values is"
    assert not column("A").fit(FieldType.NUMBER).all


def test_many_values_are_looked_at_to_the_last() -> None:
    values = [str(number) for number in range(5_000)]
    assert column("A", *values, "x").fit(FieldType.NUMBER).count == 5_000
    assert column("A", *(f"x{value}" for value in values)).fit(FieldType.NUMBER).count == 0


def test_categories_are_few_short_words_with_their_counts_whatever_their_case() -> None:
    statuses = column("Status", *["Funded"] * 5, "funded", *["Declined"] * 3)
    assert statuses.categories() == {"Funded": 6, "Declined": 3}


@pytest.mark.parametrize(
    "values",
    [
        ["anna@example.com"] * 9,
        ["(212) 555-0123"] * 9,
        ["2125550123"] * 9,
        ["123 Main Street"] * 9 + ["44"],
        ["a long remark that somebody wrote about the call they had"] * 9,
        [f"Person {letter}" for letter in "ABCDEFGHIJ"],
    ],
    ids=["e-mail", "phone", "digits", "number", "remark", "one each"],
)
def test_what_may_be_personal_is_no_category(values: list[str]) -> None:
    assert column("Column", *values).categories() == {}


def test_the_prefix_of_ids_is_found_where_nine_in_ten_have_it() -> None:
    ids = [f"txn_{number}" for number in range(20)]
    assert column("Lead", *ids).prefix()[0] == "txn_"
    assert column("Lead", *ids, "other").prefix()[1].count == 20
    assert column("Lead", *ids[:5], "other").prefix()[0] == ""


def test_words_for_nothing_are_counted() -> None:
    assert column("Pay", "1", "N/A", "N/A", "-").null_words() == {"N/A": 2, "-": 1}
