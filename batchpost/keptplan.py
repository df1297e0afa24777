"""The first pass, kept beside a run that is not finished: when the run goes on with the same bytes as its input, they
need not be read, checked and mapped again.

``read.json`` and ``read.bin`` hold what the input alone decided; the spool (``plan.arrow``) holds the rest. What the
journal and the ledger say of the rows is not in them, and is asked anew each time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import file_digest
from pathlib import Path
from typing import Any
from zlib import crc32

import polars as pl
import pyarrow as pa

from batchpost.batch import Fingerprint, Place
from batchpost.files import replaced
from batchpost.firstpass import Piece, Plan, Total, checksum
from batchpost.identity import Identity
from batchpost.job import Job
from batchpost.jobview import fingerprint
from batchpost.source import Reader
from batchpost.version import __version__

__all__ = ["keep", "kept", "mark_of", "sha256_of"]

FORMAT = 3


def mark_of(job: Job, identity: Identity) -> str:
    """A keyed hash of all that a first pass rests on but the input: the job, the ledger's key, and the versions of
    what reads and maps."""
    made_with = (__version__, pl.__version__, pa.__version__, sys.version)
    return identity.content("plan", str(FORMAT), fingerprint(job), *made_with).hex()


def sha256_of(path: Path) -> str:
    """The SHA-256 (hex) of a file as it lies on disk; raises OSError."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def keep(plan: Plan, folder: Path, mark: str) -> None:
    """Keep, durably, what :func:`kept` needs beside the plan that was saved in the folder of its run. A plan of rows
    that mend others is not kept: such files are small."""
    if plan.as_read is None or plan.links:
        return
    content = bytes(plan.as_read.codes) + plan.repeated
    facts = {
        "mark": mark,
        "table": plan.as_read.table,
        "files": [[file.path, file.sha256, file.bytes, file.rows] for file in plan.files],
        "batches": [[piece.file, piece.rows, piece.digest.hex(), piece.place] for piece in plan.batches],
        "campaigns": sorted(plan.campaigns),
        "totals": plan.totals,
        "crc32": {"read.bin": crc32(content), "plan.arrow": plan.spool_sum},
    }
    signed = json.dumps({"facts": facts, "crc32": _sum_of(facts)}).encode()
    for name, text in (("read.bin", content), ("read.json", signed)):
        with replaced(folder / name) as file:
            file.write(text)


def kept(folder: Path, mark: str, readers: Sequence[Reader]) -> Plan | None:
    """The first pass of the run whose private folder this is, if the readers' files have the same bytes as then; it
    stands as it did before anything but the input had decided a row. None where there is any doubt."""
    try:
        facts = _facts(folder)
        files = [Fingerprint(*file) for file in facts["files"]]
        found = [(reader.file.name, reader.file.path.stat().st_size) for reader in readers]
        if facts["mark"] != mark or [(file.path, file.bytes) for file in files] != found:
            return None
        with ThreadPoolExecutor(2, "kept") as threads:
            inputs = threads.map(sha256_of, [reader.file.path for reader in readers])
            sums = threads.map(checksum, [folder / name for name in facts["crc32"]])
            if [*inputs] != [file.sha256 for file in files] or [*sums] != [*facts["crc32"].values()]:
                return None
        plan = _plan(folder, facts, files)
    except (AttributeError, LookupError, OSError, TypeError, ValueError):
        return None
    for reader, file in zip(readers, files, strict=True):
        reader.fingerprint = file
    return plan


def _facts(folder: Path) -> dict[str, Any]:
    signed = json.loads((folder / "read.json").read_text())
    facts: dict[str, Any] = signed["facts"]
    if signed["crc32"] != _sum_of(facts):
        raise ValueError("read.json is damaged")
    return facts


def _sum_of(facts: dict[str, Any]) -> int:
    return crc32(json.dumps(facts).encode())


def _plan(folder: Path, facts: dict[str, Any], files: list[Fingerprint]) -> Plan:
    rows = sum(file.rows for file in files)
    content = (folder / "read.bin").read_bytes()
    plan = Plan(
        folder / "plan.arrow",
        files=files,
        batches=[
            Piece(file, count, bytes.fromhex(digest), Place(*place) if place else None)
            for file, count, digest, place in facts["batches"]
        ],
        campaigns=set(facts["campaigns"]),
        totals=[Total(*total) for total in facts["totals"]],
        repeated=bytearray(content[rows:]),
        spool_sum=facts["crc32"]["plan.arrow"],
    )
    for outcome, reason in facts["table"][1:]:
        plan.fates.code(outcome, reason)
    plan.fates.codes += content[:rows]
    return plan
