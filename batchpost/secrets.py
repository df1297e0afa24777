"""Secrets by reference: a job file names where a secret is, never the secret.

``env:NAME`` is an environment variable, ``file:PATH`` a file (read against the workspace), ``credential:NAME`` one that
systemd's ``LoadCredential=`` put into ``$CREDENTIALS_DIRECTORY``.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from batchpost.errors import SecretError

__all__ = ["LONGEST", "is_reference", "read_secret"]

LONGEST = 4_096  # bytes; servers take 8 KB for a whole head, and a longer file is the wrong one
_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00-\x1f]+|credential:[A-Za-z0-9_][A-Za-z0-9._-]*")
_LINE_END = re.compile(rb"\r?\n\Z")
_MENDS = {
    errno.ENOENT: ". Put the secret there, or name the file where it is",
    errno.EISDIR: ". Name a file in it",
    errno.EACCES: ". Let the user who starts the job read it",
}
_VISIBLE = re.compile(rb"[\x21-\x7e]+")  # what may stand in a header or a path without quoting (RFC 9110, 5.5)


def is_reference(text: str) -> bool:
    """Whether a text names a secret rather than being one."""
    return _REFERENCE.fullmatch(text) is not None


def read_secret(reference: str, workspace: Path, environ: Mapping[str, str]) -> str:
    """The secret that ``reference`` names; one line end after it is cut.

    Raises SecretError when it is missing, empty, too long (:data:`LONGEST`), or holds blanks, control or non-ASCII
    characters; the text of the error names the reference and never holds the value. Who else may read the file is not
    asked: containers mount their secrets for everybody.
    """
    if not is_reference(reference):
        raise SecretError("a secret must be given as env:NAME, file:PATH or credential:NAME, not as its text")
    kind, _, name = reference.partition(":")
    if kind == "env":
        secret = _from_environment(name, environ)
    else:
        secret = _from_file(reference, _file_of(kind, name, workspace, environ))
    return _checked(reference, _LINE_END.sub(b"", secret))


def _from_environment(name: str, environ: Mapping[str, str]) -> bytes:
    if name not in environ:
        raise SecretError(
            f"env:{name}: the environment variable {name} is not set. Set it where the job is started: cron and "
            "systemd have an environment of their own"
        )
    return environ[name].encode("utf-8", "surrogateescape")


def _file_of(kind: str, name: str, workspace: Path, environ: Mapping[str, str]) -> Path:
    if kind == "file":
        return workspace / name
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise SecretError(
            f"credential:{name}: $CREDENTIALS_DIRECTORY is not set. systemd sets it for a unit with "
            f"LoadCredential={name}:PATH; outside of one write env:NAME or file:PATH"
        )
    return Path(directory) / name


def _from_file(reference: str, path: Path) -> bytes:
    try:
        with io.FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # a pipe would wait for its writer
                raise SecretError(f"{reference}: {path} is a pipe or a device, not a file. Name a file")
            return file.read(LONGEST + 3)
    except OSError as error:
        mend = _MENDS.get(error.errno or 0, "")
        raise SecretError(f"{reference}: cannot read {path}: {error.strerror}{mend}") from error


def _checked(reference: str, secret: bytes) -> str:
    if not secret:
        raise SecretError(f"{reference}: the secret is empty. Put it there")
    if len(secret) > LONGEST:
        raise SecretError(f"{reference}: the secret is longer than {LONGEST:,} bytes. Is it the right one?")
    if not _VISIBLE.fullmatch(secret):
        kind = "non-ASCII characters" if max(secret) > 0x7E else "blanks, line ends or control characters"
        raise SecretError(f"{reference}: the secret holds {kind}. Write the secret alone, without them")
    return secret.decode("ascii")
