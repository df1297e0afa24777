"""What a person means by a job's name or file, and by a file that the job read."""

from __future__ import annotations

import os
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from batchpost.address import is_address, shown
from batchpost.errors import BatchpostError, UsageError
from batchpost.job import Expect, Job
from batchpost.jobfile import load_job
from batchpost.jobsources import JobSources, Source
from batchpost.jobtext import did_you_mean
from batchpost.keptplan import sha256_of
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.lookback import find_home, ledger_files
from batchpost.places import Places, places, read_summary
from batchpost.rowends import RunEnds

__all__ = ["JobNamed", "SourcesNamed", "named_job", "named_sources"]


@dataclass(frozen=True, slots=True)
class JobNamed:
    """A job and where its runs are. ``job`` is None where its file cannot be read, as ``fault`` says; ``file`` is that
    file, as far as it is known, ``workspace`` what paths are read against."""

    name: str
    at: Places
    workspace: Path
    file: str
    job: Job | None = None
    fault: str = ""

    @property
    def expect(self) -> Expect:
        """What the job expects; nothing where that is not known."""
        return self.job.expect if self.job else Expect()

    @property
    def by_ids(self) -> bool:
        """Whether lead and event alone say which operation a row is."""
        return self.job is not None and not self.job.rows.key


def named_job(given: str, workspace: Path | None, environ: Mapping[str, str], here: Path) -> JobNamed:
    """The job of a file, or of a name: by its name its real runs, or its test runs where it has no others.

    Raises JobError for a file with mistakes, UsageError for a name that nothing has, LedgerError.
    """
    if (here / given).is_file():
        job = load_job(here / given, workspace=workspace)
        return JobNamed(job.name, places(job, environ), job.workspace, str(job.path), job)
    home = find_home(workspace, environ, here)
    found = list(_records(home, environ))
    own = [(ledger, record) for ledger, record in found if record.job == given]
    file = _job_file(given, home)
    if own:
        real = [entry for entry in own if not entry[1].test]
        ledger, record = max(real or own, key=lambda entry: entry[1].started_at)
        at = Places(ledger, Path(record.results), record.test)
        summary = read_summary(Path(record.results) / record.run_id) or {}
        path = str(file or summary.get("job_file") or "")
        return JobNamed(given, at, home, path, *_loaded(path, given, workspace))
    if file is not None:
        job = load_job(file, workspace=workspace)
        return JobNamed(given, places(job, environ), job.workspace, str(file), job)
    near = did_you_mean(given, {record.job for _, record in found})
    raise UsageError(f"there is no job {given} in {home}{f'; {near}' if near else ''}. Give its name or its file")


def _records(home: Path, environ: Mapping[str, str]) -> Iterator[tuple[Path, RunRecord]]:
    for path in ledger_files(home, environ):
        with closing(Ledger.open(path, must_exist=True)) as ledger:
            yield from [(path, record) for record in ledger.runs()]


def _job_file(name: str, home: Path) -> Path | None:
    """The workspace's job file of this name."""
    for path in (*sorted(home.glob("*.toml")), *sorted(home.glob("jobs/*.toml"))):
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError):
            continue
        if table.get("name") == name and "route" in table:
            return path
    return None


def _loaded(path: str, name: str, workspace: Path | None) -> tuple[Job | None, str]:
    """The job of a file, or why it cannot be read."""
    try:
        job = load_job(Path(path), workspace=workspace)
    except (BatchpostError, OSError) as error:
        return None, f"{path or 'its job file'} cannot be read ({type(error).__name__})"
    return (job, "") if job.name == name else (None, f"{path} is another job's file by now")


class SourcesNamed(NamedTuple):
    """The ``numbers`` of the sources that were named, and the paths of files that no run has read (``unseen``)."""

    numbers: frozenset[int]
    unseen: tuple[str, ...]


def named_sources(
    paths: Sequence[str], files: JobSources, runs: Iterable[RunEnds], workspace: Path, here: Path
) -> SourcesNamed:
    """The sources that paths name, as they were read, or by their content where no name fits. Raises UsageError for a
    path that nothing has, and for a file whose rows count elsewhere."""
    names: defaultdict[str, set[int]] = defaultdict(set)
    for run in runs:
        for index, file in enumerate(run.files):
            names[file.name].add(files.of[run.number, index])
    numbers, unseen = set[int](), []
    for path in paths:
        found = {number for name in _names(path, workspace, here) for number in names.get(name, ())}
        found = found or _by_content(path, files.sources, here)
        if found and all(files.sources[number].mends for number in found):
            raise UsageError(
                f"--source {path}: its rows stand for rows of another file, and count there. Name that one"
            )
        if not found and not (here / path).is_file():
            raise UsageError(f"--source {path}: no run has read a file of this name, and there is none")
        numbers |= found
        unseen += [] if found else [path]
    return SourcesNamed(frozenset(numbers), tuple(unseen))


def _names(path: str, workspace: Path, here: Path) -> set[str]:
    """What a run may have called the file of a path that is typed ``here``."""
    if is_address(path):
        return {shown(path)}
    absolute = Path(os.path.abspath(here / path))  # noqa: PTH100 - Path.resolve() follows links
    inside = absolute.is_relative_to(workspace)
    return {path, str(absolute), *([str(absolute.relative_to(workspace))] if inside else [])}


def _by_content(path: str, sources: Sequence[Source], here: Path) -> set[int]:
    if is_address(path) or not (here / path).is_file():
        return set()
    sha = sha256_of(here / path)
    return {source.number for source in sources if source.sha256 == sha}
