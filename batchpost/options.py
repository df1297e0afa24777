"""What people write on the command line for spans of time and times of day."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

__all__ = ["CLOCK", "DURATION", "FILE", "NAMES", "seconds_until"]

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(min|[smhd])")
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
    """Words divided by commas."""

    name = "name,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ARG002 - click's
        """The words, without blanks around them."""
        if isinstance(value, tuple):
            return value
        return tuple(word.strip() for word in str(value).split(",") if word.strip())


DURATION = _Duration()
CLOCK = _Clock()
NAMES = _Names()
FILE = click.Path(path_type=Path)


def seconds_until(clock: tuple[int, int], now: datetime) -> float:
    """Seconds from ``now`` (local time, with its zone) to the next time that the clock shows this hour and minute."""
    hour, minute = clock
    wall = now.replace(tzinfo=None)
    then = wall.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if then <= wall:
        then += timedelta(days=1)
    # Over a change to or from daylight saving, the hours between are not what the clock says.
    return (then.astimezone() - now).total_seconds()
