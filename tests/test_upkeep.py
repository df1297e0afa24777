from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from batchpost.errors import Locked, UsageError
from batchpost.journal import sitting_files
from batchpost.locks import Locks
from batchpost.lookback import Found, all_runs, find_run
from batchpost.places import Places, read_summary
from batchpost.sandbox import Sandbox
from batchpost.upkeep import abandon, forget, stop_job
from batchpost.verify import differences
from tests.workspaces import Onlooker, Workspace, csv, leads, sale_rows, write_csv

DAY = 86_400.0


@pytest.fixture
def workspace(tmp_path: Path, server: Sandbox) -> Workspace:
    place = Workspace(tmp_path, server.base_url)
    place.sales()
    write_csv(tmp_path / "in.csv", sale_rows(5))
    return place


def latest(workspace: Workspace) -> Found:
    return find_run(all_runs(workspace.folder, {}), "latest", workspace.folder)


def died(workspace: Workspace, rows: int) -> Found:
    """A run as SIGKILL leaves it: the register says running, there is a journal without an end and no outcomes."""
    kept: dict[Path, bytes] = {}

    def keep(_: object) -> None:
        for path in () if kept else (workspace.places.ledger, latest(workspace).folder / "summary.json"):
            kept[path] = path.read_bytes()

    workspace.run(Onlooker(on_progress=keep), limit=rows)
    for path, content in kept.items():
        path.write_bytes(content)
    run = latest(workspace)
    [journal] = sitting_files(run.at.run(run.record.run_id))
    journal.write_bytes(b"".join(line for line in journal.read_bytes().splitlines(True) if b' ["over",' not in line))
    (run.folder / "outcomes.csv").unlink()
    return run


# -- abandon ---------------------------------------------------------------------------------------------------------


def test_an_abandoned_run_is_over_and_what_it_delivered_is_not_sent_again(
    workspace: Workspace, server: Sandbox
) -> None:
    workspace.run(limit=2)
    run = latest(workspace)
    assert abandon(run).startswith(f"{run.record.run_id} is given up.")
    assert latest(workspace).state == "abandoned"
    assert not run.at.run(run.record.run_id).exists()
    assert (run.folder / "outcomes.csv").exists()

    summary = workspace.run()

    assert summary["run_id"] != run.record.run_id
    assert sorted(entry.transaction_id for entry in server.effects) == leads(5)


def test_a_run_that_died_gets_its_journal_booked_and_its_results_written(workspace: Workspace, server: Sandbox) -> None:
    run = died(workspace, 2)
    abandon(run)
    outcomes = csv(run.folder / "outcomes.csv")
    assert outcomes["outcome"].to_list() == ["delivered"] * 2 + ["not_attempted"] * 3
    summary = read_summary(run.folder)
    assert summary is not None
    assert (summary["state"], summary["rows"]["delivered"]) == ("crashed", 2)
    assert differences(run.folder, summary) == []
    workspace.run()
    assert sorted(entry.transaction_id for entry in server.effects) == leads(5)


@pytest.mark.parametrize(
    "break_it", [lambda place: (place.folder / "job.toml").unlink(), lambda place: place.sales(api="x = 1")]
)
def test_without_its_job_file_a_run_that_died_is_given_up_all_the_same(
    workspace: Workspace, break_it: Callable[[Workspace], None]
) -> None:
    run = died(workspace, 2)
    break_it(workspace)
    said = abandon(run)
    assert "Its results could not be written" in said
    assert str(run.at.run(run.record.run_id)) in said
    assert latest(workspace).state == "abandoned"


def test_a_finished_run_and_one_under_way_cannot_be_given_up(workspace: Workspace) -> None:
    workspace.run()
    with pytest.raises(UsageError, match="is finished: there is nothing to give up"):
        abandon(latest(workspace))
    with Locks(workspace.places.locks) as locks:
        locks.take("job job", "the job job")
        with pytest.raises(Locked):
            abandon(latest(workspace))


# -- stop ------------------------------------------------------------------------------------------------------------


def refuse(error: type[OSError]) -> Callable[[int, int], NoReturn]:
    def kill(pid: int, number: int) -> NoReturn:
        raise error

    return kill


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Places]:
    at = Places(tmp_path / "ledger.db", tmp_path, False)
    with Locks(at.locks) as locks:
        locks.take("job nightly", "the job nightly")
        yield at


def test_stop_sends_sigterm_to_the_process_that_holds_the_jobs_lock(held: Places, tmp_path: Path) -> None:
    sent: list[tuple[int, int]] = []
    idle = Places(tmp_path / "other" / "ledger.db", tmp_path, False)
    stopped = stop_job("nightly", [idle, held], kill=lambda pid, number: sent.append((pid, number)))
    assert stopped is not None
    assert stopped[0] == os.getpid()
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_stop_signals_nobody_where_the_lock_is_not_held(held: Places) -> None:
    assert stop_job("other", [held], kill=refuse(AssertionError)) is None  # type: ignore[arg-type]
    with Locks(held.locks) as locks:
        locks.take("job other", "the job other")
    assert stop_job("other", [held], kill=refuse(AssertionError)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "message"),
    [(ProcessLookupError, "cannot be reached from here"), (PermissionError, "belongs to another user")],
)
def test_a_process_out_of_reach_is_named(held: Places, error: type[OSError], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stop_job("nightly", [held], kill=refuse(error))


def test_a_holder_that_left_no_word_is_not_guessed(held: Places) -> None:
    for info in held.locks.glob("*.json"):
        info.write_text('{"pid": 1}')
    with pytest.raises(UsageError, match="does not say which one"):
        stop_job("nightly", [held], kill=refuse(AssertionError))  # type: ignore[arg-type]


# -- forget ----------------------------------------------------------------------------------------------------------


def names(run: Found) -> list[str]:
    return sorted(path.name for path in run.folder.iterdir())


def test_forget_deletes_what_is_old_but_the_summary_and_the_ledger(workspace: Workspace, server: Sandbox) -> None:
    workspace.run()
    run = latest(workspace)
    ended = run.record.finished_at or 0.0
    assert forget([run], DAY, now=ended + DAY - 1) == []
    [gone] = forget([run], DAY, now=ended + DAY + 1, dry_run=True)
    assert (gone.run_id, gone.folder, gone.files) == (run.record.run_id, run.folder, 1)
    assert names(run) == ["outcomes.csv", "summary.json"]

    assert forget([run], DAY, now=ended + DAY + 1) == [gone]

    assert names(run) == ["ends.parquet", "summary.json"]
    assert forget([run], DAY, now=ended + DAY + 1) == []
    assert workspace.run()["rows"]["already_delivered"] == len(server.effects) == 5


def test_forget_leaves_unfinished_and_unsettled_runs_alone(workspace: Workspace) -> None:
    workspace.run(limit=1)
    run = latest(workspace)
    assert forget([run, replace(run, record=run.record._replace(state="finished"), doubts=1)], 0.0) == []
    assert len(names(run)) > 1


def test_forget_follows_no_link(workspace: Workspace, tmp_path: Path) -> None:
    workspace.run()
    run = latest(workspace)
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "gold.csv").touch()
    (run.folder / "link").symlink_to(treasure)
    assert [gone.files for gone in forget([run], 0.0)] == [2]
    assert names(run) == ["ends.parquet", "summary.json"]
    for path in run.folder.iterdir():
        path.unlink()
    run.folder.rmdir()
    run.folder.symlink_to(treasure)
    assert forget([run], 0.0) == []
    assert (treasure / "gold.csv").exists()
