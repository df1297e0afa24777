"""The commands that look back at runs and tidy up after them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchpost.errors import UsageError
from batchpost.layout import short_path, span
from batchpost.options import DIR, DURATION, FILE, JOB_NAME, OUTCOME, REASON, RUN
from batchpost.output import Output

if TYPE_CHECKING:
    from batchpost.lookback import Found
    from batchpost.places import Places

__all__ = ["abandon", "export", "forget", "runs", "show", "stop", "verify"]

_WORKSPACE = click.option(
    "--workspace", type=DIR, metavar="DIR", help="The workspace; without it the nearest folder with a batchpost.toml."
)
_RUN = click.argument("run", metavar="RUN", type=RUN)


def _home(workspace: Path | None) -> Path:
    from batchpost.lookback import find_home

    return find_home(workspace, os.environ, Path.cwd())


def _runs(workspace: Path | None) -> list[Found]:
    from batchpost.lookback import all_runs

    return all_runs(_home(workspace), os.environ)


def _found(run: str, workspace: Path | None) -> Found:
    from batchpost.lookback import find_run

    return find_run(_runs(workspace), run, _home(workspace))


@click.command()
@click.option("--job", type=JOB_NAME, metavar="NAME", help="Only the runs of this job.")
@click.option("-n", "most", type=click.IntRange(min=1), default=20, show_default=True, help="How many, the newest.")
@_WORKSPACE
@click.pass_obj
def runs(output: Output, job: str | None, most: int, workspace: Path | None) -> int:
    """List the runs of a workspace, the newest at the end.

    LEFT counts the rows that had not got through when a run ended, UNKNOWN those that have no known end to this day:
    `batchpost resolve RUN` shows them.
    """
    from batchpost.lookback import runs_text

    found = [run for run in _runs(workspace) if job in (None, run.record.job)]
    output.say(runs_text(found[-most:], _home(workspace)))
    return 0


@click.command()
@_RUN
@click.option("--json", "as_json", is_flag=True, help="Print the run's summary as one line of JSON.")
@_WORKSPACE
@click.pass_obj
def show(output: Output, run: str, as_json: bool, workspace: Path | None) -> int:
    """Show a run: its books, the reasons, the money, what is outstanding, and the next command.

    The books are those of its end. What stands since of rows without a known end is told below them, in JSON under
    "today".
    """
    from batchpost.lookback import next_of, show_lines

    found = _found(run, workspace)
    command = next_of(found, looked=True)
    today = {"unknown": found.doubts, "due": len(found.due), "decided": found.decided, "next": command}
    if as_json:
        output.say(json.dumps({**found.summary, "today": today}))
    else:
        output.show(show_lines(found, Path.cwd(), width=output.out.size[0]))
    return 0


@click.command()
@_RUN
@_WORKSPACE
@click.pass_obj
def verify(output: Output, run: str, workspace: Path | None) -> int:
    """Add a run's own files up again and compare them with its books.

    Exit code 0: the books agree; 1: each difference is told. The platform is not asked.
    """
    from batchpost.verify import differences

    found = _found(run, workspace)
    if found.held:
        raise UsageError(f"{found.record.run_id} is under way: its books are complete when it ends")
    told = differences(found.folder, found.summary)
    output.say("\n".join(told) if told else f"{found.record.run_id}: the books agree")
    return 1 if told else 0


@click.command()
@_RUN
@click.option("--only", type=OUTCOME, default=(), help="Rows of these outcomes: invalid,failed.")
@click.option("--reason", "reasons", type=REASON, default=(), help="Rows of these reasons: lead_not_found,timeout.")
@click.option(
    "-o", "place", type=FILE, metavar="FILE", help="Where to write: .csv or .parquet; else CSV on standard output."
)
@_WORKSPACE
@click.pass_obj
def export(
    output: Output,
    run: str,
    only: tuple[str, ...],
    reasons: tuple[str, ...],
    place: Path | None,
    workspace: Path | None,
) -> int:
    """Write rows of a run's outcomes elsewhere, all or some.

    In CSV, cells that a spreadsheet would run as a formula get an apostrophe in front.
    """
    from batchpost.export import export_rows, outcomes_frame, picked

    frame = picked(outcomes_frame(_found(run, workspace).folder), only, reasons)
    if place is None:
        export_rows(frame, output.out.binary())
        return 0
    rows = export_rows(frame, place)
    output.tell(f"{rows:,} rows in {place}")
    return 0


@click.command()
@_RUN
@_WORKSPACE
@click.pass_obj
def abandon(output: Output, run: str, workspace: Path | None) -> int:
    """Give an unfinished run up.

    What it delivered is remembered and not sent again; what it did not deliver comes again with its file.
    """
    from batchpost.upkeep import abandon as give_up

    output.say(give_up(_found(run, workspace)))
    return 0


@click.command()
@click.argument("job", metavar="JOB", type=JOB_NAME)
@_WORKSPACE
@click.pass_obj
def stop(output: Output, job: str, workspace: Path | None) -> int:
    """End a job's running run gently. JOB is a job's name or its file.

    Requests in flight are finished and recorded; the next run goes on from there.
    """
    from batchpost.upkeep import stop_job

    name, places = _places_of(job, workspace)
    if stopped := stop_job(name, places):
        pid, since = stopped
        output.say(f"Process {pid}, which runs {name} since {since}, was told to stop.")
        return 0
    if not Path(job).is_file() and all(run.record.job != name for run in _runs(workspace)):
        raise UsageError(f"there is no job {name} in {_home(workspace)}: give its name or its file")
    output.say(f"No run of {name} is under way.")
    return 0


def _places_of(job: str, workspace: Path | None) -> tuple[str, list[Places]]:
    """The job's name, and where its lock may be."""
    from batchpost.jobfile import load_job
    from batchpost.lookback import ledger_files
    from batchpost.places import Places, places

    if Path(job).is_file():
        loaded = load_job(Path(job), workspace=workspace)
        return loaded.name, [places(loaded, os.environ)]
    home = _home(workspace)
    return job, [Places(path, home, False) for path in ledger_files(home, os.environ)]


@click.command()
@click.option("--older-than", type=DURATION, required=True, metavar="90d", help="Runs that ended longer ago than this.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@_WORKSPACE
@click.pass_obj
def forget(output: Output, older_than: float, dry_run: bool, workspace: Path | None) -> int:
    """Delete results that hold personal data.

    Of runs that ended or were given up, with nothing outstanding: their outcomes, to_fix, corrections and report. Kept
    are summary.json (counts, no personal data), ends.parquet (how each row ended, without ids, for status) and the
    ledger, so that nothing is sent twice.
    """
    from batchpost.upkeep import forget as delete

    gone = delete(_runs(workspace), older_than, dry_run=dry_run)
    here = Path.cwd()
    for run in gone:
        output.say(f"{run.run_id}: {run.files:,} files, {run.bytes:,} bytes in {short_path(run.folder, here)}")
    would = "would be" if dry_run else "were"
    output.say(f"The results of {len(gone):,} runs that ended more than {span(older_than)} ago {would} deleted.")
    return 0
