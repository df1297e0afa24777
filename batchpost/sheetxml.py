"""The parts of a workbook as an XML parser tells them: relationships, sheets, styles, shared texts, rows (ECMA-376)."""

from __future__ import annotations

from zipfile import BadZipFile

from batchpost.errors import InputRefused
from batchpost.exceltext import Format, column_name, column_number, format_of, number_text, unescaped

__all__ = [
    "BookReader",
    "Reader",
    "RelationReader",
    "SheetReader",
    "SheetRow",
    "StringReader",
    "StyleReader",
]

ROW_BYTES = 64 << 20
_TRUE = ("1", "true", "on")

SheetRow = tuple[int, list[tuple[int, str]]]
"""A row's number in the sheet, and its cells that are not empty: column from 1, and text."""


class Reader:
    """What an XML parser calls; names of elements come without the prefix of their namespace."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, text: str) -> None:
        """Characters inside."""


class RelationReader(Reader):
    """``found``: id, type and target of each relationship inside the package."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """As :meth:`Reader.start`."""
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            self.found.append((attributes["Id"], attributes["Type"], attributes["Target"]))


class BookReader(Reader):
    """``sheets``: name, id of the relationship and state of each; ``from_1904``: whether days count
    from then; ``is_stale``: what is stored of formulas is still to be worked out."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str, str]] = []
        self.from_1904 = self.is_stale = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """As :meth:`Reader.start`."""
        if name == "sheet":
            identity = next(value for key, value in attributes.items() if key.endswith(":id"))
            self.sheets.append((attributes["name"], identity, attributes.get("state", "")))
        elif name == "workbookPr":
            self.from_1904 = attributes.get("date1904", "") in _TRUE
        elif name == "calcPr":
            self.is_stale = attributes.get("fullCalcOnLoad", "") in _TRUE


class StyleReader(Reader):
    """``formats``: what the number format of each cell style makes of a number."""

    def __init__(self) -> None:
        self.formats: list[Format] = []
        self._codes: dict[int, str] = {}
        self._inside = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """As :meth:`Reader.start`."""
        if name in ("numFmts", "cellXfs"):
            self._inside = name
        elif name == "numFmt" and self._inside == "numFmts":
            self._codes[int(attributes["numFmtId"])] = attributes["formatCode"]
        elif name == "xf" and self._inside == "cellXfs":
            number = int(attributes.get("numFmtId", "0"))
            self.formats.append(format_of(number, self._codes.get(number)))

    def end(self, name: str) -> None:
        """As :meth:`Reader.end`."""
        if name == self._inside:
            self._inside = ""


class StringReader(Reader):
    """The texts that cells name by number; how words are pronounced (``rPh``) is no part of them."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._parts: list[str] = []
        self._taking = False
        self._aside = False

    def start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002 - the parser's signature
        """As :meth:`Reader.start`."""
        if name == "si":
            self._parts = []
        elif name == "rPh":
            self._aside = True
        self._taking = name == "t" and not self._aside

    def end(self, name: str) -> None:
        """As :meth:`Reader.end`."""
        self._taking = False
        if name == "rPh":
            self._aside = False
        elif name == "si":
            self.strings.append(unescaped("".join(self._parts)))

    def text(self, text: str) -> None:
        """As :meth:`Reader.text`."""
        if self._taking:
            self._parts.append(text)


class SheetReader(Reader):
    """Rows of a sheet, taken away portion by portion; raises InputRefused for a formula without its result."""

    def __init__(self, strings: list[str], formats: list[Format], book: BookReader, name: str) -> None:
        self._strings, self._formats, self._name = strings, formats, name
        self._from_1904, self._is_stale = book.from_1904, book.is_stale
        self._rows: list[SheetRow] = []
        self._row, self._column, self._size = 0, 0, 0
        self._cells: list[tuple[int, str]] = []
        self._kind, self._style, self._has_formula = "", 0, False
        self._parts: list[str] = []
        self._inside = self._taking = self._aside = False

    def taken(self) -> list[SheetRow]:
        """The rows read since the last time."""
        rows, self._rows = self._rows, []
        return rows

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """As :meth:`Reader.start`."""
        if name == "sheetData":
            self._inside = True
        elif not self._inside:
            return
        elif name == "c":
            self._begin_cell(attributes)
        elif name in ("v", "t"):
            self._taking = not self._aside
        elif name == "f":
            self._has_formula = True
        elif name == "row":
            self._begin_row(attributes)
        elif name == "rPh":
            self._aside = True

    def end(self, name: str) -> None:
        """As :meth:`Reader.end`."""
        self._taking = False
        if name == "c" and self._inside:
            if text := self._cell():
                self._cells.append((self._column, text))
        elif name == "row" and self._inside:
            if self._cells:
                self._rows.append((self._row, self._cells))
        elif name == "rPh":
            self._aside = False
        elif name == "sheetData":
            self._inside = False

    def text(self, text: str) -> None:
        """As :meth:`Reader.text`."""
        if self._taking:
            self._parts.append(text)

    def _begin_row(self, attributes: dict[str, str]) -> None:
        number = int(attributes.get("r", self._row + 1))
        if number <= self._row:
            raise BadZipFile("its rows are not in order")
        self._row, self._column, self._size, self._cells = number, 0, 0, []

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        column = column_number(attributes["r"]) if "r" in attributes else self._column + 1
        if column <= self._column:
            raise BadZipFile("its cells are not in order")
        self._column = column
        self._kind, self._style = attributes.get("t", "n"), int(attributes.get("s", "0"))
        self._parts, self._has_formula = [], False

    def _cell(self) -> str:
        text = "".join(self._parts)
        if self._has_formula and (self._is_stale or (not text and self._kind != "str")):
            message = f"the result of the formula in column {column_name(self._column)} was never worked out"
            hint = "Open the workbook in Excel or LibreOffice and save it"
            raise InputRefused(self._name, message, line=self._row, hint=hint)
        value = self._value(text) if text else ""
        self._size += len(value)
        if self._size > ROW_BYTES:
            raise InputRefused(self._name, f"is longer than {ROW_BYTES >> 20} MB", line=self._row)
        return value

    def _value(self, text: str) -> str:
        match self._kind:
            case "s":
                return self._strings[_index(text)]
            case "n":
                kind = self._formats[self._style] if self._formats else ""
                return number_text(text, kind, from_1904=self._from_1904)
            case "b":
                return "true" if text.strip() in _TRUE else "false"
            case "e":
                return text
            case "d":
                return text.strip().replace("T", " ")
            case _:
                return unescaped(text)


def _index(text: str) -> int:
    number = int(text)
    if number < 0:
        raise IndexError
    return number
