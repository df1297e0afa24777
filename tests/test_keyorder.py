from __future__ import annotations

from pathlib import Path
from random import Random

import polars as pl
import pytest

from batchpost.keyorder import KeyOrder

SCHEMA = {"key": pl.Binary, "row": pl.UInt32, "note": pl.String}


def frames(rows: int, of: int) -> list[pl.DataFrame]:
    """So many rows in frames of so many, each key several times."""
    random = Random(rows)
    keys = [random.randbytes(16) for _ in range(rows // 3 + 1)] + [b""]
    told = [(random.choice(keys), row, random.choice([None, "", "x" * row])) for row in range(rows)]
    return [pl.DataFrame(told[at : at + of], schema=SCHEMA, orient="row") for at in range(0, rows, of)]


@pytest.mark.parametrize("held", [1, 10, 64, 1000])
def test_rows_come_back_by_key_and_those_of_one_key_in_their_order(tmp_path: Path, held: int) -> None:
    given = frames(300, of=7)
    with KeyOrder(tmp_path, held=held) as order:
        for frame in given:
            order.add(frame)
        parts = list(order.parts())
    in_order = pl.concat(
        part.select(pl.col("key").min().alias("low"), pl.col("key").max().alias("high")) for part in parts
    )
    bounds = [bound for row in in_order.drop_nulls().rows() for bound in row]
    assert bounds == sorted(bounds)
    back = pl.concat(parts)
    assert dict(back.schema) == SCHEMA
    assert back.sort("key", maintain_order=True).equals(pl.concat(given).sort("key", maintain_order=True))


def test_few_rows_are_one_part_without_a_file(tmp_path: Path) -> None:
    with KeyOrder(tmp_path / "missing") as order:
        order.add(pl.DataFrame())
        order.add(frames(5, of=5)[0])
        assert [part.height for part in order.parts()] == [5]


def test_no_rows_are_no_part() -> None:
    with KeyOrder() as order:
        assert list(order.parts()) == []


def test_no_file_is_seen_while_it_is_used_and_none_is_left(tmp_path: Path) -> None:
    with KeyOrder(tmp_path, held=1) as order:
        order.add(frames(9, of=9)[0])
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with KeyOrder(tmp_path / "missing", held=1) as order, pytest.raises(OSError, match="missing"):
        order.add(frames(3, of=3)[0])
