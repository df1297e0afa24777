"""Which encoding a text that is not UTF-8 is most likely in: for the message that refuses it, never to read it by."""

from __future__ import annotations

import unicodedata
from itertools import islice

__all__ = ["likeliest_encoding"]

# What exports come in that are not Unicode, the commonest first: Windows, Macintosh, DOS, and East Asia's.
_USUAL = ("cp1252", "mac_roman", "cp850", "cp1250", "cp1251", "cp932", "euc_kr", "gb18030", "big5")
_MARKS = "“”‘’‚„–—…€£¥©®°§«»¿¡ºª"  # noqa: RUF001 - meant
_ENOUGH = 5_000  # characters beyond ASCII that are looked at
_SURE = 0.75  # of them that must be where such characters belong


def likeliest_encoding(text: bytes) -> str:
    """The encoding (Python's name) under which characters beyond ASCII stand where they belong: letters in words of one
    script and in one case, marks beside words. Empty where there is none."""
    shares = {encoding: _natural(text, encoding) for encoding in _USUAL}
    best = max(shares, key=lambda encoding: shares[encoding])
    return best if shares[best] >= _SURE else ""


def _natural(text: bytes, encoding: str) -> float:
    """The share of the characters beyond ASCII that stand where they belong."""
    try:
        decoded = text.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    places = list(islice((at for at, character in enumerate(decoded) if character > "\x7f"), _ENOUGH))
    return sum(_belongs(decoded, at) for at in places) / max(len(places), 1)


def _belongs(text: str, at: int) -> bool:
    character, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if character == "\u00a0":
        return before.isalnum() or after.isalnum()
    if not character.isalpha():
        inside = before.isalpha() and after.isalpha()
        return character in _MARKS and (not inside or character == "’")  # noqa: RUF001 - meant
    if character.isupper() and before.islower():
        return False
    letters = [beside for beside in (before, after) if beside.isalpha()]
    script = _script(character)
    if script == "LATIN" and letters and not any(beside.isascii() for beside in letters):
        return False  # words of such letters alone are those of another script, misread
    return all(_script(beside) == script for beside in letters)


def _script(letter: str) -> str:
    """LATIN, CYRILLIC, HANGUL, …; one for those that stand side by side in Japanese."""
    name = unicodedata.name(letter, "").split(" ")[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA") else name
