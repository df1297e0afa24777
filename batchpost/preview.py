"""Looking at a job without running it: the whole input is read and compared, nothing is sent, and nothing is written
into the workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from batchpost.expectation import assess
from batchpost.feed import rows_to_send
from batchpost.fold import fold_run
from batchpost.holding import Holding
from batchpost.job import Job
from batchpost.journal import sitting_files
from batchpost.lastruns import PastRun, last_runs
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.locks import holder, is_held
from batchpost.masking import Sample, masked_sample
from batchpost.places import Places, open_ledger, places, summaries
from batchpost.planbooks import books_of, unmet_of
from batchpost.prepare import Prepared, prepare
from batchpost.pulse import Doing, unseen
from batchpost.summary import TO_SEND, Books
from batchpost.targets import Targets

__all__ = ["TO_SEND", "Preview", "preview", "samples_of"]

_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Preview:
    """What ``plan`` found. ``books`` count rows that go out under ``to_send``; ``counts`` rows by outcome and reason;
    ``under_way`` the process that runs this job right now; ``totals`` the file, the row and the line (None for Parquet)
    of the first rows that were taken for totals; ``unmet`` what of ``[expect]`` the input does not meet, a sentence
    each; ``tolerated`` rows by reason that it lets pass; ``before`` the job's last runs over other inputs, newest
    first."""

    prepared: Prepared
    books: Books
    counts: dict[tuple[str, str], int]
    samples: list[Sample]
    under_way: dict[str, Any] | None
    totals: list[tuple[str, int, int | None]]
    unmet: list[str]
    tolerated: Mapping[str, int]
    before: list[PastRun]


@contextmanager
def preview(job: Job, environ: Mapping[str, str], *, doing: Doing = unseen) -> Iterator[Preview]:
    """Prepare the job as ``run`` would, with everything that has to be written in a temporary folder.

    Raises BatchpostError as ``run`` would before its first request.
    """
    at = places(job, environ)
    targets = Targets(job, environ)
    with closing(Holding(Path(gettempdir()))) as holding, closing(_ledger(job, at, holding.folder())) as ledger:
        prepared = prepare(
            *(job, at, ledger, targets),
            spool=holding.folder() / "plan.arrow",
            lock_campaigns=lambda _: None,
            reuse=False,  # the run that it belongs to may go on, and end, meanwhile
            doing=doing,
        )
        doing("adding up the books")
        name, plan = f"job {job.name}", prepared.plan
        yield Preview(
            prepared,
            books_of(prepared),
            {key if key != ("", "") else (TO_SEND, ""): count for key, count in plan.fates.counts().items()},
            samples_of(prepared, _SAMPLES),
            (holder(at.locks, name) or {}) if is_held(at.locks, name) else None,
            [(plan.files[total.file].path, total.row, total.line) for total in plan.totals[:_SAMPLES]],
            unmet_of(prepared),
            assess(job.expect, plan.fates.counts(), {}, mends=bool(plan.links)).tolerated,
            [] if plan.links else last_runs(at, [file.sha256 for file in plan.files]),  # a mend is no usual night
        )


def samples_of(prepared: Prepared, most: int) -> list[Sample]:
    """The first requests that go out, masked. Raises InputChanged."""
    with closing(rows_to_send(prepared.plan, prepared.readers, prepared.job, target=prepared.targets)) as rows:
        return [masked_sample(row, prepared.job.spec) for row in islice(rows, most)]


def _ledger(job: Job, at: Places, folder: Path) -> Ledger:
    """The ledger to compare with; a copy where a dead run's journal must be booked first, an empty one in memory where
    there is none yet."""
    rests_on_one = any("ledger" in summary for summary in summaries(at.results, test=at.test))
    if not (at.ledger.exists() or rests_on_one or job.ledger.must_exist):
        return Ledger.in_memory()
    ledger = open_ledger(at, must_exist=True, new_ledger=False)
    dead = [record for record in ledger.runs() if record.unfinished and _is_dead(record, at)]
    if not dead:
        return ledger
    with closing(ledger):
        ledger = ledger.copied(folder / "ledger.db")
    for record in dead:
        fold_run(ledger, record.run_id, sitting_files(at.run(record.run_id)))
    return ledger


def _is_dead(record: RunRecord, at: Places) -> bool:
    """Whether a run ended without its journal being booked."""
    unbooked = len(sitting_files(at.run(record.run_id))) > record.folded
    return unbooked and not is_held(at.locks, f"run {record.run_id}")
