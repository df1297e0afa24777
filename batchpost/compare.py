"""Comparing a plan with the ledger: what was delivered before, is in doubt, was decided, is older than what went out.

Decides only rows that are still to be sent. The rules are guarantee 6 of the design, told in ``docs/guarantees.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import polars as pl

from batchpost.ahead import ahead
from batchpost.fates import SEND
from batchpost.firstpass import Operation, Plan
from batchpost.job import Job
from batchpost.ledger import Ledger
from batchpost.ledgerrows import Delivered
from batchpost.links import Order
from batchpost.model import Outcome
from batchpost.pulse import Doing, unseen
from batchpost.resolutions import DUE, Decided, Resolutions
from batchpost.rowbytes import bits, byte_column

__all__ = ["Correction", "Position", "compare", "waiting_rows"]


_PLACE: dict[str, type[pl.DataType]] = {"at_seq": pl.Int64, "at_row": pl.UInt32, "at_content": pl.Binary}


# Whether the lead's last update stands after this one: in a later run, or further down the same content.
_NEWER = (pl.col("seq") > pl.col("at_seq")) | (
    ((pl.col("seq") == pl.col("at_seq")) | (pl.col("content") == pl.col("at_content")))
    & (pl.col("last") > pl.col("at_row"))
)
_ITSELF = (pl.col("content") == pl.col("at_content")) & (pl.col("last") == pl.col("at_row"))


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

    def of(self, rows: pl.Series) -> pl.DataFrame:
        """Where these rows of this run stand: ``at_seq, at_row, at_content``."""
        if self.orders:
            stood = [self.orders[row] or Order(self.seq, row, self.content) for row in rows]
            return pl.DataFrame(stood, schema=_PLACE, orient="row")
        alike = (pl.lit(self.seq, pl.Int64).alias("at_seq"), pl.lit(self.content).alias("at_content"))
        return pl.DataFrame({"at_row": rows}).with_columns(alike).select(*_PLACE)


class _GoesOut:
    """The leads of which an update goes out, as far as this input has several. ``repeated`` is as in the plan."""

    def __init__(self, repeated: bytearray) -> None:
        self._repeated = byte_column(bytes(repeated))
        self._keys: list[pl.Series] = [pl.Series(dtype=pl.Binary)]

    def before(self, rows: pl.DataFrame) -> pl.Series:
        """Which of the next rows (``row, key, goes``: whether it goes out by itself) come after another one of their
        lead that goes out, or do so themselves."""
        if self._repeated.is_empty():
            return pl.repeat(value=False, n=rows.height, eager=True)
        several = rows.filter(self._repeated.gather(rows["row"]) == 1)
        gone = pl.col("key").is_in(pl.concat(self._keys).implode())
        after = several.filter(gone | (pl.col("goes").cast(pl.UInt8).cum_max().over("key") == 1))
        self._keys.append(several.filter("goes")["key"].unique())
        return rows["row"].is_in(after["row"].implode())


def compare(
    plan: Plan,
    job: Job,
    ledger: Ledger,
    position: Position,
    contents: Sequence[bytes],
    *,
    chunk: int = 200_000,
    doing: Doing = unseen,
) -> list[Correction]:
    """Settle the rows that need no request, mark those in doubt; returns the events whose money or date changed.

    ``contents`` are the content ids of the input's files, in order; ``chunk`` rows are looked up at a time.
    """
    decisions = Resolutions(ledger)
    _same_rows(plan, ledger, contents, decisions.taken_back() if job.spec.is_event else set())
    doubtful = decisions.doubtful()
    corrections: list[Correction] = []
    goes_out, compared = _GoesOut(plan.repeated), 0
    for frame in () if ledger.blank else _chunks(ahead(plan.operations()), chunk):
        doing("comparing with the ledger", compared)
        compared += frame.height
        keys = frame["key"].filter(frame["key"].is_in(doubtful.implode())).to_list()
        decided, doubts = (decisions.about(keys), ledger.doubts(keys)) if keys else ({}, {})
        if job.spec.is_event:
            corrections += _events(plan, frame, ledger, decided)
        else:
            _updates(plan, job, frame, ledger, decided, position, goes_out)
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


def _among(frame: pl.DataFrame, keys: Iterable[bytes]) -> list[Operation]:
    """The rows of the frame whose operation is one of these few."""
    wanted = pl.Series([*keys], dtype=pl.Binary)
    if wanted.is_empty():
        return []
    return [Operation(*row) for row in frame.filter(pl.col("key").is_in(wanted.implode())).iter_rows()]


def _same_rows(plan: Plan, ledger: Ledger, contents: Sequence[bytes], taken_back: set[bytes]) -> None:
    """Rows of a content that were delivered before under the same job: no key is needed to know them.

    An invalid row among them was delivered by a mend of it, and needs no other. A row whose event was taken back since
    is left to the rest of the comparison.
    """
    voided = _rows_of(plan, taken_back)
    invalid = [code for code, (outcome, _) in enumerate(plan.fates.table) if outcome == Outcome.INVALID]
    first = 0
    for file, content in zip(plan.files, contents, strict=True):
        delivered = ledger.delivered_rows(content)
        if delivered:
            codes = plan.fates.part(first, file.rows)
            sends = codes == SEND
            if voided:
                sends &= ~pl.int_range(first, first + file.rows, eager=True).is_in(voided)
            same = bits(delivered, file.rows) & (sends | codes.is_in(invalid))
            plan.fates.settle_where(first, same, Outcome.ALREADY_DELIVERED, "same_row")
        first += file.rows


def _rows_of(plan: Plan, keys: set[bytes]) -> list[int]:
    """The rows to send whose operation is one of these."""
    if not keys:
        return []
    return [operation.row for frame in plan.operations() for operation in _among(frame, keys)]


def _events(
    plan: Plan, frame: pl.DataFrame, ledger: Ledger, decided: dict[bytes, list[Decided]]
) -> Iterator[Correction]:
    """Each row against the delivery of its event; what a person decided concerns few of them."""
    of_decided = _among(frame, decided)
    _voided(plan, decided, of_decided)
    if of_decided:
        frame = frame.filter(~pl.col("row").is_in([row for row, *_ in of_decided if plan.fates.codes[row] != SEND]))
    found = frame.join(ledger.delivered(frame["key"]), on="key", maintain_order="left", suffix="_before")
    same = found["body_hash"] == found["body"]  # also where a stake is not known, as of doubts of version 1
    conflict = ~same & (found["stake"] != found["stake_before"])
    plan.fates.settle_all(found["row"].filter(same), Outcome.ALREADY_DELIVERED, "ledger")
    plan.fates.settle_all(found["row"].filter(~same & ~conflict), Outcome.ALREADY_DELIVERED, "differs")
    changed = found.filter(conflict).select("row", "key")
    plan.fates.settle_all(changed["row"], Outcome.INVALID, "conflict")
    _ignored(plan, decided, of_decided)
    before = ledger.events(changed["key"].to_list())
    return (Correction(row, before[key]) for row, key in changed.iter_rows())


def _voided(plan: Plan, decided: dict[bytes, list[Decided]], rows: list[Operation]) -> None:
    """An event that was taken back goes out with other money or another date only."""
    for row, key, body, stake, _ in rows:
        if any(one.state == "voided" and (one.stake == stake or one.body == body) for one in decided[key]):
            plan.fates.settle(row, Outcome.SKIPPED, "voided")


def _ignored(plan: Plan, decided: dict[bytes, list[Decided]], rows: list[Operation]) -> None:
    """An event of which nothing is known to be delivered, and that a person gave up."""
    for row, key, *_ in rows:
        if plan.fates.codes[row] == SEND and any(one.state == "ignored" for one in decided[key]):
            plan.fates.settle(row, Outcome.SKIPPED, "ignored")


def _updates(
    plan: Plan,
    job: Job,
    frame: pl.DataFrame,
    ledger: Ledger,
    decided: dict[bytes, list[Decided]],
    position: Position,
    goes_out: _GoesOut,
) -> None:
    """Updates follow one another: none finds its lead unchanged once another one of this input goes out before it."""
    last = ledger.updates(frame["key"])
    found = frame.join(last, on="key", maintain_order="left", suffix="_before").rename({"row_before": "last"})
    found = found.hstack(position.of(found["row"]))
    newer = found.select(_NEWER).to_series()
    plan.fates.settle_all(found["row"].filter(newer), Outcome.SKIPPED, "superseded")
    found = found.filter(~newer)
    same = found["body_hash"] == found["body"]
    needless = pl.lit(True) if job.rows.skip_unchanged else _ITSELF
    unchanged = same & found.select(pl.col("confirmed") & needless).to_series()
    ignored = same & _given_up(found, decided)
    rows = found.select("row", "key", goes=~unchanged & ~ignored)
    gone = goes_out.before(rows)
    plan.fates.settle_all(rows["row"].filter(ignored & ~gone), Outcome.SKIPPED, "ignored")
    plan.fates.settle_all(rows["row"].filter(unchanged & ~gone), Outcome.ALREADY_DELIVERED, "unchanged")


def _given_up(rows: pl.DataFrame, decided: dict[bytes, list[Decided]]) -> pl.Series:
    """Which rows a person decided to ignore, with this body."""
    ignored = [(key, one.body) for key, about in decided.items() for one in about if one.state == "ignored"]
    known = pl.DataFrame(ignored, schema={"key": pl.Binary, "body_hash": pl.Binary}, orient="row")
    return rows["row"].is_in(rows.join(known, on=["key", "body_hash"], how="semi")["row"].implode())


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
