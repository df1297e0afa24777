"""Watching a run: a progress line on a terminal, a few log events elsewhere, and the books at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from batchpost.errors import UsageError
from batchpost.failures import stop_if_told
from batchpost.layout import aligned, amount_text, counted, short_command, short_path, span
from batchpost.model import Outcome
from batchpost.output import Output
from batchpost.reasons import UNTROUBLED, meaning

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from batchpost.masking import Sample
    from batchpost.prepare import Prepared
    from batchpost.tally import Tally

__all__ = ["Display", "Trouble", "books_text", "closing_lines", "last_line", "status_text"]

MANY_UPDATES = 1_000  # from here on a person is asked before leads are updated
_STILL = 30.0  # seconds without a settled row that are worth a log event
_QUIET = 60.0  # seconds without a retry that end a burst of them
_DONE = (Outcome.DELIVERED, Outcome.ALREADY_DELIVERED, Outcome.SKIPPED)


def books_text(summary: Mapping[str, Any]) -> str:
    """Rows and money by outcome, then the reasons that somebody should look at."""
    rows, money = summary.get("rows", {}), summary.get("money", {})
    lines = [["", "rows", *money]]
    for outcome in ("read", *(outcome.value for outcome in Outcome)):
        if rows.get(outcome) or outcome == "read":
            amounts = [amount_text(totals.get(outcome, "0.00")) for totals in money.values()]
            lines.append([outcome.replace("_", " "), f"{rows.get(outcome, 0):,}", *amounts])
    reasons = summary.get("reasons", {}).items()
    troubles = sorted(((count, name) for name, count in reasons if name not in UNTROUBLED), reverse=True)
    table = aligned(lines, right=range(1, 2 + len(money)))
    told = aligned([(f"{count:,}", name, meaning(name)) for count, name in troubles if count], right=(0,))
    return "\n".join([*table, *(["", *told] if told else [])])


def last_line(summary: Mapping[str, Any], here: Path) -> str:
    """What to do now, for somebody who has never seen the tool; ``here`` shortens the paths of the next command."""
    rows = summary.get("rows", {})
    done = sum(rows.get(outcome.value, 0) for outcome in _DONE)
    command = summary.get("next") or f"batchpost show {summary['run_id']}"
    left = rows.get("read", 0) - done
    return (
        f"Safe to repeat: yes. Sent {rows.get('delivered', 0):,}, left {left:,}. Next: {short_command(command, here)}"
    )


def closing_lines(summary: Mapping[str, Any], folder: Path, here: Path) -> str:
    """What stands on the screen when a run is over: the books, how it went, where the files are, what to do."""
    requests, rate = summary.get("requests", {}), summary.get("rate", {})
    latency = summary.get("latency_ms") or {}
    speed = f"{counted(requests.get('sent', 0), 'request')}, {requests.get('retried', 0):,} of them retries"
    if latency:
        speed += f"; {rate.get('mean', 0):,.1f} a second, half of them within {latency['p50']:g} ms"
    files = [f"{name}.csv {counted(summary[name], 'row')}" for name in ("to_fix", "corrections") if summary.get(name)]
    head = f"{summary['job']} {summary['run_id']}: {_ended(summary)}{'  (a test)' if summary.get('test') else ''}"
    where = f"{short_path(folder, here)}{': ' + ', '.join(files) if files else ''}"
    lines = [head, books_text(summary), "", speed, where]
    if not summary.get("rows", {}).get("unknown"):
        lines += [
            f"{counted(count, 'row')} of an earlier run without a known end: batchpost resolve {run_id}"
            for run_id, count in summary.get("outstanding", {}).items()
        ]
    if summary.get("exit_code"):
        lines.append(last_line(summary, here))
    return "\n".join(lines)


def _ended(summary: Mapping[str, Any]) -> str:
    took = span(summary.get("duration_s", 0.0))
    again = f", went on with {summary['settled_before']:,} rows settled before" if summary.get("continued") else ""
    return f"{summary.get('message') or summary['state']} ({took}){again}"


def status_text(tally: Tally) -> str:
    """Requests a second so far and rows by outcome, in one line."""
    speed = [f"{tally.requests / tally.seconds:,.0f}/s"] if tally.seconds > 0 else []
    rows = [f"{count:,} {outcome.replace('_', ' ')}" for outcome, count in tally.outcomes.items()]
    return ", ".join([*speed, *rows])


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


@dataclass(slots=True)
class Display:
    """Looks on at one job's run (see :class:`batchpost.run.Watcher`).

    ``log`` is a structlog logger, or None on a terminal, where people are told in words. ``ask`` puts a yes-or-no
    question; None where nobody can answer. ``keep`` is how many requests to remember, masked, in ``samples``;
    ``limit`` how many rows are sent at most.
    ``sending`` is True once a request may have gone out.
    """

    output: Output
    log: Any = None
    ask: Callable[[str], bool] | None = None
    bar: bool = False
    quiet: bool = False
    keep: int = 0
    limit: float = math.inf
    clock: Callable[[], float] = time.monotonic
    sending: bool = False
    samples: list[Sample] = field(default_factory=list)
    _agreed: bool = False
    _told_waiting: bool = False
    _trouble: Trouble = field(default_factory=Trouble)
    _progress: Progress | None = None
    _task: TaskID | None = None

    def planned(self, prepared: Prepared) -> None:
        """Say what will be sent, and ask before many leads are updated. Raises UsageError for a no, and what
        :func:`batchpost.failures.stop_if_told` does."""
        job, plan = prepared.job, prepared.plan
        if not job.spec.is_event and plan.to_send > MANY_UPDATES and not self._agreed:
            self._warn(job.name, plan.to_send)
        if self.keep:
            from batchpost.preview import samples_of

            self.samples = samples_of(prepared, self.keep)
        self._say_start(prepared)
        self._trouble = Trouble(settled_at=self.clock())
        if self.bar and plan.to_send:
            self._start_bar(plan.to_send)
        stop_if_told()

    def progress(self, tally: Tally, to_send: int) -> None:
        """Move the bar, or log what goes slowly."""
        self.sending = True
        if self._progress is not None and self._task is not None:
            total = int(min(to_send, self.limit))
            self._progress.update(
                self._task, total=total, completed=min(tally.settled, total), told=status_text(tally), refresh=True
            )
        elif self.log is not None:
            for name, facts in self._trouble.events(self.clock(), tally.settled, tally.retried):
                self.log.info(name, **facts)

    def waiting(self, why: str, seconds: float) -> None:
        """Say once that the input is not there, and how long it is waited for."""
        if not self._told_waiting:
            self._told_waiting = True
            if self.log is not None:
                self.log.info("waiting_for_input", seconds=round(seconds))
            elif not self.quiet:
                self.output.tell(f"{why}. Waiting for it for {span(seconds)}")

    def close(self) -> None:
        """Take the bar away; what follows it stands on a line of its own."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def finished(self, summary: Mapping[str, Any]) -> None:
        """Log the end of a run."""
        self.close()
        if self.log is not None:
            names = (
                "run_id",
                "job",
                "test",
                "state",
                "stopped_by",
                "exit_code",
                "rows",
                "reasons",
                "money",
                "requests",
            )
            facts = {name: summary.get(name) for name in (*names, "duration_s", "next")}
            (self.log.error if summary.get("exit_code") else self.log.info)("run_finished", **facts)

    def _warn(self, job: str, rows: int) -> None:
        risk = "An update may offer the lead to buyers once more, by the campaign's settings"
        if self.ask is None:
            if self.log is not None:
                self.log.warning("updates_may_redistribute", job=job, rows=rows)
            return
        if not self.ask(f"{rows:,} leads will be updated. {risk}. Send them?"):
            raise UsageError("Nothing was sent, as you said no")
        self._agreed = True

    def _say_start(self, prepared: Prepared) -> None:
        job, plan = prepared.job, prepared.plan
        if self.log is None and self.quiet:
            return
        if self.log is None:
            settled = f"{prepared.settled_before:,} rows settled before"
            again = f", going on with {prepared.run.run_id} ({settled})" if prepared.continued else ""
            test = " (a test)" if prepared.at.test else ""
            self.output.tell(
                f"{job.name}: {plan.to_send:,} of {plan.rows:,} rows go to {job.api.origin}{test}, "
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

    def _start_bar(self, to_send: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[told]}"))
        console = Console(file=cast("IO[str]", self.output.err), highlight=False)
        self.close()
        self._progress = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._progress.start()
        self._task = self._progress.add_task("", total=to_send, told="")
