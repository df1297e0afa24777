"""One bare HTTP/1.1 connection on asyncio, one request at a time.

Replies are parsed by llhttp. Whatever is odd about a reply (RFC 9112) closes the connection, since what follows on it
could be taken for the reply to the next request.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import time
from typing import Any, Protocol, cast

import httptools
from aiohappyeyeballs import start_connection

from batchpost.model import Reply
from batchpost.replies import MAX_BODY, MAX_HEAD, complete_reply, header_map
from batchpost.transport import MaybeSent, Origin, Stage, TransportFault, causes, connect_fault, tls_is_closed

__all__ = ["Connection", "Owner", "connect"]

_MAX_MESSAGE = 8 * MAX_BODY  # bytes received for one reply, with chunk sizes, trailers and all
_AT_ONCE = 16_384  # bytes of a request that any kernel takes of a connection on which nothing else waits
_SECOND_ADDRESS = 0.25  # seconds until the next address of a host is tried as well (RFC 8305)


class Owner(Protocol):
    """Who is told what became of a request."""

    def replied(self, reply: Reply, /) -> None:
        """The whole reply is there."""

    def ended(self, fault: TransportFault, /) -> None:
        """There will be no reply; the connection is closed."""


class Connection(asyncio.Protocol):
    """One TCP or TLS connection and the reply being read from it. ``last_used`` is a monotonic time in seconds."""

    def __init__(self, owner: Owner, poll: select.poll) -> None:
        self._owner, self._poll = owner, poll
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

    # What its owner does with it.

    def send(self, request: bytes) -> None:
        """Hand a request to the socket; its owner is told of its reply or of MaybeSent."""
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
            self._owner.ended(fault)

    def close(self) -> None:
        """Drop the connection at once; what is still unsent stays unsent, and its owner hears no more of it."""
        if not self.closed and self._transport is not None:
            self._poll.unregister(self.fd)
            self._transport.abort()
        self.closed = True
        self._asked = False

    # What the event loop tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)
        self.fd = transport.get_extra_info("socket").fileno()
        self._poll.register(self.fd, select.POLLIN)
        self.last_used = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """A piece of a reply, or what nobody asked for."""
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
        """The other side sends no more."""
        self._lost(clean=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, by an error or in order."""
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
        self._owner.replied(reply)

    # What the parser tells it; an exception here makes feed_data raise.

    def on_message_begin(self) -> None:
        """A reply begins: the only one."""
        if self._complete:
            raise httptools.HttpParserError("bytes after the reply")

    def on_headers_complete(self) -> None:
        """The head is there; an informational one (RFC 9110, 15.2) comes before that of the reply."""
        status: int = self._parser.get_status_code()
        if status < 100:
            raise httptools.HttpParserError("no status has two digits")
        if status < 200:
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
        """The reply is whole."""
        if self._status:
            self._complete = True
            self._keep = self._parser.should_keep_alive()


async def connect(
    owner: Owner, origin: Origin, tls: ssl.SSLContext | None, poll: select.poll, deadline: float
) -> Connection:
    """A connection to the origin, over TLS if a context is given, before ``deadline`` (monotonic seconds). ``poll``
    watches it until it is closed. Raises NotSent."""
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
                lambda: Connection(owner, poll), sock=sock, ssl=tls, server_hostname=host
            )
            return connection
    except Exception as error:  # total on purpose: nothing of the request exists on any socket yet
        raise connect_fault(causes(error), stage) from None
