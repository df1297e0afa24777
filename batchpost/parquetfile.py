"""A Parquet file as batches of text: every value exactly, every damage refused, memory bounded.

What reads it is a process of its own, see :mod:`batchpost.parquetreader`: a file that ends its reader ends no run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from batchpost.batch import Batch, Decision, Dialect, Fingerprint, InputFile, blank_nulls, column_names
from batchpost.errors import InputChanged, InputRefused
from batchpost.job import Source
from batchpost.rawfile import RawFile
from batchpost.readerprocess import Header, ReaderEnded, ReaderProcess, reader_process

__all__ = ["ParquetFile"]

BATCH_ROWS = 16 << 10
BATCH_CELLS = 2 << 20  # of a wide table fewer rows are a batch
SHOWN = 3  # columns named in a decision
DAMAGED = "It is cut off or damaged: fetch it again"


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as the reader names it: its number there, its path and type, why it cannot be text."""

    number: int
    path: tuple[str, ...]
    kind: str
    reason: str
    is_struct: bool


class ParquetFile:
    """One Parquet file, read again and again in the same batches; construction reads its footer.

    ``columns`` are those that can be text, members of structs by their path (``lead.id``); ``unsupported_columns``
    says of each other one why not; ``decisions`` what a person should know of the file. A file without page checksums
    cannot show a flipped bit inside a value, as no file without them can. ``process`` gives a reader for one request.
    """

    dialect: Dialect | None = None
    is_to_fix = False

    def __init__(
        self,
        file: InputFile,
        settings: Source,
        batch_rows: int = BATCH_ROWS,
        process: Callable[[], AbstractContextManager[ReaderProcess]] = reader_process,
    ) -> None:
        self._file, self._settings, self._batch_rows, self._process = file, settings, batch_rows, process
        self.fingerprint: Fingerprint | None = None
        with RawFile(file):  # names what is no readable file before Arrow says it in its own words
            layout = next(header for header, _ in self._answers(None))
        self._seen = _columns(layout)
        names = column_names([".".join(map(str.strip, column.path)) for column in self._seen], file.name)
        named = dict(zip(names, self._seen, strict=True))
        self.unsupported_columns = {name: column.reason for name, column in named.items() if column.reason}
        self._wanted = [column.number for column in self._seen if not column.reason]
        self.columns: tuple[str, ...] = tuple(name for name in names if name not in self.unsupported_columns)
        self.decisions: tuple[Decision, ...] = _decisions(layout, self._seen, self.unsupported_columns)
        if not self.columns:
            raise InputRefused(file.name, "has no column whose values could be text")
        if not layout["rows"]:
            self._refuse_empty()

    def _refuse_empty(self) -> None:
        if self._settings.empty != "ok":
            raise InputRefused(self._file.name, "has no rows", hint='If that may happen: [source] empty = "ok"')

    def _answers(self, wanted: Sequence[int] | None) -> Iterator[tuple[Header, bytearray]]:
        """What the reader says of the file, and with ``wanted`` its rows. Raises InputRefused for what it refuses, and
        where the file ends it."""
        rows = max(1, min(self._batch_rows, BATCH_CELLS // max(1, len(wanted or ()))))
        request = {"file": str(self._file.path), "wanted": wanted, "rows": rows}
        try:
            with self._process() as process:
                process.ask(request)
                last = "layout" if wanted is None else "end"
                header: Header = {"kind": ""}
                while header["kind"] != last:
                    header, body = process.heard()
                    if header["kind"] == "refused":
                        raise InputRefused(self._file.name, header["message"], hint=header["hint"])
                    if header["kind"] != last:
                        yield header, body
                final = header, body
        except ReaderEnded as error:
            raise InputRefused(self._file.name, f"ended the process that read it: {error}", hint=DAMAGED) from error
        yield final

    def batches(self, index: int = 0) -> Iterator[Batch]:
        """The file's batches in order. Raises InputRefused for damage and for rows that are missing or too many,
        InputChanged for other columns than before; a complete pass leaves :attr:`fingerprint`."""
        rows = 0
        for header, body in self._answers(self._wanted):
            if header["kind"] == "layout":
                self._compare(header)
            elif header["kind"] == "batch":
                yield self._batch(header, body, index, rows)
                rows += header["rows"]
            else:
                self._finish(header, rows)

    def _compare(self, layout: Header) -> None:
        now = [(column.path, column.kind) for column in _columns(layout)]
        if now != [(column.path, column.kind) for column in self._seen]:
            raise InputChanged(f"{self._file.name}: its columns changed while it was being read")

    def _batch(self, header: Header, body: bytearray, index: int, before: int) -> Batch:
        frame = self._frame(body)
        if frame.height != header["rows"]:
            raise InputRefused(self._file.name, "ended the process that read it: rows are missing", hint=DAMAGED)
        lines = pl.repeat(None, frame.height, dtype=pl.UInt64, eager=True).alias("line")
        frame = blank_nulls(frame, self._settings.null_values)
        return Batch(index, before + 1, frame, lines, (), bytes.fromhex(header["digest"]), header["last"])

    def _frame(self, body: bytearray) -> pl.DataFrame:
        """The text of a batch. What a damaged file may have done to its reader is not believed: polars is given
        nothing that was not found to be sound text."""
        schema = pa.schema([(name, pa.large_string()) for name in self.columns])
        try:
            cells = pa.ipc.read_record_batch(pa.py_buffer(body), schema)
            cells.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            raise InputRefused(self._file.name, "ended the process that read it: no text", hint=DAMAGED) from error
        return pl.DataFrame({name: pl.Series(values=cells.column(name)) for name in self.columns})

    def _finish(self, end: Header, rows: int) -> None:
        if end["changed"] and self.fingerprint is None:
            hint = "Is it still being written? Run again when it is whole"
            raise InputRefused(self._file.name, "changed while it was being read", hint=hint)
        self.fingerprint = Fingerprint(self._file.name, end["sha256"], end["bytes"], rows)


def _columns(layout: Header) -> list[_Column]:
    return [
        _Column(number, tuple(column["path"]), column["kind"], column["reason"], column["is_struct"])
        for number, column in enumerate(layout["columns"])
    ]


def _decisions(layout: Header, columns: Sequence[_Column], unsupported: dict[str, str]) -> tuple[Decision, ...]:
    """What a person should know of the file: its size, its structs, and what is left out."""
    rows, groups = layout["rows"], layout["groups"]
    value = f"{rows:,} row{'s' * (rows != 1)} in {groups:,} row group{'s' * (groups != 1)}"
    writer = "".join(letter for letter in layout["created_by"] if letter.isprintable())[:80]
    found = [Decision("", value, f"its footer says so; written by {writer}" if writer else "its footer says so")]
    structs = [column.path[0] for column in columns if column.is_struct and len(column.path) == 1]
    if structs:
        members = [".".join(column.path) for column in columns if len(column.path) > 1 and not column.reason]
        found.append(Decision("", f"members by their path: {_some(members)}", f"nested: {_some(structs)}"))
    left = {name: why for name, why in unsupported.items() if not why.startswith("it is nested")}
    if left:
        reasons = "; ".join(dict.fromkeys(list(left.values())[:SHOWN]))
        found.append(Decision("", f"left out: {_some(list(left))}", reasons))
    return tuple(found)


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more:,} more" if more > 0 else "") if names else "none"
