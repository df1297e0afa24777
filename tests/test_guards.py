"""The apostrophe that keeps a spreadsheet from running a cell or writing it otherwise, and that comes off again."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.guards import guard_formula, guard_text, unguard_formula, unguard_text, unguarded


@pytest.mark.parametrize(
    ("cell", "guarded"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-45", "'-45"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("'=1", "''=1"),
        ("''=1", "'''=1"),
        ("'tis", "'tis"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_is_guarded(cell: str, guarded: str) -> None:
    assert guard_formula(pl.Series([cell])).item() == guarded


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("'=+-@\t\r\nx 1"), max_size=6)))
def test_the_guard_comes_off_again_exactly(cells: list[str]) -> None:
    frame = pl.DataFrame({"a": cells}, schema={"a": pl.String})
    guarded = guard_formula(frame["a"]).to_frame()
    assert not guarded["a"].str.contains(r"^[=+\-@\t\r]").any()
    assert guarded.select(unguard_formula(pl.col("a"))).equals(frame)


def test_names_of_columns_lose_their_guard() -> None:
    assert unguarded(["'=a", "b", "'c"]) == ("=a", "b", "'c")


@pytest.mark.parametrize(
    "cell",
    [
        *(
            "00123",
            "85.00",
            "85.0",
            ".5",
            ",5",
            "1,250.00",
            "1.250,00",
            "123456789012",
            "1.02E+17",
            "12e5",
            "0x10",
            "007",
        ),
        *("$5", "$1,250.00", "(45.00)", "($45)", "€ 5", "USD 45", "5 €", "50%", " 85", "\u00a085"),
        *("03/04/2025", "2025-03-04", "3-4", "1/2", "12:30", "2025-03-04 16:30:00", "4. März"),
        *("Mar 5", "MAR1", "mrz-05", "March 2025", "Dez 24", "sept. 4"),
        *("true", "TRUE", "False", "wahr", "Vrai", "verdadero "),
        *("=1+1", "+49", "-45", "@x", "\tx", "'=1", "'85.00", "'42", "''00123"),
    ],
)
def test_a_cell_that_a_spreadsheet_would_write_otherwise_is_guarded(cell: str) -> None:
    assert guard_text(pl.Series([cell])).item() == "'" + cell


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "0",
        "7",
        "42",
        "12345678901",
        "txn_00123",
        "Marble",
        "May",
        "Augusta",
        "truest",
        "x",
        "'tis",
        "Ann Smith",
        "N/A",
    ],
)
def test_a_cell_that_comes_back_as_it_is_needs_no_guard(cell: str) -> None:
    assert guard_text(pl.Series([cell])).item() == cell


PIECES = [
    *("'", "=", "+", "-", "@", "\t", "\r", "\n", "x", " ", "\u00a0"),
    *("1", "0", ".", ",", "/", "$", "(", "E", "Mar", "true"),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join)))
def test_the_guard_of_a_file_that_comes_back_comes_off_again_exactly(cells: list[str]) -> None:
    frame = pl.DataFrame({"a": cells}, schema={"a": pl.String})
    guarded = guard_text(frame["a"]).to_frame()
    assert not guarded["a"].str.contains(r"^[=+\-@\t\r]").any()
    assert guarded.select(unguard_text(pl.col("a"))).equals(frame)
