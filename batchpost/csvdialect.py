"""Where a CSV file's header is and how its records are delimited: as the job states, else as the file shows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from batchpost.batch import Dialect, InputFile, column_names
from batchpost.charset import Charset
from batchpost.csvgrammar import OPEN_QUOTE, Fault, Grammar, Scan
from batchpost.errors import InputRefused, UsageError
from batchpost.job import Source

__all__ = ["Header", "as_mended", "read_header"]

MENDED = "batchpost_row"  # the column by which a to_fix.csv is known
CANDIDATES = (b",", b";", b"\t", b"|")
SAMPLE = 50  # records that must agree on a delimiter where the header alone leaves a choice
SEP_LINE = re.compile(rb'"?sep=([^\r\n"])"?[ ,;|\t]*\r?\n', re.IGNORECASE)  # Excel's own note of the delimiter


@dataclass(frozen=True, slots=True)
class Header:
    """A file's columns and dialect. ``preamble`` is its text up to and with the header, ``line`` the first of data."""

    columns: tuple[str, ...]
    dialect: Dialect
    preamble: bytes
    line: int


def as_mended(head: bytes, settings: Source) -> Source | None:
    """The settings to read a ``to_fix.csv`` by, whatever the job says of its own exports; None for any other file.

    ``head`` is the beginning of the file's text. The delimiter is the comma that we wrote, or what a spreadsheet that
    saved it put in its place.
    """
    for delimiter in CANDIDATES:
        grammar = Grammar(delimiter, b'"')
        found = grammar.scan(head, 0)
        if found.end > 0 and MENDED in grammar.split(head, 0, found.end):
            own = {"encoding": None, "delimiter": delimiter.decode(), "quote": '"', "header_row": None, "skip_rows": 0}
            return settings.model_copy(update=own)
    return None


def read_header(head: bytes, file: InputFile, charset: Charset, settings: Source) -> Header:
    """The header of a file from the beginning of its text, in UTF-8 and ending in a line end where that is all of it.

    Raises InputRefused where it is faulty, not in ``head``, ambiguous or has two columns of one name, UsageError
    where the settings contradict each other.
    """
    start, line, noted = _header_start(head, file, settings)
    quote = _ascii("quote", settings.quote)
    delimiter = _stated_delimiter(settings, noted, file) or _sniffed(head, start, quote, file)
    if delimiter == quote:
        raise UsageError("[source] delimiter and quote are the same character")
    grammar = Grammar(delimiter, quote)
    found = grammar.scan(head, start)
    if found.end < 0:
        raise _faulty(found, grammar, head, file)
    cells = grammar.split(head, start, found.end)
    newline = "\r\n" if head.endswith(b"\r\n", start, found.end) else "\n"
    dialect = Dialect(str(charset), delimiter.decode(), quote.decode(), newline, line)
    preamble = head[: found.end]
    return Header(column_names(cells, file.name, line), dialect, preamble, preamble.count(b"\n") + 1)


def _header_start(head: bytes, file: InputFile, settings: Source) -> tuple[int, int, bytes]:
    """Offset and line of the header, and the delimiter of a ``sep=`` line (``b""``: no such line)."""
    if settings.header_row and settings.skip_rows and settings.header_row != settings.skip_rows + 1:
        raise UsageError("[source] header_row and skip_rows disagree: one of them is enough")
    sep = SEP_LINE.match(head)
    line = max(settings.header_row or settings.skip_rows + 1, 2 if sep else 1)
    start = 0
    for before in range(1, line):
        start = head.find(b"\n", start) + 1
        if not start or start == len(head):
            raise InputRefused(file.name, f"the header should be on line {line}, after the end", line=before)
    return start, line, sep[1] if sep else b""


def _ascii(key: str, value: str) -> bytes:
    if not value.isascii() or value in ("\r", "\n", "\0"):
        raise UsageError(f"[source] {key} = {value!r}: it must be one ASCII character")
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


def _sniffed(head: bytes, start: int, quote: bytes, file: InputFile) -> bytes:
    """The candidate that divides the header outside quotes; the comma where none does, as there is one column then."""
    grammars = [Grammar(candidate, quote) for candidate in CANDIDATES if candidate != quote]
    dividing = [grammar for grammar in grammars if _cells(grammar, head, start) > 1]
    tabs = [grammar for grammar in dividing if grammar.delimiter == b"\t" and _named_tsv(file)]
    fitting = tabs or dividing
    if len(fitting) > 1:
        fitting = [grammar for grammar in dividing if _fits(grammar, head, start)]
    if dividing and len(fitting) != 1:
        found = " or ".join(repr(grammar.delimiter.decode()) for grammar in dividing)
        line = head.count(b"\n", 0, start) + 1
        raise InputRefused(
            file.name, f"cells may be divided by {found}", line=line, hint='Say which: [source] delimiter = "…"'
        )
    return fitting[0].delimiter if fitting else b","


def _named_tsv(file: InputFile) -> bool:
    return ".tsv" in (suffix.lower() for suffix in file.path.suffixes)


def _cells(grammar: Grammar, head: bytes, start: int) -> int:
    """Cells of the record at ``start``; 0 where it is faulty or not whole, 1 for a blank line."""
    found = grammar.scan(head, start)
    return found.cells if found.end > 0 else 0


def _fits(grammar: Grammar, head: bytes, start: int) -> bool:
    """Whether the first records all have as many cells as the header; a header without any record proves nothing."""
    cells, seen = _cells(grammar, head, start), 0
    at = grammar.scan(head, start).end
    while seen < SAMPLE and (found := grammar.scan(head, at)).end > 0:
        if head[at : found.end].strip(b"\r\n"):
            seen += 1
            if found.cells != cells:
                return False
        at = found.end
    return seen > 0 and not found.fault


def _faulty(found: Scan, grammar: Grammar, head: bytes, file: InputFile) -> InputRefused:
    fault = found.fault or Fault(f"it is longer than {len(head) >> 10:,} KB", "Is this a table?")
    if not found.fault and grammar.quote and head.startswith(grammar.quote, found.at):
        fault = OPEN_QUOTE
    line = head.count(b"\n", 0, found.at) + 1
    return InputRefused(file.name, f"the header: {fault.message}", line=line, hint=fault.hint)
