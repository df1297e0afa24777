"""Keyed hashes: what makes two requests the same operation, the same body, the same content.

16-byte BLAKE2b under the ledger's own key (RFC 7693), so that a ledger or journal that gets out tells nothing of the
leads in it. Keys are made of the values as sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

__all__ = ["HASH_BYTES", "Identity"]

HASH_BYTES = 16


class Identity:
    """Hashes under one ledger key, for one origin and route.

    An update's operation is origin + campaign + transaction id; an event's origin + transaction id + event id + the
    job's own key columns, whatever the route.
    """

    def __init__(self, hash_key: bytes, origin: str, *, is_event: bool) -> None:
        self._hash_key = hash_key
        self._operation = self._hasher(b"operation")
        self._operation.update(f"{origin}\0{'event' if is_event else 'update'}\0".encode())
        self._body = self._hasher(b"body")
        self._stake = self._hasher(b"stake")

    def operations(self, parts: Iterable[str | None]) -> list[bytes | None]:
        """The hash of each operation, from its parts joined by NUL (ids hold none); None stays None."""
        return _digests(self._operation, parts)

    def bodies(self, bodies: Iterable[str | None]) -> list[bytes | None]:
        """The hash of each JSON text; None stays None."""
        return _digests(self._body, bodies)

    def stakes(self, stakes: Iterable[str | None]) -> list[bytes | None]:
        """The hash of each row's money and conversion date; None stays None."""
        return _digests(self._stake, stakes)

    def content(self, *parts: str) -> bytes:
        """The hash of a content: a file's SHA-256 with everything that decides what becomes of its rows."""
        hasher = self._hasher(b"content")
        hasher.update("\0".join(parts).encode())
        return hasher.digest()

    def _hasher(self, use: bytes) -> blake2b:
        return blake2b(digest_size=HASH_BYTES, key=self._hash_key, person=use)


def _digests(base: blake2b, texts: Iterable[str | None]) -> list[bytes | None]:
    copy = base.copy
    digests: list[bytes | None] = []
    for text in texts:
        if text is None:
            digests.append(None)
            continue
        hasher = copy()
        hasher.update(text.encode())
        digests.append(hasher.digest())
    return digests
