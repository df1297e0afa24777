"""The real program, killed and interfered with: a short form of ``python -m tests.crash``, and single situations.

Disks that are full or read-only are in ``test_crash_disks.py``. What is tested in this process, without the program, is
not tested here again: SIGTERM and killed runs in ``test_run_crash.py`` (and ``stop`` in ``test_cli.py``), locks and
ledgers in ``test_run_ledger.py``, inputs that change in ``test_run_inputs.py``.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import polars as pl
import pytest

from batchpost.sandbox import Received, Sandbox
from tests.commands import finished, started, until
from tests.crash.aims import NEVER, aims, endings, weathers
from tests.crash.kinds import KINDS, lay_out
from tests.crash.oracle import broken_promises, read_books
from tests.crash.run import crash
from tests.crash.story import Sat, Story
from tests.workspaces import Workspace, fired, leads, sale_rows, write_csv

CONCURRENCY = 8
SLOW = f"rate = 40\nconcurrency = {CONCURRENCY}"


# -- killed again and again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_after_many_kills_the_books_are_what_the_platform_recorded(tmp_path: Path, kind: str) -> None:
    report = crash(kind, tmp_path, rows=240, kills=3, seed=3)
    assert report.broken == []
    assert report.figures[""]["kills that count"] >= 3
    assert report.figures[""]["lost"] == report.figures[""]["doubled"] == 0


def test_a_seed_gives_the_same_input_and_the_same_plan_of_kills(tmp_path: Path) -> None:
    plans = [(list(islice(aims("update", 5), 50)), endings("update", 5, 8)) for _ in range(2)]
    skies = [list(islice(weathers("update", 5), 50)) for _ in range(2)]
    loads = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        lay_out("update", Workspace(tmp_path / name), 500, 5)
        loads.append((tmp_path / name / "in.csv").read_bytes())
    assert plans[0] == plans[1] != (list(islice(aims("update", 6), 50)), endings("update", 6, 8))
    assert skies[0] == skies[1]
    assert loads[0] == loads[1]


# -- that the comparison notices what it should ------------------------------------------------------------------------


def as_told(story: Story, kind: str, **cells: str) -> None:
    """Write other outcomes for the first row than it had."""
    [path] = (story.load.workspace.folder / "results" / "job").glob("*/outcomes.csv")
    table = pl.read_csv(path, infer_schema=False)
    first = pl.int_range(pl.len()) == 0
    changed = [pl.when(first).then(pl.lit(cell)).otherwise(name).alias(name) for name, cell in cells.items()]
    table.with_columns(changed).write_csv(path)


def never_done(story: Story) -> None:
    entry = next(entry for entry in story.effects if story.load.mark_of(entry) == story.load.marks[0])
    story.effects.remove(entry)
    entry.effect = None


def done_twice(story: Story) -> None:
    entry = story.effects[0]
    story.received.append(entry)
    story.effects.append(entry)


def not_told(story: Story) -> None:
    as_told(story, "dedupe", outcome="not_attempted", reason="crashed", conversion_id="")


def too_little_told(story: Story) -> None:
    as_told(story, "dedupe", attempts="0")


def other_money(story: Story) -> None:
    as_told(story, "dedupe", amount="0.01")


def stranger(story: Story) -> None:
    entry = story.received[0]
    story.received.append(Received(**{**{name: getattr(entry, name) for name in Received.__slots__}, "raw": b"{}"}))


def killed_once_too_often(story: Story) -> None:
    story.complaints.append("only 2 of 3 kills hit the run")


def bug(story: Story) -> None:
    story.sat[-1] = Sat(NEVER, 0, "ended", "internal error: KeyError")


def other_code(story: Story) -> None:
    story.sat[-1] = Sat(NEVER, 1, "ended", "")


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (never_done, "and nothing was done"),
        (done_twice, "and it was done 2 times"),
        (not_told, "not_attempted: crashed, and it was done"),
        (too_little_told, "after 0 attempts, and 1 arrived"),
        (other_money, "with 0.01, and the input has"),
        (stranger, "1 requests were for no row of the input"),
        (killed_once_too_often, "only 2 of 3 kills"),
        (bug, "said: internal error"),
        (other_code, "the last sitting ended in 1"),
    ],
)
def test_a_record_that_is_not_what_the_books_say_is_noticed(
    workspace: Workspace, server: Sandbox, lie: Callable[[Story], None], words: str
) -> None:
    story = ended_in_order("dedupe", workspace, server)
    lie(story)
    assert words in " ".join(broken_promises(story, read_books(story)))


def test_updates_that_arrive_in_another_order_are_noticed(workspace: Workspace, server: Sandbox) -> None:
    story = ended_in_order("update", workspace, server)
    assert broken_promises(story, read_books(story)) == []
    story.received.reverse()
    assert "arrived after that of row" in " ".join(broken_promises(story, read_books(story)))


def ended_in_order(kind: str, workspace: Workspace, server: Sandbox) -> Story:
    """A story without a kill."""
    load = lay_out(kind, workspace, 30, seed=1)
    workspace.run()
    return Story(load, server, [Sat(NEVER, 0, "ended", "")], list(server.received), list(server.effects))


# -- signals -----------------------------------------------------------------------------------------------------------


def test_a_second_sigterm_ends_the_program_at_once_and_the_next_one_goes_on(
    workspace: Workspace, server: Sandbox
) -> None:
    """It does not wait for the requests in flight: an event that may not go out twice is unknown then."""
    workspace.sales(dedupe=False, delivery=SLOW)
    write_csv(workspace.folder / "in.csv", sale_rows(40))
    server.configure(latency=3.0)
    with started("run", "job.toml", cwd=workspace.folder) as process:
        until(lambda: len(server.received) == CONCURRENCY, 60)
        until(lambda: impatient(process.send_signal, process.poll))
        assert process.returncode == 143
        assert server.effects == []
    until(lambda: len(server.effects) == CONCURRENCY)  # the platform does what it was sent all the same
    server.configure(latency=0.0)

    done = finished("run", "job.toml", cwd=workspace.folder)

    assert done.code == 3
    assert f"in_doubt {CONCURRENCY} " in " ".join(done.out.split())
    assert fired(server.received) == list(dict.fromkeys(fired(server.received)))
    assert sorted(fired(server.received)) == leads(40)


def impatient(send: Callable[[int], None], poll: Callable[[], int | None]) -> bool:
    """One more SIGTERM, unless it is over: two that are sent at the same moment may arrive as one."""
    if poll() is None:
        send(signal.SIGTERM)
    return poll() is not None


# -- two at once -------------------------------------------------------------------------------------------------------


def test_of_two_programs_started_at_once_one_sends_and_the_other_ends_with_75(
    workspace: Workspace, server: Sandbox
) -> None:
    """There is no ledger yet, which both of them would make."""
    workspace.sales(dedupe=False, delivery="rate = 10\nconcurrency = 8")
    write_csv(workspace.folder / "in.csv", sale_rows(600))
    with ExitStack() as ends:
        two = [ends.enter_context(started("run", "job.toml", cwd=workspace.folder)) for _ in range(2)]
        until(lambda: any(process.poll() is not None for process in two), 60)
        [refused] = [process for process in two if process.poll() is not None]
        [sends] = [process for process in two if process is not refused]
        assert refused.returncode == 75
        last = refused.communicate()[1].splitlines()[-1]
        assert last == "Safe to repeat: yes. Nothing was sent. Next: batchpost run job.toml --wait 2h"
        until(lambda: len(server.received) > 0, 60)
        sends.terminate()
        assert sends.wait(timeout=30) == 143
    assert finished("run", "job.toml", "--rate", "10000", cwd=workspace.folder).code == 0
    assert sorted(entry.transaction_id for entry in server.received) == leads(600)
    with workspace.ledger() as ledger:
        assert [run.state for run in ledger.runs()] == ["finished"]


# -- the ledger of a run that was killed -------------------------------------------------------------------------------


@pytest.mark.parametrize("mishap", ["is gone", "is older than"])
def test_a_killed_run_whose_ledger_is_gone_or_older_is_not_gone_on_with_until_it_is_back(
    workspace: Workspace, server: Sandbox, mishap: str
) -> None:
    workspace.sales(dedupe=False, delivery=SLOW)
    write_csv(workspace.folder / "in.csv", sale_rows(5))
    workspace.run()
    ledger, aside = workspace.places.ledger, workspace.folder / "aside"
    older = Path(shutil.copy(ledger, workspace.folder / "older"))
    write_csv(workspace.folder / "in.csv", sale_rows(60))
    with started("run", "job.toml", cwd=workspace.folder) as process:
        until(lambda: len(server.received) > 20, 60)
        process.kill()
        process.wait()
    until(lambda: all(entry.effect for entry in server.received))
    ledger.rename(aside)
    if mishap == "is older than":
        shutil.copy(older, ledger)
    before = len(server.received)
    for _ in range(2):  # a refusal must not make the next one pass
        refused = finished("run", "job.toml", cwd=workspace.folder)
        assert (refused.code, len(server.received)) == (2, before)
        assert mishap in refused.err
        assert "--new-ledger" in refused.err

    aside.rename(ledger)
    done = finished("run", "job.toml", cwd=workspace.folder)

    assert done.code in (0, 3)
    assert "went on with" in done.out
    assert len(set(fired(server.received))) == len(fired(server.received)) == len(server.received)
    assert 60 - CONCURRENCY <= len(server.received) <= 60
