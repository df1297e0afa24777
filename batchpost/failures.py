"""From what stopped a command to a message for a person and an exit code. No message holds a row's data.

A command that sends ends with a last line for somebody who has never seen the tool: is it safe to repeat, was anything
sent, and what to type next.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from batchpost.errors import BatchpostError, JobError, Mistake, told_by_system
from batchpost.layout import short_path
from batchpost.output import Output, one_line

__all__ = [
    "Situation",
    "Terminated",
    "failure",
    "heed_signals",
    "internal_error",
    "last_words",
    "most_urgent",
    "stop_if_told",
    "tell_failure",
    "told_to_stop",
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


@dataclass(frozen=True, slots=True)
class Situation:
    """The command that failed, for its last line.

    ``command`` is the same once more, as it may be shown, ``help`` the one that explains it; ``check`` and ``plan`` are
    those of its job (empty: no job is known), ``elsewhere`` says that it reads another input than the job's own, which
    only ``plan`` looks at. ``sends``: it is one that sends; ``waits``: it takes ``--wait``;
    ``begun``: a request may have gone out.
    """

    command: str = "batchpost"
    help: str = "batchpost --help"
    check: str = ""
    plan: str = ""
    elsewhere: bool = False
    sends: bool = False
    waits: bool = False
    begun: bool = False

    def commands(self) -> dict[str, str]:
        """The commands that advice speaks of, by name; without a job there is but the same command to advise."""
        mended = f"mend that, then {self.command}"
        waits = self.waits and "--wait" not in shlex.split(self.command)
        check, plan = self.check or mended, self.plan or mended
        return {
            "run": self.command,
            "waiting": f"{self.command} --wait 2h" if waits else self.command,
            "check": check,
            "plan": plan,
            "columns": plan if self.elsewhere else check,
            "help": self.help,
        }


def last_words(error: BaseException, situation: Situation) -> str:
    """The last line of a command that failed: of one that sends always; of another one only where the next thing to
    type is something else than the same command (else empty)."""
    commands = situation.commands()
    advice = _advice(error)
    then = one_line(_NAMED.sub(lambda name: commands[name[1]], advice))
    if situation.sends:
        begun = situation.begun or getattr(error, "sent", False)
        return f"Safe to repeat: yes. {_SENT if begun else 'Nothing was sent'}. Next: {then}"
    return "" if then.endswith(one_line(situation.command)) else f"Next: {then}"


_SENT = "What was sent is recorded"
_MENDED = "mend that, then "
_NAMED = re.compile(r"\{(run|waiting|check|plan|columns|help)\}")


def _advice(error: BaseException) -> str:
    error = _cause(error)
    if isinstance(error, BatchpostError):
        return error.then
    if isinstance(error, click.ClickException):
        return "{help}"
    if isinstance(error, _INTERRUPTS):
        return "{run}"
    if isinstance(error, OSError) and error.strerror:
        return f"{_MENDED}{{run}}"
    if os.environ.get("BATCHPOST_DEBUG"):
        return "report the lines above, and what was done"
    return "BATCHPOST_DEBUG=1 {run}, and report what it says"


def failure(error: BaseException, *, sending: bool = False) -> tuple[str, int]:
    """The message and exit code for what stopped a command; ``sending``: a request may have gone out before.

    The message is one line, that of a job file one for each mistake: no name in it can begin another.
    """
    error = _cause(error)
    if isinstance(error, JobError):
        return "\n".join(one_line(str(_seen_from_here(mistake))) for mistake in error.mistakes), error.exit_code
    if isinstance(error, BatchpostError):
        return one_line(str(error)), error.exit_code
    if isinstance(error, click.ClickException):
        return one_line(error.format_message()), error.exit_code
    if isinstance(error, _INTERRUPTS):
        name, code = ("SIGTERM", 143) if isinstance(error, Terminated) else ("SIGINT", 130)
        return f"Stopped by {name}", code
    if isinstance(error, OSError) and error.strerror:
        return one_line(told_by_system(error)), 4 if sending else 2
    return internal_error(error), 70


def _seen_from_here(mistake: Mistake) -> Mistake:
    return replace(mistake, path=short_path(mistake.path, Path.cwd())) if mistake.path else mistake


_INTERRUPTS = (KeyboardInterrupt, click.Abort, EOFError)


def _cause(error: BaseException) -> BaseException:
    """What an error is about: click's questions do not keep what ended them, and a library that was interrupted may
    say anything."""
    if isinstance(error, click.Abort):
        return error.__cause__ or (_told[-1] if _told else error)
    told = isinstance(error, (BatchpostError, click.ClickException, *_INTERRUPTS))
    if told or (isinstance(error, OSError) and error.strerror):
        return error
    return _told[-1] if _told else error


def tell_failure(
    error: BaseException, output: Output, situation: Situation = Situation(), *, about: str = "batchpost"
) -> int:
    """Tell on standard error what stopped a command, and what to do; returns the exit code."""
    text, code = failure(error, sending=situation.begun)
    if code == 70 and os.environ.get("BATCHPOST_DEBUG"):
        output.tell(traceback_text(error))
    output.tell(text if isinstance(error, JobError) else f"{about}: {text}")
    if isinstance(error, JobError) and len(error.mistakes) > 1:
        output.tell(f"{len(error.mistakes):,} mistakes")
    if last := last_words(error, situation):
        output.tell(last)
    return code


def internal_error(error: BaseException) -> str:
    """A bug's type and place. Its text and the values of variables may hold personal data, so they are not told."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).parent == _HERE] or frames
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"internal error: {type(error).__name__}{where}. This is a bug of batchpost"


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


def told_to_stop() -> int:
    """The exit code of a signal that came while something was brought to its end all the same; 0 for none."""
    return failure(_told[-1])[1] if _told else 0


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a signal handler's signature
    _told.append(Terminated() if number == signal.SIGTERM else KeyboardInterrupt())
    raise _told[-1]


def _tell_unraisable(found: sys.UnraisableHookArgs) -> None:
    if not isinstance(found.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(found)
