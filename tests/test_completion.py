"""What a shell is offered for an unfinished line, and that it is never told of an error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from batchpost.cli import batchpost
from batchpost.cli_completion import VARIABLE
from batchpost.model import Outcome
from batchpost.reasons import REASONS
from batchpost.routes import ROUTES
from tests.commands import ROOT, call, finished

JOB = 'name = "nightly"\nroute = "global-event"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with two jobs, one of them broken, and three runs; it is the current folder."""
    (tmp_path / "batchpost.toml").write_text('[results]\ndirectory = "out"\n')
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/nightly.toml").write_text(JOB)
    (tmp_path / "jobs/broken.toml").write_text("name =")
    (tmp_path / "once.toml").write_text(JOB)
    ran(tmp_path / "out", "nightly", "20261127T010000000-aaaa", state="finished", exit_code=0)
    ran(tmp_path / "out", "nightly", "20261128T010000000-bbbb", state="finished", exit_code=1)
    ran(tmp_path / "results", "backfill", "20261126T010000000-cccc", state="running")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(results: Path, job: str, run_id: str, **summary: object) -> Path:
    """The results of a run, as far as completion reads them."""
    folder = results / job / run_id
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def offered(line: str, shell: str = "bash") -> list[str]:
    """What the program offers where the line ends, each as the shell's script reads it."""
    words = line.split(" ")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMP_WORDS", line)
        patch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words) - 1))
        kind = get_completion_class(shell)
        assert kind is not None
        return kind(batchpost, {}, "batchpost", VARIABLE).complete().splitlines()


def plain(line: str) -> list[str]:
    """The same without those that the shell looks up itself."""
    return [item.removeprefix("plain,") for item in offered(line) if item.startswith("plain,")]


# -- what is offered -------------------------------------------------------------------------------------------------


def test_commands_and_options_are_offered() -> None:
    assert plain("batchpost ret") == ["retry"]
    assert {"retry", "resolve"} <= {*plain("batchpost re")}
    assert plain("batchpost run --canary 5 --li") == ["--limit"]


def test_a_job_is_offered_from_here_and_from_its_folder_but_not_the_files_beside_it(here: Path) -> None:
    assert plain("batchpost run ") == ["once.toml", "jobs/broken.toml", "jobs/nightly.toml"]
    assert plain("batchpost check once.toml jobs/n") == ["jobs/nightly.toml"]
    assert plain("batchpost plan o") == ["once.toml"]


def test_the_shell_looks_for_files_itself_where_no_job_fits(here: Path) -> None:
    assert offered("batchpost run /srv/jo") == ["file,/srv/jo"]
    (here / "jobs/nightly.toml").rename(here / "jobs/the night.toml")
    assert offered("batchpost run jobs/t") == ["file,jobs/t"]


@pytest.mark.parametrize("command", ["show", "verify", "export", "retry", "resolve", "abandon"])
def test_a_run_is_offered_by_latest_by_its_job_and_by_its_id(here: Path, command: str) -> None:
    newest_first = ["20261128T010000000-bbbb", "20261127T010000000-aaaa", "20261126T010000000-cccc"]
    assert plain(f"batchpost {command} ") == ["latest", "backfill", "nightly", *newest_first]
    assert plain(f"batchpost {command} 20261127") == newest_first[1:2]


@pytest.mark.parametrize("command", ["stop", "status"])
def test_a_job_is_offered_by_its_name_or_by_its_file(here: Path, command: str) -> None:
    assert plain(f"batchpost {command} ") == ["backfill", "nightly"]
    assert plain(f"batchpost {command} jobs/n") == ["jobs/nightly.toml"]


def test_a_run_is_offered_with_how_it_ended(here: Path) -> None:
    told = offered("batchpost show 2026112", "zsh")
    assert told[2::3] == ["nightly, finished with 1", "nightly, finished with 0", "backfill, running"]


def test_runs_are_those_of_the_workspace_that_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert plain(f"batchpost show --workspace {here} n") == ["nightly"]
    assert plain(f"batchpost runs --workspace {here} --job ") == ["backfill", "nightly"]
    monkeypatch.setenv("BATCHPOST_WORKSPACE", str(here))
    assert plain("batchpost stop b") == ["backfill"]
    monkeypatch.delenv("BATCHPOST_WORKSPACE")
    monkeypatch.chdir(here / "jobs")
    assert plain("batchpost show n") == ["nightly"]


def test_of_many_runs_the_newest_are_offered(here: Path) -> None:
    for number in range(40):
        ran(here / "results", "nightly", f"20270101T0000{number:02}000-dddd")
    ids = plain("batchpost show 2")
    assert len(ids) == 30
    assert ids[0] == "20270101T000039000-dddd"


def test_words_of_a_list_are_offered_one_after_the_other(here: Path) -> None:
    assert plain("batchpost retry latest --only ") == ["failed", "rejected", "not_attempted", "due"]
    assert plain("batchpost retry latest --only failed,") == ["failed,rejected", "failed,not_attempted", "failed,due"]
    assert plain("batchpost export latest --only inv") == ["invalid"]
    assert plain("batchpost export latest --reason lead_not_found,invalid_e") == ["lead_not_found,invalid_event"]
    assert plain("batchpost resolve latest --reason time") == ["timeout"]
    assert plain("batchpost resolve latest --reason lead") == []


def test_every_outcome_and_reason_is_offered() -> None:
    assert plain("batchpost export latest --only ") == [outcome.value for outcome in Outcome]
    assert plain("batchpost export latest --reason ") == [*REASONS]


def test_choices_files_and_folders_are_offered() -> None:
    assert plain("batchpost init x.csv --route ") == [*ROUTES]
    assert plain("batchpost completion ") == ["bash", "zsh", "fish"]
    assert offered("batchpost init exp") == ["file,exp"]
    assert offered("batchpost run a.toml --source exp") == ["file,exp"]
    assert offered("batchpost runs --workspace /s") == ["dir,/s"]


# -- what is wrong is not told ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "batchpost frob ",
        "batchpost show --workspace /nowhere ",
        "batchpost runs --for ",
        "batchpost run --rate x ",
        "batchpost export latest --only lost,",
        "batchpost 'run jobs/n",
    ],
)
def test_a_line_with_a_mistake_is_no_error(here: Path, line: str) -> None:
    offered(line)
    offered(line, "zsh")
    offered(line, "fish")


def test_results_that_cannot_be_read_are_offered_without_a_word_on_them(here: Path) -> None:
    (here / "out/nightly/20261127T010000000-aaaa/summary.json").write_text("{")
    (here / "out/nightly/20261128T010000000-bbbb/summary.json").write_text("[]")
    (here / "batchpost.toml").write_text("results = 3\n")
    ran(here / "results", "nightly", "20270101T000000000-eeee", state="fi\x1bni\nshed", exit_code="0")
    ran(here / "results", "a job", "20270102T000000000-ffff")
    told = offered("batchpost show 2027", "zsh")
    assert told == ["plain", "20270101T000000000-eeee", "nightly, fi ni shed"]
    assert offered("batchpost show 20261", "zsh")[2::3] == ["backfill, running"]


def test_the_program_answers_a_shell_without_loading_anything_heavy_or_telling_an_error(here: Path) -> None:
    program = """
import sys
from batchpost.cli import run_command
try:
    run_command([])
except SystemExit as end:
    assert not end.code
heavy = {'polars', 'pyarrow', 'httpx', 'pydantic', 'rich', 'structlog', 'anyio', 'orjson', 'apsw'} & set(sys.modules)
assert not heavy, heavy"""
    environ = {VARIABLE: "bash_complete", "COMP_WORDS": "batchpost show n", "COMP_CWORD": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "plain,nightly\n", "")


@pytest.mark.parametrize("wrong", [{"COMP_CWORD": "x"}, {"COMP_WORDS": None}, {VARIABLE: "tcsh_complete"}])
def test_a_shell_that_asks_wrongly_is_answered_with_silence(here: Path, wrong: dict[str, str | None]) -> None:
    asked = {VARIABLE: "bash_complete", "COMP_WORDS": "batchpost show n", "COMP_CWORD": "2", **wrong}
    environ = {name: value for name, value in asked.items() if value is not None}
    done = finished(cwd=here, env=environ)
    assert (done.code, done.out, done.err) == (1, "", "")


# -- the scripts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_one_that_its_shell_can_read(shell: str, tmp_path: Path) -> None:
    done = call("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert f"{VARIABLE}={shell}_complete" in done.out
    if program := shutil.which(shell):
        (tmp_path / "script").write_text(done.out)
        read = subprocess.run([program, "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False)
        assert (read.returncode, read.stderr) == (0, "")


def test_bash_completes_a_line_by_the_script(here: Path) -> None:
    """The function is called as bash calls it, with a program of that name on the path."""
    (here / "bin").mkdir()
    program = here / "bin/batchpost"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m batchpost "$@"\n')
    program.chmod(0o755)
    lines = (
        call("completion", "bash").out,
        "COMP_WORDS=(batchpost retry latest --only failed,rej) COMP_CWORD=4",
        "_batchpost_completion batchpost rej failed,rej",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    )
    environ = {"PATH": f"{here / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    words = ["bash", "--norc", "-c", "\n".join(lines)]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("failed,rejected\n", "")


def test_the_script_for_fish_keeps_what_stands_behind_a_second_comma() -> None:
    assert 'string split -m 1 ","' in call("completion", "fish").out
