"""The end of every row, in the order read: the plan's fates and the journal's settlements put together.

Columns as in ``outcomes.csv``: ``source, row, line, route, campaign_id, transaction_id, event_id, outcome, reason,
detail, http_status, lead_status, conversion_id, pid, redirect_url, amount, attempts, first_attempt_at, settled_at,
latency_ms``; times are ISO 8601 in UTC with milliseconds. Rows of an input that mends or repeats others have the
columns of :data:`batchpost.links.LINK_COLUMNS` behind these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from batchpost.ended import EndedRows
from batchpost.firstpass import Plan
from batchpost.history import Open
from batchpost.links import link_frame
from batchpost.model import Outcome, Repeat
from batchpost.spool import read_spool

__all__ = ["OUTCOME_COLUMNS", "Ends", "all_outcomes"]

OUTCOME_COLUMNS = (
    *("source", "row", "line", "route", "campaign_id", "transaction_id", "event_id", "outcome", "reason", "detail"),
    *("http_status", "lead_status", "conversion_id", "pid", "redirect_url", "amount"),
    *("attempts", "first_attempt_at", "settled_at", "latency_ms"),
)
_MILLISECONDS = pl.Series([f".{number:03}Z" for number in range(1000)])


@dataclass(frozen=True, slots=True)
class Ends:
    """What the plan does not know: the journal's settlements, the rows it left open, why the rest was not attempted,
    the sources (pid) on hold, and the rows whose unknown end counts no more, as a person settled it."""

    ended: EndedRows
    left_open: Mapping[int, Open]
    cause: str
    held_pids: frozenset[str] = frozenset()
    resolved: Collection[int] = ()


def all_outcomes(plan: Plan, route: str, repeats: pl.Expr, ends: Ends) -> Iterator[pl.DataFrame]:
    """Every row of the input with its outcome, one frame for each batch of the first pass.

    Columns are :data:`OUTCOME_COLUMNS`, then ``number`` (the row in the whole input, from 0), the plan's ``money_*``
    and, where the plan has links, those of :data:`batchpost.links.LINK_COLUMNS`. Raises OSError.
    """
    left_open = _open_frame(ends.left_open)
    first = 0
    for record in read_spool(plan.spool):
        decided = plan.fates.series(first, record.height)
        settled = _standing(ends.ended.between(first, record.height), decided, first, ends)
        frame = _beside(record.hstack(decided), settled)
        opened = left_open.filter(pl.col("row").is_between(first, first + record.height, closed="left"))
        shaped = _shaped(_closed(frame, opened, repeats, ends), plan, route)
        yield shaped.hstack(link_frame(plan.links[first : first + record.height])) if plan.links else shaped
        first += record.height


def _standing(settled: pl.DataFrame, decided: pl.DataFrame, first: int, ends: Ends) -> pl.DataFrame:
    """The settled rows without those whose end was overtaken."""
    # A source that was inactive is tried again: what a crash left in doubt then comes after the row's end.
    doubtful = [number for number, row in ends.left_open.items() if row.in_doubt]
    if doubtful:
        settled = settled.filter(~pl.col("row").is_in(doubtful))
    unknown = settled["outcome"] == Outcome.UNKNOWN.value
    if not unknown.any():
        return settled
    # An unknown end that a person settled before the plan was made: the plan says how it ends.
    planned = decided["outcome"].gather(settled["row"] - first) != Outcome.UNKNOWN.value
    return settled.filter(~(unknown & (planned.fill_null(False) | settled["row"].is_in(list(ends.resolved)))))


def _beside(frame: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """Each row with its settlement, whose columns end in ``_end`` where the name is taken."""
    if settled.height < frame.height:
        return frame.join(settled, on="row", how="left", suffix="_end", maintain_order="left")
    taken = {name: f"{name}_end" for name in settled.columns if name in frame.columns}
    return frame.hstack(settled.rename(taken).drop("row_end"))


def _closed(frame: pl.DataFrame, opened: pl.DataFrame, repeats: pl.Expr, ends: Ends) -> pl.DataFrame:
    """The journal's word counts before the plan's; what has neither was not attempted, or is in doubt."""
    ended = pl.col("outcome_end").is_not_null()
    frame = frame.with_columns(
        *(pl.when(ended).then(f"{name}_end").otherwise(name).alias(name) for name in ("outcome", "reason", "detail")),
        pl.when(pl.col("pid_end") != "").then("pid_end").otherwise("pid").alias("pid"),
    )
    if frame["outcome"].has_nulls() or opened.height:
        frame = _unsettled(frame, opened, repeats, ends)
    return frame.with_columns(pl.col("attempts").fill_null(0))


def _unsettled(frame: pl.DataFrame, opened: pl.DataFrame, repeats: pl.Expr, ends: Ends) -> pl.DataFrame:
    """As :func:`_closed`, of the rows that have no end: ``opened`` are those that were begun."""
    frame = frame.with_columns(pl.col("pid").fill_null("").is_in(list(ends.held_pids)).alias("held"), repeats)
    frame = frame.join(opened, on="row", how="left", maintain_order="left")
    without_end = pl.col("outcome").is_null()
    # A redirect sends the request elsewhere: an event that is refused a second time just waits for the right address.
    waits = (pl.col("repeat") == Repeat.HARMLESS) | ((pl.col("repeat") == Repeat.REFUSED) & pl.col("redirected"))
    in_doubt = pl.col("in_doubt").fill_null(False) & ~waits
    return frame.with_columns(
        pl.when(~without_end)
        .then("reason")
        .when(pl.col("held") & ~in_doubt)
        .then(pl.lit("source_inactive"))
        .otherwise(pl.lit(ends.cause))
        .alias("reason"),
        pl.when(~without_end)
        .then("outcome")
        .when(in_doubt)
        .then(pl.lit(Outcome.UNKNOWN.value))
        .otherwise(pl.lit(Outcome.NOT_ATTEMPTED.value))
        .alias("outcome"),
        pl.coalesce("attempts", "attempts_open").alias("attempts"),
        pl.coalesce("first_attempt_at", "first_attempt_at_open").alias("first_attempt_at"),
    )


def _open_frame(rows: Mapping[int, Open]) -> pl.DataFrame:
    entries = [
        (number, row.in_doubt, row.redirected, row.attempts, row.first_attempt_at)
        for number, row in rows.items()
        if row.attempts or row.in_doubt
    ]
    schema = {"row": pl.UInt32, "in_doubt": pl.Boolean, "redirected": pl.Boolean}
    return pl.DataFrame(
        entries, schema={**schema, "attempts_open": pl.UInt32, "first_attempt_at_open": pl.Float64}, orient="row"
    )


def _shaped(frame: pl.DataFrame, plan: Plan, route: str) -> pl.DataFrame:
    names = [file.path for file in plan.files]
    frame = frame.rename({"row": "number"}).with_columns(
        pl.col("file").replace_strict(dict(enumerate(names)), return_dtype=pl.String).alias("source"),
        pl.col("file_row").alias("row"),
        pl.lit(route).alias("route"),
        *(_moments(frame[name]) for name in ("first_attempt_at", "settled_at")),
    )
    money = [name for name in frame.columns if name.startswith("money_")]
    return frame.select(*OUTCOME_COLUMNS, "number", *money)


def _moments(seconds: pl.Series) -> pl.Series:
    """Unix seconds as ISO 8601, UTC, to the millisecond (RFC 3339): a run has far fewer seconds than rows."""
    if seconds.null_count() == seconds.len():
        return seconds.cast(pl.String)
    parts = pl.select(milliseconds=pl.when(seconds > 0).then((seconds * 1000).round().cast(pl.Int64))).select(
        second=pl.col("milliseconds") // 1000, millisecond=pl.col("milliseconds") % 1000
    )
    whole = parts["second"].unique()
    written = (whole * 1000).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%S")
    text = pl.col("second").replace_strict(whole, written, return_dtype=pl.String)
    return parts.select(pl.concat_str(text, _MILLISECONDS.gather(parts["millisecond"]))).to_series().alias(seconds.name)
