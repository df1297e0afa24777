"""Makes the files of the corpus and its table in docs/inputs.md: ``python -m tests.corpus.make``.

Text files are the same wherever they are made. Workbooks, Parquet files and archives depend on the versions of what
writes them, so those that are there stay as they are; ``--all`` makes them anew.
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

from tests.corpus.cases import HERE, Case, cases
from tests.corpus.tables import TABLES
from tests.corpus.texts import TEXTS

__all__ = ["make", "page"]

PAGE = HERE.parent.parent / "docs" / "inputs.md"
BEGIN, END = "<!-- the corpus: python -m tests.corpus.make -->\n", "<!-- end of the corpus -->\n"
USUAL = {'encoding = "utf-8"', 'delimiter = ","', "header_row = 1", "lines end in LF"}
TITLES = {
    "encodings": "Encodings",
    "dialects": "Delimiters, quotes and line ends",
    "shapes": "Titles, headers, rows and ends",
    "foreign": "Not a table",
    "packed": "Archives",
    "parquet": "Parquet",
    "workbooks": "Workbooks",
    "names": "Names",
    "values": "Values",
}


def make(folder: Path, *, anew: bool) -> None:
    """Write the files under a folder; with ``anew`` also those whose bytes depend on versions and that are there."""
    for place in (*TEXTS, *TABLES):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if place in TEXTS:
            path.write_bytes(TEXTS[place])
        elif anew or not path.exists():
            path.write_bytes(TABLES[place]())


def page(text: str) -> str:
    """The page with the table of the corpus in its place."""
    above, _, rest = text.partition(BEGIN)
    tables = [_table(group, list(found)) for group, found in groupby(cases(), lambda case: case.group)]
    return above + BEGIN + "\n" + "\n".join(tables) + "\n" + END + rest.partition(END)[2]


def _table(group: str, found: list[Case]) -> str:
    lines = [f"### {TITLES[group]}", "", "| file | what it is | what comes of it |", "|---|---|---|"]
    return "\n".join([*lines, *map(_line, found)]) + "\n"


def _line(case: Case) -> str:
    said = [f"`{_toml(key, value)}`" for key, value in (case.source | case.fields).items()]
    what = case.what + (f": {', '.join(said)}" if said else "")
    note = f" ({case.note})" if case.note else ""
    return "| " + " | ".join(text.replace("|", "\\|") for text in (f"`{case.name}`", what, _end(case) + note)) + " |"


def _end(case: Case) -> str:
    for kind, word in (("refused", "refused"), ("no_input", "no input yet (66)"), ("usage", "a mistake of the job")):
        if said := case.expected.get(kind):
            line = f"line {said['line']}: " if "line" in said else ""
            hint = f". {said['hint']}" if "hint" in said else ""
            return f"{word}: {line}{said['message']}{hint}".replace("<", "&lt;")
    if fates := case.expected.get("fates"):
        counted = Counter("sent" if fate.startswith("{") else f"`{fate}`" for fate in fates)
        return ", ".join(f"{count} {fate}" for fate, count in counted.items())
    rows, found = len(case.expected["rows"]), case.expected["found"]
    told = [f"`{one}`" if " = " in one else one for one in dict.fromkeys(found) if one not in USUAL]
    return ", ".join([f"{rows} row{'s' * (rows != 1)}", *told])


def _toml(key: str, value: object) -> str:
    if isinstance(value, dict):
        return f"{key} = {{ {', '.join(_toml(*item) for item in value.items())} }}"
    if isinstance(value, list):
        return f"{key} = [{', '.join(_toml('', item).removeprefix(' = ') for item in value)}]"
    if isinstance(value, str):
        text = "".join(one if one.isprintable() else f"\\u{ord(one):04X}" for one in value)
        return f'{key} = "{text}"' if "\\" not in value and '"' not in value else f"{key} = '{text}'"
    return f"{key} = {str(value).lower() if isinstance(value, bool) else value}"


if __name__ == "__main__":
    make(HERE, anew="--all" in sys.argv)
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
