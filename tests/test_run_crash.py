"""Runs that are killed in the middle, and runs over a bad network: nothing lost, nothing fired twice."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack

import polars as pl
import pytest

from batchpost.jobrun import Options
from batchpost.journal import sitting_files
from batchpost.locks import Locks, operation_locks
from batchpost.sandbox import Sandbox, parse_faults
from tests.workspaces import (
    FAST,
    Workspace,
    balanced,
    counted,
    elsewhere,
    fired,
    leads,
    sale_rows,
    update_rows,
    write_csv,
)

CONCURRENCY = 8


def run_and_kill(workspace: Workspace, server: Sandbox, after: int) -> None:
    """A run in a process of its own, killed (SIGKILL) once the sandbox has received that many requests."""
    with elsewhere(workspace) as process:
        deadline = time.monotonic() + 60
        while len(server.received) < after and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert process.is_alive()
        process.kill()
    time.sleep(0.1)  # what the platform has in hand is done by then, whether or not anybody waits for it
    assert len(server.received) >= after


def last_run(workspace: Workspace) -> str:
    with workspace.ledger() as ledger:
        return ledger.runs()[-1].run_id


def effects(server: Sandbox) -> Counter[str]:
    return Counter(entry.transaction_id for entry in server.effects)


@pytest.mark.parametrize("dedupe", [True, False], ids=["dedupe", "no dedupe"])
def test_a_killed_run_of_events_goes_on_with_what_was_not_settled_and_fires_nothing_twice(
    workspace: Workspace, server: Sandbox, dedupe: bool
) -> None:
    server.configure(latency=(0.01, 0.03))
    workspace.sales(dedupe=dedupe)
    write_csv(workspace.folder / "in.csv", sale_rows(250))
    run_and_kill(workspace, server, after=100)
    killed = last_run(workspace)

    server.configure(latency=0.0)
    summary = workspace.run()
    outcomes = workspace.outcomes(summary)

    assert (summary["run_id"], summary["continued"]) == (killed, True)
    balanced(summary, outcomes)
    assert max(effects(server).values()) == 1
    settled = counted(outcomes)
    doubtful = ("already_delivered", "confirmed_duplicate") if dedupe else ("unknown", "in_doubt")
    assert 0 < settled[doubtful] <= CONCURRENCY
    assert settled["delivered", "conversion"] + settled[doubtful] == 250
    got_through = outcomes.filter(pl.col("outcome") != "unknown")["transaction_id"].to_list()
    assert set(got_through) <= set(effects(server))
    assert summary["exit_code"] == (0 if dedupe else 3)
    assert summary["requests"]["sent"] == len(server.received)

    before = len(server.received)
    assert workspace.run()["rows"]["unknown"] == (0 if dedupe else settled[doubtful])
    assert len(server.received) == before


def test_a_killed_run_of_updates_goes_on_and_every_lead_ends_as_the_file_says(
    workspace: Workspace, server: Sandbox
) -> None:
    server.configure(latency=(0.01, 0.03))
    workspace.updates()
    rows = [(lead, city) for city in ("Rome", "Oslo") for lead in leads(150)]
    write_csv(workspace.folder / "in.csv", update_rows(rows))
    run_and_kill(workspace, server, after=100)
    killed = last_run(workspace)
    server.configure(latency=0.0)
    summary = workspace.run()
    assert (summary["run_id"], summary["continued"], summary["exit_code"]) == (killed, True, 0)
    assert counted(workspace.outcomes(summary), "outcome") == {"delivered": 300}
    for entries in server.histories().values():
        done = [entry.body["city"] for entry in entries]
        assert done in (["Rome", "Oslo"], ["Rome", "Rome", "Oslo"])
    assert len(server.received) <= 300 + CONCURRENCY
    assert sorted(server.histories()) == leads(150)


def test_updates_that_redistribute_are_not_repeated_after_a_kill(workspace: Workspace, server: Sandbox) -> None:
    server.configure(latency=(0.01, 0.03))
    workspace.updates(api="redistributes = true")
    write_csv(workspace.folder / "in.csv", update_rows([(lead, "Rome") for lead in leads(200)]))
    run_and_kill(workspace, server, after=60)
    server.configure(latency=0.0)
    summary = workspace.run()
    assert max(effects(server).values()) == 1
    assert 0 < summary["rows"]["unknown"] <= CONCURRENCY
    assert summary["rows"]["delivered"] == 200 - summary["rows"]["unknown"]


def test_a_killed_run_that_is_not_continued_still_gets_its_books_and_its_doubts_hold(
    workspace: Workspace, server: Sandbox
) -> None:
    server.configure(latency=(0.01, 0.03))
    workspace.sales(dedupe=False)
    rows = sale_rows(200)
    path = write_csv(workspace.folder / "in.csv", rows)
    run_and_kill(workspace, server, after=60)
    killed = last_run(workspace)
    server.configure(latency=0.0)
    write_csv(path, {name: cells[::-1] for name, cells in rows.items()})

    summary = workspace.run()

    assert summary["abandoned"] == [killed]
    old = {"job": "job", "run_id": killed}
    books = workspace.kept(old)
    assert (books["state"], books["rows"]["read"]) == ("crashed", 200)
    assert {name: count for name, count in books["rows"].items() if count and name != "read"} == counted(
        workspace.outcomes(old), "outcome"
    )
    assert 0 < summary["rows"]["unknown"] <= CONCURRENCY
    assert summary["outstanding"] == {killed: summary["rows"]["unknown"]}
    assert max(effects(server).values()) == 1
    assert not workspace.places.run(killed).exists()


def test_what_a_dead_run_left_damaged_does_not_hold_up_the_next_one(workspace: Workspace, server: Sandbox) -> None:
    server.configure(latency=(0.01, 0.03))
    workspace.sales()
    path = write_csv(workspace.folder / "in.csv", sale_rows(200))
    run_and_kill(workspace, server, after=60)
    killed = last_run(workspace)
    spool = workspace.places.run(killed) / "plan.arrow"
    spool.write_bytes(spool.read_bytes()[:700])
    server.configure(latency=0.0)
    write_csv(path, sale_rows(201))
    assert workspace.run()["abandoned"] == [killed]
    assert sorted(effects(server)) == leads(201)
    assert max(effects(server).values()) == 1


def test_a_run_that_dies_while_another_one_waits_for_its_leads_is_folded_before_that_one_looks(
    workspace: Workspace, server: Sandbox
) -> None:
    """The waiting run has looked for dead ones before; it must do so again once it has the campaign."""
    server.configure(latency=(0.01, 0.03))
    workspace.updates(api="redistributes = true")
    write_csv(workspace.folder / "in.csv", update_rows([(lead, "Rome") for lead in leads(100)]))
    run_and_kill(workspace, server, after=30)
    dead = last_run(workspace)
    server.configure(latency=0.0)
    workspace.updates(top='name = "other"', api="redistributes = true")
    job, locks_of = workspace.load(), workspace.places.locks
    with ExitStack() as ends:
        with Locks(locks_of) as alive:  # as the dead one held them while it lived
            alive.take(operation_locks(job.api.origin, ["cmp_a"], is_event=False)[0], "the campaign")
            alive.take(f"run {dead}", "the run")
            spool = workspace.places.run("next-other") / "plan.arrow"
            waiting = ends.enter_context(elsewhere(workspace, wait=60))
            while not spool.exists() and waiting.is_alive():
                time.sleep(0.005)
            assert waiting.is_alive()
        waiting.join(60)
        assert waiting.exitcode == 3  # what the dead run had in flight
    assert max(effects(server).values()) == 1
    assert 100 - CONCURRENCY <= len(effects(server)) <= 100


@pytest.mark.parametrize("dedupe", [True, False], ids=["dedupe", "no dedupe"])
def test_over_a_bad_network_delivered_means_once_and_unknown_at_most_once(
    workspace: Workspace, server: Sandbox, dedupe: bool
) -> None:
    workspace.sales(dedupe=dedupe, delivery=f"{FAST}\nmax_failures = 1000\nmax_attempts = 4")
    write_csv(workspace.folder / "in.csv", sale_rows(300))
    server.configure(faults=parse_faults("drop=0.03,reset=0.03,half=0.03,error=0.03,lock=0.02"))
    summary = workspace.run()
    outcomes = workspace.outcomes(summary)
    balanced(summary, outcomes)
    done = effects(server)
    assert max(done.values()) == 1
    known = outcomes.filter((pl.col("outcome") == "delivered") | (pl.col("reason") == "confirmed_duplicate"))[
        "transaction_id"
    ].to_list()
    unknown = outcomes.filter(pl.col("outcome") == "unknown")["transaction_id"].to_list()
    assert set(known) <= set(done) <= {*known, *unknown}
    assert {entry.fault for entry in server.received} > {"drop", "reset", "half", "error", "lock"}
    assert summary["reasons"]["confirmed_duplicate" if dedupe else "locked_elsewhere"] > 0
    assert summary["requests"]["sent"] == len(server.received)
    assert summary["requests"]["retried"] == len(server.received) - 300


def test_sigterm_ends_a_run_in_order_and_the_next_one_goes_on(workspace: Workspace, server: Sandbox) -> None:
    server.configure(latency=0.01)
    workspace.sales(dedupe=False)
    write_csv(workspace.folder / "in.csv", sale_rows(200))
    with elsewhere(workspace) as process:
        while len(server.received) < 50 and process.is_alive():
            time.sleep(0.001)
        process.terminate()
        process.join(30)
        assert process.exitcode == 143
    stopped = workspace.kept({"job": "job", "run_id": last_run(workspace)})
    assert (stopped["state"], stopped["stopped_by"], stopped["rows"]["unknown"]) == ("interrupted", "interrupted", 0)
    assert stopped["rows"]["delivered"] == len(server.received) < 200
    summary = workspace.run()
    assert (summary["run_id"], summary["exit_code"]) == (stopped["run_id"], 0)
    assert sorted(fired(server.received)) == leads(200)


def test_a_killed_run_keeps_the_pace_of_its_last_second(workspace: Workspace, server: Sandbox) -> None:
    """The dead process cannot say how many requests it started: the next one waits until they are all a second old."""
    workspace.updates(delivery="rate = 50\nconcurrency = 8")
    write_csv(workspace.folder / "in.csv", update_rows([(lead, "Rome") for lead in leads(80)]))
    run_and_kill(workspace, server, after=10)
    sent = len(server.received)
    workspace.run(limit=3, pause=Options().pause)
    assert len(server.received) == sent + 3
    assert server.received[sent].at - server.received[sent - 1].at >= 1
    assert len(sitting_files(workspace.places.run(last_run(workspace)))) == 2
