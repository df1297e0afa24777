"""How a column's dates are written: the formats that its values prove, or those between which they leave it open.

``03/04/2025`` may be March or April. An order of day and month is taken only where it reads every value and no other
order does; else a person decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import polars as pl

from batchpost.columnfacts import Column, converted
from batchpost.job import EXCEL
from batchpost.routes import FieldType

__all__ = ["DateReading", "formats_of", "read_dates"]

Kind = Literal["iso", "formats", "open", "milliseconds", "none"]

_ENOUGH = 0.8  # of the values must be dates for a column to be one of dates
_SHAPES = 40  # different shapes that are looked into; the rest counts as unread
_PLAIN_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_DAY_NUMBER = re.compile(r"99999(?:\.9+)?")  # a spreadsheet's, since 1899-12-30
_MILLISECONDS = r"^(?:9|1[0-9]|2[0-9])[0-9]{11}$"
_WEEKDAY = r"(?i)\b(?:mon|tue|wed|thu|fri|sat|sun)(?:day|sday|nesday|rsday|urday)?\b"
_MONTH = r"(?i)\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:uary|ruary|ch|il|e|y|ust|tember|ober|ember)?\b"
_HALF = r"(?i)(?P<digit>[0-9 ])[ap]m"

# A shape has 9 for one or two digits and more for more, D and B for the names of a day and a month, p for am or pm.
_DAY = (
    (re.compile(r"9999(?P<s>[-/.])9(?P=s)9"), ("%Y{s}%m{s}%d",)),
    (re.compile(r"9(?P<s>[-/.])9(?P=s)9999"), ("%m{s}%d{s}%Y", "%d{s}%m{s}%Y")),
    (re.compile(r"9(?P<s>[-/.])9(?P=s)9"), ("%m{s}%d{s}%y", "%d{s}%m{s}%y", "%y{s}%m{s}%d")),
    (re.compile(r"9(?P<s>[-/. ]|)B(?P=s)9999"), ("%d{s}%B{s}%Y",)),
    (re.compile(r"9(?P<s>[-/. ]|)B(?P=s)9"), ("%d{s}%B{s}%y",)),
    (re.compile(r"9(?P<s>\. )B 9999"), ("%d{s}%B %Y",)),
    (re.compile(r"B(?P<s>\.? )9, 9999"), ("%B{s}%d, %Y",)),
    (re.compile(r"B(?P<s>\.? )9 9999"), ("%B{s}%d %Y",)),
    (re.compile(r"9999(?P<s>[-/. ])B(?P=s)9"), ("%Y{s}%B{s}%d",)),
)
_COMPACT = {
    "99999999": ("%Y%m%d", "%m%d%Y", "%d%m%Y"),
    "99999999999999": ("%Y%m%d%H%M%S",),
    "9999999999": ("%s",),
}
_CLOCK = re.compile(
    r"(?P<gap>,? |T|, )9:9(?P<second>:9)?(?P<part>\.9+)?(?P<half> ?p)?(?P<zone> ?[+-](?:9:9|9999)| UTC| GMT)?"
)


@dataclass(frozen=True, slots=True)
class DateReading:
    """What is known of how a column's dates are written.

    ``iso``: they need no format. ``formats``: these are proved. ``open``: each of ``orders`` reads all that can be
    read, as other dates (or, ``torn``, no one order reads all). ``milliseconds`` are numbers that no format
    reads. ``read`` of ``filled`` cells are dates; ``timed`` of them have a time of day, ``zoned`` an offset from
    UTC. ``utc``: each time has the word UTC or GMT behind it.
    """

    kind: Kind
    filled: int
    read: int = 0
    formats: tuple[str, ...] = ()
    orders: tuple[tuple[str, ...], ...] = ()
    proof: int = 0
    torn: bool = False
    timed: int = 0
    zoned: int = 0
    utc: bool = False

    @property
    def share(self) -> float:
        """How many of the cells are dates, between 0 and 1."""
        return self.read / self.filled if self.filled else 0.0

    @property
    def keys(self) -> dict[str, str | list[str]]:
        """``format`` as a job file has it; empty where none is needed or proved."""
        return format_keys(self.formats)


def format_keys(formats: Sequence[str]) -> dict[str, str | list[str]]:
    """``format`` as a job file has it."""
    return {"format": formats[0] if len(formats) == 1 else list(formats)} if formats else {}


def formats_of(shape: str, *, compact: bool = False) -> tuple[str, ...]:
    """The formats that values of a shape may have; ``compact``: also digits without any sign between them."""
    if _DAY_NUMBER.fullmatch(shape):
        return (EXCEL,) if compact else ()
    if shape in _COMPACT:
        return _COMPACT[shape] if compact else ()
    weekday = re.match(r"D,? ", shape)
    start, named = (weekday.end(), f"%A{weekday[0][1:]}") if weekday else (0, "")
    for day, formats in _DAY:
        found = day.match(shape, start)
        clock = _clock(shape[found.end() :]) if found else None
        if found and clock is not None:
            return tuple(f"{named}{one.format(s=found['s'])}{clock}" for one in formats)
    return ()


def read_dates(column: Column, *, named: bool, plain_days: bool = False, order: str | None = None) -> DateReading:
    """How a column's dates are written.

    ``named``: its header is that of a date, so that bare digits may be one. ``plain_days``: it goes to a field of
    days, which takes no ISO time without a format. ``order`` (``month`` or ``day``): which comes first, as a person
    said.
    """
    iso = _iso(column)
    if iso and not (plain_days and column.with_text(_PLAIN_ISO) < iso.read):
        return iso
    if named and (read := column.with_text(_MILLISECONDS)) >= _ENOUGH * column.filled > 0:
        return DateReading("milliseconds", column.filled, read)
    groups = list(_groups(column, compact=named))
    possible = sum(int(cells["count"].sum()) for _, cells in groups)
    if not groups or possible < _ENOUGH * column.filled:
        return DateReading("none", column.filled)
    return _combined(column, groups, order)


def _clock(rest: str) -> str | None:
    """The format of what follows the day; None where it is no time."""
    if not rest:
        return ""
    found = _CLOCK.fullmatch(rest)
    if not found:
        return None
    hour = "%I" if found["half"] else "%H"
    second = ":%S" if found["second"] else ""
    part = "%.f" if found["part"] else ""
    half = found["half"].replace("p", "%p") if found["half"] else ""
    zone = re.sub(r"[+-].*", "%z", found["zone"] or "")
    return f"{found['gap']}{hour}:%M{second}{part}{half}{zone}"


def _iso(column: Column) -> DateReading | None:
    """The reading of a column whose dates need no format."""
    fit = column.fit(FieldType.DATETIME, send_as="EST")
    if fit.share < 0.95:
        return None
    zoned = fit.count - column.fit(FieldType.DATETIME).count
    days = column.fit(FieldType.DATE).count
    return DateReading("iso", column.filled, fit.count, timed=fit.count - days, zoned=zoned)


def _groups(column: Column, *, compact: bool) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
    """The formats of each shape that is one of dates, with its cells, the most frequent shape first."""
    shaped = column.cells.with_columns(_shape(pl.col("value")).alias("shape"))
    counts = shaped.group_by("shape").agg(pl.col("count").sum()).sort(["count", "shape"], descending=[True, False])
    by_formats: dict[tuple[str, ...], list[str]] = {}
    for raw in counts["shape"].head(_SHAPES):
        if formats := formats_of(_short(raw), compact=compact):
            by_formats.setdefault(formats, []).append(raw)
    for formats, shapes in by_formats.items():
        yield formats, shaped.filter(pl.col("shape").is_in(shapes)).select("value", "count")


def _shape(text: pl.Expr) -> pl.Expr:
    named = text.str.replace(_WEEKDAY, "D").str.replace(_MONTH, "B").str.replace(_HALF, "${digit}p")
    return named.str.replace_all("[0-9]", "9").str.head(60)


def _short(shape: str) -> str:
    """The shape with 9 for a run of one or two digits."""
    return re.sub(r"(?<!9)99(?!9)", "9", shape)


def _combined(column: Column, groups: list[tuple[tuple[str, ...], pl.DataFrame]], order: str | None) -> DateReading:
    """One reading of all the shapes. Shapes with the same sign between the numbers are of one hand, so that the order
    which one of them proves holds for the others."""
    families: dict[tuple[str, ...], list[tuple[tuple[str, ...], pl.DataFrame]]] = {}
    for formats, cells in groups:
        families.setdefault(tuple(_order_of(one) for one in formats), []).append((formats, cells))
    settled: list[list[tuple[str, ...]]] = []
    proof, torn = 0, False
    for orders, members in families.items():
        fitting, shown = _orders(members, orders, order)
        torn |= not fitting
        proof += shown
        settled.append([tuple(formats[n] for formats, _ in members) for n in fitting or range(len(orders))])
    ways = [tuple(one for part in way for one in part) for way in product(*settled)]
    trimmed = [_useful(column, way) for way in ways[:4]]
    return _reading(column, trimmed, proof, torn=torn)


def _order_of(pattern: str) -> str:
    """Which of day, month and year comes first, with the sign between: what makes two formats of one hand."""
    found = re.search(r"%([YymdBs])(.?)%?([YymdB]?)", pattern)
    return "".join(found.groups()) if found else pattern


def _orders(
    members: Sequence[tuple[tuple[str, ...], pl.DataFrame]], orders: tuple[str, ...], said: str | None
) -> tuple[list[int], int]:
    """The orders (by index) that read every value which any of them reads, and how many cells prove it, each being no
    date in the orders that are ruled out."""
    if len(orders) == 1:
        return [0], 0
    first = {"month": "m", "day": "d"}.get(said or "", "")
    if chosen := [n for n, name in enumerate(orders) if first and name.startswith(first)]:
        return chosen[:1], 0
    tries = [_tried(formats, cells) for formats, cells in members]
    frame = pl.concat(tries)
    readable = frame.filter(pl.any_horizontal(pl.col(f"way{n}").is_not_null() for n in range(len(orders))))
    fitting = [n for n in range(len(orders)) if readable[f"way{n}"].null_count() == 0]
    if not readable.height:
        return [0], 0
    if len(fitting) != 1:
        return fitting, 0
    others = [n for n in range(len(orders)) if n != fitting[0]]
    against = readable.filter(pl.any_horizontal(pl.col(f"way{n}").is_null() for n in others))
    return fitting, int(against["count"].sum())


def _tried(formats: tuple[str, ...], cells: pl.DataFrame) -> pl.DataFrame:
    """``count`` and, for each format, ``way<n>``: what it makes of a cell."""
    ways = [
        converted(cells, FieldType.DATETIME, format=one, send_as="EST")["sent"].alias(f"way{n}")
        for n, one in enumerate(formats)
    ]
    return cells.select("count").hstack(ways)


def _useful(column: Column, formats: Sequence[str]) -> tuple[str, ...]:
    """The formats without those that add nothing: together two formats may read less than one of them."""
    kept: tuple[str, ...] = ()
    best = 0
    for one in dict.fromkeys(formats):
        count = column.fit(FieldType.DATETIME, format=[*kept, one], send_as="EST").count
        if count > best:
            kept, best = (*kept, one), count
    return kept


def _reading(column: Column, ways: Sequence[tuple[str, ...]], proof: int, *, torn: bool) -> DateReading:
    first = ways[0]
    sent = column.converted(FieldType.DATETIME, format=list(first), send_as="EST") if first else None
    if sent is None:
        return DateReading("none", column.filled)
    read = sent.filter(pl.col("sent").is_not_null())
    timed = read.filter(pl.col("sent").str.len_bytes() > len("YYYY-MM-DD"))
    zoned = [one for one in first if re.search(r"%z|%s", one)]
    found = int(read["count"].sum())
    return DateReading(
        kind="open" if len(ways) > 1 or torn else "formats",
        filled=column.filled,
        read=found,
        formats=first if len(ways) == 1 and not torn else (),
        orders=tuple(ways) if len(ways) > 1 or torn else (),
        proof=proof,
        torn=torn,
        timed=int(timed["count"].sum()),
        zoned=column.fit(FieldType.DATETIME, format=zoned, send_as="EST").count if zoned else 0,
        utc=all(re.search(r" (?:UTC|GMT)$", one) for one in first),
    )
