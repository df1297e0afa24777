from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from batchpost.reportverdict import Standing, standing_of, verdict_of
from tests.reports import entry, summary


def standing(conversions_only: bool = True, **changes: Any) -> Standing:
    return standing_of(summary(**changes), conversions_only=conversions_only)


def said(**changes: Any) -> tuple[str, str, str]:
    found = summary(**changes)
    verdict = verdict_of(found, standing_of(found, conversions_only=True))
    return verdict.answer, verdict.said, verdict.mood


def rows(**counts: int) -> dict[str, Any]:
    return {"rows": {"read": sum(counts.values()), **counts}, "reasons": {}, "money": {}, "books": []}


def test_rows_meant_to_go_out_are_all_but_the_skipped_ones_and_in_are_the_delivered() -> None:
    found = standing(**rows(delivered=7, already_delivered=2, skipped=5, invalid=1, unknown=3, not_attempted=4))
    assert (found.meant, found.inside, found.unknown, found.outside, found.left) == (17, 9, 3, 5, 8)


def test_money_is_counted_like_the_rows_and_exactly() -> None:
    money = {"read": "0.40", "delivered": "0.10", "already_delivered": "0.20", "skipped": "0.01", "unknown": "0.03"}
    amounts = standing(money={"revenue": money}).money["revenue"]
    assert (amounts.meant, amounts.inside) == (Decimal("0.39"), Decimal("0.30"))
    assert (amounts.unknown, amounts.outside) == (Decimal("0.03"), Decimal("0.06"))


@pytest.mark.parametrize(("conversions_only", "inside", "money"), [(True, 7, "900.00"), (False, 10, "1000.00")])
def test_what_is_no_conversion_is_in_only_where_the_job_says_so(
    conversions_only: bool, inside: int, money: str
) -> None:
    found = standing(
        conversions_only,
        rows={"read": 10, "delivered": 10},
        reasons={"conversion": 7, "not_a_conversion": 3},
        books=[entry("delivered", "conversion", 7, "900.00"), entry("delivered", "not_a_conversion", 3, "100.00")],
        money={"revenue": {"read": "1000.00", "delivered": "1000.00"}},
    )
    assert found.inside == inside
    assert found.money["revenue"].inside == Decimal(money)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({**rows(delivered=1_200, skipped=3), "exit_code": 0}, ("Yes", "All 1,200 rows are in.", "good")),
        ({**rows(already_delivered=1), "exit_code": 0}, ("Yes", "The one row is in.", "good")),
        ({**rows(skipped=4), "exit_code": 0}, ("Yes", "Nothing was meant to go out.", "good")),
        ({**rows(delivered=97, rejected=3), "exit_code": 1}, ("No", "97 of 100 rows are in, 3 are not.", "bad")),
        ({**rows(rejected=1), "exit_code": 1}, ("No", "0 of 1 row is in, 1 is not.", "bad")),
        ({**rows(delivered=8, unknown=2), "exit_code": 3}, ("No", "8 of 10 rows are in, of 2 it is not known.", "bad")),
        (
            {**rows(delivered=7, failed=1, unknown=2), "exit_code": 3},
            ("No", "7 of 10 rows are in, 1 is not, of 2 it is not known.", "bad"),
        ),
        (
            {**rows(delivered=97, rejected=3), "exit_code": 0, "tolerated": 3},
            ("Yes", "97 of 100 rows are in. The job tolerates the other 3.", "good"),
        ),
        (
            {**rows(delivered=5), "exit_code": 1, "expected": ["5 rows are meant to go out"]},
            ("Yes, but", "All 5 rows are in, and the end is not what the job expects.", "bad"),
        ),
        (
            {**rows(delivered=4, not_attempted=6), "state": "running", "exit_code": None},
            ("Not yet", "4 of 10 rows are in. The run is under way.", "unsure"),
        ),
        ({**rows(delivered=4, not_attempted=6), "exit_code": 143}, ("No", "4 of 10 rows are in, 6 are not.", "bad")),
        ({"rows": None}, ("Not known", "This run left no books: it ended before they were made.", "unsure")),
    ],
)
def test_the_answer_says_whether_all_is_in(changes: dict[str, Any], expected: tuple[str, str, str]) -> None:
    assert said(**changes) == expected
