"""A platform that refuses what is too much for it, and one that gets ten times slower for a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean

from bench.answering import Seen
from bench.figures import Figure, Part
from bench.limits import SERVER, Watched, watched
from bench.setting import Setting, shown
from bench.work import COMMAND

__all__ = ["mean_in_flight", "measure", "recovered_after", "refused_share", "through"]

ALLOWED = 200  # requests a second
RATE = 1_000  # the job's, too high
ROUNDS = 2
SETTLED = 10.0  # seconds in which the limit may be found
IN_FLIGHT = 25
SLOW = (10.0, 20.0)  # seconds after the first request between which all takes ten times as long
ENOUGH = 0.9  # of the rate before: then a run has recovered
LIMITS = {
    "in any second, 429 without Retry-After": ("--limit", "sliding"),
    "in any second, 429 with Retry-After: 1": ("--limit", "sliding", "--retry-after", "1"),
    "each second of the clock, 429 without Retry-After": ("--limit", "fixed"),
    "from a bucket of 20, 429 without Retry-After": ("--limit", "bucket"),
}


def measure(setting: Setting) -> Part:
    """What gets through a limit, by each way of counting; how a run bears a slow platform."""
    figures = []
    for name, options in LIMITS.items():
        figures += _limited(setting, name, ("--allow", str(ALLOWED), *options))
    return Part("slowdown", [*figures, *_tenfold(setting)])


def _limited(setting: Setting, name: str, server: Sequence[str]) -> list[Figure]:
    seconds = max(20, setting.seconds(60))
    stop = ("--for", f"{seconds}s")
    send = partial(watched, setting, RATE * seconds, server, rate=RATE, in_flight=64, options=stop)
    runs = _records(setting, name, send)
    commands = [f"{SERVER} {' '.join(server)}", shown([*COMMAND, *stop], setting.folder)]
    title = f"{ALLOWED} allowed {name}"
    return [
        Figure(
            f"{title}: served",
            "% of the allowed",
            [through(seen, ALLOWED) * 100 for seen in runs],
            commands,
            least=90,
            about="from the first request to the last",
        ),
        Figure(
            f"{title}: refused",
            "% of requests",
            [refused_share(seen, SETTLED) * 100 for seen in runs],
            most=2,
            about=f"after the first {SETTLED:.0f} seconds",
        ),
    ]


def _tenfold(setting: Setting) -> list[Figure]:
    server = ("--slow", *(f"{moment:.0f}" for moment in SLOW), "0.2")
    rows = 38_000  # 20 seconds at the usual latency, and up to ten at the other
    send = partial(watched, setting, rows, server, rate=1_000_000, in_flight=IN_FLIGHT)
    runs = _records(setting, "tenfold latency", send)
    begin, end = SLOW
    commands = [f"{SERVER} {' '.join(server)}", shown(COMMAND, setting.folder)]
    return [
        Figure("latency 20 ms: in flight", "requests", [mean_in_flight(seen, 2, begin) for seen in runs], commands),
        Figure(
            "ten times the latency for ten seconds: in flight",
            "requests",
            [mean_in_flight(seen, begin + 2, end) for seen in runs],
            most=IN_FLIGHT - 1.0,
            about="at the server, mean",
        ),
        Figure(
            "then: seconds until all is as before",
            "s",
            [recovered_after(seen, begin, end) for seen in runs],
            most=10,
            about=f"{ENOUGH:.0%} of the requests a second of before",
        ),
    ]


def _records(setting: Setting, name: str, send: Callable[[], Watched]) -> list[list[Seen]]:
    found = setting.interleaved({name: send}, min(setting.rounds, ROUNDS))
    return [run.seen for run in found[name]]


# -- reading a record -------------------------------------------------------------------------------------------------


def through(seen: Sequence[Seen], allowed: float) -> float:
    """What share of the requests that were allowed from the first to the last arrival was served."""
    served = sum(request.status != 429 for request in seen)
    return served / (allowed * (seen[-1].arrived - seen[0].arrived))


def refused_share(seen: Sequence[Seen], after: float) -> float:
    """What share of the requests that came ``after`` so many seconds was refused."""
    late = [request for request in seen if request.arrived - seen[0].arrived >= after]
    return sum(request.status == 429 for request in late) / len(late) if late else 0.0


def mean_in_flight(seen: Sequence[Seen], begin: float, end: float) -> float:
    """How many requests the server held, on average over the arrivals of these seconds after the first one."""
    return mean(request.in_flight for request in seen if begin <= request.arrived - seen[0].arrived < end)


def recovered_after(seen: Sequence[Seen], begin: float, end: float) -> float:
    """Seconds after ``end`` to the first one that brings ``ENOUGH`` of what one brought before ``begin``; else inf."""
    arrivals = [request.arrived - seen[0].arrived for request in seen]
    before = sum(1.0 <= arrived < begin for arrived in arrivals) / (begin - 1.0)
    step = 0.1
    for number in range(int((arrivals[-1] - end) / step)):
        start = end + number * step
        if sum(start <= arrived < start + 1.0 for arrived in arrivals) >= ENOUGH * before:
            return number * step
    return float("inf")
