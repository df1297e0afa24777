"""Ledgers and locks that do not let a run begin."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing

from batchpost.ledger import Ledger
from batchpost.ledgerfile import VERSION
from batchpost.locks import Locks
from tests.commands import Done
from tests.ledgers import alter
from tests.mishaps.stage import Scenario, Stage

__all__ = ["SCENARIOS"]


def run_after(spoil: Callable[[Stage], object], *words: str) -> Scenario:
    """A run after one that went well, with something done to what that one left."""

    def act(stage: Stage) -> Done:
        stage.delivered()
        spoil(stage)
        return stage.run(*words)

    return act


def another_one(stage: Stage) -> None:
    stage.ledger.unlink()
    Ledger.open(stage.ledger).close()


def older(stage: Stage) -> None:
    """A backup from before the last run."""
    backup = stage.folder / "backup.db"
    shutil.copy(stage.ledger, backup)
    stage.rows(5)
    assert stage.run().code == 0
    shutil.copy(backup, stage.ledger)


def page_damaged(stage: Stage) -> None:
    image = bytearray(stage.ledger.read_bytes())
    image[4096:8192] = bytes(4096)
    stage.ledger.write_bytes(image)


def cut_off(stage: Stage) -> None:
    image = stage.ledger.read_bytes()
    stage.ledger.write_bytes(image[: len(image) // 2])


def a_link(stage: Stage) -> None:
    moved = stage.ledger.rename(stage.folder / "moved.db")
    stage.ledger.symlink_to(moved)


def journal_damaged(stage: Stage) -> Done:
    """The run left a journal that a disk has changed since."""
    stage.job(base_url=stage.platform.base_url)
    stage.rows(6)
    assert stage.run("--limit", "4").code == 6
    [journal] = stage.places.run(stage.run_ids()[0]).glob("sitting-*.log")
    image = bytearray(journal.read_bytes())
    image[len(image) // 2] ^= 0xFF
    journal.write_bytes(image)
    return stage.run()


def journal_gone(stage: Stage) -> Done:
    stage.job(base_url=stage.platform.base_url)
    stage.rows(6)
    assert stage.run("--limit", "4").code == 6
    [journal] = stage.places.run(stage.run_ids()[0]).glob("sitting-*.log")
    journal.unlink()
    return stage.run()


def must_exist(stage: Stage) -> Done:
    stage.job(ledger="must_exist = true")
    stage.rows()
    return stage.run()


def held(*names: str, words: tuple[str, ...] = ("run", "jobs/nightly.toml")) -> Scenario:
    """A run while these locks are held; as a process that took them another way would see it."""

    def act(stage: Stage) -> Done:
        stage.job()
        stage.rows()
        locks = stage.open.enter_context(Locks(stage.places.locks))
        for name in names:
            locks.take(name, name)
        return stage.say(*words)

    return act


def read_only_look(stage: Stage) -> Done:
    stage.delivered()
    page_damaged(stage)
    return stage.say("show", "nightly")


def plan_of_another(stage: Stage) -> Done:
    stage.delivered()
    another_one(stage)
    return stage.say("plan", "jobs/nightly.toml")


def newer(stage: Stage) -> None:
    with closing(Ledger.open(stage.ledger)):
        pass
    alter(stage.ledger, f"PRAGMA user_version = {VERSION + 1}")


SCENARIOS: dict[str, Scenario] = {
    "gone": run_after(lambda stage: stage.ledger.unlink()),
    "another-one": run_after(another_one),
    "another-one-planned": plan_of_another,
    "older-than-the-results": run_after(older),
    "must-exist": must_exist,
    "of-a-newer-version": run_after(newer),
    "page-damaged": run_after(page_damaged),
    "page-damaged-and-looked-at": read_only_look,
    "cut-off": run_after(cut_off),
    "another-programs-file": run_after(lambda stage: stage.ledger.write_text("Lead,Payout\n" * 500)),
    "a-link": run_after(a_link),
    "a-folder": run_after(lambda stage: (stage.ledger.unlink(), stage.ledger.mkdir())),
    "journal-damaged": journal_damaged,
    "journal-gone": journal_gone,
    "job-under-way": held("job nightly"),
    "events-under-way": held("job weekly", "events http://127.0.0.1:9"),
    "job-under-way-and-waited-for": held("job nightly", words=("run", "jobs/nightly.toml", "--wait", "0s")),
}
