"""Rows of a file that are no lead's: blank ones, and totals under the data."""

from __future__ import annotations

import polars as pl

from batchpost.convert import TOTAL_LIKE
from batchpost.fields import trimmed

__all__ = ["blank_and_totals", "nameless"]

_TOTALS = r"(?:grand |sub-?)?totals?|sums?|(?:gesamt|zwischen)?summe|(?:ins)?gesamt|somme|suma|totale|totaal"
_SAYS_TOTAL = rf"^(?i:{_TOTALS})[ \x{{A0}}]*:?$"


def nameless(transaction_id: pl.Expr) -> pl.Expr:
    """Whether a row may be no lead's: its cell of the transaction id is empty (null) or says total."""
    return transaction_id.is_null() | transaction_id.str.contains(_SAYS_TOTAL)


def blank_and_totals(frame: pl.DataFrame, candidates: pl.Series, *, last: bool) -> pl.DataFrame:
    """The rows of the frame that are blank or a total: ``row`` (UInt32) and ``reason`` (``blank_row``, ``totals_row``).

    ``candidates`` (Boolean) are the rows that :func:`nameless` picks. A total has a cell that says so; or no id, only
    numbers, and nothing below it in the file (``last``: the frame ends its file).
    """
    rows = candidates.arg_true().cast(pl.UInt32)
    cells = frame.filter(candidates).select(trimmed(pl.all()).fill_null(""))
    kinds = cells.select(
        rows.alias("row"),
        pl.all_horizontal(pl.all() == "").alias("blank"),
        pl.any_horizontal(pl.all().str.contains(_SAYS_TOTAL)).alias("says"),
        pl.all_horizontal((pl.all() == "") | pl.all().str.contains(TOTAL_LIKE)).alias("numbers"),
    )
    below = [(~candidates).arg_true().max(), kinds.filter(~pl.col("blank"))["row"].max()]
    is_last = pl.col("row") == max((row for row in below if isinstance(row, int)), default=-1)
    total = pl.col("says") | (pl.col("numbers") & is_last & pl.lit(last))
    reason = pl.when("blank").then(pl.lit("blank_row")).when(total).then(pl.lit("totals_row"))
    return kinds.select("row", reason.alias("reason")).filter(pl.col("reason").is_not_null())
