"""From what stopped a command to a message for a person and an exit code. No message holds a row's data."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from batchpost.errors import BatchpostError, JobError
from batchpost.output import Output, one_line

__all__ = ["Terminated", "failure", "heed_sigterm", "internal_error", "most_urgent", "tell_failure", "traceback_text"]

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
    if isinstance(error, click.Abort) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, (KeyboardInterrupt, click.Abort, EOFError)):
        name, code = ("SIGTERM", 143) if isinstance(error, Terminated) else ("SIGINT", 130)
        return f"Stopped by {name}. {_SENT if sending else 'Nothing was sent'}", code
    if isinstance(error, OSError) and error.strerror:
        where = one_line(f"{error.filename}: ") if error.filename is not None else ""
        if sending:
            return f"{where}{error.strerror}. {_SENT}", 4
        return f"{where}{error.strerror}. Nothing was sent", 2
    return internal_error(error), 70


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


def heed_sigterm() -> None:
    """Make SIGTERM end the program as Ctrl-C does, where no run has taken the signal over."""
    with suppress(ValueError):  # not the main thread: then signals are its business
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a signal handler's signature
    raise Terminated
