"""The text of a cell → the JSON literal of an API field, as polars expressions: numbers, words and ids.

Nothing goes through a float: a number keeps the digits that the file has. Dates are in :mod:`batchpost.dates`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from batchpost.job import FieldSource
from batchpost.payload import JsonValue, json_string, quoted
from batchpost.routes import FieldType

__all__ = [
    "CAMPAIGN",
    "CONVERTERS",
    "EXACT",
    "TOTAL_LIKE",
    "Conversion",
    "Wanted",
    "broken",
    "constant",
    "first_reason",
]

CAMPAIGN = "[api] campaign_id"  # the name of a campaign's column among the fields, and in messages
EXACT = pl.Decimal(38, 9)  # money in the books: exact for every amount that passes

_STATES = """AL Alabama, AK Alaska, AZ Arizona, AR Arkansas, CA California, CO Colorado, CT Connecticut, DE Delaware,
DC District of Columbia, FL Florida, GA Georgia, HI Hawaii, ID Idaho, IL Illinois, IN Indiana, IA Iowa, KS Kansas,
KY Kentucky, LA Louisiana, ME Maine, MD Maryland, MA Massachusetts, MI Michigan, MN Minnesota, MS Mississippi,
MO Missouri, MT Montana, NE Nebraska, NV Nevada, NH New Hampshire, NJ New Jersey, NM New Mexico, NY New York,
NC North Carolina, ND North Dakota, OH Ohio, OK Oklahoma, OR Oregon, PA Pennsylvania, RI Rhode Island,
SC South Carolina, SD South Dakota, TN Tennessee, TX Texas, UT Utah, VT Vermont, VA Virginia, WA Washington,
WV West Virginia, WI Wisconsin, WY Wyoming, PR Puerto Rico, GU Guam, VI Virgin Islands, AS American Samoa,
MP Northern Mariana Islands, FM Federated States of Micronesia, MH Marshall Islands, PW Palau,
AA Armed Forces Americas, AE Armed Forces Europe, AP Armed Forces Pacific"""
_ALSO = {"VI": ["US Virgin Islands"], "DC": ["Washington DC"], "FM": ["Micronesia"]}  # without points and commas
_STATE_CODES = {
    spelling.lower(): entry[:2]
    for entry in " ".join(_STATES.split()).split(", ")
    for spelling in (entry[:2], entry[3:], *_ALSO.get(entry[:2], ()))
}
_YES, _NO = ("true", "yes", "y", "1"), ("false", "no", "n", "0")

# Fields that name something: no line breaks in them, and nothing that a spreadsheet has rounded. A bare "12e5" may be
# an id in hex; with a sign or a decimal point it is a number that lost its digits.
_IDENTIFIERS = {"transaction_id", "event_id", "pid", "clid", "external_clickid", CAMPAIGN}
_SCIENTIFIC = r"^[+-]?[0-9]+(?:[.,][0-9]+[eE][+-]?|[eE][+-])[0-9]+$"
_AS_NUMBER = r"^[0-9]+\.0+$|^(?i:nan|[+-]?inf(?:inity)?)$"  # what programs write that took ids for numbers
_EXCEL_ERROR = r"^#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!)$"
_CONTROL = r"[\p{Cc}&&[^\t\r\n]]"
_UNSEEN = r"[\p{Cf}\x{2028}\x{2029}]"

_CURRENCIES = ["US$", "CA$", "A$", "$", "€", "£", "USD", "EUR", "GBP", "CAD", "AUD", "CHF"]
_CURRENCY = rf"(?i:{'|'.join(map(re.escape, _CURRENCIES))})"
_BLANK = r"[ \x{A0}\x{202F}]?"
# Digits with points and commas; or, as in France and Switzerland, in groups divided by blanks or apostrophes.
_APART = [" ", "\xa0", "\u202f", "'", "\u2019"]
_AMOUNT = rf"(?:[0-9.,]+|[0-9]{{1,3}}(?:[{''.join(_APART)}][0-9]{{3}})+(?:[.,][0-9]+)?)"
_BEFORE = rf"(?:{_CURRENCY}{_BLANK})?{_AMOUNT}"
_AFTER = rf"{_AMOUNT}{_BLANK}{_CURRENCY}"
_MONEY = rf"^(?:[+-]?{_BEFORE}|{_CURRENCY}{_BLANK}[+-]{_AMOUNT}|[+-]?{_AFTER}|\((?:{_BEFORE}|{_AFTER})\))$"
_PLAIN = r"[0-9]+(?:\.[0-9]{1,9})?|\.[0-9]{1,9}"
# By the job's decimal sign. Without one, a comma is a group's only where it can be nothing else.
_NUMBERS = {
    None: rf"^[+-]?(?:{_PLAIN}|[0-9]{{1,3}}(?:,[0-9]{{3}})+\.[0-9]{{1,9}}|[0-9]{{1,3}}(?:,[0-9]{{3}}){{2,}})$",
    ".": rf"^[+-]?(?:{_PLAIN}|[0-9]{{1,3}}(?:,[0-9]{{3}})+(?:\.[0-9]{{1,9}})?)$",
    ",": r"^[+-]?(?:[0-9]+(?:,[0-9]{1,9})?|,[0-9]{1,9}|[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]{1,9})?)$",
}
_AMBIGUOUS = r"^[+-]?[0-9]{1,3},[0-9]{3}$"
_AMBIGUOUS_MONEY = r"^[+-]?(?:[0-9]{1,3},|[1-9][0-9]{0,2}\.)[0-9]{3}$"  # no amount has three decimals by itself
_DECIMAL_COMMA = r"^[+-]?(?:[0-9]*,[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]+)?)$"
_TOO_FINE = r"^[+-]?[0-9.,]*[.,][0-9]{10,}$"
# Numbers that mean the same in every country and go out as they are.
_WHOLE, _LITERAL = r"^(?:0|[1-9][0-9]{0,11})$", r"^(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,2})?$"
# 15 significant digits are what every double carries; JSON readers make doubles of numbers (RFC 8259, section 6).
_FITS_DOUBLE = r"^-?(?:0\.0*)?(?:[0-9]\.?){0,15}$"
TOTAL_LIKE = rf"^[+-]?\(?[+-]?(?:{_CURRENCY}{_BLANK})?[+-]?[0-9][0-9.,]*{_BLANK}(?:{_CURRENCY}|%)?\)?$"

# Letters beyond ASCII as two ranges: the class of all letters (\p{L}) takes longer to compile than a batch to match.
_LETTER = r"A-Za-z0-9\x{C0}-\x{1FFF}\x{3001}-\x{D7FF}"
_ATOM = rf"[{_LETTER}!#$%&'*+/=?^_`{{|}}~-]+"
_DOMAIN = rf"[{_LETTER}](?:[{_LETTER}-]*[{_LETTER}])?"
_EMAIL = rf"^{_ATOM}(?:\.{_ATOM})*@{_DOMAIN}(?:\.{_DOMAIN})+$"
_SHORT_ZIP = r"^[0-9]{3,4}(?:-[0-9]{4})?$"  # 501 is Holtsville, New York: the lowest there is
_PHONE_MARKS = list(" \t\xa0\u202f().-/\u2010\u2011\u2012\u2013\u2014\u2015")
_PHONE = r"^(?:\+?1)?[0-9]{10}$"
_EXTENSION = r"(?i)[0-9] *(?:#|x|ext\.?|extension) *[0-9]{1,6}$"
_DECIMAL_TAIL = r"\.[0-9]{1,2}$"  # 2125550123.0: a number's spelling, whose last digits are no part of the phone


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an API field asks of a text. Its working columns are ``<name>.<part>``: ``text`` is read, ``typed`` made.

    ``choices`` are the only values allowed (empty: any). ``decimal`` is the input's decimal sign, None where it must
    be plain from each text. ``fixed``: the text comes from the job (a constant, a map), not from a cell.
    """

    name: str
    type: FieldType
    source: FieldSource
    choices: tuple[str, ...] = ()
    decimal: str | None = None
    fixed: bool = False

    def part(self, part: str) -> pl.Expr:
        """A working column of this field."""
        return pl.col(f"{self.name}.{part}")

    def make(self, part: str, expr: pl.Expr) -> pl.Expr:
        """The expression that makes a working column of this field."""
        return expr.alias(f"{self.name}.{part}")


@dataclass(frozen=True, slots=True)
class Conversion:
    """How ``<name>.text`` becomes ``<name>.typed``: null where the text cannot be one.

    ``steps`` are groups of expressions, each for one ``with_columns`` after the one before. ``why`` is a code for the
    rows that have a text and no ``typed`` (never null there): a reason, perhaps with ``:`` and a finer mark.
    ``json`` makes the JSON value of what goes out. ``plain`` tells texts that need no conversion, null counting as one;
    for a batch that has no others ``short`` steps make the same columns.
    """

    steps: tuple[tuple[pl.Expr, ...], ...]
    why: pl.Expr
    json: Callable[[pl.Expr], JsonValue]
    plain: pl.Expr | None = None
    short: tuple[tuple[pl.Expr, ...], ...] = ()


def constant(value: str | bool | int | float) -> str:
    """The text of a value written in the job file, as a cell would spell it: no exponent, true and false."""
    if isinstance(value, bool):
        return str(value).lower()
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


def broken(text: pl.Expr) -> pl.Expr:
    """A reason for a text that is the trace of an earlier fault, whatever was expected of it; else null."""
    error = pl.when(text.str.contains(f"(?i){_EXCEL_ERROR}")).then(pl.lit("excel_error"))
    return error.when(text.str.contains("\ufffd", literal=True)).then(pl.lit("replacement_character"))


def first_reason(*cases: tuple[pl.Expr, str], otherwise: str) -> pl.Expr:
    """The code of the first case that holds, never null."""
    return pl.coalesce(*(pl.when(case).then(pl.lit(code)) for case, code in cases), pl.lit(otherwise))


def _text(wanted: Wanted) -> Conversion:
    text = wanted.part("text")
    named = wanted.name in _IDENTIFIERS
    control = r"\p{Cc}" if named else _CONTROL
    patterns = [control, r"\x{FFFD}", f"(?i:{_EXCEL_ERROR})", *([_SCIENTIFIC, _UNSEEN, _AS_NUMBER] if named else [])]
    why = first_reason(
        (text.str.contains(control), "forbidden_character"),
        (text.str.contains(_UNSEEN), "forbidden_character:invisible"),
        (text.str.contains(_AS_NUMBER), "id_as_number"),
        otherwise="scientific_notation",
    )
    sound = pl.lit(True) if wanted.fixed else ~text.str.contains("|".join(patterns))  # what the job says is its own
    typed = pl.when(sound).then(text)
    return Conversion(((wanted.make("typed", typed),),), why, json_string)


def _bare_number(wanted: Wanted) -> pl.Expr:
    """The text without its currency and with brackets as a minus sign; null where these are not in their place."""
    text = wanted.part("text")
    if wanted.type is not FieldType.MONEY:
        return text
    sign = pl.when(text.str.starts_with("(")).then(pl.lit("-")).otherwise(pl.lit(""))
    amount = text.str.replace_many([*_CURRENCIES, "(", ")", *_APART], [""], ascii_case_insensitive=True)
    return pl.when(text.str.contains(_MONEY)).then(pl.concat_str(sign, amount))


def _digits(wanted: Wanted) -> pl.Expr:
    """The digits of ``bare`` with a decimal point, without sign, groups and leading zeros; null where not a number."""
    bare = wanted.part("bare")
    group, point = (".", ",") if wanted.decimal == "," else (",", ".")
    digits = bare.str.replace_all(group, "", literal=True).str.strip_chars_start("+-0")
    if point == ",":
        digits = digits.str.replace(",", ".", literal=True)
    if wanted.type is FieldType.INTEGER:
        digits = digits.str.replace(r"\.0+$", "")
    is_number = bare.str.contains(_NUMBERS[wanted.decimal])
    if wanted.type is FieldType.MONEY and wanted.decimal is None and not wanted.fixed:
        is_number &= ~bare.str.contains(_AMBIGUOUS_MONEY)
    return pl.when(is_number).then(digits)


def _literal(wanted: Wanted) -> pl.Expr:
    """The number as JSON has it (RFC 8259, section 6), with the digits of the text."""
    digits = wanted.part("digits")
    sign = pl.when(wanted.part("bare").str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    zero = pl.when((digits == "") | digits.str.starts_with(".")).then(pl.lit("0")).otherwise(pl.lit(""))
    return pl.concat_str(sign, zero, digits)


def _number(wanted: Wanted) -> Conversion:
    text, literal = wanted.part("text"), wanted.part("literal")
    fits = literal.str.contains(_FITS_DOUBLE)
    if wanted.type is FieldType.INTEGER:
        fits &= ~literal.str.contains(".", literal=True)
    exact = (wanted.make("exact", literal.cast(EXACT, strict=False)),)
    steps = (
        (wanted.make("bare", _bare_number(wanted)),),
        (wanted.make("digits", _digits(wanted)),),
        (wanted.make("literal", _literal(wanted)),),
        exact,
        (wanted.make("typed", pl.when(fits & _in_limits(wanted)).then(literal)),),
    )
    short = (
        (wanted.make("bare", text), wanted.make("literal", text)),
        exact,
        (wanted.make("typed", pl.when(_in_limits(wanted)).then(literal)),),
    )
    plain = text.str.contains(_WHOLE if wanted.type is FieldType.INTEGER else _LITERAL)
    return Conversion(steps, _number_why(wanted), JsonValue, None if wanted.decimal == "," else plain, short)


def _in_limits(wanted: Wanted) -> pl.Expr:
    exact, low, high = wanted.part("exact"), wanted.source.min, wanted.source.max
    if low is None and wanted.type is FieldType.MONEY:
        low = Decimal(0)
    limits = [
        *([exact >= pl.lit(low)] if low is not None else []),
        *([exact <= pl.lit(high)] if high is not None else []),
    ]
    return pl.all_horizontal(limits) if limits else exact.is_not_null()


def _number_why(wanted: Wanted) -> pl.Expr:
    bare, literal = wanted.part("bare"), wanted.part("literal")
    fraction = literal.str.contains(".", literal=True) & pl.lit(wanted.type is FieldType.INTEGER)
    digits = bare.str.contains(_TOO_FINE) | ~literal.str.contains(_FITS_DOUBLE)
    undecided = pl.lit(wanted.decimal is None)
    ambiguous = _AMBIGUOUS_MONEY if wanted.type is FieldType.MONEY else _AMBIGUOUS
    return first_reason(
        (fraction, "not_an_integer"),
        (digits, "out_of_range:digits"),
        (pl.lit(wanted.source.min is None) & (wanted.part("exact") < 0), "out_of_range:negative"),
        (literal.is_not_null(), "out_of_range"),
        (undecided & bare.str.contains(ambiguous), "ambiguous_number"),
        (undecided & bare.str.contains(_DECIMAL_COMMA), "not_a_number:comma"),
        otherwise="not_a_number",
    )


def _boolean(wanted: Wanted) -> Conversion:
    yes, no = wanted.source.true, wanted.source.false
    listed = _words(yes or (), no or ())
    words = listed if listed and not wanted.fixed else _words(_YES, _NO) | listed
    return Conversion((_looked_up(wanted, words),), pl.lit("not_a_boolean"), JsonValue)


def _words(yes: Iterable[str], no: Iterable[str]) -> dict[str, str]:
    return {word.strip().lower(): "true" for word in yes} | {word.strip().lower(): "false" for word in no}


def _looked_up(wanted: Wanted, words: dict[str, str], part: str = "text") -> tuple[pl.Expr, ...]:
    lower = wanted.part(part).str.to_lowercase()
    found = lower.replace_strict(list(words), list(words.values()), default=None, return_dtype=pl.String)
    return (wanted.make("typed", found),)


def _state(wanted: Wanted) -> Conversion:
    plain = wanted.make("plain", wanted.part("text").str.replace_many([".", ","], [""]))
    found = _looked_up(wanted, _STATE_CODES, "plain")
    return Conversion(((plain,), found), pl.lit("not_a_state"), quoted)


def _phone(wanted: Wanted) -> Conversion:
    text = wanted.part("text")
    digits = wanted.part("digits")
    typed = pl.when(digits.str.contains(_PHONE) & ~text.str.contains(_DECIMAL_TAIL)).then(digits.str.tail(10))
    why = first_reason(
        (text.str.contains(_SCIENTIFIC), "scientific_notation"),
        (text.str.contains(_EXTENSION), "not_a_phone:extension"),
        otherwise="not_a_phone",
    )
    unmarked = wanted.make("digits", text.str.replace_many(_PHONE_MARKS, [""]))
    return Conversion(((unmarked,), (wanted.make("typed", typed),)), why, quoted)


def _zip(wanted: Wanted) -> Conversion:
    text = code = wanted.part("text")
    if wanted.source.lost_zeros == "restore":
        whole = text.str.zfill(pl.when(text.str.contains("-", literal=True)).then(10).otherwise(5))
        code = pl.when(text.str.contains(_SHORT_ZIP)).then(whole).otherwise(text)
    typed = pl.when(code.str.contains(r"^[0-9]{5}(?:-[0-9]{4})?$")).then(code)
    why = first_reason(
        (text.str.contains(_SCIENTIFIC), "scientific_notation"),
        (text.str.contains(_SHORT_ZIP), "not_a_zip:short"),
        otherwise="not_a_zip",
    )
    return Conversion(((wanted.make("typed", typed),),), why, quoted)


def _email(wanted: Wanted) -> Conversion:
    text = wanted.part("text")
    typed = pl.when(text.str.contains(_EMAIL) & (text.str.len_bytes() <= 254)).then(text)
    return Conversion(((wanted.make("typed", typed),),), pl.lit("not_an_email"), quoted)


CONVERTERS: dict[FieldType, Callable[[Wanted], Conversion]] = {
    FieldType.TEXT: _text,
    FieldType.NUMBER: _number,
    FieldType.INTEGER: _number,
    FieldType.MONEY: _number,
    FieldType.BOOLEAN: _boolean,
    FieldType.PHONE: _phone,
    FieldType.STATE: _state,
    FieldType.ZIP: _zip,
    FieldType.EMAIL: _email,
}
