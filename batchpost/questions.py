"""Asking a person at a terminal: a question, what can be answered, and what Enter takes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import click

from batchpost.failures import stop_if_told

__all__ = ["Person", "Terminal", "confirm"]

_LOOK = 0.2  # seconds


class Person(Protocol):
    """Whoever can be asked. Where nobody can, there is None in its place, and nothing is asked."""

    def choose(self, question: str, choices: Sequence[str], default: int) -> int:
        """The index of one of the choices."""
        ...

    def enter(self, question: str, default: str, complaint: Callable[[str], str]) -> str:
        """A text for which ``complaint`` has nothing to say; an empty answer means the default."""
        ...


def confirm(question: str) -> bool:
    """Asks on standard error for a yes or no; Enter is a no. Raises click.Abort where the input ends."""
    with _ended_by_signals():
        return click.confirm(question, err=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While a person is asked, SIGINT and SIGTERM end the waiting.

    polars takes SIGINT over with SA_RESTART: the system would go on reading, and Ctrl-C wait for Enter. And a signal
    that comes in the instant before the reading begins interrupts nothing: a timer does, five times a second, and
    raises what was raised where nobody heard it (in a destructor, say).
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.siginterrupt(number, True)
    before = signal.signal(signal.SIGALRM, lambda *_: stop_if_told())
    signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Terminal:
    """Questions on standard error, answers from standard input. Raises click.Abort where the input ends."""

    def choose(self, question: str, choices: Sequence[str], default: int) -> int:
        """Shows the choices with numbers from 1 and asks for one."""
        click.echo(question, err=True)
        for number, choice in enumerate(choices, 1):
            click.echo(f"  {number}  {choice}", err=True)
        with _ended_by_signals():
            answer: int = click.prompt("Number", type=click.IntRange(1, len(choices)), default=default + 1, err=True)
        return answer - 1

    def enter(self, question: str, default: str, complaint: Callable[[str], str]) -> str:
        """Asks until the answer is fit."""
        while True:
            shown = bool(default)
            with _ended_by_signals():
                answer = str(click.prompt(question, default=default, show_default=shown, err=True)).strip()
            problem = complaint(answer)
            if not problem:
                return answer
            click.echo(problem, err=True)
