"""What faults may be asked for, and that they are drawn as asked."""

from __future__ import annotations

from collections import Counter

import pytest

from batchpost.errors import UsageError
from batchpost.sandbox_faults import Dice, FaultKind, Faults, Latency, parse_faults, parse_latency


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", Faults()),
        ("drop=0.01", Faults(drop=0.01)),
        (
            "drop=0.01,reset=0.01,half=0.01,error=0.02,lock=0.01,limit=50",
            Faults(drop=0.01, reset=0.01, half=0.01, error=0.02, lock=0.01, limit=50),
        ),
        (" garbage = 1 , unavailable=0 ,", Faults(garbage=1)),
        ("slow=0.1:2s", Faults(slow=(0.1, 2.0))),
        ("slow=0.1:50ms", Faults(slow=(0.1, 0.05))),
        ("unauthorized_after=3", Faults(unauthorized_after=3)),
    ],
)
def test_faults_are_read_from_one_line(text: str, faults: Faults) -> None:
    assert parse_faults(text) == faults


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drip=0.1", "unknown fault 'drip'"),
        ("drop=0.1,drop=0.2", "drop is given twice"),
        ("drop", "write drop=0.01"),
        ("drop=often", "write drop=0.01"),
        ("limit=2.5", "write limit=50"),
        ("slow=0.1", "write slow=0.1:2s"),
        ("drop=1.5", "between 0 and 1"),
        ("drop=nan", "between 0 and 1"),
        ("slow=-1:2s", "cannot read|between 0 and 1"),
        ("limit=0", "at least 1"),
        ("drop=0.6,half=0.6", "add up to 1.2"),
    ],
)
def test_what_cannot_be_a_fault_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_faults(text)


@pytest.mark.parametrize(
    ("text", "latency"),
    [
        ("50ms", 0.05),
        ("0.05", 0.05),
        ("0.05s", 0.05),
        ("0", 0.0),
        ("10ms-200ms", (0.01, 0.2)),
        ("1 s - 2 s", (1.0, 2.0)),
    ],
)
def test_latency_is_read_in_seconds_or_milliseconds(text: str, latency: Latency) -> None:
    assert parse_latency(text) == latency


@pytest.mark.parametrize("text", ["", "fast", "50m", "-5ms", "10ms-", "200ms-10ms"])
def test_what_cannot_be_a_latency_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="latency"):
        parse_latency(text)


def test_the_same_seed_draws_the_same_faults_and_another_seed_others() -> None:
    def draws(seed: int) -> list[tuple[FaultKind | None, bool, float]]:
        dice = Dice(Faults(drop=0.2, error=0.2, slow=(0.2, 1)), (0.01, 0.2), seed)
        return [tuple(dice.throw(n, update=False)) for n in range(200)]  # type: ignore[misc]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


def test_shares_come_out_as_asked() -> None:
    dice = Dice(Faults(drop=0.1, half=0.2, error=0.3), 0.0, seed=1)
    seen = Counter(dice.throw(0, update=True).fault for _ in range(5_000))
    expected = {FaultKind.DROP: 500, FaultKind.HALF: 1_000, FaultKind.ERROR: 1_500, None: 2_000}
    assert set(seen) == set(expected)
    assert all(abs(seen[kind] - count) < 120 for kind, count in expected.items())


@pytest.mark.parametrize(
    ("kind", "does"),
    [
        ("drop", {False}),
        ("lock", {False}),
        ("unavailable", {False}),
        ("reset", {True}),
        ("half", {True}),
        ("error", {True, False}),
        ("garbage", {True, False}),
    ],
)
def test_whether_a_faulty_request_is_done(kind: str, does: set[bool]) -> None:
    dice = Dice(parse_faults(f"{kind}=1"), 0.0, seed=1)
    assert {dice.throw(0, update=False).does for _ in range(50)} == does


def test_the_limit_holds_in_every_window_of_one_second() -> None:
    dice = Dice(Faults(limit=3), 0.0, seed=1)
    arrivals = [0.0, 0.5, 0.75, 0.875, 1.0, 1.25, 1.5, 1.75]
    limited = [dice.throw(at, update=False).fault is FaultKind.LIMIT for at in arrivals]
    assert limited == [False, False, False, True, False, True, False, False]


def test_latency_is_drawn_from_its_range_and_slow_adds_to_it() -> None:
    plain = Dice(Faults(), (0.1, 0.2), seed=1)
    assert all(0.1 <= plain.throw(0, update=False).delay <= 0.2 for _ in range(100))
    slow = Dice(Faults(slow=(1, 5)), 0.25, seed=1)
    assert slow.throw(0, update=False) == (FaultKind.SLOW, True, 5.25)


def test_after_its_count_every_update_is_unauthorized_but_no_event_is() -> None:
    dice = Dice(Faults(unauthorized_after=2), 0.0, seed=1)
    assert [dice.throw(0, update=True).fault for _ in range(3)] == [None, None, FaultKind.UNAUTHORIZED]
    assert dice.throw(0, update=False).fault is None
