"""Pacing is asked about any instant: simulated clocks, no waiting."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.pacing import Circuit, InFlightLimit, Pacing, RateWindow, RetryBudget, backoff

RATES = [0.5, 1, 2.5, 10, 50, 1000]


def starts_of(window: RateWindow, now: float, until: float, most: int = 3000) -> list[float]:
    """When requests start if somebody always asks."""
    starts: list[float] = []
    while now < until and len(starts) < most:
        if (wait := window.delay(now)) > 0:
            now += wait
        else:
            window.started(now)
            starts.append(now)
    return starts


def most_in_a_second(starts: list[float], seconds: float = 1.0) -> int:
    """The fullest window of the given length, its borders included."""
    most = first = 0
    for last, at in enumerate(starts):
        while at - starts[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def one_by_one(window: RateWindow, now: float, rounding: float) -> int:
    """How many requests may start at this moment if each is asked about by itself; one that is due so many seconds
    later is among them."""
    window = window.slowed(window.rate)
    window._burst += rounding
    count = 0
    while window.delay(now) == 0.0:
        window.started(now)
        count += 1
    return count


def pacing(rate: float = 10, concurrency: int = 8, *, quiet_until: float = 0.0) -> Pacing:
    return Pacing(rate, concurrency, Random(1), quiet_until=quiet_until)


@pytest.mark.parametrize("rate", RATES)
@settings(max_examples=15, deadline=None)
@given(gaps=st.lists(st.tuples(st.integers(1, 60), st.floats(0, 3)), min_size=1, max_size=12))
def test_no_second_ever_has_more_starts_than_the_rate(rate: float, gaps: list[tuple[int, float]]) -> None:
    """Bursts of demand with pauses between them."""
    window, now, starts = RateWindow(rate), 0.0, []
    for demand, gap in gaps:
        burst = starts_of(window, now, now + 1000, demand)
        starts += burst
        now = burst[-1] + gap
    seconds, allowed = (1.0, int(rate)) if rate >= 1 else (1 / rate, 1)
    assert most_in_a_second(starts, seconds) <= allowed


@settings(max_examples=150, deadline=None)
@given(
    rate=st.one_of(st.sampled_from(RATES), st.floats(0.1, 2000)),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 2000)), max_size=12),
    gap=st.floats(0, 2),
)
def test_so_many_may_start_at_once_as_one_by_one(rate: float, steps: list[tuple[float, int]], gap: float) -> None:
    """Whatever started before; but for a start that is due within a rounding error."""
    window, now = RateWindow(rate), 0.0
    for pause, most in steps:
        now += pause
        if count := min(most, window.allowed(now)):
            window.started(now, count)
    now += gap
    least, most = (one_by_one(window, now, rounding) for rounding in (-1e-9, 1e-9))
    assert least <= window.allowed(now) <= most <= least + 1


@pytest.mark.parametrize("rate", RATES)
@settings(max_examples=15, deadline=None)
@given(steps=st.lists(st.tuples(st.floats(0, 1.5), st.integers(1, 60)), min_size=1, max_size=40))
def test_starts_that_are_counted_in_runs_keep_to_the_rate_as_well(rate: float, steps: list[tuple[float, int]]) -> None:
    window, now, starts = RateWindow(rate), 0.0, []
    for pause, most in steps:
        now += pause
        count = min(most, window.allowed(now))
        if count:
            window.started(now, count)
            starts += [now] * count
    seconds, allowed = (1.0, int(rate)) if rate >= 1 else (1 / rate, 1)
    assert most_in_a_second(starts, seconds) <= allowed


def test_an_open_circuit_lets_one_probe_go_however_many_may_start() -> None:
    pace = pacing(1000)
    assert pace.allowed(100.0) > 1
    for _ in range(5):
        pace.finished(served=False, latency=0.5, now=100.0)
    probe_at = 100.0 + pace.delay(100.0)
    assert pace.allowed(100.0) == 0
    assert pace.allowed(probe_at) == 1
    pace.started(probe_at)
    assert pace.allowed(probe_at + 0.5) == 0, "a second probe beside the first"


def test_nothing_may_start_during_a_pause() -> None:
    pace = pacing(1000)
    pace.pause(30, 100.0, began=99.0)
    assert [pace.allowed(now) > 0 for now in (100.0, 129.9, 130.0)] == [False, False, True]


@pytest.mark.parametrize("rate", RATES)
def test_the_rate_is_reached_when_always_asked(rate: float) -> None:
    """Whole requests only: 2.5 in any second is at most 2."""
    starts = starts_of(RateWindow(rate), 5.0, 1e9)
    mean = (len(starts) - 1) / (starts[-1] - starts[0])
    assert mean == pytest.approx(max(int(rate), min(rate, 1)), rel=0.03)


@pytest.mark.parametrize("rate", [10, 50, 1000])
def test_starts_are_spread_over_the_second(rate: int) -> None:
    starts = starts_of(RateWindow(rate), 0.0, 1.0)
    assert most_in_a_second(starts, 0.1) <= rate * 0.25


def test_a_lower_rate_holds_from_its_first_start_on() -> None:
    window = RateWindow(100)
    before = starts_of(window, 0.0, 1.0)
    slower = window.slowed(20)
    after = starts_of(slower, 1.0, 5.0)
    assert len(before) > 90
    assert after[0] - before[-20] > 1.0
    assert most_in_a_second(after) <= 20
    assert repr(slower) == "<RateWindow 20/s, 20 of 20 starts>"


@settings(max_examples=200)
@given(attempt=st.integers(0, 10_000), seed=st.integers(), cap=st.floats(0.1, 60))
def test_backoff_has_full_jitter_under_its_cap(attempt: int, seed: int, cap: float) -> None:
    assert 0 <= backoff(attempt, Random(seed), cap=cap) <= min(cap, 0.5 * 2.0 ** min(attempt, 30))


def test_backoff_grows_and_uses_its_whole_range() -> None:
    random = Random(3)
    drawn = {attempt: [backoff(attempt, random) for _ in range(300)] for attempt in (1, 4, 7, 50)}
    assert [max(values) > top * 0.95 for values, top in zip(drawn.values(), (1, 8, 60, 60), strict=True)] == [True] * 4
    assert all(min(values) < 1.5 for values in drawn.values())


# -- pauses ----------------------------------------------------------------------------------------------------


def test_nothing_starts_during_a_pause() -> None:
    pace = pacing()
    assert pace.pause(30, 100.0, began=99.0) is None
    assert [pace.delay(now) for now in (100.0, 115.0, 129.0, 130.0)] == [30, 15, 1, 0]


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    pace = pacing()
    pace.pause(60, 100.0, began=99.0)
    pace.pause(5, 101.0, began=99.5)
    assert pace.delay(110.0) == 50


def test_a_pause_without_a_time_is_a_second() -> None:
    pace = pacing()
    pace.pause(-1, 100.0, began=99.0)
    assert pace.delay(100.0) == 1.0


def test_pauses_without_a_time_grow_while_nothing_gets_through() -> None:
    pace, waits = pacing(), []
    now = 100.0
    for _ in range(8):
        pace.pause(-1, now, began=now)
        waits.append(pace.delay(now))
        now += waits[-1] + 0.1
    assert max(waits[4:]) > 3
    pace.finished(served=True, latency=0.1, now=now)
    pace.pause(-1, now, began=now)
    assert pace.delay(now) == 1.0


@pytest.mark.parametrize("seconds", [901, 999_999, float("inf")])
def test_a_wait_beyond_the_cap_ends_the_run(seconds: float) -> None:
    stop = pacing().pause(seconds, 100.0, began=99.0)
    assert stop is not None
    assert (stop.cause, stop.exit_code) == ("retry_after", 69)


def test_the_first_request_of_a_sitting_waits_out_the_second_of_the_one_before() -> None:
    pace = pacing(quiet_until=41.0)
    assert [pace.delay(40.2), pace.delay(41.0)] == [pytest.approx(0.8), 0]


def test_repeated_pauses_slow_the_run_down_and_calm_brings_it_back() -> None:
    pace = pacing(100)
    now = 0.0
    for _ in range(4):
        pace.pause(1, now, began=now)
        now += 1.5
    assert pace.window.rate == pytest.approx(100 / 2**3), "nothing got through in between"
    recovering = []
    while pace.window.rate < 100 and now < 1000:
        now += 1.0
        pace.delay(now)
        recovering.append(pace.window.rate)
    assert recovering == sorted(recovering)
    assert pace.window.rate == 100
    assert now <= 20


def test_a_single_refusal_slows_nothing() -> None:
    pace = pacing(100)
    for now in (100.0, 200.0, 300.0):
        pace.pause(1, now, began=now)
        pace.delay(now + 10)
        assert pace.window.rate == 100


def test_many_replies_to_one_burst_are_one_event() -> None:
    """What was in flight when the pause began tells nothing new, even when the pause is over already."""
    pace = pacing(100)
    for late in range(32):
        pace.pause(0, 100 + late / 10, began=99.9)
    assert pace.window.rate == 100


def test_the_rate_holds_through_slow_downs_and_recovery() -> None:
    pace, random, now = pacing(50), Random(5), 0.0
    starts: list[float] = []
    while now < 120:
        if (wait := pace.delay(now)) > 0:
            now += wait
            continue
        pace.started(now)
        starts.append(now)
        if random.random() < 0.005:
            pace.pause(random.choice([0, 0.2, 2]), now, began=now)
    assert len(starts) > 1000
    assert most_in_a_second(starts) <= 50


# -- the circuit -----------------------------------------------------------------------------------------------


def opened(circuit: Circuit, now: float = 10.0) -> Circuit:
    for _ in range(5):
        circuit.record(False, now, began=now - 1)
    assert circuit.opened_at == now
    return circuit


def test_five_failures_in_a_row_open_it() -> None:
    circuit = Circuit(Random(1))
    for served in (False, False, False, False, True, False, False, False, False):
        circuit.record(served, 1.0, began=0.0)
    assert (circuit.opened_at, circuit.delay(1.0)) == (None, 0.0)
    circuit.record(False, 2.0, began=1.0)
    assert circuit.opened_at == 2.0
    assert circuit.delay(2.0) > 0


@pytest.mark.parametrize(("failures", "opens"), [(9, False), (10, True)])
def test_a_fifth_of_the_last_fifty_opens_it(failures: int, opens: bool) -> None:
    circuit = Circuit(Random(1))
    for served in itertools.chain([True] * 40, [False, True, True, True] * failures):
        circuit.record(served, 1.0, began=0.0)
    assert (circuit.opened_at is not None) is opens
    assert repr(circuit).startswith("<Circuit open" if opens else "<Circuit closed, 9 of 50")


def test_old_failures_are_forgotten() -> None:
    circuit = Circuit(Random(1))
    for served in ([False] * 4 + [True] * 46) * 20:
        circuit.record(served, 1.0, began=0.0)
    assert repr(circuit) == "<Circuit closed, 4 of 50>"


def test_one_probe_at_a_time_with_growing_gaps() -> None:
    circuit = opened(Circuit(Random(2)))
    now, gaps = 10.0, []
    for _ in range(12):
        wait = circuit.delay(now)
        assert wait > 0
        now += wait
        circuit.started()
        assert circuit.delay(now) == 1.0, "a second probe beside the first"
        now += 30
        assert circuit.delay(now) == 1.0
        circuit.record(False, now, began=now - 30)
        gaps.append(circuit.delay(now))
    assert min(gaps) >= 0.2
    assert max(gaps) <= 30.2
    assert sum(gaps[6:]) > sum(gaps[:6])


def test_what_was_in_flight_when_it_opened_is_not_the_probe() -> None:
    circuit = opened(Circuit(Random(2)))
    circuit.started()
    for served in (False, True):
        circuit.record(served, 12.0, began=9.0)
        assert circuit.delay(12.0) == 1.0
    assert circuit.opened_at == 10.0


def test_a_served_probe_closes_it_with_a_clean_slate() -> None:
    circuit = opened(Circuit(Random(2)))
    circuit.started()
    circuit.record(True, 13.0, began=12.0)
    assert (circuit.opened_at, circuit.delay(13.0)) == (None, 0.0)
    for _ in range(4):
        circuit.record(False, 14.0, began=13.5)
    assert circuit.opened_at is None


def test_pacing_sends_one_probe_and_gives_up_after_half_an_hour() -> None:
    pace = pacing(1000)
    for _ in range(5):
        pace.started(100.0)
        pace.finished(served=False, latency=0.5, now=100.5)
    now, probes = 100.5, 0
    while pace.outage(now) is None:
        if (wait := pace.delay(now)) > 0:
            now += wait
            continue
        pace.started(now)
        probes += 1
        assert pace.delay(now) == 1.0
        pace.finished(served=False, latency=0.5, now=now + 0.5)
    stop = pace.outage(now)
    assert stop is not None
    assert (stop.cause, stop.exit_code) == ("circuit_open", 69)
    assert 1900 <= now <= 1931
    assert 60 <= probes <= 250


# -- budget and requests in flight -----------------------------------------------------------------------------


def test_the_retry_budget_grows_with_first_attempts() -> None:
    budget = RetryBudget(initial=2, share=0.2)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(6):
        budget.first_attempts(1)
    assert [budget.spend(), budget.spend()] == [True, False]
    assert repr(budget) == "<RetryBudget 0.2>"


def test_ten_times_the_latency_means_fewer_in_flight_and_then_back() -> None:
    limit = InFlightLimit(32)
    for _ in range(500):
        limit.record(0.1)
    assert limit.now == 32
    for _ in range(200):
        limit.record(1.0)
    assert limit.now < 16
    for _ in range(1000):
        limit.record(0.1)
    assert limit.now == 32


def test_a_lasting_change_is_the_new_usual() -> None:
    limit = InFlightLimit(32)
    for latency in [0.1] * 500 + [1.0] * 5000:
        limit.record(latency)
    assert repr(limit) == "<InFlightLimit 32 of 32>"


@pytest.mark.parametrize("latency", [0.0, 0.049])
def test_fast_replies_are_never_slow(latency: float) -> None:
    limit = InFlightLimit(32)
    for value in [0.001] * 500 + [latency] * 500:
        limit.record(value)
    assert limit.now == 32


@settings(max_examples=50)
@given(latencies=st.lists(st.floats(0, 100), max_size=300), most=st.integers(1, 40))
def test_at_least_one_and_never_more_than_allowed(latencies: list[float], most: int) -> None:
    limit = InFlightLimit(most)
    for latency in latencies * 3:
        limit.record(latency)
        assert 1 <= limit.now <= most
