"""The decimal sign: proved by the amounts, asked for, or left open."""

from __future__ import annotations

import pytest

from batchpost.decimals import decimal_of
from tests.newjobs import Scripted, column


@pytest.mark.parametrize(
    ("values", "sign"),
    [
        (["12.50", "85"], None),
        (["12.50", "1,250"], "."),
        (["12.50", "1,250.00"], None),
        (["12,50", "85"], ","),
        (["1.250,00", "2.500"], ","),
        (["$1,250.00", "1,250"], "."),
        (["85", "90"], None),
        ([], None),
    ],
)
def test_the_sign_is_said_where_the_values_prove_and_need_it(values: list[str], sign: str | None) -> None:
    decimal = decimal_of([column("Pay", *values)], None, None)
    assert (decimal.sign, decimal.open) == (sign, False)
    assert bool(decimal.why) == (sign is not None)


@pytest.mark.parametrize("values", [["1,250"], ["1.250"], ["1,250", "85"]])
def test_amounts_that_prove_no_sign_leave_it_open(values: list[str]) -> None:
    assert decimal_of([column("Pay", *values)], None, None).open


def test_one_column_may_prove_it_for_another() -> None:
    assert decimal_of([column("Pay", "1.250"), column("Cost", "12,50")], None, None).sign == ","


def test_both_signs_are_told_and_the_more_frequent_is_taken() -> None:
    decimal = decimal_of([column("Pay", "1,50", "2,50", "3.50")], None, None)
    assert (decimal.sign, decimal.mixed) == (",", True)
    assert "1 amount can only have a decimal point and 2 only a comma" in decimal.why


@pytest.mark.parametrize(("answer", "sign"), [(0, "."), (1, ","), (2, None)])
def test_a_person_is_asked_where_it_is_open_and_only_there(answer: int, sign: str | None) -> None:
    person = Scripted(answer)
    assert decimal_of([column("Pay", "1,250")], None, person).sign == sign
    assert decimal_of([column("Pay", "12,50")], None, person).sign == ","
    assert len(person.asked) == 1


def test_what_was_said_is_not_looked_for() -> None:
    assert decimal_of([column("Pay", "12.50")], ",", None).sign == ","
