"""Columns that are no field: what they look like, and as what they would be sent."""

from __future__ import annotations

from typing import Any

import pytest

from batchpost.columnfacts import Column
from batchpost.customfields import custom_lines
from batchpost.routes import ROUTES
from tests.newjobs import column

ROUTE = ROUTES["update-lead"]


@pytest.mark.parametrize(
    ("found", "keys"),
    [
        (column("Loan Amount", "15000", "20000"), {"as": "number"}),
        (column("Loan Amount", "$15,000.00"), {"as": "money"}),
        (column("Loan Amount", "1.250", "2.500"), {}),
        (column("Loan Amount", "1.250", "2.50"), {"as": "number"}),
        (column("Loan Number", "10045"), {}),
        (column("Grade", "007"), {}),
        (column("Owner?", "Y", "N"), {"as": "boolean"}),
        (column("Besitzer", "Ja", "Nein"), {"as": "boolean", "true": ["Ja"], "false": ["Nein"]}),
        (column("Closed on", "03/14/2025"), {"as": "date", "format": "%m/%d/%Y"}),
        (column("Closed on", "2025-03-14 10:00"), {"as": "datetime"}),
        (column("Closed on", "2025-03-14 10:00Z"), {}),
        (column("Closed on", "03/04/2025"), {}),
        (column("Closed on", "45720"), {"as": "date", "format": "excel"}),
        (column("Closed on", "1741082400123"), {}),
        (column("Second mail", "a@example.com"), {"as": "email"}),
        (column("Score", "good", "fair"), {}),
        (column("Nothing"), {}),
    ],
    ids=lambda value: value.name if isinstance(value, Column) else "",
)
def test_a_column_is_sent_as_what_its_values_are(found: Column, keys: dict[str, Any]) -> None:
    [line] = custom_lines([found], ROUTE, [], None)
    assert line.keys == {"column": found.name, **keys}
    assert not line.sent
    assert line.why[0]


def test_names_are_the_headers_and_never_twice_or_a_documented_fields() -> None:
    columns = [column(name, "x") for name in ("Credit Score", "credit_score", "State", "cid", "🙂")]
    names = [line.name for line in custom_lines(columns, ROUTE, ["state"], None)]
    assert names == ["credit_score", "credit_score_2", "state_2", "cid_2", "column"]


def test_a_name_near_a_documented_one_is_marked_as_meant() -> None:
    [line] = custom_lines([column("e_mails", "x")], ROUTE, [], None)
    assert line.keys["custom"] is True


def test_a_column_that_is_called_like_a_field_and_is_none_says_so() -> None:
    [line] = custom_lines([column("Cell", "B4")], ROUTE, [], None)
    assert line.why[0].endswith("called like mobile")
