"""What ``status --json`` prints: the same as for a person, whole, as one object. Money is exact text, times are UTC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchpost.jobstatus import JobStatus
from batchpost.layout import instant
from batchpost.status import FileStatus, Part, Sum, by_day, left_by_reason
from batchpost.statusview import first_line, remarks, what_it_means
from batchpost.summary import plain

__all__ = ["status_json"]


def status_json(status: JobStatus, here: Path) -> dict[str, Any]:
    """The status as values for JSON. ``money`` is null in all places where the job has no money."""
    answer, named = status.answer, status.named
    return {
        "answer": "no" if status.exit_code else "yes",
        "exit_code": status.exit_code,
        "text": first_line(status, here),
        "job": named.name,
        "job_file": named.file or None,
        "route": status.route,
        "test": named.at.test,
        "day": str(status.wanted.day) if status.wanted.day else None,
        "money_field": status.money or None,
        **_sum(status, answer.parts),
        "not_in": _reasons(status, answer.parts, tolerated=False),
        "tolerated": _reasons(status, answer.parts, tolerated=True),
        "days": [_day(status, day, files) for day, files in by_day(answer.files)],
        "files": [_file(status, file) for file in answer.files],
        "unseen": list(status.unseen),
        "unread": [status.run_id(number) for number in answer.unread],
        "under_way": status.under_way._asdict() if status.under_way else None,
        "remarks": list(remarks(status)),
        "next": [step.command for step in status.steps],
    }


def _day(status: JobStatus, day: date, files: Sequence[FileStatus]) -> dict[str, Any]:
    return {"day": str(day), "files": len(files), **_sum(status, [part for file in files for part in file.parts])}


def _file(status: JobStatus, file: FileStatus) -> dict[str, Any]:
    return {
        "path": file.name,
        "sha256": file.sha256,
        "day": str(file.day),
        "first_read_at": instant(file.first_read),
        **_sum(status, file.parts),
        "not_in": _reasons(status, file.parts, tolerated=False),
        "tolerated": _reasons(status, file.parts, tolerated=True),
    }


def _sum(status: JobStatus, parts: Sequence[Part]) -> dict[str, Any]:
    total = Sum.of(parts)
    rows = {"read": total.read, "meant": total.meant, "in": total.rows["in"], "not_in": total.out}
    money = {
        "meant": total.money_meant,
        "in": total.money["in"],
        "not_in": total.money_out,
        "tolerated": total.money["tolerated"],
        "skipped": total.money["skipped"],
    }
    return {
        "rows": {**rows, **{name: total.rows[name] for name in ("unknown", "tolerated", "skipped")}},
        "money": {name: plain(amount) for name, amount in money.items()} if status.money else None,
    }


def _reasons(status: JobStatus, parts: Sequence[Part], *, tolerated: bool) -> list[dict[str, Any]]:
    return [
        {
            "outcome": outcome,
            "reason": reason,
            "meaning": what_it_means(reason),
            "rows": sum(part.rows for part in found),
            "money": plain(sum((part.amount for part in found), Decimal(0))) if status.money else None,
            "runs": _runs(status, found),
        }
        for outcome, reason, found in left_by_reason(parts, tolerated=tolerated)
    ]


def _runs(status: JobStatus, parts: Iterable[Part]) -> list[dict[str, Any]]:
    """How many rows each run has last, the newest run first."""
    rows: dict[int, int] = {}
    for part in parts:
        rows[part.run] = rows.get(part.run, 0) + part.rows
    return [{"run_id": status.run_id(number), "rows": rows[number]} for number in sorted(rows, reverse=True)]
