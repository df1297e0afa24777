"""The tables that a run leaves: outcomes, to_fix, and what they have in common.

Cells that a spreadsheet would run as a formula are guarded in every CSV.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from typing import IO, Protocol

import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.parquet as pq

from batchpost.batch import Batch
from batchpost.csvlines import csv_lines
from batchpost.guards import guard_formula, guard_text
from batchpost.outcomes import OUTCOME_COLUMNS
from batchpost.source import Reader

__all__ = [
    "NO_MEND",
    "TO_FIX_COLUMNS",
    "CsvTable",
    "ParquetTable",
    "Table",
    "input_columns",
    "input_names",
    "link_rows",
    "outcome_schema",
    "to_fix_rows",
]

# Reasons that no mend of the row can help: what was delivered stands, or another one is at it.
NO_MEND = ("conflict", "server_duplicate", "locked_elsewhere", "source_inactive")
_LINKS = ("batchpost_run", "batchpost_source", "batchpost_row", "batchpost_line")
TO_FIX_COLUMNS = ("run", "source", "row", "line", "outcome", "reason", "detail")


class Table(Protocol):
    """A file of rows under way."""

    def write(self, frame: pl.DataFrame) -> None:
        """Append the rows of a frame with always the same columns."""

    def close(self) -> None:
        """Complete the file."""


class CsvTable:
    """Rows as CSV (RFC 4180, UTF-8), formula-guarded, names of columns too; the header is there even without rows.

    ``numbers`` are columns that hold nothing but our own decimals and times, where a minus sign is a minus sign.
    ``comes_back``: the file is for a spreadsheet and is read again, so that it begins with a byte order mark and no
    cell of it is written otherwise when it is saved there.
    """

    def __init__(
        self, file: IO[bytes], columns: Sequence[str], numbers: Sequence[str] = (), *, comes_back: bool = False
    ) -> None:
        self._file = file
        # What links a row to another one is made so that no spreadsheet changes it.
        kept = [comes_back and not name.startswith("batchpost_") for name in columns]
        self._guards = {
            name: None if name in numbers else guard_text if keep else guard_formula
            for name, keep in zip(columns, kept, strict=True)
        }
        if comes_back:
            file.write(BOM_UTF8)
        file.write(csv_lines([(pl.Series([name]), guard_formula) for name in columns]))

    def write(self, frame: pl.DataFrame) -> None:
        """Append rows; all columns become text, and what is empty stays bare."""
        self._file.write(csv_lines([(frame[name], guard) for name, guard in self._guards.items()]))

    def close(self) -> None:
        """Nothing is left to write."""


class ParquetTable:
    """Rows as Parquet with the run's facts in the file's own metadata."""

    def __init__(self, file: IO[bytes], schema: pa.Schema, metadata: Mapping[str, str]) -> None:
        self._columns = schema.names
        self._schema = schema.with_metadata({f"batchpost.{name}": value for name, value in metadata.items()})
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, frame: pl.DataFrame) -> None:
        """Append rows as one row group."""
        self._writer.write_table(frame.select(_named(self._columns)).to_arrow().cast(self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def _named(columns: Sequence[str]) -> pl.Expr:
    """Columns by their exact names: ``*`` and ``^…$`` are patterns to polars, and may be names to a spreadsheet."""
    return cs.by_name(*columns).as_expr()


def outcome_schema(extra: Sequence[str] = ()) -> pa.Schema:
    """The Arrow types of ``outcomes.parquet``; ``extra`` are the input's own columns, all text."""
    kinds = {"row": pa.uint32(), "line": pa.uint64(), "http_status": pa.uint16(), "attempts": pa.uint32()}
    kinds["latency_ms"] = pa.float64()
    fields = [(name, kinds.get(name, pa.string())) for name in OUTCOME_COLUMNS]
    return pa.schema([*fields, *((name, pa.string()) for name in extra)])


def input_columns(readers: Sequence[Reader]) -> tuple[str, ...]:
    """The columns of an input; a file of 0 bytes has none, all others have the same."""
    return next((reader.columns for reader in readers if reader.columns), ())


def input_names(columns: Sequence[str]) -> dict[str, str]:
    """What an input's columns are called beside those of the outcomes: ``input_<name>`` where the name is taken."""
    taken = {*OUTCOME_COLUMNS, *columns}
    names: dict[str, str] = {}
    for column in columns:
        name = column
        while name in OUTCOME_COLUMNS or (name != column and name in taken):
            name = f"input_{name}"
        taken.add(name)
        names[column] = name
    return names


def to_fix_rows(outcomes: pl.DataFrame, batch: Batch, run_id: str) -> pl.DataFrame:
    """The rows of a batch that a mend can help: their own columns and text, then the ``batchpost_*`` ones."""
    mendable = outcomes["outcome"].is_in(["invalid", "rejected"]) & ~outcomes["reason"].is_in(list(NO_MEND))
    return link_rows(outcomes.filter(mendable), batch.frame.filter(mendable), run_id)


def link_rows(outcomes: pl.DataFrame, rows: pl.DataFrame, run_id: str) -> pl.DataFrame:
    """Rows of an input with the ``batchpost_*`` columns that say which row of which run they are.

    Rows that mend others keep the link that they have, so that whatever mends a row in the end settles the first one.
    """
    links = outcomes.select(
        pl.lit(run_id).alias("batchpost_run"), *(pl.col(name).alias(f"batchpost_{name}") for name in TO_FIX_COLUMNS[1:])
    )
    if set(_LINKS) <= set(rows.columns):
        links = links.with_columns(rows[name] for name in _LINKS)
    return rows.select(_named([name for name in rows.columns if not name.startswith("batchpost_")])).hstack(links)
