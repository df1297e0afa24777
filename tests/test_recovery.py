"""``docs/recovery.md`` has something to say about every way in which a command can end."""

from __future__ import annotations

import re

from batchpost.errors import BatchpostError
from tests.commands import ROOT

PAGE = (ROOT / "docs/recovery.md").read_text()
OF_A_RUN = {0, 1, 3, 6, 69, 130, 143}  # what no error carries: how a run itself ends


def errors(kind: type[BatchpostError]) -> list[type[BatchpostError]]:
    """A class of errors and all that are derived from it."""
    return [kind, *(below for derived in kind.__subclasses__() for below in errors(derived))]


CODES = {error.exit_code for error in errors(BatchpostError)} | OF_A_RUN


def numbers(texts: list[str]) -> list[int]:
    return [int(number) for text in texts for number in re.findall(r"\d+", text)]


def test_every_exit_code_has_a_section_of_its_own() -> None:
    assert sorted(numbers(re.findall(r"(?m)^## ([\d, and]+):", PAGE))) == sorted(CODES)


def test_every_exit_code_has_a_line_in_the_table() -> None:
    assert sorted(numbers(re.findall(r"(?m)^\| \[([\d, ]+)\]", PAGE))) == sorted(CODES)


def test_a_section_says_what_happened_and_whether_to_wake_somebody() -> None:
    sections = dict(re.findall(r"(?ms)^## (\d+)[^\n]*\n(.*?)(?=^## |\Z)", PAGE))
    long = {code: text for code, text in sections.items() if code not in ("0", "6", "130")}
    assert {code for code, text in long.items() if "**Happened:**" not in text} == set()
    assert {code for code, text in long.items() if "**Wake somebody:**" not in text} == set()
    assert {code for code, text in long.items() if "**Safe to repeat:**" not in text} <= {"66", "75"}
