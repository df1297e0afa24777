"""What a record of a journal must look like, and what it says: see :mod:`batchpost.journal` for its kinds.

Records of the first format, which had one row each, are read as those of the present one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from batchpost.model import Outcome, Settlement

__all__ = ["OF_ROWS", "Claim", "read_record", "rows_of"]

OF_ROWS = frozenset({"start", "again", "end"})  # records about rows, which their claims come before
_OUTCOMES = frozenset(outcome.value for outcome in Outcome)
_MOST_ROWS = 2**32
_LATEST = 1e11  # Unix seconds; the year 5138
_NUMBER, _TEXT, _FLAG, _STATUS = (
    frozenset({float, int}),
    frozenset({str}),
    frozenset({bool}),
    frozenset({int, type(None)}),
)
_OF_SETTLEMENT = tuple(_STATUS if name == "http_status" else _TEXT for name in Settlement._fields)
_END = (_FLAG, *_OF_SETTLEMENT)  # the columns of an end after its rows and their latencies
_from_hex = bytes.fromhex


class Claim(NamedTuple):
    """A row that was about to be sent, with what the ledger needs to know of it."""

    key: bytes
    body_hash: bytes
    stake: bytes
    amount: str


def read_record(record: object) -> list[Any] | None:
    """The record, checked; None for one that this program does not write.

    A claim comes as ``["claim", so_far, [row, …], [(key, body_hash, stake, amount), …]]``, all others as they are
    written.
    """
    if type(record) is not list or not record or type(record[0]) is not str:
        return None
    read = _READ.get(record[0])
    try:
        return read(record) if read else None
    except (TypeError, ValueError, IndexError):
        return None


def rows_of(record: Sequence[Any]) -> Sequence[int]:
    """The rows that a record of :data:`OF_ROWS` is about."""
    return (record[1],) if record[0] == "again" else record[2]


def _sitting(record: list[Any]) -> list[Any] | None:
    _, facts = record
    before = facts.get("before", []) if type(facts) is dict else None
    sizes = type(before) is list and all(type(size) is int for size in before)
    return record if sizes and type(facts.get("boot_id")) is str else None


def _over(record: list[Any]) -> list[Any] | None:
    _, so_far, at, cause, code = record
    return record if _is_so_far(so_far) and _is_time(at) and type(cause) is str and type(code) is int else None


def _again(record: list[Any]) -> list[Any] | None:
    _, row, at, kind, applied = record
    return record if _are_rows([row]) and _is_time(at) and type(kind) is str and type(applied) is bool else None


def _start(record: list[Any]) -> list[Any] | None:
    _, at, rows = record
    if type(at) is int and type(rows) is not list:  # the first format: row, at
        at, rows = rows, [at]
    return ["start", at, rows] if _is_time(at) and _are_rows(rows) else None


def _end(record: list[Any]) -> list[Any] | None:
    if (
        type(record[1]) is int and type(record[2]) is not list
    ):  # the first format: row, at, settlement, latency, applied
        _, row, at, *settlement, latency, applied = record
        record = ["end", at, [row], [latency], applied, *settlement]
    _, at, rows, latencies, *columns = record
    sound = _is_time(at) and _are_rows(rows) and _is_column(latencies, len(rows), _NUMBER)
    if not sound or not all(map(_is_column, columns, [len(rows)] * len(_END), _END)) or len(columns) != len(_END):
        return None
    outcomes, statuses = _values(columns[1]), _values(columns[4])
    return record if outcomes <= _OUTCOMES and all(0 <= (status or 0) < 1000 for status in statuses) else None


def _claim(record: list[Any]) -> list[Any] | None:
    if len(record) == 3:  # the first format: a list an entry
        _, so_far, entries = record
        rows, *hashes, amounts = map(list, zip(*entries, strict=True))
        keys, bodies, stakes = map("".join, hashes)
    else:
        _, so_far, rows, keys, bodies, stakes, amounts = record
    count = len(rows)
    if not (_is_so_far(so_far) and _are_rows(rows) and _is_column(amounts, count, _TEXT)):
        return None
    amounts = amounts if type(amounts) is list else [amounts] * count
    claims = zip(*(_parts(text, count) for text in (keys, bodies, stakes)), amounts, strict=True)
    return ["claim", so_far, rows, list(claims)]


def _parts(text: str, count: int) -> list[bytes]:
    """Hashes of one length, joined as hex; raises ValueError."""
    joined = _from_hex(text)
    size, over = divmod(len(joined), count)
    if over:
        raise ValueError("hashes of several lengths")
    return [joined[at : at + size] for at in range(0, len(joined), size)] if size else [b""] * count


def _is_so_far(item: object) -> bool:
    return type(item) is list and (*map(type, item),) == (int, int, int)


def _is_time(at: object) -> bool:
    return type(at) in _NUMBER and 0 <= at < _LATEST  # type: ignore[operator]


def _are_rows(rows: object) -> bool:
    return type(rows) is list and {*map(type, rows)} == {int} and min(rows) >= 0 and max(rows) < _MOST_ROWS


def _is_column(column: object, count: int, kinds: frozenset[type]) -> bool:
    """Whether it is a list of so many of these kinds, or one of them that stands for all."""
    if type(column) is not list:
        return type(column) in kinds
    return len(column) == count and kinds.issuperset(map(type, column))


def _values(column: Any) -> set[Any]:
    return set(column) if type(column) is list else {column}


_READ: dict[str, Callable[[list[Any]], list[Any] | None]] = {
    "sitting": _sitting,
    "claim": _claim,
    "start": _start,
    "again": _again,
    "end": _end,
    "over": _over,
}
