"""Workspaces of batchpost to be measured: files of leads, jobs over them, the command and what its summary says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.process import Failed, Ran, run
from bench.servers import ROOT

__all__ = ["COMMAND", "ROUTES", "SECRET", "Done", "Workspace", "expect", "job_text", "leads", "workspace"]

COMMAND = (sys.executable, "-m", "batchpost", "run", "job.toml", "--json", "--progress", "never")
SECRET = "sandbox-token"  # only the sandbox looks at it
JOB = """
name = "bench"
route = "{route}"
[api]
base_url = "{url}"
{api}
[source]
path = "leads.csv"
[fields]
transaction_id = {{ column = "transaction_id" }}
{fields}
[delivery]
rate = {rate}
concurrency = {concurrency}
"""
ROUTES = {
    "update-lead": (
        'campaign_id = "cmp_sandbox"\ntoken = "env:BENCH_SECRET"',
        (
            'first_name = { column = "first_name" }\nemail = { column = "email" }\nzip_code = { column = "zip" }\n'
            'loan_amount = { column = "loan", as = "number" }'
        ),
    ),
    "global-event": (
        'org_id = "env:BENCH_SECRET"',
        (
            'event_id = { value = "sale_completed" }\nrevenue = { column = "loan", as = "money" }\n'
            'email = { column = "email" }'
        ),
    ),
}


def job_text(
    route: str, url: str, *, rate: float = 1_000_000, concurrency: int = 64, ca_file: Path | None = None
) -> str:
    """A job over the file of leads."""
    api, fields = ROUTES[route]
    api += f'\nca_file = "{ca_file}"' if ca_file else ""
    return JOB.format(route=route, url=url, api=api, fields=fields, rate=rate, concurrency=concurrency).lstrip()


class Done(NamedTuple):
    """A run of batchpost: the process, and its summary."""

    ran: Ran
    summary: dict[str, Any]

    @property
    def sending(self) -> float:
        """Seconds of sending."""
        return float(self.summary["sending_s"])


class Workspace:
    """A folder with one job over one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def job(
        self, route: str, url: str, *, rate: float = 1_000_000, concurrency: int = 64, ca_file: Path | None = None
    ) -> None:
        """Write the job."""
        text = job_text(route, url, rate=rate, concurrency=concurrency, ca_file=ca_file)
        (self.folder / "job.toml").write_text(text)

    def source(self, file: Path) -> None:
        """Let the job read this file."""
        link = self.folder / "leads.csv"
        link.unlink(missing_ok=True)
        link.symlink_to(file)

    def run(self, *options: str, rows: int, codes: Sequence[int] = (0,)) -> Done:
        """Run the job; ``rows`` is about how many it has, for the time limit. Raises Failed when it ends badly."""
        timeout = 120 + rows / 1_000
        environ = {"BENCH_SECRET": SECRET}
        ran = run([*COMMAND, *options], folder=self.folder, environ=environ, codes=codes, timeout=timeout)
        return Done(ran, json.loads(ran.out))


@contextmanager
def workspace(folder: Path, name: str = "workspace") -> Iterator[Workspace]:
    """A new, empty workspace, removed afterwards."""
    path = folder / name
    path.mkdir()
    try:
        yield Workspace(path)
    finally:
        shutil.rmtree(path)


def leads(folder: Path, count: int, *, first: int = 0, also: bool = False) -> Path:
    """A file of leads, made once for each kind."""
    file = folder / f"leads-{first}-{count}{'-also' if also else ''}.csv"
    if not file.exists():
        more = ["--also"] if also else []
        command = [sys.executable, "-m", "bench.rows", str(file), str(count), "--first", str(first), *more]
        subprocess.run(command, cwd=ROOT, check=True)
    return file


def expect(done: Done, **rows: int) -> Done:
    """The same, if its books say so; raises Failed."""
    wrong = {name: done.summary["rows"][name] for name, count in rows.items() if done.summary["rows"][name] != count}
    if wrong:
        raise Failed(f"the books are wrong: {wrong} and not {rows}")
    return done
