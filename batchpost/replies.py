"""What a complete reply is worth before anyone reads its words: its bounds, its encoding, and whose reply it is."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

from batchpost.model import Reply

__all__ = ["MAX_BODY", "MAX_HEAD", "complete_reply", "header_map", "names_another"]

MAX_BODY = 1_000_000  # bytes of a reply's body, decoded
MAX_HEAD = 65_536  # bytes of a reply's head

_WINDOW_BITS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}  # some servers' deflate lacks the zlib wrapper
_ID = b'"transaction_id"'
_NAMED = re.compile(_ID + rb'\s*:\s*("[!#-\[\]-~]+")')  # an id without blanks and escapes, as it is in any JSON


def header_map(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields by lower-case name; of those with one name the first counts, as none that we read is a list."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1").strip())
    return headers


def complete_reply(status: int, headers: dict[str, str], raw: bytes) -> Reply:
    """The reply to a message read to its end. ``raw`` is the body as it came; one longer than MAX_BODY may be cut off
    anywhere behind that. Decoding stops at MAX_BODY, so that a small body cannot fill the memory."""
    if len(raw) > MAX_BODY:
        return Reply(status, headers, b"", oversized=True)
    if "content-encoding" not in headers or not raw:
        return Reply(status, headers, raw)
    encoding = headers["content-encoding"].strip().lower()
    if encoding in ("", "identity"):
        return Reply(status, headers, raw)
    attempts = (_inflated(raw, bits) for bits in _WINDOW_BITS.get(encoding, ()))
    body = next((decoded for decoded in attempts if decoded is not None), None)
    if body is None:
        return Reply(status, headers, b"", garbled=True)
    oversized = len(body) > MAX_BODY
    return Reply(status, headers, b"" if oversized else body, oversized)


def names_another(reply: bytes, request: bytes) -> bool:
    """Whether a reply's body names a ``transaction_id`` that the request's does not, in whatever case.

    Both of the platform's pages show the request's own id in the reply. So such a reply answers another request, and
    so will all that follow on its connection. A reply that names none, or one that JSON escapes, says nothing.
    """
    start = reply.find(_ID)
    if start < 0 or not (named := _NAMED.match(reply, start)):
        return False
    return named[1] not in request and named[1].lower() not in request.lower()


def _inflated(raw: bytes, window_bits: int) -> bytes | None:
    decoder = zlib.decompressobj(window_bits)
    try:
        body = decoder.decompress(raw, MAX_BODY + 1)
    except zlib.error:
        return None
    whole = decoder.eof and not decoder.unused_data
    return body if whole or len(body) > MAX_BODY else None
