"""The three routes say what the platform's pages say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpost.routes import ROUTES, TIMEZONES, Credential, FieldType

UPDATE, GLOBAL, CAMPAIGN = (ROUTES[name] for name in ("update-lead", "global-event", "campaign-event"))


@pytest.mark.parametrize(
    ("name", "path", "credential", "is_event", "by_campaign"),
    [
        ("update-lead", "/api/lead/update/cmp_1", Credential.BEARER, False, True),
        ("global-event", "/api/event/global/cmp_1", Credential.ORG_IN_PATH, True, False),
        ("campaign-event", "/api/event/trigger", Credential.CAMPAIGN_IN_BODY, True, True),
    ],
)
def test_each_route(name: str, path: str, credential: Credential, is_event: bool, by_campaign: bool) -> None:
    route = ROUTES[name]
    assert (route.path_for("cmp_1"), route.credential) == (path, credential)
    assert (route.is_event, route.by_campaign) == (is_event, by_campaign)


@pytest.mark.parametrize(
    ("scope", "segment"),
    [
        ("org_5f1a2B3C", "org_5f1a2B3C"),
        ("a/b", "a%2Fb"),
        ("...", "..."),
        ("a..b", "a..b"),
        ("%2e%2e", "%252e%252e"),
        ("a?b#c", "a%3Fb%23c"),
        ("ü 1", "%C3%BC%201"),
        ("x\r\nHost: evil", "x%0D%0AHost%3A%20evil"),
        ("{scope}%2F", "%7Bscope%7D%252F"),
    ],
)
def test_an_id_stays_one_segment_of_the_path(scope: str, segment: str) -> None:
    assert GLOBAL.path_for(scope) == f"/api/event/global/{segment}"


@pytest.mark.parametrize("scope", [".", ".."])
def test_an_id_that_means_another_path_is_refused(scope: str) -> None:
    with pytest.raises(ValueError, match="must not be"):
        GLOBAL.path_for(scope)


@given(scope=st.text(min_size=1).filter(lambda scope: scope not in (".", "..")))
def test_no_id_changes_the_path_or_ends_the_line(scope: str) -> None:
    path = UPDATE.path_for(scope)
    head, _, segment = path.rpartition("/")
    assert head == "/api/lead/update"
    assert segment not in ("", ".", "..")
    assert path.isascii()
    assert path.isprintable()
    assert not set(path) & set(" ?#\\")


@pytest.mark.parametrize(
    ("route", "required"),
    [
        ("update-lead", {"transaction_id"}),
        ("global-event", {"transaction_id", "event_id"}),
        ("campaign-event", {"transaction_id", "event_id"}),
    ],
)
def test_the_required_fields(route: str, required: set[str]) -> None:
    assert {name for name, rule in ROUTES[route].fields.items() if rule.required} == required


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("mobile", FieldType.PHONE),
        ("state", FieldType.STATE),
        ("zip_code", FieldType.ZIP),
        ("date_of_birth", FieldType.DATE),
        ("email", FieldType.EMAIL),
        ("sub1", FieldType.TEXT),
        ("adv5", FieldType.TEXT),
    ],
)
def test_the_types_of_lead_fields(field: str, kind: FieldType) -> None:
    assert UPDATE.fields[field].type is kind
    assert GLOBAL.fields[field].type is kind


def test_events_have_the_pages_fields_and_updates_do_not() -> None:
    own = {"revenue", "amount", "pid", "clid", "external_clickid", "conversion_date", "cost", "adSpend", "min_price"}
    own |= {"utm_source", "utm_placement", "tcpa_consent", "tcpa_consent_date", "cost_operation"}
    assert own <= GLOBAL.fields.keys()
    assert not own & UPDATE.fields.keys()
    assert GLOBAL.fields == CAMPAIGN.fields


def test_choices_and_money_of_events() -> None:
    assert GLOBAL.fields["conversion_timezone"].choices == tuple(TIMEZONES)
    assert GLOBAL.fields["tcpa_consent"].choices == ("0", "1")
    assert set(GLOBAL.fields["cost_operation"].choices) >= {"add", "substract", "override"}
    assert (GLOBAL.money, UPDATE.money) == (("revenue", "amount"), ())
    assert GLOBAL.stakes == ("revenue", "amount", "conversion_date")


def test_zones_are_fixed_offsets_without_utc() -> None:
    assert TIMEZONES == {"PST": -8, "EST": -5, "CST": -6, "MST": -7, "AKST": -9, "SST": -11, "HST": -10, "AST": -4}
