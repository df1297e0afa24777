"""What a run's log says while it goes: a heartbeat a minute, once a burst of retries, once a standstill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batchpost.model import Outcome
from batchpost.pulse import Pulse
from batchpost.tally import Tally

__all__ = ["Heartbeat", "Trouble"]

_EVERY = 60.0  # seconds between two beats
_STILL = 30.0  # seconds without a settled row that are worth a log event
_QUIET = 60.0  # seconds without a retry that end a burst of them
_TOLD = (Outcome.DELIVERED, Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN)


@dataclass(slots=True)
class Heartbeat:
    """Says once a minute how a sitting goes. ``began`` is when it did, in monotonic seconds."""

    run_id: str
    job: str
    began: float
    requests: int = 0

    def beat(self, now: float, tally: Tally, pulse: Pulse, left: float | None) -> dict[str, Any] | None:
        """The facts of a beat where one is due, always the same ones; ``left`` is how many seconds the rest takes."""
        seconds = now - self.began
        if seconds < _EVERY:
            return None
        rate = (pulse.requests - self.requests) / seconds
        self.began, self.requests = now, pulse.requests
        return {
            "run_id": self.run_id,
            "job": self.job,
            "settled": pulse.settled,
            "to_send": pulse.to_send,
            **{outcome.value: tally.outcomes.get(outcome, 0) for outcome in _TOLD},
            "requests": pulse.requests,
            "retried": pulse.retried,
            "rate": round(rate, 1),
            "rate_allowed": round(pulse.rate_allowed, 1),
            "in_flight": pulse.in_flight,
            "paused_why": pulse.paused_why or None,
            "paused_s": round(pulse.paused_for, 1),
            "eta_s": None if left is None else round(left),
        }


@dataclass(slots=True)
class Trouble:
    """When to log that something goes slowly: once a burst of retries, once a standstill. Times in monotonic
    seconds."""

    settled: int = -1
    retried: int = 0
    settled_at: float = 0.0
    retried_at: float = -_QUIET
    still: bool = False

    def events(self, now: float, settled: int, retried: int) -> list[tuple[str, dict[str, Any]]]:
        """The events to log at this moment, given the counts so far."""
        events: list[tuple[str, dict[str, Any]]] = []
        if retried > self.retried:
            if now - self.retried_at >= _QUIET:
                events.append(("retrying", {"retried": retried}))
            self.retried, self.retried_at = retried, now
        if settled != self.settled:
            self.settled, self.settled_at, self.still = settled, now, False
        elif not self.still and now - self.settled_at >= _STILL:
            self.still = True
            events.append(("waiting", {"settled": settled, "seconds": round(now - self.settled_at)}))
        return events
