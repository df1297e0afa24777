"""The settled rows of a run by the number of their row, in memory that does not grow with them.

A journal tells them nearly in the order of the input, but a row that is tried again may be settled hours after its
neighbours. So each range of row numbers is a bucket. A small run's buckets are in memory; beyond that they go, piece by
piece, to one file that has no name, so that nobody else can open it and nothing is left of it however the process ends.
"""

from __future__ import annotations

import math
from collections import defaultdict
from errno import ENOSPC
from io import SEEK_END, BytesIO
from itertools import starmap
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import polars as pl

from batchpost.settled import SETTLED

__all__ = ["ENDED", "EndedRows"]

ENDED = {
    name: SETTLED[name]
    for name in (
        *("row", "outcome", "reason", "detail", "http_status", "lead_status", "conversion_id", "pid", "redirect_url"),
        *("first_attempt_at", "settled_at", "attempts", "latency_ms"),
    )
}
"""The columns that the results need of a settled row."""

_NONE = pl.DataFrame(schema=ENDED)


class EndedRows:
    """Settled rows as a journal tells them, read by the number of their row; of a row settled twice the later one
    counts. A context manager: it takes its file away.

    ``folder`` is where the file is, if there has to be one; up to ``held`` rows are kept in memory; ``bucket`` rows of
    the input are read at a time.
    """

    def __init__(self, folder: Path, *, held: int = 100_000, bucket: int = 1 << 16) -> None:
        self._folder, self._size = folder, bucket
        self._most: float = held
        self._held: defaultdict[int, list[pl.DataFrame]] = defaultdict(list)
        self._pieces: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)  # in the file: begin and bytes
        self._rows = 0  # in memory
        self._file: IO[bytes] | None = None
        self._heights: dict[int, int] = {}
        self._read: tuple[int, pl.DataFrame] = (-1, _NONE)

    def __enter__(self) -> EndedRows:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, settled: pl.DataFrame) -> None:
        """Take in settled rows, as :data:`batchpost.settled.SETTLED`."""
        self._heights.clear()
        self._read = (-1, _NONE)
        bucket = (pl.col("row") // self._size).alias("bucket")
        parts = settled.select(*ENDED, bucket).partition_by("bucket", maintain_order=True, include_key=True)
        for part in parts:
            self._held[part["bucket"][0]].append(part.drop("bucket"))
        self._rows += settled.height
        if self._rows > self._most:
            self._put_down()

    @property
    def height(self) -> int:
        """How many rows have an end, each counted once. Raises OSError."""
        for number in self._held.keys() | self._pieces.keys():
            if number not in self._heights:
                self._bucket(number)
        return sum(self._heights.values())

    def between(self, first: int, height: int) -> pl.DataFrame:
        """Those of so many rows of the input, as :data:`ENDED`, sorted by ``row``. Quick where it is asked for in the
        order of the rows. Raises OSError."""
        buckets = range(first // self._size, (first + max(height, 1) - 1) // self._size + 1)
        parts = [_slice(self._bucket(number), first, height) for number in buckets]
        return parts[0] if len(parts) == 1 else pl.concat(parts)

    def _bucket(self, number: int) -> pl.DataFrame:
        if self._read[0] != number:
            parts = [*starmap(self._piece, self._pieces.get(number, ())), *self._held.get(number, ())]
            frame = _last_of_each(pl.concat(parts) if parts else _NONE)
            self._heights[number] = frame.height
            self._read = (number, frame)
        return self._read[1]

    def _put_down(self) -> None:
        """What is in memory goes to the file. If the disk takes no more, memory has to do: the ledger and the results
        may be on another one."""
        for number in list(self._held):
            packed = BytesIO()
            pl.concat(self._held[number]).write_ipc_stream(packed, compression="lz4")  # much is the same in most rows
            try:
                begins = self._append(packed.getbuffer())
            except OSError:
                self._most = math.inf
                return
            self._pieces[number].append((begins, packed.tell()))
            del self._held[number]
        self._rows = 0

    def _append(self, data: memoryview) -> int:
        """Where it begins in the file; raises OSError."""
        if self._file is None:
            self._file = TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115 - it is closed with the whole
        begins = self._file.seek(0, SEEK_END)
        if self._file.write(data) != len(data):
            raise OSError(ENOSPC, "No space left on device")
        return begins

    def _piece(self, begins: int, size: int) -> pl.DataFrame:
        if self._file is None:
            raise ValueError("nothing was put down")
        self._file.seek(begins)
        return pl.read_ipc_stream(BytesIO(self._file.read(size)))


def _last_of_each(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows in the order of their numbers; of each the last one given."""
    if not frame["row"].is_sorted():
        frame = frame.sort("row", maintain_order=True)
    again = frame["row"] == frame["row"].shift(-1)
    return frame.filter(~again.fill_null(False)) if again.any() else frame


def _slice(ended: pl.DataFrame, first: int, height: int) -> pl.DataFrame:
    start = ended["row"].search_sorted(first)
    return ended.slice(start, ended["row"].search_sorted(first + height) - start)
