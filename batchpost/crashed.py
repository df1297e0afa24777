"""The results of a run that died and will not be continued, from its plan and its journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from batchpost.ended import EndedRows
from batchpost.finish import write_results
from batchpost.firstpass import Plan
from batchpost.history import History, replay
from batchpost.job import Job
from batchpost.journal import boot_id, sitting_files
from batchpost.outcomes import Ends
from batchpost.places import read_summary
from batchpost.planbooks import source_part
from batchpost.runsummary import write_summary
from batchpost.timeline import Timeline

__all__ = ["write_crashed", "write_ends"]


def write_crashed(job: Job, run_id: str, folder: Path, results: Path, *, boot: Callable[[], str] = boot_id) -> None:
    """Write outcomes and summary of the run whose private folder this is. Raises OSError, ValueError and LedgerError
    where what it left is damaged."""
    history, plan, timeline = History(), Plan.load(folder), Timeline()
    with EndedRows(folder) as ended:
        for settled in replay(sitting_files(folder), history, boot=boot):
            ended.add(settled)
            timeline.add(settled)
        over_time = timeline.as_dict(history.seconds)
        write_ends(job, run_id, plan, results, Ends(ended, history.open, "crashed"), over_time)


def write_ends(
    job: Job, run_id: str, plan: Plan, results: Path, ends: Ends, timeline: Mapping[str, Any] | None = None
) -> None:
    """As :func:`write_crashed`, with the ends as they are given; no ``to_fix.csv``, as the run's input may be another
    by now. Raises OSError, and ValueError for a damaged plan."""
    written = write_results(results, run_id, job, plan, (), ends)
    found = {
        "state": "crashed",
        "rows": written.books.rows_part(),
        "reasons": dict(sorted(written.books.reasons.items())),
        "money": written.books.money_part(),
        "books": written.books.books_part(),
        "timeline": timeline or {},
        "source": source_part(plan, written.money_by_source),
        "to_fix": None,
        "corrections": 0,
    }
    write_summary(results, {**(read_summary(results) or {}), **found})
