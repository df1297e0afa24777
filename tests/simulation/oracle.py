"""What must hold after every history, whatever happened in it: the promises of ``docs/guarantees.md``.

It looks at what the platform did, at what the runs wrote and at what the ledger says, and compares.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import polars as pl

from batchpost.errors import CutShort, LedgerError, Locked, UsageError
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.verify import differences
from tests.simulation.cases import Case
from tests.simulation.history import History, Sat
from tests.simulation.machine import LEDGER
from tests.simulation.platform import TAKEN, Attempt

__all__ = ["broken_promises"]

_DELIVERED = {"delivered", "already_delivered"}
_EDGE = 1e-6


@dataclass(frozen=True)
class Run:
    """A run as it stands in the register, with its books."""

    record: RunRecord
    case: Case
    summary: dict[str, Any]
    outcomes: pl.DataFrame

    def operations(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """Each row's operation, outcome and reason."""
        for lead, outcome, reason in self.outcomes.select("transaction_id", "outcome", "reason").iter_rows():
            yield self.case.operation(lead), outcome, reason


def broken_promises(history: History) -> list[str]:
    """A sentence for each promise that a history broke; empty where all were kept."""
    runs = list(_runs(history))
    return [
        *history.complaints,
        *(f"sent without a claim on disk: {what}" for what in history.machine.platform.unclaimed),
        *(["two requests at once on one connection"] if history.machine.platform.shared else []),
        *_ends(history),
        *_once(history, runs),
        *_books(history, runs),
        *_order(history, runs),
        *_rate(history),
        *_pauses(history),
        *_lost(history, runs),
        *_bounds(history, runs),
    ]


def _runs(history: History) -> Iterator[Run]:
    root = history.machine.root
    cases = {case.name: case for case in history.cases}
    with closing(Ledger.open(root / LEDGER, must_exist=True)) as ledger:
        records = ledger.runs()
    for record in records:
        folder = root / "results" / record.job / record.run_id
        summary = json.loads((folder / "summary.json").read_text()) if (folder / "summary.json").exists() else {}
        path = folder / "outcomes.csv"
        outcomes = pl.read_csv(path, infer_schema=False, empty_string_is_null=False) if path.exists() else _NOTHING
        yield Run(record, cases[record.job], summary, outcomes)


_NOTHING = pl.DataFrame(schema=dict.fromkeys(("transaction_id", "outcome", "reason"), pl.String))


def _ends(history: History) -> Iterator[str]:
    """Every sitting ends in order, or says in our own words why not, with the exit code of the contract."""
    for sat in history.sat:
        error = sat.ended.error
        expected = (*((CutShort, LedgerError) if sat.disk_full else ()), *([Locked] if sat.inside else []))
        if sat.of is not None and "a retry would give it up" in str(error):  # it gives up no run that is not finished
            expected = (*expected, UsageError)
        if error is not None and not isinstance(error, expected):
            yield f"sitting {sat.number} of {sat.night.case.name}: {type(error).__name__}: {error}"
        if sat.ended.summary:
            yield from _code(sat)


def _code(sat: Sat) -> Iterator[str]:
    rows, code = sat.ended.summary["rows"], sat.ended.code
    trouble = sum(rows[name] for name in ("invalid", "rejected", "failed"))
    due = 3 if rows["unknown"] else 1 if trouble else 0
    stopped = sat.ended.summary["stopped_by"] is not None
    if stopped != (code in (4, 6, 69, 130, 143)) or (not stopped and code != due):
        yield f"sitting {sat.number}: exit code {code} for {rows}"
    if not stopped and rows["not_attempted"]:
        yield f"sitting {sat.number}: finished with rows not attempted"


def _once(history: History, runs: list[Run]) -> Iterator[str]:
    """An event that is told delivered has exactly one side effect, an unknown one at most one, any other none."""
    effects, voids = history.machine.platform.effects, history.machine.platform.voids
    sent = Counter(attempt.operation for attempt in history.machine.platform.attempts if attempt.sent)
    crashed = any(sat.ended.crashed for sat in history.sat)
    told: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for run in runs:
        for operation, outcome, reason in run.operations():
            told[operation].add(outcome)
            # After two requests of ours, or a crash, nobody can tell whether it was the first of them or a stranger's.
            unsure = operation[1].startswith(TAKEN) and (sent[operation] > 1 or crashed)
            if outcome in _DELIVERED and not effects[operation] and not unsure:
                yield f"{run.record.run_id}: {operation} is {outcome}: {reason}, but nothing had an effect"
            once = range(1, 2 + voids[operation])
            if outcome == "delivered" and operation[0] == "event" and effects[operation] not in once:
                yield f"{operation} is delivered and fired {effects[operation]} times"
    for operation, count in effects.items():
        if operation[0] == "event" and count > 1 + voids[operation]:
            yield f"{operation} fired {count} times"
        harmless = {"failed", "not_attempted"} if operation[0] == "update" else set()
        stands = count > voids[operation]  # what was decided, then voided, while its run went on is just skipped
        if stands and not told[operation] & {*_DELIVERED, "unknown", *harmless}:
            yield f"{operation} had its effect, and no run tells it: {told[operation]}"
    yield from _redistributed(history)


def _redistributed(history: History) -> Iterator[str]:
    """An update that could sell its lead twice has its effect once a row and content."""
    careful = {case.name for case in history.cases if case.redistributes}
    sat = {one.number: one for one in history.sat}
    fired: Counter[object] = Counter()
    for arrival in history.machine.platform.arrivals:
        night = sat[arrival.sitting].night
        if night.case.name in careful:
            fired[night.case.name, night.number, arrival.row] += 1
    for (job, number, row), count in fired.items():
        if count > 1:
            yield f"{job}, night {number}, row {row} was sent {count} times and could have sold its lead again"


def _books(history: History, runs: list[Run]) -> Iterator[str]:
    """What a finished run wrote agrees with itself, and with the requests that were seen."""
    attempts = Counter(history.machine.run_of.get(one.sitting, "") for one in history.machine.platform.attempts)
    broken_off = {history.machine.run_of.get(one.number) for one in history.sat if one.ended.crashed or one.disk_full}
    for run in runs:
        folder = history.machine.root / "results" / run.record.job / run.record.run_id
        if run.record.state == "running":
            yield f"{run.record.run_id} is still running"
        if run.summary.get("state") in ("finished", "stopped", "interrupted"):
            for difference in differences(folder, run.summary):
                yield f"{run.record.run_id}: {difference}"
            sent = run.summary["requests"]["sent"]
            seen = attempts[run.record.run_id]
            if sent != seen and run.record.run_id not in broken_off:
                yield f"{run.record.run_id}: the books say {sent} requests, the platform {seen}"


def _order(history: History, runs: list[Run]) -> Iterator[str]:
    """Updates of a lead reach the platform in file order, and never an older one after a newer."""
    seq = {run.record.run_id: run.record.seq for run in runs}
    sat = {one.number: one for one in history.sat}
    last: dict[tuple[str, ...], tuple[tuple[str, int], int, int]] = {}
    for arrival in history.machine.platform.arrivals:
        if arrival.operation[0] != "update":
            continue
        night = sat[arrival.sitting].night
        content = (night.case.name, night.number)
        run_id = sat[arrival.sitting].of or history.machine.run_of[arrival.sitting]
        place = (content, seq[run_id], arrival.row)
        before = last.get(arrival.operation)
        last[arrival.operation] = place
        if before and (before[1] > place[1] or (before[0] == content and before[2] > place[2])):
            yield f"{arrival.operation}: {place} came after {before}"


def _rate(history: History) -> Iterator[str]:
    """At most ``rate`` requests of a job start in any one-second window."""
    rates = {case.name: case.rate for case in history.cases}
    by_job: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in history.machine.platform.attempts:
        by_job[attempt.job].append(attempt)
    for job, attempts in by_job.items():
        starts = sorted(attempt.at for attempt in attempts)
        rate = rates[job]
        for first, beyond in zip(starts, starts[rate:], strict=False):
            if beyond - first < 1 - _EDGE:
                yield f"{job}: more than {rate} requests within a second, at {first:.3f}"
                break


def _pauses(history: History) -> Iterator[str]:
    """Nothing starts in a sitting while a ``Retry-After`` that it was told lasts."""
    starts: dict[int, list[float]] = defaultdict(list)
    for attempt in history.machine.platform.attempts:
        starts[attempt.sitting].append(attempt.at)
    for pause in history.machine.platform.pauses:
        until = pause.at + pause.seconds - _EDGE
        if early := [at for at in starts[pause.sitting] if pause.at < at < until]:
            yield f"sitting {pause.sitting}: told at {pause.at:.3f} to wait {pause.seconds} s, sent at {early[0]:.3f}"


def _lost(history: History, runs: list[Run]) -> Iterator[str]:
    """Every row of a finished run's input is told once, in its order; what the last nights had is all seen to."""
    night_of = {history.machine.run_of.get(sat.number): sat.night for sat in history.sat if sat.of is None}
    last = {run.case.name: run for run in runs if run.summary.get("state") == "finished"}
    for run in runs:
        night = night_of.get(run.record.run_id)
        told = run.outcomes["transaction_id"].to_list()
        if night and run.summary.get("state") == "finished" and told != [row[0] for row in night.rows]:
            yield f"{run.record.run_id}: {len(told)} rows are told, and {len(night.rows)} were in its input"
    for run in last.values():
        if left := {
            name: run.summary["rows"][name] for name in ("failed", "not_attempted") if run.summary["rows"][name]
        }:
            yield f"{run.record.run_id}: in the end all is calm, and {left} is left"


def _bounds(history: History, runs: list[Run]) -> Iterator[str]:
    """What a crash leaves unknown is bounded: ``concurrency`` rows a kill, three times that a power cut."""
    for case in history.cases:
        allowed = 0
        for sat in history.sat:
            if sat.night.case is case:
                allowed += case.concurrency * (3 if sat.power_cut else 1) if sat.ended.crashed or sat.disk_full else 0
        doubted = {
            operation
            for run in runs
            if run.case is case
            for operation, outcome, reason in run.operations()
            if (outcome, reason) == ("unknown", "in_doubt")
        }
        answered = {
            operation
            for run in runs
            if run.case is case
            for operation, outcome, reason in run.operations()
            if outcome == "unknown" and reason != "in_doubt"
        }
        if len(doubted - answered) > allowed and case.kind == "repeats":
            yield f"{case.name}: {len(doubted - answered)} operations in doubt, {allowed} allowed"
