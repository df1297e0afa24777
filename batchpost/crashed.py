"""The results of a run that died and will not be continued, from its plan and its journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from batchpost.finish import write_results
from batchpost.history import History, replay
from batchpost.job import Job
from batchpost.journal import boot_id, sitting_files
from batchpost.outcomes import Ends, ended_frame
from batchpost.places import read_summary
from batchpost.plan import Plan
from batchpost.runsummary import write_summary

__all__ = ["write_crashed"]


def write_crashed(job: Job, run_id: str, folder: Path, results: Path, *, boot: Callable[[], str] = boot_id) -> None:
    """Write outcomes and summary of the run whose private folder this is; no ``to_fix.csv``, as its input may be
    another by now. Raises OSError, ValueError and LedgerError where what it left is damaged."""
    history = History()
    ends = Ends(ended_frame(replay(sitting_files(folder), history, boot=boot)), history.open, "crashed")
    books = write_results(results, run_id, job, Plan.load(folder), (), ends, ()).books
    found = {
        "state": "crashed",
        "rows": books.rows_part(),
        "reasons": dict(sorted(books.reasons.items())),
        "money": books.money_part(),
        "to_fix": None,
        "corrections": 0,
    }
    write_summary(results, {**(read_summary(results) or {}), **found})
