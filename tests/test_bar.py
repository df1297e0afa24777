from __future__ import annotations

from typing import Any

import pytest

from batchpost.bar import ASCII, UNICODE, Signs, doing_lines, pause_text, sending_lines
from batchpost.pulse import Pulse

PULSE = Pulse(1_204, 3_000, 1_231, 25, 49.6, 50.0, 12, 32)
OUTCOMES = {"delivered": 1_198, "already_delivered": 2, "rejected": 4}


def bar(width: int = 100, signs: Signs = UNICODE, left: float | None = 36.2, **changes: Any) -> list[str]:
    pulse = PULSE._replace(**changes)
    lines = sending_lines(OUTCOMES, pulse, asked=50, left=left, width=width, signs=signs)
    return [line.text for line in lines]


def test_the_bar_has_the_share_the_time_left_and_below_it_rate_flight_retries_and_outcomes() -> None:
    assert bar(120) == [
        f"{'━' * 16}{'┈' * 24}  40 %  37 s left",
        "1,204 of 3,000 · 50/s of 50 allowed · 12 of 32 in flight · 25 retries · 1,198 delivered · 2 already delivered",
        "4 rejected",
    ]


def test_without_unicode_it_is_drawn_with_plain_characters() -> None:
    first, second, *_ = bar(60, ASCII)
    assert first.startswith("####")
    assert first.isascii()
    assert second == "1,204 of 3,000, 50/s of 50 allowed, 12 of 32 in flight"


@pytest.mark.parametrize("why", ["", "circuit"])
def test_no_line_is_wider_than_the_terminal_and_each_fact_is_whole_where_it_has_the_room(why: str) -> None:
    for width in range(1, 20):
        assert bar(width, paused_why=why)
    for width in range(20, 140):
        lines = bar(width, paused_why=why, paused_for=12.0, down_for=61.0)
        assert max(map(len, lines)) <= width
        for fact in ("1,204 of 3,000", "50/s of 50 allowed", "12 of 32 in flight", "2 already delivered"):
            assert any(fact in line for line in lines)
        assert any("40 %" in line for line in lines)


def test_a_rate_that_was_lowered_names_the_one_that_was_asked_for() -> None:
    assert "12/s of 38 allowed (of 50 asked for)" in bar(rate_now=12.0, rate_allowed=38.2)[1]


@pytest.mark.parametrize(("rate", "shown"), [(0.1, "0.1"), (2.0, "2"), (9.96, "10"), (1_234.5, "1,234")])
def test_rates_below_ten_have_a_place(rate: float, shown: str) -> None:
    lines = sending_lines({}, PULSE._replace(rate_now=rate, rate_allowed=2_000), asked=2_000, left=None, width=99)
    assert f" {shown}/s of 2,000 allowed" in lines[1].text


def test_one_retry_is_one_and_none_is_not_told() -> None:
    assert " 1 retry · " in bar(retried=1)[1]
    assert "retr" not in "".join(bar(retried=0))


def test_a_bar_of_nothing_and_one_beyond_its_end_can_be_drawn() -> None:
    assert sending_lines({}, Pulse(), asked=1, left=None, width=80)[0].text.endswith("  0 %")
    assert bar(settled=3_500)[0].endswith("  100 %  37 s left")
    assert bar(settled=3_500)[1].startswith("3,000 of 3,000")


# -- pauses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (("retry_after", 41.3), "Paused: the platform asks to wait (Retry-After), 42 s more"),
        (("retry_after", 0.4), ""),
        (("rate_limited", 3.0), "Paused: the platform asks to slow down (429), 3 s more"),
        (("rate_limited", 0.2), ""),
        (("circuit", 11.6), "Paused: the platform has served nothing for 2 min 5 s; the next try in 12 s"),
        (("circuit", 0.0), "Paused: the platform has served nothing for 2 min 5 s; a try is under way"),
        (("backoff", 4.0), "Waiting: the rows left have failed before, the next try in 4 s"),
        (("backoff", 0.1), ""),
        (("stopping", 7.2), "Stopping: waits for the replies to 12 requests in flight, 8 s at most"),
        (("stopping", 0.0), "Stopping: waits for the replies to 12 requests in flight"),
        (("", 0.0), ""),
    ],
)
def test_a_pause_says_why_and_for_how_long(facts: tuple[str, float], text: str) -> None:
    why, seconds = facts
    assert pause_text(PULSE._replace(paused_why=why, paused_for=seconds, down_for=125.0)) == text


def test_a_try_that_waits_for_its_row_is_due_and_nothing_in_flight_is_not_waited_for() -> None:
    idle = PULSE._replace(in_flight=0)
    assert pause_text(idle._replace(paused_why="circuit", down_for=9.0)).endswith("for 9 s; the next try is due")
    assert pause_text(idle._replace(paused_why="stopping")) == ""


def test_in_a_pause_no_time_is_left_to_tell() -> None:
    lines = bar(paused_why="retry_after", paused_for=9.0)
    assert lines[0].endswith("  40 %")
    assert lines[1] == "Paused: the platform asks to wait (Retry-After), 9 s more"
    assert bar(paused_why="rate_limited", paused_for=0.2)[0].endswith("37 s left")


# -- besides sending -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "seconds", "text"),
    [
        (0, 0.3, "⠙ reading exports/conv.csv"),
        (3_400_000, 12.6, "⠋ reading exports/conv.csv: 3,400,000 rows  12 s"),
        (1, 0.0, "⠋ reading exports/conv.csv: 1 row"),
    ],
)
def test_what_else_is_done_is_told_with_its_rows_and_its_time(rows: int, seconds: float, text: str) -> None:
    assert [line.text for line in doing_lines("reading exports/conv.csv", rows, seconds, width=80)] == [text]


def test_a_long_name_keeps_its_end() -> None:
    what = f"reading {'exports/' * 20}conv.csv"
    [line] = doing_lines(what, 1_000, 5.0, width=40, signs=ASCII)
    assert len(line.text) == 40
    assert line.text.endswith("conv.csv: 1,000 rows  5 s")
