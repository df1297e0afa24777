"""The fast way to send: bare HTTP/1.1 connections on asyncio (:mod:`batchpost.connection`), one request at a time on
each, no pool, no task and no timer for a request.
"""

from __future__ import annotations

import asyncio
import math
import select
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import anyio

from batchpost.connection import Connection, connect
from batchpost.model import Reply, Target
from batchpost.replies import names_another
from batchpost.taskwire import TaskWire
from batchpost.transport import (
    Ended,
    Heads,
    MaybeSent,
    NotSent,
    Origin,
    Request,
    TransportFault,
    Wire,
    interrupted,
    tls_context,
)

__all__ = ["Lanes", "open_wire"]


class Lanes:
    """``count`` keep-alive connections to the origin of ``heads``; see :class:`batchpost.transport.Wire`.

    ``timeout`` in seconds, connect to last byte; an attempt may end a tenth of it late, and 50 ms at most. ``tls`` is
    needed for https. To be made inside the running loop, and closed.
    """

    def __init__(self, heads: Heads, *, count: int, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        self.notify: Callable[[], None] = _nobody
        self._heads = heads
        self._poll = select.poll()  # of all connections: the loop may not have seen yet what came on one
        self._ended: list[Ended] = []
        self._free: list[_Lane] = []
        self._lanes = [_Lane(heads.origin, timeout, tls, self._poll, self._end) for _ in range(count)]
        self._free += self._lanes
        self._target: Target | None = None
        self._head = b""
        self._interval = min(0.05, timeout / 10)
        self._lenient = False
        self._sweep_later()

    def begin(self, requests: Iterable[Request]) -> None:
        """As :meth:`batchpost.transport.Wire.begin`."""
        now = time.monotonic()
        unasked = {fd for fd, _ in self._poll.poll(0)}
        for token, target, body, max_idle in requests:
            try:
                if target is not self._target:
                    self._target, self._head = target, self._heads.of(target)
                request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
                self._free.pop().begin(token, request, body, now, max_idle, unasked)
            except Exception as error:  # total on purpose: who begins requests waits for the end of each
                self._ended.append((token, error))
                self.notify()

    def take(self) -> list[Ended]:
        """As :meth:`batchpost.transport.Wire.take`."""
        ended, self._ended = self._ended, []
        return ended

    def abort(self) -> None:
        """As :meth:`batchpost.transport.Wire.abort`."""
        for lane in self._lanes:
            lane.abort()

    def close(self) -> None:
        """Drop all connections."""
        self._timer.cancel()
        for lane in self._lanes:
            lane.close()

    def _end(self, lane: _Lane, token: object, result: Reply | TransportFault) -> None:
        if not self._ended:
            self.notify()
        self._free.append(lane)
        self._ended.append((token, result))

    def _sweep_later(self) -> None:
        self._due = time.monotonic() + self._interval
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._sweep)

    def _sweep(self) -> None:
        """End the attempts that are past their deadline: one timer for all of them."""
        now = time.monotonic()
        # A late sweep means that the loop was held up: replies may be waiting to be read, so they get one more turn.
        self._lenient = now - self._due > self._interval and not self._lenient
        for lane in () if self._lenient else self._lanes:
            if lane.deadline <= now:
                lane.expire()
        self._sweep_later()


class _Lane:
    """One connection and the request on it. ``deadline`` is the monotonic time at which that is over."""

    def __init__(
        self,
        origin: Origin,
        timeout: float,
        tls: ssl.SSLContext | None,
        poll: select.poll,
        end: Callable[[_Lane, object, Reply | TransportFault], None],
    ) -> None:
        self._origin, self._timeout, self._poll, self._end = origin, timeout, poll, end
        self._tls = (tls or tls_context()) if origin.scheme == "https" else None
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._busy = False
        self._token: object = None
        self._body = b""
        self.deadline = math.inf

    def begin(self, token: object, request: bytes, body: bytes, now: float, max_idle: float, unasked: set[int]) -> None:
        """Send the request, on a new connection unless the old one is quiet and was used ``max_idle`` seconds ago."""
        self._token, self._body = token, body
        connection = self._connection
        if connection is None or connection.closed or now - connection.last_used > max_idle or connection.fd in unasked:
            self._connecting = asyncio.get_running_loop().create_task(self._send_anew(request, now + self._timeout))
        else:
            self.deadline = now + self._timeout
            connection.send(request)
        self._busy = True

    def replied(self, reply: Reply) -> None:
        """As :meth:`batchpost.connection.Owner.replied`."""
        result: Reply | TransportFault = reply
        if names_another(reply.body, self._body):
            self.close()
            result = MaybeSent("misplaced", "the reply is to another request")
        self.ended(result)

    def ended(self, result: Reply | TransportFault) -> None:
        """The request is over; also as :meth:`batchpost.connection.Owner.ended`."""
        if self._busy:
            self._busy = False
            self.deadline = math.inf
            self._end(self, self._token, result)

    def expire(self) -> None:
        """End the attempt in flight as timed out."""
        if self._connection is not None:
            self._connection.fail(MaybeSent("timeout", "no complete reply in time"))

    def abort(self) -> None:
        """End the attempt, if there is one, and the connection with it."""
        handed_over = self._connecting is None
        self.close()
        self.ended(interrupted(handed_over=handed_over))

    def close(self) -> None:
        """Drop the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _send_anew(self, request: bytes, deadline: float) -> None:
        """A new connection in place of the old, and the request on it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        try:
            connection = await connect(self, self._origin, self._tls, self._poll, deadline)
            if connection.closed:
                raise NotSent("closed", "the connection was closed before the request")
        except NotSent as fault:
            self._connecting = None
            self.ended(fault)
            return
        self._connection, self._connecting = connection, None
        self.deadline = deadline
        connection.send(request)


def _nobody() -> None:
    """Nobody wants to know."""


@asynccontextmanager
async def open_wire(
    origin: Origin, *, count: int, timeout: float, proxy: str | None = None, ca_file: str | None = None
) -> AsyncIterator[Wire]:
    """``count`` connections to one origin, closed at the end: lanes, or httpx's where there is a proxy.

    ``timeout`` in seconds for one attempt. Raises UsageError for an unreadable ``ca_file`` or a ``proxy`` not HTTP.
    """
    heads = Heads(origin)
    tls = tls_context(ca_file) if proxy or origin.scheme == "https" else None
    if proxy is None:
        lanes = Lanes(heads, count=count, timeout=timeout, tls=tls)
        try:
            yield lanes
        finally:
            lanes.close()
        return

    from batchpost.proxied import HttpxTransport  # httpx takes 60 to 230 ms to import

    transports = [HttpxTransport(heads, timeout=timeout, tls=tls, proxy=proxy) for _ in range(count)]
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield TaskWire(transports, tasks.start_soon)
        except Exception as error:  # comes out as it is, not in the group's wrap
            failure = error
        tasks.cancel_scope.cancel()
    for transport in transports:
        await transport.aclose()
    if failure:
        raise failure
