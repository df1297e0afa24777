"""Connections between requests, dropped, closed and kept too long: no request is lost on them, and none doubled."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from random import Random

import anyio
import pytest

from batchpost.model import Reply
from batchpost.transport import MaybeSent, Transport, TransportFault
from tests.hostile import Visit, answering, message
from tests.wire import ALONE, BODY, OK, PATIENCE, TARGET, WAYS, Way, blocked, result_of

pytestmark = pytest.mark.anyio


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


@pytest.fixture
def anyio_backend(way: Way) -> tuple[str, dict[str, bool]]:
    return way.backend


@pytest.mark.parametrize("ending", ["close", "cut", "reset"])
@pytest.mark.parametrize("way", ALONE, ids=str, indirect=True)
async def test_a_connection_that_ended_while_idle_is_replaced_before_anything_is_sent(way: Way, ending: str) -> None:
    over = [anyio.Event() for _ in range(3)]

    async def once(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await asyncio.sleep(0.01)  # the reply is read by now, so a reset cannot throw it away
        if ending == "reset":
            visit.reset()
        elif ending == "cut":
            visit.cut()
        over[len(server.visits) - 1].set()
        if ending == "cut":
            await visit.gone()

    async with way.serve(once) as server, way.connect(server) as [transport]:
        for number in range(3):
            assert (await transport.post(TARGET, b"%d" % number)).status == 201
            await over[number].wait()
            if ending != "cut":
                await server.until_closed(number + 1)
            blocked(0.01)
    assert [request[-1:] for request in server.requests] == [b"0", b"1", b"2"]
    assert len(server.visits) == 3


@pytest.mark.parametrize("way", [way for way in WAYS if way.tls and not way.proxy], ids=str, indirect=True)
async def test_the_word_that_it_closes_is_heard_though_it_came_with_the_reply(way: Way) -> None:
    """The server waits for our answer to it, so there is no FIN yet, and nothing on the socket to be seen."""
    async with way.serve(answering(OK, then_close=True)) as server, way.connect(server) as [transport]:
        for _ in range(3):
            assert (await transport.post(TARGET, BODY)).status == 201
    assert (len(server.requests), len(server.visits)) == (3, 3)


async def test_a_connection_idle_for_longer_than_allowed_is_replaced(way: Way) -> None:
    async with way.serve(answering(OK)) as server, way.connect(server) as [transport]:
        for max_idle, connections in ((math.inf, 1), (math.inf, 1), (0.0, 2), (PATIENCE, 2)):
            await transport.post(TARGET, BODY, max_idle=max_idle)
            assert len(server.visits) == connections


async def test_a_server_that_closes_whenever_it_likes_has_seen_just_what_we_say_it_has(way: Way) -> None:
    """Each request goes out once. One that got its reply was received; one that did not, maybe."""
    count, workers = 120, 4
    random = Random(12)
    effects: Counter[bytes] = Counter()

    async def fickle(visit: Visit) -> None:
        for _ in range(random.randint(1, 6)):
            number = (await visit.request()).rpartition(b" ")[2]
            effects[number] += 1
            await visit.send(message(body=number))
        await asyncio.sleep(random.choice([0, 0, 0.0005, 0.001, 0.003]))

    results: dict[bytes, Reply | TransportFault] = {}
    numbers = iter(range(count))

    async def work(transport: Transport) -> None:
        for number in numbers:
            results[b"%d" % number] = await result_of(transport, b"row %d" % number)
            await asyncio.sleep(random.choice([0, 0, 0.001]))

    async with (
        way.serve(fickle) as server,
        way.connect(server, count=workers) as transports,
        anyio.create_task_group() as group,
    ):
        for transport in transports:
            group.start_soon(work, transport)
    assert max(effects.values()) == 1
    answered = {number for number, result in results.items() if isinstance(result, Reply)}
    assert all(result.body == number for number, result in results.items() if isinstance(result, Reply))
    assert answered <= effects.keys()
    lost = [result for result in results.values() if isinstance(result, TransportFault)]
    assert {type(fault) for fault in lost} <= {MaybeSent}
    assert len(answered) + len(lost) == count
    assert len(lost) <= len(server.visits), "a connection that closes costs one request at most"


async def test_a_cancelled_request_closes_its_connection_and_the_next_opens_another(way: Way) -> None:
    received = anyio.Event()

    async def late(visit: Visit) -> None:
        await visit.request()
        received.set()
        await visit.gone()

    async with way.serve(late, answering(OK)) as server, way.connect(server) as [transport]:
        async with anyio.create_task_group() as group:
            group.start_soon(transport.post, TARGET, BODY)
            await received.wait()
            group.cancel_scope.cancel()
        assert transport.handed_over
        await server.until_closed(1)
        assert (await transport.post(TARGET, BODY)).status == 201


async def test_a_closed_transport_opens_a_new_connection(way: Way) -> None:
    async with way.serve(answering(OK)) as server, way.connect(server) as [transport]:
        for _ in range(2):
            assert (await transport.post(TARGET, BODY)).status == 201
            await transport.aclose()
            await transport.aclose()
    assert len(server.visits) == 2


async def test_all_connections_dropped_at_once_and_again_leave_no_transport_behind(way: Way) -> None:
    count, rounds = 16, 3
    together = asyncio.Barrier(count)

    async def dropping(visit: Visit) -> None:
        await visit.request()
        await together.wait()
        visit.reset()

    results: list[int | str] = []

    async def work(transport: Transport) -> None:
        for _ in range(rounds + 1):
            result = await result_of(transport)
            results.append(result.status if isinstance(result, Reply) else result.kind)

    scripts = [dropping] * (rounds * count)
    async with (
        way.serve(*scripts, answering(OK)) as server,
        way.connect(server, count=count) as transports,
        anyio.create_task_group() as group,
    ):
        for transport in transports:
            group.start_soon(work, transport)
    assert (results.count("dropped"), results.count(201)) == (rounds * count, count)
    assert len(server.requests) == (rounds + 1) * count
