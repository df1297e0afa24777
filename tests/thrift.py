"""Thrift's compact protocol, read into plain lists and written back: footers and page headers that lie.

A struct is ``{field id: [type, value]}``, a list ``[type of its items, [item, …]]``; whole numbers are
int, texts bytes. Source: the specification of the compact protocol, and parquet.thrift for what the fields mean.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

__all__ = ["footer_of", "numbers_in", "read_struct", "with_footer", "write_struct"]

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _MAP, STRUCT = range(1, 13)
WHOLE = (I16, I32, I64)
Struct = dict[int, list[Any]]


def read_struct(content: bytes, at: int = 0) -> tuple[Struct, int]:
    """The struct that begins there, and where it ends."""
    fields: Struct = {}
    number = 0
    while head := content[at]:
        at += 1
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, at = _zigzag(content, at)
        if kind in (TRUE, FALSE):
            fields[number] = [kind, kind == TRUE]
        else:
            value, at = _read(kind, content, at)
            fields[number] = [kind, value]
    return fields, at + 1


def write_struct(fields: Struct) -> bytes:
    """The struct's bytes."""
    parts, before = [], 0
    for number, (kind, value) in sorted(fields.items()):
        delta = number - before
        parts.append(bytes([(delta << 4) | kind]) if 0 < delta < 16 else bytes([kind]) + _unzigzag(number))
        parts.append(b"" if kind in (TRUE, FALSE) else _write(kind, value))
        before = number
    return b"".join((*parts, b"\0"))


def footer_of(content: bytes) -> Struct:
    """A Parquet file's FileMetaData."""
    size = struct.unpack("<I", content[-8:-4])[0]
    return read_struct(content[-8 - size : -8])[0]


def with_footer(content: bytes, fields: Struct) -> bytes:
    """The file with another footer."""
    size = struct.unpack("<I", content[-8:-4])[0]
    footer = write_struct(fields)
    return content[: -8 - size] + footer + struct.pack("<I", len(footer)) + b"PAR1"


def numbers_in(fields: Struct) -> Iterator[list[Any]]:
    """Every whole number of a struct and of all in it, as the ``[type, value]`` that holds it."""
    for field in fields.values():
        kind, value = field
        if kind in WHOLE:
            yield field
        elif kind == STRUCT:
            yield from numbers_in(value)
        elif kind == LIST and value[0] == STRUCT:
            for item in value[1]:
                yield from numbers_in(item)


def _read(kind: int, content: bytes, at: int) -> tuple[Any, int]:
    if kind in WHOLE:
        return _zigzag(content, at)
    if kind == STRUCT:
        return read_struct(content, at)
    if kind in (BYTE, TRUE, FALSE):
        return content[at], at + 1
    if kind == DOUBLE:
        return content[at : at + 8], at + 8
    if kind == BINARY:
        size, at = _varint(content, at)
        return content[at : at + size], at + size
    assert kind in (LIST, SET)
    size, item_kind, at = content[at] >> 4, content[at] & 15, at + 1
    if size == 15:
        size, at = _varint(content, at)
    items = []
    for _ in range(size):
        item, at = _read(item_kind, content, at)
        items.append(item)
    return [item_kind, items], at


def _write(kind: int, value: Any) -> bytes:
    if kind in WHOLE:
        return _unzigzag(value)
    if kind == STRUCT:
        return write_struct(value)
    if kind in (BYTE, TRUE, FALSE):
        return bytes([value])
    if kind == DOUBLE:
        return bytes(value)
    if kind == BINARY:
        return _unvarint(len(value)) + value
    item_kind, items = value
    size = len(items)
    head = bytes([(size << 4) | item_kind]) if size < 15 else bytes([0xF0 | item_kind]) + _unvarint(size)
    return head + b"".join(_write(item_kind, item) for item in items)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _unvarint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes((*parts, value))


def _zigzag(content: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(content, at)
    return (value >> 1) ^ -(value & 1), at


def _unzigzag(value: int) -> bytes:
    return _unvarint(((value << 1) ^ (value >> 63)) & (2**64 - 1))
