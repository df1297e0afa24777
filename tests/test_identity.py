from __future__ import annotations

import hmac
from hashlib import blake2b

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.identity import HASH_BYTES, Identity
from batchpost.model import HashKind

KEY = b"k" * 32
ORIGIN = "https://api.pingtree.com:443"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def an_identity(
    key: bytes = KEY, origin: str = ORIGIN, is_event: bool = True, kind: HashKind = HashKind.HMAC_SHA256
) -> Identity:
    return Identity(key, origin, is_event=is_event, kind=kind)


def hashed(expr: pl.Expr, *texts: str | None) -> list[bytes | None]:
    return pl.DataFrame({"text": texts}, schema={"text": pl.String}).select(expr).to_series().to_list()


def operations(identity: Identity, *texts: str | None) -> list[bytes | None]:
    return hashed(identity.operations(pl.col("text")), *texts)


@pytest.mark.parametrize("kind", HashKind)
def test_the_same_parts_have_the_same_hash_and_none_stays_none(kind: HashKind) -> None:
    first, nothing, again = operations(an_identity(kind=kind), "txn_1\0sale\0", None, "txn_1\0sale\0")
    assert nothing is None
    assert first == again == operations(an_identity(kind=kind), "txn_1\0sale\0")[0]
    assert first is not None
    assert len(first) == HASH_BYTES


@pytest.mark.parametrize("kind", HashKind)
def test_key_origin_and_kind_of_route_all_tell_operations_apart(kind: HashKind) -> None:
    ones = (
        an_identity(kind=kind),
        an_identity(key=b"other" * 6, kind=kind),
        an_identity(origin="https://api.pingtree.com:8443", kind=kind),
        an_identity(is_event=False, kind=kind),
    )
    assert len({operations(one, "txn_1")[0] for one in ones}) == 4


def test_parts_do_not_run_into_each_other() -> None:
    assert len(set(operations(an_identity(), "ab\0c", "a\0bc", "abc\0", "abc"))) == 4
    assert an_identity().content("ab", "c") != an_identity().content("a", "bc")


@pytest.mark.parametrize("kind", HashKind)
def test_one_text_means_something_else_as_operation_body_stake_and_content(kind: HashKind) -> None:
    one, text = an_identity(kind=kind), pl.col("text")
    hashes = [hashed(make(text), "x")[0] for make in (one.operations, one.bodies, one.stakes)]
    assert len({*hashes, one.content("x")}) == 4


def test_bodies_and_stakes_do_not_depend_on_the_origin() -> None:
    here, there, text = an_identity(), an_identity(origin="http://127.0.0.1:80", is_event=False), pl.col("text")
    assert hashed(here.bodies(text), "{}", None) == hashed(there.bodies(text), "{}", None)
    assert hashed(here.stakes(text), "5.00") == hashed(there.stakes(text), "5.00")


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXTS | st.none(), max_size=20))
def test_a_hash_is_what_the_standard_library_makes_of_it(texts: list[str | None]) -> None:
    key = hmac.new(KEY, b"body\0", "sha256").hexdigest().encode()
    expected = [None if text is None else hmac.digest(key, text.encode(), "sha256")[:HASH_BYTES] for text in texts]
    assert hashed(an_identity().bodies(pl.col("text")), *texts) == expected


def test_an_older_ledger_keeps_its_hashes() -> None:
    old = an_identity(kind=HashKind.BLAKE2B)
    hasher = blake2b(digest_size=16, key=KEY, person=b"operation")
    hasher.update(f"{ORIGIN}\0event\0".encode())
    hasher.update(b"txn_1\0sale\0")
    assert operations(old, "txn_1\0sale\0") == [hasher.digest()]
    assert hashed(old.bodies(pl.col("text")), "{}") == [
        blake2b(b"{}", digest_size=16, key=KEY, person=b"body").digest()
    ]
    assert old.content("a", "b") == blake2b(b"a\0b", digest_size=16, key=KEY, person=b"content").digest()
