"""What becomes of a run that is given up: its journal goes into the ledger, damaged or not, and its results are
written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from batchpost.crashed import write_crashed, write_ends
from batchpost.ended import EndedRows
from batchpost.errors import BatchpostError, LedgerError
from batchpost.files import private_folder
from batchpost.fold import fold_rows, fold_run
from batchpost.history import DamagedJournal, History
from batchpost.job import Job
from batchpost.jobfile import load_job
from batchpost.journal import sitting_files
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.lookback import Found
from batchpost.outcomes import Ends
from batchpost.salvage import Salvage

__all__ = ["Taken", "put_away", "take_in"]


class Taken(NamedTuple):
    """What was done with a run's journal: a remark for the person, and whether its files are to be kept."""

    remark: str = ""
    keep: bool = False
    damaged: bool = False


def take_in(ledger: Ledger, run: Found, record: RunRecord) -> Taken:
    """Book what the journal of a run says, and write the results of one that died. Of a damaged journal that is what
    can be proved, and what else may have been sent is put in doubt.

    Raises LedgerError where the plan is damaged as well.
    """
    folder = run.at.run(record.run_id)
    files = sitting_files(folder)
    try:
        if files:  # none: it died before its first request, or a person moved them away
            fold_run(ledger, record.run_id, files)
    except DamagedJournal as damage:
        return Taken(_salvage(ledger, run, record, damage), keep=True, damaged=True)
    if record.state == "running" and (folder / "fates.bin").exists():
        told = _write_results(run, lambda job: write_crashed(job, record.run_id, folder, _results(run)))
        if told:
            return Taken(f"{told}; its journal stays in {folder}", keep=True)
    return Taken()


def put_away(folder: Path, taken: Taken) -> str:
    """Remove the private folder of a run that the register calls abandoned, or set it aside; returns a remark.

    Not before the register does: a run without its journal that could be gone on with would forget what it sent.
    """
    if not taken.keep:
        shutil.rmtree(folder, ignore_errors=True)
    if not taken.damaged:
        return taken.remark
    aside = folder.with_name(f"{folder.name}.damaged")
    with suppress(OSError):  # where the disk does not let us, it stays where it is
        folder = folder.rename(aside)
    return f"{taken.remark} The damaged files are kept in {folder}"


def _salvage(ledger: Ledger, run: Found, record: RunRecord, damage: DamagedJournal) -> str:
    folder = run.at.run(record.run_id)
    history, told = History(), ""
    with EndedRows(folder) as ended:
        try:
            salvage = Salvage(record, folder)
            settled = salvage.replay(history)
            fold_rows(ledger, record.run_id, salvage.sittings, settled, history, ended.add, after=record.folded)
        except (OSError, ValueError) as error:
            raise _beyond_help(folder, damage, error) from error
        if record.state == "running":  # any other run has the results that its last sitting wrote
            ends = Ends(ended, history.open, "journal_damaged")
            told = _write_results(run, lambda job: write_ends(job, record.run_id, salvage.plan, _results(run), ends))
    doubts = sum(row.in_doubt for row in history.open.values())
    return (
        f" Its journal is damaged ({damage.path.name}: {damage.what}): {doubts:,} rows may have been sent and have no "
        f"end that can be read. Those that could fire twice are unknown and not sent again by themselves; the others "
        f"are.{told}"
    )


def _beyond_help(folder: Path, damage: DamagedJournal, error: Exception) -> LedgerError:
    return LedgerError(
        f"{damage.path}: {damage.what}; and the run's plan, which would tell what may have been sent, is of no use "
        f"either ({error}). Restore plan.json, plan.arrow and fates.bin in {folder} if you can. The last resort is to "
        f"move that folder elsewhere and say `batchpost abandon {folder.name}` again: what the run sent since its "
        "journal was last booked is forgotten then, and goes out once more with its file"
    )


def _write_results(run: Found, write: Callable[[Job], None]) -> str:
    """Returns a remark where it cannot be done."""
    try:
        write(load_job(Path(run.summary.get("job_file", ""))))
    except (BatchpostError, OSError, ValueError) as error:
        return f" Its results could not be written ({type(error).__name__})"
    return ""


def _results(run: Found) -> Path:
    return private_folder(run.folder, own=2)
