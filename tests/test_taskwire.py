"""A wire over awaited transports: each request ends once, whatever becomes of its task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio

from batchpost.model import Reply, Target
from batchpost.taskwire import TaskWire
from batchpost.transport import MaybeSent, Request, TransportFault
from tests.fakes import TARGET, in_virtual_time, reply, requests_in

DROPPED = MaybeSent("dropped", "the connection was closed")


class Slow:
    """A transport that takes a second to connect and one more for the reply. A body names what goes wrong."""

    def __init__(self, name: int, used: list[int], results: dict[bytes, Exception]) -> None:
        self._name, self._used, self._results = name, used, results
        self.handed_over = False

    async def post(self, target: Target, body: bytes, *, max_idle: float = 30.0) -> Reply:
        self.handed_over = False
        self._used.append(self._name)
        await anyio.sleep(1.0)
        self.handed_over = True
        await anyio.sleep(1.0)
        if body in self._results:
            raise self._results[body]
        return reply(200, body)

    async def aclose(self) -> None:
        """Nothing to close."""


class Scene:
    """A wire of two transports; ``used`` are those that posted, in order, ``told`` is when it said that one ended."""

    def __init__(self, start_soon: Callable[..., Any], results: dict[bytes, Exception]) -> None:
        self.used: list[int] = []
        self.told: list[float] = []
        self.wire = TaskWire([Slow(name, self.used, results) for name in range(2)], start_soon)
        self.wire.notify = lambda: self.told.append(trio.current_time())

    def begin(self, *bodies: bytes) -> None:
        requests: list[Request] = [(body, TARGET, body, 30.0) for body in bodies]
        self.wire.begin(requests)

    def take(self) -> dict[object, str]:
        """What ended since, by body: a reply's body, or the type and kind of a fault."""
        return {token: self._said(result) for token, result in self.wire.take()}

    @staticmethod
    def _said(result: Reply | Exception) -> str:
        if isinstance(result, TransportFault):
            return f"{type(result).__name__} {result.kind}"
        return result.body.decode() if isinstance(result, Reply) else repr(result)


def scene(main: Callable[[Scene], Awaitable[None]], **results: Exception) -> None:
    async def run() -> None:
        async with requests_in(anyio.create_task_group()) as tasks:
            await main(Scene(tasks.start_soon, {body.encode(): error for body, error in results.items()}))

    in_virtual_time(run)


def test_requests_end_with_their_replies_and_are_told_of_once_until_they_are_taken() -> None:
    async def main(on: Scene) -> None:
        on.begin(b"one", b"two")
        assert on.take() == {}
        await anyio.sleep(2.5)
        assert on.take() == {b"one": "one", b"two": "two"}
        assert on.take() == {}
        assert on.told == [2.0]
        on.begin(b"three")
        await anyio.sleep(2.5)
        assert on.told == [2.0, 4.5]

    scene(main)


@pytest.mark.parametrize(
    ("after", "ends"),
    [(None, "NotSent interrupted"), (0.5, "NotSent interrupted"), (1.5, "MaybeSent interrupted"), (2.5, "one")],
)
def test_an_abort_ends_what_is_under_way_by_how_far_it_got(after: float | None, ends: str) -> None:
    """None: at once, before the request's task has taken its first step. The connection is free again."""

    async def main(on: Scene) -> None:
        on.begin(b"one")
        if after is not None:
            await anyio.sleep(after)
        on.wire.abort()
        await anyio.wait_all_tasks_blocked()
        assert on.take() == {b"one": ends}
        on.begin(b"two", b"three")
        await anyio.sleep(2.5)
        assert on.take() == {b"two": "two", b"three": "three"}

    scene(main)


def test_a_request_that_is_aborted_at_once_does_not_inherit_what_the_one_before_had_sent() -> None:
    async def main(on: Scene) -> None:
        on.begin(b"one", b"two")
        await anyio.sleep(2.5)
        on.take()
        on.begin(b"three", b"four")
        on.wire.abort()
        await anyio.wait_all_tasks_blocked()
        assert on.take() == {b"three": "NotSent interrupted", b"four": "NotSent interrupted"}

    scene(main)


def test_an_abort_does_not_end_what_is_begun_after_it() -> None:
    async def main(on: Scene) -> None:
        on.begin(b"one")
        await anyio.sleep(1.5)
        on.wire.abort()
        on.begin(b"two")
        await anyio.sleep(2.5)
        assert on.take() == {b"one": "MaybeSent interrupted", b"two": "two"}

    scene(main)


def test_a_fault_and_a_bug_come_out_as_they_are_and_the_connections_are_free_again() -> None:
    bug = ZeroDivisionError("a bug")

    async def main(on: Scene) -> None:
        on.begin(b"faulty", b"buggy")
        await anyio.sleep(2.5)
        assert on.take() == {b"faulty": "MaybeSent dropped", b"buggy": repr(bug)}
        on.begin(b"one", b"two")
        await anyio.sleep(2.5)
        assert on.take() == {b"one": "one", b"two": "two"}

    scene(main, faulty=DROPPED, buggy=bug)


def test_the_connection_used_last_is_used_next() -> None:
    async def main(on: Scene) -> None:
        for _ in range(3):
            on.begin(b"one")
            await anyio.sleep(2.5)
        assert len(set(on.used)) == 1

    scene(main)


def test_whoever_cancels_the_tasks_is_told_of_no_end() -> None:
    """A dying run has no use for it, and its journal has the request as started."""

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            on = Scene(tasks.start_soon, {})
            on.begin(b"one")
            await anyio.sleep(1.5)
            tasks.cancel_scope.cancel()
        assert (on.take(), on.told) == ({}, [])

    in_virtual_time(main)
