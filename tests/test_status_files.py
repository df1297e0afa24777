"""``status`` of several files: by day, restricted, with what is tolerated, with results that are damaged or gone."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from batchpost.jobstatus import local_today
from batchpost.sandbox import Sandbox
from batchpost.sandbox_platform import EventRule
from tests.commands import call
from tests.statuses import ONE_BY_ONE, first, left, place, platform, run, sales, told
from tests.workspaces import REPEATABLE, Workspace

__all__ = ["place", "platform"]

TODAY, YESTERDAY = local_today(), local_today() - timedelta(1)


def on_the_day_before(place: Workspace) -> None:
    """All runs so far are of yesterday."""
    with place.ledger() as ledger, ledger.writing() as database:
        database.change("UPDATE runs SET started_at = started_at - 86400, finished_at = finished_at - 86400")


def two_days(place: Workspace) -> None:
    """A file of yesterday of which all is in; two of today, of one of which something is not."""
    sales(place, 2, name="a.csv")
    run("--source", "a.csv")
    on_the_day_before(place)
    sales(place, 3, name="b.csv")
    run("--source", "b.csv")
    sales(place, 2, name="c.csv", first=3)
    run("--source", "c.csv", code=1)


# -- by day and by file ------------------------------------------------------------------------------------------------


def test_files_are_told_by_the_day_they_were_first_read(place: Workspace) -> None:
    two_days(place)
    table = [line.split() for line in call("status", "job").out.splitlines()[2:8]]
    assert table == [
        ["FIRST", "READ", "FILE", "ROWS", "IN", "NOT", "IN", "REVENUE", "IN", "OF"],
        [str(YESTERDAY), "a.csv", "2", "2", "-", "21.01", "21.01"],
        [str(TODAY), "b.csv", "3", "3", "-", "33.03", "33.03"],
        ["c.csv", "2", "1", "1", "13.03", "27.07"],
        ["2", "files", "5", "4", "1", "46.06", "60.10"],
        ["all", "3", "files", "7", "6", "1", "67.07", "81.11"],
    ]
    assert [(day["day"], day["files"], day["rows"]["in"]) for day in told()["days"]] == [
        (str(YESTERDAY), 1, 2),
        (str(TODAY), 2, 4),
    ]


@pytest.mark.parametrize(
    ("day", "answer"),
    [
        ("yesterday", f"YES: all of 21.01 is in, 2 rows ({YESTERDAY}, a test)."),
        (str(YESTERDAY), f"YES: all of 21.01 is in, 2 rows ({YESTERDAY}, a test)."),
        ("today", f"NO: 46.06 of 60.10 is in ({TODAY}, a test). Not in: 1 row, 14.04 (1 lead_not_found). Next:"),
        ("2020-02-29", "NO: no run has read a file for the first time on 2020-02-29 (a test). Next: batchpost run job"),
    ],
)
def test_one_day_alone(place: Workspace, day: str, answer: str) -> None:
    two_days(place)
    done = call("status", "job", "--date", day)
    assert done.out.startswith(answer)
    assert done.code == (0 if answer.startswith("YES") else 1)


def test_a_file_counts_on_the_day_it_was_first_read(place: Workspace) -> None:
    sales(place, 5)
    run(code=1)
    on_the_day_before(place)
    run(code=1)
    assert told("job", "--date", "today")["files"] == []
    assert [file["day"] for file in told()["files"]] == [str(YESTERDAY)]


def test_a_date_that_is_none_is_a_mistake(place: Workspace) -> None:
    done = call("status", "job.toml", "--date", "tomorrow")
    assert (done.code, done.out) == (2, "")
    assert "--date tomorrow: write a day as 2026-11-27, or today, or yesterday" in done.err


def test_some_files_alone(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    two_days(place)
    assert [file["path"] for file in told("job", "--source", "b.csv", "--source", "c.csv")["files"]] == [
        "b.csv",
        "c.csv",
    ]
    assert first("job", "--source", str(place.folder / "a.csv")) == "YES: all of 21.01 is in, 2 rows (a test)."
    (place.folder / "jobs").mkdir()
    monkeypatch.chdir(place.folder / "jobs")
    assert [file["path"] for file in told("job", "--source", "../a.csv")["files"]] == ["a.csv"]


def test_a_file_that_was_moved_is_known_by_its_content(place: Workspace) -> None:
    two_days(place)
    (place.folder / "c.csv").rename(place.folder / "moved.csv")
    assert [file["path"] for file in told("job", "--source", "moved.csv")["files"]] == ["c.csv"]


def test_a_file_that_no_run_has_read_is_not_in(place: Workspace) -> None:
    two_days(place)
    sales(place, 1, name="new.csv", row_1="9.99")
    done = call("status", "job.toml", "--source", "new.csv", "--source", "a.csv")
    assert done.code == 1
    assert done.out.splitlines()[0] == (
        "NO: all of 21.01 is in (a test). No run has read new.csv. Next: batchpost run job.toml --source new.csv"
    )
    assert told("job", "--source", "new.csv")["unseen"] == ["new.csv"]
    missing = call("status", "job", "--source", "gone.csv")
    assert (missing.code, missing.out) == (2, "")


def test_a_file_of_mends_is_not_one_to_ask_about(place: Workspace) -> None:
    sales(place, row_2="bad")
    path = place.folder / "results" / "job" / run(code=1) / "to_fix.csv"
    path.write_text(path.read_text().replace("bad", "11.01"))
    run("--source", str(path))
    done = call("status", "job", "--source", str(path))
    assert (done.code, done.out) == (2, "")
    assert "its rows stand for rows of another file, and count there" in done.err


def test_rows_of_one_run_over_several_files_are_told_apart(place: Workspace) -> None:
    sales(place, 2, name="a.csv", row_2="bad")
    sales(place, 3, name="b.csv", first=2)
    run("--source", "a.csv", "--source", "b.csv", code=1)
    assert [(file["path"], file["rows"]["in"], left(file)) for file in told()["files"]] == [
        ("a.csv", 1, {"not_a_number": 1}),
        ("b.csv", 2, {"lead_not_found": 1}),
    ]


# -- what a job tolerates ----------------------------------------------------------------------------------------------


def test_rows_that_the_job_tolerates_are_told_and_do_not_count(place: Workspace) -> None:
    place.sales(dedupe=False, delivery=ONE_BY_ONE, expect="reasons = { lead_not_found = 2 }")
    sales(place, 6)
    run()
    done = call("status", "job")
    assert done.code == 0
    assert done.out.splitlines()[0] == (
        "YES: 46.06 of 75.15 is in (a test). 2 rows are not in and tolerated: 2 lead_not_found."
    )
    assert "Not in, and tolerated:" in done.out
    sales(place, 6, name="more.csv", row_1="bad")
    run("--source", "more.csv", code=1)
    found = told()
    assert (found["exit_code"], left(found), found["rows"]["tolerated"]) == (1, {"not_a_number": 1}, 4)


def test_more_of_a_reason_than_a_file_may_have_is_not_tolerated(place: Workspace) -> None:
    place.sales(dedupe=False, delivery=ONE_BY_ONE, expect="reasons = { lead_not_found = 1 }")
    sales(place, 6)
    run(code=1)
    assert (left(told()), told()["rows"]["tolerated"]) == ({"lead_not_found": 2}, 0)


def test_an_event_that_was_not_counted_is_not_in_however_often_its_file_is_read(
    place: Workspace, platform: Sandbox
) -> None:
    platform.config.events[REPEATABLE] = EventRule(conversion=False, duplicates=True)
    sales(place, 2)
    run_id = run(code=1)
    platform.config.events[REPEATABLE] = EventRule(conversion=True, duplicates=True)
    run()
    sales(place, 3, name="next.csv")
    run("--source", "next.csv")
    found = told()
    assert [(file["path"], left(file)) for file in found["files"]] == [
        ("in.csv", {"not_a_conversion": 2}),
        ("next.csv", {"not_a_conversion": 2}),
    ]
    assert found["next"] == [f"batchpost show {run_id}"]
    place.sales(dedupe=False, delivery=ONE_BY_ONE, expect="conversion = false")
    assert first() == "YES: all of 54.04 is in, 5 rows (a test)."


# -- results in other shapes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("results", ['format = "parquet"', 'include = "all"', 'include = "all"\nformat = "parquet"'])
def test_outcomes_of_any_kind_are_read(place: Workspace, results: str) -> None:
    place.sales(dedupe=False, delivery=ONE_BY_ONE, results=results)
    sales(place, row_2="bad")
    path = place.folder / "results" / "job" / run(code=1) / "to_fix.csv"
    path.write_text(path.read_text().replace("bad", "11.01"))
    second = run("--source", str(path))
    assert first() == "YES: all of 46.06 is in, 4 rows (a test)."
    assert call("verify", second).code == 0
    assert call("export", second, "-o", str(place.folder / "out.parquet")).code == 0
    assert pl.read_parquet(place.folder / "out.parquet")["batchpost_row"].to_list() == ["2"]


def test_outcomes_in_the_format_of_an_earlier_sitting_are_taken_away(place: Workspace) -> None:
    place.sales(dedupe=False, delivery=ONE_BY_ONE, results='format = "parquet"')
    sales(place)
    run_id = run("--limit", "2", code=6)
    place.sales(dedupe=False, delivery=ONE_BY_ONE, results='format = "csv"')
    run()
    folder = place.folder / "results" / "job" / run_id
    assert [path.name for path in folder.glob("outcomes.*")] == ["outcomes.csv"]
    assert told()["answer"] == "yes"


@pytest.mark.parametrize("name", ["=1.csv", "'=2.csv", "a,b.csv", 'with "quotes".csv'])
def test_files_of_any_name_are_known_again(place: Workspace, name: str) -> None:
    sales(place, name=name, row_2="bad")
    path = place.folder / "results" / "job" / run("--source", name, code=1) / "to_fix.csv"
    path.write_text(path.read_text().replace("bad", "11.01"))
    run("--source", str(path))
    found = told()
    assert (found["answer"], [file["path"] for file in found["files"]]) == ("yes", [name])


def test_ids_that_a_spreadsheet_would_run_are_the_same_in_every_format(place: Workspace, platform: Sandbox) -> None:
    """They are guarded in CSV and not in Parquet."""
    place.sales(dedupe=False, delivery=ONE_BY_ONE, fields='transaction_id = { column = "Lead" }')
    (place.folder / "in.csv").write_text("Lead,Payout,Email\n-a,bad,\n=b,bad,\n")
    run(code=1)
    place.sales(dedupe=False, delivery=ONE_BY_ONE, results='format = "parquet"')
    platform.platform._leads.update(dict.fromkeys(("-a", "=b"), platform.platform._leads["txn_00000"]))
    (place.folder / "again.csv").write_text("Lead,Payout,Email\n-a,1.00,\n=b,2.00,\n")
    run("--source", "again.csv")
    assert first() == "YES: all of 6.00 is in, 4 rows (a test)."


def outcomes(place: Workspace, run_id: str) -> Path:
    return place.folder / "results" / "job" / run_id / "outcomes.csv"


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda text: text.replace("13.03", "thirteen"), "cannot be read as it was written"),
        (lambda text: "".join(text.splitlines(keepends=True)[:-1]), "has 3 of the 4 rows of in.csv"),
        (lambda text: text.replace(",", ";"), "cannot be read as it was written"),
    ],
)
def test_damaged_outcomes_are_told_and_the_books_stand_for_them(place: Workspace, spoil: object, fault: str) -> None:
    sales(place)
    path = outcomes(place, run_id := run())
    path.write_text(spoil(path.read_text()))  # type: ignore[operator]
    found = told()
    assert (found["answer"], found["rows"]["in"], found["money"]["in"]) == ("yes", 4, "46.06")
    assert any(run_id in remark and fault in remark for remark in found["remarks"])


def test_outcomes_that_somebody_deleted_are_told_by_the_books(place: Workspace) -> None:
    sales(place, 5, row_2="bad")
    outcomes(place, run_id := run(code=1)).unlink()
    found = told()
    assert (found["rows"]["in"], found["money"]["in"], left(found)) == (
        3,
        "35.05",
        {"not_a_number": 1, "lead_not_found": 1},
    )
    assert any(f"The outcomes of {run_id} are gone" in remark for remark in found["remarks"])


def test_without_any_results_nothing_is_known_until_the_file_is_read_again(place: Workspace) -> None:
    sales(place, 5)
    path = outcomes(place, run(code=1))
    for one in path.parent.iterdir():
        one.unlink()
    run_id = path.parent.name
    assert first() == (f"NO: nothing is known of what {run_id} read (a test). Next: batchpost run job.toml")
    sales(place, 2, name="more.csv")
    run("--source", "more.csv")
    assert first() == (
        f"NO: all of 21.01 is in (a test). Nothing is known of what {run_id} read. Next: batchpost run job.toml"
    )
    run(code=1)  # reads the file again: every row has an end again
    assert (told()["rows"]["in"], left(told()), told()["unread"]) == (6, {"lead_not_found": 1}, [])


def test_a_summary_alone_leaves_what_the_ledger_knows(place: Workspace) -> None:
    """Of a run over several files the books do not say which row of which file ended how."""
    sales(place, 2, name="a.csv")
    sales(place, 3, name="b.csv", first=2)
    outcomes(place, run("--source", "a.csv", "--source", "b.csv", code=1)).unlink()
    found = told()
    assert [(file["path"], file["rows"]["in"], left(file)) for file in found["files"]] == [
        ("a.csv", 2, {}),
        ("b.csv", 2, {"gone": 1}),
    ]


def test_json_has_all_of_it(place: Workspace) -> None:
    two_days(place)
    found = told()
    assert list(found) == [
        *("answer", "exit_code", "text", "job", "job_file", "route", "test", "day", "money_field", "rows", "money"),
        *("not_in", "tolerated", "days", "files", "unseen", "unread", "under_way", "remarks", "next"),
    ]
    assert found["rows"] == {"read": 7, "meant": 7, "in": 6, "not_in": 1, "unknown": 0, "tolerated": 0, "skipped": 0}
    assert found["money"] == {
        "meant": "81.11",
        "in": "67.07",
        "not_in": "14.04",
        "tolerated": "0.00",
        "skipped": "0.00",
    }
    [entry] = found["not_in"]
    assert (entry["outcome"], entry["reason"], entry["rows"], entry["money"]) == (
        "rejected",
        "lead_not_found",
        1,
        "14.04",
    )
    assert [one["rows"] for one in entry["runs"]] == [1]
    assert found["text"] == call("status", "job.toml").out.splitlines()[0]
    assert json.dumps(found).count("@") == 0
