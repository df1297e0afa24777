"""What to type once events were voided: a run of the file that has the right rows, where that is known."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from batchpost.address import is_address
from batchpost.corrections import FILE, events_in
from batchpost.errors import UsageError
from batchpost.jobfile import find_workspace
from batchpost.layout import short_path
from batchpost.ledgerrows import RunRecord
from batchpost.places import read_summary
from batchpost.standing import Standing

__all__ = ["FILE_WANTED", "command_anew"]

FILE_WANTED = "FILE"
"""Stands in a command for the file that only the person knows."""


def command_anew(standing: Standing, voided: Iterable[Mapping[str, Any]]) -> str:
    """The command that sends voided events anew: a run of the file in which a later run of the job found them with
    other money or another date, or of :data:`FILE_WANTED`. ``voided`` are rows as in outcomes."""
    events = {(row["transaction_id"], row["event_id"] or "") for row in voided}
    job_file = str(standing.run.summary.get("job_file") or "JOB")
    own = standing.run.record
    later = [record for record in standing.runs.values() if record.job == own.job and record.seq > own.seq]
    found = next((files for record in reversed(later) if (files := _corrected(record, events, job_file))), [])
    here = Path.cwd()
    inputs = [word for name in found or [FILE_WANTED] for word in ("--source", short_path(name, here))]
    return shlex.join(["batchpost", "run", short_path(job_file, here), *inputs]) + standing.again


def _corrected(record: RunRecord, events: set[tuple[str, str]], job_file: str) -> list[str]:
    """The files of a run that found one of the events to be another, if they are still there."""
    folder = Path(record.results) / record.run_id
    with suppress(OSError, pl.exceptions.PolarsError):
        if events_in(folder / FILE) & events:
            files = [source["path"] for source in (read_summary(folder) or {}).get("source") or ()]
            typed = [_typed(name, job_file) for name in files]
            return typed if all(typed) else []
    return []


def _typed(name: str, job_file: str) -> str:
    """A file of a run by a path that can be typed here; empty where it is gone."""
    if is_address(name):
        return name
    folders = [Path.cwd()]
    with suppress(UsageError):
        folders.append(find_workspace(Path(job_file), None, os.environ))
    return next((str(folder / name) for folder in folders if (folder / name).exists()), "")
