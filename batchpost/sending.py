"""One job from its command to its last line: the canary, the wait for an input, what is printed, how it ends."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchpost.announce import Announcer
from batchpost.canary import canary_lines, job_fault, tried_rows
from batchpost.closing import closing_lines, last_line
from batchpost.errors import JobError, NoInput
from batchpost.failures import Situation, failure, most_urgent, tell_failure, told_to_stop
from batchpost.job import Job
from batchpost.jobrun import Options, run_job
from batchpost.layout import repeated, short_command, short_path
from batchpost.log import kind_of_log, make_logger
from batchpost.output import Line, Output
from batchpost.places import places
from batchpost.progress import Display
from batchpost.questions import confirm
from batchpost.runsummary import write_summary
from batchpost.typed import with_job

__all__ = ["Settings", "deliver", "refuse_jobs", "send_job", "when_there"]

_POLL = 5.0  # seconds between two looks for an input that is not there yet


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says, for all its jobs. ``until`` is a monotonic instant, ``wait`` seconds; ``again``,
    ``sources`` and ``instead`` are what the next command must say (see :func:`batchpost.layout.repeated`), ``typed`` is
    this one."""

    limit: float = math.inf
    canary: int | None = None
    until: float = math.inf
    wait: float = 0.0
    new_run: bool = False
    new_ledger: bool = False
    retry: bool = False
    yes: bool = False
    as_json: bool = False
    quiet: bool = False
    log_format: str = "auto"
    bar: bool = True
    sources: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    typed: str = ""
    metrics: Path | None = None

    @property
    def goes_on(self) -> tuple[str, ...]:
        """What a `run` that goes on with this one must say."""
        return (*self.again, *(("--metrics", str(self.metrics.absolute())) if self.metrics else ()))

    def told(self, command: str) -> str:
        """A next command with what it must say besides, or it would be about another run."""
        return repeated(command, self.goes_on, sources=self.sources, instead=self.instead)


def send_job(job: Job, settings: Settings, output: Output) -> int:
    """Send one job and tell how it ended; returns its exit code, also for what went wrong."""
    display = _display(settings, output)
    try:
        summary, code = deliver(job, settings, display, output)
    except BaseException as error:  # a panic of polars is no Exception
        code = tell_failure(error, output, _stopped(job, settings, display, error), about=job.name)
        return most_urgent((code, told_to_stop()))
    _close(job, summary, settings, output)
    return code


def deliver(job: Job, settings: Settings, display: Display, output: Output) -> tuple[dict[str, Any], int]:
    """One job's run with all that it leaves, announced however it ends: its summary, and its exit code (that of a
    signal, where one came while it was announced). Raises what kept it from beginning, or stopped it without a summary.
    """
    announcer = Announcer(job, settings.metrics, os.environ, output, display.log)
    try:
        announcer.check()
        summary = _deliver(job, settings, display, output)
    except BaseException as error:
        display.close()
        announcer.failed(error, _stopped(job, settings, display, error))
        raise
    return summary, announcer.ended(summary)


def _stopped(job: Job, settings: Settings, display: Display, error: BaseException) -> Situation:
    return _situation(job, settings, begun=display.sending or getattr(error, "sent", False))


def refuse_jobs(jobs: Sequence[Job], error: JobError, settings: Settings, output: Output) -> None:
    """Announce of each of these jobs that mistakes in a job file kept it from being sent."""
    log = _display(settings, output).log
    for job in jobs:
        Announcer(job, settings.metrics, os.environ, output, log).failed(error, _situation(job, settings, begun=False))


def _situation(job: Job, settings: Settings, *, begun: bool) -> Situation:
    """The same command as it was typed; once a request may have gone out, the one that goes on with the run."""
    here = Path.cwd()
    path = short_path(job.path, here)
    goes_on = settings.told(shlex.join(["batchpost", "run", path]))
    command = short_command(goes_on, here) if begun or not settings.typed else settings.typed
    if settings.retry:  # its input is rows of a run, which only the command itself finds
        return replace(with_job(command, [path], again=settings.again, begun=begun), plan="")
    return with_job(command, [path], sources=settings.sources, again=settings.again, begun=begun)


def _display(settings: Settings, output: Output) -> Display:
    is_terminal = output.err.isatty()
    kind = kind_of_log(settings.log_format, is_terminal=is_terminal)
    can_ask = is_terminal and sys.stdin is not None and sys.stdin.isatty()
    return Display(
        output,
        log=make_logger(kind, output.err, quiet=settings.quiet, colors=output.err.colors) if kind else None,
        ask=confirm if can_ask else None,
        yes=settings.yes,
        bar=output.err.paints and settings.bar and kind is None and not settings.quiet,
        quiet=settings.quiet,
    )


def _deliver(job: Job, settings: Settings, display: Display, output: Output) -> dict[str, Any]:
    """Send the job's rows, the canary first; returns the summary."""
    options = Options(
        limit=settings.limit,
        until=settings.until,
        wait=settings.wait,
        new_run=settings.new_run,
        new_ledger=settings.new_ledger,
        retry=settings.retry,
        told=settings.told,
    )
    if settings.canary is not None:
        summary = _send_canary(job, options, settings, display, output)
        if summary["stopped_by"] != "limit" or settings.limit <= settings.canary:
            return summary
        # The canary has begun the run: the second part goes on with it.
        options = replace(options, limit=settings.limit - settings.canary, new_run=False, new_ledger=False)
        display.keep = 0
    return _finished(job, _sent(job, options, settings, display), display)


def _send_canary(job: Job, options: Options, settings: Settings, display: Display, output: Output) -> dict[str, Any]:
    most = min(settings.canary or 0, settings.limit)
    display.keep = int(most)
    summary = _sent(job, replace(options, limit=most), settings, display)
    tried = tried_rows(display.samples, _results(job, summary))
    fault = job_fault(tried, summary, converts=job.expect.conversion is not False)
    goes_on = not fault and summary["stopped_by"] == "limit" and settings.limit > most
    stopped = bool(fault and summary["stopped_by"])  # before its rows had ended
    if tried and (fault or not settings.quiet):
        _show_canary(canary_lines(tried, fault, rest=goes_on or stopped), settings, output)
    if stopped:
        summary = _at_fault(summary, fault, settings)
        write_summary(_results(job, summary), summary)
    return summary if goes_on else _finished(job, summary, display)


def _at_fault(summary: dict[str, Any], fault: str, settings: Settings) -> dict[str, Any]:
    """The summary of a run that its canary stops: once the job is mended, a canary goes first again."""
    goes_on = f"{summary['goes_on']} --canary {settings.canary}"
    summary = {**summary, "next": goes_on if summary["next"] == summary["goes_on"] else summary["next"]}
    summary["goes_on"] = goes_on
    if summary["stopped_by"] != "limit":
        return summary
    message = f"The canary found the job at fault: {fault}"
    return {**summary, "stopped_by": "canary", "exit_code": 4, "message": message}


def _show_canary(lines: list[Line], settings: Settings, output: Output) -> None:
    if settings.as_json:
        output.tell("\n".join(line.text for line in lines))
    else:
        output.show([*lines, Line("")])


def _sent(job: Job, options: Options, settings: Settings, display: Display) -> dict[str, Any]:
    display.limit = options.limit

    def attempt(wait: float) -> dict[str, Any]:
        return run_job(job, replace(options, wait=wait), os.environ, display)

    try:
        return when_there(attempt, settings.wait, display.waiting)
    finally:
        display.close()


def when_there(
    attempt: Callable[[float], dict[str, Any]],
    wait: float,
    tell: Callable[[str, float], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """What ``attempt`` returns, tried again for ``wait`` seconds while there is no input; raises NoInput after that.

    ``attempt`` is given the seconds that are left, ``tell`` the reason and those.
    """
    deadline = clock() + wait
    while True:
        left = max(0.0, deadline - clock())
        try:
            return attempt(left)
        except NoInput as error:
            if left <= 0:
                raise
            tell(str(error), left)
            sleep(min(_POLL, left))


def _results(job: Job, summary: dict[str, Any]) -> Path:
    return places(job, os.environ).results / str(summary["run_id"])


def _finished(job: Job, summary: dict[str, Any], display: Display) -> dict[str, Any]:
    """The end of a run: its page, and a word in the log."""
    _leave_report(job, summary, display)
    display.finished(summary)
    return summary


def _leave_report(job: Job, summary: dict[str, Any], display: Display) -> None:
    """The run's page. That it cannot be written is told, and changes nothing of how the run ended: neither does a
    signal, which comes too late for it, nor a panic of polars, which is no Exception."""
    from batchpost.reportpage import leave_report

    display.doing("writing report.html")
    try:
        leave_report(_results(job, summary), summary, job)
    except BaseException as error:
        why, _ = failure(error)
        display.close()
        if display.log is not None:
            display.log.warning("report_not_written", why=why)
        else:
            display.output.tell(f"{job.name}: report.html is not there: {why}")


def _close(job: Job, summary: dict[str, Any], settings: Settings, output: Output) -> None:
    """What is left to read."""
    here = Path.cwd()
    if settings.as_json:
        output.say(json.dumps(summary))
        if summary["exit_code"]:
            output.tell(last_line(summary, here))
    elif summary["exit_code"] or not settings.quiet:
        output.show(closing_lines(summary, _results(job, summary), here, width=output.out.size[0]))
