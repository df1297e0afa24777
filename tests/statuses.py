"""What tests of ``status`` share: a platform that knows a few leads, a job of sales, and what is said of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchpost.sandbox import Sandbox
from tests.commands import Done, call
from tests.workspaces import ENVIRON, Workspace, leads, sale_rows, sandbox, write_csv

__all__ = ["ONE_BY_ONE", "first", "left", "pasted", "place", "platform", "run", "sales", "told"]

ONE_BY_ONE = "rate = 100000\nconcurrency = 1\nmax_failures = 1000"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Sandbox]:
    """A platform that knows the leads of :func:`sale_rows` up to the fourth."""
    with sandbox(accept_any=False, leads=write_csv(tmp_path / "leads.csv", {"transaction_id": leads(4)})) as (
        server,
        _,
    ):
        yield server


@pytest.fixture
def place(tmp_path: Path, platform: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace that is the current folder, with a job of events that may fire twice."""
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "batchpost.toml").touch()
    workspace = Workspace(tmp_path, platform.base_url)
    workspace.sales(dedupe=False, delivery=ONE_BY_ONE)
    return workspace


def sales(place: Workspace, count: int = 4, name: str = "in.csv", first: int = 0, **cells: str) -> list[str]:
    """A file of sales of 10.00, 11.01, 12.02 and so on; ``row_N`` puts another cell into the payout of a row. Returns
    the leads."""
    rows = {column: values[first:] for column, values in sale_rows(first + count).items()}
    for row, cell in cells.items():
        rows["Payout"][int(row.removeprefix("row_")) - 1] = cell
    write_csv(place.folder / name, rows)
    return rows["Lead"]


def run(*arguments: str, code: int = 0) -> str:
    """A run; returns its id."""
    done = call("run", "job.toml", *arguments, "--json", "-q")
    assert done.code == code, done.err
    return str(json.loads(done.out)["run_id"])


def first(*arguments: str) -> str:
    return call("status", *(arguments or ("job.toml",))).out.splitlines()[0]


def told(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("status", *(arguments or ("job.toml",)), "--json").out)
    return found


def left(found: dict[str, Any]) -> dict[str, int]:
    """The rows that are not in, by reason; those without a known end by that."""
    return {entry["outcome" if entry["outcome"] == "unknown" else "reason"]: entry["rows"] for entry in found["not_in"]}


def pasted(command: str) -> Done:
    """A command as it was told, typed in."""
    words = shlex.split(command)
    assert words[0] == "batchpost"
    return call(*words[1:])
