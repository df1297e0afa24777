from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchpost import duplicates
from batchpost.duplicates import Keys
from batchpost.spool import SpoolWriter, spool_schema

HALF = st.integers(0, 3)


def repeated(folder: Path, keys: list[bytes | None], batch: int = 7) -> list[list[int]]:
    """The rows of each key that comes again."""
    found = Keys()
    path = folder / "plan.arrow"
    with SpoolWriter(path, ()) as spool:
        for first in range(0, len(keys), batch):
            some = pl.Series("key", keys[first : first + batch], dtype=pl.Binary)
            found.extend(some)
            nothing = {name: None for name in spool_schema(()) if name not in ("row", "key")}
            rows = pl.int_range(first, first + len(some), eager=True)
            spool.write(pl.DataFrame({"row": rows, "key": some, **nothing}))
    groups: dict[bytes, list[int]] = {}
    for frame in found.repeated(path):
        here: dict[bytes, list[int]] = {}
        for row, key in frame.select("row", "key").iter_rows():
            here.setdefault(key, []).append(row)
        assert not groups.keys() & here.keys()
        groups |= here
    return sorted(groups.values())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(HALF, HALF) | st.none(), max_size=40), part=st.integers(1, 8))
def test_repeated_keys_are_all_of_them_in_order_of_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[int, int] | None], part: int
) -> None:
    """Keys differ in their beginning or only in their end, so that both must count; parts are as small as can be."""
    monkeypatch.setattr(duplicates, "_PART", part)
    keys = [None if row is None else row[0].to_bytes(8, "little") + row[1].to_bytes(8, "little") for row in rows]
    groups = repeated(tmp_path, keys)
    expected = [[n for n, other in enumerate(rows) if other == row] for row in set(rows) if row is not None]
    assert groups == sorted(group for group in expected if len(group) > 1)
    assert all(before < after for group in groups for before, after in pairwise(group))


def test_an_input_without_rows_repeats_nothing(tmp_path: Path) -> None:
    assert repeated(tmp_path, []) == []
    assert repeated(tmp_path, [None, None]) == []
