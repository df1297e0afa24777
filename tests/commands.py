"""Command lines for tests: in this process with both streams caught, or as a program of its own."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchpost.cli import run_command
from tests.workspaces import ENVIRON

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log lines among what went to standard error."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]

    @property
    def last(self) -> str:
        """The last line of the result."""
        return self.out.rstrip().splitlines()[-1]


def call(*arguments: str | Path) -> Done:
    """One command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run_command([str(word) for word in arguments])
    finally:
        signal.signal(signal.SIGTERM, before)
    for stream in (out, err):
        stream.flush()
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return Done(code, *texts)


@contextmanager
def started(*arguments: str | Path, cwd: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """One command as a program of its own, with next to nothing in its environment; ended with the block."""
    words = [sys.executable, "-m", "batchpost", *map(str, arguments)]
    environ = {"PYTHONPATH": str(ROOT), **ENVIRON, **options.pop("env", {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
    with subprocess.Popen(words, cwd=cwd, env=environ, text=True, **pipes) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def finished(*arguments: str | Path, cwd: Path, **options: Any) -> Done:
    """The same, to its end."""
    with started(*arguments, cwd=cwd, **options) as process:
        out, err = process.communicate(timeout=60)
    return Done(process.returncode, out or "", err or "")


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its size and the time of its last change."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
