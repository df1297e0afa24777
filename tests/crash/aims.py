"""When to kill, and what the platform is like meanwhile: a plan drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from batchpost.sandbox import Faults

__all__ = ["CALM", "NEVER", "Aim", "Weather", "aims", "endings", "weathers"]


class Aim(NamedTuple):
    """Kill ``pause`` seconds after the sign: ``elapsed`` (seconds since the start), ``requests`` (of this sitting) or
    a file of the program's; see :mod:`tests.crash.scene`. ``amount`` is of seconds or of requests."""

    sign: str
    amount: float = 0.0
    pause: float = 0.0


class Weather(NamedTuple):
    """What the platform does to requests in one sitting. ``latency`` in seconds; the seed is that of its dice."""

    latency: tuple[float, float]
    faults: Faults
    seed: int


NEVER = Aim("never")
CALM = Weather((0.001, 0.01), Faults(), 0)
# Sign, weight, longest pause: most kills hit the sending; some are aimed at the short moments beside it.
_SIGNS = (
    ("elapsed", 25, 0.0),
    ("requests", 40, 0.03),
    ("lock", 5, 0.4),
    ("plan", 6, 0.1),
    ("ledger", 10, 0.005),
    ("journal", 8, 0.05),
    ("summary", 6, 0.6),
)
_LONGEST = 2.5  # seconds: a start, a plan, the pause after the run before, and a while of sending
_MOST_REQUESTS = 400
_ENDINGS = (("over", 0.1), ("results", 0.02), ("over", 0.01), ("outcomes", 0.001), ("results", 0.0), ("books", 0.0))
_LATENCIES = ((0.001, 0.005), (0.002, 0.03), (0.02, 0.06), (0.001, 0.15))
_TROUBLE = Faults(drop=0.005, reset=0.005, half=0.005, error=0.008, lock=0.004, garbage=0.002)


def aims(kind: str, seed: int) -> Iterator[Aim]:
    """Moments before the rows are used up, without end."""
    random = Random(f"{seed} {kind} aims")
    while True:
        [(sign, _, longest)] = random.choices(_SIGNS, weights=[weight for _, weight, _ in _SIGNS])
        amount, pause = random.random(), random.random() * longest
        scale = {"elapsed": _LONGEST, "requests": _MOST_REQUESTS}.get(sign, 0)
        yield Aim(sign, round(amount * scale, 3), round(pause, 4))


def endings(kind: str, seed: int, count: int) -> list[Aim]:
    """So many moments between the last request and the end of the run, the earlier ones first: of those that come just
    before its end some will be too late."""
    random = Random(f"{seed} {kind} endings")
    drawn = [_ENDINGS[number % len(_ENDINGS)] for number in range(count)]
    in_order = sorted(drawn, key=lambda ending: ("over", "results", "outcomes", "books").index(ending[0]))
    return [Aim(sign, 0, round(random.random() * longest, 4)) for sign, longest in in_order]


def weathers(kind: str, seed: int) -> Iterator[Weather]:
    """Latencies and faults, a sitting each, without end: calm, troubled, or with too many requests at times."""
    random = Random(f"{seed} {kind} weather")
    while True:
        latency, dice = random.choice(_LATENCIES), random.randrange(2**32)
        drawn = random.random()
        if drawn < 0.3:
            yield Weather(latency, Faults(), dice)
        elif drawn < 0.9:
            yield Weather(latency, _TROUBLE, dice)
        else:
            yield Weather(latency, Faults(limit=150, unavailable=0.002), dice)
