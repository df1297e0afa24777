"""What happened to each row of a run, durably: claim, start, settle.

A run has one folder; each sitting appends to one file of its own, so what a crash left behind is never written over.
A record is one line, ``<crc32, 8 hex digits> <JSON array>``, handed to the operating system before the next step: after
SIGKILL nothing written is lost. ``fsync`` covers the first record and claims before their rows may start, and
everything else within 50 ms. The checksum is that of the array, started from the line's offset in the file: a record is
sound in its own place only. Why a log of our own and not SQLite: ``docs/decisions/journal.md``.

    ["sitting", {format, run_id, boot_id, pid, at, before, …}]                       first line of a file
    ["claim", so_far, [row, …], keys, body_hashes, stakes, amounts]                  hashes in hex, joined
    ["start", at, [row, …]]
    ["again", row, at, kind, may_be_applied]                                         an attempt that did not end the row
    ["end", at, [row, …], [latency_ms, …], may_be_applied, outcome, reason, detail, http_status, lead_status,
            conversion_id, pid, redirect_url]
    ["over", so_far, at, cause, exit_code]                                           the sitting ended in order

What is said of several rows is a list with an item a row, or the item alone where it is the same for all. ``so_far`` is
[bytes of this file known to be on disk, rows claimed in it, the highest of them or -1]: damage before that byte is not
the trace of a crash, and the rest tells which claims the damage can hide. ``before`` are the sizes of the files of
earlier sittings. Times are Unix seconds. Reading is :mod:`batchpost.history`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Protocol
from zlib import crc32

import orjson

from batchpost.errors import JournalError, system_mend
from batchpost.files import synced
from batchpost.model import Row, Settlement

__all__ = ["FORMAT", "DiskFile", "Journal", "LogFile", "boot_id", "create_sitting", "sitting_files"]

FORMAT = 2  # of the records; the first had one row a record, and is read as well


def boot_id() -> str:
    """What tells one boot of this machine from the next; empty where it cannot be known.

    Within one boot, what a killed process had written is still there; after another, unsynced writes may be gone.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class LogFile(Protocol):
    """An append-only file: what the journal needs of a disk."""

    def append(self, data: bytes) -> None:
        """Hand all of ``data`` to the operating system; raises OSError."""

    def sync(self) -> None:
        """Return once everything appended is on disk; raises OSError."""

    def close(self) -> None:
        """Release the file."""


class DiskFile:
    """A log file on a real disk, 0600, that must not exist yet."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)

    def append(self, data: bytes) -> None:
        """Write in one call; a short write is an error, since half a record is none."""
        written = os.write(self._fd, data)
        if written != len(data):
            raise OSError(28, "No space left on device")

    def sync(self) -> None:
        """Flush the data and the size of the file to the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


class Journal:
    """The writing side, for one sitting.

    Every method but :meth:`begin`, :meth:`claim` and :meth:`sync` only appends and does not wait. After a failed write
    or fsync the journal refuses everything (JournalError): it is never retried as if nothing had happened.
    ``run_blocking`` calls a function away from the event loop; ``clock`` gives Unix seconds, ``boot`` the machine's
    boot.
    """

    def __init__(
        self,
        file: LogFile,
        *,
        run_blocking: Callable[[Callable[[], None]], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        name: str = "the journal",
        boot: Callable[[], str] = boot_id,
    ) -> None:
        self._file = file
        self._hand_over = file.append
        self._run_blocking = run_blocking
        self._clock = clock
        self._name = name
        self._boot = boot
        self._held: list[bytes] = []
        self._ended: list[tuple[int, float, bool, Settlement]] = []
        self._end = self._size = self._durable = 0  # bytes: recorded, handed over, on disk
        self._claimed, self._highest = 0, -1
        self._broken: OSError | None = None
        self._syncing = Lock()

    def __repr__(self) -> str:
        return f"<Journal {self._size} bytes, {self._durable} durable>"

    @property
    def dirty(self) -> bool:
        """Whether something is not yet known to be on disk."""
        return bool(self._held or self._ended) or self._size > self._durable

    def begin(self, header: dict[str, Any]) -> None:
        """The first record of a sitting, on disk when it returns: nothing can be behind it without it."""
        own = {"format": FORMAT, "boot_id": self._boot(), "pid": os.getpid(), "at": self._clock()}
        self._append(["sitting", {**header, **own}])
        self._sync()
        self._durable = self._size

    async def claim(self, rows: Sequence[Row]) -> None:
        """Make it durable that these rows are about to be sent; returns when that is on disk. Raises ValueError for
        hashes of several lengths: joined, they could not be told apart."""
        numbers = [row.number for row in rows]
        keys = _joined([row.key for row in rows])
        bodies = _joined([row.body_hash for row in rows])
        stakes = _joined([row.stake for row in rows])
        amounts = _packed([row.amount for row in rows])
        self._append(["claim", self._so_far(), numbers, keys, bodies, stakes, amounts])
        self._claimed += len(rows)
        self._highest = max(self._highest, *numbers)
        await self.sync()

    def start(self, numbers: Sequence[int]) -> None:
        """The next thing that happens is the first byte of an attempt of each of these rows. What was held goes to the
        operating system with it, in one write."""
        self._append(["start", _milliseconds(self._clock()), numbers])

    def again(self, number: int, kind: str, *, may_be_applied: bool) -> None:
        """An attempt is over without ending its row. Held until :meth:`flush`, as :meth:`settle`."""
        self._hold(orjson.dumps(["again", number, self._clock(), kind, may_be_applied]))

    def settle(self, number: int, settlement: Settlement, *, latency_ms: float, may_be_applied: bool) -> None:
        """The row's end. ``may_be_applied``: some attempt of it may have had its effect.

        It is held until :meth:`flush` or the next :meth:`start`, so that all that came back together costs one write.
        Who waits must flush before: then a kill finds no more rows without an end than were in flight.
        """
        if self._broken:
            self._check()
        self._ended.append((number, latency_ms, may_be_applied, settlement))

    def flush(self) -> None:
        """Hand what is held over to the operating system."""
        self._hold_ended()
        if not self._held:
            return
        lines = b"".join(self._held)
        self._held.clear()
        try:
            self._hand_over(lines)
        except OSError as error:
            self._fail(error)
        self._size += len(lines)

    def over(self, cause: str, exit_code: int) -> None:
        """The sitting ended in order."""
        self._append(["over", self._so_far(), self._clock(), cause, exit_code])

    async def sync(self) -> None:
        """Return once everything recorded so far is on disk."""
        self.flush()
        size = self._size
        await self._run_blocking(self._sync)
        self._durable = max(self._durable, size)

    def close(self) -> None:
        """Put everything on disk and close the file."""
        try:
            if self._broken is None and self.dirty:
                self.flush()
                self._sync()
        finally:
            self._file.close()

    def _so_far(self) -> list[int]:
        return [self._durable, self._claimed, self._highest]

    def _append(self, record: list[Any]) -> None:
        self._hold_ended()
        self._hold(orjson.dumps(record))
        self.flush()

    def _hold_ended(self) -> None:
        if not self._ended:
            return
        numbers, latencies, applied, settlements = zip(*self._ended, strict=True)
        self._ended.clear()
        columns = map(_packed, (applied, *zip(*settlements, strict=True)))
        self._hold(orjson.dumps(["end", _milliseconds(self._clock()), numbers, latencies, *columns]))

    def _hold(self, text: bytes) -> None:
        if self._broken:
            self._check()
        self._held.append(b"%08x %b\n" % (crc32(text, self._end), text))
        self._end += len(text) + 10

    def _sync(self) -> None:
        with self._syncing:  # the kernel reports a lost write once: who comes second must hear of it as well
            self._check()
            try:
                self._file.sync()
            except OSError as error:
                self._fail(error)

    def _check(self) -> None:
        if self._broken:
            raise JournalError(f"{self._name}: not written since an earlier error: {self._broken.strerror}")

    def _fail(self, error: OSError) -> None:
        self._broken = error
        raise JournalError(f"{self._name} cannot be written: {error.strerror}{system_mend(error)}") from error


def _packed(values: Sequence[Any]) -> Any:
    """The values, or the only one that there is among them."""
    return values[0] if values.count(values[0]) == len(values) else values


def _joined(hashes: Sequence[bytes]) -> str:
    if len(set(map(len, hashes))) > 1:
        raise ValueError("hashes of several lengths")
    return b"".join(hashes).hex()


def _milliseconds(seconds: float) -> float:
    return round(seconds, 3)


def sitting_files(folder: Path) -> list[Path]:
    """The files of a run's sittings, oldest first."""
    return sorted(folder.glob("sitting-*.log"))


def create_sitting(folder: Path, *, sync: Callable[[Path], None] = synced) -> DiskFile:
    """A new file for one more sitting of the run in ``folder``; its name is durable, and so is all of the files before
    it, since what they say has been acted upon. Raises OSError."""
    earlier = sitting_files(folder)
    for path in earlier:
        sync(path)
    file = DiskFile(folder / f"sitting-{len(earlier) + 1:04d}.log")
    sync(folder)
    return file
