"""Whether a rollback journal that was left beside a ledger is as it was written.

SQLite copies the pages of such a journal back without looking closely: it samples every 200th byte of a page, and takes
damage for the journal's end. The pages in it have the checksums that they had in the ledger, so more can be known.
The format is SQLite's (https://sqlite.org/fileformat.html, section 3).

What cannot be told: a journal that was cut to nothing, from one that was never written; one cut between its parts, from
a complete one (a journal has several only where a transaction changes more pages than are kept in memory); and a page's
number that became another one, which no sum covers. So the ledger as a whole is looked at after a crash.
"""

from __future__ import annotations

import struct
from contextlib import closing
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, NamedTuple

from batchpost.database import Database
from batchpost.errors import LedgerError

__all__ = ["check_journal"]

_MAGIC = bytes.fromhex("d9d505f920a163d7")
_NOT_SYNCED = bytes(12)  # in the place of magic and count until the records are on disk, before any page is written
_HEADER = struct.Struct(">8sIIIII")
_AROUND = 8  # bytes of a record before and after its page: number and sum


class _Header(NamedTuple):
    """A segment's: how many records, what their sums begin with, pages of the ledger, bytes a sector and a page."""

    magic: bytes
    records: int
    nonce: int
    pages: int
    sector: int
    page_size: int


class _Damaged(Exception):
    """What is wrong with a journal."""


def check_journal(ledger: Path) -> bool:
    """Whether a journal lies beside the ledger; raises LedgerError where it is damaged, OSError."""
    path = ledger.with_name(f"{ledger.name}-journal")
    try:
        if not S_ISREG(path.lstat().st_mode):
            raise LedgerError(f"{path}: not a file, and in the place of the ledger's journal. Move it away")
        with path.open("rb") as file, ledger.open("rb") as pages, closing(Database.in_memory()) as sums:
            _Journal(file, pages.read(100), sums).check()
    except FileNotFoundError:
        return False
    except _Damaged as damage:
        raise LedgerError(
            f"{path}: what a process that died left here to undo its last write is damaged ({damage}). "
            "Restore the ledger from a backup, without this file"
        ) from damage
    return True


class _Journal:
    """``head`` is the beginning of the ledger as it is now; ``sums`` knows the checksums of pages."""

    def __init__(self, file: BinaryIO, head: bytes, sums: Database) -> None:
        self._file = file
        self._first = head  # of a journal without the first page: its write had not come to it
        self._page_size = int.from_bytes(head[16:18])
        self._sums = sums
        self._numbers: set[int] = set()
        self._all_sound = True

    def check(self) -> None:
        """Raises _Damaged."""
        first = header = self._header(0)
        offset = 0
        while header:
            if first and header[3:] != first[3:]:
                raise _Damaged(f"another header at byte {offset}")
            self._records(header, offset + header.sector)
            end = offset + header.sector + header.records * (self._page_size + _AROUND)
            offset = end + -end % header.sector
            header = self._header(offset)
        if first:
            self._check_pages(first)

    def _header(self, offset: int) -> _Header | None:
        """The header of a segment; None behind the last one that was complete on disk."""
        self._file.seek(offset)
        data = self._file.read(_HEADER.size)
        if data[: len(_NOT_SYNCED)] == _NOT_SYNCED[: len(data)]:
            return None
        if len(data) < _HEADER.size:
            raise _Damaged("cut off")
        header = _Header(*_HEADER.unpack(data))
        sound_sector = 32 <= header.sector <= 65536 and header.sector.bit_count() == 1
        if header.magic != _MAGIC or not sound_sector or header.page_size != self._page_size:
            raise _Damaged(f"no header of it at byte {offset}")
        return header

    def _records(self, header: _Header, offset: int) -> None:
        """Take in the records of a segment, which begin at ``offset``."""
        self._file.seek(offset)
        for _ in range(header.records):
            record = self._record(header)
            if record is None:
                raise _Damaged(f"no record of it before byte {self._file.tell()}")
            number, page = record
            self._numbers.add(number)
            self._first = page if number == 1 else self._first
            self._all_sound = self._all_sound and self._sums.is_sound(page)
        if self._record(header):
            raise _Damaged("more records than it says")

    def _record(self, header: _Header) -> tuple[int, bytes] | None:
        """The next page with its number; None where nothing follows that could be one."""
        data = self._file.read(self._page_size + _AROUND)
        if len(data) < self._page_size + _AROUND:
            return None
        number, page, told = int.from_bytes(data[:4]), data[4:-4], int.from_bytes(data[-4:])
        possible = 1 <= number <= header.pages and number not in self._numbers
        sampled = header.nonce + sum(page[self._page_size - 200 : 0 : -200])
        return (number, page) if possible and sampled & 0xFFFFFFFF == told else None

    def _check_pages(self, header: _Header) -> None:
        first = self._first
        if first[24:28] == first[92:96] and int.from_bytes(first[28:32]) != header.pages:
            raise _Damaged("another number of pages than the ledger had")
        without_sums = first[20] == 0 and int.from_bytes(first[60:64]) == 1  # a ledger of version 1
        if not self._all_sound and not without_sums:
            raise _Damaged("a page in it")
