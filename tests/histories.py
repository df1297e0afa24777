"""Histories of a job for tests: nights with new files, mends, retries, decisions, stops and crashes, against the
sandbox; what the platform did is known."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from batchpost.errors import BatchpostError
from batchpost.job import Job
from batchpost.jobfile import load_job
from batchpost.jobstatus import JobStatus, Wanted, job_status
from batchpost.journal import sitting_files
from batchpost.lookback import Found, all_runs
from batchpost.named import named_job
from batchpost.prepare import Prepared
from batchpost.resolutions import Action, Resolutions
from batchpost.retry import retry_rows
from batchpost.sandbox import Sandbox
from batchpost.sandbox_faults import parse_faults
from batchpost.sandbox_platform import EventRule, Lead
from batchpost.standing import standing_of
from batchpost.upkeep import forget
from tests.workspaces import REPEATABLE, Onlooker, Table, Workspace, write_csv

__all__ = ["History", "died", "status_of"]

RARE = ("bad", "1,25", "n/a")  # cells that are no amounts


def status_of(workspace: Workspace, **wanted: Any) -> JobStatus:
    """How the workspace's job stands."""
    named = named_job("job.toml", workspace.folder, workspace.environ, workspace.folder)
    return job_status(named, Wanted(here=workspace.folder, **wanted))


def latest_run(workspace: Workspace) -> Found:
    return max(all_runs(workspace.folder, {}), key=lambda run: run.record.seq)


def died(workspace: Workspace, rows: int, **options: Any) -> Found | None:
    """A run as SIGKILL leaves it: the register says running, its journal has no end, and outcomes are of an earlier
    sitting, if there are any. None, and nothing was done, where it has no more than these rows to send."""
    kept: dict[Path, bytes | None] = {}

    def keep(_: object) -> None:
        if not kept:
            folder = latest_run(workspace).folder
            for path in (workspace.places.ledger, folder / "summary.json", folder / "outcomes.csv"):
                kept[path] = path.read_bytes() if path.exists() else None

    def enough(prepared: Prepared) -> None:
        if prepared.plan.to_send <= rows:
            raise BatchpostError("too few rows")

    with suppress(BatchpostError):
        workspace.run(Onlooker(enough, keep), limit=rows, **options)
    if not kept:
        return None
    for path, content in kept.items():
        path.unlink(missing_ok=True) if content is None else path.write_bytes(content)
    run = latest_run(workspace)
    journal = sitting_files(run.at.run(run.record.run_id))[-1]
    journal.write_bytes(b"".join(line for line in journal.read_bytes().splitlines(True) if b' ["over",' not in line))
    return run


@dataclass
class History:
    """A job of events that may fire twice, or of updates that may sell a lead twice. Each lead has one true amount,
    which an update has in place of a city. ``files`` are its ordinary input by name, oldest first; ``spoils``: now and
    then a mend loses its link or has a row twice, and an event does not count as a conversion."""

    workspace: Workspace
    server: Sandbox
    random: Random
    route: str = "global-event"
    spoils: bool = False
    amounts: dict[str, str] = field(default_factory=dict)
    files: dict[str, Table] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        delivery = "rate = 100000\nconcurrency = 1\nmax_failures = 1000"
        if self.route == "update-lead":
            fields = 'city = { column = "Payout", pattern = "^[0-9.]+$" }\nemail = { column = "Email" }'
            self.workspace.updates(api="redistributes = true", fields=fields, delivery=delivery)
        else:
            self.workspace.sales(dedupe=False, delivery=delivery)

    # -- steps -----------------------------------------------------------------------------------------------------

    def night(self) -> None:
        """A new file and its run, which may be stopped, or meet a platform that answers 500 to the first rows."""
        name = f"night-{len(self.files):03}.csv"
        self.files[name] = self._rows(self.random.randint(2, 9))
        write_csv(self.workspace.folder / name, self.files[name])
        self._run(name)

    def again(self) -> None:
        """An old file once more."""
        if self.files:
            self._run(self.random.choice([*self.files]))

    def crash(self) -> None:
        """A run of an old file that is killed."""
        if self.files:
            name = self.random.choice([*self.files])
            run = died(self.workspace, self.random.randint(1, 2), job=self._job(name))
            self.log.append(f"crash {name} {run and run.record.run_id}")

    def learn(self) -> None:
        """The platform comes to know half of the leads that it did not."""
        for lead in self.amounts:
            if not self._known(lead) and self.random.random() < 0.5:
                self.server.platform._leads[lead] = Lead("cmp_a")

    def mend(self) -> None:
        """Some rows of a to_fix.csv are mended, and it is given back; now and then with a link that was spoilt."""
        paths = sorted(self.workspace.folder.glob("results/job/*/to_fix.csv"))
        if not paths:
            return
        path = self.random.choice(paths)
        frame = pl.read_csv(path, infer_schema=False)
        cells = [
            self.amounts.get(lead, "") if self.random.random() < 0.7 else cell
            for lead, cell in frame.select("Lead", "Payout").iter_rows()
        ]
        frame = frame.with_columns(pl.Series("Payout", cells, dtype=pl.String))
        if self.spoils and self.random.random() < 0.3:
            lost = pl.int_range(pl.len()) == self.random.randrange(frame.height)
            frame = frame.with_columns(pl.when(~lost).then("batchpost_row").alias("batchpost_row"))
        if self.spoils and self.random.random() < 0.2:
            frame = pl.concat([frame, frame.tail(1)])
        mended = self.workspace.folder / f"mended-{len(self.log)}.csv"
        frame.write_csv(mended)
        self._run(str(mended))

    def retry(self) -> None:
        """Rows of a finished run go out once more, where nothing unfinished would be given up for it."""
        runs = all_runs(self.workspace.folder, {})
        finished = [run for run in runs if run.record.state == "finished" and list(run.folder.glob("outcomes.*"))]
        if not finished or any(run.record.unfinished for run in runs):
            return
        run = self.random.choice(finished)
        wanted = ("failed", "rejected", "not_attempted")
        path, rows = retry_rows(self.workspace.load(), run.folder, run.summary, wanted, due=run.due)
        if rows:
            self._run(str(path), retry=True)

    def forget(self) -> None:
        """All outcomes that may go are deleted."""
        self.log.append("forget")
        forget(all_runs(self.workspace.folder, {}), 0.0)

    def settle(self, choose: Callable[[str], Action]) -> None:
        """Every row without a known end is decided about; ``choose`` is given its lead."""
        for found in all_runs(self.workspace.folder, {}):
            with self.workspace.ledger() as ledger:
                standing = standing_of(ledger, found)
                for row in standing.rows(standing.open):
                    doubts = [doubt for doubt in standing.doubts[row["number"]] if doubt.state == "open"]
                    action = choose(str(row["transaction_id"]))
                    self.log.append(f"{action} {found.record.run_id} {row['number']} {row['transaction_id']}")
                    Resolutions(ledger).decide(doubts, action, "", is_event=self.route != "update-lead")

    def void(self) -> None:
        """An event that a run delivered is taken back by the platform; now and then it is due again then."""
        runs = all_runs(self.workspace.folder, {})
        if self.route == "update-lead" or not runs:
            return
        with self.workspace.ledger() as ledger:
            resolutions = Resolutions(ledger)
            sold = [one for run in runs for _, one in resolutions.delivered_of(run.record.run_id, range(12))]
            if sold:
                one = self.random.choice(sold)
                self.log.append(f"void {one.run_id} {one.row}")
                resolutions.decide([one], "voided", "")
                if self.random.random() < 0.4:
                    resolutions.decide([one._replace(state="voided")], "resend", "")

    # -- what is known -----------------------------------------------------------------------------------------------

    def fired(self) -> dict[str, list[str]]:
        """The amounts that the platform took for each lead."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for entry in self.server.effects:
            found[entry.transaction_id].append(f"{entry.body['revenue']:.2f}")
        return found

    def was_fired(self, lead: str) -> Action:
        """What somebody says of a lead who has asked the platform."""
        return "delivered" if lead in self.fired() else "not_delivered"

    def anything(self, _: str) -> Action:
        """What somebody says of a lead who has asked nobody."""
        return self.random.choice(("delivered", "not_delivered", "resend", "ignored"))

    def _rows(self, count: int) -> Table:
        """Rows of leads: new ones, some of which the platform does not know or whose cell is no amount; and ones that
        were in a file before."""
        leads, cells = [], []
        for _ in range(count):
            old = [lead for lead in self.amounts if lead not in leads]
            if old and self.random.random() < 0.3:
                leads.append(self.random.choice(old))
                cells.append(self.amounts[leads[-1]])
                continue
            leads.append(f"txn_{len(self.amounts):05}")
            self.amounts[leads[-1]] = f"{self.random.randint(1000, 9999) / 100:.2f}"
            cells.append(self.random.choice(RARE) if self.random.random() < 0.2 else self.amounts[leads[-1]])
            if self.random.random() < 0.75:
                self.server.platform._leads[leads[-1]] = Lead("cmp_a")
        return {"Lead": leads, "Payout": cells, "Email": [f"{lead}@mail.example.com" for lead in leads]}

    def _known(self, lead: str) -> bool:
        return lead in self.server.platform._leads

    def _job(self, name: str) -> Job:
        folder = self.workspace.folder
        return load_job(folder / "job.toml", workspace=folder, source=[str(folder / name)])

    def _run(self, name: str, **options: Any) -> None:
        kind = self.random.random()
        limit = self.random.randint(1, 3) if kind < 0.4 else math.inf
        if kind < 0.25:
            self.server.configure(faults=parse_faults("error=1"))  # with more than four in a row the circuit opens
        counts = not self.spoils or self.random.random() > 0.15
        self.server.config.events[REPEATABLE] = EventRule(conversion=counts, duplicates=True)
        summary = self.workspace.run(job=self._job(name), limit=limit, **options)
        self.server.configure(faults=parse_faults(""))
        self.log.append(f"run {name} {summary['run_id']} {summary['state']} {summary['reasons']}")
