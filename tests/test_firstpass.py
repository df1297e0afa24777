from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from batchpost.errors import InputRefused
from batchpost.firstpass import Operation, Plan, read_input, repeat_of
from batchpost.identity import Identity
from batchpost.model import Repeat
from batchpost.source import find_files, open_input
from batchpost.spool import read_spool
from tests.jobtexts import job_text, load
from tests.workspaces import SALE, Table, update_rows, write_csv

IDENTITY = Identity(b"k" * 32, "https://a:443", is_event=True)


def planned(folder: Path, route: str, files: dict[str, Table], **tables: str) -> Plan:
    for name, table in files.items():
        write_csv(folder / name, table)
    names = ", ".join(f'"{name}"' for name in files)
    job = load(folder, job_text(route, **{"source": f"path = [{names}]", **tables}))
    readers = open_input(find_files(job.source, job.workspace), job.source)
    return read_input(job, readers, IDENTITY, folder / "plan.arrow")


def sales(*rows: tuple[str, str, str]) -> Table:
    leads, payouts, emails = zip(*rows, strict=True)
    return {"Lead": list(leads), "Payout": list(payouts), "Email": list(emails)}


def operations(plan: Plan) -> list[Operation]:
    return [Operation(*row) for frame in plan.operations() for row in frame.iter_rows()]


def reasons(plan: Plan) -> list[str]:
    return [plan.fates.table[code][1] for code in plan.fates.codes]


def test_rows_of_all_files_are_numbered_hashed_and_kept_in_order(tmp_path: Path) -> None:
    files = {"a.csv": sales(("x", "1", ""), ("y", "bad", "")), "b.csv": sales(("z", "2.50", ""))}
    plan = planned(tmp_path, "global-event", files, fields=SALE)
    first, second = read_spool(plan.spool)
    columns = ("row", "file", "file_row", "line", "transaction_id", "amount")
    assert first.select(columns).rows() == [(0, 0, 1, 2, "x", "1"), (1, 0, 2, 3, "y", None)]
    assert second.select(columns).rows() == [(2, 1, 1, 2, "z", "2.50")]
    assert first["key"].is_null().to_list() == [False, True]
    assert reasons(plan) == ["", "not_a_number", ""]
    assert (plan.rows, plan.to_send, [operation.row for operation in operations(plan)]) == (3, 2, [0, 2])
    assert [(file.path, file.rows) for file in plan.files] == [("a.csv", 2), ("b.csv", 1)]
    assert [(piece.file, piece.rows) for piece in plan.batches] == [(0, 2), (1, 1)]
    assert operations(plan)[1][1:4] == second.select("key", "body_hash", "stake").row(0)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("x", "1", ""), ("x", "1", ""), ("x", "1", "")], ["", "duplicate_in_input", "duplicate_in_input"]),
        ([("x", "1", ""), ("x", "1.00", "")], ["contradiction"] * 2),
        ([("x", "1", ""), ("x", "1", "x@example.com")], ["contradiction"] * 2),
        ([("x", "1", ""), ("x", "bad", "")], ["", "not_a_number"]),
        ([("x", "1", ""), ("X", "1", "")], ["", ""]),
    ],
)
def test_events_of_one_operation_in_one_input(
    tmp_path: Path, rows: list[tuple[str, str, str]], expected: list[str]
) -> None:
    assert reasons(planned(tmp_path, "global-event", {"a.csv": sales(*rows)}, fields=SALE)) == expected


def test_duplicates_are_found_across_files(tmp_path: Path) -> None:
    files = {"a.csv": sales(("x", "1", "")), "b.csv": sales(("x", "1", ""))}
    assert reasons(planned(tmp_path, "global-event", files, fields=SALE)) == ["", "duplicate_in_input"]


@pytest.mark.parametrize(
    ("cities", "rows", "expected"),
    [
        ("AAB", "", ["", "duplicate_in_input", ""]),
        ("ABA", "", ["", "", ""]),
        ("ABBA", "", ["", "", "duplicate_in_input", ""]),
        ("AA", "skip_unchanged = false", ["", ""]),
    ],
)
def test_an_update_is_a_duplicate_only_of_the_one_just_before_it(
    tmp_path: Path, cities: str, rows: str, expected: list[str]
) -> None:
    table = update_rows([("x", city) for city in cities])
    city = 'city = { column = "City" }'
    assert reasons(planned(tmp_path, "update-lead", {"a.csv": table}, fields=city, rows=rows)) == expected


def test_one_lead_in_two_campaigns_is_two_operations(tmp_path: Path) -> None:
    table = {**update_rows([("x", "A"), ("x", "A")]), "Campaign": ["cmp_a", "cmp_b"]}
    plan = planned(tmp_path, "update-lead", {"a.csv": table}, api='campaign_id = { column = "Campaign" }')
    assert (reasons(plan), plan.campaigns) == (["", ""], {"cmp_a", "cmp_b"})


def test_an_event_is_the_same_operation_whatever_its_route(tmp_path: Path) -> None:
    table = sales(("x", "1", ""))
    keys = {
        operations(planned(tmp_path, route, {"a.csv": table}, fields=SALE))[0].key
        for route in ("global-event", "campaign-event")
    }
    assert len(keys) == 1


def test_money_written_otherwise_is_the_same_stake_and_another_body(tmp_path: Path) -> None:
    plan = planned(tmp_path, "global-event", {"a.csv": sales(("x", "85", ""), ("y", "85.00", ""))}, fields=SALE)
    first, second = operations(plan)
    assert first.stake == second.stake
    assert first.body_hash != second.body_hash


def test_a_file_that_is_unsound_at_its_end_makes_no_plan(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", sales(("x", "1", "")))
    path.write_text(path.read_text() + "torn")
    job = load(tmp_path, job_text(source='path = "a.csv"', fields=SALE))
    with pytest.raises(InputRefused):
        read_input(job, open_input(find_files(job.source, tmp_path), job.source), IDENTITY, tmp_path / "plan.arrow")


@pytest.mark.parametrize(
    ("route", "api", "expected"),
    [
        ("update-lead", "", [Repeat.HARMLESS] * 2),
        ("update-lead", "redistributes = true", [Repeat.FIRES_AGAIN] * 2),
        ("global-event", "", [Repeat.FIRES_AGAIN] * 2),
        ("global-event", "server_dedupe = true", [Repeat.REFUSED] * 2),
        ("global-event", 'server_dedupe = ["sale"]', [Repeat.REFUSED, Repeat.FIRES_AGAIN]),
    ],
)
def test_what_a_second_request_would_do_follows_from_the_job(
    tmp_path: Path, route: str, api: str, expected: list[Repeat]
) -> None:
    event = 'event_id = { column = "Event", map = { sale = "sale", call = "call" } }' if route != "update-lead" else ""
    job = load(tmp_path, job_text(route, api=api, fields=event))
    assert pl.DataFrame({"event_id": ["sale", "call"]}).with_columns(repeat_of(job))["repeat"].to_list() == expected


def test_a_plan_is_kept_and_found_again(tmp_path: Path) -> None:
    plan = planned(tmp_path, "global-event", {"a.csv": sales(("x", "1", ""), ("y", "bad", ""))}, fields=SALE)
    plan.save(tmp_path)
    found = Plan.load(tmp_path)
    assert (found.fates.codes, found.fates.table, found.files) == (plan.fates.codes, plan.fates.table, plan.files)
    assert found.spool == plan.spool
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(ValueError, match=r"plan\.json is damaged"):
        Plan.load(tmp_path)
