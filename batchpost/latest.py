"""Which of several ends of a row counts today: pure.

A row can have ended in several runs: the file was read again, the row was mended, or it was sent once more. The latest
end counts, with two exceptions: what was delivered stays so though a later check of the row fails, and
``already_delivered`` tells nothing new of a delivery that is not worth what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from batchpost.expectation import NOT_A_CONVERSION
from batchpost.model import Outcome
from batchpost.rowends import MONEY, ROWS

__all__ = ["ENTRIES", "followed", "latest", "left", "spent", "taken_back", "worth"]

ENTRIES: dict[str, Any] = {
    "source": pl.UInt32(),
    "row": ROWS["row"],
    "run": ROWS["run"],
    "outcome": pl.String(),
    "reason": pl.String(),
    "amount": MONEY,
    "key": pl.String(),
    "until": pl.Float64(),
}
"""How a row ended in a run. ``source`` is the number of its file among the job's, in the order first read; ``run`` that
of the run, in their order. ``until``: of a delivery that is not worth what it was, the moment (Unix seconds) since when
that is so, infinite where it never was; null for every other end."""

_PLACE = ["source", "row"]
_DELIVERED = pl.col("outcome") == Outcome.DELIVERED.value
_ALREADY = pl.col("outcome") == Outcome.ALREADY_DELIVERED.value
_SKIPPED = pl.col("outcome") == Outcome.SKIPPED.value
_UNKNOWN = pl.col("outcome") == Outcome.UNKNOWN.value
_SPENT = pl.col("until").is_not_null()
_IN = (_DELIVERED | _ALREADY) & ~_SPENT
_DECIDED = ("voided", "ignored")


def left() -> pl.Expr:
    """Whether a row did not get through, and a later row of its operation may have; not one without a known end."""
    return ~(_DELIVERED | _ALREADY | _SKIPPED | _UNKNOWN)


def spent() -> pl.Expr:
    """Whether a row was delivered, and that is not worth what it was."""
    return _SPENT


def worth(entries: pl.DataFrame, *, conversion: bool) -> pl.DataFrame:
    """The entries with ``until`` of events that the platform did not count as a conversion, if that was expected."""
    not_counted = _DELIVERED & (pl.col("reason") == NOT_A_CONVERSION) & pl.lit(conversion)
    return entries.with_columns(until=pl.when(not_counted).then(pl.lit(float("inf"))).otherwise("until"))


def latest(entries: pl.DataFrame, ended: Mapping[int, float]) -> pl.DataFrame:
    """Of each row the end that counts, as :data:`ENTRIES`. ``ended`` is when each run ended (Unix seconds)."""
    rank = pl.when(_UNKNOWN).then(3).when(_SKIPPED).then(0).when(_IN).then(1).otherwise(2).alias("rank")
    # Several rows of a file that mend the same one: what did not get through of them is not hidden by the rest.
    entries = entries.with_columns(rank).sort(*_PLACE, "run", "rank", maintain_order=True)
    entries = entries.unique([*_PLACE, "run"], keep="last", maintain_order=True).select(*ENTRIES)
    entries = entries.with_columns(turn=pl.int_range(pl.len()).over(_PLACE))
    states = entries.filter(pl.col("turn") == 0)
    for turn in range(1, int(entries["turn"].max() or 0) + 1):  # type: ignore[arg-type]
        new = entries.filter(pl.col("turn") == turn)
        states = pl.concat([states.join(new, on=_PLACE, how="anti"), _counted(states, new, ended)])
    return states.select(*ENTRIES)


def _counted(states: pl.DataFrame, new: pl.DataFrame, ended: Mapping[int, float]) -> pl.DataFrame:
    """Of each row in ``new`` that end, or the one before."""
    before = states.join(new.select(_PLACE), on=_PLACE, how="semi").sort(_PLACE)
    new = new.sort(_PLACE)
    at = new["run"].replace_strict(ended, return_dtype=pl.Float64)
    was = before.select(inside=_IN, spent=_SPENT & (pl.col("until") > at))
    says_less = new.select(
        inside=_ALREADY
        | ((pl.col("outcome") == Outcome.INVALID.value) & (pl.col("reason") != "conflict"))
        | (_SKIPPED & ~pl.col("reason").is_in(_DECIDED)),
        spent=_ALREADY,
    )
    keep = (was["inside"] & says_less["inside"]) | (was["spent"] & says_less["spent"])
    return pl.concat([before.filter(keep), new.filter(~keep)])


def taken_back(ends: pl.DataFrame, elsewhere: pl.DataFrame, ended: Mapping[int, float]) -> pl.DataFrame:
    """The ends with those put right that rest on a delivery which is not worth what it was.

    ``already_delivered`` refers to the delivery of its operation before; ``elsewhere`` are such deliveries of other
    jobs, as :data:`ENTRIES` but for a ``run`` of -1, which stands before all others.
    """
    given = pl.concat([_numbered(ends.filter(_DELIVERED | _SPENT)), _numbered(elsewhere)])
    given = given.filter(pl.col("key").is_not_null()).select("key", "run", "outcome", "reason", "until")
    rests = ends.filter(_ALREADY & ~_SPENT).with_columns(
        at=pl.col("run").replace_strict(ended, return_dtype=pl.Float64)
    )
    pairs = rests.join(given, on="key", suffix="_given").filter(pl.col("run_given") <= pl.col("run"))
    last = (
        pairs.sort("run_given", maintain_order=True)
        .unique(_PLACE, keep="last")
        .filter(pl.col("until_given") > pl.col("at"))
    )
    own = pl.when(pl.col("run_given") < 0).then("run").otherwise("run_given").cast(ENTRIES["run"]).alias("run")
    changed = last.with_columns(own, *(pl.col(f"{name}_given").alias(name) for name in ("outcome", "reason", "until")))
    return pl.concat([ends.join(changed, on=_PLACE, how="anti"), changed.select(*ENTRIES)])


def _numbered(entries: pl.DataFrame) -> pl.DataFrame:
    return entries.with_columns(pl.col("run").cast(pl.Int64))


def followed(ends: pl.DataFrame, *, is_event: bool) -> pl.DataFrame:
    """The ends; with that of a later row of another file where that one delivered the operation of a row that did not
    get through. For an update a later row is one of a later file, whenever it went out."""
    pairs = ends.filter(left()).join(ends.filter(_IN), on="key", suffix="_after")
    another = pl.col("source_after") != pl.col("source")
    later = pl.col("source_after") > pl.col("source")
    if is_event:
        delivered = pl.col("outcome_after") == Outcome.DELIVERED.value
        later = later | (delivered & (pl.col("run_after") > pl.col("run")))
    found = pairs.filter(another & later).sort("run_after", maintain_order=True).unique(_PLACE, keep="last")
    replaced = [name for name in ENTRIES if name not in ("source", "row", "key")]
    after = found.with_columns(pl.col(f"{name}_after").alias(name) for name in replaced)
    return pl.concat([ends.join(after, on=_PLACE, how="anti"), after.select(*ENTRIES)])
