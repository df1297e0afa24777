"""What the documents say is so: commands parse, links lead somewhere, the job that is explained is a job."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from batchpost.cli import batchpost
from batchpost.errors import BatchpostError
from batchpost.jobfile import load_job

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?ms)^```(\w*)\n(.*?)^```$")
NOT_THERE = {"status", "report"}


def blocks(path: Path, *languages: str) -> list[str]:
    """The code blocks of a document in one of these languages."""
    return [text for language, text in BLOCK.findall(path.read_text()) if language in languages]


def commands(path: Path) -> list[list[str]]:
    """The arguments of every ``batchpost …`` line in a document's code blocks, however it is started."""
    lines = "\n".join(blocks(path, "", "sh", "ini")).splitlines()
    calls = (re.search(r"(?:^|[ =/])batchpost (.*)", line.partition(" #")[0]) for line in lines)
    return [shlex.split(call[1].removesuffix("&").partition("|")[0]) for call in calls if call]


COMMANDS = [
    pytest.param(call, id=f"{path.name}: {' '.join(call)}") for path in DOCUMENTS for call in commands(path) if call
]


@pytest.mark.parametrize("call", COMMANDS)
def test_a_command_that_is_shown_is_one(call: list[str]) -> None:
    """It is parsed by the real command line, not run; a file that it names need not be there."""
    name, *arguments = call
    command = batchpost.commands.get(name)
    assert command is not None, f"there is no command {name}"
    context = click.Context(command)
    values, rest, _ = command.make_parser(context).parse_args(arguments)
    assert rest == []
    required = [parameter.name or "" for parameter in command.params if parameter.required]
    assert [name for name in required if not isinstance(values.get(name), str | tuple)] == []


def test_the_readme_shows_commands() -> None:
    assert len(commands(ROOT / "README.md")) >= 5


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "docs/cron.md", ROOT / "docs/sandbox.md"], ids=lambda p: p.name
)
def test_commands_that_do_not_exist_yet_are_not_mentioned(path: Path) -> None:
    named = set(re.findall(r"\bbatchpost ([a-z]+)\b", "\n".join(re.findall(r"`[^`\n]+`", path.read_text()))))
    assert not named & NOT_THERE


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = BLOCK.sub("", path.read_text())
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?://|#", link)]
    assert [link for link in links if not (path.parent / link.partition("#")[0]).exists()] == []


def test_the_job_that_is_explained_is_a_job(tmp_path: Path) -> None:
    [text] = blocks(ROOT / "README.md", "toml")
    path = tmp_path / "jobs" / "nightly.toml"
    path.parent.mkdir()
    path.write_text(text)
    job = load_job(path)
    assert (job.name, job.route, job.workspace) == ("nightly-conversions", "global-event", tmp_path)
    assert job.api.server_dedupe == ["sale_completed"]


def test_the_exit_codes_of_the_errors_are_in_the_table() -> None:
    codes = {
        int(code)
        for cells in re.findall(r"(?m)^\| ([\d, ]+) \|", (ROOT / "README.md").read_text())
        for code in cells.split(",")
    }
    assert {error.exit_code for error in all_errors(BatchpostError)} <= codes
    assert {0, 1, 3, 6, 69, 130, 143} <= codes


def all_errors(error: type[BatchpostError]) -> list[type[BatchpostError]]:
    """A class of errors and all that are derived from it."""
    return [error, *(below for derived in error.__subclasses__() for below in all_errors(derived))]
