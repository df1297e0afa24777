"""The first pass: the whole input is read, checked and compared with itself; nothing is sent.

What the ledger says of the rows comes after it, in :mod:`batchpost.compare`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import polars as pl

from batchpost.ahead import ahead, made_ahead
from batchpost.batch import Batch, Fingerprint, Place
from batchpost.duplicates import Keys
from batchpost.errors import InputRefused
from batchpost.fates import SEND, Fates
from batchpost.files import replaced, synced
from batchpost.identity import Identity
from batchpost.job import Job
from batchpost.links import Link, links_of
from batchpost.mapping import Mapper
from batchpost.model import Outcome, Repeat
from batchpost.pulse import Doing, unseen
from batchpost.source import Reader
from batchpost.spool import SpoolWriter, read_spool
from batchpost.summary import plain

__all__ = ["Operation", "Piece", "Plan", "Total", "checksum", "read_input", "repeat_of"]

_TOTALS = 20


class Operation(NamedTuple):
    """A row that passed its own checks: its number in the whole input from 0, the keyed hashes (16 bytes) of its
    operation, body and stake, and whether a second request of it would have a second effect."""

    row: int
    key: bytes
    body_hash: bytes
    stake: bytes
    fires_again: bool


class Piece(NamedTuple):
    """A batch that was read, to know it again: the index of its file, its rows, its digest and its place."""

    file: int
    rows: int
    digest: bytes
    place: Place | None

    @classmethod
    def of(cls, batch: Batch) -> Piece:
        """What is kept of a batch."""
        return cls(batch.file, batch.frame.height, batch.digest, batch.place)


class Total(NamedTuple):
    """A row that was taken for a total: the index of its file, its row there from 1 and its line (None for Parquet);
    what it says of each money field, as far as that can be read, as exact text."""

    file: int
    row: int
    line: int | None
    money: dict[str, str]


@dataclass(slots=True)
class Plan:
    """What the first pass found.

    ``batches`` are all that were read, to know them again in the second pass. ``in_doubt`` are the rows to send of
    which an attempt with the same body may have arrived before. ``repeated`` has a 1 for each row that is an update of
    a lead with several in this input, and is empty where there is none. ``links`` names for each row the one that it
    mends; it is empty for ordinary files. ``totals`` are rows of totals under the data, the first ones. ``as_read`` are
    the fates as the input alone decides them, None where they are kept already (:mod:`batchpost.keptplan`);
    ``spool_sum`` is the CRC-32 of the spool, once it is known.
    """

    spool: Path
    fates: Fates = field(default_factory=Fates)
    files: list[Fingerprint] = field(default_factory=list)
    batches: list[Piece] = field(default_factory=list)
    campaigns: set[str] = field(default_factory=set)
    in_doubt: set[int] = field(default_factory=set)
    repeated: bytearray = field(default_factory=bytearray)
    links: list[Link | None] = field(default_factory=list)
    totals: list[Total] = field(default_factory=list)
    as_read: Fates | None = None
    spool_sum: int | None = None

    @property
    def rows(self) -> int:
        """Rows read."""
        return len(self.fates)

    @property
    def meant(self) -> int:
        """Rows meant to go out: all but the skipped ones."""
        return sum(rows for (outcome, _), rows in self.fates.counts().items() if outcome != Outcome.SKIPPED)

    @property
    def to_send(self) -> int:
        """Rows that go out."""
        return self.fates.codes.count(SEND)

    def save(self, folder: Path) -> None:
        """Keep, durably, the spool and what :meth:`load` needs beside it to tell every row's outcome without the input:
        after a power loss a run that is given up gets its results from it."""
        synced(self.spool)
        if self.spool_sum is None:
            self.spool_sum = checksum(self.spool)
        sums = {"fates.bin": crc32(self.fates.codes), "plan.arrow": self.spool_sum}
        facts = {"table": self.fates.table, "files": [asdict(file) for file in self.files], "crc32": sums}
        facts |= {"links": self.links} if self.links else {}
        for name, content in (("plan.json", json.dumps(facts).encode()), ("fates.bin", bytes(self.fates.codes))):
            with replaced(folder / name) as file:
                file.write(content)

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """A saved plan: its fates, files and links, enough for the results; raises OSError, ValueError where it is
        damaged."""
        try:
            facts = json.loads((folder / "plan.json").read_text())
            damaged = [name for name, crc in facts["crc32"].items() if checksum(folder / name) != crc]
            plan = cls(folder / "plan.arrow", files=[Fingerprint(**file) for file in facts["files"]])
            for outcome, reason in facts["table"][1:]:
                plan.fates.code(outcome, reason)
            plan.links = [link and Link(*link) for link in facts.get("links", ())]
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError("plan.json is damaged") from error
        if damaged:
            raise ValueError(f"{' and '.join(damaged)} {'are' if len(damaged) > 1 else 'is'} damaged")
        plan.fates.codes += (folder / "fates.bin").read_bytes()
        return plan

    def operations(self, code: int = SEND) -> Iterator[pl.DataFrame]:
        """The rows of a fate, as frames of what :class:`Operation` has, in order; by default those still to be sent."""
        for record in self.records(code, Operation._fields):
            yield record.filter(pl.col("key").is_not_null())

    def records(self, code: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """These columns of the spool for the rows of a fate, in order."""
        if code not in self.fates.codes:
            return
        first = 0
        for record in read_spool(self.spool, columns):
            fates = self.fates.codes[first : first + record.height]
            first += record.height
            if code in fates:
                yield record.filter(pl.Series(fates, dtype=pl.UInt8) == code)


def read_input(job: Job, readers: Sequence[Reader], identity: Identity, spool: Path, *, doing: Doing = unseen) -> Plan:
    """Read the whole input once and decide what can be decided from it alone.

    Raises InputRefused for what cannot be read soundly.
    """
    plan, keys = Plan(spool), Keys()
    mapper = Mapper(job)
    mapped_of = _mapped(mapper, _hashes(job, identity))
    with SpoolWriter(spool, job.money_fields, dated="conversion_date" in job.fields) as writer:
        for reader in readers:
            for batch, mapped in made_ahead(mapped_of, ahead(reader.batches())):
                frame = _numbered(plan, batch, mapped)
                writer.write(frame)
                _take_in(plan, job, batch, frame)
                _note_totals(plan, mapper, batch, frame)
                keys.extend(frame["key"])
                doing(f"reading {reader.file.name}", plan.rows)
            if reader.fingerprint is None:
                raise InputRefused(reader.file.name, "was not read to its end")
            plan.files.append(reader.fingerprint)
    doing("looking for rows of the same operation")
    _find_duplicates(plan, job, keys)
    plan.as_read = deepcopy(plan.fates)
    return plan


def _mapped(mapper: Mapper, hashes: list[pl.Expr]) -> Callable[[Batch], tuple[Batch, pl.DataFrame]]:
    """What becomes of a batch by itself: its mapped rows with their hashes."""

    def mapped(batch: Batch) -> tuple[Batch, pl.DataFrame]:
        return batch, mapper.map(batch.frame, last=batch.last, ragged=batch.ragged).with_columns(hashes)

    return mapped


def repeat_of(job: Job) -> pl.Expr:
    """The column ``repeat``: what a second request of a row would do (a :class:`batchpost.model.Repeat`)."""
    if not job.spec.is_event:
        return pl.lit(Repeat.FIRES_AGAIN if job.api.redistributes else Repeat.HARMLESS).alias("repeat")
    asserted = job.api.server_dedupe
    refused = pl.lit(asserted) if isinstance(asserted, bool) else pl.col("event_id").is_in(asserted)
    return pl.when(refused).then(pl.lit(Repeat.REFUSED)).otherwise(pl.lit(Repeat.FIRES_AGAIN)).alias("repeat")


def checksum(path: Path) -> int:
    """The CRC-32 of a file's content; raises OSError."""
    crc = 0
    with path.open("rb") as file:
        while portion := file.read(1 << 20):
            crc = crc32(portion, crc)
    return crc


def _numbered(plan: Plan, batch: Batch, mapped: pl.DataFrame) -> pl.DataFrame:
    first, height = plan.rows, mapped.height
    return mapped.with_columns(
        pl.int_range(first, first + height, dtype=pl.UInt32).alias("row"),
        pl.lit(batch.file).alias("file"),
        pl.int_range(batch.first_row, batch.first_row + height, dtype=pl.UInt32).alias("file_row"),
        batch.lines.alias("line"),
    )


def _take_in(plan: Plan, job: Job, batch: Batch, frame: pl.DataFrame) -> None:
    plan.batches.append(Piece.of(batch))
    plan.links += links_of(batch.frame)
    plan.fates.extend(frame["outcome"], frame["reason"])
    if job.spec.by_campaign:
        sent = frame.filter(pl.col("key").is_not_null())
        plan.campaigns.update(sent["campaign_id"].unique().to_list())


def _note_totals(plan: Plan, mapper: Mapper, batch: Batch, frame: pl.DataFrame) -> None:
    """What the file itself says that its rows come to; more than a few such rows are no totals of a file."""
    if len(plan.totals) >= _TOTALS or not (is_total := frame["reason"] == "totals_row").any():
        return
    said = mapper.money_of(batch.frame.filter(is_total))
    if not said.columns:  # the job sends no money: there is nothing to hold against the file's own
        return
    places = frame.filter(is_total).select("file", "file_row", "line")
    for (file, row, line), amounts in zip(places.iter_rows(), said.iter_rows(named=True), strict=True):
        money = {name: plain(amount) for name, amount in amounts.items() if amount is not None}
        plan.totals.append(Total(file, row, line, money))
    del plan.totals[_TOTALS:]


def _hashes(job: Job, identity: Identity) -> list[pl.Expr]:
    """The keyed hashes of the rows to send, and what a second request of them would do; null for the others."""
    parts = ("transaction_id", "event_id", "key_extra") if job.spec.is_event else ("campaign_id", "transaction_id")
    sends = pl.col("body").is_not_null()
    key = pl.when(sends).then(pl.concat_str(parts, separator="\0"))
    stake = pl.when(sends).then(pl.col("stake").fill_null(""))
    return [
        identity.operations(key).alias("key"),
        identity.bodies(pl.col("body")).alias("body_hash"),
        (identity.stakes(stake) if job.spec.is_event else pl.when(sends).then(pl.lit(b""))).alias("stake"),
        (repeat_of(job) == Repeat.FIRES_AGAIN).alias("fires_again"),
    ]


def _find_duplicates(plan: Plan, job: Job, keys: Keys) -> None:
    """Rows of one operation in one input.

    Events that are all alike: the first goes out, the others are duplicates; events that differ contradict each
    other, all of them. An update is a duplicate only if it is the same as the one just before it for its lead.
    """
    for rows in keys.repeated(plan.spool):
        if job.spec.is_event:
            bodies = pl.col("body_hash").n_unique().over("key")
            first = pl.col("row") == pl.col("row").first().over("key")
            plan.fates.settle_all(rows.filter(bodies > 1)["row"], Outcome.INVALID, "contradiction")
            plan.fates.settle_all(rows.filter(bodies == 1, ~first)["row"], Outcome.SKIPPED, "duplicate_in_input")
            continue
        plan.repeated = plan.repeated or bytearray(plan.rows)
        for row in rows["row"]:
            plan.repeated[row] = 1
        if job.rows.skip_unchanged:
            same = pl.col("body_hash") == pl.col("body_hash").shift(1).over("key")
            plan.fates.settle_all(rows.filter(same)["row"], Outcome.SKIPPED, "duplicate_in_input")
