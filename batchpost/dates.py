"""Dates and times: read by ISO 8601 or the job's formats, moved to one of the platform's zones, written its way.

The platform takes ``YYYY-MM-DD`` or ``YYYY-MM-DD HH:MM:SS`` and fixed-offset zone codes only (Global Event page). A
date without a time is never moved between zones.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Literal

import polars as pl

from batchpost.convert import Conversion, Wanted, first_reason
from batchpost.job import EXCEL, FieldSource
from batchpost.payload import quoted
from batchpost.routes import TIMEZONES

__all__ = ["date", "datetime"]

_ISO_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_ISO = (
    r"^(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[ T](?P<minute>(?:[01][0-9]|2[0-3]):[0-5][0-9])(?P<second>:[0-5][0-9])?(?:\.[0-9]{1,9})?"
    r" ?(?:(?P<utc>Z)|(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3]):?(?P<minutes>[0-5][0-9]))?)?$"
)
# strptime directives of chrono: those that read an instant (an offset from UTC, or seconds since 1970), and those
# that read a time of day.
_INSTANT = re.compile(r"%(?:[:#]?z|s|\+)")
_TIME_OF_DAY = re.compile(r"%[-_0]?[HIklMSTRrXcps+]")
_LEAP_SECOND = ":60"  # chrono takes it and rolls over into the next minute
_SERIAL = r"^[0-9]{2,6}(?:\.[0-9]+)?$"
_FIRST_SERIAL = 61  # 1 March 1900: before it, Excel counts a 29 February that there was not
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_CODE = re.compile(r"%(?:[-_0]?[A-Za-z+%]|\.?\d?f|:{1,3}z|#z)")
_TOUCHING = re.compile(r"%[YymdHMSj]%[YymdHMSj]")  # numbers with nothing between them
_WIDTHS = {"%Y": 4, "%j": 3, **dict.fromkeys(("%y", "%m", "%d", "%H", "%M", "%S"), 2)}
_OFFSET = r" ?[+-][0-9]{2}:?[0-9]{2}$"
_BIRTH = "date_of_birth"
_SHORT_YEAR = re.compile(r"%[-_0]?[yDx]")
_FIRST_UNBORN = 2030  # where spreadsheets, too, begin to take two digits for a year of the century before


def date(wanted: Wanted) -> Conversion:
    """Text → ``YYYY-MM-DD``: the day that the text names, also where it has a time with an offset."""
    formats = _formats(wanted.source)
    read = _by_formats(wanted, formats, day_only=True) if formats else _by_iso_date(wanted)
    at = _born(wanted, formats)
    typed = pl.when(_in_range(at)).then(at.dt.date().cast(pl.String))
    why = first_reason(
        (at.is_not_null(), "out_of_range:year"), _two_ways(wanted), _serial(wanted), otherwise="not_a_date"
    )
    return Conversion((*read, (wanted.make("typed", typed),)), why, quoted)


def datetime(wanted: Wanted) -> Conversion:
    """Text → ``YYYY-MM-DD HH:MM:SS``, or ``YYYY-MM-DD`` where the text has no time.

    With ``send_as``, a time with an offset of its own, or else of the job's ``timezone``, is moved to that zone.
    """
    formats = _formats(wanted.source)
    read = _by_formats(wanted, formats) if formats else _by_iso(wanted)
    at, sent, timed = wanted.part("at"), wanted.part("sent"), wanted.part("timed")
    text = sent.dt.strftime("%Y-%m-%d %H:%M:%S")
    typed = pl.when(_in_range(at)).then(pl.when(timed).then(text).otherwise(text.str.head(10)))
    moved = (wanted.make("sent", pl.when(timed).then(_moved(wanted)).otherwise(at)),)
    known = at.is_not_null()
    why = first_reason(
        (known & ~_in_range(at), "out_of_range:year"),
        (known & wanted.part("offset").is_not_null(), "needs_send_as"),
        (known & _zoned(wanted, "earliest").is_null(), "nonexistent_time"),
        (known, "ambiguous_time"),
        _two_ways(wanted),
        _serial(wanted),
        otherwise="not_a_date",
    )
    return Conversion((*read, moved, (wanted.make("typed", typed),)), why, quoted)


def _formats(source: FieldSource) -> list[str]:
    return [source.format] if isinstance(source.format, str) else source.format or []


def _born(wanted: Wanted, formats: list[str]) -> pl.Expr:
    """``at``; of a birth whose year has two digits the last one there was: 55 is 1955, not 2055."""
    at = wanted.part("at")
    if wanted.name != _BIRTH or not any(map(_SHORT_YEAR.search, formats)):
        return at
    return pl.when(at.dt.year() >= _FIRST_UNBORN).then(at.dt.offset_by("-100y")).otherwise(at)


def _in_range(at: pl.Expr) -> pl.Expr:
    return at.dt.year().is_between(_FIRST_YEAR, _LAST_YEAR)


def _two_ways(wanted: Wanted) -> tuple[pl.Expr, str]:
    """The case of a text that several formats read, not alike."""
    tries = [wanted.part(f"try{n}").is_not_null() for n in range(len(_formats(wanted.source)))]
    return pl.sum_horizontal(tries) > 1 if tries else pl.lit(False), "ambiguous_date"


def _serial(wanted: Wanted) -> tuple[pl.Expr, str]:
    """The case of a text that may be a spreadsheet's number for a day of our time, where the job does not say so."""
    text = wanted.part("text")
    likely = text.str.contains(_SERIAL) & text.cast(pl.Float64, strict=False).is_between(15_000, 75_000)
    return likely & pl.lit(EXCEL not in _formats(wanted.source)), "not_a_date:serial"


def _parsed(text: pl.Expr, pattern: str, *, day_only: bool) -> pl.Expr:
    """What one format reads, a zoned time or a naive one; null where it does not fit. With ``day_only`` an offset at
    the end is not heeded: at 23:00 -0500 the day that the text names is over in UTC."""
    if day_only and pattern.endswith(("%z", "%:z")):
        text = pl.when(text.str.contains(_OFFSET)).then(text.str.replace(_OFFSET, ""))
        pattern = pattern.rpartition("%")[0].rstrip()
    if pattern != EXCEL:
        if _TOUCHING.search(pattern):
            text = pl.when(text.str.contains(_whole(pattern))).then(text)
        return text.str.to_datetime(pattern, strict=False, time_unit="us")
    days = pl.when(text.str.contains(_SERIAL)).then(text.cast(pl.Float64, strict=False))
    seconds = pl.when(days >= _FIRST_SERIAL).then((days * 86_400).round().cast(pl.Int64))
    return pl.lit(dt.datetime(1899, 12, 30)) + pl.duration(seconds=seconds)  # noqa: DTZ001 - a spreadsheet has no zone


def _whole(pattern: str) -> str:
    """What a text of a format must match whose numbers touch: 11225 is no ``%m%d%y``, it has lost a zero somewhere."""
    between = map(re.escape, _CODE.split(pattern))
    codes = [f"[0-9]{{{_WIDTHS[code]}}}" if code in _WIDTHS else ".*" for code in _CODE.findall(pattern)]
    return "".join(["^", *(part for pair in zip(between, [*codes, "$"], strict=True) for part in pair)])


def _by_formats(wanted: Wanted, formats: list[str], *, day_only: bool = False) -> tuple[tuple[pl.Expr, ...], ...]:
    """``at``: what the only format that fits reads, or all that fit agree on (naive; UTC where a format reads an
    instant); ``timed`` and ``offset`` (minutes, null: none) of the first that fits."""
    text = pl.when(~wanted.part("text").str.contains(_LEAP_SECOND, literal=True)).then(wanted.part("text"))
    tries = [wanted.part(f"try{n}") for n in range(len(formats))]
    parsed = [_parsed(text, one, day_only=day_only) for one in formats]
    naive = [
        wanted.make(f"try{n}", one.dt.replace_time_zone(None) if _INSTANT.search(formats[n]) else one)
        for n, one in enumerate(parsed)
    ]
    agreed = pl.when(pl.min_horizontal(tries) == pl.max_horizontal(tries)).then(pl.coalesce(tries))
    fraction = wanted.part("text").str.contains(r"\.0*[1-9]")  # 45306.0 is a day that some program made a float
    timed = [
        pl.when(one.is_not_null()).then(
            fraction if formats[n] == EXCEL else pl.lit(bool(_TIME_OF_DAY.search(formats[n])))
        )
        for n, one in enumerate(tries)
    ]
    instants = [one.is_not_null() for n, one in enumerate(tries) if _INSTANT.search(formats[n])]
    offset = pl.when(pl.any_horizontal(instants) if instants else pl.lit(False)).then(pl.lit(0, pl.Int32))
    return (
        tuple(naive),
        (
            wanted.make("at", agreed),
            wanted.make("timed", pl.coalesce(timed)),
            wanted.make("offset", offset),
        ),
    )


def _by_iso_date(wanted: Wanted) -> tuple[tuple[pl.Expr, ...], ...]:
    text = wanted.part("text")
    day = pl.when(text.str.contains(_ISO_DATE)).then(text).str.to_date("%Y-%m-%d", strict=False)
    return ((wanted.make("at", day.cast(pl.Datetime("us"))),),)


def _by_iso(wanted: Wanted) -> tuple[tuple[pl.Expr, ...], ...]:
    """``at`` (as the text has it), ``timed`` and ``offset`` (minutes east of UTC, null: none) of an ISO text."""
    found = wanted.part("iso").struct
    minute = found.field("minute")
    clock = pl.concat_str(minute.fill_null("00:00"), found.field("second").fill_null(":00"))
    at = pl.concat_str(found.field("day"), pl.lit(" "), clock).str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
    minutes = found.field("hours").cast(pl.Int32) * 60 + found.field("minutes").cast(pl.Int32)
    signed = pl.when(found.field("sign") == "-").then(-minutes).otherwise(minutes)
    offset = pl.when(found.field("utc").is_not_null()).then(pl.lit(0, pl.Int32)).otherwise(signed)
    return (
        (wanted.make("iso", wanted.part("text").str.extract_groups(_ISO)),),
        (wanted.make("at", at), wanted.make("timed", minute.is_not_null()), wanted.make("offset", offset)),
    )


def _moved(wanted: Wanted) -> pl.Expr:
    """``at`` in the zone that goes out; null where it cannot be told which moment it is, or in which zone."""
    at, offset, source = wanted.part("at"), wanted.part("offset"), wanted.source
    if source.send_as is None:
        return pl.when(offset.is_null()).then(at)
    target = TIMEZONES[source.send_as]
    by_offset = at - pl.duration(minutes=offset) + pl.duration(hours=target)
    if source.timezone is None:
        return pl.when(offset.is_null()).then(at).otherwise(by_offset)
    local = _zoned(wanted, "null" if source.fold == "reject" else source.fold)
    by_zone = local.dt.convert_time_zone("UTC").dt.replace_time_zone(None) + pl.duration(hours=target)
    return pl.when(offset.is_null()).then(by_zone).otherwise(by_offset)


def _zoned(wanted: Wanted, fold: Literal["earliest", "latest", "null"]) -> pl.Expr:
    return wanted.part("at").dt.replace_time_zone(wanted.source.timezone or "UTC", ambiguous=fold, non_existent="null")
