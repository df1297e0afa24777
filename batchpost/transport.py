"""One request out, one complete reply or one of two faults back: what every way of sending has in common.

What counts after a fault is whether bytes of the request may have left this machine. It is read off what was done to
the socket, never off the name of another library's exception: those report a dropped connection as a connect error.
The ways themselves: :mod:`batchpost.lane`, bare connections on asyncio, and :mod:`batchpost.proxied`, through httpx.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol
from urllib.parse import urlsplit

from batchpost.errors import UsageError
from batchpost.model import Reply, Target
from batchpost.version import __version__

__all__ = [
    "MAX_IDLE",
    "Ended",
    "Heads",
    "MaybeSent",
    "NotSent",
    "Origin",
    "Request",
    "Stage",
    "Transport",
    "TransportFault",
    "Wire",
    "causes",
    "connect_fault",
    "interrupted",
    "tls_context",
    "tls_is_closed",
    "tls_is_quiet",
]

MAX_IDLE = 30.0  # seconds after which a kept-alive connection is not trusted any more
USER_AGENT = f"batchpost/{__version__}"

_BASE_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
# An absolute path of RFC 3986 characters, without the segments "." and ".." that servers and clients resolve away.
_PATH = re.compile(r"(/(?!\.{1,2}(/|\Z))([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+")
_VISIBLE = re.compile(r"[!-~]+")


class TransportFault(Exception):
    """An attempt without a complete reply.

    ``kind`` is a short code, ``detail`` half a sentence for a person; neither holds a URL path, a token, a body or
    text that came from the other side.
    """

    def __init__(self, kind: str, detail: str) -> None:
        self.kind, self.detail = kind, detail
        super().__init__(f"{kind}: {detail}")


class NotSent(TransportFault):
    """Not one byte of the request was handed to the socket.

    Kinds: ``dns connect_refused connect_failed connect_timeout tls proxy closed interrupted``.
    """


class MaybeSent(TransportFault):
    """Bytes of the request were handed to the socket, and no complete reply came.

    Kinds: ``timeout``; ``dropped`` before the reply's head was complete, ``incomplete`` after; ``garbage``, not HTTP;
    ``misplaced``, the reply to another request; ``interrupted``, not waited for.
    """


class Transport(Protocol):
    """One keep-alive connection, one request at a time, each awaited.

    ``handed_over``: whether bytes of the latest request were handed to the socket, for who cancels a ``post``.
    """

    handed_over: bool

    async def post(self, target: Target, body: bytes, *, max_idle: float = MAX_IDLE) -> Reply:
        """Send one request and read its whole reply, within one deadline from connecting to the last byte.

        A connection idle for more than ``max_idle`` seconds is replaced first. Raises NotSent or MaybeSent, and
        ValueError for a target that cannot stand in a request head. Cancelled, it closes the connection.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection; a later post opens a new one."""
        ...


Request = tuple[object, Target, bytes, float]
"""A request to begin: what it is known by, its target and body, and for how many seconds its connection may have been
idle (a longer one is replaced first)."""
Ended = tuple[object, "Reply | Exception"]
"""A request that is over: what it is known by, and its complete reply, a TransportFault, or a bug's exception."""


class Wire(Protocol):
    """As many keep-alive connections to one origin as requests may be in flight, one request at a time on each.

    ``notify`` is called when a request has ended, once until :meth:`take`; whoever begins requests sets it.
    """

    notify: Callable[[], None]

    def begin(self, requests: Iterable[Request]) -> None:
        """Send requests, each on the free connection that was used last, within one deadline from connecting to the
        last byte of the reply. Does not wait and does not raise: a target that cannot stand in a request head ends its
        request as a ValueError."""
        ...

    def take(self) -> list[Ended]:
        """The requests that ended since the last call; each ends once."""
        ...

    def abort(self) -> None:
        """End all requests under way, and their connections: as a fault of kind ``interrupted``."""
        ...


def interrupted(*, handed_over: bool) -> TransportFault:
    """The fault of a request that was not waited for."""
    return (MaybeSent if handed_over else NotSent)("interrupted", "stopped during the attempt")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where requests go (RFC 6454). ``host`` is lower-case, an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, base_url: str) -> Origin:
        """The origin of a base URL; raises ValueError for whatever else there is in it (path, query, user, ...)."""
        if not _BASE_URL.fullmatch(base_url):
            raise ValueError("must be https:// or http:// and a host name, without blanks")
        parts = urlsplit(base_url)
        if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("must be a scheme, a host and at most a port: no user, path or query")
        host = parts.hostname or ""
        if not (_is_ipv6(host) if ":" in host else _HOST.fullmatch(host)):
            raise ValueError("has no valid host name")
        port = parts.port  # raises ValueError itself where it is not a port
        return cls(parts.scheme, host, (443 if parts.scheme == "https" else 80) if port is None else port)

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine by its very name: localhost, 127.0.0.0/8 or ::1."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def authority(self) -> str:
        """The Host header: without the port where it is the scheme's own (RFC 9110, 7.2)."""
        usual = (self.scheme, self.port) in (("https", 443), ("http", 80))
        return self._bracketed if usual else f"{self._bracketed}:{self.port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.scheme}://{self._bracketed}:{self.port}"


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host


class Heads:
    """Request heads of one origin, ready but for the body's length, built once for each target."""

    def __init__(self, origin: Origin, user_agent: str = USER_AGENT) -> None:
        self.origin, self._user_agent = origin, user_agent
        self._built: dict[Target, bytes] = {}

    def of(self, target: Target) -> bytes:
        """The head up to and including ``Content-Length: ``. Raises ValueError, without the value, for a path or token
        that could end a line or change the path."""
        head = self._built.get(target)
        if head is None:
            lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in self.fields(target))]
            head = self._built[target] = ("\r\n".join(lines) + "\r\nContent-Length: ").encode("ascii")
        return head

    def fields(self, target: Target) -> list[tuple[str, str]]:
        """The header fields but Content-Length, in the order sent. Raises ValueError as :meth:`of` does."""
        if not _PATH.fullmatch(target.path):
            raise ValueError("a request path must be absolute, percent-encoded and without dot segments")
        if target.token and not _VISIBLE.fullmatch(target.token):
            raise ValueError("a token must be visible ASCII characters without blanks")
        fields = [
            ("Host", self.origin.authority),
            ("User-Agent", self._user_agent),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("Content-Type", "application/json"),
        ]
        return [*fields, ("Authorization", f"Bearer {target.token}")] if target.token else fields


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Verifying TLS of 1.2 or later, with the system's authorities and those of ``ca_file`` (PEM).

    Raises UsageError for a file that cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # which Python sets: a cut connection would look like a closed one
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # SSLError is one
            reason = "no certificate in it" if isinstance(error, ssl.SSLError) else _os_reason(error)
            told = f"[api] ca_file {ca_file}: {reason}. Name a PEM file of certificates"
            raise UsageError(told, then="{check}") from None
    return context


def tls_is_quiet(tls: ssl.SSLObject) -> bool:
    """Whether nothing came over TLS that is not read yet: neither data nor the word that the other side closes."""
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return True
    except ssl.SSLError:
        pass
    return False


def tls_is_closed(tls: ssl.SSLObject | None) -> bool:
    """Whether the other side said that it closes (RFC 8446, 6.1). A connection that was cut looks the same but for
    that word. Yes without TLS, which has no such word."""
    try:
        return tls is None or tls.read(1) == b""
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False


class Stage(IntEnum):
    """How far an attempt got; from SENDING on, bytes of the request may have left."""

    RESOLVING = 0
    CONNECTING = 1
    PROXY = 2
    HANDSHAKE = 3
    SENDING = 4
    READING_BODY = 5


def connect_fault(errors: Iterable[BaseException], stage: Stage) -> NotSent:
    """What kept a connection from coming about, in our own words: the first of ``errors`` that says something, or else
    the ``stage`` where it ended."""
    for cause in errors:
        match cause:
            case TimeoutError():
                return NotSent("connect_timeout", "no connection in time")
            case socket.gaierror() | UnicodeError():  # a label too long for IDNA
                return NotSent("dns", "the host name cannot be resolved")
            case ssl.SSLCertVerificationError():
                return NotSent("tls", f"certificate verify failed: {cause.verify_message}")
            case ssl.SSLError():
                reason = getattr(cause, "reason", None) or "unexpected end"
                return NotSent("tls", f"TLS handshake failed: {reason.replace('_', ' ').lower()}")
            case ConnectionRefusedError():
                return NotSent("connect_refused", "connection refused")
            case OSError(errno=int()) if stage is not Stage.HANDSHAKE:
                return NotSent("connect_failed", _os_reason(cause))
    if stage is Stage.HANDSHAKE:
        return NotSent("tls", "TLS handshake failed: the connection was closed")
    if stage is Stage.PROXY:
        return NotSent("proxy", "the proxy did not open a tunnel")
    return NotSent("connect_failed", "no connection")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it was raised from; not its context, which may be an older fault of the caller's."""
    yield error
    for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from causes(inner)
    if error.__cause__ is not None:
        yield from causes(error.__cause__)


def _os_reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else "input/output error"
