"""The rules of ``status``, as plainly as they can be said: every row of every run is looked at, one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from batchpost.jobruns import Decision
from batchpost.rowends import Ends, RunEnds

__all__ = ["Count", "modelled"]

Place = tuple[str, int]  # a file's SHA-256, a row of it
Count = dict[tuple[str, str], tuple[int, Decimal]]
INSIDE = ("delivered", "already_delivered")
TAKEN_BACK = ("not_a_conversion", "voided", "due")


class End(NamedTuple):
    """How a row ended in a run; ``voided`` is when its delivery was taken back, if it was."""

    run: int
    outcome: str
    reason: str
    amount: Decimal
    key: str | None
    voided: float | None = None

    @property
    def is_in(self) -> bool:
        return self.outcome in INSIDE and self.reason != "not_a_conversion"

    @property
    def worthless(self) -> float:
        """Since when a delivery is not worth what it was; 0 for all that is no such one."""
        if self.reason == "not_a_conversion":
            return float("inf")
        return self.voided if self.voided is not None and not self.is_in else 0.0

    @property
    def kind(self) -> tuple[str, str]:
        if self.is_in:
            return ("in", "")
        return ("skipped", "") if self.outcome == "skipped" else (self.outcome, self.reason)

    @property
    def weight(self) -> int:
        """Of rows of one file that mend the same one, the heaviest counts."""
        return 3 if self.outcome == "unknown" else 1 if self.is_in else 0 if self.outcome == "skipped" else 2


def modelled(
    runs: Sequence[RunEnds], decisions: Sequence[Decision], *, is_event: bool, by_ids: bool = True
) -> dict[str, Count]:
    """Rows and money of each file, by its SHA-256, and kind of end."""
    ended = {run.number: run.record.finished_at or run.record.started_at for run in runs}
    last = {place: _last(ends, ended) for place, ends in _entries(runs, decisions, is_event).items()}
    if by_ids:
        order = {sha: at for at, sha in enumerate(dict.fromkeys(file.sha256 for run in runs for file in run.files))}
        last = {place: _rests_on(end, last, ended) for place, end in last.items()}
        last = {place: _followed(place, end, last, order, is_event) for place, end in last.items()}
    counts: defaultdict[str, Count] = defaultdict(dict)
    for (sha, _), end in last.items():
        rows, money = counts[sha].get(end.kind, (0, Decimal(0)))
        counts[sha][end.kind] = (rows + 1, money + end.amount)
    return dict(counts)


def _entries(runs: Sequence[RunEnds], decisions: Sequence[Decision], is_event: bool) -> dict[Place, list[End]]:
    decided = {(one.run_id, one.number): one for one in decisions}
    entries: defaultdict[Place, list[End]] = defaultdict(list)
    stands_for: dict[tuple[str, str, str], Place] = {}
    for run in runs:
        of_run: dict[Place, End] = {}
        for number, row in enumerate(_rows(run, is_event)):
            end = _end(run.number, row, decided.get((run.record.run_id, number)))
            file = run.files[row["file"]]
            link = (row["batchpost_run"], row["batchpost_source"], row["batchpost_row"])
            place = stands_for.get(link) if run.mends else None
            place = place or (file.sha256, row["row"])
            stands_for[run.record.run_id, file.name, str(row["row"])] = place
            if place not in of_run or of_run[place].weight <= end.weight:
                of_run[place] = end
        for place, end in of_run.items():
            entries[place].append(end)
    return entries


def _rows(run: RunEnds, is_event: bool) -> Iterator[Mapping[str, Any]]:
    for batch in Ends([run], is_event=is_event).batches(run.number) if run.known else ():
        yield from batch.iter_rows(named=True)


def _end(run: int, row: Mapping[str, Any], decision: Decision | None) -> End:
    end = End(run, row["outcome"], row["reason"], row["amount"] or Decimal(0), row["key"])
    if decision is None:
        return end
    if end.outcome == "unknown" or (end.outcome in INSIDE and decision.voided_at is not None):
        return end._replace(outcome=decision.outcome, reason=decision.reason, voided=decision.voided_at)
    return end


def _last(ends: Sequence[End], ended: Mapping[int, float]) -> End:
    stands = ends[0]
    for end in ends[1:]:
        again = end.outcome == "already_delivered"
        unsent = end.outcome == "invalid" and end.reason != "conflict"
        left_out = end.outcome == "skipped" and end.reason not in ("voided", "ignored")
        stays_in = stands.is_in and (again or unsent or left_out)
        stays_out = again and stands.worthless > ended[end.run]
        stands = stands if stays_in or stays_out else end
    return stands


def _rests_on(end: End, all_ends: Mapping[Place, End], ended: Mapping[int, float]) -> End:
    """``already_delivered`` is what the delivery before it is."""
    if end.outcome != "already_delivered" or end.key is None:
        return end
    given = [one for one in all_ends.values() if one.key == end.key and one.run <= end.run]
    given = [one for one in given if one.outcome == "delivered" or one.worthless]
    before = max(given, key=lambda one: one.run, default=end)
    if before.worthless > ended[end.run]:
        return end._replace(run=before.run, outcome=before.outcome, reason=before.reason, voided=before.voided)
    return end


def _followed(place: Place, end: End, all_ends: Mapping[Place, End], order: Mapping[str, int], is_event: bool) -> End:
    """What did not get through, and did by a later row of another file."""
    if end.key is None or end.kind[0] in ("in", "skipped", "unknown") or end.outcome == "delivered":
        return end
    found = [
        other
        for (sha, _), other in all_ends.items()
        if other.key == end.key
        and other.is_in
        and sha != place[0]
        and (order[sha] > order[place[0]] or (is_event and other.outcome == "delivered" and other.run > end.run))
    ]
    return max(found, key=lambda other: other.run, default=end)
