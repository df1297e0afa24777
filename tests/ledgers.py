"""Ledgers for tests: altered behind the program's back, of an older version, full of everything that one can hold."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import polars as pl

from batchpost.database import Database
from batchpost.ledger import Ledger
from batchpost.ledgerfile import lay_out
from batchpost.ledgerrows import UPDATES, Delivered, Fold, LastUpdate, RunRecord, Uncertain
from batchpost.resolutions import Resolutions

VERSION_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE events (
    key BLOB PRIMARY KEY, body BLOB, stake BLOB, amount TEXT, conversion_id TEXT, delivered_at REAL, run_id TEXT
) WITHOUT ROWID;
CREATE TABLE updates (
    key BLOB PRIMARY KEY, body BLOB, confirmed INTEGER, seq INTEGER, row INTEGER, content BLOB
) WITHOUT ROWID;
CREATE TABLE doubts (
    key BLOB, body BLOB, run_id TEXT, row INTEGER, state TEXT DEFAULT 'open', PRIMARY KEY (key, body)
) WITHOUT ROWID;
CREATE VIEW open_doubts AS SELECT * FROM doubts WHERE state = 'open';
CREATE TABLE contents (id BLOB PRIMARY KEY, rows INTEGER, delivered BLOB, finished INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, seq INTEGER UNIQUE, job TEXT, state TEXT, fingerprint TEXT, inputs TEXT, route TEXT,
    test INTEGER, results TEXT, started_at REAL, finished_at REAL, exit_code INTEGER, folded INTEGER DEFAULT 0
) WITHOUT ROWID;
PRAGMA application_id = 0x62706C67;
PRAGMA user_version = 1;
"""
EVENTS = [bytes([number]) * 16 for number in range(1, 13)]
LEADS = [bytes([number]) * 16 for number in range(32, 38)]
NEVER = b"\xfe" * 16
BODY, OTHER = b"\xaa" * 16, b"\xbb" * 16
CONTENT, MENDED = b"c" * 16, b"m" * 16


def alter(path: Path, statement: str) -> None:
    """Change a ledger as nobody should, with sound checksums."""
    with closing(Database.connect(path)) as database:
        database.change(statement)


def version_1(path: Path, rows: dict[str, list[tuple[Any, ...]]], *, page_size: int = 4096) -> Path:
    """A ledger as version 1 of it was made: by the interpreter's own SQLite, without checksums."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"PRAGMA page_size = {page_size}")
        database.executescript(f"BEGIN; {VERSION_1} COMMIT")
        database.execute("BEGIN")
        for table, entries in rows.items():
            database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(entries[0]))})", entries)
        database.execute("COMMIT")
    return path


def rows_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of a ledger, read without asking for checksums."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table: database.execute(f"SELECT * FROM {table}").fetchall() for table in tables}


def sale(number: int, row: int | None = None) -> Delivered:
    return Delivered(BODY, b"\x05" * 16, f"{number}.50", f"conv_{number}", 1_750_000_000.5 + number, row)


def small_ledger(path: Path) -> None:
    """One with small pages that has something in every table, so that it can be damaged byte by byte."""
    with closing(Database.connect(path)) as database:
        database.change("PRAGMA page_size = 512")
        lay_out(database, lambda count: bytes(range(count)))
        ledger = Ledger(database, lambda: 1_750_000_000.0)
        for number, route in ((1, "global-event"), (2, "update-lead")):
            run_id = f"r{number}"
            started = 1_750_000_000.0 + number
            ledger.begin_run(
                RunRecord(run_id, 0, "nightly", "running", "f1", ("aa",), route, False, "results", started)
            )
        events = [(key, sale(number, number)) for number, key in enumerate(EVENTS)]
        doubts = [
            Uncertain(b"\x60" * 16, BODY, 4, b"\x05" * 16, "4.50"),
            Uncertain(b"\x61" * 16, BODY, 5, b"\x05" * 16, "5.50"),
            Uncertain(b"\x61" * 16, OTHER, 6),
        ]
        contents = [(CONTENT, 400, bytes(range(1, 51))), (MENDED, 8, b"\x81")]
        ledger.fold("r1", 1, [Fold.of(events, [], doubts, contents)])
        updates = [(key, LastUpdate(BODY, number % 2 == 0, 2, number, CONTENT)) for number, key in enumerate(LEADS)]
        ledger.fold("r2", 1, [Fold.of([], updates, [Uncertain(LEADS[1], BODY, 1)], [])])
        ledger.finish_contents([MENDED])
        resolutions = Resolutions(ledger, lambda: 1_750_000_100.0)
        resolutions.wait_for("r2", [(7, b"\x60" * 16, b""), (9, b"\x61" * 16, OTHER)])
        [(_, said_no)] = [(row, doubt) for row, doubt in resolutions.doubts_of("r1") if row == 5]
        resolutions.decide([said_no], "not_delivered", "they said no")
        [(_, sent_back)] = resolutions.delivered_of("r1", [3])
        resolutions.decide([sent_back], "voided", "sent back")
        ledger.end_run("r1", "finished", 3)


def updates_of(ledger: Ledger, keys: Sequence[bytes]) -> dict[bytes, LastUpdate]:
    """The last update of each of these leads that has one, by key."""
    found = ledger.updates(pl.Series(keys, dtype=pl.Binary))
    assert dict(found.schema) == UPDATES
    return {key: LastUpdate(*one) for key, *one in found.iter_rows()}


def questions_to(ledger: Ledger) -> dict[str, Callable[[], Any]]:
    """Everything that a ledger can be asked, about what it knows and what it does not."""
    decisions = Resolutions(ledger)
    keys = [*EVENTS, *LEADS, b"\x60" * 16, b"\x61" * 16, NEVER]
    return {
        "id": lambda: (ledger.id, ledger.hash_key, ledger.generation),
        "events": lambda: ledger.events(keys),
        "updates": lambda: updates_of(ledger, keys),
        "delivered": lambda: ledger.delivered(pl.Series(keys)).rows(),
        "doubts": lambda: (ledger.doubts(keys), decisions.outstanding(), decisions.due()),
        "delivered rows": lambda: [ledger.delivered_rows(content) for content in (CONTENT, MENDED, NEVER)],
        "finished": lambda: [ledger.finished(content) for content in (CONTENT, MENDED, NEVER)],
        "runs": lambda: (ledger.runs(), ledger.runs("nightly"), ledger.runs("unheard of")),
        "doubts of runs": lambda: [decisions.doubts_of(run_id) for run_id in ("r1", "r2", "r9")],
        "resolutions": lambda: (decisions.of(), decisions.of("r1"), decisions.of("r2")),
        "decided": lambda: (decisions.about(keys), decisions.doubtful().sort().to_list(), decisions.taken_back()),
    }


def answers_of(path: Path) -> dict[str, Any]:
    """All answers of a sound ledger."""
    with closing(Ledger.open(path)) as ledger:
        return {name: ask() for name, ask in questions_to(ledger).items()}


Image = dict[str, bytes]


class Instants(apsw.VFS):
    """SQLite's files, under the checksums; keeps what lies in the folder at each instant before it changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.base = apsw.vfs_names()[0]
        self.images: list[Image] = []
        super().__init__("instants", self.base, makedefault=True)

    def keep(self) -> None:
        image = {path.name: path.read_bytes() for path in self._folder.iterdir()}
        if not self.images or image != self.images[-1]:
            self.images.append(image)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's names
        return _Watched(self, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802
        self.keep()
        super().xDelete(name, syncdir)


class _Watched(apsw.VFSFile):
    def __init__(self, instants: Instants, name: Any, flags: list[int]) -> None:
        self._instants = instants
        super().__init__(instants.base, name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._instants.keep()
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._instants.keep()
        super().xTruncate(size)


def instants_of(path: Path, action: Callable[[Path], object]) -> list[Image]:
    """What a process would leave in the ledger's folder if it died in the action, at each instant: first and last are
    the states before and after. In a process of its own, as the checksums rest on what was the default before them."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
        return pool.submit(_watched, path, action).result()


def _watched(path: Path, action: Callable[[Path], object]) -> list[Image]:
    instants = Instants(path.parent)
    instants.keep()
    action(path)
    instants.keep()
    return instants.images


def open_ledger(path: Path) -> None:
    Ledger.open(path).close()


def fold_more(path: Path) -> None:
    with closing(Ledger.open(path)) as ledger:
        fold_into(ledger)


def fold_more_in_little_memory(path: Path) -> None:
    """Pages are written before the end of the transaction, so that its journal has several parts."""
    with closing(Ledger.open(path)) as ledger:
        ledger.database.change("PRAGMA cache_size = 1; PRAGMA cache_spill = 1")
        fold_into(ledger)


def fold_into(ledger: Ledger) -> None:
    """A small write that touches several tables of :func:`small_ledger`."""
    events = [(bytes([number]) * 16, sale(number)) for number in range(200, 210)]
    fold = Fold.of(events, [(LEADS[0], LastUpdate(OTHER, True, 3, 0, CONTENT))], [Uncertain(b"\x70" * 16, BODY, 1)], [])
    ledger.fold("r1", 2, [fold, Fold.of([], [], [], [(CONTENT, 400, b"\xff" * 50)])])


def put(path: Path, content: bytes) -> None:
    """Write a file over the old one, if there is one: to cut it to nothing first costs milliseconds on a disk."""
    if not path.exists():
        path.write_bytes(content)
        return
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def lay(image: Image, folder: Path) -> None:
    """Put the files of an image into a folder, and nothing else."""
    for path in folder.iterdir():
        if path.name not in image:
            path.unlink()
    for name, content in image.items():
        put(folder / name, content)
