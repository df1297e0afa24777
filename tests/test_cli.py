"""The command line from outside: what each command says, where, and its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batchpost.helppage import renewed
from batchpost.jobfile import load_job
from batchpost.locks import Locks
from batchpost.sandbox import Sandbox
from tests.commands import ROOT, call, finished, started, tree, until
from tests.workspaces import ENVIRON, Workspace, leads, sale_rows, sandbox, update_rows, write_csv


@pytest.fixture
def place(tmp_path: Path, server: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace that is the current folder, with the secrets of its jobs in the environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "batchpost.toml").touch()
    return Workspace(tmp_path, server.base_url)


@pytest.fixture
def sales(place: Workspace) -> Workspace:
    """Five conversions, all sound."""
    place.sales()
    write_csv(place.folder / "in.csv", sale_rows(5))
    return place


def with_bad_row(place: Workspace) -> None:
    rows = sale_rows(5)
    rows["Payout"][1] = "much"
    write_csv(place.folder / "in.csv", rows)


# -- the program itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--version", "--help", "run --help", "plan --help", "show --help"])
def test_help_is_quick_because_it_loads_nothing_heavy(option: str) -> None:
    heavy = "{'polars', 'pyarrow', 'httpx', 'pydantic', 'rich', 'structlog', 'anyio', 'orjson'}"
    program = f"""
import sys
from batchpost.cli import run_command
code = run_command({option.split()!r})
assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)
sys.exit(code)"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "batchpost" in done.stdout


def test_every_command_and_option_is_in_the_documentation_as_the_program_tells_it() -> None:
    page = (ROOT / "docs/cli.md").read_text()
    assert page == renewed(page), "python -m batchpost.helppage docs/cli.md"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "Usage: batchpost"),
        ("frob", "No such command 'frob'"),
        ("run", "Missing argument 'JOB...'"),
        ("run a.toml --until 7pm", "'7pm' is no time of day; write 07:00"),
        ("run a.toml --for 9", "'9' is no span of time"),
        ("run a.toml --until 07:00 --for 9h", "--until and --for are two ways to say when to stop"),
        ("run a.toml --date yesterday", "--date is not there yet"),
        ("run nowhere.toml", "there is no file nowhere.toml"),
        ("show latest", "there are no runs in"),
        ("stop nightly", "there is no job nightly"),
        ("runs --workspace nowhere", "--workspace: there is no folder"),
        ("sandbox --host 0.0.0.0", "0.0.0.0 is not a loopback address"),
        ("sandbox --fault flood=1", "unknown fault 'flood'"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*words.split())
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_schema_prints_the_schema_of_job_files() -> None:
    assert json.loads(call("schema").out)["title"] == "batchpost job"


# -- check -----------------------------------------------------------------------------------------------------------


def test_check_names_every_mistake_of_every_job_at_once(sales: Workspace) -> None:
    bad = sales.folder / "bad.toml"
    bad.write_text(sales.text.replace("transaction_id", "transacton_id").replace("rate = 100000", "rate = 0"))

    done = call("check", "--offline", "bad.toml", "job.toml")

    assert done.code == 2
    assert done.out == "job.toml: no mistakes in the file\n"
    assert 'did you mean "transaction_id"?' in done.err
    assert "delivery.rate: must be more than 0" in done.err
    *told, count = done.err.splitlines()
    assert all(line.startswith("bad.toml:") for line in told)
    assert count == f"{len(told)} mistakes"


def test_check_looks_at_secrets_and_columns_unless_told_to_stay_offline(
    sales: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = call("check", "job.toml").out.splitlines()
    assert found[0] == "job.toml: no mistakes"
    assert found[2].split() == [
        *("delimiter", "=", '","'),
        *["it", "divides", "the", "header", "and", "the", "5", "records", "below", "it", "into", "3", "cells"],
    ]
    write_csv(sales.folder / "in.csv", {"Lead": ["a"], "Pay out": ["1"], "Email": [""]})
    monkeypatch.delenv("ORG")

    done = call("check", "job.toml")

    assert done.code == 2
    assert "the environment variable ORG is not set" in done.err
    assert 'the input has no column "Payout" (did you mean "Pay out"?)' in done.err
    assert call("check", "--offline", "job.toml").code == 0


def test_check_says_when_there_is_no_input_yet(sales: Workspace) -> None:
    (sales.folder / "in.csv").unlink()
    assert call("check", "job.toml").code == 66


def test_check_shows_a_job_that_loads_again_to_the_same(sales: Workspace) -> None:
    shown = sales.folder / "shown.toml"
    shown.write_text(call("check", "--offline", "--show", "job.toml").out)
    assert load_job(shown, workspace=sales.folder).model_dump(exclude={"path"}) == sales.load().model_dump(
        exclude={"path"}
    )


# -- plan ------------------------------------------------------------------------------------------------------------


def test_plan_sends_nothing_and_writes_nothing_into_the_workspace(sales: Workspace, server: Sandbox) -> None:
    before = tree(sales.folder)
    done = call("plan", "job.toml", "--rate", "2", "--limit", "3")
    assert done.code == 0
    assert "3 requests (of 5: --limit) at 2 a second take 2 s at least." in done.out
    assert "Nothing was sent." in done.out
    assert tree(sales.folder) == before
    assert server.received == []


def test_plan_beside_a_ledger_changes_nothing_either(sales: Workspace) -> None:
    sales.run(limit=2)
    before = tree(sales.folder)
    done = call("plan", "job.toml")
    assert "which settled 2 rows before it ended" in done.out
    assert tree(sales.folder) == before


def test_plan_as_json_is_one_line_with_the_same_numbers(sales: Workspace) -> None:
    with_bad_row(sales)
    done = call("plan", "job.toml", "--json", "--base-url", "http://127.0.0.1:9")
    plan = json.loads(done.out)
    assert done.code == plan["exit_code"] == 1
    assert plan["origin"] == "http://127.0.0.1:9"
    assert (plan["rows"]["read"], plan["rows"]["to_send"], plan["rows"]["invalid"]) == (5, 4, 1)
    assert plan["reasons"] == [{"outcome": "invalid", "reason": "not_a_number", "rows": 1}]
    assert plan["samples"][0]["body"]["email"] == "***"
    assert done.out.count("\n") == 1


# -- run: exit codes and what is said where --------------------------------------------------------------------------


def test_a_run_where_all_is_well_ends_in_0_with_books_and_two_log_lines(sales: Workspace, server: Sandbox) -> None:
    done = call("run", "job.toml")
    assert done.code == 0
    assert re.search(r"  delivered +5 +60\.10\n    conversion +5 +60\.10\n", done.out)
    assert "Safe to repeat" not in done.out
    assert [event["event"] for event in done.events] == ["run_started", "run_finished"]
    assert len(done.events) == len(done.err.splitlines())
    assert done.events[1]["rows"]["delivered"] == len(server.effects) == 5


def test_quiet_says_nothing_when_all_is_well_and_everything_when_not(sales: Workspace) -> None:
    done = call("run", "-q", "job.toml")
    assert (done.code, done.out, done.err) == (0, "", "")
    with_bad_row(sales)
    done = call("run", "-q", "job.toml")
    assert done.code == 1
    assert done.last.startswith("Safe to repeat: yes. Sent 0, left 1. Next: batchpost run job.toml --source results/")
    assert [event["event"] for event in done.events] == ["run_finished"]


def test_json_is_the_summary_alone_on_standard_output(sales: Workspace) -> None:
    with_bad_row(sales)
    done = call("run", "--json", "job.toml")
    summary = json.loads(done.out)
    assert summary == sales.kept(summary)
    assert done.code == summary["exit_code"] == 1
    assert done.err.splitlines()[-1].startswith("Safe to repeat: yes. Sent 4, left 1.")


def test_a_limited_run_ends_in_6_and_its_next_command_repeats_what_makes_it_the_same_run(
    sales: Workspace, server: Sandbox
) -> None:
    write_csv(sales.folder / "other.csv", sale_rows(4, "other"))
    first = call("run", "job.toml", "--source", "other.csv", "--base-url", server.base_url, "--limit", "1")
    assert first.code == 6
    command = first.last.partition("Next: batchpost ")[2]
    assert command == f"run job.toml --source other.csv --base-url {server.base_url}"

    second = call(*command.split())

    assert second.code == 0
    assert second.events[0]["continued"] is True
    assert second.events[0]["settled_before"] > 0
    assert sorted(entry.transaction_id for entry in server.effects) == leads(4, "other")


def test_the_kept_summary_has_the_same_next_command(sales: Workspace) -> None:
    write_csv(sales.folder / "other.csv", sale_rows(4, "other"))
    call("run", "job.toml", "--source", "other.csv", "--limit", "1")
    assert call("show", "latest").out.endswith("\nNext:\n  batchpost run job.toml --source other.csv\n")


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 66, "there is no"),
        ("Lead,Payout,Email\na,1,b,c\n", 5, "in.csv, line 2"),
        ("Lead,Pay,Email\na,1,b\n", 2, 'the input has no column "Payout"'),
    ],
)
def test_an_input_that_is_missing_or_unsound_sends_nothing(
    sales: Workspace, server: Sandbox, content: str | None, code: int, message: str
) -> None:
    (sales.folder / "in.csv").unlink()
    if content is not None:
        (sales.folder / "in.csv").write_text(content)
    done = call("run", "job.toml")
    assert (done.code, done.out, server.received) == (code, "", [])
    assert message in done.err


def test_a_held_lock_is_exit_75_and_names_its_holder(sales: Workspace, server: Sandbox) -> None:
    with Locks(sales.places.locks) as locks:
        locks.take("job job", "the job job")
        done = call("run", "job.toml")
    assert (done.code, server.received) == (75, [])
    assert f"(process {os.getpid()} since" in done.err


def test_a_missing_secret_is_exit_2_and_named_without_a_value(
    sales: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORG", "org-canary ")
    done = call("run", "job.toml")
    assert done.code == 2
    assert "env:ORG: the secret holds blanks" in done.err
    assert "canary" not in done.err


def test_a_platform_that_is_down_leaves_all_rows_for_the_next_run(sales: Workspace) -> None:
    done = call("run", "job.toml", "--base-url", "http://127.0.0.1:9", "--for", "1s")
    assert done.code == 6
    assert done.last.startswith("Safe to repeat: yes. Sent 0, left 5.")


def test_a_place_for_results_that_is_none_is_exit_2_before_anything_is_sent(sales: Workspace, server: Sandbox) -> None:
    (sales.folder / "results").write_text("in the way")
    done = call("run", "job.toml")
    assert (done.code, server.received) == (2, [])
    assert "Nothing was sent" in done.err
    assert "Traceback" not in done.err


def test_several_jobs_run_one_after_the_other_and_the_most_urgent_code_counts(
    sales: Workspace, server: Sandbox
) -> None:
    for name in ("early", "late"):
        (sales.folder / f"{name}.toml").write_text(sales.text.replace('name = "job"', f'name = "{name}"'))
    early = sales.folder / "early.toml"
    early.write_text(early.read_text().replace("in.csv", "none.csv"))
    done = call("run", "early.toml", "late.toml", "job.toml", "--limit", "2")
    assert done.code == 66
    assert [event["job"] for event in done.events if event["event"] == "run_finished"] == ["late", "job"]
    assert len(server.effects) == 4


def test_one_wrong_job_file_keeps_all_jobs_from_running(sales: Workspace, server: Sandbox) -> None:
    (sales.folder / "bad.toml").write_text(sales.text.replace("[delivery]", "[deliver]"))
    done = call("run", "job.toml", "bad.toml")
    assert (done.code, server.received) == (2, [])
    assert "bad.toml" in done.err


def test_the_first_run_of_a_large_backfill_needs_a_yes_where_nobody_can_be_asked(
    place: Workspace, server: Sandbox
) -> None:
    place.updates()
    write_csv(place.folder / "in.csv", update_rows([(f"txn_{n}", "Bonn") for n in range(1_001)]))
    refused = call("run", "job.toml", "--limit", "3", "--base-url", "https://platform.example.com")
    assert (refused.code, refused.out, refused.events) == (2, "", [])
    assert "would update 1,001 leads" in refused.err
    assert "say so once with --yes\n" in refused.err
    assert refused.err.endswith(
        "Nothing was sent. Next: batchpost run job.toml --limit 3 --base-url https://platform.example.com --yes\n"
    )
    planned = call("plan", "job.toml", "--base-url", "https://platform.example.com").out
    assert "It is the first run of this job, and updates more than 1,000 leads" in planned
    done = call("run", "job.toml", "--limit", "3")  # at this machine nothing can be offered to buyers
    assert (done.code, len(server.effects)) == (6, 3)
    assert "first run" not in call("plan", "job.toml").out


def test_no_personal_data_and_no_secret_is_in_any_output(sales: Workspace) -> None:
    rows = sale_rows(5)
    rows["Payout"][1] = "canary-payout"
    write_csv(sales.folder / "in.csv", rows)
    texts = [call(*words.split()) for words in ("plan job.toml", "run job.toml", "show latest", "runs")]
    said = "".join(done.out + done.err for done in texts)
    assert "mail.example.com" not in said
    assert "canary-payout" not in said
    assert ENVIRON["ORG"] not in said


# -- the canary and retry --------------------------------------------------------------------------------------------


def test_a_canary_shows_what_it_sent_and_lets_the_rest_follow(sales: Workspace, server: Sandbox) -> None:
    done = call("run", "job.toml", "--canary", "2")
    assert done.code == 0
    assert "Canary: 2 rows sent before the others" in done.out
    assert '{"transaction_id": "txn_00000", "event_id": "sale_completed", "revenue": 10.00, "email": "***"}' in done.out
    assert re.search(r"  -> HTTP 200 after \d+ ms: delivered, conversion\n     conversion id: conv_", done.out)
    assert "in.csv, line 3\nPOST /api/event/global/***\n" in done.out
    assert "mail.example.com" not in done.out + done.err
    assert sorted(entry.transaction_id for entry in server.effects) == leads(5)


def test_a_canary_stops_where_the_job_itself_is_at_fault(place: Workspace, tmp_path: Path) -> None:
    known = write_csv(tmp_path / "leads.csv", {"transaction_id": leads(5)})
    with sandbox(accept_any=False, leads=known, events={}) as (server, _):
        place.base_url = server.base_url
        place.sales()
        write_csv(place.folder / "in.csv", sale_rows(5))
        done = call("run", "job.toml", "--canary", "2")
        assert len(server.received) == 2
    assert done.code == 4
    assert "Nothing more is sent: the event is not configured for the campaign (2 of 2 rows: invalid_event)" in done.out
    assert done.last.endswith("Next: batchpost run job.toml --canary 2")
    looked = call("show", "latest").out
    assert "exit code 4. The canary found the job at fault" in looked
    assert looked.endswith("Next:\n  batchpost run job.toml --canary 2\n")


def test_a_canary_whose_rows_are_all_refused_stops_and_one_without_a_rest_ends_as_any_run(
    place: Workspace, tmp_path: Path
) -> None:
    known = write_csv(tmp_path / "leads.csv", {"transaction_id": ["another"]})
    with sandbox(accept_any=False, leads=known) as (server, _):
        place.base_url = server.base_url
        place.sales()
        write_csv(place.folder / "in.csv", sale_rows(5))
        done = call("run", "job.toml", "--canary", "3")
        assert (done.code, len(server.received)) == (4, 3)
        assert "Nothing more is sent: the platform refused all 3 rows (lead_not_found)" in done.out
        done = call("run", "job.toml", "--canary", "3")
        assert (done.code, len(server.received)) == (1, 5)
        assert "The job itself is not at fault.\n" in done.out


def test_what_failed_too_often_is_looked_at_first_and_a_canary_goes_first_again_after_that(
    place: Workspace, tmp_path: Path
) -> None:
    known = write_csv(tmp_path / "leads.csv", {"transaction_id": ["another"]})
    with sandbox(accept_any=False, leads=known) as (server, _):
        place.base_url = server.base_url
        place.sales(delivery="rate = 1000\nconcurrency = 1\nmax_failures = 1")
        write_csv(place.folder / "in.csv", sale_rows(5))
        done = call("run", "job.toml", "--canary", "3", "--source", "in.csv")
    run_id = max(path.name for path in (place.folder / "results/job").iterdir())
    look = f"batchpost show {run_id}"
    assert (done.code, done.last.partition("Next: ")[2]) == (4, look)
    assert call("status", "job.toml").out.splitlines()[0].endswith(f"Next: {look}")
    again = "batchpost run job.toml --source in.csv --canary 3"
    assert call(*look.split()[1:]).out.endswith(f"Next, when that is mended:\n  {again}\n")


def test_a_canary_of_an_unknown_lead_lets_the_rest_follow(place: Workspace, tmp_path: Path) -> None:
    known = write_csv(tmp_path / "leads.csv", {"transaction_id": leads(5)[1:]})
    with sandbox(accept_any=False, leads=known) as (server, _):
        place.base_url = server.base_url
        place.sales()
        write_csv(place.folder / "in.csv", sale_rows(5))
        done = call("run", "job.toml", "--canary", "1", "--json")
        assert len(server.effects) == 4
    assert json.loads(done.out)["reasons"] == {"conversion": 4, "lead_not_found": 1}
    assert re.search(r"-> HTTP 400 after \d+ ms: rejected, lead_not_found\n     it says: No lead found", done.err)


def test_a_canary_never_sends_more_than_the_limit(sales: Workspace, server: Sandbox) -> None:
    done = call("run", "job.toml", "--canary", "3", "--limit", "2")
    assert (done.code, len(server.effects)) == (6, 2)


def test_retry_sends_what_did_not_get_through_once_the_platform_knows_it(place: Workspace, tmp_path: Path) -> None:
    known = write_csv(tmp_path / "leads.csv", {"transaction_id": leads(3)})
    with sandbox(accept_any=False, leads=known) as (server, _):
        place.base_url = server.base_url
        place.sales()
        write_csv(place.folder / "in.csv", sale_rows(5))
        assert call("run", "job.toml").code == 1
    with sandbox() as (server, _):
        done = call("retry", "job", "--base-url", server.base_url, "--only", "rejected")
        assert sorted(entry.transaction_id for entry in server.effects) == leads(5)[3:]
    assert done.code == 0
    assert call("retry", "latest").err.endswith("has no rows to send again.\n")
    assert call("retry", "latest", "--only", "unknown").code == 2


# -- looking back ----------------------------------------------------------------------------------------------------


def test_runs_show_verify_and_export_look_back_at_a_run(sales: Workspace) -> None:
    with_bad_row(sales)
    call("run", "job.toml")
    assert call("runs").out.splitlines()[-1].split()[-6:] == ["1", "5", "4", "1", "-", "test"]
    assert re.search(r"!   not_a_number +1 +0\.00  not a number\n", call("show", "job").out)
    assert json.loads(call("show", "job", "--json").out)["rows"]["delivered"] == 4
    assert call("verify", "latest").out.endswith("the books agree\n")
    exported = call("export", "latest", "--only", "invalid").out.splitlines()
    assert [line.split(",")[7:9] for line in exported] == [["outcome", "reason"], ["invalid", "not_a_number"]]


def test_verify_names_each_difference_and_ends_in_1(sales: Workspace) -> None:
    call("run", "job.toml")
    outcomes = next(sales.folder.glob("results/job/*/outcomes.csv"))
    outcomes.write_text(outcomes.read_text().replace("delivered", "rejected", 1))
    done = call("verify", "latest")
    assert done.code == 1
    assert "rows: rejected is 1 in outcomes, 0 in the summary" in done.out


def test_export_writes_by_the_name_and_says_how_much(sales: Workspace) -> None:
    call("run", "job.toml")
    assert call("export", "latest", "-o", "some.parquet").err == "5 rows in some.parquet\n"
    assert call("export", "latest", "-o", "some.txt").code == 2
    assert call("export", "latest", "--only", "lost").code == 2


def test_abandon_and_forget_tidy_up(sales: Workspace) -> None:
    call("run", "job.toml", "--limit", "2")
    assert call("forget", "--older-than", "0s").out.startswith("The results of 0 runs")
    assert "is given up" in call("abandon", "latest").out
    assert call("abandon", "latest").code == 2
    assert "outcomes.csv" in str(sorted(tree(sales.folder / "results")))
    assert call("forget", "--older-than", "0s", "--dry-run").out.endswith("would be deleted.\n")
    assert call("forget", "--older-than", "0s").code == 0
    assert sorted(Path(name).name for name in tree(sales.folder / "results")) == ["ends.parquet", "summary.json"]
    assert call("run", "job.toml").events[0]["to_send"] == 3


# -- as a program of its own -----------------------------------------------------------------------------------------


def test_a_closed_pipe_is_no_error(sales: Workspace) -> None:
    write_csv(sales.folder / "in.csv", sale_rows(1_000))
    call("run", "job.toml")
    with started("export", "latest", cwd=sales.folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("source,row")
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 0


def test_a_run_with_closed_streams_and_an_empty_environment_still_runs_to_its_end(
    sales: Workspace, server: Sandbox
) -> None:
    closed = 'exec "$0" -m batchpost run "$1" >&- 2>&- <&-'
    words = ["/bin/sh", "-c", closed, sys.executable, str(sales.folder / "job.toml")]
    done = subprocess.run(words, cwd="/", env={"PYTHONPATH": str(ROOT), **ENVIRON}, check=False)
    assert (done.returncode, len(server.effects)) == (0, 5)


def test_sigterm_while_waiting_for_the_input_is_exit_143_and_nothing_was_sent(sales: Workspace) -> None:
    (sales.folder / "in.csv").unlink()
    with started("run", "job.toml", "--wait", "1m", cwd=sales.folder) as process:
        assert process.stderr is not None
        assert "waiting_for_input" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read() == (
            "job: Stopped by SIGTERM\nSafe to repeat: yes. Nothing was sent. Next: batchpost run job.toml --wait 1m\n"
        )
        assert process.wait(timeout=30) == 143


def test_stop_ends_a_running_job_gently_and_run_goes_on_from_there(sales: Workspace, server: Sandbox) -> None:
    write_csv(sales.folder / "in.csv", sale_rows(60))
    sales.sales(delivery="rate = 10")
    assert call("stop", "job.toml").out == "No run of job is under way.\n"
    with started("run", "job.toml", "--json", cwd=sales.folder) as process:
        until(lambda: bool(server.received))
        assert call("run", "job.toml").code == 75
        assert call("stop", "job").out.startswith(f"Process {process.pid}, which runs job since")
        summary = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == summary["exit_code"] == 143
    assert summary["rows"]["delivered"] + summary["rows"]["not_attempted"] == 60
    assert call("run", "job.toml", "--rate", "1000").code == 0
    assert sorted(entry.transaction_id for entry in server.effects) == leads(60)


def test_the_sandbox_command_prints_its_address_and_ends_with_the_signal(tmp_path: Path) -> None:
    with started("sandbox", "--port", "0", "--accept-any", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_an_unreadable_job_is_exit_2_for_a_program_too(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text("name = nightly")
    done = finished("check", "job.toml", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("batchpost: job.toml:1: TOML:") or done.err.startswith("job.toml:1: TOML:")
