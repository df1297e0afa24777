"""``docs/testing.md`` names tests and breaks that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation

HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "testing.md").read_text()
NAMED = sorted(set(re.findall(r"`([a-z_]+)::([a-z0-9_]+|\*)`", PAGE)))


def test_the_page_names_some_tests() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "name"), NAMED, ids="::".join)
def test_a_test_that_the_page_names_is_there(file: str, name: str) -> None:
    text = (HERE / f"test_{file}.py").read_text()
    if name != "*":
        assert f"def test_{name}(" in text


def test_the_page_lists_every_break_and_no_other() -> None:
    listed = re.findall(r"^\| ([^|]+) \| `[a-z]+` \| ", PAGE, re.MULTILINE)
    assert listed == [mutation.name for mutation in MUTATIONS]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_break_still_fits_the_code(mutation: Mutation) -> None:
    """Else ``make mutations`` would stop at it."""
    text = (HERE.parent / "batchpost" / f"{mutation.module}.py").read_text()
    assert text.count(mutation.before) == 1
    if mutation.test:
        file, _, name = mutation.test.partition("::")
        assert f"def {name}(" in (HERE / file).read_text()
