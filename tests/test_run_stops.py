"""Runs that end early, and how the next one goes on: tokens, sources, limits, failures."""

from __future__ import annotations

import shutil
import time

import pytest

from batchpost.errors import BatchpostError, CutShort, UsageError
from batchpost.sandbox import Sandbox
from tests.ledgers import alter
from tests.workspaces import (
    FAST,
    Onlooker,
    Workspace,
    balanced,
    counted,
    fired,
    leads,
    once,
    sale_rows,
    update_rows,
    write_csv,
)


def test_a_token_that_expires_stops_the_run_and_a_new_one_lets_it_go_on(workspace: Workspace, server: Sandbox) -> None:
    (workspace.folder / "token").write_text("sandbox-token\n")
    workspace.updates(api='token = "file:token"')
    write_csv(workspace.folder / "in.csv", update_rows([(lead, "Rome") for lead in leads(600)]))
    server.configure(latency=0.002)
    with once(lambda: len(server.received) >= 300, lambda: server.configure(token="another")) as expired:
        first = workspace.run()
    assert expired.is_set()
    assert (first["exit_code"], first["state"], first["stopped_by"]) == (4, "stopped", "unauthorized")
    balanced(first, workspace.outcomes(first))
    assert first["reasons"]["unauthorized"] == first["rows"]["not_attempted"] > 0
    refused = [entry for entry in server.received if entry.status == 401]
    assert 0 < len(refused) <= 8
    assert first["rows"]["delivered"] == len(server.received) - len(refused)

    (workspace.folder / "token").write_text("another\n")
    second = workspace.run()
    assert (second["run_id"], second["continued"], second["exit_code"]) == (first["run_id"], True, 0)
    assert counted(workspace.outcomes(second), "outcome") == {"delivered": 600}
    assert sorted(fired(server.received)) == leads(600)
    assert second["started_at"] == first["started_at"] <= second["finished_at"]


def test_a_token_renewed_in_its_file_while_running_does_not_even_stop_it(workspace: Workspace, server: Sandbox) -> None:
    (workspace.folder / "token").write_text("sandbox-token")
    workspace.updates(api='token = "file:token"')
    write_csv(workspace.folder / "in.csv", update_rows([(lead, "Rome") for lead in leads(200)]))
    server.configure(latency=0.002)

    def renew() -> None:
        (workspace.folder / "token").write_text("another")
        server.configure(token="another")

    with once(lambda: len(server.received) >= 50, renew):
        summary = workspace.run()
    assert (summary["exit_code"], summary["rows"]["delivered"]) == (0, 200)
    assert sorted(fired(server.received)) == leads(200)


def test_rows_of_an_inactive_source_are_held_and_sent_when_it_is_active_again(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.sales(fields='pid = { column = "Source" }')
    rows = {**sale_rows(400), "Source": ["good", "bad", "good", "fair"] * 100}
    write_csv(workspace.folder / "in.csv", rows)
    server.configure(inactive_pids=["bad"])

    first = workspace.run()
    outcomes = workspace.outcomes(first)

    balanced(first, outcomes)
    assert (first["exit_code"], first["stopped_by"]) == (4, "source_inactive")
    assert counted(outcomes, "outcome", "pid")["delivered", "good"] == 200
    assert counted(outcomes, "outcome", "pid")["delivered", "fair"] == 100
    held = counted(outcomes, "outcome", "reason")
    assert held["rejected", "source_inactive"] + held["not_attempted", "source_inactive"] == 100
    assert held["rejected", "source_inactive"] <= 8

    server.configure(inactive_pids=[])
    second = workspace.run()
    assert (second["run_id"], second["exit_code"]) == (first["run_id"], 0)
    assert counted(workspace.outcomes(second), "outcome") == {"delivered": 400}
    assert sorted(fired(server.received)) == leads(400)


def test_a_limit_leaves_the_rest_for_the_next_run(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(180))
    first = workspace.run(limit=100)
    assert (first["exit_code"], first["stopped_by"]) == (6, "limit")
    assert first["reasons"] == {"conversion": 100, "limit": 80}
    assert sorted(fired(server.received)) == leads(100)
    second = workspace.run(limit=100)
    assert (second["run_id"], second["exit_code"]) == (first["run_id"], 0)
    assert sorted(fired(server.received)) == leads(180)
    assert second["requests"] == {"sent": 180, "retried": 0}


def test_an_inactive_source_is_more_urgent_than_a_limit(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(fields='pid = { column = "Source" }')
    write_csv(workspace.folder / "in.csv", {**sale_rows(60), "Source": ["bad"] + ["good"] * 59})
    server.configure(inactive_pids=["bad"])
    assert workspace.run(limit=20)["exit_code"] == 4


def test_until_an_instant_nothing_starts_after_it(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(50))
    summary = workspace.run(until=time.monotonic())
    assert (summary["exit_code"], summary["stopped_by"], server.received) == (6, "until", [])
    assert summary["reasons"] == {"until": 50}


def test_too_many_failures_stop_the_run(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(delivery=f"{FAST}\nmax_failures = 10", fields='pid = { column = "Source" }')
    rows = {**sale_rows(500), "Email": [""] * 500, "Source": ["x"] * 500}
    write_csv(workspace.folder / "in.csv", rows)
    workspace.environ["ORG"] = "org_of_others"  # which has none of these leads
    summary = workspace.run()
    assert (summary["exit_code"], summary["stopped_by"]) == (4, "max_failures")
    assert 10 < summary["rows"]["rejected"] <= 10 + 8
    assert summary["reasons"]["lead_not_found"] == summary["rows"]["rejected"]
    assert summary["rows"]["not_attempted"] == 500 - summary["rows"]["rejected"]


def test_results_that_cannot_be_written_stop_the_run_and_the_next_one_goes_on(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(900))
    server.configure(latency=0.02)
    results = workspace.folder / "results"
    with pytest.raises(CutShort, match=r"results/job/.*No such file.*were sent.*the next run goes on"):
        workspace.run(Onlooker(on_progress=lambda _: shutil.rmtree(results, ignore_errors=True)))
    sent = len(server.received)
    assert 0 < sent < 900
    server.configure(latency=0.0)
    summary = workspace.run()
    assert (summary["continued"], summary["exit_code"]) == (True, 0)
    assert counted(workspace.outcomes(summary)) == {("delivered", "conversion"): 900}
    assert sorted(fired(server.received)) == leads(900)


def test_a_ledger_that_takes_nothing_after_rows_were_sent_is_no_usage_error(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(20))

    def spoil(tally: object) -> None:
        alter(workspace.places.ledger, "ALTER TABLE contents RENAME TO gone")

    with pytest.raises(CutShort, match=r"ledger cannot be written.*Rows of the run .* were sent") as caught:
        workspace.run(Onlooker(on_progress=spoil))
    assert caught.value.exit_code == 4
    assert sorted(fired(server.received)) == leads(20)
    alter(workspace.places.ledger, "ALTER TABLE gone RENAME TO contents")
    summary = workspace.run()
    assert (summary["continued"], summary["exit_code"], len(server.received)) == (True, 0, 20)


def test_a_journal_that_cannot_be_begun_leaves_a_run_to_go_on_with(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(2))
    workspace.run(limit=1)
    [run] = workspace.places.run("x").parent.iterdir()
    in_the_way = run / "sitting-0003.log"
    with pytest.raises(CutShort, match=r"sitting-0003\.log: File exists.*were sent"):
        workspace.run(Onlooker(on_plan=lambda _: in_the_way.touch()))
    in_the_way.unlink()
    assert workspace.run()["rows"]["delivered"] == 2
    assert fired(server.received) == leads(2)


# -- the next run ------------------------------------------------------------------------------------------------------


def test_a_retry_does_not_give_up_an_unfinished_run(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    path = write_csv(workspace.folder / "in.csv", sale_rows(10))
    first = workspace.run(limit=4)
    write_csv(path, sale_rows(3, "other"))
    with pytest.raises(
        UsageError, match=rf"{first['run_id']} of this job is not finished.*`{first['next']}`.*--new-run"
    ):
        workspace.run(retry=True)
    assert len(server.received) == 4
    write_csv(path, sale_rows(10))
    assert workspace.run(retry=True, limit=4)["run_id"] == first["run_id"]
    write_csv(path, sale_rows(3, "other"))
    given_up = workspace.run(retry=True, new_run=True)
    assert (given_up["abandoned"], given_up["rows"]["delivered"]) == ([first["run_id"]], 3)


def test_whatever_became_of_the_run_before_a_window_lies_between_it_and_the_next_one(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(6))
    workspace.run(limit=2)
    workspace.run(limit=2, new_run=True, pause=0.3)
    workspace.run(pause=0.3)
    write_csv(workspace.folder / "in.csv", sale_rows(7))
    workspace.run(pause=0.3)
    starts = [entry.at for entry in server.received]
    assert len(starts) == 7
    assert [starts[first] - starts[first - 1] >= 0.3 for first in (2, 4, 6)] == [True] * 3


def test_a_clock_that_was_set_back_costs_no_more_than_the_pause(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(1))
    workspace.run()
    alter(workspace.places.ledger, "UPDATE runs SET finished_at = finished_at + 3600")
    write_csv(workspace.folder / "in.csv", sale_rows(2))
    assert 0.28 <= workspace.run(pause=0.3)["duration_s"] < 60
    assert len(server.received) == 2


@pytest.mark.parametrize("campaign", ["..", "."])
def test_a_campaign_that_would_be_another_path_stops_the_run_before_anything_is_sent(
    workspace: Workspace, server: Sandbox, campaign: str
) -> None:
    rows = {**update_rows([("a", "Rome"), ("b", "Oslo")]), "Campaign": ["cmp_a", campaign]}
    write_csv(workspace.folder / "in.csv", rows)
    workspace.updates(api='campaign_id = { column = "Campaign" }')
    with pytest.raises(UsageError, match="cannot be sent"):
        workspace.run()
    assert server.received == []
    with workspace.ledger() as ledger:
        assert ledger.runs() == []


def test_a_proxy_by_reference_is_the_one_that_is_used(workspace: Workspace, server: Sandbox) -> None:
    workspace.environ["PROXY"] = "ftp://user:canary@127.0.0.1:9"
    workspace.sales(api='proxy = "env:PROXY"')
    write_csv(workspace.folder / "in.csv", sale_rows(1))
    with pytest.raises(BatchpostError, match=r"proxy: env:PROXY must hold an address like http") as caught:
        workspace.run()
    assert (caught.value.exit_code, server.received) == (2, [])
    assert "canary" not in str(caught.value)
