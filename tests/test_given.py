"""A frame in a statement: every value arrives as it is, and in its order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import polars as pl
import pytest

from batchpost.given import given


def arrived(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    with apsw.Connection(":memory:") as connection:
        parts = given(frame, "SELECT * FROM given")
        return [row for text, values in parts for row in connection.execute(text, values)]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pl.Binary, [b"\0" * 16, b"\xff" * 16]),
        (pl.Binary, [b"", b"a\0b", None, b"longer than the others"]),
        (pl.Binary, [b"", b""]),
        (pl.String, ["85.00", "9.5", "", None, "a\0b", "Žluťoučký kůň"]),
        (pl.String, [None, None]),
        (pl.UInt32, [0, 7, 4_294_967_295]),
        (pl.Int64, [-(2**63), -1, None, 2**63 - 1]),
        (pl.Int64, [5, 5, 5]),
        (pl.Float64, [1_750_000_000.123456, -1e-9, 0.1, None, 1e300]),
        (pl.Boolean, [True, None, False]),
        (pl.Boolean, [True, True]),
    ],
)
def test_values_arrive_as_they_are(kind: type[pl.DataType], values: Sequence[Any]) -> None:
    assert arrived(pl.DataFrame({"one": values}, schema={"one": kind})) == [(value,) for value in values]


def test_many_rows_arrive_in_their_order_each_with_its_own_values() -> None:
    """More than a statement takes, of a frame that is a part of another one."""
    rows = pl.int_range(50_000, eager=True)
    frame = pl.DataFrame({"number": rows, "name": rows.cast(pl.String), "third": rows % 3}).slice(11)
    frame = frame.with_columns(key=pl.col("name").cast(pl.Binary), gap=pl.when(pl.col("third") != 1).then("name"))
    assert arrived(frame) == frame.rows()


def test_no_rows_are_no_statement() -> None:
    assert list(given(pl.DataFrame(schema={"key": pl.Binary}), "SELECT * FROM given")) == []
