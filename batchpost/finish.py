"""The end of a sitting: from plan and journal to the files of the run and its books."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import polars as pl

from batchpost.ahead import ahead
from batchpost.batch import Batch
from batchpost.corrections import FILE, Conflicts, rows_now, write_corrections
from batchpost.errors import InputChanged
from batchpost.feed import read_again
from batchpost.files import replaced
from batchpost.firstpass import Plan, repeat_of
from batchpost.job import Job
from batchpost.links import LINK_COLUMNS
from batchpost.model import Outcome
from batchpost.outcomes import OUTCOME_COLUMNS, Ends, all_outcomes
from batchpost.pulse import Doing, unseen
from batchpost.results import (
    TO_FIX_COLUMNS,
    CsvTable,
    ParquetTable,
    Table,
    input_columns,
    input_names,
    outcome_schema,
    to_fix_rows,
)
from batchpost.source import Reader
from batchpost.summary import Books

__all__ = ["Written", "write_results"]

_UNFINISHED = (Outcome.FAILED.value, Outcome.NOT_ATTEMPTED.value)


@dataclass(slots=True)
class Written:
    """What was written: the books, the files of the input that have rows left to send, the money read from each,
    rows in ``to_fix.csv`` (None: it could not be written, as the input has changed) and in ``corrections.csv``."""

    books: Books = field(default_factory=Books)
    unfinished: set[str] = field(default_factory=set)
    money_by_source: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    to_fix: int | None = 0
    corrections: int = 0


def write_results(
    folder: Path,
    run_id: str,
    job: Job,
    plan: Plan,
    readers: Sequence[Reader],
    ends: Ends,
    conflicts: Conflicts | None = None,
    *,
    doing: Doing = unseen,
) -> Written:
    """Write ``outcomes``, ``to_fix.csv`` and ``corrections.csv`` of a run anew; raises OSError."""
    written = Written()
    all_columns = job.results.include == "all" and bool(readers)
    with _outcomes(plan, job, ends) as frames:
        seen = _seen(frames, doing, "writing the outcomes")
        mendable = _write_outcomes(folder, run_id, job, plan, readers if all_columns else (), seen, written)
    if mendable and readers:
        with _outcomes(plan, job, ends) as frames:
            seen = _seen(frames, doing, "writing to_fix.csv")
            written.to_fix = _write_to_fix(folder / "to_fix.csv", run_id, plan, readers, seen)
    else:
        (folder / "to_fix.csv").unlink(missing_ok=True)
    if conflicts and conflicts.corrections:
        written.corrections = len(conflicts.corrections)
        write_corrections(folder / FILE, conflicts, rows_now(plan, job), job)
    return written


def _outcomes(plan: Plan, job: Job, ends: Ends) -> closing[Generator[pl.DataFrame, None, None]]:
    """All outcomes, each batch put together while the one before it is written; over when this is left."""
    return closing(ahead(all_outcomes(plan, job.route, repeat_of(job), ends)))


def _seen(frames: Iterator[pl.DataFrame], doing: Doing, what: str) -> Iterator[pl.DataFrame]:
    """The frames, with a word of how many rows of them were taken."""
    rows = 0
    for frame in frames:
        doing(what, rows)
        rows += frame.height
        yield frame


def _write_outcomes(
    folder: Path,
    run_id: str,
    job: Job,
    plan: Plan,
    readers: Sequence[Reader],
    frames: Iterator[pl.DataFrame],
    written: Written,
) -> bool:
    """Returns whether some row may be mended."""
    kind = job.results.format if job.results.format != "auto" else _kind_of(plan)
    names = input_names(input_columns(readers))
    links = [name for name in LINK_COLUMNS if plan.links and name not in names.values()]
    extra = [*names.values(), *links]
    mendable = False
    with ExitStack() as stack:
        batches = stack.enter_context(closing(read_again(plan, readers))) if readers else None
        file = stack.enter_context(replaced(folder / f"outcomes.{kind}"))
        table: Table
        if kind == "parquet":
            table = ParquetTable(file, outcome_schema(extra), _metadata(run_id, job))
        else:
            table = CsvTable(file, [*OUTCOME_COLUMNS, *extra], numbers=("amount", "first_attempt_at", "settled_at"))
        for frame in frames:
            written.books.add(frame)
            _note_sources(frame, written)
            mendable = mendable or frame["outcome"].is_in(["invalid", "rejected"]).any()
            own, mended = frame.select(OUTCOME_COLUMNS), frame.select(links)
            table.write((own.hstack(next(batches)[0].frame.rename(names)) if batches else own).hstack(mended))
        table.close()
    # [results] format may have changed since an earlier sitting.
    (folder / f"outcomes.{'csv' if kind == 'parquet' else 'parquet'}").unlink(missing_ok=True)
    return mendable


def _note_sources(frame: pl.DataFrame, written: Written) -> None:
    money = [name for name in frame.columns if name.startswith("money_")]
    unfinished = pl.col("outcome").is_in(list(_UNFINISHED)).any().alias("unfinished")
    for source, is_unfinished, *totals in frame.group_by("source").agg(unfinished, pl.col(money).sum()).iter_rows():
        if is_unfinished:
            written.unfinished.add(source)
        sums = written.money_by_source.setdefault(source, {})
        for name, total in zip(money, totals, strict=True):
            field = name.removeprefix("money_")
            sums[field] = sums.get(field, Decimal(0)) + total


def _write_to_fix(
    path: Path, run_id: str, plan: Plan, readers: Sequence[Reader], frames: Iterator[pl.DataFrame]
) -> int | None:
    own = [name for name in input_columns(readers) if not name.startswith("batchpost_")]
    columns = [*own, *(f"batchpost_{name}" for name in TO_FIX_COLUMNS)]
    rows = 0
    try:
        with replaced(path) as file:
            table = CsvTable(file, columns, comes_back=True)
            batches: Iterator[tuple[Batch, pl.DataFrame]] = read_again(plan, readers)
            for frame, (batch, _) in zip(frames, batches, strict=True):
                mendable = to_fix_rows(frame, batch, run_id)
                rows += mendable.height
                table.write(mendable)
    except InputChanged:
        return None
    if rows == 0:
        path.unlink()
    return rows


def _kind_of(plan: Plan) -> str:
    return "parquet" if plan.files and plan.files[0].path.endswith(".parquet") else "csv"


def _metadata(run_id: str, job: Job) -> Mapping[str, str]:
    return {"run_id": run_id, "job": job.name, "route": job.route}
