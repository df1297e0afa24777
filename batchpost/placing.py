"""Which column is which API field: by what it is called and by what its values pass as."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from batchpost.columnfacts import Column, Fit
from batchpost.dateformats import DateReading, read_dates
from batchpost.errors import UsageError
from batchpost.jobtext import did_you_mean
from batchpost.routes import FieldRule, FieldType, Route
from batchpost.synonyms import DATE_WORDS, SYNONYMS, name_rank, snake_name, words_of

__all__ = ["Match", "Order", "boolean_words", "date_reading", "is_date_name", "number_fit", "place", "usual"]

Order = str | None  # "month" or "day": which comes first in a date, as a person said

_USABLE = 0.8  # of the values that say something must pass for a column to be a field by its name
_BY_VALUE = 0.95  # of the values must be e-mail addresses for a column to be email whatever it is called
_FIRST = ("transaction_id", "event_id", "revenue", "conversion_date")
_YES = ("y", "yes", "true", "1", "t", "ja", "j", "oui", "si", "x", "on")
_NO = ("n", "no", "false", "0", "f", "nein", "non", "off")


@dataclass(frozen=True, slots=True)
class Match:
    """A column for a field. ``rank``: how usual the name is, 0 the most; None: by its values, or as was ``said``.
    ``fit``: how many values pass. ``rivals``: other columns that would do, too."""

    field: str
    column: Column
    fit: Fit
    rank: int | None = None
    rivals: tuple[str, ...] = ()
    said: bool = False

    @property
    def is_weak(self) -> bool:
        """Whether the name alone says too little: it is as usual for other things."""
        if self.said or self.field != "transaction_id" or self.column.prefix()[0].lower() in ("txn_", "txn-"):
            return False
        return self.rank is None or self.rank >= SYNONYMS[self.field].index("lead")


def place(
    columns: Mapping[str, Column], route: Route, said: Mapping[str, str], order: Order = None
) -> dict[str, Match]:
    """The fields of the route that a column was found for, each column once.

    ``said`` are a person's choices: API field or a custom one = column, or an empty text for none. Raises UsageError
    where one names no column.
    """
    placed = {field: _stated(field, name, columns, route) for field, name in said.items() if name}
    for field in (*_FIRST, *route.fields):
        if field not in route.fields or field in said or field in placed:
            continue
        taken = {match.column.name for match in placed.values()}
        free = [column for column in columns.values() if column.name not in taken]
        if found := _best(list(_candidates(field, route, free, order))):
            placed[field] = found
    taken = {match.column.name for match in placed.values()}
    return {field: _without(match, taken) for field, match in placed.items()}


def date_reading(column: Column, order: Order, *, days: bool = False) -> DateReading:
    """How the column's dates are written; ``days``: for a field without times."""
    return read_dates(column, named=is_date_name(column.name), plain_days=days, order=order)


def is_date_name(header: str) -> bool:
    """Whether a header is that of a date."""
    return bool(DATE_WORDS & set(words_of(header)))


def number_fit(column: Column, kind: FieldType, decimal: str | None = None) -> Fit:
    """How many values are numbers or money, with the decimal sign that reads the most where none is given."""
    signs = [decimal] if decimal else [None, ".", ","]
    return max((column.fit(kind, sign) for sign in signs), key=lambda fit: fit.count)


def boolean_words(column: Column) -> tuple[list[str], list[str]] | None:
    """The words for true and for false of a column that has no others; None for any other column."""
    lower = {word.lower(): word for word in column.cells["value"].head(9)}
    if column.distinct > 8 or not set(lower) <= {*_YES, *_NO}:
        return None
    yes = [word for bare, word in lower.items() if bare in _YES]
    no = [word for bare, word in lower.items() if bare in _NO]
    return (yes, no) if yes and no else None


def usual(match: Match) -> str:
    """Why a column was taken for a field."""
    name = repr(match.column.name)
    if match.said:
        return f"{name}, as was said"
    if match.rank is None:
        return f"The values of {name} are what {match.field} holds"
    if snake_name(match.column.name) == match.field:
        return f"{name} is called as the field is"
    return f"{name} is a usual name for {match.field}"


def _stated(field: str, name: str, columns: Mapping[str, Column], route: Route) -> Match:
    if name not in columns:
        near = did_you_mean(name, columns)
        raise UsageError(f"--field {field}: the input has no column {name!r}{f'; {near}' if near else ''}")
    column = columns[name]
    return Match(field, column, _suits(field, route.fields.get(field), column, None), said=True)


def _candidates(field: str, route: Route, columns: Sequence[Column], order: Order) -> Iterator[Match]:
    for column in columns:
        rank = _rank(field, column)
        if not column.filled or (rank is None and not _shows(field, column)):
            continue
        fit = _suits(field, route.fields[field], column, order)
        saying = column.filled - sum(column.null_words().values())  # N/A is no value that could pass
        if saying and fit.count >= _USABLE * saying:
            yield Match(field, column, fit, rank)


def _rank(field: str, column: Column) -> int | None:
    rank = name_rank(column.name, field)
    if field == "amount":  # any other spelling is as likely the amount of a loan
        return rank if column.name == "amount" else None
    if field == "pid" and rank and not column.prefix()[0].lower().startswith("src"):
        return None  # a buyer's own name for a source is not the platform's
    return rank


def _shows(field: str, column: Column) -> bool:
    """Whether a column's values alone say which field it is."""
    if field == "transaction_id":
        return column.prefix()[0].lower() in ("txn_", "txn-")
    return field == "email" and column.fit(FieldType.EMAIL).share >= _BY_VALUE


def _best(found: list[Match]) -> Match | None:
    if not found:
        return None
    ordered = sorted(found, key=_order)
    return Match(
        **{name: getattr(ordered[0], name) for name in ("field", "column", "fit", "rank")},
        rivals=tuple(match.column.name for match in ordered[1:]),
    )


def _order(match: Match) -> tuple[bool, int, float]:
    """The better match first: ids of the platform, then the more usual name, then the more values that pass."""
    foreign = match.field == "transaction_id" and not _shows("transaction_id", match.column)
    return foreign, len(SYNONYMS[match.field]) if match.rank is None else match.rank, -match.fit.share


def _without(match: Match, taken: set[str]) -> Match:
    rivals = tuple(name for name in match.rivals if name not in taken)
    return Match(match.field, match.column, match.fit, match.rank, rivals, match.said)


def _suits(field: str, rule: FieldRule | None, column: Column, order: Order) -> Fit:
    """How many of the column's values pass as the field."""
    kind = rule.type if rule else FieldType.TEXT
    choices = rule.choices if rule else ()
    if field == "event_id":
        return Fit(column.filled if _has_event_ids(column) else sum(column.categories().values()), column.filled)
    if field == "tcpa_consent" and boolean_words(column):
        return Fit(column.filled, column.filled)
    if kind in (FieldType.DATE, FieldType.DATETIME):
        reading = date_reading(column, order, days=kind is FieldType.DATE)
        return Fit(reading.read, reading.filled)
    if kind in (FieldType.MONEY, FieldType.NUMBER):
        return number_fit(column, kind)
    if kind is FieldType.ZIP:
        return column.fit(kind, lost_zeros="restore")
    return column.fit(kind, choices=choices)


def _has_event_ids(column: Column) -> bool:
    few = column.distinct <= 80 and (column.distinct <= 5 or column.filled >= 3 * column.distinct)
    return few and column.with_text(r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$") == column.filled
