"""What every transport promises, tried on a server that misbehaves: the lane on both loops, and httpx."""

from __future__ import annotations

import gzip
import re
import ssl
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from batchpost.errors import UsageError
from batchpost.model import Reply, Target
from batchpost.replies import MAX_BODY, complete_reply, header_map
from batchpost.transport import Heads, Origin, Transport, tls_context
from batchpost.version import __version__
from tests.hostile import Hostile, answering
from tests.wire import (
    BODY,
    OK,
    TARGET,
    authority,
    transports,
)

Open = Callable[..., AbstractAsyncContextManager[list[Transport]]]


@pytest.fixture(params=["lane", "lane-uvloop", "httpx"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend(kind: str) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": kind == "lane-uvloop"}


@pytest.fixture
def connect(kind: str) -> Open:
    """Opens transports of the kind under test: ``connect(url, count=1, timeout=PATIENCE)``."""

    return partial(transports, httpx=kind == "httpx")


# A whole reply.


@pytest.mark.anyio
async def test_requests_go_out_to_the_byte_and_share_one_connection(connect: Open) -> None:
    async with Hostile(answering(OK)) as server, connect(server.url) as [transport]:
        replies = [await transport.post(TARGET, body) for body in (BODY, b"", b"x" * 300_000)]
    head = (
        "POST /api/lead/update/cmp_Canary%2Fa HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{server.port}\r\nUser-Agent: batchpost/{__version__}\r\nAccept: application/json\r\n"
        "Accept-Encoding: identity\r\nContent-Type: application/json\r\nAuthorization: Bearer tok-canary-1\r\n"
        "Content-Length: "
    ).encode()
    bodies = (b"33\r\n\r\n" + BODY, b"0\r\n\r\n", b"300000\r\n\r\n" + b"x" * 300_000)
    assert server.requests == [head + body for body in bodies]
    assert len(server.visits) == 1
    assert replies == [Reply(201, {"content-length": "16"}, b'{"status":"201"}')] * 3


@pytest.mark.anyio
async def test_an_event_carries_no_token(connect: Open) -> None:
    async with Hostile(answering(OK)) as server, connect(server.url) as [transport]:
        await transport.post(Target("/api/event/global/org_1"), BODY)
    assert b"authorization" not in server.requests[0].lower()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "target", [Target("/a\r\nX: 1"), Target("/a b"), Target("/../x"), Target("/a", token="t\r\nX: 1")]
)
async def test_a_target_that_could_change_the_head_never_reaches_the_socket(connect: Open, target: Target) -> None:
    async with Hostile(answering(OK)) as server, connect(server.url) as [transport]:
        with pytest.raises(ValueError, match="must be"):
            await transport.post(target, BODY)
        assert server.visits == []
        assert (await transport.post(TARGET, BODY)).status == 201


# What all share.


@pytest.mark.parametrize(
    ("url", "canonical", "host_header", "loopback"),
    [
        ("https://api.pingtree.com", "https://api.pingtree.com:443", "api.pingtree.com", False),
        ("HTTPS://API.PingTree.com:443/", "https://api.pingtree.com:443", "api.pingtree.com", False),
        ("https://api.pingtree.com:8443", "https://api.pingtree.com:8443", "api.pingtree.com:8443", False),
        ("http://localhost", "http://localhost:80", "localhost", True),
        ("http://127.9.0.1:8080", "http://127.9.0.1:8080", "127.9.0.1:8080", True),
        ("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080", True),
        ("http://localhost.evil.example", "http://localhost.evil.example:80", "localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", "http://127.0.0.1.evil.example:80", "127.0.0.1.evil.example", False),
    ],
)
def test_an_origin_has_one_way_of_writing(url: str, canonical: str, host_header: str, loopback: bool) -> None:
    origin = Origin.parse(url)
    assert (str(origin), origin.authority, origin.is_loopback) == (canonical, host_header, loopback)
    assert Origin.parse(str(origin)) == origin


NO_SCHEME_OR_HOST = (
    "",
    "api.pingtree.com",
    "ftp://a",
    "https://",
    "https://:1",
    " https://a",
    "https://a b",
    "https://a\nb",
)
MORE = ("https://a/b", "https://a?b", "https://a#b", "https://u:p@a", "https://@a")
NO_HOST = (
    "https://a:x",
    "https://a:99999",
    "https://ü",
    "https://[::1",
    "https://a..b",
    "https://[x:y]",
    "https://a,b",
)


@pytest.mark.parametrize("url", [*NO_SCHEME_OR_HOST, *MORE, *NO_HOST, "https://[fe80::1%25eth0]"])
def test_a_base_url_that_is_more_or_less_than_an_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be|has no valid|[Pp]ort|IPv6"):
        Origin.parse(url)


BAD_PATHS = ("", "api", "/a\r\nX: 1", "/a\n", "/a\0", "/a b", "/a\tb", "/ü", "/a%0", "/%zz", "/a?b=c", "/a#b")
DOTS = ("/..", "/api/../x", "/./x", "/api/.", "http://other.invalid/x")


@pytest.mark.parametrize("path", [*BAD_PATHS, *DOTS], ids=ascii)
def test_a_path_that_is_not_wholly_encoded_has_no_head(path: str) -> None:
    with pytest.raises(ValueError, match="a request path must be"):
        Heads(Origin("https", "a", 443)).of(Target(path))


@pytest.mark.parametrize("token", ["a\r\nX: 1", "a\n", "a\0", "a b", "ü", "\x7f"], ids=ascii)
def test_a_token_that_is_not_one_word_has_no_head_and_shows_nowhere(token: str) -> None:
    with pytest.raises(ValueError, match=r"^a token must be visible ASCII characters without blanks$"):
        Heads(Origin("https", "a", 443)).of(Target("/a", token=token))


def test_tls_verifies_and_is_1_2_or_later() -> None:
    context = tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_ca_file_is_trusted_beside_the_system_authorities(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    assert len(tls_context(str(path)).get_ca_certs()) == len(tls_context().get_ca_certs()) + 1


def test_a_ca_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for path, reason in ((empty, "no certificate in it"), (tmp_path / "gone.pem", "no such file or directory")):
        with pytest.raises(UsageError, match=rf"^\[api\] ca_file {re.escape(str(path))}: {reason}\. Name a PEM"):
            tls_context(str(path))


@pytest.mark.parametrize(("size", "oversized"), [(MAX_BODY, False), (MAX_BODY + 1, True)])
def test_a_body_is_oversized_from_one_byte_above_the_limit_on(size: int, oversized: bool) -> None:
    for headers, raw in (({}, b"x" * size), ({"content-encoding": "gzip"}, gzip.compress(b"x" * size, 1))):
        body = b"" if oversized else b"x" * size
        assert complete_reply(200, headers, raw) == Reply(200, headers, body, oversized=oversized)


def test_a_bomb_is_not_unpacked_to_find_out_that_it_is_one() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000, 1)
    tracemalloc.start()
    try:
        assert complete_reply(200, {"content-encoding": "gzip"}, bomb).oversized
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BODY
    finally:
        tracemalloc.stop()


def test_header_names_are_folded_and_values_read_as_latin_1() -> None:
    assert header_map([(b"A-b", b"\xe9 X"), (b"a-B", b"second")]) == {"a-b": "\xe9 X"}
