"""Is it all in? The first line of a report, from a run's summary: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from batchpost.expectation import NOT_A_CONVERSION
from batchpost.layout import counted
from batchpost.model import Outcome

__all__ = ["Amounts", "Standing", "Verdict", "standing_of", "verdict_of"]


@dataclass(frozen=True, slots=True)
class Amounts:
    """Money of one field: of the rows meant to go out, of those that are in, and of those that may be."""

    meant: Decimal
    inside: Decimal
    unknown: Decimal = Decimal(0)

    @property
    def outside(self) -> Decimal:
        """What is not in for sure."""
        return self.meant - self.inside - self.unknown


@dataclass(frozen=True, slots=True)
class Standing:
    """Rows meant to go out (those read less the skipped ones), rows that are in, rows that may be, and their money by
    field. ``known`` is False where the run left no books."""

    known: bool = False
    meant: int = 0
    inside: int = 0
    unknown: int = 0
    skipped: int = 0
    money: dict[str, Amounts] = field(default_factory=dict)

    @property
    def outside(self) -> int:
        """Rows that are not in for sure."""
        return self.meant - self.inside - self.unknown

    @property
    def left(self) -> int:
        """Rows that are not in as far as is known."""
        return self.outside + self.unknown


@dataclass(frozen=True, slots=True)
class Verdict:
    """``answer`` to the question whether it is all in, ``said`` in a sentence; ``mood`` is good, unsure or bad."""

    answer: str
    said: str
    mood: str


def standing_of(summary: Mapping[str, Any], *, conversions_only: bool) -> Standing:
    """How many rows, and how much of the money, is in. ``conversions_only``: what the platform did not count as a
    conversion is not in."""
    rows = summary.get("rows")
    if not rows:
        return Standing()
    lost_rows, lost_money = _not_converted(summary) if conversions_only else (0, {})
    skipped = rows.get(Outcome.SKIPPED.value, 0)
    return Standing(
        known=True,
        meant=rows.get("read", 0) - skipped,
        inside=_inside(rows) - lost_rows,
        unknown=rows.get(Outcome.UNKNOWN.value, 0),
        skipped=skipped,
        money={
            name: Amounts(
                Decimal(sums.get("read", "0")) - Decimal(sums.get(Outcome.SKIPPED.value, "0")),
                _inside({outcome: Decimal(text) for outcome, text in sums.items()}) - lost_money.get(name, Decimal(0)),
                Decimal(sums.get(Outcome.UNKNOWN.value, "0")),
            )
            for name, sums in (summary.get("money") or {}).items()
        },
    )


def _inside(by_outcome: Mapping[str, Any]) -> Any:
    return by_outcome.get(Outcome.DELIVERED.value, 0) + by_outcome.get(Outcome.ALREADY_DELIVERED.value, 0)


def _not_converted(summary: Mapping[str, Any]) -> tuple[int, dict[str, Decimal]]:
    rows = (summary.get("reasons") or {}).get(NOT_A_CONVERSION, 0)
    entries = [entry for entry in summary.get("books") or () if entry["reason"] == NOT_A_CONVERSION]
    return rows, {name: Decimal(text) for entry in entries for name, text in entry["money"].items()}


def verdict_of(summary: Mapping[str, Any], standing: Standing) -> Verdict:
    """The answer to the question whether everything that this run read is in."""
    if not standing.known:
        return Verdict("Not known", "This run left no books: it ended before they were made.", "unsure")
    inside = f"{standing.inside:,} of {counted(standing.meant, 'row')} {_be(standing.meant)} in"
    if summary.get("state") == "running":
        return Verdict("Not yet", f"{inside}. The run is under way.", "unsure")
    if standing.left and not _is_tolerated(summary):
        outside = [f"{standing.outside:,} {_be(standing.outside)} not"] if standing.outside else []
        unknown = [f"of {standing.unknown:,} it is not known"] if standing.unknown else []
        return Verdict("No", f"{', '.join([inside, *outside, *unknown])}.", "bad")
    if standing.left:
        return Verdict("Yes", f"{inside}. The job tolerates the other {standing.left:,}.", "good")
    whole = f"All {counted(standing.meant, 'row')} are in" if standing.meant != 1 else "The one row is in"
    whole = whole if standing.meant else "Nothing was meant to go out"
    if summary.get("expected"):
        return Verdict("Yes, but", f"{whole}, and the end is not what the job expects.", "bad")
    return Verdict("Yes", f"{whole}.", "good")


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _is_tolerated(summary: Mapping[str, Any]) -> bool:
    return summary.get("exit_code") == 0
