"""One connection of the sandbox: HTTP/1.1 in, a reply out, whole or broken on purpose."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import NamedTuple, cast

import httptools

__all__ = ["Connection", "Ending", "Incoming", "Response"]


class Ending(Enum):
    """How a reply ends: as it should, not begun and closed, not begun and reset (TCP RST), or closed in its body."""

    WHOLE = auto()
    DROP = auto()
    RESET = auto()
    HALF = auto()


class Incoming(NamedTuple):
    """A whole request. ``target`` is as sent; ``headers`` have lower-case names."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Response:
    """A reply and the way in which it goes out."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    ending: Ending = Ending.WHOLE


class Connection(asyncio.Protocol):
    """Parses requests, hands them on one at a time, and writes what ``respond`` is given, at once or later.

    ``handle(incoming, respond)`` must call ``respond`` exactly once. Pipelined requests wait for their turn.
    """

    def __init__(self, handle: Callable[[Incoming, Callable[[Response], None]], None], others: set[Connection]) -> None:
        self._handle = handle
        self._others = others
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Incoming] = deque()
        self._current: Incoming | None = None
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of ``asyncio.Protocol``; asyncio and uvloop have set TCP_NODELAY by now."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without being its subclass
        self._others.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - its name is asyncio's
        """Of ``asyncio.Protocol``; what is being done is done all the same."""
        self._others.discard(self)
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Of ``asyncio.Protocol``."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()

    def on_message_begin(self) -> None:
        """Of the parser."""
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """Of the parser; a long target comes in parts."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the parser."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Of the parser; a client that asks first is told to go on (RFC 9110, 10.1.1)."""
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """Of the parser."""
        self._body.append(part)

    def on_message_complete(self) -> None:
        """Of the parser."""
        incoming = Incoming(
            self._parser.get_method().decode("latin-1"),
            self._target.decode("latin-1"),
            self._headers,
            b"".join(self._body),
            self._parser.should_keep_alive(),
        )
        self._waiting.append(incoming)
        if self._current is None:
            self._next()

    def abort(self) -> None:
        """Closes at once, with nothing more written."""
        self._transport.abort()

    def _next(self) -> None:
        while self._waiting and self._current is None:
            self._current = self._waiting.popleft()
            self._handle(self._current, self._respond)

    def _respond(self, response: Response) -> None:
        incoming, self._current = self._current, None
        if self._transport.is_closing() or incoming is None:
            self._waiting.clear()
            return
        if response.ending is Ending.RESET:
            # Lingering for no time turns the close into a reset (socket(7), SO_LINGER).
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            self._transport.abort()
            return
        whole = response.ending is Ending.WHOLE
        if response.ending is not Ending.DROP:
            head = _head(response, incoming.keep_alive or not whole)
            body = response.body if whole else response.body[: len(response.body) // 2]
            self._transport.write(head + (b"" if incoming.method == "HEAD" else body))
        if not (whole and incoming.keep_alive):
            self._transport.close()
            return
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def _head(response: Response, keep_alive: bool) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
    return (
        f"HTTP/1.1 {response.status} {_PHRASES[response.status]}\r\n"
        f"Content-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n"
        f"{extra}{'' if keep_alive else 'Connection: close' + chr(13) + chr(10)}\r\n"
    ).encode("latin-1")
