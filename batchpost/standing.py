"""What stands of a run's rows today: which have no known end, with the evidence, and what a person decided about them.

The books of a run are what was known when it ended; this is what the ledger knows now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from batchpost.errors import UsageError
from batchpost.export import outcomes_frame
from batchpost.fold import CONFIRMED
from batchpost.ledger import Ledger
from batchpost.lookback import Found
from batchpost.resolutions import DUE, Doubt, Resolution, Resolutions

__all__ = ["EVIDENCE", "Standing", "money_of", "standing_of"]

EVIDENCE = {
    "source": pl.String,
    "row": pl.UInt32,
    "line": pl.UInt64,
    "transaction_id": pl.String,
    "event_id": pl.String,
    "campaign_id": pl.String,
    "amount": pl.String,
    "outcome": pl.String,
    "reason": pl.String,
    "http_status": pl.UInt16,
    "attempts": pl.UInt32,
    "first_attempt_at": pl.String,
    "settled_at": pl.String,
    "detail": pl.String,
}
"""What is told of a row, as in ``outcomes``; ``source`` and ``row`` are where a person finds it."""


@dataclass(frozen=True)
class Standing:
    """``frame`` has ``number`` (the row in the whole input, from 0) and the columns of :data:`EVIDENCE`, in the order
    of the input; ``gone`` says that the outcomes are not there any more, so that most of them are empty. ``doubts``
    and ``decided`` (oldest first) are by number. ``runs`` are the ledger's runs by id."""

    run: Found
    frame: pl.DataFrame
    doubts: Mapping[int, list[Doubt]]
    decided: Mapping[int, list[Resolution]]
    runs: Mapping[str, Any]
    gone: bool = False

    @property
    def open(self) -> list[int]:
        """The rows without a known end."""
        return [number for number in sorted(self.doubts) if any(doubt.state == "open" for doubt in self.doubts[number])]

    @property
    def due(self) -> list[int]:
        """The rows that a person made due again and that did not get through since."""
        unsure = set(self.open)
        due = [row for row, doubts in self.doubts.items() if any(doubt.state in DUE for doubt in doubts)]
        return sorted(row for row in due if row not in unsure)

    def waits_for(self, number: int) -> list[Doubt]:
        """The open doubts of other runs that a row waits for."""
        run_id = self.run.record.run_id
        return [doubt for doubt in self.doubts.get(number, ()) if doubt.state == "open" and doubt.run_id != run_id]

    def rows(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """These rows with all that is known of them, in the order of the input."""
        return self.frame.filter(pl.col("number").is_in(list(numbers))).to_dicts()


def standing_of(ledger: Ledger, run: Found, *, delivered: bool = False) -> Standing:
    """What stands of a run; with ``delivered`` its frame has the rows that the run delivered, too. Raises LedgerError."""
    resolutions = Resolutions(ledger)
    doubts: dict[int, list[Doubt]] = {}
    for number, doubt in resolutions.doubts_of(run.record.run_id):
        doubts.setdefault(number, []).append(doubt)
    decided: dict[int, list[Resolution]] = {}
    for one in resolutions.of(run.record.run_id):
        decided.setdefault(one.row, []).append(one)
    known = _known(run, doubts, decided)
    frame, gone = known, True
    with suppress(UsageError, pl.exceptions.PolarsError):  # somebody has deleted or damaged them
        frame, gone = _told(run, known, delivered=delivered), False
    return Standing(run, frame, doubts, decided, {record.run_id: record for record in ledger.runs()}, gone)


def money_of(rows: Iterable[Mapping[str, Any]]) -> Decimal | None:
    """What these rows are worth together; None where none of them has money."""
    amounts = [Decimal(row["amount"]) for row in rows if row.get("amount")]
    return sum(amounts, Decimal(0)) if amounts else None


def _known(run: Found, doubts: Mapping[int, list[Doubt]], decided: Mapping[int, list[Resolution]]) -> pl.DataFrame:
    """The rows as far as the ledger and the summary know them."""
    run_id = run.record.run_id
    amounts = {
        number: next((doubt.amount or None for doubt in entries if doubt.run_id == run_id), None)
        for number, entries in doubts.items()
    }
    numbers = sorted({*doubts, *decided})
    frame = pl.DataFrame(
        {"number": numbers, "amount": [amounts.get(number) for number in numbers]},
        schema={"number": pl.Int64, "amount": pl.String},
    )
    return _placed(frame, _places(run)).select("number", *(pl.col(name).cast(kind) for name, kind in EVIDENCE.items()))


def _places(run: Found) -> pl.DataFrame:
    """The files of a run, with the number of the first row of each."""
    sources = run.summary.get("source") or [{"path": "", "rows": 0}]
    frame = pl.DataFrame(
        {"source": [source["path"] for source in sources], "rows": [source["rows"] for source in sources]},
        schema={"source": pl.String, "rows": pl.Int64},
    )
    return frame.with_columns((pl.col("rows").cum_sum() - pl.col("rows")).alias("number"))


def _placed(frame: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Rows by number with their file and their row in it, from 1; what only outcomes tell is empty."""
    named = frame.sort("number").join_asof(places.rename({"number": "first"}), left_on="number", right_on="first")
    empty = [pl.lit(None).alias(name) for name in EVIDENCE if name not in ("source", "row", "amount")]
    return named.with_columns((pl.col("number") - pl.col("first") + 1).alias("row"), *empty)


def _told(run: Found, known: pl.DataFrame, *, delivered: bool) -> pl.DataFrame:
    """The same rows from the run's outcomes, and those that it delivered if asked for. Raises UsageError where there
    are no outcomes, and polars' errors."""
    first = _places(run).lazy().select("source", "number")
    wanted = known.lazy().select("source", "row").with_columns(pl.lit(True).alias("wanted"))
    outcomes = outcomes_frame(run.folder).select(pl.col(name).cast(kind) for name, kind in EVIDENCE.items())
    here = outcomes.join(first, on="source").join(wanted, on=["source", "row"], how="left")
    chosen = pl.col("wanted").is_not_null()
    if delivered:
        chosen |= (pl.col("outcome") == "delivered") | pl.col("reason").is_in(sorted(CONFIRMED))
    numbered = here.filter(chosen).with_columns(pl.col("number") + pl.col("row").cast(pl.Int64) - 1)
    told = numbered.select(known.columns).collect(engine="streaming")
    untold = known.join(told, on="number", how="anti")
    return pl.concat([told, untold]).sort("number")
