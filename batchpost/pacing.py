"""When the next request may start: the rate, pauses, slow-down and recovery, the circuit, retry delays and budget.

Everything here is a decision over a clock that is passed in as ``now`` (seconds, monotonic): nothing waits, nothing
reads a clock, so tests ask about any instant. :mod:`batchpost.delivery` does the waiting.
"""

from __future__ import annotations

import math
from collections import deque
from math import ceil
from random import Random

from batchpost.model import Stop
from batchpost.slowing import Slowing

__all__ = ["Circuit", "InFlightLimit", "Pacing", "RateWindow", "RetryBudget", "backoff"]

LONGEST_BACKOFF = 60.0
LONGEST_PAUSE = 15 * 60.0
LONGEST_OUTAGE = 30 * 60.0
# What starts here exactly a second apart can reach the platform a little closer together, and a limit counted over
# there is counted by its clock: so starts are spaced for a second and a little more, which costs as much of the rate.
# The window that never has more than it may is shorter, or whatever started late would put off all that comes after it.
_SPACING, _MARGIN = 1.005, 1.002  # seconds
_LEISURE = 0.01  # seconds
_FORGOTTEN = 60.0  # seconds after which a pause is not the first of several


def backoff(attempt: int, random: Random, *, base: float = 0.5, cap: float = LONGEST_BACKOFF) -> float:
    """Seconds to wait after the given attempt (from 1): exponential with full jitter, at most ``cap``."""
    return random.uniform(0, min(cap, base * 2.0 ** min(attempt, 30)))


class RateWindow:
    """At most ``rate`` starts in any one-second window (below 1 a second: one start in ``1/rate`` seconds).

    The log of the last starts makes it exact; an even spacing with a small burst keeps them from coming all at once.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._capacity = max(1, int(rate))
        self._second = second = max(1.0, 1.0 / rate)
        self._window = second * _MARGIN
        self._starts: deque[tuple[float, int]] = deque()  # when, and how many at once
        self._count = 0
        self._interval = second * _SPACING / self._capacity
        self._burst = self._interval * max(1, self._capacity // 50)  # what a timer that fires late may catch up on
        self._next = 0.0

    def __repr__(self) -> str:
        return f"<RateWindow {self.rate}/s, {self._count} of {self._capacity} starts>"

    @property
    def slack(self) -> float:
        """Seconds that a start may come late without costing the rate anything: several are made at once then."""
        return min(_LEISURE, self._burst / 2)

    def recent(self, now: float) -> float:
        """Requests a second that have started in the latest window."""
        self._forget(now)
        return self._count / self._second

    def delay(self, now: float) -> float:
        """Seconds until one more request may start."""
        self._forget(now)
        wait = self._next - self._burst - now
        if self._count >= self._capacity:
            wait = max(wait, self._starts[0][0] + self._window - now)
        return wait if wait > 0.0 else 0.0

    def allowed(self, now: float) -> int:
        """How many requests may start at this very moment."""
        if self.delay(now) > 0.0:
            return 0
        spaced = 1 + int((now + self._burst - max(self._next, now)) / self._interval)
        return min(spaced, self._capacity - self._count)

    def started(self, now: float, count: int = 1) -> None:
        """Record that so many requests start at ``now``."""
        self._starts.append((now, count))
        self._count += count
        self._next = max(self._next, now) + self._interval * count

    def slowed(self, rate: float) -> RateWindow:
        """The same history under another rate."""
        other = RateWindow(rate)
        other._starts.extend(self._starts)
        other._count = self._count
        other._next = self._next
        return other

    def _forget(self, now: float) -> None:
        while self._starts and self._starts[0][0] + self._window <= now:
            self._count -= self._starts.popleft()[1]


class Circuit:
    """Keeps new rows back while the platform does not serve requests (a breaker).

    Opens after ``run`` failures in a row or ``share`` of the last ``of`` attempts; then one probe at a time goes out,
    with growing gaps; the first one that is served closes it.
    """

    def __init__(self, random: Random, *, run: int = 5, share: float = 0.2, of: int = 50) -> None:
        self._random = random
        self._run, self._threshold = run, int(share * of)
        self._last: deque[bool] = deque(maxlen=of)
        self._in_a_row = self._failures = 0
        self._probes = 0
        self._next_probe = 0.0
        self._probing = False
        self.opened_at: float | None = None

    def __repr__(self) -> str:
        return f"<Circuit {'closed' if self.opened_at is None else 'open'}, {self._failures} of {len(self._last)}>"

    @property
    def watches(self) -> bool:
        """Whether an attempt that was served tells it something: there was a failure that it could outweigh."""
        return self._failures > 0

    def delay(self, now: float) -> float:
        """Seconds until a request may start; while a probe is under way, the time to ask again."""
        if self.opened_at is None:
            return 0.0
        return 1.0 if self._probing else max(0.0, self._next_probe - now)

    def pause(self, now: float) -> float:
        """Seconds until the next probe; 0 while one is under way."""
        return 0.0 if self._probing else self.delay(now)

    def started(self) -> None:
        """A request starts: while open it is the probe."""
        self._probing = self.opened_at is not None

    def record(self, served: bool, now: float, *, began: float) -> None:
        """Record how an attempt ended; one that ``began`` before the circuit opened is no probe and says nothing."""
        if self.opened_at is not None:
            if began >= self.opened_at:
                self._record_open(served, now)
            return
        if len(self._last) == self._last.maxlen and not self._last[0]:
            self._failures -= 1
        self._last.append(served)
        if served:
            self._in_a_row = 0
            return
        self._failures += 1
        self._in_a_row += 1
        if self._in_a_row >= self._run or self._failures >= self._threshold:
            self.opened_at = now
            self._probes = 0
            self._schedule(now)

    def _record_open(self, served: bool, now: float) -> None:
        if served:
            self.opened_at = None
            self._last.clear()
            self._in_a_row = self._failures = 0
        else:
            self._schedule(now)
        self._probing = False

    def _schedule(self, now: float) -> None:
        self._next_probe = now + 0.2 + backoff(self._probes, self._random, cap=30.0)
        self._probes += 1


class RetryBudget:
    """Retries that a whole run may make: a start of ``initial``, and ``share`` of one for every first attempt."""

    def __init__(self, *, initial: float = 100, share: float = 0.2) -> None:
        self._initial, self._share = initial, share
        self._attempts = self._spent = 0

    def __repr__(self) -> str:
        return f"<RetryBudget {self._left:.1f}>"

    @property
    def _left(self) -> float:
        return self._initial + self._share * self._attempts - self._spent

    def first_attempts(self, count: int) -> None:
        """Each row's first attempt adds its share."""
        self._attempts += count

    def spend(self) -> bool:
        """Take one retry; False when the budget is used up."""
        if self._left < 1:
            return False
        self._spent += 1
        return True


class InFlightLimit:
    """How many requests may be under way: fewer when replies take far longer than they used to, then back.

    Compares the mean latency of the last 50 attempts with a slow average of those before. Below 50 ms nothing counts
    as slow. Latencies are seconds.
    """

    def __init__(self, most: int, *, slow: float = 3.0, floor: float = 0.05, of: int = 50) -> None:
        self.most = self.now = most
        self._slow, self._floor, self._of = slow, floor, of
        self._usual = 0.0
        self._sum, self._count = 0.0, 0

    def __repr__(self) -> str:
        return f"<InFlightLimit {self.now} of {self.most}>"

    def record(self, latency: float) -> None:
        """Take in how long one attempt took."""
        self._sum += latency
        self._count += 1
        if self._count >= self._of:
            self._decide(self._sum / self._count)
            self._sum, self._count = 0.0, 0

    def _decide(self, mean: float) -> None:
        usual = self._usual or mean
        if mean > max(self._floor, self._slow * usual):
            # So many keep a platform busy whose slowness is a queue; fewer would only leave it idle.
            enough = ceil(1.5 * self.most * usual / mean)
            self.now = max(1, min(self.now, enough), self.now * 3 // 4)
        else:
            self.now = min(self.most, self.now + max(1, self.most // 8))
        # A lasting change becomes the usual in time, so that a slower platform is not throttled for ever.
        self._usual = usual + (mean - usual) * 0.05


class Pacing:
    """All the reasons to wait, asked as one.

    ``quiet_until`` (seconds, same clock) keeps the first request of a sitting a full window away from the last one of
    the sitting before.
    """

    def __init__(self, rate: float, concurrency: int, random: Random, *, quiet_until: float = 0.0) -> None:
        self.rate = rate
        self.window = RateWindow(rate)
        self.circuit = Circuit(random)
        self.budget = RetryBudget()
        self.in_flight = InFlightLimit(concurrency)
        self._random = random
        self._slowing = Slowing(rate)
        self._paused_until = quiet_until
        self._paused_why = ""
        self._pauses = 0
        self._in_vain = 0  # pauses in a row between which nothing was served
        self._served = False  # since the last pause
        self._pause_began = -math.inf

    def delay(self, now: float) -> float:
        """Seconds until the next request may start; 0 means now."""
        if now < self._paused_until:
            return self._paused_until - now
        if self.circuit.opened_at is not None and (wait := self.circuit.delay(now)) > 0:
            return wait
        if self._pauses:
            self._recover(now)
        return self.window.delay(now)

    def pause_at(self, now: float) -> tuple[float, str]:
        """How many seconds more nothing new may start, or nothing but a probe, and why (see
        :class:`batchpost.pulse.Pulse`); without a word where it is only the rate that says so."""
        if now < self._paused_until and self._paused_why:
            return self._paused_until - now, self._paused_why
        return (self.circuit.pause(now), "circuit") if self.circuit.opened_at is not None else (0.0, "")

    def leisure(self, now: float) -> float:
        """Seconds until it is worth while to start requests: until a pause or a gap between probes is over, or else
        until several slots can be made use of at once without a loss to the rate."""
        delay = self.delay(now)
        return delay + self.window.slack if delay == self.window.delay(now) else delay

    def allowed(self, now: float) -> int:
        """How many requests may start at this very moment: one where it is to probe whether the platform serves."""
        if self.delay(now) > 0.0:
            return 0
        allowed = self.window.allowed(now)
        return allowed if self.circuit.opened_at is None else min(allowed, 1)

    def started(self, now: float, count: int = 1) -> None:
        """So many requests start now."""
        self.window.started(now, count)
        if self.circuit.opened_at is not None:
            self.circuit.started()

    def finished(self, *, served: bool, latency: float, now: float, refused: bool = False) -> None:
        """An attempt ended after ``latency`` seconds; ``refused``: with a reply that asks for a pause."""
        if not served or self.circuit.watches:
            self.circuit.record(served, now, began=now - latency)
        self.in_flight.record(latency)
        if self._pauses and served and not refused:
            self._served = True
            self._slowing.served(now)

    def pause(self, seconds: float, now: float, *, began: float) -> Stop | None:
        """Everyone waits ``seconds`` (-1: one or less, and longer as long as nothing is served between two pauses), and
        goes on more slowly when it happens again.

        ``began`` is when the attempt started that was answered so: replies to what was in flight when the pause began
        are the same event, not a new one. Returns why the run ends where it is asked to wait more than 15 minutes.
        """
        if seconds > LONGEST_PAUSE:
            message = f"The platform asks to wait {seconds / 60:,.0f} minutes, more than 15: run again after that"
            return Stop("retry_after", message, 69)
        if began >= self._pause_began:
            self._refused(now)
        self._paused_why = "retry_after" if seconds >= 0 else "rate_limited"
        if seconds < 0:
            seconds = self._slowing.rest + (backoff(self._in_vain, self._random, cap=30.0) if self._in_vain else 0.0)
        self._paused_until = max(self._paused_until, now + seconds)
        return None

    def outage(self, now: float, why: str = "") -> Stop | None:
        """Why the run ends when the circuit has been open for more than 30 minutes; ``why`` that is, if it is known."""
        opened = self.circuit.opened_at
        if opened is None or now - opened < LONGEST_OUTAGE:
            return None
        said = f" (the last attempt: {why})" if why else ""
        return Stop("circuit_open", f"The platform has not served a request for 30 minutes{said}", 69)

    def _refused(self, now: float) -> None:
        """A refusal, and not one of several to what was in flight: the first one after a calm minute slows nothing."""
        if now - self._paused_until > _FORGOTTEN and self._slowing.rate == self.rate:
            self._pauses = 0
        self._in_vain = self._in_vain + 1 if self._pauses and not self._served else 0
        self._pauses += 1
        self._served = False
        self._pause_began = now
        if self._pauses > 1:
            self._slowing.refused(now, self._paused_until)
            self.window = self.window.slowed(self._slowing.rate)

    def _recover(self, now: float) -> None:
        if self._slowing.recovers(now, self._paused_until):
            self.window = self.window.slowed(self._slowing.rate)
