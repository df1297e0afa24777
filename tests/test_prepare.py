from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from batchpost.edge import WORLD
from batchpost.errors import InputRefused, JobError, LedgerError, NoInput, UsageError
from batchpost.files import private_folder
from batchpost.journal import create_sitting, sitting_files
from batchpost.keptplan import keep
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.locks import Locks
from batchpost.model import Outcome
from batchpost.prepare import Prepared, fold_dead_runs, folding, new_run_id, open_readers, prepare
from batchpost.resolutions import Resolutions
from batchpost.targets import Targets
from tests.fakes import a_row
from tests.jobtexts import job_text, load
from tests.test_fold import DELIVERED, Runs, settled, started
from tests.workspaces import Workspace, sale_rows, update_rows, write_csv


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    made.sales()
    write_csv(tmp_path / "in.csv", sale_rows(5))
    return made


@pytest.fixture
def ledger(workspace: Workspace) -> Iterator[Ledger]:
    made = Ledger.open(workspace.places.ledger)
    yield made
    made.close()


def prepared(workspace: Workspace, ledger: Ledger, **options: Any) -> Prepared:
    job = workspace.load()
    given = {"lock_campaigns": lambda campaigns: None, **options}
    targets = Targets(job, workspace.environ)
    return prepare(job, workspace.places, ledger, targets, spool=workspace.folder / "plan.arrow", **given)


def enter(ledger: Ledger, found: Prepared, state: str = "stopped", **changes: Any) -> RunRecord:
    record = ledger.begin_run(found.run._replace(**changes))
    ledger.end_run(record.run_id, state, 6)
    return record


def test_a_first_run_comes_after_all_others_and_is_not_entered_yet(workspace: Workspace, ledger: Ledger) -> None:
    found = prepared(workspace, ledger)
    assert (found.run.seq, found.continued, found.abandoned, found.corrections) == (0, False, [], [])
    assert found.run.inputs == (found.plan.files[0].sha256,)
    assert found.plan.to_send == 5
    assert ledger.runs() == []


def test_an_unfinished_run_of_the_same_job_and_input_is_gone_on_with(workspace: Workspace, ledger: Ledger) -> None:
    record = enter(ledger, prepared(workspace, ledger))
    found = prepared(workspace, ledger)
    assert (found.run.run_id, found.continued, found.abandoned) == (record.run_id, True, [])


@pytest.mark.parametrize(
    ("change", "continued"),
    [
        ({"delivery": "rate = 1"}, True),
        ({"results": 'directory = "elsewhere"'}, True),
        ({"rows": 'where = "revenue > 0"'}, False),
        ({"source": 'path = "in.csv"\nnull_values = ["-"]'}, False),
        ({"fields": "city = { value = 'Rome' }"}, False),
    ],
)
def test_only_delivery_and_results_may_change_between_sittings(
    workspace: Workspace, ledger: Ledger, change: dict[str, str], continued: bool
) -> None:
    record = enter(ledger, prepared(workspace, ledger))
    workspace.sales(dedupe=True, **change)
    found = prepared(workspace, ledger)
    assert (found.continued, [old.run_id for old in found.abandoned]) == (
        continued,
        [] if continued else [record.run_id],
    )


def test_another_input_a_new_run_and_a_finished_one_are_not_gone_on_with(workspace: Workspace, ledger: Ledger) -> None:
    record = enter(ledger, prepared(workspace, ledger))
    assert prepared(workspace, ledger, new_run=True).abandoned == [ledger.runs()[0]]
    write_csv(workspace.folder / "in.csv", sale_rows(6))
    assert [old.run_id for old in prepared(workspace, ledger).abandoned] == [record.run_id]
    ledger.end_run(record.run_id, "finished", 0)
    assert prepared(workspace, ledger).abandoned == []


def test_unfinished_runs_of_other_jobs_are_left_alone(workspace: Workspace, ledger: Ledger) -> None:
    enter(ledger, prepared(workspace, ledger), job="another")
    found = prepared(workspace, ledger)
    assert (found.continued, found.abandoned) == (False, [])


def test_what_a_journal_settled_stays_settled_and_an_inactive_source_is_tried_again(
    workspace: Workspace, ledger: Ledger
) -> None:
    record = enter(ledger, prepared(workspace, ledger))
    folder = workspace.places.run(record.run_id)
    folder.mkdir(parents=True)
    runs = Runs(folder)
    inactive = DELIVERED._replace(outcome=Outcome.REJECTED, reason="source_inactive")
    runs.sit([a_row(0), a_row(1), a_row(2)], settled(0, DELIVERED), settled(1, inactive), started(2), over=False)
    found = prepared(workspace, ledger)
    assert found.plan.fates.series(0, 5)["reason"].to_list() == ["conversion", None, None, None, None]
    assert list(found.history.open) == [2]


def test_the_campaigns_are_locked_before_the_ledger_is_asked(workspace: Workspace, ledger: Ledger) -> None:
    workspace.updates(api='campaign_id = { column = "Campaign" }')
    rows = {**update_rows([("a", "Rome"), ("b", "Oslo")]), "Campaign": ["cmp_b", "cmp_a"]}
    write_csv(workspace.folder / "in.csv", rows)
    locked: list[set[str]] = []

    def lock(campaigns: set[str]) -> None:
        locked.append(campaigns)
        raise UsageError("held")

    with pytest.raises(UsageError, match="held"):
        prepared(workspace, ledger, lock_campaigns=lock)
    assert locked == [{"cmp_a", "cmp_b"}]


def kept(workspace: Workspace, ledger: Ledger) -> tuple[RunRecord, Path]:
    """An unfinished run as it is entered, with its plan kept; its private folder."""
    found = prepared(workspace, ledger)
    record = enter(ledger, found)
    folder = private_folder(workspace.places.run(record.run_id))
    found.plan.spool = found.plan.spool.replace(folder / "plan.arrow")
    found.plan.save(folder)
    keep(found.plan, folder, found.mark)
    return record, folder


def test_a_run_that_goes_on_takes_its_kept_plan_and_not_what_was_decided_then(
    workspace: Workspace, ledger: Ledger
) -> None:
    record, folder = kept(workspace, ledger)
    Runs(folder).sit([a_row(0)], settled(0, DELIVERED))
    found = prepared(workspace, ledger)
    assert (found.run.run_id, found.continued, found.plan.spool) == (record.run_id, True, folder / "plan.arrow")
    assert not (workspace.folder / "plan.arrow").exists()
    assert (found.plan.rows, found.plan.to_send, found.run.inputs) == (5, 4, record.inputs)


def test_a_plan_is_read_anew_where_the_run_does_not_go_on_or_its_folder_may_go_away(
    workspace: Workspace, ledger: Ledger
) -> None:
    kept(workspace, ledger)
    spool = workspace.folder / "plan.arrow"
    assert prepared(workspace, ledger, new_run=True).plan.spool == spool
    assert prepared(workspace, ledger, reuse=False).plan.spool == spool
    write_csv(workspace.folder / "in.csv", sale_rows(6))
    found = prepared(workspace, ledger)
    assert (found.plan.spool, found.plan.rows, found.continued) == (spool, 6, False)


def test_a_plan_is_read_anew_where_the_last_sitting_found_the_input_changed(
    workspace: Workspace, ledger: Ledger
) -> None:
    """Else a plan that the second pass does not find right would stop every further sitting."""
    record, _ = kept(workspace, ledger)
    results = private_folder(workspace.places.results / record.run_id)
    (results / "summary.json").write_text('{"stopped_by": "input_changed"}')
    found = prepared(workspace, ledger)
    assert (found.plan.spool, found.continued) == (workspace.folder / "plan.arrow", True)


# -- which files -------------------------------------------------------------------------------------------------------


def readers(folder: Path, path: str, finished: Collection[str] = (), take: str = "") -> list[str]:
    source = f"path = {path}" + (f'\ntake = "{take}"' if take else "")
    job = load(folder, job_text(source=source))
    shas = {sha for name, sha in _shas(folder) if name in finished}
    return [reader.file.name for reader in open_readers(job, shas.__contains__)]


def _shas(folder: Path) -> Iterator[tuple[str, str]]:
    return ((path.name, sha256(path.read_bytes()).hexdigest()) for path in folder.glob("in/*.csv"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_csv(tmp_path / "in" / f"{name}.csv", sale_rows(2, name))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "take", "expected"),
    [
        ('"in"', "", ["in/b.csv"]),
        ('"in/*.csv"', "", ["in/b.csv"]),
        ('"in"', "all", ["in/a.csv", "in/b.csv"]),
        ('"in/a.csv"', "", ["in/a.csv"]),
        ('["in/a.csv", "in/b.csv"]', "", ["in/a.csv", "in/b.csv"]),
        ('["in/a.csv", "in/b.csv"]', "new", ["in/b.csv"]),
    ],
)
def test_folders_and_patterns_take_new_files_and_named_files_are_taken(
    folder: Path, path: str, take: str, expected: list[str]
) -> None:
    assert readers(folder, path, {"a.csv"}, take) == expected


def test_nothing_new_is_no_input(folder: Path) -> None:
    with pytest.raises(NoInput, match="nothing new"):
        readers(folder, '"in"', {"a.csv", "b.csv"})
    with pytest.raises(NoInput):
        readers(folder, '"none/*.csv"')


def test_a_column_that_the_input_does_not_have_is_a_mistake_of_the_job(folder: Path) -> None:
    write_csv(folder / "in" / "c.csv", {"Leed": ["x"]})
    with pytest.raises(JobError, match="Leed"):
        readers(folder, '"in/c.csv"')
    with pytest.raises(InputRefused):
        readers(folder, '"in"', take="all")


# -- dead runs ---------------------------------------------------------------------------------------------------------


def dead_run(workspace: Workspace, ledger: Ledger, state: str = "running") -> RunRecord:
    record = enter(ledger, prepared(workspace, ledger), state)
    folder = workspace.places.run(record.run_id)
    folder.mkdir(parents=True)
    Runs(folder).sit([a_row(0, key=b"k" * 16, body_hash=b"b" * 16)], started(0), over=False)
    return record


def test_a_dead_runs_claims_are_in_doubt_for_every_later_run(workspace: Workspace, ledger: Ledger) -> None:
    record = dead_run(workspace, ledger)
    assert [dead.run_id for dead in fold_dead_runs(ledger, workspace.places)] == [record.run_id]
    assert Resolutions(ledger).outstanding().keys() == {record.run_id}
    assert fold_dead_runs(ledger, workspace.places) == []


def test_a_living_run_is_left_alone(workspace: Workspace, ledger: Ledger) -> None:
    record = dead_run(workspace, ledger)
    with Locks(workspace.places.locks) as locks:
        locks.take(f"run {record.run_id}", "the run")
        assert fold_dead_runs(ledger, workspace.places) == []
    assert fold_dead_runs(ledger, workspace.places) != []


def test_a_run_whose_journal_is_in_the_ledger_already_is_left_alone(workspace: Workspace, ledger: Ledger) -> None:
    dead_run(workspace, ledger, "finished")
    assert fold_dead_runs(ledger, workspace.places) == []


def test_a_further_sitting_of_a_folded_run_is_folded_too(workspace: Workspace, ledger: Ledger) -> None:
    record = dead_run(workspace, ledger)
    fold_dead_runs(ledger, workspace.places)
    create_sitting(workspace.places.run(record.run_id)).close()
    assert len(sitting_files(workspace.places.run(record.run_id))) == 2
    assert len(fold_dead_runs(ledger, workspace.places)) == 1


def test_folding_gives_its_lock_back(workspace: Workspace) -> None:
    for _ in range(2):
        with folding(workspace.places):
            pass


def test_run_ids_sort_by_time_and_differ() -> None:
    chance = count()
    edge = replace(WORLD, entropy=lambda size: next(chance).to_bytes(size, "big"))
    made = [new_run_id(edge) for _ in range(50)]
    assert len(set(made)) == 50
    assert all(before[:18] <= after[:18] for before, after in pairwise(made))
    assert all(len(one) == 23 and one[18] == "-" for one in made)


def test_a_journal_that_is_gone_is_let_be_only_on_the_word_that_this_is_a_new_ledger(
    workspace: Workspace, ledger: Ledger
) -> None:
    record = dead_run(workspace, ledger)
    fold_dead_runs(ledger, workspace.places)
    shutil.rmtree(workspace.places.run(record.run_id))
    with pytest.raises(LedgerError, match="has taken in 1 files of this run's journal, and 0 are left"):
        fold_dead_runs(ledger, workspace.places)
    assert fold_dead_runs(ledger, workspace.places, new_ledger=True) == []
