"""From a run's journal to what it adds to the ledger, in parts of bounded size.

The journal's header says all that is needed, so that any later run can fold a dead one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from batchpost.errors import LedgerError
from batchpost.history import DamagedJournal, History, Open, replay
from batchpost.journal import boot_id
from batchpost.keyorder import KeyOrder
from batchpost.ledger import Ledger
from batchpost.ledgerrows import EVENTS, UPDATES, Fold, Uncertain
from batchpost.model import Outcome
from batchpost.recordshapes import Claim
from batchpost.rowbytes import bitmap, mark

__all__ = ["CONFIRMED", "Misfit", "fold_rows", "fold_run"]

_DOUBTS = 100_000  # that go into the ledger at a time; there are few
# already_delivered reasons by which the platform itself said that it has the event.
CONFIRMED = {"confirmed_duplicate", "foreign_duplicate"}
# Refusals that say nothing of an attempt before: the platform asks for the source before it asks for a duplicate.
_INCONCLUSIVE = {"source_inactive"}
_DELIVERED = (pl.col("outcome") == Outcome.DELIVERED.value) | pl.col("reason").is_in(CONFIRMED)
_UNSURE = (pl.col("outcome") == Outcome.UNKNOWN.value) | (
    pl.col("may_be_applied") & pl.col("reason").is_in(_INCONCLUSIVE)
)


class Misfit(ValueError):
    """The journal's first record does not fit its rows, or is none that this program writes."""


def fold_run(
    ledger: Ledger,
    run_id: str,
    files: Sequence[Path],
    collect: Callable[[pl.DataFrame], object] | None = None,
    *,
    boot: Callable[[], str] = boot_id,
) -> History:
    """Fold a run's sittings into the ledger, unless that was done; returns what the journal leaves open.

    ``collect`` is given every settled row on the way (frames as :data:`batchpost.settled.SETTLED`), whether folded now
    or before. Raises LedgerError.
    """
    folded = next((record.folded for record in ledger.runs() if record.run_id == run_id), 0)
    if folded > len(files):
        missing = f"the ledger has taken in {folded} files of this run's journal, and {len(files)} are left"
        if files:
            raise DamagedJournal(files[-1], missing)
        where = f"{ledger.path.stem}-runs/{run_id}/sitting-*.log, beside the ledger"
        way_out = f"Bring them back ({where}), or give the run up with `batchpost abandon {run_id}`"
        raise LedgerError(f"{run_id}: {missing}. {way_out}", then=f"batchpost abandon {run_id}, then {{run}}")
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
    settled: Iterable[pl.DataFrame],
    history: History,
    collect: Callable[[pl.DataFrame], object] | None = None,
    *,
    after: int = 0,
) -> None:
    """As :func:`fold_run`, with the rows as they are given; ``history`` is complete when the last one was taken.

    What sittings up to ``after`` tell again is no news: a person may have said something else of it since. Raises
    LedgerError, and Misfit for rows that are not of the input that the first record names.
    """
    folder = ledger.path.parent if ledger.path.exists() else None
    parts = _parts(settled, history, collect, after, folder)
    if not ledger.fold(run_id, sittings, parts):
        deque(parts, maxlen=0)


def _parts(
    settled: Iterable[pl.DataFrame],
    history: History,
    collect: Callable[[pl.DataFrame], object] | None,
    after: int,
    temporary: Path | None,
) -> Iterator[Fold]:
    """Doubts come first, as a delivery ends those of its operation; then all else in the order of its keys."""
    folder: _Folder | None = None
    with KeyOrder(temporary) as rows:
        for frame in settled:
            if collect is not None:
                collect(frame)
            folder = folder or _folder(history.header, after)
            rows.add(folder.settled(frame))
            if len(folder.doubts) >= _DOUBTS:
                yield folder.take_doubts()
        folder = folder or _folder(history.header, after)
        for number, row in history.open.items():
            rows.add(folder.left_open(number, row))
        yield folder.take_doubts()
        for part in rows.parts():
            yield Fold(events=part) if folder.is_event else Fold(updates=part)
    yield Fold(contents=folder.contents())


def _folder(header: dict[str, Any], after: int) -> _Folder:
    try:
        return _Folder(header, after)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise Misfit(f"its first record is not one of ours ({error})") from error


class _Folder:
    """Makes of settled rows what the ledger takes. ``header`` is the journal's: route kind, sequence number, contents;
    only rows of sittings ``after`` this one are taken, but for the contents, which only ever add up."""

    def __init__(self, header: dict[str, Any], after: int) -> None:
        self._after = after
        self.is_event: bool = header.get("is_event", True)
        self._keeps_doubts: bool = header.get("fires_again", True)
        self._seq = int(header.get("seq", 0))
        self._input = bytes.fromhex(header.get("input", ""))
        self._contents = [(bytes.fromhex(content), int(rows)) for content, rows in header.get("contents", [])]
        rows = sum(rows for _, rows in self._contents)
        self._delivered = bytearray(rows)  # a 1 for each
        linked = header.get("linked", [])
        self._linked = [(bytes.fromhex(content), bytearray(rows // 8 + 1), rows) for content, rows in linked]
        self._links = [link and self._link(*link) for link in header.get("links", [])]
        orders = header.get("orders", [])
        self._orders = [order and (int(order[0]), int(order[1]), bytes.fromhex(order[2])) for order in orders]
        named = (rows if self._contents else 0, len(self._links), len(self._orders))
        self._rows = min(filter(None, named), default=math.inf)
        self._late: set[bytes] = set()  # leads with an update that may still be applied, after later ones
        self.doubts: list[Uncertain] = []

    def _link(self, content: int, row: int) -> tuple[int, int]:
        if not 0 <= row < self._linked[content][2]:
            raise ValueError(f"no row {row}")
        return content, row

    def settled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The deliveries or updates among settled rows, which come in the order settled; notes what else they say."""
        last: int = frame["row"].max()  # type: ignore[assignment]
        if last >= self._rows:
            raise Misfit(f"it has a row {last}, which is beyond the last one of the input")
        frame = frame.with_columns(_DELIVERED.alias("delivered"))
        self._mark_delivered(frame.filter("delivered")["row"])
        doubtful = frame.filter(_UNSURE).select("row", "sitting", *Claim._fields)
        for number, sitting, *claim in doubtful.iter_rows():
            self._doubt(Claim(*claim), number, sitting)
        if self.is_event:
            new = frame.filter(pl.col("delivered") & (pl.col("sitting") > self._after))
            new = new.rename({"body_hash": "body", "settled_at": "delivered_at"})
            return new.select(*EVENTS)
        return self._update(frame.filter(pl.col("delivered") | pl.col("may_be_applied")))

    def left_open(self, number: int, row: Open) -> pl.DataFrame:
        """The same of a row that was claimed and not settled."""
        self._check(number)
        if row.in_doubt and self._keeps_doubts:
            self._doubt(row.claim, number, row.sitting)
        if self.is_event or not row.in_doubt:
            return pl.DataFrame()
        key, body, *_ = row.claim
        one = {"row": [number], "key": [key], "body_hash": [body], "delivered": [False], "sitting": [row.sitting]}
        return self._update(pl.DataFrame(one, schema_overrides={"row": pl.UInt32}))

    def _check(self, number: int) -> None:
        if number >= self._rows:
            raise Misfit(f"it has a row {number}, which is beyond the last one of the input")

    def take_doubts(self) -> Fold:
        """The doubts noted so far; the next ones begin."""
        doubts, self.doubts = self.doubts, []
        return Fold(doubts=doubts)

    def contents(self) -> list[tuple[bytes, int, bytes]]:
        """The delivered rows of each file as a bitmap of its own, and those of other files that they mended."""
        entries = []
        first = 0
        for content, rows in self._contents:
            entries.append((content, rows, bitmap(self._delivered[first : first + rows])))
            first += rows
        return [*entries, *((content, rows, bytes(bits)) for content, bits, rows in self._linked)]

    def _doubt(self, claim: Claim, number: int, sitting: int) -> None:
        if sitting <= self._after:
            return
        content, row = (self._links[number] if self._links else None) or (None, 0)
        mends = b"" if content is None else self._linked[content][0]
        claimed = (claim.key, claim.body_hash, number, claim.stake, claim.amount)
        self.doubts.append(Uncertain(*claimed, mends, row))

    def _mark_delivered(self, numbers: pl.Series) -> None:
        """A mend that got through settles the row that it mends, too."""
        if not self._contents:  # the header was lost, and what it says here only saves looking keys up
            return
        mark(self._delivered, numbers, 1)
        for link in map(self._links.__getitem__, numbers) if self._links else ():
            if link:
                content, row = link
                self._linked[content][1][row >> 3] |= 1 << (row & 7)

    def _update(self, applied: pl.DataFrame) -> pl.DataFrame:
        """Of updates that may have been applied, with whether they were ``delivered``, in the order settled."""
        failed = ~pl.col("delivered")
        confirmed = pl.col("delivered")
        if self._late or not applied["delivered"].all():
            late = pl.col("key").is_in(pl.Series(list(self._late), dtype=pl.Binary).implode())
            confirmed = confirmed & ~late & (failed.cast(pl.UInt8).cum_max().over("key") == 0)
        applied = applied.with_columns(confirmed.alias("confirmed"))
        self._late.update(applied.filter(failed)["key"])
        new = applied.filter(pl.col("sitting") > self._after).with_columns(
            pl.col("body_hash").alias("body"),
            pl.lit(self._seq, pl.Int64).alias("seq"),
            pl.lit(self._input).alias("content"),
        )
        return (self._placed(new) if self._orders else new).select(*UPDATES)

    def _placed(self, new: pl.DataFrame) -> pl.DataFrame:
        """Rows that were sent again stand where they stood."""
        orders = [self._orders[number] for number in new["row"]]
        stood = zip(orders, new.select("seq", "row", "content").iter_rows(), strict=True)
        places = [order or own for order, own in stood]
        names = {name: UPDATES[name] for name in ("seq", "row", "content")}
        return new.with_columns(pl.DataFrame(places, schema=names, orient="row"))
