"""What follows from the end of an attempt: the row is settled, goes out again later, or the run stops.

Nothing here waits; the journal is written and the queue is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from random import Random

from batchpost.expectation import most_rows
from batchpost.journal import Journal
from batchpost.model import Fault, Outcome, Reply, Row, Settlement, Stop, Target
from batchpost.pacing import Pacing, backoff
from batchpost.redact import clean_settlement
from batchpost.rowqueue import RowQueue, Task
from batchpost.tally import Tally
from batchpost.transport import Ended, MaybeSent, TransportFault
from batchpost.verdict import Action, Verdict, judge, when_exhausted

__all__ = ["Limits", "Settling"]

_LONGEST_WAIT = 15 * 60.0  # for what does not use up attempts: 429, locks, requests that were not sent
_FEW = 3
_MANY = 200  # settled rows, from which on a share of them says something
# Looking an enum member up costs more than comparing with it.
_DELIVERED, _SETTLE = Outcome.DELIVERED, Action.SETTLE


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a sitting: rows claimed and not started, attempts a row gets, failures (a count or a share of settled
    rows), rows to send, seconds that requests in flight get when told to stop, the instant (same clock) after which
    nothing starts. What is claimed and not started is what a power failure may leave in doubt. ``tolerated``: rows by
    reason that are no failures; ``stop_when``: by reason the rows, or the share of settled ones, that may end so."""

    ahead: int
    max_attempts: int = 5
    max_failures: float = inf
    failure_share: float = 1.0
    rows: float = inf
    drain: float = 8.0
    until: float = inf
    accept_foreign: bool = False
    tolerated: Mapping[str, int] = field(default_factory=dict)
    stop_when: Mapping[str, int | str] = field(default_factory=dict)


class Settling:
    """Takes attempts that are over.

    ``wall`` gives Unix seconds; ``stop`` is told why the run must end, ``fail`` of a bug, ``close`` that a row is
    settled. ``on_unauthorized`` gives the row with a token that was not refused, if there is one. ``trouble`` is what
    came of the latest attempt that was not served, in a few words.
    """

    def __init__(
        self,
        *,
        queue: RowQueue,
        journal: Journal,
        pacing: Pacing,
        tally: Tally,
        limits: Limits,
        wall: Callable[[], float],
        random: Random,
        on_unauthorized: Callable[[Row], Row | None],
        stop: Callable[[Stop], None],
        fail: Callable[[Exception], None],
        close: Callable[[Row], None],
    ) -> None:
        self._queue, self._journal, self._pacing, self._tally = queue, journal, pacing, tally
        self._limits, self._wall, self._random = limits, wall, random
        self._accept_foreign = limits.accept_foreign
        self._on_unauthorized, self._stop, self._fail, self._close = on_unauthorized, stop, fail, close
        self._replaced: dict[Target, Target] = {}  # refused token -> the one in its place
        self.stopping = False
        self.trouble = ""
        self._fell_through = False  # some row of this round

    def current(self, row: Row) -> Row:
        """The row with the token that holds now: it may have been claimed before its own was refused."""
        if self._replaced and row.target in self._replaced:
            return row._replace(target=self._replaced[row.target])
        return row

    def end(self, ended: Iterable[Ended], now: float) -> None:
        """Attempts are over at ``now``: each that ended, with its task. What is no TransportFault is a bug, and goes to
        ``fail`` without costing the others their ends."""
        wall = self._wall()
        for task, result in ended:
            try:
                self._end(task, result, now, wall)  # type: ignore[arg-type]
            except Exception as error:
                self._fail(error)
        self._tally.ended = now
        if self._fell_through:
            self._fell_through = False
            self._check_failures()
        if self._limits.stop_when:
            self._check_guards()

    def _end(self, task: Task, result: Reply | Exception, now: float, wall: float) -> None:
        latency = now - task.began
        if isinstance(result, Reply):
            verdict = judge(result, task.row, now=wall, accept_foreign=self._accept_foreign)
            self._tally.reply(latency * 1000, result.status)
        else:
            verdict = judge(_fault(result), task.row, now=wall)
            self._tally.reply(latency * 1000)
        if not verdict.served:
            self.trouble = f"HTTP {result.status}" if isinstance(result, Reply) else _fault(result).detail
        refused = verdict.pause is not None
        self._pacing.finished(served=verdict.served, latency=latency, now=now, refused=refused)
        if verdict.may_be_applied:
            task.applied = True
        if verdict.pause is not None and (stop := self._pacing.pause(verdict.pause, now, began=task.began)):
            self._stop(stop)
        action = verdict.action
        if action is _SETTLE and verdict.settlement:
            self._settle(task, verdict.settlement, latency)
        elif action is Action.RETRY:
            self._retry(task, verdict, latency, now)
        elif action is Action.HOLD and verdict.settlement:
            self._tally.held_pids.add(task.row.pid)
            self._settle(task, verdict.settlement, latency)
        else:
            self._stop_at(task, verdict, latency)

    def _settle(self, task: Task, settlement: Settlement, latency: float) -> None:
        row = task.row
        settlement = clean_settlement(settlement, row)
        latency_ms = int(latency * 10_000 + 0.5) / 10
        self._journal.settle(row.number, settlement, latency_ms=latency_ms, may_be_applied=task.applied)
        self._tally.settle(settlement)
        self._close(row)
        if settlement.outcome is not _DELIVERED:
            self._fell_through = True

    def _check_failures(self) -> None:
        limits, tally = self._limits, self._tally
        tolerated = sum(min(tally.reasons.get(reason, 0), most) for reason, most in limits.tolerated.items())
        bad, settled = tally.not_through - tolerated, tally.settled
        if bad > limits.max_failures or (settled >= _MANY and bad > limits.failure_share * settled):
            few = "more than [delivery] max_failures allows. See why before it runs again"
            self._stop(Stop("max_failures", f"{bad:,} of {settled:,} rows did not get through, {few}", 4))

    def _check_guards(self) -> None:
        """Reasons that the job watches, such as leads that were offered to buyers again."""
        settled = self._tally.settled
        for reason, limit in self._limits.stop_when.items():
            rows = self._tally.reasons.get(reason, 0)
            counted = isinstance(limit, int) or settled >= _MANY
            if rows and counted and rows > most_rows(limit, settled):
                few = "more than [delivery] stop_when allows. See why before it runs again"
                self._stop(Stop("stop_when", f"{rows:,} of {settled:,} rows ended as {reason}, {few}", 4))

    def _retry(self, task: Task, verdict: Verdict, latency: float, now: float) -> None:
        """Put the row into backoff, or settle it when it has had its share."""
        last = verdict.settlement or Settlement(Outcome.FAILED, "failed")
        if self.stopping:
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
        self._queue.delay(task, now + backoff(task.sends, self._random))

    def _stop_at(self, task: Task, verdict: Verdict, latency: float) -> None:
        """The job itself is at fault: the row stays as it was, unless the token was changed meanwhile."""
        stop = verdict.stop or Stop("stopped", "Stopped", 4)
        if verdict.settlement:
            self._settle(task, verdict.settlement, latency)
        else:
            self._journal.again(task.row.number, stop.cause, may_be_applied=verdict.may_be_applied)
            if stop.cause == "unauthorized" and self._has_new_token(task.row):
                self._queue.again(task)
                return
        self._stop(stop)

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


def _fault(error: Exception) -> Fault:
    if not isinstance(error, TransportFault):
        raise error
    return Fault(error.kind, isinstance(error, MaybeSent), error.detail)
