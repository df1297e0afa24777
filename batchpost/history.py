"""Reading a run's journal back: what was claimed, what may have been sent, what was settled, and whether to trust it.

A torn tail is the trace of a crash; damage inside what was known to be on disk is not, and stops with a LedgerError.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from batchpost.errors import LedgerError
from batchpost.journal import boot_id
from batchpost.model import Outcome, Settlement

__all__ = ["Claim", "Ended", "History", "Open", "replay"]


_OUTCOMES = {outcome.value: outcome for outcome in Outcome}  # a quarter of the time of Outcome(value)


class Claim(NamedTuple):
    """A row that was about to be sent, with what the ledger needs to know of it."""

    key: bytes
    body_hash: bytes
    stake: bytes
    amount: str


class Ended(NamedTuple):
    """A settled row: its claim, its end and the evidence. Times are Unix seconds."""

    number: int
    claim: Claim
    settlement: Settlement
    at: float
    first_attempt_at: float
    attempts: int
    latency_ms: float
    may_be_applied: bool


@dataclass(slots=True)
class Open:
    """A row that was claimed and not settled. ``in_doubt``: an attempt of it may have arrived."""

    claim: Claim
    in_doubt: bool = False
    attempts: int = 0
    first_attempt_at: float = 0.0
    started: bool = False


@dataclass(slots=True)
class History:
    """What is left when a journal was read to its end.

    ``header`` is the first sitting's, ``open`` the rows claimed and not settled by number, ``over`` the cause and exit
    code of the last sitting if it ended in order, ``starts`` the requests of all sittings.
    """

    header: dict[str, Any] = field(default_factory=dict)
    open: dict[int, Open] = field(default_factory=dict)
    sittings: int = 0
    over: tuple[str, int] | None = None
    starts: int = 0


def replay(files: Sequence[Path], history: History, *, boot: Callable[[], str] = boot_id) -> Iterator[Ended]:
    """Read all sittings of a run in order and yield every settled row, in the order settled.

    ``history`` is filled meanwhile and complete at the end. Memory grows with the rows open at one time, not with the
    rows settled. A row can be settled twice, in two sittings: the later one counts. Raises LedgerError for damage.
    """
    for path in files:
        torn = yield from _sitting(path, history, boot())
        # What a crash of this sitting leaves in doubt is decided by its own boot, before the next sitting's records.
        lost_writes = torn or not _same_boot(history, boot())
        _close_sitting(history, lost_writes=history.over is None and lost_writes)


def _close_sitting(history: History, *, lost_writes: bool) -> None:
    """A row started and without an end is in doubt; where unsynced writes may be lost, every claimed one is."""
    for number, row in list(history.open.items()):
        row.in_doubt = row.in_doubt or row.started or lost_writes
        row.started = False
        if not row.in_doubt and not row.attempts:
            del history.open[number]  # claimed, and certainly not sent


def _same_boot(history: History, boot: str) -> bool:
    return bool(boot) and history.header.get("boot_id") == boot


def _sitting(path: Path, history: History, boot: str) -> Generator[Ended, None, bool]:
    """Read one sitting; returns whether it ends in half a record.

    A damaged line is a crash's trace only behind what was known to be on disk, and only where writes can get lost.
    Within one boot they cannot: a killed process leaves at most a beginning of its last line, without the line end.
    """
    history.over = None
    history.header = {**history.header, "boot_id": ""}
    durable, damaged_at = 0, -1
    for offset, line, record in _records(path):
        if record is None:
            damaged_at = offset if damaged_at < 0 else damaged_at
        elif record[0] == "claim":
            durable = max(durable, record[1])
        if damaged_at >= 0:
            whole = line.endswith(b"\n") and _same_boot(history, boot)
            if whole or damaged_at < durable or (record and record[0] == "over"):
                raise LedgerError(f"{path.name}: damaged at byte {damaged_at}; what it recorded there is lost")
        if record and (ended := _apply(record, history, path)):
            yield ended
    return damaged_at >= 0


def _records(path: Path) -> Iterator[tuple[int, bytes, list[Any] | None]]:
    """Each line's offset in the file, the line, and its record: None where it is damaged."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            yield offset, line, _decode(line)
            offset += len(line)


def _decode(line: bytes) -> list[Any] | None:
    text = line[9:-1]
    if line[-1:] != b"\n" or line[8:9] != b" " or line[:8] != b"%08x" % crc32(text):
        return None
    record = orjson.loads(text)
    return record if isinstance(record, list) else None


def _apply(record: list[Any], history: History, path: Path) -> Ended | None:
    kind = record[0]
    if kind == "claim":
        for number, key, body_hash, stake, amount in record[2]:
            claim = Claim(bytes.fromhex(key), bytes.fromhex(body_hash), bytes.fromhex(stake), amount)
            history.open.setdefault(number, Open(claim))
    elif kind in ("start", "again", "end"):
        row = history.open.get(record[1])
        if row is None:
            raise LedgerError(f"{path.name}: row {record[1]} was sent without a claim; the journal is damaged")
        return _apply_to_row(record, row, history)
    elif kind == "sitting":
        history.header = {**record[1], **history.header, "boot_id": record[1]["boot_id"]}
        history.sittings += 1
    elif kind == "over":
        history.over = (record[2], record[3])
    return None


def _apply_to_row(record: list[Any], row: Open, history: History) -> Ended | None:
    kind, number, at = record[:3]
    if kind == "start":
        row.started = True
        row.attempts += 1
        history.starts += 1
        row.first_attempt_at = row.first_attempt_at or at
    elif kind == "again":
        row.started = False
        row.in_doubt = row.in_doubt or record[4]
    else:
        settlement = Settlement(_OUTCOMES[record[3]], *record[4:11])
        del history.open[number]
        latency_ms, may_be_applied = record[11:13]
        return Ended(number, row.claim, settlement, at, row.first_attempt_at, row.attempts, latency_ms, may_be_applied)
    return None
