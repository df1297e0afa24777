"""The rules of ``[fields]`` beyond the kind of each value: what contradicts what, and what cannot be sent.

Types and choices come from the platform's pages, by way of :mod:`batchpost.routes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from batchpost.job import EXCEL, FieldSource, Job, Scalar, Value
from batchpost.jobtext import Finding, did_you_mean, likeliest
from batchpost.routes import TIMEZONES, FieldRule, FieldType, Route

__all__ = ["field_findings", "near_field"]

_NUMBERS = {FieldType.NUMBER, FieldType.INTEGER, FieldType.MONEY}
_DATES = {FieldType.DATE, FieldType.DATETIME}
_CHECKED = (
    *("map", "otherwise", "pattern", "min", "max", "format", "timezone", "send_as", "fold", "lost_zeros"),
    *("true", "false"),
)
_OF_A_CELL = (*_CHECKED, "when_empty", "when_invalid")
_NEAR = 0.8
_CODE = re.compile(r"%(?:[-_0]?[A-Za-z+%]|\.?\d?f|:{1,3}z|#z)")  # chrono's strftime page
# Codes that polars hands on to chrono and does not read soundly, and why.
_UNSOUND = {
    "%Z": "reads the name of a zone and ignores it: say timezone, or write %z for an offset like -0500",
    "%#z": "is not read reliably: write %z for an offset like -0500 or -05:00",
    "%::z": "reads an offset and loses it: write %z for one like -0500 or -05:00",
    "%:::z": "reads an offset and loses it: write %z for one like -0500 or -05:00",
}
_UNPADDED = str.maketrans("", "", "-_0")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)")  # a number as text, as in a cell: no exponent
_COMPLETE = (set("YyGFDxcsv+"), set("mbBhFDxcsv+jUWV"), set("deFDxcsv+jauw"))  # codes for year, month, day


class Entry(NamedTuple):
    """A field as the job gives it, with its type, and its rule where the route documents it; ``is_stake``: it is
    the money of the operation."""

    name: str
    given: FieldSource
    type: FieldType
    rule: FieldRule | None
    is_stake: bool

    @property
    def required(self) -> bool:
        """Whether the platform refuses a body without this field."""
        return self.rule is not None and self.rule.required

    def has(self, key: str) -> bool:
        """Whether the job writes this key, be it with its default."""
        return key in self.given.model_fields_set


# The keys of the field, below its own place, with the message and the hint.
Found = tuple[tuple[str, ...], str, str]


def field_findings(job: Job) -> Iterator[Finding]:
    """Every mistake inside the entries of ``[fields]``."""
    for name, given in job.fields.items():
        entry = Entry(name, given, job.type_of(name), job.spec.fields.get(name), name in job.spec.money)
        for check in _CHECKS:
            for keys, message, hint in check(entry):
                whole = keys in ((), ("map",))
                yield Finding(("fields", name, *keys), message, hint, absent=whole)


def near_field(name: str, route: Route) -> str:
    """The documented field that an unknown name is most likely meant to be; empty for a custom field.

    A number after a documented name makes another one of it (``address2``), so that is not near.
    """
    near = likeliest(name, route.fields, _NEAR)
    stem = re.sub(r"[\W_]*\d+$", "", name)
    return "" if near == name or (stem != name and stem in route.fields) else near


def _origin(entry: Entry) -> Iterator[Found]:
    given = entry.given
    if not entry.has("column") and not entry.has("value"):
        yield (), "says neither which column it comes from nor a constant value", 'add column = "…" or value = …'
    if entry.has("column") and entry.has("value"):
        yield (), "has both a column and a value", "keep one of the two"
    if given.column is not None and not given.column.strip():
        yield ("column",), "is empty", "name the column as the header does"
    if entry.name == "transaction_id" and given.value is not None:
        yield ("value",), "would send every row to the same lead", 'write column = "…"'
    for key in _OF_A_CELL if entry.has("value") and not entry.has("column") else ():
        if entry.has(key):
            yield (key,), "has no effect on a constant value", "remove it"


def _type(entry: Entry) -> Iterator[Found]:
    stated, rule = entry.given.as_, entry.rule
    if entry.given.custom and rule:
        yield ("custom",), "is wrong: the platform documents this field", "remove it"
    if not stated or not rule or stated in _sendable(entry, rule.type):
        return
    if entry.is_stake and stated in _NUMBERS:
        yield ("as",), f"does not fit: {entry.name} is counted as money, to the cent", 'write "money" or remove it'
    else:
        hint = f'write "{rule.type}" or remove it'
        yield ("as",), f"does not fit: the platform documents {entry.name} as {rule.type}", hint


def _sendable(entry: Entry, documented: FieldType) -> set[FieldType]:
    """The types that go out as what the platform documents: a JSON number, a text, a date without a time."""
    if entry.is_stake or documented in (FieldType.DATE, FieldType.INTEGER):
        return {documented}
    for kinds in (_NUMBERS, _DATES, {FieldType.BOOLEAN}):
        if documented in kinds:
            return kinds
    return set(FieldType) - _NUMBERS - {FieldType.BOOLEAN}


def _constant(entry: Entry) -> Iterator[Found]:
    if entry.given.value is None:
        return
    problem, hint = _misfit(entry, entry.given.value)
    if problem:
        yield ("value",), problem, hint
    elif entry.given.value == "" and entry.required:
        yield ("value",), "is empty, and the platform requires this field", ""
    elif isinstance(entry.given.value, str) and entry.given.value and (example := _malformed(entry)):
        yield ("value",), f"is not a {entry.type} as it is sent", f"write it like {example}"


def _misfit(entry: Entry, value: Scalar) -> tuple[str, str]:
    """What is wrong with the kind of a value that the job itself writes, and the hint; both empty if nothing is."""
    if entry.rule and entry.rule.choices and str(value) not in entry.rule.choices:
        return f"must be one of {', '.join(entry.rule.choices)}", did_you_mean(str(value), entry.rule.choices)
    if entry.type in _NUMBERS:
        return ("", "") if _number(value, entry.type) else (f"is not a {entry.type}", "write a number like 1250.00")
    if entry.type is FieldType.BOOLEAN:
        return ("", "") if isinstance(value, bool) else ("is not a boolean", "write true or false without quotes")
    if isinstance(value, str):
        return "", ""
    hint = "put it in quotes" if entry.rule else 'put it in quotes, or say as = "number" or "boolean"'
    return f"must be text, as the field is sent as {entry.type}", hint


def _number(value: Scalar, kind: FieldType) -> bool:
    if isinstance(value, bool) or (isinstance(value, str) and not _DECIMAL.fullmatch(value)):
        return False
    number = Decimal(str(value))
    return number.is_finite() and (kind is not FieldType.INTEGER or number == number.to_integral_value())


def _malformed(entry: Entry) -> str:
    """An example of how a constant text should look, or an empty text where it does."""
    text = str(entry.given.value)
    match entry.type:
        case FieldType.DATE:
            return "" if _iso(text, date.fromisoformat, 10) else "2026-07-01"
        case FieldType.DATETIME:
            return "" if _iso(text.replace("T", " "), datetime.fromisoformat, 10, 19) else "2026-07-01 16:30:00"
        case FieldType.PHONE:
            return "" if re.fullmatch(r"1?\d{10}", re.sub(r"[-+.() ]", "", text)) else "5550101234"
        case FieldType.EMAIL:
            return "" if re.fullmatch(r"[^@\s]+@[^@\s]+", text) else "name@example.com"
        case _:
            return ""


def _iso(text: str, read: Callable[[str], object], *lengths: int) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return len(text) in lengths


def _map(entry: Entry) -> Iterator[Found]:
    mapping, otherwise = entry.given.map, entry.given.otherwise
    if otherwise is not None and mapping is None:
        yield ("otherwise",), "needs a map beside it", "add map = { … } or remove it"
    if mapping is not None and not mapping:
        yield ("map",), "is empty", "remove it, or say what becomes what"
    if isinstance(otherwise, Value) and (found := _misfit(entry, otherwise.value))[0]:
        yield ("otherwise", "value"), *found
    seen: dict[str, Scalar] = {}
    for word, value in (mapping or {}).items():
        problem, hint = _misfit(entry, value)
        if problem:
            yield ("map", word), problem, hint
        if seen.setdefault(word.strip().casefold(), value) != value:
            yield ("map", word), "is there twice with different values (case and outer blanks are ignored)", "keep one"


def _limits(entry: Entry) -> Iterator[Found]:
    low, high = entry.given.min, entry.given.max
    for key in ("min", "max"):
        if entry.has(key) and entry.type not in _NUMBERS:
            hint = "" if entry.rule else 'say as = "number", "integer" or "money"'
            yield (key,), f"is for numbers, and this field is sent as {entry.type}", hint or "remove it"
    if low is not None and high is not None and low > high:
        yield ("min",), "is greater than max, so that no row could pass", "swap the two"


def _pattern(entry: Entry) -> Iterator[Found]:
    if entry.given.pattern is None:
        return
    import polars as pl

    try:
        pl.Series([""]).str.contains(entry.given.pattern)
    except pl.exceptions.ComputeError as error:
        reason = re.search(r"^error: (.+)$", str(error), re.MULTILINE)
        yield ("pattern",), f"is not a regular expression: {reason[1] if reason else 'it cannot be read'}", ""


def _dates(entry: Entry) -> Iterator[Found]:
    given = entry.given
    is_date, is_time = entry.type in _DATES, entry.type is FieldType.DATETIME
    hint = "remove it" if entry.rule else 'say as = "date" or "datetime"'
    for key, fits in (("format", is_date), ("timezone", is_time), ("fold", is_time)):
        if entry.has(key) and not fits:
            yield (key,), f"is for dates{'' if key == 'format' else ' with a time'}; this field is a {entry.type}", hint
    formats = [given.format] if isinstance(given.format, str) else given.format
    if formats == []:
        yield ("format",), "is empty", 'write one like "%m/%d/%Y %H:%M"'
    for pattern in formats or []:
        if problem := _unreadable(pattern):
            yield ("format",), problem, 'write one like "%m/%d/%Y %H:%M"'
    if is_time and given.timezone is None and entry.has("fold"):
        yield ("fold",), "needs timezone beside it: only a zone with daylight saving repeats an hour", ""


def _unreadable(pattern: str) -> str:
    if pattern == EXCEL:
        return ""
    if "%" not in pattern:
        return "has no % codes"
    codes = _CODE.findall(pattern)
    if "%" in _CODE.sub("", pattern):
        return "has a % without a code after it"
    for code in codes:
        if code in _UNSOUND:
            return f"has {code}, which {_UNSOUND[code]}"
    letters = {code[-1] for code in codes if code != "%%"}
    if not all(letters & some for some in _COMPLETE):
        return "does not say year, month and day (%M are minutes)"
    return _uneven({code.translate(_UNPADDED) for code in codes})


def _uneven(codes: set[str]) -> str:
    """What is wrong with the codes of an hour: polars reads none alone, and none that contradict each other."""
    halves, whole, noon = codes & {"%I", "%l"}, codes & {"%H", "%k"}, codes & {"%p", "%P"}
    if noon and not halves:
        return "has %p (AM or PM) and no %I: %H are hours from 0 to 23, %I those from 1 to 12"
    if halves and not noon:
        return "has %I and no %p that says AM or PM: hours from 0 to 23 are %H"
    if bool(halves | whole) != ("%M" in codes) or ("%S" in codes and not halves | whole):
        return "has an hour without its minutes (%M), or minutes or seconds without their hour (%H)"
    return ""


def _zones(entry: Entry) -> Iterator[Found]:
    given = entry.given
    if given.timezone is not None and (found := _unknown_zone(given.timezone)):
        yield ("timezone",), *found
    if given.send_as is None:
        if given.timezone is not None and entry.name == "conversion_date":
            yield ("timezone",), "needs send_as beside it: the zone to convert to", 'add send_as = "EST"'
        return
    if entry.name != "conversion_date":
        yield ("send_as",), "is for conversion_date only: no other field has a zone", "remove it"
    elif given.send_as not in TIMEZONES:
        hint = "the codes are fixed offsets; there is none for UTC or daylight saving"
        yield ("send_as",), f"must be one of {', '.join(TIMEZONES)}", did_you_mean(given.send_as, TIMEZONES) or hint


def _unknown_zone(name: str) -> tuple[str, str] | None:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown; not a name at all; a folder of the zone database
        known = available_timezones()
        cities = {zone.rpartition("/")[2]: zone for zone in known}
        near = likeliest(name, known) or cities.get(likeliest(name, cities), "")
        return "is not a time zone", f'did you mean "{near}"?' if near else 'write one like "America/New_York"'
    return None


def _zeros(entry: Entry) -> Iterator[Found]:
    if entry.has("lost_zeros") and entry.type is not FieldType.ZIP:
        yield (
            ("lost_zeros",),
            f"is for ZIP codes, and this field is sent as {entry.type}",
            'say as = "zip" or remove it',
        )


def _booleans(entry: Entry) -> Iterator[Found]:
    given = entry.given
    for key, words in (("true", given.true), ("false", given.false)):
        if words is None:
            continue
        if entry.type is not FieldType.BOOLEAN:
            yield (key,), f"is for booleans, and this field is sent as {entry.type}", 'say as = "boolean" or remove it'
        if not words:
            yield (key,), "is empty", 'name the words, like ["Y", "Yes"]'
    if (given.true is None) != (given.false is None):
        other = "false" if given.false is None else "true"
        yield (), f"says what is {'true' if given.false is None else 'false'} but not what is {other}", f"add {other}"
    both = {word.strip().casefold() for word in given.true or []} & {
        word.strip().casefold() for word in given.false or []
    }
    if both:
        yield ("false",), "has a word that true has too", "keep it in one of the two"


def _gaps(entry: Entry) -> Iterator[Found]:
    if entry.given.when_invalid == "omit" and entry.required:
        yield ("when_invalid",), "cannot leave out a field that the platform requires", 'write "reject" or remove it'
    if entry.given.when_empty != "clear":
        return
    if entry.required:
        yield ("when_empty",), "cannot clear a field that the platform requires", 'write "reject" or remove it'
    elif entry.type in _NUMBERS or entry.type is FieldType.BOOLEAN or (entry.rule and entry.rule.choices):
        yield ("when_empty",), f"cannot send an empty text: the field is a {entry.type}", 'write "omit" or "reject"'


_CHECKS: tuple[Callable[[Entry], Iterator[Found]], ...] = (
    _origin,
    _type,
    _constant,
    _map,
    _limits,
    _pattern,
    _dates,
    _zones,
    _zeros,
    _booleans,
    _gaps,
)
