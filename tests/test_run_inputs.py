"""Inputs that change under a run or between runs, folders that fill up, and files that were mended."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from batchpost.errors import InputRefused, NoInput
from batchpost.prepare import Prepared
from batchpost.sandbox import Sandbox, parse_faults
from tests.workspaces import (
    DEDUPED,
    FAST,
    Onlooker,
    Table,
    Workspace,
    balanced,
    counted,
    csv,
    fired,
    leads,
    once,
    sale_rows,
    update_rows,
    write_csv,
)

BATCH = 16_384  # rows that the reader gives out at a time


def sparse_rows(count: int) -> dict[str, list[str]]:
    """Every hundredth row is to be sent; each is so long that a batch is read well before the next one."""
    rows = sale_rows(count)
    rows["Status"] = ["Funded" if number % 100 == 0 else "Declined" for number in range(count)]
    rows["Note"] = ["." * 600] * count
    return rows


def sparse(workspace: Workspace, count: int) -> dict[str, list[str]]:
    event = f'event_id = {{ column = "Status", map = {{ Funded = "{DEDUPED}" }}, otherwise = "skip" }}'
    workspace.sales(fields=event)
    rows = sparse_rows(count)
    write_csv(workspace.folder / "in.csv", rows)
    return rows


def test_an_input_rewritten_between_the_passes_sends_nothing_of_the_changed_batch(
    workspace: Workspace, server: Sandbox
) -> None:
    rows = sparse(workspace, BATCH + 3_000)
    path = workspace.folder / "in.csv"

    def rewrite(prepared: Prepared) -> None:
        first_changed = prepared.plan.batches[0][1]
        rows["Payout"][first_changed:] = ["1.00"] * (len(rows["Payout"]) - first_changed)
        write_csv(path, rows)

    first = workspace.run(Onlooker(on_plan=rewrite))
    batch = int(first["rows"]["delivered"])
    assert (first["exit_code"], first["stopped_by"], first["to_fix"]) == (4, "input_changed", 0)
    balanced(first, workspace.outcomes(first))
    assert 0 < batch < 194
    assert sorted(fired(server.received)) == leads(BATCH + 3_000)[: batch * 100 : 100]
    assert not [entry for entry in server.received if entry.body["revenue"] == 1.0]

    second = workspace.run()
    assert second["run_id"] != first["run_id"]
    assert (second["continued"], second["abandoned"]) == (False, [first["run_id"]])
    assert (second["exit_code"], second["reasons"]["ledger"]) == (0, batch)
    assert sorted(fired(server.received)) == leads(BATCH + 3_000)[::100]


def test_an_input_rewritten_while_it_is_sent_stops_the_run(workspace: Workspace, server: Sandbox) -> None:
    rows = sparse(workspace, 24_000)
    path = workspace.folder / "in.csv"
    server.configure(latency=0.2)  # the first requests wait until the file has changed

    def rewrite() -> None:
        text = path.read_bytes()
        with path.open("r+b") as file:  # in place: the run has it open
            file.seek(text.rindex(b"txn_23000"))
            file.write(b"TXN")
        server.configure(latency=0.0)

    with once(lambda: len(server.received) > 0, rewrite) as rewritten:
        summary = workspace.run()
    assert rewritten.is_set()
    assert (summary["exit_code"], summary["stopped_by"]) == (4, "input_changed")
    assert 0 < summary["rows"]["delivered"] < len(rows["Lead"]) // 100
    assert "TXN_23000" not in fired(server.received)
    assert "txn_23000" not in fired(server.received)


def test_a_file_cut_off_while_it_is_sent_stops_the_run_and_leaves_results(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.sales(results='include = "all"')
    rows = {**sale_rows(40), "Payout": ["1.00"] * 39 + ["x"]}
    path = write_csv(workspace.folder / "in.csv", rows)
    summary = workspace.run(Onlooker(on_plan=lambda _: path.write_text("Lead,Payout,Email\n")))
    assert (summary["exit_code"], summary["to_fix"], server.received) == (4, None, [])
    assert counted(workspace.outcomes(summary)) == {
        ("not_attempted", "input_changed"): 39,
        ("invalid", "not_a_number"): 1,
    }


def test_another_input_gives_up_the_unfinished_run_and_sends_nothing_twice(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.sales()
    rows = sale_rows(200)
    path = write_csv(workspace.folder / "in.csv", rows)
    first = workspace.run(limit=80)
    first_row = {"Lead": "new", "Payout": "1", "Email": ""}
    write_csv(path, {name: [first_row[name], *cells] for name, cells in rows.items()})
    second = workspace.run()
    assert (second["abandoned"], second["continued"]) == ([first["run_id"]], False)
    assert counted(workspace.outcomes(second)) == {
        ("already_delivered", "ledger"): 80,
        ("delivered", "conversion"): 121,
    }
    assert sorted(fired(server.received)) == ["new", *leads(200)]
    with workspace.ledger() as ledger:
        assert [record.state for record in ledger.runs()] == ["abandoned", "finished"]


def test_a_new_run_may_be_asked_for(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(50))
    first = workspace.run(limit=20)
    second = workspace.run(new_run=True)
    assert second["abandoned"] == [first["run_id"]]
    assert second["reasons"] == {"conversion": 30, "same_row": 20}
    assert sorted(fired(server.received)) == leads(50)


def test_an_unsound_last_line_refuses_the_file_before_the_first_request(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    path = write_csv(workspace.folder / "in.csv", sale_rows(20_000))
    path.write_bytes(path.read_bytes() + b'"torn,5')
    with pytest.raises(InputRefused):
        workspace.run()
    assert server.received == []
    with workspace.ledger() as ledger:
        assert ledger.runs() == []


# -- folders -----------------------------------------------------------------------------------------------------------


def test_finished_files_of_a_folder_are_not_taken_again(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(source='path = "in"')
    write_csv(workspace.folder / "in" / "monday.csv", sale_rows(20, "mon"))
    write_csv(workspace.folder / "in" / "tuesday.csv", sale_rows(20, "tue"))
    assert workspace.run()["rows"]["delivered"] == 40
    with pytest.raises(NoInput):
        workspace.run()
    write_csv(workspace.folder / "in" / "wednesday.csv", sale_rows(20, "wed"))
    summary = workspace.run()
    assert [file["path"] for file in summary["source"]] == ["in/wednesday.csv"]
    assert summary["rows"]["read"] == summary["rows"]["delivered"] == 20
    assert len(server.received) == 60


def test_a_file_with_failed_rows_is_taken_again(workspace: Workspace, server: Sandbox) -> None:
    workspace.updates(source='path = "in"', delivery=f"{FAST}\nmax_attempts = 1\nmax_failures = 100")
    rows = update_rows([(lead, "Rome") for lead in leads(40)])
    write_csv(workspace.folder / "in" / "a.csv", rows)
    write_csv(workspace.folder / "in" / "b.csv", {**rows, "Lead": leads(40, "other")})
    server.configure(faults=parse_faults("drop=0.05"))
    first = workspace.run()
    assert first["rows"]["failed"] > 0
    unfinished = {
        source for source, outcome in counted(workspace.outcomes(first), "source", "outcome") if outcome == "failed"
    }
    server.configure(faults=parse_faults(""))
    second = workspace.run()
    assert {file["path"] for file in second["source"]} == unfinished
    assert second["rows"]["delivered"] == first["rows"]["failed"]


def test_a_mended_to_fix_goes_out_and_cells_come_back_as_they_were(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(source='delimiter = ";"')
    rows = sale_rows(5)
    rows["Payout"][1], rows["Email"][1] = "free", "=cmd@mail.example.com"
    rows["Lead"][1] = "+1-lead"
    path = workspace.folder / "in.csv"
    write_csv(path, rows)
    path.write_text(path.read_text().replace(",", ";"))
    summary = workspace.run()
    assert (summary["exit_code"], summary["to_fix"]) == (1, 1)
    to_fix = workspace.results(summary) / "to_fix.csv"
    [row] = csv(to_fix).rows(named=True)
    assert row == {
        "Lead": "'+1-lead",
        "Payout": "free",
        "Email": "'=cmd@mail.example.com",
        "batchpost_run": summary["run_id"],
        "batchpost_source": "in.csv",
        "batchpost_row": "2",
        "batchpost_line": "3",
        "batchpost_outcome": "invalid",
        "batchpost_reason": "not_a_number",
        "batchpost_detail": row["batchpost_detail"],
    }
    assert str(to_fix) in summary["next"]

    mended = workspace.folder / "mended.csv"
    mended.write_text(to_fix.read_text().replace("free", "12.50"))
    workspace.sales(source='delimiter = ";"\npath = "mended.csv"')
    assert workspace.run()["rows"]["delivered"] == 1
    last = server.received[-1].body
    assert (last["transaction_id"], last["email"], last["revenue"]) == ("+1-lead", "=cmd@mail.example.com", 12.5)


def test_rows_are_known_again_only_when_the_file_is_read_in_the_same_way(workspace: Workspace, server: Sandbox) -> None:
    """Under another header line the first row is another one, which was never sent."""
    path = write_csv(workspace.folder / "in.csv", sale_rows(10))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:5], lines[0], *lines[5:], ""]))
    workspace.sales(source="header_row = 6")
    assert workspace.run()["rows"]["delivered"] == 6
    workspace.sales()
    assert workspace.run()["reasons"] == {"ledger": 6, "conversion": 4, "not_a_number": 1}
    assert sorted(fired(server.received)) == leads(10)


# -- going on ----------------------------------------------------------------------------------------------------------


def as_csv(folder: Path, rows: Table) -> Path:
    return write_csv(folder / "in.csv", rows)


def as_gzip(folder: Path, rows: Table) -> Path:
    packed = folder / "in.csv.gz"
    packed.write_bytes(gzip.compress(as_csv(folder, rows).read_bytes()))
    return packed


@pytest.mark.parametrize("write", [as_csv, as_gzip])
def test_a_run_that_goes_on_sends_the_rest_by_the_plan_that_it_kept(
    workspace: Workspace, server: Sandbox, write: Callable[[Path, Table], Path]
) -> None:
    place = write(workspace.folder, sale_rows(12))
    workspace.sales(source=f'path = "{place.name}"')
    spools: list[Path] = []
    onlooker = Onlooker(on_plan=lambda prepared: spools.append(prepared.plan.spool))
    first, second, third = (workspace.run(onlooker, limit=most) for most in (3, 5, 100))
    assert [summary["run_id"] for summary in (second, third)] == [first["run_id"]] * 2
    own = workspace.places.run(str(first["run_id"])) / "plan.arrow"
    assert [spool == own for spool in spools] == [False, True, True]
    assert onlooker.to_send == [12, 9, 4]
    assert sorted(fired(server.received)) == leads(12)
    balanced(third, workspace.outcomes(third))


def test_what_another_job_delivered_meanwhile_is_asked_of_the_ledger_anew(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(6))
    workspace.run(limit=2)
    workspace.sales(top='name = "other"')
    workspace.run()
    workspace.sales()
    summary = workspace.run()
    assert (summary["continued"], summary["reasons"]) == (True, {"conversion": 2, "same_row": 4})
    assert sorted(fired(server.received)) == leads(6)
