from __future__ import annotations

from batchpost.identity import HASH_BYTES, Identity

KEY = b"k" * 32
ORIGIN = "https://api.pingtree.com:443"


def an_identity(key: bytes = KEY, origin: str = ORIGIN, is_event: bool = True) -> Identity:
    return Identity(key, origin, is_event=is_event)


def test_the_same_parts_have_the_same_hash_and_none_stays_none() -> None:
    first, nothing, again = an_identity().operations(["txn_1\0sale\0", None, "txn_1\0sale\0"])
    assert nothing is None
    assert first == again == an_identity().operations(["txn_1\0sale\0"])[0]
    assert first is not None
    assert len(first) == HASH_BYTES


def test_key_origin_and_kind_of_route_all_tell_operations_apart() -> None:
    ones = (
        an_identity(),
        an_identity(key=b"other" * 6),
        an_identity(origin="https://api.pingtree.com:8443"),
        an_identity(is_event=False),
    )
    assert len({one.operations(["txn_1"])[0] for one in ones}) == 4


def test_parts_do_not_run_into_each_other() -> None:
    assert len(set(an_identity().operations(["ab\0c", "a\0bc", "abc\0", "abc"]))) == 4
    assert an_identity().content("ab", "c") != an_identity().content("a", "bc")


def test_one_text_means_something_else_as_operation_body_stake_and_content() -> None:
    one = an_identity()
    hashes = {one.operations(["x"])[0], one.bodies(["x"])[0], one.stakes(["x"])[0], one.content("x")}
    assert len(hashes) == 4


def test_bodies_and_stakes_do_not_depend_on_the_origin() -> None:
    here, there = an_identity(), an_identity(origin="http://127.0.0.1:80", is_event=False)
    assert here.bodies(["{}", None]) == there.bodies(["{}", None])
    assert here.stakes(["5.00"]) == there.stakes(["5.00"])
