"""An Excel workbook as batches of text: one sheet, its header found, its rows known by their number in the sheet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import polars as pl

from batchpost.batch import (
    Batch,
    BatchDigest,
    Decision,
    Dialect,
    Fingerprint,
    InputFile,
    blank_nulls,
    column_names,
    with_last,
)
from batchpost.csvdialect import MENDED
from batchpost.csvgrammar import Limits
from batchpost.errors import InputChanged, InputRefused, UsageError
from batchpost.exceltext import column_name
from batchpost.guards import unguard_text, unguarded
from batchpost.headers import FIRST_ROWS, Found, find_header
from batchpost.job import Source
from batchpost.rawfile import RawFile, refuse_foreign
from batchpost.sheetxml import SheetRow
from batchpost.workbook import Sheet, Workbook

__all__ = ["ExcelFile"]

ZIP = b"PK"
OLE = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a sheet's table is: the row of its header, and its columns from ``left`` to ``right``, from 1;
    ``evidence`` is why it is that row."""

    sheet: Sheet
    row: int
    left: int
    right: int
    columns: tuple[str, ...]
    evidence: str


class ExcelFile:
    """One sheet of a workbook, read again and again in the same batches; construction reads it up to its header.

    ``[source] sheet, header_row, skip_rows`` are not heeded for a ``to_fix.csv`` that a spreadsheet saved as a workbook
    (``is_to_fix``). Rows without any cell are no rows. Raises InputRefused for whatever cannot be read soundly.
    """

    dialect: Dialect | None = None

    def __init__(self, file: InputFile, settings: Source, limits: Limits | None = None) -> None:
        self._file, self._settings, self._limits = file, settings, limits or Limits()
        self.unsupported_columns: dict[str, str] = {}
        self.fingerprint: Fingerprint | None = None
        self._book = _opened(file)
        mended = self._mended()
        self.is_to_fix = mended is not None
        self._sheet = mended.sheet if mended else self._chosen()
        self._layout = mended or self._layout_of(self._sheet, _header_row(settings))
        self.columns: tuple[str, ...] = self._layout.columns if self._layout else ()
        self.decisions: tuple[Decision, ...] = tuple(self._decided())
        if not self._layout:
            self._refuse_empty(f"its sheet {self._sheet.name!r} is empty")

    def _refuse_empty(self, message: str) -> None:
        if self._settings.empty != "ok":
            hint = 'If that may happen: [source] empty = "ok"'
            raise InputRefused(self._file.name, message, hint=hint)

    def batches(self, index: int = 0) -> Iterator[Batch]:
        """The sheet's batches in order. Raises InputRefused at the first unsound cell or row, InputChanged where the
        header is no longer what it was; a complete pass leaves :attr:`fingerprint`."""
        rows = 0
        book = _opened(self._file)
        for part, last in with_last(self._parts(book)):
            yield self._batch(part, index, rows, last)
            rows += len(part)
        if not rows and self._layout:
            self._refuse_empty("has a header and no rows")
        self.fingerprint = Fingerprint(self._file.name, *_hashed(self._file), rows)

    def _mended(self) -> _Layout | None:
        """Where the file is a ``to_fix.csv`` that a spreadsheet saved: its layout, whatever the job says of its own."""
        first = _shown(self._book)[0]
        top = next(self._book.rows(first), (0, []))[1]
        if not top or MENDED not in unguarded([text.strip() for _, text in top]):
            return None
        layout = self._layout_of(first, None, first=True)
        return replace(layout, columns=unguarded(layout.columns)) if layout else None

    def _chosen(self) -> Sheet:
        wanted = self._settings.sheet
        if wanted is None:
            return _shown(self._book)[0]
        for sheet in self._book.sheets:
            if sheet.name == wanted:
                return sheet
        names = ", ".join(repr(sheet.name) for sheet in self._book.sheets)
        raise InputRefused(self._file.name, f"has no sheet {wanted!r}", hint=f"It has {names}")

    def _layout_of(self, sheet: Sheet, header_row: int | None, *, first: bool = False) -> _Layout | None:
        """The table of a sheet, its header where the job says, in the ``first`` row or found; None for an empty one."""
        rows = self._book.rows(sheet)
        top = list(islice((row for row in rows if row[0] >= (header_row or 1)), FIRST_ROWS))
        if header_row and (not top or top[0][0] != header_row):
            if not top and next(self._book.rows(sheet), None) is None:
                return None
            raise InputRefused(self._file.name, "the header should be here, and the row is empty", line=header_row)
        if not top:
            return None
        found = Found(0, "the job says so") if header_row or first else self._found(top)
        (number, header), below = top[found.row], top[found.row + 1 :]
        named = [column for column, text in header if text.strip()]
        left = min([*named, *(cells[0][0] for _, cells in below)], default=1)
        right = max(named, default=1)
        names = column_names(_across(header, left, right), self._file.name, number)
        return _Layout(sheet, number, left, right, names, found.evidence.replace("line", "row"))

    def _found(self, top: list[SheetRow]) -> Found:
        """Where the header is; raises InputRefused where that cannot be told."""
        left = min(cells[0][0] for _, cells in top)
        right = max(cells[-1][0] for _, cells in top)
        found = find_header([_across(cells, left, right) for _, cells in top])
        if found.doubt:
            number = top[found.row][0]
            hint = f"If it is row {number}: [source] header_row = {number}"
            message = f"this row may be the header or not: {found.doubt}"
            raise InputRefused(self._file.name, message, line=number, hint=hint)
        return found

    def _decided(self) -> Iterator[Decision]:
        if self._settings.sheet is None:
            others = [sheet.name for sheet in _shown(self._book)[1:]]
            evidence = f"the first sheet; not read: {', '.join(map(repr, others))}" if others else "the only sheet"
            yield Decision("sheet", self._sheet.name, evidence)
        if self._layout and not _header_row(self._settings):
            yield Decision("header_row", str(self._layout.row), self._layout.evidence)

    def _parts(self, book: Workbook) -> Iterator[list[SheetRow]]:
        """The rows below the header, as many at a time as the limits say, whatever the disk does."""
        part: list[SheetRow] = []
        size, is_below = 0, False
        for number, cells in book.rows(self._sheet):
            if not self._layout or number < self._layout.row:
                continue
            if not is_below:
                is_below = True
                self._check_header(number, cells)
                continue
            part.append((number, cells))
            size += sum(len(text) for _, text in cells)
            if len(part) >= self._limits.rows or size >= self._limits.block_bytes:
                yield part
                part, size = [], 0
        if self._layout and not is_below:
            raise self._changed()
        if part:
            yield part

    def _check_header(self, number: int, cells: list[tuple[int, str]]) -> None:
        layout = self._layout
        assert layout  # noqa: S101 - asked for a table's rows only
        names = column_names(_across(cells, layout.left, layout.right), self._file.name, number)
        if (number, unguarded(names) if self.is_to_fix else names) != (layout.row, layout.columns):
            raise self._changed()

    def _changed(self) -> InputChanged:
        return InputChanged(f"{self._file.name}: its header changed while it was being read")

    def _batch(self, rows: list[SheetRow], index: int, before: int, last: bool) -> Batch:
        table, ragged = self._table(rows)
        frame = pl.DataFrame(table, schema=dict.fromkeys(self.columns, pl.String), orient="row")
        lines = pl.Series("line", [number for number, _ in rows], dtype=pl.UInt64)
        digest = BatchDigest(self.columns, last)
        digest.update("\0".join("\1".join((str(row), *map(_framed, cells))) for row, cells in rows).encode())
        if self.is_to_fix:
            frame = frame.with_columns(unguard_text(pl.all()))
        frame = blank_nulls(frame, self._settings.null_values)
        return Batch(index, before + 1, frame, lines, ragged, digest.value(), last)

    def _table(self, rows: list[SheetRow]) -> tuple[list[list[str]], tuple[int, ...]]:
        """The rows' cells under the header, and the offsets of rows with cells beside it."""
        assert self._layout  # noqa: S101 - there are no rows without a header
        left, right = self._layout.left, self._layout.right
        table, ragged = [], []
        for offset, (number, cells) in enumerate(rows):
            if cells[0][0] < left or cells[-1][0] > right:
                self._refuse_ragged(number, cells[0][0] if cells[0][0] < left else cells[-1][0])
                ragged.append(offset)
                table.append([""] * (right - left + 1))
            else:
                table.append(_across(cells, left, right))
        return table, tuple(ragged)

    def _refuse_ragged(self, number: int, column: int) -> None:
        if self._settings.ragged == "reject" and not self.is_to_fix:
            return
        message = f"there is a cell in column {column_name(column)}, where the header has none"
        hint = 'Give the column a name, or leave such rows out: [source] ragged = "reject"'
        raise InputRefused(self._file.name, message, line=number, hint=hint)


def _opened(file: InputFile) -> Workbook:
    with RawFile(file) as raw:
        head = raw.read(1024)
    if head.startswith(OLE):
        hint = "Save it in Excel as .xlsx without a password, or as CSV UTF-8"
        raise InputRefused(file.name, "is protected by a password, or an old .xls under another name", hint=hint)
    if not head.startswith(ZIP):
        refuse_foreign(head, file.name)
        raise InputRefused(file.name, "is named as a workbook and is none", hint="If it is text, name it .csv")
    return Workbook(file.path, file.name)


def _shown(book: Workbook) -> list[Sheet]:
    """The sheets that a person sees; all of them where all are hidden."""
    return [sheet for sheet in book.sheets if not sheet.is_hidden] or list(book.sheets)


def _header_row(settings: Source) -> int | None:
    if settings.header_row and settings.skip_rows and settings.header_row != settings.skip_rows + 1:
        raise UsageError("[source] header_row and skip_rows disagree: one of them is enough", then="{check}")
    return settings.header_row or (settings.skip_rows + 1 if settings.skip_rows else None)


def _across(cells: list[tuple[int, str]], left: int, right: int) -> list[str]:
    """A row's cells from one column to another, empty ones too."""
    row = [""] * (right - left + 1)
    for column, text in cells:
        if left <= column <= right:
            row[column - left] = text
    return row


def _framed(cell: tuple[int, str]) -> str:
    """A cell so that no two rows of cells look alike: with its place and length."""
    return f"{cell[0]}:{len(cell[1])}:{cell[1]}"


def _hashed(file: InputFile) -> tuple[str, int]:
    with RawFile(file) as raw:
        while raw.read(1 << 20):
            pass
        return raw.sha256, raw.size
