"""Whole runs against a platform that is not there, closes, drops, dies and comes back, by each way of sending."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest
from anyio.from_thread import start_blocking_portal

from batchpost.edge import Edge
from batchpost.tally import Tally
from tests.hostile import Hostile, Visit, hosted
from tests.postbacks import CROSSED, RUNS, TWO, Hasty, Order, Platform, delivered, ground, json_reply
from tests.test_hostile_tls import CERTIFICATES
from tests.wire import Way, closed_port
from tests.workspaces import Onlooker, balanced, leads, once

SECURE = tuple(way for way in RUNS if way.tls)
MINUTE = 60.0


def leaping(seconds: float, when: Callable[[], bool]) -> Edge:
    """A clock that leaps ahead as soon as something holds."""
    return Edge(random=Hasty, clock=lambda: time.monotonic() + (seconds if when() else 0.0))


# 10: connections that never come about.


@pytest.mark.parametrize("way", TWO, ids=str)
@pytest.mark.parametrize("reason", ["connect_refused", "dns"])
def test_what_never_comes_about_is_given_up_after_a_quarter_of_an_hour(tmp_path: Path, way: Way, reason: str) -> None:
    seen: list[Tally] = []
    with ground(tmp_path, way, Platform()) as site:
        nowhere = 'proxy = "http://name.invalid:9"' if way.proxy else 'base_url = "https://name.invalid"'
        site.job("once", api=site.by_way_of(closed_port()) if reason == "connect_refused" else nowhere)
        site.rows(leads(1))
        site.edge = leaping(16 * MINUTE, lambda: bool(seen) and seen[0].requests >= 4)
        summary = site.run(Onlooker(on_progress=seen.append))
    assert (summary["exit_code"], summary["requests"]) == (1, {"sent": 4, "retried": 3})
    assert set(site.ends(summary).values()) == {("failed", reason)}
    assert site.server.visits == []


@pytest.mark.parametrize("way", RUNS, ids=str)
def test_what_is_not_there_yet_gets_every_row_once_when_it_is(tmp_path: Path, way: Way) -> None:
    """Nothing was sent to what refuses a connection, so the very rows that may not go out twice are tried again."""
    platform = Platform(dedupes=False)
    seen: list[Tally] = []
    with start_blocking_portal() as portal, ExitStack() as stack, ground(tmp_path, way, platform) as site:
        late = Hostile(lambda visit: visit.tunnel(site.door))
        late.reserve()
        site.job("once", api=site.by_way_of(late.port))
        site.rows(leads(20))

        def opens() -> None:
            stack.enter_context(portal.wrap_async_context_manager(late))

        with once(lambda: bool(seen) and seen[0].requests >= 9, opens):
            summary = site.run(Onlooker(on_progress=seen.append))
    assert (summary["exit_code"], summary["rows"]["delivered"]) == (0, 20)
    assert sorted(platform.fired) == leads(20)
    assert 8 <= summary["requests"]["retried"] < 20, "few went out in vain: the circuit was open"


@pytest.mark.parametrize("way", SECURE, ids=str)
@pytest.mark.parametrize("certificate", ["unknown authority", "self-signed", "wrong host", "expired"])
def test_a_bad_certificate_is_tried_a_few_times_and_named_in_the_results(
    tmp_path: Path, way: Way, certificate: str
) -> None:
    make, named = CERTIFICATES[certificate]
    platform = Platform()
    server = Hostile(platform, tls=make())
    front = Hostile(lambda visit: visit.tunnel(server.port))
    with hosted(server), ground(tmp_path, way, platform, server=front) as site:
        site.job("once")
        site.rows(leads(1))
        site.edge = leaping(16 * MINUTE, lambda: len(front.visits) >= 4)
        summary = site.run()
    assert (summary["exit_code"], set(site.ends(summary).values())) == (1, {("failed", "tls")})
    [detail] = site.workspace.outcomes(summary)["detail"]
    assert detail.startswith("certificate verify failed: ")
    assert named in detail
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


@pytest.mark.parametrize(("way", "route"), CROSSED, ids=str)
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
        site.job(route, delivery="rate = 500")
        site.rows(leads(200))
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
    assert len(doubtful) <= len(site.server.visits), "a connection that closes costs one row at most"
    evidence = outcomes["redirect_url" if route == "update" else "conversion_id"]
    pairs = zip(outcomes["transaction_id"], evidence, strict=True)
    assert all(mark in ("", f"{lead}#{mark.rpartition('#')[2]}") for lead, mark in pairs)


# 14, and the rest: replies that come one too many, at any time.


@pytest.mark.parametrize("way", RUNS, ids=str)
def test_no_row_gets_another_rows_reply_however_late_a_second_one_comes(tmp_path: Path, way: Way) -> None:
    """Each reply that names its row is said twice, the second time a little later: at once, between two requests, or
    behind the next. (Of one that names none nobody could tell, once a request has gone out, that it is not its reply.)
    """
    random = Random(14)

    async def twice(visit: Visit, order: Order) -> None:
        reply = platform.fire(order)
        await visit.send(reply)
        if pause := random.choice([0, 0, 0.0002, 0.001, 0.003]):
            await asyncio.sleep(pause)
        if order.lead.encode() in reply:
            await visit.send(reply)

    platform = Platform(twice)
    with ground(tmp_path, way, platform) as site:
        site.job("deduped", delivery="max_attempts = 30\nrate = 300")
        site.rows(leads(100))
        summary = site.run()
    outcomes = site.workspace.outcomes(summary)
    assert max(Counter(platform.fired).values()) == 1
    assert set(outcomes["outcome"]) <= {"delivered", "already_delivered"}
    told = outcomes.filter(outcomes["conversion_id"] != "")
    assert told["conversion_id"].to_list() == [f"{lead}#1" for lead in told["transaction_id"]]
    assert told.height > 50


# 19: the platform dies.


@pytest.mark.parametrize("way", TWO, ids=str)
@pytest.mark.parametrize("route", ["update", "deduped"])
def test_while_the_platform_is_dead_few_requests_go_out_and_then_the_run_goes_on(
    tmp_path: Path, way: Way, route: str
) -> None:
    """It dies with a request of each connection in its hands, so that no reply from before is still to be read."""
    died: list[float] = []
    attempts = held = 0
    all_held = asyncio.Event()

    async def behave(visit: Visit, order: Order) -> None:
        nonlocal attempts, held
        if not died and len(platform.fired) >= 40:
            held += 1
            if held == 4:
                died.append(time.monotonic())
                all_held.set()
            await all_held.wait()
        if died and (attempts < 5 or time.monotonic() < died[0] + 0.7):
            attempts += 1
            await visit.close()
        else:
            await platform.serve(visit, order)

    platform = Platform(behave)
    with ground(tmp_path, way, platform) as site:
        site.job(route)
        site.rows(leads(120))
        summary = site.run()
    assert (summary["exit_code"], summary["rows"]["delivered"]) == (0, 120)
    assert sorted(platform.fired) == leads(120)
    assert 5 <= attempts <= 5 + 3 + 4, "until the circuit opened, those in flight then, a probe each 0.2 s"


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
        # Five failures open the circuit, and three more requests may be under way then: the ninth is a probe.
        site.edge = leaping(31 * MINUTE, lambda: len(server.visits) >= 9)
        summary = site.run()
    assert (summary["exit_code"], summary["stopped_by"]) == (69, "circuit_open")
    why = "the last attempt: the connection ended before a reply"
    assert summary["message"] == f"The platform has not served a request for 30 minutes ({why})"
    assert summary["rows"]["not_attempted"] == 50
    assert len(server.requests) <= 5 + 3 + 2


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


# 20 and 21: slow, and all at once.


@pytest.mark.parametrize("way", RUNS, ids=str)
def test_a_slow_update_is_not_overtaken_by_the_next_one_of_its_lead(tmp_path: Path, way: Way) -> None:
    order_of_cities: list[str] = []
    others_are_done = asyncio.Event()

    async def behave(visit: Visit, order: Order) -> None:
        if order.body["city"] == "first" and order.times == 1:
            await others_are_done.wait()
            await visit.close()  # and then it fails, too: once more
            return
        if order.lead == "slow":
            order_of_cities.append(order.body["city"])
        await platform.serve(visit, order)
        if len(platform.fired) == 30:
            others_are_done.set()

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


@pytest.mark.parametrize(("way", "route"), CROSSED, ids=str)
def test_all_workers_dropped_at_once_and_more_drops_than_workers_leave_every_row_settled(
    tmp_path: Path, way: Way, route: str
) -> None:
    workers, drops = 8, 10
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


# 22: ids that mean something elsewhere.

IDS = [
    *("a/b", "../../x", "..x", "a?b=c", "a#b", "a b", "ü", "a%2Fb", "A.b~C", "a%2fB", "a:b@c", "a;b", "a\\b", "a+b"),
    *("[a]", "a|b", "\u05d0a", "AbCdEf", "ABCDEF", "http://other.invalid/x", "//other.invalid/x"),
]
FIELDS = ["Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Authorization", "Content-Length"]


@pytest.mark.parametrize("way", RUNS, ids=str)
def test_an_id_stays_one_segment_of_the_path_and_arrives_as_it_is(tmp_path: Path, way: Way) -> None:
    platform = Platform()
    with ground(tmp_path, way, platform) as site:
        site.job("update", api='campaign_id = { column = "Campaign" }', delivery="concurrency = 1")
        site.rows(IDS, Campaign=IDS)
        summary = site.run()
    assert (summary["exit_code"], len(platform.orders)) == (0, len(IDS))
    paths = []
    for order in platform.orders:
        line, *fields = order.head.decode("ascii").split("\r\n")
        paths.append(line.replace(f"POST {site.server.url}/", "POST /"))  # as proxies want it
        assert [field.partition(":")[0] for field in fields] == FIELDS
    assert paths == [f"POST /api/lead/update/{quote(each, safe='')} HTTP/1.1" for each in IDS]
    assert [order.lead for order in platform.orders] == IDS
