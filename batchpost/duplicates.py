"""Rows of one operation in one input: found by the first bytes of their keys, then proved by whole keys from the spool.

Memory is eight bytes a row, and what a million rows that look alike take (or more, where one operation has more).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from batchpost.spool import read_spool

__all__ = ["Keys"]

_PART = 1_000_000  # rows compared with each other at a time


class Keys:
    """The beginnings of the keys of an input's rows, in order."""

    def __init__(self) -> None:
        self._heads: list[pl.Series] = []

    def extend(self, keys: pl.Series) -> None:
        """Take in the next rows' keys (Binary of 16 bytes; null for a row that is not sent)."""
        self._heads.append(keys.bin.head(8).bin.reinterpret(dtype=pl.UInt64))

    def repeated(self, spool: Path) -> Iterator[pl.DataFrame]:
        """The rows whose key occurs again: ``row, key, body_hash``, in order, all rows of a key in one frame."""
        twice = pl.concat(_twice(self._heads)) if self._heads else pl.Series()
        if twice.is_empty():
            return
        heads = pl.concat(self._heads, rechunk=False)
        alike = heads.is_in(twice.implode()).fill_null(value=False)
        parts = 1 + int(alike.sum()) // _PART
        for part in range(parts):
            wanted = alike & (heads % parts == part) if parts > 1 else alike
            found = pl.concat(_picked(spool, wanted))
            yield found.filter(pl.col("key").is_duplicated())


def _twice(heads: list[pl.Series]) -> Iterator[pl.Series]:
    """The beginnings that occur more than once, found part by part: a sorted copy of all would double the memory."""
    parts = 1 + sum(map(len, heads)) // _PART
    for part in range(parts):
        in_order = pl.concat([some.filter(some % parts == part) for some in heads]).sort()
        yield in_order.filter(in_order == in_order.shift(1)).unique()


def _picked(spool: Path, wanted: pl.Series) -> Iterator[pl.DataFrame]:
    first = 0
    for record in read_spool(spool, ("row", "key", "body_hash")):
        here = wanted.slice(first, record.height)
        first += record.height
        yield record.filter(here)
