"""Finding a value in a text however the text spells it: case, accents, URL, JSON and HTML escapes, base64, line breaks.

Servers repeat what they were sent, and seldom as it was sent. Only what is found here can be taken out.
"""

from __future__ import annotations

import html
import re
import unicodedata
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

__all__ = ["LONGEST", "without"]

LONGEST = 4_096  # characters of a text that are looked at; the caller shows fewer
MARK = "…"
_SHORTEST = 3  # "NY" or "1" would blank out half of every message
_WORD = 6  # shorter values are looked for as whole words: "Ann" is not in "cannot"
_PIECE = 24  # a longer value is found piece by piece, so that one that was cut off is found as well
_PHONE = 7  # digits from which on a value of digits is known however they are grouped

_UTF8 = "|".join(rf"%{lead}(?:%[89ABab][0-9A-Fa-f]){{{more}}}" for lead, more in (
    ("[2-7][0-9A-Fa-f]", 0), ("0[9ADad]", 0), ("[CDcd][0-9A-Fa-f]", 1), ("[Ee][0-9A-Fa-f]", 2), ("[Ff][0-7]", 3),
))  # fmt: skip
_PAIR = r"\\u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}"
_ESCAPE = re.compile(rf"{_UTF8}|{_PAIR}|\\u[0-9A-Fa-f]{{4}}|\\x[0-9A-Fa-f]{{2}}|\\[nrt/\"'\\]|&#?[0-9A-Za-z]{{1,31}};")
_LINE_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\t": "\t"}
_DIGITS = re.compile(r"[0-9]+(?:[ ().+/:-]{0,3}[0-9]+)*")
_ONLY_DIGITS = re.compile(r"\+?[0-9 ().+/:-]*")
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_PACKED = re.compile(r"[A-Za-z0-9+/_-]{4,}={0,2}")
_ONE_WORD = re.compile(r"[!-~]+").fullmatch
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")

Span = tuple[int, int]


class _Spelt(NamedTuple):
    """A text in plain spelling, and where each of its characters begins and ends in the text that was given."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


class _Reading(NamedTuple):
    """One way to read a text: with single blanks, without any, and its groups of digits without what divides them."""

    words: _Spelt
    tight: _Spelt
    digits: list[_Spelt]


class _Text(NamedTuple):
    """All ways to read a text. ``packed`` are its stretches of base64 or hex with what is in them, ``all`` is every
    reading in one, which tells at once of most values that they are nowhere."""

    readings: list[_Reading]
    packed: list[tuple[Span, list[_Reading]]]
    all: str


class _Wanted(NamedTuple):
    """What to look for of a value: pieces of it without blanks, or a short one as ``words``; and its digits."""

    words: str
    pieces: list[str]
    numbers: list[str]


def without(text: str, values: Iterable[str]) -> str:
    """The first characters (:data:`LONGEST`) of a text with an ellipsis in place of each of these values.

    A value of fewer than three characters is left, one of fewer than six is found as a whole word only.
    """
    if not text:
        return ""
    read = _read(text[:LONGEST])
    found = sorted(span for value in values for span in _spans(read, value))
    parts, at = [], 0
    for start, end in _merged(found):
        parts += [text[at:start], MARK]
        at = end
    return "".join((*parts, text[at:LONGEST]))


def _merged(spans: list[Span]) -> Iterator[Span]:
    start = end = -1
    for first, last in spans:
        if first > end:
            if end > 0:
                yield start, end
            start, end = first, last
        end = max(end, last)
    if end > 0:
        yield start, end


def _spans(read: _Text, value: str) -> Iterator[Span]:
    """Where a value stands."""
    plain = value.lower()
    if len(plain) <= _PIECE and plain[:1].isalpha() and _ONE_WORD(plain) and plain not in read.all:
        return  # the usual end of the matter, and so at once
    wanted = _wanted(value)
    if len(wanted.words) < _SHORTEST or not _may_hold(read.all, wanted):
        return
    for reading in read.readings:
        yield from _in_reading(reading, wanted)
    for span, readings in read.packed:
        if any(next(_in_reading(reading, wanted), None) for reading in readings):
            yield span


def _may_hold(text: str, wanted: _Wanted) -> bool:
    for piece in wanted.pieces or [wanted.words]:
        if piece in text:
            return True
    return any(number in text for number in wanted.numbers)


def _wanted(value: str) -> _Wanted:
    words = _folded(value)
    if " " in words:
        words = " ".join(words.split())
    tight = words.replace(" ", "")
    numbers = _numbers(words) if _ONLY_DIGITS.fullmatch(words) else []
    if len(tight) < _WORD:
        return _Wanted(words, [], numbers)
    in_queries = _pieces(words.replace(" ", "+")) if " " in words else []
    return _Wanted(words, _pieces(tight) + in_queries, numbers)


def _numbers(words: str) -> list[str]:
    """The digits of a phone or a date, as far as they are enough to be known by; a day also in other orders."""
    digits = "".join(filter(str.isdigit, words))
    if day := _DAY.fullmatch(words):
        year, month, number = day.groups()
        return [digits, month + number + year, number + month + year]
    return [digits] if len(digits) >= _PHONE else []


def _pieces(text: str) -> list[str]:
    if len(text) <= _PIECE:
        return [text]
    return [*(text[at : at + _PIECE] for at in range(0, len(text) - _PIECE, _PIECE)), text[-_PIECE:]]


def _in_reading(reading: _Reading, wanted: _Wanted) -> Iterator[Span]:
    for piece in wanted.pieces:
        yield from _occurrences(reading.tight, piece)
    if not wanted.pieces:
        yield from _occurrences(reading.words, wanted.words, whole=True)
    for number in wanted.numbers:
        for group in reading.digits:
            yield from _occurrences(group, number)


def _occurrences(spelt: _Spelt, wanted: str, *, whole: bool = False) -> Iterator[Span]:
    text = spelt.text
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if not whole or not (_joined(text, at) or _joined(text, end)):
            yield spelt.starts[at], spelt.ends[end - 1]
        at = text.find(wanted, at + 1)


def _joined(text: str, at: int) -> bool:
    """Whether a word goes on over this place."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


@lru_cache(maxsize=256)  # a platform has few messages, and says them of many rows
def _read(text: str) -> _Text:
    readings = _readings(text)
    unpacked = ((match.span(), _unpacked(match.group())) for match in _PACKED.finditer(text))
    packed = [(span, inside) for span, inside in unpacked if inside]
    every = [reading for _, inside in packed for reading in inside] + readings
    spelt = (one.text for reading in every for one in (reading.words, reading.tight, *reading.digits))
    return _Text(readings, packed, "\0".join(spelt))


def _readings(text: str) -> list[_Reading]:
    """The text as it is, and with its escapes undone once and twice."""
    levels = [_Spelt(text, range(len(text)), range(1, len(text) + 1))]
    while len(levels) < 3 and _ESCAPE.search(levels[-1].text):
        levels.append(_unescaped(levels[-1]))
    return [_reading(_plain(level)) for level in levels]


def _reading(plain: _Spelt) -> _Reading:
    text, words, tight = plain.text, plain, plain
    if " " in text:
        words = _picked(plain, [at for at in range(len(text)) if text[at] != " " or (at and text[at - 1] != " ")])
        tight = _picked(plain, [at for at in range(len(text)) if text[at] != " "])
    groups = ([at for at in range(*match.span()) if text[at].isdigit()] for match in _DIGITS.finditer(text))
    return _Reading(words, tight, [_picked(plain, group) for group in groups if len(group) >= _PHONE])


def _picked(spelt: _Spelt, places: Sequence[int]) -> _Spelt:
    text, starts, ends = spelt
    return _Spelt("".join(text[at] for at in places), [starts[at] for at in places], [ends[at] for at in places])


def _plain(spelt: _Spelt) -> _Spelt:
    """Folded; a character that becomes several gives each of them its place."""
    if spelt.text.isascii():
        return spelt._replace(text=_folded(spelt.text))
    folded = [_folded(character) for character in spelt.text]
    places = [at for at, text in enumerate(folded) for _ in text]
    starts, ends = spelt.starts, spelt.ends
    return _Spelt("".join(folded), [starts[at] for at in places], [ends[at] for at in places])


def _unescaped(spelt: _Spelt) -> _Spelt:
    texts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for match in _ESCAPE.finditer(spelt.text):
        meant, first, last = _meant(match.group()), match.start(), match.end()
        texts += [spelt.text[at:first], meant]
        starts += [*spelt.starts[at:first], *[spelt.starts[first]] * len(meant)]
        ends += [*spelt.ends[at:first], *[spelt.ends[last - 1]] * len(meant)]
        at = last
    return _Spelt("".join((*texts, spelt.text[at:])), [*starts, *spelt.starts[at:]], [*ends, *spelt.ends[at:]])


def _meant(escape: str) -> str:
    """What an escape stands for."""
    if escape.startswith("%"):
        return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "replace")
    if escape.startswith("&"):
        return html.unescape(escape)
    if escape.startswith((r"\u", r"\x")):
        units = [chr(int(number, 16)) for number in re.split(r"\\[ux]", escape)[1:]]
        return "".join(units).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _LINE_ESCAPES.get(escape, escape[1:])


def _unpacked(text: str) -> list[_Reading]:
    """The readings of what is in base64 or hex; none where it is no text."""
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    contents = [] if len(bare) % 4 == 1 else [a2b_base64(bare + "=" * (-len(bare) % 4))]
    if _HEX.fullmatch(text):
        contents.append(bytes.fromhex(text))
    return [reading for content in contents if (inside := _text(content)) for reading in _readings(inside)]


def _text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return ""
    return "" if _UNSEEN.search(text) else text  # what only looks like base64 gives bytes of all kinds


def _folded(text: str) -> str:
    """Without case, accents and widths; whatever is not seen is a blank (Unicode, NFKD)."""
    if text.isascii():
        return text.lower() if text.isprintable() else _UNSEEN.sub(" ", text.lower())
    letters = (letter for letter in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(letter))
    return "".join(letter if letter.isprintable() else " " for letter in letters)
