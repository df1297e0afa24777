"""What the journal of an unfinished run says, for the sitting that goes on with it: read back, or as the sitting before
noted it at its end.

A journal of nine million rows takes twenty seconds to read. A sitting that ends in order has read it for its results,
and notes what matters to the next one in ``taken.json`` and ``taken.bin``, with a checksum of every file of the
journal: any change of a byte makes the notes worth nothing, and the journal is read, or refused, as ever.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from zlib import crc32

import polars as pl

from batchpost.fates import Fates
from batchpost.files import replaced
from batchpost.firstpass import checksum
from batchpost.history import History, Open, replay
from batchpost.journal import boot_id, sitting_files
from batchpost.model import Outcome
from batchpost.recordshapes import Claim

__all__ = ["SettledFates", "note", "take_up"]

FORMAT = 1
_KEPT = ("header", "sittings", "over", "starts", "sitting")  # of a History, beside its open rows


class SettledFates:
    """How the rows of an input ended, a byte a row; those that did not are as to be sent."""

    def __init__(self, rows: int) -> None:
        self.fates = Fates()
        self.fates.codes += bytes(rows)

    def add(self, settled: pl.DataFrame) -> None:
        """Take in settled rows, as :data:`batchpost.settled.SETTLED`; of a row settled twice the later one counts."""
        for (outcome, reason), rows in settled.select("row", "outcome", "reason").group_by("outcome", "reason"):
            self.fates.settle_all(rows["row"], Outcome(outcome), str(reason))


def take_up(folder: Path, rows: int, *, boot: Callable[[], str] = boot_id) -> tuple[History, Fates]:
    """What the journal in a run's private folder leaves open, and how the rows of the input, so many, ended. Raises
    LedgerError for a damaged journal."""
    files = sitting_files(folder)
    noted = _noted(folder, files, rows)
    if noted is not None:
        return noted
    history, settled = History(), SettledFates(rows)
    for frame in replay(files, history, boot=boot):
        settled.add(frame)
    return history, settled.fates


def note(folder: Path, history: History, settled: Fates) -> None:
    """Note what :func:`take_up` will be asked, durably. ``history`` is read to its end; where the sitting did not end
    in order nothing is noted, as what that leaves in doubt depends on when it is asked."""
    if history.over is None:
        return
    facts = {
        "format": FORMAT,
        "history": {name: getattr(history, name) for name in _KEPT},
        "open": [[number, _written(row)] for number, row in history.open.items()],
        "table": settled.table,
        "files": _sums(sitting_files(folder)),
        "crc32": crc32(settled.codes),
    }
    signed = json.dumps({"facts": facts, "crc32": _sum_of(facts)}).encode()
    for name, content in (("taken.bin", bytes(settled.codes)), ("taken.json", signed)):
        with replaced(folder / name) as file:
            file.write(content)


def _noted(folder: Path, files: list[Path], rows: int) -> tuple[History, Fates] | None:
    """What was noted, if it is of these very bytes; None where there is any doubt."""
    try:
        signed = json.loads((folder / "taken.json").read_text())
        facts, codes = signed["facts"], (folder / "taken.bin").read_bytes()
        sound = signed["crc32"] == _sum_of(facts) and facts["format"] == FORMAT and facts["crc32"] == crc32(codes)
        if not sound or len(codes) != rows or facts["files"] != _sums(files):
            return None
        opened = {number: _read(row) for number, row in facts["open"]}
        history = History(**{**facts["history"], "over": tuple(facts["history"]["over"])}, open=opened)
    except (AttributeError, LookupError, OSError, TypeError, ValueError):
        return None
    fates = Fates()
    for outcome, reason in facts["table"][1:]:
        fates.code(outcome, reason)
    fates.codes += codes
    return history, fates


def _sums(files: list[Path]) -> list[list[Any]]:
    with ThreadPoolExecutor(2, "sums") as threads:
        return [[file.name, crc] for file, crc in zip(files, threads.map(checksum, files), strict=True)]


def _sum_of(facts: dict[str, Any]) -> int:
    return crc32(json.dumps(facts).encode())


def _written(row: Open) -> dict[str, Any]:
    *hashes, amount = row.claim
    return {**asdict(row), "claim": [*(value.hex() for value in hashes), amount]}


def _read(facts: dict[str, Any]) -> Open:
    key, body_hash, stake, amount = facts["claim"]
    claim = Claim(bytes.fromhex(key), bytes.fromhex(body_hash), bytes.fromhex(stake), amount)
    return Open(**{**{field.name: facts[field.name] for field in fields(Open)}, "claim": claim})
