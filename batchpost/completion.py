"""What could stand next on an unfinished command line: job files, runs, words of a list.

A shell asks at every press of a key, so nothing heavy is imported, and what is offered is read from the workspace's
job files and results alone, not from the ledger. What cannot be read is not offered.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from click.shell_completion import CompletionItem

from batchpost.output import one_line

__all__ = ["home", "job_files", "job_names", "runs", "words"]

_SAFE = re.compile(r"[\w@%+=:,./-]+")  # the shells' scripts of click hand names on as they are, blanks and all
_MOST = 30
_MANIFEST = "batchpost.toml"
_Item = CompletionItem[str]


def words(incomplete: str, known: Mapping[str, str]) -> list[_Item]:
    """The words that could be next in a list divided by commas, each with its meaning; none twice."""
    before, comma, begun = incomplete.rpartition(",")
    taken = before.split(",")
    return [
        CompletionItem(f"{before}{comma}{word}", help=meaning or None)
        for word, meaning in known.items()
        if word.startswith(begun) and word not in taken
    ]


def job_files(incomplete: str, here: Path) -> list[_Item]:
    """The job files in a folder and in its ``jobs/``, by paths from there; any file where none of them fits."""
    paths = [path for path in sorted(here.glob("*.toml")) if _is_job(path)] + sorted(here.glob("jobs/*.toml"))
    names = [(str(path.relative_to(here)), path) for path in paths]
    fitting = [(name, path) for name, path in names if name.startswith(incomplete) and _SAFE.fullmatch(name)]
    if not fitting:
        return [CompletionItem(incomplete, type="file")]
    return [CompletionItem(name, help=_text(_toml(path).get("route"))) for name, path in fitting]


def job_names(incomplete: str, workspace: Path) -> list[_Item]:
    """The names of the jobs that have results."""
    names = sorted({folder.parent.name for folder in _folders_of_results(workspace)})
    return [CompletionItem(name, help="the job's runs") for name in names if name.startswith(incomplete)]


def runs(incomplete: str, workspace: Path) -> list[_Item]:
    """``latest``, the names of jobs, and the ids of the newest runs, each with how it ended."""
    folders = sorted(_folders_of_results(workspace), key=lambda folder: folder.name, reverse=True)
    fitting = [folder for folder in folders if folder.name.startswith(incomplete)]
    names = [
        CompletionItem(name, help=f"the latest run of {name}") for name in sorted({f.parent.name for f in folders})
    ]
    latest = [CompletionItem("latest", help="the latest run of any job")] if folders else []
    named = [item for item in (*latest, *names) if item.value.startswith(incomplete)]
    return named + [CompletionItem(folder.name, help=_ended(folder)) for folder in fitting[:_MOST]]


def _folders_of_results(workspace: Path) -> Iterator[Path]:
    """The folders of runs, in every place where the workspace's jobs put results."""
    stated = {"results"}
    for path in (*workspace.glob("*.toml"), *workspace.glob("jobs/*.toml")):
        table = _toml(path).get("results")
        stated.add(_text(table.get("directory")) if isinstance(table, dict) else "")
    for place in sorted(stated - {""}):
        for summary in (workspace / place).glob("*/*/summary.json"):
            if _SAFE.fullmatch(summary.parent.name) and _SAFE.fullmatch(summary.parent.parent.name):
                yield summary.parent


def home(option: Path | str | None, environ: Mapping[str, str], here: Path) -> Path:
    """The workspace, as :func:`batchpost.lookback.find_home` finds it, without a word about one that is not there."""
    if given := option or environ.get("BATCHPOST_WORKSPACE"):
        return here / given
    return next((folder for folder in (here, *here.parents) if (folder / _MANIFEST).is_file()), here)


def _ended(folder: Path) -> str:
    """Whose run it is and how it ended, in a few words."""
    job = folder.parent.name
    with suppress(OSError, ValueError):
        summary = json.loads((folder / "summary.json").read_text())
        if isinstance(summary, dict):
            code = summary.get("exit_code")
            ended = _text(summary.get("state")) + (f" with {code}" if isinstance(code, int) else "")
            return f"{job}, {ended}" if ended else job
    return job


def _is_job(path: Path) -> bool:
    """A file beside the jobs that is none (``pyproject.toml``) is not offered; one with a mistake in it is."""
    found = _toml(path)
    return path.name != _MANIFEST and (not found or not {"route", "fields"}.isdisjoint(found))


def _toml(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    return {}


def _text(value: object) -> str:
    return one_line(value) if isinstance(value, str) else ""
