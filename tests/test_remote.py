"""Addresses as an input: fetched, found, read and told of like files, without their secrets."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from batchpost.errors import BatchpostError, InputRefused, NoInput, SecretError, UsageError
from batchpost.job import Source
from batchpost.remote import Remote
from batchpost.source import find_files, open_input
from tests.fileserver import Answer, file_server, ranged
from tests.storage import Storage, storage

CSV = b"id,x\n1,2\n"


@pytest.fixture(scope="module")
def s3() -> Iterator[Storage]:
    with storage() as found:
        tables = {f"in/conv-{number}.csv": b"id,x\n%d,1\n" % number for number in (1, 2, 10)}
        others = {"in/notes.md": b"x", "in/_SUCCESS": b"", "in/old/conv-0.csv": CSV, "in/README": b"x"}
        found.bucket(
            "exports", {**tables, **others, "in/[1].csv": CSV, "lake/_delta_log/0.json": b"", "lake/a.parquet": b""}
        )
        found.put("exports", {"days/day=1/a.csv": CSV, "days/day=2/a.csv": CSV, "book.xls": b"", "empty/x.md": b""})
        yield found


@pytest.fixture
def remote(s3: Storage, tmp_path: Path) -> Iterator[Remote]:
    (tmp_path / "spool").mkdir()
    remote = Remote(s3.environ, tmp_path / "spool")
    yield remote
    remote.close()
    assert list((tmp_path / "spool").iterdir()) == []


def found(remote: Remote, *paths: str) -> list[str]:
    return [file.name for file in find_files(Source(path=[*paths]), Path("/"), remote=remote)]


def rows(remote: Remote, *paths: str) -> list[tuple[str, ...]]:
    source = Source(path=[*paths])
    readers = open_input(find_files(source, Path("/"), remote=remote), source)
    return [row for reader in readers for batch in reader.batches() for row in batch.frame.iter_rows()]


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("s3://exports/in/conv-1.csv", ["in/conv-1.csv"]),
        ("s3://exports/in/", ["in/[1].csv", "in/conv-1.csv", "in/conv-10.csv", "in/conv-2.csv"]),
        ("s3://exports/in/conv-*.csv", ["in/conv-1.csv", "in/conv-10.csv", "in/conv-2.csv"]),
        ("s3://exports/in/conv-?.csv", ["in/conv-1.csv", "in/conv-2.csv"]),
        ("s3://exports/in/conv-[!2]*.csv", ["in/conv-1.csv", "in/conv-10.csv"]),
        ("s3://exports/in/**/conv-[0-1].csv", ["in/conv-1.csv", "in/old/conv-0.csv"]),
        ("s3://exports/*/conv-1.csv", ["in/conv-1.csv"]),
        ("s3://exports/days/**/*.csv", ["days/day=1/a.csv", "days/day=2/a.csv"]),
    ],
)
def test_keys_prefixes_and_patterns_stand_for_objects_by_name(remote: Remote, address: str, names: list[str]) -> None:
    assert found(remote, address) == [f"s3://exports/{name}" for name in names]


def test_fetched_objects_are_read_like_files(remote: Remote) -> None:
    assert rows(remote, "s3://exports/in/conv-*.csv") == [("1", "1"), ("10", "1"), ("2", "1")]


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("s3://exports/none.csv", NoInput, r"there is no s3://exports/none\.csv"),
        ("s3://exports/none/", NoInput, r"there is no \.csv, .* file in s3://exports/none/"),
        ("s3://exports/empty/", NoInput, "file in s3://exports/empty/"),
        ("s3://exports/in/z-*.csv", NoInput, r"no object matches s3://exports/in/z-\*\.csv"),
        ("s3://exports/in/README", InputRefused, "has no ending .* end the address with a slash"),
        ("s3://exports/lake/", InputRefused, "s3://exports/lake/: is a Delta table"),
        ("s3://exports/lake/*.parquet", InputRefused, "is a Delta table"),
        ("s3://exports/days/", InputRefused, "divided into folders by 'day'"),
        ("s3://exports/book.xls", UsageError, "save the workbook as .xlsx"),
        ("s3://exports", UsageError, "names a bucket and no key; write s3://exports/"),
        ("gs://exports/a.csv", UsageError, "gs:// addresses are not supported yet"),
    ],
)
def test_what_is_not_there_or_cannot_be_read_is_told(
    remote: Remote, address: str, kind: type[BatchpostError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        found(remote, address)


def test_web_addresses_are_read_like_files(remote: Remote) -> None:
    packed = gzip.compress(CSV)
    with file_server(lambda asked, _: ranged(packed if ".gz" in asked.path else CSV, asked)) as server:
        assert rows(remote, f"{server.url}/a.csv?sig=hush", f"{server.url}/b.csv.gz?sig=hush") == [("1", "2")] * 2
        assert found(remote, f"{server.url}/a.csv?sig=hush") == [f"{server.url}/a.csv"]


def test_the_server_may_name_the_file(remote: Remote) -> None:
    named = {"Content-Disposition": 'attachment; filename="conv.tsv"'}
    with file_server(lambda *_: Answer(b"id\tx\n1\t2\n", headers=named)) as server:
        [file] = find_files(Source(path=f"{server.url}/export?id=7"), Path("/"), remote=remote)
        assert (file.name, file.kind, file.path.suffix) == (f"{server.url}/export", "csv", ".tsv")


@pytest.mark.parametrize(
    ("path", "headers", "kind", "message"),
    [
        ("export", {}, InputRefused, "nothing says what it is"),
        ("export", {"Content-Disposition": "attachment; filename=a.xls"}, UsageError, "save the workbook as .xlsx"),
        ("a.json", {}, UsageError, ".json files are not supported yet"),
    ],
)
def test_a_file_of_no_known_kind_is_refused(
    remote: Remote, path: str, headers: Mapping[str, str], kind: type[BatchpostError], message: str
) -> None:
    with file_server(lambda *_: Answer(CSV, headers=dict(headers))) as server, pytest.raises(kind, match=message):
        found(remote, f"{server.url}/{path}")


def test_a_login_page_in_place_of_a_table_is_refused(remote: Remote) -> None:
    page = Answer(b"<!DOCTYPE html><html>Log in", headers={"Content-Type": "text/html"})
    told = pytest.raises(InputRefused, match=r"/a\.csv: is a web page .* An error or login page")
    with file_server(lambda *_: page) as server, told:
        rows(remote, f"{server.url}/a.csv?sig=hush")


def test_two_addresses_that_look_alike_are_refused(remote: Remote) -> None:
    with file_server(lambda *_: Answer(CSV)) as server, pytest.raises(InputRefused, match="stands for two addresses"):
        found(remote, f"{server.url}/a.csv?page=1", f"{server.url}/a.csv?page=2")


def test_an_address_is_fetched_again_each_time_and_held_once(remote: Remote, tmp_path: Path) -> None:
    bodies = [CSV, b"id,x\n3,4\n"]
    with file_server(lambda _, number: Answer(bodies[number])) as server:
        assert rows(remote, f"{server.url}/a.csv") == [("1", "2")]
        assert rows(remote, f"{server.url}/a.csv") == [("3", "4")]
    assert len(list((tmp_path / "spool").glob("*/*.csv"))) == 1


def test_a_name_that_is_known_stands_for_its_whole_address(remote: Remote) -> None:
    """As a retry names the inputs of the run before."""
    with file_server(lambda asked, _: Answer(CSV, 200 if "hush" in asked.path else 403)) as server:
        source = Source(path=f"{server.url}/a.csv?sig=hush")
        assert [file.name for file in find_files(source, Path("/"), [f"{server.url}/a.csv"], remote)] == [
            f"{server.url}/a.csv"
        ]
        with pytest.raises(InputRefused, match="A signed address expires, and only works whole"):
            find_files(Source(path="other.csv"), Path("/"), [f"{server.url}/a.csv"], remote)


def test_a_reference_stands_for_an_address(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "address").write_text("https:hush\n")
    with file_server(lambda *_: Answer(CSV)) as server:
        (tmp_path / "url").write_text(f"{server.url}/a.csv?sig=hush\n")
        files = find_files(Source(path="file:url"), tmp_path, remote=remote)
        assert [file.name for file in files] == [f"{server.url}/a.csv"]
        again = find_files(Source(path="file:url"), tmp_path, [f"{server.url}/a.csv"], remote)
        assert [file.name for file in again] == [f"{server.url}/a.csv"]
    with pytest.raises(UsageError, match="file:address: must hold an address"):
        find_files(Source(path="file:address"), tmp_path, remote=remote)
    with pytest.raises(SecretError, match="env:BATCHPOST_NO_SUCH"):
        find_files(Source(path="env:BATCHPOST_NO_SUCH"), tmp_path, remote=remote)


SMALL_DISK = """
import os, pathlib, resource, sys
from batchpost.remote import Remote
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    list(Remote(os.environ, pathlib.Path(sys.argv[1])).files(sys.argv[2]))
except OSError as error:
    print(error.filename, error.strerror, sep=": ")
"""


def test_a_disk_that_takes_no_more_is_named(tmp_path: Path) -> None:
    with file_server(lambda *_: Answer(bytes(5000))) as server:
        words = [sys.executable, "-c", SMALL_DISK, str(tmp_path), f"{server.url}/a.csv?sig=hush"]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(rf"{tmp_path}/batchpost-input-\w+/1: File too large\n", told)
