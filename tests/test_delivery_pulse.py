"""What can be seen of a delivery while it goes, in virtual time; and that looking changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import anyio
import pytest
import trio

from batchpost.model import Repeat, Row, Stop
from batchpost.pacing import Pacing, RateWindow
from batchpost.pulse import Pulse
from batchpost.transport import NotSent
from tests.fakes import OK, Platform, Sitting, Step, a_row, in_virtual_time, reply

TERM = Stop("interrupted", "Stopped by SIGTERM", 143)
WAIT = Step(reply(429, retry_after="20"), 0.1)


def updates(count: int) -> list[Row]:
    return [a_row(number, Repeat.HARMLESS) for number in range(count)]


def seen(
    moments: Sequence[float], rows: list[Row], platform: Platform, /, *, stopped_at: float = 1e9, **options: Any
) -> tuple[list[Pulse], Sitting]:
    """The pulses of a sitting at these moments."""

    async def main() -> tuple[list[Pulse], Sitting]:
        sitting, pulses = Sitting(rows, platform, **options), []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop, sitting)
            tasks.start_soon(sitting.run)
            for moment in moments:
                await anyio.sleep_until(moment)
                pulses.append(sitting.delivery.pulse(trio.current_time(), len(rows)))
            tasks.cancel_scope.cancel()
        return pulses, sitting

    async def stop(sitting: Sitting) -> None:
        await anyio.sleep_until(min(stopped_at, 1e6))
        sitting.delivery.stop(TERM)

    return in_virtual_time(main)


def test_it_counts_what_is_settled_what_started_and_what_is_in_flight() -> None:
    platform = Platform(lambda number, times, now: OK._replace(latency=0.3))
    [pulse], _ = seen([5.05], updates(400), platform, rate=20, concurrency=32)
    assert (pulse.to_send, pulse.rate_allowed, pulse.in_flight_allowed) == (400, 20, 32)
    assert pulse.settled + pulse.in_flight == pulse.requests
    assert 94 <= pulse.requests <= 101
    assert 5 <= pulse.in_flight <= 7
    assert 19 <= pulse.rate_now <= 20
    assert (pulse.paused_why, pulse.paused_for, pulse.down_for, pulse.retried) == ("", 0.0, 0.0, 0)


@pytest.mark.parametrize("rate", [0.5, 1.0, 10.0, 200.0])
def test_the_rate_of_now_is_never_more_than_the_rate_allowed(rate: float) -> None:
    pulses, _ = seen([2.0, 7.3, 20.0], updates(5_000), Platform(), rate=rate, concurrency=200)
    assert all(0 < pulse.rate_now <= rate for pulse in pulses)


def test_a_pause_says_that_the_platform_asked_for_it_and_counts_down() -> None:
    platform = Platform(lambda number, times, now: WAIT if now < 1 else OK)
    pulses, _ = seen([2.0, 12.0, 25.0], updates(40), platform, rate=10)
    assert [pulse.paused_why for pulse in pulses] == ["retry_after", "retry_after", ""]
    assert pulses[0].paused_for - pulses[1].paused_for == pytest.approx(10.0)
    assert 18 < pulses[0].paused_for <= 20
    assert (pulses[1].rate_now, pulses[1].in_flight) == (0.0, 0)
    assert pulses[2].retried > 0


def test_a_refusal_without_a_time_is_told_as_one() -> None:
    platform = Platform(lambda number, times, now: Step(reply(429), 0.1) if now < 0.2 else OK)
    [pulse], _ = seen([0.5], updates(40), platform, rate=10, concurrency=1)
    assert pulse.paused_why == "rate_limited"
    assert 0 < pulse.paused_for <= 1


def test_an_open_circuit_says_since_when_and_when_the_next_probe_goes() -> None:
    platform = Platform(lambda number, times, now: Step(NotSent("dns", ""), 0.05))
    pulses, _ = seen([10.0 + 0.25 * step for step in range(200)], updates(40), platform, rate=10)
    assert {pulse.paused_why for pulse in pulses} == {"circuit"}
    assert pulses[-1].down_for - pulses[0].down_for == pytest.approx(199 * 0.25)
    assert max(pulse.paused_for for pulse in pulses) > 1
    assert all(pulse.paused_for == 0.0 for pulse in pulses if pulse.in_flight)


def test_rows_that_only_wait_to_be_tried_again_say_so() -> None:
    platform = Platform(lambda number, times, now: Step(reply(500), 0.01) if times < 5 else OK)
    pulses, _ = seen([0.25 * step for step in range(1, 40)], updates(1), platform, rate=10)
    waiting = [pulse for pulse in pulses if pulse.paused_why == "backoff"]
    assert waiting
    assert all(pulse.paused_for > 0 and pulse.in_flight == 0 for pulse in waiting)
    assert pulses[-1].settled == 1
    assert pulses[-1].paused_why == ""


def test_a_stop_says_for_how_long_requests_in_flight_are_waited_for() -> None:
    platform = Platform(lambda number, times, now: OK._replace(latency=60.0))
    pulses, _ = seen([1.0, 3.0, 9.0], updates(40), platform, stopped_at=2.0, rate=10, drain=8.0)
    assert [(pulse.paused_why, pulse.paused_for) for pulse in pulses[:2]] == [("", 0.0), ("stopping", 7.0)]
    assert (pulses[2].paused_why, pulses[2].paused_for) == ("stopping", 1.0)


def test_looking_changes_nothing() -> None:
    def trouble(number: int, times: int, now: float) -> Step:
        return [OK, Step(reply(500), 0.2), WAIT, Step(NotSent("dns", ""), 0.1)][(number * 7 + times) % 4]

    ends, starts = [], []
    for moments in ([], [0.1 * step for step in range(1, 1_000)]):
        platform = Platform(trouble)
        _, sitting = seen([*moments, 400.0], updates(60), platform, rate=10, seed=3)
        ends.append(sitting.ends)
        starts.append(platform.starts())
    assert ends[0] == ends[1]
    assert starts[0] == pytest.approx(starts[1])
    assert len(ends[0]) > 20


def test_the_second_between_two_sittings_is_no_pause_to_tell_of() -> None:
    pace = Pacing(10, 8, Random(1), quiet_until=41.0)
    assert (pace.delay(40.5), pace.pause_at(40.5)) == (0.5, (0.0, ""))


def test_starts_are_counted_over_the_window_that_they_must_fit_in() -> None:
    window = RateWindow(0.5)
    window.started(10.0)
    assert [window.recent(now) for now in (10.0, 11.9, 12.1)] == [0.5, 0.5, 0.0]
