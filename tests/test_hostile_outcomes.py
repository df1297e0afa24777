"""Whole runs against every fault at once: each row ends as the table says, and the platform's record agrees."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from batchpost.replies import MAX_BODY
from tests.hostile import Visit, message
from tests.postbacks import ROUTES, RUNS, TWO, Order, Platform, ground, json_reply
from tests.wire import Way
from tests.workspaces import balanced

Deed = Callable[[Platform, Visit, Order], Awaitable[None]]


def says(reply: bytes, *, done: bool = False, then: str = "") -> Deed:
    """Answers so, with the request ``done`` or not, and then may close, cut or reset the connection."""

    async def deed(platform: Platform, visit: Visit, order: Order) -> None:
        if done:
            platform.fire(order)
        if reply:
            await visit.send(reply)
        if then == "reset":
            visit.reset()
        if then:
            await visit.close()

    return deed


def half(place: float) -> Deed:
    """Does it, and says the first part of a true reply."""

    async def deed(platform: Platform, visit: Visit, order: Order) -> None:
        reply = platform.fire(order)
        await visit.send(reply[: round(len(reply) * place)])
        await visit.close()

    return deed


def wrapped(wrap: Callable[[bytes], bytes]) -> Deed:
    """Does it, and says so in another shape."""

    async def deed(platform: Platform, visit: Visit, order: Order) -> None:
        await visit.send(wrap(platform.fire(order)))

    return deed


def chunked(reply: bytes) -> bytes:
    head, _, body = reply.partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0]
    return b"%b\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (status, len(body), body)


def packed(reply: bytes, cut: int = 0) -> bytes:
    body = gzip.compress(reply.partition(b"\r\n\r\n")[2])
    return message("200 OK", body[: len(body) - cut], "Content-Encoding: gzip")


def padded(size: int) -> Callable[[bytes], bytes]:
    def wrap(reply: bytes) -> bytes:
        return message("200 OK", reply.partition(b"\r\n\r\n")[2].ljust(size))

    return wrap


def with_field(field: bytes) -> Callable[[bytes], bytes]:
    return lambda reply: reply.replace(b"\r\n", b"\r\n" + field + b"\r\n", 1)


def after(interim: bytes) -> Callable[[bytes], bytes]:
    return lambda reply: interim + reply


class Fault(NamedTuple):
    """What happens to the first request of a row, and how it ends by route: its outcome and reason, how many requests
    it took. ``done``: the first one had its effect."""

    deed: Deed
    update: str
    deduped: str
    once: str
    requests: tuple[int, int, int]
    done: bool = False


def unclear(deed: Deed, reason: str, *, done: bool) -> Fault:
    """Nobody knows whether it was done: again, where that is harmless or refused."""
    second = "already_delivered confirmed_duplicate" if done else "delivered conversion"
    return Fault(deed, "delivered accepted", second, f"unknown {reason}", (2, 2, 1), done)


def final(deed: Deed, end: str, *, done: bool = False, update: str = "") -> Fault:
    """The same end by every route, at once."""
    return Fault(deed, update or end, end, end, (1, 1, 1), done)


def taken(deed: Deed) -> Fault:
    return final(deed, "delivered conversion", done=True, update="delivered accepted")


def refusal(status: str, body: object) -> bytes:
    return json_reply(status, body)


TOO_LONG = message("200 OK", b" " * (MAX_BODY + 1))
MORE = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + b"x" * 100
FAULTS: dict[str, Fault] = {
    # 11: sent, and no whole reply
    "closed": unclear(says(b"", then="close"), "dropped", done=False),
    "closed-done": unclear(says(b"", then="close", done=True), "dropped", done=True),
    "reset": unclear(says(b"", then="reset"), "dropped", done=False),
    "reset-done": unclear(says(b"", then="reset", done=True), "dropped", done=True),
    "half-status": unclear(half(0.01), "dropped", done=True),
    "half-head": unclear(half(0.15), "dropped", done=True),
    "half-body": unclear(half(0.7), "incomplete", done=True),
    "almost-all": unclear(half(0.99), "incomplete", done=True),
    "garbage": unclear(says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", done=True), "garbage", done=True),
    "status-099": unclear(says(message("099 Odd")), "garbage", done=False),
    # 13: whole, and not what it should be
    "204": unclear(says(b"HTTP/1.1 204 No Content\r\n\r\n", done=True), "unreadable_reply", done=True),
    "empty-200": unclear(says(message("200 OK", b"")), "unreadable_reply", done=False),
    "html-200": unclear(says(message("200 OK", b"<html>welcome</html>"), done=True), "unreadable_reply", done=True),
    "too-long": unclear(says(TOO_LONG, done=True), "unreadable_reply", done=True),
    "cut-gzip": unclear(wrapped(lambda reply: packed(reply, 5)), "unreadable_reply", done=True),
    "no-gzip": unclear(says(message("200 OK", b"{}", "Content-Encoding: gzip")), "unreadable_reply", done=False),
    "bomb": unclear(says(packed(b"\r\n\r\n" + b" " * 20_000_000)), "unreadable_reply", done=False),
    "list-200": unclear(says(json_reply("200 OK", [{"status": 200}])), "unreadable_reply", done=False),
    "says-no": final(says(json_reply("200 OK", {"success": False, "reason": "no"})), "rejected refused"),
    "says-500": unclear(says(json_reply("200 OK", {"status": "500"})), "server_error", done=False),
    "status-text": final(says(json_reply("200 OK", {"status": "200"}), done=True), "delivered accepted", done=True),
    "status-number": final(says(json_reply("200 OK", {"status": 201}), done=True), "delivered accepted", done=True),
    "just-1-mb": taken(wrapped(padded(MAX_BODY))),
    "600": unclear(says(message("600 Odd", b"{}")), "server_error", done=False),
    # 14: whole, in another shape
    "chunked": taken(wrapped(chunked)),
    "close": taken(wrapped(with_field(b"Connection: close"))),
    "http-1.0": taken(wrapped(lambda reply: reply.replace(b"HTTP/1.1", b"HTTP/1.0", 1))),
    "continue": taken(wrapped(after(b"HTTP/1.1 100 Continue\r\n\r\n"))),
    "hints": taken(wrapped(after(b"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nLink: </x>\r\n\r\n"))),
    "gzip": final(wrapped(packed), "delivered conversion", done=True, update="delivered accepted"),
    "surplus": taken(wrapped(lambda reply: reply + json_reply("400 Bad Request", {"message": "another row's"}))),
    "too-short": unclear(says(MORE, then="close"), "incomplete", done=False),
    "two-lengths": unclear(wrapped(with_field(b"Content-Length: 3")), "garbage", done=True),
    "10000-fields": unclear(wrapped(with_field(b"\r\n".join([b"X-Field: 123456789"] * 10_000))), "garbage", done=True),
    "413": final(says(refusal("413 Content Too Large", {})), "rejected too_large"),
    # 15: limits on a success are none
    "limits-200": taken(wrapped(with_field(b"Retry-After: 5\r\nX-RateLimit-Remaining: 0"))),
    # 18: nobody says whether a 500 came before or after
    "500": unclear(says(json_reply("500 Error", {"status": "500"})), "server_error", done=False),
    "500-done": unclear(says(json_reply("500 Error", {"status": 500}), done=True), "server_error", done=True),
    "502": unclear(says(message("502 Bad Gateway", b"<html>")), "server_error", done=False),
    "408": unclear(says(message("408 Request Timeout", b"")), "timeout", done=False),
    # 17, and other refusals
    "404": final(says(message("404 Not Found", b"<html>")), "rejected not_found"),
    "no-lead": final(says(refusal("400 Bad Request", {"message": "No lead found"})), "rejected lead_not_found"),
    # a reply to another row
    "misplaced": unclear(says(json_reply("200 OK", {"status": 200, "transaction_id": "x"})), "misplaced", done=False),
}
COUNTED = {"update": 0, "deduped": 1, "once": 2}


def leads() -> list[str]:
    """A row for each fault, with seven good ones behind it: so the circuit stays closed."""
    return [lead for name in FAULTS for lead in (name, *(f"{name}-good-{number}" for number in range(7)))]


def expected(name: str, route: str) -> str:
    if name in FAULTS:
        return str(getattr(FAULTS[name], route))
    return "delivered accepted" if route == "update" else "delivered conversion"


@pytest.mark.parametrize("way", RUNS, ids=str)
@pytest.mark.parametrize("route", ROUTES)
def test_every_fault_ends_its_row_as_the_table_says_and_fires_what_the_books_say(
    tmp_path: Path, way: Way, route: str
) -> None:
    async def behave(visit: Visit, order: Order) -> None:
        if order.lead in FAULTS and order.times == 1:
            await FAULTS[order.lead].deed(platform, visit, order)
        else:
            await platform.serve(visit, order)

    platform = Platform(behave, dedupes=route == "deduped")
    with ground(tmp_path, way, platform) as site:
        site.job(route, delivery="timeout = 20")
        site.rows(leads())
        summary = site.run()
    outcomes = site.workspace.outcomes(summary)
    balanced(summary, outcomes)
    ends = {lead: " ".join(end) for lead, end in site.ends(summary).items()}
    assert ends == {lead: expected(lead, route) for lead in leads()}

    arrivals = Counter(order.lead for order in platform.orders)
    assert {name: arrivals[name] for name in FAULTS} == {
        name: fault.requests[COUNTED[route]] for name, fault in FAULTS.items()
    }
    assert summary["requests"]["sent"] == len(platform.orders)
    agrees(outcomes.rows(named=True), Counter(platform.fired), route)


def agrees(outcomes: list[dict[str, Any]], fired: Counter[str], route: str) -> None:
    """The platform's record: what was delivered was done, an event never twice, and the evidence is the row's own."""
    for row in outcomes:
        lead, outcome = row["transaction_id"], row["outcome"]
        if outcome in ("delivered", "already_delivered"):
            assert fired[lead] >= 1, lead
            evidence = row["redirect_url"] if route == "update" else row["conversion_id"]
            assert evidence == "" or evidence.startswith(f"{lead}#"), (lead, evidence)
        if outcome == "rejected":
            assert fired[lead] == 0, lead
        if route != "update":
            assert fired[lead] <= 1, lead
    by_row = {row["transaction_id"]: row for row in outcomes}
    unsaid = {"status-text", "status-number"}
    good = [lead for lead in by_row if by_row[lead]["outcome"] == "delivered" and lead not in unsaid]
    assert all(by_row[lead]["redirect_url" if route == "update" else "conversion_id"] for lead in good)


async def _silence(visit: Visit, reply: bytes) -> None:
    await visit.gone()


async def _drip(visit: Visit, reply: bytes) -> None:
    await visit.drip(reply, every=0.1)


async def _hesitate(visit: Visit, reply: bytes) -> None:
    await visit.send(reply[: len(reply) // 2])
    await visit.gone()


LATE = {"silence": _silence, "drip": _drip, "hesitation": _hesitate}


@pytest.mark.parametrize("way", TWO, ids=str)
@pytest.mark.parametrize("route", ROUTES)
def test_a_reply_that_is_not_there_in_time_is_none_though_it_was_done(tmp_path: Path, way: Way, route: str) -> None:
    async def behave(visit: Visit, order: Order) -> None:
        if order.lead in LATE and order.times == 1:
            await LATE[order.lead](visit, platform.fire(order))
        else:
            await platform.serve(visit, order)

    platform = Platform(behave, dedupes=route == "deduped")
    with ground(tmp_path, way, platform) as site:
        site.job(route, delivery="timeout = 1")
        site.rows([*LATE, "good"])
        summary = site.run()
    ends = {lead: " ".join(end) for lead, end in site.ends(summary).items()}
    fault = unclear(says(b""), "timeout", done=True)
    assert ends == {**dict.fromkeys(LATE, getattr(fault, route)), "good": expected("good", route)}
    sent, fired = Counter(order.lead for order in platform.orders), Counter(platform.fired)
    assert sent == {**dict.fromkeys(LATE, fault.requests[COUNTED[route]]), "good": 1}
    assert fired == {lead: count if route == "update" else 1 for lead, count in sent.items()}
