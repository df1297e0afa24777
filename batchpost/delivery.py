"""One sitting of sending: takes claimed rows, posts them at the allowed pace, and records what became of each.

It goes by rounds. A round takes the requests that have ended, settles their rows, starts as many new ones as may start
now, and waits until something changes: what came back together costs one write to the journal and one wait. Order: rows
with the same lane key go out one after the other, each once the one before is settled; up to 10,000 rows wait aside for
that, then reading waits. A row in backoff holds no connection. Uses anyio only, so that tests run it in virtual time;
the wire, the journal, the clock and the random source are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from random import Random

import anyio

from batchpost.journal import Journal
from batchpost.model import Repeat, Row, Stop
from batchpost.pacing import Pacing
from batchpost.pulse import Pulse
from batchpost.rowqueue import RowQueue, Task
from batchpost.settling import Limits, Settling
from batchpost.tally import Tally
from batchpost.transport import MAX_IDLE, Request, Wire

__all__ = ["Delivery", "Limits"]

_FIRES_AGAIN = Repeat.FIRES_AGAIN  # looking an enum member up costs more than comparing with it
_GLANCE = 0.25  # seconds after which a wait for a slot is thought over: a probe may have closed the circuit meanwhile
_IDLE_BEFORE_ONE_CHANCE = 2.0


class Delivery:
    """One sitting of sending. ``rows`` yields the rows to send in file order; ``wire`` has as many connections as
    requests may be in flight. ``clock`` is monotonic, ``wall`` Unix seconds."""

    def __init__(
        self,
        *,
        rows: Iterator[Row],
        wire: Wire,
        journal: Journal,
        pacing: Pacing,
        limits: Limits,
        clock: Callable[[], float],
        wall: Callable[[], float],
        random: Random,
        on_unauthorized: Callable[[Row], Row | None],
    ) -> None:
        self._queue = RowQueue(rows)
        self._wire = wire
        self._wire.notify = self._wake
        self._journal = journal
        self._pacing = pacing
        self._limits = limits
        self._clock = clock
        self.tally = Tally()
        self._settling = Settling(
            queue=self._queue,
            journal=journal,
            pacing=pacing,
            tally=self.tally,
            limits=limits,
            wall=wall,
            random=random,
            on_unauthorized=on_unauthorized,
            stop=self.stop,
            fail=self._fail,
            close=self._close,
        )
        self.stop_reason: Stop | None = None
        self._claimed = 0
        self._in_flight = 0
        self._feeding = True
        self._feeder_waits = False
        self._stop_asked = False
        self._drained_at = inf
        self._changed = anyio.Event()
        self._hungry = anyio.Event()
        self._recorded = anyio.Event()
        self._all_durable = False
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Delivery {self._in_flight} in flight, {self._queue!r}>"

    # -- the outside -------------------------------------------------------------------------------------------

    async def run(self) -> Stop | None:
        """Send until the rows are used up or something stops it; returns why it ended early, if it did.

        Raises what stops a run without a record: JournalError, InputChanged. Requests in flight are recorded before.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._flush)
            async with anyio.create_task_group() as feeder:
                feeder.start_soon(self._feed)
                await self._send()
            tasks.cancel_scope.cancel()
        if self._error:
            raise self._error
        return self.stop_reason

    def stop(self, reason: Stop) -> None:
        """Start nothing more; requests in flight get ``drain`` seconds, then they end as faults and are recorded."""
        self.stop_reason = reason.or_more_urgent(self.stop_reason)
        if not self._stop_asked:
            self._stop_asked = self._settling.stopping = True
            self._drained_at = self._clock() + self._limits.drain
        self._wake()
        self._feed_again()

    def pulse(self, now: float, to_send: int = 0) -> Pulse:
        """How it goes at this moment; ``to_send`` are all rows that go out."""
        tally, pacing = self.tally, self._pacing
        paused_for, why = self._pause(now)
        opened = pacing.circuit.opened_at
        return Pulse(
            settled=tally.settled,
            to_send=to_send,
            requests=tally.requests,
            retried=tally.retried,
            rate_now=pacing.window.recent(now),
            rate_allowed=pacing.window.rate,
            in_flight=self._in_flight,
            in_flight_allowed=pacing.in_flight.now,
            paused_for=paused_for,
            paused_why=why,
            down_for=0.0 if opened is None else now - opened,
        )

    def _pause(self, now: float) -> tuple[float, str]:
        if self._stop_asked:
            return (0.0 if self._drained_at == inf else max(0.0, self._drained_at - now)), "stopping"
        paused_for, why = self._pacing.pause_at(now)
        if why or self._in_flight:
            return paused_for, why
        due = self._queue.due_in(now)
        return (due, "backoff") if 0 < due < inf else (0.0, "")

    def _fail(self, error: Exception) -> None:
        """An error in one part must not cost the ends of requests in flight: it stops the run in order."""
        self._error = self._error or error
        self.stop(Stop("error", type(error).__name__, 70))

    async def _flush(self) -> None:
        """Make what was recorded durable within 50 ms."""
        try:
            while True:
                await anyio.sleep(0.05)
                if self._journal.dirty:
                    await self._journal.sync()
                    continue
                self._recorded = anyio.Event()
                self._all_durable = True
                await self._recorded.wait()
        except Exception as error:
            self._fail(error)

    def _make_durable(self) -> None:
        """Something was recorded: the flusher must not sleep on."""
        if self._all_durable:
            self._all_durable = False
            self._recorded.set()

    # -- feeding: claims ahead of the requests -----------------------------------------------------------------

    async def _feed(self) -> None:
        try:
            await self._claim_ahead()
        except Exception as error:
            self._fail(error)
        finally:
            self._feeding = False
            self._wake()

    async def _claim_ahead(self) -> None:
        while not self._stop_asked:
            left = self._limits.rows - self._claimed
            if left <= 0:
                self._stop_at_limit()
                return
            if self._queue.ready > self._limits.ahead // 2:
                await self._wait_hungry()
            elif rows := self._queue.take(self._room(left), self.tally.held_pids):
                self._claimed += len(rows)
                await self._journal.claim(rows)
                self._queue.add(rows)
                self._wake()
            elif self._queue.under_way:
                await self._wait_hungry()
            else:
                return

    def _room(self, left: float) -> int:
        """Rows to claim at once: while they go to disk, the ones claimed before go out."""
        return int(min(left, self._limits.ahead - self._queue.ready))

    async def _wait_hungry(self) -> None:
        self._hungry = anyio.Event()
        self._feeder_waits = True
        if not self._stop_asked:
            await self._hungry.wait()

    def _feed_again(self) -> None:
        self._feeder_waits = False
        self._hungry.set()

    def _stop_at_limit(self) -> None:
        """What is claimed still goes out; the run ends early only if something is left behind."""
        if self._queue.more():
            self.stop_reason = self.stop_reason or Stop("limit", f"Stopped after {self._rows_allowed()}", 6)

    def _rows_allowed(self) -> str:
        return f"{self._limits.rows:,.0f} row{'' if self._limits.rows == 1 else 's'}, as it was told to"

    def _close(self, row: Row) -> None:
        if self._queue.close(row):
            self._feed_again()

    # -- sending: round by round -------------------------------------------------------------------------------

    async def _send(self) -> None:
        try:
            while True:
                self._changed = anyio.Event()
                self._take_ends(self._clock())
                now = self._clock()  # what starts, starts now: settling takes its time
                try:
                    self._start(now)
                    self._journal.flush()
                except Exception as error:
                    self._fail(error)
                if self._is_over(now):
                    return
                await self._wait(self._seconds_to_wait(now))
        except BaseException:
            self._journal.flush()
            raise

    def _take_ends(self, now: float) -> None:
        """Settle what has ended. Who was told to stop waits for the rest only so long."""
        if now >= self._drained_at:
            self._drained_at = inf
            self._wire.abort()
        ended = self._wire.take()
        if not ended:
            return
        self._make_durable()
        self._in_flight -= len(ended)
        self._settling.end(ended, now)

    def _start(self, now: float) -> None:
        """Start the rows that may start this very moment, each on record before its first byte."""
        if self._stop_asked or self._queue.due_in(now) > 0:
            return
        if now >= self._limits.until:
            self.stop(Stop("until", "Stopped at the time it was told to", 6))
            return
        room = self._pacing.in_flight.now - self._in_flight
        allowed = min(room, self._pacing.allowed(now)) if room > 0 else 0
        if allowed <= 0:
            if stop := self._pacing.outage(now, self._settling.trouble):
                self.stop(stop)
            return
        tasks = self._sendable(self._queue.pick(allowed, now))
        if self._feeder_waits and self._queue.ready <= self._limits.ahead // 2:
            self._feed_again()
        if tasks:
            count, again = len(tasks), sum(task.sends > 0 for task in tasks)
            self._journal.start([task.row.number for task in tasks])
            self._make_durable()
            self._in_flight += count
            self.tally.start(now, count, again=again)
            self._pacing.started(now, count)
            self._pacing.budget.first_attempts(count - again)
            self._wire.begin([self._request(task, now) for task in tasks])

    def _sendable(self, tasks: list[Task]) -> list[Task]:
        """These rows without those that were claimed before their source turned out inactive: they are not sent."""
        held = self.tally.held_pids
        if not held:
            return tasks
        for task in tasks:
            if task.row.pid in held:
                self._close(task.row)
        return [task for task in tasks if task.row.pid not in held]

    def _request(self, task: Task, now: float) -> Request:
        row = task.row = self._settling.current(task.row)
        task.sends += 1
        task.began = now
        return task, row.target, row.body, _IDLE_BEFORE_ONE_CHANCE if row.repeat is _FIRES_AGAIN else MAX_IDLE

    def _is_over(self, now: float) -> bool:
        if self._in_flight:
            return False
        return self._stop_asked or (not self._feeding and self._queue.due_in(now) == inf)

    def _seconds_to_wait(self, now: float) -> float:
        """Seconds after which a round is worth while, whatever happens meanwhile; infinite if none is."""
        if self._stop_asked:
            return max(0.0, self._drained_at - now)
        if self._in_flight >= self._pacing.in_flight.now:
            return inf
        due = self._queue.due_in(now)
        if due > 0:
            return due
        return max(0.0, min(self._pacing.leisure(now), _GLANCE, self._limits.until - now))

    async def _wait(self, seconds: float) -> None:
        if seconds == inf:
            await self._changed.wait()
        else:
            with anyio.move_on_after(seconds):
                await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
