"""What the tests of the transports share: the ways of sending, a request full of canaries, certificates, scripts."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache

import anyio
import pytest
import trustme

from batchpost.lane import Lanes, open_wire
from batchpost.model import Reply, Target
from batchpost.proxied import HttpxTransport
from batchpost.transport import MAX_IDLE, Heads, MaybeSent, Origin, Transport, TransportFault, Wire, tls_context
from tests.hostile import Hostile, Script, Visit, forwarding, message, tunnelling

__all__ = [
    "ALONE",
    "BODY",
    "OK",
    "PATIENCE",
    "SHORT",
    "TARGET",
    "WAYS",
    "Posting",
    "Way",
    "authority",
    "blocked",
    "closed_port",
    "ending",
    "fault_of",
    "opened",
    "result_of",
    "serving",
    "silent",
    "transports",
    "trusting",
]

TARGET = Target("/api/lead/update/cmp_Canary%2Fa", "cmp_Canary", token="tok-canary-1")
BODY = b'{"transaction_id":"txn_canary_1"}'
OK = message()
PATIENCE = 30.0  # seconds; the deadline of tests that do not mean to reach it
SHORT = 0.2


class Posting:
    """A wire with one connection, awaited request by request."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._ended = anyio.Event()
        self.handed_over = False

    async def post(self, target: Target, body: bytes, *, max_idle: float = MAX_IDLE) -> Reply:
        """As :meth:`batchpost.transport.Transport.post`."""
        self._wire.notify = self._end
        self._ended = anyio.Event()
        self._wire.begin([(self, target, body, max_idle)])
        try:
            await self._ended.wait()
        except anyio.get_cancelled_exc_class():
            self._wire.abort()
            self._result()
            raise
        result = self._result()
        if isinstance(result, Exception):
            raise result
        return result

    async def aclose(self) -> None:
        """As :meth:`batchpost.transport.Transport.aclose`: an abort ends the connections, too."""
        self._wire.abort()

    def _end(self) -> None:
        self._ended.set()

    def _result(self) -> Reply | Exception:
        [(token, result)] = self._wire.take()
        assert token is self
        self.handed_over = isinstance(result, Reply | MaybeSent)
        return result


@asynccontextmanager
async def opened(
    origin: Origin, *, timeout: float = PATIENCE, proxy: str | None = None, ca_file: str | None = None
) -> AsyncIterator[Posting]:
    """A wire with one connection, as a run opens it."""
    async with open_wire(origin, count=1, timeout=timeout, proxy=proxy, ca_file=ca_file) as wire:
        yield Posting(wire)


@asynccontextmanager
async def transports(
    url: str, *, httpx: bool, proxy: str | None = None, count: int = 1, timeout: float = PATIENCE
) -> AsyncIterator[list[Transport]]:
    """Transports to a URL, with a connection each, closed at the end."""
    heads = Heads(Origin.parse(url))
    async with AsyncExitStack() as stack:
        made: list[Transport] = []
        for _ in range(count):
            if httpx:
                transport = HttpxTransport(heads, timeout=timeout, tls=trusting(), proxy=proxy)
                stack.push_async_callback(transport.aclose)
                made.append(transport)
            else:
                lanes = Lanes(heads, count=1, timeout=timeout, tls=trusting())
                stack.callback(lanes.close)
                made.append(Posting(lanes))
        yield made


@dataclass(frozen=True)
class Way:
    """One way of sending: the lane or httpx, on one loop or the other, over TLS or not, through a proxy or not."""

    name: str
    httpx: bool = False
    tls: bool = False
    proxy: bool = False
    uvloop: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def backend(self) -> tuple[str, dict[str, bool]]:
        """What anyio's plugin is to run the test on."""
        return "asyncio", {"use_uvloop": self.uvloop}

    def serve(self, *scripts: Script) -> Hostile:
        """The server at the far end."""
        return Hostile(*scripts, tls=_served() if self.tls else None)

    def url_of(self, server: Hostile) -> str:
        """Its URL, as https even if the server talks no TLS."""
        return server.url.replace("http:", "https:") if self.tls else server.url

    @asynccontextmanager
    async def connect(
        self, server: Hostile, *, count: int = 1, timeout: float = PATIENCE
    ) -> AsyncIterator[list[Transport]]:
        """Transports to the server, closed at the end."""
        async with AsyncExitStack() as stack:
            relay = tunnelling(server.port) if self.tls else forwarding(server.port)
            proxy = await stack.enter_async_context(Hostile(relay)) if self.proxy else None
            through = proxy.url if proxy else None
            url = self.url_of(server)
            yield await stack.enter_async_context(
                transports(url, httpx=self.httpx, proxy=through, count=count, timeout=timeout)
            )


WAYS = (
    Way("lane"),
    Way("lane-uvloop", uvloop=True),
    Way("lane-tls", tls=True),
    Way("lane-tls-uvloop", tls=True, uvloop=True),
    Way("httpx", httpx=True),
    Way("httpx-tls", httpx=True, tls=True),
    Way("proxy", httpx=True, proxy=True),
    Way("proxy-tls", httpx=True, tls=True, proxy=True),
)
ALONE = tuple(way for way in WAYS if not way.proxy)  # with nothing between that has a pace of its own


async def result_of(transport: Transport, body: bytes = BODY) -> Reply | TransportFault:
    """What a post came to."""
    try:
        return await transport.post(TARGET, body)
    except TransportFault as fault:
        return fault


async def fault_of(transport: Transport, body: bytes = BODY) -> TransportFault:
    """The fault of a post; nothing of the request shows in what could be logged of it."""
    with pytest.raises(TransportFault) as caught:
        await transport.post(TARGET, body)
    fault = caught.value
    assert fault.__cause__ is None
    assert fault.__context__ is None or fault.__suppress_context__
    for text in (str(fault), repr(fault), fault.kind, fault.detail):
        assert "canary" not in text.lower()
    return fault


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def trusting() -> ssl.SSLContext:
    """The client's side, which trusts :func:`authority` too. Once for all: loading the system's takes 30 ms."""
    context = tls_context()
    authority().configure_trust(context)
    return context


def serving(*hosts: str, leaf: trustme.LeafCert | None = None) -> ssl.SSLContext:
    """The server's side, with a certificate for some hosts or a given one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (leaf or authority().issue_cert(*hosts)).configure_cert(context)
    return context


@cache
def _served() -> ssl.SSLContext:
    return serving("127.0.0.1")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def blocked(seconds: float) -> None:
    """The event loop sees nothing for a while: what happens on its sockets meanwhile, it does not know yet."""
    time.sleep(seconds)


def ending(*parts: bytes, reset: bool = False) -> Script:
    """Takes a request, sends some bytes and closes the connection."""

    async def script(visit: Visit) -> None:
        await visit.request()
        for part in parts:
            await visit.send(part)
        if reset:
            visit.reset()

    return script


async def silent(visit: Visit) -> None:
    """Takes a request and says nothing."""
    await visit.request()
    await visit.gone()
