"""The process that reads Parquet files: what it gets to know, how it ends, and what is told of its end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchpost.errors import UsageError
from batchpost.readerprocess import EXIT_MEMORY, Header, ReaderEnded, ReaderProcess, reader_process

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
ANSWER = """
import json, os, struct, sys
def send(header):
    text = json.dumps(header).encode()
    os.write(1, struct.pack("<IQ", len(text), 0) + text)
sys.stdin.readline()
send({"kind": "ready"})
sys.stdin.readline()
"""


@pytest.fixture
def process() -> Iterator[ReaderProcess]:
    process = ReaderProcess()
    yield process
    process.close()


@pytest.fixture
def look(tmp_path: Path) -> Header:
    """A request for a look at a sound file."""
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "in.parquet")
    return {"file": str(tmp_path / "in.parquet"), "wanted": None, "rows": 10}


def answering(then: str, silence: float = 60) -> ReaderProcess:
    """A process that says that it is ready, and at the first request does something else than ours."""
    return ReaderProcess(("-c", f"{ANSWER}\n{then}"), silence)


def test_it_answers_one_request_after_another_and_goes_on_after_damage(
    process: ReaderProcess, look: Header, tmp_path: Path
) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    kinds = []
    for file in ("in", "bad", "in"):
        process.ask({**look, "file": str(tmp_path / f"{file}.parquet")})
        kinds.append(process.heard()[0]["kind"])
    assert kinds == ["layout", "refused", "layout"]


@on_linux
def test_secrets_reach_neither_its_environment_nor_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINGTREE_ORG_ID", "org_canary")
    process = ReaderProcess()
    folder = Path(f"/proc/{process.pid}")
    seen = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
    open_files = [str(link.readlink()) for link in (folder / "fd").iterdir()]
    process.close()
    assert b"canary" not in seen
    assert all(name.startswith(("pipe:", "/dev/null")) for name in open_files)


def test_what_lies_in_the_current_folder_is_no_module_of_its(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Header
) -> None:
    for name in ("json", "pyarrow", "batchpost", "struct"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    process = ReaderProcess()
    process.ask(look)
    assert process.heard()[0]["kind"] == "layout"
    process.close()


def test_signals_that_stop_a_run_leave_it_alone(process: ReaderProcess, look: Header) -> None:
    """Ctrl-C reaches a whole process group, and a service manager's SIGTERM every process: the run ends in order."""
    assert os.getpgid(process.pid) == process.pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(process.pid, number)
    process.ask(look)
    assert process.heard()[0]["kind"] == "layout"


@on_linux
def test_its_memory_and_its_time_are_limited(process: ReaderProcess, look: Header) -> None:
    process.ask(look)
    process.heard()
    lines = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    limits = {line[:25].strip(): line[25:].split()[0] for line in lines}
    assert 2**30 < int(limits["Max address space"]) < 3 * 2**30
    assert 100 < int(limits["Max cpu time"]) < 200
    assert limits["Max core file size"] == "0"


@on_linux
def test_it_ends_when_the_one_who_asks_is_killed() -> None:
    script = "from batchpost.readerprocess import ReaderProcess as R; r = R(); print(r.pid, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        handle = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        waiter = select.poll()
        waiter.register(handle, select.POLLIN)
        assert waiter.poll(20_000)
        os.close(handle)


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("os.kill(os.getpid(), 11)", "signal 11"),
        ("os.abort()", "signal 6"),
        (f"os.kill(os.getpid(), {int(signal.SIGXCPU)})", "took too long"),
        (f"sys.exit({EXIT_MEMORY})", "too much memory"),
        ("sys.exit(1)", "exit code 1"),
        ("os.write(1, b'half'); sys.exit(0)", "exit code 0"),
        ("os.write(1, b'\\xff' * 12); sys.stdin.read()", "no answer"),
        ("os.write(1, struct.pack('<IQ', 4, 0) + b'oops'); sys.stdin.read()", "no answer"),
    ],
)
def test_its_end_is_told_in_words(then: str, message: str) -> None:
    process = answering(then)
    process.ask({})
    with pytest.raises(ReaderEnded, match=message):
        process.heard()
    assert not process.is_alive


def test_one_that_hangs_is_ended() -> None:
    process = answering("sys.stdin.read()", silence=0.5)
    process.ask({})
    with pytest.raises(ReaderEnded, match=r"said nothing for 0\.5 s"):
        process.heard()
    assert not process.is_alive


def test_one_that_does_not_start_is_no_fault_of_the_file() -> None:
    with pytest.raises(UsageError, match="does not start: exit code 7"):
        ReaderProcess(("-c", "raise SystemExit(7)"))


def test_one_that_did_well_reads_the_next_file_and_one_that_did_not_none(look: Header) -> None:
    pids = []
    for fails in (False, False, True, False):
        try:
            with reader_process() as process:
                pids.append(process.pid)
                process.ask(look)
                process.heard()
                if fails:
                    raise ValueError
        except ValueError:
            assert not process.is_alive
    assert pids[0] == pids[1] == pids[2] != pids[3]


def test_one_that_died_while_nobody_asked_is_replaced(look: Header) -> None:
    with reader_process() as first:
        pass
    first.close()
    with reader_process() as second:
        second.ask(look)
        assert second.heard()[0]["kind"] == "layout"
    assert second.pid != first.pid
