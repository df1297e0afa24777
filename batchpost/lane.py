"""The fast way to send: one bare HTTP/1.1 connection on asyncio, one request at a time, no pool, no timer of its own.

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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import httptools
from aiohappyeyeballs import start_connection

from batchpost.model import Reply, Target
from batchpost.replies import MAX_BODY, MAX_HEAD, complete_reply, header_map, names_another
from batchpost.transport import (
    MAX_IDLE,
    Heads,
    MaybeSent,
    NotSent,
    Origin,
    Stage,
    Transport,
    causes,
    connect_fault,
    tls_context,
    tls_is_closed,
)

__all__ = ["Lane", "Sweeper", "open_transports"]

_MAX_MESSAGE = 8 * MAX_BODY  # bytes received for one reply, with chunk sizes, trailers and all
_AT_ONCE = 16_384  # bytes of a request that any kernel takes of a connection on which nothing else waits
_SECOND_ADDRESS = 0.25  # seconds until the next address of a host is tried as well (RFC 8305)


class Sweeper:
    """Ends the attempts of all lanes that are past their deadline, with one timer for all of them.

    ``interval`` in seconds is how late an attempt may end. Start it inside the running loop.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._lanes: list[Lane] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._lenient = False

    def watch(self, lane: Lane) -> None:
        """Look after a lane until :meth:`stop`."""
        self._lanes.append(lane)

    def start(self) -> None:
        """Look at the lanes from now on."""
        self._due = time.monotonic() + self._interval
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._sweep)

    def stop(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        now = time.monotonic()
        # A late sweep means that the loop was held up: replies may be waiting to be read, so they get one more turn.
        self._lenient = now - self._due > self._interval and not self._lenient
        for lane in () if self._lenient else self._lanes:
            if lane.deadline <= now:
                lane.expire()
        self.start()


class Lane:
    """One keep-alive connection to the origin of ``heads``; ``timeout`` in seconds, connect to last byte.

    ``tls`` is needed for https. ``deadline`` is the monotonic time at which ``sweeper`` ends the attempt in flight.
    """

    def __init__(self, heads: Heads, *, timeout: float, sweeper: Sweeper, tls: ssl.SSLContext | None = None) -> None:
        self._heads, self._timeout = heads, timeout
        self._tls = (tls or tls_context()) if heads.origin.scheme == "https" else None
        self._connection: _Connection | None = None
        self.deadline = math.inf
        self.handed_over = False
        sweeper.watch(self)

    async def post(self, target: Target, body: bytes, *, max_idle: float = MAX_IDLE) -> Reply:
        """As :meth:`batchpost.transport.Transport.post`."""
        request = b"%b%d\r\n\r\n%b" % (self._heads.of(target), len(body), body)
        now = time.monotonic()
        connection = self._connection
        if connection is None or not connection.is_usable(now, max_idle):
            self.handed_over = False
            connection = await self._reconnect(now + self._timeout)
        waiter = connection.send(request)
        self.handed_over = True
        self.deadline = now + self._timeout
        try:
            reply = await waiter
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            self.deadline = math.inf
        if names_another(reply.body, body):
            connection.close()
            raise MaybeSent("misplaced", "the reply is to another request")
        return reply

    def expire(self) -> None:
        """End the attempt in flight as timed out."""
        if self._connection is not None:
            self._connection.fail(MaybeSent("timeout", "no complete reply in time"))

    async def aclose(self) -> None:
        """As :meth:`batchpost.transport.Transport.aclose`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _reconnect(self, deadline: float) -> _Connection:
        """A new connection in place of the old. Raises NotSent."""
        await self.aclose()
        self._connection = await _connect(self._heads.origin, self._tls, deadline)
        if self._connection.closed:
            raise NotSent("closed", "the connection was closed before the request")
        return self._connection


async def _connect(origin: Origin, tls: ssl.SSLContext | None, deadline: float) -> _Connection:
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
            _, connection = await loop.create_connection(_Connection, sock=sock, ssl=tls, server_hostname=host)
            return connection
    except Exception as error:  # total on purpose: nothing of the request exists on any socket yet
        raise connect_fault(causes(error), stage) from None


class _Connection(asyncio.Protocol):
    """One TCP or TLS connection and the reply being read from it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._raw: dict[bytes, bytes] = {}
        self._body = bytearray()
        # The parser calls these for each field and piece of a body: no Python code runs then.
        self.on_header = self._raw.setdefault  # the first of a name counts
        self.on_body = self._body.extend
        self._parser: Any = httptools.HttpResponseParser(self)  # the parser holds us, too: connection_lost unties it
        self._waiter: asyncio.Future[Reply] | None = None
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self.closed = False
        self._last_used = 0.0
        self._known_raw: dict[bytes, bytes] = {}
        self._headers: dict[str, str] = {}

    # What the lane does with it.

    def is_usable(self, now: float, max_idle: float) -> bool:
        """Whether a request may go out on it at ``now``, a monotonic time in seconds."""
        if self.closed or now - self._last_used > max_idle:
            return False
        return not self._poll.poll(0)  # the loop may not have seen yet what came, or that the server closed it

    def send(self, request: bytes) -> asyncio.Future[Reply]:
        """Hand a request to the socket; the future gets its reply or MaybeSent."""
        if self._transport is None or self._waiter is not None:
            raise RuntimeError("a connection carries one request at a time")
        self._waiter = waiter = self._loop.create_future()
        self._raw.clear()
        self._body.clear()
        self._received = self._status = 0
        self._length = len(request)
        self._complete = self._keep = False
        self._transport.write(request)
        return waiter

    def fail(self, fault: MaybeSent) -> None:
        """End the exchange, if there is one, and the connection with it."""
        self.close()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(fault)

    def close(self) -> None:
        """Drop the connection at once; what is still unsent stays unsent."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    # What the event loop tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._last_used = time.monotonic()

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:  # nobody asked
            self.close()
            return
        try:
            within_bounds = self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keep = False
            if not self._complete:
                self.fail(MaybeSent("garbage", "the reply is not HTTP"))
                return
            within_bounds = True
        if self._complete or len(self._body) > MAX_BODY:
            self._settle()
        elif not within_bounds:
            self.fail(MaybeSent("garbage", "the reply is longer than any reply may be"))

    def _feed(self, data: bytes) -> bool:
        """Have the reply parsed on; False when it is beyond its bounds. However it is cut into pieces, of a head just
        MAX_HEAD bytes are looked at."""
        before = self._received
        self._received += len(data)
        if self._status > 0 or self._received <= MAX_HEAD:
            self._parser.feed_data(data)
            return self._received <= _MAX_MESSAGE
        room = MAX_HEAD - before
        self._parser.feed_data(data[:room])
        if self._status > 0:
            self._parser.feed_data(data[room:])
        return self._status > 0

    def eof_received(self) -> None:
        self._lost(clean=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(clean=exc is None)
        self._parser = None

    def _lost(self, *, clean: bool) -> None:
        if self._waiter is None:
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
        reply = complete_reply(self._status, self._headers.copy(), bytes(self._body))
        if reply.oversized or not self._keep or self._may_be_unsent():
            self.close()
        self._last_used = time.monotonic()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(reply)

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
            raise httptools.HttpParserError("a transfer coding that nobody asked for")
        self._status = status

    def on_message_complete(self) -> None:
        if self._status:
            self._complete = True
            self._keep = self._parser.should_keep_alive()


@asynccontextmanager
async def open_transports(
    origin: Origin, *, count: int, timeout: float, proxy: str | None = None, ca_file: str | None = None
) -> AsyncIterator[Sequence[Transport]]:
    """``count`` transports to one origin, closed at the end: lanes, or httpx's where there is a proxy.

    ``timeout`` in seconds for one attempt. Raises UsageError for an unreadable ``ca_file`` or a ``proxy`` not HTTP.
    """
    heads = Heads(origin)
    tls = tls_context(ca_file) if proxy or origin.scheme == "https" else None
    sweeper = Sweeper(min(0.05, timeout / 10))
    transports: list[Transport]
    if proxy is None:
        transports = [Lane(heads, timeout=timeout, sweeper=sweeper, tls=tls) for _ in range(count)]
    else:
        from batchpost.proxied import HttpxTransport  # httpx takes 60 to 230 ms to import

        transports = [HttpxTransport(heads, timeout=timeout, tls=tls, proxy=proxy) for _ in range(count)]
    sweeper.start()
    try:
        yield transports
    finally:
        sweeper.stop()
        for transport in transports:
            await transport.aclose()
