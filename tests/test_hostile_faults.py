"""Requests that were sent and got no whole reply: every way of sending, on real sockets, and where the ways differ."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from batchpost.model import Reply
from batchpost.transport import MaybeSent, NotSent, TransportFault
from tests.hostile import Script, Visit, answering, message
from tests.wire import BODY, OK, PATIENCE, SHORT, TARGET, WAYS, Way, ending, fault_of, result_of, silent

pytestmark = pytest.mark.anyio

PARSERS = tuple(way for way in WAYS if way.name in ("lane", "httpx", "proxy-tls"))  # what they parse is the same bytes


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


@pytest.fixture
def anyio_backend(way: Way) -> tuple[str, dict[str, bool]]:
    return way.backend


def cut_after(*parts: bytes) -> Script:
    """Takes a request, sends some bytes and ends the connection without a word: under TLS, as one who cuts it does."""

    async def script(visit: Visit) -> None:
        await visit.request()
        for part in parts:
            await visit.send(part)
        visit.cut()
        await visit.gone()

    return script


def reset_after(*parts: bytes) -> Script:
    """Takes a request, sends some bytes, and resets the connection once they were read."""

    async def script(visit: Visit) -> None:
        await visit.request()
        for part in parts:
            await visit.send(part)
        await asyncio.sleep(SHORT / 8)  # a reset that overtakes the bytes throws them away
        visit.reset()

    return script


HALF_HEAD = b"HTTP/1.1 200 OK\r\nContent-Le"
HALF_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"
HALF_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"
NO_LAST_CHUNK = HALF_CHUNK + b"1234\r\n"
TO_THE_END = b'HTTP/1.1 200 OK\r\n\r\n{"success"'
BOTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
UPGRADE = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOT_HTTP = {
    "a status that is no number": b"HTTP/1.1 2xx OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 99 OK\r\n\r\n",
    "a status of four digits": message("1000 OK"),
    "status 099": message("099 OK"),
    "status 000": message("000 OK"),
    "a header that is none": b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
    "NUL in a value": message("200 OK", b"{}", "X: a\0b"),
    "NUL in a name": message("200 OK", b"{}", "X\0: ab"),
    "CR in a value": message("200 OK", b"{}", "X: a\rb"),
    "a blank in a name": message("200 OK", b"{}", "X Y: 1"),
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}",
    "a fold before any field": b"HTTP/1.1 200 OK\r\n X: 1\r\nContent-Length: 2\r\n\r\n{}",
    "an upgrade": UPGRADE,
    "a bare 101": b"HTTP/1.1 101 Switching\r\n\r\n" + OK,
    "100 Continue with a body": b"HTTP/1.1 100 C\r\nContent-Length: 3\r\n\r\nabc" + OK,
    "two lengths": message("200 OK", b"{}", "Content-Length: 3"),
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "a length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
    "a length that is hexadecimal": b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n{}",
    "a length of 30 digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n{}",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n{}",
    "length and chunks": message("200 OK", b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    "chunks and length": BOTH,
    "chunks that are packed": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "packed, not chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
    "almost chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a byte of HTTP/2": b"\0\0\0\x04\0\0\0\0\0",
    "TLS": b"\x15\x03\x03\0\x02\x02\x28",
}


@pytest.mark.parametrize(
    ("script", "kind_of_fault"),
    [
        pytest.param(ending(), "dropped", id="closed after the request"),
        pytest.param(ending(reset=True), "dropped", id="reset after the request"),
        pytest.param(cut_after(), "dropped", id="cut after the request"),
        pytest.param(ending(b"HTTP/1."), "dropped", id="half a status line"),
        pytest.param(reset_after(b"HTTP/1."), "dropped", id="half a status line and a reset"),
        pytest.param(cut_after(b"HTTP/1."), "dropped", id="half a status line and a cut"),
        pytest.param(ending(HALF_HEAD), "dropped", id="half the headers"),
        pytest.param(reset_after(HALF_HEAD), "dropped", id="half the headers and a reset"),
        pytest.param(cut_after(HALF_HEAD), "dropped", id="half the headers and a cut"),
        pytest.param(ending(CONTINUE), "dropped", id="100 Continue and no more"),
        pytest.param(ending(HALF_BODY), "incomplete", id="half a body"),
        pytest.param(reset_after(HALF_BODY), "incomplete", id="half a body and a reset"),
        pytest.param(cut_after(HALF_BODY), "incomplete", id="half a body and a cut"),
        pytest.param(ending(HALF_CHUNK), "incomplete", id="half a chunk"),
        pytest.param(reset_after(HALF_CHUNK), "incomplete", id="half a chunk and a reset"),
        pytest.param(cut_after(HALF_CHUNK), "incomplete", id="half a chunk and a cut"),
        pytest.param(ending(NO_LAST_CHUNK), "incomplete", id="no last chunk"),
        pytest.param(ending(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "garbage", id="another protocol"),
    ],
)
async def test_a_reply_that_never_becomes_one_leaves_the_request_maybe_sent(
    way: Way, script: Script, kind_of_fault: str
) -> None:
    async with way.serve(script, answering(OK)) as server, way.connect(server) as [transport]:
        fault = await fault_of(transport)
        assert (await transport.post(TARGET, BODY)).status == 201
    assert (type(fault), fault.kind) == (MaybeSent, kind_of_fault)
    assert (len(server.requests), len(server.visits)) == (2, 2)


@pytest.mark.parametrize("way", PARSERS, ids=str, indirect=True)
@pytest.mark.parametrize("reply", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_what_is_not_http_is_garbage_and_costs_the_connection(way: Way, reply: bytes) -> None:
    async with way.serve(ending(reply), answering(OK)) as server, way.connect(server) as [transport]:
        fault = await fault_of(transport)
        assert (await transport.post(TARGET, BODY)).status == 201
    assert (type(fault), fault.kind) == (MaybeSent, "garbage")
    assert (len(server.requests), len(server.visits)) == (2, 2)


@pytest.mark.parametrize("way", [way for way in WAYS if way.tls], ids=str, indirect=True)
@pytest.mark.parametrize(
    ("script", "whole"),
    [
        pytest.param(ending(TO_THE_END), True, id="closed"),
        pytest.param(cut_after(TO_THE_END), False, id="cut"),
        pytest.param(reset_after(TO_THE_END), False, id="reset"),
    ],
)
async def test_under_tls_only_the_word_that_it_closes_completes_a_reply_without_length(
    way: Way, script: Script, whole: bool
) -> None:
    async with way.serve(script) as server, way.connect(server) as [transport]:
        result = await result_of(transport)
    if whole:
        assert isinstance(result, Reply)
        assert (result.status, result.body) == (200, b'{"success"')
    else:
        assert isinstance(result, MaybeSent)
        assert result.kind == "incomplete"


async def test_a_whole_reply_stays_whole_when_the_connection_is_cut_behind_it(way: Way) -> None:
    async with way.serve(cut_after(OK), answering(OK)) as server, way.connect(server) as [transport]:
        assert isinstance(await result_of(transport), Reply)


# One deadline for all of it.


async def dripping(visit: Visit) -> None:
    await visit.request()
    await visit.drip(OK * 10, SHORT / 8)


async def dripping_body(visit: Visit) -> None:
    await visit.request()
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    await visit.drip(b" " * 1_000, SHORT / 8)


async def hinting(visit: Visit) -> None:
    await visit.request()
    while True:
        await visit.send(CONTINUE)
        await asyncio.sleep(SHORT / 8)


async def deaf(visit: Visit) -> None:
    await visit.head()
    await asyncio.sleep(100)


SLOW = {
    "no reply": silent,
    "a byte now and then": dripping,
    "a byte of the body now and then": dripping_body,
    "100 Continue now and then": hinting,
}


async def test_one_deadline_holds_for_the_whole_attempt(way: Way) -> None:
    """A reply that comes on and on, by a byte now and then, is no reply: no single read takes long enough to tell."""
    deadline = SHORT * 2
    found: dict[str, TransportFault] = {}

    async def wait(name: str, script: Script) -> None:
        async with way.serve(script) as server, way.connect(server, timeout=deadline) as [transport]:
            begun = time.monotonic()
            found[name] = await fault_of(transport)
            assert deadline * 0.9 < time.monotonic() - begun < 5

    async with anyio.create_task_group() as group:
        for name, script in SLOW.items():
            group.start_soon(wait, name, script)
    assert {name: (type(fault), fault.kind) for name, fault in found.items()} == dict.fromkeys(
        SLOW, (MaybeSent, "timeout")
    )


async def test_the_deadline_holds_for_a_request_that_is_not_read(way: Way) -> None:
    async with way.serve(deaf) as server, way.connect(server, timeout=SHORT * 2) as [transport]:
        begun = time.monotonic()
        fault = await fault_of(transport, b"x" * 20_000_000)
        assert SHORT < time.monotonic() - begun < 5
    assert (type(fault), fault.kind) == (MaybeSent, "timeout")


# Replies before their time.


async def test_a_refusal_before_all_was_sent_is_the_reply(way: Way) -> None:
    async def refusing(visit: Visit) -> None:
        await visit.head()
        await visit.send(message("413 Content Too Large", b"{}", "Connection: close"))
        await visit.gone()  # reads on and throws away, as nginx does

    async with way.serve(refusing, answering(OK)) as server, way.connect(server) as [transport]:
        reply = await transport.post(TARGET, b"x" * 20_000_000)
        assert (await transport.post(TARGET, BODY)).status == 201
    assert (reply.status, reply.body) == (413, b"{}")


async def test_after_a_refusal_before_all_was_sent_no_request_follows_half_of_another(way: Way) -> None:
    """The lane stops in mid-request and so gives the connection up; httpx reads only when it has sent all."""

    async def hasty(visit: Visit) -> None:
        await visit.head()
        await visit.send(message("400 Bad Request", b"{}"))
        await visit.body(20_000_000)
        await answering(OK)(visit)

    async with way.serve(hasty, answering(OK)) as server, way.connect(server, timeout=5) as [transport]:
        assert (await transport.post(TARGET, b"x" * 20_000_000)).status == 400
        assert (await transport.post(TARGET, BODY)).status == 201
    assert (len(server.requests), len(server.visits)) == (1, 1 if way.httpx else 2)


async def test_after_a_refusal_and_a_reset_the_request_is_refused_or_maybe_sent_but_never_not_sent(way: Way) -> None:
    """A reset may overtake the refusal in any kernel on the way, so either is right."""

    async def refusing(visit: Visit) -> None:
        await visit.head()
        await visit.send(message("413 Content Too Large", b"{}"))
        visit.reset()

    async with way.serve(refusing, answering(OK)) as server, way.connect(server) as [transport]:
        result = await result_of(transport, b"x" * 20_000_000)
        assert (await transport.post(TARGET, BODY)).status == 201
    assert isinstance(result, MaybeSent) or (isinstance(result, Reply) and result.status == 413)


async def test_a_reply_that_was_there_before_the_request_answers_no_later_one(way: Way) -> None:
    """The lane may see it in time and send nothing; else it is the first request's, as far as anybody can tell."""

    async def talking(visit: Visit) -> None:
        await visit.send(message("200 OK", b"early"))
        await visit.request()
        await visit.send(OK)
        await visit.gone()

    async with way.serve(talking, answering(OK)) as server, way.connect(server) as [transport]:
        first = await result_of(transport)
        await asyncio.sleep(SHORT / 8)  # what is behind a proxy has come through
        second = await result_of(transport)
    assert isinstance(first, NotSent) or (isinstance(first, Reply) and first.body == b"early")
    assert isinstance(second, Reply)
    assert second.body == b'{"status":"201"}'


# Where the two parsers differ.


def reply_of(*fields: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    return message(status, b"{}", *fields, version=version)


def chunks(framed: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed


SAME_LENGTHS = reply_of("Content-Length: 2")
LISTED_LENGTHS = b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}"
LINE_FEEDS = b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"
TWICE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
# What it is -> what came, what the lane (llhttp) makes of it, what httpx (h11) makes of it.
DIFFERENCES = {
    "the same length twice": (SAME_LENGTHS, "garbage", "200, kept"),
    "the same length in a list": (LISTED_LENGTHS, "garbage", "200, kept"),
    "chunked twice": (TWICE, "200, kept", "garbage"),
    "a fold": (reply_of("X: a\r\n b"), "garbage", "200, kept"),
    "a control character": (reply_of("X: a\x01b"), "garbage", "200, kept"),
    "DEL": (reply_of("X: a\x7fb"), "garbage", "200, kept"),
    "a bare line feed in the head": (LINE_FEEDS, "garbage", "200, kept"),
    "HTTP/1.2": (reply_of(version="1.2"), "garbage", "200, kept"),
    "HTTP/2.0": (reply_of(version="2.0"), "200, closed", "200, kept"),
    "HTTP/1.0 that stays": (reply_of("Connection: keep-alive", version="1.0"), "200, kept", "200, closed"),
    "Proxy-Connection": (reply_of("Proxy-Connection: close"), "200, closed", "200, kept"),
    "an empty line before it": (b"\r\n" + reply_of(), "200, kept", "garbage"),
    "an empty line behind it": (reply_of() + b"\r\n", "200, kept", "200, closed"),
    "100 Continue that closes": (b"HTTP/1.1 100 C\r\nConnection: close\r\n\r\n" + OK, "garbage", "201, kept"),
    "100 Continue of HTTP/1.0": (b"HTTP/1.0 100 C\r\n\r\n" + OK, "garbage", "201, kept"),
    "a blank after a chunk's size": (chunks(b"2 \r\n{}\r\n0\r\n\r\n"), "garbage", "200, kept"),
    "a chunk's size with 0x": (chunks(b"0x2\r\n{}\r\n0\r\n\r\n"), "garbage", "incomplete"),
    "a negative chunk": (chunks(b"-2\r\n{}"), "garbage", "incomplete"),
    "a chunk's size that is none": (chunks(b"zz\r\n{}"), "garbage", "incomplete"),
    "a chunk longer than it said": (chunks(b"1\r\n{}\r\n0\r\n\r\n"), "garbage", "incomplete"),
    "a trailer without end": (chunks(b"0\r\n" + b"X: 1\r\n" * 1_500_000), "garbage", "incomplete"),
    "a chunk's extension without end": (chunks(b"1;" + b"x" * 9_000_000), "garbage", "incomplete"),
}


@pytest.mark.parametrize("way", PARSERS, ids=str, indirect=True)
@pytest.mark.parametrize("came", DIFFERENCES)
async def test_where_the_parsers_differ_neither_takes_what_is_not_this_rows_reply(way: Way, came: str) -> None:
    """All differences there are known to be. Where one refuses what the other takes, it is more careful, no more."""
    reply, by_lane, by_httpx = DIFFERENCES[came]

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(reply)
        await answering(message(body=b"second"))(visit)

    async with way.serve(script, answering(message(body=b"second"))) as server, way.connect(server) as [transport]:
        first, second = await result_of(transport), await result_of(transport)
    assert isinstance(second, Reply)
    assert second.body == b"second"
    kept = "kept" if len(server.visits) == 1 else "closed"
    assert (first.kind if isinstance(first, TransportFault) else f"{first.status}, {kept}") == (
        by_httpx if way.httpx else by_lane
    )
    if isinstance(first, Reply):
        assert first.body in (b"{}", b'{"status":"201"}')


async def test_interim_replies_without_end_are_garbage_to_the_lane_and_time_out_with_httpx(way: Way) -> None:
    async def hasty(visit: Visit) -> None:
        await visit.request()
        while True:
            await visit.send(CONTINUE * 1_000)
            await asyncio.sleep(0)

    timeout = SHORT * 2 if way.httpx else PATIENCE
    async with way.serve(hasty) as server, way.connect(server, timeout=timeout) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (MaybeSent, "timeout" if way.httpx else "garbage")
