"""The first few rows of a run, sent before the rest: is the job itself at fault?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from batchpost.layout import counted
from batchpost.masking import Sample
from batchpost.model import Outcome
from batchpost.output import Line
from batchpost.reasons import meaning

__all__ = ["Tried", "canary_lines", "job_fault", "tried_rows"]

_FORBIDDEN = "403"
_JOB_FAULTS = ("invalid_event", "missing_field")
_SEVERAL = 3  # rows that end alike by more than chance
_SHOWN = 10


class Tried(NamedTuple):
    """A canary row: its request, what became of it, and what of the reply is kept, each empty where there is none;
    ``place`` is where it stands in its file."""

    sample: Sample
    outcome: str
    reason: str
    detail: str = ""
    http_status: str = ""
    lead_status: str = ""
    conversion_id: str = ""
    latency_ms: str = ""
    place: str = ""


def tried_rows(samples: Sequence[Sample], results: Path) -> list[Tried]:
    """The canary rows with their outcomes, from a run's results folder."""
    import polars as pl

    from batchpost.export import outcomes_frame

    wanted = {sample.number: sample for sample in samples}
    columns = Tried._fields[1:-1]
    frame = outcomes_frame(results).with_row_index("number").filter(pl.col("number").is_in(list(wanted)))
    texts = (pl.col(name).cast(pl.String).fill_null("") for name in (*columns, "source", "row", "line"))
    tried = []
    for number, *rest, source, row, line in frame.select("number", *texts).collect().iter_rows():
        place = f"{source}, {f'line {int(line):,}' if line else f'row {int(row):,}'}"
        tried.append(Tried._make((wanted[number], *rest, place)))
    return tried


def job_fault(tried: Iterable[Tried], summary: Mapping[str, Any], *, converts: bool = True) -> str:
    """Why the rest must not follow; empty where nothing speaks against it.

    A lead that the platform does not know is no fault of the job. That it refuses every one of several rows is: the
    campaign, the organisation or the column of ids is then likelier to be wrong than all those leads. So it is where
    money was sent, none of it became a conversion, and ``converts`` says that it should.
    """
    if summary.get("stopped_by") not in (None, "limit"):
        return str(summary.get("message") or summary["stopped_by"])
    rows = list(tried)
    for reason in _JOB_FAULTS:
        if found := [row for row in rows if row.reason == reason]:
            return f"{meaning(reason)} ({len(found):,} of {len(rows):,} rows: {reason})"
    if forbidden := [row for row in rows if row.http_status == _FORBIDDEN]:
        reason = forbidden[0].reason
        return f"{meaning(reason)} (403; {len(forbidden):,} of {len(rows):,} rows: {reason})"
    if len(rows) >= _SEVERAL and all(row.outcome == Outcome.REJECTED for row in rows):
        reasons = ", ".join(sorted({row.reason for row in rows}))
        return (
            f"the platform refused all {len(rows):,} rows ({reasons}); see whether campaign, organisation and the "
            "column of transaction_id are the right ones"
        )
    if converts and len(rows) >= _SEVERAL and all(row.reason == "not_a_conversion" for row in rows):
        return f"money was sent with all {len(rows):,} rows, and the platform counted none as a conversion"
    return ""


def canary_lines(tried: Sequence[Tried], fault: str, *, rest: bool) -> list[Line]:
    """The requests, masked, with their replies, and whether the others follow; ``rest``: there are some."""
    number = counted(len(tried), "row")
    lines = [Line(f"Canary: {number} sent before the others, personal data masked.", "strong")]
    for row in tried[:_SHOWN]:
        lines += _row_lines(row)
    if len(tried) > _SHOWN:
        lines.append(Line(f"... and {len(tried) - _SHOWN:,} more, see the results"))
    if fault:
        return [*lines, Line(f"! {'Nothing more is sent' if rest else 'The job is at fault'}: {fault}.", "trouble")]
    return [*lines, Line(f"The job itself is not at fault{': the rest follows' if rest else ''}.", "good")]


def _row_lines(row: Tried) -> Iterator[Line]:
    yield Line(row.place, "faint")
    yield from (Line(text) for text in str(row.sample).splitlines())
    answered = f"HTTP {row.http_status}" if row.http_status else "no reply"
    took = f" after {float(row.latency_ms):,.0f} ms" if row.latency_ms else ""
    through = row.outcome in (Outcome.DELIVERED, Outcome.ALREADY_DELIVERED) and row.reason != "not_a_conversion"
    yield Line(
        f"  -> {answered}{took}: {row.outcome.replace('_', ' ')}, {row.reason}", "good" if through else "trouble"
    )
    kept = (("lead status", row.lead_status), ("conversion id", row.conversion_id), ("it says", row.detail))
    yield from (Line(f"     {name}: {value}") for name, value in kept if value)
