"""What is the lane's own: its evidence in the corners, its bounds, and the one timer for all."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batchpost.errors import UsageError
from batchpost.lane import Lane, open_transports
from batchpost.model import Reply
from batchpost.transport import MaybeSent, NotSent, Origin, Transport, TransportFault
from tests.hostile import Hostile, Script, Visit, answering, message
from tests.wire import BODY, OK, PATIENCE, SHORT, TARGET, authority, blocked, ending, fault_of, serving, silent

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


async def outcome(
    script: Script, body: bytes = BODY, *, timeout: float = PATIENCE, kept: bool = False
) -> tuple[Reply | TransportFault, Visit]:
    """What a first post on a lane came to; a second gets its reply, on the same connection if that was ``kept``."""
    async with Hostile(script, answering(OK)) as server:
        async with open_transports(Origin.parse(server.url), count=1, timeout=timeout) as [lane]:
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


async def test_a_lane_refuses_two_requests_at_once_and_the_first_is_unharmed() -> None:
    received = anyio.Event()

    async def waiting(visit: Visit) -> None:
        await visit.request()
        received.set()
        await silent(visit)

    async def first(lane: Transport) -> None:
        assert (await fault_of(lane)).kind == "timeout"

    async with (
        Hostile(waiting) as server,
        open_transports(Origin.parse(server.url), count=1, timeout=SHORT) as [lane],
        anyio.create_task_group() as group,
    ):
        group.start_soon(first, lane)
        await received.wait()
        with pytest.raises(RuntimeError, match="one request at a time"):
            await lane.post(TARGET, BODY)
    assert len(server.requests) == 1


async def test_open_transports_gives_lanes_that_trust_the_ca_file_and_closes_them(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(ca_file))
    async with Hostile(answering(OK), tls=serving("127.0.0.1")) as server:
        origin = Origin.parse(server.url)
        async with open_transports(origin, count=3, timeout=PATIENCE, ca_file=str(ca_file)) as lanes:
            assert [type(lane) for lane in lanes] == [Lane] * 3
            assert [(await lane.post(TARGET, BODY)).status for lane in lanes] == [201] * 3
        await server.until_closed(3)
        async with open_transports(origin, count=1, timeout=PATIENCE) as [untrusting]:
            assert type(await fault_of(untrusting)) is NotSent


async def test_an_unreadable_ca_file_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ca_file"):
        async with open_transports(Origin.parse("https://a"), count=1, timeout=1, ca_file=str(tmp_path)):
            pass
