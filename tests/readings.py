"""Tables for the properties of reading: what is written, what a reader makes of it, and what a strict one would."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from batchpost.batch import Dialect, InputFile
from batchpost.csvgrammar import Limits
from batchpost.errors import InputRefused
from batchpost.job import Source
from batchpost.kinds import form_of
from batchpost.source import Reader

Cells = list[tuple[str, ...]]
Table = tuple[list[str], Cells]


@dataclass(frozen=True)
class Read:
    """What a reader made of a file; a ragged row is empty. ``lines`` are None in files that have none."""

    columns: tuple[str, ...]
    rows: Cells
    lines: list[int | None]
    dialect: Dialect | None = field(compare=False)


def read(place: Path, limits: Limits | None = None, **source: Any) -> Read:
    """A file as the program reads it. Raises InputRefused."""
    form = form_of(place.name)
    assert form
    reader = Reader(InputFile(place, place.name, *form), Source(path=place.name, **source), limits=limits)
    rows: Cells = []
    lines: list[int | None] = []
    for batch in reader.batches():
        rows += [() if at in batch.ragged else row for at, row in enumerate(batch.frame.iter_rows())]
        lines += batch.lines.to_list()
    return Read(reader.columns, rows, lines, reader.dialect)


def read_or_refused(place: Path, limits: Limits | None = None, **source: Any) -> Read | InputRefused:
    """A file as the program reads it, or its refusal."""
    try:
        return read(place, limits, **source)
    except InputRefused as refused:
        return refused


# --- a reader that is not ours ----------------------------------------------------------------------------------------


def expected(content: bytes, dialect: Dialect, *, ragged: bool = False) -> Read:
    """What Python's strict reader makes of the bytes, told the dialect only. What it refuses, it raises: a character
    that is none, quotes that are not right, line ends that can be read in two ways, and rows of other cells than the
    header (with ``ragged`` these are empty)."""
    text = content.decode(dialect.encoding.partition(" ")[0]).removeprefix("\ufeff")
    newline = "\r" if dialect.newline == "\r" else "\n"
    above = dialect.header_line - 1
    text = newline.join(text.split(newline)[above:])
    records = [(above + line, cells) for line, cells in _records(_lines(text, newline), dialect)]
    other = _records(io.StringIO(text, newline=""), dialect)
    assert [cells for _, cells in records] == [cells for _, cells in other], "lines may end in two ways"
    (_, header), *below = records
    names = tuple(name.strip() or f"column {at}" for at, name in enumerate(header, 1))
    rows = [tuple(cells or [""] * len(names)) for _, cells in below]
    assert ragged or all(len(row) == len(names) for row in rows), "a row has other cells than the header"
    even = [row if len(row) == len(names) else () for row in rows]
    return Read(names, even, [line for line, _ in below], dialect)


def _records(lines: Iterator[str] | io.StringIO, dialect: Dialect) -> list[tuple[int, list[str]]]:
    """The records, each with the line on which it starts. Raises csv.Error."""
    style: dict[str, Any] = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True, **style)
    starts, records = [1], []
    for record in reader:
        records.append(record)
        starts.append(reader.line_num + 1)
    return list(zip(starts, records, strict=False))


def _lines(text: str, newline: str) -> Iterator[str]:
    *whole, rest = text.split(newline)
    yield from (line + newline for line in whole)
    yield from ([rest] if rest else [])


# --- tables and files -------------------------------------------------------------------------------------------------

WORDS = ["txn_0001", "txn_0002", "12.50", "1,250.00", "1.250,00", "03/04/2025", "a@example.com", "O'Brien", "'x'", ""]
WORDS += ['5" pipe', "a\nb", "a\r\nb", "a\rb", " x ", "\\", '\\"', "=1+1", "sep=;", "#", "\ufeff", "Zürich", "😀", '""']
NAMES = ["Lead ID", "Payout", "Sold At", "E-mail", 'Size "', "2024", "Größe", "x", "Total", "a b c", "Status", "a\nb"]
PIECE = st.sampled_from([*",;|\t\"'\n\r =.-\\", "\ufeff", "é", "Ω", "\u2028", "a", "1", "23"])
CELL = st.one_of(
    st.sampled_from(WORDS),
    st.lists(PIECE, max_size=5).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1a"), max_size=4),
)
PLAIN = st.one_of(st.sampled_from(WORDS[:7]), st.text("abc 0123456789.-/@é", max_size=6))
DELIMITERS = st.sampled_from(",;\t|")
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
QUOTING = st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])


@st.composite
def tables(draw: st.DrawFn, cell: st.SearchStrategy[str] = CELL, most: int = 6) -> Table:
    """Names, and rows of as many cells."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    return names, draw(st.lists(st.tuples(*[cell] * len(names)), min_size=1, max_size=most))


def without(table: Table, characters: str) -> Table:
    """The table without some characters, where what is written cannot have them."""
    nothing = str.maketrans(dict.fromkeys(characters))
    names, rows = table
    return [name.translate(nothing) for name in names], [tuple(cell.translate(nothing) for cell in row) for row in rows]


def quotable(table: Table, quoting: int, end: str) -> Table:
    """The table without line ends that are not quoted, since the file's own are others."""
    return table if quoting == csv.QUOTE_ALL else without(table, "".join({*"\r\n"} - {*end}))


def by_csv(names: Sequence[str], rows: Cells, **dialect: Any) -> str:
    """The table as Python's csv writes it."""
    out = io.StringIO(newline="")
    csv.writer(out, **dialect).writerows([names, *rows])
    return out.getvalue()


@dataclass(frozen=True)
class Written:
    """A sound file: its bytes, and what a job would state of it."""

    content: bytes
    source: dict[str, Any]


@st.composite
def files(draw: st.DrawFn) -> Written:
    """A sound file of any dialect and encoding."""
    delimiter, end, encoding, quoting = draw(DELIMITERS), draw(ENDS), draw(ENCODINGS), draw(QUOTING)
    names, rows = quotable(draw(tables(most=4)), quoting, end)
    text = by_csv(names, rows, delimiter=delimiter, lineterminator=end, quoting=quoting)
    text = text if draw(st.booleans()) else text.removesuffix(end)
    stated = {"encoding": "cp1252"} if encoding == "cp1252" else {}
    return Written(text.encode(encoding, "replace"), {"delimiter": delimiter, **stated})


# --- accidents --------------------------------------------------------------------------------------------------------

MARKS = b",;\t|\"'\r\n"
INSERTED = [b",", b";", b"\t", b"|", b'"', b"'", b"\r", b"\n", b"\r\n", b"\0", b"\x1a", b"\xef\xbb\xbf", b"\\", b"\xff"]
ACCIDENTS = ["delete", "insert", "duplicate", "swap", "cut", "flip", "join", "drop", "repeat", "behead"]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Written, bytes]:
    """A sound file, and its bytes after one or two accidents."""
    file = draw(files())
    content = file.content
    for _ in range(draw(st.integers(1, 2))):
        content = accident(draw, content)
    return file, content


def accident(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes after one thing that happens to files."""
    at = draw(st.sampled_from([at for at, byte in enumerate(content) if byte in MARKS] or [0]))
    anywhere = draw(st.integers(0, max(len(content) - 1, 0)))
    lines = content.splitlines(keepends=True) or [b""]
    number = draw(st.integers(0, len(lines) - 1))
    above, one, below = content[:at], content[at : at + 1], content[at + 1 :]
    match draw(st.sampled_from(ACCIDENTS)):
        case "delete":
            return above + below
        case "insert":
            return content[:anywhere] + draw(st.sampled_from(INSERTED)) + content[anywhere:]
        case "duplicate":
            return above + one * 2 + below
        case "swap":
            return above + below[:1] + one + below[1:]
        case "cut":
            return content[:anywhere]
        case "flip":
            bit = 1 << draw(st.integers(0, 7))
            return content[:anywhere] + bytes(byte ^ bit for byte in content[anywhere:][:1]) + content[anywhere + 1 :]
        case "join":
            return content + draw(files()).content
        case "drop":
            return b"".join(lines[:number] + lines[number + 1 :])
        case "repeat":
            return b"".join(lines[: number + 1] + lines[number:])
        case _:
            return content[anywhere:]
