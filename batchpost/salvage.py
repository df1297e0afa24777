"""What can still be proved of a run whose journal is damaged, and which of its rows are in doubt from then on.

Proved is what a sound record says, wherever it is. A row that the plan wanted sent and that nothing settles is in doubt
if it was claimed, or if its claim can be hidden in what cannot be read. Every later claim says how many rows were
claimed before it, and the highest of them; damage that no claim comes after may hide the claim of any row.

Only the last sitting can hide something: the one before was read as it was to plan the next, and the plan's fates hold
what it settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from batchpost.fates import SEND
from batchpost.firstpass import Plan
from batchpost.history import History, Open, check_header, sitting_number
from batchpost.journal import boot_id, sitting_files
from batchpost.ledgerrows import RunRecord
from batchpost.records import Line, cut_off, read_lines
from batchpost.recordshapes import OF_ROWS, Claim, rows_of
from batchpost.routes import ROUTES
from batchpost.settled import Settled
from batchpost.spool import read_spool

__all__ = ["Salvage"]


class Salvage:
    """A damaged journal and the plan of its run, from the run's private folder. ``boot`` tells the machine's boot.

    Raises OSError and ValueError where the plan is damaged as well, LedgerError for a journal of a newer program.
    """

    def __init__(self, record: RunRecord, folder: Path, *, boot: Callable[[], str] = boot_id) -> None:
        self.plan = Plan.load(folder)
        self._files = sitting_files(folder)
        self._boot = boot()
        self._header: dict[str, Any] = {}
        self._last = _Claims(self.plan.rows)
        wanted = bytearray(self.plan.rows)  # rows whose claim only the plan still has
        for path in self._files:
            self._survey(path, wanted)
        self._header = self._header or _least_header(record)
        codes = self.plan.fates.codes
        self._hidden = [row for row in range(self._last.reach) if codes[row] == SEND and not self._last.seen[row]]
        for row in self._hidden:
            wanted[row] = 1
        self._claims = _claims_of(self.plan, wanted)

    @property
    def sittings(self) -> int:
        """How many sittings the run had, those included whose files are missing."""
        return max([len(self._files), *map(sitting_number, self._files)])

    def replay(self, history: History) -> Iterator[pl.DataFrame]:
        """As :func:`batchpost.history.replay`, as far as it can be proved; the rest of what may have been sent is in
        ``history.open``, in doubt. Raises ValueError for sound records that contradict each other."""
        history.header = dict(self._header)
        for path in self._files:
            last = path == self._files[-1]
            if last:
                history.open = {row: left for row, left in history.open.items() if self.plan.fates.codes[row] == SEND}
            yield from self._sitting(path, history)
            lost = history.over is None and not history.is_of_boot(self._boot)
            history.close(lost_writes=lost or (last and self._last.damaged))
        for row in self._hidden:
            history.open[row] = Open(self._claims[row], in_doubt=True, sitting=self.sittings)

    def _sitting(self, path: Path, history: History) -> Iterator[pl.DataFrame]:
        history.begin(sitting_number(path))
        settled = Settled()
        for line in read_lines(path):
            record = line.record
            if record is None:
                continue
            try:
                for row in rows_of(record) if record[0] in OF_ROWS else ():
                    if not history.knows(row):
                        history.open[row] = Open(self._claims[row], sitting=history.sitting, claimed=history.sitting)
                history.apply(record, settled)
            except KeyError as row:
                raise ValueError(f"{path.name} says of row {row} what no run does") from row
        if settled.height:
            yield settled.frame()

    def _survey(self, path: Path, wanted: bytearray) -> None:
        """Note what the claims of a sitting name, and the rows that were sent without one that can be read."""
        claims = self._last = _Claims(self.plan.rows)
        for line in read_lines(path):
            claims.take(line)
            record: list[Any] = line.record or [""]
            if record[0] == "sitting":
                check_header(record[1], path)
                self._header = self._header or record[1]
            for row in rows_of(record) if record[0] in OF_ROWS else ():
                if not claims.seen[row]:
                    claims.seen[row] = wanted[row] = 1
        claims.end()


class _Claims:
    """The rows that the sound records of one sitting name, and the first row that no hidden claim can reach."""

    def __init__(self, rows: int) -> None:
        self.seen = bytearray(rows)
        self.reach = 0
        self.damaged = False
        self._count = 0
        self._since_claim = False

    def take(self, line: Line) -> None:
        """Take in the sitting's next line. Raises ValueError for a row that the plan does not have."""
        if line.record is None:
            hides = not cut_off(line)
            self.damaged, self._since_claim = self.damaged or hides, self._since_claim or hides
            return
        kind = line.record[0]
        if kind in ("claim", "over"):
            _, claimed, highest = line.record[1]
            if self._since_claim and claimed > self._count:
                self.reach = max(self.reach, min(highest + 1, len(self.seen)))
            self._count, self._since_claim = claimed, False
        if kind == "claim":
            for row in line.record[2]:
                self._check(row)
                self.seen[row] = 1
            self._count += len(line.record[2])
        for row in rows_of(line.record) if kind in OF_ROWS else ():
            self._check(row)

    def end(self) -> None:
        """The file is read."""
        if self._since_claim:
            self.reach = len(self.seen)

    def _check(self, row: int) -> None:
        if row >= len(self.seen):
            raise ValueError(f"the plan has no row {row}")


def _least_header(record: RunRecord) -> dict[str, Any]:
    """What a first record must say, as far as the register of runs knows it. Without the contents of its files the
    delivered rows are known by their keys only; keeping the doubts of an update does it no harm."""
    return {"is_event": ROUTES[record.route].is_event, "fires_again": True, "seq": record.seq}


def _claims_of(plan: Plan, wanted: bytearray) -> dict[int, Claim]:
    """The claims of these rows, as the plan would have made them; raises ValueError for a row never to be sent."""
    claims: dict[int, Claim] = {}
    first = 0
    for frame in read_spool(plan.spool):
        flags = pl.Series(wanted[first : first + frame.height], dtype=pl.UInt8).cast(pl.Boolean)
        chosen = frame.filter(flags).select("row", "key", "body_hash", "stake", pl.col("amount").fill_null(""))
        for row, *claim in chosen.iter_rows():
            claims[row] = Claim(*claim)
        first += frame.height
    if len(claims) != sum(wanted) or any(claim.key is None for claim in claims.values()):
        raise ValueError("plan.arrow is not that of the journal")
    return claims
