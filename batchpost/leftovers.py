"""What only a run that goes on needs: its private folder and its lock's file. Both go when it is finished."""

from __future__ import annotations

import shutil
from contextlib import suppress

from batchpost.ledger import Ledger
from batchpost.locks import remove_lock
from batchpost.places import Places

__all__ = ["clear_finished", "clear_run"]


def clear_run(at: Places, run_id: str) -> None:
    """Remove what a run that the register calls finished does not need any more, as far as the disk lets it.

    The folder goes last: while it is there, :func:`clear_finished` finds the run.
    """
    remove_lock(at.locks, f"run {run_id}")
    with suppress(OSError):  # what a process was writing when it was killed
        for part in (at.results / run_id).glob(".*.part"):
            part.unlink()
    shutil.rmtree(at.run(run_id), ignore_errors=True)


def clear_finished(ledger: Ledger, at: Places, job: str) -> None:
    """Clear the finished runs of a job that died before they did it themselves. The caller holds the job's lock."""
    left = {folder.name for folder in at.run("any").parent.glob("*")}
    for record in ledger.runs(job) if left else ():
        if record.state == "finished" and record.run_id in left:
            clear_run(at, record.run_id)
