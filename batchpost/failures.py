"""From what stopped a command to a message for a person and an exit code. No message holds a row's data."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from batchpost.errors import BatchpostError, JobError
from batchpost.output import Output, one_line

__all__ = [
    "Terminated",
    "failure",
    "heed_signals",
    "internal_error",
    "most_urgent",
    "stop_if_told",
    "tell_failure",
    "traceback_text",
]

_HERE = Path(__file__).parent
# The contract's order, with the codes of commands that sent nothing put by who must act: a person, then time.
_BY_PRIORITY = (130, 143, 70, 4, 2, 5, 69, 75, 66, 6, 3, 1, 0)


class Terminated(KeyboardInterrupt):
    """SIGTERM came; a kind of KeyboardInterrupt, so that event loops let it through."""


def most_urgent(codes: Iterable[int]) -> int:
    """Of several exit codes the first in the contract's order; 0 for none."""
    return min(codes, key=_BY_PRIORITY.index, default=0)


def failure(error: BaseException, *, sending: bool = False) -> tuple[str, int]:
    """The message and exit code for what stopped a command; ``sending``: a request may have gone out before.

    The message is one line, that of a job file one for each mistake: no name in it can begin another.
    """
    if isinstance(error, JobError):
        return "\n".join(one_line(str(mistake)) for mistake in error.mistakes), error.exit_code
    if isinstance(error, BatchpostError):
        return one_line(str(error)), error.exit_code
    if isinstance(error, click.ClickException):
        return one_line(error.format_message()), error.exit_code
    if isinstance(error, click.Abort):  # click's questions do not keep what ended them
        error = error.__cause__ or (_told[-1] if _told else error)
    if isinstance(error, (KeyboardInterrupt, click.Abort, EOFError)):
        return _stopped(error, sending=sending)
    if isinstance(error, OSError) and error.strerror:
        where = one_line(f"{error.filename}: ") if error.filename is not None else ""
        if sending:
            return f"{where}{error.strerror}. {_SENT}", 4
        return f"{where}{error.strerror}. Nothing was sent", 2
    return _stopped(_told[-1], sending=sending) if _told else (internal_error(error), 70)


def _stopped(interrupt: BaseException, *, sending: bool) -> tuple[str, int]:
    name, code = ("SIGTERM", 143) if isinstance(interrupt, Terminated) else ("SIGINT", 130)
    return f"Stopped by {name}. {_SENT if sending else 'Nothing was sent'}", code


_SENT = "What was sent is recorded; run goes on from there"


def tell_failure(error: BaseException, output: Output, *, sending: bool = False, about: str = "batchpost") -> int:
    """Tell on standard error what stopped a command; returns the exit code."""
    text, code = failure(error, sending=sending)
    if code == 70 and os.environ.get("BATCHPOST_DEBUG"):
        output.tell(traceback_text(error))
    output.tell(text if "\n" in text else f"{about}: {text}")
    return code


def internal_error(error: BaseException) -> str:
    """A bug's type and place. Its text and the values of variables may hold personal data, so they are not told."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).parent == _HERE] or frames
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"internal error: {type(error).__name__}{where}. This is a bug; BATCHPOST_DEBUG=1 shows the traceback"


def traceback_text(error: BaseException) -> str:
    """Where a bug came from: the places in the code and the types, cause first. Not what the exceptions say, which may
    be a row's data, and not the values of variables."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    told = [traceback_text(one) for one in (before, *inner) if one is not None]
    frames = "".join(traceback.format_tb(error.__traceback__))
    return "\n".join([*told, f"Traceback (most recent call last):\n{frames}{type(error).__name__}"])


# What is raised in a function that a compiled library calls may come out as another error, or not at all (polars).
_told: list[KeyboardInterrupt] = []


def heed_signals() -> None:
    """Make SIGTERM end the program as Ctrl-C does, where no run has taken the signals over; both are remembered."""
    _told.clear()
    with suppress(ValueError):  # not the main thread: then signals are its business
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
        sys.unraisablehook = _tell_unraisable


def stop_if_told() -> None:
    """Raises the interrupt that came before and was swallowed on its way. To be called before anything is sent."""
    if _told:
        raise _told[-1]


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a signal handler's signature
    _told.append(Terminated() if number == signal.SIGTERM else KeyboardInterrupt())
    raise _told[-1]


def _tell_unraisable(found: sys.UnraisableHookArgs) -> None:
    if not isinstance(found.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(found)
