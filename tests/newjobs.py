"""For tests of proposed jobs: columns of given values, a person with answers, exports to propose a job for."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from batchpost.columnfacts import Column
from tests.commands import Done, call

KNOWN = {"PINGTREE_ORG_ID": "org_test", "PINGTREE_TOKEN": "token-test"}


def column(name: str, *values: str, rows: int | None = None) -> Column:
    """A column with these filled cells, and empty ones up to ``rows``."""
    cells = pl.DataFrame({"value": list(values)}, schema={"value": pl.String}).group_by("value").len("count")
    return Column(name, rows or len(values), cells.sort(["count", "value"], descending=[True, False]))


class Scripted:
    """A person whose answers are known; ``asked`` are the questions. Without an answer left, Enter is pressed."""

    def __init__(self, *answers: str | int) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def choose(self, question: str, choices: Sequence[str], default: int) -> int:
        self.asked.append(question)
        answer = self._answers.pop(0) if self._answers else default
        assert isinstance(answer, int)
        assert answer < len(choices)
        return answer

    def enter(self, question: str, default: str, complaint: Callable[[str], str]) -> str:
        self.asked.append(question)
        answer = str(self._answers.pop(0)) if self._answers else default
        assert not complaint(answer)
        return answer


def init(folder: Path, name: str, route: str, *options: str) -> tuple[Done, dict[str, Any]]:
    """The command over a file of a workspace, and the job that it wrote (empty without one)."""
    job = folder / "jobs" / "job.toml"
    done = call("init", folder / name, "--route", route, "--workspace", folder, "-o", job, *options)
    return done, tomllib.loads(job.read_text("utf-8")) if job.exists() else {}


def csv(folder: Path, text: str, name: str = "export.csv") -> Path:
    """A file of the workspace."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
