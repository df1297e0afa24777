"""What can be seen of a run while it goes: its pulse about once a second, the pace of late, and what it does besides
sending."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import NamedTuple, Protocol

__all__ = ["Doing", "Pace", "Pulse", "unseen"]

_LATELY = 30.0  # seconds
_TELLING = 3.0  # seconds of going on without a pause that say something about the next ones
_LONG = 2.0  # seconds of a pause that is no part of the pace


class Doing(Protocol):
    """Is told what a run is at before and after it sends, and how many rows of it are done; up to a few hundred times a
    second, so it must cost nothing."""

    def __call__(self, what: str, rows: int = 0, /) -> None:
        """``what`` is a few words, such as ``reading exports/conv.csv``."""


def unseen(what: str, rows: int = 0, /) -> None:
    """Nobody looks on."""


class Pulse(NamedTuple):
    """A sitting at one moment.

    Rows settled, of those to send; requests, retries among them; requests a second that started lately, and that may;
    requests in flight, and that may be. ``paused_why`` says why nothing new starts (``retry_after``, ``rate_limited``,
    ``circuit``, ``backoff``, ``stopping``) and is empty otherwise; ``paused_for`` for how many seconds more, 0 where
    that is not known; ``down_for`` is how many seconds ago the circuit opened.
    """

    settled: int = 0
    to_send: int = 0
    requests: int = 0
    retried: int = 0
    rate_now: float = 0.0
    rate_allowed: float = inf
    in_flight: int = 0
    in_flight_allowed: int = 0
    paused_for: float = 0.0
    paused_why: str = ""
    down_for: float = 0.0


class Pace:
    """How fast rows have been settled of late, and how long the others take by that."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()  # seconds, rows settled; since the last long pause
        self._last = Pulse()

    def note(self, pulse: Pulse, now: float) -> None:
        """Take in a pulse; ``now`` is monotonic seconds."""
        self._last = pulse
        if pulse.paused_why in ("circuit", "stopping") or pulse.paused_for >= _LONG:
            self._seen.clear()
            return
        self._seen.append((now, pulse.settled))
        while now - self._seen[0][0] > _LATELY:
            self._seen.popleft()

    @property
    def left(self) -> float | None:
        """Seconds that the remaining rows take, at the pace of the last half minute and never faster than allowed; None
        while that cannot be said: at the beginning, in a pause of some length, and where nothing gets settled."""
        if not self._seen:
            return None
        (first, before), (last, settled) = self._seen[0], self._seen[-1]
        if last - first < _TELLING or settled <= before:
            return None
        rate = min((settled - before) / (last - first), self._last.rate_allowed)
        return max(0, self._last.to_send - settled) / rate
