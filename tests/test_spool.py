from __future__ import annotations

import os
import stat
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from batchpost.spool import SpoolWriter, read_spool, spool_schema

MONEY = ("revenue",)


def a_frame(first: int, rows: int) -> pl.DataFrame:
    texts = {name: [None] * rows for name in ("campaign_id", "event_id", "pid", "detail")}
    return pl.DataFrame(
        {
            "line": range(first, first + rows),
            "row": range(first, first + rows),
            "file": [0] * rows,
            "file_row": range(1, rows + 1),
            **texts,
            "transaction_id": [f"txn_{number}" for number in range(rows)],
            "amount": ["1.50"] * rows,
            "money_revenue": [Decimal("1.50")] * rows,
            "key": [b"k" * 16] * rows,
            "body_hash": [None] * rows,
            "stake": [b""] * rows,
            "fires_again": [True] * rows,
            "body": ["not kept"] * rows,
        }
    )


def test_frames_come_back_as_they_were_written_with_the_spools_columns_only(tmp_path: Path) -> None:
    path = tmp_path / "plan.arrow"
    with SpoolWriter(path, MONEY) as writer:
        writer.write(a_frame(0, 3))
        writer.write(a_frame(3, 1))
    first, second = read_spool(path)
    assert dict(first.schema) == spool_schema(MONEY)
    assert (first.height, second["row"].to_list()) == (3, [3])
    assert first["money_revenue"].to_list() == [Decimal("1.5")] * 3
    assert first.row(0, named=True)["key"] == b"k" * 16


def test_columns_and_frames_are_given_out_as_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "plan.arrow"
    with SpoolWriter(path, MONEY) as writer:
        for first in range(4):
            writer.write(a_frame(first, 1))
    found = list(read_spool(path, ("row", "key"), [False, True, False, True]))
    assert [frame.rows() for frame in found] == [[(1, b"k" * 16)], [(3, b"k" * 16)]]


def test_an_input_without_rows_leaves_no_frames(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path / "plan.arrow", ()):
        pass
    assert list(read_spool(tmp_path / "plan.arrow")) == []


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with SpoolWriter(tmp_path / "plan.arrow", ()):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "plan.arrow").stat().st_mode) == 0o600


def test_a_spool_of_a_run_before_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "plan.arrow").write_bytes(b"old" * 10_000)
    with SpoolWriter(tmp_path / "plan.arrow", MONEY) as writer:
        writer.write(a_frame(0, 2))
    assert [frame.height for frame in read_spool(tmp_path / "plan.arrow")] == [2]


@pytest.mark.parametrize("size", [200, 700, 900])
def test_a_torn_spool_is_an_error_not_a_shorter_run(tmp_path: Path, size: int) -> None:
    path = tmp_path / "plan.arrow"
    with SpoolWriter(path, MONEY) as writer:
        writer.write(a_frame(0, 50))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises((OSError, ValueError)):
        list(read_spool(path))
