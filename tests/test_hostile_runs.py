"""Whole runs against a platform that stops, redirects, limits, locks, dies and comes back, by each way of sending."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from email.utils import formatdate
from pathlib import Path
from random import Random

import pytest

from batchpost.edge import Edge
from tests.hostile import Hostile, Visit, answering, hosted, message
from tests.postbacks import ROUTES, RUNS, Ground, Hasty, Order, Platform, ground, json_reply
from tests.test_hostile_tls import CERTIFICATES
from tests.wire import OK, Way
from tests.workspaces import balanced, leads

TWO = tuple(way for way in RUNS if way.name in ("lane", "proxy"))
SECURE = tuple(way for way in RUNS if way.tls)
MINUTE = 60.0


def leaping(seconds: float, when: Hostile, visits: int) -> Edge:
    """A clock that leaps ahead as soon as the server has been visited so often."""
    return Edge(random=Hasty, clock=lambda: time.monotonic() + (seconds if len(when.visits) >= visits else 0.0))


def delivered(route: str) -> tuple[str, str]:
    return "delivered", "accepted" if route == "update" else "conversion"


# 10: connections that never come about.


@pytest.mark.parametrize("way", SECURE, ids=str)
@pytest.mark.parametrize("certificate", CERTIFICATES)
def test_a_bad_certificate_is_tried_a_few_times_and_named_in_the_results(
    tmp_path: Path, way: Way, certificate: str
) -> None:
    make, named = CERTIFICATES[certificate]
    platform = Platform()
    server = Hostile(platform, tls=make())
    front = Hostile(lambda visit: visit.tunnel(server.port))
    with hosted(server), ground(tmp_path, way, platform, server=front) as site:
        site.job("once")
        site.rows(leads(2))
        site.edge = leaping(16 * MINUTE, front, visits=3)
        summary = site.run()
    outcomes = site.workspace.outcomes(summary)
    assert (summary["exit_code"], set(site.ends(summary).values())) == (1, {("failed", "tls")})
    assert all(detail.startswith("certificate verify failed: ") for detail in outcomes["detail"])
    assert all(named in detail for detail in outcomes["detail"])
    assert (len(front.visits), platform.orders, server.visits) == (4, [], [])


@pytest.mark.parametrize("way", SECURE, ids=str)
def test_a_certificate_that_is_mended_meanwhile_lets_the_run_go_on(tmp_path: Path, way: Way) -> None:
    platform = Platform()
    good, bad = way.serve(platform), Hostile(platform, tls=CERTIFICATES["expired"][0]())

    async def front(visit: Visit) -> None:
        await visit.tunnel(bad.port if len(relay.visits) <= 3 else good.port)

    relay = Hostile(front)
    with hosted(good, bad), ground(tmp_path, way, platform, server=relay) as site:
        site.job("once")
        site.rows(leads(6))
        summary = site.run()
    assert summary["rows"]["delivered"] == len(platform.fired) == len(platform.orders) == 6
    assert summary["requests"]["retried"] == 3


# 12: connections closed whenever the server likes.


@pytest.mark.parametrize("way", RUNS, ids=str)
@pytest.mark.parametrize("route", ROUTES)
def test_a_server_that_closes_after_every_few_replies_loses_no_row_and_doubles_none(
    tmp_path: Path, way: Way, route: str
) -> None:
    random = Random(12)
    platform = Platform(dedupes=route == "deduped")

    async def fickle(visit: Visit) -> None:
        left = random.randint(1, 7)

        async def behave(visit: Visit, order: Order) -> None:
            nonlocal left
            left -= 1
            await platform.serve(visit, order)
            if not left:
                await asyncio.sleep(random.choice([0, 0.0005, 0.001, 0.002]))
                await visit.close()

        platform_now = Platform(behave)
        platform_now.orders, platform_now.fired = platform.orders, platform.fired
        await platform_now(visit)

    with ground(tmp_path, way, platform, server=Hostile(fickle, tls=way.serve()._tls)) as site:
        site.job(route, delivery="rate = 400\nconcurrency = 4")
        site.rows(leads(300))
        summary = site.run()
    outcomes = site.workspace.outcomes(summary)
    balanced(summary, outcomes)
    fired, ends = Counter(platform.fired), site.ends(summary)
    doubtful = {lead for lead, (outcome, _) in ends.items() if outcome == "unknown"}
    assert {lead for lead in ends if fired[lead]} >= ends.keys() - doubtful
    if route != "update":
        assert max(fired.values()) == 1
    if route != "once":
        assert doubtful == set()
    assert len(doubtful) < 100
    evidence = outcomes["redirect_url" if route == "update" else "conversion_id"]
    pairs = zip(outcomes["transaction_id"], evidence, strict=True)
    assert all(mark in ("", f"{lead}#{mark.rpartition('#')[2]}") for lead, mark in pairs)


# 14, and the rest: replies that come one too many, at any time.


@pytest.mark.parametrize("way", RUNS, ids=str)
def test_no_row_gets_another_rows_reply_however_late_a_second_one_comes(tmp_path: Path, way: Way) -> None:
    """Each reply is said twice, the second time a little later: at once, between two requests, or behind the next."""
    random = Random(14)

    async def twice(visit: Visit, order: Order) -> None:
        reply = platform.fire(order)
        await visit.send(reply)
        if pause := random.choice([0, 0, 0.0002, 0.001, 0.003]):
            await asyncio.sleep(pause)
        await visit.send(reply)

    platform = Platform(twice)
    with ground(tmp_path, way, platform) as site:
        site.job("deduped", delivery="max_attempts = 30\nrate = 300")
        site.rows(leads(120))
        summary = site.run()
    outcomes = site.workspace.outcomes(summary)
    assert max(Counter(platform.fired).values()) == 1
    assert set(outcomes["outcome"]) <= {"delivered", "already_delivered"}
    told = outcomes.filter(outcomes["conversion_id"] != "")
    assert told["conversion_id"].to_list() == [f"{lead}#1" for lead in told["transaction_id"]]
    assert told.height > 60


# 15: how long to wait.


def limited(*fields: str, status: str = "429 Too Many Requests") -> bytes:
    return message(status, b"{}", *fields)


def waits(site: Ground, reply: bytes) -> float:
    """Seconds from a first request answered so to the next one."""
    stamps: list[float] = []

    async def behave(visit: Visit, order: Order) -> None:
        stamps.append(time.monotonic())
        if order.number == 0:
            await visit.send(reply)
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
UNSAID = ("X: 1", "Retry-After: -5", "Retry-After: 1.5", "Retry-After: soon", "Retry-After: ")
FOR_EVER = ("999999", "9" * 400, formatdate(4_000_000_000, usegmt=True))


@pytest.mark.parametrize("way", TWO, ids=str)
@pytest.mark.parametrize("field", SOON)
def test_a_wait_that_is_over_is_none(tmp_path: Path, way: Way, field: str) -> None:
    with ground(tmp_path, way, Platform()) as site:
        assert waits(site, limited(field)) < 0.9


@pytest.mark.parametrize("way", TWO, ids=str)
@pytest.mark.parametrize("status", ["429 Slow", "503 Unavailable"])
def test_everyone_waits_for_as_long_as_they_are_told(tmp_path: Path, way: Way, status: str) -> None:
    with ground(tmp_path, way, Platform()) as site:
        assert 1.0 <= waits(site, limited("Retry-After: 1", "Retry-After: 900", status=status)) < 2.5


def test_and_until_a_date(tmp_path: Path) -> None:
    with ground(tmp_path, RUNS[0], Platform()) as site:
        assert 0.2 <= waits(site, limited(f"Retry-After: {formatdate(time.time() + 1.9, usegmt=True)}")) < 3.0


@pytest.mark.parametrize("field", UNSAID)
def test_where_nobody_says_how_long_it_is_a_second_or_so(tmp_path: Path, field: str) -> None:
    with ground(tmp_path, RUNS[0], Platform()) as site:
        assert 1.0 <= waits(site, limited(field)) < 2.5


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
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_stops_the_run_and_the_other_host_is_not_even_called(
    tmp_path: Path, way: Way, route: str, status: int
) -> None:
    elsewhere = Hostile(answering(OK))

    async def behave(visit: Visit, order: Order) -> None:
        location = f"Location: {elsewhere.url}/api/event/global/org_sandbox"
        await visit.send(message(f"{status} Elsewhere", b"", location))

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
        assert again["rows"]["delivered"] == (30 - len(sent) if route == "once" else 30)
    assert elsewhere.visits == []


# 17: locks and sources.


@pytest.mark.parametrize("way", RUNS, ids=str)
@pytest.mark.parametrize("route", ROUTES)
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


# 19: the platform dies.


@pytest.mark.parametrize("way", RUNS, ids=str)
@pytest.mark.parametrize("route", ["update", "deduped"])
def test_while_the_platform_is_dead_few_requests_go_out_and_then_the_run_goes_on(
    tmp_path: Path, way: Way, route: str
) -> None:
    died: list[float] = []
    attempts = 0

    def dead() -> bool:
        if not died and len(platform.fired) >= 40:
            died.append(time.monotonic())
        return bool(died) and time.monotonic() < died[0] + 1.0

    async def behave(visit: Visit, order: Order) -> None:
        nonlocal attempts
        if dead():
            attempts += 1
            await visit.close()
        else:
            await platform.serve(visit, order)

    platform = Platform(behave)
    with ground(tmp_path, way, platform) as site:
        site.job(route)
        site.rows(leads(200))
        summary = site.run()
    assert (summary["exit_code"], summary["rows"]["delivered"]) == (0, 200)
    assert sorted(platform.fired) == leads(200)
    assert 5 <= attempts <= 5 + 4 + 5, "until the circuit opened, those in flight then, a probe each 0.2 s"


@pytest.mark.parametrize("way", TWO, ids=str)
def test_a_platform_that_stays_dead_ends_the_run_after_half_an_hour_and_says_what_was_wrong(
    tmp_path: Path, way: Way
) -> None:
    async def dead(visit: Visit) -> None:
        await visit.request()
        await visit.close()

    platform = Platform()
    server = way.serve(dead)
    with ground(tmp_path, way, platform, server=server) as site:
        site.job("update")
        site.rows(leads(50))
        site.edge = leaping(31 * MINUTE, server, visits=7)
        summary = site.run()
    assert (summary["exit_code"], summary["stopped_by"]) == (69, "circuit_open")
    assert summary["rows"]["not_attempted"] == 50
    assert len(server.requests) <= 5 + 4 + 2


@pytest.mark.parametrize("way", TWO, ids=str)
def test_failures_beyond_their_bound_stop_the_run_before_the_list_is_burnt(tmp_path: Path, way: Way) -> None:
    async def behave(visit: Visit, order: Order) -> None:
        if order.number % 4:
            await platform.serve(visit, order)
        else:
            platform.fire(order)
            await visit.send(json_reply("400 Bad Request", {"message": "No lead found"}))

    platform = Platform(behave)
    with ground(tmp_path, way, platform) as site:
        site.job("once", delivery="max_failures = 10")
        site.rows(leads(400))
        summary = site.run()
    assert (summary["exit_code"], summary["stopped_by"]) == (4, "max_failures")
    assert 10 < summary["rows"]["rejected"] <= 10 + 4
    assert len(platform.orders) <= 11 * 4 + 4


# 20 and 21.


@pytest.mark.parametrize("way", RUNS, ids=str)
def test_a_slow_update_is_not_overtaken_by_the_next_one_of_its_lead(tmp_path: Path, way: Way) -> None:
    order_of_cities: list[str] = []

    async def behave(visit: Visit, order: Order) -> None:
        if order.body["city"] == "first" and order.times == 1:
            await asyncio.sleep(0.15)
            await visit.close()  # and then it fails, too: once more
        else:
            if order.lead == "slow":
                order_of_cities.append(order.body["city"])
            await platform.serve(visit, order)

    platform = Platform(behave)
    with ground(tmp_path, way, platform) as site:
        site.job("update")
        others = leads(30)
        cities = ["first", "second", "third"]
        site.rows(["slow", *others, "slow", "slow"], City=[cities[0], *["Rome"] * 30, *cities[1:]])
        summary = site.run()
    assert summary["rows"]["delivered"] == 33
    assert order_of_cities == cities
    assert set(platform.fired[:30]) == set(others), "they did not wait for it"


@pytest.mark.parametrize("way", RUNS, ids=str)
@pytest.mark.parametrize("route", ROUTES)
def test_all_workers_dropped_at_once_and_more_drops_than_workers_leave_every_row_settled(
    tmp_path: Path, way: Way, route: str
) -> None:
    workers, drops = 8, 12
    together = asyncio.Event()

    async def behave(visit: Visit, order: Order) -> None:
        if order.number >= drops:
            await platform.serve(visit, order)
            return
        if order.number == workers - 1:
            together.set()
        await together.wait()
        visit.reset()

    platform = Platform(behave)
    with ground(tmp_path, way, platform) as site:
        site.job(route, delivery=f"concurrency = {workers}")
        site.rows(leads(60))
        summary = site.run()
    ends = Counter(site.ends(summary).values())
    lost = drops if route == "once" else 0
    assert ends == Counter({delivered(route): 60 - lost, ("unknown", "dropped"): lost})
    assert sorted(platform.fired) == sorted({order.lead for order in platform.orders[drops:]})
    assert len(platform.orders) == 60 + drops - lost
