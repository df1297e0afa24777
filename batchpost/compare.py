"""Comparing a plan with the ledger: what was delivered before, is in doubt, was decided, is older than what went out.

Decides only rows that are still to be sent. The rules are guarantee 6 of the design, told in ``docs/guarantees.md``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import polars as pl

from batchpost.ahead import ahead
from batchpost.fates import SEND
from batchpost.job import Job
from batchpost.ledger import Delivered, LastUpdate, Ledger
from batchpost.links import Order
from batchpost.model import Outcome
from batchpost.plan import Operation, Plan
from batchpost.resolutions import DUE, Decided, Resolutions

__all__ = ["Correction", "Position", "compare", "waiting_rows"]


class Correction(NamedTuple):
    """An event delivered before with other money or another date: the row now, and what was delivered."""

    row: int
    before: Delivered


class Position(NamedTuple):
    """Where this run's rows stand in the order of all updates: the run's sequence number, and its input's content.

    Rows that are sent again by ``retry`` stand where they stood: ``orders``, by row.
    """

    seq: int
    content: bytes
    orders: Sequence[Order | None] = ()

    def of(self, row: int) -> Order:
        """Where a row of this run stands."""
        return (self.orders[row] if self.orders else None) or Order(self.seq, row, self.content)


def compare(
    plan: Plan, job: Job, ledger: Ledger, position: Position, contents: Sequence[bytes], *, chunk: int = 500_000
) -> list[Correction]:
    """Settle the rows that need no request, mark those in doubt; returns the events whose money or date changed.

    ``contents`` are the content ids of the input's files, in order; ``chunk`` rows are looked up at a time.
    """
    decisions = Resolutions(ledger)
    _same_rows(plan, ledger, contents, decisions.taken_back() if job.spec.is_event else set())
    corrections: list[Correction] = []
    goes_out: set[bytes] = set()
    for frame in () if ledger.blank else _chunks(ahead(plan.operations()), chunk):
        keys = frame["key"].to_list()
        decided = decisions.about(keys)
        doubts = ledger.doubts(keys)
        if job.spec.is_event:
            events = ledger.events(keys)
            corrections += _events(plan, events, decided, _among(frame, {*events, *decided}))
        else:
            updates = ledger.updates(keys)
            _updates(plan, job, updates, decided, _among(frame, updates), position, goes_out)
        _doubts(plan, job, doubts, _among(frame, doubts))
        _sent_before(plan, decided, _among(frame, decided))
    return corrections


def waiting_rows(plan: Plan, job: Job) -> Iterator[tuple[int, bytes, bytes]]:
    """The rows that are not sent because of an open doubt: row, key, and the body that the doubt must be of, empty
    for any (see :meth:`batchpost.resolutions.Resolutions.wait_for`)."""
    for frame in plan.operations(plan.fates.code(Outcome.UNKNOWN, "in_doubt")):
        for row, key, body in frame.select("row", "key", "body_hash").iter_rows():
            yield row, key, b"" if job.spec.is_event else body


def _chunks(frames: Iterator[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The frames joined into ones of at least so many rows, so that the ledger is walked through and not jumped about
    in."""
    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame)
        if sum(one.height for one in held) >= rows:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def _among(frame: pl.DataFrame, keys: Collection[bytes]) -> list[Operation]:
    """The rows of the frame whose operation is one of these."""
    if not keys:
        return []
    known = frame.filter(pl.col("key").is_in(pl.Series(list(keys), dtype=pl.Binary).implode()))
    return [Operation(*row) for row in known.iter_rows()]


def _same_rows(plan: Plan, ledger: Ledger, contents: Sequence[bytes], taken_back: set[bytes]) -> None:
    """Rows of a content that were delivered before under the same job: no key is needed to know them.

    An invalid row among them was delivered by a mend of it, and needs no other. A row whose event was taken back since
    is left to the rest of the comparison.
    """
    voided = _rows_of(plan, taken_back)
    codes = plan.fates.codes
    invalid = {code for code, (outcome, _) in enumerate(plan.fates.table) if outcome == Outcome.INVALID}
    code = plan.fates.code(Outcome.ALREADY_DELIVERED, "same_row")
    first = 0
    for file, content in zip(plan.files, contents, strict=True):
        for number in _set_bits(ledger.delivered_rows(content), file.rows):
            sends = codes[first + number] == SEND and first + number not in voided
            if sends or codes[first + number] in invalid:
                codes[first + number] = code
        first += file.rows


def _rows_of(plan: Plan, keys: set[bytes]) -> set[int]:
    """The rows to send whose operation is one of these."""
    if not keys:
        return set()
    return {operation.row for frame in plan.operations() for operation in _among(frame, keys)}


def _set_bits(bitmap: bytes, size: int) -> Iterator[int]:
    for byte, bits in enumerate(bitmap):
        if bits:
            yield from (number for number in range(byte * 8, min(byte * 8 + 8, size)) if bits >> (number & 7) & 1)


def _events(
    plan: Plan, delivered: dict[bytes, Delivered], decided: dict[bytes, list[Decided]], rows: list[Operation]
) -> Iterator[Correction]:
    for row, key, body, stake, _ in rows:
        about, before = decided.get(key, ()), delivered.get(key)
        if any(one.state == "voided" and (one.stake == stake or one.body == body) for one in about):
            plan.fates.settle(row, Outcome.SKIPPED, "voided")
        elif before is None:
            if any(one.state == "ignored" for one in about):
                plan.fates.settle(row, Outcome.SKIPPED, "ignored")
        elif before.body == body:  # also where a stake is not known: version 1 of the ledger did not keep it for doubts
            plan.fates.settle(row, Outcome.ALREADY_DELIVERED, "ledger")
        elif before.stake != stake:
            plan.fates.settle(row, Outcome.INVALID, "conflict")
            yield Correction(row, before)
        else:
            plan.fates.settle(row, Outcome.ALREADY_DELIVERED, "differs")


def _updates(
    plan: Plan,
    job: Job,
    last: dict[bytes, LastUpdate],
    decided: dict[bytes, list[Decided]],
    rows: list[Operation],
    position: Position,
    goes_out: set[bytes],
) -> None:
    """Updates follow one another: none finds its lead unchanged once another one of this input goes out before it."""
    for row, key, body, _, _ in rows:
        before = last[key]
        if _newer(before, position.of(row)):
            plan.fates.settle(row, Outcome.SKIPPED, "superseded")
            continue
        same = before.body == body and key not in goes_out
        itself = (before.content, before.row) == (position.of(row).content, position.of(row).number)
        if same and before.confirmed and (job.rows.skip_unchanged or itself):
            plan.fates.settle(row, Outcome.ALREADY_DELIVERED, "unchanged")
        elif same and any(one.state == "ignored" and one.body == before.body for one in decided.get(key, ())):
            plan.fates.settle(row, Outcome.SKIPPED, "ignored")
        elif plan.repeated and plan.repeated[row]:
            goes_out.add(key)


def _newer(before: LastUpdate, order: Order) -> bool:
    """Whether the lead's last update stands after this one: in a later run, or further down the same content."""
    if before.seq > order.seq:
        return True
    same_input = before.seq == order.seq or before.content == order.content
    return same_input and before.row > order.number


def _doubts(plan: Plan, job: Job, doubts: dict[bytes, set[bytes]], rows: list[Operation]) -> None:
    """An operation whose end is not known is sent again only where that is harmless or refused."""
    for row, key, body, _, fires_again in rows:
        if plan.fates.codes[row] != SEND:
            continue
        same = body in doubts[key]
        if fires_again and (same or job.spec.is_event):
            plan.fates.settle(row, Outcome.UNKNOWN, "in_doubt")
        elif same:
            plan.in_doubt.add(row)


def _sent_before(plan: Plan, decided: dict[bytes, list[Decided]], rows: list[Operation]) -> None:
    """Of what a person said to send again, an attempt may have arrived: where the platform refuses a second one, its
    Duplicate confirms that."""
    for row, key, body, _, fires_again in rows:
        sent = any(one.body == body and one.state in DUE for one in decided[key])
        if sent and plan.fates.codes[row] == SEND and not fires_again:
            plan.in_doubt.add(row)
