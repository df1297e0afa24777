"""What people write on the command line: spans of time, times of day, names; and what a shell offers for each.

What is offered is never in the way: where it cannot be found out, nothing is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from batchpost.reasons import BY_OUTCOME, OUTCOMES, REASONS

__all__ = [
    "CLOCK",
    "DIR",
    "DOUBTS",
    "DURATION",
    "FILE",
    "JOB",
    "JOB_NAME",
    "OUTCOME",
    "REASON",
    "RETRIED",
    "RUN",
    "SOURCE",
    "seconds_until",
]

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(min|[smhd])")
_Items = list[CompletionItem[str]]
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class _Duration(click.ParamType[float]):
    """Seconds, from ``90s``, ``30m``, ``2h``, ``1h30m`` or ``90d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; fails for a text without a unit."""
        if isinstance(value, (int, float)):
            return float(value)
        text = str(value).strip().lower()
        parts = _PART.findall(text)
        if not parts or _PART.sub("", text).strip():
            self.fail(f"{value!r} is no span of time; write 45s, 30m, 2h, 1h30m or 90d", param, ctx)
        return sum(float(number) * _UNITS[unit] for number, unit in parts)


class _Clock(click.ParamType[tuple[int, int]]):
    """Hour and minute, from ``07:00``."""

    name = "HH:MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The two numbers; fails for anything but a time of day."""
        if isinstance(value, tuple):
            return value
        found = _CLOCK.fullmatch(str(value).strip())
        if not found:
            self.fail(f"{value!r} is no time of day; write 07:00", param, ctx)
        return int(found[1]), int(found[2])


class _Names(click.ParamType[tuple[str, ...]]):
    """Words divided by commas; ``known`` are those that a shell offers, with their meanings."""

    name = "name,..."

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ARG002 - click's
        """The words, without blanks around them."""
        if isinstance(value, tuple):
            return value
        return tuple(word.strip() for word in str(value).split(",") if word.strip())

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:  # noqa: ARG002 - click's
        """The words that could be next."""
        from batchpost.completion import words

        return words(incomplete, self._known)


class _Text(click.ParamType[str]):
    """A text as it is; a shell offers files for it."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's
        """The text."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:  # noqa: ARG002 - click's
        """Any file, as the shell finds it."""
        return [CompletionItem(incomplete, type="file")]


class _JobFile(click.Path):
    """A job's file, as a path."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:  # noqa: ARG002 - click's
        """The job files that are near."""
        from batchpost.completion import job_files

        return job_files(incomplete, Path.cwd())


class _JobName(_Text):
    """A job's name, or its file."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:  # noqa: ARG002 - click's
        """The names of the workspace's jobs that have runs; job files where none of them fits."""
        from batchpost.completion import job_files, job_names

        return job_names(incomplete, _workspace(ctx)) or job_files(incomplete, Path.cwd())


class _Run(_Text):
    """A run: its id, a beginning of one, a job's name or ``latest``."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> _Items:  # noqa: ARG002 - click's
        """The runs of the workspace."""
        from batchpost.completion import runs

        return runs(incomplete, _workspace(ctx))


def _workspace(ctx: click.Context) -> Path:
    from batchpost.completion import home

    return home(ctx.params.get("workspace"), os.environ, Path.cwd())


_RETRIED = {
    "failed": "gave up",
    "rejected": "refused by the platform",
    "not_attempted": "the run stopped first",
    "due": "made due by resolve",
}

DURATION = _Duration()
CLOCK = _Clock()
FILE = click.Path(path_type=Path)
DIR = click.Path(file_okay=False, path_type=Path)
SOURCE = _Text()
JOB = _JobFile(path_type=Path)
JOB_NAME = _JobName()
RUN = _Run()
OUTCOME = _Names({name: fate.meaning for name, fate in OUTCOMES.items()})
RETRIED = _Names(_RETRIED)
REASON = _Names(REASONS)
DOUBTS = _Names(BY_OUTCOME["failed or unknown"])


def seconds_until(clock: tuple[int, int], now: datetime) -> float:
    """Seconds from ``now`` (local time, with its zone) to the next time that the clock shows this hour and minute."""
    hour, minute = clock
    wall = now.replace(tzinfo=None)
    then = wall.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if then <= wall:
        then += timedelta(days=1)
    # Over a change to or from daylight saving, the hours between are not what the clock says.
    return (then.astimezone() - now).total_seconds()
