from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchpost.batch import Decision
from batchpost.errors import LedgerError
from batchpost.jobfile import load_job
from batchpost.masking import MASK, Sample, masked_sample
from batchpost.model import Repeat, Row, Target
from batchpost.planview import FileView, PlanView, decision_lines, plan_json, plan_lines, view_of
from batchpost.preview import TO_SEND, preview
from batchpost.reasons import REASONS, UNTROUBLED, meaning
from batchpost.routes import ROUTES
from batchpost.summary import Books
from tests.commands import tree
from tests.fakes import TARGET
from tests.workspaces import ENVIRON, Workspace, sale_rows, sandbox, update_rows, write_csv

FIRST = (
    "It is the first run of this job, and updates more than 1,000 leads: it asks before it sends; where nobody can be "
    "asked, it needs --yes."
)
FOUND = (Decision("delimiter", ";", "it divides"), Decision("header_row", "3", "titles"), Decision("", "gzip", "bytes"))
BOOKS = Books()
BOOKS.count(TO_SEND, "", 1_000, {"revenue": Decimal("1250.00")})
BOOKS.count("invalid", "not_a_number", 2, {"revenue": Decimal("10.5")})
VIEW = PlanView(
    job="nightly",
    route="global-event",
    origin="https://api.example.com:443",
    test=False,
    files=[FileView("in.csv", 1_002, 54_321, "ab" * 32, FOUND)],
    books=BOOKS,
    reasons=[("invalid", "not_a_number", 2)],
    rate=10,
    samples=[Sample(0, "POST", "/api/event/global/***", {"transaction_id": "t1", "revenue": Decimal("12.50")})],
    run="batchpost run jobs/nightly.toml",
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place = Workspace(tmp_path)
    place.sales()
    write_csv(tmp_path / "in.csv", sale_rows(4))
    return place


def plan_text(view: PlanView) -> str:
    return "\n".join(line.text for line in plan_lines(view))


def view(workspace: Workspace, **options: Any) -> PlanView:
    with preview(workspace.load(), workspace.environ) as found:
        return view_of(found, **options)


# -- the text --------------------------------------------------------------------------------------------------------


def test_a_plan_tells_files_counts_money_reasons_duration_and_samples() -> None:
    assert (
        plan_text(VIEW)
        == """\
nightly: global-event to https://api.example.com:443
  in.csv  1,002 rows  54,321 bytes  sha256 abababababab
    delimiter = ";"  it divides
    header_row = 3   titles
    gzip             bytes

The first 1, with personal data masked:
POST /api/event/global/***
  {"transaction_id": "t1", "revenue": 12.50}

                   rows   revenue
  read            1,002  1,260.50
  to send         1,000  1,250.00
! invalid             2     10.50
!   not_a_number      2     10.50  not a number

1,000 requests at 10 a second take 1 min 40 s at least.
Nothing was sent.

Next:
  batchpost run jobs/nightly.toml"""
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"limit": 50}, "50 requests (of 1,000: --limit) at 10 a second take 5 s at least."),
        (
            {"test": True},
            "nightly: global-event to https://api.example.com:443  (a test: the platform is this machine)",
        ),
        ({"continues": "R1", "settled": 300}, "The next run goes on with R1, which settled 300 rows before it ended."),
        (
            {"abandons": ["R0"]},
            "The unfinished run R0 was of another input or another job file: the next run gives it up.",
        ),
        ({"in_doubt": 3}, "3 rows may have arrived before; sending again is harmless."),
        ({"in_doubt": 1}, "1 row may have arrived before; sending again is harmless."),
        ({"limit": 1}, "1 request (of 1,000: --limit) at 10 a second takes less than a second."),
        ({"under_way": {"pid": 7}}, "This job is running right now (process 7); the counts are of this moment."),
        ({"under_way": {}}, "This job is running right now; the counts are of this moment."),
        ({"books": Books()}, "Nothing is left to send."),
        (
            {"totals": [("in.csv", 1_002, 1_003)]},
            'in.csv, line 1,003: taken for a row of totals ([rows] totals = "reject" would not)',
        ),
        ({"unmet": ["x is y"]}, "! Not as expected: x is y"),
        ({"unmet": ["x is y"]}, "A run would refuse this input (exit code 5) and send nothing."),
        ({"first": True}, FIRST),
    ],
)
def test_a_plan_says_what_else_a_run_would_meet(changes: dict[str, Any], line: str) -> None:
    assert line not in plan_text(VIEW).splitlines()
    assert line in plan_text(replace(VIEW, **changes)).splitlines()


BLOCKED, INVALID = Books(), Books()
BLOCKED.count("unknown", "in_doubt", 2, {})
INVALID.count("invalid", "not_a_number", 2, {})


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, "batchpost run jobs/nightly.toml"),
        ({"limit": 5}, "batchpost run jobs/nightly.toml"),
        ({"books": INVALID}, "batchpost run jobs/nightly.toml"),
        ({"books": BLOCKED, "waits": {"R7": 2}}, "batchpost resolve R7"),
        ({"waits": {"R7": 2}}, "batchpost run jobs/nightly.toml"),
        ({"under_way": {"pid": 7}}, "batchpost show nightly"),
        ({"unmet": ["x is y"]}, ""),
        ({"books": Books()}, ""),
    ],
)
def test_a_plan_ends_in_the_command_to_type_next_alone_on_its_line(changes: dict[str, Any], command: str) -> None:
    view = replace(VIEW, **changes)
    assert plan_json(view)["next"] == (command or None)
    assert plan_text(view).endswith(f"\n\nNext:\n  {command}") == bool(command)
    assert ("Next:" in plan_text(view)) == bool(command)


def test_the_next_command_is_told_what_the_plan_was_told_and_paths_are_as_short_as_can_be(workspace: Workspace) -> None:
    with preview(workspace.load(), workspace.environ) as found:
        told = view_of(found, sources=("other file.csv",), again=("--rate", "50"))
    here = workspace.folder
    assert told.next == f"batchpost run {here}/job.toml --source '{Path.cwd()}/other file.csv' --rate 50"
    assert plan_lines(told, here=here)[-1].text.startswith("  batchpost run job.toml --source ")


def test_the_buyers_total_is_compared_before_anything_is_sent(workspace: Workspace) -> None:
    table = sale_rows(2)
    for total, note in (("21.01", "agrees with what was read"), ("20.00", "1.01 less than what was read")):
        rows = {name: [*cells, {"Lead": "Total", "Payout": total}.get(name, "")] for name, cells in table.items()}
        write_csv(workspace.folder / "in.csv", rows)
        assert f"{note} (in.csv, line 4)" in plan_text(view(workspace))


def test_on_a_narrow_terminal_a_plan_keeps_its_table_and_its_words_within_the_width() -> None:
    view = replace(VIEW, unmet=["2 rows are meant to go out, and [expect] rows is 1,000..6,000"], first=True, files=[])
    lines = [line.text for line in plan_lines(view, width=40)]
    assert [line for line in lines if len(line) > 40] == [
        "nightly: global-event to https://api.example.com:443",
        '  {"transaction_id": "t1", "revenue": 12.50}',
    ]


def test_a_plan_for_a_program_has_the_same_numbers_as_exact_text() -> None:
    plan = json.loads(json.dumps(plan_json(VIEW)))
    assert plan["money"] == {"revenue": {"read": "1260.50", "to_send": "1250.00", "invalid": "10.50"}}
    assert plan["rows"] | {"read": 1_002, "to_send": 1_000, "invalid": 2} == plan["rows"]
    assert plan["send"] == {"rows": 1_000, "rate": 10, "seconds": 100.0}
    assert plan["samples"][0]["body"] == {"transaction_id": "t1", "revenue": "12.50"}
    assert (plan["exit_code"], plan["under_way"], plan["continues"]) == (1, False, None)


@pytest.mark.parametrize(
    ("rows", "code"), [({TO_SEND: 1}, 0), ({"skipped": 2}, 0), ({"invalid": 1}, 1), ({"invalid": 1, "unknown": 1}, 3)]
)
def test_the_exit_code_says_whether_everything_can_go(rows: dict[str, int], code: int) -> None:
    books = Books()
    books.rows.update(rows)
    assert replace(VIEW, books=books).exit_code == code


# -- looking without touching ----------------------------------------------------------------------------------------


def test_a_preview_of_a_job_that_never_ran_counts_its_rows_and_leaves_no_trace(workspace: Workspace) -> None:
    write_csv(workspace.folder / "in.csv", {**sale_rows(4), "Payout": ["1.50", "2", "x", "1.50"]})
    before = tree(workspace.folder)
    found = view(workspace)
    assert dict(found.books.rows) == {TO_SEND: 3, "invalid": 1}
    assert found.books.money == {"revenue": {TO_SEND: Decimal("5.00"), "invalid": Decimal(0)}}
    assert found.reasons == [("invalid", "not_a_number", 1)]
    assert [sample.number for sample in found.samples] == [0, 1, 3]
    assert [decision.said for decision in found.files[0].decisions] == [
        *('encoding = "utf-8"', 'delimiter = ","', "header_row = 1", "lines end in LF")
    ]
    assert (found.test, found.continues, found.under_way) == (True, "", None)
    assert tree(workspace.folder) == before


def test_a_preview_knows_what_was_delivered_and_what_goes_on(tmp_path: Path, workspace: Workspace) -> None:
    with sandbox() as (server, _):
        workspace.base_url = server.base_url
        workspace.sales()
        summary = workspace.run(limit=1)
        found = view(workspace)
        assert (found.continues, found.settled, found.to_send) == (summary["run_id"], 1, 3)
        workspace.run()
    assert view(workspace).reasons == [("already_delivered", "same_row", 4)]
    write_csv(tmp_path / "in.csv", sale_rows(5))
    assert ("already_delivered", "ledger", 4) in view(workspace).reasons


def test_a_mend_is_not_held_against_usual_nights(workspace: Workspace) -> None:
    table = sale_rows(4)
    table["Payout"][0] = "n/a"
    write_csv(workspace.folder / "in.csv", table)
    with sandbox() as (server, _):
        workspace.base_url = server.base_url
        workspace.sales()
        to_fix = workspace.results(workspace.run()) / "to_fix.csv"
    to_fix.write_text(to_fix.read_text().replace("n/a", "12.50"))
    with preview(load_job(workspace.folder / "job.toml", source=[str(to_fix)]), workspace.environ) as found:
        assert (view_of(found).to_send, view_of(found).before) == (1, [])


def test_a_preview_books_a_dead_runs_journal_in_a_copy_of_the_ledger(workspace: Workspace) -> None:
    with sandbox() as (server, _):
        workspace.base_url = server.base_url
        workspace.sales(dedupe=False)
        summary = workspace.run(limit=3)
    with workspace.ledger() as ledger:  # as if it had died before its journal was taken in
        ledger.database.change("UPDATE runs SET state = 'running', folded = 0")
        ledger.database.change("DELETE FROM events")
        ledger.database.change("DELETE FROM contents")
    write_csv(workspace.folder / "in.csv", sale_rows(5))
    before = tree(workspace.folder)
    found = view(workspace)
    assert found.abandons == [summary["run_id"]]
    assert found.reasons == [("already_delivered", "ledger", 3)]
    assert tree(workspace.folder) == before


def test_a_preview_refuses_a_lost_ledger_as_a_run_would(workspace: Workspace) -> None:
    with sandbox() as (server, _):
        workspace.base_url = server.base_url
        workspace.sales()
        workspace.run()
    workspace.places.ledger.unlink()
    with pytest.raises(LedgerError, match="the ledger is gone"):
        view(workspace)


def test_a_parquet_file_is_planned(tmp_path: Path) -> None:
    import polars as pl

    place = Workspace(tmp_path)
    place.updates(source='path = "in.parquet"')
    pl.DataFrame(update_rows([("a", "Bonn")])).write_parquet(tmp_path / "in.parquet")
    found = view(place)
    assert str(found.samples[0]).startswith("POST /api/lead/update/cmp_a\n")


def test_what_was_found_out_about_files_is_told_once_for_those_that_are_alike() -> None:
    tab = (Decision("delimiter", "\t", "it divides"),)
    assert list(decision_lines([("a.csv", tab)])) == ['    delimiter = "\\t"  it divides']
    assert list(decision_lines([("a.csv", tab), ("b.csv", tab), ("c.csv", FOUND)])) == [
        "    a.csv and 1 more like it:",
        '    delimiter = "\\t"  it divides',
        "    c.csv:",
        '    delimiter = ";"  it divides',
        "    header_row = 3   titles",
        "    gzip             bytes",
    ]


# -- what is masked and what is said ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field", ["first_name", "email", "mobile", "address", "zip_code", "date_of_birth", "sub1", "mood"]
)
def test_whatever_may_be_personal_is_masked_custom_fields_included(field: str) -> None:
    body = json.dumps({"transaction_id": "t1", field: "canary"}).encode()
    row = Row(0, "", Target("/api/lead/update/c"), body, Repeat.HARMLESS, b"", b"", b"", "", "")
    sample = masked_sample(row, ROUTES["update-lead"])
    assert sample.body == {"transaction_id": "t1", field: MASK}
    assert "canary" not in str(sample)


def test_ids_money_and_dates_of_the_conversion_are_shown_as_they_are_sent() -> None:
    body = b'{"transaction_id":"t1","event_id":"sale","revenue":1250.00,"conversion_date":"2026-01-02","pid":"p","n":1}'
    row = Row(4, "", Target("/api/event/global/org_secret"), body, Repeat.REFUSED, b"", b"", b"", "", "")
    sample = masked_sample(row, ROUTES["global-event"])
    assert str(sample) == (
        'POST /api/event/global/***\n  {"transaction_id": "t1", "event_id": "sale", "revenue": 1250.00, '
        '"conversion_date": "2026-01-02", "pid": "p", "n": "***"}'
    )
    assert "org_secret" not in json.dumps(sample.as_dict())


def test_every_reason_of_the_code_has_a_meaning() -> None:
    import re

    from batchpost import convert, fields, mapping, verdict

    named = {code.partition(":")[0] for code in fields._SENTENCES} | set(mapping._ROWS)
    named |= (
        {name for name, _ in verdict._REASONS}
        | set(verdict._BY_CODE.values())
        | {verdict._NO_POST.cause, verdict._unauthorized(TARGET).cause}
    )
    named |= set(re.findall(r'Outcome\.\w+, "(\w+)"', Path(verdict.__file__).read_text()))
    assert convert.__name__ not in named
    assert sorted(name for name in named if not meaning(name)) == []
    assert set(REASONS) >= UNTROUBLED
    assert meaning("unheard_of") == ""
    assert ENVIRON["ORG"] not in " ".join(REASONS.values())


def test_rows_that_wait_for_a_decision_name_the_run_to_settle() -> None:
    view = replace(VIEW, waits={"r7": 2})
    assert "2 wait until somebody says what became of them in an earlier run: batchpost resolve r7" in plan_text(view)
    assert plan_json(view)["waits"] == {"r7": 2}


def test_rows_that_were_taken_for_totals_are_told_by_their_line(workspace: Workspace) -> None:
    table = sale_rows(2)
    write_csv(
        workspace.folder / "in.csv",
        {name: [*cells, "Total" if name == "Lead" else "5"] for name, cells in table.items()},
    )
    assert view(workspace).totals == [("in.csv", 3, 4)]
    workspace.sales(rows='totals = "reject"')
    assert view(workspace).totals == []
