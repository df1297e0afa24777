"""Whole runs against a platform that limits, refuses, redirects and locks: who waits, what stops, what goes on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.hostile import Hostile, Visit, answering, hosted, message
from tests.postbacks import CROSSED, ROUTES, RUNS, TWO, Ground, Order, Platform, delivered, ground, json_reply
from tests.wire import OK, Way
from tests.workspaces import leads

# 15: how long to wait.


def limited(*fields: str, status: str = "429 Too Many Requests") -> bytes:
    return message(status, b"{}", *fields)


def waits(site: Ground, reply: Callable[[], bytes]) -> float:
    """Seconds from a first request answered so to the next one."""
    stamps: list[float] = []

    async def behave(visit: Visit, order: Order) -> None:
        stamps.append(time.monotonic())
        if order.number == 0:
            await visit.send(reply())
        else:
            await site.platform.serve(visit, order)

    site.platform._behave = behave
    site.job("deduped", delivery="concurrency = 1")
    site.rows(leads(2))
    summary = site.run()
    assert (summary["exit_code"], summary["rows"]["delivered"]) == (0, 2)
    assert sorted(site.platform.fired) == leads(2)
    return stamps[1] - stamps[0]


SOON = ("Retry-After: 0", f"Retry-After: {formatdate(0, usegmt=True)}", "Retry-After: Sunday, 06-Nov-94 08:49:37 GMT")
UNSAID = ("X: 1", "Retry-After: -5")
FOR_EVER = ("999999", "9" * 400, formatdate(4_000_000_000, usegmt=True))


@pytest.mark.parametrize("way", TWO, ids=str)
@pytest.mark.parametrize("field", SOON)
def test_a_wait_that_is_over_is_none(tmp_path: Path, way: Way, field: str) -> None:
    with ground(tmp_path, way, Platform()) as site:
        assert waits(site, lambda: limited(field)) < 0.9


@pytest.mark.parametrize("way", TWO, ids=str)
@pytest.mark.parametrize("status", ["429 Slow", "503 Unavailable"])
def test_everyone_waits_for_as_long_as_they_are_told(tmp_path: Path, way: Way, status: str) -> None:
    with ground(tmp_path, way, Platform()) as site:
        assert 1.0 <= waits(site, lambda: limited("Retry-After: 1", "Retry-After: 900", status=status)) < 2.5


@pytest.mark.parametrize("way", TWO, ids=str)
def test_and_until_a_date(tmp_path: Path, way: Way) -> None:
    def until() -> bytes:
        return limited(f"Retry-After: {formatdate(int(time.time()) + 2, usegmt=True)}")  # in one to two seconds

    with ground(tmp_path, way, Platform()) as site:
        assert 1.0 <= waits(site, until) < 3.5


@pytest.mark.parametrize("way", TWO, ids=str)
@pytest.mark.parametrize("field", UNSAID)
def test_where_nobody_says_how_long_it_is_a_second_or_so(tmp_path: Path, way: Way, field: str) -> None:
    with ground(tmp_path, way, Platform()) as site:
        assert 1.0 <= waits(site, lambda: limited(field)) < 2.5


@pytest.mark.parametrize("way", TWO, ids=str)
@pytest.mark.parametrize("value", FOR_EVER)
def test_a_wait_beyond_a_quarter_of_an_hour_ends_the_run_for_now(tmp_path: Path, way: Way, value: str) -> None:
    platform = Platform()
    with ground(tmp_path, way, platform, server=way.serve(answering(limited(f"Retry-After: {value}")))) as site:
        site.job("once", delivery="concurrency = 1")
        site.rows(leads(5))
        summary = site.run()
        assert (summary["exit_code"], summary["stopped_by"]) == (69, "retry_after")
        assert summary["rows"]["not_attempted"] == 5
        assert len(site.server.requests) == 1


# 16: the job is at fault.


@pytest.mark.parametrize("way", RUNS, ids=str)
@pytest.mark.parametrize("renewed", [False, True], ids=["between two runs", "in the middle"])
def test_a_token_that_expires_at_half_way_stops_the_run_unless_a_new_one_is_there(
    tmp_path: Path, way: Way, renewed: bool
) -> None:
    accepted = ["first"]
    refused: list[str] = []

    async def behave(visit: Visit, order: Order) -> None:
        if len(platform.fired) >= 20 and accepted == ["first"]:
            accepted[:] = ["second"]
            if renewed:
                (tmp_path / "token").write_text("second\n")
        if f"\r\nAuthorization: Bearer {accepted[0]}\r\n".encode() in order.head + b"\r\n":
            await platform.serve(visit, order)
        else:
            refused.append(order.lead)
            await visit.send(json_reply("401 Unauthorized", {"status": "401", "data": {"leadStatus": "rejected"}}))

    platform = Platform(behave)
    (tmp_path / "token").write_text("first\n")
    with ground(tmp_path, way, platform) as site:
        site.job("update", api='token = "file:token"')
        site.rows(leads(40))
        summary = site.run()
        if not renewed:
            assert (summary["exit_code"], summary["stopped_by"]) == (4, "unauthorized")
            assert {site.ends(summary)[lead] for lead in refused} == {("not_attempted", "unauthorized")}
            assert summary["rows"]["delivered"] == len(platform.fired) < 40
            (tmp_path / "token").write_text("second\n")
            run_id = summary["run_id"]
            summary = site.run()
            assert (summary["run_id"], summary["continued"]) == (run_id, True)
        assert 1 <= len(refused) <= 4
    assert (summary["exit_code"], summary["rows"]["delivered"]) == (0, 40)
    assert sorted(platform.fired) == leads(40)


@pytest.mark.parametrize("way", TWO, ids=str)
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("status", [303, 307])
def test_a_redirect_stops_the_run_and_the_other_host_is_not_even_called(
    tmp_path: Path, way: Way, route: str, status: int
) -> None:
    """What may go out again waits for the right address, and the rest is unknown: with a 303 it was done."""
    elsewhere = Hostile(answering(OK))

    async def behave(visit: Visit, order: Order) -> None:
        if status == 303:
            platform.fire(order)
        await visit.send(message(f"{status} Elsewhere", b"", f"Location: {elsewhere.url}/api/event/global/org_sandbox"))

    platform = Platform(behave)
    with hosted(elsewhere), ground(tmp_path, way, platform) as site:
        site.job(route)
        site.rows(leads(30))
        summary = site.run()
        sent = {order.lead for order in platform.orders}
        assert (summary["exit_code"], summary["stopped_by"]) == (4, "redirect")
        assert 1 <= len(platform.orders) == len(sent) <= 4
        end = ("unknown", "redirect") if route == "once" else ("not_attempted", "redirect")
        assert {site.ends(summary)[lead] for lead in sent} == {end}
        assert summary["rows"]["not_attempted"] == 30 - (len(sent) if route == "once" else 0)

        platform._behave = platform.serve  # base_url is right again
        again = site.run()
        assert (again["run_id"], again["continued"]) == (summary["run_id"], True)
        if route == "deduped" and status == 303:
            end = ("already_delivered", "confirmed_duplicate")
        elif route != "once":
            end = delivered(route)
        assert {site.ends(again)[lead] for lead in sent} == {end}
        rest = Counter({delivered(route): 30 - len(sent)})
        assert Counter(site.ends(again).values()) == rest + Counter({end: len(sent)})
    assert route == "update" or max(Counter(platform.fired).values()) == 1
    assert elsewhere.visits == []


# 17: locks and sources.


@pytest.mark.parametrize(("way", "route"), CROSSED, ids=str)
def test_a_lock_is_waited_for_where_it_may_be_our_own(tmp_path: Path, way: Way, route: str) -> None:
    async def behave(visit: Visit, order: Order) -> None:
        if order.times <= 3:
            await visit.send(json_reply("403 Forbidden", {"message": "Concurrent event lock in progress"}))
        else:
            await platform.serve(visit, order)

    platform = Platform(behave)
    with ground(tmp_path, way, platform) as site:
        site.job(route, delivery="max_attempts = 1")
        site.rows(leads(3))
        summary = site.run()
    end = ("rejected", "locked_elsewhere") if route == "once" else delivered(route)
    assert set(site.ends(summary).values()) == {end}
    assert len(platform.orders) == (3 if route == "once" else 12)
    assert len(platform.fired) == (0 if route == "once" else 3)


@pytest.mark.parametrize("way", RUNS, ids=str)
def test_an_inactive_source_holds_its_own_rows_and_words_of_both_kinds_are_tried_thrice(
    tmp_path: Path, way: Way
) -> None:
    async def behave(visit: Visit, order: Order) -> None:
        if order.body["pid"] == "off":
            await visit.send(json_reply("403 Forbidden", {"status": 403, "message": "Source inactive"}))
        elif order.body["pid"] == "unclear":
            text = "Source inactive or concurrent event lock in progress"
            await visit.send(json_reply("403 Forbidden", {"status": 403, "message": text}))
        else:
            await platform.serve(visit, order)

    platform = Platform(behave)
    pids = (["on"] * 8 + ["off"] * 8 + ["unclear"]) * 3
    with ground(tmp_path, way, platform) as site:
        site.job("once", fields='pid = { column = "Source" }')
        site.rows(leads(len(pids)), Source=pids)
        summary = site.run()
    assert (summary["exit_code"], summary["stopped_by"]) == (4, "source_inactive")
    of = dict(zip(leads(len(pids)), pids, strict=True))
    ends = Counter((of[lead], *end) for lead, end in site.ends(summary).items())
    refused = ends["off", "rejected", "source_inactive"]
    assert ends == {
        ("on", "delivered", "conversion"): 24,
        ("off", "rejected", "source_inactive"): refused,
        ("off", "not_attempted", "source_inactive"): 24 - refused,
        ("unclear", "failed", "forbidden"): 3,
    }
    assert refused <= 4
    asked = Counter(of[order.lead] for order in platform.orders)
    assert asked == {"on": 24, "off": refused, "unclear": 9}
