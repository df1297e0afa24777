"""A server on a real loopback socket that misbehaves to the byte: each connection plays one script."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType

from anyio.from_thread import BlockingPortal, start_blocking_portal

__all__ = ["Hostile", "Script", "Visit", "answering", "forwarding", "hosted", "message", "tunnelling"]

Script = Callable[["Visit"], Awaitable[None]]


def message(
    status: str = "201 Created", body: bytes = b'{"status":"201"}', *fields: str, version: str = "1.1"
) -> bytes:
    """A reply with Content-Length, in one piece."""
    lines = [f"HTTP/{version} {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def answering(*replies: bytes, then_close: bool = False) -> Script:
    """A script that gives each request the next of ``replies``, the last one again and again unless ``then_close``."""

    async def script(visit: Visit) -> None:
        for reply in replies:
            await visit.request()
            await visit.send(reply)
        while not then_close:
            await visit.request()
            await visit.send(replies[-1])

    return script


def forwarding(port: int) -> Script:
    """What a proxy does with plain requests: passes every byte on to a port of this machine."""
    return lambda visit: visit.tunnel(port)


def tunnelling(port: int, seen: list[bytes] | None = None) -> Script:
    """What a proxy does with CONNECT, whose head is put into ``seen``: opens a tunnel to a port of this machine."""

    async def script(visit: Visit) -> None:
        head = await visit.head()
        if seen is not None:
            seen.append(head)
        await visit.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await visit.tunnel(port)

    return script


@contextlib.contextmanager
def hosted(*servers: Hostile) -> Iterator[BlockingPortal]:
    """Servers on a loop of their own, for tests that are not async; the portal calls into that loop."""
    with start_blocking_portal() as portal, contextlib.ExitStack() as stack:
        for server in servers:
            stack.enter_context(portal.wrap_async_context_manager(server))
        yield portal


class Visit:
    """One connection, as the server sees it. Its methods raise ConnectionError or IncompleteReadError once the client
    is gone, and any OSError once the script has closed it (under TLS a client that wrote meanwhile is an error of its
    own). All of them end a script quietly."""

    def __init__(self, server: Hostile, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self.sent = 0
        self.closed = False

    async def head(self) -> bytes:
        """Read a request up to its blank line."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def body(self, length: int) -> bytes:
        """Read so many bytes behind a head."""
        return await self._reader.readexactly(length)

    async def request(self) -> bytes:
        """Read one whole request and record it."""
        head = await self.head()
        length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
        request = head + await self._reader.readexactly(int(length[1]) if length else 0)
        self._server.record(request)
        return request

    async def send(self, data: bytes) -> None:
        """Hand data to the client's side of the wire."""
        self._writer.write(data)
        await self._writer.drain()
        self.sent += len(data)

    async def drip(self, data: bytes, every: float) -> None:
        """Send a byte at a time, ``every`` so many seconds."""
        for byte in data:
            await self.send(bytes([byte]))
            await asyncio.sleep(every)

    async def gone(self) -> None:
        """Wait until the client closes the connection."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    def cut(self) -> None:
        """End the connection with FIN and not a word before it: under TLS, without the alert that says so."""
        with socket.socket(fileno=os.dup(self._writer.get_extra_info("socket").fileno())) as own:
            own.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def tunnel(self, port: int) -> None:
        """Pass bytes to and from a port of this machine until either side closes; closes at once if nobody listens."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        ways = [asyncio.create_task(_pump(self._reader, writer)), asyncio.create_task(_pump(reader, self._writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.close()  # before anything that the end of the test could cancel
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await _close(writer, patience=0.2)

    async def close(self) -> None:
        """Close the connection and wait until that is done."""
        self.closed = True
        await _close(self._writer)


class Hostile:
    """The server: the first connection plays the first script and so on, later ones the last.

    ``requests`` are the whole requests received, byte for byte, ``visits`` all connections.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts, self._tls = scripts, tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self._closed = 0
        self._mistakes: list[Exception] = []
        self.requests: list[bytes] = []
        self.visits: list[Visit] = []
        self._socket: socket.socket | None = None
        self.port = 0

    def reserve(self) -> None:
        """Take a port already; whoever connects to it is refused until the server is up."""
        # By its protocol asyncio knows that it should send at once what is short: without it, some things come late.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        """The base URL of this server."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def record(self, request: bytes) -> None:
        """Note a request, for those who wait for it."""
        self.requests.append(request)

    async def until_closed(self, count: int) -> None:
        """Wait until so many connections are closed on this side."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self._scripts[min(len(self.visits), len(self._scripts) - 1)]
        visit = Visit(self, reader, writer)
        self.visits.append(visit)
        # The end of the test cancels a script that still waits; a stream's task must not end as cancelled.
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await script(visit)
        except Exception as mistake:
            if not (visit.closed and isinstance(mistake, OSError)):
                self._mistakes.append(mistake)
        with contextlib.suppress(asyncio.CancelledError):
            await visit.close()
        self._tasks.discard(task)
        async with self._changed:
            self._closed += 1
            self._changed.notify_all()

    async def __aenter__(self) -> Hostile:
        # Nobody has to answer the word that we close: a server does not wait for it.
        patience = {"ssl_shutdown_timeout": 0.1} if self._tls else {}
        if self._socket is None:
            self.reserve()
        self._server = await asyncio.start_server(
            self._serve, sock=self._socket, ssl=self._tls, backlog=256, **patience
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self._mistakes and error is None:
            raise self._mistakes[0]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def _close(writer: asyncio.StreamWriter, patience: float = 1.0) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        try:
            await asyncio.wait_for(writer.wait_closed(), patience)
        except TimeoutError:  # nobody reads what is still to be written
            writer.transport.abort()
