"""``status`` from outside: is it all in, after runs, mends, retries, decisions, stops and kills."""

from __future__ import annotations

import json

import polars as pl
import pytest

from batchpost.jobfile import load_job
from batchpost.jobstatus import local_today
from batchpost.sandbox import Sandbox
from batchpost.sandbox_faults import parse_faults, parse_latency
from batchpost.sandbox_platform import Lead
from tests.commands import call, started, tree, until
from tests.histories import died
from tests.statuses import ONE_BY_ONE, first, left, pasted, place, platform, run, sales, told
from tests.workspaces import Workspace, update_rows, write_csv

__all__ = ["place", "platform"]


# -- nothing yet -----------------------------------------------------------------------------------------------------


def test_a_job_that_never_ran_is_not_in(place: Workspace) -> None:
    done = call("status", "job.toml")
    assert (done.code, done.out) == (
        1,
        "NO: there is no run of job yet (a test). Next: batchpost run job.toml\n",
    )
    assert call("status", "job").out == done.out
    assert told()["next"] == [f"batchpost run {place.folder / 'job.toml'}"]


def test_a_name_that_no_job_has_is_a_mistake(place: Workspace) -> None:
    sales(place)
    run()
    done = call("status", "jbo")
    assert (done.code, done.out) == (2, "")
    assert "there is no job jbo in " in done.err
    assert 'did you mean "job"?' in done.err


# -- runs, mends, retries ----------------------------------------------------------------------------------------------


def test_all_is_in(place: Workspace) -> None:
    sales(place)
    run()
    done = call("status", "job.toml")
    assert done.code == 0
    line, _, header, row, *rest = done.out.splitlines()
    assert line == "YES: all of 46.06 is in, 4 rows (a test)."
    assert header.split() == ["FIRST", "READ", "FILE", "ROWS", "IN", "NOT", "IN", "REVENUE", "IN", "OF"]
    assert row.split() == [str(local_today()), "in.csv", "4", "4", "-", "46.06", "46.06"]
    assert rest == []
    assert call("status", "job").out == done.out


def test_what_is_not_in_is_told_with_its_reason_its_worth_and_what_to_type(place: Workspace) -> None:
    sales(place, 6, row_2="bad")
    run_id = run(code=1)
    done = call("status", "job.toml")
    assert done.code == 1
    to_fix = f"batchpost run job.toml --source results/job/{run_id}/to_fix.csv"
    assert done.out.splitlines()[0] == (
        f"NO: 35.05 of 64.14 is in (a test). Not in: 3 rows, 29.09 (2 lead_not_found, 1 not_a_number). Next: {to_fix}"
    )
    assert f"2  29.09  rejected  lead_not_found  the platform does not know the lead (yet)  {run_id}" in done.out
    assert f"1      -  invalid   not_a_number    not a number                               {run_id}" in done.out
    assert "1 row of these has no amount that is known: the money is without them." in done.out
    assert done.out.endswith(f"Next:\n  {to_fix}\n  batchpost retry {run_id}\n")


def test_a_row_that_was_mended_counts_once_and_with_its_new_amount(place: Workspace) -> None:
    sales(place, row_2="bad")
    run_id = run(code=1)
    to_fix = place.folder / "results" / "job" / run_id / "to_fix.csv"
    to_fix.write_text(to_fix.read_text().replace("bad", "55.55"))
    assert pasted(told()["next"][0]).code == 0
    assert first() == "YES: all of 90.60 is in, 4 rows (a test)."
    assert [file["path"] for file in told()["files"]] == ["in.csv"]


def test_a_mend_of_a_mend_counts_for_the_first_row(place: Workspace) -> None:
    sales(place, row_2="bad")
    path = place.folder / "results" / "job" / run(code=1) / "to_fix.csv"
    second = path.parent.parent / run("--source", str(path), code=1) / "to_fix.csv"
    assert left(told()) == {"not_a_number": 1}
    assert told()["next"] == [f"batchpost run {place.folder / 'job.toml'} --source {second}"]
    second.write_text(second.read_text().replace("bad", "11.01"))
    run("--source", str(second))
    assert first() == "YES: all of 46.06 is in, 4 rows (a test)."


def test_a_mend_whose_link_was_spoilt_is_a_row_of_its_own(place: Workspace) -> None:
    """Its lead and event still say that the first row is in."""
    sales(place, row_2="bad")
    path = place.folder / "results" / "job" / run(code=1) / "to_fix.csv"
    frame = pl.read_csv(path, infer_schema=False).with_columns(Payout=pl.lit("11.01"), batchpost_row=pl.lit("2.0"))
    frame.write_csv(place.folder / "mended.csv")
    run("--source", "mended.csv")
    found = told()
    assert found["answer"] == "yes"
    assert {file["path"]: file["rows"]["in"] for file in found["files"]} == {"in.csv": 4, "mended.csv": 1}


def test_a_row_that_was_sent_again_counts_once(place: Workspace, platform: Sandbox) -> None:
    sales(place, 6)
    run_id = run(code=1)
    assert told()["next"] == [f"batchpost retry {run_id}"]
    platform.platform._leads["txn_00004"] = Lead()
    second = json.loads(call("retry", run_id, "--json", "-q").out)["run_id"]
    found = told()
    assert (found["rows"]["read"], found["rows"]["in"], left(found)) == (6, 5, {"lead_not_found": 1})
    assert found["next"] == [f"batchpost retry {second}"]
    platform.platform._leads["txn_00005"] = Lead()
    assert pasted(found["next"][0]).code == 0
    assert told()["answer"] == "yes"


def test_the_same_file_again_and_a_copy_of_it_are_no_other_rows(place: Workspace, platform: Sandbox) -> None:
    sales(place, 5)
    run(code=1)
    platform.platform._leads["txn_00004"] = Lead()
    (place.folder / "copy.csv").write_bytes((place.folder / "in.csv").read_bytes())
    run("--source", "copy.csv")
    run()
    found = told()
    assert (found["answer"], found["rows"]["read"]) == ("yes", 5)
    assert [file["path"] for file in found["files"]] == ["in.csv"]


def test_a_corrected_file_brings_in_what_the_first_one_did_not(place: Workspace) -> None:
    sales(place, row_2="bad", row_3="n/a")
    run(code=1)
    sales(place, name="again.csv", row_3="n/a")
    run("--source", "again.csv", code=1)
    found = told()
    assert [(file["path"], file["rows"]["in"]) for file in found["files"]] == [("in.csv", 3), ("again.csv", 3)]
    assert [file["money"]["meant"] for file in found["files"]] == ["34.04", "34.04"]
    assert left(found) == {"not_a_number": 2}


def test_with_a_key_of_its_own_an_event_is_not_another_files(place: Workspace) -> None:
    """Two orders of one lead are two events: that one is in says nothing of the other."""
    place.sales(dedupe=False, delivery=ONE_BY_ONE, rows='key = ["Email"]')
    sales(place, row_2="bad")
    run(code=1)
    sales(place, name="again.csv")
    run("--source", "again.csv")
    assert left(told()) == {"not_a_number": 1}


def test_updates_without_money_are_counted_in_rows(place: Workspace, platform: Sandbox) -> None:
    for lead in ("a", "b"):
        platform.platform._leads[lead] = Lead("cmp_a")
    place.updates()
    write_csv(place.folder / "in.csv", update_rows([("a", "Rome"), ("b", "Bonn"), ("c", "Oslo")]))
    run_id = run("--yes", code=1)
    assert first() == (
        f"NO: 2 of 3 rows are in (a test). Not in: 1 row (1 lead_not_found). Next: batchpost retry {run_id}"
    )
    assert (told()["money"], told()["money_field"]) == (None, None)
    platform.platform._leads["c"] = Lead("cmp_a")
    write_csv(place.folder / "next.csv", update_rows([("c", "Riga")]))
    run("--source", "next.csv", "--yes")
    assert first() == "YES: all 4 rows are in (a test)."  # a newer update of the lead went out


# -- decisions -------------------------------------------------------------------------------------------------------


def without_end(place: Workspace, platform: Sandbox) -> str:
    """A run of three sales, the first of which nobody knows to have arrived."""
    sales(place, 3)
    platform.configure(faults=parse_faults("error=1"))
    run("--limit", "1", code=6)
    platform.configure(faults=parse_faults(""))
    return run(code=3)


def test_rows_without_a_known_end_are_neither_in_nor_out(place: Workspace, platform: Sandbox) -> None:
    run_id = without_end(place, platform)
    done = call("status", "job")
    assert done.code == 3
    assert done.out.splitlines()[0] == (
        f"NO: 23.03 of 33.03 is in (a test). Not in: 1 row, 10.00 (1 unknown). Next: batchpost resolve {run_id}"
    )


@pytest.mark.parametrize(
    ("action", "answer", "rows"),
    [
        ("--delivered", "YES: all of 33.03 is in, 3 rows (a test).", {"in": 3, "not_in": 0, "skipped": 0}),
        ("--ignore", "YES: all of 23.03 is in, 2 rows (a test).", {"in": 2, "not_in": 0, "skipped": 1}),
        ("--not-delivered", "NO: 23.03 of 33.03 is in (a test). Not in: 1 row, 10.00 (1 due).", {"in": 2, "not_in": 1}),
        ("--resend", "NO: 23.03 of 33.03 is in (a test). Not in: 1 row, 10.00 (1 due).", {"in": 2, "not_in": 1}),
    ],
)
def test_what_a_person_decides_counts(
    place: Workspace, platform: Sandbox, action: str, answer: str, rows: dict[str, int]
) -> None:
    run_id = without_end(place, platform)
    assert call("resolve", run_id, action, "--rows", "1").code == 0
    found = told()
    assert found["text"].startswith(answer)
    assert rows.items() <= found["rows"].items()
    if found["exit_code"]:
        assert found["next"] == [f"batchpost retry {run_id}"]
        assert pasted(found["next"][0]).code == 0
        assert first() == "YES: all of 33.03 is in, 3 rows (a test)."


def test_an_event_that_the_platform_took_back_is_not_meant_to_go_out(place: Workspace) -> None:
    """Neither in the file that it was delivered from, nor in one that had it again."""
    sales(place)
    run_id = run()
    sales(place, 2, name="more.csv")
    run("--source", "more.csv")
    assert call("resolve", run_id, "--voided", "--rows", "1").code == 0
    assert first() == "YES: all of 47.07 is in, 4 rows (a test)."
    assert [file["rows"]["skipped"] for file in told()["files"]] == [1, 1]
    assert call("resolve", run_id, "--resend", "--rows", "1").code == 0
    assert left(told()) == {"due": 2}
    assert pasted(told()["next"][0]).code == 0
    assert first() == "YES: all of 67.07 is in, 6 rows (a test)."


def test_an_event_taken_back_counts_so_in_another_job_of_the_ledger(place: Workspace) -> None:
    sales(place)
    run_id = run()
    other = (place.folder / "job.toml").read_text().replace('name = "job"', 'name = "other"')
    (place.folder / "other.toml").write_text(other)
    assert call("run", "other.toml", "-q").code == 0
    assert call("resolve", run_id, "--voided", "--rows", "2").code == 0
    assert first("other") == "YES: all of 35.05 is in, 3 rows (a test)."


# -- ends that are elsewhere -------------------------------------------------------------------------------------------


def test_forgotten_results_leave_how_each_row_ended(place: Workspace, platform: Sandbox) -> None:
    sales(place, 6, row_2="bad")
    run_id = run(code=1)
    sales(place, name="fine.csv")
    run("--source", "fine.csv")
    before = told()
    assert call("forget", "--older-than", "0s").code == 0
    kept = pl.read_parquet(place.folder / "results" / "job" / run_id / "ends.parquet")
    assert kept.columns == ["source", "row", "outcome", "reason", "amount"]
    after = told()
    # The bad row was another file's too, by its ids: without them that cannot be told any more.
    assert [file["rows"]["in"] for file in before["files"]] == [4, 4]
    assert [file["rows"]["in"] for file in after["files"]] == [3, 4]
    assert left(after) == {"lead_not_found": 2, "not_a_number": 1}
    assert after["next"] == [f"batchpost run {place.folder / 'job.toml'} --source {place.folder / 'in.csv'}"]
    assert pasted(after["next"][0]).code == 1
    assert [file["rows"]["in"] for file in told()["files"]] == [3, 4]


def test_a_mend_of_forgotten_results_still_counts_once(place: Workspace, platform: Sandbox) -> None:
    sales(place, row_2="bad")
    path = place.folder / "results" / "job" / run(code=1) / "to_fix.csv"
    (place.folder / "mended.csv").write_text(path.read_text().replace("bad", "11.01"))
    second = run("--source", "mended.csv")
    assert call("forget", "--older-than", "0s").code == 0
    kept = pl.read_parquet(path.parent.parent / second / "ends.parquet")
    assert kept.select("batchpost_source", "batchpost_row").rows() == [("in.csv", "2")]
    assert first() == "YES: all of 46.06 is in, 4 rows (a test)."


def test_a_run_that_was_stopped_has_rows_to_send_yet(place: Workspace) -> None:
    sales(place)
    run("--limit", "3", code=6)
    found = told()
    assert (found["rows"]["in"], left(found)) == (3, {"limit": 1})
    assert found["next"] == [f"batchpost run {place.folder / 'job.toml'}"]
    assert pasted(found["next"][0]).code == 0
    assert told()["answer"] == "yes"


def test_of_a_run_that_was_killed_plan_and_journal_tell(place: Workspace) -> None:
    sales(place)
    killed = died(place, 3)
    assert killed is not None
    assert not list(killed.folder.glob("outcomes.*"))
    before = tree(place.folder)
    done = call("status", "job.toml")
    assert {name: facts for name, facts in tree(place.folder).items() if "locks" not in name} == {
        name: facts for name, facts in before.items() if "locks" not in name
    }
    assert done.out.splitlines()[0] == (
        "NO: 33.03 of 46.06 is in (a test). Not in: 1 row, 13.03 (1 crashed). Next: batchpost run job.toml"
    )
    run()
    assert told()["answer"] == "yes"


def test_a_mend_that_was_killed_still_stands_for_the_rows_that_it_mends(place: Workspace) -> None:
    sales(place, row_1="bad", row_2="bad", row_3="bad")
    path = place.folder / "results" / "job" / run(code=1) / "to_fix.csv"
    path.write_text(path.read_text().replace("bad", "20.00"))
    killed = died(place, 2, job=load_job(place.folder / "job.toml", workspace=place.folder, source=[str(path)]))
    assert killed is not None
    found = told()
    assert (found["rows"]["read"], found["rows"]["in"], left(found)) == (4, 3, {"crashed": 1})
    assert found["next"] == [f"batchpost run {place.folder / 'job.toml'} --source {path}"]
    sales(place, 1, name="other.csv", first=3)
    run("--source", "other.csv")  # gives the killed one up
    found = told()
    assert (found["rows"]["read"], left(found)) == (5, {"crashed": 1})
    assert {"batchpost_run", "batchpost_source", "batchpost_row"} <= {
        *pl.read_csv(killed.folder / "outcomes.csv").columns
    }


def test_a_run_under_way_and_one_that_a_kill_left_in_doubt(place: Workspace, platform: Sandbox) -> None:
    platform.configure(latency=parse_latency("60s"))
    sales(place)
    with started("run", "job.toml", cwd=place.folder) as process:
        until(lambda: len(platform.received) == 1)
        done = call("status", "job")
        assert done.code == 1
        assert done.out.splitlines()[0] == (
            "NO: 0.00 of 46.06 is in (a test). Not in: 4 rows, 46.06 (4 under_way). "
            f"A run is under way (process {process.pid})."
        )
        assert told()["under_way"]["pid"] == process.pid
        assert told()["next"] == []
        process.kill()
        process.wait()
    found = told()
    assert (found["exit_code"], found["rows"]["unknown"], left(found)) == (3, 1, {"unknown": 1, "crashed": 3})
    assert found["next"] == [f"batchpost run {place.folder / 'job.toml'}"]
