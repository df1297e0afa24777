"""The bytes of an input file: unpacked where it is compressed, hashed as they lie on disk, read in exact portions."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from batchpost.batch import Compression, InputFile
from batchpost.errors import InputRefused

__all__ = ["RawFile", "refuse_foreign", "refuse_irregular"]

# What a file's first bytes say it is, whatever its name says. Page of magic numbers: each format's own specification.
FOREIGN = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "Name it .xlsx if it is a workbook, or unpack the archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save the sheet as CSV UTF-8"),
    (b"PAR1", "a Parquet file", "Name it .parquet"),
    (b"PARE", "an encrypted Parquet file", "Decrypt it first"),
    (b"\x1f\x8b", "gzip inside its packing", "It is packed twice: unpack it once"),
    (b"\x28\xb5\x2f\xfd", "zstd inside its packing", "It is packed twice: unpack it once"),
    (b"BZh", "bzip2", "Unpack it, or pack it as .gz or .zst"),
    (b"\xfd7zXZ\0", "xz", "Unpack it, or pack it as .gz or .zst"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it"),
    (b"%PDF", "a PDF", "Export the data as CSV"),
    (b"SQLite format 3\0", "an SQLite database", "Export the table as CSV"),
)
MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<table", b"<head", b"<body")
JSON = (b'{"', b'[{"', b'[["')
NO_TEXT = re.compile(rb"[^\t\n\r -\xff]")  # control characters
PACKED: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # RFC 1952, RFC 8878


def refuse_irregular(path: Path, name: str) -> None:
    """Raise InputRefused for what cannot be read twice: a folder, a pipe, a device, or nothing there."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputRefused(name, f"cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise InputRefused(name, "is a folder where a file is expected")
    if not stat.S_ISREG(mode):
        raise InputRefused(
            name,
            "is a pipe or a device, not a file",
            hint="The input is read twice, once before anything is sent: save it to a file first",
        )


def refuse_foreign(head: bytes, name: str) -> None:
    """Raise InputRefused where the first bytes of what should be text are those of another format."""
    for magic, what, hint in FOREIGN:
        if head.startswith(magic):
            raise InputRefused(name, f"is not text: its content is {what}", hint=hint)
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:16].lower()
    if b"".join(begin.split()).startswith(JSON):
        raise InputRefused(name, "is JSON, not a table", hint="Export it as CSV or Parquet")
    if begin.startswith(MARKUP):
        raise InputRefused(
            name, "is a web page or XML, not a table", hint="An error or login page saved in place of the export?"
        )


def _packing(file: InputFile) -> Compression:
    """How a file is packed, by its first bytes. One that is only named so may be text, and nothing else."""
    with file.path.open("rb") as opened:
        head = opened.read(1024)
    packing: Compression = next((known for magic, known in PACKED.items() if head.startswith(magic)), "")
    if file.compression and not packing and NO_TEXT.search(head):
        message = f"is named as {file.compression} but is not, and it is no text either"
        raise InputRefused(file.name, message, hint="It is damaged or something else: fetch it again")
    return packing


class _Disk:
    """A file as pyarrow reads it, each byte hashed on its way."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        self.hash = sha256()
        self.size = 0
        self.closed = False

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self.hash.update(chunk)
        self.size += len(chunk)
        return chunk

    def read_at(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()
        self.closed = True


class RawFile:
    """The unpacked bytes of a file, front to back; ``compression`` is what its first bytes say, whatever its name.

    Raises InputRefused where it cannot be opened, read or unpacked; memory stays that of one portion, however much a
    packed file unpacks to.
    """

    def __init__(self, file: InputFile) -> None:
        self._name = file.name
        refuse_irregular(file.path, file.name)
        try:
            self.compression = _packing(file)
            self._disk = _Disk(file.path)
            self._bytes: Any = self._unpacked() if self.compression else self._disk
        except OSError as error:
            raise InputRefused(file.name, f"cannot be read: {error.strerror}") from error

    def _unpacked(self) -> Any:
        import pyarrow as pa

        return pa.CompressedInputStream(pa.PythonFile(self._disk, mode="r"), self.compression)

    def __enter__(self) -> RawFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._disk.close()

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes, fewer only at the end: portions do not depend on how the disk answers."""
        parts: list[bytes] = []
        while size:
            part = self._read(size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def read_at(self, offset: int, size: int) -> bytes:
        """That many bytes as they lie on disk, from an offset on; fewer only at the end. They are not hashed, and
        :meth:`read` must not follow."""
        return self._told(partial(self._disk.read_at, offset, size))

    def _read(self, size: int) -> bytes:
        return self._told(partial(self._bytes.read, size))

    def _told(self, reading: Callable[[], bytes]) -> bytes:
        try:
            return bytes(reading())
        except OSError as error:  # pyarrow reports damaged archives as OSError without a number
            if error.errno:
                raise InputRefused(self._name, f"cannot be read: {error.strerror}") from error
            raise InputRefused(
                self._name, f"cannot be unpacked: {error}", hint="It is cut off or damaged: fetch it again"
            ) from error

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes on disk read so far: of the file, once :meth:`read` has come to the end."""
        return self._disk.hash.hexdigest()

    @property
    def size(self) -> int:
        """Bytes on disk read so far."""
        return self._disk.size
