"""One job from its command to its last line: the canary, the wait for an input, what is printed, how it ends."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchpost.canary import canary_text, job_fault, tried_rows
from batchpost.errors import NoInput
from batchpost.failures import tell_failure
from batchpost.job import Job
from batchpost.layout import repeated
from batchpost.log import kind_of_log, make_logger
from batchpost.output import Output
from batchpost.places import places
from batchpost.progress import Display, closing_lines, last_line
from batchpost.questions import confirm
from batchpost.run import Options, run_job
from batchpost.runsummary import write_summary

__all__ = ["Settings", "send_job", "when_there"]

_POLL = 5.0  # seconds between two looks for an input that is not there yet


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says, for all its jobs. ``until`` is a monotonic instant, ``wait`` seconds; ``again``,
    ``sources`` and ``instead`` are what the next command must say (see :func:`batchpost.layout.repeated`)."""

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


def send_job(job: Job, settings: Settings, output: Output) -> int:
    """Send one job and tell how it ended; returns its exit code, also for what went wrong."""
    display = _display(settings, output)
    try:
        summary = _deliver(job, settings, display, output)
    except BaseException as error:  # a panic of polars is no Exception
        display.close()
        return tell_failure(error, output, sending=display.sending, about=job.name)
    _close(job, summary, settings, output)
    return int(summary["exit_code"])


def _display(settings: Settings, output: Output) -> Display:
    is_terminal = output.err.isatty()
    kind = kind_of_log(settings.log_format, is_terminal=is_terminal)
    colors = is_terminal and not os.environ.get("NO_COLOR")
    can_ask = is_terminal and sys.stdin is not None and sys.stdin.isatty() and not settings.yes
    return Display(
        output,
        log=make_logger(kind, output.err, quiet=settings.quiet, colors=colors) if kind else None,
        ask=confirm if can_ask else None,
        bar=is_terminal and settings.bar and kind is None and not settings.quiet,
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
    )
    if settings.canary is not None:
        summary = _send_canary(job, options, settings, display, output)
        if summary["stopped_by"] != "limit" or settings.limit <= settings.canary:
            return summary
        # The canary has begun the run: the second part goes on with it.
        options = replace(options, limit=settings.limit - settings.canary, new_run=False, new_ledger=False)
        display.keep = 0
    return _finished(job, _sent(job, options, settings, display), settings, display)


def _send_canary(job: Job, options: Options, settings: Settings, display: Display, output: Output) -> dict[str, Any]:
    most = min(settings.canary or 0, settings.limit)
    display.keep = int(most)
    summary = _sent(job, replace(options, limit=most), settings, display)
    tried = tried_rows(display.samples, _results(job, summary))
    fault = job_fault(tried, summary)
    if tried and (fault or not settings.quiet):
        (output.tell if settings.as_json else output.say)(canary_text(tried, fault))
    if fault and summary["stopped_by"] in (None, "limit"):
        message = f"The canary found the job at fault: {fault}"
        summary = {**summary, "stopped_by": "canary", "exit_code": 4, "message": message}
    goes_on = summary["stopped_by"] == "limit" and settings.limit > most
    return summary if goes_on else _finished(job, summary, settings, display)


def _sent(job: Job, options: Options, settings: Settings, display: Display) -> dict[str, Any]:
    display.limit = options.limit

    def attempt(wait: float) -> dict[str, Any]:
        return run_job(job, replace(options, wait=wait), os.environ, display)

    return when_there(attempt, settings.wait, display.waiting)


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


def _finished(job: Job, summary: dict[str, Any], settings: Settings, display: Display) -> dict[str, Any]:
    """The end of a run, with the command line's options in its next command; also in its results."""
    said = {"sources": settings.sources, "instead": settings.instead}
    summary = {**summary, "next": repeated(str(summary["next"]), settings.again, **said)}
    write_summary(_results(job, summary), summary)
    display.finished(summary)
    return summary


def _close(job: Job, summary: dict[str, Any], settings: Settings, output: Output) -> None:
    """What is left to read."""
    here = Path.cwd()
    if settings.as_json:
        output.say(json.dumps(summary))
        if summary["exit_code"]:
            output.tell(last_line(summary, here))
    elif summary["exit_code"] or not settings.quiet:
        output.say(closing_lines(summary, _results(job, summary), here))
