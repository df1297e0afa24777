"""The worker pool: takes claimed rows, posts them at the allowed pace, and records what became of each.

Order: rows with the same lane key go out one after the other, each once the one before is settled; up to 10,000 rows
wait aside for that, then reading waits. A row in backoff holds no worker. Uses anyio only, so that tests run it in
virtual time; the transport, the journal, the clock and the random source are given.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from random import Random

import anyio

from batchpost.journal import Journal
from batchpost.model import Fault, Outcome, Repeat, Reply, Row, Settlement, Stop, Target
from batchpost.pacing import Pacing, backoff
from batchpost.redact import clean_settlement
from batchpost.rowqueue import RowQueue, Task
from batchpost.tally import Tally
from batchpost.transport import MaybeSent, NotSent, Transport
from batchpost.verdict import Action, Verdict, judge, when_exhausted

__all__ = ["Delivery", "Limits"]

_LONGEST_WAIT = 15 * 60.0  # for what does not use up attempts: 429, locks, requests that were not sent
_FEW = 3
# Looking an enum member up costs more than comparing with it.
_DELIVERED, _FIRES_AGAIN, _SETTLE = Outcome.DELIVERED, Repeat.FIRES_AGAIN, Action.SETTLE
_GLANCE = 0.25  # seconds after which who waits for a slot asks again: a probe may have closed the circuit meanwhile
_IDLE_BEFORE_ONE_CHANCE = 2.0
_IDLE = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a sitting: attempts a row gets, failures (a count or a share of settled rows), rows to send,
    seconds that requests in flight get when told to stop, the instant (same clock) after which nothing starts."""

    concurrency: int
    max_attempts: int = 5
    max_failures: float = math.inf
    failure_share: float = 1.0
    rows: float = math.inf
    drain: float = 8.0
    until: float = math.inf
    accept_foreign: bool = False


class Delivery:
    """One sitting of sending. ``rows`` yields the rows to send in file order; ``lanes`` are as many transports as
    requests may be in flight. ``clock`` is monotonic, ``wall`` Unix seconds."""

    def __init__(
        self,
        *,
        rows: Iterator[Row],
        lanes: list[Transport],
        journal: Journal,
        pacing: Pacing,
        limits: Limits,
        clock: Callable[[], float],
        wall: Callable[[], float],
        random: Random,
        on_unauthorized: Callable[[Row], Row | None],
    ) -> None:
        self._queue = RowQueue(rows)
        self._lanes = lanes
        self._journal = journal
        self._pacing = pacing
        self._limits = limits
        self._clock, self._wall = clock, wall
        self._random = random
        self._on_unauthorized = on_unauthorized
        self._replaced: dict[Target, Target] = {}  # refused token -> the one in its place
        self.tally = Tally()
        self.stop_reason: Stop | None = None
        self._claimed = 0
        self._in_flight = 0
        self._feeding = True
        self._feeder_waits = False
        self._stop_asked = False
        self._changed = anyio.Event()
        self._hungry = anyio.Event()
        self._recorded = anyio.Event()
        self._all_durable = False
        self._stopping = anyio.Event()
        self._scope = anyio.CancelScope()
        self._gate = anyio.Lock()
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Delivery {self._in_flight} in flight, {self._queue!r}>"

    # -- the outside -------------------------------------------------------------------------------------------

    async def run(self) -> Stop | None:
        """Send until the rows are used up or something stops it; returns why it ended early, if it did.

        Raises what stops a run without a record: JournalError, InputChanged. Requests in flight are recorded before.
        """
        with self._scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._flush)
                async with anyio.create_task_group() as workers:
                    workers.start_soon(self._guard, self._feed)
                    for _ in range(len(self._lanes)):
                        workers.start_soon(self._guard, self._work)
                tasks.cancel_scope.cancel()
        if self._error:
            raise self._error
        return self.stop_reason

    def stop(self, reason: Stop) -> None:
        """Start nothing more; requests in flight get ``drain`` seconds, then they end as faults and are recorded."""
        self.stop_reason = reason.or_more_urgent(self.stop_reason)
        if not self._stop_asked:
            self._stop_asked = True
            self._stopping.set()
            self._scope.deadline = anyio.current_time() + self._limits.drain
        self._wake()
        self._feed_again()

    async def _guard(self, part: Callable[[], Awaitable[None]]) -> None:
        """An error in one part must not cancel the requests of the others: it stops the run in order."""
        try:
            await part()
        except Exception as error:
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
            self._error = self._error or error
            self.stop(Stop("error", type(error).__name__, 70))

    def _make_durable(self) -> None:
        """Something was recorded: the flusher must not sleep on."""
        if self._all_durable:
            self._all_durable = False
            self._recorded.set()

    # -- feeding: claims ahead of the workers ------------------------------------------------------------------

    async def _feed(self) -> None:
        try:
            while not self._stop_asked:
                left = self._limits.rows - self._claimed
                if left <= 0:
                    self._stop_at_limit()
                    return
                if self._queue.ready > self._limits.concurrency:
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
        finally:
            self._feeding = False
            self._wake()

    def _room(self, left: float) -> int:
        """Rows to claim at once: while they go to disk, the workers go on with those claimed before. Never more than
        twice ``concurrency`` are claimed and not started, which is what a power failure may leave in doubt."""
        return int(min(left, 2 * self._limits.concurrency - self._queue.ready))

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
            self.stop_reason = self.stop_reason or Stop("limit", f"Stopped after {self._limits.rows:,.0f} rows", 6)

    def _close(self, row: Row) -> None:
        if self._queue.close(row):
            self._feed_again()

    # -- working -----------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while task := self._startable(self._clock()) or await self._next_task():
            self._in_flight += 1
            try:
                await self._attempt(task)
            except BaseException:
                self._journal.flush()
                raise
            finally:
                self._in_flight -= 1
                if not self._feeding or self._pacing.in_flight.now < self._pacing.in_flight.most:
                    self._wake()

    async def _next_task(self) -> Task | None:
        """Wait for a row that may start now; None when there is nothing left or the run stops."""
        self._journal.flush()
        while not self._stop_asked:
            now = self._clock()
            due = self._queue.due_in(now)
            if due > 0 or self._in_flight >= self._pacing.in_flight.now:
                if due == math.inf and not self._feeding and not self._in_flight:
                    self._wake()
                    return None
                await self._sleep_until_changed(due if due > 0 else math.inf)
                continue
            if now >= self._limits.until:
                self.stop(Stop("until", "Stopped at the time it was told to", 6))
            elif task := self._startable(now):
                return task
            elif self._pacing.delay(now) > 0:
                await self._wait_at_gate()
        return None

    def _startable(self, now: float) -> Task | None:
        """A row that may start this very moment, if there is one; its start is counted."""
        if self._stop_asked or self._in_flight >= self._pacing.in_flight.now or now >= self._limits.until:
            return None
        if self._queue.due_in(now) > 0 or self._pacing.delay(now) > 0:
            return None
        if task := self._pick(now):
            self._pacing.started(now)
        return task

    def _pick(self, now: float) -> Task | None:
        """The next row; None for one that was claimed before its source turned out inactive: it is not sent."""
        task = self._queue.pick(now)
        if self._feeder_waits and self._queue.ready <= self._limits.concurrency:
            self._feed_again()
        if task.row.pid not in self.tally.held_pids:
            return task
        self._close(task.row)
        return None

    async def _wait_at_gate(self) -> None:
        """Only one worker waits for the next slot; the others wait for it."""
        async with self._gate:
            now = self._clock()
            if stop := self._pacing.outage(now):
                self.stop(stop)
            seconds = min(self._pacing.delay(now), _GLANCE, self._limits.until - now)
            if seconds > 0:
                with anyio.move_on_after(seconds):
                    await self._stopping.wait()

    async def _sleep_until_changed(self, seconds: float) -> None:
        if self._changed.is_set():
            self._changed = anyio.Event()
        if seconds == math.inf:
            await self._changed.wait()
        else:
            with anyio.move_on_after(seconds):
                await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()

    # -- one attempt -------------------------------------------------------------------------------------------

    async def _attempt(self, task: Task) -> None:
        if self._replaced and task.row.target in self._replaced:  # claimed before its token was refused
            task.row = task.row._replace(target=self._replaced[task.row.target])
        row = task.row
        started = self._clock()
        self.tally.start(started, again=task.sends > 0)
        if not task.sends:
            self._pacing.budget.first_attempt()
        task.sends += 1
        self._journal.start(row.number)
        self._make_durable()
        lane = self._lanes.pop()  # the one used last, whose connection is the freshest
        try:
            idle = _IDLE_BEFORE_ONE_CHANCE if row.repeat is _FIRES_AGAIN else _IDLE
            result: Reply | Fault = await lane.post(row.target, row.body, max_idle=idle)
        except NotSent as fault:
            result = Fault(fault.kind, False, fault.detail)
        except MaybeSent as fault:
            result = Fault(fault.kind, True, fault.detail)
        except anyio.get_cancelled_exc_class():
            self._end_attempt(task, Fault("interrupted", lane.handed_over, "stopped during the attempt"), started)
            raise
        finally:
            self._lanes.append(lane)
        self._end_attempt(task, result, started)

    def _end_attempt(self, task: Task, result: Reply | Fault, started: float) -> None:
        now = self._clock()
        latency = now - started
        self._make_durable()
        verdict = judge(result, task.row, now=self._wall(), accept_foreign=self._limits.accept_foreign)
        self.tally.reply(result, latency * 1000, now)
        self._pacing.finished(served=verdict.served, latency=latency, now=now)
        task.applied = task.applied or verdict.may_be_applied
        if verdict.pause is not None and (stop := self._pacing.pause(verdict.pause, now, began=started)):
            self.stop(stop)
        action = verdict.action
        if action is _SETTLE and verdict.settlement:
            self._settle(task, verdict.settlement, latency)
        elif action is Action.RETRY:
            self._retry(task, verdict, latency, now)
        elif action is Action.HOLD and verdict.settlement:
            self.tally.held_pids.add(task.row.pid)
            self._settle(task, verdict.settlement, latency)
        else:
            self._stop_at(task, verdict, latency)

    def _settle(self, task: Task, settlement: Settlement, latency: float) -> None:
        row = task.row
        through = settlement.outcome is _DELIVERED
        settlement = clean_settlement(settlement, row)
        latency_ms = round(latency * 1000, 1)
        self._journal.settle(row.number, settlement, latency_ms=latency_ms, may_be_applied=task.applied)
        self.tally.settle(settlement)
        self._close(row)
        if not through:
            self._check_failures()

    def _check_failures(self) -> None:
        bad, settled = self.tally.not_through, self.tally.settled
        limits = self._limits
        if bad > limits.max_failures or (settled >= 200 and bad > limits.failure_share * settled):
            self.stop(Stop("max_failures", f"{bad:,} of {settled:,} rows did not get through (max_failures)", 4))

    def _retry(self, task: Task, verdict: Verdict, latency: float, now: float) -> None:
        """Put the row into backoff, or settle it when it has had its share."""
        last = verdict.settlement or Settlement(Outcome.FAILED, "failed")
        if self._stop_asked:
            self._journal.again(task.row.number, last.reason, may_be_applied=verdict.may_be_applied)
            return
        task.attempts += verdict.counted
        task.few += verdict.few
        if task.since < 0 and not verdict.counted:
            task.since = now
        used_up = (
            task.attempts >= self._limits.max_attempts
            or task.few >= _FEW
            or (not verdict.counted and now - task.since > _LONGEST_WAIT)
            or (verdict.counted and not self._pacing.budget.spend())
        )
        if used_up:
            applied = task.applied or task.row.in_doubt
            self._settle(task, when_exhausted(last, task.row.repeat, may_be_applied=applied), latency)
            return
        self._journal.again(task.row.number, last.reason, may_be_applied=verdict.may_be_applied)
        task.row = task.row._replace(in_doubt=task.row.in_doubt or verdict.may_be_applied)
        due = now + backoff(task.sends, self._random)
        self._queue.delay(task, due)
        self._wake()

    def _stop_at(self, task: Task, verdict: Verdict, latency: float) -> None:
        """The job itself is at fault: the row stays as it was, unless the token was changed meanwhile."""
        stop = verdict.stop or Stop("stopped", "Stopped", 4)
        if verdict.settlement:
            self._settle(task, verdict.settlement, latency)
        else:
            self._journal.again(task.row.number, stop.cause, may_be_applied=verdict.may_be_applied)
            if stop.cause == "unauthorized" and self._has_new_token(task.row):
                self._queue.again(task)
                self._wake()
                return
        self.stop(stop)

    def _has_new_token(self, row: Row) -> bool:
        """Whether there is a token for the row that was not refused. The secret is read once for each that was."""
        if row.target in self._replaced:
            return True
        renewed = self._on_unauthorized(row)
        if renewed is None or renewed.target in self._replaced:
            return False
        older = [old for old, new in self._replaced.items() if new == row.target]
        self._replaced.update(dict.fromkeys([row.target, *older], renewed.target))
        return True
