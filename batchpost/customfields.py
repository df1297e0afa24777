"""Columns that are no field of a route: what they look like, and how each would be sent as a custom field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from batchpost.columnfacts import Column
from batchpost.dateformats import format_keys
from batchpost.decimals import decimal_of
from batchpost.fieldrules import near_field
from batchpost.layout import counted
from batchpost.placing import boolean_words, date_reading
from batchpost.proposal import Line
from batchpost.routes import FieldType, Route
from batchpost.synonyms import name_rank, snake_name, words_of

__all__ = ["custom_line", "custom_lines"]

_ENOUGH = 0.95  # of the values must pass for a column to be of a kind
_DEFAULT_WORDS = {"yes", "y", "true", "1", "no", "n", "false", "0"}
_NAMING = {"id", "number", "no", "code", "zip", "plz", "account", "ref", "reference", "key", "ssn"}
_KINDS = ((FieldType.EMAIL, "e-mail addresses"), (FieldType.PHONE, "phone numbers"))


def custom_lines(
    columns: Iterable[Column], route: Route, taken: Iterable[str], decimal: str | None
) -> tuple[Line, ...]:
    """An entry for each column, none of which is part of the job yet. ``taken`` are the fields that the job has."""
    used = {*taken, *route.fields, "cid"}
    lines = []
    for column in columns:
        name = _unused(snake_name(column.name), used)
        used.add(name)
        lines.append(custom_line(name, column, route, decimal))
    return tuple(lines)


def custom_line(name: str, column: Column, route: Route, decimal: str | None) -> Line:
    """How a column is sent as the custom field ``name``."""
    keys, told = _kind(column, decimal)
    if like := _named_like(column, route):
        told = f"{told}; called like {like}"
    near = {"custom": True} if name not in route.fields and near_field(name, route) else {}
    return Line(name, {"column": column.name, **keys, **near}, (told,), sent=False)


def _named_like(column: Column, route: Route) -> str:
    """The documented field that a column is called like, though it is not that."""
    ranks = {field: name_rank(column.name, field) for field in route.fields}
    known = {field: rank for field, rank in ranks.items() if rank is not None}
    return min(known, key=known.__getitem__) if known and column.filled else ""


def _unused(name: str, used: set[str]) -> str:
    numbered = (f"{name}_{number}" for number in range(2, len(used) + 3))
    return name if name not in used else next(other for other in numbered if other not in used)


def _kind(column: Column, decimal: str | None) -> tuple[dict[str, Any], str]:
    """The keys that say the column's kind, and what it looks like."""
    if not column.filled:
        return {}, "empty in all rows"
    if words := boolean_words(column):
        return {"as": "boolean", **_words(*words)}, f"yes or no: {' or '.join(map(repr, (*words[0], *words[1])))}"
    if found := _date(column):
        return found
    return _number(column, decimal) or _contact(column) or ({}, f"text, {counted(column.distinct, 'different value')}")


def _words(yes: Sequence[str], no: Sequence[str]) -> dict[str, Any]:
    if {word.lower() for word in (*yes, *no)} <= _DEFAULT_WORDS:
        return {}
    return {"true": list(yes), "false": list(no)}


def _date(column: Column) -> tuple[dict[str, Any], str] | None:
    reading = date_reading(column, None)
    if reading.kind == "milliseconds":
        return {}, "dates as milliseconds since 1970, which can only go out as the numbers that they are"
    if reading.kind == "none" or reading.share < _ENOUGH:
        return None
    if reading.zoned:
        return {}, "times with an offset from UTC, which a custom field sends as they are written"
    kind = {"as": "datetime" if reading.timed else "date"}
    if reading.kind == "open":
        ways = " or ".join(" and ".join(order) for order in reading.orders)
        return {}, f"dates written {ways}, which no value proves, so as text"
    written = f" written {' or '.join(reading.formats)}" if reading.formats else ""
    return {**kind, **format_keys(reading.formats)}, f"dates{written}"


def _number(column: Column, decimal: str | None) -> tuple[dict[str, Any], str] | None:
    if column.with_text(r"^0[0-9]") or _NAMING & set(words_of(column.name)):
        return None
    for kind, what in ((FieldType.NUMBER, "numbers"), (FieldType.MONEY, "amounts of money")):
        fit = column.fit(kind, decimal)
        if fit.share >= _ENOUGH and decimal is None and decimal_of([column], None, None).open:
            return {}, f"{fit} {what} whose decimal sign nothing proves, so as text"
        if fit.share >= _ENOUGH:
            return {"as": kind.value}, f"{fit} {what}"
    return None


def _contact(column: Column) -> tuple[dict[str, Any], str] | None:
    for kind, what in _KINDS:
        fit = column.fit(kind)
        if fit.share >= _ENOUGH:
            return {"as": kind.value}, f"{fit} {what}"
    return None
