"""What a run writes is for its user alone, whatever the umask, and nobody's link or file is written through."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchpost.sandbox import Sandbox
from tests.commands import call, finished, started, until
from tests.workspaces import ENVIRON, Workspace, sale_rows, sandbox, write_csv

LEFT = (
    *("sitting-0001.log", "plan.arrow", "plan.json", "fates.bin", "read.json", "read.bin"),
    *("ledger-test.db", "summary.json"),
)


def sales(workspace: Workspace, rows: int = 8) -> Workspace:
    """Conversions with a row to mend."""
    workspace.sales()
    columns = sale_rows(rows)
    columns["Payout"][1] = "much"
    write_csv(workspace.folder / "in.csv", columns)
    return workspace


def made(workspace: Workspace) -> list[Path]:
    """What the program made in a workspace."""
    tops = [workspace.folder / name for name in ("results", ".batchpost")]
    return [*tops, *(path for top in tops for path in sorted(top.rglob("*")))]


def wide(paths: list[Path]) -> dict[str, str]:
    """Folders that are not 0700 and files that are not 0600, with their permissions."""
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in paths}
    return {str(path): oct(mode) for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)}


def names(paths: list[Path]) -> set[str]:
    return {path.name for path in paths}


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


# -- permissions -----------------------------------------------------------------------------------------------------


def test_a_program_under_the_oddest_umask_writes_private_files_also_when_it_is_killed(tmp_path: Path) -> None:
    def begin() -> None:
        os.umask(0o777)

    with sandbox(accept_any=True, latency=0.1) as (server, _):
        workspace = sales(Workspace(tmp_path, server.base_url), 40)
        with started("run", "job.toml", cwd=tmp_path, preexec_fn=begin) as process:
            until(lambda: len(server.effects) > 8)
            process.kill()
            process.wait()
        killed = made(workspace)
        assert names(killed) >= set(LEFT)
        assert wide(killed) == {}
        assert finished("run", "job.toml", cwd=tmp_path, preexec_fn=begin).code == 1
    assert names(made(workspace)) >= {"outcomes.csv", "to_fix.csv", "summary.json", "ledger-test.db"}
    assert wide(made(workspace)) == {}


def test_a_run_in_any_process_is_private_under_an_open_umask(workspace: Workspace) -> None:
    sales(workspace)
    with umask(0):
        workspace.run(limit=3)
    assert names(made(workspace)) >= set(LEFT)
    assert wide(made(workspace)) == {}


def test_folders_that_a_person_made_stay_as_they_are_and_what_is_in_them_is_private(workspace: Workspace) -> None:
    sales(workspace)
    mine = [workspace.folder / name for name in ("results", "results/job", ".batchpost")]
    for folder in mine:
        folder.mkdir()
        folder.chmod(0o755)
    workspace.run()
    assert wide(made(workspace)) == {str(folder): "0o755" for folder in mine}


def test_a_plan_leaves_nothing_of_its_temporary_files(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    sales(workspace)
    workspace.run(limit=2)
    aside = workspace.folder / "tmp"
    aside.mkdir()
    monkeypatch.chdir(workspace.folder)
    done = finished("plan", "job.toml", cwd=workspace.folder, env={"TMPDIR": str(aside)})
    assert done.code == 1
    assert list(aside.iterdir()) == []


# -- planted links ---------------------------------------------------------------------------------------------------

Plant = Callable[[Path, Path], None]


def linked(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(target)


def hard_linked(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.hardlink_to(target)


def begun(workspace: Workspace) -> tuple[Path, Path]:
    """A run that has sent three rows and goes on: its results and its private folder."""
    summary = sales(workspace).run(limit=3)
    return workspace.results(summary), workspace.places.run(str(summary["run_id"]))


RESULTS = ("outcomes.csv", ".outcomes.csv.part", "to_fix.csv", ".to_fix.csv.part", "summary.json", ".summary.json.part")
KEPT = ("read.json", ".read.json.part", "read.bin", ".read.bin.part")
PRIVATE = ("plan.arrow", "plan.json", ".plan.json.part", "fates.bin", ".fates.bin.part", *KEPT)


@pytest.mark.parametrize("plant", [linked, hard_linked])
@pytest.mark.parametrize("name", [*RESULTS, *PRIVATE, "next-job/plan.arrow"])
def test_a_link_in_place_of_a_file_is_replaced_and_its_target_left_alone(
    workspace: Workspace, server: Sandbox, name: str, plant: Plant
) -> None:
    results, private = begun(workspace)
    precious = workspace.folder / "precious"
    precious.write_bytes(b"{}")
    place = results / name if name in RESULTS else private.parent / name if "/" in name else private / name
    plant(place, precious)

    summary = workspace.run()

    assert (summary["exit_code"], summary["rows"]["delivered"]) == (1, 7)
    assert (precious.read_bytes(), precious.stat().st_nlink) == (b"{}", 1)
    assert not place.is_symlink()
    assert len(server.effects) == 7


def folders_of(workspace: Workspace) -> dict[str, Path]:
    """The folders that the program makes for itself."""
    at = workspace.places
    return {
        "results of the job": at.results,
        "private folders of runs": at.run("any").parent,
        "the plan's folder": at.run("next-job"),
        "locks": at.locks,
    }


@pytest.mark.parametrize("name", ["results of the job", "private folders of runs", "the plan's folder", "locks"])
@pytest.mark.parametrize("there", [True, False], ids=["to a folder", "to nothing"])
def test_a_link_in_place_of_a_folder_of_ours_stops_the_run_before_anything_is_sent(
    workspace: Workspace, server: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str, there: bool
) -> None:
    sales(workspace)
    elsewhere = workspace.folder / "elsewhere"
    if there:
        elsewhere.mkdir()
    place = folders_of(workspace)[name]
    linked(place, elsewhere)
    monkeypatch.setenv("ORG", ENVIRON["ORG"])

    done = call("run", str(workspace.folder / "job.toml"))

    assert done.code == 2
    assert f"{place}: A symbolic link in place of a folder of batchpost is not followed\n" in done.err
    assert "Safe to repeat: yes. Nothing was sent. Next: mend that, then batchpost run " in done.err
    assert server.received == []
    assert not there or list(elsewhere.iterdir()) == []
    place.unlink()
    assert call("run", str(workspace.folder / "job.toml")).code == 1


def test_a_link_in_place_of_a_begun_runs_results_stops_it(
    workspace: Workspace, server: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, _ = begun(workspace)
    elsewhere = results.rename(workspace.folder / "elsewhere")
    before = {path.name: path.stat().st_mtime_ns for path in elsewhere.iterdir()}
    results.symlink_to(elsewhere)
    monkeypatch.setenv("ORG", ENVIRON["ORG"])
    done = call("run", str(workspace.folder / "job.toml"))
    assert (done.code, f"{results}: A symbolic link" in done.err) == (2, True)
    assert {path.name: path.stat().st_mtime_ns for path in elsewhere.iterdir()} == before
    assert len(server.received) == 3


@pytest.mark.parametrize("plant", [linked, hard_linked])
def test_a_link_in_place_of_a_lock_is_not_written_through(
    workspace: Workspace, server: Sandbox, monkeypatch: pytest.MonkeyPatch, plant: Plant
) -> None:
    sales(workspace).run(limit=1)
    monkeypatch.setenv("ORG", ENVIRON["ORG"])
    precious = workspace.folder / "precious"
    precious.write_bytes(b"precious")
    precious.chmod(0o640)
    locks = list(workspace.places.locks.glob("*.lock"))
    assert locks
    for lock in locks:
        plant(lock, precious)
    done = call("run", str(workspace.folder / "job.toml"))
    assert (precious.read_bytes(), stat.S_IMODE(precious.stat().st_mode)) == (b"precious", 0o640)
    if plant is linked:
        assert (done.code, len(server.received)) == (2, 1)
        assert "Too many levels of symbolic links\nSafe to repeat: yes. Nothing was sent. Next: " in done.err


@pytest.mark.parametrize("content", [b"", b"precious"])
def test_a_link_in_place_of_the_next_sittings_journal_is_not_written_through(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    _, private = begun(workspace)
    precious = workspace.folder / "precious"
    precious.write_bytes(content)
    linked(private / "sitting-0002.log", precious)
    monkeypatch.setenv("ORG", ENVIRON["ORG"])
    call("run", str(workspace.folder / "job.toml"))
    assert precious.read_bytes() == content


@pytest.mark.parametrize("there", [True, False], ids=["to a ledger", "to nothing"])
def test_a_link_in_place_of_the_ledger_is_refused(
    workspace: Workspace, server: Sandbox, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    sales(workspace).run(limit=1)
    ledger = workspace.places.ledger
    elsewhere = ledger.rename(workspace.folder / "elsewhere.db")
    before = elsewhere.read_bytes()
    if not there:
        elsewhere.unlink()
    ledger.symlink_to(elsewhere)
    monkeypatch.setenv("ORG", ENVIRON["ORG"])
    done = call("run", str(workspace.folder / "job.toml"))
    assert (done.code, f"{ledger}: " in done.err, len(server.received)) == (2, True, 1)
    assert (elsewhere.read_bytes() == before) if there else not elsewhere.exists()


@pytest.mark.parametrize("plant", [linked, hard_linked])
def test_a_link_in_place_of_the_ledgers_own_journal_is_not_written_through(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, plant: Plant
) -> None:
    sales(workspace).run(limit=1)
    precious = workspace.folder / "precious"
    precious.write_bytes(b"precious")
    plant(workspace.places.ledger.with_name(f"{workspace.places.ledger.name}-journal"), precious)
    monkeypatch.setenv("ORG", ENVIRON["ORG"])
    call("run", str(workspace.folder / "job.toml"))
    assert precious.read_bytes() == b"precious"


def test_a_results_folder_or_ledger_of_a_persons_choice_may_be_a_link(workspace: Workspace) -> None:
    for name in ("results", ".batchpost"):
        (workspace.folder / f"big-{name}").mkdir()
        (workspace.folder / name).symlink_to(workspace.folder / f"big-{name}")
    assert sales(workspace).run()["rows"]["delivered"] == 7
    assert (workspace.folder / "big-.batchpost" / "ledger-test.db").is_file()


def test_an_export_over_a_link_replaces_the_link(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    sales(workspace).run()
    precious = workspace.folder / "precious"
    precious.write_bytes(b"precious")
    linked(workspace.folder / "out.csv", precious)
    monkeypatch.chdir(workspace.folder)
    assert call("export", "latest", "-o", "out.csv").code == 0
    assert precious.read_bytes() == b"precious"
    assert not (workspace.folder / "out.csv").is_symlink()


def test_forgetting_deletes_the_link_and_not_what_it_points_to(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = sales(workspace).run()
    precious = workspace.folder / "precious"
    precious.write_bytes(b"precious")
    linked(workspace.results(summary) / "outcomes.csv", precious)
    monkeypatch.chdir(workspace.folder)
    assert call("forget", "--older-than", "0s").code == 0
    assert precious.read_bytes() == b"precious"
    assert [path.name for path in workspace.results(summary).iterdir()] == ["summary.json"]


def test_a_secret_behind_a_link_is_read_as_containers_mount_them(workspace: Workspace) -> None:
    (workspace.folder / "..data").mkdir()
    (workspace.folder / "..data" / "org").write_text("org_sandbox\n")
    (workspace.folder / "org").symlink_to("..data/org")
    sales(workspace)
    workspace.sales(api='org_id = "file:org"')
    assert workspace.run()["rows"]["delivered"] == 7


def test_the_names_of_locks_tell_nothing(workspace: Workspace) -> None:
    sales(workspace).run()
    locks = names(list(workspace.places.locks.iterdir()))
    assert len(locks) > 1
    assert all(re.fullmatch(r"[0-9a-f]{24}\.lock", name) for name in locks)
