"""Everything that can stop a run, grouped by what a person does about it.

    BatchpostError                 exit
    ├── UsageError                 2    the command line or the environment is wrong
    │   ├── JobError               2    the job file is wrong: all its mistakes at once
    │   ├── SecretError            2    a secret is missing or cannot be one
    │   └── LedgerError            2    the ledger is missing, foreign, older than the results, or damaged
    ├── InputRefused               5    the input cannot be read soundly; nothing was sent
    ├── NoInput                    66   the input is not there yet
    ├── Locked                     75   another run holds the lock; nothing was sent
    ├── InputChanged               4    the input is not what the first pass read
    ├── JournalError               4    the journal could not be written: without it nothing may be sent
    └── CutShort                   4    ledger or results took no more after rows were sent

A row's fate is never an exception: see :mod:`batchpost.verdict`. How a run that began to send ends early is a value
too: see :class:`batchpost.model.Stop`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "BatchpostError",
    "CutShort",
    "InputChanged",
    "InputRefused",
    "JobError",
    "JournalError",
    "LedgerError",
    "Locked",
    "Mistake",
    "NoInput",
    "SecretError",
    "UsageError",
    "system_mend",
    "told_by_system",
]

_MENDS = {
    errno.ENOSPC: "Make room on its disk",
    errno.EDQUOT: "Make room: this user's share of the disk is used up",
    errno.EACCES: "See who may read and write it, and its folder",
    errno.EPERM: "See who may read and write it, and its folder",
    errno.EROFS: "Its disk is mounted read-only: name another place",
    errno.ENOTDIR: "A file is in the place of a folder: move it away",
    errno.EEXIST: "A file is in the place of a folder: move it away",
    errno.EMFILE: "Raise the limit of open files (ulimit -n)",
}


class BatchpostError(Exception):
    """Stops the program with :attr:`exit_code`; its text is meant for the person at the terminal.

    :attr:`then` is what that person does next, with commands by name: ``{run}`` the same command once more,
    ``{waiting}`` the same with ``--wait``, ``{check}`` and ``{plan}`` those of the job, ``{columns}`` the one of both
    that looks at the columns of what was read, ``{help}`` the command's help. One error may have advice of its own.
    :attr:`sent` says that rows may have gone out before it was raised.
    """

    exit_code = 70
    then = "mend that, then {run}"
    sent = False

    def __init__(self, text: str = "", *, then: str = "") -> None:
        self.then = then or type(self).then
        super().__init__(text)


class UsageError(BatchpostError):
    """The command line or the environment is wrong; nothing was sent."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a job file.

    ``place`` is the dotted key (``fields.revenue.min``), ``line`` counts from 1 (None where the file has no such
    line), ``hint`` is the likeliest mend or an empty text.
    """

    place: str
    message: str
    line: int | None = None
    hint: str = ""
    path: str = ""

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.path, self.line) if part)
        text = f"{where}: {self.place}: {self.message}" if where else f"{self.place}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


class JobError(UsageError):
    """The job file is wrong; carries every mistake found, in the order of their lines.

    ``jobs`` has the job where enough of it is sound to announce that it was not run.
    """

    then = "{check}"

    def __init__(self, mistakes: list[Mistake], jobs: Iterable[Any] = (), *, then: str = "") -> None:
        self.jobs = tuple(jobs)
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.path, mistake.line or 0)))
        in_files = any(mistake.path for mistake in self.mistakes)  # or an option is wrong, which no check looks at
        super().__init__("\n".join(map(str, self.mistakes)), then=then if in_files else "{help}")


class SecretError(UsageError):
    """A secret that the job refers to is missing or cannot be one; the text never holds its value."""

    then = "{check}"


class LedgerError(UsageError):
    """The ledger is missing, another one, older than the results, on a network file system, or damaged."""


class InputRefused(BatchpostError):
    """The input cannot be read soundly; names the file, the line (from 1) where known, and the likeliest mend."""

    exit_code = 5
    then = "{plan}"

    def __init__(self, path: str, message: str, *, line: int | None = None, hint: str = "") -> None:
        self.path, self.message, self.line, self.hint = path, message, line, hint
        where = f"{path}, line {line}" if line else path
        super().__init__(f"{where}: {message}" + (f". {hint}" if hint else ""))


class NoInput(BatchpostError):
    """There is no input yet: no such file, or no file of the pattern that was not finished before."""

    exit_code = 66
    then = "{waiting}"


class Locked(BatchpostError):
    """Another run that could touch the same operations is under way; nothing was sent."""

    exit_code = 75
    then = "{waiting}"


class InputChanged(BatchpostError):
    """The input is not what the first pass read: it was rewritten, replaced or cut off while the run sent it."""

    exit_code = 4
    then = "{run}"


class JournalError(BatchpostError):
    """A write or fsync of the journal failed: the run stops, since nothing may be sent without its record."""

    exit_code = 4


class CutShort(BatchpostError):
    """A run that had begun could not be brought to its end: the ledger or the disk took no more. What was sent is in
    its journal, and ``run`` goes on from there."""

    exit_code = 4
    sent = True


def told_by_system(error: OSError) -> str:
    """What the system says of a file, with its name, and the likeliest mend."""
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{error.strerror or type(error).__name__}{system_mend(error)}"


def system_mend(error: OSError) -> str:
    """The likeliest mend of what the system refuses, as a sentence after another one; empty where none is known."""
    hint = _MENDS.get(error.errno or 0)
    return f". {hint}" if hint else ""
