"""Rows of earlier runs that go out again: what retry writes, and what a mend of a mend settles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchpost.errors import InputRefused, UsageError
from batchpost.jobfile import load_job
from batchpost.retry import retry_rows
from batchpost.sandbox import Sandbox
from batchpost.sandbox_faults import parse_faults
from tests.workspaces import Workspace, counted, csv, leads, sale_rows, update_rows, write_csv

GIVE_UP = "rate = 100000\nconcurrency = 1\nmax_attempts = 1\nmax_failures = 1000"
NOT_THROUGH = ("failed", "rejected", "not_attempted")


def failing(workspace: Workspace, server: Sandbox, rows: int = 4) -> dict[str, Any]:
    """A run of updates in which the platform answers 500 to each; the circuit stays closed for so few."""
    workspace.updates(delivery=GIVE_UP)
    write_csv(workspace.folder / "in.csv", update_rows([(lead, "Rome") for lead in leads(rows)]))
    server.configure(faults=parse_faults("drop=1"))
    summary = workspace.run()
    server.configure(faults=parse_faults(""))
    assert summary["rows"]["failed"] == rows
    return summary


def again(workspace: Workspace, path: Path, **options: Any) -> dict[str, Any]:
    job = load_job(workspace.folder / "job.toml", workspace=workspace.folder, source=[str(path)])
    return workspace.run(job=job, retry=True, **options)


def test_the_rows_that_failed_are_written_as_they_were_and_go_out_again(workspace: Workspace, server: Sandbox) -> None:
    first = failing(workspace, server)
    path, rows = retry_rows(workspace.load(), workspace.results(first), first, NOT_THROUGH)
    assert (rows, csv(path)["Lead"].to_list()) == (4, leads(4))
    assert csv(path)["batchpost_row"].to_list() == ["1", "2", "3", "4"]
    assert set(csv(path)["batchpost_run"]) == {first["run_id"]}
    assert path.stat().st_mode & 0o777 == 0o600

    second = again(workspace, path)
    assert (second["exit_code"], second["rows"]["delivered"], second["rows"]["read"]) == (0, 4, 4)

    third = workspace.run()
    assert counted(workspace.outcomes(third)) == {("already_delivered", "same_row"): 4}


def test_only_the_outcomes_and_reasons_asked_for_are_written(workspace: Workspace, server: Sandbox) -> None:
    first = failing(workspace, server)
    folder = workspace.results(first)
    assert retry_rows(workspace.load(), folder, first, ("rejected",))[1] == 0
    assert retry_rows(workspace.load(), folder, first, ("failed",), ("lead_not_found",))[1] == 0
    assert retry_rows(workspace.load(), folder, first, ("failed",), ("dropped",))[1] == 4


def test_a_retry_never_overwrites_a_newer_update_of_the_lead(workspace: Workspace, server: Sandbox) -> None:
    first = failing(workspace, server, rows=2)
    write_csv(workspace.folder / "newer.csv", update_rows([("txn_00000", "Oslo")]))
    job = load_job(
        workspace.folder / "job.toml", workspace=workspace.folder, source=[str(workspace.folder / "newer.csv")]
    )
    assert workspace.run(job=job)["rows"]["delivered"] == 1

    path, _ = retry_rows(workspace.load(), workspace.results(first), first, NOT_THROUGH)
    second = again(workspace, path)
    assert counted(workspace.outcomes(second)) == {("skipped", "superseded"): 1, ("delivered", "accepted"): 1}
    assert [entry.body["city"] for entry in server.effects if entry.transaction_id == "txn_00000"] == ["Oslo"]


def test_an_unfinished_run_is_continued_not_retried(workspace: Workspace) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(3))
    first = workspace.run(limit=1)
    with pytest.raises(UsageError, match=r"not finished.*goes on with it"):
        retry_rows(workspace.load(), workspace.results(first), first, NOT_THROUGH)


@pytest.mark.parametrize("change", ["moved", "edited"])
def test_an_input_that_is_not_there_as_it_was_is_refused(workspace: Workspace, server: Sandbox, change: str) -> None:
    first = failing(workspace, server)
    if change == "moved":
        (workspace.folder / "in.csv").rename(workspace.folder / "elsewhere.csv")
    else:
        write_csv(workspace.folder / "in.csv", update_rows([(lead, "Bari") for lead in leads(4)]))
    with pytest.raises(InputRefused, match=r"not there any more|changed since"):
        retry_rows(workspace.load(), workspace.results(first), first, NOT_THROUGH)
    assert not (workspace.results(first) / "retry.csv").exists()


def test_a_mend_of_a_mend_settles_the_first_row(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    table = sale_rows(3)
    table["Payout"][1] = "free"
    write_csv(workspace.folder / "in.csv", table)
    first = workspace.run()
    one = workspace.results(first) / "to_fix.csv"
    one.write_text(one.read_text().replace("free", "still free"))

    mend = load_job(workspace.folder / "job.toml", workspace=workspace.folder, source=[str(one)])
    second = workspace.run(job=mend)
    two = workspace.results(second) / "to_fix.csv"
    [row] = csv(two).rows(named=True)
    assert (row["batchpost_run"], row["batchpost_source"], row["batchpost_row"]) == (first["run_id"], "in.csv", "2")

    two.write_text(two.read_text().replace("still free", "12.50"))
    last = load_job(workspace.folder / "job.toml", workspace=workspace.folder, source=[str(two)])
    assert workspace.run(job=last)["rows"]["delivered"] == 1

    whole = workspace.run()
    assert counted(workspace.outcomes(whole)) == {("already_delivered", "same_row"): 3}
    assert (whole["exit_code"], len(server.effects)) == (0, 3)
