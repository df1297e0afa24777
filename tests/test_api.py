"""batchpost from Python: the same runs as by the command line, without a word on any stream."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from threading import Thread

import pytest

from batchpost.api import Summary, load_job, plan, run
from batchpost.errors import InputRefused, JobError, NoInput, UsageError
from batchpost.sandbox import Sandbox
from tests.workspaces import ENVIRON, Workspace, fired, sale_rows, update_rows, write_csv

ROOT = Path(__file__).parent.parent


@pytest.fixture
def job_file(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    workspace.sales()
    rows = sale_rows(5)
    rows["Payout"][2] = "x"
    write_csv(workspace.folder / "in.csv", rows)
    return workspace.folder / "job.toml"


def test_a_plan_says_what_would_go_out_and_sends_nothing(job_file: Path, server: Sandbox) -> None:
    outlook = plan(load_job(job_file))
    assert (outlook.to_send, outlook.books.rows["invalid"], outlook.exit_code) == (4, 1, 1)
    assert outlook.unmet == []
    assert plan(load_job(job_file), limit=2).to_send == 2
    assert server.received == []
    assert {path.name for path in job_file.parent.iterdir()} == {"job.toml", "in.csv"}


def test_a_run_is_that_of_the_command_line(job_file: Path, server: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    summary = run(load_job(job_file))
    assert isinstance(summary, Summary)
    assert (summary.exit_code, summary.ok, summary.state) == (1, False, "finished")
    assert (summary.rows["delivered"], summary.reasons["not_a_number"]) == (4, 1)
    assert summary.money["revenue"]["delivered"] == Decimal(summary.facts["money"]["revenue"]["delivered"])
    assert len(fired(server.received)) == 4
    assert json.loads((summary.results / "summary.json").read_text()) == summary.facts
    assert (summary.results / "report.html").exists()
    assert summary.next == f"batchpost run {job_file} --source {summary.results}/to_fix.csv"
    assert capfd.readouterr() == ("", "")


def test_a_run_that_was_cut_short_goes_on(job_file: Path, server: Sandbox) -> None:
    first = run(load_job(job_file), limit=1)
    assert (first.exit_code, first.stopped_by) == (6, "limit")
    second = run(load_job(job_file))
    assert (second.run_id, second.rows["delivered"]) == (first.run_id, 4)
    assert len(fired(server.received)) == 4


def test_a_job_is_named_by_a_path_or_by_its_text(job_file: Path) -> None:
    assert load_job(str(job_file), workspace=str(job_file.parent)) == load_job(job_file, workspace=job_file.parent)


def test_no_time_is_no_request(job_file: Path, server: Sandbox) -> None:
    assert run(load_job(job_file), seconds=0).exit_code == 6
    assert server.received == []


def test_what_keeps_a_run_from_beginning_is_raised(job_file: Path, workspace: Workspace) -> None:
    (workspace.folder / "in.csv").unlink()
    with pytest.raises(NoInput):
        run(load_job(job_file))
    (workspace.folder / "in.csv").write_text("")
    with pytest.raises(InputRefused):
        plan(load_job(job_file))
    job_file.write_text("")
    with pytest.raises(JobError) as caught:
        load_job(job_file)
    assert len(caught.value.mistakes) > 1


def test_a_first_run_of_many_updates_needs_a_word(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t")
    workspace.base_url = "https://api.example.invalid"
    workspace.updates()
    write_csv(workspace.folder / "in.csv", update_rows([(f"txn_{n}", "Ulm") for n in range(1_001)]))
    with pytest.raises(UsageError, match="first run"):
        run(load_job(workspace.folder / "job.toml"), seconds=0)
    assert run(load_job(workspace.folder / "job.toml"), seconds=0, yes=True).exit_code == 6


def test_a_run_may_be_in_any_thread(job_file: Path) -> None:
    ended: list[Summary] = []
    thread = Thread(target=lambda: ended.append(run(load_job(job_file))))
    thread.start()
    thread.join()
    assert [summary.rows["delivered"] for summary in ended] == [4]


def test_the_package_has_the_interface_and_importing_it_is_cheap() -> None:
    """Whatever was imported before: modules must not stand in the way of functions of the same name."""
    code = (
        "import sys, batchpost; heavy = [n for n in ('polars', 'httpx', 'pydantic') if n in sys.modules]; "
        "import batchpost.cli, batchpost.sending, batchpost.preview; "
        "from batchpost import load_job, plan, run, Summary; "
        "print(heavy, [callable(f) for f in (load_job, plan, run, Summary)], batchpost.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[] [True, True, True, True] 0.1.0\n"


def test_a_name_that_is_not_there_is_none() -> None:
    import batchpost

    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        batchpost.nosuch  # noqa: B018
