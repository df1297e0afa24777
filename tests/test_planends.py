"""Plan and journal of a run that died say what its results will, once they are written."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from batchpost.planends import PlanEnds
from batchpost.sandbox_faults import parse_latency
from batchpost.upkeep import abandon
from tests.commands import until
from tests.histories import latest_run
from tests.workspaces import Workspace, csv, elsewhere, sale_rows, sandbox, update_rows, write_csv

DELIVERY = "rate = 100000\nconcurrency = 2"


@pytest.mark.parametrize("kind", ["once", "deduped", "update", "update that sells again"])
def test_what_a_kill_leaves_is_told_as_its_results_will(tmp_path: Path, kind: str) -> None:
    with sandbox() as (server, _):
        workspace = Workspace(tmp_path, server.base_url)
        if kind.startswith("update"):
            again = "redistributes = true" if kind != "update" else ""
            workspace.updates(delivery=DELIVERY, api=again)
            write_csv(tmp_path / "in.csv", update_rows([(f"lead-{number}", "Rome") for number in range(8)]))
        else:
            workspace.sales(dedupe=kind == "deduped", delivery=DELIVERY)
            write_csv(tmp_path / "in.csv", {**sale_rows(8), "Payout": ["bad", *sale_rows(8)["Payout"][1:]]})
        workspace.run(limit=2)
        server.configure(latency=parse_latency("60s"))
        with elsewhere(workspace) as process:
            until(lambda: len(server.received) == 4)
            process.kill()
            process.join()
        run = latest_run(workspace)
        told = pl.concat(PlanEnds(run.at.run(run.record.run_id)).frames())
        abandon(run)
    results = csv(run.folder / "outcomes.csv").select(pl.col("row").cast(pl.UInt32), "outcome", "reason", "amount")
    amounts = pl.col("amount").fill_null("")
    assert told.select("row", "outcome", "reason", amounts).rows() == results.rows()
    in_doubt = {"once": 2, "deduped": 2, "update": 0, "update that sells again": 2}
    assert (told["outcome"] == "unknown").sum() == in_doubt[kind]


def test_while_a_process_is_at_it_nothing_is_in_doubt(tmp_path: Path) -> None:
    with sandbox(latency=60.0) as (server, _):
        workspace = Workspace(tmp_path, server.base_url)
        workspace.sales(dedupe=False, delivery=DELIVERY)
        write_csv(tmp_path / "in.csv", sale_rows(4))
        with elsewhere(workspace):
            until(lambda: len(server.received) == 2)
            run = latest_run(workspace)
            folder = run.at.run(run.record.run_id)
            [told] = PlanEnds(folder, under_way=True).frames()
            assert set(told.select("outcome", "reason").rows()) == {("not_attempted", "under_way")}
            [dead] = PlanEnds(folder).frames()
            assert sorted(dead["outcome"]) == ["not_attempted"] * 2 + ["unknown"] * 2


def test_without_a_plan_there_is_nothing_to_tell(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PlanEnds(tmp_path)
