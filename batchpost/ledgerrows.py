"""The values that a ledger keeps: what was delivered, what is in doubt, runs; and what a journal adds to it.

Keys and bodies are 16-byte keyed hashes, times Unix seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

__all__ = ["EVENTS", "UPDATES", "Delivered", "Fold", "LastUpdate", "RunRecord", "Uncertain"]


class Delivered(NamedTuple):
    """An event that was delivered: its body and stake (keyed hashes), what the account manager needs, and the row of
    its run (from 0; None in what version 1 wrote)."""

    body: bytes
    stake: bytes
    amount: str
    conversion_id: str
    delivered_at: float
    row: int | None = None


class Uncertain(NamedTuple):
    """A request of a run's row (from 0) whose end is not known: its operation, and its body, stake and amount as
    claimed; ``stake`` is empty for updates and in what version 1 wrote. ``mends`` and ``mends_row`` are the content and
    the row (from 0) of the one that it mends."""

    key: bytes
    body: bytes
    row: int
    stake: bytes = b""
    amount: str = ""
    mends: bytes = b""
    mends_row: int = 0


class LastUpdate(NamedTuple):
    """The last update of a lead that may have been applied, and where it stood: run, row, content of the file."""

    body: bytes
    confirmed: bool
    seq: int
    row: int
    content: bytes


class RunRecord(NamedTuple):
    """A line of the register of runs. ``inputs`` are the sha256 of the files in order, ``contents`` their ids."""

    run_id: str
    seq: int
    job: str
    state: str
    fingerprint: str
    inputs: tuple[str, ...]
    route: str
    test: bool
    results: str
    started_at: float
    finished_at: float | None = None
    exit_code: int | None = None
    folded: int = 0
    contents: tuple[bytes, ...] = ()

    @property
    def unfinished(self) -> bool:
        """Whether a later ``run`` goes on with it."""
        return self.state in ("running", "interrupted", "stopped")


EVENTS: dict[str, type[pl.DataType]] = {
    "key": pl.Binary,
    "body": pl.Binary,
    "stake": pl.Binary,
    "amount": pl.String,
    "conversion_id": pl.String,
    "delivered_at": pl.Float64,
    "row": pl.UInt32,
}
"""The columns of delivered events: a key and what :class:`Delivered` has."""
UPDATES: dict[str, type[pl.DataType]] = {
    "key": pl.Binary,
    "body": pl.Binary,
    "confirmed": pl.Boolean,
    "seq": pl.Int64,
    "row": pl.UInt32,
    "content": pl.Binary,
}
"""The columns of updates: a key and what :class:`LastUpdate` has."""
_NO_EVENTS, _NO_UPDATES = pl.DataFrame(schema=EVENTS), pl.DataFrame(schema=UPDATES)


class Fold(NamedTuple):
    """What a run's journal, or a part of it, adds to the ledger.

    ``events`` and ``updates`` are frames of :data:`EVENTS` and :data:`UPDATES`, those of one key in the order settled;
    ``contents``: (content id, rows of the file, bitmap of delivered rows).
    """

    events: pl.DataFrame = _NO_EVENTS
    updates: pl.DataFrame = _NO_UPDATES
    doubts: Sequence[Uncertain] = ()
    contents: Sequence[tuple[bytes, int, bytes]] = ()

    @classmethod
    def of(
        cls,
        events: Iterable[tuple[bytes, Delivered]] = (),
        updates: Iterable[tuple[bytes, LastUpdate]] = (),
        doubts: Sequence[Uncertain] = (),
        contents: Sequence[tuple[bytes, int, bytes]] = (),
    ) -> Fold:
        """The same of a few single ones: (key, Delivered) and (key, LastUpdate)."""
        sold = pl.DataFrame([(key, *one) for key, one in events], schema=EVENTS, orient="row")
        updated = pl.DataFrame([(key, *one) for key, one in updates], schema=UPDATES, orient="row")
        return cls(sold, updated, doubts, contents)
