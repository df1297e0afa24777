"""The verdict table of the guarantees, row by row and column by column, and what the platform's pages document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.model import Fault, Outcome, Repeat, Reply, Row, Target
from batchpost.verdict import Action, Verdict, when_exhausted
from batchpost.verdict import judge as judge_at
from tests.fakes import CONVERSION, DUPLICATE, INACTIVE, LOCKED, NO_LEAD, TRACKING, UNSOLD, UPDATED, a_row, reply

COLUMNS = (Repeat.HARMLESS, Repeat.REFUSED, Repeat.FIRES_AGAIN)
HTML = b"<html><body>It works</body></html>"

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def judge(result: Reply | Fault, row: Row, *, accept_foreign: bool = False) -> Verdict:
    """The verdict at a fixed instant."""
    return judge_at(result, row, now=NOW.timestamp(), accept_foreign=accept_foreign)


def meaning(verdict: Verdict) -> str:
    """A verdict in the table's own words."""
    text = verdict.action.value
    if verdict.settlement and verdict.action is not Action.RETRY:
        text = f"{verdict.settlement.outcome} {verdict.settlement.reason}"
    if verdict.action in (Action.HOLD, Action.STOP):
        text = f"{verdict.action.value}: {text}" if verdict.settlement else verdict.action.value
    if verdict.action is Action.RETRY:
        text += " free" * (not verdict.counted) + " few" * verdict.few
    return text + (f", pause {verdict.pause:g}" if verdict.pause is not None else "")


SAME = object()
TABLE = [
    # what came back                                    update-lead, event refused twice, event that fires again
    ("2xx update", reply(201, UPDATED), ("delivered accepted", SAME, SAME)),
    ("2xx unsold", reply(201, UNSOLD), ("delivered unsold", SAME, SAME)),
    ("2xx event", reply(200, CONVERSION), ("delivered conversion", SAME, SAME)),
    ("2xx that failed", reply(200, {"success": False, "reason": "no"}), ("rejected refused", SAME, SAME)),
    ("2xx rejected", reply(201, {**UPDATED, "data": {"leadStatus": "rejected"}}), ("rejected refused", SAME, SAME)),
    ("2xx, type error", reply(200, {"type": "error"}), ("rejected refused", SAME, SAME)),
    ("2xx, status 400 inside", reply(200, NO_LEAD), ("rejected lead_not_found", SAME, SAME)),
    ("2xx, status 500 inside", reply(200, {"status": "500"}), ("retry", SAME, "unknown server_error")),
    ("2xx, not JSON", reply(200, HTML), ("retry", SAME, "unknown unreadable_reply")),
    ("2xx, JSON that says nothing", reply(200, {}), ("retry", SAME, "unknown unreadable_reply")),
    ("2xx, odd status inside", reply(200, {"status": 302}), ("retry", SAME, "unknown unreadable_reply")),
    ("2xx, a list", reply(200, [CONVERSION]), ("retry", SAME, "unknown unreadable_reply")),
    ("2xx, cut off", reply(200, b'{"status": 200, "mess'), ("retry", SAME, "unknown unreadable_reply")),
    ("2xx, empty", reply(200, b""), ("retry", SAME, "unknown unreadable_reply")),
    ("204", reply(204, b""), ("retry", SAME, "unknown unreadable_reply")),
    ("2xx over 1 MB", Reply(200, {}, b"", oversized=True), ("retry", SAME, "unknown unreadable_reply")),
    ("2xx, wrong gzip", Reply(200, {}, b"\x1f\x8b", garbled=True), ("retry", SAME, "unknown unreadable_reply")),
    ("400 Duplicate", reply(400, DUPLICATE), ("rejected server_duplicate", SAME, SAME)),
    ("2xx Duplicate", reply(200, {"success": False, "reason": "duplicate"}), ("rejected server_duplicate", SAME, SAME)),
    ("400 no lead", reply(400, NO_LEAD), ("rejected lead_not_found", SAME, SAME)),
    ("404", reply(404, HTML), ("rejected not_found", SAME, SAME)),
    ("413", reply(413), ("rejected too_large", SAME, SAME)),
    ("422", reply(422, {}), ("rejected invalid_field", SAME, SAME)),
    ("418", reply(418, {}), ("rejected refused", SAME, SAME)),
    ("401", reply(401, {"status": "401", "message": "Unauthorized"}), ("stop", SAME, SAME)),
    ("405", reply(405, {}), ("stop", SAME, SAME)),
    ("302", reply(302, HTML, location="/login"), ("stop", SAME, "stop: unknown redirect")),
    ("307", reply(307, b"", location="https://elsewhere.example"), ("stop", SAME, "stop: unknown redirect")),
    ("101", reply(101), ("stop", SAME, "stop: unknown redirect")),
    ("403 lock", reply(403, LOCKED), ("retry free", SAME, "rejected locked_elsewhere")),
    ("403 inactive", reply(403, INACTIVE), ("hold: rejected source_inactive", SAME, SAME)),
    ("403 both", reply(403, {"message": "Source inactive or event lock in progress"}), ("retry few", SAME, SAME)),
    ("403 neither", reply(403, {"message": "Forbidden"}), ("retry few", SAME, SAME)),
    ("403 blocked", reply(403, {"message": "You have been blocked"}), ("retry few", SAME, SAME)),
    ("403 HTML", reply(403, b"<h1>lock</h1>"), ("retry few", SAME, SAME)),
    ("408", reply(408), ("retry", SAME, "unknown timeout")),
    ("500", reply(500, {"status": "500", "data": {"leadStatus": "rejected"}}), ("retry", SAME, "unknown server_error")),
    ("502", reply(502, HTML), ("retry", SAME, "unknown server_error")),
    ("503", reply(503), ("retry", SAME, "unknown server_error")),
    ("503 Retry-After", reply(503, retry_after="7"), ("retry, pause 7", SAME, "unknown unavailable, pause 7")),
    ("429", reply(429), ("retry free, pause -1", SAME, SAME)),
    ("429 Retry-After", reply(429, retry_after="2"), ("retry free, pause 2", SAME, SAME)),
    ("2xx, status 429 inside", reply(200, {"status": 429}), ("retry free, pause -1", SAME, SAME)),
    ("NotSent", Fault("dns", False), ("retry free", SAME, SAME)),
    ("MaybeSent", Fault("dropped", True), ("retry", SAME, "unknown dropped")),
]  # fmt: skip


@pytest.mark.parametrize("column", range(3), ids=list(COLUMNS))
@pytest.mark.parametrize(("result", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table(result: Reply | Fault, expected: tuple[object, ...], column: int) -> None:
    """Each cell; ``SAME`` is the cell to its left."""
    wanted = next(cell for cell in reversed(expected[: column + 1]) if cell is not SAME)
    assert meaning(judge(result, a_row(repeat=COLUMNS[column]))) == wanted


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"status": 400, "message": "event_id is required"}, "missing_field"),
        ({"status": 400, "message": "transaction_id is required"}, "missing_field"),
        ({"status": 400, "message": "revenue is required for conversion events"}, "missing_field"),
        (NO_LEAD, "lead_not_found"),
        (
            {"status": 400, "message": "Invalid event_id — event not configured for the associated campaign"},
            "invalid_event",
        ),
        (DUPLICATE, "server_duplicate"),
        (
            {"status": "400", "message": "transaction_id is required", "data": {"leadStatus": "missingField"}},
            "missing_field",
        ),
        (
            {
                "status": "400",
                "message": "Lead not found for the given transaction_id",
                "data": {"leadStatus": "rejected"},
            },
            "lead_not_found",
        ),
        ({"status": "400", "message": "Bad email", "data": {"leadStatus": "invalidField"}}, "invalid_field"),
        ({"message": "Invalid value for state"}, "invalid_field"),
        ({"error": "Something else"}, "refused"),
        ({"message": {"no": "text"}}, "refused"),
    ],
)
def test_a_400_is_rejected_by_its_message(body: dict[str, Any], reason: str) -> None:
    settlement = judge(reply(400, body), a_row()).settlement
    assert settlement is not None
    assert (settlement.outcome, settlement.reason, settlement.http_status) == (Outcome.REJECTED, reason, 400)


@pytest.mark.parametrize(
    ("repeat", "in_doubt", "accept", "expected"),
    [
        (Repeat.REFUSED, True, False, "already_delivered confirmed_duplicate"),
        (Repeat.REFUSED, True, True, "already_delivered confirmed_duplicate"),
        (Repeat.REFUSED, False, False, "rejected server_duplicate"),
        (Repeat.REFUSED, False, True, "already_delivered foreign_duplicate"),
        (Repeat.FIRES_AGAIN, True, False, "rejected server_duplicate"),
        (Repeat.FIRES_AGAIN, False, True, "already_delivered foreign_duplicate"),
    ],
)
def test_a_duplicate_counts_as_ours_only_after_an_attempt_of_ours(
    repeat: Repeat, in_doubt: bool, accept: bool, expected: str
) -> None:
    row = a_row(repeat=repeat, in_doubt=in_doubt)
    assert meaning(judge(reply(400, DUPLICATE), row, accept_foreign=accept)) == expected


@pytest.mark.parametrize(
    ("body", "money", "reason"),
    [
        (CONVERSION, True, "conversion"),
        (CONVERSION, False, "conversion"),
        (TRACKING, False, "tracking"),
        (TRACKING, True, "not_a_conversion"),
        ({"status": 200}, True, "accepted"),
        ({"status": "200", "data": None}, False, "accepted"),
        ({"success": True}, False, "accepted"),
        ({"type": "success"}, False, "accepted"),
        ({"data": {"leadStatus": "accepted"}}, False, "accepted"),
        ({"status": 201, "data": {"leadStatus": "<b>odd</b>"}}, False, "accepted"),
    ],
)
def test_what_was_delivered_says_what_it_became(body: dict[str, Any], money: bool, reason: str) -> None:
    assert meaning(judge(reply(200, body), a_row(money_sent=money))) == f"delivered {reason}"


@pytest.mark.parametrize("said", [False, "false"])
def test_a_body_that_denies_success_wins_over_its_status(said: object) -> None:
    verdict = judge(reply(200, {"status": 200, "success": said, "message": "Invalid pid"}), a_row())
    assert meaning(verdict) == "rejected invalid_field"


def test_the_platforms_evidence_is_kept() -> None:
    event = judge(reply(200, CONVERSION), a_row()).settlement
    update = judge(reply(201, UPDATED), a_row()).settlement
    assert event is not None
    assert update is not None
    assert (event.http_status, event.conversion_id, event.pid) == (200, "conv_a1", "src_abc123")
    assert (update.http_status, update.lead_status) == (201, "accepted")
    assert update.redirect_url == "https://thanks.example.com?tid=1"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2),
        (" 30 ", 30),
        ("999999", 999_999),
        ("9" * 400, float("inf")),
        ("0", 0),
        ("-5", -1),
        ("1.5", -1),
        ("soon", -1),
        ("", -1),
        ("²", -1),
        ("Sun, 01 Mar 2026 12:00:20 GMT", 20),
        ("Sun, 01 Mar 2026 12:00:20 -0000", 20),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 01 Mar 2026 12:00:20 +99999999999999", -1),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float) -> None:
    assert judge(reply(429, retry_after=header), a_row()).pause == seconds


def test_rate_headers_on_a_success_change_nothing() -> None:
    verdict = judge(reply(200, CONVERSION, retry_after="5", x_ratelimit_remaining="0"), a_row())
    assert (meaning(verdict), verdict.pause) == ("delivered conversion", None)


@pytest.mark.parametrize(
    ("result", "served"),
    [
        (reply(200, CONVERSION), True),
        (reply(400, NO_LEAD), True),
        (reply(429), True),
        (reply(403, LOCKED), True),
        (reply(500), False),
        (reply(503, retry_after="1"), False),
        (reply(200, HTML), False),
        (Fault("dropped", True), False),
        (Fault("dns", False), False),
    ],
)
def test_the_circuit_counts_what_was_not_served(result: Reply | Fault, served: bool) -> None:
    assert judge(result, a_row(repeat=Repeat.HARMLESS)).served is served


def test_a_refused_token_is_told_by_where_it_comes_from_and_never_shown() -> None:
    target = Target("/api/lead/update/cmp_a", "cmp_a", "tok_secret", "env:TOKEN_A")
    stop = judge(reply(401, {"message": "tok_secret"}), a_row(target=target)).stop
    assert stop is not None
    assert stop.message == (
        "The platform refused the token (401) of the campaign cmp_a: put its enrichment token, not the form's, into "
        "env:TOKEN_A"
    )


def test_an_event_has_no_token_that_could_be_the_wrong_one() -> None:
    stop = judge(reply(401, {}), a_row(target=Target("/api/event/global/org_secret"))).stop
    assert stop is not None
    assert (stop.cause, stop.exit_code) == ("unauthorized", 4)
    assert "an event has none" in stop.message
    assert "org_secret" not in stop.message


@pytest.mark.parametrize("repeat", COLUMNS)
@pytest.mark.parametrize("applied", [True, False])
def test_attempts_used_up(repeat: Repeat, applied: bool) -> None:
    last = judge(Fault("timeout", True, "no reply in time"), a_row(repeat=Repeat.HARMLESS)).settlement
    assert last is not None
    end = when_exhausted(last, repeat, may_be_applied=applied)
    unknown = applied and repeat is not Repeat.HARMLESS
    assert end == last._replace(outcome=Outcome.UNKNOWN if unknown else Outcome.FAILED)


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["200", "²", "accepted", "rejected", "duplicate", "lock", "inactive", "error", "9" * 5000]),
)
_NAMES = st.sampled_from(["status", "success", "type", "message", "reason", "data", "leadStatus", "conversion", "pid"])
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=5)),
    max_leaves=8,
)
_BODIES = st.one_of(st.binary(max_size=20), _JSON.map(orjson.dumps))
_LATIN = st.text(st.characters(max_codepoint=255), max_size=12)
_HEADERS = st.dictionaries(st.just("retry-after"), _LATIN)
_REPLIES = st.builds(Reply, st.integers(100, 599), _HEADERS, _BODIES, st.booleans(), st.booleans())
_FAULTS = st.builds(Fault, st.sampled_from(["dns", "timeout", "dropped"]), st.booleans())


@settings(max_examples=200, deadline=None)
@given(
    result=st.one_of(_REPLIES, _FAULTS),
    repeat=st.sampled_from(COLUMNS),
    in_doubt=st.booleans(),
    accept=st.booleans(),
)
def test_every_reply_has_a_lawful_verdict(result: Reply | Fault, repeat: Repeat, in_doubt: bool, accept: bool) -> None:
    verdict = judge(result, a_row(repeat=repeat, in_doubt=in_doubt), accept_foreign=accept)
    assert verdict.settlement is not None or verdict.action is Action.STOP
    assert (verdict.stop is not None) == (verdict.action is Action.STOP)
    assert verdict.pause is None or verdict.pause >= 0 or verdict.pause == -1
    if verdict.action is Action.RETRY:
        assert verdict.settlement is not None
        assert verdict.settlement.outcome is Outcome.FAILED
        assert not (repeat is Repeat.FIRES_AGAIN and verdict.may_be_applied), "it would fire a second time"
    if verdict.settlement and verdict.settlement.outcome is Outcome.DELIVERED:
        assert isinstance(result, Reply)
        assert 200 <= result.status < 300
        assert verdict.may_be_applied
    if isinstance(result, Fault) and result.may_have_arrived:
        assert verdict.may_be_applied
