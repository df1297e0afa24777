from __future__ import annotations

import pytest

from batchpost.pulse import Pace, Pulse


def left(*seen: tuple[float, int], to_send: int = 1_000, allowed: float = 1_000, **last: object) -> float | None:
    """What a pace says after these (second, rows settled)."""
    pace = Pace()
    for number, (now, settled) in enumerate(seen, 1):
        more = last if number == len(seen) else {}
        pace.note(Pulse(settled=settled, to_send=to_send, rate_allowed=allowed, **more), now)  # type: ignore[arg-type]
    return pace.left


def test_the_rest_takes_as_long_as_the_pace_of_late_says() -> None:
    assert left((0, 0), (5, 50), (10, 100)) == 90
    assert left((0, 900), (10, 1_000)) == 0


def test_what_was_long_ago_says_nothing() -> None:
    assert left((0, 0), (1, 500), (40, 500), (60, 700)) == 30


def test_it_is_never_less_than_the_rate_allows() -> None:
    assert left((0, 0), (10, 500), allowed=20) == 25


@pytest.mark.parametrize("seen", [[(0, 0)], [(0, 0), (2, 10)], [(0, 7), (20, 7)]])
def test_at_the_beginning_and_in_a_standstill_it_cannot_be_said(seen: list[tuple[float, int]]) -> None:
    assert left(*seen) is None
    assert Pace().left is None


@pytest.mark.parametrize(
    ("why", "seconds", "known"),
    [("retry_after", 42.0, False), ("circuit", 0.0, False), ("stopping", 0.0, False), ("rate_limited", 0.4, True)],
)
def test_it_is_unknown_in_a_pause_that_is_more_than_a_breath(why: str, seconds: float, known: bool) -> None:
    seen = left((0, 0), (5, 50), (10, 100), paused_why=why, paused_for=seconds)
    assert (seen is not None) == known


def test_after_a_pause_the_pace_is_found_anew() -> None:
    pace = Pace()
    for now, settled, why in [(0, 0, ""), (10, 1_000, ""), (20, 1_000, "circuit"), (60, 1_000, ""), (65, 1_050, "")]:
        pace.note(Pulse(settled, 2_000, rate_allowed=1_000, paused_why=why), now)
    assert pace.left == 95
