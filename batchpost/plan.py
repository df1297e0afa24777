"""The first pass: the whole input is read, checked and compared with itself; nothing is sent.

What the ledger says of the rows comes after it, in :mod:`batchpost.compare`.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from zlib import crc32

import polars as pl
import pyarrow as pa

from batchpost.batch import Batch, Fingerprint
from batchpost.errors import InputRefused
from batchpost.fates import SEND, Fates
from batchpost.files import replaced
from batchpost.identity import HASH_BYTES, Identity
from batchpost.job import Job
from batchpost.links import Link, links_of
from batchpost.mapping import Mapper
from batchpost.model import Outcome, Repeat
from batchpost.source import Reader
from batchpost.spool import SpoolWriter

__all__ = ["Plan", "Sendable", "read_input", "repeat_of"]

_PARTITION = 1_000_000  # rows compared with each other at a time: bounds the memory of finding duplicates


class Sendable:
    """The rows that passed their own checks: row numbers and, packed, 16 bytes each of key, body and stake.

    ``fires_again`` has a 1 for each row whose second request would have a second effect.
    """

    def __init__(self) -> None:
        self.rows = array("I")
        self.keys = bytearray()
        self.bodies = bytearray()
        self.stakes = bytearray()
        self.fires_again = bytearray()

    def __len__(self) -> int:
        return len(self.rows)

    def extend(self, frame: pl.DataFrame) -> None:
        """Take in a batch's rows to send: columns ``row``, ``key``, ``body_hash``, ``stake``, ``repeat``."""
        self.rows.extend(frame["row"].to_list())
        self.keys += b"".join(frame["key"].to_list())
        self.bodies += b"".join(frame["body_hash"].to_list())
        self.stakes += b"".join(frame["stake"].to_list())
        self.fires_again += bytes((frame["repeat"] == Repeat.FIRES_AGAIN).cast(pl.UInt8).to_list())

    def key(self, index: int) -> bytes:
        """The operation's key of the index-th sendable row."""
        return _slot(self.keys, index)

    def body(self, index: int) -> bytes:
        """The body's hash of the index-th sendable row."""
        return _slot(self.bodies, index)

    def stake(self, index: int) -> bytes:
        """The stake's hash of the index-th sendable row; empty for updates."""
        return _slot(self.stakes, index)

    def repeated_keys(self) -> Iterator[list[int]]:
        """The indexes of rows with the same key, in order, for every key that occurs more than once."""
        packed = pa.Array.from_buffers(pa.uint64(), 2 * len(self), [None, pa.py_buffer(self.keys)])
        halves = pl.Series("", packed)
        frame = pl.DataFrame({"a": halves.gather_every(2), "b": halves.gather_every(2, 1)}).with_row_index("index")
        parts = 1 + len(self) // _PARTITION
        for part in range(parts):
            some = frame.filter(pl.col("a") % parts == part) if parts > 1 else frame
            twice = some.filter(pl.struct("a", "b").is_duplicated()).sort("a", "b", "index")
            for _, group in groupby(twice.iter_rows(), key=lambda row: row[1:]):
                yield [row[0] for row in group]


@dataclass(slots=True)
class Plan:
    """What the first pass found.

    ``batches`` are (file, rows, digest) of every batch read, to know them again in the second pass. ``in_doubt`` are
    the rows to send of which an attempt with the same body may have arrived before. ``links`` names for each row the
    one that it mends; it is empty for ordinary files.
    """

    spool: Path
    fates: Fates = field(default_factory=Fates)
    sendable: Sendable = field(default_factory=Sendable)
    files: list[Fingerprint] = field(default_factory=list)
    batches: list[tuple[int, int, bytes]] = field(default_factory=list)
    campaigns: set[str] = field(default_factory=set)
    in_doubt: set[int] = field(default_factory=set)
    links: list[Link | None] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows read."""
        return len(self.fates)

    @property
    def to_send(self) -> int:
        """Rows that go out."""
        return self.fates.codes.count(SEND)

    def save(self, folder: Path) -> None:
        """Keep beside the spool what :meth:`load` needs to tell every row's outcome without the input."""
        sums = {"fates.bin": crc32(self.fates.codes), "plan.arrow": _checksum(self.spool)}
        facts = {"table": self.fates.table, "files": [asdict(file) for file in self.files], "crc32": sums}
        for name, content in (("plan.json", json.dumps(facts).encode()), ("fates.bin", bytes(self.fates.codes))):
            with replaced(folder / name) as file:
                file.write(content)

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """A saved plan: its fates and files, enough for the results; raises OSError, ValueError where it is damaged."""
        try:
            facts = json.loads((folder / "plan.json").read_text())
            damaged = [name for name, checksum in facts["crc32"].items() if _checksum(folder / name) != checksum]
            plan = cls(folder / "plan.arrow", files=[Fingerprint(**file) for file in facts["files"]])
            for outcome, reason in facts["table"][1:]:
                plan.fates.code(outcome, reason)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError("plan.json is damaged") from error
        if damaged:
            raise ValueError(f"{' and '.join(damaged)} {'are' if len(damaged) > 1 else 'is'} damaged")
        plan.fates.codes += (folder / "fates.bin").read_bytes()
        return plan

    def pending(self) -> Iterator[int]:
        """The indexes of the sendable rows that still are to be sent."""
        codes = self.fates.codes
        return (index for index, row in enumerate(self.sendable.rows) if codes[row] == SEND)


def read_input(job: Job, readers: Sequence[Reader], identity: Identity, spool: Path) -> Plan:
    """Read the whole input once and decide what can be decided from it alone.

    Raises InputRefused for what cannot be read soundly.
    """
    plan = Plan(spool)
    mapper = Mapper(job)
    with SpoolWriter(spool, job.money_fields) as writer:
        for reader in readers:
            for batch in reader.batches():
                mapped = mapper.map(batch.frame, last=batch.last, ragged=batch.ragged)
                frame = _numbered(plan, batch, mapped).with_columns(*_hashes(mapped, job, identity), repeat_of(job))
                writer.write(frame)
                _take_in(plan, job, batch, frame)
            if reader.fingerprint is None:
                raise InputRefused(reader.file.name, "was not read to its end")
            plan.files.append(reader.fingerprint)
    _find_duplicates(plan, job)
    return plan


def repeat_of(job: Job) -> pl.Expr:
    """The column ``repeat``: what a second request of a row would do (a :class:`batchpost.model.Repeat`)."""
    if not job.spec.is_event:
        return pl.lit(Repeat.FIRES_AGAIN if job.api.redistributes else Repeat.HARMLESS).alias("repeat")
    asserted = job.api.server_dedupe
    refused = pl.lit(asserted) if isinstance(asserted, bool) else pl.col("event_id").is_in(asserted)
    return pl.when(refused).then(pl.lit(Repeat.REFUSED)).otherwise(pl.lit(Repeat.FIRES_AGAIN)).alias("repeat")


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            checksum = crc32(piece, checksum)
    return checksum


def _numbered(plan: Plan, batch: Batch, mapped: pl.DataFrame) -> pl.DataFrame:
    first, height = plan.rows, mapped.height
    return mapped.with_columns(
        pl.int_range(first, first + height, dtype=pl.UInt32).alias("row"),
        pl.lit(batch.file).alias("file"),
        pl.int_range(batch.first_row, batch.first_row + height, dtype=pl.UInt32).alias("file_row"),
        batch.lines.alias("line"),
    )


def _take_in(plan: Plan, job: Job, batch: Batch, frame: pl.DataFrame) -> None:
    plan.batches.append((batch.file, frame.height, batch.digest))
    plan.links += links_of(batch.frame)
    plan.fates.extend(frame["outcome"], frame["reason"])
    sendable = frame.filter(pl.col("key").is_not_null())
    plan.sendable.extend(sendable)
    if job.spec.by_campaign:
        plan.campaigns.update(sendable["campaign_id"].unique().to_list())


def _hashes(mapped: pl.DataFrame, job: Job, identity: Identity) -> list[pl.Series]:
    """The keyed hashes of the rows to send; null for the others."""
    parts = ("transaction_id", "event_id", "key_extra") if job.spec.is_event else ("campaign_id", "transaction_id")
    sends = pl.col("body").is_not_null()
    texts = mapped.select(
        pl.when(sends).then(pl.concat_str(parts, separator="\0")).alias("key"),
        pl.when(sends).then(pl.col("stake").fill_null("")).alias("stake"),
        "body",
    )
    is_event = job.spec.is_event
    stakes = identity.stakes(texts["stake"]) if is_event else [None if text is None else b"" for text in texts["stake"]]
    return [
        pl.Series("key", identity.operations(texts["key"]), dtype=pl.Binary),
        pl.Series("body_hash", identity.bodies(texts["body"]), dtype=pl.Binary),
        pl.Series("stake", stakes, dtype=pl.Binary),
    ]


def _find_duplicates(plan: Plan, job: Job) -> None:
    """Rows of one operation in one input.

    Events that are all alike: the first goes out, the others are duplicates; events that differ contradict each
    other, all of them. An update is a duplicate only if it is the same as the one just before it for its lead.
    """
    if not len(plan.sendable):
        return
    skip_unchanged = job.spec.is_event or job.rows.skip_unchanged
    for indexes in plan.sendable.repeated_keys():
        if job.spec.is_event and len({plan.sendable.body(index) for index in indexes}) > 1:
            for index in indexes:
                plan.fates.settle(plan.sendable.rows[index], Outcome.INVALID, "contradiction")
        elif skip_unchanged:
            for before, index in pairwise(indexes):
                if plan.sendable.body(before) == plan.sendable.body(index):
                    plan.fates.settle(plan.sendable.rows[index], Outcome.SKIPPED, "duplicate_in_input")


def _slot(packed: bytearray, index: int) -> bytes:
    return bytes(packed[index * HASH_BYTES : (index + 1) * HASH_BYTES])
