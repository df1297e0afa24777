"""Settled rows found again by their number, wherever they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpost.ended import ENDED, EndedRows
from batchpost.model import Outcome, Settlement
from batchpost.recordshapes import Claim
from tests.endings import Ended, settled_frame

CLAIM = Claim(b"k", b"b", b"s", "")


def settled(*rows: tuple[int, str]) -> pl.DataFrame:
    """Rows and the reason of each."""
    return settled_frame(
        Ended(number, CLAIM, Settlement(Outcome.DELIVERED, reason), 2.0, 1.0, 1, 9.5, False) for number, reason in rows
    )


def found(rows: EndedRows, first: int, height: int) -> list[tuple[int, str]]:
    return rows.between(first, height).select("row", "reason").rows()


def files_open_in(folder: Path) -> int:
    links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(link.is_relative_to(folder) for link in links)


@pytest.mark.parametrize("held", [0, 7, 1000])
def test_rows_come_in_the_order_of_their_numbers_each_with_its_last_end(tmp_path: Path, held: int) -> None:
    numbers = Random(1).sample(range(100), 80)
    expected = dict.fromkeys(numbers, "first") | dict.fromkeys(numbers[:9], "later")
    with EndedRows(tmp_path, held=held, bucket=16) as rows:
        for start in range(0, 80, 10):
            rows.add(settled(*((number, "first") for number in numbers[start : start + 10])))
        rows.add(settled(*((number, "later") for number in numbers[:9])))
        for first in (0, 30, 60, 90, 30):
            assert found(rows, first, 30) == sorted((n, r) for n, r in expected.items() if first <= n < first + 30)
        assert rows.height == 80


@given(
    st.lists(st.lists(st.integers(0, 60), unique=True, max_size=20), max_size=8),
    st.integers(0, 30),
    st.integers(1, 40),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_how_many_are_held_or_read_at_a_time_makes_no_difference(
    parts: Sequence[Sequence[int]], held: int, bucket: int, first: int, height: int
) -> None:
    last = {number: f"{part}" for part, numbers in enumerate(parts) for number in numbers}
    with EndedRows(Path("/tmp"), held=held, bucket=bucket) as rows:
        for part, numbers in enumerate(parts):
            rows.add(settled(*((number, f"{part}") for number in numbers)))
        assert found(rows, first, height) == sorted((n, r) for n, r in last.items() if first <= n < first + height)
        assert rows.height == len(last)


def test_what_is_read_has_all_that_the_results_need(tmp_path: Path) -> None:
    end = Settlement(Outcome.REJECTED, "lead_not_found", "not there", 404, "none", "c1", "p1", "https://x")
    whole = settled_frame([Ended(3, CLAIM, end, 2.25, 1.5, 4, 9.5, True)])
    with EndedRows(tmp_path, held=0) as rows:
        rows.add(whole)
        assert rows.between(0, 10).equals(whole.select(*ENDED))


def test_rows_without_an_end_are_no_rows(tmp_path: Path) -> None:
    with EndedRows(tmp_path, bucket=4) as rows:
        assert (rows.height, dict(rows.between(0, 100).schema)) == (0, ENDED)
        rows.add(settled((50, "far")))
        assert found(rows, 0, 50) == found(rows, 51, 100) == []
        assert found(rows, 0, 0) == []


def test_few_rows_need_no_file_and_many_leave_none(tmp_path: Path) -> None:
    with EndedRows(tmp_path, held=2, bucket=4) as rows:
        rows.add(settled((0, "a"), (1, "b")))
        assert files_open_in(tmp_path) == 0
        rows.add(settled((9, "c")))
        assert files_open_in(tmp_path) == 1
        assert list(tmp_path.iterdir()) == [], "it has no name that another process could open it by"
        assert found(rows, 0, 10) == [(0, "a"), (1, "b"), (9, "c")]
    assert files_open_in(tmp_path) == 0


def test_where_the_disk_takes_no_more_memory_has_to_do(tmp_path: Path) -> None:
    with EndedRows(tmp_path / "missing", held=2, bucket=4) as rows:
        for number in range(20):
            rows.add(settled((number, "kept")))
        assert found(rows, 0, 20) == [(number, "kept") for number in range(20)]
        assert rows.height == 20
