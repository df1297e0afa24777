"""Secrets by reference: a job file names where a secret is, never the secret.

``env:NAME`` is an environment variable, ``file:PATH`` a file (read against the workspace), ``credential:NAME`` one that
systemd's ``LoadCredential=`` put into ``$CREDENTIALS_DIRECTORY``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from batchpost.errors import SecretError

__all__ = ["is_reference", "read_secret"]

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00-\x1f]+|credential:[A-Za-z0-9_][A-Za-z0-9._-]*")
_VISIBLE = re.compile(rb"[\x21-\x7e]+")  # what may stand in a header or a path without quoting (RFC 9110, 5.5)


def is_reference(text: str) -> bool:
    """Whether a text names a secret rather than being one."""
    return _REFERENCE.fullmatch(text) is not None


def read_secret(reference: str, workspace: Path, environ: Mapping[str, str]) -> str:
    """The secret that ``reference`` names; of a file, one line end after it is cut.

    Raises SecretError when it is missing, empty, or holds blanks, control or non-ASCII characters; the text of the
    error names the reference and never holds the value.
    """
    if not is_reference(reference):
        raise SecretError("a secret must be given as env:NAME, file:PATH or credential:NAME, not as its text")
    kind, _, name = reference.partition(":")
    if kind == "env":
        return _checked(reference, _from_environment(name, environ))
    secret = _from_file(reference, _file_of(kind, name, workspace, environ))
    return _checked(reference, secret)


def _from_environment(name: str, environ: Mapping[str, str]) -> bytes:
    if name not in environ:
        raise SecretError(
            f"env:{name}: the environment variable {name} is not set (cron has an environment of its own)"
        )
    return environ[name].encode("utf-8", "surrogateescape")


def _file_of(kind: str, name: str, workspace: Path, environ: Mapping[str, str]) -> Path:
    if kind == "file":
        return workspace / name
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise SecretError(f"credential:{name}: $CREDENTIALS_DIRECTORY is not set (systemd sets it for LoadCredential=)")
    return Path(directory) / name


def _from_file(reference: str, path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SecretError(f"{reference}: cannot read {path}: {error.strerror}") from error
    return content.removesuffix(b"\n").removesuffix(b"\r")


def _checked(reference: str, secret: bytes) -> str:
    if not secret:
        raise SecretError(f"{reference}: the secret is empty")
    if not _VISIBLE.fullmatch(secret):
        kind = "non-ASCII characters" if max(secret) > 0x7E else "blanks, line ends or control characters"
        raise SecretError(f"{reference}: the secret holds {kind}; write it again without them")
    return secret.decode("ascii")
