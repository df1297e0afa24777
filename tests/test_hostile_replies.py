"""Whole replies that are odd, and replies that only look whole: every way of sending, on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib

import anyio
import pytest

from batchpost.model import Reply
from batchpost.replies import MAX_BODY, MAX_HEAD
from batchpost.transport import MaybeSent
from tests.hostile import Script, Visit, answering, message
from tests.wire import ALONE, BODY, OK, SHORT, TARGET, WAYS, Way, fault_of, result_of

pytestmark = pytest.mark.anyio


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


@pytest.fixture
def anyio_backend(way: Way) -> tuple[str, dict[str, bool]]:
    return way.backend


# A whole reply.

CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4;x=y\r\n":1}\r\n0\r\nX-After: 1\r\n\r\n'
GZIPPED = message("200 OK", gzip.compress(b'{"a":1}'), "Content-Encoding: GZip")
DEFLATED = message("200 OK", zlib.compress(b'{"a":1}'), "Content-Encoding: deflate")
BARE_DEFLATE = message("200 OK", zlib.compress(b'{"a":1}', wbits=-15), "Content-Encoding: deflate")
HINTS = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 5\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + b"HTTP/1.1 100 C\r\nContent-Length: 0\r\n\r\n"
UPGRADABLE = message("200 OK", b"{}", "Connection: Upgrade", "Upgrade: h2,h2c")
MANY_FIELDS = message("200 OK", b"{}", *[f"X-{number}: {number}" for number in range(3_000)])
LONG_FIELD = message("200 OK", b"{}", f"X: {'x' * 60_000}")


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, b"", id="304 has no body"),
        pytest.param(message("200 OK", b""), 200, b"", id="empty 200"),
        pytest.param(CHUNKED, 200, b'{"a":1}', id="chunks with a trailer"),
        pytest.param(HINTS + OK, 201, b'{"status":"201"}', id="100 and 103 first"),
        pytest.param(PROCESSING + OK, 201, b'{"status":"201"}', id="102 and 100 first"),
        pytest.param(GZIPPED, 200, b'{"a":1}', id="gzip"),
        pytest.param(DEFLATED, 200, b'{"a":1}', id="deflate"),
        pytest.param(BARE_DEFLATE, 200, b'{"a":1}', id="deflate without its wrapper"),
        pytest.param(message("200 OK", b"{}", "Content-Encoding: identity"), 200, b"{}", id="identity"),
        pytest.param(message("200 OK", b"<html>"), 200, b"<html>", id="HTML"),
        pytest.param(UPGRADABLE, 200, b"{}", id="an upgrade is offered"),
        pytest.param(MANY_FIELDS, 200, b"{}", id="3,000 fields"),
        pytest.param(LONG_FIELD, 200, b"{}", id="a field of 60,000 bytes"),
        pytest.param(message("600 Odd", b"{}"), 600, b"{}", id="600"),
        pytest.param(message("999 Odd", b"{}"), 999, b"{}", id="999"),
        pytest.param(message("200 OK", b"{}", "X: \xe9"), 200, b"{}", id="a field that is not ASCII"),
        pytest.param(message("200 OK", b"x" * MAX_BODY), 200, b"x" * MAX_BODY, id="as long as a body may be"),
        *(
            pytest.param(
                message(f"{status} Elsewhere", b"", "Location: http://other.invalid/"), status, b"", id=f"{status}"
            )
            for status in (301, 302, 303, 307, 308)
        ),
    ],
)
async def test_a_complete_reply_keeps_the_connection(way: Way, reply: bytes, status: int, body: bytes) -> None:
    async with way.serve(answering(reply, OK)) as server, way.connect(server) as [transport]:
        first, second = await transport.post(TARGET, BODY), await transport.post(TARGET, BODY)
    assert (first.status, first.body, first.oversized, first.garbled) == (status, body, False, False)
    assert (second.status, second.body) == (201, b'{"status":"201"}')
    assert (len(server.requests), len(server.visits)) == (2, 1)


async def test_headers_come_in_lower_case_and_the_first_of_a_name_counts(way: Way) -> None:
    limited = message("429 Slow", b"", "RETRY-After: 7", "Retry-After: 9", "X-Two:  spaced ")
    async with way.serve(answering(limited, HINTS + OK)) as server, way.connect(server) as [transport]:
        headers = [(await transport.post(TARGET, BODY)).headers for _ in range(2)]
    assert headers == [{"retry-after": "7", "x-two": "spaced", "content-length": "0"}, {"content-length": "16"}]


CLOSE = message("201 Created", b"{}", "Connection: close")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(CLOSE, id="Connection: close"),
        pytest.param(message("201 Created", b"{}", version="1.0"), id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 201 Created\r\n\r\n{}", id="ended by the connection's end"),
        pytest.param(b"HTTP/1.0 201 Created\r\n\r\n{}", id="HTTP/1.0 without length"),
    ],
)
async def test_a_reply_that_ends_the_connection_is_whole_and_the_next_opens_another(way: Way, reply: bytes) -> None:
    async with way.serve(answering(reply, then_close=True)) as server, way.connect(server) as [transport]:
        replies = [await transport.post(TARGET, BODY) for _ in range(3)]
    assert [(reply.status, reply.body) for reply in replies] == [(201, b"{}")] * 3
    assert (len(server.requests), len(server.visits)) == (3, 3)


CLOSE_OR_UPGRADE = message("201 Created", b"{}", "Connection: Upgrade, close", "Upgrade: h2")


@pytest.mark.parametrize("reply", [CLOSE, CLOSE_OR_UPGRADE, message(version="1.0")], ids=["1.1", "upgrade", "1.0"])
async def test_after_connection_close_a_connection_is_let_go_even_if_the_server_holds_it(
    way: Way, reply: bytes
) -> None:
    async with way.serve(answering(reply)) as server, way.connect(server) as [transport]:
        for _ in range(2):
            await transport.post(TARGET, BODY)
    assert len(server.visits) == 2


# A row never gets another row's reply.

SURPLUS = {
    "a whole reply": OK,
    "another row's": message("200 OK", b'{"status":200,"data":{"transaction_id":"txn_2"}}'),
    "garbage": b"garbage",
    "part of a reply": b"HTTP/1.1 2",
    "one byte": b"H",
    "NUL": b"\0",
}


def saying(*pieces: bytes) -> Script:
    """Takes a request and says several things, each in a packet, or a TLS record, of its own, but all at once."""

    async def script(visit: Visit) -> None:
        await visit.request()
        for piece in pieces:
            await visit.send(piece)
        await visit.gone()

    return script


@pytest.mark.parametrize("apart", [False, True], ids=["in one piece", "apart"])
@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
@pytest.mark.parametrize("way", ALONE, ids=str, indirect=True)
async def test_bytes_after_a_reply_are_never_taken_for_the_next_reply(way: Way, surplus: bytes, apart: bool) -> None:
    first = message(body=b"1")
    script = saying(first, surplus) if apart else saying(first + surplus)
    async with way.serve(script, answering(OK)) as server, way.connect(server) as [transport]:
        bodies = [(await transport.post(TARGET, BODY)).body for _ in range(2)]
    assert bodies == [b"1", b'{"status":"201"}']
    assert len(server.visits) == 2


@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
async def test_nor_are_they_behind_a_proxy(way: Way, surplus: bytes) -> None:
    script = saying(message(body=b"1") + surplus)
    async with way.serve(script, answering(OK)) as server, way.connect(server) as [transport]:
        bodies = [(await transport.post(TARGET, BODY)).body for _ in range(2)]
    assert bodies == [b"1", b'{"status":"201"}']
    assert len(server.visits) == 2


@pytest.mark.parametrize("length", [16_384, 65_536, 131_072, 262_144])
@pytest.mark.parametrize("over", [-1, 0, 1])
@pytest.mark.parametrize("way", ALONE, ids=str, indirect=True)
async def test_wherever_a_read_ends_what_follows_the_reply_is_found(way: Way, length: int, over: int) -> None:
    """Buffers have these sizes: what is left in one of them is behind the reply, and not on the socket any more."""
    head = len(message(body=b"x" * 100_000)) - 100_000 - (length < 100_000)
    first = message(body=b"x" * (length - head + over))
    right = answering(message(body=b"right"))
    async with way.serve(saying(first + OK), right) as server, way.connect(server) as [transport]:
        bodies = [(await transport.post(TARGET, BODY)).body for _ in range(2)]
    assert bodies == [b"x" * (length - head + over), b"right"]


async def test_a_length_that_says_less_than_there_is_costs_the_connection(way: Way) -> None:
    short = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}, {"success": true}'
    async with way.serve(saying(short), answering(OK)) as server, way.connect(server) as [transport]:
        bodies = [(await transport.post(TARGET, BODY)).body for _ in range(2)]
    assert bodies == [b"{}", b'{"status":"201"}']
    assert len(server.visits) == 2


async def test_a_reply_to_another_request_is_none_and_its_connection_is_never_used_again(way: Way) -> None:
    """It came late, after the next request had gone out, so nothing but the words in it tells whose it is."""

    async def late(visit: Visit) -> None:
        await visit.request()
        await visit.send(message(body=b'{"transaction_id": "txn_canary_1"}'))
        for _ in range(2):  # from here on each reply is the one to the request before
            await visit.request()
            await visit.send(message(body=b'{"data": {"transaction_id" : "txn_canary_1"}}'))

    others = [message(body=b'{"transaction_id":"TXN_2"}')]
    async with way.serve(late, answering(*others)) as server, way.connect(server) as [transport]:
        assert isinstance(await result_of(transport), Reply)
        fault = await fault_of(transport, b'{"transaction_id":"txn_2"}')
        assert isinstance(await result_of(transport, b'{"transaction_id":"txn_2"}'), Reply)
    assert (type(fault), fault.kind) == (MaybeSent, "misplaced")
    assert [len(server.requests), len(server.visits)] == [3, 2]


@pytest.mark.parametrize(
    ("request_body", "reply"),
    [
        (b'{"transaction_id":"txn_1"}', b'{"data":{"transaction_id":"TXN_1"}}'),
        (b'{"transaction_id":"a b"}', b'{"transaction_id":"a b"}'),
        (b'{"transaction_id":"\xc3\xbc"}', rb'{"transaction_id":"\u00fc"}'),
        (b'{"transaction_id":"a/b"}', rb'{"transaction_id":"a\/b"}'),
        (b'{"transaction_id":"7"}', b'{"transaction_id":7}'),
        (b'{"transaction_id":"7"}', b'{"transaction_id":null}'),
        (b'{"transaction_id":"7"}', b'{"transaction_id":""}'),
        (b'{"transaction_id":"7"}', b'{"message":"No lead for \\"transaction_id\\": \\"8\\""}'),
        (b'{"transaction_id":"7"}', b'"transaction_id"'),
    ],
)
@pytest.mark.parametrize("way", [WAYS[0], WAYS[4]], ids=str, indirect=True)
async def test_a_reply_that_names_no_other_request_is_taken(way: Way, request_body: bytes, reply: bytes) -> None:
    async with way.serve(answering(message(body=reply))) as server, way.connect(server) as [transport]:
        assert (await transport.post(TARGET, request_body)).body == reply


@pytest.mark.parametrize("way", ALONE, ids=str, indirect=True)
async def test_a_reply_that_nobody_asked_for_closes_the_connection(way: Way) -> None:
    pushed = anyio.Event()

    async def pushing(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await asyncio.sleep(0)  # the reply is on its way alone
        await visit.send(message("408 Request Timeout", b"idle"))
        pushed.set()
        await visit.gone()

    async with way.serve(pushing, answering(OK)) as server, way.connect(server) as [transport]:
        await transport.post(TARGET, BODY)
        await pushed.wait()
        assert (await transport.post(TARGET, BODY)).status == 201
    assert len(server.visits) == 2


# What a reply may not do to us.


def flooding(start: bytes, piece: bytes, count: int) -> Script:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(start)
        for _ in range(count):
            await visit.send(piece)
            await asyncio.sleep(0)  # uvloop buffers under TLS without end, and without a pause

    return script


CHUNKS = b"186A0\r\n" + b"x" * 100_000 + b"\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(LENGTH, b"x" * 100_000, id="length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNKS, id="chunks"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000, id="to the connection's end"),
    ],
)
async def test_a_body_of_50_mb_is_thrown_away_and_not_read(way: Way, start: bytes, piece: bytes) -> None:
    async with way.serve(flooding(start, piece, 500), answering(OK)) as server, way.connect(server) as [transport]:
        tracemalloc.start()
        try:
            reply = await transport.post(TARGET, BODY)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        await server.until_closed(1)
        assert (await transport.post(TARGET, BODY)).status == 201
    assert (reply.status, reply.body, reply.oversized) == (200, b"", True)
    assert server.visits[0].sent < 20_000_000  # what the kernel's two buffers hold, and what we read
    assert peak < 8 * MAX_BODY


BOMB = gzip.compress(b"\0" * 20_000_000, 1)


@pytest.mark.parametrize(
    ("body", "encoding", "oversized"),
    [
        pytest.param(BOMB, "gzip", True, id="bomb"),
        pytest.param(zlib.compress(b"\0" * 20_000_000, 1), "deflate", True, id="bomb of deflate"),
        pytest.param(gzip.compress(BOMB), "gzip, gzip", False, id="bomb in a bomb"),
        pytest.param(b'{"a":1}', "gzip", False, id="not gzip"),
        pytest.param(gzip.compress(b'{"a":1}')[:-4], "gzip", False, id="cut off"),
        pytest.param(gzip.compress(b'{"a":1}') + b"tail", "gzip", False, id="more behind it"),
        pytest.param(gzip.compress(b'{"a":') + gzip.compress(b"1}"), "gzip", False, id="two in a row"),
        pytest.param(b"{}", "deflate", False, id="not deflate"),
        pytest.param(b"{}", "br", False, id="br, which nobody offered"),
        pytest.param(b"{}", "zstd", False, id="zstd, which nobody offered"),
    ],
)
async def test_a_body_that_cannot_be_decoded_is_said_to_be(
    way: Way, body: bytes, encoding: str, oversized: bool
) -> None:
    reply = message("200 OK", body, f"Content-Encoding: {encoding}")
    async with way.serve(answering(reply)) as server, way.connect(server) as [transport]:
        tracemalloc.start()
        try:
            got = await transport.post(TARGET, BODY)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (got.status, got.body, got.oversized, got.garbled) == (200, b"", oversized, not oversized)
    assert peak < 8 * MAX_BODY


@pytest.mark.parametrize(("more", "oversized"), [(0, False), (1, True)])
@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "gzip"])
async def test_one_byte_more_than_a_body_may_have_is_too_much(
    way: Way, more: int, oversized: bool, encoded: bool
) -> None:
    body = b" " * (MAX_BODY + more)
    plain = message("200 OK", body)
    reply = message("200 OK", gzip.compress(body, 1), "Content-Encoding: gzip") if encoded else plain
    async with way.serve(answering(reply)) as server, way.connect(server) as [transport]:
        got = await transport.post(TARGET, BODY)
    assert (got.oversized, got.garbled, len(got.body)) == (oversized, False, 0 if oversized else MAX_BODY)


def head_of(size: int, *, fields: int) -> bytes:
    """A reply whose head has so many bytes."""
    rest = size - len(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n") - fields * len("X-00000: \r\n")
    values = [rest // fields + (number < rest % fields) for number in range(fields)]
    reply = message("200 OK", b"{}", *[f"X-{number:05}: {'x' * width}" for number, width in enumerate(values)])
    assert len(reply) == size + 2
    return reply


@pytest.mark.parametrize(
    ("size", "fields"),
    [
        pytest.param(MAX_HEAD + 40, 1, id="a little too long"),
        pytest.param(1_000_000, 1, id="a field of 1 MB"),
        pytest.param(200_000, 10_000, id="10,000 fields"),
    ],
)
async def test_a_head_too_long_is_garbage_however_it_comes(way: Way, size: int, fields: int) -> None:
    reply = head_of(size, fields=fields)
    async with way.serve(saying(reply), answering(OK)) as server, way.connect(server) as [transport]:
        tracemalloc.start()
        try:
            fault = await fault_of(transport)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (await transport.post(TARGET, BODY)).status == 201
    assert (type(fault), fault.kind) == (MaybeSent, "garbage")
    assert peak < 4_000_000


@pytest.mark.parametrize("pieces", [1, 2, 7, 3_000])
async def test_a_head_as_long_as_it_may_be_is_read_however_it_comes(way: Way, pieces: int) -> None:
    reply = head_of(MAX_HEAD - 100, fields=100)
    width = -(-len(reply) // pieces)

    async def script(visit: Visit) -> None:
        await visit.request()
        for start in range(0, len(reply), width):
            await visit.send(reply[start : start + width])
        await visit.gone()

    async with way.serve(script) as server, way.connect(server) as [transport]:
        assert (await transport.post(TARGET, BODY)).status == 200


@pytest.mark.parametrize(("start", "more"), [(b"X: ", b"x" * 100_000), (b"", b"X: 1\r\n" * 20_000)])
async def test_a_head_without_end_is_garbage(way: Way, start: bytes, more: bytes) -> None:
    script = flooding(b"HTTP/1.1 200 OK\r\n" + start, more, 5)

    async def held(visit: Visit) -> None:
        await script(visit)
        await visit.gone()

    async with way.serve(held) as server, way.connect(server, timeout=SHORT * 20) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (MaybeSent, "garbage")
