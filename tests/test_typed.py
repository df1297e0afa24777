from __future__ import annotations

import pytest

from batchpost.cli import batchpost
from batchpost.failures import Situation
from batchpost.typed import situation_of, tell_again, typed_command

BAD = [
    *("https://me:hush@a.example", "https://hush@a.example", "https://a.example/hush", "https://a.example?hush"),
    *("http://hush.example", "ftp://hush", "https://", "hush", "https://a.example#hush", "https://a.example:hush"),
]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "my job.toml"], "batchpost run 'my job.toml'"),
        (["run", "--source", "https://a.example/c.csv?key=hush"], "batchpost run --source 'https://a.example/c.csv?…'"),
        (["run", "--source=https://me:hush@a.example/c.csv"], "batchpost run '--source=https://a.example/c.csv?…'"),
        (["run", "--source", "s3://bucket/c.csv"], "batchpost run --source s3://bucket/c.csv"),
        (["run", "--base-url", "https://a.example"], "batchpost run --base-url https://a.example"),
        (["run", "--base-url=http://localhost:8080/"], "batchpost run --base-url=http://localhost:8080/"),
        *((["run", "--base-url", bad], "batchpost run --base-url '…'") for bad in BAD),
        *((["run", f"--base-url={bad}"], "batchpost run '--base-url=…'") for bad in BAD),
        ([], "batchpost"),
    ],
)
def test_a_command_is_told_again_without_what_must_not_be_shown(words: list[str], told: str) -> None:
    assert tell_again(words) == told


def situation(line: str) -> Situation:
    return situation_of(line.split(), batchpost.commands)


def test_a_command_that_sends_is_known_with_its_jobs() -> None:
    found = situation("run j.toml --workspace w --base-url https://a.example --source in.csv --limit 5")
    assert found == Situation(
        "batchpost run j.toml --workspace w --base-url https://a.example --source in.csv --limit 5",
        help="batchpost run --help",
        check="batchpost check j.toml --workspace w",
        plan="batchpost plan j.toml --source in.csv --workspace w --base-url https://a.example",
        elsewhere=True,
        sends=True,
        waits=True,
    )


def test_of_several_jobs_there_is_no_one_plan() -> None:
    found = situation("run a.toml b.toml")
    assert (found.check, found.plan) == ("batchpost check a.toml b.toml", "")


def test_a_retry_sends_and_names_no_job() -> None:
    found = situation("retry R1")
    assert (found.sends, found.waits, found.check, found.plan) == (True, True, "", "")


@pytest.mark.parametrize(
    ("line", "help_"),
    [("plan j.toml", "plan"), ("check j.toml --offline", "check"), ("show latest", "show"), ("runs", "runs")],
)
def test_a_command_that_looks_does_not_send(line: str, help_: str) -> None:
    found = situation(line)
    assert (found.command, found.help) == (f"batchpost {line}", f"batchpost {help_} --help")
    assert (found.sends, found.waits) == (False, False)


@pytest.mark.parametrize("line", ["run --rte 5 j.toml", "run j.toml --until 7pm", "run j.toml --limit 0"])
def test_a_line_that_cannot_be_understood_is_one_that_sends_all_the_same(line: str) -> None:
    found = situation(line)
    assert (found.command, found.help, found.sends) == (f"batchpost {line}", "batchpost run --help", True)


@pytest.mark.parametrize("line", ["", "rnu j.toml", "--nonsense"])
def test_a_command_that_there_is_not_is_only_told_again(line: str) -> None:
    assert situation(line) == Situation(f"batchpost {line}".strip())


def test_outside_of_a_command_nothing_was_typed() -> None:
    assert typed_command() == ""
