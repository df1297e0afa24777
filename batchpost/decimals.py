"""Which decimal sign the numbers of an input have: 1.250 may be one and a quarter, or a thousand more."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from batchpost.columnfacts import Column
from batchpost.layout import counted
from batchpost.proposal import Decimal
from batchpost.questions import Person
from batchpost.routes import FieldType

__all__ = ["decimal_of"]

_NAMES = {".": "a decimal point", ",": "a decimal comma"}


def decimal_of(columns: Sequence[Column], said: str | None, person: Person | None) -> Decimal:
    """The decimal sign of the columns that go out as money: as said, or as their values prove; asked of a person where
    they leave it open. The sign is None where each number is plain without one."""
    if said:
        return Decimal(said, f"As --decimal says: {_NAMES[said]}.")
    points, commas, either, needed = _evidence(columns)
    if points and commas:
        return _mixed(points, commas)
    if commas:
        return Decimal(",", f"{counted(commas, 'amount')} can only have a decimal comma, none can only have a point.")
    if points:
        why = f"{counted(points, 'amount')} can only have a decimal point, none can only have a comma."
        return Decimal("." if needed else None, why if needed else "")
    return _open(either, person) if either else Decimal()


def _mixed(points: int, commas: int) -> Decimal:
    told = f"{counted(points, 'amount')} can only have a decimal point and {commas:,} only a comma"
    sign = "," if commas > points else "."
    return Decimal(sign, f"{told}: those with the other sign make their rows invalid.", mixed=True)


def _open(either: int, person: Person | None) -> Decimal:
    told = (
        f"{counted(either, 'amount')} have one sign with three digits behind it (1,250 or 1.250), and none proves which"
    )
    if person is None:
        return Decimal(None, f"{told}.", open=True)
    choices = ["a decimal point: 1,250.00", "a decimal comma: 1.250,00", "leave the money out for now"]
    answer = person.choose(f"{told}. How are decimals written?", choices, 2)
    return Decimal(None, f"{told}.", open=True) if answer == 2 else Decimal(".,"[answer], "As was said when asked.")


def _evidence(columns: Sequence[Column]) -> tuple[int, int, int, int]:
    """Cells that can only have a point, only a comma, either (and then mean another amount), and of these the ones that
    are refused while no sign is said."""
    points = commas = either = needed = 0
    for column in columns:
        plain, point, comma = (column.converted(FieldType.MONEY, sign)["sent"] for sign in (None, ".", ","))
        counts = column.cells["count"]
        points += int(counts.filter(point.is_not_null() & comma.is_null()).sum())
        commas += int(counts.filter(comma.is_not_null() & point.is_null()).sum())
        differ = pl.Series((point.cast(pl.Float64) != comma.cast(pl.Float64)).fill_null(False))
        either += int(counts.filter(differ).sum())
        needed += int(counts.filter(differ & plain.is_null()).sum())
    return points, commas, either, needed
