"""Job files for tests: sound ones, of which a test changes a line or two."""

from __future__ import annotations

from pathlib import Path

from batchpost.errors import JobError, Mistake
from batchpost.job import Job
from batchpost.jobfile import load_job

HERE = "#!"  # marks the line that a mistake should name

_SOURCE = 'path = "in.csv"'
_LEAD = 'transaction_id = { column = "Lead" }'
_EVENT = f'{_LEAD}\nevent_id = {{ value = "sale" }}'
BASES = {
    "global-event": {"api": 'org_id = "env:ORG"', "source": _SOURCE, "fields": _EVENT},
    "campaign-event": {"api": 'campaign_id = "cmp_a"', "source": _SOURCE, "fields": _EVENT},
    "update-lead": {
        "api": 'campaign_id = "cmp_a"\ntoken = "env:TOKEN"',
        "source": _SOURCE,
        "fields": f'{_LEAD}\nemail = {{ column = "Mail" }}',
    },
}


def job_text(route: str = "global-event", top: str = "", **tables: str) -> str:
    """A sound job of a route, with lines put in; a line takes the place of the one with the same key.

    A line ``-key`` removes a key.
    """
    parts = ["\n".join(_lines(f'name = "job"\nroute = "{route}"', top))]
    base = BASES[route]
    parts += [
        "\n".join([f"[{table}]", *_lines(base.get(table, ""), tables.get(table, ""))]) for table in {**base, **tables}
    ]
    return "\n\n".join(parts) + "\n"


def write_job(folder: Path, text: str, defaults: str | None = None) -> Path:
    """A job file in a workspace of its own."""
    path = folder / "job.toml"
    path.write_text(text, encoding="utf-8")
    if defaults is not None:
        (folder / "batchpost.toml").write_text(defaults, encoding="utf-8")
    return path


def load(folder: Path, text: str, defaults: str | None = None) -> Job:
    """The job of a text."""
    return load_job(write_job(folder, text, defaults), workspace=folder)


def mistakes_of(folder: Path, text: str, defaults: str | None = None) -> tuple[Mistake, ...]:
    """The mistakes of a job file; none where it is sound."""
    try:
        load(folder, text, defaults)
    except JobError as error:
        return error.mistakes
    return ()


def marked(text: str) -> int | None:
    """The line (from 1) that has the mark, None where no line has it."""
    return next((number for number, line in enumerate(text.splitlines(), start=1) if line.endswith(HERE)), None)


def _lines(base: str, changes: str) -> list[str]:
    lines = {line.split(" =")[0]: line for line in base.splitlines()}
    for line in changes.splitlines():
        key = line.split(" =")[0].strip()
        if key.startswith("-"):
            del lines[key[1:]]
        else:
            lines[key] = line
    return list(lines.values())
