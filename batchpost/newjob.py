"""A new job file: the input looked at, a job proposed, proved to load, and written."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from batchpost.address import has_secret, is_address, shown
from batchpost.columnfacts import looked_at
from batchpost.errors import InputRefused, JobError, UsageError
from batchpost.eventchoice import some_names
from batchpost.files import replaced
from batchpost.guesses import propose
from batchpost.job import Source
from batchpost.jobdraft import MARK, Draft, draft_text
from batchpost.jobfile import find_workspace, load_job
from batchpost.jobtext import did_you_mean
from batchpost.layout import short_path
from batchpost.lookback import find_home
from batchpost.output import Output
from batchpost.proposal import Given, Proposal
from batchpost.questions import Person
from batchpost.routes import ROUTES
from batchpost.secrets import is_reference
from batchpost.source import Reader, find_files, open_input

__all__ = ["Wish", "make_job"]

_MEND = "it says itself which rows it mends. Send it by the job that it came from: batchpost run jobs/….toml --source"
_KEY = re.compile(r"\[source\] (encoding|delimiter|quote|header_row|sheet)\b")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DATED = re.compile(r"[-_. ]*(?:(?:19|20)[0-9]{2}[-_.]?(?:[0-9]{2}[-_.]?)?(?:[0-9]{2})?|[0-9]{6,14})$")
# A cell that no header has: an address, an id of the platform, a phone, an amount, a date.
_VALUE = re.compile(
    r".+@.+\..+|txn[_-].{6,}|\+?[0-9][0-9() ./-]{6,}|[$€£]? ?-?[0-9][0-9.,]*|[0-9]{1,4}[-/.][0-9]{1,2}[-/.].*"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for. ``place`` is the job file, ``-`` for standard output, None for ``jobs/NAME.toml``;
    ``reading`` are keys of ``[source]`` that are said; ``rows`` is how many to look at."""

    file: str
    route: str
    place: str | None = None
    name: str | None = None
    given: Given = field(default_factory=Given)
    reading: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 100_000
    force: bool = False
    workspace: Path | None = None


def make_job(wish: Wish, output: Output, person: Person | None) -> int:
    """Write the job file and tell what is left to decide; returns 0. Raises BatchpostError, and writes nothing then."""
    name = wish.name or _name(wish.file)
    if not _NAME.fullmatch(name):
        raise UsageError(f"--name {name}: write letters, digits, dot, underscore and dash")
    place = None if wish.place == "-" else _place(wish, name)
    if place is not None and place.exists() and not wish.force:
        raise UsageError(f"{short_path(place, Path.cwd())} is there already: name another with -o, or say --force")
    home = place or _place(replace(wish, place=None), name)
    workspace = find_workspace(home, wish.workspace, os.environ)
    draft = _draft(wish, name, workspace, person)
    text = draft_text(draft)
    _prove(text, home.name, workspace)
    if place is None:
        output.say(text.rstrip())
        output.tell("\n".join(_told(draft.proposal, "standard output", text)))
        return 0
    _write(place, text, force=wish.force)
    shown_place = short_path(place, Path.cwd())
    option = f" --workspace {shlex.quote(str(wish.workspace))}" if wish.workspace else ""
    output.say(
        "\n".join(
            [*_told(draft.proposal, shown_place, text), f"Next: batchpost plan {shlex.quote(shown_place)}{option}"]
        )
    )
    return 0


def _name(file: str) -> str:
    """A job's name from a file's: without endings and its date, in the letters that a name may have."""
    stem = Path(shown(file)).name.partition(".")[0] if not file.endswith("/") else Path(file).name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", _DATED.sub("", stem) or stem).strip("-._")
    return plain[:100] or "job"


def _place(wish: Wish, name: str) -> Path:
    if wish.place is not None:
        return Path(wish.place)
    return find_home(wish.workspace, os.environ, Path.cwd()) / "jobs" / f"{name}.toml"


def _draft(wish: Wish, name: str, workspace: Path, person: Person | None) -> Draft:
    if has_secret(wish.file):
        hint = "put it into a variable and name that: batchpost init env:NAME"
        raise UsageError(f"the address holds more than may be written into a job file: {hint}")
    with _by_option():
        settings = _settings(wish)
        readers = open_input(find_files(settings, Path.cwd()), settings)
        _refuse_unfit(wish, readers)
        table = looked_at(readers, wish.rows)
    proposal = propose(table, ROUTES[wish.route], _checked(wish.given), person)
    if (wish.given.timezone or wish.given.send_as) and not any("send_as" in line.keys for line in proposal.lines):
        raise UsageError("--timezone and --send-as are for conversion_date, and no column of times was found for it")
    decisions = tuple(decision for reader in readers[:1] for decision in reader.decisions)
    proposal = replace(proposal, source=dict(wish.reading), decisions=decisions)
    return Draft(name, _path(wish.file, workspace), shown(wish.file), proposal)


@contextmanager
def _by_option() -> Iterator[None]:
    """The reader's mends are keys of a job file; here they are options."""
    try:
        yield
    except InputRefused as error:
        key = _KEY.search(error.hint)
        hint = f"{error.hint} (here: --{key[1].replace('_', '-')})" if key else error.hint
        raise InputRefused(error.path, error.message, line=error.line, hint=hint) from error


def _settings(wish: Wish) -> Source:
    """How the input is to be read, as far as that was said."""
    try:
        return Source(path=wish.file, **{**wish.reading, "decimal": wish.given.decimal})
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"--{option}: {first['msg'].lower()}") from None


def _checked(given: Given) -> Given:
    from zoneinfo import available_timezones

    zone = given.timezone
    if zone is not None and zone not in (known := available_timezones()):
        near = did_you_mean(zone, known) or "write one like America/New_York"
        raise UsageError(f"--timezone {zone}: is not a time zone; {near}")
    return given


def _refuse_unfit(wish: Wish, readers: Sequence[Reader]) -> None:
    """Refuse what needs no job, and a row of data in place of a header, which would bring somebody's data into the
    draft; where the header's line was said, only what no header has."""
    file = shown(wish.file)
    for reader in readers:
        if reader.is_to_fix:
            raise UsageError(f"{file} is a to_fix.csv: {_MEND} {file}")
    columns = next((reader.columns for reader in readers if reader.columns), ())
    values = sum(_VALUE.fullmatch(name) is not None for name in columns)
    sure = any(re.fullmatch(r".+@.+\..+|txn[_-].{6,}", name) for name in columns)
    if sure or (values * 2 > len(columns) and "header_row" not in wish.reading):
        line = readers[0].dialect.header_line if readers[0].dialect else None
        hint = "Put a line with the columns' names on top, or say with --header-row where it is"
        raise InputRefused(readers[0].file.name, "its header looks like a row of data", line=line, hint=hint)
    if not columns:
        raise UsageError(f"{file} has no columns to look at")


def _path(file: str, workspace: Path) -> str:
    """The input as the job names it: below the workspace relative to it."""
    full = Path(os.path.abspath(file))  # noqa: PTH100 - Path.resolve() follows links
    if is_address(file) or (is_reference(file) and not full.exists()):
        return file
    return str(full.relative_to(workspace) if full.is_relative_to(workspace) else full)


def _prove(text: str, name: str, workspace: Path) -> None:
    """Load the draft as a run would; raises JobError, of which the workspace's defaults may be the cause."""
    with TemporaryDirectory(prefix="batchpost-") as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        try:
            load_job(path, workspace=workspace)
        except JobError as error:
            own = {str(path): f"the draft of {name}"}
            raise JobError([replace(one, path=own.get(one.path, one.path)) for one in error.mistakes]) from None


def _write(place: Path, text: str, *, force: bool) -> None:
    """Write the file whole or not at all; raises UsageError where one came there meanwhile."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if force:
        with replaced(place) as file:
            file.write(text.encode())
        return
    try:
        with place.open("x", encoding="utf-8") as created:
            created.write(text)
    except FileExistsError:
        raise UsageError(f"{place} is there already: name another with -o, or say --force") from None


def _told(proposal: Proposal, shown_place: str, text: str) -> Iterator[str]:
    """What was written, and what a person has to decide, with its line."""
    yield f"{shown_place}: a draft for {proposal.route.name}, from {proposal.table}."
    yield f"Fields: {', '.join(proposal.sent)}."
    if proposal.customs:
        yield f"Not sent: {some_names([line.keys['column'] for line in proposal.customs])}."
    yield from proposal.notes
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.startswith(f"# {MARK}")]
    if not proposal.open:
        yield "Nothing is left to decide."
        return
    yield f"To decide before it runs, marked {MARK.removesuffix(':')} in the draft:"
    for line, (name, decide) in zip(lines, proposal.open, strict=False):
        yield f"  line {line}, {name}: {decide}"
