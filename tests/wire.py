"""What the tests of the transports share: the ways of sending, a request full of canaries, certificates, scripts."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache

import pytest
import trustme

from batchpost.lane import Lane, Sweeper
from batchpost.model import Reply, Target
from batchpost.proxied import HttpxTransport
from batchpost.transport import Heads, Origin, Transport, TransportFault, tls_context
from tests.hostile import Hostile, Script, Visit, forwarding, message, tunnelling

__all__ = [
    "ALONE",
    "BODY",
    "OK",
    "PATIENCE",
    "SHORT",
    "TARGET",
    "WAYS",
    "Way",
    "authority",
    "blocked",
    "closed_port",
    "ending",
    "fault_of",
    "result_of",
    "serving",
    "silent",
    "trusting",
]

TARGET = Target("/api/lead/update/cmp_Canary%2Fa", "cmp_Canary", token="tok-canary-1")
BODY = b'{"transaction_id":"txn_canary_1"}'
OK = message()
PATIENCE = 30.0  # seconds; the deadline of tests that do not mean to reach it
SHORT = 0.2


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
            sweeper = Sweeper(timeout / 10)
            heads = Heads(Origin.parse(self.url_of(server)))
            made: list[Transport] = [
                HttpxTransport(heads, timeout=timeout, tls=trusting(), proxy=proxy and proxy.url)
                if self.httpx
                else Lane(heads, timeout=timeout, tls=trusting(), sweeper=sweeper)
                for _ in range(count)
            ]
            sweeper.start()
            stack.callback(sweeper.stop)
            for transport in made:
                stack.push_async_callback(transport.aclose)
            yield made


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
