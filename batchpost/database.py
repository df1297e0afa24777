"""One SQLite file with a checksum on every page; whatever goes wrong with it is a LedgerError.

SQLite is the one in apsw's wheel, the same on every machine; the checksums are its own extension's
(https://sqlite.org/cksumvfs.html). The file has a rollback journal, and a write is on disk when it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw
import polars as pl

from batchpost.errors import LedgerError
from batchpost.given import given

__all__ = ["Database", "damaged", "load_checksums"]

_CHECKSUMS = "cksmvfs"  # the name under which the extension enters itself; it rests on what was the default until then
_RESERVED = 8  # bytes at the end of each page, which hold its checksum
_RESERVED_AT = 20  # where the file's header says so (https://sqlite.org/fileformat.html)
_PATIENCE = 30_000  # milliseconds to wait for another process that writes
_KEPT = 16_384  # changed pages, at most, that wait in memory (64 MB) for the end of a transaction; see hotjournal


def damaged(path: Path, what: str) -> LedgerError:
    """The error for a ledger that cannot be trusted."""
    way_out = (
        "Restore it from a backup. Moved away, and with --new-ledger, a run begins an empty one, which does not know "
        "what was delivered before: events may fire twice"
    )
    return LedgerError(f"{path}: not a sound ledger ({what}). {way_out}", then="restore it, then {run}")


def load_checksums(load: Callable[[apsw.Connection, str], object] | None = None) -> None:
    """Enter the checksums into this process. Raises LedgerError where this apsw was built without them."""
    try:
        (load or _extension_loader())(apsw.Connection(":memory:"), "cksumvfs")
    except Exception as error:  # of several kinds, and some of their classes are missing where the module is
        raise LedgerError(
            f"apsw {apsw.apsw_version()} comes without SQLite's page checksums ({type(error).__name__}: {error}), "
            "and no ledger is kept without them. Install apsw from its wheel: pip install --only-binary :all: apsw"
        ) from error


class Database:
    """A connection to the file at ``path``, in no transaction; every method raises LedgerError."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        with _told(path):
            connection.set_busy_timeout(_PATIENCE)
            connection.reserve_bytes("main", _RESERVED)  # takes effect in a new file, and in an older one by VACUUM
            connection.execute(f"PRAGMA synchronous = EXTRA; PRAGMA temp_store = MEMORY; PRAGMA cache_spill = {_KEPT}")

    @classmethod
    def connect(cls, path: Path) -> Database:
        """A connection to the file, whose pages get checksums if they are yet to be written."""
        _need_checksums()
        with _told(path):
            try:
                return cls(apsw.Connection(str(path), vfs=_CHECKSUMS), path)
            except ValueError as error:
                raise LedgerError(f"{str(path)!r}: SQLite opens no file of such a name ({error})") from error

    @classmethod
    def in_memory(cls) -> Database:
        """An empty database that leaves nothing behind."""
        _need_checksums()
        return cls(apsw.Connection(":memory:"), Path(":memory:"))

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        with _told(self.path):
            self._connection.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, as they are found."""
        with _told(self.path):
            yield from self._connection.execute(query, values)

    def row(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query, None where there is none."""
        with _told(self.path):
            row: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
            return row

    def change(self, statement: str, values: Sequence[Any] | None = None) -> int:
        """Do it; returns how many rows that changed."""
        with _told(self.path):
            self._connection.execute(statement, values)
            return self._connection.changes()

    def change_all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Do it for each of the rows of values."""
        with _told(self.path):
            self._connection.executemany(statement, rows)

    def change_given(self, frame: pl.DataFrame, statement: str) -> None:
        """Do it with the rows of the frame, in order, as the relation ``given``; for many rows at a time."""
        with _told(self.path):
            for part, values in given(frame, statement):
                self._connection.execute(part, values)

    def found_given(self, frame: pl.DataFrame, query: str, schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
        """What a query finds with the rows of the frame as the relation ``given``, as columns of this schema; the rows
        are given in parts, so a query must look at each by itself."""
        found = [pl.DataFrame(schema=schema)]
        with _told(self.path):
            for part, values in given(frame, query):
                rows = self._connection.execute(part, values).fetchall()
                found.append(pl.DataFrame(rows, schema=schema, orient="row"))
        return pl.concat(found)

    def pragma(self, name: str) -> Any:
        """What a PRAGMA says."""
        with _told(self.path):
            return self._connection.pragma(name)

    @contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        """All or nothing; a ``DEFERRED`` one that only reads sees the file as it was at its first look."""
        with _told(self.path):
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(apsw.Error):  # SQLite rolled back itself, or cannot: the first error tells more
                    self._connection.execute("ROLLBACK")
                raise

    def write_anew(self) -> None:
        """Write every page of the file again, with a checksum. Takes as much memory as the file has bytes, twice.

        The extension learns from the first page, as it is written, that this file is to have them: so no page may be
        written before it, which is what the cache does with a large file.
        """
        self.change("PRAGMA cache_spill = OFF")
        self.change("VACUUM")
        self.change(f"PRAGMA cache_spill = {_KEPT}")

    def copy_to(self, path: Path) -> None:
        """Make a copy of what the file holds now, with a checksum on every page, at a new path."""
        with closing(Database.connect(path)) as copy, _told(path):
            copy.change(f"PRAGMA page_size = {self.pragma('page_size')}")
            copy.change("PRAGMA user_version = 1")  # a first page, see write_anew
            with copy._connection.backup("main", self._connection, "main") as backup:
                backup.step()

    def is_sound(self, page: bytes) -> bool:
        """Whether the last eight bytes of a page are its checksum."""
        return self.row("SELECT verify_checksum(?)", (page,)) == (1,)

    @property
    def checksummed(self) -> bool:
        """Whether the pages of the file have checksums, as its header says."""
        with _told(self.path):
            return self._connection.read("main", 0, _RESERVED_AT, 1) == (True, bytes([_RESERVED]))

    @property
    def whole(self) -> bool:
        """Whether the file is as long as its header says; to be asked in a transaction.

        SQLite takes what is missing from the last page for zeros, and the checksums do not look at such a page.
        """
        last = self.pragma("page_count") * self.pragma("page_size") - 1
        with _told(self.path):
            return last < 0 or self._connection.read("main", 0, last, 1)[0]


def _extension_loader() -> Callable[[apsw.Connection, str], object]:
    from apsw.sqlite_extra import load  # not above: it costs more than apsw itself, and older ones lack it

    return load


def _need_checksums() -> None:
    if _CHECKSUMS not in apsw.vfs_names():
        load_checksums()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """The one place where SQLite's errors become ours: what is wrong with which file, and what to do."""
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise damaged(path, str(error)) from error
    except apsw.Error as error:
        if getattr(error, "extendedresult", None) == apsw.SQLITE_IOERR_DATA:
            raise damaged(path, "a page's checksum is wrong") from error
        raise LedgerError(f"{path}: {_said(error)}") from error


def _said(error: apsw.Error) -> str:
    """What is wrong with a ledger that may be sound, and what to do."""
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return f"another process has been writing the ledger for {_PATIENCE // 1000} s. Try again when it has ended"
        case apsw.FullError():
            return "the ledger cannot be written: its disk is full. Make room and run again"
        case apsw.ReadOnlyError():
            return "the ledger cannot be written: the file or its folder is read-only"
        case apsw.CantOpenError() | apsw.PermissionsError():
            return f"the ledger is out of reach ({error}). See who may read and write the file and its folder"
        case _:
            return f"the ledger cannot be written or read ({error})"
