"""The way through a proxy: one connection of httpx, held to what :mod:`batchpost.transport` promises."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import anyio
import httpcore
import httpx
from anyio.streams.tls import TLSAttribute, TLSStream

from batchpost.errors import UsageError
from batchpost.model import Reply, Target
from batchpost.replies import MAX_BODY, MAX_HEAD, complete_reply, header_map, names_another
from batchpost.transport import (
    MAX_IDLE,
    Heads,
    MaybeSent,
    Stage,
    TransportFault,
    causes,
    connect_fault,
    tls_context,
    tls_is_closed,
    tls_is_quiet,
)

__all__ = ["HttpxTransport"]


class HttpxTransport:
    """One connection through httpx, for proxies; slower than a lane, with the same guarantees.

    It uses httpx's transport, without the client above it: that one logs URLs, and the organisation id in them opens
    the event route. ``connect`` opens the transport; tests give their own.
    """

    def __init__(
        self,
        heads: Heads,
        *,
        timeout: float,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
        connect: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._heads, self._timeout = heads, timeout
        self._connect = connect or _connector(tls or tls_context(), proxy)
        self._http: httpx.AsyncBaseTransport | None = None
        self._last_used = 0.0
        self.handed_over = False

    async def post(self, target: Target, body: bytes, *, max_idle: float = MAX_IDLE) -> Reply:
        """As :meth:`Transport.post`."""
        trace = _Trace()
        self.handed_over = False
        request = self._request(target, body, trace)
        keep = False
        try:
            with anyio.fail_after(self._timeout):
                if time.monotonic() - self._last_used > max_idle:
                    await self.aclose()
                reply, keep = await self._exchange(request)
                if names_another(reply.body, body):
                    keep = False
                    raise MaybeSent("misplaced", "the reply is to another request")
        except TransportFault:
            raise
        except Exception as error:  # total on purpose: whatever httpx raises, what was traced decides
            raise trace.fault(error) from None
        finally:
            self.handed_over = trace.stage >= Stage.SENDING
            if not keep:
                await self.aclose()
                await trace.aclose()
        self._last_used = time.monotonic()
        return reply

    def _request(self, target: Target, body: bytes, trace: _Trace) -> httpx.Request:
        origin = self._heads.origin
        headers = [*self._heads.fields(target), ("Content-Length", str(len(body)))]
        url = httpx.URL(scheme=origin.scheme, host=origin.host, port=origin.port, raw_path=target.path.encode("ascii"))
        return httpx.Request("POST", url, headers=headers, content=body, extensions={"trace": trace})

    async def _exchange(self, request: httpx.Request) -> tuple[Reply, bool]:
        """The reply, and whether the connection may be used again."""
        if self._http is None:
            self._http = self._connect()
        response = await self._http.handle_async_request(request)
        _refuse_odd_head(response)
        raw = bytearray()
        async for part in response.aiter_raw():
            raw += part
            if len(raw) > MAX_BODY:
                break
        whole = len(raw) <= MAX_BODY
        if whole and _ends_with_connection(response) and not tls_is_closed(_tls_of(response)):
            raise MaybeSent("incomplete", "the reply broke off")
        await response.aclose()
        reply = complete_reply(response.status_code, header_map(response.headers.raw), bytes(raw))
        return reply, whole and not _has_surplus(response)

    async def aclose(self) -> None:
        """As :meth:`Transport.aclose`."""
        http, self._http = self._http, None
        if http is not None:
            with anyio.CancelScope(shield=True):
                await http.aclose()


def _connector(tls: ssl.SSLContext, proxy: str | None) -> Callable[[], httpx.AsyncBaseTransport]:
    """What opens a transport of one connection; raises as :func:`_proxy`."""
    way = _proxy(proxy, tls) if proxy else None
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=None)
    return lambda: httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits, proxy=way)


def _proxy(url: str, tls: ssl.SSLContext) -> httpx.Proxy:
    """Raises UsageError, without the URL and its password, for what is not an HTTP proxy."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError("proxy: must be http:// or https:// and a host")
    return httpx.Proxy(parsed, ssl_context=tls if parsed.scheme == "https" else None)


def _refuse_odd_head(response: httpx.Response) -> None:
    """Raises MaybeSent for what h11 lets pass and the lane's parser does not: a status that ends nothing, a length
    that is given twice (RFC 9112, 6.3: where the message ends depends on who reads it), a head without end."""
    lengths = response.headers.get_list("content-length") + response.headers.get_list("transfer-encoding")
    size = sum(len(name) + len(value) + len(b": \r\n") for name, value in response.headers.raw)
    if response.status_code < 200 or len(lengths) > 1 or "," in "".join(lengths):
        raise MaybeSent("garbage", "the reply is not HTTP")
    if size > MAX_HEAD:
        raise MaybeSent("garbage", "the reply is longer than any reply may be")


def _ends_with_connection(response: httpx.Response) -> bool:
    """Whether the reply's end is the connection's (RFC 9112, 6.3)."""
    has_end = response.headers.keys() & {"content-length", "transfer-encoding"} or response.status_code in (204, 304)
    return not has_end


def _tls_of(response: httpx.Response) -> ssl.SSLObject | None:
    tls: ssl.SSLObject | None = response.extensions["network_stream"].get_extra_info("ssl_object")
    return tls


def _has_surplus(response: httpx.Response) -> bool:
    """Whether more was read than the reply, which would be taken for the next one: h11, TLS and anyio each may keep
    some. None has a public way to ask; should their insides change, the answer is yes and the connection is not used
    again."""
    try:
        connection = attrgetter("stream._httpcore_stream._stream._connection")(response)
        stream = connection._network_stream._stream
        while isinstance(stream, TLSStream):
            if not tls_is_quiet(stream.extra(TLSAttribute.ssl_object)):  # noqa: S610 - anyio's, not Django's
                return True
            stream = stream.transport_stream
        return bool(connection._h11_state.trailing_data[0] or stream._protocol.read_queue)
    except AttributeError:
        return True


class _Trace:
    """httpcore's ``trace`` extension: the stage an attempt reached, from what was begun on the socket."""

    def __init__(self) -> None:
        self.stage = Stage.RESOLVING
        self._failures: list[BaseException] = []
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        match event.split(".")[1:]:
            case ["connect_tcp", "started"]:
                self.stage = Stage.CONNECTING
            case ["connect_tcp", "complete"]:
                self._stream = info["return_value"]
            case ["start_tls", "started"]:
                self.stage = Stage.HANDSHAKE
            case ["send_request_headers", "started"]:
                # A tunnel's CONNECT goes to the proxy and holds nothing of the request.
                self.stage = Stage.PROXY if info["request"].method == b"CONNECT" else Stage.SENDING
            case ["receive_response_headers", "complete"] if self.stage is Stage.SENDING:
                self.stage = Stage.READING_BODY
            case [_, "failed"]:  # what httpcore raises in the end has lost its causes
                self._failures += causes(info["exception"])
            case _:
                pass

    async def aclose(self) -> None:
        """Close the connection made in this attempt: httpcore forgets it when cancelled in the TLS handshake."""
        if self._stream is not None:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()

    def fault(self, error: Exception) -> TransportFault:
        """What an exception means at this stage."""
        if self.stage < Stage.SENDING:
            return connect_fault([error, *self._failures], self.stage)
        if isinstance(error, TimeoutError):
            return MaybeSent("timeout", "no complete reply in time")
        if self.stage is Stage.READING_BODY:
            return MaybeSent("incomplete", "the reply broke off")
        if any(type(failure).__module__.startswith("h11") for failure in self._failures):
            return MaybeSent("garbage", "the reply is not HTTP")
        return MaybeSent("dropped", "the connection ended before a reply")
