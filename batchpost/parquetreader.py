"""The process that reads Parquet files: what is damaged or hostile can end it, and nothing else.

Arrow's reader is C++ and believes what a file says of itself. So it runs in a process of its own, with limits on
memory and time, and hands over nothing but text. :mod:`batchpost.readerprocess` is the other end. Imports neither
polars (before a column needs it) nor the rest of the package: most files are read sooner than those are loaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchpost.arrowtext import as_text
from batchpost.parquetcolumns import Column, columns_of, member
from batchpost.parquetfooter import DAMAGED, WIDE, Unsound, read_footer
from batchpost.readerprocess import EXIT_MEMORY, Header, packed

__all__ = ["main", "serve"]

MEMORY = 1 << 30  # bytes that reading one file may take, beyond what the process has anyway;
COLUMN_MEMORY = 8 << 20  # so much more for each column: a page, a dictionary, and what they unpack to;
MEMORY_AT_MOST = 4 << 30  # and no more than this
CPU_SECONDS = 120  # for one batch
BATCH_BYTES = 256 << 20  # of one batch's text: a dictionary can make gigabytes of a few stored bytes
BUFFER = 64 << 10  # of each column: a file may have hundreds
HASHED = 1 << 20

Send = Callable[..., None]


def main() -> None:
    """Serve the requests on standard input, one JSON object a line, until it ends."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what some library prints is no answer
    _detach()

    def send(header: Header, body: Any = b"") -> None:
        _renew()
        for part in (packed(header, len(body)), body):
            _write(out, part)

    with contextlib.suppress(BrokenPipeError):  # who asked is gone
        send({"kind": "ready"})
        for line in sys.stdin.buffer:
            serve(json.loads(line), send)


def serve(request: dict[str, Any], send: Send) -> None:
    """Answer one request.

    ``file`` is the path; ``wanted`` the numbers of the columns to read, or null for a look at the footer; ``rows``
    those of a batch. Sends a header ``layout``, then for each batch ``batch`` with a body, then ``end``; or, in
    place of what is missing, ``refused``. ``busy`` may come between, and means nothing.
    """
    try:
        reading = _Reading(request["file"], request["rows"])
        send(reading.layout(lambda: send({"kind": "busy"}), look=request["wanted"] is None))
        if request["wanted"] is not None:
            for header, body in reading.batches(request["wanted"]):
                send(header, body)
            send(reading.end(lambda: send({"kind": "busy"})))
    except (BrokenPipeError, SystemExit):
        raise
    except BaseException as error:  # a panic of polars is no Exception
        send({"kind": "refused", **_said(error)})
    pa.default_memory_pool().release_unused()


class _Reading:
    """One file, open."""

    def __init__(self, path: str, batch_rows: int) -> None:
        self._path, self._batch_rows = Path(path), batch_rows
        self._was = _identity(self._path.stat())
        _limit_memory()
        footer = read_footer(self._path)
        self._parquet = pq.ParquetFile(
            self._path,
            metadata=footer.metadata,
            pre_buffer=False,
            buffer_size=BUFFER,
            coerce_int96_timestamp_unit="us",  # in nanoseconds a year beyond 2262 wraps around
            page_checksum_verification=True,
        )
        self._columns = columns_of(self._parquet, footer.written)

    def layout(self, busy: Callable[[], None], *, look: bool) -> Header:
        """What the file has; with ``look``, columns of bytes are read through, as some of them are text."""
        columns = [self._known(column, busy) if look and column.is_bytes else column for column in self._columns]
        metadata = self._parquet.metadata
        return {
            "kind": "layout",
            "columns": [asdict(column) for column in columns],
            "rows": metadata.num_rows,
            "groups": metadata.num_row_groups,
            "created_by": str(metadata.created_by or ""),
        }

    def _known(self, column: Column, busy: Callable[[], None]) -> Column:
        for batch in self._stored([column]):
            try:
                as_text(member(batch, column.path))
            except pa.ArrowInvalid:
                return Column(column.path, column.kind, "it holds bytes that are not UTF-8 text", is_bytes=True)
            busy()
        return column

    def _stored(self, columns: list[Column]) -> Iterator[pa.RecordBatch]:
        names = [column.stored for column in columns]
        return iter(self._parquet.iter_batches(self._batch_rows, columns=names, use_threads=False))

    def batches(self, wanted: list[int]) -> Iterator[tuple[Header, pa.Buffer]]:
        """The rows' text, batch by batch, each with its digest."""
        columns = [self._columns[number] for number in wanted]
        total, rows = self._parquet.metadata.num_rows, 0
        for column in columns:
            as_text(pa.array([], _type_of(self._parquet.schema_arrow, column.path)))  # loads what it takes
        _limit_memory(len(columns))
        for batch in self._stored(columns):
            if not batch.num_rows:
                continue
            rows += batch.num_rows
            texts = self._texts(batch, columns)
            digest = _digest([column.stored for column in columns], texts, last=rows == total)
            yield {"kind": "batch", "rows": batch.num_rows, "last": rows == total, "digest": digest}, _body(texts)
        if rows != total:
            raise Unsound(f"holds {rows:,} rows, not the {total:,} it says")

    def _texts(self, batch: pa.RecordBatch, columns: list[Column]) -> list[pa.Array]:
        texts, size = [], 0
        for column in columns:
            texts.append(_text(member(batch, column.path), column))
            size += texts[-1].nbytes
            if size > BATCH_BYTES:
                raise Unsound(f"{batch.num_rows:,} rows of it are more than {BATCH_BYTES >> 20} MB of text", WIDE)
        return texts

    def end(self, busy: Callable[[], None]) -> Header:
        """The file's SHA-256 and size, and whether it was another one, or was written to, since it was opened."""
        hashed, size = sha256(), 0
        with self._path.open("rb", buffering=0) as file:
            while chunk := file.read(HASHED):
                hashed.update(chunk)
                size += len(chunk)
                if not size % (256 * HASHED):
                    busy()
            changed = _identity(os.fstat(file.fileno())) != self._was or size != self._was[2]
        return {"kind": "end", "sha256": hashed.hexdigest(), "bytes": size, "changed": changed}


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _type_of(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType:
    kind = schema.field(path[0]).type
    for name in path[1:]:
        kind = kind.field(name).type
    return kind


def _text(cells: pa.Array, column: Column) -> pa.Array:
    """The cells as text; whatever says why they cannot be is left out, as it may repeat a cell."""
    try:
        cells.validate(full=not pa.types.is_primitive(cells.type))
        return as_text(cells)
    except MemoryError:
        raise
    except BaseException as error:
        message = f"is no sound Parquet file: column '{column.stored}' holds what no {column.kind} can be"
        raise Unsound(message) from error


def _digest(names: list[str], texts: list[pa.Array], *, last: bool) -> str:
    """The hash of a batch: of each column the lengths of its cells (-1: null), then all its text in one piece."""
    digest = sha256("\0".join((*names, "last" if last else "more")).encode())
    for text in texts:
        lengths = pc.fill_null(pc.binary_length(text), -1)
        digest.update(memoryview(lengths.buffers()[1])[: 8 * len(lengths)])
        offsets = memoryview(text.buffers()[1]).cast("q")
        if text.buffers()[2]:
            digest.update(memoryview(text.buffers()[2])[offsets[text.offset] : offsets[text.offset + len(text)]])
    return digest.hexdigest()[:32]


def _body(texts: list[pa.Array]) -> pa.Buffer:
    names = [str(number) for number in range(len(texts))]
    return pa.RecordBatch.from_arrays(texts, names).serialize()


def _said(error: BaseException) -> dict[str, str]:
    """What to tell of an error: our own words, or the first line of Arrow's about how the file is stored."""
    if isinstance(error, Unsound):
        return {"message": error.message, "hint": error.hint}
    if isinstance(error, MemoryError):
        return {"message": "takes more memory to read than any table should", "hint": DAMAGED}
    if isinstance(error, OSError) and error.errno:
        return {"message": f"cannot be read: {error.strerror}", "hint": ""}
    first = str(error).partition("\n")[0][:300].rstrip(". ") or type(error).__name__
    return {"message": f"is no sound Parquet file: {first}", "hint": DAMAGED}


# --- the process itself -----------------------------------------------------------------------------------------------


def _detach() -> None:
    """Signals to stop are for the one who asked, and ends this process by its pipes; no cell gets into a core file;
    where the machine is short of memory, this process is the one to go."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if _address_space() is None:
        threading.Thread(target=_watch_memory, daemon=True).start()


def _address_space() -> int | None:
    """Bytes of addresses in use; None on systems that do not tell, which do not keep to a limit of them either."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return None


def _limit_memory(columns: int = 0) -> None:
    if used := _address_space():
        _limit(resource.RLIMIT_AS, used + _allowed(columns))


def _allowed(columns: int) -> int:
    return min(MEMORY + columns * COLUMN_MEMORY, MEMORY_AT_MOST)


def _watch_memory() -> None:
    """The limit of a system without one: what Arrow has taken is looked at fifty times a second."""
    while pa.total_allocated_bytes() <= MEMORY_AT_MOST:
        time.sleep(0.02)
    os._exit(EXIT_MEMORY)


def _renew() -> None:
    """Another share of the processor's time, for the next batch."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + CPU_SECONDS)


def _limit(what: int, wanted: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _write(out: BinaryIO, content: Any) -> None:
    view = memoryview(content)
    while view:
        view = view[out.write(view) :]
