"""Small pieces of text: aligned tables, spans of time, commands with paths as short as they can be."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from batchpost.address import has_secret, is_address, shown
from batchpost.secrets import is_reference

__all__ = ["aligned", "amount_text", "counted", "instant", "moment", "repeated", "short_command", "short_path", "span"]


def aligned(rows: Iterable[Sequence[str]], right: Sequence[int] = (), indent: str = "") -> list[str]:
    """The rows as lines with their cells in columns; those whose index is in ``right`` end at one place."""
    rows = [[" ".join(cell.splitlines()) for cell in row] for row in rows]
    widths = [
        max(len(row[index]) for row in rows if index < len(row)) for index in range(max(map(len, rows), default=0))
    ]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(widths[index]) if index in right else cell.ljust(widths[index]) for index, cell in enumerate(row)
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def amount_text(amount: str) -> str:
    """A decimal's text with its thousands grouped."""
    whole, dot, places = amount.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits or '0'):,}{dot}{places}"


def counted(count: int, noun: str) -> str:
    """``1 row``, ``1,204 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def span(seconds: float) -> str:
    """Seconds in the two largest units that matter: ``3 h 12 min``, ``45 s``, ``less than a second``."""
    if seconds < 1:
        return "less than a second"
    whole = round(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    for place, (name, size) in enumerate(units):
        if whole >= size:
            rest = whole % size // units[place + 1][1] if place + 1 < len(units) else 0
            return f"{whole // size} {name}" + (f" {rest} {units[place + 1][0]}" if rest else "")
    return "less than a second"


def instant(seconds: float) -> str:
    """Unix seconds as the summary has them: ``2026-11-22T09:11:46Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(iso: str | None) -> str:
    """``2026-11-22T09:11:46Z`` as ``2026-11-22 09:11:46 UTC``; a dash where there is none."""
    return iso.replace("T", " ").replace("Z", " UTC") if iso else "-"


def short_path(path: str | Path, here: Path) -> str:
    """A path as seen from ``here``, where that is shorter."""
    text = str(path)
    if not Path(text).is_absolute():
        return text
    relative = os.path.relpath(text, here)
    return relative if len(relative) < len(text) else text


def short_command(command: str, here: Path) -> str:
    """A command with its absolute paths as short as they can be."""
    return shlex.join(short_path(word, here) for word in _words(command))


def repeated(command: str, again: Sequence[str], *, sources: Sequence[str] = (), instead: Sequence[str] = ()) -> str:
    """A ``batchpost run`` with the options ``again`` (each with its value) of the command line that it follows on, or
    it would be another run. Where it names no input of its own: with those ``sources``, or ``instead`` in its place. A
    command about a run needs none of them but the workspace to find it in."""
    words = _words(command)
    if words[:2] != ["batchpost", "run"]:
        pairs = [*zip(again[::2], again[1::2], strict=True)] if words else []
        return shlex.join([*words, *(word for pair in pairs if pair[0] == "--workspace" for word in pair)])
    if "--source" not in words:
        words = [*(instead or words), *(word for path in sources for word in ("--source", _said(path)))]
    return shlex.join([*words, *again])


def _said(path: str) -> str:
    """A ``--source`` as the next command can say it; what may not be shown of an address is left for a person."""
    if is_reference(path) and not os.path.exists(path):  # noqa: PTH110
        return path
    if not is_address(path):
        return os.path.abspath(path)  # noqa: PTH100 - Path.resolve() follows links
    return shown(path) + ("?…" if has_secret(path) else "")


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a path with an apostrophe that was not quoted
        return command.split(" ")
