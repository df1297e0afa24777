"""What the likely mistakes are told as, whole: what is wrong, where, what to do, and whether it is safe to repeat.

Each scenario of ``tests/mishaps`` has its page in ``tests/messages``. To write them anew after a change of the wording,
and to look at the difference: ``BATCHPOST_MESSAGES=renew pytest tests/test_messages.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.canaries import SECRET, found_in
from tests.mishaps import command_lines, environments, inputs, job_files, ledgers, platforms
from tests.mishaps.stage import Scenario, Stage, page

PAGES = Path(__file__).parent / "messages"
GROUPS: dict[str, dict[str, Scenario]] = {
    "job-file": job_files.SCENARIOS,
    "command-line": command_lines.SCENARIOS,
    "environment": environments.SCENARIOS,
    "input": inputs.SCENARIOS,
    "ledger": ledgers.SCENARIOS,
    "platform": platforms.SCENARIOS,
}
SCENARIOS = {f"{group}/{name}": scenario for group, all_of in GROUPS.items() for name, scenario in all_of.items()}
RENEW = os.environ.get("BATCHPOST_MESSAGES") == "renew"


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """An empty workspace, and the secrets that its jobs refer to."""
    monkeypatch.chdir(tmp_path)
    for name in ("BATCHPOST_WORKSPACE", "CREDENTIALS_DIRECTORY", "BATCHPOST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ORG", "TOKEN"):
        monkeypatch.setenv(name, SECRET)
    with ExitStack() as opened:
        yield Stage(tmp_path, monkeypatch, opened)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_mistake_is_told_as_its_page_says(stage: Stage, name: str) -> None:
    done = SCENARIOS[name](stage)
    told, path = page(stage, done), PAGES / f"{name}.txt"
    assert done.code != 0
    assert "Traceback" not in done.err
    assert found_in((done.out + done.err).encode()) == set()
    if RENEW:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(told)
    assert told == path.read_text(), "if that is how it should be told: BATCHPOST_MESSAGES=renew"


@pytest.mark.parametrize("name", [name for name in SCENARIOS if not name.startswith("command-line/")])
def test_what_keeps_a_run_from_its_end_is_told_with_a_last_line(name: str) -> None:
    """Also whether it is safe to repeat, and what to type next, at three in the morning."""
    told = (PAGES / f"{name}.txt").read_text()
    if told.startswith(("$ batchpost run ", "$ batchpost retry ")):
        lasts = [line for line in told.splitlines() if line.startswith("Safe to repeat: yes. ")]
        assert lasts
        assert all(". Next: " in last for last in lasts)


def test_every_page_is_of_a_scenario() -> None:
    """And every scenario has one."""
    assert {str(path.relative_to(PAGES)) for path in PAGES.rglob("*.*")} == {f"{name}.txt" for name in SCENARIOS}


def test_there_are_enough_of_them() -> None:
    assert len(SCENARIOS) >= 75
