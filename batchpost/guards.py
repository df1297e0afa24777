"""What a spreadsheet would do to a cell of a CSV file, and the apostrophe before it that keeps it from that.

It would run a cell as a formula (OWASP, CSV injection), and write another text for what it takes for a number, a date
or a truth value: ``85.00`` becomes 85, ``00123`` 123, ``03/04/2025`` 4-Mar or 3-Apr, a long number 1.02E+17. Guards can
be undone exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

__all__ = ["guard_formula", "guard_text", "unguard_formula", "unguard_text", "unguarded"]

# Full-width signs count where East Asian text is usual; what is not seen before a sign may be cut off by a reader.
_RUNS = r"(?:[\s\p{Cc}\p{Cf}]*[=+\-@＝＋－＠]|[\t\r\n])"  # noqa: RUF001 - meant
# What begins like a number, an amount, a date or a time; months and words of truth in the languages of our buyers.
_CURRENCY = r"(?:[$€£¥]|(?:USD|EUR|GBP|CHF|CAD|AUD)\s)"
_MONTHS = (
    "jan|ene|gen|feb|fev|fév|mar|mär|mrz|apr|avr|abr|may|mai|mag|jun|jui|giu|jul|lug|aug|aoû|ago|sep|set|oct|okt|ott|"
    "nov|dec|dez|déc|dic"
)
_TRUTH = "true|false|wahr|falsch|vrai|faux|verdadero|falso|vero|verdadeiro"
_NUMBER = rf"[(]?\s*{_CURRENCY}?\s*[.,]?[0-9]"
_REWRITTEN = rf"(?i)^'*\s*(?:{_NUMBER}|(?:{_MONTHS})\p{{L}}*[-/. ,']*[0-9]|(?:{_TRUTH})\s*$)"
_KEPT = r"^(?:0|[1-9][0-9]{0,10})$"  # whole numbers of up to eleven digits come back as they are
_RUN = rf"^'*{_RUNS}"


def guard_formula(cells: pl.Series) -> pl.Series:
    """Text with one apostrophe before what a spreadsheet would run: a cell that begins with ``= + - @``, blanks aside,
    or with a tab or line end, or with apostrophes and then one of these, so that the guard can be undone exactly."""
    return _guarded(cells, cells.str.contains(_RUN))


def unguard_formula(cells: pl.Expr) -> pl.Expr:
    """The text that :func:`guard_formula` was given."""
    return pl.when(cells.str.contains(f"^'+{_RUNS}")).then(cells.str.strip_prefix("'")).otherwise(cells)


def unguarded(names: Sequence[str]) -> tuple[str, ...]:
    """The names of columns without the guard that a header's cells have as well."""
    return tuple(pl.DataFrame({"name": names}).select(unguard_formula(pl.col("name")))["name"])


def guard_text(cells: pl.Series) -> pl.Series:
    """Text with one apostrophe before what a spreadsheet would run or write otherwise when it saves the file."""
    return _guarded(cells, cells.to_frame("cell").select(_needs_guard(pl.col("cell"))).to_series())


def unguard_text(cells: pl.Expr) -> pl.Expr:
    """The text that :func:`guard_text` was given."""
    inner = cells.str.strip_prefix("'")
    return pl.when(cells.str.starts_with("'") & _needs_guard(inner)).then(inner).otherwise(cells)


def _needs_guard(cells: pl.Expr) -> pl.Expr:
    return cells.str.contains(_RUN) | (cells.str.contains(_REWRITTEN) & ~cells.str.contains(_KEPT))


def _guarded(cells: pl.Series, which: pl.Series) -> pl.Series:
    return ("'" + cells).zip_with(which, cells).alias(cells.name) if which.any() else cells
