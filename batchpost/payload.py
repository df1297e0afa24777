"""JSON objects (RFC 8259) out of columns of text: one expression for a whole body, no Python per row."""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

__all__ = ["json_object", "json_string", "member", "quoted"]

# What a JSON string must escape (RFC 8259, section 7); everything else goes out as it is, in UTF-8.
_ESCAPED = [chr(code) for code in range(0x20)] + ['"', "\\"]
_ESCAPES = [json.dumps(character)[1:-1] for character in _ESCAPED]


def json_string(text: pl.Expr) -> pl.Expr:
    """Text as a JSON string literal, quotes included; null stays null."""
    return quoted(text.str.replace_many(_ESCAPED, _ESCAPES))


def quoted(text: pl.Expr) -> pl.Expr:
    """Text that has nothing to escape (digits, a date, a code) as a JSON string literal; null stays null."""
    return pl.concat_str(pl.lit('"'), text, pl.lit('"'))


def member(key: str, literal: pl.Expr) -> pl.Expr:
    """One ``"key":literal`` of an object; null, and so absent from the object, where the literal is null."""
    return pl.concat_str(pl.lit(json.dumps(key, ensure_ascii=False) + ":"), literal)


def json_object(members: Sequence[pl.Expr]) -> pl.Expr:
    """The object of the members, in their order; null ones are left out."""
    # Not concat_str(ignore_nulls=True): that looks at each cell one by one, and takes twice as long.
    listed = [pl.concat_str(one, pl.lit(",")).fill_null("") for one in members]
    return pl.concat_str(pl.lit("{"), pl.concat_str(listed).str.strip_suffix(","), pl.lit("}"))
