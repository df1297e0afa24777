"""Files that nobody else may read, and that are there whole or not at all.

Folders are 0700 and files 0600, whatever the umask; a planted symlink is not followed.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["naming", "private_folder", "replaced", "synced"]

_NUMBER = re.compile(r"\(os error (\d+)\)")  # as Rust's standard library writes it


def synced(path: Path) -> None:
    """Return once a file, or the names in a folder, are on disk; raises OSError. Some network shares do not know how to
    do that for a folder, which is let pass: the ledger is on none."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def private_folder(path: Path, *, own: int = 0, sync: Callable[[Path], None] = synced) -> Path:
    """The folder, made 0700 with its parents where they are missing; the names of new ones are durable.

    The last ``own`` folders of the path are the program's own, not of a person's choice: raises OSError also where a
    link stands in place of one.
    """
    for folder in [path, *path.parents][:own]:
        if folder.is_symlink():
            raise OSError(errno.ELOOP, "A symbolic link in place of a folder of batchpost is not followed", str(folder))
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)  # not parents=True: that leaves the parents to the umask
        sync(missing.parent)
    return path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of writes to an open file do not say which file it is; here they do (a full disk is somebody's disk).

    Those of polars have the system's number in their text only.
    """
    try:
        yield
    except OSError as error:
        told = _NUMBER.search(str(error)) if error.errno is None else None
        number = int(told[1]) if told else error.errno
        if error.filename is not None or number is None:
            raise
        raise OSError(number, error.strerror or os.strerror(number), str(path)) from error


@contextmanager
def replaced(path: Path, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """A new file to write, which takes the place of ``path`` when it is complete; raises OSError.

    ``mode`` is for a file that others are meant to read.
    """
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with naming(path), os.fdopen(descriptor, "wb") as file:
            if mode != 0o600:
                os.fchmod(descriptor, mode)  # opening it heeds the umask
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
