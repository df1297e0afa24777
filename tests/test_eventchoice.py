"""Which event fires and of which campaign a row is: never guessed, asked for or refused."""

from __future__ import annotations

import pytest

from batchpost.columnfacts import Column, Fit
from batchpost.errors import UsageError
from batchpost.eventchoice import campaign_of, event_of
from batchpost.placing import Match
from batchpost.proposal import EventMap, Given, Line
from tests.newjobs import Scripted, column

STATUS = column("Status", *["Funded"] * 5, *["Declined"] * 3)


def match(field: str, found: Column) -> Match:
    return Match(field, found, Fit(found.filled, found.filled), 0)


def event(found: Column | None, given: Given | None = None, person: Scripted | None = None) -> Line | EventMap:
    return event_of(match("event_id", found) if found else None, given or Given(), ["Lead", "Status"], person)


def test_statuses_fire_nothing_until_somebody_says_which() -> None:
    made = event(STATUS)
    assert isinstance(made, EventMap)
    assert (made.counts, made.fires) == ({"Funded": 5, "Declined": 3}, {})
    assert "until then every row is skipped" in made.decide


def test_a_person_is_asked_for_the_event_of_each_and_enter_means_none() -> None:
    person = Scripted("sale_completed")
    made = event(STATUS, person=person)
    assert isinstance(made, EventMap)
    assert (made.fires, made.decide) == ({"Funded": "sale_completed"}, "")
    assert person.asked[0].startswith("'Status' is 'Funded' in 5 rows.")
    assert len(person.asked) == 2


def test_the_command_line_may_say_it_in_any_case() -> None:
    made = event(STATUS, Given(events={"funded": "sale", "Paid": "sale"}))
    assert isinstance(made, EventMap)
    assert made.fires == {"Funded": "sale", "Paid": "sale"}


@pytest.mark.parametrize("found", [STATUS, None], ids=["beside statuses", "without a column"])
def test_one_event_for_all_rows_wins(found: Column | None) -> None:
    made = event(found, Given(events={"": "sale"}))
    assert isinstance(made, Line)
    assert made.keys == {"value": "sale"}


@pytest.mark.parametrize(
    "found",
    [column("event_id", "sale", "call"), column("Event", "sale_completed", "call_connected")],
    ids=["the field's own name", "they look like ids"],
)
def test_ids_of_events_go_out_as_they_are(found: Column) -> None:
    made = event(found)
    assert isinstance(made, Line)
    assert made.keys == {"column": found.name}


def test_without_any_column_nobody_is_guessing() -> None:
    with pytest.raises(UsageError, match=r"--event sale_completed .* The columns are 'Lead', 'Status'"):
        event(None)
    with pytest.raises(UsageError, match="no column is one of statuses"):
        event(None, Given(events={"Funded": "sale"}))
    made = event(None, person=Scripted("sale"))
    assert isinstance(made, Line)
    assert made.keys == {"value": "sale"}


def campaign(found: Column | None, given: Given | None = None, person: Scripted | None = None) -> object:
    return campaign_of(match("campaign_id", found) if found else None, given or Given(), ["Lead"], person).value


NAMES = column("Campaign", *["Auto"] * 3, *["Home"] * 2)


def test_campaign_ids_in_a_column_are_taken_as_they_are() -> None:
    assert campaign(column("cid", "cmp_a", "cmp_b")) == {"column": "cid"}


def test_names_of_campaigns_need_their_ids() -> None:
    with pytest.raises(UsageError, match=r'--campaign "Auto=cmp_…" for each \(2 names\)'):
        campaign(NAMES)
    said = campaign_of(match("campaign_id", NAMES), Given(campaigns={"auto": "cmp_a"}), [], None)
    assert said.value == {"column": "Campaign", "map": {"Auto": "cmp_a"}}
    assert "'Home' (2 rows)" in " ".join(said.why)
    assert campaign(NAMES, person=Scripted("cmp_a", "-")) == {"column": "Campaign", "map": {"Auto": "cmp_a"}}


def test_one_campaign_for_all_rows_is_said_or_asked_for() -> None:
    assert campaign(NAMES, Given(campaigns={"": "cmp_a"})) == "cmp_a"
    assert campaign(None, person=Scripted("cmp_a")) == "cmp_a"
    with pytest.raises(UsageError, match="pass --campaign cmp_…"):
        campaign(None)
    with pytest.raises(UsageError, match="no column names campaigns"):
        campaign(None, Given(campaigns={"Auto": "cmp_a"}))
