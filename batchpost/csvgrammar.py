"""The grammar of a CSV record (RFC 4180, any delimiter and quote), and blocks of whole records cut from a text.

A record is a line of cells; a quoted cell may hold delimiters, line ends and doubled quotes. Nothing else is accepted:
a quote inside an unquoted cell, text after a closing quote, a quote that is never closed, a carriage return alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from batchpost.errors import InputRefused

__all__ = ["OPEN_QUOTE", "Block", "Blocks", "Fault", "Grammar", "Limits", "Scan"]

QUOTE_HINT = 'A quote inside a cell is written twice and the cell quoted; [source] quote = "" if quotes mean nothing'
RAGGED_HINT = 'Mend the line, or set [source] ragged = "reject" to refuse such rows one by one'
TORN_HINT = "The file ends in the middle of this line: fetch or export it again"
_STRIDE = 1 << 16  # bytes whose line ends are counted at a time


class Fault(NamedTuple):
    """What breaks the grammar, and the likeliest mend."""

    message: str
    hint: str


LONE_CR = Fault("a carriage return (CR) that no line feed follows", "Save the file with LF or CRLF line ends")
LONE_LF = Fault("a line feed (LF) in a file whose lines end in CR", "Save the file with LF or CRLF line ends")
AFTER_QUOTE = Fault("text after a closing quote", QUOTE_HINT)
AFTER_BACKSLASH = Fault(
    "text after a quote that follows a backslash",
    "In CSV a quote inside a cell is written twice, and backslashes mean nothing: export it so",
)
STRAY_QUOTE = Fault("a stray quote in a cell that does not begin with one", QUOTE_HINT)
OPEN_QUOTE = Fault("a quote is opened here and never closed", QUOTE_HINT)


class Scan(NamedTuple):
    """One record looked at closely. ``end`` is the offset after its line end, -1 where it has none; ``at`` the offset
    of the ``fault``, or of the cell in which the text ends."""

    end: int
    cells: int
    fault: Fault | None = None
    at: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of memory: bytes read at a time, rows of a batch (by steps of 1,024), bytes of one record."""

    block_bytes: int = 4 << 20
    rows: int = 32 << 10
    record_bytes: int = 64 << 20


class Grammar:
    """Recognises records written with one delimiter and one quote (``b""``: no quoting), as patterns over UTF-8.

    ``swapped``: the text has LF for CR and CR for LF, so that lines which end in CR are lines like any others.
    """

    def __init__(self, delimiter: bytes, quote: bytes, *, swapped: bool = False) -> None:
        self.delimiter, self.quote = delimiter, quote
        self._lone_cr = LONE_LF if swapped else LONE_CR
        self.ends = (b"\n",) if swapped else (b"\n", b"\r\n")  # LF CR ends no line of any system
        self._cell = re.compile(self._cell_pattern())
        self._others = bytes(set(range(256)) - set(delimiter + quote + b"\r\n"))

    def _cell_pattern(self, folded: bool = True) -> bytes:
        mark, end = re.escape(self.quote), b"" if folded else rb"\n"
        bare = rb"[^%b%b\r\n]*+" % (mark, re.escape(self.delimiter))
        return rb"(?:%b(?:[^%b%b]++|%b%b)*+%b|%b)" % (mark, mark, end, mark, mark, mark, bare) if mark else bare

    def rows(self, cells: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
        """Patterns for records of this many cells: up to 1,024 of them on one line each (blank lines count), and one
        that may be folded over several lines. Possessive throughout: no input makes them go back."""
        end = rb"\r?\n" if b"\r\n" in self.ends else rb"\n"
        line, folded = (
            rb"%b(?:%b%b){%d}%b" % (cell, re.escape(self.delimiter), cell, cells - 1, end)
            for cell in (self._cell_pattern(folded=False), self._cell_pattern())
        )
        return re.compile(rb"(?:%b|%b){0,1024}+" % (line, end)), re.compile(folded)

    def marks(self, text: bytes) -> bytes:
        """Only the delimiters, quotes and line ends of a text."""
        return text.translate(None, self._others)

    def scan(self, text: bytes, start: int) -> Scan:
        """The record at ``start``, cell by cell: whole, faulty, or cut off by the end of the text."""
        cells, at = 0, start
        while match := self._cell.match(text, at):
            cells, stop = cells + 1, match.end()
            following = text[stop : stop + 2]
            if following[:1] == self.delimiter:
                at = stop + 1
            elif following[:1] == b"\n" or following in self.ends:
                return Scan(stop + text[stop:].index(b"\n", 0, 2) + 1, cells)
            elif following in (b"", b"\r") or (stop == at and following[:1] == self.quote):
                break
            else:
                return Scan(-1, cells, self._fault(text, at, stop), stop)
        return Scan(-1, cells, at=at)

    def _fault(self, text: bytes, at: int, stop: int) -> Fault:
        if text[stop : stop + 1] == b"\r":
            return self._lone_cr
        if text[at : at + 1] != self.quote:
            return STRAY_QUOTE
        return AFTER_BACKSLASH if text[stop - 2 : stop - 1] == b"\\" else AFTER_QUOTE

    def split(self, text: bytes, start: int, end: int) -> list[str]:
        """The cells of the record that :meth:`scan` found whole between these offsets, quotes undone."""
        cells, at, stop = [], start, len(text[start:end].rstrip(b"\r\n")) + start
        while at <= stop and (match := self._cell.match(text, at, stop)):
            cell, at = match.group(), match.end() + 1
            if self.quote and cell.startswith(self.quote):
                cell = cell[1:-1].replace(self.quote * 2, self.quote)
            cells.append(cell.decode())
        return cells


@dataclass(slots=True)
class Block:
    """Whole records: ``text`` with a line end after each, beginning on ``line``. ``folds`` are the offsets of rows
    that go over several lines, with their further lines; ``ragged`` those of rows with another number of cells, with
    their place in the text."""

    line: int
    rows: int = 0
    text: bytes = b""
    folds: list[tuple[int, int]] = field(default_factory=list)
    ragged: list[tuple[int, int, int]] = field(default_factory=list)


class Blocks:
    """Cuts a text into blocks of records of ``cells`` cells, always the same for the same text and limits.

    ``read(size)`` yields UTF-8, empty at the end; ``line`` is the number of its first line. Raises InputRefused, with
    the line, at the first record that breaks the grammar, is too long or (unless ``ragged``) has other cells.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        grammar: Grammar,
        cells: int,
        *,
        name: str,
        text: bytes,
        line: int,
        ragged: bool,
        limits: Limits,
    ) -> None:
        self._read, self._grammar, self._cells, self._name = read, grammar, cells, name
        self._lines, self._folded = grammar.rows(cells)
        self._plain = [grammar.delimiter * (cells - 1) + end for end in grammar.ends]
        self._may_be_ragged, self._limits = ragged, limits
        self._text, self._at, self._line, self._ended = text, 0, line, False
        self._torn = False  # the last line had no end

    def __iter__(self) -> Iterator[Block]:
        while True:
            block = self._cut()
            if block.rows:
                yield block
            elif not self._fill():
                return

    def _cut(self) -> Block:
        block, start = Block(self._line), self._at
        block.rows = self._plain_rows()
        while block.rows < self._limits.rows and self._advance(block, start):
            pass
        block.text = self._text[start : self._at]
        self._line += block.text.count(b"\n")
        return block

    def _plain_rows(self) -> int:
        """Take the next lines, if not one of them has a quote or other cells than it should: most exports are such
        throughout, and what marks their cells shows it several times quicker than a pattern. Returns how many."""
        end, rows = _lines_end(self._text, self._at, self._limits.rows)
        marks = self._grammar.marks(self._text[self._at : end])
        if not any(marks == line * rows for line in self._plain):
            return 0
        self._at = end
        return rows

    def _advance(self, block: Block, start: int) -> bool:
        """Take the next records into the block; False where the text has no whole one any more."""
        text, at = self._text, self._at
        if match := self._lines.match(text, at, len(text)):
            self._at = match.end()
        if self._at > at:
            block.rows += text.count(b"\n", at, self._at)
            return True
        if match := self._folded.match(text, at):
            end = match.end()
        elif (end := self._odd_record(block, start)) < 0:
            return False
        if further := text.count(b"\n", at, end) - 1:
            block.folds.append((block.rows, further))
        self._at = end
        block.rows += 1
        return True

    def _odd_record(self, block: Block, start: int) -> int:
        found = self._grammar.scan(self._text, self._at)
        if found.fault:
            raise self._refusal(found.fault, found.at, block.line, start)
        if found.end >= 0 and not self._may_be_ragged:
            many = "more" if found.cells > self._cells else "fewer"
            count = "1 cell" if found.cells == 1 else f"{found.cells:,} cells"
            torn = self._torn and found.cells < self._cells and found.end == len(self._text)
            hint = TORN_HINT if torn else RAGGED_HINT
            fault = Fault(f"{count}, {many} than the {self._cells:,} of the header", hint)
            raise self._refusal(fault, self._at, block.line, start)
        if found.end >= 0:
            block.ragged.append((block.rows, self._at - start, found.end - start))
        return found.end

    def _refusal(self, fault: Fault, at: int, line: int, start: int) -> InputRefused:
        line += self._text.count(b"\n", start, at)
        return InputRefused(self._name, fault.message, line=line, hint=fault.hint)

    def _fill(self) -> bool:
        """Put more text behind the record that was begun; False at the end."""
        rest = self._text[self._at :]
        if self._ended or len(rest) > self._limits.record_bytes:
            self._text, self._at = rest, 0
            self._refuse_rest()
            return False
        more = self._read(self._limits.block_bytes)
        self._ended = not more
        if rest and self._ended and not rest.endswith(b"\n"):
            more, self._torn = b"\n", True
        self._text, self._at = rest + more, 0
        return True

    def _refuse_rest(self) -> None:
        if not self._text:
            return
        at = self._grammar.scan(self._text, 0).at
        if self._grammar.quote and self._text.startswith(self._grammar.quote, at):
            raise self._refusal(OPEN_QUOTE, at, self._line, 0)
        fault = Fault(f"a record of more than {self._limits.record_bytes >> 20} MB", "Are these lines of a table?")
        raise self._refusal(fault, 0, self._line, 0)


def _lines_end(text: bytes, start: int, most: int) -> tuple[int, int]:
    """Where the last of at most so many whole lines ends, and how many there are."""
    rows, at = 0, start
    while rows < most:
        end = (text.find(b"\n", at + _STRIDE) if len(text) > at + _STRIDE else -1) + 1 or text.rfind(b"\n", at) + 1
        lines = text.count(b"\n", at, end)
        if not lines:
            break
        if rows + lines > most:
            for _ in range(most - rows):
                at = text.find(b"\n", at) + 1
            return at, most
        rows, at = rows + lines, end
    return at, rows
