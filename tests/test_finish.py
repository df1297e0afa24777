from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from batchpost.errors import InputChanged
from batchpost.finish import Written, write_results
from batchpost.firstpass import Plan
from batchpost.job import Job
from batchpost.model import Outcome, Settlement
from batchpost.outcomes import Ends
from batchpost.recordshapes import Claim
from batchpost.source import Reader
from tests.endings import Ended, ended_rows
from tests.test_feed import STEP, a_job, planned
from tests.workspaces import csv, sale_rows

CLAIM = Claim(b"", b"", b"", "")


def ends(*rows: tuple[int, Outcome, str]) -> Ends:
    made = [Ended(n, CLAIM, Settlement(outcome, reason), 2.0, 1.0, 1, 1.0, False) for n, outcome, reason in rows]
    return Ends(ended_rows(made), {}, "finished")


def written(folder: Path, job: Job, plan: Plan, readers: Sequence[Reader], end: Ends) -> Written:
    (folder / "out").mkdir(exist_ok=True)
    return write_results(folder / "out", "r1", job, plan, readers, end)


def delivered(count: int) -> list[tuple[int, Outcome, str]]:
    return [(number, Outcome.DELIVERED, "conversion") for number in range(count)]


def test_books_sources_and_files_are_those_of_the_rows(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    plan, readers = planned(job, sale_rows(STEP + 4), {**sale_rows(3, "other"), "Payout": ["1", "bad", "2.50"]})
    total = STEP + 7
    rows = [*delivered(STEP + 5), (total - 1, Outcome.FAILED, "dropped")]
    found = written(tmp_path, job, plan, readers, ends(*rows))
    assert found.books.rows == {"delivered": STEP + 5, "invalid": 1, "failed": 1}
    assert found.books.read == csv(tmp_path / "out" / "outcomes.csv").height == total
    assert found.unfinished == {"1.csv"}
    assert {name: str(money["revenue"]) for name, money in found.money_by_source.items()}["1.csv"] == "3.500000000"
    assert (found.to_fix, csv(tmp_path / "out" / "to_fix.csv")["Lead"].to_list()) == (1, ["other_00001"])


def test_nothing_to_fix_leaves_no_file_also_where_an_earlier_sitting_left_one(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    plan, readers = planned(job, sale_rows(2))
    end = ends((0, Outcome.REJECTED, "lead_not_found"), (1, Outcome.DELIVERED, "conversion"))
    assert written(tmp_path, job, plan, readers, end).to_fix == 1
    assert written(tmp_path, job, plan, readers, ends(*delivered(2))).to_fix == 0
    assert not (tmp_path / "out" / "to_fix.csv").exists()
    rejected = ends((0, Outcome.REJECTED, "server_duplicate"), (1, Outcome.DELIVERED, "conversion"))
    assert written(tmp_path, job, plan, readers, rejected).to_fix == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["outcomes.csv"]


def test_an_input_that_has_changed_costs_to_fix_and_nothing_else(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    plan, readers = planned(job, sale_rows(2))
    (tmp_path / "0.csv").write_text("Lead,Payout,Email\nx,1,\n")
    end = ends((0, Outcome.REJECTED, "lead_not_found"))
    found = written(tmp_path, job, plan, readers, end)
    assert (found.to_fix, found.books.read) == (None, 2)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["outcomes.csv"]


def test_outcomes_with_all_columns_need_the_input_as_it_was(tmp_path: Path) -> None:
    job = a_job(tmp_path, results='include = "all"')
    plan, readers = planned(job, sale_rows(2))
    written(tmp_path, job, plan, readers, ends(*delivered(2)))
    assert csv(tmp_path / "out" / "outcomes.csv")["Email"].to_list() == sale_rows(2)["Email"]
    before = (tmp_path / "out" / "outcomes.csv").read_bytes()
    (tmp_path / "0.csv").write_text("Lead,Payout,Email\nx,1,\n")
    with pytest.raises(InputChanged):
        written(tmp_path, job, plan, readers, ends())
    assert (tmp_path / "out" / "outcomes.csv").read_bytes() == before
    assert written(tmp_path, job, plan, (), ends(*delivered(2))).books.read == 2


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_of_the_input_that_are_called_like_ours_are_kept_beside_them(tmp_path: Path, kind: str) -> None:
    job = a_job(tmp_path, results=f'include = "all"\nformat = "{kind}"')
    named = {"row": ["7", "8"], "reason": ["fair", ""], "input_row": ["a", "b"], "money_revenue": ["c", "d"]}
    plan, readers = planned(job, {**sale_rows(2), **named, "number": ["e", "f"]})
    written(tmp_path, job, plan, readers, ends(*delivered(2)))
    path = tmp_path / "out" / f"outcomes.{kind}"
    found = csv(path) if kind == "csv" else pl.read_parquet(path)
    assert [str(row) for row in found["row"]] == ["1", "2"]
    assert found.select("reason", "input_input_row", "input_reason", "input_row", "money_revenue", "number").rows() == [
        ("conversion", "7", "fair", "a", "c", "e"),
        ("conversion", "8", "", "b", "d", "f"),
    ]


@pytest.mark.parametrize(("kind", "name"), [("auto", "outcomes.csv"), ("parquet", "outcomes.parquet")])
def test_the_format_is_the_inputs_unless_the_job_says_so(tmp_path: Path, kind: str, name: str) -> None:
    job = a_job(tmp_path, results=f'format = "{kind}"')
    plan, readers = planned(job, sale_rows(STEP + 1))
    written(tmp_path, job, plan, readers, ends(*delivered(STEP + 1)))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    frame = pl.read_parquet(tmp_path / "out" / name) if kind == "parquet" else csv(tmp_path / "out" / name)
    assert frame.height == STEP + 1


def test_results_can_be_made_from_a_saved_plan_without_the_input(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    plan, _ = planned(job, {**sale_rows(3), "Payout": ["1", "bad", "2"]})
    plan.save(tmp_path)
    found = written(tmp_path, job, Plan.load(tmp_path), (), ends(*delivered(1)))
    assert found.books.rows == {"delivered": 1, "invalid": 1, "not_attempted": 1}
