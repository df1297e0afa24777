from __future__ import annotations

from batchpost.heartbeat import Heartbeat, Trouble
from batchpost.model import Outcome
from batchpost.pulse import Pulse
from batchpost.tally import Tally

FIELDS = [
    *("run_id", "job", "settled", "to_send", "delivered", "rejected", "failed", "unknown", "requests", "retried"),
    *("rate", "rate_allowed", "in_flight", "paused_why", "paused_s", "eta_s"),
]


def test_a_beat_comes_once_a_minute_with_the_rate_since_the_one_before() -> None:
    beating = Heartbeat("R1", "nightly", 100.0)
    beats = [beating.beat(float(now), Tally(), Pulse(requests=10 * (now - 100)), None) for now in range(100, 225)]
    told = [(100 + index, beat["rate"]) for index, beat in enumerate(beats) if beat]
    assert told == [(160, 10.0), (220, 10.0)]


def test_a_beat_has_always_the_same_facts() -> None:
    tally = Tally(outcomes={Outcome.DELIVERED: 1_198, Outcome.REJECTED: 6, Outcome.ALREADY_DELIVERED: 2})
    pulse = Pulse(1_206, 3_000, 1_231, 25, 48.0, 50.0, 12, 32, 41.26, "retry_after")
    beat = Heartbeat("R1", "nightly", 0.0).beat(60.0, tally, pulse, None)
    assert beat == {
        "run_id": "R1",
        "job": "nightly",
        "settled": 1_206,
        "to_send": 3_000,
        "delivered": 1_198,
        "rejected": 6,
        "failed": 0,
        "unknown": 0,
        "requests": 1_231,
        "retried": 25,
        "rate": 20.5,
        "rate_allowed": 50.0,
        "in_flight": 12,
        "paused_why": "retry_after",
        "paused_s": 41.3,
        "eta_s": None,
    }
    calm = Heartbeat("R1", "nightly", 0.0).beat(61.0, Tally(), Pulse(rate_allowed=50.0), 35.6)
    assert calm is not None
    assert list(calm) == FIELDS
    assert (calm["paused_why"], calm["paused_s"], calm["eta_s"]) == (None, 0.0, 36)


def test_retries_are_logged_once_a_burst() -> None:
    trouble = Trouble()
    seen = [trouble.events(float(now), now, retried)[:] for now, retried in enumerate([0, 3, 9, 12])]
    assert seen == [[], [("retrying", {"retried": 3})], [], []]
    assert trouble.events(50.0, 50, 13) == []
    assert trouble.events(111.0, 51, 14) == [("retrying", {"retried": 14})]


def test_a_standstill_is_logged_once_until_something_moves() -> None:
    trouble = Trouble()
    steps = [(0.0, 5), (29.0, 5), (30.0, 5), (99.0, 5), (100.0, 6), (129.0, 6), (131.0, 6)]
    logged = [(now, trouble.events(now, settled, 0)) for now, settled in steps]
    assert [now for now, events in logged if events] == [30.0, 131.0]
    assert logged[2][1] == [("waiting", {"settled": 5, "seconds": 30})]
