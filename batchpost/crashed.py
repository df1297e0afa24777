"""The results of a run that died and will not be continued, from its plan and its journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from batchpost.fates import SEND
from batchpost.finish import write_results
from batchpost.history import History, replay
from batchpost.job import Job
from batchpost.journal import boot_id, sitting_files
from batchpost.model import Outcome
from batchpost.outcomes import Ends, ended_frame
from batchpost.places import read_summary
from batchpost.plan import Plan
from batchpost.runsummary import source_part, write_summary

__all__ = ["write_crashed", "write_ends"]


def write_crashed(job: Job, run_id: str, folder: Path, results: Path, *, boot: Callable[[], str] = boot_id) -> None:
    """Write outcomes and summary of the run whose private folder this is. Raises OSError, ValueError and LedgerError
    where what it left is damaged."""
    history, plan = History(), Plan.load(folder)
    ended = ended_frame(replay(sitting_files(folder), history, boot=boot))
    write_ends(job, run_id, plan, results, Ends(_as_planned(ended, plan), history.open, "crashed"))


def _as_planned(ended: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """The settled rows without those whose unknown end was settled before the plan was made: that says how they end."""
    table, codes = plan.fates.table, plan.fates.codes
    unknown = ended.filter(pl.col("outcome") == Outcome.UNKNOWN.value)["row"]
    planned = [row for row in unknown if codes[row] != SEND and table[codes[row]][0] != Outcome.UNKNOWN]
    return ended.filter(~pl.col("row").is_in(planned)) if planned else ended


def write_ends(job: Job, run_id: str, plan: Plan, results: Path, ends: Ends) -> None:
    """As :func:`write_crashed`, with the ends as they are given; no ``to_fix.csv``, as the run's input may be another
    by now. Raises OSError, and ValueError for a damaged plan."""
    written = write_results(results, run_id, job, plan, (), ends, ())
    found = {
        "state": "crashed",
        "rows": written.books.rows_part(),
        "reasons": dict(sorted(written.books.reasons.items())),
        "money": written.books.money_part(),
        "source": source_part(plan.files, written),
        "to_fix": None,
        "corrections": 0,
    }
    write_summary(results, {**(read_summary(results) or {}), **found})
