"""A run on a terminal of its own: what is painted while it goes, and that nothing of it is left."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from batchpost.sandbox import Sandbox
from tests.commands import ROOT
from tests.workspaces import ENVIRON, Workspace, sale_rows, write_csv

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PAINTED = "\x1b[?7l"  # begins what is painted once


@dataclass
class Screen:
    """A program on a terminal: what it has written so far."""

    process: subprocess.Popen[bytes]
    leader: int
    said: str = ""

    def until(self, holds: Callable[[str], bool]) -> None:
        """Read on until it holds of all that was written, or the program has ended."""
        while not holds(self.said):
            try:
                self.said += os.read(self.leader, 65536).decode()
            except OSError:  # the other side is closed
                break

    def resize(self, columns: int) -> None:
        termios.tcsetwinsize(self.leader, (24, columns))

    def last(self) -> list[str]:
        """The lines that stay on the screen."""
        _, _, rest = self.said.rpartition("\x1b[J")
        return rest.replace("\r\n", "\n").splitlines()


@contextmanager
def on_a_terminal(folder: Path, *words: str, **environ: str) -> Iterator[Screen]:
    """A command on a terminal of 100 columns; ended with the block."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(leader, (24, 100))
    command = [sys.executable, "-m", "batchpost", *words]
    given = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "LANG": "C.UTF-8", **ENVIRON, **environ}
    with subprocess.Popen(command, cwd=folder, env=given, stdin=follower, stdout=follower, stderr=follower) as process:
        os.close(follower)
        try:
            yield Screen(process, leader)
        finally:
            os.close(leader)
            process.kill()


@pytest.fixture
def here(tmp_path: Path, server: Sandbox) -> Workspace:
    """Sixty sales, ten a second."""
    place = Workspace(tmp_path, server.base_url)
    place.sales(delivery="rate = 10\nconcurrency = 4")
    write_csv(tmp_path / "in.csv", sale_rows(60))
    return place


def test_a_run_is_painted_in_the_width_that_the_terminal_has_and_goes_away_when_it_is_told_to_stop(
    here: Workspace,
) -> None:
    with on_a_terminal(here.folder, "run", "job.toml", NO_COLOR="1") as screen:
        screen.until(lambda said: "in flight" in said)
        screen.resize(40)
        painted = len(screen.said)
        screen.until(lambda said: said.count(PAINTED, painted) > 2)
        _, _, narrow = screen.said.rpartition(PAINTED)
        screen.process.send_signal(signal.SIGINT)
        screen.until(lambda said: False)
        assert screen.process.wait(30) == 130
    assert max(len(ESCAPE.sub("", line).strip("\r")) for line in narrow.split("\r\n")) < 40
    assert screen.said.count(PAINTED) == screen.said.count("\x1b[?7h") > 2
    lines = screen.last()
    assert re.match(r"job 2\S+: Stopped by SIGINT \(", f"{lines[0]} {lines[1].strip()}")
    assert re.match(r"Safe to repeat: yes\. Sent \d+, left \d+\. Next: batchpost run job\.toml$", lines[-1])
    assert not any(ESCAPE.search(line) for line in lines)


def test_colours_are_there_on_a_terminal_that_has_them(here: Workspace) -> None:
    with on_a_terminal(here.folder, "run", "job.toml", "--limit", "2") as screen:
        screen.until(lambda said: False)
        assert screen.process.wait(30) == 6
    assert any(line.startswith("\x1b[1m  delivered ") for line in screen.last())
