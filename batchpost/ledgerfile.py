"""The ledger's file: its tables, how one is made, and whether one is sound.

The database uses the rollback journal: SQLite before 3.51.3 can corrupt a WAL database used by two connections, and
nothing here needs WAL.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path

from batchpost.errors import LedgerError
from batchpost.files import private_folder
from batchpost.mounts import network_file_system

__all__ = ["check", "connect", "create", "lay_out", "refuse_network"]

_VERSION = 1
_APPLICATION_ID = 0x62706C67
_SCHEMA = """
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
"""


def connect(path: Path | str) -> sqlite3.Connection:
    """A connection that is in no transaction and whose writes are on disk when they return; raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def create(path: Path, mounts: Path) -> None:
    """Make a ledger beside its place and move it there whole, so that a half-made one is never found.

    Raises as :func:`refuse_network`, and OSError.
    """
    private_folder(path.parent)
    refuse_network(path.parent, mounts)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = connect(temporary)
    lay_out(connection)
    connection.close()
    try:
        os.link(temporary, path)  # unlike a rename it never replaces a ledger made at the same moment
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def lay_out(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty ledger, with an id and a hash key of its own."""
    connection.executescript(_SCHEMA)
    values = (("id", secrets.token_hex(8)), ("hash_key", secrets.token_bytes(32)), ("generation", 0))
    connection.executemany("INSERT INTO meta VALUES (?, ?)", values)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raises LedgerError for a file of another program or another version, and for a damaged one."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != _APPLICATION_ID:
        raise LedgerError(f"{path}: this file is not a batchpost ledger")
    if version != _VERSION:
        raise LedgerError(f"{path}: version {version} of the ledger; this program knows {_VERSION}")
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise LedgerError(f"{path}: the ledger is damaged ({problem}). Restore it from a backup")


def refuse_network(path: Path, mounts: Path) -> None:
    """Raises LedgerError on a network file system: locks and fsync mean little there, so SQLite is not safe."""
    if kind := network_file_system(path, mounts):
        raise LedgerError(f"{path}: on a network file system ({kind}), where SQLite is not safe; use a local disk")
