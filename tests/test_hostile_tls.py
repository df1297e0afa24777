"""Connections that never come about, above all because of TLS: nothing is sent, and the trouble has its name."""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
import trustme

from batchpost.transport import MaybeSent, NotSent, Origin
from tests.hostile import Hostile, Script, Visit, answering, message, tunnelling
from tests.wire import (
    BODY,
    OK,
    SHORT,
    TARGET,
    WAYS,
    Way,
    authority,
    closed_port,
    fault_of,
    opened,
    serving,
)

pytestmark = pytest.mark.anyio

SECURE = tuple(way for way in WAYS if way.tls)
DIRECT = tuple(way for way in WAYS if not way.proxy)


@pytest.fixture(params=SECURE, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


@pytest.fixture
def anyio_backend(way: Way) -> tuple[str, dict[str, bool]]:
    return way.backend


def self_signed() -> ssl.SSLContext:
    maker = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with maker.private_key_pem.tempfile() as key, maker.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    return context


def valid(begins: datetime, ends: datetime) -> ssl.SSLContext:
    return serving(leaf=authority().issue_cert("127.0.0.1", not_before=begins, not_after=ends))


def without_its_intermediate() -> ssl.SSLContext:
    leaf = authority().create_child_ca().issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with leaf.private_key_pem.tempfile() as key, leaf.cert_chain_pems[0].tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    return context


PAST, NOW, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC), datetime.now(UTC) + timedelta(days=365)
CERTIFICATES: dict[str, tuple[Callable[[], ssl.SSLContext], str]] = {
    "unknown authority": (
        lambda: serving(leaf=trustme.CA().issue_cert("127.0.0.1")),
        "unable to get local issuer certificate",
    ),
    "self-signed": (self_signed, "self-signed certificate"),
    "wrong host": (lambda: serving("other.example"), "certificate is not valid for"),
    "another address": (lambda: serving("127.0.0.2"), "certificate is not valid for"),
    "expired": (lambda: valid(PAST, PAST + timedelta(days=9)), "certificate has expired"),
    "not yet valid": (lambda: valid(FUTURE, FUTURE + timedelta(days=9)), "certificate is not yet valid"),
    "intermediate missing": (without_its_intermediate, "unable to get local issuer certificate"),
}


@pytest.mark.parametrize("certificate", CERTIFICATES)
async def test_a_bad_certificate_is_not_sent_and_named(way: Way, certificate: str) -> None:
    make, named = CERTIFICATES[certificate]
    async with Hostile(answering(OK), tls=make()) as server, way.connect(server) as [transport]:
        fault = await fault_of(transport)
        assert not transport.handed_over
    assert (type(fault), fault.kind) == (NotSent, "tls")
    assert fault.detail.startswith("certificate verify failed: ")
    assert named in fault.detail
    assert server.visits == [], "the handshake was never finished, so not a byte can have come through it"


async def test_a_chain_with_its_intermediate_is_trusted_and_the_connection_kept(way: Way) -> None:
    leaf = authority().create_child_ca().issue_cert("127.0.0.1")
    async with (
        Hostile(answering(OK), tls=serving(leaf=leaf)) as server,
        way.connect(server) as [transport],
    ):
        assert [(await transport.post(TARGET, BODY)).status for _ in range(3)] == [201] * 3
    assert (len(server.requests), len(server.visits)) == (3, 1)


def outdated() -> ssl.SSLContext:
    context = serving("127.0.0.1")
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def test_tls_1_1_is_not_spoken(way: Way) -> None:
    async with Hostile(answering(OK), tls=outdated()) as server, way.connect(server) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind, server.visits) == (NotSent, "tls", [])
    assert fault.detail.startswith("TLS handshake failed: ")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_wants_to_know_who_we_are_is_told_nothing(way: Way, version: ssl.TLSVersion) -> None:
    """In TLS 1.3 a client learns that it is refused only after it may have sent, and says so."""
    context = serving("127.0.0.1")
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(context)
    async with Hostile(answering(OK), tls=context) as server, way.connect(server) as [transport]:
        fault = await fault_of(transport)
    assert server.requests == []
    assert type(fault) is (NotSent if version == ssl.TLSVersion.TLSv1_2 else MaybeSent)


async def plain(visit: Visit) -> None:
    await visit.send(message("400 Bad Request"))
    await visit.gone()


async def waiting_for_plain(visit: Visit) -> None:
    await visit.request()


async def hanging_up(visit: Visit) -> None:
    await visit.send(b"")


async def resetting(visit: Visit) -> None:
    visit.reset()


@pytest.mark.parametrize("script", [plain, hanging_up, resetting])
async def test_a_failed_handshake_is_not_sent(way: Way, script: Script) -> None:
    async with Hostile(script) as server, way.connect(server) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (NotSent, "tls")
    assert fault.detail.startswith("TLS handshake failed: ")


async def test_a_server_of_plain_http_that_waits_for_a_request_gets_none(way: Way) -> None:
    async with Hostile(waiting_for_plain) as server, way.connect(server, timeout=SHORT) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind, server.requests) == (NotSent, "connect_timeout", [])


async def test_a_handshake_that_is_never_answered_is_not_sent(way: Way) -> None:
    async with Hostile(Visit.gone) as server:
        async with way.connect(server, timeout=SHORT) as [transport]:
            begun = time.monotonic()
            fault = await fault_of(transport)
            assert SHORT * 0.9 < time.monotonic() - begun < 5
        await server.until_closed(1)  # by us: the server only waits
    assert (type(fault), fault.kind) == (NotSent, "connect_timeout")


async def test_after_a_failed_handshake_the_next_one_may_succeed(way: Way) -> None:
    async with Hostile(answering(OK), tls=serving("127.0.0.1")) as server:
        front = Hostile(hanging_up, hanging_up, lambda visit: visit.tunnel(server.port))
        async with front, way.connect(front) as [transport]:
            refused = [await fault_of(transport) for _ in range(2)]
            assert (await transport.post(TARGET, BODY)).status == 201
    assert [(type(fault), fault.kind) for fault in refused] == [(NotSent, "tls")] * 2
    assert (len(server.requests), len(front.visits)) == (1, 3)


@pytest.mark.parametrize("way", [WAYS[0], WAYS[4]], ids=str, indirect=True)
@pytest.mark.parametrize("proxied", [False, True])
async def test_the_ca_file_of_a_job_opens_the_way_that_the_system_does_not_trust(
    way: Way, proxied: bool, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(ca_file))
    async with Hostile(answering(OK), tls=serving("127.0.0.1")) as server, Hostile(tunnelling(server.port)) as proxy:
        origin, through = Origin.parse(server.url), proxy.url if proxied else None
        for given, trusted in ((str(ca_file), True), (None, False)):
            async with opened(origin, proxy=through, ca_file=given) as transport:
                if trusted:
                    assert (await transport.post(TARGET, BODY)).status == 201
                else:
                    assert "unable to get local issuer" in (await fault_of(transport)).detail
    assert len(server.requests) == 1


# Without TLS.


@pytest.mark.parametrize("way", DIRECT, ids=str, indirect=True)
async def test_a_refused_connection_is_not_sent(way: Way) -> None:
    server = Hostile(answering(OK))
    server.port = closed_port()
    async with way.connect(server) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind, fault.detail) == (NotSent, "connect_refused", "connection refused")


@pytest.mark.parametrize("way", [way for way in WAYS if way.proxy and way.tls], ids=str, indirect=True)
async def test_a_tunnel_to_nowhere_is_not_sent(way: Way) -> None:
    server = Hostile(answering(OK))
    server.port = closed_port()
    async with way.connect(server) as [transport]:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (NotSent, "tls")


@pytest.mark.parametrize("way", [WAYS[0], WAYS[1]], ids=str, indirect=True)
@pytest.mark.parametrize("host", ["name.invalid", "a" * 64 + ".invalid"])
@pytest.mark.parametrize("proxy", [False, True])
async def test_a_name_that_does_not_resolve_is_not_sent(way: Way, host: str, proxy: bool) -> None:
    origin = Origin.parse("http://127.0.0.1:9" if proxy else f"http://{host}:9")
    through = f"http://{host}:9" if proxy else None
    async with opened(origin, proxy=through) as transport:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (NotSent, "dns")


async def test_cancelled_in_the_handshake_a_transport_lets_go_and_connects_again(way: Way) -> None:
    accepted = anyio.Event()

    async def waiting(visit: Visit) -> None:
        accepted.set()
        await visit.gone()

    async with (
        way.serve(answering(OK)) as origin,
        Hostile(waiting, lambda visit: visit.tunnel(origin.port)) as front,
        way.connect(front) as [transport],
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(transport.post, TARGET, BODY)
            await accepted.wait()
            group.cancel_scope.cancel()
        assert not transport.handed_over
        await front.until_closed(1)
        assert (await transport.post(TARGET, BODY)).status == 201
