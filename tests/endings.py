"""Settled rows one by one, for tests that look at single ones: from frames and to frames."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from batchpost.ended import EndedRows
from batchpost.model import Outcome, Settlement
from batchpost.recordshapes import Claim
from batchpost.settled import SETTLED

__all__ = ["Ended", "ended_rows", "ends_of", "settled_frame"]

_CLAIM, _SETTLEMENT = len(Claim._fields), len(Settlement._fields)


class Ended(NamedTuple):
    """A settled row: its claim, its end and the evidence, as the columns of ``SETTLED``."""

    number: int
    claim: Claim
    settlement: Settlement
    at: float
    first_attempt_at: float
    attempts: int
    latency_ms: float
    may_be_applied: bool
    sitting: int = 1


def ends_of(frames: Iterable[pl.DataFrame]) -> list[Ended]:
    """The rows of the frames, in order."""
    ends = []
    for frame in frames:
        assert dict(frame.schema) == SETTLED
        for number, *values in frame.iter_rows():
            claim, settlement = values[:_CLAIM], values[_CLAIM : _CLAIM + _SETTLEMENT]
            settled = Settlement(Outcome(settlement[0]), *settlement[1:])
            ends.append(Ended(number, Claim(*claim), settled, *values[_CLAIM + _SETTLEMENT :]))
    return ends


def ended_rows(ends: Iterable[Ended]) -> EndedRows:
    """These rows as the results take them; so few are in memory."""
    rows = EndedRows(Path("nowhere"))
    rows.add(settled_frame(ends))
    return rows


def settled_frame(ends: Iterable[Ended]) -> pl.DataFrame:
    """One frame of these rows."""
    rows = [(end.number, *end.claim, *end.settlement, *end[3:]) for end in ends]
    return pl.DataFrame(rows, schema=SETTLED, orient="row")
