from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from batchpost.noteworthy import NotedRow, Noteworthy
from batchpost.report import Report, report_of
from tests.reports import RUN_ID, TIMELINE, entry, summary

ROW = NotedRow("exports/conv.csv", 3, 4, "txn_3", "rejected", "lead_not_found", "No lead", 404, 1, 20.0)


def report(noted: Noteworthy | None = None, job_text: str = "", **changes: Any) -> Report:
    return report_of(summary(**changes), noted, job_text=job_text)


def commands(found: Report) -> list[str]:
    return [told.command for told in found.commands]


# -- how it ended ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {},
            ["Finished 2026-11-26 02:15:20 UTC after 20 s.", "Exit code 1: finished, but some rows are invalid, "],
        ),
        (
            {"state": "stopped", "exit_code": 69, "message": "The platform was not available for 30 minutes"},
            [
                "The platform was not available for 30 minutes.",
                "Stopped 2026-11-26 02:15:20 UTC after 20 s. Exit code 69: the platform is not available;",
            ],
        ),
        (
            {"state": "running", "exit_code": None, "finished_at": None},
            ["Begun 2026-11-26 02:15:00 UTC; this is how it stands after 20 s."],
        ),
        (
            {"state": "crashed", "exit_code": None, "finished_at": None},
            ["Begun 2026-11-26 02:15:00 UTC; the run died."],
        ),
        ({"state": None, "exit_code": None, "finished_at": None, "started_at": None}, ["the run died early."]),
    ],
)
def test_the_end_is_told_in_sentences(changes: dict[str, Any], expected: list[str]) -> None:
    found = report(**changes).ended
    assert found.startswith(" ".join(expected))
    assert found.endswith(".")


# -- books -----------------------------------------------------------------------------------------------------------


def test_the_books_have_every_reason_under_its_outcome_with_its_money_and_meaning() -> None:
    books = report().books
    assert [(book.outcome, book.rows, book.money) for book in books] == [
        ("delivered", 7, ("1000.00",)),
        ("skipped", 1, ("50.00",)),
        ("invalid", 1, ("0.00",)),
        ("rejected", 1, ("200.00",)),
    ]
    [lost] = books[3].reasons
    assert (lost.name, lost.rows, lost.money, lost.is_trouble) == ("lead_not_found", 1, ("200.00",), True)
    assert lost.meaning == "the platform does not know the lead (yet)"
    assert not books[0].reasons[0].is_trouble


def test_two_reasons_of_one_name_stay_with_their_outcomes() -> None:
    books = [entry("failed", "timeout", 2), entry("unknown", "timeout", 3)]
    found = report(rows={"read": 5, "failed": 2, "unknown": 3}, reasons={"timeout": 5}, books=books).books
    assert [(book.outcome, [line.rows for line in book.reasons]) for book in found] == [
        ("failed", [2]),
        ("unknown", [3]),
    ]


def test_an_older_summary_has_reasons_without_money_as_far_as_they_make_up_an_outcome() -> None:
    rows = {"read": 12, "delivered": 7, "failed": 2, "unknown": 3}
    found = report(rows=rows, reasons={"conversion": 7, "timeout": 5}, books=None).books
    assert [(book.outcome, [(line.name, line.money) for line in book.reasons]) for book in found] == [
        ("delivered", [("conversion", (None,))]),
        ("failed", []),
        ("unknown", []),
    ]


def test_a_run_without_books_has_none_to_show() -> None:
    found = report_of({"run_id": RUN_ID}, None)
    assert (found.books, found.fields, found.totals, found.troubles, found.timeline) == ((), (), (), (), {})


# -- the buyer's totals ----------------------------------------------------------------------------------------------


def totals(*rows: dict[str, Any], money: dict[str, str] | None = None) -> list[tuple[str, str, Decimal | None]]:
    source = {"path": "in.csv", "rows": 9, "money": {"revenue": "1250.00"} if money is None else money}
    found = report(source=[{**source, "totals": [*rows]}]).totals
    return [(total.place, total.theirs, total.more) for total in found]


def test_a_total_is_compared_with_what_was_read_of_its_file() -> None:
    row = {"line": 1_204, "row": 1_203, "money": {"revenue": "1250.0"}}
    assert totals(row) == [("line 1,204", "1250.00", Decimal("0.00"))]
    assert report().totals[0].agrees


def test_the_difference_is_exact_and_a_parquet_file_has_rows_for_lines() -> None:
    row = {"line": None, "row": 9, "money": {"revenue": "1250.30"}}
    assert totals(row) == [("row 9", "1250.30", Decimal("0.30"))]
    assert not report(source=[{"path": "a", "money": {"revenue": "1.00"}, "totals": [row]}]).totals[0].agrees


def test_a_total_stands_beside_the_rows_meant_to_go_out_where_it_is_nearer_to_them() -> None:
    """As on a terminal: a buyer may add up only the rows that count."""
    row = {"line": 12, "row": 11, "money": {"revenue": "1200.00"}}
    assert totals(row) == [("line 12", "1200.00", Decimal("0.00"))]
    [total] = report(source=[{"path": "a", "money": {"revenue": "1250.00"}, "totals": [row]}]).totals
    assert (total.beside, total.ours) == ("the rows meant to go out", "1200.00")


def test_a_total_with_nothing_to_compare_has_no_difference() -> None:
    files = [{"path": name, "rows": 9, "money": {}} for name in ("a", "b")]
    row = {"line": 3, "row": 2, "money": {"revenue": "5.00"}}
    [total] = report(source=[files[0], {**files[1], "totals": [row]}]).totals
    assert (total.beside, total.ours, total.more) == ("", None, None)


def test_a_total_that_is_no_number_is_none() -> None:
    assert totals({"line": 3, "row": 2, "money": {"revenue": "five"}}) == []


# -- replies, troubles, commands -------------------------------------------------------------------------------------


def test_statuses_are_told_in_words_where_there_are_any() -> None:
    assert [(status.name, status.rows, status.meaning) for status in report().statuses] == [
        ("200", 7, "OK"),
        ("400", 1, "Bad Request"),
        ("599", 2, ""),
    ]


def test_each_kind_of_trouble_has_its_first_rows() -> None:
    found = report(Noteworthy(first={("rejected", "lead_not_found"): [ROW]})).troubles
    assert [(trouble.outcome, trouble.reason, trouble.rows, trouble.first) for trouble in found] == [
        ("invalid", "not_a_number", 1, ()),
        ("rejected", "lead_not_found", 1, (ROW,)),
    ]


def test_rows_that_were_not_attempted_are_no_kind_of_trouble() -> None:
    books = [entry("not_attempted", "limit", 4)]
    assert report(rows={"read": 4, "not_attempted": 4}, books=books).troubles == ()


@pytest.mark.parametrize(
    ("details", "expected"), [(["No lead", "No lead"], "No lead"), (["a", "b"], ""), ([None, None], ""), ([], "")]
)
def test_what_is_told_of_all_rows_alike_is_told_once(details: list[str | None], expected: str) -> None:
    rows = [ROW._replace(detail=detail) for detail in details]
    assert report(Noteworthy(first={("rejected", "lead_not_found"): rows})).troubles[1].detail == expected


def test_the_next_command_comes_first_and_those_to_look_closer_follow() -> None:
    assert commands(report()) == [
        f"batchpost retry {RUN_ID}",
        "batchpost status /srv/uploads/jobs/nightly.toml",
        f"batchpost show {RUN_ID}",
        f"batchpost export {RUN_ID} --only invalid,rejected -o rows.csv",
        f"batchpost verify {RUN_ID}",
    ]


def test_rows_without_a_known_end_bring_resolve() -> None:
    found = report(next="", rows={"read": 1, "unknown": 1}, books=[entry("unknown", "timeout", 1)])
    assert f"batchpost resolve {RUN_ID}" in commands(found)


def test_the_path_of_a_job_file_is_quoted_where_it_has_to_be() -> None:
    assert "batchpost status '/srv/up loads/nightly.toml'" in commands(report(job_file="/srv/up loads/nightly.toml"))


def test_a_run_without_books_has_nothing_to_export_or_verify() -> None:
    assert commands(report_of({"run_id": RUN_ID, "state": "crashed"}, None)) == [f"batchpost show {RUN_ID}"]


def test_rows_of_earlier_runs_without_a_known_end_are_told() -> None:
    assert report(outstanding={"20261125-x": 1}).notes == (
        "When this run was made, 1 row of 20261125-x had no known end",
    )


# -- the job, and time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job_text", "inside"),
    [("", 7), ("[expect]\nconversion = false\n", 10), ("[expect]\nconversion = true\n", 7), ("expect = 3\n", 7)],
)
def test_the_job_says_whether_what_is_no_conversion_is_in(job_text: str, inside: int) -> None:
    found = report(
        job_text=job_text, rows={"read": 10, "delivered": 10}, reasons={"conversion": 7, "not_a_conversion": 3}
    )
    assert found.standing.inside == inside


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"began": 1, "step": 5},
        {**TIMELINE, "p99": [1.0]},
        {**TIMELINE, "step": 0},
        {name: part for name, part in TIMELINE.items() if name != "began"},
        {**TIMELINE, "requests": [], "p50": [], "p95": [], "p99": []},
    ],
)
def test_a_timeline_that_is_not_whole_is_none(broken: dict[str, Any]) -> None:
    assert report().timeline == TIMELINE
    assert report(timeline=broken).timeline == {}


def test_rows_name_their_file_where_there_are_several() -> None:
    assert not report().several_files
    assert report(source=[{"path": "a"}, {"path": "b"}]).several_files
