"""What is httpx's own: the way through proxies, and that nothing but NotSent and MaybeSent comes out of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
import trustme

from batchpost.errors import UsageError
from batchpost.proxied import HttpxTransport
from batchpost.transport import Heads, MaybeSent, NotSent, Origin, Transport
from tests.hostile import Hostile, Script, Visit, answering, message, tunnelling
from tests.wire import BODY, OK, PATIENCE, SHORT, TARGET, closed_port, ending, fault_of, opened, serving, trusting


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def through(proxy: str, url: str, timeout: float = PATIENCE) -> AsyncIterator[Transport]:
    transport = HttpxTransport(Heads(Origin.parse(url)), timeout=timeout, tls=trusting(), proxy=proxy)
    try:
        yield transport
    finally:
        await transport.aclose()


@pytest.mark.anyio
async def test_a_plain_request_goes_to_the_proxy_whole() -> None:
    async with (
        Hostile(answering(OK)) as proxy,
        through(proxy.url.replace("//", "//user:pass@"), "http://api.invalid") as transport,
    ):
        assert [(await transport.post(TARGET, BODY)).status for _ in range(2)] == [201, 201]
    assert len(proxy.visits) == 1
    assert proxy.requests[0].startswith(b"POST http://api.invalid/api/lead/update/cmp_Canary%2Fa HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in proxy.requests[0]


@pytest.mark.anyio
@pytest.mark.parametrize("proxy_tls", [None, "127.0.0.1"])
async def test_under_tls_a_request_goes_through_a_tunnel_that_learns_nothing_of_it(proxy_tls: str | None) -> None:
    seen: list[bytes] = []
    async with (
        Hostile(answering(OK), tls=serving("api.invalid")) as origin,
        Hostile(tunnelling(origin.port, seen), tls=serving(proxy_tls) if proxy_tls else None) as proxy,
        through(proxy.url, "https://api.invalid") as transport,
    ):
        assert [(await transport.post(TARGET, BODY)).status for _ in range(2)] == [201, 201]
    assert [head.split(b"\r\n")[0] for head in seen] == [b"CONNECT api.invalid:443 HTTP/1.1"]
    assert b"canary" not in seen[0].lower()
    assert origin.requests[1].startswith(b"POST /api/lead/update/cmp_Canary%2Fa HTTP/1.1\r\nHost: api.invalid\r\n")


@pytest.mark.anyio
async def test_a_reply_lost_behind_a_tunnel_leaves_the_request_maybe_sent() -> None:
    async with (
        Hostile(ending(), tls=serving("api.invalid")) as origin,
        Hostile(tunnelling(origin.port, [])) as proxy,
        through(proxy.url, "https://api.invalid") as transport,
    ):
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (MaybeSent, "dropped")


async def refusing(visit: Visit) -> None:
    await visit.head()
    await visit.send(message("407 canary", b"", "Connection: close"))


async def silent_proxy(visit: Visit) -> None:
    await visit.head()
    await visit.gone()


async def hanging_up(visit: Visit) -> None:
    await visit.head()


async def tunnel_to_nothing(visit: Visit) -> None:
    await visit.head()
    await visit.send(b"HTTP/1.1 200 OK\r\n\r\n")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind_of_fault"),
    [(refusing, "proxy"), (hanging_up, "proxy"), (silent_proxy, "connect_timeout"), (tunnel_to_nothing, "tls")],
)
async def test_a_proxy_that_opens_no_tunnel_gets_nothing_of_the_request(script: Script, kind_of_fault: str) -> None:
    timeout = SHORT if script is silent_proxy else PATIENCE
    async with Hostile(script) as proxy, through(proxy.url, "https://api.invalid", timeout) as transport:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (NotSent, kind_of_fault)


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["other.example", "unknown"])
@pytest.mark.parametrize("url", ["https://api.invalid", "http://api.invalid"])
async def test_a_proxy_with_a_bad_certificate_gets_nothing(host: str, url: str) -> None:
    certificate = serving(leaf=trustme.CA().issue_cert("127.0.0.1")) if host == "unknown" else serving(host)
    async with Hostile(answering(OK), tls=certificate) as proxy, through(proxy.url, url) as transport:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind, proxy.visits) == (NotSent, "tls", [])
    assert fault.detail.startswith("certificate verify failed: ")


@pytest.mark.anyio
async def test_a_proxy_that_is_not_there_is_not_sent() -> None:
    async with through(f"http://127.0.0.1:{closed_port()}", "https://api.invalid") as transport:
        fault = await fault_of(transport)
    assert (type(fault), fault.kind) == (NotSent, "connect_refused")


@pytest.mark.anyio
async def test_a_wire_goes_through_the_proxy_where_there_is_one() -> None:
    async with (
        Hostile(answering(OK)) as proxy,
        opened(Origin.parse("http://a.invalid"), proxy=proxy.url) as transport,
    ):
        assert [(await transport.post(TARGET, BODY)).status for _ in range(2)] == [201, 201]
    assert len(proxy.visits) == 1


@pytest.mark.anyio
async def test_proxies_named_in_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    async with Hostile(answering(OK)) as server:
        transport = HttpxTransport(Heads(Origin.parse(server.url)), timeout=PATIENCE, tls=trusting())
        assert (await transport.post(TARGET, BODY)).status == 201
        await transport.aclose()


@pytest.mark.parametrize("proxy", ["socks5://u:secret@127.0.0.1:9", "u:secret@a:9", "http://", "http://u:secret@a:x"])
def test_a_proxy_that_is_not_http_is_refused_without_its_password(proxy: str) -> None:
    with pytest.raises(UsageError, match=r"^proxy: must be http:// or https:// and a host$"):
        HttpxTransport(Heads(Origin("http", "a", 80)), timeout=1, tls=trusting(), proxy=proxy)


class Raising(httpx.AsyncBaseTransport):
    """Raises an error, before or after it says that it began to send the request."""

    def __init__(self, error: Exception, sending: bool) -> None:
        self._error, self._sending = error, sending

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._sending:
            await request.extensions["trace"]("http11.send_request_headers.started", {"request": request})
        raise self._error


def every_error() -> list[Exception]:
    """One of each exception that httpx exports, with text that must not show, and of what it may let through."""
    request = httpx.Request("POST", "http://canary.invalid/")
    special: dict[type[Exception], Exception] = {
        httpx.HTTPStatusError: httpx.HTTPStatusError("canary", request=request, response=httpx.Response(500)),
        **{
            cls: cls()
            for cls in (httpx.StreamConsumed, httpx.StreamClosed, httpx.ResponseNotRead, httpx.RequestNotRead)
        },
    }
    exported = (getattr(httpx, name) for name in httpx.__all__)
    classes = [each for each in exported if isinstance(each, type) and issubclass(each, Exception)]
    others = [anyio.BrokenResourceError(), ssl.SSLError("canary"), OSError("canary"), RuntimeError("canary")]
    return [*(special[cls] if cls in special else cls("canary") for cls in classes), *others]


@pytest.mark.anyio
@pytest.mark.parametrize("sending", [False, True])
async def test_whatever_is_raised_what_was_traced_decides(sending: bool) -> None:
    def raising(error: Exception) -> Callable[[], httpx.AsyncBaseTransport]:
        return lambda: Raising(error, sending)

    errors = every_error()
    assert {httpx.ConnectError, httpx.ReadTimeout, httpx.PoolTimeout} < {type(error) for error in errors}
    for error in errors:
        transport = HttpxTransport(
            Heads(Origin("http", "127.0.0.1", 9)), timeout=PATIENCE, tls=trusting(), connect=raising(error)
        )
        assert type(await fault_of(transport)) is (MaybeSent if sending else NotSent)
