"""The header among the first rows: titles above it, tables without one, and what cannot be told."""

from __future__ import annotations

import pytest

from batchpost.headers import find_header

SALES = [["txn_0001", "12.50", "03/14/2025"], ["txn_0002", "8.00", "03/15/2025"]]


def rows(*texts: str) -> list[list[str]]:
    return [text.split(",") for text in texts]


@pytest.mark.parametrize(
    ("table", "row", "evidence"),
    [
        (rows("a,b", "1,2"), 0, "the first line"),
        (rows("a"), 0, "the first line"),
        (rows("a", "1", "2"), 0, "the first line"),
        (rows("", "a,b", "1,2"), 1, "the first line that is not blank"),
        (
            rows("Report", "a,b", "1,2", "3,4"),
            1,
            "one line of titles above it; it and the 2 rows below it have 2 cells",
        ),
        (rows("Report", "", "May 2025", "a,b,c", "1,2,3"), 3, "3 lines of titles above it; it and the row below it"),
        (rows("Report,,,", ",,,", "a,b,c,d", "1,2,3,4"), 2, "2 lines of titles above it"),
        (rows("From,2025-01-01,,", "To,2025-01-31,,", "a,b,c,d", "1,2,3,4"), 2, "2 lines of titles above it"),
        (rows("a,b,,", "1,2,3,4", "5,6,7,8"), 0, "the first line"),
        (rows("2024,2025", "x,y"), 0, "the first line"),
        (rows("id,1", "x,y"), 0, "the first line"),
    ],
)
def test_the_header_is_the_first_row_that_is_neither_blank_nor_a_title(
    table: list[list[str]], row: int, evidence: str
) -> None:
    found = find_header(table)
    assert (found.row, found.doubt) == (row, "")
    assert found.evidence.startswith(evidence)


@pytest.mark.parametrize(
    ("table", "row", "doubt"),
    [
        (SALES, 0, "column 1 of it is an id"),
        ([["x", *row[1:]] for row in SALES], 0, "column 2 of it is a number"),
        ([["x", "y", row[2]] for row in SALES], 0, "column 3 of it is a date"),
        (rows("x,a@example.com", "y,b@example.com"), 0, "column 2 of it is an e-mail address"),
        (rows("Report", "a,b", "1,2", "3"), 1, "what is above it may be titles"),
        (rows("Report", "1,2", "3,4"), 1, "what is above it may be titles"),
    ],
)
def test_what_may_be_a_row_or_a_title_is_for_the_person_to_say(table: list[list[str]], row: int, doubt: str) -> None:
    found = find_header(table)
    assert found.row == row
    assert found.doubt.startswith(doubt)


def test_no_rows_have_no_header_and_no_doubt() -> None:
    assert find_header([]).row == 0
    assert find_header([[]]).doubt == ""


def test_a_title_is_looked_for_in_the_first_lines_only() -> None:
    table = rows("a,b") + rows("1,2") * 30
    assert find_header([["x"]] * 20 + table).row == 20
    assert find_header([["x"]] * 21 + table).doubt
