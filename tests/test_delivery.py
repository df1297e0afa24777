"""The worker pool in virtual time: each row settled once, in order, at the rate, whatever the platform does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from random import Random

import pytest

from batchpost.model import Repeat, Reply, Row
from batchpost.transport import MaybeSent, NotSent
from tests.fakes import (
    INACTIVE,
    LOCKED,
    NO_LEAD,
    OK,
    UPDATED,
    Platform,
    Step,
    a_row,
    assert_recorded_before_sent,
    deliver,
    reply,
)

DROPPED = MaybeSent("dropped", "the connection was closed")
REFUSED_CONNECTION = NotSent("connect_refused", "connection refused")
CONFLICT = Step(reply(403, LOCKED))


def events(count: int, repeat: Repeat = Repeat.FIRES_AGAIN) -> list[Row]:
    return [a_row(number, repeat) for number in range(count)]


def updates(lanes: str) -> list[Row]:
    return [a_row(number, Repeat.HARMLESS, lane_key=lane) for number, lane in enumerate(lanes)]


def first_then(*steps: Step) -> Callable[[int, int, float], Step]:
    """The steps for the first requests of a row, then success."""
    return lambda number, times, now: steps[times - 1] if times <= len(steps) else OK


def test_every_row_is_settled_once_and_recorded_before_it_is_sent() -> None:
    random = Random(4)
    platform = Platform(lambda number, times, now: OK._replace(latency=random.uniform(0.01, 2)))
    sitting, stop = deliver(events(100), platform)
    assert stop is None
    assert sitting.ends == dict.fromkeys(range(100), ("delivered", "conversion"))
    assert platform.effects == dict.fromkeys(range(100), 1)
    assert platform.busiest == 4
    assert_recorded_before_sent(platform.trace)
    assert [len(sitting.records(kind)) for kind in ("start", "end")] == [100, 100]


def test_nothing_to_send_ends_at_once() -> None:
    sitting, stop = deliver([], Platform())
    assert (stop, sitting.records("claim"), sitting.delivery.tally.settled) == (None, [], 0)


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_claims_run_ahead_by_at_most_twice_the_requests_in_flight(concurrency: int) -> None:
    platform = Platform(lambda number, times, now: OK._replace(latency=1.0))
    deliver(events(60), platform, concurrency=concurrency, rate=5)
    claimed = started = most = 0
    for event in platform.trace:
        claimed += len(event[2]) if event[0] == "claim" else 0
        started += event[0] == "start"
        most = max(most, claimed - started)
    assert 0 < most <= 2 * concurrency


def test_outcomes_are_on_disk_within_50_ms() -> None:
    platform = Platform(lambda number, times, now: OK._replace(latency=0.01 + 5.0 * (number == 1)))
    sitting, _ = deliver(events(2), platform)
    kinds = [kind for kind, _ in groupby(event[0] for event in platform.trace)]
    assert kinds[-3:] == ["end", "sync", "end"], "a sync between the first reply and the second, 5 s later"
    assert sitting.journal.dirty, "the last one is put on disk by whoever closes the journal"


# -- order -----------------------------------------------------------------------------------------------------


def test_updates_of_a_lead_arrive_in_order_and_others_overtake() -> None:
    """The first update of A is slow, fails twice and goes into backoff: no later one of A may pass it."""
    rows = updates("ABACADAE")

    def answer(number: int, times: int, now: float) -> Step:
        if number == 0 and times < 3:
            return Step(DROPPED, 3.0, applies=True)
        return Step(reply(201, UPDATED), 0.5, applies=True)

    platform = Platform(answer)
    sitting, _ = deliver(rows, platform)
    assert [number for number in platform.order if number in (0, 2, 4, 6)] == [0, 0, 0, 2, 4, 6]
    assert sorted(number for number in platform.order if number not in (0, 2, 4, 6)) == [1, 3, 5, 7]
    started = [record[1] for record in sitting.records("start")]
    assert [number for number in started if number not in (0, 2, 4, 6)] == [1, 3, 5, 7]
    assert platform.order.index(7) < platform.order.index(2)
    assert set(sitting.ends.values()) == {("delivered", "accepted")}


@pytest.mark.parametrize("seed", range(5))
def test_order_within_a_lead_holds_under_random_trouble(seed: int) -> None:
    random = Random(seed)
    rows = updates("".join(random.choice("ABCDEF") for _ in range(60)))

    def answer(number: int, times: int, now: float) -> Step:
        bad = [Step(DROPPED, 1.0, applies=True), Step(reply(500), 0.3), Step(REFUSED_CONNECTION), CONFLICT]
        step = random.choice(bad) if random.random() < 0.3 else Step(reply(201, UPDATED), applies=True)
        return step._replace(latency=random.uniform(0.01, 3))

    platform = Platform(answer)
    sitting, _ = deliver(rows, platform, max_attempts=50, seed=seed)
    assert len(sitting.ends) == 60
    for lane in "ABCDEF":
        own = [number for number in platform.order if rows[number].lane_key == lane]
        assert own == sorted(own)


def test_a_backoff_holds_no_worker() -> None:
    """Both workers' first rows fail again and again; the other rows do not wait for them."""
    platform = Platform(lambda number, times, now: Step(REFUSED_CONNECTION, 0.01) if number < 2 and times < 4 else OK)
    deliver(events(30), platform, concurrency=2)
    last_of_others = max(request.at for request in platform.requests if request.number > 1)
    last_of_failing = max(request.at for request in platform.requests if request.number < 2)
    assert last_of_others < 2.0
    assert last_of_failing > 0.5
    assert platform.effects == dict.fromkeys(range(30), 1)


# -- what a fault means ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("applies", [True, False])
@pytest.mark.parametrize("result", [DROPPED, reply(500), reply(200, b"<html>"), reply(503, retry_after="1")])
def test_an_event_that_may_have_fired_is_not_sent_again(result: Reply | Exception, applies: bool) -> None:
    platform = Platform(lambda number, times, now: Step(result, 0.1, applies))
    sitting, stop = deliver(events(1), platform)
    assert (stop, len(platform.requests)) == (None, 1)
    assert [outcome for outcome, _ in sitting.ends.values()] == ["unknown"]


@pytest.mark.parametrize(
    ("applies", "end"),
    [(True, ("already_delivered", "confirmed_duplicate")), (False, ("delivered", "conversion"))],
)
@pytest.mark.parametrize("result", [DROPPED, reply(500), reply(200, b"")])
def test_an_event_that_the_platform_refuses_twice_is_sent_again_and_confirmed(
    result: Reply | Exception, applies: bool, end: tuple[str, str]
) -> None:
    platform = Platform(first_then(Step(result, 0.1, applies)), dedupes=True)
    sitting, _ = deliver(events(1, Repeat.REFUSED), platform)
    assert sitting.ends == {0: end}
    assert (len(platform.requests), platform.effects[0]) == (2, 1)


def test_a_row_in_doubt_from_an_earlier_sitting_is_confirmed_at_once() -> None:
    platform = Platform(dedupes=True)
    platform.effects[0] = 1
    sitting, _ = deliver([a_row(0, Repeat.REFUSED, in_doubt=True)], platform)
    assert sitting.ends == {0: ("already_delivered", "confirmed_duplicate")}


def test_a_duplicate_after_a_request_that_was_not_sent_is_not_ours() -> None:
    platform = Platform(first_then(Step(REFUSED_CONNECTION)), dedupes=True)
    platform.effects[0] = 1
    sitting, _ = deliver(events(1, Repeat.REFUSED), platform)
    assert sitting.ends == {0: ("rejected", "server_duplicate")}


@pytest.mark.parametrize("repeat", list(Repeat))
def test_what_was_not_sent_is_sent_again_however_often(repeat: Repeat) -> None:
    """Refused connections use up no attempts."""
    platform = Platform(first_then(*[Step(REFUSED_CONNECTION, 0.01)] * 8))
    sitting, _ = deliver([a_row(0, repeat)], platform, max_attempts=2)
    assert sitting.ends == {0: ("delivered", "conversion")}
    assert platform.effects[0] == 1


@pytest.mark.parametrize(
    ("repeat", "step", "outcome"),
    [
        (Repeat.HARMLESS, Step(DROPPED), "failed"),
        (Repeat.REFUSED, Step(DROPPED), "unknown"),
        (Repeat.HARMLESS, Step(reply(500)), "failed"),
        (Repeat.REFUSED, Step(reply(500)), "unknown"),
    ],
)
def test_attempts_used_up_end_the_row(repeat: Repeat, step: Step, outcome: str) -> None:
    platform = Platform(lambda number, times, now: step)
    sitting, _ = deliver([a_row(0, repeat)], platform, max_attempts=3)
    assert [end for end, _ in sitting.ends.values()] == [outcome]
    assert len(platform.requests) == 3


def test_what_uses_up_no_attempts_has_a_time_limit() -> None:
    steps = [CONFLICT, Step(reply(429))]
    platform = Platform(lambda number, times, now: steps[number])
    sitting, _ = deliver(events(2, Repeat.REFUSED), platform, max_attempts=2)
    assert sitting.ends == {0: ("failed", "locked"), 1: ("failed", "rate_limited")}
    assert 15 * 60 <= platform.requests[-1].at <= 17 * 60


def test_a_lock_is_waited_for() -> None:
    platform = Platform(first_then(CONFLICT, CONFLICT, CONFLICT))
    sitting, _ = deliver(events(1, Repeat.REFUSED), platform, max_attempts=1)
    assert sitting.ends == {0: ("delivered", "conversion")}


def test_an_unclear_403_is_tried_three_times() -> None:
    platform = Platform(lambda number, times, now: Step(reply(403, {"message": "Forbidden"})))
    sitting, _ = deliver(events(1), platform)
    assert (sitting.ends, len(platform.requests)) == ({0: ("failed", "forbidden")}, 3)


def test_the_run_has_a_budget_for_retries() -> None:
    """100 and a fifth of the rows: a platform that refuses for an unclear reason is not sent thrice the list."""
    platform = Platform(lambda number, times, now: Step(reply(403, {}), 0.1))
    sitting, _ = deliver(events(120), platform)
    assert sitting.delivery.tally.retried == 100 + 120 * 0.2
    assert sitting.ends == dict.fromkeys(range(120), ("failed", "forbidden"))


def test_a_row_is_cleaned_of_its_own_values_in_the_journal() -> None:
    platform = Platform(lambda number, times, now: Step(reply(400, {"message": "txn_0\r\nis \x1b[1mno lead"})))
    sitting, _ = deliver(events(1), platform)
    assert sitting.records("end")[0][5] == "…  is  [1mno lead"


def test_an_idle_connection_is_trusted_less_where_there_is_one_chance() -> None:
    platform = Platform()
    deliver([a_row(0), a_row(1, Repeat.REFUSED), a_row(2, Repeat.HARMLESS)], platform, concurrency=1)
    assert [request.max_idle for request in platform.requests] == [2.0, 30.0, 30.0]


def test_the_connection_used_last_is_used_next() -> None:
    platform = Platform(lambda number, times, now: OK._replace(latency=0.01))
    deliver(events(20), platform, concurrency=8, rate=10)
    assert len({request.lane for request in platform.requests}) <= 2, "the rate lets two start at once"


# -- rate and pauses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 10, 50])
def test_the_rate_holds_at_the_platform_and_is_used(rate: int) -> None:
    random = Random(rate)
    platform = Platform(lambda number, times, now: OK._replace(latency=random.uniform(0.0, 0.4)))
    deliver(events(rate * 12), platform, rate=rate, concurrency=32)
    starts = platform.starts()
    assert all(later - earlier > 1.0 for earlier, later in zip(starts, starts[rate:], strict=False))
    assert len(starts) / (starts[-1] - starts[0]) == pytest.approx(rate, rel=0.15)


def test_a_429_pauses_everyone() -> None:
    limited = Step(reply(429, retry_after="20"), 0.1)
    platform = Platform(lambda number, times, now: limited if number == 5 and times == 1 else OK)
    sitting, _ = deliver(events(40), platform, rate=50)
    told = next(request.at for request in platform.requests if request.number == 5) + 0.1
    assert [at for at in platform.starts() if told < at < told + 20] == []
    assert set(sitting.ends.values()) == {("delivered", "conversion")}
    assert sitting.delivery.tally.http == {200: 40, 429: 1}


def test_a_retry_after_date_is_read_by_the_given_clock() -> None:
    later = Step(reply(503, retry_after="Sun, 15 Jun 2025 15:07:10 GMT"))  # half a minute after the fake clock's zero
    platform = Platform(lambda number, times, now: later if times == 1 else OK, dedupes=True)
    deliver(events(1, Repeat.REFUSED), platform)
    assert platform.starts()[1] == pytest.approx(30, abs=2)


def test_a_longer_wait_than_a_quarter_of_an_hour_stops_the_run() -> None:
    platform = Platform(lambda number, times, now: Step(reply(429, retry_after="3600")))
    sitting, stop = deliver(events(9), platform)
    assert stop is not None
    assert (stop.cause, stop.exit_code, sitting.ends) == ("retry_after", 69, {})


def test_the_first_request_waits_for_the_last_second_of_the_sitting_before() -> None:
    platform = Platform()
    deliver(events(3), platform, quiet_until=0.75)
    assert platform.starts()[0] == pytest.approx(0.75)


def test_slow_replies_mean_fewer_in_flight_and_then_back() -> None:
    def latency(now: float) -> float:
        return 2.0 if 20 < now < 60 else 0.1

    platform = Platform(lambda number, times, now: OK._replace(latency=latency(now)))
    sitting, _ = deliver(events(2800), platform, concurrency=16, rate=100)
    ends = [request.at + latency(request.at) for request in platform.requests]

    def in_flight(at: float) -> int:
        return sum(request.at <= at < end for request, end in zip(platform.requests, ends, strict=True))

    assert sitting.pacing.in_flight.now == 16
    assert in_flight(21.5) == 16
    assert in_flight(55) < 14


# -- sources on hold -------------------------------------------------------------------------------------------


def test_an_inactive_source_holds_only_its_own_rows() -> None:
    rows = [a_row(number, pid="off" if number % 2 else "on") for number in range(40)]
    platform = Platform(lambda number, times, now: Step(reply(403, INACTIVE), 0.05) if number % 2 else OK)
    sitting, stop = deliver(rows, platform, rate=20)
    assert stop is None
    assert {number for number, end in sitting.ends.items() if end == ("delivered", "conversion")} == {*range(0, 40, 2)}
    refused = [number for number, end in sitting.ends.items() if end == ("rejected", "source_inactive")]
    assert 1 <= len(refused) <= 4, "those in flight when it was learnt"
    assert sitting.delivery.tally.held_pids == {"off"}
    assert len(platform.requests) == 20 + len(refused)


def test_a_claimed_row_of_a_held_source_does_not_jam_the_probe_of_an_open_circuit() -> None:
    """While the circuit is open one request at a time goes out: a row that is not sent is not that request."""
    rows = [a_row(number, pid="off" if number in (0, 12, 13, 14) else "on") for number in range(20)]

    def answer(number: int, times: int, now: float) -> Step:
        if number == 0:
            return Step(reply(403, INACTIVE), 0.4)
        return Step(reply(500), 0.3) if now < 20 else OK

    sitting, stop = deliver(rows, Platform(answer), concurrency=8, rate=1000)
    assert stop is None
    assert len(sitting.ends) == 17


def test_lost_leads_do_not_stop_others() -> None:
    platform = Platform(lambda number, times, now: Step(reply(400, NO_LEAD)) if number == 3 else OK)
    sitting, _ = deliver(events(6), platform)
    assert sitting.ends.pop(3) == ("rejected", "lead_not_found")
    assert platform.effects[3] == 0
