"""The commands about job files: check, plan, schema."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchpost.errors import BatchpostError, JobError
from batchpost.failures import failure, most_urgent
from batchpost.options import DIR, JOB, SOURCE
from batchpost.output import Output

if TYPE_CHECKING:
    from batchpost.job import Job

__all__ = ["check", "plan", "schema"]

_WORKSPACE = click.option(
    "--workspace", type=DIR, metavar="DIR", help="The folder that the job's paths are read against."
)


@click.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True, type=JOB)
@click.option("--offline", is_flag=True, help="Look at the job file alone, not at secrets and input.")
@click.option("--show", is_flag=True, help="Print each job as TOML with all its defaults.")
@_WORKSPACE
@click.pass_obj
def check(output: Output, jobs: tuple[Path, ...], offline: bool, show: bool, workspace: Path | None) -> int:
    """Find every mistake of job files at once.

    Each mistake is told with its file, line and likeliest mend. Without --offline also: are the secrets there, and
    does the input have the columns that the job names? What was found out about the input (delimiter, encoding,
    header) is told with the evidence. Nothing is sent.
    """
    from batchpost.jobfile import load_job, show_job

    codes, mistakes = list[int](), 0
    for path in jobs:
        found: list[BatchpostError] = []
        seen: list[str] = []
        try:
            job = load_job(path, workspace=workspace)
            found = [] if offline else list(_beside_the_file(job, seen))
            if show:
                output.say(show_job(job).rstrip())
        except BatchpostError as mistake:
            found = [mistake]
        for error in found:
            told = failure(error)[0]
            output.tell(told if isinstance(error, JobError) else f"{path}: {told}")
            mistakes += len(error.mistakes) if isinstance(error, JobError) else 1
        if not found and not show:
            output.say(f"{path}: no mistakes{' in the file' if offline else ''}")
        if seen and not show:
            output.say("\n".join(seen))
        codes += [failure(error)[1] for error in found]
    if mistakes > 1:
        output.tell(f"{mistakes:,} mistakes")
    return most_urgent(codes)


def _beside_the_file(job: Job, seen: list[str]) -> Iterator[BatchpostError]:
    """What is wrong with a job's secrets and its input, each on its own; ``seen`` gets lines on what the input is."""
    from batchpost.targets import Targets

    for look in (lambda: Targets(job, os.environ), lambda: _look_at_webhook(job), lambda: _look_at_input(job, seen)):
        try:
            look()
        except BatchpostError as error:
            yield error


def _look_at_webhook(job: Job) -> None:
    """Read the webhook's address; nothing is posted. Raises SecretError."""
    if job.notify.webhook is not None:
        from batchpost.webhook import open_webhook

        open_webhook(job.notify.webhook, job.workspace, os.environ)


def _look_at_input(job: Job, seen: list[str]) -> None:
    """Open the input and compare its columns with the job's; its rows are for ``plan``. Raises BatchpostError."""
    from batchpost.jobfile import check_columns
    from batchpost.planview import decision_lines
    from batchpost.source import find_files, open_input

    readers = open_input(find_files(job.source, job.workspace), job.source)
    seen += decision_lines(((reader.file.name, reader.decisions) for reader in readers), indent="  ")
    for reader in readers:
        if reader.columns and (mistakes := check_columns(job, reader.columns, reader.unsupported_columns)):
            raise JobError(mistakes)


@click.command()
@click.argument("job", metavar="JOB", type=JOB)
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=SOURCE,
    metavar="PATH",
    help="Read this in place of the job's path (repeatable).",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Reckon with the first N rows to send.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="R", help="Requests a second, at most.")
@click.option("--base-url", metavar="URL", help="The platform's address in place of the job's.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@_WORKSPACE
@click.pass_obj
def plan(
    output: Output,
    job: Path,
    sources: tuple[str, ...],
    limit: int | None,
    rate: float | None,
    base_url: str | None,
    as_json: bool,
    workspace: Path | None,
) -> int:
    """Read and check the whole input, and send nothing.

    Prints what would go out, what would not and why, the money, three requests with personal data masked, and how
    long it takes. Nothing is written into the workspace. Exit code 0: everything can go; 1: some rows cannot; 3: the
    end of some rows is not known.
    """
    from batchpost.jobfile import load_job
    from batchpost.planview import plan_json, plan_lines, view_of
    from batchpost.preview import preview
    from batchpost.progress import shown_at_work

    loaded = load_job(job, workspace=workspace, base_url=base_url, rate=rate, source=sources)
    kept = (("--limit", limit), ("--rate", rate), ("--workspace", workspace), ("--base-url", base_url))
    again = [f"{word:g}" if isinstance(word, float) else str(word) for pair in kept if pair[1] for word in pair]
    with shown_at_work(output) as doing, preview(loaded, os.environ, doing=doing) as found:
        view = view_of(found, math.inf if limit is None else limit, sources=sources, again=again)
    if as_json:
        output.say(json.dumps(plan_json(view)))
    else:
        output.show(plan_lines(view, width=output.out.size[0], here=Path.cwd()))
    return view.exit_code


@click.command()
@click.pass_obj
def schema(output: Output) -> int:
    """Print the JSON Schema of job files, for editors."""
    from batchpost.jobfile import job_schema

    output.say(json.dumps(job_schema(), indent=2))
    return 0
