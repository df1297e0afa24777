from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier, Event, current_thread

import pytest

from batchpost.ahead import WORKERS, ahead, made_ahead


def test_the_items_come_in_their_order() -> None:
    assert list(ahead(iter(range(1, 100)))) == list(range(1, 100))
    assert list(ahead(iter(()))) == []


def test_the_next_item_is_made_elsewhere_while_this_one_is_used() -> None:
    begun, names = Event(), []

    def items() -> Iterator[int]:
        for item in (1, 2, 3):
            names.append(current_thread().name)
            if item == 2:
                begun.set()
            yield item

    used = ahead(items())
    assert next(used) == 1
    assert begun.wait(timeout=10)
    assert list(used) == [2, 3]
    assert current_thread().name not in names


def test_what_goes_wrong_is_raised_where_its_item_is_due() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    used = ahead(items())
    assert next(used) == 1
    with pytest.raises(OSError, match="gone"):
        next(used)


def test_closing_it_closes_what_it_reads_from() -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(1, 10)
        finally:
            closed.append(True)

    used = ahead(items())
    assert next(used) == 1
    used.close()  # type: ignore[attr-defined]
    assert closed == [True]


def test_two_of_them_work_in_a_row() -> None:
    assert list(ahead(item * 2 for item in ahead(iter((1, 2, 3))))) == [2, 4, 6]


# -- several made at once ----------------------------------------------------------------------------------------------


def test_what_is_made_of_items_comes_in_their_order_however_long_each_takes() -> None:
    second = Event()

    def make(item: int) -> int:
        if item == 1:
            assert second.wait(timeout=10)  # the first one is done after the second
        if item == 2:
            second.set()
        return item * 10

    assert list(made_ahead(make, iter(range(1, 30)))) == list(range(10, 300, 10))
    assert list(made_ahead(make, iter(()))) == []


def test_several_are_made_at_once() -> None:
    together = Barrier(WORKERS, timeout=10)

    def make(item: int) -> int:
        together.wait()
        return item

    assert list(made_ahead(make, iter(range(WORKERS * 2)))) == list(range(WORKERS * 2))


def test_no_more_are_taken_than_are_worked_on_and_one() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    made = made_ahead(lambda item: item, items())
    assert next(made) == 0
    assert len(taken) == WORKERS + 1


def test_what_goes_wrong_with_an_item_is_raised_where_it_is_due() -> None:
    def make(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    made = made_ahead(make, iter(range(10)))
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(made)
