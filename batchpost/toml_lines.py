"""On which line of a TOML text each key stands: the standard library's reader gives values without positions.

The scanner expects a text that :mod:`tomllib` has accepted, so it need not find mistakes itself. Grammar: TOML 1.0.
"""

from __future__ import annotations

import re
import tomllib

__all__ = ["Place", "dotted", "locate"]

Place = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*([A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*""")
# A multi-line string may end in up to two quotes of its own before the three that close it.
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}(?!")|\'\'\'.*?'{3,5}(?!')|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def locate(text: str) -> dict[Place, int]:
    """The line (from 1) of every key, table header and array item, by its path: keys as text, items by index from 0.

    A table that has no header of its own has the line of the first key that implies it.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


def dotted(place: Place) -> str:
    """A path as a person writes it: ``fields."Lead ID".min``; an item of an array counts from 1 in brackets."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part + 1}]"
            continue
        key = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
        text += f".{key}" if text else key
    return text


class _Scanner:
    """One pass over a text: ``at`` is the offset of the next character, ``lines`` what was found so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Place, int] = {}
        self.line = 1
        self.counted = 0  # offset up to which line ends are in `line`
        self.arrays: dict[Place, int] = {}  # arrays of tables: how many headers each has had

    def document(self) -> None:
        table: Place = ()
        while self._skip(_BLANK) < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Place:
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        place: Place = ()
        keys = self._keys()
        for index, key in enumerate(keys, start=1):
            place = (*place, key)
            if brackets == 2 and index == len(keys):
                self.arrays[place] = self.arrays.get(place, 0) + 1
            if place in self.arrays:
                self._note(place)
                place = (*place, self.arrays[place] - 1)
            self._note(place)
        self.at += brackets
        return place

    def _pair(self, table: Place) -> None:
        place = table
        for key in self._keys():
            place = (*place, key)
            self._note(place)
        self.at += 1  # the equals sign
        self._value(place)

    def _value(self, place: Place) -> None:
        self._skip(_BLANK)
        match self.text[self.at]:
            case "[":
                self._array(place)
            case "{":
                self._inline(place)
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_SCALAR)

    def _array(self, place: Place) -> None:
        self.at += 1
        index = 0
        while self._more("]"):
            self._note((*place, index))
            self._value((*place, index))
            index += 1

    def _inline(self, place: Place) -> None:
        self.at += 1
        while self._more("}"):
            self._pair(place)

    def _more(self, end: str) -> bool:
        """Past blanks and one comma, to the next item; or past ``end``, which closes the brackets."""
        self._skip(_BLANK)
        if self.text[self.at] == ",":
            self.at += 1
            self._skip(_BLANK)
        if self.text[self.at] != end:
            return True
        self.at += 1
        return False

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while match := _KEY.match(self.text, self.at):
            keys.append(_unquoted(match[1]))
            self.at = match.end()
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        return keys

    def _skip(self, pattern: re.Pattern[str]) -> int:
        if match := pattern.match(self.text, self.at):
            self.at = match.end()
        return self.at

    def _note(self, place: Place) -> None:
        if self.at > self.counted:
            self.line += self.text.count("\n", self.counted, self.at)
            self.counted = self.at
        self.lines.setdefault(place, self.line)


def _unquoted(key: str) -> str:
    if key[0] not in "\"'":
        return key
    return str(tomllib.loads(f"key = {key}")["key"])
