"""Looking up how a job stands: from its runs, wherever what they left is, to the answer and what a person does about
it. Nothing is sent, nothing is written, and the platform is not asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

from batchpost.jobends import Rules, Stood, decided_rows, how_rows_stand
from batchpost.jobruns import JobRuns, delivered_counts, job_runs
from batchpost.latest import ENTRIES
from batchpost.locks import holder, is_held
from batchpost.model import Outcome
from batchpost.named import JobNamed, named_sources
from batchpost.nextsteps import Commands, Step, next_steps
from batchpost.routes import ROUTES
from batchpost.rowends import MOVED, Ends, Picks, RunEnds, run_ends
from batchpost.status import Answer, answered

__all__ = ["JobStatus", "UnderWay", "Wanted", "job_status", "local_day", "local_today"]

_LOOKS = 3  # at a job of which a run ends while it is looked at


class UnderWay(NamedTuple):
    """A run that goes on right now: its process, since when, and its id, empty before it has one."""

    pid: int | None
    since: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files: those first read on this ``day``, and those named by ``sources``, paths as typed ``here``."""

    day: date | None = None
    sources: tuple[str, ...] = ()
    here: Path = Path()


@dataclass(frozen=True)
class JobStatus:
    """How a job stands. ``money`` names the field that is added up, empty where there is none; ``unseen`` are wanted
    files that no run has read; ``faults`` are, by number, runs whose ends cannot be read, and why."""

    named: JobNamed
    route: str
    money: str
    wanted: Wanted
    answer: Answer
    runs: Sequence[RunEnds]
    steps: Sequence[Step]
    under_way: UnderWay | None
    unseen: Sequence[str]
    faults: Mapping[int, str]

    @property
    def exit_code(self) -> int:
        """As :attr:`batchpost.status.Answer.exit_code`; not 0 where a wanted file was never read."""
        return self.answer.exit_code or (1 if self.unseen else 0)

    def run_id(self, number: int) -> str:
        """The id of the run of this number."""
        return self.runs[number].record.run_id


def local_today() -> date:
    """Today's day on this machine's calendar."""
    return local_day(time.time())


def local_day(moment: float) -> date:
    """The day of a moment (Unix seconds) on this machine's calendar."""
    return datetime.fromtimestamp(moment, UTC).astimezone().date()


def job_status(
    named: JobNamed, wanted: Wanted, *, again: Sequence[str] = (), day_of: Callable[[float], date] = local_day
) -> JobStatus:
    """How the job stands now. ``again`` are options that the next commands must say besides, or they would look
    elsewhere. Raises LedgerError, and UsageError for a source that there is not."""
    runs, stood = _looked_at(named)
    for _ in range(_LOOKS - 1):
        if MOVED not in stood.faults.values():
            break
        runs, stood = _looked_at(named)
    sources = named_sources(wanted.sources, stood.files, runs, named.workspace, wanted.here)
    answer = answered(
        *(stood, named.expect, day_of),
        lambda source: (
            wanted.day in (None, day_of(source.first_read)) and (not wanted.sources or source.number in sources.numbers)
        ),
    )
    return JobStatus(
        named,
        route=_route(named, runs),
        money=_money(named, runs),
        wanted=wanted,
        answer=answer,
        runs=runs,
        steps=next_steps(answer, runs, Commands(named.file, named.workspace, tuple(again)), sources.unseen),
        under_way=_under_way(named, runs),
        unseen=sources.unseen,
        faults=stood.faults,
    )


def _looked_at(named: JobNamed) -> tuple[list[RunEnds], Stood]:
    told = job_runs(named.at, named.name)
    runs = [run_ends(record, named.at, number) for number, record in enumerate(told.records)]
    is_event = ROUTES[_route(named, runs)].is_event
    rules = Rules(is_event, named.expect.conversion is not False, named.by_ids)
    contents = {content for run in runs if not run.known for content in run.record.contents}
    return runs, how_rows_stand(
        *(runs, told.decisions, Ends(runs, is_event=is_event), rules),
        delivered=delivered_counts(named.at, contents) if contents else {},
        voided=_voided_elsewhere(named, told) if rules.by_ids and is_event else None,
    )


def _voided_elsewhere(named: JobNamed, told: JobRuns) -> pl.DataFrame:
    """Other jobs' deliveries that were taken back, as far as their outcomes are still there."""
    runs = [run_ends(record, named.at, number) for number, record in enumerate(told.other_records.values())]
    taken = decided_rows([one for one in told.others if one.outcome != Outcome.DELIVERED], runs)
    place = ["run", "file", "row"]
    rows = Ends(runs).picked(range(len(runs)), Picks(places=taken))
    return rows.join(taken, on=place).select(
        pl.lit(0, ENTRIES["source"]).alias("source"),
        "row",
        pl.lit(-1, pl.Int64).alias("run"),
        *(pl.col("now").alias("outcome"), pl.col("now_reason").alias("reason"), "amount", "key"),
        pl.col("voided").alias("until"),
    )


def _route(named: JobNamed, runs: Sequence[RunEnds]) -> str:
    return named.job.route if named.job else runs[-1].record.route


def _money(named: JobNamed, runs: Sequence[RunEnds]) -> str:
    """The field of the row's amount: the first of the route's money fields that is mapped."""
    if named.job is not None:
        return next(iter(named.job.money_fields), "")
    fields = (field for run in reversed(runs) for field in run.summary.get("money") or ())
    return next(fields, "")


def _under_way(named: JobNamed, runs: Sequence[RunEnds]) -> UnderWay | None:
    """The run that goes on right now, also one that is still reading its input. Only where a process has left its name
    is it asked whether it is still there."""
    run_id = next((run.record.run_id for run in runs if run.held), "")
    lock = f"run {run_id}" if run_id else f"job {named.name}"
    found = holder(named.at.locks, lock)
    if not run_id and (found is None or not is_held(named.at.locks, lock)):
        return None
    pid = (found or {}).get("pid")
    return UnderWay(pid if isinstance(pid, int) else None, str((found or {}).get("since", "")), run_id)
