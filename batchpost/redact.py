"""Keeping personal data and secrets out of what is written beside the results."""

from __future__ import annotations

import re
from typing import Any

import orjson

__all__ = ["clean_detail", "printable"]

_LONGEST = 200
_SHORTEST_VALUE = 3  # "NY" or "1" would blank out half of every message


def printable(text: str, longest: int = _LONGEST) -> str:
    """The text on one line, without control characters, ANSI escapes or line separators, cut at ``longest``."""
    line = "".join(character if character.isprintable() else " " for character in text[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "…"


def clean_detail(message: str, body: bytes) -> str:
    """A server's message without the row's own values, fit for a log, a CSV cell and a page.

    ``body`` is the JSON that was sent; every value of it of three or more characters becomes an ellipsis,
    in whatever case the server repeats it.
    """
    if not message:
        return ""
    values = sorted(_values(orjson.loads(body)), key=len, reverse=True)
    return printable(re.sub("|".join(map(re.escape, values)), "…", message, flags=re.IGNORECASE) if values else message)


def _values(body: Any) -> set[str]:
    values = {str(value) for value in body.values() if not isinstance(value, bool)} if isinstance(body, dict) else set()
    return {value for value in values if len(value) >= _SHORTEST_VALUE}
