"""The words for each reason: every one that the program can give has some."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import batchpost
from batchpost.model import Outcome
from batchpost.reasons import OUTCOMES, REASONS, REMEDIES, UNTROUBLED, meaning, remedy

FAULTS = re.compile(r'(?:MaybeSent|NotSent)\("([a-z_]+)"')
SOURCES = sorted(Path(batchpost.__file__).parent.glob("*.py"))


def test_every_fault_that_a_transport_names_has_a_meaning() -> None:
    kinds = {kind for path in SOURCES for kind in FAULTS.findall(path.read_text())}
    assert {"dropped", "timeout", "tls", "connect_refused"} <= kinds
    assert {kind for kind in kinds if not meaning(kind)} == set()


def test_what_needs_nobodys_attention_is_known() -> None:
    assert REASONS.keys() >= UNTROUBLED


@pytest.mark.parametrize("reason", REASONS)
def test_a_meaning_is_a_few_words_on_one_line(reason: str) -> None:
    text = meaning(reason)
    assert 4 < len(text) < 90
    assert text.isprintable()
    assert not text.endswith(".")


def test_every_reason_that_needs_somebody_says_what_to_do_and_no_other() -> None:
    assert REMEDIES.keys() == REASONS.keys() - UNTROUBLED
    assert remedy("conversion") == remedy("unheard_of") == ""


@pytest.mark.parametrize("reason", REMEDIES)
def test_a_remedy_is_a_few_words_on_one_line_of_a_table(reason: str) -> None:
    text = remedy(reason)
    assert 5 < len(text) < 120
    assert text.isprintable()
    assert not text.endswith(".")
    assert "|" not in text
    assert text.count("`") % 2 == 0


def test_every_outcome_has_a_meaning_in_the_order_of_the_books() -> None:
    assert [*OUTCOMES] == [outcome.value for outcome in Outcome]
    assert all(fate.meaning and fate.again for fate in OUTCOMES.values())
