"""The entries of ``[fields]`` for columns that were placed: their keys, the evidence, and what is left to a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import polars as pl

from batchpost.columnfacts import Column, Fit
from batchpost.dateformats import DateReading, format_keys
from batchpost.job import EXCEL
from batchpost.layout import counted
from batchpost.placing import Match, boolean_words, date_reading, usual
from batchpost.proposal import Decimal, Given, Line
from batchpost.questions import Person
from batchpost.routes import TIMEZONES, FieldType, Route
from batchpost.synonyms import ZONE_WORDS, words_of

__all__ = ["Entries", "formats_in_words", "standard_code"]

_WHAT = {
    FieldType.MONEY: "amounts of money",
    FieldType.NUMBER: "numbers",
    FieldType.PHONE: "phone numbers of 10 digits",
    FieldType.STATE: "states",
    FieldType.ZIP: "ZIP codes",
    FieldType.EMAIL: "e-mail addresses",
    FieldType.DATE: "dates",
    FieldType.DATETIME: "dates",
}
# Of a lead, and carried along by an event: one that is unfit must not hold up the money.
_PASSENGERS = (FieldType.EMAIL, FieldType.PHONE, FieldType.STATE, FieldType.ZIP)
_LEFT_OUT = "Left out until somebody decides:"


def formats_in_words(formats: tuple[str, ...]) -> str:
    """Formats as comments name them."""
    return " or ".join("excel (days counted from 1900)" if one == EXCEL else one for one in formats)


@dataclass(frozen=True, slots=True)
class Entries:
    """Makes the line of a field. ``decimal`` is that of the input, ``person`` whoever can be asked, ``zones`` the
    column that says the zone of each time (empty: none)."""

    route: Route
    given: Given
    decimal: Decimal
    person: Person | None
    zones: str = ""

    def line(self, match: Match) -> Line:
        """The line of one field."""
        rule = self.route.fields.get(match.field)
        kind = rule.type if rule else FieldType.TEXT
        makers: dict[FieldType, Callable[[Match], Line]] = {
            FieldType.MONEY: self._money,
            FieldType.DATE: self._date,
            FieldType.DATETIME: self._date,
            FieldType.INTEGER: self._consent,
        }
        made = makers.get(kind, self._plain)(match)
        also = ", ".join(map(repr, match.rivals))
        return replace(made, why=(*made.why, f"Would do, too: {also}.")) if also else made

    def _plain(self, match: Match) -> Line:
        column, rule = match.column, self.route.fields[match.field]
        keys: dict[str, Any] = {"column": column.name}
        if match.field == "transaction_id":
            return self._lead(match, keys)
        what = _WHAT.get(rule.type)
        if rule.type is FieldType.TEXT and rule.choices:
            what = f"one of {', '.join(rule.choices)}"
        shown = f"{match.fit} {what}" if what else f"{column.filled:,} of {counted(column.rows, 'row')} have one"
        why = [f"{usual(match)}; {shown}."]
        missing = match.fit.filled - match.fit.count
        if missing and self.route.is_event and rule.type in _PASSENGERS:
            keys["when_invalid"] = "omit"
            why.append("A value that is none is left out, and the rest of its row goes out.")
        elif missing:
            why.append(f'{counted(missing, "row")} will be invalid; when_invalid = "omit" sends them without it.')
        if short := match.fit.count - column.fit(rule.type).count if rule.type is FieldType.ZIP else 0:
            keys["lost_zeros"] = "restore"
            why.append(f"{counted(short, 'value')} lost leading zeros, as a spreadsheet takes them away: put back.")
        return Line(match.field, keys, tuple(why))

    def _lead(self, match: Match, keys: dict[str, Any]) -> Line:
        column, (prefix, fit) = match.column, match.column.prefix()
        told = [f"{usual(match)}; {counted(column.distinct, 'different value')} in {counted(column.filled, 'row')}."]
        if empty := column.rows - column.filled:
            told.append(f"It is empty in {counted(empty, 'row')}, which will be invalid.")
        if broken := column.filled - column.fit(FieldType.TEXT, name=match.field).count:
            told.append(f"{counted(broken, 'value')} can be no id (a spreadsheet rounds long numbers): invalid.")
        if prefix and fit.all:
            keys["pattern"] = f"^{prefix}"
            told.append(f"All of them begin with {prefix}.")
        elif prefix:
            told.append(f'{fit.count:,} of {fit.filled:,} begin with {prefix}: pattern = "^{prefix}" refuses the rest.')
        weak = match.is_weak and self.person is None
        decide = f"make sure that {column.name!r} holds the platform's id of the lead" if weak else ""
        return Line(match.field, keys, tuple(told), decide=decide)

    def _consent(self, match: Match) -> Line:
        words = boolean_words(match.column)
        keys: dict[str, Any] = {"column": match.column.name}
        if words and {*words[0], *words[1]} != {"1", "0"}:
            keys["map"] = {**dict.fromkeys(words[0], 1), **dict.fromkeys(words[1], 0)}
        return Line(match.field, keys, (f"{usual(match)}; {match.fit} words for yes and no, sent as 1 and 0.",))

    def _money(self, match: Match) -> Line:
        column, sign = match.column, self.decimal.sign
        keys: dict[str, Any] = {"column": column.name}
        if self.decimal.open and _depends(column):
            decide = f"say how decimals are written in {column.name!r} ([source] decimal); until then it is not sent"
            open_sign = (f"{usual(match)}, but {self.decimal.why}", _LEFT_OUT)
            return Line(match.field, keys, open_sign, sent=False, decide=decide)
        passed = column.converted(FieldType.MONEY, sign).filter(pl.col("sent").is_not_null())
        fit = Fit(int(passed["count"].sum()), column.filled)
        below = int(passed["count"].filter(passed["sent"].str.starts_with("-")).sum())
        why = [f"{usual(match)}; {fit} amounts of money."]
        if empty := column.rows - column.filled:
            why.append(f"It is empty in {counted(empty, 'row')}, which go out without it.")
        if match.field in self.route.money:
            told = f"{counted(below, 'amount')} below 0 will be invalid; a negative min lets such amounts out."
            why.append(told if below else "None is below 0.")
        return Line(match.field, keys, tuple(why), decide=self._doubt(match, reversed_sign=2 * below > fit.count))

    def _doubt(self, match: Match, *, reversed_sign: bool) -> str:
        """What a person should look at before this money goes out; the weightiest only."""
        name = repr(match.column.name)
        if match.rivals and self.person is None and match.field == "revenue":
            return f"make sure that {name} is the money, and not {_listed(match.rivals)}"
        if reversed_sign:
            return f"say whether amounts below 0 in {name} shall go out; until then they are invalid"
        return f"look at the decimal signs in {name}: some are points, some commas" if self.decimal.mixed else ""

    def _date(self, match: Match) -> Line:
        days = self.route.fields[match.field].type is FieldType.DATE
        reading = date_reading(match.column, self.given.order, days=days)
        reading = self._ordered(match.column, reading)
        keys: dict[str, Any] = {"column": match.column.name}
        if reading.kind == "milliseconds":
            return _unplaceable(match, reading)
        if reading.kind == "open":
            return _open_order(match, reading)
        keys |= reading.keys
        why = (f"{usual(match)}; {Fit(reading.read, reading.filled)} {_written(reading)}.",)
        if days and reading.zoned:
            decide = f"{match.column.name!r} has times with an offset: their day depends on the zone"
            return Line(match.field, keys, (*why, _LEFT_OUT), sent=False, decide=decide)
        line = Line(match.field, keys, why)
        return self._zoned(match, reading, line) if match.field == "conversion_date" and reading.timed else line

    def _ordered(self, column: Column, reading: DateReading) -> DateReading:
        """The reading, with the order that a person chose."""
        if reading.kind != "open" or self.person is None or reading.torn:
            return reading
        choices = [formats_in_words(order) for order in reading.orders]
        question = f"The dates in {column.name!r} are written in one of these ways, and no value proves which:"
        answer = self.person.choose(question, [*choices, "leave the field out for now"], len(choices))
        if answer == len(choices):
            return reading
        return replace(reading, kind="formats", formats=reading.orders[answer], orders=())

    def _zoned(self, match: Match, reading: DateReading, line: Line) -> Line:
        """The line of a date with a time of day: in which zone it is, and in which it goes out."""
        if self.zones:
            return replace(line, why=(*line.why, f"In which zone each is, {self.zones!r} says."))
        if self.given.timezone or self.given.send_as:
            zone, code = self.given.timezone, self.given.send_as
            code = code or standard_code(zone or "")
            keys = {**line.keys, **({"timezone": zone} if zone else {}), "send_as": code}
            return replace(line, keys=keys, why=(*line.why, "The zone is as was said."))
        if reading.utc:
            told = (
                "Each time says that it is UTC; the platform has no such code, so it goes out as EST, the same moment."
            )
            return replace(line, keys={**line.keys, "timezone": "UTC", "send_as": "EST"}, why=(*line.why, told))
        if reading.zoned == reading.timed:
            told = "Each time has its offset from UTC: any code that the platform knows sends the same moment."
            return replace(line, keys={**line.keys, "send_as": "EST"}, why=(*line.why, told))
        if self.person is not None and (zone := _asked_zone(match.column, self.person)):
            return replace(line, keys={**line.keys, "timezone": zone, "send_as": standard_code(zone)})
        return _undecided_zone(match, reading, line)


def standard_code(zone: str) -> str:
    """The platform's code for a zone's time in winter; EST for a zone that has none."""
    from datetime import datetime

    winter = datetime(2026, 1, 15, tzinfo=ZoneInfo(zone)).utcoffset() if zone else None
    hours = winter.total_seconds() / 3600 if winter is not None else None
    return next((code for code, offset in TIMEZONES.items() if offset == hours), "EST")


def _listed(names: tuple[str, ...]) -> str:
    return " or ".join(map(repr, names))


def _depends(column: Column) -> bool:
    """Whether a column's amounts depend on the decimal sign."""
    point, comma = (column.converted(FieldType.MONEY, sign)["sent"].cast(pl.Float64) for sign in ".,")
    return not bool((point == comma).fill_null(False).all())


def _written(reading: DateReading) -> str:
    if reading.kind == "iso":
        return "dates as ISO 8601 writes them, which need no format"
    proof = f", as {counted(reading.proof, 'value')} cannot be read any other way" if reading.proof else ""
    return f"dates written {formats_in_words(reading.formats)}{proof}"


def _unplaceable(match: Match, reading: DateReading) -> Line:
    name = match.column.name
    told = f"{reading.read:,} of {reading.filled:,} values are milliseconds since 1970, which no format reads"
    mend = f"export {name!r} as dates, or in seconds"
    return Line(match.field, {"column": name}, (f"{usual(match)}; {told}.", _LEFT_OUT), sent=False, decide=mend)


def _open_order(match: Match, reading: DateReading) -> Line:
    name, ways = match.column.name, [{"column": match.column.name, **format_keys(order)} for order in reading.orders]
    told = "no value has a day above 12 that would prove the order"
    if reading.torn:
        told = "some values can only be read one way, and some only the other"
    why = f"{usual(match)}; its dates can be read in {len(ways)} ways, and {told}."
    decide = f"say whether day or month comes first in {name!r}; until then it is not sent"
    others = tuple((way, "") for way in ways[1:])
    return Line(match.field, ways[0], (why, _LEFT_OUT), sent=False, others=others, decide=decide)


def _asked_zone(column: Column, person: Person) -> str:
    known = available_timezones()
    question = f"In which zone are the times of {column.name!r} (such as America/New_York; - to send them as written)?"
    told = "That is no time zone; write one like America/New_York."
    answer = person.enter(question, "-", lambda text: "" if text == "-" or text in known else told)
    return "" if answer == "-" else answer


def _undecided_zone(match: Match, reading: DateReading, line: Line) -> Line:
    name = match.column.name
    hints = [word.upper() for word in words_of(name) if word in ZONE_WORDS]
    hint = f" The header says {hints[0]}." if hints else ""
    zoned = {**line.keys, "timezone": "America/New_York", "send_as": "EST"}
    if reading.zoned:
        told = f"{reading.zoned:,} of {reading.timed:,} times have an offset from UTC, the others have none.{hint}"
        decide = f"say in which zone the times of {name!r} without an offset are; until then it is not sent"
        return replace(line, keys=zoned, why=(*line.why, told, _LEFT_OUT), sent=False, decide=decide)
    told = f"Its times go out as they are written, without a zone, unless a line like the one below says which.{hint}"
    decide = f"say in which zone the times of {name!r} are, or leave it: they go out as written"
    return replace(line, why=(*line.why, told), others=((zoned, ""),), decide=decide)
