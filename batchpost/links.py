"""Rows that mend or repeat rows of earlier runs: which ones, and where those stand.

``to_fix.csv`` and the files of ``retry`` carry ``batchpost_run``, ``batchpost_source`` and ``batchpost_row``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from batchpost.ledgerrows import RunRecord
from batchpost.places import read_summary

__all__ = ["LINK_COLUMNS", "Link", "Links", "Order", "link_frame", "links_of", "resolve"]

LINK_COLUMNS = ("batchpost_run", "batchpost_source", "batchpost_row")
"""The columns that say which row a row mends; in outcomes too, where the input has them."""


class Link(NamedTuple):
    """The row that a row mends, as its file says: the run, the name of the source, the row in it from 1."""

    run_id: str
    source: str
    row: int


class Order(NamedTuple):
    """Where an update stands among all: its run's sequence number, its row in that run from 0, the run's content."""

    seq: int
    number: int
    content: bytes


class Links(NamedTuple):
    """Resolved links, by row of this input.

    ``contents`` are (content id, rows) of the files linked to; ``rows`` is for each row of the input the index of its
    content and the row there from 0, or None; ``orders`` where the linked rows stand, in the same way.
    """

    contents: list[tuple[bytes, int]]
    rows: list[tuple[int, int] | None]
    orders: list[Order | None]


def links_of(frame: pl.DataFrame) -> list[Link | None]:
    """The links of a batch; None for a row whose link a spreadsheet spoilt. Empty for an ordinary file."""
    if not set(LINK_COLUMNS) <= set(frame.columns):
        return []
    rows = frame.select(LINK_COLUMNS).iter_rows()
    return [Link(run, source, int(row)) if run and source and _counts(row) else None for run, source, row in rows]


def link_frame(links: Sequence[Link | None]) -> pl.DataFrame:
    """The links of rows as text in the columns :data:`LINK_COLUMNS`; null where there is none."""
    told = [(link.run_id, link.source, str(link.row)) if link else (None, None, None) for link in links]
    return pl.DataFrame(told, schema=dict.fromkeys(LINK_COLUMNS, pl.String), orient="row")


def resolve(
    links: Sequence[Link | None],
    runs: Sequence[RunRecord],
    results: Path,
    content_of: Callable[[str], bytes],
) -> Links:
    """Find the rows that ``links`` name, by the summaries under ``results``.

    ``content_of`` gives the content id of a SHA-256, or of several joined by line ends.
    """
    finder = _Finder(runs, results, content_of)
    found = [finder.find(link) if link else None for link in links]
    contents = finder.contents
    return Links(contents, [place and place[0] for place in found], [place and place[1] for place in found])


class _Finder:
    def __init__(self, runs: Sequence[RunRecord], results: Path, content_of: Callable[[str], bytes]) -> None:
        self._runs = {run.run_id: run for run in runs}
        self._results = results
        self._content_of = content_of
        self._sources: dict[str, dict[str, tuple[int, int, int]]] = {}
        self.contents: list[tuple[bytes, int]] = []

    def find(self, link: Link) -> tuple[tuple[int, int], Order] | None:
        """The linked row's place and order; None where its run or source is not known any more."""
        if link.run_id not in self._sources:
            self._sources[link.run_id] = self._files(link.run_id)
        file = self._sources[link.run_id].get(link.source)
        if file is None or not 1 <= link.row <= file[2]:
            return None
        index, first, _ = file
        run = self._runs[link.run_id]
        order = Order(run.seq, first + link.row - 1, self._content_of("\n".join(run.inputs)))
        return (index, link.row - 1), order

    def _files(self, run_id: str) -> dict[str, tuple[int, int, int]]:
        """A run's sources by name: index of the content, rows before it in the run, its rows."""
        summary = read_summary(self._results / run_id) if run_id in self._runs else None
        files: dict[str, tuple[int, int, int]] = {}
        first = 0
        sources: list[dict[str, Any]] = (summary or {}).get("source", [])
        for source in sources:
            files[source["path"]] = (len(self.contents), first, source["rows"])
            self.contents.append((self._content_of(source["sha256"]), source["rows"]))
            first += source["rows"]
        return files


def _counts(text: str | None) -> bool:
    return bool(text) and str(text).isdecimal() and len(str(text)) < 10
