"""What bounds a run besides the machine: the platform's latency, and the job's rate. Measured at the small server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

from bench.answering import Seen
from bench.figures import Figure, Part
from bench.peers import hey
from bench.process import cpu_between
from bench.servers import answering, find, free_port
from bench.setting import Setting, shown
from bench.work import COMMAND, Done, expect, leads, workspace

__all__ = ["SERVER", "Watched", "busiest_second", "latency", "rate", "watched"]

LATENCY = 0.02  # seconds
IN_FLIGHT = 25
POSSIBLE = IN_FLIGHT / LATENCY  # requests a second
RATE = 500  # requests a second
EDGE = 1.0  # seconds at both ends of the sending that CPU is not counted in: the plan and the results are near
SERVER = f"python -m bench.answering --port $PORT --record record --latency {LATENCY}"


class Watched(NamedTuple):
    """A run, and what its server saw, by arrival."""

    done: Done
    seen: list[Seen]


def watched(
    setting: Setting, rows: int, server: Sequence[str] = (), *, rate: float, in_flight: int, options: Sequence[str] = ()
) -> Watched:
    """Send updates to the small server; a run with options may be told to stop (6)."""
    folder = setting.folder
    with workspace(folder) as work:
        with answering(folder, free_port(), "--latency", str(LATENCY), *server) as platform:
            work.job("update-lead", f"http://127.0.0.1:{platform.port}", rate=rate, concurrency=in_flight)
            work.source(leads(folder, rows))
            done = work.run(*options, rows=rows, codes=(0, 6) if options else (0,))
        return Watched(done, platform.seen())


class _Bound(NamedTuple):
    """Requests a second, and how late the server really answered, in milliseconds."""

    rate: float
    own: float


def latency(setting: Setting) -> Part:
    """How much of what the platform's latency allows gets through, beside hey on the same server."""
    folder, rows = setting.folder, setting.rows(25_000)
    contestants = {"batchpost": partial(_bound_by_latency, setting, rows)}
    if find("hey"):
        contestants["hey"] = partial(_hey_bound_by_latency, setting, rows)
    found = setting.interleaved(contestants)
    ours, others = found["batchpost"], found.get("hey", [])
    commands = [SERVER, shown(COMMAND, folder)]
    of_hey = [SERVER, shown(hey(folder, "http://127.0.0.1:0/", rows, IN_FLIGHT).command, folder)]
    share = [run.rate / POSSIBLE * 100 for run in ours]
    return Part(
        "latency",
        [
            Figure(
                f"{IN_FLIGHT} in flight, a server that takes {LATENCY * 1e3:.0f} ms",
                "% of the possible",
                share,
                commands,
                least=98,
                about=f"rows by the seconds of sending; {POSSIBLE:,.0f} a second are possible",
            ),
            Figure(
                "hey beside it",
                "% of the possible",
                [run.rate / POSSIBLE * 100 for run in others],
                of_hey,
                about="" if others else "not installed: skipped",
            ),
            Figure("what the server really took", "ms", [run.own for run in ours + others]),
        ],
    )


def _bound_by_latency(setting: Setting, rows: int) -> _Bound:
    done, seen = watched(setting, rows, rate=1_000_000, in_flight=IN_FLIGHT)
    expect(done, delivered=rows)
    return _Bound(rows / done.sending, _taken(seen))


def _hey_bound_by_latency(setting: Setting, rows: int) -> _Bound:
    with answering(setting.folder, free_port(), "--latency", str(LATENCY)) as platform:
        speed = hey(setting.folder, f"http://127.0.0.1:{platform.port}/", rows, IN_FLIGHT).measure()
    return _Bound(speed.rate, _taken(platform.seen()))


def _taken(seen: Sequence[Seen]) -> float:
    return median(request.answered - request.arrived for request in seen) * 1e3


def rate(setting: Setting) -> Part:
    """Whether a run keeps to its rate, how near it comes, and what the waiting costs."""
    rows = RATE * setting.seconds(20)
    found = setting.interleaved({"rate": partial(watched, setting, rows, rate=RATE, in_flight=64)}, rounds=setting.few)
    commands = [SERVER, shown(COMMAND, setting.folder)]
    arrivals = [[request.arrived for request in seen] for _, seen in found["rate"]]
    longer = [((times[-1] - times[0]) / ((rows - 1) / RATE) - 1) * 100 for times in arrivals]
    cpu = [
        cpu_between(done.ran.samples, times[0] + EDGE, times[-1] - EDGE) * 100
        for (done, _), times in zip(found["rate"], arrivals, strict=True)
    ]
    return Part(
        "rate",
        [
            Figure(
                f"rate {RATE}: longer than rows by rate",
                "%",
                longer,
                commands,
                most=1,
                about="from the first to the last arrival",
            ),
            Figure(
                f"rate {RATE}: arrivals in any second",
                "requests",
                [float(busiest_second(times)) for times in arrivals],
                most=RATE,
                about="at most, at the server",
            ),
            Figure(
                f"rate {RATE}: CPU while sending",
                "% of a core",
                cpu,
                most=5,
                about="user and system by /proc, first and last second left out",
            ),
        ],
    )


def busiest_second(arrivals: Sequence[float]) -> int:
    """The most arrivals in any window of one second (open at its end); they must be in order."""
    most = first = 0
    for last, arrived in enumerate(arrivals):
        while arrived - arrivals[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most
