"""What is the lane's own: its evidence in the corners, its bounds, and the one timer for all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from batchpost.errors import UsageError
from batchpost.lane import open_wire
from batchpost.model import Reply, Target
from batchpost.transport import MaybeSent, NotSent, Origin, Request, TransportFault, Wire
from tests.hostile import Hostile, Script, Visit, answering, message
from tests.wire import BODY, OK, PATIENCE, SHORT, TARGET, authority, blocked, ending, fault_of, opened, serving, silent

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


async def outcome(
    script: Script, body: bytes = BODY, *, timeout: float = PATIENCE, kept: bool = False
) -> tuple[Reply | TransportFault, Visit]:
    """What a first post on a lane came to; a second gets its reply, on the same connection if that was ``kept``."""
    async with Hostile(script, answering(OK)) as server:
        async with opened(Origin.parse(server.url), timeout=timeout) as lane:
            try:
                first: Reply | TransportFault = await lane.post(TARGET, body)
            except TransportFault as fault:
                first = fault
            assert (await lane.post(TARGET, BODY)).status == 201
        await server.until_closed(1 if kept else 2)
    assert len(server.visits) == (1 if kept else 2)
    return first, server.visits[0]


async def test_a_refusal_wins_over_the_reset_that_follows_it() -> None:
    async def refusing(visit: Visit) -> None:
        await visit.head()
        await visit.send(message("413 Content Too Large", b"{}"))
        visit.reset()

    reply, _ = await outcome(refusing, b"x" * 20_000_000)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (413, b"{}")


async def test_a_reply_before_all_was_sent_ends_the_connection() -> None:
    async def hasty(visit: Visit) -> None:
        await visit.head()
        await visit.send(message("400 Bad Request", b"{}"))
        await anyio.sleep(SHORT)
        await visit.gone()

    reply, _ = await outcome(hasty, b"x" * 20_000_000)
    assert isinstance(reply, Reply)
    assert reply.status == 400


async def test_a_reset_where_the_reply_ends_with_the_connection_is_incomplete() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n\r\n{}")
        await anyio.sleep(SHORT / 4)  # the reply is read before the reset can overtake it
        visit.reset()

    fault, _ = await outcome(script)
    assert isinstance(fault, MaybeSent)
    assert fault.kind == "incomplete"


@pytest.mark.parametrize(
    ("fields", "kind_of_fault"), [("Transfer-Encoding: gzip", "garbage"), ("Content-Length: 9", "incomplete")]
)
async def test_a_clean_end_completes_only_a_reply_without_length_and_coding(fields: str, kind_of_fault: str) -> None:
    fault, _ = await outcome(ending(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{{}}".encode()))
    assert isinstance(fault, MaybeSent)
    assert fault.kind == kind_of_fault


@pytest.mark.parametrize(
    ("start", "more"),
    [
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000, id="informational replies"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: 1\r\n" * 20_000, id="trailers"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 120_000, id="a chunk's extension"
        ),
    ],
)
async def test_only_so_much_of_a_message_is_read(start: bytes, more: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(start)
        for _ in range(400):
            await visit.send(more)

    fault, visit = await outcome(script)
    assert isinstance(fault, MaybeSent)
    assert fault.kind == "garbage"
    assert visit.sent < 30_000_000


async def test_a_trailer_changes_nothing() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Encoding: gzip\r\n\r\n"
    reply, _ = await outcome(answering(chunks, OK), kept=True)
    assert isinstance(reply, Reply)
    assert (reply.headers, reply.body) == ({"transfer-encoding": "chunked"}, b"{}")


async def test_a_reply_that_waited_while_the_loop_was_held_up_is_read_before_the_deadline_counts() -> None:
    async def blocking(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        blocked(SHORT * 1.5)
        await answering(OK)(visit)

    reply, _ = await outcome(blocking, timeout=SHORT, kept=True)
    assert isinstance(reply, Reply)


# -- several requests ----------------------------------------------------------------------------------------------


class Ends:
    """What comes out of a wire, by what each request is known by; each ends once."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._more = anyio.Event()
        wire.notify = self._told
        self.of: dict[object, Reply | Exception] = {}

    def _told(self) -> None:
        self._more.set()

    async def wait(self, count: int) -> dict[object, Reply | Exception]:
        """All that ended, once so many have."""
        with anyio.fail_after(PATIENCE):
            while True:
                self._more = anyio.Event()
                self.take()
                if len(self.of) >= count:
                    return self.of
                await self._more.wait()

    def take(self) -> None:
        for token, result in self._wire.take():
            assert token not in self.of, "a request ended twice"
            self.of[token] = result


def kind(result: Reply | Exception) -> str:
    return f"{type(result).__name__} {result.kind}" if isinstance(result, TransportFault) else type(result).__name__


@asynccontextmanager
async def lanes_to(server: Hostile, count: int, *, timeout: float = PATIENCE) -> AsyncIterator[tuple[Wire, Ends]]:
    async with open_wire(Origin.parse(server.url), count=count, timeout=timeout) as wire:
        yield wire, Ends(wire)


def requests(*numbers: int) -> list[Request]:
    """Requests known by their numbers, each with a body of its own."""
    return [(number, TARGET, b'{"transaction_id":"txn_%d"}' % number, PATIENCE) for number in numbers]


async def echoing(visit: Visit) -> None:
    """Answers each request with its own body."""
    while request := await visit.request():
        await visit.send(message("200 OK", request.partition(b"\r\n\r\n")[2]))


async def test_requests_begun_together_are_under_way_together_and_each_gets_its_own_reply() -> None:
    async with Hostile(echoing) as server, lanes_to(server, 3) as (wire, ends):
        wire.begin(requests(1, 2, 3))
        await ends.wait(3)
        wire.begin(requests(4, 5, 6))
        of = await ends.wait(6)
    assert {number: reply.body for number, reply in of.items() if isinstance(reply, Reply)} == {
        number: b'{"transaction_id":"txn_%d"}' % number for number in range(1, 7)
    }
    assert len(server.visits) == 3


async def test_a_request_too_many_ends_as_an_error_and_the_one_under_way_is_unharmed() -> None:
    async with Hostile(silent) as server, lanes_to(server, 1, timeout=SHORT) as (wire, ends):
        wire.begin(requests(1, 2))
        assert [kind(result) for result in (await ends.wait(1)).values()] == ["IndexError"]
        of = await ends.wait(2)
    assert {number: kind(result) for number, result in of.items()} == {1: "MaybeSent timeout", 2: "IndexError"}
    assert len(server.requests) == 1


async def test_a_target_that_cannot_be_sent_ends_its_own_request_and_no_other() -> None:
    """Who began them waits for the end of each: an exception in the middle would leave the others without one."""
    bad = (7, Target("/api/\r\n", "cmp_a"), BODY, PATIENCE)
    async with Hostile(echoing) as server, lanes_to(server, 3) as (wire, ends):
        wire.begin([*requests(1), bad, *requests(2)])
        of = await ends.wait(3)
    assert {number: kind(result) for number, result in of.items()} == {1: "Reply", 7: "ValueError", 2: "Reply"}


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_all_that_is_under_way_is_aborted_and_what_was_still_connecting_was_not_sent(turns: int) -> None:
    """The first connection is made and has its request; those of the others are so many turns of the loop old."""
    received = anyio.Event()

    async def waiting(visit: Visit) -> None:
        await visit.request()
        received.set()
        await visit.gone()

    async with Hostile(waiting) as server:
        async with lanes_to(server, 3) as (wire, ends):
            wire.begin(requests(1))
            await received.wait()
            wire.begin(requests(2, 3))
            for _ in range(turns):
                await checkpoint()
            wire.abort()
            ends.take()
            wire.abort()
            ends.take()
            assert {number: kind(result) for number, result in ends.of.items()} == {
                1: "MaybeSent interrupted",
                2: "NotSent interrupted",
                3: "NotSent interrupted",
            }
            await server.until_closed(1)
        assert len(server.requests) == 1


async def test_after_an_abort_every_connection_is_free_again() -> None:
    async with Hostile(silent, silent, echoing) as server, lanes_to(server, 2, timeout=PATIENCE) as (wire, ends):
        wire.begin(requests(1, 2))
        while len(server.requests) < 2:
            await checkpoint()
        wire.abort()
        wire.begin(requests(3, 4))
        of = await ends.wait(4)
    assert {number: kind(result) for number, result in of.items()} == {
        1: "MaybeSent interrupted",
        2: "MaybeSent interrupted",
        3: "Reply",
        4: "Reply",
    }


async def test_an_end_of_an_old_connection_is_not_that_of_the_request_begun_since() -> None:
    """Its loss is heard of a turn of the loop later, when the next request is on its way."""
    async with Hostile(silent, echoing) as server, lanes_to(server, 1) as (wire, ends):
        wire.begin(requests(1))
        while not server.requests:
            await checkpoint()
        wire.abort()
        wire.begin(requests(2))
        of = await ends.wait(2)
    assert {number: kind(result) for number, result in of.items()} == {1: "MaybeSent interrupted", 2: "Reply"}


async def test_a_wire_trusts_the_ca_file_and_closes_its_connections(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(ca_file))
    async with Hostile(answering(OK), tls=serving("127.0.0.1")) as server:
        origin = Origin.parse(server.url)
        async with open_wire(origin, count=3, timeout=PATIENCE, ca_file=str(ca_file)) as wire:
            ends = Ends(wire)
            wire.begin([(number, TARGET, BODY, PATIENCE) for number in range(3)])
            of = await ends.wait(3)
            assert [reply.status for reply in of.values() if isinstance(reply, Reply)] == [201] * 3
        await server.until_closed(3)
        async with opened(origin) as untrusting:
            assert type(await fault_of(untrusting)) is NotSent


async def test_an_unreadable_ca_file_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ca_file"):
        async with open_wire(Origin.parse("https://a"), count=1, timeout=1, ca_file=str(tmp_path)):
            pass
