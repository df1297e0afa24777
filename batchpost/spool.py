"""The first pass's record of every row, on disk: ids, amounts and hashes, in the order read.

An Arrow IPC stream in a private file (0600), one record batch for each batch of the input. It lets the second pass and
the results know each row without holding millions of them in memory. It is deleted when its run is finished.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path

import polars as pl
import pyarrow as pa

from batchpost.files import naming

__all__ = ["SpoolWriter", "read_spool", "spool_schema"]


def spool_schema(money: tuple[str, ...], *, dated: bool = False) -> dict[str, pl.DataType]:
    """The columns of a spool: ``row`` counts the whole input from 0, ``file_row`` each file from 1. ``dated``: with the
    conversion's date."""
    return {
        "row": pl.UInt32(),
        "file": pl.UInt16(),
        "file_row": pl.UInt32(),
        "line": pl.UInt64(),
        "campaign_id": pl.String(),
        "transaction_id": pl.String(),
        "event_id": pl.String(),
        "pid": pl.String(),
        "amount": pl.String(),
        **{f"money_{name}": pl.Decimal(38, 9) for name in money},
        **({"conversion_date": pl.String()} if dated else {}),
        "detail": pl.String(),
        "key": pl.Binary(),
        "body_hash": pl.Binary(),
        "stake": pl.Binary(),
        "fires_again": pl.Boolean(),
    }


class SpoolWriter:
    """Writes the frames of one first pass; a context manager."""

    def __init__(self, path: Path, money: tuple[str, ...], *, dated: bool = False) -> None:
        self._schema = spool_schema(money, dated=dated)
        path.unlink(missing_ok=True)  # what a killed run left, or a link that somebody put there
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._path = path

    def __enter__(self) -> SpoolWriter:
        return self

    def __exit__(self, *error: object) -> None:
        with naming(self._path), self._file:
            if self._writer is not None:
                self._writer.close()
            self._file.flush()

    def write(self, frame: pl.DataFrame) -> None:
        """Append the rows of one batch of the input; the frame has the spool's columns in any order."""
        table = frame.select(pl.col(name).cast(dtype) for name, dtype in self._schema.items()).to_arrow()
        with naming(self._path):
            if self._writer is None:
                self._writer = pa.ipc.new_stream(self._file, table.schema)
            self._writer.write_batch(table.combine_chunks().to_batches()[0])


def read_spool(path: Path, columns: Sequence[str] = (), wanted: Sequence[bool] = ()) -> Iterator[pl.DataFrame]:
    """The frames as they were written, in order, or these columns of them; none for an input without rows. ``wanted``
    says of each whether it is given out."""
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, pa.ipc.open_stream(file) as reader:
        for batch in compress(reader, wanted) if wanted else reader:
            frame = pl.from_arrow(batch.select(list(columns)) if columns else batch)
            if not isinstance(frame, pl.DataFrame):
                raise TypeError("a spool holds record batches")
            yield frame
