from __future__ import annotations

from random import Random

import polars as pl
import pytest

from batchpost.rowbytes import bitmap, bits, byte_column, bytes_of, mark


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 16, 1000])
def test_flags_become_bits_with_the_first_one_lowest_and_come_back(rows: int) -> None:
    flags = bytes(Random(rows).choices((0, 1), k=rows))
    packed = bitmap(flags)
    assert int.from_bytes(packed, "little") == sum(flag << number for number, flag in enumerate(flags))
    assert len(packed) == rows // 8 + 1
    assert bits(packed, rows).to_list() == [bool(flag) for flag in flags]


def test_a_bitmap_that_is_too_short_says_no_of_the_rest_and_one_too_long_is_cut() -> None:
    assert bits(b"\x03", 20).to_list() == [True, True] + [False] * 18
    assert bits(b"\xff\xff\xff", 3).to_list() == [True] * 3


def test_a_part_of_a_column_has_the_bytes_of_that_part() -> None:
    column = byte_column(bytes(range(100)))
    assert bytes_of(column.slice(13, 5)) == bytes(range(13, 18))
    assert bytes_of(pl.concat([column, column], rechunk=False).slice(98, 4)) == bytes([98, 99, 0, 1])
    assert bytes_of(byte_column(b"")) == b""


def test_only_the_rows_named_are_marked_in_whatever_order() -> None:
    content = bytearray(b"abcdefgh")
    mark(content, pl.Series([6, 1, 4, 1], dtype=pl.UInt32), ord("-"))
    mark(content, pl.Series([], dtype=pl.UInt32), ord("!"))
    assert content == b"a-cd-f-h"
