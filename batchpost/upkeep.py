"""Giving up a run, ending one, and deleting what is too old to keep."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from batchpost.errors import UsageError
from batchpost.giveup import put_away, take_in
from batchpost.ledger import Ledger
from batchpost.locks import Locks, holder, is_held, remove_lock
from batchpost.lookback import Found
from batchpost.places import Places
from batchpost.rowends import ENDS_FILE, keep_ends, run_ends

__all__ = ["Forgotten", "abandon", "forget", "stop_job"]

# Counts and names of files, by which a lost ledger is noticed; and how each row ended, for `status`. No personal data.
_KEPT = ("summary.json", ENDS_FILE)


class Forgotten(NamedTuple):
    """Results that were deleted, or would be: a run, its folder, and how many files of how many bytes."""

    run_id: str
    folder: Path
    files: int
    bytes: int


def abandon(run: Found) -> str:
    """Give an unfinished run up: its journal goes into the ledger, its results are written from what it left.

    Of a damaged journal that is what can be proved; what else may have been sent is in doubt from then on. Returns what
    was done. Raises UsageError for a finished run, Locked while it goes on, LedgerError.
    """
    run_id, at = run.record.run_id, run.at
    with Locks(at.locks) as locks:
        locks.take(f"job {run.record.job}", f"the job {run.record.job}")
        locks.take(f"run {run_id}", f"the run {run_id}")
        with closing(Ledger.open(at.ledger, must_exist=True)) as ledger:
            record = next(record for record in ledger.runs() if record.run_id == run_id)
            if not record.unfinished:
                raise UsageError(f"{run_id} is {record.state}: there is nothing to give up")
            taken = take_in(ledger, run, record)
            ledger.end_run(run_id, "abandoned", record.exit_code)
        kept = put_away(at.run(run_id), taken)
        remove_lock(at.locks, f"run {run_id}")
    return f"{run_id} is given up. What it delivered stays delivered; the rest comes again with its file.{kept}"


def stop_job(
    name: str, places: Iterable[Places], *, kill: Callable[[int, int], None] = os.kill
) -> tuple[int, str] | None:
    """Ask the process that runs a job to end gently (SIGTERM); returns its id and since when it runs, None where
    nothing runs. ``places`` are where its lock may be. Raises UsageError where the holder is not known."""
    lock = f"job {name}"
    for at in places:
        if not is_held(at.locks, lock):
            continue
        held_by = holder(at.locks, lock) or {}
        pid = held_by.get("pid")
        if not isinstance(pid, int) or pid <= 1:
            raise UsageError(f"a process runs {name}, but {at.locks} does not say which one")
        try:
            kill(pid, signal.SIGTERM)
        except ProcessLookupError:  # it ended just now, or is another container's
            raise UsageError(f"process {pid} runs {name} and cannot be reached from here") from None
        except PermissionError:
            raise UsageError(f"process {pid} runs {name} and belongs to another user") from None
        return pid, str(held_by.get("since", ""))
    return None


def forget(
    runs: Sequence[Found], older_than: float, *, dry_run: bool = False, now: float | None = None
) -> list[Forgotten]:
    """Delete what may hold personal data of runs that ended more than ``older_than`` seconds ago.

    Left alone are unfinished runs and those with operations whose end is not known; ``summary.json`` and the ledger
    stay, and in place of the outcomes how each row ended, without ids. Raises OSError.
    """
    cutoff = (time.time() if now is None else now) - older_than
    old = [run for run in runs if _settled(run) and (run.record.finished_at or run.record.started_at) < cutoff]
    return [gone for run in old if (gone := _forget(run, dry_run)).files]


def _settled(run: Found) -> bool:
    return not run.record.unfinished and not run.doubts


def _forget(run: Found, dry_run: bool) -> Forgotten:
    own = run.at.run(run.record.run_id)
    files = _files(run.folder) + _files(own) + _files(own.with_name(f"{own.name}.damaged"))
    size = sum(path.lstat().st_size for path in files)
    if files and not dry_run:
        keep_ends(run_ends(run.record, run.at))
        for path in files:
            path.unlink()
    return Forgotten(run.record.run_id, run.folder, len(files), size)


def _files(folder: Path) -> list[Path]:
    """The files right in a folder of ours, but those to keep; a link instead of the folder is not followed."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name not in _KEPT and (path.is_symlink() or path.is_file()))
