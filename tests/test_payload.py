from __future__ import annotations

import json
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.payload import JsonValue, json_objects, json_string, quoted

UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)  # a column cannot hold a lone surrogate
DIGITS = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**15), max_value=10**15)


def bodies(frame: pl.DataFrame, first: tuple[str, JsonValue], *others: tuple[str, JsonValue]) -> list[str]:
    return json_objects(frame, [first, *others]).to_list()


def digits(name: str) -> JsonValue:
    return JsonValue(pl.col(name))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(UNICODE, UNICODE, st.none() | DIGITS), min_size=1, max_size=8), UNICODE, UNICODE)
def test_a_body_reads_back_as_exactly_what_went_in(
    rows: list[tuple[str, str, Decimal | None]], text_key: str, number_key: str
) -> None:
    keys = [f"a{text_key}", f"b{text_key}", f"c{number_key}"]
    numbers = [None if number is None else f"{number:f}" for *_, number in rows]
    frame = pl.DataFrame(
        {"a": [row[0] for row in rows], "b": [row[1] for row in rows], "n": numbers},
        schema={"a": pl.String, "b": pl.String, "n": pl.String},
    )
    made = bodies(
        frame,
        (keys[0], json_string(pl.col("a"))),
        (keys[1], json_string(pl.col("b"))),
        (keys[2], digits("n")),
    )
    for body, (a, b, number) in zip(made, rows, strict=True):
        expected = dict(zip(keys, (a, b, number), strict=True))
        if number is None:
            del expected[keys[2]]
        read = json.loads(body, parse_float=Decimal, parse_int=Decimal)
        assert list(read.items()) == list(expected.items())


@pytest.mark.parametrize("text", ["Zoë", "日本", "👩\u200d👧", "שלום", "\u2028", "\x7f"])
def test_text_beyond_ascii_goes_out_as_it_is(text: str) -> None:
    assert bodies(pl.DataFrame({"t": [text]}), ("t", json_string(pl.col("t")))) == [f'{{"t":"{text}"}}']


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ('5" pipe', r'"5\" pipe"'),
        ("C:\\new", r'"C:\\new"'),
        ("a\nb\tc\r", r'"a\nb\tc\r"'),
        ("\x00\x1f", r'"\u0000\u001f"'),
    ],
)
def test_what_json_forbids_in_a_string_is_escaped(text: str, literal: str) -> None:
    assert bodies(pl.DataFrame({"t": [text]}), ("t", json_string(pl.col("t")))) == [f'{{"t":{literal}}}']


def test_a_null_member_is_absent_and_the_others_keep_their_order() -> None:
    frame = pl.DataFrame({"i": ["a", "b", "c"], "x": ["1", None, "3"], "y": [None, "2", "4"]})
    made = bodies(frame, ("i", quoted(pl.col("i"))), ("x", digits("x")), ("y", quoted(pl.col("y"))))
    assert made == ['{"i":"a","x":1}', '{"i":"b","y":"2"}', '{"i":"c","x":3,"y":"4"}']


def test_digits_are_not_touched() -> None:
    frame = pl.DataFrame({"n": ["85.00", "0.100000000", "123456789012345"]})
    assert bodies(frame, ("n", digits("n"))) == ['{"n":85.00}', '{"n":0.100000000}', '{"n":123456789012345}']


def test_no_rows_make_no_bodies() -> None:
    assert bodies(pl.DataFrame(schema={"n": pl.String}), ("n", digits("n"))) == []
