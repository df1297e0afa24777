"""The words for each reason: every one that the program can give has some."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import batchpost
from batchpost.reasons import REASONS, UNTROUBLED, meaning

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
