"""Keyed hashes: what makes two requests the same operation, the same body, the same content.

The first 16 bytes of HMAC-SHA-256 (RFC 2104) under the ledger's own key, so that a ledger or journal that gets out
tells nothing of the leads in it. Keys are made of the values as sent. Older ledgers have BLAKE2b's (RFC 7693), one
value at a time.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b

import polars as pl
import polars_hash

from batchpost.model import HashKind

__all__ = ["HASH_BYTES", "Identity"]

HASH_BYTES = 16


class Identity:
    """Hashes under one ledger key, for one origin and route; ``kind`` is the ledger's.

    An update's operation is origin + campaign + transaction id; an event's origin + transaction id + event id + the
    job's own key columns, whatever the route. Texts are hashed as expressions of String, giving Binary of 16 bytes;
    null stays null.
    """

    def __init__(self, hash_key: bytes, origin: str, *, is_event: bool, kind: HashKind = HashKind.HMAC_SHA256) -> None:
        self._hash_key, self._kind = hash_key, kind
        self._origin = f"{origin}\0{'event' if is_event else 'update'}\0"

    def operations(self, parts: pl.Expr) -> pl.Expr:
        """The hash of each operation, from its parts joined by NUL (ids hold none)."""
        return self._hashed("operation", parts, self._origin)

    def bodies(self, bodies: pl.Expr) -> pl.Expr:
        """The hash of each JSON text."""
        return self._hashed("body", bodies)

    def stakes(self, stakes: pl.Expr) -> pl.Expr:
        """The hash of each row's money and conversion date."""
        return self._hashed("stake", stakes)

    def content(self, *parts: str) -> bytes:
        """The hash of a content: a file's SHA-256 with everything that decides what becomes of its rows."""
        text = "\0".join(parts).encode()
        if self._kind is HashKind.BLAKE2B:
            return _blake2b(self._hash_key, "content", text)
        return hmac.digest(self._key("content"), text, "sha256")[:HASH_BYTES]

    def _hashed(self, use: str, texts: pl.Expr, before: str = "") -> pl.Expr:
        if self._kind is HashKind.BLAKE2B:
            key = self._hash_key
            return texts.map_batches(
                lambda column: pl.Series(
                    [None if text is None else _blake2b(key, use, (before + text).encode()) for text in column],
                    dtype=pl.Binary,
                ),
                return_dtype=pl.Binary,
            )
        key_of_use = self._key(f"{use}\0{before}").decode()
        digest = polars_hash.CryptographicHashingNameSpace(texts).hmac_sha256(key=key_of_use)
        return digest.str.head(2 * HASH_BYTES).str.decode("hex")

    def _key(self, use: str) -> bytes:
        """A key of its own for each use, of one block: 64 characters."""
        return hmac.new(self._hash_key, use.encode(), "sha256").hexdigest().encode()


def _blake2b(key: bytes, use: str, text: bytes) -> bytes:
    return blake2b(text, digest_size=HASH_BYTES, key=key, person=use.encode()).digest()
