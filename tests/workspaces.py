"""Workspaces for tests: jobs and inputs in a folder, run in-process against a sandbox of this machine."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread
from typing import Any

import polars as pl
from anyio.from_thread import BlockingPortal, start_blocking_portal

from batchpost.job import Job
from batchpost.jobfile import load_job
from batchpost.jobrun import Options, run_job
from batchpost.ledger import Ledger
from batchpost.places import Places, places
from batchpost.prepare import Prepared
from batchpost.pulse import Pulse
from batchpost.sandbox import Received, Sandbox, SandboxConfig
from batchpost.tally import Tally
from tests.jobtexts import job_text

ENVIRON = {"ORG": "org_sandbox", "TOKEN": "sandbox-token"}
DEDUPED, REPEATABLE = "sale_completed", "repeat_purchase"  # events of the sandbox: the second may fire again
FAST = "rate = 100000\nconcurrency = 8"
SALE = f"""event_id = {{ value = "{DEDUPED}" }}
revenue = {{ column = "Payout" }}
email = {{ column = "Email" }}"""

Table = dict[str, list[str]]


@contextmanager
def sandbox(**config: Any) -> Iterator[tuple[Sandbox, BlockingPortal]]:
    """A sandbox that knows every lead, on a loop of its own; the portal calls into that loop."""
    settings = SandboxConfig(**{"accept_any": True, **config})
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Sandbox(settings)) as server:
        yield server, portal


@dataclass
class Onlooker:
    """Looks on at a run: ``on_plan`` is called when the plan stands, ``on_progress`` about once a second."""

    on_plan: Callable[[Prepared], object] = lambda prepared: None
    on_progress: Callable[[Tally], object] = lambda tally: None
    to_send: list[int] = field(default_factory=list)
    pulses: list[Pulse] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def planned(self, prepared: Prepared) -> None:
        self.to_send.append(prepared.plan.to_send)
        self.on_plan(prepared)

    def doing(self, what: str, rows: int = 0, /) -> None:
        if what not in self.done[-1:]:
            self.done.append(what)

    def progress(self, tally: Tally, pulse: Pulse) -> None:
        self.pulses.append(pulse)
        self.on_progress(tally)


@dataclass
class Workspace:
    """A folder with one job and its input. ``base_url`` is the sandbox's; ``environ`` what secrets are read from."""

    folder: Path
    base_url: str = "http://127.0.0.1:9"
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    text: str = ""

    def job(self, route: str = "global-event", top: str = "", **tables: str) -> None:
        """Write the job file: lines over those of a sound job of the route."""
        base = f'base_url = "{self.base_url}"\n'
        given = {"delivery": FAST, "results": "", **tables, "api": base + tables.get("api", "")}
        self.text = job_text(route, top, **given)
        (self.folder / "job.toml").write_text(self.text)

    def sales(self, dedupe: bool = True, **tables: str) -> None:
        """A job of conversions with money, from ``in.csv``: Lead, Payout, Email."""
        event = DEDUPED if dedupe else REPEATABLE
        api = (f'server_dedupe = ["{DEDUPED}"]\n' if dedupe else "") + tables.pop("api", "")
        self.job(fields=SALE.replace(DEDUPED, event) + "\n" + tables.pop("fields", ""), api=api, **tables)

    def updates(self, **tables: str) -> None:
        """A job of updates, from ``in.csv``: Lead, Mail, City."""
        self.job("update-lead", fields='city = { column = "City" }\n' + tables.pop("fields", ""), **tables)

    def load(self, name: str = "job.toml") -> Job:
        return load_job(self.folder / name, workspace=self.folder)

    def run(self, watcher: Onlooker | None = None, job: Job | None = None, **options: Any) -> dict[str, Any]:
        """One sitting of the job, in-process; returns the summary. No pause after the one before unless it is given."""
        settings = Options(**{"pause": 0.0, **options})
        return run_job(job or self.load(), settings, self.environ, watcher or Onlooker())

    @property
    def places(self) -> Places:
        return places(self.load(), self.environ)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        ledger = Ledger.open(self.places.ledger, must_exist=True)
        try:
            yield ledger
        finally:
            ledger.close()

    def results(self, summary: dict[str, Any]) -> Path:
        """The folder of a run's results."""
        return self.folder / "results" / str(summary["job"]) / str(summary["run_id"])

    def outcomes(self, summary: dict[str, Any]) -> pl.DataFrame:
        """What the run wrote of every row, all text but for Parquet."""
        folder = self.results(summary)
        if (folder / "outcomes.parquet").exists():
            return pl.read_parquet(folder / "outcomes.parquet")
        return csv(folder / "outcomes.csv")

    def kept(self, summary: dict[str, Any]) -> dict[str, Any]:
        """``summary.json`` as it lies on disk."""
        found: dict[str, Any] = json.loads((self.results(summary) / "summary.json").read_text())
        return found


_SERVER = multiprocessing.get_context("forkserver")  # one that has imported everything makes a process in no time
_SERVER.set_forkserver_preload([__name__])


@contextmanager
def elsewhere(workspace: Workspace, **options: Any) -> Iterator[BaseProcess]:
    """The workspace's run in a process of its own, which ends with the run's exit code; ended with the block."""
    process = _SERVER.Process(target=_drive, args=(workspace.folder, options))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _drive(folder: Path, options: dict[str, Any]) -> None:
    sys.exit(Workspace(folder).run(**options)["exit_code"])


@contextmanager
def once(condition: Callable[[], bool], action: Callable[[], object]) -> Iterator[Event]:
    """Do something from another thread as soon as the condition holds; gives the event that says it was done."""
    done, over = Event(), Event()

    def watch() -> None:
        while not over.is_set() and not condition():
            time.sleep(0.001)
        if not over.is_set():
            action()
            done.set()

    thread = Thread(target=watch)
    thread.start()
    yield done
    over.set()
    thread.join()


def csv(path: Path) -> pl.DataFrame:
    """A CSV file of ours, every cell as its text."""
    return pl.read_csv(path, infer_schema=False, empty_string_is_null=False)


def write_csv(path: Path, columns: Table) -> Path:
    """An input of text columns."""
    path.parent.mkdir(exist_ok=True)
    pl.DataFrame(columns).write_csv(path)
    return path


def leads(count: int, prefix: str = "txn") -> list[str]:
    return [f"{prefix}_{number:05}" for number in range(count)]


def sale_rows(count: int, prefix: str = "txn") -> Table:
    """Rows of :meth:`Workspace.sales`, each lead with money and an address of its own."""
    names = leads(count, prefix)
    money = [f"{number % 90 + 10}.{number % 100:02}" for number in range(count)]
    return {"Lead": names, "Payout": money, "Email": [f"{name}@mail.example.com" for name in names]}


def update_rows(rows: Sequence[tuple[str, str]]) -> Table:
    """Rows of :meth:`Workspace.updates`: (lead, city)."""
    names, cities = zip(*rows, strict=True)
    return {"Lead": list(names), "Mail": [f"{name}@mail.example.com" for name in names], "City": list(cities)}


def fired(entries: Iterable[Received]) -> list[str]:
    """The leads of the requests that had an effect, in order of arrival."""
    return [entry.transaction_id for entry in entries if entry.effect]


def counted(frame: pl.DataFrame, *columns: str) -> dict[Any, int]:
    """Rows by the values of the columns, by outcome and reason unless named."""
    by = columns or ("outcome", "reason")
    return {tuple(row[:-1]) if len(by) > 1 else row[0]: row[-1] for row in frame.group_by(by).len().iter_rows()}


def balanced(summary: dict[str, Any], outcomes: pl.DataFrame) -> None:
    """The books of the summary are those of the outcomes, row for row."""
    rows = dict(summary["rows"])
    assert rows.pop("read") == sum(rows.values()) == outcomes.height
    assert {name: count for name, count in rows.items() if count} == counted(outcomes, "outcome")
    assert summary["reasons"] == counted(outcomes, "reason")
