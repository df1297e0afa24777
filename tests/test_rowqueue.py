"""Who may go next: file order, one at a time for each lane key, others overtake."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.model import Row
from batchpost.rowqueue import RowQueue, Task
from tests.fakes import a_row


def rows_of(lanes: str) -> list[Row]:
    """One row for each letter, which is its lane key."""
    return [a_row(number, lane_key=lane) for number, lane in enumerate(lanes)]


def numbers(rows: Iterable[Row]) -> list[int]:
    return [row.number for row in rows]


def test_rows_of_one_lane_key_wait_and_others_overtake() -> None:
    queue = RowQueue(iter(rows_of("AABAC")))
    first = queue.take(3, set())
    assert numbers(first) == [0, 2, 4]
    assert repr(queue) == "<RowQueue 0 ready, 0 delayed, 2 aside>"
    assert queue.take(9, set()) == []
    assert queue.close(first[0]), "the feeder must hear that a row is free"
    second = queue.take(9, set())
    assert numbers(second) == [1]
    queue.close(second[0])
    assert numbers(queue.take(9, set())) == [3]


def test_released_rows_come_before_new_ones() -> None:
    queue = RowQueue(iter(rows_of("AABC")))
    first = queue.take(2, set())
    assert numbers(first) == [0, 2]
    queue.close(first[0])
    assert numbers(queue.take(2, set())) == [1, 3]


def test_closing_tells_whether_the_feeder_can_go_on() -> None:
    queue = RowQueue(iter(rows_of("AB")))
    a, b = queue.take(9, set())
    assert queue.under_way
    assert not queue.close(a)
    assert queue.close(b), "nothing is under way any more"
    assert not queue.under_way


def test_reading_waits_when_ten_thousand_rows_are_aside() -> None:
    read = 0

    def endless() -> Iterator[Row]:
        nonlocal read
        while True:
            read += 1
            yield a_row(read, lane_key="A")

    queue = RowQueue(endless())
    [row] = queue.take(5, set())
    assert read == 10_001
    assert queue.take(5, set()) == []
    assert queue.more()
    assert queue.close(row)
    assert numbers(queue.take(5, set())) == [2]
    assert read == 10_002


_HELD = (("A", "x"), ("A", "y"), ("A", "x"), ("B", "x"), ("C", "y"))


def test_rows_of_held_sources_are_dropped_and_let_others_pass() -> None:
    rows = [a_row(number, lane_key=lane, pid=pid) for number, (lane, pid) in enumerate(_HELD)]
    queue = RowQueue(iter(rows))
    assert numbers(queue.take(9, {"x"})) == [1, 4]
    assert not queue.close(rows[4])
    assert queue.close(rows[1])
    assert queue.take(9, {"x"}) == []
    assert not queue.under_way


@pytest.mark.parametrize(
    ("lanes", "taken", "more"), [("AB", 1, True), ("AB", 2, False), ("AA", 1, True), ("AAB", 1, True), ("", 1, False)]
)
def test_whether_rows_are_left_counts_those_set_aside(lanes: str, taken: int, more: bool) -> None:
    queue = RowQueue(iter(rows_of(lanes)))
    queue.take(taken, set())
    assert queue.more() is more


def test_a_backoff_that_is_over_goes_first_the_earliest_before_the_others() -> None:
    queue = RowQueue(iter(()))
    queue.add([a_row(1), a_row(2)])
    queue.delay(Task(a_row(7)), 20.0)
    queue.delay(Task(a_row(8)), 10.0)
    assert (queue.ready, queue.due_in(0.0)) == (2, 0.0)
    assert [task.row.number for now in (5.0, 10.0, 25.0) for task in queue.pick(1, now)] == [1, 8, 7]
    assert [task.row.number for task in queue.pick(9, 25.0)] == [2]
    assert queue.due_in(25.0) == math.inf


def test_how_long_until_some_row_can_start() -> None:
    queue = RowQueue(iter(()))
    queue.delay(Task(a_row(7)), 20.0)
    assert [queue.due_in(now) for now in (0.0, 19.0, 30.0)] == [20.0, 1.0, 0.0]
    queue.again(Task(a_row(1)))
    assert queue.due_in(0.0) == 0.0


def test_rows_due_at_the_same_instant_go_in_file_order() -> None:
    queue = RowQueue(iter(()))
    for number in (3, 1, 2):
        queue.delay(Task(a_row(number)), 5.0)
    assert [task.row.number for task in queue.pick(3, 5.0)] == [1, 2, 3]


@settings(max_examples=100)
@given(lanes=st.text("ABCD", max_size=40), most=st.integers(1, 5), choices=st.randoms(use_true_random=False))
def test_every_row_is_taken_once_and_each_lane_in_order(lanes: str, most: int, choices: object) -> None:
    """Rows are closed in any order; none is lost, and a lane key is never under way twice."""
    queue = RowQueue(iter(rows_of(lanes)))
    under_way: list[Row] = []
    taken: list[Row] = []
    while rows := queue.take(most, set()) or under_way:
        if rows is not under_way:
            taken += rows
            under_way += rows
        assert len({row.lane_key for row in under_way}) == len(under_way)
        queue.close(under_way.pop(choices.randrange(len(under_way))))  # type: ignore[attr-defined]
    assert sorted(numbers(taken)) == list(range(len(lanes)))
    for lane in set(lanes):
        own = [row.number for row in taken if row.lane_key == lane]
        assert own == sorted(own)
    assert not queue.under_way
