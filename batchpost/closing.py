"""What stands on the screen when a run is over: how it went, its files, the books, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from batchpost.booksview import books_lines, books_of, expect_lines
from batchpost.layout import aligned, counted, short_command, short_path, span
from batchpost.model import Outcome
from batchpost.output import Line, wrapped

__all__ = ["closing_lines", "last_line", "next_lines"]

_DONE = (Outcome.DELIVERED, Outcome.ALREADY_DELIVERED, Outcome.SKIPPED)


def last_line(summary: Mapping[str, Any], here: Path) -> str:
    """What to do now, for somebody who has never seen the tool; ``here`` shortens the paths of the next command."""
    rows = summary.get("rows", {})
    done = sum(rows.get(outcome.value, 0) for outcome in _DONE)
    command = summary.get("next") or f"batchpost show {summary['run_id']}"
    left = rows.get("read", 0) - done
    return (
        f"Safe to repeat: yes. Sent {rows.get('delivered', 0):,}, left {left:,}. Next: {short_command(command, here)}"
    )


def next_lines(command: str, here: Path) -> list[Line]:
    """A command to type next, alone on its line."""
    return [Line("Next:"), Line(f"  {short_command(command, here)}", "strong")]


def closing_lines(summary: Mapping[str, Any], folder: Path, here: Path, *, width: int = 0) -> list[Line]:
    """The end of a run, for a terminal of ``width`` columns (0: for a file). ``folder`` has its results; ``here``
    shortens paths."""
    head = f"{summary['job']} {summary['run_id']}: {_ended(summary)}{'  (a test)' if summary.get('test') else ''}"
    lines = wrapped(Line(head, "trouble" if summary.get("exit_code") else "strong"), width, indent="  ")
    lines += wrapped(Line(_speed(summary)), width, indent="  ")
    lines += [Line(""), *books_lines(books_of(summary), summary.get("source") or (), width=width)]
    lines += expect_lines(summary, width=width)
    lines += [Line(""), Line(short_path(folder, here)), *(Line(text) for text in _files(summary, folder))]
    lines += _outstanding(summary, here)
    if summary.get("exit_code"):
        lines += [Line(""), Line(last_line(summary, here), "strong")]
    return lines


def _ended(summary: Mapping[str, Any]) -> str:
    took = span(summary.get("duration_s", 0.0))
    again = (
        f", went on with {counted(summary['settled_before'], 'row')} settled before" if summary.get("continued") else ""
    )
    return f"{summary.get('message') or summary['state']} ({took}){again}"


def _speed(summary: Mapping[str, Any]) -> str:
    requests, rate, latency = summary.get("requests", {}), summary.get("rate", {}), summary.get("latency_ms")
    sent, retried = requests.get("sent", 0), requests.get("retried", 0)
    speed = counted(sent, "request")
    if retried:
        speed += f", {retried:,} of them {'retries' if retried > 1 else 'a retry'}"
    if latency:
        speed += f"; {rate.get('mean', 0):,.1f} a second, half of them within {latency['p50']:g} ms"
    return speed


def _files(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """The files that somebody may want to open, each with what it is for."""
    found = [
        (name, f"{counted(summary[key], 'row')} {purpose}")
        for key, name, purpose in (
            ("to_fix", "to_fix.csv", "to mend"),
            ("corrections", "corrections.csv", "for the account manager"),
        )
        if summary.get(key)
    ]
    found += [(path.name, "every row and its outcome") for path in sorted(folder.glob("outcomes.*"))]
    found += [("report.html", "all of it to look at")] if (folder / "report.html").exists() else []
    return aligned(found, indent="  ")


def _outstanding(summary: Mapping[str, Any], here: Path) -> Iterator[Line]:
    """Rows of earlier runs without a known end, where this run's own next command is not about the like."""
    if summary.get("rows", {}).get("unknown"):
        return
    for run_id, count in (summary.get("outstanding") or {}).items():
        yield Line("")
        have = "has" if count == 1 else "have"
        yield Line(f"! {counted(count, 'row')} of an earlier run {have} no known end:", "trouble")
        yield Line(f"  {short_command(f'batchpost resolve {run_id}', here)}", "strong")
