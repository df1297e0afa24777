"""Which of a table's first rows is its header: title rows above it are told from it, and a table without one is seen.

Pure, on the cells of the first rows; used for every kind of file that has rows of cells and no header of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["FIRST_ROWS", "Found", "find_header"]

FIRST_ROWS = 70  # rows to show to :func:`find_header`: titles, the header, and enough below it to prove it
_MOST_TITLES = 20

# What a cell of data looks like and a name does not. Names such as "2024" and "Q1" are possible, dates and money not.
_KINDS = (
    ("an e-mail address", re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")),
    ("a date", re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d{1,2}:\d{2}.*)?")),
    ("a number", re.compile(r"[-+(]*[$€£]? ?\d[\d.,]*[€£%]?\)?")),
    ("an id", re.compile(r"(?=(?:[^\d]*\d){4})[\w.:-]+")),
)

Row = Sequence[str]


class Found(NamedTuple):
    """The header's place among the rows, and the evidence for it; ``doubt`` says why it cannot be told (empty: it can)
    and then ``row`` is the likeliest."""

    row: int
    evidence: str
    doubt: str = ""


def find_header(rows: Sequence[Row]) -> Found:
    """The header among the first rows of a table (as many as there are, up to :data:`FIRST_ROWS`).

    It is the first row that is not blank; unless that is a title, which has one cell filled (or two where the table has
    four columns or more) and stands above a row of names with a table of that width below it.
    """
    width = _usual_width(rows)
    first = next((at for at, row in enumerate(rows) if _filled(row)), 0)
    below_titles = next((at for at, row in enumerate(rows) if not _is_title(row, width)), first)
    if below_titles == first:
        return Found(first, _first_row(first), _why_no_header(rows, first))
    table = [row for row in rows[below_titles:] if _filled(row)]
    even = len(table) > 1 and all(len(row) == width for row in table)
    if even and below_titles <= _MOST_TITLES and not _why_no_header(rows, below_titles):
        titles = "one line" if below_titles == 1 else f"{below_titles} lines"
        evidence = f"{titles} of titles above it; it and the {_rows(len(table) - 1)} below it have {width} cells each"
        return Found(below_titles, evidence)
    if len(rows[first]) == width:
        return Found(first, _first_row(first), _why_no_header(rows, first))
    return Found(below_titles, "", "what is above it may be titles, or rows with cells missing")


def _usual_width(rows: Sequence[Row]) -> int:
    widths = Counter(len(row) for row in rows if _filled(row))
    return max(widths, key=lambda width: (widths[width], width), default=0)


def _filled(row: Row) -> int:
    return sum(1 for cell in row if cell.strip())


def _is_title(row: Row, width: int) -> bool:
    return width > 1 and _filled(row) <= (1 if width < 4 else 2)


def _first_row(first: int) -> str:
    return "the first line that is not blank" if first else "the first line"


def _rows(count: int) -> str:
    return "row" if count == 1 else f"{count} rows"


def _why_no_header(rows: Sequence[Row], header: int) -> str:
    """Why this row may be one of data: a cell of it is of the kind that all cells below it are; empty if none is."""
    below = [row for row in rows[header + 1 :] if _filled(row)]
    for column, cell in enumerate(rows[header] if rows else ()):
        under = [row[column].strip() for row in below if column < len(row) and row[column].strip()]
        for kind, pattern in _KINDS:
            if under and pattern.fullmatch(cell.strip()) and all(pattern.fullmatch(one) for one in under):
                return f"column {column + 1} of it is {kind}, as in the rows below it"
    return ""
