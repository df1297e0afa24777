"""``corrections.csv``: events delivered before with other money or another date, for the account manager.

Of what was delivered the ledger keeps the amount, and a keyed hash of money and date. So the date of then is not known,
but whether it was another one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import polars as pl

from batchpost.compare import Correction
from batchpost.files import replaced
from batchpost.firstpass import Plan
from batchpost.guards import unguard_formula
from batchpost.identity import Identity
from batchpost.job import Job
from batchpost.mapping import stake_text
from batchpost.model import Outcome
from batchpost.results import CsvTable

__all__ = ["COLUMNS", "FILE", "Conflicts", "events_in", "rows_now", "write_corrections"]

FILE = "corrections.csv"

COLUMNS = (
    *("transaction_id", "event_id", "conversion_id", "delivered", "delivered_on", "now", "difference"),
    *("what", "conversion_date_now"),
)
_NUMBERS = ("delivered", "now", "difference")
_ZONE = " ([A-Z]{3,4})$"


class Conflicts(NamedTuple):
    """The events that were delivered otherwise before, and the ``identity`` that their stakes are hashed with."""

    corrections: Sequence[Correction]
    identity: Identity


class _Now(NamedTuple):
    """A row as the input has it now. ``recomputed`` is its stake as it is made here, ``as_delivered`` the one that it
    would have with the money that was delivered."""

    transaction_id: str | None
    event_id: str | None
    amount: str | None
    conversion_date: str | None
    stake: bytes
    recomputed: bytes
    as_delivered: bytes


def rows_now(plan: Plan, job: Job) -> pl.DataFrame:
    """The rows of a plan that are in conflict, with what :func:`write_corrections` needs of them."""
    dated = ("conversion_date",) if "conversion_date" in job.fields else ()
    money = [f"money_{name}" for name in job.money_fields]
    columns = ("row", "transaction_id", "event_id", "amount", "stake", *money, *dated)
    found = pl.concat(plan.records(plan.fates.code(Outcome.INVALID, "conflict"), columns))
    return found if dated else found.with_columns(pl.lit(None, pl.String).alias("conversion_date"))


def write_corrections(path: Path, conflicts: Conflicts, now: pl.DataFrame, job: Job) -> None:
    """Write what was delivered, what the input has now, and what of it is another; raises OSError. ``now`` is as
    :func:`rows_now` gives it."""
    known = _compared(conflicts, now, job)
    entries = [_entry(correction, known[correction.row], job) for correction in conflicts.corrections]
    with replaced(path) as file:
        table = CsvTable(file, COLUMNS, numbers=_NUMBERS)
        table.write(pl.DataFrame(entries, schema=dict.fromkeys(COLUMNS, pl.String), orient="row"))


def events_in(path: Path) -> set[tuple[str, str]]:
    """The events that such a file names, as transaction id and event id; raises OSError and polars' errors."""
    ids = ["transaction_id", "event_id"]
    frame = pl.read_csv(path, infer_schema=False, empty_string_is_null=False, columns=ids, glob=False)
    return {(lead, event) for lead, event in frame.select(unguard_formula(pl.col(ids)).fill_null("")).iter_rows()}


def _compared(conflicts: Conflicts, now: pl.DataFrame, job: Job) -> dict[int, _Now]:
    """The rows, each hashed once more as it is, and with the money that was delivered."""
    delivered = pl.DataFrame(
        [(row, before.amount or None) for row, before in conflicts.corrections],
        schema={"row": pl.UInt32, "delivered": pl.String},
        orient="row",
    )
    money = {name: pl.col(f"money_{name}").cast(pl.String) for name in job.money_fields}
    before = {**money, **({job.money_fields[0]: pl.col("delivered")} if money else {})}
    rows = now.join(delivered, on="row", maintain_order="left").with_columns(
        conflicts.identity.stakes(_stake(money, job)).alias("recomputed"),
        conflicts.identity.stakes(_stake(before, job)).alias("as_delivered"),
    )
    return {row: _Now(*values) for row, *values in rows.select("row", *_Now._fields).iter_rows()}


def _stake(money: dict[str, pl.Expr], job: Job) -> pl.Expr:
    date = pl.col("conversion_date")
    values = dict.fromkeys(job.spec.stakes, pl.lit(None, pl.String))
    values |= {**money, "conversion_date": date.str.replace(_ZONE, "")}
    return stake_text(values, date.str.extract(_ZONE), job)


def _entry(correction: Correction, now: _Now, job: Job) -> tuple[str | None, ...]:
    before = correction.before
    delivered_on = datetime.fromtimestamp(before.delivered_at, UTC).strftime("%Y-%m-%d")
    return (
        *(now.transaction_id, now.event_id, before.conversion_id, before.amount, delivered_on, now.amount),
        *(_difference(before.amount, now.amount), _what(correction, now, job), now.conversion_date),
    )


def _difference(before: str, now: str | None) -> str:
    return str(Decimal(now) - Decimal(before)) if before and now else ""


def _what(correction: Correction, now: _Now, job: Job) -> str:
    """What is another: ``money``, ``date`` or ``both``; empty where that cannot be told."""
    before = correction.before
    # Of a second field of money the ledger does not know what was delivered.
    provable = bool(before.stake) and len(job.money_fields) < 2 and now.stake == now.recomputed
    if Decimal(before.amount or 0) == Decimal(now.amount or 0) and bool(before.amount) == bool(now.amount):
        return "date" if provable else ""
    return "both" if provable and now.as_delivered != before.stake else "money"
