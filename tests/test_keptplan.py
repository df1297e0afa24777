"""The first pass kept beside a run: taken again as it was, or not at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from batchpost.batch import Fingerprint
from batchpost.feed import read_again
from batchpost.firstpass import Plan, read_input
from batchpost.identity import Identity
from batchpost.job import Job
from batchpost.keptplan import keep, kept, mark_of, sha256_of
from batchpost.model import HashKind, Outcome
from batchpost.source import Reader, find_files, open_input
from tests.jobtexts import job_text, load
from tests.workbooks import table, workbook_parts, write_package
from tests.workspaces import SALE, Table, sale_rows, update_rows, write_csv

KEY = b"k" * 32
IDENTITY = Identity(KEY, "https://a:443", is_event=True)
MARK = "a mark"


def open_readers(job: Job) -> tuple[Reader, ...]:
    return open_input(find_files(job.source, job.workspace), job.source)


def kept_plan(folder: Path, table: Table, route: str = "global-event", **tables: str) -> tuple[Plan, Job]:
    """A plan of ``in.csv``, saved and kept in the folder as a run that is entered does it."""
    write_csv(folder / "in.csv", table)
    job = load(folder, job_text(route, **{"source": 'path = ["in.csv"]', **tables}))
    plan = read_input(job, open_readers(job), IDENTITY, folder / "plan.arrow")
    settled_since(plan)
    plan.save(folder)
    keep(plan, folder, MARK)
    return plan, job


def settled_since(plan: Plan) -> None:
    """What the journal and the ledger said of some rows after the input was read."""
    plan.fates.settle(0, Outcome.DELIVERED, "accepted")
    plan.in_doubt.add(1)


def a_sale(folder: Path) -> tuple[Plan, Job]:
    rows = sale_rows(4)
    return kept_plan(folder, {**rows, "Payout": ["1", "2", "bad", "4"]}, fields=SALE)


def test_a_kept_plan_is_what_the_input_alone_decided(tmp_path: Path) -> None:
    plan, job = a_sale(tmp_path)
    readers = open_readers(job)
    found = kept(tmp_path, MARK, readers)
    assert found
    assert found.fates.series(0, 4).rows() == [(None, None), (None, None), ("invalid", "not_a_number"), (None, None)]
    assert (found.spool, found.files, found.batches) == (plan.spool, plan.files, plan.batches)
    assert (found.in_doubt, found.repeated, found.campaigns) == (set(), bytearray(), set())
    assert [reader.fingerprint for reader in readers] == plan.files
    assert [frame.rows() for frame in found.operations()] == [
        frame.rows() for frame in read_input(job, readers, IDENTITY, tmp_path / "another.arrow").operations()
    ]


def test_repeated_leads_and_campaigns_are_kept(tmp_path: Path) -> None:
    table = {**update_rows([("x", "A"), ("y", "A"), ("x", "B")]), "Campaign": ["cmp_b", "cmp_a", "cmp_b"]}
    _, job = kept_plan(tmp_path, table, "update-lead", api='campaign_id = { column = "Campaign" }')
    found = kept(tmp_path, MARK, open_readers(job))
    assert found
    assert (found.repeated, found.campaigns) == (bytearray([1, 0, 1]), {"cmp_a", "cmp_b"})


def test_a_plan_that_was_taken_again_is_saved_and_kept_as_it_was(tmp_path: Path) -> None:
    _, job = a_sale(tmp_path)
    first = kept(tmp_path, MARK, open_readers(job))
    assert first
    settled_since(first)
    first.save(tmp_path)
    keep(first, tmp_path, MARK)
    assert Plan.load(tmp_path).fates.counts() == first.fates.counts()
    second = kept(tmp_path, MARK, open_readers(job))
    assert second
    assert (second.to_send, second.batches) == (3, first.batches)


@pytest.mark.parametrize("name", ["in.csv", "in.tsv.gz", "in.parquet", "in.xlsx"])
def test_whatever_the_input_is_a_plan_that_was_taken_again_knows_its_batches(tmp_path: Path, name: str) -> None:
    rows = pl.DataFrame(sale_rows(5))
    write: dict[str, Callable[[Path], object]] = {
        "in.csv": rows.write_csv,
        "in.tsv.gz": lambda path: path.write_bytes(gzip.compress(rows.write_csv(separator="\t").encode())),
        "in.parquet": rows.write_parquet,
        "in.xlsx": lambda path: write_package(path, workbook_parts(table(tuple(rows.columns), *rows.rows()))),
    }
    write[name](tmp_path / name)
    job = load(tmp_path, job_text(source=f'path = "{name}"', fields=SALE))
    plan = read_input(job, open_readers(job), IDENTITY, tmp_path / "plan.arrow")
    plan.save(tmp_path)
    keep(plan, tmp_path, MARK)
    readers = open_readers(job)
    found = kept(tmp_path, MARK, readers)
    assert found
    found.fates.settle(0, Outcome.DELIVERED, "accepted")
    [(batch, record)] = read_again(found, readers, to_send=True)
    assert batch.frame["Lead"].to_list() == record["transaction_id"].to_list() == rows["Lead"].to_list()


def rewritten(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def renamed(folder: Path) -> None:
    (folder / "in.csv").rename(folder / "other.csv")


@pytest.mark.parametrize(
    "change",
    [
        rewritten("in.csv", lambda text: text.replace(b"txn_00001", b"txn_00009")),
        rewritten("in.csv", lambda text: text + b"txn_x,1,\n"),
        renamed,
        *(without(name) for name in ("read.json", "read.bin", "plan.arrow")),
        *(rewritten(name, lambda text: text[:-1]) for name in ("read.json", "read.bin", "plan.arrow")),
        *(rewritten(name, lambda text: bytes([*text[:-9], text[-9] ^ 1, *text[-8:]])) for name in ("plan.arrow",)),
        rewritten("read.bin", lambda text: b"\1" + text[1:]),
        rewritten("read.json", lambda _: b"[]"),
        rewritten("read.json", lambda _: b"{}"),
        rewritten("read.json", lambda text: text.replace(b"in.csv", b"in.cs_")),
        rewritten("read.json", lambda text: text.replace(b"[0, 4,", b"[0, 5,")),
    ],
)
def test_whatever_is_in_doubt_is_not_taken(tmp_path: Path, change: Callable[[Path], object]) -> None:
    _, job = a_sale(tmp_path)
    change(tmp_path)
    name = "in.csv" if (tmp_path / "in.csv").exists() else "other.csv"
    readers = open_input(find_files(job.source, tmp_path, [name]), job.source)
    assert kept(tmp_path, MARK, readers) is None
    assert [reader.fingerprint for reader in readers] == [None]


def test_a_plan_of_other_files_or_with_another_mark_is_not_taken(tmp_path: Path) -> None:
    _, job = a_sale(tmp_path)
    assert kept(tmp_path, "another", open_readers(job)) is None
    assert kept(tmp_path, MARK, open_readers(job) * 2) is None
    assert kept(tmp_path, MARK, ()) is None


def test_rows_that_mend_others_are_read_anew(tmp_path: Path) -> None:
    links = {"batchpost_run": ["r1"] * 2, "batchpost_source": ["in.csv"] * 2, "batchpost_row": ["1", "2"]}
    plan, job = kept_plan(tmp_path, {**sale_rows(2), **links}, fields=SALE)
    assert len(plan.links) == 2
    assert not (tmp_path / "read.json").exists()
    assert kept(tmp_path, MARK, open_readers(job)) is None


def test_nothing_of_the_rows_is_kept_in_the_clear(tmp_path: Path) -> None:
    a_sale(tmp_path)
    text = (tmp_path / "read.json").read_bytes() + (tmp_path / "read.bin").read_bytes()
    assert b"txn_" not in text
    assert b"mail.example.com" not in text


@pytest.mark.parametrize(
    ("tables", "identity"),
    [
        ({"fields": SALE.replace("Payout", "Lead")}, IDENTITY),
        ({"source": 'path = ["in.csv"]\nnull_values = ["-"]'}, IDENTITY),
        ({}, Identity(b"j" * 32, "https://a:443", is_event=True)),
        ({}, Identity(KEY, "https://a:443", is_event=True, kind=HashKind.BLAKE2B)),
    ],
    ids=["other fields", "read otherwise", "another ledger", "an older ledger"],
)
def test_the_mark_tells_other_jobs_and_ledgers_apart(
    tmp_path: Path, tables: dict[str, str], identity: Identity
) -> None:
    given = {"source": 'path = ["in.csv"]', "fields": SALE}
    job, other = load(tmp_path, job_text(**given)), load(tmp_path, job_text(**{**given, **tables}))
    assert mark_of(job, IDENTITY) == mark_of(load(tmp_path, job_text(**given, delivery="rate = 1")), IDENTITY)
    assert mark_of(job, IDENTITY) != mark_of(other, identity)


@pytest.mark.parametrize("module", ["batchpost", "polars", "pyarrow"])
def test_another_version_of_what_reads_and_maps_has_another_mark(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = load(tmp_path, job_text(source='path = ["in.csv"]', fields=SALE))
    before = mark_of(job, IDENTITY)
    name = {"batchpost": "__version__", "polars": "pl.__version__", "pyarrow": "pa.__version__"}[module]
    monkeypatch.setattr(f"batchpost.keptplan.{name}", "0.0.0")
    assert mark_of(job, IDENTITY) != before


def test_the_sha256_is_of_the_bytes_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_facts_are_json_that_says_its_own_checksum(tmp_path: Path) -> None:
    plan, _ = a_sale(tmp_path)
    signed = json.loads((tmp_path / "read.json").read_text())
    assert set(signed) == {"facts", "crc32"}
    assert [Fingerprint(*file) for file in signed["facts"]["files"]] == plan.files
