"""A job that asks for more than the platform allows, in virtual time against platforms that count in several ways."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest

from batchpost.pacing import Pacing
from batchpost.slowing import Slowing

SETTLED = 10.0  # seconds in which the limit may be found
SECONDS = 90.0


@dataclass
class Sliding:
    """So many requests in any second."""

    allowed: int
    served: deque[float] = field(default_factory=deque)

    def serves(self, now: float) -> bool:
        while self.served and self.served[0] <= now - 1:
            self.served.popleft()
        if len(self.served) >= self.allowed:
            return False
        self.served.append(now)
        return True


@dataclass
class Fixed:
    """So many requests each second of a clock of its own."""

    allowed: int
    second: int = -1
    served: int = 0

    def serves(self, now: float) -> bool:
        if int(now + 0.37) != self.second:
            self.second, self.served = int(now + 0.37), 0
        fits = self.served < self.allowed
        self.served += fits
        return fits


@dataclass
class Bucket:
    """So many a second, from a bucket of twenty."""

    allowed: int
    left: float = 20.0
    at: float = 0.0

    def serves(self, now: float) -> bool:
        self.left, self.at = min(20.0, self.left + (now - self.at) * self.allowed), now
        fits = self.left >= 1
        self.left -= fits
        return fits


Platform = Sliding | Fixed | Bucket


@dataclass
class Seen:
    """When requests started that were served, and those that were refused."""

    served: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def through(self, begin: float, end: float) -> float:
        """Served requests a second, between these seconds."""
        return sum(begin <= at < end for at in self.served) / (end - begin)

    def refused_share(self) -> float:
        late = [sum(at >= SETTLED for at in starts) for starts in (self.refused, self.served)]
        return late[0] / sum(late)


def sent(platform: Platform, retry_after: float, change: Callable[[float, Platform], None] | None = None) -> Seen:
    """A run at 1,000 a second, 64 in flight, 20 ms each."""
    random, seen, numbers = Random(3), Seen(), count()
    pacing = Pacing(1000, 64, random)
    in_flight: list[tuple[float, int, float, bool]] = []
    now = 0.0
    while now < SECONDS:
        if change:
            change(now, platform)
        for _ in range(min(pacing.allowed(now), 64 - len(in_flight))):
            pacing.started(now)
            served = platform.serves(now + 0.01)
            heapq.heappush(in_flight, (now + random.uniform(0.019, 0.022), next(numbers), now, served))
            (seen.served if served else seen.refused).append(now)
        due = now + max(pacing.delay(now), 0.0001) if len(in_flight) < 64 else float("inf")
        if not in_flight or due < in_flight[0][0]:
            now = due
            continue
        now, _, began, served = heapq.heappop(in_flight)
        pacing.finished(served=True, latency=now - began, now=now, refused=not served)
        if not served:
            pacing.pause(retry_after, now, began=began)
    return seen


@pytest.mark.parametrize("retry_after", [-1.0, 1.0], ids=["no Retry-After", "Retry-After: 1"])
@pytest.mark.parametrize("kind", [Sliding, Fixed, Bucket])
def test_nine_tenths_of_what_is_allowed_get_through_and_hardly_any_is_refused(
    kind: type[Platform], retry_after: float
) -> None:
    seen = sent(kind(200), retry_after)
    assert seen.through(SETTLED, SECONDS) >= 0.9 * 200
    assert seen.through(0, SECONDS) >= 0.85 * 200, "the seconds of finding it included"
    assert seen.refused_share() <= 0.002


def test_a_limit_that_is_lowered_is_found_again() -> None:
    def lowered(now: float, platform: Platform) -> None:
        platform.allowed = 200 if now < 40 else 50

    seen = sent(Sliding(200), -1.0, lowered)
    assert seen.through(50, SECONDS) >= 0.85 * 50
    assert sum(at >= 40 for at in seen.refused) < 150


def test_a_limit_that_is_lifted_is_found_out_within_a_minute() -> None:
    def lifted(now: float, platform: Platform) -> None:
        platform.allowed = 200 if now < 20 else 2000

    assert sent(Sliding(200), -1.0, lifted).through(85, SECONDS) >= 900


def test_nothing_that_gets_through_halves_the_rate_again_and_again() -> None:
    slowing = Slowing(100)
    rates = []
    for now in range(0, 40, 2):
        slowing.refused(float(now), now - 0.5)
        rates.append(slowing.rate)
    assert rates[:3] == [50, 25, 12.5]
    assert rates[-1] == 1.0
    assert repr(slowing) == "<Slowing 1 of 100/s>"


def test_a_job_below_one_a_second_is_slowed_no_further() -> None:
    slowing = Slowing(0.5)
    slowing.refused(10.0, 9.0)
    assert slowing.rate == 0.5
