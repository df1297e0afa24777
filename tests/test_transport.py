"""What every transport promises, tried on a server that misbehaves: the lane on both loops, and httpx."""

from __future__ import annotations

import asyncio
import gzip
import math
import re
import ssl
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
import trustme

from batchpost import __version__
from batchpost.errors import UsageError
from batchpost.lane import Lane, Sweeper
from batchpost.model import Reply, Target
from batchpost.proxied import HttpxTransport
from batchpost.transport import (
    MAX_BODY,
    Heads,
    MaybeSent,
    NotSent,
    Origin,
    Transport,
    TransportFault,
    complete_reply,
    header_map,
    tls_context,
)
from tests.hostile import Hostile, Script, Visit, answering, message
from tests.wire import (
    BODY,
    OK,
    PATIENCE,
    SHORT,
    TARGET,
    authority,
    blocked,
    closed_port,
    ending,
    fault_of,
    serving,
    silent,
    trusting,
)

Open = Callable[..., AbstractAsyncContextManager[list[Transport]]]


@pytest.fixture(params=["lane", "lane-uvloop", "httpx"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend(kind: str) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": kind == "lane-uvloop"}


@pytest.fixture
def connect(kind: str) -> Open:
    """Opens transports of the kind under test: ``connect(url, count=1, timeout=PATIENCE)``."""

    @asynccontextmanager
    async def opened(url: str, *, count: int = 1, timeout: float = PATIENCE) -> AsyncIterator[list[Transport]]:
        heads, sweeper = Heads(Origin.parse(url)), Sweeper(timeout / 10)
        async with AsyncExitStack() as stack:
            made: list[Transport] = [
                HttpxTransport(heads, timeout=timeout, tls=trusting())
                if kind == "httpx"
                else Lane(heads, timeout=timeout, tls=trusting(), sweeper=sweeper)
                for _ in range(count)
            ]
            sweeper.start()
            stack.callback(sweeper.stop)
            for transport in made:
                stack.push_async_callback(transport.aclose)
            yield made

    return opened


# A whole reply.


@pytest.mark.anyio
async def test_requests_go_out_to_the_byte_and_share_one_connection(connect: Open) -> None:
    async with Hostile(answering(OK)) as server, connect(server.url) as [transport]:
        replies = [await transport.post(TARGET, body) for body in (BODY, b"", b"x" * 300_000)]
    head = (
        "POST /api/lead/update/cmp_Canary%2Fa HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{server.port}\r\nUser-Agent: batchpost/{__version__}\r\nAccept: application/json\r\n"
        "Accept-Encoding: identity\r\nContent-Type: application/json\r\nAuthorization: Bearer tok-canary-1\r\n"
        "Content-Length: "
    ).encode()
    bodies = (b"33\r\n\r\n" + BODY, b"0\r\n\r\n", b"300000\r\n\r\n" + b"x" * 300_000)
    assert server.requests == [head + body for body in bodies]
    assert len(server.visits) == 1
    assert replies == [Reply(201, {"content-length": "16"}, b'{"status":"201"}')] * 3


@pytest.mark.anyio
async def test_an_event_carries_no_token(connect: Open) -> None:
    async with Hostile(answering(OK)) as server, connect(server.url) as [transport]:
        await transport.post(Target("/api/event/global/org_1"), BODY)
    assert b"authorization" not in server.requests[0].lower()


CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4;x=y\r\n":1}\r\n0\r\nX-After: 1\r\n\r\n'
GZIPPED = message("200 OK", gzip.compress(b'{"a":1}'), "Content-Encoding: GZip")
DEFLATED = message("200 OK", zlib.compress(b'{"a":1}'), "Content-Encoding: deflate")
BARE_DEFLATE = message("200 OK", zlib.compress(b'{"a":1}', wbits=-15), "Content-Encoding: deflate")
IDENTITY = message("200 OK", b"{}", "Content-Encoding: identity")
HINTS = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 5\r\n\r\n"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, b"", id="304 has no body"),
        pytest.param(message("200 OK", b""), 200, b"", id="empty 200"),
        pytest.param(CHUNKED, 200, b'{"a":1}', id="chunks with a trailer"),
        pytest.param(HINTS + OK, 201, b'{"status":"201"}', id="100 and 103 first"),
        pytest.param(GZIPPED, 200, b'{"a":1}', id="gzip"),
        pytest.param(DEFLATED, 200, b'{"a":1}', id="deflate"),
        pytest.param(BARE_DEFLATE, 200, b'{"a":1}', id="deflate without its wrapper"),
        pytest.param(IDENTITY, 200, b"{}", id="identity"),
        pytest.param(message("200 OK", b"<html>"), 200, b"<html>", id="HTML"),
        pytest.param(message("200 OK", b"x" * MAX_BODY), 200, b"x" * MAX_BODY, id="as long as a body may be"),
        pytest.param(message("307 Elsewhere", b"", "Location: http://other.invalid/"), 307, b"", id="redirect"),
    ],
)
async def test_a_complete_reply_keeps_the_connection(connect: Open, reply: bytes, status: int, body: bytes) -> None:
    async with Hostile(answering(reply, OK)) as server, connect(server.url) as [transport]:
        first, second = await transport.post(TARGET, BODY), await transport.post(TARGET, BODY)
    assert (first.status, first.body, first.oversized, first.garbled) == (status, body, False, False)
    assert (second.status, second.body) == (201, b'{"status":"201"}')
    assert (len(server.requests), len(server.visits)) == (2, 1)


@pytest.mark.anyio
async def test_headers_come_in_lower_case_and_the_first_of_a_name_counts(connect: Open) -> None:
    limited = message("429 Slow", b"", "RETRY-After: 7", "Retry-After: 9", "X-Two:  spaced ")
    async with Hostile(answering(limited, HINTS + OK)) as server, connect(server.url) as [transport]:
        headers = [(await transport.post(TARGET, BODY)).headers for _ in range(2)]
    assert headers == [{"retry-after": "7", "x-two": "spaced", "content-length": "0"}, {"content-length": "16"}]


CLOSE = message("201 Created", b"{}", "Connection: close")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(CLOSE, id="Connection: close"),
        pytest.param(message("201 Created", b"{}", version="1.0"), id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 201 Created\r\n\r\n{}", id="ended by the connection's end"),
        pytest.param(b"HTTP/1.0 201 Created\r\n\r\n{}", id="HTTP/1.0 without length"),
    ],
)
async def test_a_reply_that_ends_the_connection_is_whole_and_the_next_opens_another(
    connect: Open, reply: bytes
) -> None:
    async with Hostile(answering(reply, then_close=True)) as server, connect(server.url) as [transport]:
        replies = [await transport.post(TARGET, BODY) for _ in range(3)]
    assert [(reply.status, reply.body) for reply in replies] == [(201, b"{}")] * 3
    assert (len(server.requests), len(server.visits)) == (3, 3)


@pytest.mark.anyio
async def test_after_connection_close_a_connection_is_let_go_even_if_the_server_holds_it(connect: Open) -> None:
    async with Hostile(answering(CLOSE)) as server, connect(server.url) as [transport]:
        for _ in range(2):
            await transport.post(TARGET, BODY)
    assert len(server.visits) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("surplus", [OK, message("200 OK", b"not yours"), b"garbage", b"HTTP/1.1 2"])
async def test_bytes_after_a_reply_are_never_taken_for_the_next_reply(connect: Open, surplus: bytes) -> None:
    async with Hostile(answering(message(body=b"1") + surplus), answering(OK)) as server, connect(server.url) as [one]:
        bodies = [(await one.post(TARGET, BODY)).body for _ in range(2)]
    assert bodies == [b"1", b'{"status":"201"}']
    assert len(server.visits) == 2


@pytest.mark.anyio
async def test_a_reply_that_nobody_asked_for_closes_the_connection(connect: Open) -> None:
    pushed = anyio.Event()

    async def pushing(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.send(message("408 Request Timeout", b"idle"))
        pushed.set()
        await visit.gone()

    async with Hostile(pushing, answering(OK)) as server, connect(server.url) as [transport]:
        await transport.post(TARGET, BODY)
        await pushed.wait()
        blocked(0.01)
        assert (await transport.post(TARGET, BODY)).status == 201
    assert len(server.visits) == 2


# What a reply may not do to us.


@pytest.mark.anyio
async def test_a_body_of_50_mb_is_thrown_away_and_not_read(connect: Open) -> None:
    async def flooding(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(500):
            await visit.send(b"x" * 100_000)

    async with Hostile(flooding, answering(OK)) as server, connect(server.url) as [transport]:
        reply = await transport.post(TARGET, BODY)
        await server.until_closed(1)
        assert (await transport.post(TARGET, BODY)).status == 201
    assert (reply.status, reply.body, reply.oversized) == (200, b"", True)
    assert server.visits[0].sent < 20_000_000  # what the kernel's two buffers hold, and what we read


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "encoding", "oversized"),
    [
        pytest.param(gzip.compress(b"\0" * 20_000_000, 1), "gzip", True, id="bomb"),
        pytest.param(b'{"a":1}', "gzip", False, id="not gzip"),
        pytest.param(gzip.compress(b'{"a":1}')[:-4], "gzip", False, id="cut off"),
        pytest.param(gzip.compress(b'{"a":1}') + b"tail", "gzip", False, id="more behind it"),
        pytest.param(b"{}", "deflate", False, id="not deflate"),
        pytest.param(b"{}", "br", False, id="an encoding nobody offered"),
    ],
)
async def test_a_body_that_cannot_be_decoded_is_said_to_be(
    connect: Open, body: bytes, encoding: str, oversized: bool
) -> None:
    reply = message("200 OK", body, f"Content-Encoding: {encoding}")
    async with Hostile(answering(reply)) as server, connect(server.url) as [transport]:
        got = await transport.post(TARGET, BODY)
    assert (got.status, got.body, got.oversized, got.garbled) == (200, b"", oversized, not oversized)


@pytest.mark.anyio
@pytest.mark.parametrize(("start", "more"), [(b"X: ", b"x" * 100_000), (b"", b"X: 1\r\n" * 20_000)])
async def test_a_head_without_end_is_garbage(connect: Open, start: bytes, more: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n" + start)
        for _ in range(5):
            await visit.send(more)
        await visit.gone()

    async with Hostile(script) as server, connect(server.url) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (MaybeSent, "garbage")


# Sent, and no complete reply: MaybeSent.

HALF_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"
HALF_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"
UPGRADE = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind_of_fault"),
    [
        pytest.param(ending(), "dropped", id="closed after the request"),
        pytest.param(ending(reset=True), "dropped", id="reset after the request"),
        pytest.param(ending(b"HTTP/1."), "dropped", id="half a status line"),
        pytest.param(ending(b"HTTP/1.1 200 OK\r\nContent-Le"), "dropped", id="half the headers"),
        pytest.param(ending(b"HTTP/1.1 100 Continue\r\n\r\n"), "dropped", id="100 Continue and no more"),
        pytest.param(ending(HALF_BODY), "incomplete", id="half a body"),
        pytest.param(ending(HALF_CHUNK), "incomplete", id="half a chunk"),
        pytest.param(ending(HALF_CHUNK + b"1234\r\n"), "incomplete", id="no last chunk"),
        pytest.param(ending(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "garbage", id="another protocol"),
        pytest.param(ending(b"HTTP/1.1 2xx OK\r\n\r\n"), "garbage", id="a status that is no number"),
        pytest.param(ending(b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n"), "garbage", id="a header that is none"),
        pytest.param(ending(UPGRADE), "garbage", id="an upgrade"),
    ],
)
async def test_a_reply_that_never_becomes_one_leaves_the_request_maybe_sent(
    connect: Open, script: Script, kind_of_fault: str
) -> None:
    async with Hostile(script, answering(OK)) as server, connect(server.url) as [transport]:
        fault = await fault_of(transport)
        assert (await transport.post(TARGET, BODY)).status == 201
    assert (type(fault), fault.kind) == (MaybeSent, kind_of_fault)
    assert (len(server.requests), len(server.visits)) == (2, 2)


async def dripping(visit: Visit) -> None:
    await visit.request()
    await visit.drip(OK * 10, SHORT / 8)


async def deaf(visit: Visit) -> None:
    await visit.head()
    await anyio.sleep_forever()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "body"),
    [
        pytest.param(silent, BODY, id="no reply"),
        pytest.param(dripping, BODY, id="a byte now and then"),
        pytest.param(deaf, b"x" * 20_000_000, id="a request that is not read"),
    ],
)
async def test_one_deadline_holds_for_the_whole_attempt(connect: Open, script: Script, body: bytes) -> None:
    async with Hostile(script) as server, connect(server.url, timeout=SHORT) as [transport]:
        begun = time.monotonic()
        fault = await fault_of(transport, body)
        assert SHORT * 0.9 < time.monotonic() - begun < 5
    assert (type(fault), fault.kind) == (MaybeSent, "timeout")


@pytest.mark.anyio
async def test_a_refusal_before_all_was_sent_is_the_reply(connect: Open) -> None:
    async def refusing(visit: Visit) -> None:
        await visit.head()
        await visit.send(message("413 Content Too Large", b"{}", "Connection: close"))
        await visit.gone()  # reads on and throws away, as nginx does

    async with Hostile(refusing, answering(OK)) as server, connect(server.url) as [transport]:
        reply = await transport.post(TARGET, b"x" * 20_000_000)
        assert (await transport.post(TARGET, BODY)).status == 201
    assert (reply.status, reply.body) == (413, b"{}")


# Not one byte sent: NotSent.


@pytest.mark.anyio
async def test_a_refused_connection_is_not_sent(connect: Open) -> None:
    async with connect(f"http://127.0.0.1:{closed_port()}") as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind, fault.detail) == (NotSent, "connect_refused", "connection refused")


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["name.invalid", "a" * 64 + ".invalid"])
async def test_a_name_that_does_not_resolve_is_not_sent(connect: Open, host: str) -> None:
    async with connect(f"http://{host}:9") as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (NotSent, "dns")


async def plain(visit: Visit) -> None:
    await visit.send(message("400 Bad Request"))
    await visit.gone()


async def hanging_up(visit: Visit) -> None:
    await visit.send(b"")


async def resetting(visit: Visit) -> None:
    visit.reset()


@pytest.mark.anyio
@pytest.mark.parametrize("script", [plain, hanging_up, resetting])
async def test_a_failed_handshake_is_not_sent(connect: Open, script: Script) -> None:
    async with Hostile(script) as server, connect(server.url.replace("http:", "https:")) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (NotSent, "tls")
    assert fault.detail.startswith("TLS handshake failed: ")


@pytest.mark.anyio
async def test_a_handshake_that_is_never_answered_is_not_sent(connect: Open) -> None:
    async with Hostile(Visit.gone) as server:
        async with connect(server.url.replace("http:", "https:"), timeout=SHORT) as [transport]:
            begun = time.monotonic()
            fault = await fault_of(transport)
            assert SHORT * 0.9 < time.monotonic() - begun < 5
        await server.until_closed(1)  # by us: the server only waits
    assert (type(fault), fault.kind) == (NotSent, "connect_timeout")


def self_signed() -> ssl.SSLContext:
    maker = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with maker.private_key_pem.tempfile() as key, maker.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    return context


def expired() -> ssl.SSLContext:
    return serving(leaf=authority().issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC)))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("certificate", "named"),
    [
        (lambda: serving(leaf=trustme.CA().issue_cert("127.0.0.1")), "unable to get local issuer certificate"),
        (self_signed, "self-signed certificate"),
        (lambda: serving("other.example"), "certificate is not valid for"),
        (expired, "certificate has expired"),
    ],
    ids=["unknown authority", "self-signed", "wrong host", "expired"],
)
async def test_a_bad_certificate_is_not_sent_and_named(
    connect: Open, certificate: Callable[[], ssl.SSLContext], named: str
) -> None:
    async with Hostile(answering(OK), tls=certificate()) as server, connect(server.url) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (NotSent, "tls")
    assert fault.detail.startswith("certificate verify failed: ")
    assert named in fault.detail
    assert server.requests == []


@pytest.mark.anyio
async def test_a_trusted_certificate_opens_a_connection_that_is_kept(connect: Open) -> None:
    async with Hostile(answering(GZIPPED, OK), tls=serving("127.0.0.1")) as server, connect(server.url) as [transport]:
        replies = [await transport.post(TARGET, body) for body in (BODY, BODY, b"x" * 3_000_000)]
    assert [reply.body for reply in replies] == [b'{"a":1}', b'{"status":"201"}', b'{"status":"201"}']
    assert (len(server.requests[2]) > 3_000_000, len(server.visits)) == (True, 1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind_of_fault"),
    [(ending(), "dropped"), (ending(reset=True), "dropped"), (ending(HALF_BODY), "incomplete")],
)
async def test_what_may_have_been_sent_is_told_under_tls_too(connect: Open, script: Script, kind_of_fault: str) -> None:
    async with Hostile(script, tls=serving("127.0.0.1")) as server, connect(server.url) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (MaybeSent, kind_of_fault)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "target", [Target("/a\r\nX: 1"), Target("/a b"), Target("/../x"), Target("/a", token="t\r\nX: 1")]
)
async def test_a_target_that_could_change_the_head_never_reaches_the_socket(connect: Open, target: Target) -> None:
    async with Hostile(answering(OK)) as server, connect(server.url) as [transport]:
        with pytest.raises(ValueError, match="must be"):
            await transport.post(target, BODY)
        assert server.visits == []
        assert (await transport.post(TARGET, BODY)).status == 201


# A connection between requests.


@pytest.mark.anyio
async def test_a_connection_that_the_server_closed_while_idle_is_replaced_before_anything_is_sent(
    connect: Open,
) -> None:
    async with Hostile(answering(OK, then_close=True)) as server, connect(server.url) as [transport]:
        for number in range(1, 4):
            assert (await transport.post(TARGET, b"%d" % number)).status == 201
            await server.until_closed(number)
            blocked(0.01)
    assert [request[-1:] for request in server.requests] == [b"1", b"2", b"3"]
    assert len(server.visits) == 3


@pytest.mark.anyio
async def test_a_connection_idle_for_longer_than_allowed_is_replaced(connect: Open) -> None:
    async with Hostile(answering(OK)) as server, connect(server.url) as [transport]:
        for max_idle, connections in ((math.inf, 1), (math.inf, 1), (0.0, 2), (PATIENCE, 2)):
            await transport.post(TARGET, BODY, max_idle=max_idle)
            assert len(server.visits) == connections


@pytest.mark.anyio
async def test_a_cancelled_request_closes_its_connection_and_the_next_opens_another(connect: Open) -> None:
    received = anyio.Event()

    async def late(visit: Visit) -> None:
        await visit.request()
        received.set()
        await visit.gone()

    async with Hostile(late, answering(OK)) as server, connect(server.url) as [transport]:
        async with anyio.create_task_group() as group:
            group.start_soon(transport.post, TARGET, BODY)
            await received.wait()
            group.cancel_scope.cancel()
        assert transport.handed_over
        await server.until_closed(1)
        assert (await transport.post(TARGET, BODY)).status == 201


@pytest.mark.anyio
async def test_cancelled_in_the_handshake_a_transport_lets_go_and_connects_again(connect: Open) -> None:
    accepted = anyio.Event()

    async def waiting(visit: Visit) -> None:
        accepted.set()
        await visit.gone()

    async with (
        Hostile(answering(OK), tls=serving("127.0.0.1")) as origin,
        Hostile(waiting, lambda visit: visit.tunnel(origin.port)) as front,
        connect(front.url.replace("http:", "https:")) as [transport],
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(transport.post, TARGET, BODY)
            await accepted.wait()
            group.cancel_scope.cancel()
        assert not transport.handed_over
        await front.until_closed(1)
        assert (await transport.post(TARGET, BODY)).status == 201


@pytest.mark.anyio
async def test_a_closed_transport_opens_a_new_connection(connect: Open) -> None:
    async with Hostile(answering(OK)) as server, connect(server.url) as [transport]:
        for _ in range(2):
            assert (await transport.post(TARGET, BODY)).status == 201
            await transport.aclose()
            await transport.aclose()
    assert len(server.visits) == 2


@pytest.mark.anyio
async def test_all_connections_dropped_at_once_and_again_leave_no_transport_behind(connect: Open) -> None:
    count = 64
    together = asyncio.Barrier(count)

    async def dropping(visit: Visit) -> None:
        await visit.request()
        await together.wait()
        visit.reset()

    results: list[int | str] = []

    async def work(transport: Transport) -> None:
        for _ in range(3):
            try:
                results.append((await transport.post(TARGET, BODY)).status)
            except TransportFault as fault:
                results.append(fault.kind)

    scripts = [dropping] * (2 * count)
    async with (
        Hostile(*scripts, answering(OK)) as server,
        connect(server.url, count=count) as transports,
        anyio.create_task_group() as group,
    ):
        for transport in transports:
            group.start_soon(work, transport)
    assert (results.count("dropped"), results.count(201)) == (2 * count, count)
    assert len(server.requests) == 3 * count


# What all share.


@pytest.mark.parametrize(
    ("url", "canonical", "host_header", "loopback"),
    [
        ("https://api.pingtree.com", "https://api.pingtree.com:443", "api.pingtree.com", False),
        ("HTTPS://API.PingTree.com:443/", "https://api.pingtree.com:443", "api.pingtree.com", False),
        ("https://api.pingtree.com:8443", "https://api.pingtree.com:8443", "api.pingtree.com:8443", False),
        ("http://localhost", "http://localhost:80", "localhost", True),
        ("http://127.9.0.1:8080", "http://127.9.0.1:8080", "127.9.0.1:8080", True),
        ("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080", True),
        ("http://localhost.evil.example", "http://localhost.evil.example:80", "localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", "http://127.0.0.1.evil.example:80", "127.0.0.1.evil.example", False),
    ],
)
def test_an_origin_has_one_way_of_writing(url: str, canonical: str, host_header: str, loopback: bool) -> None:
    origin = Origin.parse(url)
    assert (str(origin), origin.authority, origin.is_loopback) == (canonical, host_header, loopback)
    assert Origin.parse(str(origin)) == origin


NO_SCHEME_OR_HOST = (
    "",
    "api.pingtree.com",
    "ftp://a",
    "https://",
    "https://:1",
    " https://a",
    "https://a b",
    "https://a\nb",
)
MORE = ("https://a/b", "https://a?b", "https://a#b", "https://u:p@a", "https://@a")
NO_HOST = (
    "https://a:x",
    "https://a:99999",
    "https://ü",
    "https://[::1",
    "https://a..b",
    "https://[x:y]",
    "https://a,b",
)


@pytest.mark.parametrize("url", [*NO_SCHEME_OR_HOST, *MORE, *NO_HOST, "https://[fe80::1%25eth0]"])
def test_a_base_url_that_is_more_or_less_than_an_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be|has no valid|[Pp]ort|IPv6"):
        Origin.parse(url)


BAD_PATHS = ("", "api", "/a\r\nX: 1", "/a\n", "/a\0", "/a b", "/a\tb", "/ü", "/a%0", "/%zz", "/a?b=c", "/a#b")
DOTS = ("/..", "/api/../x", "/./x", "/api/.", "http://other.invalid/x")


@pytest.mark.parametrize("path", [*BAD_PATHS, *DOTS], ids=ascii)
def test_a_path_that_is_not_wholly_encoded_has_no_head(path: str) -> None:
    with pytest.raises(ValueError, match="a request path must be"):
        Heads(Origin("https", "a", 443)).of(Target(path))


@pytest.mark.parametrize("token", ["a\r\nX: 1", "a\n", "a\0", "a b", "ü", "\x7f"], ids=ascii)
def test_a_token_that_is_not_one_word_has_no_head_and_shows_nowhere(token: str) -> None:
    with pytest.raises(ValueError, match=r"^a token must be visible ASCII characters without blanks$"):
        Heads(Origin("https", "a", 443)).of(Target("/a", token=token))


def test_tls_verifies_and_is_1_2_or_later() -> None:
    context = tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_ca_file_is_trusted_beside_the_system_authorities(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    assert len(tls_context(str(path)).get_ca_certs()) == len(tls_context().get_ca_certs()) + 1


def test_a_ca_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for path, reason in ((empty, "no certificate in it"), (tmp_path / "gone.pem", "no such file or directory")):
        with pytest.raises(UsageError, match=rf"^ca_file {re.escape(str(path))}: {reason}$"):
            tls_context(str(path))


@pytest.mark.parametrize(("size", "oversized"), [(MAX_BODY, False), (MAX_BODY + 1, True)])
def test_a_body_is_oversized_from_one_byte_above_the_limit_on(size: int, oversized: bool) -> None:
    for headers, raw in (({}, b"x" * size), ({"content-encoding": "gzip"}, gzip.compress(b"x" * size, 1))):
        body = b"" if oversized else b"x" * size
        assert complete_reply(200, headers, raw) == Reply(200, headers, body, oversized=oversized)


def test_a_bomb_is_not_unpacked_to_find_out_that_it_is_one() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000, 1)
    tracemalloc.start()
    try:
        assert complete_reply(200, {"content-encoding": "gzip"}, bomb).oversized
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BODY
    finally:
        tracemalloc.stop()


def test_header_names_are_folded_and_values_read_as_latin_1() -> None:
    assert header_map([(b"A-b", b"\xe9 X"), (b"a-B", b"second")]) == {"a-b": "\xe9 X"}
