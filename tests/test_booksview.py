from __future__ import annotations

from typing import Any

import pytest

from batchpost.booksview import books_lines, books_of, expect_lines, remedy_lines
from batchpost.summary import TO_SEND


def entry(outcome: str, reason: str, rows: int, **money: str) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "rows": rows, "money": money}


BOOKS = [
    entry("delivered", "conversion", 1_978, revenue="213905.00"),
    entry("delivered", "not_a_conversion", 3, revenue="90.00"),
    entry("skipped", "otherwise", 1_200, revenue="50000.00"),
    entry("invalid", "not_a_number", 2, revenue="0.00"),
    entry("rejected", "lead_not_found", 3, revenue="405.50"),
]
OLD: dict[str, Any] = {
    "rows": {"read": 3_000, "delivered": 1_204, "skipped": 0, "rejected": 6, "not_attempted": 1_790},
    "reasons": {"conversion": 1_204, "lead_not_found": 6, "unauthorized": 1_790, "connect_refused": 0},
    "money": {"revenue": {"read": "300000.00", "delivered": "120400.00", "rejected": "600.00"}},
}


def text(lines: list[Any]) -> str:
    return "\n".join(line.text for line in lines)


def file(total: str | None, *, read: str = "264400.50", path: str = "conv.csv", **more: Any) -> dict[str, Any]:
    totals = [{"line": 3_188, "row": 3_187, "money": {"revenue": total} if total else {}}]
    return {"path": path, "money": {"revenue": read} if read else {}, "totals": totals, **more}


def said(*sources: dict[str, Any], books: list[dict[str, Any]] = BOOKS) -> list[str]:
    """The rows for what the files say themselves: the cells, then the note."""
    return [line.text for line in books_lines(books, sources) if "the file's total" in line.text]


# -- the table -------------------------------------------------------------------------------------------------------


def test_rows_and_money_stand_by_outcome_and_reason_and_what_needs_attention_is_marked() -> None:
    assert (
        text(books_lines(BOOKS))
        == """\
                       rows     revenue
  read                3,186  264,400.50
  delivered           1,981  213,995.00
    conversion        1,978  213,905.00
!   not_a_conversion      3       90.00  fired with money, but the platform did not count it as a conversion
  skipped             1,200   50,000.00
    otherwise         1,200   50,000.00
! invalid                 2        0.00
!   not_a_number          2        0.00  not a number
! rejected                3      405.50
!   lead_not_found        3      405.50  the platform does not know the lead (yet)"""
    )


def test_what_a_run_was_told_to_leave_is_explained_and_not_marked() -> None:
    lines = text(books_lines([entry("not_attempted", "limit", 5), entry("not_attempted", "max_failures", 1)]))
    assert "\n    limit            5  left by --limit or --canary\n" in lines
    assert "\n!   max_failures     1  left when too many rows had failed" in lines
    assert "!" not in text(books_lines([entry("not_attempted", "limit", 5)]))


def test_a_plan_has_rows_that_are_to_be_sent_and_no_money_where_there_is_none() -> None:
    assert text(books_lines([entry(TO_SEND, "", 12_000)])).splitlines() == [
        *("             rows", "  read     12,000", "  to send  12,000")
    ]


def test_books_of_nothing_are_a_line() -> None:
    assert text(books_lines(books_of({}))).splitlines() == ["        rows", "  read     0"]


def test_several_fields_of_money_have_a_column_each() -> None:
    lines = books_lines(
        [entry("delivered", "conversion", 1, revenue="5.00", amount="1.5"), entry("failed", "dns", 1, amount="2")]
    )
    assert lines[0].text.split() == ["rows", "revenue", "amount"]
    assert lines[1].text.split() == ["read", "2", "5.00", "3.50"]
    assert lines[-1].text.split()[:4] == ["!", "dns", "1", "0.00"]


def test_no_line_is_wider_than_the_terminal_and_nothing_that_is_said_gets_lost() -> None:
    sentences = ("the platform does not know the lead (yet)", "did not count it as a conversion", "100.00 more than")
    for width in range(40, 130):
        lines = books_lines(BOOKS, [file("264500.50")], width=width)
        assert max(len(line.text) for line in lines) <= width
        words = " ".join(text(lines).split())
        assert [sentence for sentence in sentences if sentence not in words] == []


def test_on_a_narrow_terminal_the_meaning_stands_below_and_the_columns_stay() -> None:
    lines = text(books_lines(BOOKS, width=50)).splitlines()
    assert lines[-2:] == [
        "!   lead_not_found        3      405.50",
        "      the platform does not know the lead (yet)",
    ]


def test_a_very_narrow_terminal_cuts_the_labels_and_keeps_the_numbers() -> None:
    lines = text(books_lines([entry("already_delivered", "confirmed_duplicate", 1_204, revenue="12.00")], width=32))
    assert lines.splitlines()[-2:] == ["  already deliv…  1,204    12.00", "    confirmed_d…  1,204    12.00"]


# -- what a file says itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "note", "mark"),
    [
        ("264400.50", "agrees with what was read", " "),
        ("214400.50", "agrees with the rows meant to go out", " "),
        ("264811.00", "410.50 more than what was read", "!"),
        ("214310.50", "90.00 less than the rows meant to go out", "!"),
    ],
)
def test_the_buyers_total_stands_beside_the_money_read_and_says_whether_it_agrees(
    total: str, note: str, mark: str
) -> None:
    [line] = said(file(total))
    assert line.startswith(f"{mark}   the file's total  ")
    assert line.endswith(f"  {note} (conv.csv, line 3,188)")


def test_of_several_totals_the_one_that_agrees_is_shown_else_the_last() -> None:
    totals = [{"line": None, "row": row, "money": {"revenue": f"{row}.00"}} for row in (7, 8, 9)]
    assert "9.00 less" not in said({**file("1"), "money": {"revenue": "8.00"}, "totals": totals}, file("1"))[0]
    assert (
        "agrees with what was read (conv.csv, row 8)"
        in said({**file("1"), "money": {"revenue": "8.00"}, "totals": totals}, file("1"))[0]
    )
    assert "(conv.csv, row 9)" in said({**file("1"), "totals": totals})[0]


def test_of_several_files_each_is_compared_with_what_was_read_of_it() -> None:
    lines = said(file("10", read="10.00", path="a.csv"), file(None), file("12", read="10.00", path="b.csv"))
    assert [line.split("  ")[-1] for line in lines] == [
        "agrees with what was read (a.csv, line 3,188)",
        "2.00 more than what was read (b.csv, line 3,188)",
    ]


def test_a_total_without_money_or_with_text_in_its_place_is_not_compared() -> None:
    assert said(file(None)) == []
    assert said(file("n/a")) == []
    assert said({"path": "conv.csv"}) == []
    assert "as it says (conv.csv, line 3,188)" in said(file("5", read=""), file(None))[0]


def test_with_several_fields_each_difference_is_named() -> None:
    books = [entry("delivered", "conversion", 1, revenue="5.00", amount="1.00")]
    source = {"path": "c.csv", "money": {"revenue": "5.00", "amount": "1.00"}}
    totals = [{"line": 3, "row": 2, "money": {"revenue": "6.00", "amount": "0.50"}}]
    [line] = said({**source, "totals": totals}, books=books)
    assert line.endswith("revenue 1.00 more and amount 0.50 less than what was read (c.csv, line 3)")


# -- old summaries, and what was expected ----------------------------------------------------------------------------


def test_an_old_summary_is_shown_without_money_by_reason() -> None:
    lines = text(books_lines(books_of(OLD))).splitlines()
    assert lines[2:4] == ["  delivered         1,204  120,400.00", "    conversion      1,204"]
    assert lines[-1].startswith("!   unauthorized    1,790              left when")
    assert not any("connect_refused" in line for line in lines)


def test_a_reason_of_several_outcomes_stands_with_the_last_that_has_rows() -> None:
    rows = {"read": 3, "failed": 1, "unknown": 2}
    reasons = [(one["outcome"], one["reason"]) for one in books_of({"rows": rows, "reasons": {"timeout": 3}})]
    assert reasons == [("failed", ""), ("unknown", ""), ("unknown", "timeout")]
    rows = {"read": 3, "failed": 3}
    assert books_of({"rows": rows, "reasons": {"timeout": 3}})[-1]["outcome"] == "failed"


def test_what_did_not_hold_of_expect_is_marked_and_what_it_tolerates_counted() -> None:
    summary = {"expected": ["950 rows are meant to go out, and [expect] rows is 1,000..6,000"], "tolerated": 1}
    assert text(expect_lines(summary)).splitlines() == [
        "! Not as expected: 950 rows are meant to go out, and [expect] rows is 1,000..6,000",
        "  [expect] tolerates 1 row of these",
    ]
    assert max(len(line.text) for line in expect_lines(summary, width=40)) <= 40
    assert expect_lines({"expected": [], "tolerated": 0}) == expect_lines({}) == []


# -- what to do about it ---------------------------------------------------------------------------------------------


def test_each_reason_that_needs_somebody_is_told_once_with_what_to_do() -> None:
    books = [*BOOKS, entry("failed", "timeout", 1), entry("unknown", "dropped", 2), entry("not_attempted", "limit", 9)]
    lines = text(remedy_lines(books, "R1")).splitlines()
    assert [line.split()[0] for line in lines] == [
        *("not_a_conversion", "not_a_number", "lead_not_found", "timeout", "dropped")
    ]
    assert lines[1] == "  not_a_number      write the number in digits"


def test_a_row_without_a_known_end_waits_for_a_decision_and_for_no_later_run() -> None:
    [line] = remedy_lines([entry("unknown", "dropped", 2, revenue="5.00")], "R1")
    assert line.text == "  dropped  `batchpost resolve R1` shows what to ask the platform"
    [line] = remedy_lines([entry("failed", "dropped", 2, revenue="5.00")], "R1")
    assert "later" in line.text


def test_where_nobody_is_needed_nothing_is_told_and_long_lines_are_broken() -> None:
    assert remedy_lines([entry("delivered", "conversion", 2), entry("rejected", "refused", 0)], "R1") == []
    lines = [line.text for line in remedy_lines(BOOKS, "R1", width=50)]
    assert max(map(len, lines)) <= 50
    assert lines[1].startswith(" " * 20)
