"""Working ahead: the next item of an iterator is made in a thread while the one before it is used.

Reading and mapping spend their time in polars, outside the interpreter's lock, so that two of them share two cores.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
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
