"""The sending of one sitting: event loop, signals, transports, delivery."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import anyio

from batchpost.delivery import Delivery, Limits
from batchpost.edge import Edge
from batchpost.errors import InputChanged, JournalError, system_mend
from batchpost.expectation import allowances, share_of
from batchpost.feed import rows_to_send
from batchpost.job import Job
from batchpost.journal import Journal, LogFile
from batchpost.model import Stop
from batchpost.pacing import Pacing
from batchpost.prepare import Prepared
from batchpost.pulse import Pulse
from batchpost.tally import Tally
from batchpost.transport import Origin

__all__ = ["Sent", "Sitting", "Watch", "limits_of", "send", "stopped_by"]

_DISK = "disk"
# Rows claimed and not started, by concurrency; for updates as many more as may go out in the 50 ms that a power failure
# may take with it. A claim waits for the disk, so many at once cost less; and updates in doubt just go out again.
_AHEAD, _FAR_AHEAD, _SECONDS = 2, 16, 0.05


Watch = Callable[[Tally, Pulse], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sitting:
    """What is particular to one sitting.

    ``to_send`` are the rows that the plan sends, ``rows`` the most that this sitting does; ``until`` is the monotonic
    instant after which nothing starts, ``quiet_until`` the one before which nothing does. ``watch`` is called about
    once a second with the tally so far and the pulse; it may raise OSError.
    """

    header: dict[str, object]
    watch: Watch
    to_send: int = 0
    rows: float = math.inf
    until: float = math.inf
    quiet_until: float = 0.0


class Sent(NamedTuple):
    """The end of a sitting: why it ended early, if it did; what it counted; its last pulse."""

    stop: Stop | None
    tally: Tally
    pulse: Pulse


def fires_again(job: Job) -> bool:
    """Whether a second request of some row could have a second effect."""
    return job.spec.is_event or job.api.redistributes


def _ahead(job: Job) -> int:
    concurrency, rate = job.delivery.concurrency, job.delivery.rate
    least = _AHEAD * concurrency
    return least if fires_again(job) else min(_FAR_AHEAD * concurrency, least + int(rate * _SECONDS))


def limits_of(job: Job, sitting: Sitting, meant: int = 0) -> Limits:
    """The bounds of a sitting, from ``[delivery]``, ``[expect]`` and the command line; ``meant`` are the rows of the
    input that are meant to go out."""
    most, share = math.inf, 1.0
    if isinstance(job.delivery.max_failures, str):
        share = share_of(job.delivery.max_failures) or 0.0
    else:
        most = job.delivery.max_failures
    return Limits(
        ahead=_ahead(job),
        max_attempts=job.delivery.max_attempts,
        max_failures=most,
        failure_share=share,
        rows=sitting.rows,
        drain=job.delivery.drain,
        until=sitting.until,
        accept_foreign=job.rows.foreign_duplicates == "accept",
        tolerated=allowances(job.expect, meant),
        stop_when=job.delivery.stop_when,
    )


def send(prepared: Prepared, file: LogFile, name: str, sitting: Sitting) -> Sent:
    """Send what is to be sent and record it.

    Raises JournalError where the journal takes neither its first nor its last record. It is complete and on disk in
    any case that the disk allows.
    """
    return prepared.edge.run(partial(_send, prepared, file, name, sitting))


def stopped_by(error: JournalError | InputChanged) -> Stop:
    """The end of a run that cannot go on without its journal or its input."""
    return Stop(_DISK if isinstance(error, JournalError) else "input_changed", str(error), error.exit_code)


async def _send(prepared: Prepared, file: LogFile, name: str, sitting: Sitting) -> Sent:
    job, edge = prepared.job, prepared.edge
    journal = Journal(file, run_blocking=edge.run_blocking, clock=edge.wall, boot=edge.boot, name=name)
    journal.begin(sitting.header)
    random = edge.random()
    rows = rows_to_send(prepared.plan, prepared.readers, job, target=prepared.targets)
    try:
        async with edge.open_wire(
            Origin.parse(job.api.base_url),
            count=job.delivery.concurrency,
            timeout=job.delivery.timeout,
            proxy=prepared.targets.proxy,
            ca_file=str(job.workspace / job.api.ca_file) if job.api.ca_file else None,
        ) as wire:
            delivery = Delivery(
                rows=rows,
                wire=wire,
                journal=journal,
                pacing=Pacing(job.delivery.rate, job.delivery.concurrency, random, quiet_until=sitting.quiet_until),
                limits=limits_of(job, sitting, prepared.plan.meant),
                clock=edge.clock,
                wall=edge.wall,
                random=random,
                on_unauthorized=prepared.targets.renewed,
            )
            stop = _or_held(await _run(delivery, edge, sitting), delivery.tally)
        if stop is None or stop.cause != _DISK:
            await journal.sync()  # or a power cut could keep "over" and lose a record before it
            journal.over(stop.cause if stop else "finished", stop.exit_code if stop else 0)
    finally:
        rows.close()
        journal.close()
    return Sent(stop, delivery.tally, _pulse(delivery, edge, sitting))


async def _run(delivery: Delivery, edge: Edge, sitting: Sitting) -> Stop | None:
    """The delivery with its signals and its onlooker; a bug comes out as it is, not in a task group's wrap."""
    failure: Exception | None = None
    stop: Stop | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(edge.heed_signals, delivery.stop)
        await _look(delivery, edge, sitting)  # where this finds no room on the disk, nothing is sent
        tasks.start_soon(_report, delivery, edge, sitting)
        try:
            stop = await delivery.run()
        except (JournalError, InputChanged) as error:
            stop = stopped_by(error)
        except Exception as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure:
        raise failure
    return stop


def _or_held(stop: Stop | None, tally: Tally) -> Stop | None:
    if not tally.held_pids:
        return stop
    names = ", ".join(sorted(pid or "organic" for pid in tally.held_pids))
    message = f"The platform says that these sources are inactive: {names}. Have them activated: their rows wait for it"
    held = Stop("source_inactive", message, 4)
    return held.or_more_urgent(stop)


async def _report(delivery: Delivery, edge: Edge, sitting: Sitting) -> None:
    while True:
        await anyio.sleep(1)
        await _look(delivery, edge, sitting)


async def _look(delivery: Delivery, edge: Edge, sitting: Sitting) -> None:
    try:
        await sitting.watch(delivery.tally, _pulse(delivery, edge, sitting))
    except OSError as error:  # the disk that takes no summary will take no results either
        delivery.stop(Stop(_DISK, f"{error.filename} cannot be written: {error.strerror}{system_mend(error)}", 4))


def _pulse(delivery: Delivery, edge: Edge, sitting: Sitting) -> Pulse:
    return delivery.pulse(edge.clock(), int(min(sitting.to_send, sitting.rows)))
