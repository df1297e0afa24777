"""Cells of a workbook → text, exactly: numbers, dates and the format that tells the one from the other.

The rules are those of ECMA-376, part 1: 18.8.30 (number formats), 18.17.4 (dates), 22.9.2.19 (escapes in text).
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Literal

__all__ = ["Format", "column_name", "column_number", "format_of", "number_text", "unescaped"]

Format = Literal["", "date", "time", "datetime", "span"]

_DAY = 86_400_000  # milliseconds: what Excel keeps of a time
_LAST_DAY = 2_958_465  # 9999-12-31
_EXACT = 10**15  # Excel keeps 15 digits
_PLAIN = re.compile(r"-?[0-9]{1,15}").fullmatch
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
# By number, without a text in the file; those from 27 on are East Asian, and say the same in each language.
_BUILT_IN: dict[int, Format] = {
    **dict.fromkeys((*range(14, 18), *range(27, 32), 36, *range(50, 59)), "date"),
    **dict.fromkeys((*range(18, 22), *range(32, 36), 45, 47), "time"),
    22: "datetime",
    46: "span",
}
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.')  # text, escaped characters, blanks as wide as a character, fillers
_SPAN = re.compile(r"\[(?:h+|m+|s+)\]")
_BRACKETS = re.compile(r"\[[^\]]*\]")  # colours, conditions, currencies, locales
_LETTERS = re.compile(r"[A-Z]{1,3}").fullmatch


def format_of(number: int, code: str | None = None) -> Format:
    """What a number format makes of a number: a date, a time of day, both, a span of time, or (empty) a number."""
    if code is None:
        return _BUILT_IN.get(number, "")
    bare = _LITERAL.sub("", code.lower()).partition(";")[0]
    if _SPAN.search(bare):
        return "span"
    bare = _BRACKETS.sub("", bare)
    half_days = "am/pm" in bare or "a/p" in bare
    letters = {*bare.replace("am/pm", "").replace("a/p", "").replace("general", "")}
    has_time = half_days or bool(letters & {"h", "s"})
    has_date = bool(letters & {"y", "d"}) or ("m" in letters and not has_time)
    return ("datetime" if has_time else "date") if has_date else "time" if has_time else ""


def number_text(literal: str, kind: Format, *, from_1904: bool = False) -> str:
    """A stored number as text.

    Integers in digits, decimals as the shortest text that reads back the same; from 10^15 on in scientific notation,
    since Excel keeps 15 digits of what may have been an id. Dates ``YYYY-MM-DD`` (with ``HH:MM:SS[.fff]`` where the
    format or the value has a time), times ``HH:MM:SS``, spans the same with all hours. What is out of a date's range
    stays a number. Raises ValueError for what is no number.
    """
    value = float(literal)
    if kind:
        text = _moment(value, kind, from_1904)
        if text:
            return text
    if _PLAIN(literal):
        return str(int(literal))
    if value - value != 0:
        raise ValueError("not finite")
    if value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    exact = Decimal(repr(value))
    return f"{exact.normalize():E}" if abs(value) >= _EXACT else f"{exact:f}"


def unescaped(text: str) -> str:
    """Text with ``_xHHHH_``, by which a workbook writes what XML cannot hold (a carriage return), as that character."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def column_number(reference: str) -> int:
    """The column of a cell like ``AB12``, from 1; raises ValueError for what is none."""
    return _number_of(reference.rstrip("0123456789"))


@cache
def _number_of(letters: str) -> int:
    if not _LETTERS(letters):
        raise ValueError("not a cell's name")
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def column_name(number: int) -> str:
    """The letters of a column, from 1."""
    name = ""
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(65 + letter) + name
    return name


def _moment(value: float, kind: Format, from_1904: bool) -> str:
    """A date or time; empty for a number that is none."""
    if not 0 <= value <= _LAST_DAY + 1:
        return ""
    days, rest = divmod(round(value * _DAY), _DAY)
    if kind == "span":
        return _clock(days * _DAY + rest)
    if kind == "time" and not days:
        return _clock(rest)
    day = _day(days, from_1904)
    return f"{day} {_clock(rest)}" if day and (rest or kind != "date") else day


def _day(days: int, from_1904: bool) -> str:
    if days > _LAST_DAY - (1462 if from_1904 else 0):
        return ""
    if from_1904:
        return (date(1904, 1, 1) + timedelta(days)).isoformat()
    if days in (0, 60):  # 1900-01-00, and the 29th of February 1900, which was none
        return ""
    return (date(1899, 12, 31 if days < 60 else 30) + timedelta(days)).isoformat()


def _clock(milliseconds: int) -> str:
    seconds, fraction = divmod(milliseconds, 1000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction:03}" if fraction else text
