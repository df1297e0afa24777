"""Everything before the first request: which files, what the plan says, which run it is, what the ledger knows.

Used by ``plan`` (which stops here) and by ``run`` (which goes on).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from batchpost.compare import Correction, Position, compare
from batchpost.edge import WORLD, Edge
from batchpost.errors import JobError, NoInput
from batchpost.fates import SEND
from batchpost.firstpass import Plan, read_input
from batchpost.fold import fold_run
from batchpost.history import History
from batchpost.identity import Identity
from batchpost.job import Job
from batchpost.jobfile import check_columns
from batchpost.jobview import config_fingerprint, fingerprint
from batchpost.journal import sitting_files
from batchpost.keptplan import kept, mark_of, sha256_of
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.links import Links, resolve
from batchpost.locks import Locks, is_held
from batchpost.model import Outcome
from batchpost.places import Places, read_summary
from batchpost.pulse import Doing, unseen
from batchpost.resolutions import Resolutions
from batchpost.source import InputFile, Reader, find_files, names_one_file, open_input
from batchpost.takeup import take_up
from batchpost.targets import Targets
from batchpost.transport import Origin

__all__ = ["Prepared", "fold_dead_runs", "folding", "new_run_id", "open_readers", "prepare"]

_ALL = 'With take = "all" they are read again, and what was delivered is not sent again'
_LONGEST_FOLD = 600.0  # seconds: a journal of ten million rows takes about one minute


@dataclass(slots=True)
class Prepared:
    """A job ready to be sent, or to be looked at.

    ``run`` is the register's entry (sequence number 0 before it is entered); ``mark`` that of the first pass (see
    :mod:`batchpost.keptplan`); ``continued`` the unfinished run that this one goes on with; ``settled_before`` how many
    rows its journal says the end of, and ``history`` what else it holds; ``abandoned`` unfinished runs of the job that
    do not fit this input any more; ``resolved`` the rows whose unknown end was settled since.
    """

    job: Job
    at: Places
    ledger: Ledger
    targets: Targets
    readers: tuple[Reader, ...]
    plan: Plan
    contents: list[bytes]
    content: bytes
    run: RunRecord
    links: Links
    mark: str = ""
    continued: bool = False
    settled_before: int = 0
    history: History = field(default_factory=History)
    abandoned: list[RunRecord] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    resolved: set[int] = field(default_factory=set)
    edge: Edge = WORLD


def fold_dead_runs(ledger: Ledger, at: Places, edge: Edge = WORLD, *, new_ledger: bool = False) -> list[RunRecord]:
    """Fold what runs that died left in their journals; returns those runs. Raises LedgerError for a damaged one, and
    for one that is gone unless a person said ``new_ledger``: this one may come from another place.

    What such a run claimed and did not settle is in doubt from here on, for every run.
    """
    with folding(at):
        dead = [record for record in ledger.runs() if record.unfinished and not (new_ledger and _lost(at, record))]
        return [record for record in dead if _fold_dead(ledger, at, record, edge)]


def _lost(at: Places, record: RunRecord) -> bool:
    """Whether sittings that the ledger has taken in are not there any more: the run cannot be gone on with."""
    return len(sitting_files(at.run(record.run_id))) < record.folded


@contextmanager
def folding(at: Places) -> Iterator[None]:
    """While held, no run is taken for dead by others: neither one that gets its lock, nor one that they look at."""
    with Locks(at.locks, wait=_LONGEST_FOLD) as locks:
        locks.take("folding", "the ledger, to take in the journals of dead runs")
        yield


def _fold_dead(ledger: Ledger, at: Places, record: RunRecord, edge: Edge) -> bool:
    if is_held(at.locks, f"run {record.run_id}"):
        return False
    files = sitting_files(at.run(record.run_id))
    if len(files) == record.folded:
        return False
    fold_run(ledger, record.run_id, files, boot=edge.boot)
    return True


def open_readers(job: Job, finished: Callable[[str], bool], sources: Sequence[str] = ()) -> tuple[Reader, ...]:
    """The files to read, opened and checked against the job's columns.

    ``finished`` says of a file's SHA-256 whether it was finished before; such files are left out where the job takes
    new ones only. Raises NoInput, InputRefused, JobError (a column that the input does not have).
    """
    files = find_files(job.source, job.workspace, sources)
    if _takes_new(job, files):
        files = tuple(file for file in files if not finished(sha256_of(file.path)))
        if not files:
            raise NoInput(f"Every file of [source] path was finished before; nothing new has come in. {_ALL}")
    readers = open_input(files, job.source)
    for reader in readers:
        if reader.columns and (mistakes := check_columns(job, reader.columns, reader.unsupported_columns)):
            raise JobError(mistakes, then="{columns}")
    return readers


def prepare(
    job: Job,
    at: Places,
    ledger: Ledger,
    targets: Targets,
    *,
    spool: Path,
    lock_campaigns: Callable[[set[str]], None],
    new_run: bool = False,
    retry: bool = False,
    reuse: bool = True,
    edge: Edge = WORLD,
    doing: Doing = unseen,
) -> Prepared:
    """Read the whole input, find the run that it belongs to, and compare it with the ledger.

    ``lock_campaigns`` is called with the campaigns that updates reach before the ledger is asked. ``retry``: the rows
    are those of an earlier run as they were, so they stand where they stood and never overwrite a newer update.
    ``reuse``: the first pass of the job's unfinished run is taken in place of reading, where it is kept and the input
    has the same bytes; the plan's spool is in that run's folder then, which the caller must hold the job's lock for.
    """
    doing("looking for the input")
    origin = Origin.parse(job.api.base_url)
    identity = Identity(ledger.hash_key, str(origin), is_event=job.spec.is_event, kind=ledger.hash_kind)
    scope = (config_fingerprint(job), _reading(job), targets.org_id)
    readers = open_readers(job, lambda sha: ledger.finished(identity.content(sha, *scope)))
    mark = mark_of(job, identity)
    plan = _kept(job, at, ledger, readers, mark) if reuse and not new_run else None
    plan = plan or read_input(job, readers, identity, spool, doing=doing)
    targets.check(plan.campaigns)
    lock_campaigns(plan.campaigns)
    inputs = tuple(file.sha256 for file in plan.files)
    contents = [identity.content(sha, *scope) for sha in inputs]
    run = RunRecord(
        *(new_run_id(edge), 0, job.name, "running", fingerprint(job), inputs, job.route, at.test),
        *(str(at.results), edge.wall()),
        contents=tuple(contents),
    )
    links = resolve(plan.links, ledger.runs(), at.results, lambda sha: identity.content(sha, *scope))
    prepared = Prepared(
        *(job, at, ledger, targets, readers, plan, contents, identity.content("\n".join(inputs), *scope), run),
        links=links if retry else links._replace(orders=[]),
        mark=mark,
        edge=edge,
    )
    doing("looking for a run to go on with")
    _find_unfinished(prepared, new_run)
    # A run that is yet to be entered comes after all others.
    seq = prepared.run.seq or 1 + max((record.seq for record in ledger.runs()), default=0)
    position = Position(seq, prepared.content, prepared.links.orders)
    doing("comparing with the ledger")
    prepared.corrections = compare(plan, job, ledger, position, contents, doing=doing)
    return prepared


def _kept(job: Job, at: Places, ledger: Ledger, readers: Sequence[Reader], mark: str) -> Plan | None:
    """The first pass of the run that :func:`_find_unfinished` will find, if it is kept and the input is the same."""
    own = fingerprint(job)
    for record in ledger.runs(job.name):
        if record.unfinished and record.fingerprint == own and not _lost(at, record):
            plan = None if _found_changed(at, record) else kept(at.run(record.run_id), mark, readers)
            return plan if plan and tuple(file.sha256 for file in plan.files) == record.inputs else None
    return None


def _found_changed(at: Places, record: RunRecord) -> bool:
    """Whether the run's last sitting found that what it read was not what the plan says."""
    return (read_summary(at.results / record.run_id) or {}).get("stopped_by") == "input_changed"


def _reading(job: Job) -> str:
    """The settings that decide what the rows of a file are: under others, row 5 of it is another row."""
    return job.source.model_dump_json(exclude={"path", "take", "empty"})


def new_run_id(edge: Edge) -> str:
    """An id that sorts by time (UTC, to the millisecond: the newest results are found by it)."""
    seconds, milliseconds = divmod(int(edge.wall() * 1000), 1000)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}{milliseconds:03}-{edge.entropy(2).hex()}"


def _find_unfinished(prepared: Prepared, new_run: bool) -> None:
    """Go on with the job's unfinished run if it is of the same job and input; any other one is abandoned."""
    for record in prepared.ledger.runs(prepared.job.name):
        if not record.unfinished:
            continue
        same = (record.fingerprint, record.inputs) == (prepared.run.fingerprint, prepared.run.inputs)
        if same and not new_run and not prepared.continued and not _lost(prepared.at, record):
            prepared.run, prepared.continued = record, True
            _take_up(prepared)
        else:
            prepared.abandoned.append(record)


def _take_up(prepared: Prepared) -> None:
    """What the journal settled stays settled; rows of a source that was inactive are tried again. Of a row without a
    known end that a person decided about since, the ledger says what is to become of it."""
    fates = prepared.plan.fates
    folder = prepared.at.run(prepared.run.run_id)
    prepared.history, settled = take_up(folder, len(fates), boot=prepared.edge.boot)
    prepared.settled_before = len(fates) - settled.codes.count(SEND)
    prepared.resolved = Resolutions(prepared.ledger).settled_of(prepared.run.run_id)
    for number in prepared.resolved:
        if settled.table[settled.codes[number]][0] == Outcome.UNKNOWN:
            settled.codes[number] = SEND
    open_yet, settled_as = fates.part(0, len(fates)) == SEND, settled.part(0, len(fates))
    for code, (outcome, reason) in enumerate(settled.table[1:], 1):
        if reason != "source_inactive":
            fates.settle_where(0, open_yet & (settled_as == code), Outcome(outcome), reason)


def _takes_new(job: Job, files: Sequence[InputFile]) -> bool:
    if job.source.take is not None:
        return job.source.take == "new"
    path = job.source.path
    one_file = isinstance(path, str) and len(files) == 1 and names_one_file(path, job.workspace)
    return not one_file and isinstance(job.source.path, str)
