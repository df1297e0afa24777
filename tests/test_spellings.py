"""A value is found however a text spells it, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.spellings import LONGEST, without
from tests.canaries import PERSONAL, SPELLINGS, found_in

VALUES = list(PERSONAL.values())


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("value", VALUES, ids=PERSONAL.keys())
def test_a_value_is_taken_out_in_every_spelling(value: str, spell: Callable[[str], str]) -> None:
    for text in ("{}", "the value {} is wrong", "?a={}&b=1", '"{}",', "({})\n{}"):
        assert found_in(without(text.replace("{}", spell(value)), [value]).encode()) == set()


@pytest.mark.parametrize(
    ("text", "values", "clean"),
    [
        ("Ann cannot do it", ["Ann"], "… cannot do it"),
        ("Anna", ["Ann"], "Anna"),
        ("ANN.", ["ann"], "…."),
        ("NY and 1", ["NY", "1"], "NY and 1"),
        ("for anger", ["orange"], "f…r"),
        ("Ada Lovelace, ada+lovelace, Ada%20Lovelace", ["Ada Lovelace"], "…, …, …"),
        ("Ada\n  Lovelace", ["Ada Lovelace"], "…"),
        ("call (555) 123-4567 or +15551234567", ["5551234567"], "call (… or +1…"),
        ("born 05/17/1980 or 17.05.1980 or 19800517", ["1980-05-17"], "born … or … or …"),
        ("12345", ["123-45"], "12345"),
        ("straße STRASSE", ["Straße"], "… …"),
        ("Jose José JOSE\u0301", ["José"], "… … …\u0301"),
        ("a@b.example&amp;lt;", ["a@b.example"], "…&amp;lt;"),
        ("", ["Ann"], ""),
        ("nothing", [], "nothing"),
        ("\\u0041\\u006e\\u006e %41%6E%6e &#65;nn", ["Ann"], "… … …"),
        ("\\ud83d\\ude00 smile", ["\U0001f600 smile"], "…"),
        ("%ff%fe \\ud800 &nosuch; \\", ["none"], "%ff%fe \\ud800 &nosuch; \\"),
        ("QW5u QW5uYQ==", ["Ann"], "… QW5uYQ=="),
    ],
)
def test_what_is_taken_out_and_what_is_left(text: str, values: list[str], clean: str) -> None:
    assert without(text, values) == clean


def test_a_long_value_that_was_cut_off_is_taken_out_piece_by_piece() -> None:
    value = "The quick brown fox jumps over the lazy dog and does not look back at all"
    assert without(f"note: {value}", [value]) == "note: …"
    for length in range(30, len(value)):
        assert len(without(f"note: {value[:length]}", [value])) < 40


def test_only_the_beginning_of_a_text_is_looked_at_and_given_back() -> None:
    assert without("x" * (LONGEST + 10), ["Ann"]) == "x" * LONGEST


@settings(max_examples=150, deadline=None)
@given(
    value=st.text(st.characters(categories=["L", "N", "P"]), min_size=8, max_size=60),
    around=st.text('<>() ,\n"', max_size=20),
)
def test_no_value_survives_as_it_is(value: str, around: str) -> None:
    assert value not in without(f"{around}{value}{around}", [value])


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_a_text_without_values_stays_as_it_is(text: str) -> None:
    assert without(text, ["\U000e0001canary-that-is-nowhere"]) == text
