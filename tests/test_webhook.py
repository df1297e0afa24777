from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from batchpost.errors import SecretError
from batchpost.webhook import ATTEMPTS, Webhook, open_webhook
from tests.hooks import webhook
from tests.wire import authority, serving

ADDRESS = "https://hooks.example.com/services/T0/s3cret?token=s3cret"
SERVER_DOWN = httpx.ConnectError("no way to hooks.example.com/services/T0/s3cret")


@dataclass
class World:
    """A clock that only waiting and slow replies move, and what the other end does: a status, a reply, or a fault."""

    ends: list[Any]
    takes: float = 0.0
    now: float = 50.0
    waits: list[float] = field(default_factory=list)
    seen: list[httpx.Request] = field(default_factory=list)

    def reply(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        self.now += self.takes
        end = self.ends[len(self.seen) - 1]
        if isinstance(end, Exception):
            raise end
        return end if isinstance(end, httpx.Response) else httpx.Response(end)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def hook(self, address: str = ADDRESS) -> Webhook:
        transport = httpx.MockTransport(self.reply)
        return Webhook("env:HOOK", address, {}, way=lambda url: transport, clock=lambda: self.now, wait=self.wait)


# -- the address -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.slack.com/services/T0/B0/x",
        "https://user:pass@chat.example.com:8443/hook?key=a&token=b%3D",
        "http://127.0.0.1:9/x",
        "http://localhost:9/x",
    ],
)
def test_an_https_address_or_one_of_this_machine_is_a_webhook(tmp_path: Path, address: str) -> None:
    (tmp_path / "hook").write_text(f"{address}\n")
    found = open_webhook("file:hook", tmp_path, {})
    assert found.address == address
    assert "hook" in repr(found)
    assert address not in repr(found)


@pytest.mark.parametrize(
    "address",
    [
        *("s3cret", "hooks.example.com/s3cret", "http://hooks.example.com/s3cret", "ftp://h/s3cret"),
        *("s3://bucket/s3cret", "https://", "https:///s3cret", "https://[s3cret", "https://h:s3cret/"),
    ],
)
def test_what_is_no_address_is_refused_without_being_shown(tmp_path: Path, address: str) -> None:
    with pytest.raises(SecretError) as caught:
        open_webhook("env:HOOK", tmp_path, {"HOOK": address})
    assert "[notify] webhook: what env:HOOK holds " in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="the environment variable HOOK is not set"):
        open_webhook("env:HOOK", tmp_path, {})


# -- one message -----------------------------------------------------------------------------------------------------


def test_a_message_is_posted_as_json_and_the_query_goes_along() -> None:
    world = World([200])
    assert world.hook().post(b'{"text": "x"}') == ""
    [request] = world.seen
    assert (request.method, str(request.url)) == ("POST", ADDRESS)
    assert request.content == b'{"text": "x"}'
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.headers["host"] == "hooks.example.com"
    assert "authorization" not in request.headers


def test_a_password_in_the_address_goes_into_the_head() -> None:
    world = World([204])
    assert world.hook("https://me:p%40ss@hooks.example.com/x").post(b"{}") == ""
    assert world.seen[0].headers["authorization"] == f"Basic {b64encode(b'me:p@ss').decode()}"
    assert str(world.seen[0].url) == "https://hooks.example.com/x"


@pytest.mark.parametrize(
    ("ends", "why", "waits"),
    [
        ([SERVER_DOWN, 200], "", [1.0]),
        ([503, httpx.ReadTimeout("x"), 201], "", [1.0, 3.0]),
        ([httpx.RemoteProtocolError("x"), 500, 429], "HTTP 429", [1.0, 3.0]),
        ([SERVER_DOWN] * 3, "its host cannot be reached", [1.0, 3.0]),
        ([httpx.ConnectTimeout("x")] * 3, "no answer in time", [1.0, 3.0]),
        ([httpx.ProxyError("x")] * 3, "the proxy refuses the connection", [1.0, 3.0]),
        ([404], "HTTP 404", []),
        ([400], "HTTP 400", []),
        ([httpx.LocalProtocolError("x")], "it cannot be posted to like this", []),
    ],
)
def test_what_may_get_better_is_tried_again_and_nothing_else(ends: list[Any], why: str, waits: list[float]) -> None:
    world = World(ends)
    assert world.hook().post(b"{}") == why
    assert world.waits == waits
    assert len(world.seen) == len(ends) <= ATTEMPTS


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    world = World([httpx.Response(status, headers={"Location": "https://elsewhere.example/s3cret"})])
    assert world.hook().post(b"{}") == f"a redirect (HTTP {status}), which is not followed"
    assert len(world.seen) == 1


@pytest.mark.parametrize(
    ("after", "waits"), [("5", [5.0]), ("0", [1.0]), ("60", []), ("9" * 400, [1.0]), ("soon", [1.0]), ("-1", [1.0])]
)
def test_a_server_that_says_when_is_asked_then_if_there_is_time(after: str, waits: list[float]) -> None:
    world = World([httpx.Response(429, headers={"Retry-After": after}), 200])
    assert world.hook().post(b"{}", within=15.0) == ("" if waits else "HTTP 429")
    assert world.waits == waits


def test_slow_replies_use_up_the_time_of_all_attempts() -> None:
    world = World([503, 503, 200], takes=7.5)
    assert world.hook().attempts(b"{}", within=15.0) == "HTTP 503"
    assert (len(world.seen), world.now) == (2, 66.0)


def test_no_attempt_is_given_more_than_what_is_left() -> None:
    world = World([503, 200], takes=6.0)
    assert world.hook().attempts(b"{}", within=8.0) == ""
    assert [request.extensions["timeout"]["read"] for request in world.seen] == [5.0, 1.0]


def test_a_library_that_breaks_is_told_by_the_kind_of_its_error_alone() -> None:
    world = World([RuntimeError(ADDRESS)])
    assert world.hook().post(b"{}") == "RuntimeError"


# -- over the wire ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environ", [{}, {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}])
def test_this_machine_is_reached_without_a_proxy(environ: dict[str, str]) -> None:
    with webhook() as hook:
        assert Webhook("env:HOOK", hook.url, environ).post(b'{"text": "\xc3\xbc"}') == ""
    assert hook.messages == [{"text": "ü"}]
    assert hook.heads[0][":path"] == "/services/T0/hook"
    assert hook.heads[0]["content-length"] == "14"


def test_a_certificate_that_nobody_vouches_for_is_told_nothing() -> None:
    with webhook(tls=serving("127.0.0.1")) as hook:
        assert Webhook("env:HOOK", hook.url, {}).post(b"{}").startswith("its certificate is not trusted")
    assert hook.bodies == []


def test_authorities_of_the_environment_are_trusted(tmp_path: Path) -> None:
    authority().cert_pem.write_to_path(tmp_path / "ca.pem")
    with webhook(tls=serving("127.0.0.1")) as hook:
        assert Webhook("env:HOOK", hook.url, {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}).post(b"{}") == ""
    assert hook.messages == [{}]


def test_one_that_is_silent_for_good_costs_no_more_than_the_time_it_may() -> None:
    silence = Event()

    def answer(number: int) -> tuple[int, dict[str, str]]:
        silence.wait(60)
        return 200, {}

    with webhook(answer) as hook:
        assert Webhook("env:HOOK", hook.url, {}).post(b"{}", within=0.2) == "no end within 0.2 seconds"
        silence.set()
