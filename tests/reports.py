"""Summaries and outcomes for tests of the report, and a page taken to pieces."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl

from batchpost.outcomes import OUTCOME_COLUMNS
from batchpost.results import CsvTable, ParquetTable, outcome_schema

RUN_ID = "20261126T021500000-ab12"
MONEY = {"read": "1250.00", "delivered": "1000.00", "skipped": "50.00", "invalid": "0.00", "rejected": "200.00"}
TIMELINE = {
    "began": 1_795_659_300,
    "step": 5,
    "requests": [200, 240, 0, 130],
    "p50": [20.0, 21.5, None, 24.0],
    "p95": [45.0, 44.0, None, 61.0],
    "p99": [80.0, 75.5, None, 120.0],
}


def entry(outcome: str, reason: str, rows: int, revenue: str = "0.00") -> dict[str, Any]:
    """One of ``summary.books``."""
    return {"outcome": outcome, "reason": reason, "rows": rows, "money": {"revenue": revenue}}


def summary(**changes: Any) -> dict[str, Any]:
    """A finished run: 10 rows read, 7 in, one skipped, two not in."""
    return {
        "run_id": RUN_ID,
        "job": "nightly",
        "job_file": "/srv/uploads/jobs/nightly.toml",
        "route": "global-event",
        "test": False,
        "state": "finished",
        "exit_code": 1,
        "rows": {"read": 10, "delivered": 7, "skipped": 1, "invalid": 1, "rejected": 1},
        "reasons": {"conversion": 7, "filtered": 1, "not_a_number": 1, "lead_not_found": 1},
        "money": {"revenue": dict(MONEY)},
        "books": [
            entry("delivered", "conversion", 7, "1000.00"),
            entry("skipped", "filtered", 1, "50.00"),
            entry("invalid", "not_a_number", 1),
            entry("rejected", "lead_not_found", 1, "200.00"),
        ],
        "expected": [],
        "timeline": TIMELINE,
        "requests": {"sent": 570, "retried": 12},
        "http": {"200": 7, "400": 1, "599": 2},
        "latency_ms": {"p50": 21.0, "p95": 50.0, "p99": 88.0, "max": 120.0},
        "rate": {"target": 50, "mean": 28.5, "peak": 48},
        "source": [
            {
                "path": "exports/conv.csv",
                "sha256": "ab" * 32,
                "bytes": 4_096,
                "rows": 10,
                "money": {"revenue": "1250.00"},
                "totals": [{"line": 12, "row": 11, "money": {"revenue": "1250.00"}}],
            }
        ],
        "started_at": "2026-11-26T02:15:00Z",
        "finished_at": "2026-11-26T02:15:20Z",
        "duration_s": 20.4,
        "next": f"batchpost retry {RUN_ID}",
        "message": "",
        **changes,
    }


def write_outcomes(folder: Path, rows: list[dict[str, Any]], kind: str = "csv") -> Path:
    """Outcomes as a run writes them, of rows that name only what matters; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    usual = {"source": "exports/conv.csv", "outcome": "delivered", "reason": "conversion", "attempts": 1}
    full = [
        {**dict.fromkeys(OUTCOME_COLUMNS), **usual, "row": number, "line": number + 1, **row}
        for number, row in enumerate(rows, 1)
    ]
    numbers = {"row": pl.UInt32, "line": pl.UInt64, "http_status": pl.UInt16, "attempts": pl.UInt32}
    kinds = {**dict.fromkeys(OUTCOME_COLUMNS, pl.String), **numbers, "latency_ms": pl.Float64}
    with (folder / f"outcomes.{kind}").open("wb") as file:
        is_csv = kind == "csv"
        table = CsvTable(file, OUTCOME_COLUMNS, ("amount",)) if is_csv else ParquetTable(file, outcome_schema(), {})
        table.write(pl.DataFrame(full, schema=kinds))
        table.close()
    return folder


def write_summary_of(folder: Path, found: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(found))


# -- pages -----------------------------------------------------------------------------------------------------------

_VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


@dataclass
class Element:
    """A tag of a page with its attributes and all the text in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """A page taken to pieces; ``faults`` are tags that do not fit together."""

    source: str
    elements: list[Element] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)
        self.close()
        self.faults += [f"<{element.tag}> stays open" for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        if len(attrs) != len(element.attributes):
            self.faults.append(f"<{tag}> names an attribute twice")
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.faults.append(f"</{tag}> at line {self.getpos()[0]} closes nothing")
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a tag with these attributes (a class among others counts), in their order."""
        return [
            element
            for element in self.elements
            if element.tag == tag
            and all(value in element.attributes.get(name.strip("_"), "").split() for name, value in attributes.items())
        ]

    def text(self, tag: str, **attributes: str) -> list[str]:
        """Their texts, each on one line."""
        return [" ".join(element.text.split()) for element in self.all(tag, **attributes)]
