"""The corpus: odd files as people get them, each with what must come of it; its table in docs/inputs.md is in step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.cases import HERE, Case, cases, outcome
from tests.corpus.make import make, page
from tests.corpus.tables import TABLES
from tests.corpus.texts import TEXTS

CASES = list(cases())
STATED = ("quote", "encoding", "delimiter", "header_row", "skip_rows", "ragged", "empty", "sheet")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.name}: {case.what}")
def test_what_comes_of_a_file_is_what_the_corpus_says(case: Case) -> None:
    found = outcome(case)
    told = {"refused", "no_input", "usage"} & {*found, *case.expected}
    for kind in told:
        said, expected = found[kind], case.expected[kind]
        assert said.get("line") == expected.get("line")
        assert expected["message"] in said["message"]
        assert expected.get("hint", "") in said.get("hint", "")
    if not told:
        assert {key: found[key] for key in case.expected} == case.expected
        assert {"rows", "fates"} & {*case.expected}


def test_a_refusal_that_a_setting_mends_names_its_key() -> None:
    """Of every file that is refused by itself and read with settings, the refusal names one of them."""
    refused = {(case.group, case.name): case for case in CASES if "refused" in case.expected and not case.source}
    mended = [case for case in CASES if case.source and case.expected.keys() & {"rows", "fates"}]
    checked = 0
    for case in mended:
        if first := refused.get((case.group, case.name)):
            checked += 1
            assert any(f"[source] {key}" in first.expected["refused"]["hint"] for key in case.source), case
    assert checked > 15


def test_every_file_has_a_case() -> None:
    used = {f"{case.group}/{case.name}" for case in CASES}
    files = {place for place in {*TEXTS, *TABLES} if not place.startswith("names/")}
    assert files <= used
    assert len(CASES) >= 90


def test_the_files_are_what_the_script_makes(tmp_path: Path) -> None:
    make(tmp_path, anew=True)
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    there = {str(path.relative_to(HERE)) for path in HERE.rglob("*/*") if path.is_file()}
    assert {place for place in there if not place.startswith(("cases/", "__pycache__/"))} == made == {*TEXTS, *TABLES}
    assert [place for place, content in TEXTS.items() if (HERE / place).read_bytes() != content] == []
    assert max((HERE / place).stat().st_size for place in made) < 10_000


def test_the_page_has_the_table_of_the_corpus() -> None:
    """``python -m tests.corpus.make`` writes it."""
    path = HERE.parent.parent / "docs" / "inputs.md"
    assert page(path.read_text("utf-8")) == path.read_text("utf-8")
