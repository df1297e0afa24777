"""The values that reading yields: an input file, how it is laid out, its batches of text and its fingerprint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import polars as pl

from batchpost.errors import InputRefused

__all__ = [
    "Batch",
    "BatchDigest",
    "Decision",
    "Dialect",
    "Fingerprint",
    "InputFile",
    "Place",
    "blank_nulls",
    "column_names",
    "with_last",
]

Kind = Literal["csv", "parquet", "excel"]
Compression = Literal["", "gzip", "zstd"]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read. ``path`` is absolute; ``name`` is what people are shown: relative to the workspace where the
    file is in it. ``kind`` and ``compression`` are what the name's endings say; packed is what the content says is."""

    path: Path
    name: str
    kind: Kind
    compression: Compression = ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is written, as stated or found. ``header_line`` counts from 1."""

    encoding: str
    delimiter: str
    quote: str
    newline: str
    header_line: int


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing about a file that its reader settled: ``key`` is that of ``[source]`` by which the job can say it
    (empty: there is none), ``value`` what was taken, ``evidence`` why, without any cell's text."""

    key: str
    value: str
    evidence: str

    @property
    def said(self) -> str:
        """The value as ``[source]`` would say it: ``delimiter = ";"``; alone where no key says it."""
        value = self.value if self.value.isdecimal() else json.dumps(self.value, ensure_ascii=False)
        return f"{self.key} = {value}" if self.key else self.value


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a complete pass read: the SHA-256 (hex) and size in bytes of the file as it lies on disk, and its rows."""

    path: str
    sha256: str
    bytes: int
    rows: int


class Place(NamedTuple):
    """Where the text of a batch lies in its file, so that it can be read by itself: ``offset`` and ``size`` in bytes
    (the line end that a last line lacks is counted), the ``line`` that it begins on, its ``first_row`` from 1, and
    whether it is the file's ``last`` batch."""

    offset: int
    size: int
    line: int
    first_row: int
    last: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of one file.

    ``file`` is the index of the file in the input; ``first_row`` the number of its first row, counting each file's
    data rows from 1. ``frame`` has the header's columns, all ``pl.String``: an empty CSV cell is ``""``, a Parquet null
    stays null. ``lines`` (``pl.UInt64``) holds the line of the file where each row starts, nulls for Parquet.
    ``ragged`` are the offsets of rows with another number of cells than the header (only where the job rejects them
    one by one); all their cells are ``""``. ``digest`` (16 bytes) differs when anything read for the batch does.
    ``last`` marks the file's last batch; a file without rows has no batch at all. ``place`` is None where the file must
    be read from its beginning to come to the batch.
    """

    file: int
    first_row: int
    frame: pl.DataFrame
    lines: pl.Series
    ragged: tuple[int, ...]
    digest: bytes
    last: bool
    place: Place | None = None


class BatchDigest:
    """A hash to be fed a batch's content: the same rows under other column names, or cut off after, differ.

    SHA-256 cut to 16 bytes: where the processor has it built in, it takes a third of what BLAKE2b does.
    """

    def __init__(self, columns: Sequence[str], last: bool) -> None:
        self._hash = sha256("\0".join((*columns, "last" if last else "more")).encode())

    def update(self, content: bytes | memoryview) -> None:
        """Feed the next part of the content."""
        self._hash.update(content)

    def value(self) -> bytes:
        """The 16 bytes."""
        return self._hash.digest()[:16]


def column_names(cells: Sequence[str], name: str, line: int | None = None) -> tuple[str, ...]:
    """Header cells as column names: outer blanks cut, an empty one called ``column N``; raises InputRefused where two
    are alike or all are empty."""
    names = [cell.strip() for cell in cells]
    if not any(names):
        raise InputRefused(
            name, "the header is empty", line=line, hint="Say which line holds it: [source] header_row = N"
        )
    names = [text or f"column {position}" for position, text in enumerate(names, 1)]
    for position, text in enumerate(names, 1):
        if (first := names.index(text) + 1) != position:
            message = f"columns {first} and {position} have the same name, {text!r}"
            raise InputRefused(name, message, line=line, hint="Rename one of them")
    return tuple(names)


def blank_nulls(frame: pl.DataFrame, words: Sequence[str]) -> pl.DataFrame:
    """The frame with ``""`` in place of cells that are, outer blanks aside, one of ``[source] null_values``."""
    if not words:
        return frame
    is_null_word = pl.all().str.strip_chars().is_in([word.strip() for word in words])
    return frame.with_columns(pl.when(is_null_word).then(pl.lit("")).otherwise(pl.all()).name.keep())


def with_last(items: Iterator[Item]) -> Iterator[tuple[Item, bool]]:
    """Each item with whether it is the last one; holds one item back."""
    held = next(items, None)
    while held is not None:
        following = next(items, None)
        yield held, following is None
        held = following
