"""JSON objects (RFC 8259) out of columns of text: no Python per row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

__all__ = ["JsonValue", "json_objects", "json_string", "quoted"]

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


def json_objects(frame: pl.DataFrame, members: Sequence[tuple[str, JsonValue]]) -> pl.Series:
    """The object of each row of the frame: these keys and values, in their order. Null values are left out; the first
    one is never null, or the object is."""
    names = [f"{at}" for at in range(len(members))]
    texts = frame.select(value.text.alias(name) for name, (_, value) in zip(names, members, strict=True))
    pieces: list[pl.Expr] = []
    written = "{"  # what stands between the last value and the next one
    for name, (key, value) in zip(names, members, strict=True):
        before = f"{json.dumps(key, ensure_ascii=False)}:{value.mark}"
        if name != names[0]:
            before = f",{before}"
        # A column without a null, as most are, is copied once; not concat_str(ignore_nulls=True): that looks at each
        # cell one by one.
        if name == names[0] or not texts[name].null_count():
            pieces += [pl.lit(written + before), pl.col(name)]
            written = value.mark
        else:
            member = pl.concat_str(pl.lit(before), pl.col(name), pl.lit(value.mark)).fill_null("")
            pieces += [pl.lit(written), member]
            written = ""
    return texts.select(pl.concat_str(*pieces, pl.lit(written + "}")).alias("body")).to_series()
