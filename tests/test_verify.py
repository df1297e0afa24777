from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchpost.errors import UsageError
from batchpost.verify import differences
from tests.workspaces import SALE, Workspace, sale_rows, sandbox, write_csv

# A file's text as it is and as it should not be.
Edit = Callable[[str], str]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with delivered, invalid, rejected and conflicting rows, and cells that look like formulas."""
    folder = tmp_path_factory.mktemp("sound")
    known = write_csv(folder / "leads.csv", {"transaction_id": ["txn_00000", "txn_00001", "=txn"]})
    with sandbox(accept_any=False, leads=known) as (server, _):
        place = Workspace(folder, server.base_url)
        place.sales()
        write_csv(folder / "in.csv", sale_rows(2))
        place.run()
        rows = {"Lead": ["txn_00000", "=txn", "-gone", "txn_9"], "Payout": ["99", "1.5", "2", "x"], "Email": [""] * 4}
        write_csv(folder / "in.csv", rows)
        summary = place.run()
    assert summary["rows"] | {"delivered": 1, "rejected": 1, "invalid": 2} == summary["rows"]
    assert (summary["to_fix"], summary["corrections"]) == (2, 1)
    return place.results(summary)


@pytest.fixture
def results(sound: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    for file in sound.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def check(results: Path, **changes: Any) -> list[str]:
    return differences(results, json.loads((results / "summary.json").read_text()) | changes)


def edit(path: Path, change: Edit) -> None:
    before = path.read_text()
    after = change(before)
    assert after != before
    path.write_text(after)


def drop_line(number: int) -> Edit:
    return lambda text: "\n".join(line for at, line in enumerate(text.splitlines()) if at != number) + "\n"


def repeat_line(number: int) -> Edit:
    return lambda text: text + text.splitlines()[number] + "\n"


def test_the_books_of_a_run_agree(sound: Path) -> None:
    assert check(sound) == []


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("outcomes.csv", drop_line(2), "outcomes: in.csv has 4 rows, of which 3 are there"),
        ("outcomes.csv", repeat_line(1), "outcomes: in.csv has 4 rows, of which 5 are there"),
        ("outcomes.csv", lambda text: text.replace("in.csv,2,", "in.csv,1,"), "outcomes: the row numbers of in.csv"),
        ("outcomes.csv", lambda text: text.replace("in.csv,1,", "on.csv,1,"), "outcomes: rows of on.csv, which the"),
        ("outcomes.csv", lambda text: text.replace("rejected", "lost"), "outcomes: 1 rows have no known outcome"),
        ("outcomes.csv", lambda text: text.replace("lead_not_found", ""), "outcomes: 1 rows have no reason"),
        ("outcomes.csv", lambda text: text.replace("delivered", "failed"), "rows: failed is 1 in outcomes, 0 in the"),
        ("outcomes.csv", lambda text: text.replace("conversion,", "tracking,"), "reasons: tracking is 1 in outcomes"),
        ("outcomes.csv", lambda text: text.replace("1.5", "15"), "money revenue: delivered is 15.00 in outcomes"),
        ("to_fix.csv", drop_line(1), "to_fix.csv: 1 rows, 2 in the summary, 2 to mend in outcomes"),
        ("to_fix.csv", lambda text: text.replace("not_a_number", "not_a_date"), "to_fix.csv: its rows are not those"),
        ("corrections.csv", drop_line(1), "corrections.csv: 0 rows, 1 in the summary, 1 conflicts in outcomes"),
        ("corrections.csv", lambda text: text.replace("99", "98"), "corrections.csv: its entries are not the"),
    ],
)  # fmt: skip
def test_whatever_was_changed_is_told(results: Path, file: str, change: Edit, told: str) -> None:
    edit(results / file, change)
    found = check(results)
    assert any(line.startswith(told) for line in found), found


def test_a_file_that_cannot_be_read_is_told_without_its_content(results: Path) -> None:
    (results / "outcomes.csv").write_text("source,row\ncanary,1\n")
    [told] = check(results)
    assert "canary" not in told


@pytest.mark.parametrize("name", ["to_fix.csv", "corrections.csv"])
def test_a_file_that_is_gone_is_told(results: Path, name: str) -> None:
    (results / name).unlink()
    assert [line.partition(":")[0] for line in check(results)] == [name]


def test_a_summary_that_does_not_add_up_is_told(results: Path) -> None:
    summary = json.loads((results / "summary.json").read_text())
    rows = {**summary["rows"], "read": 5}
    money = {"revenue": {**summary["money"]["revenue"], "read": "1.00"}}
    found = check(results, rows=rows, money=money)
    assert "summary: the outcomes do not add up to the rows read" in found
    assert "summary: revenue does not add up to what was read" in found


def test_a_to_fix_that_could_not_be_written_is_no_difference(results: Path) -> None:
    (results / "to_fix.csv").unlink()
    assert check(results, to_fix=None) == []


def test_deleted_results_cannot_be_verified(results: Path) -> None:
    (results / "outcomes.csv").unlink()
    with pytest.raises(UsageError, match="no outcomes of this run"):
        check(results)


def test_parquet_several_files_and_a_mend_of_a_mend_agree_too(tmp_path: Path) -> None:
    with sandbox(events={}, accept_any=False) as (server, _):
        place = Workspace(tmp_path, server.base_url)
        place.job(fields=SALE, source='path = ["a.parquet", "b.parquet"]\ntake = "all"')
        for name in ("a", "b"):
            pl.DataFrame(sale_rows(3, name)).write_parquet(tmp_path / f"{name}.parquet")
        first = place.run()
        place.job(fields=SALE, source=f'path = "{place.results(first) / "to_fix.csv"}"')
        second = place.run()
    assert differences(place.results(first), first) == []
    assert second["to_fix"] == 6
    assert differences(place.results(second), second) == []
