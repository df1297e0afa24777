"""The command that makes a run's page anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchpost.layout import short_path
from batchpost.options import DIR, FILE, RUN
from batchpost.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchpost.lookback import Found

__all__ = ["report"]


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option(
    "-o", "place", type=FILE, metavar="FILE", help="Where to write it; else report.html in the run's results."
)
@click.option(
    "--workspace", type=DIR, metavar="DIR", help="The workspace; without it the nearest folder with a batchpost.toml."
)
@click.pass_obj
def report(output: Output, run: str, place: Path | None, workspace: Path | None) -> int:
    """Make a run's page anew, and print its path.

    A run leaves report.html in its results at its end. Made anew it tells as well what is known since: rows that a
    person settled, a run that was given up. It needs neither network nor script; it holds ids of leads and what the
    platform said of them.
    """
    from datetime import UTC, datetime

    from batchpost.errors import UsageError
    from batchpost.lookback import all_runs, find_home, find_run, next_of
    from batchpost.reportpage import REPORT, page_of, write_page

    home = find_home(workspace, os.environ, Path.cwd())
    found = find_run(all_runs(home, os.environ), run, home)
    if place is None and not found.folder.is_dir():
        raise UsageError(f"{found.folder}: the results of this run are gone. -o FILE writes its page elsewhere")
    state = {"run_id": found.record.run_id, "job": found.record.job, "route": found.record.route}
    summary = {**state, "test": found.record.test, **found.summary, "state": found.state, "next": next_of(found)}
    page = page_of(
        found.folder,
        summary,
        job_text=_job_text(found, home),
        notes=list(_since(found)),
        workspace=home,
        made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    output.say(short_path(write_page(place or found.folder / REPORT, page), Path.cwd()))
    return 0


def _job_text(found: Found, home: Path) -> str:
    """The job as the run was made with it: what the run left, or its file if that is the same to this day."""
    from batchpost.errors import BatchpostError
    from batchpost.jobfile import load_job
    from batchpost.jobview import fingerprint
    from batchpost.reportpage import job_as_run, kept_job

    if text := kept_job(found.folder):
        return text
    try:
        job = load_job(Path(found.summary["job_file"]), workspace=home)
    except (BatchpostError, KeyError, OSError):
        return ""
    return job_as_run(job) if fingerprint(job) == found.record.fingerprint else ""


def _since(found: Found) -> Iterator[str]:
    """What became known since the run ended."""
    if found.doubts:
        yield f"Rows without a known end to this day: {found.doubts:,}"
    for action, count in found.decided.items():
        yield f"A person decided of {count:,} of its rows: {action.replace('_', ' ')}"
    if found.due:
        yield f"Due again, and not sent since: {len(found.due):,}"
