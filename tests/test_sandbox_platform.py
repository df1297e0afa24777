"""Every reply that the platform's pages document, in their order, without a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from batchpost.routes import ROUTES
from batchpost.sandbox_platform import Answer, EventRule, Lead, Operation, Platform, Request, SandboxConfig, find_route

LEAD = "txn_7f3a2b1c-4d56-78ef-9012-abcdef123456"
OTHER = "txn_other"
EVENTS = {
    "sale_completed": EventRule(conversion=True),
    "repeat_purchase": EventRule(conversion=True, duplicates=True),
    "application_submitted": EventRule(),
    "only_other": EventRule(campaigns=("cmp_other",)),
}
LEADS = {LEAD: Lead("cmp_9z8y7x6w", "src_abc123"), OTHER: Lead()}
CONFIG = SandboxConfig(campaigns=("cmp_home",), events=EVENTS, inactive_pids=("src_off",), unsold=0.0)
SALE = {"event_id": "sale_completed", "transaction_id": LEAD, "revenue": 85.00}


def platform(config: SandboxConfig = CONFIG) -> Platform:
    return Platform(config, LEADS)


def update(body: object, *, scope: str = "cmp_9z8y7x6w", token: str = "Bearer sandbox-token") -> Request:
    return Request("POST", ROUTES["update-lead"], scope, token, orjson.dumps(body))


def event(body: object, *, scope: str = "org_sandbox") -> Request:
    return Request("POST", ROUTES["global-event"], scope, "", orjson.dumps(body))


def campaign_event(body: object) -> Request:
    return Request("POST", ROUTES["campaign-event"], "", "", orjson.dumps(body))


def ask(of: Platform, request: Request) -> Answer:
    step = of.begin(request)
    return of.commit(step) if isinstance(step, Operation) else step


def reply(request: Request, config: SandboxConfig = CONFIG) -> tuple[int, Any]:
    answer = ask(platform(config), request)
    return answer.status, orjson.loads(answer.body)


# --- update-lead -------------------------------------------------------------------------------------------------


def test_an_update_is_accepted_as_on_the_page() -> None:
    body = {"transaction_id": LEAD, "loan_amount": 15000, "credit_score": "good", "home_owner": True}
    assert reply(update(body)) == (
        201,
        {
            "status": "201",
            "message": "Lead successfully updated",
            "transaction_id": LEAD,
            "data": {
                "transaction_id": LEAD,
                "leadStatus": "accepted",
                "redirect_url": "https://thank-you.example.com?tid=txn_7f3a2b1c",
            },
            "isDeDupe": False,
        },
    )


def test_an_unsold_lead_is_updated_without_a_redirect() -> None:
    status, body = reply(update({"transaction_id": LEAD}), SandboxConfig(unsold=1.0))
    assert (status, body["status"]) == (201, "201")
    assert body["data"] == {"transaction_id": LEAD, "leadStatus": "unsold"}


@pytest.mark.parametrize(
    ("request_", "status", "message", "lead_status"),
    [
        (update({"first_name": "Anna"}), 400, "transaction_id is required", "missingField"),
        (update({"transaction_id": ""}), 400, "transaction_id is required", "missingField"),
        (update({"transaction_id": None}), 400, "transaction_id is required", "missingField"),
        (update({"transaction_id": 5}), 400, "Invalid value for transaction_id", "invalidField"),
        (update({"transaction_id": "txn_x"}), 400, "Lead not found for the given transaction_id", "rejected"),
        (
            update({"transaction_id": LEAD}, scope="cmp_home"),
            400,
            "Lead not found for the given transaction_id",
            "rejected",
        ),
        (update({"transaction_id": LEAD}, token=""), 401, "Unauthorized", "rejected"),
        (update({"transaction_id": LEAD}, token="Bearer wrong"), 401, "Unauthorized", "rejected"),
        (update({"transaction_id": LEAD}, token="sandbox-token"), 401, "Unauthorized", "rejected"),
        (update({"transaction_id": LEAD})._replace(method="PUT"), 405, "Method Not Allowed", "rejected"),
        (update([1]), 400, "Request body is not a JSON object", "rejected"),
        (update({})._replace(body=b'{"transaction_id": '), 400, "Request body is not a JSON object", "rejected"),
    ],
)
def test_a_refused_update_has_a_text_status_and_a_lead_status(
    request_: Request, status: int, message: str, lead_status: str
) -> None:
    expected = {"status": str(status), "message": message, "data": {"leadStatus": lead_status}}
    assert reply(request_) == (status, expected)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("mobile", ["2125550123", ""], ["212555012", "(212) 555-0123", "12125550123", 2125550123, None]),
        ("state", ["NY", "DC", "PR"], ["ny", "New York", "XX", 5]),
        (
            "date_of_birth",
            ["1980-02-29", ""],
            ["02/29/1980", "1981-02-29", "1980-2-9", "1980-W01-1", "1980-02-29 00:00:00"],
        ),
        ("first_name", ["Anna", "Käthe", ""], [5, True, ["Anna"], None]),
    ],
)
def test_a_documented_field_must_have_its_format(name: str, good: list[object], bad: list[object]) -> None:
    assert [reply(update({"transaction_id": LEAD, name: value}))[0] for value in good] == [201] * len(good)
    for value in bad:
        status, body = reply(update({"transaction_id": LEAD, name: value}))
        assert (status, body["data"]["leadStatus"]) == (400, "invalidField")


def test_an_update_may_be_repeated_and_hears_the_same() -> None:
    server = platform()
    first, second = (ask(server, update({"transaction_id": LEAD, "city": "Bonn"})) for _ in range(2))
    assert first == second
    assert first.effect == "updated"


# --- events ------------------------------------------------------------------------------------------------------


def test_a_conversion_is_fired_as_on_the_page() -> None:
    status, body = reply(event(SALE))
    conversion_id = body["data"].pop("conversion_id")
    assert re.fullmatch("conv_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", conversion_id)
    data = {"cid": "cmp_9z8y7x6w", "pid": "src_abc123", "transaction_id": LEAD, "conversion": True}
    assert (status, body) == (200, {"status": 200, "message": "Event triggered successfully", "data": data})


def test_a_tracking_event_is_fired_as_on_the_page() -> None:
    data = {
        "cid": "cmp_9z8y7x6w",
        "pid": "src_abc123",
        "transaction_id": LEAD,
        "conversion_id": "",
        "conversion": False,
    }
    expected = {"status": 200, "message": "Event triggered successfully", "data": data}
    assert reply(event({"event_id": "application_submitted", "transaction_id": LEAD})) == (200, expected)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "event_id is required"),
        ({"transaction_id": LEAD}, "event_id is required"),
        ({"event_id": "sale_completed"}, "transaction_id is required"),
        (
            {**SALE, "transaction_id": "txn_x"},
            "No lead found for the provided transaction_id in this organization",
        ),
        ({**SALE, "event_id": "nope"}, "Invalid event_id — event not configured for the associated campaign"),
        ({**SALE, "event_id": "only_other"}, "Invalid event_id — event not configured for the associated campaign"),
        (
            {"event_id": "sale_completed", "transaction_id": LEAD},
            "revenue is required for conversion events",
        ),
        (
            {"event_id": "sale_completed", "transaction_id": LEAD, "amount": 85},
            "revenue is required for conversion events",
        ),
        ([], "Request body is not a JSON object"),
    ],
)
def test_a_refused_event_has_a_number_for_its_status(body: object, message: str) -> None:
    assert reply(event(body)) == (400, {"status": 400, "message": message})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("revenue", [85, 85.5, 0], ["85.00", True, None, ""]),
        (
            "conversion_date",
            ["2025-07-01", "2025-07-01 23:59:59", ""],
            ["07/01/2025", "2025-07-01T10:00:00", "2025-07-01 24:00:00"],
        ),
        ("conversion_timezone", ["EST", "SST"], ["UTC", "EDT", "est", -5]),
        ("tcpa_consent", [0, 1], [2, "1", True]),
        ("cost_operation", ["add", "substract", "override"], ["multiply"]),
    ],
)
def test_an_events_documented_field_must_have_its_format(name: str, good: list[object], bad: list[object]) -> None:
    assert [reply(event({**SALE, name: value}))[0] for value in good] == [200] * len(good)
    for value in bad:
        expected = {"status": 400, "message": f"Invalid value for {name}", "invalidFields": {name: "invalid value"}}
        assert reply(event({**SALE, name: value})) == (400, expected)


def test_another_organisation_has_no_leads() -> None:
    status, body = reply(event(SALE, scope="org_else"))
    assert (status, body["message"]) == (400, "No lead found for the provided transaction_id in this organization")


def test_a_wrong_method_is_refused_with_405() -> None:
    assert reply(event(SALE)._replace(method="GET")) == (405, {"status": 405, "message": "Method Not Allowed"})


def test_a_second_event_is_a_duplicate_whatever_the_route() -> None:
    server = platform()
    duplicate = {"status": 400, "message": "Duplicate event for this transaction_id"}
    assert ask(server, event(SALE)).effect == "fired"
    for again in (event({**SALE, "revenue": 99}), campaign_event({**SALE, "cid": "cmp_9z8y7x6w"})):
        answer = ask(server, again)
        assert (answer.status, orjson.loads(answer.body), answer.effect) == (400, duplicate, None)
    assert ask(server, event({**SALE, "event_id": "application_submitted"})).effect == "fired"


def test_where_duplicates_are_allowed_every_request_fires_again() -> None:
    server = platform()
    answers = [ask(server, event({**SALE, "event_id": "repeat_purchase"})) for _ in range(3)]
    assert [answer.effect for answer in answers] == ["fired"] * 3
    assert len({answer.conversion_id for answer in answers}) == 3


@pytest.mark.parametrize(
    ("lead", "body", "pid"),
    [(LEAD, {"pid": "src_mine"}, "src_mine"), (LEAD, {}, "src_abc123"), (OTHER, {}, "organic")],
)
def test_the_source_is_the_bodys_else_the_leads_else_organic(lead: str, body: Mapping[str, str], pid: str) -> None:
    assert reply(event({**SALE, "transaction_id": lead, **body}))[1]["data"]["pid"] == pid


def test_an_inactive_source_is_forbidden_and_leaves_no_lock() -> None:
    server = platform()
    for _ in range(2):
        answer = ask(server, event({**SALE, "pid": "src_off"}))
        assert (answer.status, orjson.loads(answer.body)["message"]) == (403, "Forbidden: source inactive")
    server.inactive_pids = frozenset()
    assert ask(server, event({**SALE, "pid": "src_off"})).status == 200


def test_a_pair_is_locked_while_its_request_runs() -> None:
    server = platform()
    running = server.begin(event(SALE))
    assert isinstance(running, Operation)
    locked = ask(server, event(SALE))
    message = "Forbidden: concurrent event lock in progress"
    assert (locked.status, orjson.loads(locked.body)) == (403, {"status": 403, "message": message})
    assert ask(server, event({**SALE, "event_id": "application_submitted"})).status == 200
    assert server.commit(running).status == 200
    assert ask(server, event(SALE)).status == 400


@pytest.mark.parametrize(
    ("cid", "message"),
    [
        (None, "cid is required"),
        ("cmp_home", "No lead found for the provided transaction_id in this campaign"),
        ("cmp_nowhere", "No lead found for the provided transaction_id in this campaign"),
    ],
)
def test_the_campaign_route_needs_the_leads_own_campaign(cid: str | None, message: str) -> None:
    assert reply(campaign_event({**SALE, "cid": cid})) == (400, {"status": 400, "message": message})
    assert reply(campaign_event({**SALE, "cid": "cmp_9z8y7x6w"}))[0] == 200


def test_accept_any_knows_every_lead_campaign_and_event_but_no_other_credential() -> None:
    config = SandboxConfig(accept_any=True, unsold=0.0)
    new = {"transaction_id": "txn_new", "event_id": "anything"}
    assert reply(update({"transaction_id": "txn_new"}, scope="cmp_any"), config)[0] == 201
    assert reply(event(new), config)[1]["data"]["conversion"] is False
    assert reply(event({**new, "revenue": 5}), config)[1]["data"]["conversion"] is True
    assert reply(campaign_event({**new, "cid": "cmp_any"}), config)[1]["data"]["cid"] == "cmp_any"
    assert reply(update({"transaction_id": "txn_new"}, token="Bearer x"), config)[0] == 401
    assert reply(event(new, scope="org_else"), config)[0] == 400


# --- paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/lead/update/cmp_1", ("update-lead", "cmp_1")),
        ("/api/lead/update/a%2Fb%20%C3%BC%3F", ("update-lead", "a/b ü?")),
        ("/api/event/global/org_1", ("global-event", "org_1")),
        ("/api/event/trigger", ("campaign-event", "")),
        ("/api/event/trigger/x", None),
        ("/api/event/triggers", None),
        ("/api/lead/update/", None),
        ("/api/lead/update/a/b", None),
        ("/API/lead/update/a", None),
        ("/", None),
    ],
)
def test_paths_lead_to_routes(path: str, found: tuple[str, str] | None) -> None:
    match = find_route(path)
    assert (match and (match[0].name, match[1])) == found


@pytest.mark.parametrize("scope", ["cmp_1", "a..b", "a/b", "ü ?#"])
@pytest.mark.parametrize("name", ["update-lead", "global-event"])
def test_the_paths_that_the_routes_make_are_found_again(name: str, scope: str) -> None:
    assert find_route(ROUTES[name].path_for(scope)) == (ROUTES[name], scope)


def test_the_configuration_shows_no_credential() -> None:
    shown = repr(SandboxConfig(token="tok-canary", org_id="org-canary"))
    assert "canary" not in shown
