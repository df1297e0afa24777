"""Rows that come in any order, given back by the beginnings of their keys, through files where they are many.

So the ledger's B-tree is gone through once for a whole run, and not once for each part of it that fits in memory: every
page is read, journalled and written once. The files have no name, so nothing is left of them whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import polars as pl
import pyarrow as pa

from batchpost.files import naming

__all__ = ["KeyOrder"]

_FILES = 32  # ten million rows are 300,000 a file
_FILE = pl.col("key").bin.head(1).bin.reinterpret(dtype=pl.UInt8).fill_null(0) // (256 // _FILES)


class KeyOrder:
    """Frames of one schema with a column ``key`` (Binary), which are taken in and given back once; a context manager.

    ``folder`` is where the files are (None: where the system keeps temporary ones), ``held`` how many rows are kept in
    memory. Raises OSError.
    """

    def __init__(self, folder: Path | None = None, *, held: int = 500_000) -> None:
        self._folder = folder
        self._most = held
        self._held: list[pl.DataFrame] = []
        self._height = 0
        self._files: list[IO[bytes]] = []
        self._writers: list[pa.ipc.RecordBatchStreamWriter] = []
        self._open = ExitStack()

    def __enter__(self) -> KeyOrder:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def add(self, frame: pl.DataFrame) -> None:
        """Take in more rows."""
        if frame.is_empty():
            return
        self._held.append(frame)
        self._height += frame.height
        if self._height >= self._most:
            self._write()

    def parts(self) -> Iterator[pl.DataFrame]:
        """All rows: none of a part has a key below one of the part before, and those of one key are in the order taken
        in."""
        if self._writers and self._held:
            self._write()
        elif self._held:
            yield self._taken()
        for writer, file in zip(self._writers, self._files, strict=True):
            with naming(self._named):
                writer.close()
                file.seek(0)
                yield pl.DataFrame(pa.ipc.open_stream(file).read_all())

    @property
    def _named(self) -> Path:
        return self._folder or Path("a temporary file")

    def _taken(self) -> pl.DataFrame:
        taken = pl.concat(self._held)
        self._held, self._height = [], 0
        return taken

    def _write(self) -> None:
        taken = self._taken().with_columns(_FILE.alias("file"))
        portions = taken.partition_by("file", as_dict=True, include_key=False, maintain_order=True)
        with naming(self._named):
            for (number,), portion in portions.items():
                rows = portion.to_arrow()
                if not self._writers:
                    self._begin(rows.schema)
                self._writers[number].write_table(rows)

    def _begin(self, schema: pa.Schema) -> None:
        for _ in range(_FILES):
            file = self._open.enter_context(TemporaryFile(dir=self._folder))  # noqa: SIM115 - the stack does
            self._files.append(file)
            self._writers.append(pa.ipc.new_stream(file, schema))
