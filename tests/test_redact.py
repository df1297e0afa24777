"""What a server says about a row is written down without the row's own values."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.redact import clean_detail, printable

BODY = orjson.dumps(
    {
        "transaction_id": "txn_7f3a",
        "email": "ann@example.com",
        "date_of_birth": "1980-05-17",
        "mobile": "5551234567",
        "state": "NY",
        "loan_amount": 15000,
        "home_owner": True,
    }
)


@pytest.mark.parametrize(
    ("message", "clean"),
    [
        ("", ""),
        ("No lead found", "No lead found"),
        ("ann@example.com is not valid", "… is not valid"),
        ("Lead txn_7f3a born 1980-05-17, phone 5551234567, wants 15000", "Lead … born …, phone …, wants …"),
        ("Invalid email: ANN@Example.com", "Invalid email: …"),
        ("NY is not served: True", "NY is not served: True"),
        ("two\r\nlines \x1b[31mred\x1b[0m\u2028\x00", "two  lines  [31mred [0m  "),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_the_rows_values_are_taken_out(message: str, clean: str) -> None:
    assert clean_detail(message, BODY) == clean


def test_a_value_within_a_longer_one_does_not_leave_the_rest_behind() -> None:
    body = orjson.dumps({"first_name": "ann", "email": "ann@example.com"})
    assert clean_detail("ann@example.com of ann", body) == "… of …"


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"{}"])
def test_a_body_without_values_takes_nothing_out(body: bytes) -> None:
    assert clean_detail("Source text", body) == "Source text"


def test_a_secret_cut_at_the_end_is_taken_out_before_the_cut() -> None:
    assert "ann" not in clean_detail("x" * 195 + "ann@example.com", BODY)


@settings(max_examples=200)
@given(text=st.text(max_size=400))
def test_what_is_printable_is_one_short_line(text: str) -> None:
    line = printable(text)
    assert len(line) == min(len(text), 200)
    assert line == "" or line.isprintable()


@settings(max_examples=200)
@given(value=st.text("abcXYZ019.*(|\\é ", min_size=3, max_size=20))
def test_no_value_of_three_or_more_characters_survives(value: str) -> None:
    assert clean_detail(f"<{value}> or <{value.upper()}>", orjson.dumps({"first_name": value})) == "<…> or <…>"
