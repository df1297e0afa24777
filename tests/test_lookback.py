from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchpost.errors import UsageError
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.locks import Locks
from batchpost.lookback import (
    Found,
    all_runs,
    find_home,
    find_run,
    ledger_files,
    next_of,
    runs_text,
    show_lines,
)
from batchpost.places import Places
from batchpost.runsummary import write_summary
from tests.commands import tree
from tests.workspaces import Workspace, sale_rows, sandbox, write_csv

SUMMARY: dict[str, Any] = {
    "exit_code": 1,
    "rows": {"read": 10, "delivered": 7, "skipped": 1, "invalid": 2},
    "reasons": {"conversion": 7, "not_a_date": 2, "otherwise": 1},
    "money": {"revenue": {"read": "10.00", "delivered": "7.00"}},
    "source": [{"path": "in.csv", "rows": 10}],
    "finished_at": "2026-01-02T03:04:05Z",
    "outstanding": {"R0": 3},
    "to_fix": 2,
    "next": "batchpost run job.toml --source to_fix.csv",
}


def record(run_id: str, job: str = "nightly", state: str = "finished", started: float = 0.0, **more: Any) -> RunRecord:
    return RunRecord(run_id, 0, job, state, "", (), "global-event", False, "/nowhere", started, **more)


def show_text(run: Found, here: Path) -> str:
    return "\n".join(line.text for line in show_lines(run, here))


def found(run_id: str, job: str = "nightly") -> Found:
    return Found(record(run_id, job), Places(Path("/nowhere/ledger.db"), Path("/nowhere"), False))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace with one run of each of two jobs, the second one in a ledger of tests."""
    for name, job, state in (("ledger.db", "nightly", "finished"), ("ledger-test.db", "backfill", "stopped")):
        with closing(Ledger.open(tmp_path / ".batchpost" / name)) as ledger:
            started = 1_000.0 * len(job)
            entry = record(f"R-{job}", job, state, started, finished_at=started)
            ledger.begin_run(entry._replace(results=str(tmp_path / job), test="test" in name))
    return tmp_path


def run_of(home: Path, name: str) -> Found:
    return find_run(all_runs(home, {}), name, home)


def summarise(run: Found, **changes: Any) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    write_summary(run.folder, {**SUMMARY, **changes})


# -- where to look ---------------------------------------------------------------------------------------------------


def test_the_workspace_is_the_nearest_marked_folder_else_here(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_home(None, {}, below) == below
    (tmp_path / "batchpost.toml").touch()
    assert find_home(None, {}, below) == tmp_path
    assert find_home(None, {"BATCHPOST_WORKSPACE": str(tmp_path / "a")}, below) == tmp_path / "a"
    assert find_home(below, {"BATCHPOST_WORKSPACE": str(tmp_path)}, tmp_path) == below
    with pytest.raises(UsageError, match="there is no folder"):
        find_home(tmp_path / "none", {}, below)


def test_a_jobs_folder_is_a_workspace_only_where_it_is_marked(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    assert find_home(None, {}, jobs) == jobs


def test_the_ledgers_are_those_that_job_files_name_and_that_exist(tmp_path: Path) -> None:
    texts = {
        "batchpost.toml": '[ledger]\nurl = "sqlite:shared.db"',
        "jobs/a.toml": '[ledger]\nurl = "env:LEDGER"',
        "jobs/b.toml": "ledger = 3",
        "jobs/broken.toml": "[ledger",
        "c.toml": '[ledger]\nurl = "postgresql://nowhere"',
    }
    (tmp_path / "jobs").mkdir()
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    for name in ("shared-test.db", "own.db"):
        (tmp_path / name).touch()
    assert ledger_files(tmp_path, {"LEDGER": "sqlite:own.db"}) == [tmp_path / "own.db", tmp_path / "shared-test.db"]
    assert ledger_files(tmp_path, {}) == [tmp_path / "shared-test.db"]


def test_runs_of_all_ledgers_come_in_the_order_of_their_start(home: Path) -> None:
    runs = all_runs(home, {})
    assert [(run.record.run_id, run.at.test, run.doubts) for run in runs] == [
        ("R-nightly", False, 0),
        ("R-backfill", True, 0),
    ]
    assert all_runs(home / "jobs", {}) == []


# -- which run -------------------------------------------------------------------------------------------------------

RUNS = [found("20260101T1-aa"), found("20260102T1-bb", "backfill"), found("20260103T1-cc"), found("nightly-id", "odd")]


@pytest.mark.parametrize(
    ("name", "run_id"),
    [
        ("20260101T1-aa", "20260101T1-aa"),
        ("20260102", "20260102T1-bb"),
        ("nightly", "20260103T1-cc"),
        ("backfill", "20260102T1-bb"),
        ("latest", "nightly-id"),
        ("nightly-", "nightly-id"),
    ],
)
def test_a_run_goes_by_its_id_a_unique_beginning_its_job_or_latest(name: str, run_id: str) -> None:
    assert find_run(RUNS, name, Path("/w")).record.run_id == run_id


@pytest.mark.parametrize(
    ("name", "message"),
    [("2026", "2026 may be one of 3 runs: 20260101T1-aa,"), ("x", "no run or job x in /w"), ("", "no run")],
)
def test_a_name_that_fits_no_run_or_several_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_run(RUNS if name else [], name, Path("/w"))


def test_many_runs_of_one_beginning_are_not_all_listed() -> None:
    with pytest.raises(UsageError, match=r"one of 9 runs: (R\d, ){4}R4, \.\.\.\. Write more of its id$"):
        find_run([found(f"R{number}", "j") for number in range(9)], "R", Path("/w"))


# -- what is told ----------------------------------------------------------------------------------------------------


def test_the_list_has_state_code_and_counts(home: Path) -> None:
    summarise(run_of(home, "nightly"))
    header, first, second = runs_text(all_runs(home, {}), home).splitlines()
    assert header.split() == ["RUN", "JOB", "STARTED", "STATE", "EXIT", "READ", "DELIVERED", "LEFT", "UNKNOWN"]
    told = ["R-nightly", "nightly", "1970-01-01", "01:56:40", "UTC", "finished", "1", "10", "7", "2", "-"]
    assert first.split() == told
    assert second.split()[-7:] == ["stopped", "-", "-", "-", "-", "-", "test"]
    assert runs_text([], home) == f"There are no runs in {home}."


def test_a_run_is_shown_with_books_reasons_what_is_outstanding_and_the_next_command(home: Path) -> None:
    run = run_of(home, "nightly")
    summarise(run)
    for name in ("to_fix.csv", "outcomes.csv"):
        (run.folder / name).touch()
    assert (
        show_text(run, home)
        == """\
run       R-nightly
job       nightly (global-event)
state     finished, exit code 1
started   1970-01-01 01:56:40 UTC
finished  2026-01-02 03:04:05 UTC
file      in.csv (10 rows)
results   nightly/R-nightly

                rows  revenue
  read            10     7.00
  delivered        7     7.00
    conversion     7
  skipped          1     0.00
    otherwise      1
! invalid          2     0.00
!   not_a_date     2           not a date in the job's format

What to do:
  not_a_date  correct the value, or add its way of writing to the field's `format`

Their rows, each with its detail:
  batchpost export R-nightly --only invalid

When this run was made, rows of R0 without a known end: 3
to_fix.csv: 2 rows

Next:
  batchpost run job.toml --source to_fix.csv"""
    )


def test_the_page_to_look_at_is_named_where_it_is(home: Path) -> None:
    run = run_of(home, "nightly")
    summarise(run, outstanding={}, next="")
    assert "report.html" not in show_text(run, home)
    (run.folder / "report.html").touch()
    assert show_text(run, home).endswith("\n\nreport.html: all of it to look at")


def test_on_a_narrow_terminal_a_run_is_shown_within_its_width(home: Path) -> None:
    run = run_of(home, "nightly")
    summarise(run, message="The platform refused the token (401), and that is a long story to tell", next="")
    lines = [line.text for line in show_lines(run, home, width=44)]
    assert [line for line in lines if len(line) > 44 and not line.startswith("results ")] == []
    assert lines[3] == "          platform refused the token (401),"


def test_a_run_without_results_is_shown_from_the_register(home: Path) -> None:
    text = show_text(run_of(home, "backfill"), home)
    assert "run       R-backfill  (a test)" in text
    assert "state     stopped\n" in text
    assert "Next:" not in text


def set_state(home: Path, state: str) -> Found:
    with closing(Ledger.open(home / ".batchpost/ledger.db")) as ledger:
        ledger.end_run("R-nightly", state, None)
    return run_of(home, "nightly")


def test_a_run_that_died_says_so_and_how_to_go_on(home: Path) -> None:
    run = set_state(home, "running")
    summarise(run, state="running", exit_code=None, job_file="/jobs/n.toml", next="")
    assert run.state == "crashed"
    assert show_text(run, home).endswith("Next:\n  batchpost run /jobs/n.toml")


def test_a_run_that_goes_on_says_how_to_stop_it(home: Path) -> None:
    run = set_state(home, "running")
    summarise(run)
    with Locks(run.at.locks) as locks:
        locks.take("run R-nightly", "the run R-nightly")
        assert run.state == "running"
        assert show_text(run, home).endswith("To end it gently, if it must not go on:\n  batchpost stop nightly")


def test_a_run_that_was_given_up_has_no_next_command(home: Path) -> None:
    run = set_state(home, "abandoned")
    summarise(run)
    assert "Next:" not in show_text(run, home)


@pytest.fixture
def unsettled(tmp_path: Path) -> Iterator[Workspace]:
    """A run with a row whose end is not known."""
    from batchpost.sandbox import parse_faults

    with sandbox(faults=parse_faults("error=1")) as (server, _):
        place = Workspace(tmp_path, server.base_url)
        place.sales(dedupe=False, source='path = "in.csv"')
        write_csv(tmp_path / "in.csv", sale_rows(1))
        place.run()
        yield place


def test_operations_whose_end_is_not_known_are_outstanding(unsettled: Workspace) -> None:
    before = tree(unsettled.folder)
    run = find_run(all_runs(unsettled.folder, {}), "latest", unsettled.folder)
    assert run.doubts == 1
    text = show_text(run, unsettled.folder)
    assert "Rows without a known end to this day: 1\n" in text
    assert text.endswith(f"Next:\n  batchpost resolve {run.record.run_id}")
    assert runs_text([run], unsettled.folder).splitlines()[-1].split()[-2:] == ["1", "test"]
    assert tree(unsettled.folder) == before


@pytest.mark.parametrize(
    ("state", "said", "doubts", "due", "command"),
    [
        ("finished", "batchpost resolve R-nightly", 2, (1,), "batchpost resolve R-nightly"),
        ("finished", "batchpost resolve R-nightly", 0, (1,), "batchpost retry R-nightly"),
        ("finished", "batchpost resolve R-nightly", 0, (), "batchpost run n.toml --source {}/to_fix.csv"),
        ("finished", "batchpost retry R-nightly", 2, (1,), "batchpost retry R-nightly"),
        ("finished", "", 2, (), "batchpost resolve R-nightly"),
        ("finished", "", 0, (), ""),
        ("stopped", "batchpost run n.toml", 2, (1,), "batchpost run n.toml"),
        ("abandoned", "batchpost run n.toml", 2, (1,), "batchpost resolve R-nightly"),
        ("abandoned", "batchpost run n.toml", 0, (1,), "batchpost run n.toml"),
        ("abandoned", "batchpost run n.toml", 0, (), ""),
    ],
)
def test_the_next_command_heeds_what_was_decided_since(
    home: Path, state: str, said: str, doubts: int, due: tuple[int, ...], command: str
) -> None:
    run = replace(set_state(home, state), doubts=doubts, due=due)
    summarise(run, next=said, job_file="n.toml")
    assert next_of(run) == command.format(run.folder)


def test_a_run_that_is_to_be_looked_at_first_says_there_how_it_goes_on(home: Path) -> None:
    run = set_state(home, "stopped")
    summarise(run, next="batchpost show R-nightly", goes_on="batchpost run n.toml --source b.csv", exit_code=4)
    assert next_of(run) == "batchpost show R-nightly"
    assert show_text(run, home).endswith("Next, when that is mended:\n  batchpost run n.toml --source b.csv")


def test_rows_that_are_gone_cannot_be_seen_and_their_remedies_are_told_all_the_same(home: Path) -> None:
    run = run_of(home, "nightly")
    summarise(run)
    text = show_text(run, home)
    assert "What to do:\n  not_a_date  correct the value" in text
    assert "batchpost export" not in text


def test_what_was_decided_is_counted_by_the_last_word_about_each_row(home: Path) -> None:
    run = replace(run_of(home, "nightly"), due=(4,), decided={"not_delivered": 2, "ignored": 1})
    assert "Decided since: 2 not delivered, 1 ignored; 1 of them due" in show_text(run, home)
