"""``retry``: rows of a finished run that did not get through, written out as they were, to be sent again.

:func:`retry_rows` makes the file; :func:`batchpost.jobrun.run_job` sends it, with the job loaded with that file as
``source`` and ``Options(retry=True)``.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl

from batchpost.address import is_address
from batchpost.errors import InputRefused, UsageError
from batchpost.export import outcomes_frame, picked
from batchpost.files import replaced
from batchpost.job import Job
from batchpost.results import TO_FIX_COLUMNS, CsvTable, input_columns, link_rows
from batchpost.source import find_files, open_input

__all__ = ["retry_rows"]


def retry_rows(
    job: Job,
    folder: Path,
    summary: dict[str, Any],
    outcomes: Collection[str],
    reasons: Collection[str] = (),
    due: Collection[int] = (),
) -> tuple[Path, int]:
    """Write the rows of a run with these outcomes (and, if given, reasons) to ``retry.csv`` in the run's results, and
    those that are ``due`` (from 0 in its whole input) after their end was not known.

    ``folder`` is the run's results folder, ``summary`` its summary. Returns the file and its number of rows, 0 without
    a file. Raises UsageError for an unfinished run, InputRefused where its input is not there any more as it was.
    """
    if summary["state"] != "finished":
        raise UsageError(
            f"Run {summary['run_id']} is not finished: `batchpost run {summary['job_file']}` goes on with it",
            then=shlex.join(["batchpost", "run", summary["job_file"]]),
        )
    wanted = _wanted(folder, summary, outcomes, reasons, due)
    path = folder / "retry.csv"
    if wanted.is_empty():
        return path, 0
    _check_input(job, summary)
    return path, _write(path, job, summary, wanted)


def _wanted(
    folder: Path, summary: dict[str, Any], outcomes: Collection[str], reasons: Collection[str], due: Collection[int]
) -> pl.DataFrame:
    """The rows' outcomes, in the order of the input."""
    sources: Sequence[dict[str, Any]] = summary["source"]
    firsts = dict(
        zip((one["path"] for one in sources), accumulate((one["rows"] for one in sources), initial=0), strict=False)
    )
    number = pl.col("source").replace_strict(firsts, default=None, return_dtype=pl.Int64) + pl.col("row") - 1
    rows = picked(outcomes_frame(folder), (), reasons)
    picks = pl.col("outcome").is_in(list(outcomes)) | number.is_in(list(due)).fill_null(False)
    return rows.filter(picks).collect()


def _check_input(job: Job, summary: dict[str, Any]) -> None:
    for source in summary["source"]:
        if not is_address(source["path"]) and not (job.workspace / source["path"]).exists():
            message = f"the input of run {summary['run_id']} is not there any more"
            raise InputRefused(source["path"], message, hint="Put it back as it was")


def _write(path: Path, job: Job, summary: dict[str, Any], wanted: pl.DataFrame) -> int:
    sources: Sequence[dict[str, Any]] = summary["source"]
    readers = open_input(find_files(job.source, job.workspace, [source["path"] for source in sources]), job.source)
    own = [name for name in input_columns(readers) if not name.startswith("batchpost_")]
    written = 0
    with replaced(path) as file:
        table = CsvTable(file, [*own, *(f"batchpost_{name}" for name in TO_FIX_COLUMNS)], comes_back=True)
        for reader, source in zip(readers, sources, strict=True):
            rows = wanted.filter(pl.col("source") == source["path"]).with_columns(pl.col("row").cast(pl.UInt32))
            for batch in reader.batches():
                chosen = rows.filter(
                    pl.col("row").is_between(batch.first_row, batch.first_row + batch.frame.height - 1)
                )
                offsets = (chosen["row"] - batch.first_row).to_list()
                table.write(link_rows(chosen, batch.frame[offsets], summary["run_id"]))
                written += chosen.height
            if reader.fingerprint is None or reader.fingerprint.sha256 != source["sha256"]:
                raise InputRefused(source["path"], f"is not what run {summary['run_id']} read: it was changed since")
    return written
