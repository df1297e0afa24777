"""Rows of a run's outcomes, picked and written elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

import polars as pl
import polars.selectors as cs

from batchpost.errors import UsageError
from batchpost.files import replaced
from batchpost.guards import unguard_formula, unguarded
from batchpost.model import Outcome
from batchpost.outcomes import OUTCOME_COLUMNS
from batchpost.results import CsvTable, ParquetTable, Table, outcome_schema

__all__ = ["export_rows", "outcomes_frame", "picked"]

_KINDS = {
    "row": pl.UInt32,
    "line": pl.UInt64,
    "http_status": pl.UInt16,
    "attempts": pl.UInt32,
    "latency_ms": pl.Float64,
}
_CHUNK = 50_000


def outcomes_frame(results: Path) -> pl.LazyFrame:
    """A run's outcomes as they are in memory: no formula guard, empty cells null, numbers as numbers.

    Raises UsageError where there is none. Reading it can raise polars' errors, if somebody has changed the file.
    """
    if (parquet := results / "outcomes.parquet").is_file():
        return pl.scan_parquet(parquet, glob=False)
    if not (csv := results / "outcomes.csv").is_file():
        raise UsageError(f"{results}: there are no outcomes of this run (deleted by forget, or it died early)")
    frame = pl.scan_csv(csv, infer_schema=False, empty_string_is_null=False, glob=False)
    frame = frame.rename(dict(zip(_names(frame), unguarded(_names(frame)), strict=True)))
    texts = [name for name in _names(frame) if name not in (*_KINDS, "amount")]
    filled = frame.select(pl.when(pl.all() != "").then(pl.all()))  # replace() would take all rows into memory at once
    return filled.with_columns(
        unguard_formula(cs.by_name(*texts).as_expr()),
        *(pl.col(name).cast(dtype, strict=False) for name, dtype in _KINDS.items()),
    )


def picked(frame: pl.LazyFrame, only: Collection[str], reasons: Collection[str]) -> pl.LazyFrame:
    """The rows of these outcomes and these reasons; an empty collection is all. Raises UsageError for an outcome that
    does not exist."""
    known = [outcome.value for outcome in Outcome]
    if unknown := [outcome for outcome in only if outcome not in known]:
        raise UsageError(f"--only: there is no outcome {', '.join(unknown)}; there are {', '.join(known)}")
    if only:
        frame = frame.filter(pl.col("outcome").is_in(list(only)))
    return frame.filter(pl.col("reason").is_in(list(reasons))) if reasons else frame


def export_rows(frame: pl.LazyFrame, place: Path | IO[bytes]) -> int:
    """Write the rows to a path, as CSV or Parquet by its ending, or as CSV to an open file; returns how many.

    Cells that a spreadsheet would run as a formula are guarded in CSV. Raises UsageError for another ending and for
    outcomes that somebody has damaged, OSError.
    """
    if isinstance(place, Path) and place.suffix not in (".csv", ".parquet"):
        raise UsageError(f"-o {place}: the name must end in .csv or .parquet")
    try:
        if not isinstance(place, Path):
            return _write(_csv(frame, place), frame)
        with replaced(place) as file:
            return _write(_csv(frame, file) if place.suffix == ".csv" else _parquet(frame, file), frame)
    except pl.exceptions.PolarsError as error:  # "from None": its text may have cells of the file
        raise UsageError(f"the outcomes cannot be read as they were written ({type(error).__name__})") from None


def _csv(frame: pl.LazyFrame, file: IO[bytes]) -> Table:
    return CsvTable(file, _names(frame), numbers=("amount",))


def _parquet(frame: pl.LazyFrame, file: IO[bytes]) -> Table:
    extra = [name for name in _names(frame) if name not in OUTCOME_COLUMNS]
    return ParquetTable(file, outcome_schema(extra), {})


def _names(frame: pl.LazyFrame) -> Sequence[str]:
    return frame.collect_schema().names()


def _write(table: Table, frame: pl.LazyFrame) -> int:
    rows = 0
    for batch in _batches(frame):
        table.write(batch)
        rows += batch.height
    table.close()
    return rows


def _batches(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    yield from frame.collect_batches(chunk_size=_CHUNK, maintain_order=True, lazy=True, engine="streaming")
