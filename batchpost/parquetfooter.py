"""A Parquet file's footer: found, read, and held against itself, since Arrow takes its word for everything."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["DAMAGED", "WIDE", "Footer", "Unsound", "read_footer"]

DAMAGED = "It is cut off or damaged: fetch it again"
WIDE = "Are these the cells of a table?"
MAGIC, ENCRYPTED = b"PAR1", b"PARE"
UNPACKED_BYTES = 256 << 20  # a file that claims to unpack to more than this, and to more than
UNPACKED_RATIO = 1000  # this many times its size, is a bomb or has a damaged footer
COLUMNS = 10_000
CHUNKS = 100_000  # columns of row groups, at most, whose places are looked at: more take longer than reading them
# Where Arrow keeps the types that the table had before it was stored. Reading does not heed them: they would bring
# back dictionaries, which take six times as long to read, and a flipped bit in them makes other values of the stored.
WRITTEN, HIDDEN = b"ARROW:schema", b"arrow:schema"


class Unsound(Exception):
    """The file is refused: message and hint."""

    def __init__(self, message: str, hint: str = DAMAGED) -> None:
        self.message, self.hint = message, hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Footer:
    """``metadata`` is pyarrow's, without Arrow's own schema, which is ``written`` (None: there is none)."""

    metadata: Any
    written: pa.Schema | None


def read_footer(path: Path) -> Footer:
    """The footer of a file; raises Unsound, and Arrow's errors, where it cannot be one."""
    stored, content = _stored(path)
    size = len(content).to_bytes(4, "little")
    metadata = pq.read_metadata(BytesIO(MAGIC + content.replace(WRITTEN, HIDDEN) + size + MAGIC))
    _refuse_absurd(metadata, stored)
    text = (metadata.metadata or {}).get(HIDDEN)
    written = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text))) if text else None
    return Footer(metadata, written)


def _stored(path: Path) -> tuple[int, bytes]:
    """The file's size and the bytes of its footer."""
    with path.open("rb") as file:
        stored = file.seek(0, os.SEEK_END)
        file.seek(max(0, stored - 8))
        end = file.read()
        if end[-4:] == ENCRYPTED:
            raise Unsound("is an encrypted Parquet file", "Decrypt it first")
        size = int.from_bytes(end[:4], "little")
        if end[-4:] != MAGIC or size > stored - 12:
            raise Unsound("does not end as a Parquet file does")
        file.seek(0)
        if file.read(4) != MAGIC:
            raise Unsound("does not begin as a Parquet file does")
        file.seek(stored - 8 - size)
        return stored, file.read(size)


def _refuse_absurd(metadata: Any, stored: int) -> None:
    if metadata.num_columns > COLUMNS:
        raise Unsound(f"has {metadata.num_columns:,} columns; at most {COLUMNS:,} are read", WIDE)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if any(group.num_rows < 0 for group in groups) or sum(group.num_rows for group in groups) != metadata.num_rows:
        raise Unsound("its row groups do not add up to its rows")
    unpacked = sum(max(group.total_byte_size, 0) for group in groups)
    if unpacked > max(UNPACKED_BYTES, UNPACKED_RATIO * stored):
        raise Unsound(f"its {stored:,} bytes would unpack to {unpacked:,}")
    if len(groups) * metadata.num_columns <= CHUNKS:
        _refuse_overlaps(metadata, groups, stored)


def _refuse_overlaps(metadata: Any, groups: list[Any], stored: int) -> None:
    """Each column of each row group has a place of its own: a wrong one would give one column's values as another's."""
    places, schema = [], metadata.schema
    types = [schema.column(number).physical_type for number in range(metadata.num_columns)]
    for group in groups:
        for number, kind in enumerate(types):
            chunk = group.column(number)
            if chunk.physical_type != kind:
                raise Unsound("its columns are of other types than its schema says")
            start = min(chunk.dictionary_page_offset or stored, chunk.data_page_offset)
            if chunk.num_values:
                places.append((start, start + max(chunk.total_compressed_size, 1)))
    places.sort()
    if any(start < len(MAGIC) or end > stored for start, end in places):
        raise Unsound("it has columns beyond its end")
    if any(before[1] > after[0] for before, after in pairwise(places)):
        raise Unsound("it has two columns in one place")
