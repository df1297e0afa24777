"""Asking a person at a terminal: a question, what can be answered, and what Enter takes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Protocol

import click

__all__ = ["Person", "Terminal", "confirm"]


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
    _let_signals_end_it()
    return click.confirm(question, err=True)


def _let_signals_end_it() -> None:
    """polars takes SIGINT over with SA_RESTART: the system would go on reading, and Ctrl-C wait for Enter."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.siginterrupt(number, True)


class Terminal:
    """Questions on standard error, answers from standard input. Raises click.Abort where the input ends."""

    def choose(self, question: str, choices: Sequence[str], default: int) -> int:
        """Shows the choices with numbers from 1 and asks for one."""
        _let_signals_end_it()
        click.echo(question, err=True)
        for number, choice in enumerate(choices, 1):
            click.echo(f"  {number}  {choice}", err=True)
        answer: int = click.prompt("Number", type=click.IntRange(1, len(choices)), default=default + 1, err=True)
        return answer - 1

    def enter(self, question: str, default: str, complaint: Callable[[str], str]) -> str:
        """Asks until the answer is fit."""
        _let_signals_end_it()
        while True:
            shown = bool(default)
            answer = str(click.prompt(question, default=default, show_default=shown, err=True)).strip()
            problem = complaint(answer)
            if not problem:
                return answer
            click.echo(problem, err=True)
