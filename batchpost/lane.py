"""The fast way to send: bare HTTP/1.1 connections on asyncio, one request at a time on each, no pool, no task and no
timer for a request.

Replies are parsed by llhttp. Whatever is odd about a reply (RFC 9112) closes the connection, since what follows on it
could be taken for the reply to the next request.
"""

from __future__ import annotations

import asyncio
import math
import select
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import httptools
from aiohappyeyeballs import start_connection

from batchpost.model import Reply, Target
from batchpost.replies import MAX_BODY, MAX_HEAD, complete_reply, header_map, names_another
from batchpost.taskwire import TaskWire
from batchpost.transport import (
    Ended,
    Heads,
    MaybeSent,
    NotSent,
    Origin,
    Request,
    Stage,
    TransportFault,
    Wire,
    causes,
    connect_fault,
    interrupted,
    tls_context,
    tls_is_closed,
)

__all__ = ["Lanes", "open_wire"]

_MAX_MESSAGE = 8 * MAX_BODY  # bytes received for one reply, with chunk sizes, trailers and all
_AT_ONCE = 16_384  # bytes of a request that any kernel takes of a connection on which nothing else waits
_SECOND_ADDRESS = 0.25  # seconds until the next address of a host is tried as well (RFC 8305)


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
        self._connection: _Connection | None = None
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
        """The connection has the whole reply."""
        result: Reply | TransportFault = reply
        if names_another(reply.body, self._body):
            self.close()
            result = MaybeSent("misplaced", "the reply is to another request")
        self.ended(result)

    def ended(self, result: Reply | TransportFault) -> None:
        """The request is over."""
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
            connection = await _connect(self, self._origin, self._tls, self._poll, deadline)
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


async def _connect(
    lane: _Lane, origin: Origin, tls: ssl.SSLContext | None, poll: select.poll, deadline: float
) -> _Connection:
    loop = asyncio.get_running_loop()
    stage = Stage.RESOLVING
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            stage = Stage.CONNECTING
            sock = await start_connection(addresses, happy_eyeballs_delay=_SECOND_ADDRESS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stage = Stage.HANDSHAKE
            host = origin.host if tls else None
            _, connection = await loop.create_connection(
                lambda: _Connection(lane, poll), sock=sock, ssl=tls, server_hostname=host
            )
            return connection
    except Exception as error:  # total on purpose: nothing of the request exists on any socket yet
        raise connect_fault(causes(error), stage) from None


class _Connection(asyncio.Protocol):
    """One TCP or TLS connection and the reply being read from it. ``last_used`` is a monotonic time in seconds."""

    def __init__(self, lane: _Lane, poll: select.poll) -> None:
        self._lane, self._poll = lane, poll
        self._transport: asyncio.Transport | None = None
        self._raw: dict[bytes, bytes] = {}
        self._body = bytearray()
        # The parser calls these for each field and piece of a body: no Python code runs then.
        self.on_header = self._raw.setdefault  # the first of a name counts
        self.on_body = self._body.extend
        self._parser: Any = httptools.HttpResponseParser(self)  # the parser holds us, too: connection_lost unties it
        self._asked = False
        self.closed = False
        self.fd = -1
        self.last_used = 0.0
        self._known_raw: dict[bytes, bytes] = {}
        self._headers: dict[str, str] = {}

    # What the lane does with it.

    def send(self, request: bytes) -> None:
        """Hand a request to the socket; the lane is told of its reply or of MaybeSent."""
        if self._transport is None or self._asked:
            raise RuntimeError("a connection carries one request at a time")
        self._asked = True
        self._raw.clear()
        self._body.clear()
        self._received = self._status = 0
        self._length = len(request)
        self._complete = self._keep = False
        self._transport.write(request)

    def fail(self, fault: MaybeSent) -> None:
        """End the exchange, if there is one, and the connection with it."""
        asked = self._asked
        self.close()
        if asked:
            self._lane.ended(fault)

    def close(self) -> None:
        """Drop the connection at once; what is still unsent stays unsent, and the lane hears no more of it."""
        if not self.closed and self._transport is not None:
            self._poll.unregister(self.fd)
            self._transport.abort()
        self.closed = True
        self._asked = False

    # What the event loop tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.fd = transport.get_extra_info("socket").fileno()
        self._poll.register(self.fd, select.POLLIN)
        self.last_used = time.monotonic()

    def data_received(self, data: bytes) -> None:
        if not self._asked:
            self.close()
            return
        self._received += len(data)
        try:
            if self._received <= MAX_HEAD or self._status > 0:
                self._parser.feed_data(data)
            else:
                self._feed_long_head(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keep = False
            if not self._complete:
                self.fail(MaybeSent("garbage", "the reply is not HTTP"))
                return
        if self._complete or len(self._body) > MAX_BODY:
            self._settle()
        elif self._received > (_MAX_MESSAGE if self._status > 0 else MAX_HEAD):
            self.fail(MaybeSent("garbage", "the reply is longer than any reply may be"))

    def _feed_long_head(self, data: bytes) -> None:
        """However a reply is cut into pieces, of its head just MAX_HEAD bytes are looked at."""
        room = len(data) - (self._received - MAX_HEAD)
        self._parser.feed_data(data[:room])
        if self._status > 0:
            self._parser.feed_data(data[room:])

    def eof_received(self) -> None:
        self._lost(clean=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(clean=exc is None)
        self._parser = None

    def _lost(self, *, clean: bool) -> None:
        if not self._asked:
            self.close()
        elif clean and self._ends_with_connection() and self._was_closed():
            self._settle()
        elif self._status:
            self.fail(MaybeSent("incomplete", "the reply broke off"))
        else:
            self.fail(MaybeSent("dropped", "the connection ended before a reply"))

    def _ends_with_connection(self) -> bool:
        """Whether the reply has neither length nor chunks, so that its end is the connection's (RFC 9112, 6.3)."""
        return self._status > 0 and not self._headers.keys() & {"content-length", "transfer-encoding"}

    def _was_closed(self) -> bool:
        """Whether the other side closed the connection, and nobody else cut it."""
        return self._transport is not None and tls_is_closed(self._transport.get_extra_info("ssl_object"))

    def _may_be_unsent(self) -> bool:
        """Whether the rest of a request may wait here still: it would be taken for the next one, or that for it. Under
        TLS a loop tells nothing of what waits behind the encryption, but the kernel takes a short request at once."""
        if self._transport is None or self._transport.get_write_buffer_size() > 0:
            return True
        return self._length > _AT_ONCE and self._transport.get_extra_info("ssl_object") is not None

    def _settle(self) -> None:
        reply = complete_reply(self._status, self._headers, bytes(self._body))
        if not self._keep or reply.oversized or self._may_be_unsent():
            self.close()
        self.last_used = time.monotonic()
        self._asked = False
        self._lane.replied(reply)

    # What the parser tells it; an exception here makes feed_data raise.

    def on_message_begin(self) -> None:
        if self._complete:
            raise httptools.HttpParserError("bytes after the reply")

    def on_headers_complete(self) -> None:
        status: int = self._parser.get_status_code()
        if status < 100:
            raise httptools.HttpParserError("no status has two digits")
        if status < 200:  # 100 Continue, 103 Early Hints: the reply is still to come
            self._raw.clear()
            return
        if self._raw != self._known_raw:  # the replies of one connection differ in little but the date
            self._known_raw = self._raw.copy()
            self._headers = header_map(self._raw.items())
            if self._headers.get("transfer-encoding", "chunked").lower() != "chunked":
                self._known_raw = {}
                raise httptools.HttpParserError("a transfer coding that nobody asked for")
        self._status = status

    def on_message_complete(self) -> None:
        if self._status:
            self._complete = True
            self._keep = self._parser.should_keep_alive()


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
