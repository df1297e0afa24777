"""Files that nobody else may read, and that are there whole or not at all.

Folders are 0700 and files 0600, whatever the umask; a planted symlink is not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["naming", "private_folder", "replaced"]


def private_folder(path: Path) -> Path:
    """The folder, made 0700 with its parents where they are missing; raises OSError."""
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)  # not parents=True: that leaves the parents to the umask
    return path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of writes to an open file do not say which file it is; here they do (a full disk is somebody's disk)."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A new file (0600) to write, which takes the place of ``path`` when it is complete; raises OSError."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with naming(path), os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
