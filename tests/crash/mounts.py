"""Disks of a test's own: a mount namespace that nobody else sees and that is gone with the block."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.commands import ROOT, Done, until
from tests.workspaces import ENVIRON

__all__ = ["Disks", "own_disks", "why_not"]

_HELD = ("unshare", "--mount", "--propagation", "private", "sleep", "600")
_PAGE = 4096  # bytes: what tmpfs gives out at a time


@dataclass(frozen=True)
class Disks:
    """A mount namespace, held open by a process. Paths are those inside of it."""

    holder: int

    def seen(self, path: Path) -> Path:
        """A path inside, as it is reached from outside."""
        return Path(f"/proc/{self.holder}/root") / path.relative_to("/")

    def small(self, path: Path, size: int) -> None:
        """Put a disk of so many bytes at a folder, which is made where it is missing."""
        self.seen(path).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._inside("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(path))

    def of_its_own(self, path: Path) -> None:
        """Make a mount of a folder, so that it can be made read-only without the disk that it is on."""
        self._inside("mount", "--bind", str(path), str(path))

    def read_only(self, path: Path, yes: bool = True) -> None:
        """Make a mount read-only, or writable again. Waits until nobody has a file open for writing."""
        option = f"remount,bind,{'ro' if yes else 'rw'}"
        until(lambda: self._inside("mount", "-o", option, str(path), check=False) == 0)

    def fill(self, path: Path, leave: int) -> Path:
        """Fill the disk of a folder up to so many bytes; returns the file that takes the room."""
        inside = self.seen(path)
        room = os.statvfs(inside)
        filler = inside / "filler"
        filler.write_bytes(b"." * (room.f_bavail * room.f_frsize - leave // _PAGE * _PAGE))
        return filler

    def finished(self, *arguments: str | Path, cwd: Path) -> Done:
        """A batchpost command inside, to its end."""
        with self.started(*arguments, cwd=cwd) as process:
            out, err = process.communicate(timeout=60)
        return Done(process.returncode, out, err)

    @contextmanager
    def started(self, *arguments: str | Path, cwd: Path) -> Iterator[subprocess.Popen[str]]:
        """A batchpost command inside; ended with the block."""
        enter = ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", f"--wd={cwd}"]
        words = [*enter, sys.executable, "-m", "batchpost", *map(str, arguments)]
        environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **ENVIRON}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            words, env=environ, text=True, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def _inside(self, *words: str, check: bool = True) -> int:
        enter = ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt"]
        return subprocess.run([*enter, *words], check=check, capture_output=True, timeout=30).returncode


@contextmanager
def own_disks() -> Iterator[Disks]:
    """A mount namespace of one's own; ended with the block, and with it whatever was mounted in it."""
    with subprocess.Popen(_HELD) as holder:
        try:
            until(lambda: _is_apart(holder.pid))
            yield Disks(holder.pid)
        finally:
            holder.kill()


@cache
def why_not() -> str:
    """Why this machine does not let us have disks of our own; empty where it does."""
    if missing := [word for word in ("unshare", "nsenter", "mount") if not shutil.which(word)]:
        return f"there is no {missing[0]} on this machine"
    tried = subprocess.run([*_HELD[:4], "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else f"no mount namespace: {tried.stderr.decode().strip()}"


def _is_apart(pid: int) -> bool:
    """Whether the process has left our namespace; before that a mount would be everybody's."""
    return Path(f"/proc/{pid}/ns/mnt").readlink() != Path("/proc/self/ns/mnt").readlink()
