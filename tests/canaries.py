"""Canaries: personal data and a secret that must not be found where they do not belong, in whatever spelling."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import quote, quote_plus

import polars as pl

__all__ = ["BODY", "CELLS", "COLUMNS", "PERSONAL", "SECRET", "SPELLINGS", "found_in", "kinds_below", "needles"]

SECRET = "Tok-Zq7canary93Ez"
PERSONAL = {
    "email": "Quillan.Zephyrin@Mailcanary.Example",
    "phone": "5558675309",
    "birth date": "1979-11-23",
    "street": "4711 Marrowbone Crescent",
    "first name": "Quillan",
    "last name": "Zephyrín",
    "custom field": "shoe <47é> & wide",
}
BODY = {"secret": SECRET, **PERSONAL}
CELLS = {**PERSONAL, "phone": "(555) 867-5309", "birth date": "11/23/1979"}  # as the input has them
COLUMNS = {
    "email": "email",
    "phone": "mobile",
    "birth date": "date_of_birth",
    "street": "address",
    "first name": "first_name",
    "last name": "last_name",
    "custom field": "shoe",
}  # the API field of each
_ALSO = {"phone": ["(555) 867-5309", "555-867-5309", "555.867.5309"], "birth date": ["11/23/1979", "23.11.1979"]}


def _wrapped(text: str) -> str:
    return "\r\n ".join(text[at : at + 5] for at in range(0, len(text), 5))


def _grouped(text: str) -> str:
    """Digits in other groups, or a day in another order; other text as it is."""
    if re.fullmatch(r"\d{10}", text):
        return f"+1 ({text[:3]}) {text[3:6]}-{text[6:]}"
    return "/".join((text[5:7], text[8:], text[:4])) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text


# How a server may repeat a text.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "percent": lambda text: quote(text, safe=""),
    "percent, lower hex": lambda text: quote_plus(text).lower(),
    "percent, twice": lambda text: quote(quote(text, safe="")),
    "every byte in percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "every character in JSON": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "JSON, twice": lambda text: json.dumps(json.dumps(text)),
    "HTML": html.escape,
    "every character in HTML": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "HTML in hex": lambda text: "".join(f"&#x{ord(character):X};" for character in text),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: b64encode(text.encode(), b"-_").decode().rstrip("="),
    "hex": lambda text: text.encode().hex(),
    "over several lines": _wrapped,
    "grouped": _grouped,
    "without accents": lambda text: unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode(),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
}


@cache
def needles() -> dict[str, tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
    """For each kind what to look for: with case, and (lower-case, without blanks) without."""
    return {kind: (tuple(_packed(value)), tuple(_plain(kind, value))) for kind, value in BODY.items()}


def _packed(value: str) -> Iterator[bytes]:
    """The middle of the base64 of a text that has nought, one or two bytes before it."""
    for text in {value, value.lower(), value.upper()}:
        for before in range(3):
            whole = b64encode(b"\0" * before + text.encode())
            middle = whole[(0, 2, 3)[before] : -4].rstrip(b"=")
            yield middle if len(middle) >= 8 else whole[(0, 2, 3)[before] :].rstrip(b"=")[:-1]


def _plain(kind: str, value: str) -> Iterator[bytes]:
    for text in {value, *_ALSO.get(kind, ())}:
        for spell in SPELLINGS.values():
            yield _tight(spell(text).encode())
        for encoding in ("utf-16-le", "utf-16-be", "latin-1"):
            yield _tight(text.encode(encoding))
    if kind in ("phone", "birth date"):
        yield re.sub(r"\D", "", value).encode()


def _tight(data: bytes) -> bytes:
    return re.sub(rb"\s+", b"", data.lower())


def found_in(data: bytes) -> set[str]:
    """The kinds of canaries that are in these bytes, in any spelling that is looked for."""
    tight = _tight(data)
    return {
        kind
        for kind, (packed, plain) in needles().items()
        if any(needle in data for needle in packed) or any(needle in tight for needle in plain)
    }


def kinds_below(folder: Path) -> dict[str, set[str]]:
    """Every file below a folder with the kinds of canaries in it; Parquet is unpacked."""
    return {str(path.relative_to(folder)): found_in(_content(path)) for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _content(path: Path) -> bytes:
    if path.suffix == ".parquet":
        return path.name.encode() + pl.read_parquet(path).write_csv().encode()
    return path.name.encode() + path.read_bytes()
