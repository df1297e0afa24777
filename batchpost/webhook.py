"""A webhook: an address that is a secret, and one message posted to it within a bounded time.

httpx's transport is used without the client above it, which logs addresses.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import httpx

from batchpost.address import address_fault, is_address
from batchpost.errors import SecretError, UsageError
from batchpost.secrets import read_secret
from batchpost.ways import ways

__all__ = ["ATTEMPTS", "WITHIN", "Webhook", "open_webhook"]

ATTEMPTS = 3
WITHIN = 15.0  # seconds in all
_TIMEOUT = 5.0  # seconds without any progress of one attempt
_PAUSES = (1.0, 3.0)  # seconds before the second attempt and the third
_BUSY = (408, 425, 429)  # besides 5xx, what another attempt may change

Way = Callable[[httpx.URL], httpx.BaseTransport]


class _Tried(NamedTuple):
    """One attempt: why it failed (empty: it did not), whether another one may do better, and the seconds that the
    server asks for before it."""

    why: str = ""
    again: bool = False
    pause: float = 0.0


def open_webhook(reference: str, workspace: Path, environ: Mapping[str, str]) -> Webhook:
    """The webhook whose address a reference names; raises SecretError where it is missing or no address."""
    address = read_secret(reference, workspace, environ)
    if fault := _fault(address):
        raise SecretError(f"[notify] webhook: what {reference} holds {fault}")
    return Webhook(reference, address, environ)


def _fault(address: str) -> str:
    if not is_address(address) or address.lower().startswith("s3:"):
        return "is not an https address"
    if fault := address_fault(address):
        return fault[0]
    try:
        return "" if httpx.URL(address).host else "is not an https address"
    except httpx.InvalidURL:
        return "is not an https address"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address to post messages to, of which nothing is told but ``reference``.

    Proxies and authorities are the environment's, as for an input that is fetched; ``way``, ``clock`` and ``wait`` are
    the world's unless a test gives others.
    """

    reference: str
    address: str = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)
    way: Way | None = field(default=None, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    wait: Callable[[float], object] = field(default=time.sleep, repr=False)

    @property
    def host(self) -> str:
        """The host, for those that want a message of a kind of their own."""
        return httpx.URL(self.address).host

    def post(self, message: bytes, within: float = WITHIN) -> str:
        """Post a JSON message; returns why it was not taken (empty: it was), after ``within`` seconds at most.

        It is done on a thread of its own: to look up a name can take longer than any timeout, and hears no signal.
        A signal that raises is let through at once.
        """
        ended, why = Event(), [""]

        def work() -> None:
            try:
                why[0] = self.attempts(message, within)
            except Exception as error:  # whatever it is, the run's end must not change; its text may hold the address
                why[0] = type(error).__name__
            ended.set()

        Thread(target=work, daemon=True).start()
        return why[0] if ended.wait(within) else f"no end within {within:g} seconds"

    def attempts(self, message: bytes, within: float = WITHIN) -> str:
        """Try until it is taken, or trying again is of no use, or ``within`` seconds are over; returns as
        :meth:`post` does."""
        deadline = self.clock() + within
        tried = _Tried()
        for least in (*_PAUSES, math.inf):
            tried = self._attempt(message, max(0.1, min(_TIMEOUT, deadline - self.clock())))
            pause = max(least, tried.pause)
            if not tried.again or self.clock() + pause >= deadline:
                break
            self.wait(pause)
        return tried.why

    def _attempt(self, message: bytes, timeout: float) -> _Tried:
        url = httpx.URL(self.address)
        try:
            with (self.way or ways(self.environ))(url) as transport:
                response = transport.handle_request(self._request(url, message, timeout))
                response.close()
        except httpx.TransportError as error:
            return _broken(error)
        except UsageError as error:  # a proxy's address that is none
            return _Tried(str(error))
        return _judged(response)

    def _request(self, url: httpx.URL, message: bytes, timeout: float) -> httpx.Request:
        headers = {"Host": url.netloc.decode("ascii"), "User-Agent": "batchpost", "Connection": "close"}
        headers["Content-Type"] = "application/json; charset=utf-8"
        if url.username:  # netrc is not looked at: its default entry is for no webhook
            login = f"{url.username}:{url.password}".encode()
            headers["Authorization"] = f"Basic {b64encode(login).decode()}"
        bare = url.copy_with(username="", password="", fragment=None)
        limits = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        return httpx.Request("POST", bare, headers=headers, content=message, extensions={"timeout": limits})


def _judged(response: httpx.Response) -> _Tried:
    status = response.status_code
    if response.is_success:
        return _Tried()
    if response.is_redirect:
        return _Tried(f"a redirect (HTTP {status}), which is not followed")
    after = response.headers.get("retry-after", "")
    pause = float(after) if after.isascii() and after.isdigit() and len(after) < 7 else 0.0
    return _Tried(f"HTTP {status}", status in _BUSY or status >= 500, pause)


def _broken(error: httpx.TransportError) -> _Tried:
    """What a failed connection means. No text of a library is repeated: it may hold the address."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _Tried("its certificate is not trusted (are the address and $SSL_CERT_FILE right?)")
        if isinstance(cause, socket.gaierror):
            return _Tried("its host is not found", again=True)
    if isinstance(error, httpx.ProxyError):
        return _Tried("the proxy refuses the connection", again=True)
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return _Tried("it cannot be posted to like this")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return _Tried("no TLS with its host", again=True)
    if isinstance(error, httpx.TimeoutException):
        return _Tried("no answer in time", again=True)
    if isinstance(error, httpx.ConnectError):
        return _Tried("its host cannot be reached", again=True)
    return _Tried("the connection broke off", again=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
