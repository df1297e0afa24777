from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest

from batchpost.errors import Locked
from batchpost.locks import Locks, holder, is_held, operation_locks, remove_lock, what_of

ROOT = Path(__file__).parents[1]


def test_a_lock_is_taken_once_and_names_its_holder(tmp_path: Path) -> None:
    with Locks(tmp_path) as first, Locks(tmp_path) as second:
        first.take("job nightly", "the job nightly")
        with pytest.raises(Locked, match=rf"holds the job nightly \(process {os.getpid()} since \d{{4}}-") as caught:
            second.take("job nightly", "the job nightly")
        assert "`batchpost stop nightly`" in str(caught.value)
        second.take("job other", "the job other")


def test_what_another_job_holds_is_told_with_that_job_and_how_to_end_it(tmp_path: Path) -> None:
    events, updates = "events https://a:443", "updates https://a:443 cmp_a"
    with Locks(tmp_path) as first, Locks(tmp_path) as second:
        first.take("job all sales", "the job all sales")
        first.take(events, what_of(events))
        first.take(updates, what_of(updates))
        second.take("job nightly", "the job nightly")
        with pytest.raises(Locked) as caught:
            second.take(events, what_of(events))
        assert str(caught.value).startswith(f"A run of the job all sales (process {os.getpid()} since ")
        assert str(caught.value).endswith(
            ") holds the events of https://a:443. Wait until it has ended, or end it gently with "
            "`batchpost stop 'all sales'`"
        )
        with pytest.raises(Locked, match=r"holds the updates of the campaign cmp_a on https://a:443\. Wait"):
            second.take(updates, what_of(updates))


def test_all_locks_are_given_back_at_the_end_also_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with Locks(tmp_path) as locks:
            locks.take("a", "a")
            locks.take("b", "b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not is_held(tmp_path, "a")
    assert holder(tmp_path, "a") is None
    with Locks(tmp_path) as locks:
        locks.take("a", "a")
        locks.take("b", "b")


def test_a_lock_is_waited_for_as_long_as_there_is_time(tmp_path: Path) -> None:
    with Locks(tmp_path) as first:
        first.take("a", "a")
        began = time.monotonic()
        with Locks(tmp_path, wait=0.3) as second, pytest.raises(Locked):
            second.take("a", "a")
        assert time.monotonic() - began >= 0.3


HOLD = """
import os, sys
from pathlib import Path
from batchpost.locks import Locks
locks = Locks(Path(sys.argv[1])).__enter__()
locks.take("a", "a")
print("held", flush=True)
sys.stdin.read()
os._exit(9)
"""


def test_a_process_that_dies_lets_go_of_its_locks_whatever_else_it_leaves_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        held_by = holder(tmp_path, "a")
        assert held_by is not None
        assert held_by["pid"] == process.pid
        assert is_held(tmp_path, "a")
        Timer(0.1, process.stdin.close).start()
        with Locks(tmp_path, wait=30) as locks:
            locks.take("a", "a")
            assert process.wait() == 9
            held_by = holder(tmp_path, "a")
            assert held_by is not None
            assert held_by["pid"] == os.getpid()


def test_looking_does_not_take(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "none", "a")
    with Locks(tmp_path) as locks:
        locks.take("a", "a")
        assert is_held(tmp_path, "a")
        assert not is_held(tmp_path, "b")
    assert not is_held(tmp_path, "a")


def test_a_lock_of_a_name_that_is_not_used_again_leaves_nothing_behind(tmp_path: Path) -> None:
    with Locks(tmp_path) as locks:
        locks.take("run 1", "the run")
        locks.take("job", "the job")
        remove_lock(tmp_path, "run 1")
        assert not is_held(tmp_path, "run 1")
        assert is_held(tmp_path, "job")
    assert {path.suffix for path in tmp_path.iterdir()} == {".lock"}
    assert len(list(tmp_path.iterdir())) == 1
    remove_lock(tmp_path, "run 1")


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_spoilt_note_of_the_holder_is_no_holder(tmp_path: Path, text: str) -> None:
    with Locks(tmp_path) as first, Locks(tmp_path) as second:
        first.take("a", "it")
        next(tmp_path.glob("*.json")).write_text(text)
        with pytest.raises(Locked, match=r"holds it( \(process|\.)"):
            second.take("a", "it")


def test_lock_files_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Locks(tmp_path / "a" / "locks") as locks:
            locks.take("job", "job")
            modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*.*")}
            assert modes == {0o600}
            assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_events_share_one_lock_an_origin_and_updates_have_one_a_campaign() -> None:
    assert operation_locks("https://a:443", ["x", "y"], is_event=True) == ["events https://a:443"]
    assert operation_locks("https://a:443", {"y", "x"}, is_event=False) == [
        "updates https://a:443 x",
        "updates https://a:443 y",
    ]
