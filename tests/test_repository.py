"""What holds for the whole repository: imports, docstrings, lock files, what the Makefile offers."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import locks

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for folder in ("batchpost", "bench", "tools") for path in (ROOT / folder).glob("*.py"))
TESTS = sorted((ROOT / "tests").glob("*.py"))
HASH = " \\\n    --hash=sha256:" + 64 * "0"
ASKED = "\n    # via batchpost (pyproject.toml)\n"


def test_imports_go_one_way() -> None:
    """The rules are in pyproject.toml. Their check gets a process of its own, since it keeps state."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_the_architecture_names_every_module_and_no_other() -> None:
    told = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs/architecture.md").read_text()))
    modules = {path.stem for path in (ROOT / "batchpost").glob("[a-z]*.py")}
    assert modules - told == set()
    table = (ROOT / "docs/architecture.md").read_text().partition("| step |")[2].partition("Imports go one way")[0]
    assert set(re.findall(r"`([a-z_]+)`", table)) - modules == {"post", "where"}


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    assert [path.name for path in (*SOURCES, *TESTS) if marks.search(path.read_text())] == []


def test_every_dependency_is_accounted_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    reasons = (ROOT / "docs/decisions/dependencies.md").read_text()
    names = [Requirement(text).name for text in project["dependencies"]]
    assert [name for name in names if f"`{name}`" not in reasons and f"**{name}**" not in reasons] == []


# -- lock files ------------------------------------------------------------------------------------------------------


def test_the_lock_files_are_in_step() -> None:
    assert locks.check(ROOT) == []


def test_a_lock_is_read_with_versions_hashes_and_who_asked() -> None:
    text = f'a_B==1.0{HASH}{ASKED}c==2 ; python_version < "3.12"{HASH}\n    # via a-b\nd==3\n    # via a-b\n'
    assert locks.read_lock(text) == {"a-b": ("1.0", True, True), "c": ("2", False, True), "d": ("3", False, False)}


@pytest.mark.parametrize(
    ("lock", "expected"),
    [
        (f"a==1.5{HASH}{ASKED}", []),
        ("", ["a>=1.2: missing"]),
        (f"a==1.1{HASH}{ASKED}", ["a>=1.2: pinned at 1.1"]),
        (f"a==1.5{ASKED}", ["a: no hashes"]),
        (f"a==1.5{HASH}{ASKED}b==1{HASH}{ASKED}", ["b: no longer asked for"]),
    ],
)
def test_what_is_out_of_step_is_named(lock: str, expected: list[str]) -> None:
    assert locks.differences([Requirement("a>=1.2")], locks.read_lock(lock)) == expected


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


@pytest.mark.parametrize("line", ["--index-url https://packages.example/simple", "-f /wheels", "--find-links wheels"])
def test_a_lock_names_no_place_to_get_packages_from(copy: Path, line: str) -> None:
    lock = copy / "requirements/run.txt"
    lock.write_text(f"{line}\n{lock.read_text()}")
    assert locks.check(copy) == [f"run.txt: names a place: {line}"]


def test_both_locks_have_the_same_versions(copy: Path) -> None:
    lock = copy / "requirements/dev.txt"
    lock.write_text(re.sub(r"(?m)^idna==\S+", "idna==0.1", lock.read_text()))
    [problem] = locks.check(copy)
    assert problem.startswith("dev.txt: idna is 0.1, in run.txt ")


# -- make ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def offered() -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make", "help"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    return dict(re.findall(r"(?m)^make (\w+) +(.+)$", done.stdout))


def test_make_help_lists_every_target(offered: dict[str, str]) -> None:
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text())
    assert list(offered) == targets
    assert {"demo", "test", "check", "bench", "format", "lock", "clean"} <= set(offered)


def test_ci_and_the_documents_call_only_targets_that_exist(offered: dict[str, str]) -> None:
    texts = [path.read_text() for path in (ROOT / ".ci/run", ROOT / "CONTRIBUTING.md", ROOT / "README.md")]
    called = {name for text in texts for name in re.findall(r"(?m)^make (\w+)", text)}
    assert called <= set(offered)
    assert {"check", "test"} <= called
