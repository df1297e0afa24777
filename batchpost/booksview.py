"""The one table of books that ``plan``, ``run`` and ``show`` end in: rows and money, by outcome and reason.

What needs somebody's attention has a ``!`` before it and its meaning behind it, or below it on a narrow terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from batchpost.layout import aligned, amount_text, counted
from batchpost.model import Outcome
from batchpost.output import Line, Look, wrapped
from batchpost.reasons import BY_OUTCOME, UNTROUBLED, meaning, remedy
from batchpost.saidtotals import SaidTotal, said_totals
from batchpost.summary import TO_SEND, plain

__all__ = ["books_lines", "books_of", "expect_lines", "remedy_lines"]

Books = Sequence[Mapping[str, Any]]
"""Entries as in ``summary.books``: outcome, reason, rows, money by field as exact text."""

_GOOD = (Outcome.DELIVERED, Outcome.ALREADY_DELIVERED, Outcome.SKIPPED, TO_SEND)
_CALM = UNTROUBLED | {"limit", "until", "interrupted", "under_way"}  # left as somebody said, or going on
_WIDE = 10_000  # columns, where nothing says how many there are
_LEAST = 24  # columns in which a meaning can still be read
_LABEL = 14  # columns that a label keeps, whatever the terminal
_GAP = "  "


class _Row(NamedTuple):
    """A row of the table: what it is about, its rows and money, what is said of it, whether it needs attention."""

    label: str
    rows: str
    money: tuple[str, ...]
    note: str = ""
    trouble: bool = False
    look: Look = ""


def books_of(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The books of a summary; of an old one, which has rows, money and reasons apart, as well as they can be put
    together: no money by reason, and a reason that several outcomes can have stands with the last of those."""
    if (known := summary.get("books")) is not None:
        return list(known)
    rows, money = summary.get("rows") or {}, summary.get("money") or {}
    reasons = {reason: count for reason, count in (summary.get("reasons") or {}).items() if count}
    books = []
    for outcome in (outcome.value for outcome in Outcome if rows.get(outcome.value)):
        amounts = {name: totals.get(outcome, "0.00") for name, totals in money.items()}
        books.append({"outcome": outcome, "reason": "", "rows": rows[outcome], "money": amounts})
        of_it = [reason for reason in reasons if _outcome_of(reason, rows) == outcome]
        books += [
            {"outcome": outcome, "reason": reason, "rows": reasons[reason], "money": None}
            for reason in sorted(of_it, key=lambda reason: (-reasons[reason], reason))
        ]
    return books


def _outcome_of(reason: str, rows: Mapping[str, int]) -> str:
    """Of the outcomes that a reason can have, the last one that has rows."""
    groups = [name for name, reasons in BY_OUTCOME.items() if reason in reasons]
    fits = [outcome for name in groups for outcome in name.split(" or ") if rows.get(outcome)]
    return fits[-1] if fits else ""


def books_lines(books: Books, sources: Sequence[Mapping[str, Any]] = (), *, width: int = 0) -> list[Line]:
    """The table of books, within ``width`` columns (0: as wide as it is). ``sources`` are as in ``summary.source``:
    what a file says itself that it comes to stands below what was read."""
    fields = list(dict.fromkeys(name for entry in books for name in entry["money"] or ()))
    rows = [_Row("", "rows", tuple(fields), look="faint"), _read(books, fields)]
    rows += _said_totals(books, sources, fields)
    for outcome, group in groupby(books, key=lambda entry: str(entry["outcome"])):
        rows += _outcome_rows(outcome, list(group), fields)
    return list(_laid_out(rows, width))


def expect_lines(summary: Mapping[str, Any], *, width: int = 0) -> list[Line]:
    """What came of ``[expect]``: what did not hold, and how many rows it tolerates."""
    unmet = [Line(f"! Not as expected: {sentence}", "trouble") for sentence in summary.get("expected") or ()]
    if tolerated := summary.get("tolerated"):
        unmet.append(Line(f"  [expect] tolerates {counted(tolerated, 'row')} of these"))
    return [line for long in unmet for line in wrapped(long, width, indent="  ")]


def remedy_lines(books: Books, run_id: str, *, width: int = 0) -> list[Line]:
    """What to do about each reason that needs somebody's attention, in the order of the books."""
    told: dict[str, str] = {}
    for entry in books:
        if entry["rows"] and _is_trouble(entry) and (said := _remedy(entry)):
            told.setdefault(str(entry["reason"]), said.replace("RUN", run_id))
    indent = " " * (2 + max(map(len, told), default=0) + len(_GAP))
    lines = (Line(text) for text in aligned([*told.items()], indent="  "))
    return [line for long in lines for line in wrapped(long, width, indent=indent)]


def _remedy(entry: Mapping[str, Any]) -> str:
    """A row without a known end goes out with no later run, whatever kept its answer away."""
    return remedy("in_doubt" if entry["outcome"] == Outcome.UNKNOWN else str(entry["reason"]))


def _read(books: Books, fields: Sequence[str]) -> _Row:
    whole = [entry for entry in books if entry["money"] is not None]
    return _Row("read", _count(whole), _sums(whole, fields), look="strong")


def _outcome_rows(outcome: str, entries: Books, fields: Sequence[str]) -> Iterator[_Row]:
    whole = [entry for entry in entries if entry["money"] is not None]
    troubled = outcome not in _GOOD and any(_is_trouble(entry) for entry in entries)
    look: Look = "trouble" if troubled else "strong"
    yield _Row(outcome.replace("_", " "), _count(whole), _sums(whole, fields), trouble=troubled, look=look)
    for entry in entries:
        reason = entry["reason"]
        if reason:
            money = _sums([entry], fields) if entry["money"] is not None else ("",) * len(fields)
            note = meaning(reason) if reason not in UNTROUBLED else ""
            trouble = _is_trouble(entry)
            yield _Row(f"{_GAP}{reason}", _count([entry]), money, note, trouble, "" if note else "faint")


def _is_trouble(entry: Mapping[str, Any]) -> bool:
    reason = entry["reason"]
    return reason not in _CALM if reason else entry["outcome"] == Outcome.UNKNOWN


def _count(entries: Books) -> str:
    return f"{sum(entry['rows'] for entry in entries):,}"


def _sums(entries: Books, fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(amount_text(plain(_sum(entries, name))) for name in fields)


def _sum(entries: Books, name: str) -> Decimal:
    return sum((Decimal(entry["money"].get(name, "0")) for entry in entries), Decimal(0))


# -- what the files say themselves -----------------------------------------------------------------------------------


def _said_totals(books: Books, sources: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> Iterator[_Row]:
    """For each file that has rows of totals the one that agrees with what was read of it, or else its last one."""
    for _, group in groupby(said_totals(books, sources, fields), key=lambda said: said.path):
        told = list(group)
        yield _said_row(next((said for said in told if not said.differs), told[-1]), fields)


def _said_row(said: SaidTotal, fields: Sequence[str]) -> _Row:
    differs = [
        f"{f'{name} ' if len(fields) > 1 else ''}{amount_text(plain(abs(more)))} {'more' if more > 0 else 'less'}"
        for name, more in said.more.items()
        if more
    ]
    agrees = f"agrees with {said.beside}" if said.beside else "as it says"
    note = f"{' and '.join(differs)} than {said.beside}" if differs else agrees
    money = tuple(amount_text(plain(said.says[name])) if name in said.says else "" for name in fields)
    look: Look = "trouble" if differs else "good"
    return _Row(f"{_GAP}the file's total", "", money, f"{note} ({said.path}, {said.place})", bool(differs), look)


# -- laying it out ---------------------------------------------------------------------------------------------------


def _laid_out(rows: Sequence[_Row], width: int) -> Iterator[Line]:
    numbers = [(row.rows, *row.money) for row in rows]
    widths = [max(map(len, column)) for column in zip(*numbers, strict=True)]
    taken = 2 + sum(len(_GAP) + each for each in widths)
    label = max(len(row.label) for row in rows)
    if width:
        label = min(label, max(_LABEL, width - taken))
    room = width - taken - label - len(_GAP) if width else _WIDE
    for row, cells in zip(rows, numbers, strict=True):
        told = (cell.rjust(each) for cell, each in zip(cells, widths, strict=True))
        line = _GAP.join([f"{'!' if row.trouble else ' '} {_cut(row.label, label).ljust(label)}", *told])
        beside = textwrap.wrap(row.note, room) if room >= _LEAST else []
        yield Line(_GAP.join([line, *beside[:1]]).rstrip(), row.look)
        below = beside[1:] if beside else textwrap.wrap(row.note, max(_LEAST, width - 6))
        indent = taken + label + len(_GAP) if beside else 6
        yield from (Line(" " * indent + more, row.look) for more in below)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
