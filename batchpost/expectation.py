"""What a job expects of its input and of its end (``[expect]``), held against the books: pure.

The rows that count are those meant to go out: all that were read less the skipped ones, whether this run delivers them
or an earlier one did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import floor
from typing import NamedTuple

from batchpost.job import Expect
from batchpost.layout import amount_text
from batchpost.model import Outcome

__all__ = [
    "EXPECTED",
    "NOT_A_CONVERSION",
    "Assessment",
    "Range",
    "allowances",
    "assess",
    "most_rows",
    "range_of",
    "share_of",
    "unmet_by_input",
]

Counts = Mapping[tuple[str, str], int]
"""Rows by outcome and reason."""

_SHARE = re.compile(r"(\d+(?:\.\d+)?) ?%")
_NUMBER = r"\d+(?:\.\d+)?"
_RANGE = re.compile(rf"(?P<low>{_NUMBER})?\s*\.\.\s*(?P<high>{_NUMBER})?|(?P<one>{_NUMBER})")
_MAY_END = (Outcome.INVALID.value, Outcome.REJECTED.value, Outcome.FAILED.value)
NOT_A_CONVERSION = "not_a_conversion"


class Range(NamedTuple):
    """From ``low`` to ``high``, both included; None is without a bound."""

    low: Decimal | None
    high: Decimal | None

    def holds(self, number: Decimal) -> bool:
        """Whether the number is within."""
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)

    def __str__(self) -> str:
        low, high = ("" if bound is None else amount_text(str(bound)) for bound in self)
        if low and high:
            return low if low == high else f"{low}..{high}"
        return f"{low} or more" if low else f"{high} or less"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What came of ``[expect]``: the rows that are tolerated, by reason; and what does not hold, a sentence each."""

    tolerated: Mapping[str, int] = field(default_factory=dict)
    unmet: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """All rows that are tolerated."""
        return sum(self.tolerated.values())


EXPECTED = Assessment()
"""Nothing is tolerated, and nothing was expected that does not hold."""


def range_of(given: int | str) -> Range | None:
    """What ``1000``, ``1000..6000``, ``1000..`` and ``..6000`` mean; None for what is no range."""
    found = _RANGE.fullmatch(str(given).strip())
    if not found or not any(found.groups()):
        return None
    low, high, one = (Decimal(text) if text else None for text in found.group("low", "high", "one"))
    low, high = (one, one) if one is not None else (low, high)
    return None if low is not None and high is not None and low > high else Range(low, high)


def share_of(text: str) -> float | None:
    """``5%`` as 0.05; None for what is no share of 100 % or less."""
    found = _SHARE.fullmatch(text.strip())
    share = float(found[1]) / 100 if found else 2.0
    return share if share <= 1 else None


def most_rows(limit: int | str, of: int) -> int:
    """The rows that a count, or a share of so many, comes to at most."""
    if isinstance(limit, int):
        return limit
    return floor(Decimal(limit.strip().removesuffix("%").strip()) * of / 100)


def allowances(expect: Expect, meant: int) -> dict[str, int]:
    """How many rows may end with each tolerated reason, of so many meant to go out."""
    return {reason: most_rows(limit, meant) for reason, limit in expect.reasons.items()}


def unmet_by_input(expect: Expect, counts: Counts, money: Mapping[str, Decimal]) -> list[str]:
    """What of ``[expect]`` the input does not meet, a sentence each, before anything is sent.

    ``money`` has the sums over the rows meant to go out, by field.
    """
    return [*_out_of_range(expect, counts, money), *_too_many(expect, counts, only=(Outcome.INVALID.value,))]


def assess(expect: Expect, counts: Counts, money: Mapping[str, Decimal], *, mends: bool = False) -> Assessment:
    """The end of a run, ``counts`` by outcome and reason and ``money`` as in :func:`unmet_by_input`. ``mends``: the
    rows mend others, and are as many as they are."""
    allowed = allowances(expect, _meant(counts))
    ended = _by_reason(counts, _MAY_END)
    tolerated = {reason: ended[reason] for reason, most in allowed.items() if 0 < ended.get(reason, 0) <= most}
    not_converted = counts.get((Outcome.DELIVERED.value, NOT_A_CONVERSION), 0)
    if not_converted and (expect.conversion is False or not_converted <= allowed.get(NOT_A_CONVERSION, 0)):
        tolerated[NOT_A_CONVERSION] = not_converted
    ranges = () if mends else _out_of_range(expect, counts, money)
    unmet = (*ranges, *_too_many(expect, counts, only=_MAY_END))
    return Assessment(tolerated, unmet)


def _meant(counts: Counts) -> int:
    return sum(rows for (outcome, _), rows in counts.items() if outcome != Outcome.SKIPPED)


def _by_reason(counts: Counts, outcomes: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for (outcome, reason), rows in counts.items():
        if outcome in outcomes:
            found[reason] = found.get(reason, 0) + rows
    return found


def _out_of_range(expect: Expect, counts: Counts, money: Mapping[str, Decimal]) -> Iterator[str]:
    meant = _meant(counts)
    if expect.rows is not None and (wanted := range_of(expect.rows)) and not wanted.holds(Decimal(meant)):
        rows = f"{meant:,} {'row is' if meant == 1 else 'rows are'}"
        yield f"{rows} meant to go out, and [expect] rows is {wanted}"
    for name in ("revenue", "amount"):
        given = getattr(expect, name)
        wanted = None if given is None else range_of(given)
        total = money.get(name, Decimal(0))
        if wanted and not wanted.holds(total):
            yield f"{name} is {amount_text(f'{total:.2f}')} in all, and [expect] {name} is {wanted}"


def _too_many(expect: Expect, counts: Counts, only: tuple[str, ...]) -> Iterator[str]:
    meant, ended = _meant(counts), _by_reason(counts, only)
    if NOT_A_CONVERSION in expect.reasons and Outcome.REJECTED.value in only:
        ended[NOT_A_CONVERSION] = counts.get((Outcome.DELIVERED.value, NOT_A_CONVERSION), 0)
    for reason, most in allowances(expect, meant).items():
        if ended.get(reason, 0) > most:
            limit = f"{expect.reasons[reason]}".strip()
            of = f" ({most:,})" if "%" in limit else ""
            yield f"{ended[reason]:,} of {meant:,} rows are {reason}, and [expect] reasons tolerates {limit}{of}"
