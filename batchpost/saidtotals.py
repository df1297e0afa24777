"""What a file itself says that its rows come to, beside what they do: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from batchpost.model import Outcome

__all__ = ["SaidTotal", "said_totals"]

Amounts = Mapping[str, Decimal | None]
"""By field; None is not known."""

_READ, _MEANT = "what was read", "the rows meant to go out"


class SaidTotal(NamedTuple):
    """A file's own row of totals: its file, its place in words, what it says by field; ``beside`` is what it comes
    nearest to, empty where nothing is known of that, and ``more`` by how much it says more (less: negative)."""

    path: str
    place: str
    says: dict[str, Decimal]
    beside: str
    more: dict[str, Decimal]

    @property
    def differs(self) -> bool:
        """Whether it is another amount in some field."""
        return any(self.more.values())


def said_totals(
    books: Sequence[Mapping[str, Any]], sources: Sequence[Mapping[str, Any]], fields: Sequence[str]
) -> Iterator[SaidTotal]:
    """All of them, in the order of the files; ``books`` and ``sources`` are as in the summary.

    A buyer adds up all rows, or those that count: of a single file the rows meant to go out are known as well.
    """
    for source in sources:
        sums: dict[str, Amounts] = {_READ: {name: _decimal((source.get("money") or {}).get(name)) for name in fields}}
        if len(sources) == 1:
            meant = [entry["money"] for entry in books if entry["outcome"] != Outcome.SKIPPED and entry["money"]]
            sums[_MEANT] = {
                name: sum((Decimal(money.get(name) or 0) for money in meant), Decimal(0)) if meant else None
                for name in fields
            }
        for total in source.get("totals") or ():
            if said := _beside(total, sums, str(source["path"]), fields):
                yield said


def _beside(
    total: Mapping[str, Any], sums: Mapping[str, Amounts], path: str, fields: Sequence[str]
) -> SaidTotal | None:
    """None where the row has none of the fields."""
    amounts = ((name, _decimal((total.get("money") or {}).get(name))) for name in fields)
    says = {name: amount for name, amount in amounts if amount is not None}
    if not says:
        return None
    gaps = {what: found for what, known in sums.items() if (found := _gaps(says, known))}
    beside = min(gaps, key=lambda what: sum(map(abs, gaps[what].values())), default="")
    place = f"line {total['line']:,}" if total.get("line") else f"row {total['row']:,}"
    return SaidTotal(path, place, says, beside, gaps.get(beside, {}))


def _gaps(says: Mapping[str, Decimal], known: Amounts) -> dict[str, Decimal]:
    return {name: amount - ours for name, amount in says.items() if (ours := known.get(name)) is not None}


def _decimal(text: Any) -> Decimal | None:
    """None for what is no number."""
    try:
        return None if text is None else Decimal(text)
    except (InvalidOperation, TypeError, ValueError):
        return None
