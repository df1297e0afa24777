"""What the README and its neighbours count up is what there is: exit codes, and what is not in this version."""

from __future__ import annotations

import re

from batchpost.errors import BatchpostError
from batchpost.jobrules import _POSTPONED
from tests.commands import ROOT

README = (ROOT / "README.md").read_text()


def test_the_exit_codes_of_the_errors_are_in_the_table() -> None:
    codes = {int(code) for cells in re.findall(r"(?m)^\| ([\d, ]+) \|", README) for code in cells.split(",")}
    assert {error.exit_code for error in all_errors(BatchpostError)} <= codes
    assert {0, 1, 3, 6, 69, 130, 143} <= codes


def all_errors(error: type[BatchpostError]) -> list[type[BatchpostError]]:
    """A class of errors and all that are derived from it."""
    return [error, *(below for derived in error.__subclasses__() for below in all_errors(derived))]


def test_what_is_refused_by_name_is_told_and_nothing_else() -> None:
    page = (ROOT / "docs/job-files.md").read_text()
    told = page.partition("## Refused by name")[2].partition("\n## ")[0]
    assert {*re.findall(r"`(\w+\.\w+)`", told)} == {".".join(place) for place in _POSTPONED}
