from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import click
import pytest

from batchpost.options import CLOCK, DURATION, OUTCOME, seconds_until


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's clock is New York's."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("30m", 1_800),
        ("5min", 300),
        ("2h", 7_200),
        ("1h30m", 5_400),
        ("90d", 7_776_000),
        (" 1.5 H ", 5_400),
    ],
)
def test_a_span_of_time_is_read_into_seconds(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds
    assert DURATION.convert(seconds, None, None) == seconds


@pytest.mark.parametrize("text", ["", "9", "2 hours", "h", "-1h", "1h later", "1y"])
def test_a_span_without_a_unit_is_not_guessed(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no span of time"):
        DURATION.convert(text, None, None)


def test_a_time_of_day_is_read_into_hour_and_minute() -> None:
    assert CLOCK.convert("07:05", None, None) == CLOCK.convert((7, 5), None, None) == (7, 5)


@pytest.mark.parametrize("text", ["7", "24:00", "07:60", "7:5", "7pm", ""])
def test_anything_else_is_no_time_of_day(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time of day"):
        CLOCK.convert(text, None, None)


def test_names_are_divided_by_commas() -> None:
    assert OUTCOME.convert(" invalid, failed,", None, None) == OUTCOME.convert(("invalid", "failed"), None, None)


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize(
    ("now", "clock", "hours"),
    [
        ("2026-06-01T20:00:00-04:00", (7, 0), 11),
        ("2026-06-01T06:59:00-04:00", (7, 0), 1 / 60),
        ("2026-06-01T07:00:00-04:00", (7, 0), 24),
        ("2026-03-07T22:00:00-05:00", (7, 0), 8),  # the night that skips an hour
        ("2026-10-31T22:00:00-04:00", (7, 0), 10),  # the night that repeats one
    ],
)
def test_until_is_the_next_time_that_the_clock_on_the_wall_shows(
    now: str, clock: tuple[int, int], hours: float
) -> None:
    moment = datetime.fromisoformat(now).astimezone(UTC).astimezone()
    assert seconds_until(clock, moment) == hours * 3_600
