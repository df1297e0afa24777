"""What the columns of an input show: a bounded look at its rows, and how many values pass as what.

Whether a value passes is asked of the converters that a run uses. Nothing here shows a value, but for words that are
plainly categories.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from batchpost.convert import Wanted
from batchpost.fields import BoundField, cell, unwrapped
from batchpost.job import FieldSource
from batchpost.routes import FieldType
from batchpost.rowkinds import blank_and_totals
from batchpost.source import Reader

__all__ = ["Column", "Fit", "Table", "looked_at"]

_BYTES = 256 << 20  # of text that is kept to look at, however few rows that is
_NULL_WORDS = ("n/a", "na", "null", "none", "nil", "-", "--", "?", "unknown", "not available", "#n/a")
_SAMPLE = 1_000  # distinct values by which a column is known to be nothing of a kind
_LOWEST = -(10**15)
_MOST_CATEGORIES = 20
_MOST_DISTINCT = 500  # different values, case and what is no category included
_CATEGORY = re.compile(r"[^\W\d_][\w &/().+'’-]{0,39}")  # noqa: RUF001 - meant
_PREFIX = re.compile(r"[A-Za-z]{2,12}[_-]")


@dataclass(frozen=True, slots=True)
class Fit:
    """How many of a column's filled cells pass as something."""

    count: int
    filled: int

    @property
    def share(self) -> float:
        """Between 0 and 1; 0 for a column without values."""
        return self.count / self.filled if self.filled else 0.0

    @property
    def all(self) -> bool:
        """Whether every value passes, and there is one."""
        return 0 < self.filled == self.count

    def __str__(self) -> str:
        if self.all:
            return f"all {self.filled:,} values are" if self.filled > 1 else "the only value is"
        return f"{self.count:,} of {self.filled:,} values {'is' if self.count == 1 else 'are'}"


@dataclass(frozen=True)
class Column:
    """One column. ``cells`` has a row for each distinct filled cell, trimmed as a run trims it: ``value`` (String) and
    ``count`` (UInt32), the most frequent first. ``rows`` are the rows looked at, blank ones and totals aside."""

    name: str
    rows: int
    cells: pl.DataFrame
    _fits: dict[str, Fit] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def filled(self) -> int:
        """Cells that are not empty."""
        return int(self.cells["count"].sum())

    @property
    def distinct(self) -> int:
        """Different values."""
        return self.cells.height

    def fit(self, kind: FieldType, decimal: str | None = None, choices: Sequence[str] = (), **source: Any) -> Fit:
        """How many cells pass as ``kind``; ``source`` are keys of the field as in a job file, and its ``name`` where
        that asks for more than the kind."""
        key = repr((kind, decimal, choices, source))
        if key not in self._fits:
            self._fits[key] = Fit(self._passing(kind, decimal, choices, source), self.filled)
        return self._fits[key]

    def converted(
        self, kind: FieldType, decimal: str | None = None, choices: Sequence[str] = (), **source: Any
    ) -> pl.DataFrame:
        """The cells with ``sent``, what goes out for each (String, null where it does not pass)."""
        return converted(self.cells, kind, decimal, choices, **source)

    def with_text(self, pattern: str) -> int:
        """Cells in which a regular expression matches somewhere."""
        return int(self.cells.filter(pl.col("value").str.contains(pattern))["count"].sum())

    def null_words(self) -> dict[str, int]:
        """Words in place of a value, such as N/A, and how many cells are one."""
        lower = pl.col("value").str.to_lowercase()
        return _counts(self.cells.filter(lower.is_in(_NULL_WORDS)).head(_MOST_CATEGORIES))

    def categories(self) -> dict[str, int]:
        """The column's values with their counts, where they are plainly categories: few, short words without many
        digits that are nobody's address, name or number; else empty. Case is ignored. Up to a tenth of the cells may
        hold something else, which is not among them."""
        if self.distinct > _MOST_DISTINCT:
            return {}
        merged: dict[str, tuple[str, int]] = {}
        for value, count in _counts(self.cells).items():
            if _is_category(value):
                spelled, before = merged.get(value.lower(), (value, 0))
                merged[value.lower()] = (spelled, before + count)
        words = dict(merged.values())
        covered = sum(words.values())
        repeated = len(words) <= 5 or covered >= 3 * len(words)
        few = 0 < len(words) <= _MOST_CATEGORIES and repeated
        return words if few and covered >= 0.9 * self.filled else {}

    def prefix(self) -> tuple[str, Fit]:
        """The letters and sign that most of the values begin with (``txn_``), and how many do; an empty text where
        that is less than nine in ten."""
        begun = [_PREFIX.match(value) for value in self.cells["value"].head(5)]
        for prefix in dict.fromkeys(found[0] for found in begun if found):
            fit = Fit(self.with_text(f"^{prefix}"), self.filled)
            if fit.share >= 0.9:
                return prefix, fit
        return "", Fit(0, self.filled)

    def _passing(self, kind: FieldType, decimal: str | None, choices: Sequence[str], source: dict[str, Any]) -> int:
        """Cells that pass; where nearly none of a sample do, only those of the sample, without looking further."""
        some = self.cells.gather_every(max(1, self.distinct // _SAMPLE))
        passed = converted(some, kind, decimal, choices, **source)["sent"].is_not_null()
        if some.height == self.distinct or passed.sum() < _SAMPLE / 10:
            return int(some["count"].filter(passed).sum())
        whole = self.converted(kind, decimal, choices, **source)
        return int(whole["count"].filter(whole["sent"].is_not_null()).sum())


@dataclass(frozen=True, slots=True)
class Table:
    """What was looked at. ``rows`` counts all rows seen, ``whole`` tells whether these are all there are; ``blank`` and
    ``totals`` are rows that are no lead's; ``unsupported`` name → reason of columns that cannot be text."""

    columns: dict[str, Column]
    rows: int
    whole: bool
    blank: int
    totals: int
    unsupported: dict[str, str]

    def __str__(self) -> str:
        seen = f"{'all' if self.whole else 'the first'} {self.rows:,} rows" if self.rows > 1 else "one row"
        apart = [f"{count:,} {what}" for count, what in ((self.blank, "blank"), (self.totals, "with a total")) if count]
        return f"{seen} ({' and '.join(apart)} among them)" if apart else seen


def looked_at(readers: Sequence[Reader], rows: int) -> Table:
    """Look at the first ``rows`` rows of an input or a few more, as its batches come, or at as many as 256 MB of text.

    Raises InputRefused at what is unsound in them.
    """
    frames, whole = _gathered(readers, rows)
    names = next((reader.columns for reader in readers if reader.columns), ())
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    everyone = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True)
    kinds = blank_and_totals(frame, everyone, last=False)
    lead = frame.filter(~pl.int_range(frame.height, dtype=pl.UInt32, eager=True).is_in(kinds["row"].implode()))
    return Table(
        columns={name: Column(name, lead.height, _distinct(lead, name)) for name in names},
        rows=frame.height,
        whole=whole,
        blank=int((kinds["reason"] == "blank_row").sum()),
        totals=int((kinds["reason"] == "totals_row").sum()),
        unsupported={name: why for reader in readers for name, why in reader.unsupported_columns.items()},
    )


def converted(
    cells: pl.DataFrame, kind: FieldType, decimal: str | None = None, choices: Sequence[str] = (), **source: Any
) -> pl.DataFrame:
    """``cells`` (``value``, ``count``) with ``sent``: what goes out for each, null where it does not pass. Money
    below 0 passes, so that it can be counted."""
    if kind is FieldType.MONEY:
        source.setdefault("min", _LOWEST)
    name = source.pop("name", "it")
    given = FieldSource.model_validate({"column": "it", **source})
    bound = BoundField(Wanted(name, kind, given, tuple(choices), decimal))
    work = cells.with_columns(pl.col("value").alias("it.cell"))
    for step in ([bound.text], *bound.steps):
        work = work.with_columns(step)
    return work.select("value", "count", bound.value.alias("sent"))


def _gathered(readers: Sequence[Reader], rows: int) -> tuple[list[pl.DataFrame], bool]:
    """Frames of the first rows, and whether they are all there is."""
    frames: list[pl.DataFrame] = []
    seen = size = 0
    for batch in _batches(readers):
        if seen >= rows or size >= _BYTES:
            return frames, False
        frames.append(batch)
        seen += batch.height
        size += int(batch.estimated_size())
    return frames, True


def _batches(readers: Sequence[Reader]) -> Iterator[pl.DataFrame]:
    for reader in readers:
        yield from (batch.frame for batch in reader.batches())


def _distinct(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Filled cells of a column by value, the most frequent first and those of one count by their text."""
    cells = frame.select(cell(name)).to_series().alias("value").to_frame()
    texts = cells.select(
        pl.when(pl.col("value").str.starts_with('="'))
        .then(unwrapped(pl.col("value")))
        .otherwise("value")
        .alias("value")
    )
    counted = texts.filter(pl.col("value") != "").group_by("value").len("count")
    return counted.sort(["count", "value"], descending=[True, False])


def _counts(cells: pl.DataFrame) -> dict[str, int]:
    return dict(cells.select("value", "count").iter_rows())


def _is_category(word: str) -> bool:
    if not _CATEGORY.fullmatch(word) or len(word.split()) > 5:
        return False
    return sum(character.isdigit() for character in word) * 3 <= len(word)
