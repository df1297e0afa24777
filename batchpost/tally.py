"""Counting what a sitting does, for the summary, the progress line and ``max_failures``."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from batchpost.model import Outcome, Settlement

__all__ = ["Tally"]

_NOT_THROUGH = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.REJECTED)


@dataclass(slots=True)
class Tally:
    """What is counted.

    Settled rows by outcome and reason; requests, retries among them, ``peak``: the most that started within one second
    of the clock (``in_second``: so far in ``second``); replies by status; latencies in milliseconds; sources on hold;
    ``began`` and ``ended``: the clock at the first start and the last reply.
    """

    outcomes: dict[Outcome, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    retried: int = 0
    http: dict[int, int] = field(default_factory=dict)
    latencies: array[float] = field(default_factory=lambda: array("f"))
    held_pids: set[str] = field(default_factory=set)
    second: int = -1
    in_second: int = 0
    peak: int = 0
    began: float = 0.0
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """From the first request's start to the last reply."""
        return self.ended - self.began

    def start(self, now: float, count: int = 1, *, again: int = 0) -> None:
        """Count requests that start at ``now``, so many of them retries."""
        if not self.requests:
            self.began = now
        self.requests += count
        self.retried += again
        if int(now) != self.second:
            self.second, self.in_second = int(now), 0
        self.in_second += count
        self.peak = max(self.peak, self.in_second)

    @property
    def settled(self) -> int:
        """Rows with an outcome from this sitting."""
        return sum(self.outcomes.values())

    @property
    def not_through(self) -> int:
        """Rows that count towards ``max_failures``."""
        return sum(self.outcomes.get(outcome, 0) for outcome in _NOT_THROUGH)

    def settle(self, settlement: Settlement) -> None:
        """Count a row's end."""
        self.outcomes[settlement.outcome] = self.outcomes.get(settlement.outcome, 0) + 1
        self.reasons[settlement.reason] = self.reasons.get(settlement.reason, 0) + 1

    def reply(self, latency_ms: float, status: int = 0) -> None:
        """Count an attempt's end, and the status of its reply if there was one."""
        self.latencies.append(latency_ms)
        if status:
            self.http[status] = self.http.get(status, 0) + 1
