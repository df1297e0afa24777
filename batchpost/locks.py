"""Two runs that could touch the same operations do not run at once.

Locks are ``flock`` on files beside the ledger, so a dead process holds none. Who holds one stands in a file next to it.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from batchpost.errors import Locked
from batchpost.files import private_folder, replaced

__all__ = ["Locks", "holder", "is_held", "operation_locks", "remove_lock", "what_of"]

_JOB = "job "


def operation_locks(origin: str, campaigns: Iterable[str], *, is_event: bool) -> list[str]:
    """What a run must hold: all events of an origin, or the updates of each campaign it reaches."""
    return [f"events {origin}"] if is_event else [f"updates {origin} {campaign}" for campaign in sorted(campaigns)]


def what_of(name: str) -> str:
    """What a lock of :func:`operation_locks` is on, for a person."""
    kind, _, rest = name.partition(" ")
    origin, _, campaign = rest.partition(" ")
    return f"the {kind} of {f'the campaign {campaign} on ' if campaign else ''}{origin}"


class Locks:
    """The locks of one run, in one folder; a context manager that gives them all back. Once it holds the lock of a job,
    the others are known to be that job's."""

    def __init__(self, folder: Path, *, wait: float = 0.0) -> None:
        self._folder = folder
        self._job = ""
        self._deadline = time.monotonic() + wait
        self._held: list[FileLock] = []

    def __enter__(self) -> Locks:
        private_folder(self._folder, own=1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lock in reversed(self._held):
            _info(Path(lock.lock_file)).unlink(missing_ok=True)
            lock.release()

    def take(self, name: str, what: str) -> None:
        """Take a lock, waiting as long as there is time; raises Locked, naming the holder.

        ``what`` is said of the holder's side: "the job nightly" or "the events of https://…".
        """
        path = _path(self._folder, name)
        lock = FileLock(path, mode=0o600)
        try:
            lock.acquire(timeout=max(0.0, self._deadline - time.monotonic()), poll_interval=0.25)
        except Timeout:
            raise Locked(_held_text(name, what, holder(self._folder, name) or {})) from None
        self._held.append(lock)
        self._job = name.removeprefix(_JOB) if name.startswith(_JOB) else self._job
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        info = {"pid": os.getpid(), "since": since, "name": name, "job": self._job}
        with replaced(_info(path)) as file:
            file.write(json.dumps(info).encode())


def _held_text(name: str, what: str, held_by: dict[str, Any]) -> str:
    process = f" (process {held_by['pid']} since {held_by['since']})" if "pid" in held_by else ""
    own = name.startswith(_JOB)
    job = name.removeprefix(_JOB) if own else held_by.get("job")
    stop = f", or end it gently with `batchpost stop {shlex.quote(job)}`" if job else ""
    if job and not own:
        return f"A run of the job {job}{process} holds {what}. Wait until it has ended{stop}"
    return f"Another run holds {what}{process}. Wait until it has ended{stop}"


def is_held(folder: Path, name: str) -> bool:
    """Whether a living process holds the lock."""
    path = _path(folder, name)
    if not path.exists():
        return False
    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def remove_lock(folder: Path, name: str) -> None:
    """Remove the file of a lock whose name nobody will rely on again, such as that of a run that ended.

    Never of any other: who waits with the old file open, and who makes a new one, would both hold the lock.
    """
    path = _path(folder, name)
    for left in (path, _info(path)):
        left.unlink(missing_ok=True)


def holder(folder: Path, name: str) -> dict[str, Any] | None:
    """``pid``, ``since`` and ``job`` of the process that holds the lock; None where that is not known."""
    try:
        found = json.loads(_info(_path(folder, name)).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _path(folder: Path, name: str) -> Path:
    return folder / f"{sha256(name.encode()).hexdigest()[:24]}.lock"


def _info(path: Path) -> Path:
    return path.with_suffix(".json")
