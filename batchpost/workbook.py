"""An Excel workbook as its sheets' rows of text, read from its XML front to back.

No library that reads workbooks keeps what this program has to know: a midnight that is no date, an error that is no
empty cell, a formula whose result was never stored (docs/decisions/excel.md). The format is ECMA-376.
"""

from __future__ import annotations

import errno
import posixpath
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from batchpost.errors import InputRefused
from batchpost.sheetxml import BookReader, Reader, RelationReader, SheetReader, SheetRow, StringReader, StyleReader

__all__ = ["Sheet", "Workbook"]

READ = 256 << 10  # bytes of XML at a time
UNPACKED_BYTES = 256 << 20  # a part that unpacks to more than this, and to more than
UNPACKED_RATIO = 250  # this many times its size, is a bomb
STRINGS_BYTES = 512 << 20  # of the texts that all sheets share: they are kept in memory
DAMAGED = "It is cut off or damaged: fetch it again, or open it in Excel and save it"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of cells: its name, its part of the package, and whether it is hidden."""

    name: str
    part: str
    is_hidden: bool


class Workbook:
    """A workbook, opened: its sheets in their order. Raises InputRefused, naming the file ``name``, for what is no
    sound workbook. Memory is that of the texts that the sheets share, STRINGS_BYTES at most, and of one row."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._strings: list[str] | None = None
        with self._guarded(), ZipFile(path) as package:
            book = _target(package, "", _related(package, "_rels/.rels"), "/officeDocument")
            relations = _related(
                package, posixpath.join(posixpath.dirname(book), "_rels", posixpath.basename(book) + ".rels")
            )
            self._book = found = BookReader()
            _parse(package, book, found)
            kinds = {identity: kind for identity, kind, _ in relations}
            targets = {identity: _resolved(book, target) for identity, _, target in relations}
            self.sheets = tuple(
                Sheet(name, targets[identity], state not in ("", "visible"))
                for name, identity, state in found.sheets
                if kinds[identity].endswith("/worksheet")
            )
            self._shared = _first_of(relations, targets, "/sharedStrings")
            styles = StyleReader()
            if part := _first_of(relations, targets, "/styles"):
                _parse(package, part, styles)
            self._formats = styles.formats
        if not self.sheets:
            raise InputRefused(name, "has no sheet with cells")

    def rows(self, sheet: Sheet) -> Iterator[SheetRow]:
        """The rows of a sheet that hold anything, in their order."""
        with self._guarded(), ZipFile(self._path) as package:
            strings = self._texts(package)
            reader = SheetReader(strings, self._formats, self._book, self._name)
            for _ in _fed(package, sheet.part, reader):
                yield from reader.taken()

    def _texts(self, package: ZipFile) -> list[str]:
        if self._strings is None:
            reader = StringReader()
            if self._shared:
                if package.getinfo(self._shared).file_size > STRINGS_BYTES:
                    message = f"its texts unpack to more than {STRINGS_BYTES >> 20} MB"
                    raise InputRefused(self._name, message, hint="Save the sheet as CSV UTF-8")
                _parse(package, self._shared, reader)
            self._strings = reader.strings
        return self._strings

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Whatever damaged bytes lead to, as an InputRefused; no text of a cell is in it."""
        try:
            yield
        except OSError as error:
            known = error.errno not in (None, errno.EINVAL)  # a place before the file's beginning is damage
            message = f"cannot be read: {error.strerror}" if known else "is no sound workbook: its index is damaged"
        except (BadZipFile, zlib.error, EOFError, expat.ExpatError, NotImplementedError) as error:
            message = f"is no sound workbook: {error}"
        except (LookupError, ArithmeticError, ValueError, struct.error) as error:
            message = f"is no sound workbook: {type(error).__name__} in it"
        except RuntimeError:
            message = "is encrypted"
        else:
            return
        raise InputRefused(self._name, message, hint=DAMAGED) from None


class _Local(dict[str, str]):
    """A name with the prefix of its namespace → without; each is worked out once."""

    def __missing__(self, name: str) -> str:
        return self.setdefault(name, name.rpartition(":")[2])


def _fed(package: ZipFile, part: str, reader: Reader) -> Iterator[None]:
    """Read a part to its end, portion by portion."""
    info = package.getinfo(part)
    _refuse_bomb(info)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    local = _Local()
    parser.StartElementHandler = lambda name, attributes: reader.start(local[name], attributes)
    parser.EndElementHandler = lambda name: reader.end(local[name])
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    with package.open(info) as file:
        while portion := file.read(READ):
            parser.Parse(portion, False)
            yield
    parser.Parse(b"", True)
    yield


def _parse(package: ZipFile, part: str, reader: Reader) -> None:
    for _ in _fed(package, part, reader):
        pass


def _refuse_bomb(info: ZipInfo) -> None:
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise BadZipFile("it is packed as no workbook is")
    if info.file_size > max(UNPACKED_BYTES, UNPACKED_RATIO * info.compress_size):
        raise BadZipFile(f"{info.compress_size:,} bytes of it would unpack to {info.file_size:,}")


def _refuse_doctype(*_: Any) -> None:
    raise BadZipFile("its XML declares entities")


def _related(package: ZipFile, part: str) -> list[tuple[str, str, str]]:
    """Id, type and target of each relationship of a part; a part without any has no such file."""
    reader = RelationReader()
    if part in package.namelist():
        _parse(package, part, reader)
    return reader.found


def _target(package: ZipFile, base: str, relations: list[tuple[str, str, str]], kind: str) -> str:
    target = next((target for _, one, target in relations if one.endswith(kind)), None)
    if target is None or _resolved(base, target) not in package.namelist():
        raise BadZipFile("it is a ZIP archive of something else")
    return _resolved(base, target)


def _resolved(base: str, target: str) -> str:
    return posixpath.normpath(posixpath.join("/", posixpath.dirname(base), target)).lstrip("/")


def _first_of(relations: list[tuple[str, str, str]], targets: dict[str, str], kind: str) -> str:
    return next((targets[identity] for identity, one, _ in relations if one.endswith(kind)), "")
