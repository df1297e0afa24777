"""How fast a platform lets a run go, learnt from what it refuses (429, and 503 with ``Retry-After``).

What it served in the second before a refusal is what it allows, if the rate held for that second. Until that is known
the rate doubles every second, and after a refusal on the way goes up by less. Once it is known it stays a little below,
and is tried again upwards after half a minute, by steps that double: so a limit that stays costs few refusals, and one
that is lifted is found out soon. Everything is a decision over a clock that is passed in as ``now`` (seconds,
monotonic).
"""

from __future__ import annotations

from collections import deque

__all__ = ["Slowing"]

_LEAST = 1.0  # requests a second
_WHOLE = 0.9  # seconds that are as good as a whole one: at a rate just too high the refusal comes a little early
_CUT = 0.02  # what a refusal takes off what was served
_REST = 0.3
_MOST_OFF = 0.3  # the most that one refusal takes off a rate that held
_AT_MOST = 8.0  # by how much one refusal divides a rate that did not hold: what was served then may be a mere beginning
_FAST, _GENTLE = 2.0, 1.15  # growth a second, while it is not known what is allowed
_SOON = 10.0  # seconds of going on after which a refusal is not one in a row
_HOLD = 30.0  # seconds without a refusal after which more is tried
_STEP, _EVERY = 0.01, 5.0  # the first step upwards as a share of the rate, and the seconds between steps
_TICKS = 100  # a second, by which served requests are counted


class Slowing:
    """The rate to go at, at most ``most`` requests a second."""

    def __init__(self, most: float) -> None:
        self.most = self.rate = most
        self._found = False  # the rate is about what was served over a whole second
        self._growth = _FAST
        self._hasty = 0  # refusals in a row within a second of going on
        self._in_a_row = 0
        self._step = _STEP
        self._raised_at = 0.0
        self._served: deque[list[int]] = deque()  # [tick, requests]

    def __repr__(self) -> str:
        return f"<Slowing {self.rate:g} of {self.most:g}/s>"

    @property
    def rest(self) -> float:
        """Seconds to wait after a refusal that names none: until what was too much is a second ago, or less where the
        rate was just a little too high."""
        return _REST if self._found and not self._hasty else 1.0

    def served(self, now: float) -> None:
        """A request was not refused."""
        tick = int(now * _TICKS)
        if self._served and self._served[-1][0] == tick:
            self._served[-1][1] += 1
        else:
            self._served.append([tick, 1])
            while self._served[0][0] <= tick - _TICKS:
                self._served.popleft()

    def refused(self, now: float, going_since: float) -> None:
        """A request was refused, at the end of a stretch without a pause that began at ``going_since``."""
        first = int(now * _TICKS) - _TICKS
        served = sum(count for tick, count in self._served if tick > first)
        self._in_a_row = self._in_a_row + 1 if now - going_since < _SOON else 0
        whole = now - going_since >= _WHOLE
        self._hasty = 0 if whole else self._hasty + 1
        if served and whole and (self._found or self._growth < _FAST):
            known = self.rate if self._found and self._in_a_row else min(served, self.rate)
            self.rate = max((1 - _CUT) * known, (1 - _MOST_OFF) * self.rate)
            self._found = True
        elif self._found and self._hasty == 1:
            self.rate *= 1 - _CUT
        else:
            self.rate = max(served, self.rate / _AT_MOST) if 0 < served < self.rate else self.rate / 2
            self._found = False
            self._growth = _GENTLE if whole else _FAST
        self.rate = max(min(_LEAST, self.most), self.rate)
        self._step = _STEP

    def recovers(self, now: float, going_since: float) -> bool:
        """Whether it is time to go faster, which is done then. No pause since ``going_since``."""
        if self.rate >= self.most:
            return False
        calm = now - max(going_since, self._raised_at)
        if self._found:
            if calm < _EVERY or now - going_since < _HOLD:
                return False
            self.rate *= 1 + self._step
            self._step *= 2
        else:
            if calm < 1.0:
                return False
            self.rate *= self._growth
        self.rate = min(self.rate, self.most)
        self._raised_at = now
        return True
