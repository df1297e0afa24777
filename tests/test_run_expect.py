"""What a job expects, in whole runs against the sandbox: refused before anything is sent, tolerated, stopped."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from batchpost.errors import InputRefused
from batchpost.sandbox import Sandbox
from tests.workspaces import Onlooker, Workspace, fired, leads, sale_rows, sandbox, update_rows, write_csv


def test_an_input_of_too_few_rows_is_refused_and_nothing_is_sent(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(expect='rows = "10..20"')
    write_csv(workspace.folder / "in.csv", sale_rows(9))
    with pytest.raises(InputRefused) as refused:
        workspace.run()
    assert (refused.value.exit_code, refused.value.path) == (5, "in.csv")
    assert "9 rows are meant to go out, and [expect] rows is 10..20" in str(refused.value)
    assert "job.toml" in refused.value.hint
    assert server.received == []
    with workspace.ledger() as ledger:
        assert ledger.runs() == []


def test_an_input_of_too_much_money_is_refused_to_the_cent(workspace: Workspace, server: Sandbox) -> None:
    rows = {"Lead": leads(2), "Payout": ["10.00", "10.01"], "Email": ["", ""]}
    write_csv(workspace.folder / "in.csv", rows)
    workspace.sales(expect='revenue = "..20"')
    with pytest.raises(InputRefused, match=r"revenue is 20\.01 in all"):
        workspace.run()
    workspace.sales(expect='revenue = "20.01..20.01"')
    assert workspace.run()["exit_code"] == 0
    assert len(server.received) == 2


def test_rows_that_are_skipped_are_not_counted(workspace: Workspace) -> None:
    rows = {"Lead": leads(4), "Payout": ["10", "20", "30", "40"], "Email": [""] * 4}
    write_csv(workspace.folder / "in.csv", rows)
    workspace.sales(rows='where = "revenue > 20"', expect='rows = 2\nrevenue = "70..70"')
    assert workspace.run()["exit_code"] == 0


def test_the_same_input_again_is_as_expected_as_before(workspace: Workspace) -> None:
    write_csv(workspace.folder / "in.csv", sale_rows(5))
    workspace.sales(expect="rows = 5")
    assert workspace.run()["exit_code"] == 0
    again = workspace.run()
    assert (again["exit_code"], again["rows"]["already_delivered"]) == (0, 5)


def test_more_invalid_rows_than_are_tolerated_are_refused_before_anything_is_sent(
    workspace: Workspace, server: Sandbox
) -> None:
    rows = {"Lead": leads(4), "Payout": ["10", "x", "y", "40"], "Email": [""] * 4}
    write_csv(workspace.folder / "in.csv", rows)
    workspace.sales(expect="reasons = { not_a_number = 1 }")
    with pytest.raises(InputRefused, match=r"2 of 4 rows are not_a_number, and .* tolerates 1"):
        workspace.run()
    workspace.sales(expect='reasons = { not_a_number = "50%" }')
    summary = workspace.run()
    assert (summary["exit_code"], summary["tolerated"], summary["next"]) == (0, 2, "")
    assert len(server.received) == 2


def test_a_mend_has_as_many_rows_as_it_has(workspace: Workspace) -> None:
    rows = {"Lead": leads(4), "Payout": ["10", "x", "30", "40"], "Email": [""] * 4}
    write_csv(workspace.folder / "in.csv", rows)
    workspace.sales(expect="rows = 4")
    first = workspace.run()
    assert (first["exit_code"], first["mends"]) == (1, False)
    to_fix = workspace.results(first) / "to_fix.csv"
    to_fix.write_text(to_fix.read_text().replace(",x,", ",20,"))
    workspace.sales(expect="rows = 4", source=f'path = "{to_fix}"')
    second = workspace.run()
    assert (second["exit_code"], second["rows"]["delivered"], second["mends"]) == (0, 1, True)


def test_unknown_leads_are_tolerated_up_to_their_share(tmp_path: Path) -> None:
    known = write_csv(tmp_path / "leads.csv", {"transaction_id": leads(98)})
    with sandbox(accept_any=False, leads=known) as (server, _):
        workspace = Workspace(tmp_path, server.base_url)
        write_csv(workspace.folder / "in.csv", sale_rows(100))
        for share, code, tolerated in (("2%", 0, 2), ("1%", 1, 0)):
            workspace.sales(delivery="rate = 100000", expect=f'reasons = {{ lead_not_found = "{share}" }}')
            summary = workspace.run()
            assert (summary["exit_code"], summary["tolerated"]) == (code, tolerated)
            assert summary["rows"]["rejected"] == 2
        assert summary["expected"] == ["2 of 100 rows are lead_not_found, and [expect] reasons tolerates 1% (1)"]


def test_tolerated_rows_do_not_stop_a_run_by_max_failures(tmp_path: Path) -> None:
    with sandbox(accept_any=False) as (server, _):
        workspace = Workspace(tmp_path, server.base_url)
        write_csv(workspace.folder / "in.csv", sale_rows(40))
        limited = "rate = 100000\nconcurrency = 2\nmax_failures = 5"
        workspace.sales(delivery=limited, expect="reasons = { lead_not_found = 40 }")
        assert workspace.run()["exit_code"] == 0
        workspace.sales(delivery=limited, expect="reasons = { lead_not_found = 10 }")
        summary = workspace.run(new_run=True)
        assert (summary["exit_code"], summary["stopped_by"]) == (4, "max_failures")
        assert 16 <= summary["rows"]["rejected"] <= 18


def test_a_run_stops_when_more_leads_than_allowed_are_offered_to_buyers_again(
    workspace: Workspace, server: Sandbox
) -> None:
    write_csv(workspace.folder / "in.csv", update_rows([(lead, "Ulm") for lead in leads(60)]))
    workspace.updates(delivery="rate = 100000\nconcurrency = 2\nstop_when = { accepted = 10 }")
    summary = workspace.run()
    assert (summary["exit_code"], summary["stopped_by"]) == (4, "stop_when")
    assert "rows ended as accepted, more than [delivery] stop_when allows" in summary["message"]
    assert 11 <= len(server.received) <= 13
    assert summary["reasons"]["stop_when"] == 60 - len(server.received)


@pytest.mark.parametrize(
    ("expect", "code", "reason"), [("", 0, "tracking"), ("conversion = true", 1, "not_a_conversion")]
)
def test_events_without_money_count_as_tracking_unless_they_are_expected_to_convert(
    workspace: Workspace, expect: str, code: int, reason: str
) -> None:
    write_csv(workspace.folder / "in.csv", {"Lead": leads(2)})
    workspace.job(fields='event_id = { value = "application_submitted" }', expect=expect)
    summary = workspace.run()
    assert (summary["exit_code"], summary["reasons"]) == (code, {reason: 2})


def test_the_totals_row_of_the_buyer_stands_beside_what_was_read(workspace: Workspace) -> None:
    rows = {"Lead": [*leads(2), "Total"], "Payout": ["4,000.00", "10.50", "$4,010.50"], "Email": [""] * 3}
    write_csv(workspace.folder / "in.csv", rows)
    workspace.sales(fields='revenue = { column = "Payout", max = 4500 }', delivery="rate = 100000")
    [source] = workspace.run()["source"]
    assert source["money"] == {"revenue": "4010.50"}
    assert source["totals"] == [{"line": 4, "row": 3, "money": {"revenue": "4010.50"}}]


def test_a_totals_row_has_nothing_to_say_of_a_job_without_money(workspace: Workspace) -> None:
    write_csv(workspace.folder / "in.csv", {"Lead": [*leads(2), "Total"], "Payout": ["1.00", "2.00", "3.00"]})
    workspace.job(fields='event_id = { value = "call_connected" }')
    summary = workspace.run()
    assert (summary["exit_code"], summary["source"][0]["totals"]) == (0, [])


def test_books_and_timeline_add_up_to_the_summary(workspace: Workspace, server: Sandbox) -> None:
    rows = sale_rows(30)
    rows["Payout"][3] = "x"
    write_csv(workspace.folder / "in.csv", rows)
    workspace.sales()
    first = workspace.run(limit=10)
    assert sum(first["timeline"]["requests"]) == 10
    summary = workspace.run()
    books = summary["books"]
    assert sum(entry["rows"] for entry in books) == 30
    for outcome in ("delivered", "invalid"):
        entries = [entry for entry in books if entry["outcome"] == outcome]
        assert sum(entry["rows"] for entry in entries) == summary["rows"][outcome]
        total = sum((Decimal(entry["money"]["revenue"]) for entry in entries), Decimal(0))
        assert total == Decimal(summary["money"]["revenue"][outcome])
    assert sum(summary["timeline"]["requests"]) == summary["requests"]["sent"] == 29
    assert len(fired(server.received)) == 29


def test_the_input_is_named_while_the_run_goes_on(workspace: Workspace) -> None:
    write_csv(workspace.folder / "in.csv", sale_rows(3))
    workspace.sales()
    seen = []

    def look(_: object) -> None:
        [path] = (workspace.folder / "results" / "job").glob("*/summary.json")
        seen.append(path.read_text())

    workspace.run(Onlooker(on_progress=look))
    assert '"path": "in.csv"' in seen[0]
