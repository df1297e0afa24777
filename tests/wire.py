"""What the tests of the transports share: a request full of canaries, certificates, and scripts for the server."""

from __future__ import annotations

import socket
import ssl
import time
from functools import cache

import pytest
import trustme

from batchpost.model import Target
from batchpost.transport import Transport, TransportFault, tls_context
from tests.hostile import Script, Visit, message

__all__ = [
    "BODY",
    "OK",
    "PATIENCE",
    "SHORT",
    "TARGET",
    "authority",
    "blocked",
    "closed_port",
    "ending",
    "fault_of",
    "serving",
    "silent",
    "trusting",
]

TARGET = Target("/api/lead/update/cmp_Canary%2Fa", "cmp_Canary", token="tok-canary-1")
BODY = b'{"transaction_id":"txn_canary_1"}'
OK = message()
PATIENCE = 30.0  # seconds; the deadline of tests that do not mean to reach it
SHORT = 0.2


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
