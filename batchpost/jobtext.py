"""What was written where: a job file over the workspace's ``batchpost.toml`` and under the command line's options."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from batchpost.errors import JobError, Mistake, UsageError
from batchpost.job import ROUTE_KEYS
from batchpost.toml_lines import Place, dotted, locate

__all__ = ["DEFAULTS_FILE", "Document", "Finding", "Written", "did_you_mean", "likeliest", "read_documents"]

DEFAULTS_FILE = "batchpost.toml"
_SHARED = ("api", "delivery", "results", "ledger", "notify")
_SYNTAX = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)
_KEY = r"'([^']*)'"
_KEYS = re.compile(r"\('[^()]*\)")  # a table's name as Python shows it: ('api', 'tokens')
_SYNTAX_HINTS = {
    "Invalid value": "text needs quotes; true and false are written small",
    "Cannot overwrite a value": "the key is there twice",
    "Cannot declare": "the table is there twice",
    "Unterminated string": "a quote is missing",
    "Illegal character": "a quote is missing at the end of the line",
    "Unescaped": "write a backslash twice, or use 'single quotes'",
    "Invalid hex value": "write a backslash twice, or use 'single quotes'",
    "Expected '='": "a key with blanks needs quotes",
}


class Finding(NamedTuple):
    """A mistake before it is known on which line it stands. ``message`` reads on after the place.

    ``spare``: something more than the job needs, which is no mistake in defaults that serve other jobs too.
    ``absent``: something is not there, perhaps only because what is there has another mistake.
    """

    place: Place
    message: str
    hint: str = ""
    spare: bool = False
    absent: bool = False


@dataclass(frozen=True)
class Document:
    """One TOML file: its values, and the line (from 1) of each key. ``name`` is the path as messages show it."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """A job as written: the job file, the workspace's defaults, and the options (by the place that they set)."""

    job: Document
    defaults: Document
    options: Mapping[Place, tuple[str, Any]] = field(default_factory=dict)

    def merged(self) -> dict[str, Any]:
        """One tree of values: options win over the job file, which wins key by key over the defaults.

        Defaults serve all jobs of a workspace, so those that this job's route does not have are left out.
        """
        tree = {key: _copied(value) for key, value in self.job.data.items()}
        for table in _SHARED:
            shared = self.defaults.data.get(table)
            if isinstance(shared, dict) and isinstance(tree.get(table, {}), dict):
                fitting = {key: value for key, value in shared.items() if self._serves(table, key)}
                tree[table] = {**fitting, **tree.get(table, {})}
        for place, (_, value) in self.options.items():
            table = tree.setdefault(str(place[0]), {})
            if isinstance(table, dict):
                table[place[1]] = value
        return tree

    def foreign(self) -> list[Mistake]:
        """What the defaults file holds and may not: tables that belong in a job, and keys outside the shared tables."""
        may = ", ".join(f"[{table}]" for table in _SHARED)
        message, hint = f"does not belong in {DEFAULTS_FILE}, which holds {may}", "move it into the job file"
        return [
            Mistake(dotted((key,)), message, self.defaults.lines.get((key,)), hint, self.defaults.name)
            for key, value in self.defaults.data.items()
            if key not in _SHARED or not isinstance(value, dict)
        ]

    def counts(self, finding: Finding) -> bool:
        """Whether a finding is a mistake of this job: spare things are if the job itself wrote them."""
        return not finding.spare or finding.place in self.job.lines

    def mistake(self, finding: Finding) -> Mistake:
        """The finding with its file and line; of something missing, the line of the table that should have it."""
        place, message, hint, *_ = finding
        for option, (name, _) in self.options.items():
            if place[: len(option)] == option:
                return Mistake(name, message, hint=hint)
        for length in range(len(place), 0, -1):
            for document in (self.job, self.defaults):
                if line := document.lines.get(place[:length]):
                    return Mistake(dotted(place), message, line, hint, document.name)
        return Mistake(dotted(place), message, None, hint, self.job.name)

    def _serves(self, table: str, key: str) -> bool:
        own = self.job.data.get(table, {})
        other = {"token": "tokens", "tokens": "token"}.get(key)
        if table == "api" and other in own and key not in own:
            return False
        route = self.job.data.get("route")
        return route in ROUTE_KEYS.get((table, key), (route,))


def read_documents(job_path: Path, workspace: Path) -> tuple[Document, Document]:
    """The job file and the workspace's defaults (empty without a file).

    Raises UsageError where a file cannot be read, JobError where one is not TOML.
    """
    defaults_path = workspace / DEFAULTS_FILE
    mistakes: list[Mistake] = []
    texts = [(job_path, _text(job_path)), (defaults_path, _text(defaults_path) if defaults_path.exists() else "")]
    documents = [_parsed(str(path), text, mistakes) for path, text in texts]
    if mistakes:
        raise JobError(mistakes)
    return documents[0], documents[1]


def likeliest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str:
    """The one of ``words`` that ``word`` was most likely meant to be, case and signs aside; empty if none is near."""
    by_bare = {_bare(known): known for known in words}
    near = difflib.get_close_matches(_bare(word), by_bare, n=1, cutoff=cutoff)
    return by_bare[near[0]] if near else ""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """The hint for a mistyped word, or an empty text."""
    near = likeliest(word, words)
    return f'did you mean "{near}"?' if near else ""


def _bare(word: str) -> str:
    return re.sub(r"[\W_]+", "", word.casefold()) or word


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        near = _near_file(path)
        hint = f"; did you mean {near}?" if near else "" if path.is_absolute() else f" in {Path.cwd()}"
        raise UsageError(f"there is no file {path}{hint}", then=f"the same with {near}" if near else "") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: save it as UTF-8", then="{check}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _near_file(path: Path) -> str:
    """The job file that may have been meant instead of one that is not there; empty if none is near."""
    known = sorted([*path.parent.glob("jobs/*.toml"), *path.parent.glob("*.toml")])
    names = {one.name: str(one) for one in known if one.name != DEFAULTS_FILE}
    return names.get(path.name) or names.get(likeliest(path.name, names), "")


def _parsed(name: str, text: str, mistakes: list[Mistake]) -> Document:
    try:
        return Document(name, tomllib.loads(text), locate(text))
    except tomllib.TOMLDecodeError as error:
        match = _SYNTAX.fullmatch(str(error))
        what = match["what"] if match else str(error)
        line = int(match["line"]) if match and match["line"] else text.rstrip().count("\n") + 1
        hint = next((hint for start, hint in _SYNTAX_HINTS.items() if what.startswith(start)), "")
        what = _KEYS.sub(lambda keys: f"[{'.'.join(re.findall(_KEY, keys[0]))}]", what[0].lower() + what[1:])
        mistakes.append(Mistake("TOML", what, line, hint, name))
        return Document(name)
