"""Whole commands over addresses: sent, gone on with, sent again, and nothing secret left anywhere."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchpost.errors import InputRefused
from batchpost.jobfile import load_job
from batchpost.retry import retry_rows
from batchpost.sandbox import Sandbox
from batchpost.sandbox_faults import parse_faults
from tests.commands import finished, started
from tests.fileserver import Answer, file_server
from tests.workspaces import Workspace, counted, leads, sale_rows

SECRET = "hush-4711"


def signed(body: bytes) -> Any:
    return file_server(lambda asked, _: Answer(body, 200 if SECRET in asked.path else 403))


def csv_of(rows: dict[str, list[str]]) -> bytes:
    return pl.DataFrame(rows).write_csv().encode()


def told_nowhere(*places: Path) -> None:
    found = [
        path for place in places for path in place.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    assert found == []


@pytest.fixture
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


def command(workspace: Workspace, spool: Path, *words: str) -> Any:
    return finished(*words, cwd=workspace.folder, env={"TMPDIR": str(spool)})


def test_a_signed_address_is_sent_gone_on_with_and_told_nowhere(
    workspace: Workspace, server: Sandbox, spool: Path
) -> None:
    workspace.sales(delivery="rate = 100000\nconcurrency = 1")
    with signed(csv_of(sale_rows(4))) as files:
        first = command(
            workspace, spool, "run", "job.toml", "--limit", "2", "--source", f"{files.url}/a.csv?{SECRET}=1"
        )
        assert first.code == 6
        assert f"--source '{files.url}/a.csv?…'" in first.out  # the next command, without the secret
        second = command(workspace, spool, "run", "job.toml", "--json", "--source", f"{files.url}/a.csv?{SECRET}=2")
        assert (second.code, '"continued": true' in second.out) == (0, True)
        third = command(workspace, spool, "plan", "job.toml", "--source", f"{files.url}/a.csv?{SECRET}=3")
        for done in (first, second, third):
            assert SECRET not in done.out + done.err
    assert sorted(entry.transaction_id for entry in server.received) == leads(4)
    [folder] = (workspace.folder / "results").glob("*/*")
    outcomes = pl.read_csv(folder / "outcomes.csv", infer_schema=False)
    assert set(outcomes["source"]) == {f"{files.url}/a.csv"}
    told_nowhere(workspace.folder)
    assert list(spool.iterdir()) == []


def test_a_retry_fetches_its_runs_input_again(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(delivery="rate = 100000\nconcurrency = 1\nmax_attempts = 1\nmax_failures = 1000")
    body = csv_of(sale_rows(3))
    bodies = [body, body, body.replace(b"txn_00001", b"txn_00009")]
    with file_server(lambda asked, number: Answer(bodies[number], 200 if SECRET in asked.path else 403)) as files:
        address = f"{files.url}/a.csv?{SECRET}"
        job = load_job(workspace.folder / "job.toml", workspace=workspace.folder, source=[address])
        server.configure(faults=parse_faults("drop=1"))
        first = workspace.run(job=job)
        server.configure(faults=parse_faults(""))
        undone = ("failed", "rejected", "not_attempted", "unknown")
        path, rows = retry_rows(job, workspace.results(first), first, undone)
        assert rows == 3
        assert SECRET not in path.read_text()
        with pytest.raises(InputRefused, match=r"/a\.csv: is not what run .* read: it was changed since"):
            retry_rows(job, workspace.results(first), first, undone)
        files.asked.clear()
        with pytest.raises(InputRefused, match="A signed address expires, and only works whole"):
            retry_rows(workspace.load(), workspace.results(first), first, undone)


def test_a_new_signature_is_no_new_job(workspace: Workspace) -> None:
    from batchpost.jobfile import fingerprint

    workspace.sales()
    jobs = [
        load_job(workspace.folder / "job.toml", workspace=workspace.folder, source=[f"https://example.com/{path}"])
        for path in ("a.csv?sig=1", "a.csv?sig=2", "b.csv?sig=1")
    ]
    assert fingerprint(jobs[0]) == fingerprint(jobs[1]) != fingerprint(jobs[2])


def test_an_address_of_one_file_is_taken_again_and_again(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    with signed(csv_of(sale_rows(2))) as files:
        for expected in ({("delivered", "conversion"): 2}, {("already_delivered", "same_row"): 2}):
            job = load_job(
                workspace.folder / "job.toml", workspace=workspace.folder, source=[f"{files.url}/a.csv?{SECRET}"]
            )
            assert counted(workspace.outcomes(workspace.run(job=job))) == expected


def test_nothing_is_left_of_a_command_that_is_told_to_stop(workspace: Workspace, spool: Path) -> None:
    workspace.sales()
    asked, over = threading.Event(), threading.Event()

    def stall(*_: object) -> Answer:
        asked.set()
        over.wait(30)
        return Answer(b"")

    with file_server(stall) as files:
        words = ("run", "job.toml", "--source", f"{files.url}/a.csv?{SECRET}")
        with started(*words, cwd=workspace.folder, env={"TMPDIR": str(spool)}) as process:
            assert asked.wait(30)
            assert len([place for place in spool.iterdir() if place.is_dir()]) == 1
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
        over.set()
    assert (process.returncode, SECRET in out + err) == (143, False)
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize(("status", "code"), [(404, 66), (401, 5), (403, 5)])
def test_what_cannot_be_had_has_its_exit_code(workspace: Workspace, spool: Path, status: int, code: int) -> None:
    workspace.sales()
    with file_server(lambda *_: Answer(b"", status)) as files:
        done = command(workspace, spool, "run", "job.toml", "--source", f"{files.url}/a.csv?{SECRET}")
    assert (done.code, SECRET in done.err + done.out) == (code, False)
    assert f"{files.url}/a.csv" in done.err
    told_nowhere(workspace.folder)
    assert list(spool.iterdir()) == []


def test_a_password_in_an_address_is_a_mistake_that_is_not_repeated(workspace: Workspace, spool: Path) -> None:
    workspace.sales()
    done = command(workspace, spool, "run", "job.toml", "--source", f"https://me:{SECRET}@example.com/a.csv")
    assert (done.code, SECRET in done.err + done.out) == (2, False)
    assert "env:NAME" in done.err


def test_check_opens_what_it_fetched(workspace: Workspace, spool: Path) -> None:
    with signed(csv_of(sale_rows(2))) as files:
        workspace.sales()
        text = workspace.text.replace('"in.csv"', '"env:EXPORT_URL"')
        assert "env:EXPORT_URL" in text
        (workspace.folder / "job.toml").write_text(text)
        done = finished(
            *("check", "job.toml"),
            cwd=workspace.folder,
            env={"TMPDIR": str(spool), "EXPORT_URL": f"{files.url}/a.csv?{SECRET}"},
        )
    assert (done.code, done.err) == (0, "")
    assert list(spool.iterdir()) == []
