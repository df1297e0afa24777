"""Finding the runs of a workspace, and telling what became of them.

The registers of runs are in the ledgers; which ledgers there are, the workspace's job files say.
"""

from __future__ import annotations

import shlex
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchpost.booksview import books_lines, books_of, expect_lines, remedy_lines
from batchpost.closing import next_lines
from batchpost.errors import UsageError
from batchpost.jobtext import did_you_mean
from batchpost.layout import aligned, counted, instant, moment, short_path
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.locks import is_held
from batchpost.model import Outcome
from batchpost.output import Line, wrapped
from batchpost.places import Places, read_summary
from batchpost.resolutions import Resolutions
from batchpost.summary import TROUBLE, next_command

__all__ = [
    "Found",
    "all_runs",
    "find_home",
    "find_run",
    "ledger_files",
    "next_of",
    "runs_text",
    "show_lines",
]

_DEFAULT_LEDGER = "sqlite:.batchpost/ledger.db"
LATEST = "latest"
_COLUMNS = ("RUN", "JOB", "STARTED", "STATE", "EXIT", "READ", "DELIVERED", "LEFT", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Found:
    """A run with its places. ``doubts``: rows of it without a known end to this day; ``due``: the rows (from 0 in its
    whole input) that a person made due again and that did not get through since; ``decided``: rows by what a person
    decided about them last."""

    record: RunRecord
    at: Places
    doubts: int = 0
    due: tuple[int, ...] = ()
    decided: Mapping[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Its results."""
        return Path(self.record.results) / self.record.run_id

    @property
    def held(self) -> bool:
        """Whether a process is at it right now."""
        return self.record.unfinished and is_held(self.at.locks, f"run {self.record.run_id}")

    @property
    def state(self) -> str:
        """As in the register; ``crashed`` where it says running and nothing runs."""
        return "crashed" if self.record.state == "running" and not self.held else self.record.state

    @property
    def summary(self) -> dict[str, Any]:
        """Its ``summary.json``; empty where there is none."""
        return read_summary(self.folder) or {}


def find_home(option: Path | None, environ: Mapping[str, str], here: Path) -> Path:
    """The workspace where no job names one: ``option``, else ``$BATCHPOST_WORKSPACE``, else the nearest folder at or
    above ``here`` with a ``batchpost.toml``, else ``here``. Raises UsageError where the first two are no folder."""
    from batchpost.jobfile import find_workspace

    home = find_workspace(here / "batchpost.toml", option, environ)
    marked = (home / "batchpost.toml").is_file()
    return home if marked or option or environ.get("BATCHPOST_WORKSPACE") else here


def ledger_files(workspace: Path, environ: Mapping[str, str]) -> list[Path]:
    """The ledgers that a workspace's job files name, those for tests included, as far as they exist."""
    stated = {_DEFAULT_LEDGER}
    for path in (*workspace.glob("*.toml"), *workspace.glob("jobs/*.toml")):
        url = _ledger_url(path)
        stated.add(environ.get(url.removeprefix("env:"), "") if url.startswith("env:") else url)
    paths = {workspace / url.removeprefix("sqlite:") for url in stated if url.startswith("sqlite:")}
    both = sorted({path for real in paths for path in (real, real.with_stem(f"{real.stem}-test"))})
    return [path for path in both if path.is_file()]


def _ledger_url(path: Path) -> str:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("ledger", {})
    except (OSError, ValueError):  # a file that is no job, or not yet a sound one, has no runs of its own
        return ""
    url = table.get("url", "") if isinstance(table, dict) else ""
    return url if isinstance(url, str) else ""


def all_runs(workspace: Path, environ: Mapping[str, str]) -> list[Found]:
    """Every run of the workspace, oldest first. Raises LedgerError."""
    found = []
    for path in ledger_files(workspace, environ):
        with closing(Ledger.open(path, must_exist=True)) as ledger:
            resolutions = Resolutions(ledger)
            doubts, due, decided = resolutions.outstanding(), resolutions.due(), _decided(resolutions)
            for record in ledger.runs():
                at, run_id = Places(path, Path(record.results), record.test), record.run_id
                found.append(Found(record, at, len(doubts.get(run_id, ())), due.get(run_id, ()), decided[run_id]))
    return sorted(found, key=lambda run: (run.record.started_at, run.record.run_id))


def _decided(resolutions: Resolutions) -> defaultdict[str, Counter[str]]:
    """Of each run its rows by the last decision about them."""
    last = {(one.run_id, one.row): one.action for one in resolutions.of()}
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (run_id, _), action in last.items():
        counts[run_id][action] += 1
    return counts


def find_run(runs: Sequence[Found], name: str, workspace: Path) -> Found:
    """The run of an id, a unique prefix of one, a job's name (its latest run) or ``latest``; raises UsageError."""
    exact = [run for run in runs if run.record.run_id == name]
    of_job = [run for run in runs if name in (run.record.job, LATEST)]
    begun = [run for run in runs if run.record.run_id.startswith(name)]
    if found := exact or of_job[-1:] or (begun if len(begun) == 1 else []):
        return found[0]
    if begun and name:
        listed = ", ".join(run.record.run_id for run in begun[:5])
        many = f"{name} may be one of {len(begun)} runs: {listed}{', ...' if len(begun) > 5 else ''}"
        raise UsageError(f"{many}. Write more of its id", then="batchpost runs")
    if not runs:
        raise UsageError(f"there are no runs in {workspace} yet. If they are elsewhere, say --workspace DIR")
    near = did_you_mean(name, {LATEST, *(run.record.job for run in runs)})
    hint = f" ({near})" if near else ""
    raise UsageError(f"there is no run or job {name} in {workspace}{hint}", then="batchpost runs")


def runs_text(runs: Sequence[Found], workspace: Path) -> str:
    """The runs as a table, the newest at the end. LEFT is what each left when it ended, UNKNOWN the rows of it that
    have no known end to this day."""
    if not runs:
        return f"There are no runs in {workspace}."
    rows: list[tuple[str, ...]] = [(*_COLUMNS, "")]
    for run in runs:
        summary = run.summary
        counts = summary.get("rows", {})
        left = sum(counts.get(name, 0) for name in ("invalid", "rejected", "failed", "unknown", "not_attempted"))
        numbers = [f"{count:,}" if counts else "-" for count in (counts.get("read"), counts.get("delivered"), left)]
        code = summary.get("exit_code", run.record.exit_code)
        facts = (run.record.run_id, run.record.job, _started(run), run.state, "-" if code is None else str(code))
        rows.append((*facts, *numbers, f"{run.doubts:,}" if run.doubts else "-", "test" if run.record.test else ""))
    return "\n".join(aligned(rows, right=(4, 5, 6, 7, 8)))


def show_lines(run: Found, here: Path, *, width: int = 0) -> list[Line]:
    """One run, for a terminal of ``width`` columns (0: for a file): what is known of it, its table of books, what is
    outstanding, and the command to type next."""
    summary, record = run.summary, run.record
    head = [
        ("run", f"{record.run_id}{'  (a test)' if record.test else ''}"),
        ("job", f"{record.job} ({record.route})"),
        ("state", _state_text(run, summary)),
        ("started", _started(run)),
        ("finished", moment(summary.get("finished_at"))),
        *(("file", f"{source['path']} ({counted(source['rows'], 'row')})") for source in summary.get("source", ())),
        ("results", short_path(run.folder, here)),
    ]
    *facts, where = (Line(text) for text in aligned(head))
    parts = [[*(line for fact in facts for line in wrapped(fact, width, indent=" " * 10)), where]]
    if summary.get("rows"):
        books = books_lines(books_of(summary), summary.get("source") or (), width=width)
        parts.append([*books, *expect_lines(summary, width=width)])
    if remedies := remedy_lines(books_of(summary), record.run_id, width=width):
        parts.append([Line("What to do:"), *remedies])
        parts.append([Line(text) for text in _rows_to_see(run, summary)])
    parts.append([line for text in _outstanding(run, summary) for line in wrapped(Line(text), width, indent="  ")])
    if command := next_of(run, looked=True):
        parts.append([Line(_title(run, command)), *next_lines(command, here)[1:]])
    return [line for part in parts if part for line in (Line(""), *part)][1:]


def _title(run: Found, command: str) -> str:
    """What a command is for: a run that is well and under way has no next one, and one to be looked at was just now."""
    if run.held:
        return "It is under way. To end it gently, if it must not go on:"
    return "Next:" if command == next_of(run) else "Next, when that is mended:"


def _started(run: Found) -> str:
    return moment(instant(run.record.started_at))


def _state_text(run: Found, summary: Mapping[str, Any]) -> str:
    if run.state == "crashed":
        return "crashed: it died before its end. The books are of its last second; it goes on from what is recorded"
    code = summary.get("exit_code")
    text = run.state if code is None else f"{run.state}, exit code {code}"
    return f"{text}. {summary['message']}" if summary.get("message") else text


def _rows_to_see(run: Found, summary: Mapping[str, Any]) -> Iterator[str]:
    """How to see the rows that did not get through, each with what the platform said of it."""
    left = [outcome.value for outcome in (*TROUBLE, Outcome.UNKNOWN) if summary["rows"].get(outcome.value)]
    if left and not run.held and any(run.folder.glob("outcomes.*")):
        yield "Their rows, each with its detail:"
        yield f"  batchpost export {run.record.run_id} --only {','.join(left)}"


def _outstanding(run: Found, summary: Mapping[str, Any]) -> Iterator[str]:
    run_id = run.record.run_id
    if run.doubts:
        settle = f"batchpost resolve {run_id}"
        told = "" if next_of(run).startswith(settle) else f". To settle them: {settle}"
        if run.record.unfinished:  # what goes out again, as the platform refuses a second one, needs nobody
            told = ". Those that can go out again safely are settled by the next run of it"
        yield f"Rows without a known end to this day: {run.doubts:,}{told}"
    if run.decided:
        decided = (f"{count:,} {action.replace('_', ' ')}" for action, count in run.decided.items())
        due = f"; {len(run.due):,} of them due" if run.due else ""
        yield f"Decided since: {', '.join(decided)}{due}"
    for earlier, count in summary.get("outstanding", {}).items():
        yield f"When this run was made, rows of {earlier} without a known end: {count:,}"
    for name in ("to_fix", "corrections"):
        if summary.get(name) and (path := run.folder / f"{name}.csv").exists():
            yield f"{path.name}: {counted(summary[name], 'row')}"
    if (run.folder / "report.html").exists():
        yield "report.html: all of it to look at"


def next_of(run: Found, *, looked: bool = False) -> str:
    """The command to type next about a run: the summary's own word, but for a run that ended without writing it, or
    whose rows without a known end a person has settled since. ``looked``: it is to follow on what that word says to
    look at."""
    summary, run_id = run.summary, run.record.run_id
    job, said = summary.get("job_file", ""), str(summary.get("next") or "")
    again = shlex.join(["batchpost", "run", job])
    if run.held:
        return f"batchpost stop {run.record.job}"
    if run.state == "abandoned":
        return f"batchpost resolve {run_id}" if run.doubts else again if run.due and job else ""
    if run.state == "crashed":
        return said or (again if job else "")
    if run.record.unfinished or said.startswith(f"batchpost retry {run_id}"):
        shown = looked and said.startswith(f"batchpost show {run_id}")
        return str(summary.get("goes_on") or said) if shown else said
    if run.doubts or run.due:
        return f"batchpost {'resolve' if run.doubts else 'retry'} {run_id}"
    if not said.startswith(f"batchpost resolve {run_id}"):
        return said
    rows = {**summary.get("rows", {}), Outcome.UNKNOWN.value: 0}
    return next_command(rows, run_id, job, run.folder, summary.get("to_fix"))
