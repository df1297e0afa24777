"""``summary.json`` of one run: renewed while it goes, complete at its end."""

from __future__ import annotations

import json
import shlex
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchpost.expectation import Assessment
from batchpost.files import replaced
from batchpost.finish import Written
from batchpost.history import History
from batchpost.layout import instant
from batchpost.ledgerrows import RunRecord
from batchpost.locks import operation_locks
from batchpost.model import Outcome, Stop
from batchpost.planbooks import source_part
from batchpost.prepare import Prepared
from batchpost.resolutions import Resolutions
from batchpost.summary import TROUBLE, Books, exit_code, next_command, percentiles
from batchpost.tally import Tally
from batchpost.timeline import Timeline

__all__ = ["Run", "finished_summary", "running_summary", "state_of", "write_summary"]

_LOOK_FIRST = ("max_failures", "stop_when")  # the message says that it went wrong, and the rows have to say why
_RECENT = 2_000  # attempts whose latencies stand in the summary while a run goes on


@dataclass(slots=True)
class Run:
    """One run under way: what is known of it from its start to its summary.

    ``folder`` is its private one (journal, spool), ``started`` a monotonic instant, ``told`` makes a next command one
    about this run, ``earlier`` is the summary that an earlier sitting left; ``facts`` and ``decided`` (rows by outcome
    and reason, as planned) are what stays as it is while the run goes on, from when its summary was first made.
    """

    prepared: Prepared
    record: RunRecord
    folder: Path
    results: Path
    started: float
    told: Callable[[str], str] = str
    earlier: dict[str, Any] = field(default_factory=dict)
    stop: Stop | None = None
    tally: Tally = field(default_factory=Tally)
    facts: dict[str, Any] = field(default_factory=dict)
    decided: dict[tuple[str, str], int] = field(default_factory=dict)


def state_of(stop: Stop | None) -> str:
    """The state of a run that ended: by a signal it is interrupted, by anything else stopped."""
    if stop is None:
        return "finished"
    return "interrupted" if stop.exit_code in (130, 143) else "stopped"


def running_summary(run: Run, tally: Tally) -> dict[str, Any]:
    """The summary of a run that is still going: what is settled so far, the rest as not attempted.

    It is made every second beside the sending, so it costs the same however long the run and the ledger are.
    """
    books = Books()
    run.facts = run.facts or _facts(run, "running")
    run.decided = run.decided or run.prepared.plan.fates.counts()
    left = run.decided.get(("", ""), 0) - tally.settled
    for (outcome, reason), count in run.decided.items():
        if outcome:
            books.rows[outcome] += count
            books.reasons[reason] += count
    books.rows.update({outcome.value: count for outcome, count in tally.outcomes.items()})
    books.reasons.update(tally.reasons)
    books.rows[Outcome.NOT_ATTEMPTED] += left
    return {
        **run.facts,
        "duration_s": _duration(run),
        "rows": books.rows_part(),
        "reasons": {**books.reasons, **({"under_way": left} if left else {})},
        **_sending(run, tally, tally.requests, tally.retried, tally.latencies[-_RECENT:]),
        "source": source_part(run.prepared.plan, {}),
        "next": run.told(_goes_on(run)),
        "goes_on": run.told(_goes_on(run)),
    }


def finished_summary(
    run: Run, written: Written, ended: int, history: History, assessment: Assessment, timeline: Timeline
) -> dict[str, Any]:
    """The summary of a run at the end of a sitting, with ``ended`` rows settled; requests and ``timeline`` are those of
    all its sittings."""
    sent = history.starts
    rows_sent = ended + sum(row.attempts > 0 for row in history.open.values())
    books = written.books
    return {
        **_facts(run, state_of(run.stop)),
        "stopped_by": run.stop.cause if run.stop else None,
        "exit_code": exit_code(books, *([run.stop.exit_code] if run.stop else []), assessment=assessment),
        "rows": books.rows_part(),
        "reasons": dict(sorted(books.reasons.items())),
        "money": books.money_part(),
        "books": books.books_part(),
        "tolerated": assessment.rows,
        "expected": list(assessment.unmet),
        **_sending(run, run.tally, sent, sent - rows_sent, run.tally.latencies),
        "timeline": timeline.as_dict(history.seconds),
        "source": source_part(run.prepared.plan, written.money_by_source),
        "to_fix": written.to_fix,
        "corrections": written.corrections,
        "finished_at": instant(run.prepared.edge.wall()),
        "next": run.told(_next(run, books, written, assessment)),
        "goes_on": run.told(_goes_on(run)) if run.stop else "",
        "message": run.stop.message if run.stop else "",
    }


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Put the summary in place, whole; raises OSError."""
    with replaced(folder / "summary.json") as file:
        file.write(json.dumps(summary, indent=2).encode() + b"\n")


def _facts(run: Run, state: str) -> dict[str, Any]:
    prepared = run.prepared
    ledger = prepared.ledger
    return {
        "run_id": run.record.run_id,
        "job": prepared.job.name,
        "job_file": str(prepared.job.path),
        "test": prepared.at.test,
        "route": prepared.job.route,
        "state": state,
        "stopped_by": None,
        "exit_code": None,
        "mends": bool(prepared.plan.links),
        "continued": prepared.continued,
        "settled_before": prepared.settled_before,
        "abandoned": [record.run_id for record in prepared.abandoned],
        "tolerated": 0,
        "expected": [],
        "outstanding": _outstanding(run),
        "locks": operation_locks(prepared.job.api.origin, prepared.plan.campaigns, is_event=prepared.job.spec.is_event),
        "ledger": {"id": ledger.id, "generation": ledger.generation},
        "started_at": instant(run.record.started_at),
        "duration_s": _duration(run),
    }


def _duration(run: Run) -> float:
    """Seconds, those of earlier sittings with them."""
    before: float = run.earlier.get("duration_s", 0.0)
    return round(before + run.prepared.edge.clock() - run.started, 3)


def _sending(run: Run, tally: Tally, sent: int, retried: int, latencies: array[float]) -> dict[str, Any]:
    http = Counter({str(status): count for status, count in tally.http.items()})
    http.update(run.earlier.get("http", {}))
    return {
        "requests": {"sent": sent, "retried": retried},
        "http": dict(sorted(http.items())),
        "latency_ms": percentiles(latencies),
        "rate": {
            "target": run.prepared.job.delivery.rate,
            "mean": round(tally.requests / max(1.0, tally.seconds), 2),
            "peak": tally.peak,
        },
        "sending_s": round(tally.seconds, 3),
    }


def _outstanding(run: Run) -> dict[str, int]:
    """How many rows of this job's earlier runs have no known end to this day, by run."""
    own = {record.run_id for record in run.prepared.ledger.runs(run.record.job)} - {run.record.run_id}
    outstanding = Resolutions(run.prepared.ledger).outstanding()
    return {run_id: len(rows) for run_id, rows in outstanding.items() if run_id in own}


def _next(run: Run, books: Books, written: Written, assessment: Assessment) -> str:
    """The command to type next; empty where nothing is left to do, or nothing but what is tolerated. Where a person
    has to find out first why a run was stopped, it is the one that shows that: it tells how to go on as well."""
    job, run_id = run.prepared.job.path, run.record.run_id
    if run.stop is not None:
        return f"batchpost show {run_id}" if run.stop.cause in _LOOK_FIRST else _goes_on(run)
    left = Counter(books.rows)
    for (outcome, reason), rows in books.counts.items():
        if reason in assessment.tolerated and outcome in TROUBLE:
            left[outcome] -= rows
    to_fix = written.to_fix if left[Outcome.INVALID] or left[Outcome.REJECTED] else None
    return next_command(left, run_id, job, run.results, to_fix)


def _goes_on(run: Run) -> str:
    return shlex.join(["batchpost", "run", str(run.prepared.job.path)])
