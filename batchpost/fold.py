"""From a run's journal to what it adds to the ledger, in parts of bounded size.

The journal's header says all that is needed, so that any later run can fold a dead one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from batchpost.errors import LedgerError
from batchpost.history import Claim, DamagedJournal, Ended, History, Open, replay
from batchpost.journal import boot_id
from batchpost.ledger import Delivered, Fold, LastUpdate, Ledger, Uncertain
from batchpost.model import Outcome

__all__ = ["CONFIRMED", "Misfit", "fold_rows", "fold_run"]

_PART = 50_000
# already_delivered reasons by which the platform itself said that it has the event.
CONFIRMED = {"confirmed_duplicate", "foreign_duplicate"}
# Refusals that say nothing of an attempt before: the platform asks for the source before it asks for a duplicate.
_INCONCLUSIVE = {"source_inactive"}


class Misfit(ValueError):
    """The journal's first record does not fit its rows, or is none that this program writes."""


def fold_run(
    ledger: Ledger,
    run_id: str,
    files: Sequence[Path],
    collect: Callable[[Ended], None] | None = None,
    *,
    boot: Callable[[], str] = boot_id,
) -> History:
    """Fold a run's sittings into the ledger, unless that was done; returns what the journal leaves open.

    ``collect`` is given every settled row on the way, whether folded now or before. Raises LedgerError.
    """
    folded = next((record.folded for record in ledger.runs() if record.run_id == run_id), 0)
    if folded > len(files):
        missing = f"the ledger has taken in {folded} sittings of this run, and {len(files)} of their files are left"
        if files:
            raise DamagedJournal(files[-1], missing)
        raise LedgerError(f"{run_id}: {missing}. Bring them back, or give the run up with `batchpost abandon {run_id}`")
    history = History()
    try:
        settled = replay(files, history, boot=boot)
        fold_rows(ledger, run_id, len(files), settled, history, collect, after=folded)
    except Misfit as error:
        raise DamagedJournal(files[0], str(error)) from error
    return history


def fold_rows(
    ledger: Ledger,
    run_id: str,
    sittings: int,
    settled: Iterable[Ended],
    history: History,
    collect: Callable[[Ended], None] | None = None,
    *,
    after: int = 0,
) -> None:
    """As :func:`fold_run`, with the rows as they are given; ``history`` is complete when the last one was taken.

    What sittings up to ``after`` tell again is no news: a person may have said something else of it since. Raises
    LedgerError, and Misfit for rows that are not of the input that the first record names.
    """
    parts = _parts(settled, history, collect, after)
    if not ledger.fold(run_id, sittings, parts):
        deque(parts, maxlen=0)


def _parts(
    settled: Iterable[Ended], history: History, collect: Callable[[Ended], None] | None, after: int
) -> Iterator[Fold]:
    folder: _Folder | None = None
    for ended in settled:
        if collect is not None:
            collect(ended)
        folder = folder or _folder(history.header, after)
        folder.settled(ended)
        if folder.size >= _PART:
            yield folder.take()
    folder = folder or _folder(history.header, after)
    for number, row in history.open.items():
        folder.left_open(number, row)
    yield folder.take()
    yield Fold((), (), (), folder.contents())


def _folder(header: dict[str, Any], after: int) -> _Folder:
    try:
        return _Folder(header, after)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise Misfit(f"its first record is not one of ours ({error})") from error


class _Folder:
    """Collects rows into the next part. ``header`` is the journal's: route kind, sequence number, contents; only rows
    of sittings ``after`` this one go into the part, but for the contents, which only ever add up."""

    def __init__(self, header: dict[str, Any], after: int) -> None:
        self._after = after
        self._is_event: bool = header.get("is_event", True)
        self._keeps_doubts: bool = header.get("fires_again", True)
        self._seq = int(header.get("seq", 0))
        self._input = bytes.fromhex(header.get("input", ""))
        self._contents = [(bytes.fromhex(content), int(rows)) for content, rows in header.get("contents", [])]
        rows = sum(rows for _, rows in self._contents)
        self._delivered = bytearray(rows // 8 + 1)
        linked = header.get("linked", [])
        self._linked = [(bytes.fromhex(content), bytearray(rows // 8 + 1), rows) for content, rows in linked]
        self._links = [link and self._link(*link) for link in header.get("links", [])]
        orders = header.get("orders", [])
        self._orders = [order and (int(order[0]), int(order[1]), bytes.fromhex(order[2])) for order in orders]
        named = (rows if self._contents else 0, len(self._links), len(self._orders))
        self._rows = min(filter(None, named), default=math.inf)
        self._late: set[bytes] = set()  # leads with an update that may still be applied, after later ones
        self._events: list[tuple[bytes, Delivered]] = []
        self._updates: list[tuple[bytes, LastUpdate]] = []
        self._doubts: list[Uncertain] = []

    def _link(self, content: int, row: int) -> tuple[int, int]:
        if not 0 <= row < self._linked[content][2]:
            raise ValueError(f"no row {row}")
        return content, row

    @property
    def size(self) -> int:
        """Entries collected for the next part."""
        return len(self._events) + len(self._updates) + len(self._doubts)

    def settled(self, ended: Ended) -> None:
        """Take in a settled row."""
        self._check(ended.number)
        claim, settlement = ended.claim, ended.settlement
        delivered = settlement.outcome is Outcome.DELIVERED or settlement.reason in CONFIRMED
        if delivered:
            self._mark_delivered(ended.number)
        if settlement.outcome is Outcome.UNKNOWN or (ended.may_be_applied and settlement.reason in _INCONCLUSIVE):
            self._doubt(claim, ended.number, ended.sitting)
        if not self._is_event:
            applied = delivered or ended.may_be_applied
            self._update(ended.number, claim, delivered=delivered, applied=applied, sitting=ended.sitting)
        elif delivered and ended.sitting > self._after:
            evidence = (claim.amount, settlement.conversion_id, ended.at, ended.number)
            self._events.append((claim.key, Delivered(claim.body_hash, claim.stake, *evidence)))

    def left_open(self, number: int, row: Open) -> None:
        """Take in a row that was claimed and not settled."""
        self._check(number)
        if not row.in_doubt:
            return
        if self._keeps_doubts:
            self._doubt(row.claim, number, row.sitting)
        if not self._is_event:
            self._update(number, row.claim, delivered=False, applied=True, sitting=row.sitting)

    def _check(self, number: int) -> None:
        if number >= self._rows:
            raise Misfit(f"it has a row {number}, which is beyond the last one of the input")

    def take(self) -> Fold:
        """The part collected so far; the next one begins."""
        part = Fold(self._events, self._updates, self._doubts, ())
        self._events, self._updates, self._doubts = [], [], []
        return part

    def contents(self) -> list[tuple[bytes, int, bytes]]:
        """The delivered rows of each file as a bitmap of its own, and those of other files that they mended."""
        bits = int.from_bytes(self._delivered, "little")
        entries = []
        for content, rows in self._contents:
            own = bits & ((1 << rows) - 1)
            bits >>= rows
            entries.append((content, rows, own.to_bytes(rows // 8 + 1, "little")))
        return [*entries, *((content, rows, bytes(bitmap)) for content, bitmap, rows in self._linked)]

    def _doubt(self, claim: Claim, number: int, sitting: int) -> None:
        if sitting <= self._after:
            return
        content, row = (self._links[number] if self._links else None) or (None, 0)
        mends = b"" if content is None else self._linked[content][0]
        claimed = (claim.key, claim.body_hash, number, claim.stake, claim.amount)
        self._doubts.append(Uncertain(*claimed, mends, row))

    def _mark_delivered(self, number: int) -> None:
        """A mend that got through settles the row that it mends, too."""
        if not self._contents:  # the header was lost, and what it says here only saves looking keys up
            return
        self._delivered[number >> 3] |= 1 << (number & 7)
        if self._links and (link := self._links[number]):
            content, row = link
            self._linked[content][1][row >> 3] |= 1 << (row & 7)

    def _update(self, number: int, claim: Claim, *, delivered: bool, applied: bool, sitting: int) -> None:
        if not applied:
            return
        if not delivered:
            self._late.add(claim.key)
        if sitting <= self._after:
            return
        confirmed = delivered and claim.key not in self._late
        order = self._orders[number] if self._orders else None
        seq, row, content = order or (self._seq, number, self._input)
        self._updates.append((claim.key, LastUpdate(claim.body_hash, confirmed, seq, row, content)))
