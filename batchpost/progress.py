"""Looking on at a run: lines that are painted anew on a terminal, a few log events elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchpost.bar import ASCII, UNICODE, Signs, doing_lines, sending_lines
from batchpost.errors import UsageError
from batchpost.failures import stop_if_told
from batchpost.heartbeat import Heartbeat, Trouble
from batchpost.layout import counted, span
from batchpost.livelines import LiveLines
from batchpost.output import Line, Output, Steady
from batchpost.pulse import Doing, Pace, Pulse, unseen

if TYPE_CHECKING:
    from batchpost.masking import Sample
    from batchpost.prepare import Prepared
    from batchpost.tally import Tally

__all__ = ["Display", "shown_at_work"]

_FINISHED = (
    *("run_id", "job", "test", "state", "stopped_by", "exit_code"),
    *("rows", "reasons", "money", "requests", "duration_s", "next"),
)


@dataclass(slots=True)
class _Work:
    """What is done besides sending, since when, and how many rows of it."""

    what: str
    since: float
    rows: int = 0

    def lines(self, now: float, width: int, signs: Signs) -> list[Line]:
        return doing_lines(self.what, self.rows, now - self.since, width=width, signs=signs)


@dataclass(slots=True)
class _Sending:
    """The latest pulse and when it was taken, with settled rows by outcome and the seconds that the rest takes."""

    outcomes: dict[str, int]
    pulse: Pulse
    left: float | None
    at: float
    asked: float

    def lines(self, now: float, width: int, signs: Signs) -> list[Line]:
        waited = max(0.0, self.pulse.paused_for - (now - self.at))  # it counts down between two pulses
        pulse = self.pulse._replace(paused_for=waited)
        return sending_lines(self.outcomes, pulse, asked=self.asked, left=self.left, width=width, signs=signs)


class _Screen:
    """Paints whatever is shown at the moment; made when there is something to show."""

    def __init__(self, stream: Steady, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._signs = UNICODE if "utf" in stream.encoding.lower() else ASCII
        self._live = LiveLines(stream, self.lines)
        self._shown: _Work | _Sending | None = None

    def lines(self, width: int) -> list[Line]:
        shown = self._shown
        return shown.lines(self._clock(), width, self._signs) if shown else []

    def doing(self, what: str, rows: int = 0, /) -> None:
        shown = self._shown
        if isinstance(shown, _Work) and shown.what == what:
            shown.rows = rows
        else:
            self._show(_Work(what, self._clock(), rows))

    def sending(self, tally: Tally, pulse: Pulse, left: float | None, asked: float) -> None:
        outcomes = {outcome.value: rows for outcome, rows in tally.outcomes.items()}
        self._show(_Sending(outcomes, pulse, left, self._clock(), asked))

    def close(self) -> None:
        self._live.stop()
        self._shown = None

    def _show(self, shown: _Work | _Sending) -> None:
        self._shown = shown
        self._live.start()


@contextmanager
def shown_at_work(output: Output) -> Iterator[Doing]:
    """On a terminal what a command is at is shown, as long as it takes; elsewhere nothing is."""
    if not output.err.paints:
        yield unseen
        return
    screen = _Screen(output.err, time.monotonic)
    try:
        yield screen.doing
    finally:
        screen.close()


@dataclass(slots=True)
class Display:
    """Looks on at one job's run (see :class:`batchpost.jobrun.Watcher`).

    ``log`` is a structlog logger, or None on a terminal, where people are told in words. ``ask`` puts a yes-or-no
    question, None where nobody can answer; ``yes``: it has been answered. ``bar``: what goes on is painted. ``keep`` is
    how many requests to remember, masked, in ``samples``; ``limit`` how many rows are sent at most.
    ``sending`` is True once a request may have gone out.
    """

    output: Output
    log: Any = None
    ask: Callable[[str], bool] | None = None
    yes: bool = False
    bar: bool = False
    quiet: bool = False
    keep: int = 0
    limit: float = math.inf
    clock: Callable[[], float] = time.monotonic
    sending: bool = False
    samples: list[Sample] = field(default_factory=list)
    _asked_rate: float = 0.0
    _told_waiting: bool = False
    _pace: Pace = field(default_factory=Pace)
    _trouble: Trouble = field(default_factory=Trouble)
    _heartbeat: Heartbeat | None = None
    _screen: _Screen | None = None

    def doing(self, what: str, rows: int = 0, /) -> None:
        """Show what it is at besides sending."""
        if self.bar:
            self._on_screen().doing(what, rows)

    def planned(self, prepared: Prepared) -> None:
        """Say what will be sent, and ask before the first run of many updates. Raises UsageError for a no, and where
        nobody can be asked; and what :func:`batchpost.failures.stop_if_told` does."""
        self.close()
        self._ask_first(prepared)
        if self.keep:
            from batchpost.preview import samples_of

            self.samples = samples_of(prepared, self.keep)
        self._say_start(prepared)
        now, rate = self.clock(), prepared.job.delivery.rate
        self._asked_rate, self._pace, self._trouble = rate, Pace(), Trouble(settled_at=now)
        self._heartbeat = Heartbeat(prepared.run.run_id, prepared.job.name, now)
        stop_if_told()

    def progress(self, tally: Tally, pulse: Pulse) -> None:
        """Show how it goes, or log it once a minute, and when it goes slowly."""
        self.sending = True
        now = self.clock()
        self._pace.note(pulse, now)
        if self.bar:
            self._on_screen().sending(tally, pulse, self._pace.left, self._asked_rate)
        if self.log is None:
            return
        for name, facts in self._trouble.events(now, pulse.settled, pulse.retried):
            self.log.info(name, **facts)
        beat = self._heartbeat.beat(now, tally, pulse, self._pace.left) if self._heartbeat else None
        if beat:
            self.log.info("heartbeat", **beat)

    def waiting(self, why: str, seconds: float) -> None:
        """Say once that the input is not there, and how long it is waited for."""
        self.close()
        if not self._told_waiting:
            self._told_waiting = True
            if self.log is not None:
                self.log.info("waiting_for_input", seconds=round(seconds))
            elif not self.quiet:
                self.output.tell(f"{why}. Waiting for it for {span(seconds)}")

    def close(self) -> None:
        """Take away what is painted; what follows stands on a line of its own."""
        if self._screen is not None:
            self._screen.close()

    def finished(self, summary: Mapping[str, Any]) -> None:
        """Log the end of a run."""
        self.close()
        if self.log is not None:
            facts = {name: summary.get(name) for name in _FINISHED}
            (self.log.error if summary.get("exit_code") else self.log.info)("run_finished", **facts)

    def _on_screen(self) -> _Screen:
        if self._screen is None:
            self._screen = _Screen(self.output.err, self.clock)
        return self._screen

    def _ask_first(self, prepared: Prepared) -> None:
        from batchpost.firstrun import is_first, question, refusal

        if self.yes or not is_first(prepared):
            return
        if self.ask is None:
            raise refusal(prepared)
        if not self.ask(question(prepared)):
            raise UsageError("Nothing was sent, as you said no", then="{run}")
        self.yes = True

    def _say_start(self, prepared: Prepared) -> None:
        job, plan = prepared.job, prepared.plan
        if self.log is None and self.quiet:
            return
        if self.log is None:
            settled = f"{counted(prepared.settled_before, 'row')} settled before"
            again = f", going on with {prepared.run.run_id} ({settled})" if prepared.continued else ""
            test = " (a test)" if prepared.at.test else ""
            self.output.tell(
                f"{job.name}: {min(plan.to_send, self.limit):,} of {plan.rows:,} rows go to {job.api.origin}{test}, "
                f"{job.delivery.rate:g} a second at most{again}"
            )
            return
        self.log.info(
            "run_started",
            run_id=prepared.run.run_id,
            job=job.name,
            continued=prepared.continued,
            settled_before=prepared.settled_before,
            rows=plan.rows,
            to_send=plan.to_send,
            rate=job.delivery.rate,
            test=prepared.at.test,
        )
