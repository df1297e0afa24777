"""Reading a job file over the workspace's ``batchpost.toml`` into a frozen job, with every mistake at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from batchpost.address import is_address
from batchpost.errors import JobError, Mistake, UsageError
from batchpost.job import ByColumn, Job
from batchpost.jobrules import POSTGRESQL, general_findings, postponed, route_findings
from batchpost.jobshape import shaped
from batchpost.jobtext import DEFAULTS_FILE, Finding, Written, did_you_mean, read_documents
from batchpost.jobview import config_fingerprint, fingerprint, job_schema, show_job
from batchpost.secrets import is_reference
from batchpost.toml_lines import Place
from batchpost.whererule import names_in

__all__ = [
    "check_columns",
    "config_fingerprint",
    "find_workspace",
    "fingerprint",
    "job_schema",
    "ledger_path",
    "load_job",
    "show_job",
]


def load_job(
    path: str | Path,
    *,
    workspace: str | Path | None = None,
    base_url: str | None = None,
    rate: float | None = None,
    concurrency: int | None = None,
    source: Sequence[str] = (),
) -> Job:
    """The job of a file, with the command line's options in place of what it says.

    ``source`` paths are read against the current directory, all paths in the file against the workspace. Raises
    JobError with all mistakes, UsageError where a file cannot be read. Opens neither secrets nor input.
    """
    path = Path(path)
    folder = find_workspace(path, workspace if workspace is None else Path(workspace), os.environ)
    options: dict[Place, tuple[str, Any]] = {
        ("api", "base_url"): ("--base-url", base_url),
        ("source", "path"): ("--source", _sources(source, folder) or None),
        ("delivery", "rate"): ("--rate", rate),
        ("delivery", "concurrency"): ("--concurrency", concurrency),
    }
    given = {place: option for place, option in options.items() if option[1] is not None}
    written = Written(*read_documents(path, folder), given)
    job, findings = _read(written, _absolute(path), folder)
    if mistakes := written.foreign() + [written.mistake(finding) for finding in findings]:
        raise JobError(mistakes, (job,) if _can_be_announced(written, findings) else ())
    return job


def _can_be_announced(written: Written, findings: Sequence[Finding]) -> bool:
    """Whether it is known which job has these mistakes, whom its ``[notify]`` means, and what it was told."""
    unsound = {finding.place[: 2 if finding.place[0] == "api" else 1] for finding in findings}
    needed: set[Place] = {("name",), ("ledger",), ("notify",), ("api", "base_url")}
    return "name" in written.job.data and not unsound & needed


def find_workspace(job_path: Path, option: Path | None, environ: Mapping[str, str]) -> Path:
    """The folder that a job's paths are read against, absolute: ``option``, else ``$BATCHPOST_WORKSPACE``, else the
    nearest at or above the job file with a ``batchpost.toml``, else the parent of its ``jobs/`` folder, else its own.

    Raises UsageError where the first two name no folder.
    """
    for name, given in (("--workspace", option), ("$BATCHPOST_WORKSPACE", environ.get("BATCHPOST_WORKSPACE"))):
        if given:
            folder = Path(given).absolute()
            if not folder.is_dir():
                told = f"{name}: there is no folder {folder}. Name the one that the job's paths are read against"
                raise UsageError(told, then="{help}" if name.startswith("--") else "")
            return folder
    home = _absolute(job_path).parent
    marked = (folder for folder in (home, *home.parents) if (folder / DEFAULTS_FILE).is_file())
    return next(marked, home.parent if home.name == "jobs" else home)


def ledger_path(job: Job, environ: Mapping[str, str]) -> Path:
    """The ledger's file, absolute; ``env:NAME`` is looked up in ``environ``.

    Raises UsageError where the variable is not set or holds no ``sqlite:PATH``.
    """
    url, name = job.ledger.url, ""
    if url.startswith("env:"):
        name = url.removeprefix("env:")
        url = environ.get(name, "")
    if url.startswith(("postgresql:", "postgres:")):
        raise UsageError(f"[ledger] url: {POSTGRESQL}; write sqlite:PATH")
    file = url.removeprefix("sqlite:").strip()
    if not url.startswith("sqlite:") or not file:
        wrong = "must hold sqlite:PATH" if name in environ else "is not set; it must hold sqlite:PATH"
        raise UsageError(f"[ledger] url: the environment variable {name} {wrong}")
    return job.workspace / file


def check_columns(job: Job, columns: Sequence[str], unsupported: Mapping[str, str] | None = None) -> list[Mistake]:
    """The mistakes that show only beside an input: columns that the job names and the input lacks, each with the
    likeliest one. ``unsupported`` says of columns that are there why they cannot be read."""
    unreadable = unsupported or {}
    written = Written(*read_documents(job.path, job.workspace))
    findings = [
        Finding(place, f'the column "{column}" cannot be read: {unreadable[column]}')
        if column in unreadable
        else Finding(place, f'the input has no column "{column}"', _near_column(place, column, columns, job))
        for place, column in _named_columns(job)
        if column in unreadable or column not in columns
    ]
    return [written.mistake(finding) for finding in findings]


def _read(written: Written, path: Path, workspace: Path) -> tuple[Job, list[Finding]]:
    tree = written.merged()
    findings = postponed(tree)
    job, misshapen, broken = shaped(tree, path, workspace)
    rules = list(general_findings(job))
    if ("route",) not in broken:
        rules += route_findings(job)
    rules = [rule for rule in rules if written.counts(rule) and not any(_rests_on(rule, place) for place in broken)]
    return job, findings + misshapen + rules


def _rests_on(rule: Finding, broken: Place) -> bool:
    """Whether a finding is no second mistake but follows from a broken place: a mistyped token is no missing token."""
    below = rule.place[: len(broken)] == broken
    return below or (rule.absent and broken[: len(rule.place)] == rule.place)


def _sources(given: Sequence[str], workspace: Path) -> str | list[str]:
    """Paths of the command line as the job would write them, so that naming its own input changes nothing."""
    paths = []
    for path in given:
        full = _absolute(path)
        below = full.is_relative_to(workspace)
        as_said = is_address(path) or (is_reference(path) and not full.exists())
        paths.append(path if as_said else str(full.relative_to(workspace) if below else full))
    return paths[0] if len(paths) == 1 else paths


def _absolute(path: str | Path) -> Path:
    """Without ``.`` and ``..`` and with links kept: a linked job belongs where its link is."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve() follows links


def _named_columns(job: Job) -> Iterator[tuple[Place, str]]:
    for name, given in job.fields.items():
        if given.column is not None:
            yield ("fields", name, "column"), given.column
    if isinstance(job.api.campaign_id, ByColumn):
        yield ("api", "campaign_id", "column"), job.api.campaign_id.column
    for index, column in enumerate(job.rows.key):
        yield ("rows", "key", index), column
    if job.rows.where is not None:
        yield from ((("rows", "where"), name) for name in names_in(job.rows.where) if name not in job.fields)


def _near_column(place: Place, column: str, columns: Sequence[str], job: Job) -> str:
    if place != ("rows", "where"):
        return did_you_mean(column, columns)
    return did_you_mean(column, [*columns, *job.fields]) or "in SQL, text has single quotes: Region = 'US'"
