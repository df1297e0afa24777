"""The ledger's file: how one is made, whether one is sound, and bringing an older one up to date."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from batchpost.database import Database, damaged
from batchpost.errors import LedgerError
from batchpost.files import private_folder
from batchpost.hotjournal import check_journal
from batchpost.model import HashKind
from batchpost.mounts import network_file_system

__all__ = ["MIGRATIONS", "VERSION", "lay_out", "migrate", "open_file"]

VERSION = 3
_APPLICATION_ID = 0x62706C67
_RESTORED = "restore it, then {run}"
_ITSELF = "Name the file itself in [ledger] url"
_LOST = "Restore it from a backup; for the very first run say --new-ledger"
_FIRST_SCHEMA = """
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
_SECOND_SCHEMA = """
ALTER TABLE events ADD COLUMN row INTEGER;
ALTER TABLE doubts ADD COLUMN stake BLOB DEFAULT x'';
ALTER TABLE doubts ADD COLUMN amount TEXT DEFAULT '';
ALTER TABLE doubts ADD COLUMN mends BLOB DEFAULT x'';
ALTER TABLE doubts ADD COLUMN mends_row INTEGER DEFAULT 0;
ALTER TABLE runs ADD COLUMN contents TEXT DEFAULT '[]';
CREATE TABLE resolutions (
    id INTEGER PRIMARY KEY, at REAL, action TEXT, note TEXT, who TEXT, run_id TEXT, row INTEGER, key BLOB, body BLOB
) STRICT;
CREATE TABLE waiting (
    run_id TEXT, row INTEGER, key BLOB, body BLOB, PRIMARY KEY (run_id, row)
) STRICT, WITHOUT ROWID;
"""


def open_file(path: Path, *, must_exist: bool, mounts: Path, entropy: Callable[[int], bytes]) -> Database:
    """The ledger's file, made new (0600) unless ``must_exist``, sound, and of this version; raises LedgerError."""
    try:
        if path.is_symlink():
            raise LedgerError(f"{path}: a symbolic link, and so a second name for one ledger. {_ITSELF}")
        if not path.exists():
            if must_exist:
                raise LedgerError(f"{path}: there is no ledger here (must_exist). {_LOST}", then=_RESTORED)
            _create(path, mounts, entropy)
        if not path.is_file():
            raise LedgerError(f"{path}: not a file, so not a ledger. Move it away, or name another [ledger] url")
        _refuse_network(path, mounts)
        _clear(path)
        crashed = check_journal(path)
    except OSError as error:
        raise LedgerError(f"{path}: the ledger is out of reach ({error.strerror})") from error
    database = Database.connect(path)
    try:
        migrate(database, _checked(database, crashed))
    except BaseException:
        database.close()
        raise
    return database


def lay_out(database: Database, entropy: Callable[[int], bytes]) -> None:
    """Make the tables of an empty ledger, with an id and a hash key of its own; raises LedgerError."""
    made = {"id": entropy(8).hex(), "hash_key": entropy(32), "generation": 0, "hash": HashKind.HMAC_SHA256.value}
    with database.transaction():
        database.change(_FIRST_SCHEMA + _SECOND_SCHEMA)
        database.change_all("INSERT INTO meta VALUES (?, ?)", list(made.items()))
        database.change(f"PRAGMA application_id = {_APPLICATION_ID}")
        database.change(f"PRAGMA user_version = {VERSION}")


def migrate(database: Database, version: int) -> None:
    """Bring a sound ledger of an older version to this one, a version at a time; raises LedgerError."""
    for older in range(version, VERSION):
        try:
            MIGRATIONS[older](database)
        except LedgerError as error:
            raise LedgerError(
                f"{error}. It is of version {older} and has to be brought to {older + 1} first"
            ) from error


def _to_2(database: Database) -> None:
    """Checksums on every page, and what people decide. A ledger of version 2 has checksums: that is how a header that
    was damaged is told from an older ledger's, so they come first."""
    if not database.checksummed:
        database.write_anew()
    with database.transaction():
        if database.pragma("user_version") == 1:  # another process may have been quicker
            database.change(_SECOND_SCHEMA)
            database.change("PRAGMA user_version = 2")


def _to_3(database: Database) -> None:
    """Its hashes stay what they are, and a new ledger has others: so a ledger says which."""
    with database.transaction():
        if database.pragma("user_version") == 2:
            database.change("INSERT INTO meta VALUES ('hash', ?)", (HashKind.BLAKE2B.value,))
            database.change("PRAGMA user_version = 3")


MIGRATIONS: dict[int, Callable[[Database], None]] = {1: _to_2, 2: _to_3}
"""From a version to the function that makes the next one of it. Each leaves a whole ledger of one of the two, wherever
it is cut off."""


def _create(path: Path, mounts: Path, entropy: Callable[[int], bytes]) -> None:
    """Make a ledger beside its place and move it there whole, so that a half-made one is never found."""
    private_folder(path.parent)
    _refuse_network(path.parent, mounts)
    temporary = path.with_name(f".{path.name}.{entropy(4).hex()}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    try:
        with closing(Database.connect(temporary)) as database:
            lay_out(database, entropy)
        os.link(temporary, path)  # unlike a rename it never replaces a ledger made at the same moment
        _sync_folder(path.parent)
    except (OSError, LedgerError):
        if not path.exists():  # another process was quicker, and may have cleared this one's away
            raise
    finally:
        temporary.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    """Remove what processes left that died while they made this ledger: it stands, so theirs is of no use."""
    with suppress(OSError):
        for entry in path.parent.iterdir():
            if entry.name.startswith(f".{path.name}."):
                entry.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checked(database: Database, crashed: bool) -> int:
    """The version of a sound ledger; ``crashed``: a process died while it wrote.

    Raises LedgerError for a file of another program or a newer version, and for a damaged one. The pages themselves
    are checked as they are read.
    """
    path = database.path
    with database.transaction("DEFERRED"):
        if database.pragma("application_id") != _APPLICATION_ID:
            raise LedgerError(f"{path}: this file is not a batchpost ledger. Name another [ledger] url")
        version: int = database.pragma("user_version")
        if version > VERSION:
            newer = f"a ledger of version {version}; this program knows {VERSION}. Update batchpost"
            raise LedgerError(f"{path}: {newer}", then="update batchpost, then {run}")
        checksummed = database.checksummed
        problem = "" if database.whole else "the file is cut off"
        if version not in (*MIGRATIONS, VERSION) or (version > 1 and not checksummed):
            problem = problem or "its header is damaged"
        if not problem and (crashed or not checksummed):
            [(problem,)] = database.rows("PRAGMA integrity_check(1)")
            problem = _misplaced(database) if problem == "ok" else problem
    if problem not in ("", "ok"):
        raise damaged(path, problem)
    return version


def _misplaced(database: Database) -> str:
    """What SQLite's own check does not see: a table whose page became another one's, as their rows are of other types.
    Says which; empty where all is well."""
    tables = database.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'meta'")
    for (table,) in [*tables]:
        columns = [*database.rows("SELECT name, lower(type) FROM pragma_table_info(?)", (table,))]
        wrong = " OR ".join(f"typeof({name}) NOT IN ('{kind}', 'null')" for name, kind in columns)
        if database.row(f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1"):  # noqa: S608 - our own names
            return f"rows of {table} are another table's"
    return ""


def _refuse_network(path: Path, mounts: Path) -> None:
    """Locks and fsync mean little there, so SQLite is not safe."""
    if kind := network_file_system(path, mounts):
        raise LedgerError(f"{path}: on a network file system ({kind}), where SQLite is not safe; use a local disk")
