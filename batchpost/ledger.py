"""What was delivered, ever: keys, contents and doubts, in SQLite; and the register of runs.

Journals are folded in after each sitting, in one transaction. Keys and bodies are 16-byte keyed hashes; the hash key
lives in the ledger. Times are Unix seconds. The file itself is :mod:`batchpost.ledgerfile`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from batchpost.errors import LedgerError
from batchpost.ledgerfile import check, connect, create, lay_out, refuse_network

__all__ = ["Delivered", "Fold", "LastUpdate", "Ledger", "RunRecord"]


class Delivered(NamedTuple):
    """An event that was delivered: its body and stake (keyed hashes), and what the account manager needs."""

    body: bytes
    stake: bytes
    amount: str
    conversion_id: str
    delivered_at: float


class LastUpdate(NamedTuple):
    """The last update of a lead that may have been applied, and where it stood: run, row, content of the file."""

    body: bytes
    confirmed: bool
    seq: int
    row: int
    content: bytes


class RunRecord(NamedTuple):
    """A line of the register of runs. ``inputs`` are the sha256 of the files in order."""

    run_id: str
    seq: int
    job: str
    state: str
    fingerprint: str
    inputs: tuple[str, ...]
    route: str
    test: bool
    results: str
    started_at: float
    finished_at: float | None = None
    exit_code: int | None = None
    folded: int = 0

    @property
    def unfinished(self) -> bool:
        """Whether a later ``run`` goes on with it."""
        return self.state in ("running", "interrupted", "stopped")


class Fold(NamedTuple):
    """What a run's journal, or a part of it, adds to the ledger.

    ``events``: (key, Delivered). ``updates``: (key, LastUpdate). ``doubts``: (key, body, row number). ``contents``:
    (content id, rows of the file, bitmap of delivered rows).
    """

    events: Sequence[tuple[bytes, Delivered]]
    updates: Sequence[tuple[bytes, LastUpdate]]
    doubts: Sequence[tuple[bytes, bytes, int]]
    contents: Sequence[tuple[bytes, int, bytes]]


class Ledger:
    """An open ledger. ``id`` never changes; ``generation`` grows with every write, so an older copy shows."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self.path = path
        self.id = self._meta("id").decode()
        self.hash_key = self._meta("hash_key")

    def __repr__(self) -> str:
        return f"<Ledger {self.id} {self.path}>"

    @classmethod
    def open(cls, path: Path, *, must_exist: bool = False, mounts: Path = Path("/proc/mounts")) -> Ledger:
        """Open the ledger at ``path``, made new (0600) unless ``must_exist``.

        Raises LedgerError: missing, out of reach, damaged, of a newer version, or on a network file system.
        """
        try:
            if not path.exists():
                if must_exist:
                    raise LedgerError(f"{path}: there is no ledger here (must_exist). Restore it, or --new-ledger")
                create(path, mounts)
            refuse_network(path, mounts)
            connection = connect(path)
            check(connection, path)
            return cls(connection, path)
        except sqlite3.Error as error:
            raise LedgerError(f"{path}: not a sound ledger ({error}). Restore it from a backup") from error
        except OSError as error:
            raise LedgerError(f"{path}: the ledger is out of reach ({error.strerror})") from error

    @classmethod
    def in_memory(cls) -> Ledger:
        """An empty ledger that leaves nothing behind: for looking at a job before its first run."""
        connection = connect(":memory:")
        lay_out(connection)
        return cls(connection, Path(":memory:"))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @property
    def generation(self) -> int:
        """How many times this ledger was written."""
        return int(self._meta("generation"))

    # -- what was delivered ------------------------------------------------------------------------------------

    def events(self, keys: Sequence[bytes]) -> dict[bytes, Delivered]:
        """The delivered ones among these event keys."""
        if not self._has("events"):
            return {}
        query = "SELECT key, body, stake, amount, conversion_id, delivered_at FROM wanted JOIN events USING (key)"
        return {row[0]: Delivered(*row[1:]) for row in self._wanted(keys, query)}

    def updates(self, keys: Sequence[bytes]) -> dict[bytes, LastUpdate]:
        """The last possibly applied update of each of these leads that has one."""
        if not self._has("updates"):
            return {}
        query = "SELECT key, body, confirmed, seq, row, content FROM wanted JOIN updates USING (key)"
        return {row[0]: LastUpdate(row[1], bool(row[2]), *row[3:]) for row in self._wanted(keys, query)}

    def doubts(self, keys: Sequence[bytes]) -> dict[bytes, set[bytes]]:
        """The bodies whose end is not known, for each of these keys that has one."""
        found: dict[bytes, set[bytes]] = {}
        if self._has("open_doubts"):
            wanted = set(keys)
            for key, body in self._db.execute("SELECT key, body FROM open_doubts"):
                if key in wanted:
                    found.setdefault(key, set()).add(body)
        return found

    def open_doubts(self) -> dict[str, int]:
        """How many operations each run left without a known end."""
        query = "SELECT run_id, COUNT(*) FROM open_doubts GROUP BY run_id"
        return dict(self._db.execute(query).fetchall())

    def delivered_rows(self, content: bytes) -> bytes:
        """The bitmap (least significant bit first) of the delivered rows of a content; empty if none."""
        row = self._db.execute("SELECT delivered FROM contents WHERE id = ?", (content,)).fetchone()
        return bytes(row[0]) if row else b""

    def finished(self, content: bytes) -> bool:
        """Whether a run ended with nothing of this content left to send."""
        row = self._db.execute("SELECT finished FROM contents WHERE id = ?", (content,)).fetchone()
        return bool(row and row[0])

    # -- runs --------------------------------------------------------------------------------------------------

    def begin_run(self, record: RunRecord) -> RunRecord:
        """Enter a new run; returns it with its sequence number."""
        with self._write():
            seq = self._db.execute("SELECT COALESCE(MAX(seq), 0) + 1 FROM runs").fetchone()[0]
            entered = record._replace(seq=seq)
            values = (*entered._replace(inputs=json.dumps(entered.inputs)),)  # type: ignore[arg-type]
            self._db.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return entered

    def end_run(self, run_id: str, state: str, exit_code: int | None) -> None:
        """Record how a sitting of the run ended."""
        query = "UPDATE runs SET state = ?, exit_code = ?, finished_at = ? WHERE run_id = ?"
        with self._write():
            self._db.execute(query, (state, exit_code, time.time(), run_id))

    def finish_contents(self, contents: Sequence[bytes]) -> None:
        """Record that nothing of these contents is left to send."""
        with self._write():
            self._db.executemany("UPDATE contents SET finished = 1 WHERE id = ?", [(content,) for content in contents])

    def runs(self, job: str | None = None) -> list[RunRecord]:
        """The runs, oldest first; of one job if named."""
        rows = self._db.execute("SELECT * FROM runs WHERE ?1 IS NULL OR job = ?1 ORDER BY seq", (job,))
        return [RunRecord(*row)._replace(inputs=tuple(json.loads(row[5])), test=bool(row[7])) for row in rows]

    # -- folding -----------------------------------------------------------------------------------------------

    def fold(self, run_id: str, sittings: int, folds: Iterable[Fold]) -> bool:
        """Take in a run's journal up to its ``sittings``-th sitting, in parts but in one transaction.

        Returns False, and changes nothing, when that was done before. Raises LedgerError for an unknown run.
        """
        query = "UPDATE runs SET folded = ?1 WHERE run_id = ?2 AND folded < ?1"
        with self._write():
            if self._db.execute(query, (sittings, run_id)).rowcount == 0:
                if not self._db.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone():
                    raise LedgerError(f"{self.path}: this ledger does not know the run {run_id}")
                return False
            for fold in folds:
                self._fold_events(run_id, fold)
                self._fold_updates(fold.updates)
                self._fold_contents(fold.contents)
        return True

    def _fold_events(self, run_id: str, fold: Fold) -> None:
        rows = sorted((key, *delivered, run_id) for key, delivered in fold.events)
        self._db.executemany("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        doubts = sorted((key, body, run_id, number) for key, body, number in fold.doubts)
        self._db.executemany(  # a doubt that was resolved once is a new one when a later run raises it again
            "INSERT INTO doubts (key, body, run_id, row) VALUES (?, ?, ?, ?) ON CONFLICT (key, body) DO UPDATE SET "
            "state = 'open', run_id = excluded.run_id, row = excluded.row WHERE run_id <> excluded.run_id",
            doubts,
        )
        if self._has("open_doubts"):
            self._db.executemany("UPDATE doubts SET state = 'delivered' WHERE key = ?", [(row[0],) for row in rows])

    def _fold_updates(self, updates: Sequence[tuple[bytes, LastUpdate]]) -> None:
        self._db.executemany(
            "INSERT INTO updates VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body, "
            "confirmed = excluded.confirmed, seq = excluded.seq, row = excluded.row, content = excluded.content "
            "WHERE (excluded.seq, excluded.row) >= (updates.seq, updates.row)",
            sorted((key, *last) for key, last in updates),
        )
        if self._has("open_doubts"):
            confirmed = [(key, last.body) for key, last in updates if last.confirmed]
            self._db.executemany("UPDATE doubts SET state = 'delivered' WHERE key = ? AND body = ?", confirmed)

    def _fold_contents(self, contents: Iterable[tuple[bytes, int, bytes]]) -> None:
        for content, rows, bitmap in contents:
            merged = _either(self.delivered_rows(content), bitmap)
            self._db.execute(
                "INSERT INTO contents (id, rows, delivered) VALUES (?1, ?2, ?3) "
                "ON CONFLICT (id) DO UPDATE SET delivered = ?3",
                (content, rows, merged),
            )

    # -- plumbing ----------------------------------------------------------------------------------------------

    def _wanted(self, keys: Sequence[bytes], query: str) -> Iterator[tuple[Any, ...]]:
        """Join a query with the wanted keys, in key order, so that the B-tree is walked and not jumped about in."""
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("DELETE FROM wanted")
        self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((key,) for key in sorted(keys)))
        yield from self._db.execute(query)

    def _has(self, table: str) -> bool:
        """Whether a table or view has a row; most lookups find an empty one, which this tells at once."""
        return self._db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None  # noqa: S608 - our own names

    def _meta(self, name: str) -> bytes:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise LedgerError(f"{self.path}: not a sound ledger (no {name}). Restore it from a backup")
        return row[0] if isinstance(row[0], bytes) else str(row[0]).encode()

    @contextmanager
    def _write(self) -> Iterator[None]:
        """One transaction; raises LedgerError when the database refuses it."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation'")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: the ledger cannot be written ({error})") from error


def _either(first: bytes, second: bytes) -> bytes:
    """The union of two bitmaps."""
    size = max(len(first), len(second))
    union = int.from_bytes(first, "little") | int.from_bytes(second, "little")
    return union.to_bytes(size, "little")
