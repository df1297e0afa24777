"""Headers as people write them, and the fields that they mean."""

from __future__ import annotations

import pytest

from batchpost.routes import ROUTES
from batchpost.synonyms import SYNONYMS, name_rank, snake_name, words_of


@pytest.mark.parametrize(
    ("header", "field"),
    [
        *((name, "transaction_id") for name in ("Lead ID", "lead_id", "leadId", "LEADID", "txn", "Lead #", "Lead.Id")),
        *((name, "event_id") for name in ("Status", "Lead Status", "disposition", "eventName", "Event-ID")),
        *((name, "revenue") for name in ("Payout", "Payout (USD)", "saleAmount", "SALE AMOUNT", "Commission $")),
        *((name, "conversion_date") for name in ("Sold At", "soldAt", "Sale Date (EST)", "Lead Sold At", "TIMESTAMP")),
        *((name, "email") for name in ("E-Mail", "Lead.Email", "customer_email", "Email Address", "e mail")),
        *((name, "mobile") for name in ("Cell", "Phone Number", "mobilePhone", "Contact Phone", "phone_1")),
        *((name, "zip_code") for name in ("Postal Code", "ZIP", "zipCode", "Zip/Postal Code", "PLZ")),
        *((name, "date_of_birth") for name in ("DOB", "D.O.B", "Birth Date", "dateOfBirth")),
        *((name, "address") for name in ("Street", "Straße", "address1", "Address Line 1")),
        *((name, "sub1") for name in ("sub1", "Sub ID 1", "sub_id_1", "SubID1", "s1")),
        *((name, "utm_source") for name in ("utm_source", "utmSource", "UTM Source")),
        ("adSpend", "adSpend"),
        ("Campaign", "campaign_id"),
        ("cid", "campaign_id"),
    ],
)
def test_a_usual_name_in_any_writing_is_that_of_its_field(header: str, field: str) -> None:
    assert name_rank(header, field) is not None


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Loan Amount", "revenue"),
        ("utm_campaign", "campaign_id"),
        ("Email Sent At", "email"),
        ("Estate", "state"),
        ("Notes", "event_id"),
        ("Created At", "conversion_date"),
        ("", "email"),
        ("???", "email"),
    ],
)
def test_other_names_are_not(header: str, field: str) -> None:
    assert name_rank(header, field) is None


def test_the_surer_name_ranks_before_the_vaguer() -> None:
    ranks = [name_rank(header, "revenue") for header in ("Revenue", "Payout", "Sale Amount", "Amount", "Total")]
    assert all(rank is not None for rank in ranks)
    assert ranks == sorted(ranks, key=lambda rank: rank or 0)


def test_every_field_of_every_route_has_its_own_name_among_them() -> None:
    fields = {field for route in ROUTES.values() for field in route.fields}
    assert fields == set(SYNONYMS)
    assert all(name_rank(field, field) == 0 for field in fields)


def test_a_header_becomes_words_and_a_name() -> None:
    assert words_of("HTTPStatus Code") == ("http", "status", "code")
    assert snake_name("Crédit Score (2024)") == "credit_score_2024"
    assert snake_name("🙂") == "column"
