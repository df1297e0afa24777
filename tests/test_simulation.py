"""Some histories of the simulation, each of which must keep every promise; ``make simulate`` plays thousands.

In a process of its own: the simulated disk takes the place of SQLite's file system before the first ledger is opened.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

_SEEDS = 8


def simulation(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.simulation", "--jobs", "1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("first", range(10_000, 10_000 + 4 * _SEEDS, _SEEDS))
def test_histories_keep_every_promise(first: int) -> None:
    told = simulation("--first", str(first), "--seeds", str(_SEEDS))
    assert f"histories {_SEEDS}" in " ".join(told.split())


def test_a_seed_plays_the_same_history_again() -> None:
    one, other = (simulation("--first", "7", "--seeds", "2") for _ in range(2))
    assert [line for line in one.splitlines() if "seconds" not in line] == [
        line for line in other.splitlines() if "seconds" not in line
    ]
