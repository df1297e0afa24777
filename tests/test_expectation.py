from __future__ import annotations

from decimal import Decimal

import pytest

from batchpost.expectation import (
    EXPECTED,
    Range,
    allowances,
    assess,
    most_rows,
    range_of,
    share_of,
    unmet_by_input,
)
from batchpost.job import Expect
from batchpost.summary import Books, exit_code

COUNTS = {
    ("delivered", "conversion"): 90,
    ("already_delivered", "same_row"): 5,
    ("skipped", "filtered"): 1000,
    ("invalid", "not_a_number"): 2,
    ("rejected", "lead_not_found"): 3,
}
MONEY = {"revenue": Decimal("1250.50")}


@pytest.mark.parametrize(
    ("given", "low", "high"),
    [
        (5, 5, 5),
        ("5", 5, 5),
        ("1000..6000", 1000, 6000),
        (" 1000 .. 6000 ", 1000, 6000),
        ("1000..", 1000, None),
        ("..6000", None, 6000),
        ("0.01..5000.50", Decimal("0.01"), Decimal("5000.50")),
        ("7..7", 7, 7),
    ],
)
def test_a_range_is_read(given: int | str, low: Decimal | None, high: Decimal | None) -> None:
    assert range_of(given) == Range(low, high)


@pytest.mark.parametrize("given", ["", "..", "5..1", "a..b", "-5..5", "1,000..2,000", "1..2..3", "1e3..", -1])
def test_what_is_no_range_is_none(given: int | str) -> None:
    assert range_of(given) is None


def test_a_range_holds_both_of_its_ends() -> None:
    held = Range(Decimal(1), Decimal(3))
    assert [held.holds(Decimal(number)) for number in (0, 1, 3, 4)] == [False, True, True, False]
    assert Range(None, Decimal(3)).holds(Decimal(-9))
    assert Range(Decimal(1), None).holds(Decimal(10**12))


def test_a_range_is_told_with_grouped_thousands() -> None:
    texts = [str(range_of(given)) for given in ("1000..6000", "1000..", "..6000", "5000.50")]
    assert texts == ["1,000..6,000", "1,000 or more", "6,000 or less", "5,000.50"]


@pytest.mark.parametrize(("limit", "of", "most"), [(5, 10, 5), ("2%", 100, 2), ("2.5 %", 39, 0), ("100%", 7, 7)])
def test_a_limit_is_a_count_or_a_share_rounded_down(limit: int | str, of: int, most: int) -> None:
    assert most_rows(limit, of) == most


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), (" 2.5 % ", 0.025), ("101%", None), ("5", None), ("-1%", None)]
)
def test_a_share_is_at_most_the_whole(text: str, share: float | None) -> None:
    assert share_of(text) == share


def test_allowances_are_of_the_rows_meant_to_go_out() -> None:
    assert allowances(Expect(reasons={"lead_not_found": "2%", "timeout": 3}), 150) == {
        "lead_not_found": 3,
        "timeout": 3,
    }


def test_skipped_rows_do_not_count_and_those_delivered_before_do() -> None:
    assert unmet_by_input(Expect(rows="100..100"), COUNTS, {}) == []
    assert unmet_by_input(Expect(rows="101.."), COUNTS, {}) == [
        "100 rows are meant to go out, and [expect] rows is 101 or more"
    ]
    assert unmet_by_input(Expect(rows=2), {("", ""): 1}, {}) == ["1 row is meant to go out, and [expect] rows is 2"]


def test_money_out_of_its_range_is_told_exactly() -> None:
    assert unmet_by_input(Expect(revenue="1250.50..1250.50"), COUNTS, MONEY) == []
    assert unmet_by_input(Expect(revenue="50000..400000"), COUNTS, MONEY) == [
        "revenue is 1,250.50 in all, and [expect] revenue is 50,000..400,000"
    ]


def test_before_sending_only_invalid_rows_can_be_too_many() -> None:
    expect = Expect(reasons={"not_a_number": 1, "lead_not_found": "1%"})
    assert unmet_by_input(expect, COUNTS, {}) == ["2 of 100 rows are not_a_number, and [expect] reasons tolerates 1"]
    assert assess(expect, COUNTS, {}).unmet[1:] == (
        "3 of 100 rows are lead_not_found, and [expect] reasons tolerates 1% (1)",
    )


def test_a_reason_is_tolerated_up_to_its_limit_and_not_at_all_beyond_it() -> None:
    assert assess(Expect(reasons={"lead_not_found": 3}), COUNTS, {}).tolerated == {"lead_not_found": 3}
    assert assess(Expect(reasons={"lead_not_found": 2}), COUNTS, {}).tolerated == {}


def test_what_has_no_known_end_is_never_tolerated() -> None:
    counts = {("failed", "timeout"): 2, ("unknown", "timeout"): 5}
    assessment = assess(Expect(reasons={"timeout": 2}), counts, {})
    assert (assessment.tolerated, assessment.unmet) == ({"timeout": 2}, ())


@pytest.mark.parametrize(
    ("expect", "tolerated", "unmet"),
    [
        (Expect(), 0, 0),
        (Expect(conversion=True), 0, 0),
        (Expect(conversion=False), 4, 0),
        (Expect(reasons={"not_a_conversion": 4}), 4, 0),
        (Expect(reasons={"not_a_conversion": 3}), 0, 1),
        (Expect(reasons={"not_a_conversion": 3}, conversion=False), 4, 1),
    ],
)
def test_events_that_are_no_conversions_can_be_expected(expect: Expect, tolerated: int, unmet: int) -> None:
    counts = {("delivered", "conversion"): 6, ("delivered", "not_a_conversion"): 4}
    assessment = assess(expect, counts, {})
    assert (assessment.rows, len(assessment.unmet)) == (tolerated, unmet)


def books(counts: dict[tuple[str, str], int]) -> Books:
    found = Books()
    for (outcome, reason), rows in counts.items():
        found.count(outcome, reason, rows, {})
    return found


@pytest.mark.parametrize(
    ("expect", "code"),
    [
        (Expect(), 1),
        (Expect(reasons={"lead_not_found": 3}), 1),
        (Expect(reasons={"lead_not_found": 3, "not_a_number": 2}), 0),
        (Expect(reasons={"lead_not_found": 2, "not_a_number": 2}), 1),
        (Expect(rows="1..99", reasons={"lead_not_found": 3, "not_a_number": 2}), 1),
    ],
)
def test_the_exit_code_is_0_where_all_that_is_left_is_tolerated(expect: Expect, code: int) -> None:
    assert exit_code(books(COUNTS), assessment=assess(expect, COUNTS, {})) == code


def test_tolerance_does_not_hide_a_stop_or_what_has_no_known_end() -> None:
    counts = {**COUNTS, ("unknown", "timeout"): 1}
    assessment = assess(Expect(reasons={"lead_not_found": 3, "not_a_number": 2}), counts, {})
    assert exit_code(books(counts), assessment=assessment) == 3
    assert exit_code(books(counts), 69, assessment=assessment) == 69
    assert exit_code(Books(), assessment=EXPECTED) == 0
