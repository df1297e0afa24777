"""Faults on demand: what the sandbox does to a request instead of, or on top of, answering it honestly.

Everything is drawn from a seed, four numbers a request, so the same sequence of requests meets the same faults.
"""

from __future__ import annotations

import random
import re
from collections import deque
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import NamedTuple

from batchpost.errors import UsageError

__all__ = ["Dice", "Draw", "FaultKind", "Faults", "Latency", "parse_faults", "parse_latency"]

Latency = float | tuple[float, float]


class FaultKind(StrEnum):
    """What can go wrong with one request; the name under which it stands in the record."""

    DROP = "drop"
    RESET = "reset"
    HALF = "half"
    ERROR = "error"
    LOCK = "lock"
    UNAVAILABLE = "unavailable"
    GARBAGE = "garbage"
    LIMIT = "limit"
    UNAUTHORIZED = "unauthorized"
    SLOW = "slow"


_SHARES = ("drop", "reset", "half", "error", "lock", "unavailable", "garbage")


@dataclass(frozen=True, slots=True)
class Faults:
    """How often what happens; shares from 0 to 1 of all requests, together at most 1. Raises ``UsageError`` otherwise.

    ``drop`` closes the connection, nothing done. ``reset`` resets it, ``half`` cuts the reply in its middle, both with
    the request done. ``error`` (500) and ``garbage`` (200 with HTML) are done half of the time, since the platform's
    pages do not say. ``lock`` is a 403, ``unavailable`` a 503 with ``Retry-After: 1``, both with nothing done.
    ``limit`` is the most requests in any one second, 429 beyond. ``slow`` is a share and the seconds it adds. After
    ``unauthorized_after`` requests every update gets 401.
    """

    drop: float = 0.0
    reset: float = 0.0
    half: float = 0.0
    error: float = 0.0
    lock: float = 0.0
    unavailable: float = 0.0
    garbage: float = 0.0
    limit: int | None = None
    slow: tuple[float, float] = (0.0, 0.0)
    unauthorized_after: int | None = None

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in _SHARES}
        for name, share in {**shares, "slow": self.slow[0]}.items():
            if not 0 <= share <= 1:
                raise UsageError(f"fault {name}: a share is between 0 and 1, not {share}")
        if sum(shares.values()) > 1 + 1e-9:
            raise UsageError(f"the faults' shares add up to {sum(shares.values()):g}: at most 1")
        if self.limit is not None and self.limit < 1:
            raise UsageError("fault limit: at least 1 request a second")


class Draw(NamedTuple):
    """What befalls one request. ``does`` says that the platform does it, whatever the client hears; ``delay`` is in
    seconds, from arrival to effect."""

    fault: FaultKind | None
    does: bool
    delay: float


class Dice:
    """Draws the faults and the latency of a server, in the order in which requests arrive."""

    def __init__(self, faults: Faults, latency: Latency, seed: int) -> None:
        self._faults = faults
        self._low, self._high = latency if isinstance(latency, tuple) else (latency, latency)
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self._steps = [(FaultKind(name), getattr(faults, name)) for name in _SHARES if getattr(faults, name)]
        self._admitted: deque[float] = deque()
        self._thrown = 0

    def throw(self, now: float, *, update: bool) -> Draw:
        """The fate of the request that arrives at ``now`` (monotonic seconds, never falling)."""
        self._thrown += 1
        # Always four numbers, so that one request's faults do not depend on which kinds are switched on for others.
        pick, coin, slow, wait = (self._random.random() for _ in range(4))
        delay = self._low + (self._high - self._low) * wait
        if self._over_limit(now):
            return Draw(FaultKind.LIMIT, False, 0.0)
        if update and self._faults.unauthorized_after is not None and self._thrown > self._faults.unauthorized_after:
            return Draw(FaultKind.UNAUTHORIZED, False, delay)
        slowed = slow < self._faults.slow[0]
        delay += self._faults.slow[1] if slowed else 0.0
        kind = self._pick(pick)
        if kind is None:
            return Draw(FaultKind.SLOW if slowed else None, True, delay)
        return Draw(kind, _does(kind, coin), delay)

    def _pick(self, number: float) -> FaultKind | None:
        for kind, share in self._steps:
            if number < share:
                return kind
            number -= share
        return None

    def _over_limit(self, now: float) -> bool:
        if self._faults.limit is None:
            return False
        while self._admitted and self._admitted[0] <= now - 1:
            self._admitted.popleft()
        if len(self._admitted) >= self._faults.limit:
            return True
        self._admitted.append(now)
        return False


def _does(kind: FaultKind, coin: float) -> bool:
    if kind in (FaultKind.ERROR, FaultKind.GARBAGE):
        return coin < 0.5
    return kind in (FaultKind.RESET, FaultKind.HALF)


def parse_faults(text: str) -> Faults:
    """Reads ``drop=0.01,error=0.02,limit=50,slow=0.1:2s``; an empty text is no fault. Raises ``UsageError``."""
    known = {field.name for field in fields(Faults)}
    values: dict[str, float | int | tuple[float, float]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in known:
            raise UsageError(f"unknown fault {name!r}; there are {', '.join(sorted(known))}")
        if name in values:
            raise UsageError(f"fault {name} is given twice")
        values[name] = _fault_value(name, value)
    return Faults(**values)  # type: ignore[arg-type]  # each name's value has its type by _fault_value


def _fault_value(name: str, text: str) -> float | int | tuple[float, float]:
    try:
        if name in ("limit", "unauthorized_after"):
            return int(text)
        if name == "slow":
            share, _, seconds = text.partition(":")
            return float(share), _seconds(seconds)
        return float(text)
    except ValueError:
        form = {"limit": "50", "unauthorized_after": "100", "slow": "0.1:2s"}.get(name, "0.01")
        raise UsageError(f"fault {name}: cannot read {text!r}; write {name}={form}") from None


def parse_latency(text: str) -> Latency:
    """Reads ``50ms``, ``0.05`` or ``0.05s`` (seconds), or a range ``10ms-200ms``. Raises ``UsageError``."""
    low, dash, high = text.partition("-")
    try:
        bounds = _seconds(low), _seconds(high if dash else low)
    except ValueError:
        raise UsageError(f"latency: cannot read {text!r}; write 50ms, 0.05 or 10ms-200ms") from None
    if bounds[0] > bounds[1]:
        raise UsageError(f"latency: {text!r} ends before it begins")
    return bounds if dash else bounds[0]


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|s)?", text.strip())
    if not found:
        raise ValueError(text)
    return float(found[1]) / (1000 if found[2] == "ms" else 1)
