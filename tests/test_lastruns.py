from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchpost.lastruns import PastRun, compared, last_runs
from batchpost.places import Places


def past(rows: int, revenue: str = "") -> PastRun:
    return PastRun("r", "2026-11-26T02:15:00Z", rows, {"revenue": Decimal(revenue)} if revenue else {})


def write(folder: Path, number: int, **changes: Any) -> None:
    summary = {
        "run_id": f"r{number}",
        "test": False,
        "state": "finished",
        "started_at": f"2026-11-{number:02}T02:15:00Z",
        "rows": {"read": 10 * number, "skipped": number, "delivered": 9 * number},
        "money": {"revenue": {"read": "100.50", "skipped": "0.50"}},
        "source": [{"path": "in.csv", "sha256": f"sha{number}"}],
        **changes,
    }
    (folder / f"r{number:02}").mkdir(parents=True)
    (folder / f"r{number:02}" / "summary.json").write_text(json.dumps(summary))


@pytest.fixture
def at(tmp_path: Path) -> Places:
    return Places(tmp_path / "ledger.db", tmp_path / "results", test=False)


def test_a_job_without_a_run_has_none(at: Places) -> None:
    assert last_runs(at) == []
    assert compared(5, {}, []) == []


def test_the_last_ones_come_first_and_skipped_rows_do_not_count(at: Places) -> None:
    for number in range(1, 12):
        write(at.results, number)
    found = last_runs(at)
    assert [run.run_id for run in found] == [f"r{number}" for number in range(11, 4, -1)]
    assert (found[0].rows, found[0].money) == (99, {"revenue": Decimal("100.00")})


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "stopped"},
        {"mends": True},
        {"test": True},
        {"source": [{"sha256": "own"}]},
        {"source": [{"sha256": "sha1"}]},
    ],
)
def test_what_is_no_other_ordinary_night_is_left_out(at: Places, changes: dict[str, Any]) -> None:
    write(at.results, 2, **changes)
    write(at.results, 1)
    runs = [run.run_id for run in last_runs(at, ["own"])]
    assert len(runs) == 1


def test_a_usual_night_is_told_without_a_remark() -> None:
    before = [past(100, "1000"), past(120, "1200.50"), past(90, "900")]
    [told] = compared(110, {"revenue": Decimal("1100")}, before)
    assert told == (
        "Beside the last 3 runs of this job: 110 rows (before: 90 to 120); "
        "1,100.00 revenue (before: 900.00 to 1,200.50)"
    )


@pytest.mark.parametrize(
    ("rows", "remark"),
    [(45, "far fewer than usual"), (44, "far fewer than usual"), (50, ""), (201, "far more than usual"), (200, "")],
)
def test_half_or_twice_as_many_is_told(rows: int, remark: str) -> None:
    [told] = compared(rows, {}, [past(100)])
    assert told.endswith(f"{remark} (before: 100)" if remark else f"{rows} rows (before: 100)")


def test_money_that_earlier_runs_did_not_have_is_not_compared() -> None:
    [told] = compared(5, {"revenue": Decimal(5)}, [past(5)])
    assert told == "Beside the last run of this job: 5 rows (before: 5)"
