"""The one place that knows the whole way: lock, ledger, plan, journal, delivery, fold, results, summary."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from batchpost.compare import waiting_rows
from batchpost.corrections import Conflicts
from batchpost.crashed import write_crashed
from batchpost.edge import WORLD, Edge
from batchpost.ended import EndedRows
from batchpost.errors import CutShort, InputChanged, InputRefused, JournalError, LedgerError, UsageError, told_by_system
from batchpost.expectation import assess
from batchpost.files import private_folder
from batchpost.finish import Written, write_results
from batchpost.fold import fold_run
from batchpost.history import Open
from batchpost.identity import Identity
from batchpost.job import Job
from batchpost.journal import sitting_files
from batchpost.keptplan import keep
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.leftovers import clear_finished, clear_run
from batchpost.locks import Locks, operation_locks, remove_lock, what_of
from batchpost.outcomes import Ends
from batchpost.places import Places, open_ledger, places, read_summary
from batchpost.planbooks import unmet_of
from batchpost.prepare import Prepared, fold_dead_runs, folding, prepare
from batchpost.pulse import Doing, Pulse
from batchpost.resolutions import Resolutions
from batchpost.runsummary import Run, finished_summary, running_summary, state_of, write_summary
from batchpost.send import Sitting, fires_again, send, stopped_by
from batchpost.takeup import SettledFates, note
from batchpost.tally import Tally
from batchpost.targets import Targets
from batchpost.timeline import Timeline

__all__ = ["Options", "Watcher", "run_job"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says beyond the job. ``until`` is a monotonic instant, ``wait`` seconds for a lock;
    ``retry``: the input is rows of an earlier run as they were; ``pause``: seconds that the first request keeps away
    from the last one of the job's earlier runs, which could be in the same one-second window; ``told``: a next command
    with what it must say besides, to be about the same run."""

    limit: float = math.inf
    until: float = math.inf
    wait: float = 0.0
    new_run: bool = False
    new_ledger: bool = False
    retry: bool = False
    pause: float = 1.1
    told: Callable[[str], str] = str


class Watcher(Protocol):
    """Who looks on: the terminal, or a log."""

    def planned(self, prepared: Prepared) -> None:
        """The plan stands; nothing was sent yet. May raise BatchpostError to end the run here."""

    def doing(self, what: str, rows: int = 0, /) -> None:
        """What it is at before and after it sends (see :class:`batchpost.pulse.Doing`)."""

    def progress(self, tally: Tally, pulse: Pulse) -> None:
        """About once a second while sending, and once when that is over."""


def run_job(
    job: Job, options: Options, environ: Mapping[str, str], watcher: Watcher, edge: Edge = WORLD
) -> dict[str, Any]:
    """Plan a job and send it, going on with its unfinished run if there is one; returns the summary.

    Raises BatchpostError for what stops it before the first request, and CutShort for a ledger or a disk that takes no
    more after it.
    """
    at = places(job, environ)
    targets = Targets(job, environ)
    with Locks(at.locks, wait=options.wait) as locks, _opened(job, at, locks, options, edge) as ledger:
        with _spool(at, job) as spool:
            prepared = prepare(
                *(job, at, ledger, targets),
                spool=spool,
                lock_campaigns=lambda campaigns: _lock_campaigns(locks, job, campaigns, ledger, at, options, edge),
                new_run=options.new_run,
                retry=options.retry,
                edge=edge,
                doing=watcher.doing,
            )
            _refuse_to_give_up(prepared, options)
            _refuse_the_unexpected(prepared)
            watcher.planned(prepared)
            quiet_until = _quiet_until(prepared, options.pause)
            run = _enter(prepared, options)
        with folding(at):
            locks.take(f"run {run.record.run_id}", f"the run {run.record.run_id}")
        with _under_way(run):
            return _sit(run, options, watcher, quiet_until)


@contextmanager
def _opened(job: Job, at: Places, locks: Locks, options: Options, edge: Edge) -> Iterator[Ledger]:
    """The job's ledger, with nobody else at the job and all in it that dead runs left."""
    locks.take(f"job {job.name}", f"the job {job.name}")
    if job.spec.is_event:
        [events] = operation_locks(job.api.origin, (), is_event=True)
        locks.take(events, what_of(events))
    must_exist = job.ledger.must_exist
    with closing(open_ledger(at, must_exist=must_exist, new_ledger=options.new_ledger, edge=edge)) as ledger:
        fold_dead_runs(ledger, at, edge, new_ledger=options.new_ledger)
        clear_finished(ledger, at, job.name)
        yield ledger


@contextmanager
def _spool(at: Places, job: Job) -> Iterator[Path]:
    """Where the plan is until its run has a folder of its own; whatever is still there in the end is removed."""
    folder = private_folder(at.run(f"next-{job.name}"), own=2)
    try:
        yield folder / "plan.arrow"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lock_campaigns(
    locks: Locks, job: Job, campaigns: set[str], ledger: Ledger, at: Places, options: Options, edge: Edge
) -> None:
    if not job.spec.is_event:
        for name in operation_locks(job.api.origin, campaigns, is_event=False):
            locks.take(name, what_of(name))
        fold_dead_runs(ledger, at, edge, new_ledger=options.new_ledger)  # the one that held them may have died since


def _refuse_to_give_up(prepared: Prepared, options: Options) -> None:
    """Raises UsageError for a retry that would give up an unfinished run with rows that were never tried."""
    if not options.retry or options.new_run or not prepared.abandoned:
        return
    run_id = prepared.abandoned[0].run_id
    summary = read_summary(prepared.at.results / run_id) or {}
    command = summary.get("goes_on") or summary.get("next") or f"batchpost run {prepared.job.path}"
    raise UsageError(
        f"The run {run_id} of this job is not finished, and a retry would give it up. Finish it with `{command}`, or "
        f"give it up with `batchpost abandon {run_id}` (or `batchpost run --new-run`)"
    )


def _refuse_the_unexpected(prepared: Prepared) -> None:
    """Raises InputRefused where the input is not what ``[expect]`` says."""
    if unmet := unmet_of(prepared):
        names = ", ".join(file.path for file in prepared.plan.files)
        hint = f"If it is right all the same, change [expect] in {prepared.job.path} and run again"
        raise InputRefused(names, f"not what the job expects: {'; '.join(unmet)}", hint=hint)


def _quiet_until(prepared: Prepared, pause: float) -> float:
    """The monotonic instant before which nothing may start: ``pause`` seconds after the latest moment at which a run
    of this job could have started a request. That is its end, or where it died the last write to its journal."""
    records = prepared.ledger.runs(prepared.job.name)
    ended = [record.finished_at or 0.0 for record in records]
    dead = [record.run_id for record in records if record.unfinished]
    written = [file.stat().st_mtime for run_id in dead for file in sitting_files(prepared.at.run(run_id))]
    quiet = max([0.0, *ended, *written]) + pause - prepared.edge.wall()
    return prepared.edge.clock() + min(max(quiet, 0.0), pause)  # the clock may have been set back since


def _enter(prepared: Prepared, options: Options) -> Run:
    """Enter the run into the register, give up the ones that do not fit any more, and lay out its folders."""
    for old in prepared.abandoned:
        written = _close_books(prepared, old)
        prepared.ledger.end_run(old.run_id, "abandoned", old.exit_code)
        remove_lock(prepared.at.locks, f"run {old.run_id}")
        if written:  # not before the register says so: without its journal the run must not be gone on with
            shutil.rmtree(prepared.at.run(old.run_id), ignore_errors=True)
    if not prepared.continued:
        prepared.run = prepared.ledger.begin_run(prepared.run)
    run_id = prepared.run.run_id
    folder = private_folder(prepared.at.run(run_id), own=2)
    prepared.plan.spool = prepared.plan.spool.replace(folder / "plan.arrow")
    prepared.plan.save(folder)
    keep(prepared.plan, folder, prepared.mark)
    Resolutions(prepared.ledger).wait_for(run_id, waiting_rows(prepared.plan, prepared.job))
    results = private_folder(prepared.at.results / run_id, own=2)
    earlier = read_summary(results) or {}
    return Run(prepared, prepared.run, folder, results, prepared.edge.clock(), options.told, earlier)


def _close_books(prepared: Prepared, old: RunRecord) -> bool:
    """Results for a run that died and will not be continued, from what it left; not its to_fix.csv, as its input may
    be another by now. Where what it left is damaged it stays for a person to look at (False): the ledger has what
    counts."""
    folder = prepared.at.run(old.run_id)
    if old.state == "running" and (folder / "fates.bin").exists():
        try:
            results = private_folder(prepared.at.results / old.run_id, own=2)
            write_crashed(prepared.job, old.run_id, folder, results, boot=prepared.edge.boot)
        except (LedgerError, OSError, ValueError):
            return False
    return True


@contextmanager
def _under_way(run: Run) -> Iterator[None]:
    """Tells what the ledger or the disk refuses as the end of a run that had begun; raises CutShort."""
    try:
        yield
    except (LedgerError, OSError) as error:
        what = told_by_system(error) if isinstance(error, OSError) else str(error)
        were = "were" if run.tally.requests or run.prepared.settled_before else "may have been"
        raise CutShort(
            f"{what}. Rows of the run {run.record.run_id} {were} sent; its journal has what became of them, and the "
            "next run goes on from there"
        ) from error


def _sit(run: Run, options: Options, watcher: Watcher, quiet_until: float) -> dict[str, Any]:
    prepared = run.prepared
    header = _header(prepared, [file.stat().st_size for file in sitting_files(run.folder)])
    file = prepared.edge.create_sitting(run.folder)

    async def watch(tally: Tally, pulse: Pulse) -> None:
        await prepared.edge.run_blocking(partial(write_summary, run.results, running_summary(run, tally)))
        watcher.progress(tally, pulse)

    sitting = Sitting(
        *(header, watch, prepared.plan.to_send), rows=options.limit, until=options.until, quiet_until=quiet_until
    )
    prepared.ledger.end_run(run.record.run_id, "running", None)
    try:
        run.stop, run.tally, pulse = send(prepared, file, str(run.folder), sitting)
        watcher.progress(run.tally, pulse)
    except JournalError as error:
        run.stop = stopped_by(error)
    return _finish(run, watcher.doing)


def _header(prepared: Prepared, before: list[int]) -> dict[str, object]:
    """``before``: the sizes of the files of earlier sittings."""
    job, plan = prepared.job, prepared.plan
    rows = [file.rows for file in plan.files]
    return {
        "run_id": prepared.run.run_id,
        "before": before,
        "job": job.name,
        "seq": prepared.run.seq,
        "is_event": job.spec.is_event,
        "fires_again": fires_again(job),
        "input": prepared.content.hex(),
        "contents": [(content.hex(), count) for content, count in zip(prepared.contents, rows, strict=True)],
        "linked": [(content.hex(), count) for content, count in prepared.links.contents],
        "links": prepared.links.rows,
        "orders": [order and (order.seq, order.number, order.content.hex()) for order in prepared.links.orders],
    }


def _ends(run: Run, ended: EndedRows, left_open: Mapping[int, Open]) -> Ends:
    """What the plan does not know. Rows whose unknown end a person settled between two sittings, and that got no such
    end in this one, end as planned, or were not attempted."""
    prepared, resolved = run.prepared, set[int]()
    if prepared.resolved:
        resolved = prepared.resolved & Resolutions(prepared.ledger).settled_of(run.record.run_id)
        left_open = {row: left for row, left in left_open.items() if row not in resolved}
    cause = run.stop.cause if run.stop else "finished"
    return Ends(ended, left_open, cause, frozenset(run.tally.held_pids), resolved)


def _finish(run: Run, doing: Doing) -> dict[str, Any]:
    """The ledger, then the results, then the summary: each is right on its own if the next one fails."""
    prepared, run_id = run.prepared, run.record.run_id
    settled, timeline = SettledFates(prepared.plan.rows), Timeline()
    rows = 0
    with EndedRows(run.folder) as ended:

        def collect(frame: pl.DataFrame) -> None:
            nonlocal rows
            doing("taking the run into the ledger", rows := rows + frame.height)
            ended.add(frame)
            timeline.add(frame)
            if run.stop is not None:  # there will be another sitting
                settled.add(frame)

        history = fold_run(prepared.ledger, run_id, sitting_files(run.folder), collect, boot=prepared.edge.boot)
        written = _write(run, _ends(run, ended, history.open), doing)
        rows_ended = ended.height
    if run.stop is not None:
        note(run.folder, history, settled.fates)
    if run.stop is None:
        named = zip(prepared.plan.files, prepared.contents, strict=True)
        prepared.ledger.finish_contents([content for file, content in named if file.path not in written.unfinished])
    books, mends = written.books, bool(prepared.plan.links)
    assessment = assess(prepared.job.expect, books.counts, books.meant, mends=mends)
    summary = finished_summary(run, written, rows_ended, history, assessment, timeline)
    write_summary(run.results, summary)
    prepared.ledger.end_run(
        run_id, state_of(run.stop), summary["exit_code"]
    )  # last: until then the next run makes these files anew
    if run.stop is None:
        clear_run(prepared.at, run_id)
    return summary


def _write(run: Run, ends: Ends, doing: Doing) -> Written:
    """The results; where the input has changed, those that can be made without it."""
    prepared, ledger = run.prepared, run.prepared.ledger
    identity = Identity(ledger.hash_key, prepared.job.api.origin, is_event=True, kind=ledger.hash_kind)
    conflicts = Conflicts(prepared.corrections, identity)
    arguments = (run.results, run.record.run_id, prepared.job, prepared.plan)
    try:
        return write_results(*arguments, prepared.readers, ends, conflicts, doing=doing)
    except InputChanged:
        written = write_results(*arguments, (), ends, conflicts)
        written.to_fix = None
        return written
