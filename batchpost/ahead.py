"""Working ahead: the next item of an iterator is made in a thread while the one before it is used.

Reading, mapping and hashing spend their time in polars, outside the interpreter's lock, so that they share the cores.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead", "made_ahead"]

Item = TypeVar("Item")
Made = TypeVar("Made")
WORKERS = 3  # each with an item in work; one more is held


def ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """The items, in their order, each made while the one before it is used; what the iterator raises is raised where
    its item is due. Holds one item back. Closing it closes a generator, after the item that is being made."""
    try:
        with ThreadPoolExecutor(1, "ahead") as thread:
            coming = thread.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = thread.submit(next, items, None)
                yield item
    finally:
        if isinstance(items, Generator):
            items.close()


def made_ahead(make: Callable[[Item], Made], items: Iterator[Item]) -> Iterator[Made]:
    """What ``make`` makes of each item, in their order; several are made at once, in threads, while the one before them
    is used. What goes wrong is raised where its item is due; what the iterator raises, when it is asked."""
    with ThreadPoolExecutor(WORKERS, "made ahead") as threads:
        coming: deque[Future[Made]] = deque()
        for item in items:
            coming.append(threads.submit(make, item))
            if len(coming) > WORKERS:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
