"""The ledger's file: checksums are on, what is no ledger is refused, an older one is brought up to date whole."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import pytest

from batchpost.database import Database, load_checksums
from batchpost.errors import LedgerError
from batchpost.ledger import Ledger
from batchpost.ledgerfile import MIGRATIONS, VERSION, migrate
from batchpost.ledgerrows import Fold
from batchpost.model import HashKind
from batchpost.resolutions import Resolutions
from tests.ledgers import (
    BODY,
    CONTENT,
    EVENTS,
    LEADS,
    VERSION_1,
    alter,
    instants_of,
    lay,
    open_ledger,
    rows_of,
    sale,
    small_ledger,
    version_1,
)

KEY = b"h" * 32
KNOWN: dict[str, list[tuple[Any, ...]]] = {
    "meta": [("generation", 7), ("hash_key", KEY), ("id", "0123456789abcdef")],
    "events": [(key, *sale(number)[:5], "r1") for number, key in enumerate(EVENTS)],
    "updates": [(key, BODY, number % 2, 2, number, CONTENT) for number, key in enumerate(LEADS)],
    "doubts": [(b"\x60" * 16, BODY, "r1", 4, "open"), (b"\x61" * 16, BODY, "r1", 5, "delivered")],
    "contents": [(CONTENT, 9_000, os.urandom(1125), 1)],
    "runs": [("r1", 1, "nightly", "finished", "f1", '["aa"]', "global-event", 0, "results", 1.5, 2.5, 3, 1)],
}

ADDED = {"events": (None,), "doubts": (b"", "", b"", 0), "runs": ("[]",)}
"""What this version keeps of each row besides, as far as version 1 did not tell."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


# -- checksums -------------------------------------------------------------------------------------------------


def has_checksums(path: Path, page_size: int = 4096) -> bool:
    """Whether every page has one, looked at without SQLite's own reading."""
    content = path.read_bytes()
    pages = [content[first : first + page_size] for first in range(0, len(content), page_size)]
    with closing(Database.in_memory()) as sums:
        return content[20] == 8 and all(sums.is_sound(page) for page in pages)


def test_every_page_of_a_new_ledger_has_a_checksum_that_is_kept(path: Path) -> None:
    Ledger.open(path).close()
    assert has_checksums(path)
    small_ledger(path.with_name("small"))
    assert has_checksums(path.with_name("small"), 512)


MANY = [(number.to_bytes(16), *sale(number)[:5], "r1") for number in range(30_000)]
"""More events than SQLite keeps pages of in memory."""


def test_every_page_of_a_large_ledger_has_a_checksum_however_it_came_about(path: Path) -> None:
    """SQLite writes pages before the first one where they do not all fit into its cache."""
    version_1(path, {**KNOWN, "events": MANY})
    with closing(Database.connect(path)) as database:
        database.change("PRAGMA cache_size = 10; PRAGMA cache_spill = 10")
        database.write_anew()
    assert has_checksums(path)
    with closing(Ledger.open(path)) as ledger:
        ledger.copied(path.with_name("copy.db")).close()
        assert has_checksums(path.with_name("copy.db"))
        ledger.fold(
            "r1", 2, [Fold.of([(bytes(8) + key[:8], sale(1)) for key in map(_spread, range(30_000))], [], [], [])]
        )
        assert path.stat().st_size > 5_000_000
        assert len(ledger.events([row[0] for row in MANY])) == 30_000
    assert has_checksums(path)


def _spread(number: int) -> bytes:
    return (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8)


def test_a_flipped_bit_in_an_events_amount_is_refused_where_it_is_read_and_only_there(path: Path) -> None:
    small_ledger(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"7.50conv_7", b"7.51conv_7"))
    with closing(Ledger.open(path)) as ledger:
        with pytest.raises(LedgerError, match=r"checksum is wrong.*Restore it from a backup.*--new-ledger"):
            ledger.events([EVENTS[7]])
        assert len(ledger.runs()) == 2


def test_a_build_of_apsw_without_the_checksums_is_said_to_be_one() -> None:
    def missing(connection: apsw.Connection, name: str) -> None:
        raise LookupError(f"{name} is not included")

    with pytest.raises(LedgerError, match=r"apsw 3\.\d+.*without SQLite's page checksums.*cksumvfs is not included"):
        load_checksums(missing)


def test_a_write_is_on_disk_when_it_returns(path: Path) -> None:
    Ledger.open(path).close()
    with closing(Database.connect(path)) as database:
        settings = {name: database.pragma(name) for name in ("synchronous", "journal_mode", "temp_store")}
    assert settings == {"synchronous": 3, "journal_mode": "delete", "temp_store": 2}


# -- what is no ledger -----------------------------------------------------------------------------------------


def _another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE moz_places (url TEXT)")


def _without_checksums(path: Path) -> None:
    """A ledger of this version that a program wrote which knows no checksums."""
    version_1(path, KNOWN)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "not a file"),
        (os.mkfifo, "not a file"),
        (Path.touch, "not a batchpost ledger"),
        (lambda path: path.write_text("Lead ID,Status\n" * 500), "not a sound ledger"),
        (lambda path: path.symlink_to(path.with_name("elsewhere.db")), "symbolic link"),
        (lambda path: path.symlink_to(path), "symbolic link"),
        (_another_program, "not a batchpost ledger"),
        (_without_checksums, "its header is damaged"),
        (lambda path: (small_ledger(path), path.with_name("ledger.db-journal").mkdir()), "not a file"),
        (lambda path: (small_ledger(path), os.mkfifo(f"{path}-journal")), "not a file"),
    ],
    ids=[
        *("a folder", "a FIFO", "empty", "a CSV file", "a link to nothing", "a link to itself", "another program's"),
        *("without checksums", "a folder for a journal", "a FIFO for a journal"),
    ],
)
def test_what_is_no_ledger_is_refused_and_left_alone(path: Path, make: Callable[[Path], object], message: str) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(LedgerError, match=message) as refused:
        Ledger.open(path)
    assert str(path) in str(refused.value)
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert not path.with_name("elsewhere.db").exists()


def test_a_newer_ledger_is_not_touched(path: Path) -> None:
    small_ledger(path)
    alter(path, f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=rf"version {VERSION + 1}; this program knows {VERSION}\. Update"):
        Ledger.open(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["ledger.db"]


@pytest.mark.parametrize("name", ["caf\udce9", "x" * 300])
def test_a_name_that_sqlite_or_the_system_does_not_take_is_an_error_of_ours(tmp_path: Path, name: str) -> None:
    with pytest.raises(LedgerError):
        Ledger.open(tmp_path / name / "ledger.db")


def _as_nobody(action: Callable[[Path], object], path: Path) -> str:
    """What the action is refused with, for a user whom no file belongs to."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
        return pool.submit(_refusal, action, path).result()


def _refusal(action: Callable[[Path], object], path: Path) -> str:
    Ledger.in_memory().close()  # loads the checksums while it may
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        action(path)
    except LedgerError as error:
        return str(error)
    return ""


def end_a_run(path: Path) -> None:
    with closing(Ledger.open(path)) as ledger:
        assert len(ledger.runs()) > 0
        ledger.end_run("r1", "finished", 0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may look into and nobody else may write."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        yield Path(folder)
        Path(folder).chmod(0o755)


def test_a_ledger_that_may_not_be_read_or_written_says_so(public: Path) -> None:
    path = public / "ledger.db"
    public.chmod(0o755)
    small_ledger(path)
    version_1(public / "old.db", KNOWN)
    for name, mode in (("ledger.db", 0o444), ("old.db", 0o444)):
        (public / name).chmod(mode)
    public.chmod(0o555)
    assert "read-only" in _as_nobody(end_a_run, path)
    old = _as_nobody(open_ledger, public / "old.db")
    assert "read-only" in old
    assert "of version 1 and has to be brought to 2" in old
    path.chmod(0o000)
    assert "out of reach" in _as_nobody(open_ledger, path)


# -- making one ------------------------------------------------------------------------------------------------


def test_of_two_that_are_made_at_once_one_is_everybodys(path: Path) -> None:
    def identity(_: int) -> str:
        with closing(Ledger.open(path)) as ledger:
            return ledger.id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(identity, range(8)))) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["ledger.db"]


def test_what_a_process_left_that_died_while_it_made_one_is_cleared_away(path: Path) -> None:
    for image in instants_of(path, open_ledger):
        lay(image, path.parent)
        with closing(Ledger.open(path)) as ledger:
            assert ledger.generation == 0
        assert [entry.name for entry in path.parent.iterdir()] == ["ledger.db"]


def test_files_of_similar_names_stay(path: Path) -> None:
    for name in ("ledger.db.backup", ".ledger.dbx", "ledger-locks"):
        path.with_name(name).touch()
    Ledger.open(path).close()
    assert len(list(path.parent.iterdir())) == 4


# -- older versions --------------------------------------------------------------------------------------------


def test_there_is_a_way_from_every_older_version() -> None:
    assert sorted(MIGRATIONS) == list(range(1, VERSION))


def is_brought_up_to_date(path: Path) -> None:
    """It has checksums, this version and every row that was known, and the new tables are those of a new ledger."""
    with closing(Ledger.open(path)) as ledger:
        assert (ledger.id, ledger.hash_key, ledger.generation) == ("0123456789abcdef", KEY, 7)
        assert ledger.events(EVENTS) == {key: sale(number) for number, key in enumerate(EVENTS)}
        assert Resolutions(ledger).outstanding().keys() == {"r1"}
        assert ledger.hash_kind is HashKind.BLAKE2B
        assert ledger.database.pragma("user_version") == VERSION
        assert list(ledger.database.rows("PRAGMA integrity_check")) == [("ok",)]
        assert ledger.database.checksummed
    rows = rows_of(path)
    assert {rows.pop("resolutions") == [], rows.pop("waiting") == []} == {True}
    rows["meta"].remove(("hash", "blake2b"))
    assert rows == {name: [(*row, *ADDED.get(name, ())) for row in sorted(entries)] for name, entries in KNOWN.items()}


def test_a_ledger_of_version_1_becomes_one_of_this_version_and_loses_nothing(path: Path, tmp_path: Path) -> None:
    version_1(path, KNOWN)
    is_brought_up_to_date(path)
    Ledger.open(tmp_path / "new.db").close()
    schemas = []
    for name in ("ledger.db", "new.db"):
        with closing(Database.connect(tmp_path / name)) as database:
            schemas.append(set(database.rows("SELECT type, name, sql FROM sqlite_schema")))
            assert database.pragma("application_id") == 0x62706C67
    assert schemas[0] == schemas[1]


def test_a_crash_at_any_instant_of_it_is_made_good_by_the_next_opening(path: Path) -> None:
    images = instants_of(version_1(path, KNOWN, page_size=1024), open_ledger)
    stages = {(image["ledger.db"][20], image["ledger.db"][63], "ledger.db-journal" in image) for image in images}
    assert stages >= {(0, 1, False), (0, 1, True), (8, 1, True), (8, 2, True), (8, 3, True), (8, 3, False)}
    for image in images:
        lay(image, path.parent)
        is_brought_up_to_date(path)


def test_a_crash_between_its_two_halves_is_made_good_by_the_next_opening(path: Path) -> None:
    version_1(path, KNOWN)
    alter(path, "VACUUM")
    assert (path.read_bytes()[20], path.read_bytes()[63]) == (8, 1)
    is_brought_up_to_date(path)


def _interrupted(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN")
        database.execute("DELETE FROM events")
        database.execute("UPDATE contents SET delivered = zeroblob(200000)")
        for name in ("ledger.db", "ledger.db-journal"):
            (path.parent / "crashed" / name).write_bytes((path.parent / name).read_bytes())


def test_what_an_older_program_left_half_written_is_undone_first(path: Path) -> None:
    version_1(path, KNOWN)
    (path.parent / "crashed").mkdir()
    _interrupted(path)
    crashed = path.parent / "crashed" / "ledger.db"
    assert crashed.with_name("ledger.db-journal").read_bytes()[:8].hex() == "d9d505f920a163d7"
    assert crashed.read_bytes() != path.read_bytes()
    is_brought_up_to_date(crashed)


@pytest.mark.parametrize(("sound", "damaged"), [(EVENTS[3], b"\xf0" * 16), (b"\x0a\x00", b"\x0b\x00")])
def test_a_damaged_ledger_of_version_1_is_not_brought_up_to_date(path: Path, sound: bytes, damaged: bytes) -> None:
    """An event under a key that is out of order is not found; a page of an unknown kind is none."""
    version_1(path, KNOWN)
    path.write_bytes(path.read_bytes().replace(sound, damaged))
    content = path.read_bytes()
    with pytest.raises(LedgerError, match="not a sound ledger"):
        Ledger.open(path)
    assert path.read_bytes() == content


def test_two_processes_may_bring_it_up_to_date_at_once(path: Path) -> None:
    version_1(path, KNOWN)
    with closing(Database.connect(path)) as slower:
        Ledger.open(path).close()
        migrate(slower, 1)
    is_brought_up_to_date(path)


def test_the_fixture_is_what_version_1_was() -> None:
    with closing(Database.in_memory()) as database:
        database.change(VERSION_1)
        assert database.pragma("user_version") == 1
