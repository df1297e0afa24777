"""Columns as the lines of a CSV file, which are what any reader of CSV takes for the same cells."""

from __future__ import annotations

import csv
import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpost.csvlines import Guard, csv_lines
from batchpost.guards import guard_formula, guard_text

CELL = st.one_of(st.none(), st.text(st.sampled_from("ab \"',\r\n=-+{}é🎉1"), max_size=6))


def lines(*columns: pl.Series, guard: Guard | None = None) -> str:
    return bytes(csv_lines([(column, guard) for column in columns])).decode()


@given(st.integers(1, 5), st.data())
def test_a_reader_finds_the_cells_again(height: int, data: st.DataObject) -> None:
    rows = [st.one_of(CELL.map(lambda cell: [cell] * height), st.lists(CELL, min_size=height, max_size=height))] * 3
    columns = [data.draw(row) for row in rows]
    text = lines(*(pl.Series(column, dtype=pl.String) for column in columns))
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found == [[cell or "" for cell in row] for row in zip(*columns, strict=True)]


@given(st.lists(CELL, min_size=1, max_size=6), st.sampled_from([guard_formula, guard_text]))
def test_each_cell_is_guarded_whatever_the_others_are(cells: list[str | None], guard: Guard) -> None:
    column = pl.Series(cells, dtype=pl.String)
    guarded = [guard(pl.Series([cell or ""])).item() for cell in cells]
    found = list(csv.reader(io.StringIO(lines(column, pl.Series(["x"] * len(cells)), guard=guard), newline="")))
    assert [cell for cell, _ in found] == guarded


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (1.5, "1.5"),
        (-2, "'-2"),
        (-0.5, "'-0.5"),
        (True, "true"),
        (None, ""),
        ("=1", "'=1"),
        ('a"b', '"a""b"'),
    ],
)
def test_a_cell_is_the_same_alone_and_among_others(value: object, text: str, same: bool) -> None:
    column = pl.Series([value, value if same else None])
    assert lines(column, pl.Series(["x", "y"]), guard=guard_formula).splitlines()[0] == f"{text},x"


def test_columns_of_other_types_that_look_alike_are_told_apart() -> None:
    columns = [pl.Series([1, 1]), pl.Series([1.0, 1.0]), pl.Series([True, True]), pl.Series(["1", "1"])]
    assert lines(*columns) == "1,1.0,true,1\n" * 2


def test_a_single_column_has_no_blank_lines() -> None:
    assert lines(pl.Series(["", None, "x"])) == '""\n""\nx\n'
    assert lines(pl.Series(["", ""])) == '""\n""\n'


def test_no_rows_are_no_lines() -> None:
    assert lines(pl.Series([], dtype=pl.String)) == ""
