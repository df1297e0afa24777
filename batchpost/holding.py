"""A private folder for fetched files and for what a plan notes, gone when the program ends; what a killed one left
goes with the next.

A lock file beside the folder, taken before the folder is made, tells the living from the dead.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

__all__ = ["Holding"]

_PREFIX = "batchpost-input-"


class Holding:
    """A folder (0700) in ``parent``, made when it is asked for; :meth:`close` removes it with its files.

    Raises OSError where ``parent`` takes no folder.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder: Path | None = None
        self._lock: FileLock | None = None
        self._files = 0

    def __repr__(self) -> str:
        return f"Holding({str(self._folder or self._parent)!r}, files={self._files})"

    def new_file(self, ending: str = "") -> tuple[Path, BinaryIO]:
        """A new file (0600), open to be written and read."""
        self._files += 1
        path = self.folder() / f"{self._files}{ending}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        return path, os.fdopen(descriptor, "w+b")

    def folder(self) -> Path:
        """The folder itself, for files of any name."""
        return self._folder or self._begin()

    def close(self) -> None:
        """Remove the folder and all in it."""
        folder, lock = self._folder, self._lock
        self._folder = self._lock = None
        if folder is not None and lock is not None:
            _remove(folder, lock)

    def _begin(self) -> Path:
        _sweep(self._parent)
        folder = self._parent / f"{_PREFIX}{secrets.token_hex(8)}"
        self._lock = FileLock(_lock_of(folder), mode=0o600)
        self._lock.acquire(timeout=0)
        folder.mkdir(mode=0o700)
        self._folder = folder
        return folder


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _sweep(parent: Path) -> None:
    """Remove the folders of processes of this user that are no more."""
    for folder in parent.glob(f"{_PREFIX}*"):
        if not _is_ours(folder):
            continue
        lock = FileLock(_lock_of(folder), mode=0o600)
        with suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            _remove(folder, lock)


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _remove(folder: Path, lock: FileLock) -> None:
    """The folder goes first: while it is there, the next program finds it."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
