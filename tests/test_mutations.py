"""That the suite would notice a break of the delivery code; ``make mutations`` tries them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation, caught, mutated

BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}


@pytest.mark.parametrize(
    ("name", "promise"),
    [
        ("send before the claim", "sent without a claim on disk"),
        ("retry what may have been sent", "fired"),
        ("ignore the locks", "ran beside"),
        ("merge the ledger twice", "test_a_sitting_is_folded_once"),
    ],
)
def test_a_break_is_noticed_and_the_promise_that_it_broke_is_named(name: str, promise: str) -> None:
    assert promise in caught(BY_NAME[name])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("_IDLE_BEFORE_ONE_CHANCE = 2.0\n", "_IDLE_BEFORE_ONE_CHANCE = 2.5\n"),
        ("        self._queue = RowQueue(rows)\n", ""),
    ],
    ids=["harmless", "falls over"],
)
def test_what_breaks_no_promise_is_not_called_noticed(before: str, after: str) -> None:
    assert caught(Mutation("none", "delivery", before, after), seeds=1) == ""


def test_a_break_that_does_not_fit_the_code_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing: delivery\.py has its text 0 times"):
        mutated(Mutation("nothing", "delivery", "no such text", ""), tmp_path)


def test_no_two_breaks_have_one_name() -> None:
    assert len(BY_NAME) == len(MUTATIONS) >= 15
