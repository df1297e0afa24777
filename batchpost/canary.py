"""The first few rows of a run, sent before the rest: is the job itself at fault?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from batchpost.layout import amount_text
from batchpost.masking import Sample

__all__ = ["Tried", "canary_text", "job_fault", "tried_rows"]

_JOB_FAULTS = {
    "invalid_event": "the event is not configured for the campaign",
    "missing_field": "the platform wants a field that the job does not send",
    "source_inactive": "the source is inactive",
}
_SHOWN = 10


class Tried(NamedTuple):
    """A canary row: its request and what became of it."""

    sample: Sample
    outcome: str
    reason: str
    detail: str
    http_status: str


def tried_rows(samples: Sequence[Sample], results: Path) -> list[Tried]:
    """The canary rows with their outcomes, from a run's results folder."""
    import polars as pl

    from batchpost.export import outcomes_frame

    wanted = {sample.number: sample for sample in samples}
    columns = ("outcome", "reason", "detail", "http_status")
    frame = outcomes_frame(results).with_row_index("number").filter(pl.col("number").is_in(list(wanted)))
    texts = frame.select("number", *(pl.col(name).cast(pl.String).fill_null("") for name in columns)).collect()
    return [Tried(wanted[number], *rest) for number, *rest in texts.iter_rows()]


def job_fault(tried: Iterable[Tried], summary: Mapping[str, Any]) -> str:
    """Why the rest must not follow; empty where nothing speaks against it. A lead that the platform does not know is
    no fault of the job."""
    if summary.get("stopped_by") not in (None, "limit"):
        return str(summary.get("message") or summary["stopped_by"])
    reasons = [row.reason for row in tried]
    for reason, words in _JOB_FAULTS.items():
        if reason in reasons:
            return f"{words} ({reasons.count(reason)} of {len(reasons)} rows: {reason})"
    return ""


def canary_text(tried: Sequence[Tried], fault: str) -> str:
    """The requests, masked, with their replies, and whether the rest follows."""
    lines = [f"Canary: {amount_text(str(len(tried)))} rows sent before the others, personal data masked."]
    for row in tried[:_SHOWN]:
        status = f"HTTP {row.http_status}, " if row.http_status else ""
        lines.append(str(row.sample))
        lines.append(f"  -> {status}{row.outcome}: {row.reason}{f' ({row.detail})' if row.detail else ''}")
    if len(tried) > _SHOWN:
        lines.append(f"... and {len(tried) - _SHOWN:,} more, see the results")
    lines.append(f"Nothing more is sent: {fault}." if fault else "The job itself is not at fault: the rest follows.")
    return "\n".join(lines)
