"""The commands that send: run and retry."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchpost.errors import UsageError
from batchpost.failures import most_urgent
from batchpost.options import CLOCK, DIR, DURATION, FILE, JOB, REASON, RETRIED, RUN, SOURCE, seconds_until
from batchpost.output import Output
from batchpost.typed import typed_command

if TYPE_CHECKING:
    from batchpost.job import Job
    from batchpost.sending import Settings

__all__ = ["retry", "run"]

_NUMBER = click.IntRange(min=1)
_INTERRUPTED = (130, 143)

_SENDING = (
    click.option("--limit", type=_NUMBER, metavar="N", help="Send N rows; the rest waits for the next run."),
    click.option(
        "--rate", type=click.FloatRange(min=0, min_open=True), metavar="R", help="Requests a second, at most."
    ),
    click.option("--concurrency", type=_NUMBER, metavar="N", help="Requests in flight, at most."),
    click.option("--until", "clock", type=CLOCK, metavar="HH:MM", help="Start nothing after this time of day (local)."),
    click.option("--for", "length", type=DURATION, metavar="SPAN", help="Start nothing after this long: 9h, 1h30m."),
    click.option(
        *("--wait",), type=DURATION, default=0.0, metavar="SPAN", help="Wait so long for a lock or a missing input: 2h."
    ),
    click.option("--base-url", metavar="URL", help="The platform's address in place of the job's."),
    click.option("-y", "--yes", is_flag=True, help="The first run of many updates is meant: do not ask."),
    click.option("--json", "as_json", is_flag=True, help="Print the summary as one line of JSON, and nothing else."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well."),
    click.option(
        *("--log-format",),
        type=click.Choice(["auto", "console", "json"]),
        default="auto",
        show_default=True,
        help="Log lines on standard error; auto: JSON, and none on a terminal.",
    ),
    click.option(
        *("--progress",),
        type=click.Choice(["auto", "never"]),
        default="auto",
        show_default=True,
        help="The progress line; auto: on a terminal.",
    ),
    click.option(
        *("--metrics",),
        type=FILE,
        metavar="PATH",
        help="Write Prometheus metrics to this .prom file, or to one a job in this folder.",
    ),
    click.option("--workspace", type=DIR, metavar="DIR", help="The folder that the jobs' paths are read against."),
)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _sending(command: _Command) -> _Command:
    """The options that every sending command takes."""
    for option in reversed(_SENDING):
        command = option(command)
    return command


@click.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True, type=JOB)
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=SOURCE,
    metavar="PATH",
    help="Send this, and not the job's path (repeatable).",
)
@click.option("--date", metavar="D", help="Not there yet: name the day's file with --source.")
@click.option(
    "--canary", type=_NUMBER, metavar="N", help="Send N rows and show them; stop if the job itself is at fault."
)
@click.option("--new-run", is_flag=True, help="Give the unfinished run up and begin anew; nothing is sent twice.")
@click.option(
    "--new-ledger", is_flag=True, help="Go on without the ledger that results rest on: events may fire twice."
)
@_sending
@click.pass_obj
def run(output: Output, /, jobs: tuple[Path, ...], **given: Any) -> int:
    """Read and check the whole input, then send it.

    First goes on with an unfinished run of the same job and input. What was delivered before is not sent again, so
    the same command is safe to repeat. Several jobs run one after the other; the exit code is the most urgent one.
    """
    from batchpost.sending import send_job

    if given["date"]:
        raise UsageError("--date is not there yet: name the day's file with --source", then="{help}")
    names = ("sources", "canary", "new_run", "new_ledger")
    settings = _settings(given, **{name: given[name] for name in names})
    codes: list[int] = []
    for job in _load(jobs, given, settings, output):
        others = {path for path in jobs if os.path.abspath(path) != str(job.path)}  # noqa: PTH100 - links stay
        codes.append(send_job(job, replace(settings, typed=typed_command(others)), output))
        if codes[-1] in _INTERRUPTED:
            break
    return most_urgent(codes)


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    *("--only",),
    type=RETRIED,
    default="failed,rejected,not_attempted,due",
    show_default=True,
    help="Rows of these outcomes; due: those that resolve made due again.",
)
@click.option(
    "--reason", "reasons", type=REASON, default=(), help="Only those of these reasons: lead_not_found,timeout."
)
@_sending
@click.pass_obj
def retry(output: Output, /, run: str, only: tuple[str, ...], reasons: tuple[str, ...], **given: Any) -> int:
    """Send rows of a finished run that did not get through once more.

    They are taken from the run's own input, which must still be there as it was, by the job file as it is now. An
    update is left out where a newer one of its lead went out since. What is unknown goes out only once it is due: once
    `batchpost resolve` said so.
    """
    from batchpost.lookback import all_runs, find_home, find_run
    from batchpost.retry import retry_rows
    from batchpost.sending import send_job

    home = find_home(given["workspace"], os.environ, Path.cwd())
    found = find_run(all_runs(home, os.environ), run, home)
    if unfit := set(only) - {"failed", "rejected", "not_attempted", "due"}:
        settle = f"batchpost resolve {found.record.run_id}" if "unknown" in unfit else ""
        told = f"--only: {', '.join(sorted(unfit))} rows cannot be sent again as they are"
        raise UsageError(f"{told}{f'. Settle them first: {settle}' if settle else ''}", then=settle or "{help}")
    path = Path(str(found.summary.get("job_file", "")))
    due = found.due if "due" in only else ()
    rows_file, rows = retry_rows(_job(path, given), found.folder, found.summary, only, reasons, due)
    if not rows:
        waits = (
            f" {found.doubts:,} wait for a decision: batchpost resolve {found.record.run_id}" if found.doubts else ""
        )
        output.tell(f"{found.record.run_id} has no rows to send again.{waits}")
        return 0
    chosen = ("--only", ",".join(only), *(("--reason", ",".join(reasons)) if reasons else ()))
    settings = _settings(given, retry=True, instead=("batchpost", "retry", found.record.run_id, *chosen))
    return send_job(_job(path, given, source=(str(rows_file),)), settings, output)


def _settings(given: dict[str, Any], **more: Any) -> Settings:
    from batchpost.sending import Settings

    if given["clock"] and given["length"]:
        raise UsageError("--until and --for are two ways to say when to stop: give one", then="{help}")
    now = datetime.now(UTC).astimezone()
    seconds = seconds_until(given["clock"], now) if given["clock"] else given["length"] or math.inf
    kept = (("--workspace", given["workspace"]), ("--base-url", given["base_url"]))
    return Settings(
        limit=given["limit"] or math.inf,
        until=time.monotonic() + seconds,
        bar=given["progress"] == "auto",
        typed=typed_command(),
        again=tuple(str(word) for option, value in kept if value for word in (option, value)),
        **{name: given[name] for name in ("wait", "yes", "as_json", "quiet", "log_format", "metrics")},
        **more,
    )


def _load(paths: tuple[Path, ...], given: dict[str, Any], settings: Settings, output: Output) -> list[Job]:
    """All jobs, or the mistakes of all: with one wrong none is run, and all that can be announced of are."""
    from batchpost.errors import JobError, Mistake
    from batchpost.sending import refuse_jobs

    loaded: list[Job] = []
    mistakes: list[Mistake] = []
    for path in paths:
        try:
            loaded.append(_job(path, given, source=given["sources"]))
        except JobError as error:
            mistakes += error.mistakes
            loaded += error.jobs
    if mistakes:
        refused = JobError(mistakes)
        refuse_jobs(loaded, refused, settings, output)
        raise refused
    return loaded


def _job(path: Path, given: dict[str, Any], source: tuple[str, ...] = ()) -> Job:
    from batchpost.jobfile import load_job

    return load_job(
        path, source=source, **{name: given[name] for name in ("workspace", "base_url", "rate", "concurrency")}
    )
