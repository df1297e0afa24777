from __future__ import annotations

import json
import stat
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchpost.batch import Fingerprint
from batchpost.expectation import assess
from batchpost.finish import Written
from batchpost.firstpass import Plan, Total
from batchpost.history import History, Open
from batchpost.ledger import Ledger
from batchpost.ledgerrows import Fold, RunRecord, Uncertain
from batchpost.links import Links
from batchpost.model import Outcome, Settlement, Stop
from batchpost.places import Places
from batchpost.prepare import Prepared
from batchpost.recordshapes import Claim
from batchpost.runsummary import Run, finished_summary, running_summary, state_of, write_summary
from batchpost.summary import Books
from batchpost.tally import Tally
from batchpost.targets import Targets
from batchpost.timeline import Timeline
from tests.jobtexts import job_text, load

STARTED = 1_750_000_000.0
CLAIM = Claim(b"", b"", b"", "")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run of five rows, of which four are to be sent."""
    job = load(tmp_path, job_text())
    ledger = Ledger.in_memory()
    record = ledger.begin_run(RunRecord("r1", 0, "job", "running", "", (), job.route, False, "", STARTED))
    plan = Plan(tmp_path / "plan.arrow", files=[Fingerprint("in.csv", "ab", 99, 5)])
    plan.fates.codes += bytes([0, 0, 0, 0, plan.fates.code("invalid", "conflict")])
    at = Places(tmp_path / "ledger.db", tmp_path, test=False)
    targets = Targets(job, {"ORG": "org_1"})
    links = Links([], [], [])
    prepared = Prepared(job, at, ledger, targets, (), plan, [], b"", record, links)
    yield Run(prepared, record, tmp_path, tmp_path, time.monotonic())
    ledger.close()


def a_tally(**changes: Any) -> Tally:
    tally = Tally()
    tally.start(10.0, again=False)
    tally.start(10.5, again=True)
    tally.settle(Settlement(Outcome.DELIVERED, "conversion"))
    for name, value in changes.items():
        setattr(tally, name, value)
    return tally


def finished(run: Run, rows: dict[str, int], to_fix: int | None = 0) -> dict[str, Any]:
    return summed(run, Written(Books(Counter(rows)), to_fix=to_fix))


def summed(run: Run, written: Written, ended: int = 0, history: History | None = None) -> dict[str, Any]:
    assessment = assess(run.prepared.job.expect, written.books.counts, written.books.meant)
    return finished_summary(run, written, ended, history or History(), assessment, Timeline())


def test_the_books_balance_while_the_run_goes_on(run: Run) -> None:
    summary = running_summary(run, a_tally())
    rows = summary["rows"]
    assert rows.pop("read") == sum(rows.values()) == 5
    assert (rows["delivered"], rows["invalid"], rows["not_attempted"]) == (1, 1, 3)
    assert summary["reasons"] == {"conversion": 1, "conflict": 1, "under_way": 3}
    assert (summary["state"], summary["exit_code"]) == ("running", None)
    assert summary["requests"] == {"sent": 2, "retried": 1}


def test_a_summary_says_when_the_run_began_however_often_it_is_renewed(run: Run) -> None:
    assert running_summary(run, Tally())["started_at"] == "2025-06-15T15:06:40Z"
    assert finished(run, {})["started_at"] == "2025-06-15T15:06:40Z"
    assert finished(run, {})["finished_at"] > "2025-06-15T15:06:40Z"


def test_a_later_sitting_adds_to_what_an_earlier_one_noted(run: Run) -> None:
    run.earlier = {"duration_s": 1000.0, "http": {"200": 5, "401": 1}}
    run.started -= 30
    run.tally = a_tally(http={200: 2})
    summary = finished(run, {})
    assert summary["http"] == {"200": 7, "401": 1}
    assert 1030 <= summary["duration_s"] < 1060


def test_requests_are_counted_from_the_journal(run: Run) -> None:
    history = History(open={7: Open(CLAIM, attempts=2), 8: Open(CLAIM)}, starts=8)
    summary = summed(run, Written(), 3, history)
    assert summary["requests"] == {"sent": 8, "retried": 4}


def test_each_file_is_shown_with_its_rows_and_exact_money(run: Run) -> None:
    written = Written(money_by_source={"in.csv": {"revenue": Decimal("1250.5")}})
    run.prepared.plan.totals.append(Total(0, 5, 6, {"revenue": "1250.50"}))
    [source] = summed(run, written)["source"]
    assert source == {
        "path": "in.csv",
        "sha256": "ab",
        "bytes": 99,
        "rows": 5,
        "money": {"revenue": "1250.50"},
        "totals": [{"line": 6, "row": 5, "money": {"revenue": "1250.50"}}],
    }


def test_the_input_is_named_from_the_start(run: Run) -> None:
    [source] = running_summary(run, Tally())["source"]
    assert (source["path"], source["rows"], source["money"]) == ("in.csv", 5, {})


def test_what_is_tolerated_leaves_nothing_to_do(tmp_path: Path, run: Run) -> None:
    run.prepared.job = load(tmp_path, job_text(expect="reasons = { lead_not_found = 2, refused = 0 }"))
    written = Written(to_fix=2)
    written.books.count("rejected", "lead_not_found", 2, {})
    summary = summed(run, written)
    assert (summary["exit_code"], summary["tolerated"], summary["next"], summary["expected"]) == (0, 2, "", [])
    written.books.count("rejected", "refused", 1, {})
    summary = summed(run, written)
    assert (summary["exit_code"], summary["tolerated"]) == (1, 2)
    assert summary["next"] == f"batchpost run {run.prepared.job.path} --source {run.results}/to_fix.csv"
    assert summary["expected"] == ["1 of 3 rows are refused, and [expect] reasons tolerates 0"]


def test_what_earlier_runs_of_the_job_left_in_doubt_is_outstanding(run: Run) -> None:
    ledger = run.prepared.ledger
    for run_id, job in (("r0", "job"), ("r9", "another")):
        ledger.begin_run(RunRecord(run_id, 0, job, "finished", "", (), "x", False, "", STARTED))
    for run_id in ("r0", "r1", "r9"):
        ledger.fold(run_id, 1, [Fold.of((), (), [Uncertain(run_id.encode(), b"", 0)], ())])
    assert finished(run, {})["outstanding"] == {"r0": 1}


@pytest.mark.parametrize(
    ("stop", "state"),
    [
        (None, "finished"),
        (Stop("limit", "", 6), "stopped"),
        (Stop("unauthorized", "", 4), "stopped"),
        (Stop("interrupted", "", 130), "interrupted"),
        (Stop("interrupted", "", 143), "interrupted"),
    ],
)
def test_the_state_follows_from_why_the_run_ended(stop: Stop | None, state: str) -> None:
    assert state_of(stop) == state


@pytest.mark.parametrize(
    ("stop", "rows", "to_fix", "expected"),
    [
        (None, {"delivered": 3}, 0, ""),
        (Stop("limit", "enough", 6), {"failed": 1}, 3, "batchpost run {job}"),
        (Stop("unauthorized", "put it right", 4), {"failed": 1}, 3, "batchpost run {job}"),
        (Stop("max_failures", "see why", 4), {"failed": 1}, 3, "batchpost show r1"),
        (Stop("stop_when", "see why", 4), {}, 0, "batchpost show r1"),
        (None, {"failed": 1, "unknown": 1}, 3, "batchpost retry r1"),
        (None, {"unknown": 1}, 3, "batchpost resolve r1"),
        (None, {"invalid": 1}, 3, "batchpost run {job} --source {folder}/to_fix.csv"),
        (None, {"rejected": 1}, None, "batchpost export r1 --only invalid,rejected"),
    ],
)
def test_the_next_command_is_the_most_urgent_one(
    run: Run, stop: Stop | None, rows: dict[str, int], to_fix: int | None, expected: str
) -> None:
    run.stop = stop
    summary = finished(run, rows, to_fix)
    assert summary["next"] == expected.format(job=run.prepared.job.path, folder=run.results)
    assert (summary["stopped_by"], summary["message"]) == ((stop.cause, stop.message) if stop else (None, ""))
    assert summary["goes_on"] == (f"batchpost run {run.prepared.job.path}" if stop else "")


def test_a_summary_is_put_in_place_whole_and_private(tmp_path: Path, run: Run) -> None:
    write_summary(tmp_path, {"state": "running"})
    write_summary(tmp_path, running_summary(run, Tally()))
    path = tmp_path / "summary.json"
    assert json.loads(path.read_text())["ledger"] == {"id": run.prepared.ledger.id, "generation": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
