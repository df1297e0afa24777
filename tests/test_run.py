"""Whole runs against a sandbox on this machine: its own record of what it was sent is the proof."""

from __future__ import annotations

import polars as pl
import pytest

from batchpost.errors import BatchpostError
from batchpost.sandbox import Sandbox, parse_faults
from tests.workspaces import (
    DEDUPED,
    FAST,
    SALE,
    Onlooker,
    Workspace,
    balanced,
    counted,
    csv,
    fired,
    leads,
    sale_rows,
    update_rows,
    write_csv,
)


def test_ten_thousand_rows_are_delivered_once_each_and_the_books_agree_with_the_platform(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.sales(source='path = "in.parquet"', delivery="rate = 100000\nconcurrency = 32")
    pl.DataFrame(sale_rows(10_000)).write_parquet(workspace.folder / "in.parquet")

    summary = workspace.run()
    outcomes = workspace.outcomes(summary)

    assert summary["exit_code"] == 0
    assert summary == workspace.kept(summary)
    balanced(summary, outcomes)
    assert counted(outcomes) == {("delivered", "conversion"): 10_000}
    assert outcomes["transaction_id"].to_list() == leads(10_000)
    assert outcomes["row"].to_list() == list(range(1, 10_001))
    at_platform = {entry.transaction_id: (entry.conversion_id, entry.status) for entry in server.received}
    ours = outcomes.select("transaction_id", "conversion_id", "http_status").iter_rows()
    assert {lead: (conversion, status) for lead, conversion, status in ours} == at_platform
    assert len(server.received) == summary["requests"]["sent"] == 10_000
    fired_money = sum(round(float(entry.body["revenue"]) * 100) for entry in server.received)
    assert summary["money"]["revenue"]["delivered"] == f"{fired_money / 100:.2f}"


def test_the_same_file_again_sends_nothing(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(300))
    first = workspace.run()
    again = workspace.run()
    assert again["run_id"] > first["run_id"]
    assert (again["exit_code"], again["continued"]) == (0, False)
    assert counted(workspace.outcomes(again)) == {("already_delivered", "same_row"): 300}
    assert again["money"]["revenue"]["already_delivered"] == first["money"]["revenue"]["delivered"]
    assert len(server.received) == 300


@pytest.mark.parametrize(("route", "reason"), [("event", "ledger"), ("update", "unchanged")])
def test_old_rows_in_a_sorted_and_longer_file_are_known_again(
    workspace: Workspace, server: Sandbox, route: str, reason: str
) -> None:
    rows = sale_rows(300) if route == "event" else update_rows([(lead, "Rome") for lead in leads(300)])
    workspace.sales() if route == "event" else workspace.updates()
    write_csv(workspace.folder / "in.csv", {name: cells[:200] for name, cells in rows.items()})
    workspace.run()
    write_csv(workspace.folder / "in.csv", {name: cells[::-1] for name, cells in rows.items()})
    outcomes = workspace.outcomes(workspace.run())
    assert counted(outcomes, "outcome", "reason")["already_delivered", reason] == 200
    assert counted(outcomes, "outcome")["delivered"] == 100
    assert sorted(fired(server.received)) == leads(300)


def test_a_failed_row_is_sent_again_on_the_next_run_and_a_delivered_one_is_not(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.updates(delivery=f"{FAST}\nmax_attempts = 1\nmax_failures = 100")
    write_csv(workspace.folder / "in.csv", update_rows([(lead, "Rome") for lead in leads(100)]))
    server.configure(faults=parse_faults("error=0.1"))
    first = workspace.run()
    failed = workspace.outcomes(first).filter(pl.col("outcome") == "failed")["transaction_id"].to_list()
    assert 0 < len(failed) == 100 - first["rows"]["delivered"]
    assert (first["exit_code"], first["next"]) == (1, f"batchpost retry {first['run_id']}")

    server.configure(faults=parse_faults(""))
    before = len(server.received)
    second = workspace.run()
    assert second["rows"]["delivered"] == len(failed)
    assert sorted(entry.transaction_id for entry in server.received[before:]) == failed


def test_an_event_with_other_money_is_a_conflict_and_listed_for_the_account_manager(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.sales()
    path = write_csv(workspace.folder / "in.csv", {"Lead": ["a", "b"], "Payout": ["80.50", "10"], "Email": ["", ""]})
    first = workspace.outcomes(workspace.run())
    write_csv(path, {"Lead": ["a", "b", "c"], "Payout": ["100", "10.00", "5"], "Email": ["", "b@mail.example.com", ""]})

    summary = workspace.run()
    outcomes = workspace.outcomes(summary)

    assert outcomes.select("outcome", "reason").rows() == [
        ("invalid", "conflict"),
        ("already_delivered", "differs"),
        ("delivered", "conversion"),
    ]
    assert (summary["exit_code"], summary["corrections"]) == (1, 1)
    day = first["settled_at"][0][:10]
    assert csv(workspace.results(summary) / "corrections.csv").rows(named=True) == [
        {
            "transaction_id": "a",
            "event_id": DEDUPED,
            "conversion_id": first["conversion_id"][0],
            "delivered": "80.50",
            "delivered_on": day,
            "now": "100",
            "difference": "19.50",
            "what": "money",
            "conversion_date_now": "",
        }
    ]
    assert sorted(fired(server.received)) == ["a", "b", "c"]


def test_an_event_delivered_through_one_route_is_not_sent_through_the_other(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(50))
    workspace.run()
    workspace.job("campaign-event", 'name = "other"', fields=SALE, api='campaign_id = "cmp_sandbox"')
    summary = workspace.run()
    assert counted(workspace.outcomes(summary)) == {("already_delivered", "differs"): 50}
    assert len(server.received) == 50


@pytest.mark.parametrize("faults", ["", "drop=0.02,error=0.02,reset=0.02,half=0.02"])
def test_different_updates_of_one_lead_arrive_in_file_order(workspace: Workspace, server: Sandbox, faults: str) -> None:
    server.configure(latency=(0.0, 0.02), faults=parse_faults(faults))
    cities = ["Rome", "Oslo", "Rome", "Rome"]
    names = leads(40)
    workspace.updates(delivery="rate = 100000\nconcurrency = 40\nmax_attempts = 50\nmax_failures = 1000")
    write_csv(workspace.folder / "in.csv", update_rows([(lead, city) for city in cities for lead in names]))
    # The circuit and the retry budget are for runs of a real size: what matters here is order.
    for _ in range(20):
        summary = workspace.run()
        if summary["rows"]["failed"] + summary["rows"]["not_attempted"] == 0:
            break
    assert summary["exit_code"] == 0
    assert summary["rows"]["skipped"] == summary["reasons"]["duplicate_in_input"] == 40
    for entries in server.histories().values():
        done = [entry.body["city"] for entry in entries]
        changes = [city for place, city in enumerate(done) if place == 0 or done[place - 1] != city]
        assert changes == ["Rome", "Oslo", "Rome"]
    assert sorted(server.histories()) == names


def test_events_of_one_operation_that_differ_are_all_held_back(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    rows = {"Lead": ["a", "a", "b", "b"], "Payout": ["1", "2", "3", "3"], "Email": [""] * 4}
    write_csv(workspace.folder / "in.csv", rows)
    summary = workspace.run()
    assert workspace.outcomes(summary)["reason"].to_list() == [
        *("contradiction", "contradiction", "conversion", "duplicate_in_input")
    ]
    assert fired(server.received) == ["b"]


def test_a_key_of_the_job_makes_several_events_of_one_lead(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(dedupe=False, rows='key = ["Order"]')
    rows = {"Lead": ["a", "a", "a"], "Payout": ["5", "5", "5"], "Email": [""] * 3, "Order": ["1", "2", "1"]}
    write_csv(workspace.folder / "in.csv", rows)
    assert workspace.outcomes(workspace.run())["reason"].to_list() == ["conversion", "conversion", "duplicate_in_input"]
    write_csv(workspace.folder / "in.csv", {name: [*cells[1:], cells[0]] for name, cells in rows.items()})
    assert workspace.run()["rows"]["delivered"] == 0
    assert len(server.received) == 2


def test_an_input_without_rows_is_a_run_that_sends_nothing(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(source='empty = "ok"')
    (workspace.folder / "in.csv").write_text("Lead,Payout,Email\n")
    summary = workspace.run()
    assert (summary["exit_code"], summary["rows"]["read"], server.received) == (0, 0, [])
    assert workspace.outcomes(summary).height == 0


def test_rows_of_which_none_is_to_be_sent_are_accounted_for(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(rows="where = \"revenue > 1000000 AND Email <> ''\"")
    write_csv(workspace.folder / "in.csv", sale_rows(30))
    summary = workspace.run()
    assert (summary["exit_code"], summary["reasons"], server.received) == (0, {"filtered": 30}, [])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_outcomes_hold_the_inputs_own_columns_where_asked(workspace: Workspace, kind: str) -> None:
    workspace.sales(results=f'include = "all"\nformat = "{kind}"')
    rows = sale_rows(20)
    write_csv(workspace.folder / "in.csv", rows)
    summary = workspace.run()
    assert (workspace.results(summary) / f"outcomes.{kind}").exists()
    outcomes = workspace.outcomes(summary)
    assert outcomes.select("Lead", "Payout", "Email").to_dict(as_series=False) == rows
    assert outcomes["transaction_id"].to_list() == rows["Lead"]


def test_columns_are_those_of_the_first_file_that_has_some(workspace: Workspace) -> None:
    workspace.sales(source='path = "in"\nempty = "ok"')
    write_csv(workspace.folder / "in" / "b.csv", {**sale_rows(2), "Payout": ["1.00", "x"]})
    (workspace.folder / "in" / "a.csv").write_text("")
    summary = workspace.run()
    assert csv(workspace.results(summary) / "to_fix.csv")["Payout"].to_list() == ["x"]


def test_a_watcher_may_end_the_run_before_anything_is_sent(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(3))

    def refuse(_: object) -> None:
        raise BatchpostError("not today")

    with pytest.raises(BatchpostError, match="not today"):
        workspace.run(Onlooker(on_plan=refuse))
    with workspace.ledger() as ledger:
        assert ledger.runs() == []
    assert server.received == []
    assert [file for file in workspace.places.run("x").parent.rglob("*") if file.is_file()] == []
