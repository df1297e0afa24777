"""A Parquet file as batches of text: every value exactly, every damage refused, memory bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchpost.arrowtext import BYTES, TEXTS, as_text, unsupported
from batchpost.batch import Batch, BatchDigest, Decision, Dialect, Fingerprint, InputFile, blank_nulls, column_names
from batchpost.errors import InputChanged, InputRefused
from batchpost.job import Source
from batchpost.rawfile import RawFile

__all__ = ["ParquetFile"]

BATCH_ROWS = 16 << 10
BATCH_BYTES = 512 << 20  # of one batch's text: a dictionary can make gigabytes of a few stored bytes
UNPACKED_BYTES = 256 << 20  # a file that claims to unpack to more than this, and to more than
UNPACKED_RATIO = 1000  # this many times its size, is a bomb or has a damaged footer
DAMAGED = "It is cut off or damaged: fetch it again"
Read = TypeVar("Read")


class ParquetFile:
    """One Parquet file, read again and again in the same batches; construction reads its footer.

    ``columns`` are those that can be text; ``unsupported_columns`` says of each other one why not. A file without page
    checksums cannot show a flipped bit inside a value, as no file without them can.
    """

    dialect: Dialect | None = None
    decisions: tuple[Decision, ...] = ()
    is_to_fix = False

    def __init__(self, file: InputFile, settings: Source, batch_rows: int = BATCH_ROWS) -> None:
        self._file, self._settings, self._batch_rows = file, settings, batch_rows
        self.fingerprint: Fingerprint | None = None
        self._schema: Any = None
        with RawFile(file):  # names what is no readable file before Arrow says it in its own words
            parquet = self._open()
        self._names = self._supported(parquet)
        self.columns: tuple[str, ...] = tuple(self._names)
        if not parquet.metadata.num_rows:
            self._refuse_empty()

    def _refuse_empty(self) -> None:
        if self._settings.empty != "ok":
            raise InputRefused(self._file.name, "has no rows", hint='If that may happen: [source] empty = "ok"')

    def _guarded(self, read: Callable[..., Read], *arguments: Any) -> Read:
        """What ``read`` returns; whatever Arrow or polars make of damaged bytes is an InputRefused."""
        try:
            return read(*arguments)
        except (Exception, pl.exceptions.PanicException) as error:  # their kinds are not documented, nor stable
            if isinstance(error, InputRefused):
                raise
            first = str(error).partition("\n")[0]
            raise InputRefused(self._file.name, f"is no sound Parquet file: {first}", hint=DAMAGED) from error

    def _open(self) -> Any:
        """The file, opened, its footer found consistent with itself and with what construction saw."""
        parquet = self._guarded(self._opened)
        if self._schema is not None and not parquet.schema_arrow.equals(self._schema):
            raise InputChanged(f"{self._file.name}: its columns changed while it was being read")
        self._schema = parquet.schema_arrow
        return parquet

    def _opened(self) -> Any:
        texts = [f.name for f in pq.read_schema(self._file.path) if any(test(f.type) for test in TEXTS)]
        parquet = pq.ParquetFile(
            self._file.path,
            read_dictionary=texts,  # repeated text stays one text until its size is known
            pre_buffer=False,
            buffer_size=1 << 20,
            coerce_int96_timestamp_unit="us",  # in nanoseconds a year beyond 2262 wraps around
            page_checksum_verification=True,
        )
        self._refuse_absurd(parquet.metadata)
        return parquet

    def _refuse_absurd(self, metadata: Any) -> None:
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        if sum(group.num_rows for group in groups) != metadata.num_rows:
            raise InputRefused(self._file.name, "its row groups do not add up to its rows", hint=DAMAGED)
        # Not by column: asking a damaged footer for its column chunks aborts the whole process (pyarrow 26).
        unpacked, stored = sum(max(group.total_byte_size, 0) for group in groups), self._file.path.stat().st_size
        if unpacked > max(UNPACKED_BYTES, UNPACKED_RATIO * stored):
            message = f"its {stored:,} bytes would unpack to {unpacked:,}"
            raise InputRefused(self._file.name, message, hint=DAMAGED)

    def _supported(self, parquet: Any) -> dict[str, str]:
        """Column name as shown → name in the file, without the columns that cannot be text."""
        fields = list(parquet.schema_arrow)
        names = column_names([field.name for field in fields], self._file.name)
        self.unsupported_columns: dict[str, str] = {}
        supported = {}
        for name, field in zip(names, fields, strict=True):
            reason = unsupported(field.type) or self._guarded(self._unreadable_bytes, field)
            if reason:
                self.unsupported_columns[name] = reason
            else:
                supported[name] = field.name
        if not supported:
            raise InputRefused(self._file.name, "has no column whose values could be text")
        return supported

    def _unreadable_bytes(self, field: Any) -> str:
        """Bytes may be text (old writers do not say) or not: only reading them all tells."""
        if not any(test(field.type) for test in BYTES):
            return ""
        try:
            for batch in self._opened().iter_batches(self._batch_rows, columns=[field.name]):
                as_text(batch.column(field.name))
        except pa.ArrowInvalid:
            return "it holds bytes that are not UTF-8 text"
        return ""

    def batches(self, index: int = 0) -> Iterator[Batch]:
        """The file's batches in order. Raises InputRefused for damage and for rows that are missing or too many,
        InputChanged for other columns than before; a complete pass leaves :attr:`fingerprint`."""
        parquet = self._open()
        total, rows = parquet.metadata.num_rows, 0
        wanted = list(self._names.values())
        stored = self._guarded(lambda: parquet.iter_batches(self._batch_rows, columns=wanted))
        while (table := self._guarded(next, stored, None)) is not None:
            if not table.num_rows:
                continue
            last = rows + table.num_rows == total
            yield self._batch(table, index, rows, last)
            rows += table.num_rows
        if rows != total:
            raise InputRefused(self._file.name, f"holds {rows:,} rows, not the {total:,} it says", hint=DAMAGED)
        sha256, size = self._hashed()
        self.fingerprint = Fingerprint(self._file.name, sha256, size, rows)

    def _batch(self, table: Any, index: int, before: int, last: bool) -> Batch:
        frame = self._guarded(self._text, table)
        digest = self._guarded(_digest, frame, last)
        lines = pl.repeat(None, frame.height, dtype=pl.UInt64, eager=True).alias("line")
        frame = blank_nulls(frame, self._settings.null_values)
        return Batch(index, before + 1, frame, lines, (), digest, last)

    def _text(self, table: Any) -> pl.DataFrame:
        table.validate(full=True)
        columns = [table.column(stored) for stored in self._names.values()]
        if _text_bytes(columns) > BATCH_BYTES:
            message = f"{table.num_rows:,} rows of it are more than {BATCH_BYTES >> 20} MB of text"
            raise InputRefused(self._file.name, message, hint="Are these the cells of a table?")
        return pl.DataFrame({name: as_text(column) for name, column in zip(self.columns, columns, strict=True)})

    def _hashed(self) -> tuple[str, int]:
        with RawFile(self._file) as raw:
            while raw.read(1 << 20):
                pass
            return raw.sha256, raw.size


def _text_bytes(columns: Sequence[Any]) -> int:
    """Bytes that dictionary columns come to when each row has its own text."""
    total = 0
    for column in columns:
        if pa.types.is_dictionary(column.type) and any(test(column.type.value_type) for test in TEXTS):
            lengths = pc.binary_length(column.dictionary).take(column.indices)
            total += pc.sum(lengths).as_py() or 0
    return total


def _digest(frame: pl.DataFrame, last: bool) -> bytes:
    """The hash of a frame of text: of each column the lengths of its cells (-1: null), then all text in one piece."""
    digest = BatchDigest(frame.columns, last)
    for cells in frame:
        column = cells.alias("").to_arrow().cast(pa.large_string())
        lengths = pc.fill_null(pc.binary_length(column), -1)
        digest.update(memoryview(lengths.buffers()[1])[: 8 * len(lengths)])
        start, end = (memoryview(column.buffers()[1]).cast("q")[column.offset + row] for row in (0, len(column)))
        digest.update(memoryview(column.buffers()[2])[start:end])
    return digest.value()
