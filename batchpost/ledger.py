"""What was delivered, ever: keys, contents and doubts, in SQLite; and the register of runs.

Journals are folded in after each sitting, in one transaction. Keys and bodies are 16-byte keyed hashes; the hash key
lives in the ledger. Times are Unix seconds. The file itself is :mod:`batchpost.ledgerfile`; what people decide about
doubts is :mod:`batchpost.resolutions`.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from batchpost.database import Database, damaged
from batchpost.errors import LedgerError
from batchpost.ledgerfile import lay_out, open_file
from batchpost.ledgerrows import EVENTS, UPDATES, Delivered, Fold, RunRecord, Uncertain
from batchpost.model import HashKind

__all__ = ["Ledger"]

# What a delivery tells of doubts about its event, whatever their bodies; one voided with another body stays so.
_DELIVERED_AFTER_ALL = """
UPDATE doubts SET state = 'delivered' WHERE key = ? AND EXISTS (
    SELECT 1 FROM events WHERE events.key = doubts.key AND (events.body = doubts.body OR doubts.state <> 'voided')
)
"""


class Ledger:
    """An open ledger. ``id`` never changes; ``generation`` grows with every write, so an older copy shows.
    ``hash_key`` and ``hash_kind`` are what its keyed hashes are made with (:mod:`batchpost.identity`)."""

    def __init__(self, database: Database, wall: Callable[[], float] = time.time) -> None:
        self._db = database
        self._wall = wall
        self.path = database.path
        self.id = self._meta("id").decode()
        self.hash_key = self._meta("hash_key")
        self.hash_kind = HashKind(self._meta("hash").decode())

    def __repr__(self) -> str:
        return f"<Ledger {self.id} {self.path}>"

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        must_exist: bool = False,
        mounts: Path = Path("/proc/mounts"),
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        wall: Callable[[], float] = time.time,
    ) -> Ledger:
        """Open the ledger at ``path``, made new (0600) unless ``must_exist``, and brought up to this version.

        ``entropy`` gives so many random bytes. Raises LedgerError: missing, out of reach, damaged, of a newer version,
        or on a network file system; every method raises it for damage that comes to light as pages are read.
        """
        return cls(open_file(path, must_exist=must_exist, mounts=mounts, entropy=entropy), wall)

    @classmethod
    def in_memory(cls, *, entropy: Callable[[int], bytes] = secrets.token_bytes) -> Ledger:
        """An empty ledger that leaves nothing behind: for looking at a job before its first run."""
        database = Database.in_memory()
        lay_out(database, entropy)
        return cls(database)

    def copied(self, path: Path) -> Ledger:
        """A ledger of its own at a new ``path`` (0600) that knows what this one knows. Raises LedgerError, OSError."""
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self._db.copy_to(path)
        return Ledger.open(path, must_exist=True, wall=self._wall)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @property
    def database(self) -> Database:
        """For what else is kept in this file."""
        return self._db

    @property
    def generation(self) -> int:
        """How many times this ledger was written."""
        return int(self._meta("generation"))

    @property
    def blank(self) -> bool:
        """Whether it knows of no operation: none delivered, none in doubt."""
        return not any(self._has(table) for table in ("events", "updates", "doubts"))

    # -- what was delivered ------------------------------------------------------------------------------------

    def events(self, keys: Sequence[bytes]) -> dict[bytes, Delivered]:
        """The delivered ones among a few event keys, with all that is known of them."""
        found = self._known("events", EVENTS, pl.Series(keys, dtype=pl.Binary))
        return {key: Delivered(*one) for key, *one in found.iter_rows()}

    def delivered(self, keys: pl.Series) -> pl.DataFrame:
        """The delivered ones among these event keys: ``key, body, stake``, in the order of their keys."""
        return self._known("events", {name: EVENTS[name] for name in ("key", "body", "stake")}, keys)

    def updates(self, keys: pl.Series) -> pl.DataFrame:
        """The last possibly applied update of each of these leads that has one: the columns of :data:`UPDATES`, in the
        order of their keys."""
        return self._known("updates", UPDATES, keys)

    def doubts(self, keys: Sequence[bytes]) -> dict[bytes, set[bytes]]:
        """The bodies whose end is not known, for each of these keys that has one."""
        found: dict[bytes, set[bytes]] = {}
        if self._has("open_doubts"):
            wanted = set(keys)
            for key, body in self._db.rows("SELECT key, body FROM open_doubts"):
                if key in wanted:
                    found.setdefault(key, set()).add(body)
        return found

    def delivered_rows(self, content: bytes) -> bytes:
        """The bitmap (least significant bit first) of the delivered rows of a content; empty if none."""
        row = self._db.row("SELECT delivered FROM contents WHERE id = ?", (content,))
        return bytes(row[0]) if row else b""

    def finished(self, content: bytes) -> bool:
        """Whether a run ended with nothing of this content left to send."""
        row = self._db.row("SELECT finished FROM contents WHERE id = ?", (content,))
        return bool(row and row[0])

    # -- runs --------------------------------------------------------------------------------------------------

    def begin_run(self, record: RunRecord) -> RunRecord:
        """Enter a new run; returns it with its sequence number."""
        with self.writing():
            [(seq,)] = self._db.rows("SELECT COALESCE(MAX(seq), 0) + 1 FROM runs")
            entered = record._replace(seq=seq)
            contents = [content.hex() for content in record.contents]
            self._db.change(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*entered[:5], json.dumps(entered.inputs), *entered[6:13], json.dumps(contents)),
            )
        return entered

    def end_run(self, run_id: str, state: str, exit_code: int | None) -> None:
        """Record how a sitting of the run ended."""
        query = "UPDATE runs SET state = ?, exit_code = ?, finished_at = ? WHERE run_id = ?"
        with self.writing():
            self._db.change(query, (state, exit_code, self._wall(), run_id))

    def finish_contents(self, contents: Sequence[bytes]) -> None:
        """Record that nothing of these contents is left to send."""
        with self.writing():
            self._db.change_all("UPDATE contents SET finished = 1 WHERE id = ?", [(content,) for content in contents])

    def runs(self, job: str | None = None) -> list[RunRecord]:
        """The runs, oldest first; of one job if named."""
        rows = self._db.rows("SELECT * FROM runs WHERE ?1 IS NULL OR job = ?1 ORDER BY seq", (job,))
        return [_record(row) for row in rows]

    # -- folding -----------------------------------------------------------------------------------------------

    def fold(self, run_id: str, sittings: int, folds: Iterable[Fold]) -> bool:
        """Take in a run's journal up to its ``sittings``-th sitting, in parts but in one transaction.

        Returns False, and changes nothing, when that was done before. Raises LedgerError for an unknown run.
        """
        query = "UPDATE runs SET folded = ?1 WHERE run_id = ?2 AND folded < ?1"
        with self.writing():
            if self._db.change(query, (sittings, run_id)) == 0:
                if not self._db.row("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)):
                    raise LedgerError(f"{self.path}: this ledger does not know the run {run_id}")
                return False
            for fold in folds:
                self.take(run_id, fold)
        return True

    def take(self, run_id: str, fold: Fold) -> None:
        """Enter what a run adds; for those who are :meth:`writing`."""
        self._fold_events(run_id, fold)
        self._fold_updates(fold.updates)
        self._fold_contents(fold.contents)

    def _fold_events(self, run_id: str, fold: Fold) -> None:
        rows = fold.events.sort("key", maintain_order=True).with_columns(pl.lit(run_id).alias("run_id"))
        self._db.change_given(
            rows,
            "INSERT INTO events (key, body, stake, amount, conversion_id, delivered_at, row, run_id) "
            "SELECT key, body, stake, amount, conversion_id, delivered_at, row, run_id FROM given WHERE true "
            "ON CONFLICT (key) DO NOTHING",
        )
        self._raise(run_id, sorted(fold.doubts))
        self._db.change_all(_DELIVERED_AFTER_ALL, [(key,) for key, _ in self._doubted(rows)])

    def _doubted(self, rows: pl.DataFrame) -> Iterator[tuple[bytes, bytes]]:
        """The key and body of those rows whose operation has a doubt that is not known to be delivered: few."""
        if self._has("doubts"):
            doubts = self._db.rows("SELECT DISTINCT key FROM doubts WHERE state <> 'delivered'")
            keys = pl.Series([key for (key,) in doubts], dtype=pl.Binary)
            yield from rows.filter(pl.col("key").is_in(keys.implode())).select("key", "body").iter_rows()

    def _raise(self, run_id: str, doubts: Sequence[Uncertain]) -> None:
        """Enter doubts. One that was resolved once is a new one when a later request raises it again; the row of the
        run before then waits for that one, and so does another row of this run with the same body."""
        self._db.change_all(
            "INSERT OR REPLACE INTO waiting SELECT run_id, row, key, body FROM doubts "
            "WHERE key = ? AND body = ? AND run_id <> ? AND state <> 'delivered'",
            [(doubt.key, doubt.body, run_id) for doubt in doubts],
        )
        self._db.change_all(
            "INSERT INTO doubts (key, body, row, stake, amount, mends, mends_row, run_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (key, body) DO UPDATE SET state = 'open', run_id = excluded.run_id, row = excluded.row, "
            "stake = excluded.stake, amount = excluded.amount, mends = excluded.mends, mends_row = excluded.mends_row",
            [(*doubt, run_id) for doubt in doubts],
        )
        self._db.change_all(
            "INSERT OR IGNORE INTO waiting SELECT run_id, ?1, key, body FROM doubts "
            "WHERE key = ?2 AND body = ?3 AND run_id = ?4 AND row <> ?1",
            [(doubt.row, doubt.key, doubt.body, run_id) for doubt in doubts],
        )

    def _fold_updates(self, updates: pl.DataFrame) -> None:
        self._db.change_given(
            updates.sort("key", maintain_order=True),
            "INSERT INTO updates (key, body, confirmed, seq, row, content) "
            "SELECT key, body, confirmed, seq, row, content FROM given WHERE true "
            "ON CONFLICT (key) DO UPDATE SET body = excluded.body, "
            "confirmed = excluded.confirmed, seq = excluded.seq, row = excluded.row, content = excluded.content "
            "WHERE (excluded.seq, excluded.row) >= (updates.seq, updates.row)",
        )
        confirmed = self._doubted(updates.filter("confirmed"))
        self._db.change_all("UPDATE doubts SET state = 'delivered' WHERE key = ? AND body = ?", [*confirmed])

    def _fold_contents(self, contents: Iterable[tuple[bytes, int, bytes]]) -> None:
        for content, rows, bitmap in contents:
            merged = _either(self.delivered_rows(content), bitmap)
            self._db.change(
                "INSERT INTO contents (id, rows, delivered) VALUES (?1, ?2, ?3) "
                "ON CONFLICT (id) DO UPDATE SET delivered = ?3",
                (content, rows, merged),
            )

    # -- plumbing ----------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[Database]:
        """One transaction on the database, with a generation of its own; raises LedgerError."""
        with self._db.transaction():
            yield self._db
            self._db.change("UPDATE meta SET value = value + 1 WHERE name = 'generation'")

    def _known(self, table: str, schema: Mapping[str, type[pl.DataType]], keys: pl.Series) -> pl.DataFrame:
        """These columns of a table for the keys that it has, asked in their order, so that the B-tree is walked and
        not jumped about in."""
        if not self._has(table):
            return pl.DataFrame(schema=schema)
        wanted = pl.DataFrame({"key": keys.unique().sort()})
        query = f"SELECT {', '.join(schema)} FROM given JOIN {table} USING (key)"  # noqa: S608 - our own names
        return self._db.found_given(wanted, query, schema)

    def _has(self, table: str) -> bool:
        """Whether a table or view has a row; most lookups find an empty one, which this tells at once."""
        return self._db.row(f"SELECT 1 FROM {table} LIMIT 1") is not None  # noqa: S608 - our own names

    def _meta(self, name: str) -> bytes:
        row = self._db.row("SELECT value FROM meta WHERE name = ?", (name,))
        if row is None:
            raise damaged(self.path, f"no {name}")
        return row[0] if isinstance(row[0], bytes) else str(row[0]).encode()


def _record(row: tuple[Any, ...]) -> RunRecord:
    contents = tuple(bytes.fromhex(content) for content in json.loads(row[13]))
    return RunRecord(*row)._replace(inputs=tuple(json.loads(row[5])), test=bool(row[7]), contents=contents)


def _either(first: bytes, second: bytes) -> bytes:
    """The union of two bitmaps."""
    size = max(len(first), len(second))
    union = int.from_bytes(first, "little") | int.from_bytes(second, "little")
    return union.to_bytes(size, "little")
