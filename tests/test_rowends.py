"""The ends of rows, wherever they are."""

from __future__ import annotations

from pathlib import Path
from stat import S_IMODE

import polars as pl
import pytest

from batchpost.locks import Locks
from batchpost.lookback import Found
from batchpost.rowends import ENDS_FILE, Ends, Picks, RunEnds, keep_ends, run_ends
from batchpost.upkeep import forget
from tests.histories import died, latest_run
from tests.workspaces import Workspace, sale_rows, write_csv


@pytest.fixture
def finished(workspace: Workspace) -> Found:
    """A run of five sales, one of which is no sale."""
    workspace.sales()
    write_csv(workspace.folder / "in.csv", {**sale_rows(5), "Payout": ["1.50", "bad", "2.25", "3", "4"]})
    workspace.run()
    return latest_run(workspace)


def of(run: Found, number: int = 0) -> RunEnds:
    return run_ends(run.record, run.at, number)


def ends(run: RunEnds, picks: Picks | None = None) -> list[tuple[int, str, str | None]]:
    found = Ends([run]).picked([run.number], picks or Picks()).sort("row")
    return found.select("row", "outcome", pl.col("amount").cast(pl.String)).rows()


ALL = [
    (1, "delivered", "1.500000000"),
    (2, "invalid", None),
    (3, "delivered", "2.250000000"),
    (4, "delivered", "3.000000000"),
    (5, "delivered", "4.000000000"),
]


def test_what_forget_leaves_says_the_same_without_ids(finished: Found) -> None:
    before = of(finished)
    assert ends(before) == ALL
    assert Ends([before]).picked([0], Picks())["key"].to_list()[0] == "txn_00000\0sale_completed"
    forget([finished], 0.0)
    after = of(finished)
    assert after.table == finished.folder / ENDS_FILE
    assert S_IMODE((finished.folder / ENDS_FILE).stat().st_mode) == 0o600
    assert ends(after) == ALL
    assert Ends([after]).picked([0], Picks())["key"].null_count() == 5
    content = pl.read_parquet(finished.folder / ENDS_FILE)
    assert not any("txn_" in str(cell) or "@" in str(cell) for row in content.rows() for cell in row)


def test_rows_are_counted_and_their_money_added_by_file_and_end(finished: Found) -> None:
    tally = Ends([of(finished, 3)]).tallied([3]).sort("outcome")
    assert tally.select("run", "file", "outcome", "rows", "priced", pl.col("amount").cast(pl.Float64)).rows() == [
        (3, 0, "delivered", 4, 4, 10.75),
        (3, 0, "invalid", 1, 0, 0.0),
    ]


@pytest.mark.parametrize("kept", [False, True])
def test_some_rows_are_picked(finished: Found, kept: bool) -> None:
    if kept:
        keep_ends(of(finished))
        (finished.folder / "outcomes.csv").unlink()
    run = of(finished)
    assert ends(run, Picks(pl.col("outcome") == "invalid")) == ALL[1:2]
    places = pl.DataFrame({"run": [0, 0, 1], "file": [0, 0, 0], "row": [4, 9, 1]}, schema_overrides=_PLACE)
    assert ends(run, Picks(places=places)) == ALL[3:4]
    keys = pl.Series(["txn_00002\0sale_completed", "txn_00003\0other"])
    assert ends(run, Picks(keys=keys)) == ([] if kept else ALL[2:3])


_PLACE = {"run": pl.UInt32, "file": pl.UInt16, "row": pl.UInt32}


def test_a_run_that_died_is_picked_from_in_the_same_way(workspace: Workspace) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(4))
    run = died(workspace, 3)
    assert run is not None
    found = of(run)
    assert (found.plan is not None, found.held) == (True, False)
    assert [row[:2] for row in ends(found)] == [*((row, "delivered") for row in (1, 2, 3)), (4, "not_attempted")]
    places = pl.DataFrame({"run": [0], "file": [0], "row": [4]}, schema_overrides=_PLACE)
    assert [row[:2] for row in ends(found, Picks(places=places))] == [(4, "not_attempted")]
    assert [row[:2] for row in ends(found, Picks(keys=pl.Series(["txn_00001\0sale_completed"])))] == [(2, "delivered")]
    assert Ends([found]).tallied([0]).sort("outcome")["rows"].to_list() == [3, 1]


def test_a_run_whose_lock_is_held_is_under_way(workspace: Workspace) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(4))
    run = died(workspace, 3)
    assert run is not None
    with Locks(run.at.locks) as locks:
        locks.take(f"run {run.record.run_id}", "the run")
        found = of(run)
    assert (found.held, ends(found)[3][1]) == (True, "not_attempted")


def test_a_plan_that_is_damaged_is_a_fault_and_nothing_else_is_taken_for_it(workspace: Workspace) -> None:
    workspace.sales()
    write_csv(workspace.folder / "in.csv", sale_rows(4))
    run = died(workspace, 3)
    assert run is not None
    (run.at.run(run.record.run_id) / "fates.bin").write_bytes(b"\0\0\0")
    found = of(run)
    assert (found.known, found.fault) == (False, "fates.bin is damaged")
    assert ends(found) == []


def test_of_one_damaged_table_among_others_only_that_one_is_left_out(workspace: Workspace, finished: Found) -> None:
    write_csv(workspace.folder / "in.csv", sale_rows(2))
    workspace.run()
    path = finished.folder / "outcomes.csv"
    path.write_text(path.read_text().replace("2.25", "two"))
    runs = [of(finished, 0), of(latest_run(workspace), 1)]
    reader = Ends(runs)
    assert reader.tallied([0, 1])["run"].unique().to_list() == [1]
    assert reader.faults == {0: "cannot be read as it was written (InvalidOperationError)"}


def test_nothing_is_kept_of_what_cannot_be_read(finished: Found, tmp_path: Path) -> None:
    path = finished.folder / "outcomes.csv"
    path.write_text(path.read_text().replace("2.25", "two"))
    assert not keep_ends(of(finished))
    path.unlink()
    assert not keep_ends(of(finished))
    assert sorted(one.name for one in finished.folder.iterdir()) == ["summary.json", "to_fix.csv"]


def test_ends_are_not_written_through_a_link(finished: Found, tmp_path: Path) -> None:
    moved = finished.folder.rename(tmp_path / "moved")
    finished.folder.symlink_to(moved)
    assert not keep_ends(of(finished))
    assert not (moved / ENDS_FILE).exists()
