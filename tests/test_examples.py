"""The help: every command has examples, and each is a command line that the program takes."""

from __future__ import annotations

import shlex
import sys

import click
import pytest

from batchpost.cli import batchpost
from batchpost.examples import EXAMPLES, epilog
from batchpost.version import __version__
from tests.commands import call

LINES = [(line, purpose) for group in EXAMPLES.values() for line, purpose in group.items()]


def arguments(line: str) -> list[str]:
    """The words behind ``batchpost``, as a shell would give them to the program; what it is put into aside."""
    inside = line.partition("$(")[2].partition(")")[0] or line
    program, *words = shlex.split(inside.partition(" > ")[0])
    assert program == "batchpost"
    return words


def test_every_command_has_an_example_and_no_other() -> None:
    assert sorted(EXAMPLES) == sorted(batchpost.commands)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_examples_are_of_their_command_or_of_what_follows_it(name: str) -> None:
    first, *rest = (arguments(line)[0] for line in EXAMPLES[name])
    assert first == name
    assert {*rest} <= {name, "retry"}


@pytest.mark.parametrize("line", [line for line, _ in LINES])
def test_an_example_is_taken_by_the_real_command_line(line: str) -> None:
    """Its words are parsed and turned into what the command gets; nothing is run."""
    name, *words = arguments(line)
    with batchpost.commands[name].make_context(name, words) as context:
        assert context.args == []


@pytest.mark.parametrize(("line", "purpose"), LINES)
def test_an_example_says_what_it_is_for_and_fits_a_screen(line: str, purpose: str) -> None:
    assert purpose.strip()
    assert max(len(line), len(purpose) + 2) <= 94


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_help_shows_the_examples_unbroken(name: str) -> None:
    shown = call(name, "--help").out
    assert "  Examples:\n" in shown
    for line, purpose in EXAMPLES[name].items():
        assert f"    # {purpose}\n    {line}\n" in shown


def test_a_command_without_examples_has_no_empty_heading() -> None:
    assert epilog("frob") == ""


def test_an_example_that_is_none_would_be_noticed() -> None:
    with pytest.raises(click.UsageError):
        batchpost.commands["run"].make_context("run", arguments("batchpost run job.toml --cannary 5"))


def test_the_version_comes_first_and_then_what_a_report_of_a_bug_needs() -> None:
    done = call("--version")
    first, second = done.out.splitlines()
    assert (done.code, first) == (0, f"batchpost {__version__}")
    assert second.startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}.")
