"""JSON objects (RFC 8259) out of columns of text: one expression for a whole body, no Python per row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

__all__ = ["JsonValue", "json_object", "json_string", "quoted"]

# What a JSON string must escape (RFC 8259, section 7); everything else goes out as it is, in UTF-8.
_ESCAPED = [chr(code) for code in range(0x20)] + ['"', "\\"]
_ESCAPES = [json.dumps(character)[1:-1] for character in _ESCAPED]


class JsonValue(NamedTuple):
    """The JSON values of a column: their text (null: none) and the mark on both sides of it, ``"`` or nothing."""

    text: pl.Expr
    mark: str = ""


def json_string(text: pl.Expr) -> JsonValue:
    """Text as a JSON string; null stays null."""
    return quoted(text.str.replace_many(_ESCAPED, _ESCAPES))


def quoted(text: pl.Expr) -> JsonValue:
    """Text that has nothing to escape (digits, a date, a code) as a JSON string; null stays null."""
    return JsonValue(text, '"')


def json_object(first: tuple[str, JsonValue], others: Sequence[tuple[str, JsonValue]] = ()) -> pl.Expr:
    """The object of these keys and values, in their order. Null values are left out; the first one is never null, or
    the object is."""
    # Every piece of text is copied once. Not concat_str(ignore_nulls=True): that looks at each cell one by one.
    rest = [pl.concat_str(_pieces(",", key, value)).fill_null("") for key, value in others]
    return pl.concat_str(*_pieces("{", *first), *rest, pl.lit("}"))


def _pieces(before: str, key: str, value: JsonValue) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    return pl.lit(f"{before}{json.dumps(key, ensure_ascii=False)}:{value.mark}"), value.text, pl.lit(value.mark)
