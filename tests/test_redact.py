"""What a server says about a row is written down without the row's own values."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.model import Outcome, Settlement, Target
from batchpost.redact import clean_detail, clean_settlement, printable
from tests.fakes import a_row

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
@given(value=st.text("abcXYZ019.*(|\\é ", min_size=3, max_size=20).map(str.strip).filter(lambda text: len(text) > 2))
def test_no_value_of_three_or_more_characters_survives(value: str) -> None:
    assert clean_detail(f"<{value}> or <{value.upper()}>", orjson.dumps({"first_name": value})) == "<…> or <…>"


def a_settlement(**said: str) -> Settlement:
    return Settlement(Outcome.DELIVERED, "accepted", http_status=201, **{"lead_status": "accepted", **said})


ROW = a_row(body=BODY, pid="src_1", target=Target("/api/lead/update/cmp_a", "cmp_a", "tok_secret"))


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"conversion_id": "conv_a1b2c3d4-e5f6-7890-abcd-ef1234567890", "pid": "src_abc123"},
        {"lead_status": "unsold", "redirect_url": "https://thank-you.example.com/?tid=txn_7f3a&src=src_1"},
        {"pid": "src_1"},
        {"conversion_id": "7F3A-0001", "lead_status": "Pending review"},
    ],
)
def test_the_ids_and_the_address_of_a_reply_are_kept(said: dict[str, str]) -> None:
    assert clean_settlement(a_settlement(**said), ROW) == a_settlement(**said)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            {"redirect_url": "https://x.example/?e=ann%40example.com&t=txn_7f3a"},
            {"redirect_url": "https://x.example/?e=…&t=txn_7f3a"},
        ),
        ({"redirect_url": "https://x.example/?k=tok_secret"}, {"redirect_url": "https://x.example/?k=…"}),
        ({"conversion_id": "5551234567"}, {"conversion_id": "…"}),
        ({"conversion_id": "conv_tok_secret"}, {"conversion_id": "conv_…"}),
        ({"pid": "ann@example.com"}, {"pid": "…"}),
        ({"lead_status": "sold to ann@example.com"}, {"lead_status": "sold to …"}),
        ({"detail": "txn_7f3a of ann@example.com by tok_secret"}, {"detail": "… of … by …"}),
    ],
)
def test_what_a_server_repeats_of_the_person_or_the_token_is_taken_out(
    said: dict[str, str], kept: dict[str, str]
) -> None:
    assert clean_settlement(a_settlement(**said), ROW) == a_settlement(**kept)


def test_an_organisations_id_is_a_secret_as_it_opens_the_route() -> None:
    row = a_row(body=BODY, target=Target("/api/event/global/org%2F7f3a9c"))
    assert (
        clean_settlement(a_settlement(detail="unknown organization ORG/7F3A9C"), row).detail == "unknown organization …"
    )
