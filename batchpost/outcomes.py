"""The end of every row, in the order read: the plan's fates and the journal's settlements put together.

Columns as in ``outcomes.csv``: ``source, row, line, route, campaign_id, transaction_id, event_id, outcome, reason,
detail, http_status, lead_status, conversion_id, pid, redirect_url, amount, attempts, first_attempt_at, settled_at,
latency_ms``; times are ISO 8601 in UTC with milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from batchpost.history import Ended, Open
from batchpost.model import Outcome, Repeat
from batchpost.plan import Plan
from batchpost.spool import read_spool

__all__ = ["OUTCOME_COLUMNS", "EndedRows", "Ends", "all_outcomes", "ended_frame"]

OUTCOME_COLUMNS = (
    *("source", "row", "line", "route", "campaign_id", "transaction_id", "event_id", "outcome", "reason", "detail"),
    *("http_status", "lead_status", "conversion_id", "pid", "redirect_url", "amount"),
    *("attempts", "first_attempt_at", "settled_at", "latency_ms"),
)
_ENDED = {
    "row": pl.UInt32,
    "outcome": pl.String,
    "reason": pl.String,
    "detail": pl.String,
    "http_status": pl.UInt16,
    "lead_status": pl.String,
    "conversion_id": pl.String,
    "pid": pl.String,
    "redirect_url": pl.String,
    "first_attempt_at": pl.Float64,
    "settled_at": pl.Float64,
    "attempts": pl.UInt32,
    "latency_ms": pl.Float64,
}
_PART = 50_000


@dataclass(frozen=True, slots=True)
class Ends:
    """What the plan does not know: the journal's settlements (a frame sorted by ``row``), the rows it left open, why
    the rest was not attempted, and the sources (pid) on hold."""

    ended: pl.DataFrame
    left_open: Mapping[int, Open]
    cause: str
    held_pids: frozenset[str] = frozenset()


class EndedRows:
    """Collects the journal's settlements into columns; of a row settled twice the later one counts."""

    def __init__(self) -> None:
        self._parts: list[pl.DataFrame] = []
        self._rows: list[tuple[object, ...]] = []

    def add(self, ended: Ended) -> None:
        """Take in one settled row."""
        evidence = (ended.first_attempt_at, ended.at, ended.attempts, ended.latency_ms)
        self._rows.append((ended.number, *ended.settlement, *evidence))
        if len(self._rows) >= _PART:
            self._pack()

    def frame(self) -> pl.DataFrame:
        """All of them, sorted by ``row``."""
        self._pack()
        return pl.concat(self._parts).unique("row", keep="last", maintain_order=True).sort("row")

    def _pack(self) -> None:
        columns = zip(_ENDED.items(), zip(*self._rows, strict=True), strict=True) if self._rows else ()
        part = {name: pl.Series(name, values, dtype=dtype) for (name, dtype), values in columns}
        self._parts.append(pl.DataFrame(part, schema=_ENDED))
        self._rows = []


def ended_frame(settled: Iterable[Ended]) -> pl.DataFrame:
    """The journal's settlements as a frame sorted by ``row``; of a row settled twice the later one."""
    rows = EndedRows()
    for ended in settled:
        rows.add(ended)
    return rows.frame()


def all_outcomes(plan: Plan, route: str, repeats: pl.Expr, ends: Ends) -> Iterator[pl.DataFrame]:
    """Every row of the input with its outcome, one frame for each batch of the first pass.

    Columns are :data:`OUTCOME_COLUMNS`, then ``number`` (the row in the whole input, from 0) and the plan's
    ``money_*``.
    """
    # A source that was inactive is tried again: what a crash left in doubt then comes after the row's end.
    doubtful = [number for number, row in ends.left_open.items() if row.in_doubt]
    ended = ends.ended.filter(~pl.col("row").is_in(doubtful)) if doubtful else ends.ended
    first = 0
    for record in read_spool(plan.spool):
        decided = plan.fates.series(first, record.height)
        settled = _slice(ended, first, record.height)
        frame = record.hstack(decided).join(settled, on="row", how="left", suffix="_end", maintain_order="left")
        yield _shaped(_closed(frame, repeats, ends), plan, route)
        first += record.height


def _slice(ended: pl.DataFrame, first: int, height: int) -> pl.DataFrame:
    start = ended["row"].search_sorted(first)
    return ended.slice(start, ended["row"].search_sorted(first + height) - start)


def _closed(frame: pl.DataFrame, repeats: pl.Expr, ends: Ends) -> pl.DataFrame:
    """The journal's word counts before the plan's; what has neither was not attempted, or is in doubt."""
    frame = frame.with_columns(
        pl.coalesce("outcome_end", "outcome").alias("outcome"),
        pl.when(pl.col("outcome_end").is_not_null()).then("reason_end").otherwise("reason").alias("reason"),
        pl.when(pl.col("outcome_end").is_not_null()).then("detail_end").otherwise("detail").alias("detail"),
        pl.when(pl.col("pid_end").fill_null("") != "").then("pid_end").otherwise("pid").alias("pid"),
        pl.col("pid").fill_null("").is_in(list(ends.held_pids)).alias("held"),
        repeats,
    ).join(_open_frame(ends.left_open), on="row", how="left", maintain_order="left")
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
        pl.coalesce("attempts", "attempts_open").fill_null(0).alias("attempts"),
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
        *(_moment(name) for name in ("first_attempt_at", "settled_at")),
    )
    money = [name for name in frame.columns if name.startswith("money_")]
    return frame.select(*OUTCOME_COLUMNS, "number", *money)


def _moment(name: str) -> pl.Expr:
    """Unix seconds as ISO 8601, UTC, to the millisecond (RFC 3339)."""
    moment = (pl.col(name) * 1000).round().cast(pl.Int64).cast(pl.Datetime("ms"))
    seen = pl.col(name).is_not_null() & (pl.col(name) > 0)
    return pl.when(seen).then(moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")).alias(name)
