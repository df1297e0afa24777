"""Settled rows become frames, whether columns are the same for all rows or not."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpost.model import Outcome, Settlement
from batchpost.settled import SETTLED, Settled

TOOK = Settlement(Outcome.DELIVERED, "conversion", "", 200, "", "conv_1", "src_1", "")
GONE = Settlement(Outcome.REJECTED, "lead_not_found", "no lead", None)
CLAIM = (b"k", b"b", b"", "5.00")


def add(to: Settled, rows: list[int], settlement: list[Any], **changes: Any) -> None:
    """Rows settled at once; what is not said of them is the same for all."""
    given = {"at": 2.0, "firsts": 1.0, "attempts": 1, "latencies": 5.5, "applied": True, "sittings": 1, **changes}
    to.add(rows, given.pop("claims", CLAIM), settlement, **given)


def test_columns_that_are_the_same_for_all_rows() -> None:
    settled = Settled()
    add(settled, [3, 4], [*TOOK])
    add(settled, [5], [*TOOK])
    assert settled.height == 3
    frame = settled.frame()
    assert dict(frame.schema) == SETTLED
    tail = (*CLAIM, *TOOK, 2.0, 1.0, 1, 5.5, True, 1)
    assert frame.rows() == [(3, *tail), (4, *tail), (5, *tail)]


def test_columns_that_were_the_same_for_all_rows_until_now() -> None:
    """A bare item after a bare one, a list after a bare one, and both again after that."""
    settled = Settled()
    add(settled, [0, 1], [*TOOK])
    add(settled, [2], [*GONE], at=3.0, applied=False)
    mixed = [[took, gone] for took, gone in zip(TOOK, GONE, strict=True)]
    add(settled, [3, 4], mixed, applied=[True, False], firsts=(1.5, 2.5), latencies=[5.5, 5.5])
    add(settled, [5, 6], [*TOOK], sittings=[2, 1], attempts=[1, 3])
    frame = settled.frame()
    assert dict(frame.schema) == SETTLED
    assert frame["row"].to_list() == [*range(7)]
    assert frame["outcome"].to_list() == [*["delivered"] * 2, "rejected", "delivered", "rejected", *["delivered"] * 2]
    assert frame["http_status"].to_list() == [200, 200, None, 200, None, 200, 200]
    assert frame["detail"].to_list() == ["", "", "no lead", "", "no lead", "", ""]
    assert frame["settled_at"].to_list() == [2.0, 2.0, 3.0, 2.0, 2.0, 2.0, 2.0]
    assert frame["first_attempt_at"].to_list() == [1.0, 1.0, 1.0, 1.5, 2.5, 1.0, 1.0]
    assert frame["may_be_applied"].to_list() == [True, True, False, True, False, True, True]
    assert frame["attempts"].to_list() == [1, 1, 1, 1, 1, 1, 3]
    assert frame["sitting"].to_list() == [1, 1, 1, 1, 1, 2, 1]
    assert frame["latency_ms"].to_list() == [5.5] * 7
    assert frame["key"].to_list() == [b"k"] * 7


def test_a_status_that_is_missing_at_first_and_for_all() -> None:
    settled = Settled()
    add(settled, [0, 1], [*GONE])
    assert settled.frame()["http_status"].to_list() == [None, None]
    add(settled, [2], [*GONE])
    add(settled, [3], [*TOOK])
    assert settled.frame()["http_status"].to_list() == [None, 200]


def test_a_frame_takes_what_was_collected() -> None:
    settled = Settled()
    add(settled, [0], [*TOOK])
    assert settled.frame().height == 1
    assert settled.height == 0
    empty = settled.frame()
    assert (empty.height, dict(empty.schema)) == (0, SETTLED)
    add(settled, [1], [*GONE])
    assert settled.frame().select("row", "reason").rows() == [(1, "lead_not_found")]


def test_what_does_not_fit_its_column_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        add(Settled(), [0], [*TOOK, "more"])


VALUES = st.sampled_from(["", "a", "b"])


@given(
    st.lists(
        st.integers(1, 4).flatmap(
            lambda height: st.one_of(VALUES, st.lists(VALUES, min_size=height, max_size=height)).map(
                lambda column: (height, column)
            )
        ),
        max_size=8,
    )
)
def test_every_way_to_say_a_column_comes_to_the_same(columns: list[tuple[int, str | list[str]]]) -> None:
    settled, said = Settled(), []
    for height, column in columns:
        rows = [*range(len(said), len(said) + height)]
        add(settled, rows, ["delivered", column, "", None, "", "", "", ""])
        said += [column] * height if isinstance(column, str) else column
    frame = settled.frame()
    assert frame["reason"].to_list() == said
    assert frame["row"].to_list() == [*range(len(said))]
    assert frame["outcome"].to_list() == ["delivered"] * len(said)
    assert frame.select(pl.exclude("http_status")).null_count().sum_horizontal().item() == 0
