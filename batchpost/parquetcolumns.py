"""The columns of a Parquet file: each by its path, the members of structs included, with why it cannot be text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batchpost.arrowtext import BYTES, TEXTS, is_any, unsupported

__all__ = ["Column", "columns_of", "member"]

WORDS = {"NONE", "STRING", "JSON", "ENUM", "UUID"}  # logical types of stored bytes that may be text
DEPTH = 32  # structs in structs; what is deeper is no table


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``path`` leads to it from the top, ``kind`` is its type in Arrow's words, ``reason`` why it cannot
    be text (empty: it can), ``is_bytes`` that only reading all of it tells, ``is_struct`` that its members follow."""

    path: tuple[str, ...]
    kind: str
    reason: str = ""
    is_bytes: bool = False
    is_struct: bool = False

    @property
    def stored(self) -> str:
        """The path as Parquet writes it."""
        return ".".join(self.path)


def columns_of(parquet: Any, written: pa.Schema | None = None) -> list[Column]:
    """The columns of an open ``pyarrow.parquet.ParquetFile`` in its order, those that cannot be text among them.

    ``written`` is the schema of the table that was stored, where the file has it: what was another kind of value then
    (a duration, stored as a number) is not taken for what it looks like now. Raises ValueError where Parquet's schema
    and Arrow's do not fit each other.
    """
    walk = _Walk(parquet.schema, written)
    columns = [column for field in parquet.schema_arrow for column in walk.columns(field, ())]
    if next(walk.leaves, None) is not None:
        raise ValueError("its schema has columns that its table does not have")
    return columns


def member(batch: pa.RecordBatch, path: tuple[str, ...]) -> pa.Array:
    """The batch's column of a path; a struct that is null makes its members null."""
    column = batch.column(path[0])
    for name in path[1:]:
        column = pc.struct_field(column, [column.type.get_field_index(name)])
    return column


class _Walk:
    """From column to column, in step with Parquet's own list of those that hold values."""

    def __init__(self, schema: Any, written: pa.Schema | None) -> None:
        self._schema, self._written = schema, written
        self.leaves = iter(range(len(schema)))

    def columns(self, field: pa.Field, above: tuple[str, ...]) -> Iterator[Column]:
        kind, path = field.type, (*above, field.name)
        if not pa.types.is_struct(kind):
            yield self._column(path, kind, [next(self.leaves) for _ in range(_leaves(kind))])
        elif len(path) > DEPTH:
            raise ValueError(f"it has structs more than {DEPTH} deep")
        else:
            first = f": name one of its members, such as {'.'.join((*path, kind.field(0).name))}" if len(kind) else ""
            yield Column(path, "struct", f"it is nested{first}", is_struct=True)
            for inner in kind:
                yield from self.columns(inner, path)

    def _column(self, path: tuple[str, ...], kind: pa.DataType, leaves: list[int]) -> Column:
        stored = self._schema.column(leaves[0])
        reason = unsupported(kind) or _foreign_bytes(kind, stored) or _was_another(kind, _type_at(self._written, path))
        if not reason and stored.path != ".".join(path):
            raise ValueError("its two schemas name different columns")
        return Column(path, str(kind), reason, is_any(kind, *BYTES) and not reason)


def _foreign_bytes(kind: pa.DataType, stored: Any) -> str:
    """Why bytes are no text, by what the file says of them; empty where they may be."""
    meaning = stored.logical_type.type
    if meaning in ("NONE", "UNKNOWN") and stored.converted_type not in (None, "NONE"):
        meaning = stored.converted_type  # what old writers say in the other place
    return f"its type is {meaning}, which has no text" if is_any(kind, *BYTES) and meaning not in WORDS else ""


def _was_another(kind: pa.DataType, written: pa.DataType | None) -> str:
    """Why a column is not what it seems, by the type that it was written as; empty where it is, or nothing is known."""
    if written is None or _family(kind) == _family(written):
        return ""
    return f"it was written as {written} and is stored as {kind}"


def _family(kind: pa.DataType) -> str:
    """What kind of value a type holds, however it is laid out."""
    if isinstance(kind, pa.BaseExtensionType):
        return _family(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _family(kind.value_type)
    if is_any(kind, *TEXTS):
        return "text"
    if is_any(kind, *BYTES):
        return "bytes"
    if pa.types.is_decimal(kind):
        return f"decimal of scale {kind.scale}"
    if pa.types.is_timestamp(kind):
        return "zoned time" if kind.tz else "time"
    families = {"integer": pa.types.is_integer, "date": pa.types.is_date, "time of day": pa.types.is_time}
    return next((name for name, test in families.items() if test(kind)), str(kind))


def _type_at(schema: pa.Schema | None, path: tuple[str, ...]) -> pa.DataType | None:
    """The type of a path; None where the schema lacks it."""
    kind: Any = schema
    for name in path:
        index = kind.get_field_index(name) if isinstance(kind, pa.Schema | pa.StructType) else -1
        if index < 0:
            return None
        kind = kind.field(index).type
    return kind


def _leaves(kind: pa.DataType) -> int:
    """How many stored columns a type takes."""
    if isinstance(kind, pa.BaseExtensionType):
        return _leaves(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _leaves(kind.value_type)
    if pa.types.is_map(kind):
        return _leaves(kind.key_type) + _leaves(kind.item_type)
    if not pa.types.is_nested(kind):
        return 1
    return sum(_leaves(kind.field(number).type) for number in range(kind.num_fields))
