"""The runs of a job, and what was decided or found out since about rows that they left without a known end: what the
ledger says, all of one moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import NamedTuple

from batchpost.errors import LedgerError
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.model import Outcome
from batchpost.places import Places, open_ledger, summaries
from batchpost.resolutions import DUE, Resolution, Resolutions

__all__ = ["DUE_AGAIN", "Decision", "JobRuns", "decided", "delivered_counts", "job_runs", "stands"]

DUE_AGAIN = "due"
"""In place of an outcome and of a reason: a person said that the row goes out again, and it has not got through yet."""


class Decision(NamedTuple):
    """How a row that a run left in doubt, or delivered, stands today. ``number`` counts from 0 in the run's whole
    input; ``voided_at`` (Unix seconds) is when the platform's taking it back was recorded, None where it was not."""

    run_id: str
    number: int
    outcome: str
    reason: str
    voided_at: float | None = None


@dataclass(frozen=True, slots=True)
class JobRuns:
    """The runs of a job in one ledger, oldest first, with the decisions about their rows. ``others`` are decisions of
    the same ledger about rows of other jobs' events that were taken back, with those jobs' runs."""

    records: Sequence[RunRecord] = ()
    decisions: Sequence[Decision] = ()
    others: Sequence[Decision] = ()
    other_records: Mapping[str, RunRecord] = field(default_factory=dict)


def job_runs(at: Places, name: str) -> JobRuns:
    """The runs of the job of this name. Raises LedgerError."""
    if not at.ledger.exists():
        if next(summaries(at.results, test=at.test), None) is not None:
            raise LedgerError(f"{at.ledger}: the ledger is gone, and with it the list of the runs in {at.results}")
        return JobRuns()
    with closing(open_ledger(at, must_exist=True, new_ledger=False)) as ledger, _at_one_moment(ledger):
        return _read(ledger, at, name)


def _at_one_moment(ledger: Ledger) -> AbstractContextManager[None]:
    return ledger.database.transaction("DEFERRED")


def _read(ledger: Ledger, at: Places, name: str) -> JobRuns:
    records = {record.run_id: record for record in ledger.runs() if record.test == at.test}
    resolutions = Resolutions(ledger)
    due = {(run_id, row) for run_id, rows in resolutions.due().items() for row in rows}
    found = list(decided(resolutions.states(), resolutions.of(), due))
    own = [record for record in records.values() if record.job == name]
    of_job = {record.run_id for record in own}
    others = [one for one in found if one.voided_at is not None and one.run_id in records.keys() - of_job]
    named = {one.run_id: records[one.run_id] for one in others}
    return JobRuns(own, [one for one in found if one.run_id in of_job], others, named)


def decided(
    states: Iterable[tuple[str, int, str]], resolutions: Iterable[Resolution], due: Collection[tuple[str, int]]
) -> Iterator[Decision]:
    """How every row stands that once had a doubt or was decided about, as far as it has a known end."""
    doubts: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for run_id, row, state in states:
        doubts[run_id, row].add(state)
    last: dict[tuple[str, int], str] = {}
    voided: dict[tuple[str, int], float] = {}
    for one in resolutions:
        last[one.run_id, one.row] = one.action
        if one.action == "voided":
            voided[one.run_id, one.row] = one.at
    for place in dict.fromkeys([*doubts, *last]):
        stood = stands(doubts[place], last.get(place, ""), due=place in due)
        if stood is not None:
            yield Decision(*place, *stood, voided.get(place))


def stands(states: Collection[str], action: str, *, due: bool) -> tuple[str, str] | None:
    """Outcome and reason of a row today: ``states`` are those of its doubts, ``action`` what was decided about it last,
    ``due`` whether it goes out again by that. None: its end is not known."""
    if "open" in states:
        return None
    if action == "voided":
        return Outcome.SKIPPED.value, action
    if action == "delivered" or "delivered" in states:
        return Outcome.DELIVERED.value, "resolved"
    if action == "ignored":
        return Outcome.SKIPPED.value, action
    if due:
        return DUE_AGAIN, DUE_AGAIN
    return (Outcome.SKIPPED.value, "superseded") if action in DUE else None  # a newer update of its lead went out


def delivered_counts(at: Places, contents: Collection[bytes]) -> dict[bytes, tuple[int, int]]:
    """Of these contents the rows, and how many of them the ledger knows to be delivered. Raises LedgerError."""
    with closing(Ledger.open(at.ledger, must_exist=True)) as ledger:
        rows = ledger.database.rows("SELECT id, rows, delivered FROM contents")
        return {
            bytes(content): (int(count), int.from_bytes(delivered, "little").bit_count())
            for content, count, delivered in rows
            if content in contents
        }
