"""Where the files of a workspace are: ledger, journals, locks, results; and what the results say of the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchpost.edge import WORLD, Edge
from batchpost.errors import LedgerError
from batchpost.job import Job
from batchpost.jobfile import ledger_path
from batchpost.ledger import Ledger
from batchpost.transport import Origin

__all__ = ["Places", "open_ledger", "places", "read_summary", "summaries"]


_RESTORED = "restore it, then {run}"
_GONE = (
    "Restore it from a backup. --new-ledger would begin an empty one, which does not know what was delivered before: "
    "events may fire twice"
)
_OTHER = (
    "Restore the right one. --new-ledger would go on with this one, which does not know what was delivered under the "
    "other: events may fire twice"
)
_OLDER = (
    "Is it from a backup? Restore a newer one. --new-ledger would go on with this one, which does not know what was "
    "delivered since: events may fire twice"
)


@dataclass(frozen=True, slots=True)
class Places:
    """Folders and files of one job. ``test``: its origin is this machine, so it has a ledger of its own."""

    ledger: Path
    results: Path
    test: bool

    @property
    def locks(self) -> Path:
        """The folder of lock files, beside the ledger."""
        return self.ledger.with_name(f"{self.ledger.stem}-locks")

    def told(self, job: str) -> Path:
        """The file of what a job's webhook was told, beside the ledger."""
        return self.ledger.with_name(f"{self.ledger.stem}-told") / f"{job}.json"

    def run(self, run_id: str) -> Path:
        """The private folder of a run's journal and spool, beside the ledger."""
        return self.ledger.with_name(f"{self.ledger.stem}-runs") / run_id


def places(job: Job, environ: Mapping[str, str]) -> Places:
    """The places of a job; those of a loopback origin are apart, so that a test never marks a lead as done."""
    test = Origin.parse(job.api.base_url).is_loopback
    ledger = ledger_path(job, environ)
    ledger = ledger.with_stem(f"{ledger.stem}-test") if test else ledger
    return Places(ledger, job.workspace / job.results.directory / job.name, test)


def open_ledger(at: Places, *, must_exist: bool, new_ledger: bool, edge: Edge = WORLD) -> Ledger:
    """The ledger of a job, checked against what its results say.

    Raises LedgerError when it is gone, another one, or older than the results; ``new_ledger`` is the person's word
    that it may be.
    """
    known = None if new_ledger else _ledger_of_results(at)
    if known and not at.ledger.exists():
        raise LedgerError(
            f"{at.ledger}: the ledger is gone, but the results in {at.results} rest on one. {_GONE}", then=_RESTORED
        )
    must_exist = must_exist and not new_ledger
    ledger = Ledger.open(at.ledger, must_exist=must_exist, entropy=edge.entropy, wall=edge.wall)
    if known and (wrong := _mistaken(ledger, known, at.results)):
        ledger.close()
        raise LedgerError(f"{at.ledger}: this {wrong}", then=_RESTORED)
    return ledger


def _ledger_of_results(at: Places) -> dict[str, Any] | None:
    """What the newest results say of the ledger that they rest on."""
    return next((summary["ledger"] for summary in summaries(at.results, test=at.test) if "ledger" in summary), None)


def _mistaken(ledger: Ledger, known: dict[str, Any], results: Path) -> str:
    if known["id"] != ledger.id:
        return f"is not the ledger that the results in {results} name. {_OTHER}"
    older = known["generation"] > ledger.generation
    return f"ledger is older than the results in {results}. {_OLDER}" if older else ""


def summaries(results: Path, *, test: bool) -> Iterator[dict[str, Any]]:
    """The summaries of a job's runs, newest first, of test runs or of real ones."""
    for path in sorted(results.glob("*/summary.json"), reverse=True):
        summary = read_summary(path.parent)
        if summary is not None and summary.get("test") is test:
            yield summary


def read_summary(folder: Path) -> dict[str, Any] | None:
    """A run's ``summary.json``; None where there is no readable one."""
    try:
        summary = json.loads((folder / "summary.json").read_text())
    except (OSError, ValueError):
        return None
    return summary if isinstance(summary, dict) else None
