"""Where a CSV file's header is and how its records are delimited: as the job states, else as the file shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from batchpost.batch import Decision, Dialect, InputFile, column_names
from batchpost.charset import Charset
from batchpost.csvgrammar import OPEN_QUOTE, Fault, Grammar, Scan
from batchpost.errors import InputRefused, UsageError
from batchpost.headers import FIRST_ROWS, Found, find_header
from batchpost.job import Source

__all__ = ["Header", "as_mended", "read_header"]

MENDED = "batchpost_row"  # the column by which a to_fix.csv is known
CANDIDATES = (b",", b";", b"\t", b"|")
UNUSUAL = (b"~", b"^", b"\x01", b"\x1f")  # delimiters that are asked about where they divide a table
SEP_LINE = re.compile(rb'"?sep=([^\r\n"])"?[ ,;|\t]*\r?\n', re.IGNORECASE)  # Excel's own note of the delimiter
UNSOUND = "it has cells, and quotes that are not right"
NAMES = {"\t": "a tab", " ": "a blank", "\x01": "the character 0x01", "\x1f": "the character 0x1F"}


@dataclass(frozen=True, slots=True)
class Header:
    """A file's columns and dialect. ``preamble`` is its text up to and with the header, ``line`` the first of data;
    ``decisions`` say how it was found."""

    columns: tuple[str, ...]
    dialect: Dialect
    preamble: bytes
    line: int
    decisions: tuple[Decision, ...] = ()


class _Record(NamedTuple):
    """One of the first records: its offset in the text, its line, its cells; a faulty one is one cell."""

    at: int
    line: int
    cells: list[str]
    is_faulty: bool = False


class _Table(NamedTuple):
    """The first records as one grammar reads them, and the header among them."""

    grammar: Grammar
    records: list[_Record]
    found: Found

    @property
    def header(self) -> _Record:
        """The header's record."""
        return self.records[self.found.row]

    @property
    def titles(self) -> bool:
        """Whether the header has titles above it."""
        return any(any(map(str.strip, record.cells)) for record in self.records[: self.found.row])

    @property
    def width(self) -> int:
        """Cells of the header."""
        return len(self.header.cells)

    @property
    def below(self) -> list[_Record]:
        """The records under the header that are not blank."""
        return [record for record in self.records[self.found.row + 1 :] if any(map(str.strip, record.cells))]

    @property
    def fits(self) -> bool:
        """Whether the header has several cells and all records below it as many; without any, nothing is proved."""
        return self.width > 1 and bool(self.below) and all(len(one.cells) == self.width for one in self.below)


def as_mended(head: bytes, settings: Source) -> Source | None:
    """The settings to read a ``to_fix.csv`` by, whatever the job says of its own exports; None for any other file.

    ``head`` is the beginning of the file's text. The delimiter is the comma that we wrote, or what a spreadsheet that
    saved it put in its place.
    """
    for delimiter in CANDIDATES:
        grammar = Grammar(delimiter, b'"')
        found = grammar.scan(head, 0)
        if found.end > 0 and MENDED in grammar.split(head, 0, found.end):
            own = {"encoding": None, "delimiter": delimiter.decode(), "quote": '"', "header_row": 1, "skip_rows": 0}
            return settings.model_copy(update=own)
    return None


def read_header(head: bytes, file: InputFile, charset: Charset, settings: Source) -> Header:
    """The header of a file from the beginning of its text, in UTF-8 and ending in a line end where that is all of it.

    Raises InputRefused where it is faulty, not in ``head``, ambiguous or has two columns of one name, UsageError
    where the settings contradict each other.
    """
    start, line, noted = _start(head, file, settings)
    table, chosen = _table(head, start, line, noted, file, settings)
    grammar, at = table.grammar, table.header.at
    if table.found.doubt == UNSOUND:
        _refuse_doubt(table, file)
    # What is above a header that is in doubt may just be one that is unsound.
    found = grammar.scan(head, table.records[0].at if table.found.doubt else at)
    if found.end < 0:
        raise _faulty(found, grammar, head, file)
    _refuse_doubt(table, file)
    cells = grammar.split(head, at, found.end)
    line_end = "\r\n" if head.endswith(b"\r\n", at, found.end) else "\n"
    where = table.header.line
    dialect = Dialect(str(charset), grammar.delimiter.decode(), grammar.quote.decode(), line_end, where)
    names = column_names(cells, file.name, where)
    preamble = head[: found.end]
    decisions = (*chosen, Decision("header_row", str(where), table.found.evidence))
    return Header(names, dialect, preamble, preamble.count(b"\n") + 1, decisions)


def _start(head: bytes, file: InputFile, settings: Source) -> tuple[int, int, bytes]:
    """Offset and line where the header is, or is looked for, and the delimiter of a ``sep=`` line (``b""``: none)."""
    if settings.header_row and settings.skip_rows and settings.header_row != settings.skip_rows + 1:
        raise UsageError("[source] header_row and skip_rows disagree: one of them is enough", then="{check}")
    sep = SEP_LINE.match(head)
    line = max(settings.header_row or settings.skip_rows + 1, 2 if sep else 1)
    start = 0
    for before in range(1, line):
        start = head.find(b"\n", start) + 1
        if not start or start == len(head):
            hint = "Say where it is: [source] header_row or skip_rows"
            raise InputRefused(file.name, f"the header should be on line {line}, after the end", line=before, hint=hint)
    return start, line, sep[1] if sep else b""


def _table(
    head: bytes, start: int, line: int, noted: bytes, file: InputFile, settings: Source
) -> tuple[_Table, list[Decision]]:
    """The table as the right delimiter and quote read it, and why these."""
    stated = _stated_delimiter(settings, noted, file)
    is_stated = bool(settings.header_row or settings.skip_rows)

    def read(delimiter: bytes, quote: bytes) -> _Table:
        if delimiter == quote:
            raise UsageError("[source] delimiter and quote are the same character", then="{check}")
        records = _records(Grammar(delimiter, quote), head, start, line)
        found = Found(0, "as the job says") if is_stated else _found(records, delimiter.decode())
        return _Table(Grammar(delimiter, quote), records, found)

    quote = _ascii("quote", settings.quote)
    candidates = (stated,) if stated else [candidate for candidate in CANDIDATES if candidate != quote]
    tables = [read(candidate, quote) for candidate in candidates]
    table = tables[0] if stated else _best(tables, file)
    evidence = "its sep= line says so" if noted else "as the job says" if stated else _why(table, tables)
    delimiter = table.grammar.delimiter
    chosen = [Decision("delimiter", delimiter.decode(), evidence)]
    if "quote" not in settings.model_fields_set and (quoted := _in_apostrophes(table, head, read)):
        table = quoted
        chosen.append(Decision("quote", "'", "the header begins and ends with one"))
    if table.titles:
        _refuse_other([read(other, quote) for other in CANDIDATES if other not in (quote, delimiter)], table, file)
    if table.width == 1 and not stated:
        _refuse_unusual([read(delimiter, quote) for delimiter in UNUSUAL], file)
    return table, chosen


def _found(records: list[_Record], delimiter: str) -> Found:
    """The header; in doubt where what would be a title above it may be one whose quotes are not right."""
    found = find_header([record.cells for record in records])
    for row, record in enumerate(() if found.doubt else records[: found.row]):
        if record.is_faulty and any(mark in record.cells[0] for mark in (delimiter, *",;\t|")):
            return Found(row, "", UNSOUND)
    return found


def _records(grammar: Grammar, head: bytes, start: int, line: int) -> list[_Record]:
    """The first records; at least one."""
    records: list[_Record] = []
    while start < len(head) and len(records) < FIRST_ROWS:
        end = grammar.scan(head, start).end
        is_faulty = end < 0
        cells = [] if is_faulty else grammar.split(head, start, end)
        if is_faulty:
            end = head.find(b"\n", start) + 1
            if not end:
                break
            cells = [head[start:end].decode(errors="replace").strip()]
        records.append(_Record(start, line, cells, is_faulty))
        line += head.count(b"\n", start, end)
        start = end
    return records or [_Record(start, line, [""])]


def _ascii(key: str, value: str) -> bytes:
    if not value.isascii() or value in ("\r", "\n", "\0"):
        raise UsageError(f"[source] {key} = {value!r}: it must be one ASCII character", then="{check}")
    return value.encode()


def _stated_delimiter(settings: Source, noted: bytes, file: InputFile) -> bytes:
    stated = _ascii("delimiter", settings.delimiter or "")
    if stated and noted and stated != noted:
        message = (
            f"its first line says sep={noted.decode(errors='replace')}, but [source] delimiter is {stated.decode()!r}"
        )
        raise InputRefused(file.name, message, line=1, hint="Remove the setting, or that line")
    if noted and not noted.isascii():
        raise InputRefused(file.name, "its sep= line names no ASCII character", line=1)
    return stated or noted


def _best(tables: list[_Table], file: InputFile) -> _Table:
    """The table of the candidate that divides the header, and the records below it alike; that of the comma where none
    divides anything, as there is one column then."""
    dividing = [table for table in tables if table.width > 1]
    tabs = [table for table in dividing if table.grammar.delimiter == b"\t" and _named_tsv(file)]
    even = [table for table in dividing if table.fits]
    sure = [table for table in even if not table.found.doubt]
    untitled = [table for table in even if not table.titles]  # another one takes the header for a title
    top = min((table.found.row for table in sure), default=0)
    highest = [table for table in sure if table.found.row == top]
    fitting = tabs or untitled or highest or even or dividing
    if len(fitting) > 1:
        likeliest = max(fitting, key=lambda table: table.width)
        found = " or ".join(repr(table.grammar.delimiter.decode()) for table in dividing)
        hint = f"Say which: [source] delimiter = {likeliest.grammar.delimiter.decode()!r} is the likeliest"
        raise InputRefused(file.name, f"cells may be divided by {found}", line=likeliest.header.line, hint=hint)
    return fitting[0] if fitting else tables[0]


def _why(table: _Table, tables: list[_Table]) -> str:
    if table.width == 1:
        return "there is one column"
    others = [named(one.grammar.delimiter) for one in tables if one.width > 1 and one is not table]
    count = len(table.below)
    below = "" if not count else " and the record below it" if count == 1 else f" and the {count} records below it"
    but = f", and {' or '.join(others)} does not" if others else ""
    return f"it divides the header{below} into {table.width} cells{but}"


def named(delimiter: bytes) -> str:
    """A delimiter in words."""
    text = delimiter.decode()
    return NAMES.get(text, f"'{text}'")


def _in_apostrophes(table: _Table, head: bytes, read: Callable[[bytes, bytes], _Table]) -> _Table | None:
    """The same table with cells between apostrophes, where its header begins and ends with one; else None."""
    at = table.header.at
    line = head[at : head.find(b"\n", at)].strip()
    if len(line) < 2 or not (line.startswith(b"'") and line.endswith(b"'")):
        return None
    quoted = read(table.grammar.delimiter, b"'")
    return quoted if quoted.header.at == at else None


def _refuse_other(tables: list[_Table], table: _Table, file: InputFile) -> None:
    """Several lines above a header that another delimiter divides alike are no titles: two files were put together."""
    for other in tables:
        above = [one for one in other.records if one.line < table.header.line and any(map(str.strip, one.cells))]
        widths = {len(one.cells) for one in above}
        if len(above) > 1 and len(widths) == 1 and widths != {1}:
            line, header = above[0].line, table.header.line
            message = f"the lines above line {header} may be another table, divided by {named(other.grammar.delimiter)}"
            hint = f"If they are titles: [source] header_row = {header}; two tables need two files"
            raise InputRefused(file.name, message, line=line, hint=hint)


def _refuse_unusual(tables: list[_Table], file: InputFile) -> None:
    for table in tables:
        if table.fits:
            text = table.grammar.delimiter.decode()
            message = f"cells may be divided by {named(table.grammar.delimiter)}"
            hint = f'If so: [source] delimiter = {_toml(text)}; if it is one column: delimiter = ","'
            raise InputRefused(file.name, message, line=table.header.line, hint=hint)


def _toml(text: str) -> str:
    return f'"{text}"' if text.isprintable() else f'"\\u{ord(text):04X}"'


def _refuse_doubt(table: _Table, file: InputFile) -> None:
    """A header that cannot be told from a row or a title is for the person to name."""
    found, line = table.found, table.header.line
    if found.doubt:
        hint = f"Say where it is: [source] header_row = {line} if it is line {line}; a file without a header needs one"
        raise InputRefused(file.name, f"this may be the header or not: {found.doubt}", line=line, hint=hint)


def _named_tsv(file: InputFile) -> bool:
    return ".tsv" in (suffix.lower() for suffix in file.path.suffixes)


def _faulty(found: Scan, grammar: Grammar, head: bytes, file: InputFile) -> InputRefused:
    fault = found.fault or Fault(f"it is longer than {len(head) >> 10:,} KB", "Is this a table?")
    if not found.fault and grammar.quote and head.startswith(grammar.quote, found.at):
        fault = OPEN_QUOTE
    line = head.count(b"\n", 0, found.at) + 1
    return InputRefused(file.name, f"the header: {fault.message}", line=line, hint=fault.hint)
