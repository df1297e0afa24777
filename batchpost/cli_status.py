"""The command that says whether it is all in."""

from __future__ import annotations

import json
import os
from datetime import date, timedelta
from pathlib import Path

import click

from batchpost.errors import UsageError
from batchpost.options import DIR, JOB_NAME, SOURCE
from batchpost.output import Output

__all__ = ["status"]

_DAYS = {"today": 0, "yesterday": 1}


@click.command()
@click.argument("job", metavar="JOB", type=JOB_NAME)
@click.option(
    "--date", "day", metavar="D", help="Only files that were first read on this day: 2026-11-27, today, yesterday."
)
@click.option("--source", "sources", multiple=True, type=SOURCE, metavar="PATH", help="Only this file (repeatable).")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.option(
    "--workspace", type=DIR, metavar="DIR", help="The workspace; without it the nearest folder with a batchpost.toml."
)
@click.pass_obj
def status(
    output: Output, job: str, day: str | None, sources: tuple[str, ...], as_json: bool, workspace: Path | None
) -> int:
    """Is it all in? The latest end of every row that a job read, over all its runs. JOB is a job's name or its file.

    A row that was mended, sent again or decided about with resolve counts once, as it ended last; so does one whose
    lead (and event) a later file of the job brought in. Rows left out on purpose do not count. The first line says YES
    or NO, with rows, money and what to type next.

    Only files of this machine are read: nothing is sent, and the platform is not asked. Days are local ones.

    Exit code 0: all is in, or within what [expect] tolerates; 1: something is not, or nothing was read; 3: the end of a
    row is not known.
    """
    from batchpost.jobstatus import Wanted, job_status
    from batchpost.named import named_job
    from batchpost.statusjson import status_json
    from batchpost.statusview import status_lines

    here = Path.cwd()
    wanted = Wanted(_day(day), sources, here)
    again = ("--workspace", str(workspace)) if workspace else ()
    found = job_status(named_job(job, workspace, os.environ, here), wanted, again=again)
    if as_json:
        output.say(json.dumps(status_json(found, here)))
    else:
        output.show(status_lines(found, here))
    return found.exit_code


def _day(text: str | None) -> date | None:
    from batchpost.jobstatus import local_today

    if text is None:
        return None
    if text in _DAYS:
        return local_today() - timedelta(_DAYS[text])
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--date {text}: write a day as 2026-11-27, or today, or yesterday") from None
