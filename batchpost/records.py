"""The lines of a journal's file: which are sound, and what a crash may have made of the others.

A line's checksum starts from its offset, so a record that was moved, doubled or taken from elsewhere is as damaged as
one with a changed byte. A record of the wrong shape is damaged, too, whoever made its checksum right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from batchpost.recordshapes import read_record

__all__ = ["Line", "cut_off", "lost_in_a_power_cut", "read_lines"]

_SECTOR = 512  # bytes that a disk writes whole or not at all
_ZEROS = re.compile(rb"\0+")
_BEGINNING = re.compile(rb"[0-9a-f]{0,8}|[0-9a-f]{8} (\[[^\0-\x1f]*)?")
_NEXT = re.compile(rb'[0-9a-f]{8} \["|[0-9a-f]{0,8} ?\[?\Z')  # a record's first bytes, or what a cut left of them
_END_OF_JSON = ord("]")


class Line(NamedTuple):
    """A line and its offset in the file. ``record`` is as :func:`batchpost.recordshapes.read_record` gives it, None
    where it is damaged."""

    offset: int
    text: bytes
    record: list[Any] | None


def read_lines(path: Path) -> Iterator[Line]:
    """All of a file, line by line; sound records around zeros are lines of their own. Raises OSError."""
    offset = 0
    with path.open("rb") as file:
        for text in file:
            record = _decode(text, offset)
            if record is None and b"\0" in text:
                yield from _around_zeros(text, offset)
            else:
                yield Line(offset, text, record)
            offset += len(text)


def cut_off(line: Line) -> bool:
    """Whether a damaged line is the beginning of a record and the file's end: what a killed process, or a disk without
    space, leaves of the last write."""
    if line.text.endswith(b"\n") or not _BEGINNING.fullmatch(line.text):
        return False
    return not _holds_a_record(line.text, line.offset)


def lost_in_a_power_cut(line: Line) -> bool:
    """Whether a damaged line is what unsynced writes can leave: an end cut off, or zeros in the place of whole sectors
    or whole writes. Anything else was there once, and was changed since."""
    if cut_off(line):
        return True
    runs = [*_ZEROS.finditer(line.text)]
    return bool(runs) and all(_is_lost_write(line, *run.span()) for run in runs)


def _is_lost_write(line: Line, begin: int, end: int) -> bool:
    """Whether zeros begin where a write or a sector does, and end where one ends."""
    to_the_end = end == len(line.text)
    begins = begin == 0 or (line.offset + begin) % _SECTOR == 0
    if not begins and to_the_end:
        return not _holds_a_record(line.text[:begin], line.offset)
    ends = to_the_end or (line.offset + end) % _SECTOR == 0 or bool(_NEXT.match(line.text, end))
    return begins and ends


def _around_zeros(text: bytes, offset: int) -> Iterator[Line]:
    """A damaged line with zeros in it, as up to three: a whole record before them, the damage, a record behind it."""
    first, behind = text.index(b"\0"), text.rindex(b"\0") + 1
    before, after = _decode(text[:first], offset), _decode(text[behind:], offset + behind)
    begin = first if before else 0
    end = behind if after else len(text)
    if before:
        yield Line(offset, text[:begin], before)
    yield Line(offset + begin, text[begin:end], None)
    if after:
        yield Line(offset + end, text[end:], after)


def _holds_a_record(text: bytes, offset: int) -> bool:
    """Whether a whole record is in front, so that it is the line end between two that is missing."""
    stated, crc = text[:8], offset
    for place in range(9, len(text)):
        crc = crc32(text[place : place + 1], crc)
        if text[place] == _END_OF_JSON and b"%08x" % crc == stated:
            return True
    return False


def _decode(line: bytes, offset: int) -> list[Any] | None:
    """The record of a line; of the last one, a missing line end is no damage."""
    text = line[9:-1] if line[-1:] == b"\n" else line[9:]
    if line[:9] != b"%08x " % crc32(text, offset):
        return None
    try:
        return read_record(orjson.loads(text))
    except orjson.JSONDecodeError:
        return None
