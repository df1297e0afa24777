from __future__ import annotations

import gzip
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import orjson
import polars as pl
import pytest

from batchpost.csvgrammar import Limits
from batchpost.errors import InputChanged
from batchpost.feed import read_again, rows_to_send
from batchpost.firstpass import Plan, read_input
from batchpost.identity import Identity
from batchpost.job import Job
from batchpost.model import Outcome, Repeat, Row, Target
from batchpost.source import Reader, find_files
from tests.jobtexts import job_text, load
from tests.workspaces import SALE, Table, leads, sale_rows, write_csv

IDENTITY = Identity(b"k" * 32, "https://a:443", is_event=True)
STEP = 1_024  # the least rows of a batch
TARGET = Target("/events")


def a_job(folder: Path, **tables: str) -> Job:
    return load(folder, job_text(**{"source": 'path = "in.csv"', "fields": SALE, **tables}))


def planned(job: Job, *tables: Table) -> tuple[Plan, list[Reader]]:
    """The plan of files of the tables, read in batches as small as can be."""
    for number, table in enumerate(tables):
        write_csv(job.workspace / f"{number}.csv", table)
    files = find_files(job.source, job.workspace, [f"{number}.csv" for number in range(len(tables))])
    readers = [Reader(file, job.source, index, Limits(rows=STEP)) for index, file in enumerate(files)]
    return read_input(job, readers, IDENTITY, job.workspace / "plan.arrow"), readers


def sent(plan: Plan, readers: list[Reader], job: Job) -> list[Row]:
    return list(rows_to_send(plan, readers, job, lambda campaign: TARGET))


def test_rows_come_out_in_file_order_with_what_the_first_pass_knew_of_them(tmp_path: Path) -> None:
    job = a_job(tmp_path, api="server_dedupe = true")
    plan, readers = planned(job, sale_rows(STEP + 5), sale_rows(3, "other"))
    plan.in_doubt.add(2)
    rows = sent(plan, readers, job)
    assert len(plan.batches) == 3
    assert [row.number for row in rows] == list(range(STEP + 8))
    assert [orjson.loads(row.body)["transaction_id"] for row in rows] == [*leads(STEP + 5), *leads(3, "other")]
    assert [row.key for row in rows] == [key for frame in plan.operations() for key in frame["key"]]
    bodies = pl.DataFrame({"body": [row.body.decode() for row in rows]}).select(IDENTITY.bodies(pl.col("body")))
    assert [row.body_hash for row in rows] == bodies["body"].to_list()
    assert rows[1]._replace(key=b"", body_hash=b"", stake=b"", body=b"", lane_key=None) == Row(
        1, None, TARGET, b"", Repeat.REFUSED, b"", b"", b"", "11.01", "", in_doubt=False, money_sent=True
    )
    assert [row.number for row in rows if row.in_doubt] == [2]


def test_only_rows_whose_fate_is_to_be_sent_come_out(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    plan, readers = planned(job, {**sale_rows(4), "Payout": ["1", "bad", "", "4"]})
    plan.fates.settle(0, Outcome.ALREADY_DELIVERED, "same_row")
    rows = sent(plan, readers, job)
    assert [(row.number, row.amount, row.money_sent) for row in rows] == [(2, "", False), (3, "4", True)]


def test_events_of_one_lead_with_keys_of_the_job_share_a_lane(tmp_path: Path) -> None:
    job = a_job(tmp_path, rows='key = ["Order"]')
    plan, readers = planned(
        job, {"Lead": ["a", "a", "b"], "Payout": ["1"] * 3, "Email": [""] * 3, "Order": ["1", "2", "1"]}
    )
    lanes = [row.lane_key for row in sent(plan, readers, job)]
    assert lanes[0] == lanes[1] != lanes[2]
    assert len({row.key for row in sent(plan, readers, job)}) == 3


def test_the_targets_are_asked_for_each_rows_campaign(tmp_path: Path) -> None:
    campaigns = 'campaign_id = { column = "Campaign" }'
    job = load(tmp_path, job_text("campaign-event", api=campaigns, source='path = "in.csv"', fields=SALE))
    plan, readers = planned(job, {**sale_rows(2), "Campaign": ["cmp_a", "cmp_b"]})
    rows = rows_to_send(plan, readers, job, lambda campaign: Target("/x", campaign or ""))
    assert [row.target.campaign_id for row in rows] == ["cmp_a", "cmp_b"]


def rewrite(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join([*change(path.read_text().splitlines()), ""]))


@pytest.mark.parametrize(
    ("change", "before"),
    [
        (lambda lines: [*lines[:-1], "txn_x,1,"], STEP),
        (lambda lines: lines[:-1], STEP),
        (lambda lines: [*lines, "txn_x,1,"], STEP),
        (lambda lines: [lines[0], *lines[2:], lines[1]], 0),
        (lambda lines: lines[:1], 0),
        (lambda lines: ["Payout,Lead,Email", *lines[1:]], 0),
        (lambda lines: [*lines[:-1], 'torn,"'], STEP),
    ],
    ids=["other row", "cut off", "longer", "sorted", "emptied", "other header", "unsound"],
)
def test_nothing_comes_out_of_a_batch_that_is_not_what_the_first_pass_read(
    tmp_path: Path, change: Callable[[list[str]], list[str]], before: int
) -> None:
    job = a_job(tmp_path)
    plan, readers = planned(job, sale_rows(STEP + 50))
    rewrite(tmp_path / "0.csv", change)
    rows = rows_to_send(plan, readers, job, lambda campaign: TARGET)
    for number in range(before):
        assert next(rows).number == number
    with pytest.raises(InputChanged, match=r"0\.csv was changed while it was being sent|its header changed"):
        next(rows)


def test_a_file_that_is_gone_is_an_input_that_changed(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    plan, readers = planned(job, sale_rows(3), sale_rows(3, "other"))
    (tmp_path / "1.csv").unlink()
    rows = rows_to_send(plan, readers, job, lambda campaign: TARGET)
    assert [next(rows).number for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputChanged, match=r"1\.csv"):
        next(rows)


def test_the_batches_come_with_the_first_passs_record_of_them(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    plan, readers = planned(job, sale_rows(STEP + 1))
    for batch, record in read_again(plan, readers):
        assert isinstance(record, pl.DataFrame)
        assert record["transaction_id"].to_list() == batch.frame["Lead"].to_list()


# -- batches without a row to send -----------------------------------------------------------------------------------


def settled_in(plan: Plan, *batches: int) -> None:
    """Settle all rows of these batches."""
    first = 0
    for number, piece in enumerate(plan.batches):
        if number in batches:
            rows = pl.int_range(first, first + piece.rows, eager=True)
            plan.fates.settle_all(rows, Outcome.DELIVERED, "accepted")
        first += piece.rows


def first_rows(plan: Plan, readers: list[Reader]) -> list[tuple[int, int, int]]:
    """Of the batches to send: file, first row in it, first row of the record."""
    read = read_again(plan, readers, to_send=True)
    return [(batch.file, batch.first_row, record["row"][0]) for batch, record in read]


def test_batches_without_a_row_to_send_are_passed_over_unread(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    plan, readers = planned(job, sale_rows(3 * STEP), sale_rows(STEP, "other"))
    settled_in(plan, 0, 2)
    rewrite(tmp_path / "0.csv", lambda lines: [lines[0], '"' * len(lines[1]), *lines[2:-1], '"' * len(lines[-1])])
    assert first_rows(plan, readers) == [(0, STEP + 1, STEP), (1, 1, 3 * STEP)]
    with pytest.raises(InputChanged):
        list(read_again(plan, readers))


def test_files_without_a_row_to_send_are_not_opened(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    plan, readers = planned(job, sale_rows(STEP + 1), sale_rows(2, "other"))
    settled_in(plan, 0, 1)
    (tmp_path / "0.csv").unlink()
    assert first_rows(plan, readers) == [(1, 1, STEP + 1)]
    settled_in(plan, 2)
    (tmp_path / "1.csv").unlink()
    assert first_rows(plan, readers) == []


def packed_plan(job: Job, rows: int) -> tuple[Plan, list[Reader]]:
    """The plan of one packed file, whose batches have no places."""
    write_csv(job.workspace / "in.csv", sale_rows(rows))
    with gzip.open(job.workspace / "in.csv.gz", "wb") as file:
        file.write((job.workspace / "in.csv").read_bytes())
    readers = [Reader(find_files(job.source, job.workspace, ["in.csv.gz"])[0], job.source, 0, Limits(4096, STEP))]
    return read_input(job, readers, IDENTITY, job.workspace / "plan.arrow"), readers


def test_a_file_that_is_read_from_its_beginning_gives_the_batches_to_send_alone(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    plan, readers = packed_plan(job, 3 * STEP)
    assert all(piece.place is None for piece in plan.batches)
    firsts = list(accumulate((piece.rows for piece in plan.batches), initial=0))
    settled_in(plan, *(number for number in range(len(plan.batches)) if number not in (1, 4)))
    assert first_rows(plan, readers) == [(0, firsts[1] + 1, firsts[1]), (0, firsts[4] + 1, firsts[4])]


@pytest.mark.parametrize("wanted", [1, -1], ids=["in the middle", "the last"])
def test_such_a_file_is_proved_up_to_the_last_batch_to_send(tmp_path: Path, wanted: int) -> None:
    job = a_job(tmp_path)
    plan, readers = packed_plan(job, 3 * STEP)
    count = len(plan.batches)
    settled_in(plan, *(number for number in range(count) if number != wanted % count))
    with gzip.open(tmp_path / "in.csv.gz", "ab") as file:
        file.write(b"txn_x,1,\n")
    if wanted == 1:
        assert len(first_rows(plan, readers)) == 1
        return
    with pytest.raises(InputChanged, match="was changed while it was being sent"):
        first_rows(plan, readers)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [*lines[:-1], "txn_x,1,"],
        lambda lines: lines[:-1],
        lambda lines: [*lines, "txn_x,1,"],
        lambda lines: ["Payout,Lead,Email", *lines[1:]],
        lambda lines: [*lines[:-1], 'torn,"'],
        lambda lines: lines[:5],
    ],
    ids=["other row", "cut off", "longer", "other header", "unsound", "nothing at its place"],
)
def test_a_batch_read_by_its_place_is_proved_too(tmp_path: Path, change: Callable[[list[str]], list[str]]) -> None:
    job = a_job(tmp_path)
    plan, readers = planned(job, sale_rows(STEP + 50))
    settled_in(plan, 0)
    rewrite(tmp_path / "0.csv", change)
    with pytest.raises(InputChanged, match=r"0\.csv was changed while it was being sent|its header changed"):
        first_rows(plan, readers)
