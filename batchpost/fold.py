"""From a run's journal to what it adds to the ledger, in parts of bounded size.

The journal's header says all that is needed, so that any later run can fold a dead one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from batchpost.history import Ended, History, Open, replay
from batchpost.ledger import Delivered, Fold, LastUpdate, Ledger
from batchpost.model import Outcome

__all__ = ["CONFIRMED", "fold_run"]

_PART = 50_000
# already_delivered reasons by which the platform itself said that it has the event.
CONFIRMED = {"confirmed_duplicate", "foreign_duplicate"}


def fold_run(ledger: Ledger, run_id: str, files: Sequence[Path], *, finished: Sequence[bool] = ()) -> History:
    """Fold a run's sittings into the ledger, unless that was done; returns what the journal leaves open.

    ``finished`` says of each file of the input whether nothing of it is left to send. Raises LedgerError.
    """
    history = History()
    ledger.fold(run_id, len(files), _parts(files, history, finished))
    return history


def _parts(files: Sequence[Path], history: History, finished: Sequence[bool]) -> Iterator[Fold]:
    folder: _Folder | None = None
    for ended in replay(files, history):
        folder = folder or _Folder(history.header)
        folder.settled(ended)
        if folder.size >= _PART:
            yield folder.take()
    folder = folder or _Folder(history.header)
    for number, row in history.open.items():
        folder.left_open(number, row)
    yield folder.take()
    yield Fold((), (), (), folder.contents(finished))


class _Folder:
    """Collects rows into the next part. ``header`` is the journal's: route kind, sequence number, contents."""

    def __init__(self, header: dict[str, Any]) -> None:
        self._is_event: bool = header.get("is_event", True)
        self._keeps_doubts: bool = header.get("fires_again", True)
        self._seq: int = header.get("seq", 0)
        self._input = bytes.fromhex(header.get("input", ""))
        self._contents: list[tuple[str, int]] = [(content, rows) for content, rows in header.get("contents", [])]
        self._delivered = bytearray(sum(rows for _, rows in self._contents) // 8 + 1)
        self._late: set[bytes] = set()  # leads with an update that may still be applied, after later ones
        self._events: list[tuple[bytes, Delivered]] = []
        self._updates: list[tuple[bytes, LastUpdate]] = []
        self._doubts: list[tuple[bytes, bytes, int]] = []

    @property
    def size(self) -> int:
        """Entries collected for the next part."""
        return len(self._events) + len(self._updates) + len(self._doubts)

    def settled(self, ended: Ended) -> None:
        """Take in a settled row."""
        claim, settlement = ended.claim, ended.settlement
        delivered = settlement.outcome is Outcome.DELIVERED or settlement.reason in CONFIRMED
        if delivered:
            self._delivered[ended.number >> 3] |= 1 << (ended.number & 7)
        if settlement.outcome is Outcome.UNKNOWN:
            self._doubts.append((claim.key, claim.body_hash, ended.number))
        if not self._is_event:
            self._update(ended.number, claim.key, claim.body_hash, delivered, delivered or ended.may_be_applied)
        elif delivered:
            evidence = (claim.amount, settlement.conversion_id, ended.at)
            self._events.append((claim.key, Delivered(claim.body_hash, claim.stake, *evidence)))

    def left_open(self, number: int, row: Open) -> None:
        """Take in a row that was claimed and not settled."""
        if not row.in_doubt:
            return
        if self._keeps_doubts:
            self._doubts.append((row.claim.key, row.claim.body_hash, number))
        if not self._is_event:
            self._update(number, row.claim.key, row.claim.body_hash, False, True)

    def take(self) -> Fold:
        """The part collected so far; the next one begins."""
        part = Fold(self._events, self._updates, self._doubts, ())
        self._events, self._updates, self._doubts = [], [], []
        return part

    def contents(self, finished: Sequence[bool]) -> list[tuple[bytes, int, bytes, bool]]:
        """The delivered rows of each file as a bitmap of its own."""
        bits = int.from_bytes(self._delivered, "little")
        entries = []
        for number, (content, rows) in enumerate(self._contents):
            own = bits & ((1 << rows) - 1)
            bits >>= rows
            done = bool(finished) and finished[number]
            entries.append((bytes.fromhex(content), rows, own.to_bytes(rows // 8 + 1, "little"), done))
        return entries

    def _update(self, number: int, key: bytes, body: bytes, delivered: bool, applied: bool) -> None:
        if not applied:
            return
        if not delivered:
            self._late.add(key)
        confirmed = delivered and key not in self._late
        self._updates.append((key, LastUpdate(body, confirmed, self._seq, number, self._input)))
