"""Disks that are full or read-only, for the real program: it stops and names the disk, and goes on when it is mended.

Journals, ledger and results are each put on a small disk of their own, in a mount namespace that goes with the test.
"""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from batchpost.files import naming
from batchpost.history import History, replay
from batchpost.journal import sitting_files
from batchpost.results import CsvTable
from batchpost.sandbox import Sandbox
from tests.commands import finished, until
from tests.crash.mounts import Disks, own_disks, why_not
from tests.endings import ends_of
from tests.workspaces import Workspace, balanced, fired, leads, sale_rows, write_csv

ROWS, CONCURRENCY = 400, 8
MEGABYTE = 1 << 20
needs_disks = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture
def disks() -> Iterator[Disks]:
    with own_disks() as own:
        yield own


@pytest.fixture
def repeats(workspace: Workspace) -> Workspace:
    """Events that must not go out twice: with every row in flight the claim on it must be on disk."""
    workspace.sales(dedupe=False, delivery=f"rate = 100000\nconcurrency = {CONCURRENCY}")
    write_csv(workspace.folder / "in.csv", sale_rows(ROWS))
    return workspace


def ends_as_the_record_says(workspace: Workspace, server: Sandbox, unknown: int) -> None:
    """The job's only run is finished, with so many rows unknown at most, and its books are the sandbox's record."""
    [folder] = (workspace.folder / "results" / "job").iterdir()
    summary = workspace.kept({"job": "job", "run_id": folder.name})
    outcomes = workspace.outcomes(summary)
    assert summary["state"] == "finished"
    balanced(summary, outcomes)
    through = outcomes.filter(pl.col("outcome") == "delivered")["transaction_id"].to_list()
    in_doubt = outcomes.filter(pl.col("reason") == "in_doubt")["transaction_id"].to_list()
    assert sorted([*through, *in_doubt]) == leads(ROWS)
    assert len(in_doubt) <= unknown
    done = fired(server.received)
    assert len(done) == len(set(done)) == len(server.received)
    assert set(through) <= set(done) <= {*through, *in_doubt}


def test_a_full_disk_under_the_journal_stops_the_run_and_nothing_is_sent_without_its_claim(
    repeats: Workspace, server: Sandbox
) -> None:
    """No file may grow beyond what the ledger needs; the journal wants more, as few rows share a record here, and its
    last write goes in part."""
    repeats.sales(dedupe=False, delivery="rate = 100000\nconcurrency = 2")

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (102_000, 102_000))

    full = finished("run", "job.toml", cwd=repeats.folder, preexec_fn=small_files)

    assert (full.code, full.events[-1]["stopped_by"]) == (4, "disk")
    [run] = repeats.places.run("any").parent.iterdir()
    assert f"{run} cannot be written: No space left on device" in full.out
    assert full.last.startswith("Safe to repeat: yes.")
    sent = [entry.transaction_id for entry in server.received]
    assert 0 < len(sent) < ROWS
    history = History()
    ended = {row.number for row in ends_of(replay(sitting_files(run), history))}
    claimed = ended | {number for number, row in history.open.items() if row.in_doubt}
    assert {leads(ROWS).index(lead) for lead in sent} <= claimed
    assert len(claimed - ended) <= 2

    room = finished("run", "job.toml", cwd=repeats.folder)
    assert room.code == (3 if claimed - ended else 0)
    assert "went on with" in room.out
    ends_as_the_record_says(repeats, server, unknown=2)


@needs_disks
def test_a_full_disk_under_the_ledger_stops_a_run_that_was_sent_and_the_next_one_takes_its_journal_in(
    repeats: Workspace, server: Sandbox, disks: Disks
) -> None:
    ours = repeats.folder / ".batchpost"
    runs = ours / "ledger-test-runs"
    disks.small(ours, 8 * MEGABYTE)
    disks.small(runs, 8 * MEGABYTE)
    assert disks.finished("run", "job.toml", "--limit", "1", cwd=repeats.folder).code == 6  # makes the ledger
    filler = disks.fill(ours, leave=48 * 1024)

    full = disks.finished("run", "job.toml", cwd=repeats.folder)

    assert full.code == 4
    assert f"{ours / 'ledger-test.db'}: the ledger cannot be written: its disk is full. Make room" in full.err
    assert "were sent; its journal has what became of them" in full.err
    assert sorted(fired(server.received)) == leads(ROWS)
    filler.unlink()
    assert disks.finished("run", "job.toml", cwd=repeats.folder).code == 0
    ends_as_the_record_says(repeats, server, unknown=0)


@needs_disks
@pytest.mark.parametrize(("leave", "sent"), [(48 * 1024, ROWS), (0, 0)], ids=["at the end", "from the start"])
def test_a_full_disk_under_the_results_stops_the_run_and_the_next_one_writes_them(
    repeats: Workspace, server: Sandbox, disks: Disks, leave: int, sent: int
) -> None:
    """The summary that is there from the start must fit, or nothing is sent; the outcomes come in the end."""
    results = repeats.folder / "results"
    disks.small(results, MEGABYTE)
    filler = disks.fill(results, leave)

    full = disks.finished("run", "job.toml", cwd=repeats.folder)

    assert full.code == 4
    assert f"{results}/job/" in full.err
    assert "outcomes.csv: No space left on device" in full.err
    assert len(server.received) == sent
    filler.unlink()
    assert disks.finished("run", "job.toml", cwd=repeats.folder).code == 0
    ends_as_the_record_says(Workspace(disks.seen(repeats.folder)), server, unknown=0)


@needs_disks
@pytest.mark.parametrize("folder", ["results", "."])
def test_a_read_only_folder_is_named_before_anything_is_sent(
    repeats: Workspace, server: Sandbox, disks: Disks, folder: str
) -> None:
    place = repeats.folder / folder
    place.mkdir(exist_ok=True)
    disks.of_its_own(place)
    disks.read_only(place)

    refused = disks.finished("run", "job.toml", cwd=repeats.folder)

    assert (refused.code, server.received) == (2, [])
    assert str(place) in refused.err
    told, last = refused.err.splitlines()[-2:]
    assert told.endswith("Read-only file system. Its disk is mounted read-only: name another place")
    assert last.startswith("Safe to repeat: yes. Nothing was sent. ")
    disks.read_only(place, False)
    assert disks.finished("run", "job.toml", cwd=repeats.folder).code == 0
    ends_as_the_record_says(repeats, server, unknown=0)


@needs_disks
def test_a_results_folder_that_becomes_read_only_stops_the_run_in_order(
    repeats: Workspace, server: Sandbox, disks: Disks
) -> None:
    results = repeats.folder / "results"
    results.mkdir()
    disks.of_its_own(results)
    server.configure(latency=0.05)
    with disks.started("run", "job.toml", cwd=repeats.folder) as process:
        until(lambda: len(server.received) > CONCURRENCY, 60)
        disks.read_only(results)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert f"{results}/job/" in err
    assert "Read-only file system" in err
    assert len(server.received) < ROWS
    server.configure(latency=0.0)
    disks.read_only(results, False)
    assert disks.finished("run", "job.toml", cwd=repeats.folder).code == 0
    ends_as_the_record_says(repeats, server, unknown=0)


def test_an_error_of_polars_names_the_file_and_what_is_wrong_with_its_disk() -> None:
    """It comes without a number of its own, and so without words for a person."""
    with Path("/dev/full").open("wb", buffering=0) as full:  # noqa: SIM117 - what is expected to be raised stands alone
        with pytest.raises(OSError, match=r"outcomes\.csv") as caught, naming(Path("outcomes.csv")):
            CsvTable(full, ["lead"])
    assert (caught.value.errno, caught.value.strerror) == (errno.ENOSPC, "No space left on device")
