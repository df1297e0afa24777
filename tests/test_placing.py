"""Which column is which field: by its name and by its values, each column once."""

from __future__ import annotations

import pytest

from batchpost.columnfacts import Column
from batchpost.errors import UsageError
from batchpost.placing import Match, boolean_words, place
from batchpost.routes import ROUTES
from tests.newjobs import column

EVENT, UPDATE = ROUTES["global-event"], ROUTES["update-lead"]


def placed(*columns: Column, **said: str) -> dict[str, Match]:
    return place({one.name: one for one in columns}, EVENT, said)


def named(*columns: Column, **said: str) -> dict[str, str]:
    return {field: match.column.name for field, match in placed(*columns, **said).items()}


def test_a_column_is_taken_by_its_name_if_its_values_pass() -> None:
    assert named(column("Cell", "(212) 555-0123")) == {"mobile": "Cell"}
    assert named(column("Cell", "B4", "C5")) == {}
    assert named(column("Cell", rows=3)) == {}


def test_words_for_nothing_do_not_speak_against_a_column() -> None:
    """Two thirds of a buyer's rows were not sold, and have no money."""
    assert named(column("Payout", "n/a", "n/a", "n/a", "N/A", "12.50", "85.00")) == {"revenue": "Payout"}
    assert named(column("Payout", "n/a", "-")) == {}


def test_of_two_columns_for_one_field_the_more_usual_name_wins_and_the_other_is_named() -> None:
    match = placed(column("Sale Amount", "200.00"), column("Payout", "12.50"))["revenue"]
    assert (match.column.name, match.rivals) == ("Payout", ("Sale Amount",))


def test_a_more_usual_name_whose_values_do_not_pass_loses() -> None:
    assert named(column("Payout", "yes", "no"), column("Sale Amount", "200.00")) == {"revenue": "Sale Amount"}


def test_ids_of_the_platform_win_over_any_name() -> None:
    leads = column("Reference code", *[f"txn_{number}" for number in range(5)])
    assert named(column("Lead ID", "17", "18"), leads)["transaction_id"] == "Reference code"


def test_addresses_are_found_under_any_name() -> None:
    assert named(column("Contact point", "a@example.com", "b@example.com")) == {"email": "Contact point"}


def test_a_column_is_used_once() -> None:
    """``Click ID`` is a usual name for two fields; the lead's id comes first."""
    assert named(column("Click ID", "a1")) == {"transaction_id": "Click ID"}
    assert named(column("Click ID", "a1"), column("Lead ID", "b1")) == {
        "transaction_id": "Lead ID",
        "clid": "Click ID",
    }


def test_a_name_that_could_mean_anything_is_weak() -> None:
    assert placed(column("ID", "1"))["transaction_id"].is_weak
    assert not placed(column("ID", "txn_12345678"))["transaction_id"].is_weak
    assert not placed(column("Lead ID", "1"))["transaction_id"].is_weak


def test_a_buyers_own_name_of_a_source_is_not_the_platforms() -> None:
    assert named(column("Source", "google", "mail")) == {}
    assert named(column("Source", "src_search", "src_mail")) == {"pid": "Source"}
    assert named(column("pid", "google")) == {"pid": "pid"}


def test_amount_is_the_money_unless_there_is_better() -> None:
    assert named(column("Amount", "5.00")) == {"revenue": "Amount"}
    assert named(column("Amount", "5.00"), column("Payout", "1.00")) == {"revenue": "Payout"}
    assert named(column("amount", "5.00"), column("revenue", "1.00")) == {"revenue": "revenue", "amount": "amount"}


def test_what_a_person_says_is_taken_whatever_its_values_are() -> None:
    columns = column("Payout", "1.00"), column("Other", "x")
    assert named(*columns, revenue="Other") == {"revenue": "Other"}
    assert named(*columns, revenue="") == {}
    assert named(*columns, loan="Other") == {"loan": "Other", "revenue": "Payout"}


def test_a_column_that_is_not_there_is_refused_with_the_likeliest() -> None:
    with pytest.raises(UsageError, match="no column 'Payuot'; did you mean \"Payout\""):
        placed(column("Payout", "1.00"), revenue="Payuot")


def test_updates_have_no_money() -> None:
    assert place({"Payout": column("Payout", "1.00")}, UPDATE, {}) == {}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["Y", "N"], (["Y"], ["N"])),
        (["Ja", "Nein"], (["Ja"], ["Nein"])),
        (["1", "0"], (["1"], ["0"])),
        (["Y"], None),
        (["Y", "N", "maybe"], None),
    ],
)
def test_a_boolean_has_words_for_both(values: list[str], words: tuple[list[str], list[str]] | None) -> None:
    found = boolean_words(column("Owner", *values))
    assert found == words
