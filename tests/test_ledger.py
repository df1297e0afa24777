"""The ledger's memory: what is folded in is found again, once, in any order; and nothing doubtful is opened."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchpost.errors import LedgerError
from batchpost.ledger import Ledger
from batchpost.ledgerrows import Delivered, Fold, LastUpdate, RunRecord, Uncertain
from tests.ledgers import alter, updates_of

K1, K2, K3 = (bytes([number]) * 16 for number in (1, 2, 3))
B1, B2 = b"\xaa" * 16, b"\xbb" * 16
SALE = Delivered(B1, b"\x05" * 16, "85.00", "conv_1", 1_750_000_000.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".batchpost" / "ledger.db"


@pytest.fixture
def stored(path: Path) -> Iterator[Ledger]:
    """A ledger on disk."""
    with closing(Ledger.open(path)) as opened:
        yield opened


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """A ledger in memory, which is faster."""
    with closing(Ledger.in_memory()) as opened:
        yield opened


def run(ledger: Ledger, run_id: str, job: str = "nightly") -> RunRecord:
    record = RunRecord(run_id, 0, job, "running", "f1", ("aa", "bb"), "global-event", False, "results/r", 1.5)
    return ledger.begin_run(record)


def a_fold(
    events: dict[bytes, Delivered] | None = None,
    updates: list[tuple[bytes, LastUpdate]] | None = None,
    doubts: list[Uncertain] | None = None,
    contents: list[tuple[bytes, int, bytes]] | None = None,
) -> list[Fold]:
    return [Fold.of(list((events or {}).items()), updates or [], doubts or [], contents or [])]


def update(body: bytes, seq: int, row: int, *, confirmed: bool = True) -> LastUpdate:
    return LastUpdate(body, confirmed, seq, row, b"content")


# -- opening ---------------------------------------------------------------------------------------------------


def test_a_new_ledger_is_private_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        Ledger.open(path).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["ledger.db"]


def test_its_identity_and_key_stay(path: Path) -> None:
    identities = []
    for _ in range(2):
        with closing(Ledger.open(path)) as ledger:
            identities.append((ledger.id, ledger.hash_key))
            assert repr(ledger) == f"<Ledger {ledger.id} {path}>"
    assert identities[0] == identities[1]
    assert len(identities[0][1]) == 32


def test_two_ledgers_differ(tmp_path: Path) -> None:
    with closing(Ledger.open(tmp_path / "a")) as one, closing(Ledger.open(tmp_path / "b")) as other:
        assert one.id != other.id
        assert one.hash_key != other.hash_key


def test_the_generation_grows_with_every_write(ledger: Ledger) -> None:
    generations = [ledger.generation]
    run(ledger, "r1")
    generations.append(ledger.generation)
    ledger.fold("r1", 1, a_fold({K1: SALE}))
    generations.append(ledger.generation)
    ledger.end_run("r1", "finished", 0)
    generations.append(ledger.generation)
    assert generations == [0, 1, 2, 3]


def test_a_ledger_in_memory_is_an_empty_one() -> None:
    with closing(Ledger.in_memory()) as ledger:
        assert (ledger.generation, ledger.runs(), ledger.events([K1])) == (0, [], {})


def test_one_that_must_exist_is_not_made(path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger here"):
        Ledger.open(path, must_exist=True)
    assert not path.exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), "not a batchpost ledger"),
        (lambda path: path.write_bytes(b"Lead ID,Status\n" * 500), "not a sound ledger"),
        (lambda path: path.write_bytes(b"\0" * 100 + path.read_bytes()[100:]), "not a sound ledger"),
        (lambda path: path.write_bytes(path.read_bytes()[:6000]), "not a sound ledger"),
        (lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 20_000), "not a sound ledger|damaged"),
        (lambda path: alter(path, "PRAGMA application_id = 7"), "not a batchpost ledger"),
        (lambda path: alter(path, "PRAGMA user_version = 99"), "version 99"),
        (lambda path: alter(path, "DELETE FROM meta WHERE name = 'hash_key'"), "no hash_key"),
    ],
    ids=["empty", "a CSV file", "no header", "cut off", "overwritten", "another program's", "newer", "no key"],
)
def test_what_is_not_a_sound_ledger_is_refused(path: Path, damage: object, message: str) -> None:
    Ledger.open(path).close()
    assert callable(damage)
    damage(path)
    with pytest.raises(LedgerError, match=message) as refused:
        Ledger.open(path)
    assert str(path) in str(refused.value)


def test_a_place_that_cannot_be_reached_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="out of reach"):
        Ledger.open(tmp_path / "file" / "ledger.db")


def test_a_network_file_system_is_refused_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path / 'there'} nfs4 rw 0 0\n")
    with pytest.raises(LedgerError, match=r"network file system \(nfs4\)"):
        Ledger.open(tmp_path / "there" / "ledger.db", mounts=mounts)
    assert list((tmp_path / "there").iterdir()) == []
    Ledger.open(tmp_path / "here" / "ledger.db", mounts=mounts).close()


def test_folders_made_for_a_ledger_are_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Ledger.open(tmp_path / "a" / "b" / "ledger.db").close()
    finally:
        os.umask(before)
    assert [oct((tmp_path / name).stat().st_mode & 0o777) for name in ("a", "a/b")] == ["0o700", "0o700"]


def test_chance_and_time_can_be_given(tmp_path: Path) -> None:
    """A simulation repeats itself."""
    given = {"entropy": lambda count: b"\x07" * count, "wall": lambda: 12.5}
    with closing(Ledger.open(tmp_path / "ledger.db", **given)) as ledger:  # type: ignore[arg-type]
        assert (ledger.id, ledger.hash_key) == ("07" * 8, b"\x07" * 32)
        run(ledger, "r1")
        ledger.end_run("r1", "finished", 0)
        assert ledger.runs()[0].finished_at == 12.5
    with closing(Ledger.in_memory(entropy=lambda count: b"\x08" * count)) as ledger:
        assert ledger.id == "08" * 8


def test_a_copy_knows_what_the_ledger_knows_and_goes_its_own_way(stored: Ledger, tmp_path: Path) -> None:
    run(stored, "r1")
    stored.fold("r1", 1, a_fold({K1: SALE}))
    with closing(stored.copied(tmp_path / "copy.db")) as copy:
        assert (copy.id, copy.hash_key, copy.generation) == (stored.id, stored.hash_key, stored.generation)
        copy.fold("r1", 2, a_fold({K2: SALE}))
        assert set(copy.events([K1, K2])) == {K1, K2}
    assert set(stored.events([K1, K2])) == {K1}
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert (tmp_path / "copy.db").read_bytes()[20] == 8


# -- runs ------------------------------------------------------------------------------------------------------


def test_runs_are_numbered_and_found_by_job(ledger: Ledger) -> None:
    assert [run(ledger, "r1").seq, run(ledger, "r2", "other").seq, run(ledger, "r3").seq] == [1, 2, 3]
    ledger.end_run("r1", "interrupted", 143)
    assert [record.run_id for record in ledger.runs()] == ["r1", "r2", "r3"]
    first, last = ledger.runs("nightly")
    assert (first.state, first.exit_code, first.unfinished) == ("interrupted", 143, True)
    assert first.finished_at is not None
    assert (last.inputs, last.test, last.finished_at, last.folded) == (("aa", "bb"), False, None, 0)
    ledger.end_run("r1", "finished", 0)
    assert not ledger.runs("nightly")[0].unfinished


def test_a_refused_write_is_an_error_and_leaves_nothing_half_done(stored: Ledger, path: Path) -> None:
    run(stored, "r1")
    broken = [Fold.of([(K1, SALE)], [], [], []), Fold.of([], [], [], [(b"c1", 12)])]  # type: ignore[list-item]
    with pytest.raises(ValueError, match="not enough values"):
        stored.fold("r1", 1, broken)
    assert stored.events([K1]) == {}
    assert stored.fold("r1", 1, a_fold({K1: SALE}))
    alter(path, "CREATE TRIGGER no BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END")
    with pytest.raises(LedgerError, match="cannot be written"):
        stored.end_run("r1", "finished", 0)


def test_whatever_ends_a_write_too_early_leaves_no_trace_of_it(stored: Ledger) -> None:
    """Also what is no Exception: an interrupt, a cancellation."""
    run(stored, "r1")

    def interrupted() -> Iterator[Fold]:
        yield from a_fold({K1: SALE})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored.fold("r1", 1, interrupted())
    assert (stored.events([K1]), stored.runs()[0].folded, stored.generation) == ({}, 0, 1)
    assert stored.fold("r1", 1, a_fold({K1: SALE}))


# -- folding ---------------------------------------------------------------------------------------------------


def test_what_was_delivered_is_found_by_its_key(ledger: Ledger) -> None:
    run(ledger, "r1")
    assert ledger.fold("r1", 1, a_fold({K2: SALE, K1: SALE._replace(amount="")}))
    assert ledger.events([K3, K1, K2, K1]) == {K1: SALE._replace(amount=""), K2: SALE}
    assert ledger.events([]) == {}


def test_a_sitting_is_folded_once(ledger: Ledger) -> None:
    run(ledger, "r1")
    assert ledger.fold("r1", 1, a_fold({K1: SALE}))
    assert not ledger.fold("r1", 1, a_fold({K2: SALE}))
    assert ledger.fold("r1", 2, a_fold({K1: SALE, K3: SALE}))
    assert not ledger.fold("r1", 1, a_fold({K2: SALE}))
    assert set(ledger.events([K1, K2, K3])) == {K1, K3}
    assert ledger.runs()[0].folded == 2


def test_a_run_that_the_ledger_does_not_know_is_not_forgotten_silently(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="does not know the run r9"):
        ledger.fold("r9", 1, a_fold({K1: SALE}))
    assert ledger.events([K1]) == {}


def test_the_first_delivery_of_an_event_is_the_one_that_counts(ledger: Ledger) -> None:
    for run_id, amount in (("r1", "85.00"), ("r2", "90.00")):
        run(ledger, run_id)
        ledger.fold(run_id, 1, a_fold({K1: SALE._replace(amount=amount)}))
    assert ledger.events([K1])[K1].amount == "85.00"


def test_the_last_update_of_a_lead_is_the_same_in_any_order_of_folding() -> None:
    told = [update(B1, 1, 5), update(B2, 1, 9, confirmed=False), update(B1, 2, 0), update(B2, 1, 2)]
    for number, order in enumerate(itertools.permutations(told)):
        with closing(Ledger.in_memory()) as ledger:
            parts = [Fold.of([], [(K1, last)], [], []) for last in order]
            run(ledger, "r1")
            ledger.fold("r1", 1, parts if number % 2 else a_fold(updates=[(K1, last) for last in order]))
            assert updates_of(ledger, [K1, K2]) == {K1: update(B1, 2, 0)}


def test_an_update_that_ended_well_in_a_later_sitting_is_confirmed(ledger: Ledger) -> None:
    run(ledger, "r1")
    ledger.fold("r1", 1, a_fold(updates=[(K1, update(B1, 1, 3, confirmed=False))], doubts=[Uncertain(K1, B1, 3)]))
    assert updates_of(ledger, [K1])[K1].confirmed is False
    assert ledger.doubts([K1]) == {K1: {B1}}
    ledger.fold("r1", 2, a_fold(updates=[(K1, update(B1, 1, 3))]))
    assert updates_of(ledger, [K1])[K1].confirmed is True
    assert ledger.doubts([K1]) == {}


def test_doubts_stay_until_the_event_is_known_to_be_delivered(ledger: Ledger) -> None:
    run(ledger, "r1")
    ledger.fold("r1", 1, a_fold(doubts=[Uncertain(K1, B1, 4), Uncertain(K1, B2, 5), Uncertain(K2, B1, 6)]))
    assert ledger.doubts([K1, K2, K3]) == {K1: {B1, B2}, K2: {B1}}
    run(ledger, "r2")
    ledger.fold("r2", 1, a_fold({K1: SALE}))
    assert ledger.doubts([K1, K2, K3]) == {K2: {B1}}


def test_a_doubt_that_a_person_settled_is_a_new_one_when_a_later_run_raises_it(stored: Ledger, path: Path) -> None:
    run(stored, "r1")
    stored.fold("r1", 1, a_fold(doubts=[Uncertain(K1, B1, 4)]))
    alter(path, "UPDATE doubts SET state = 'not_delivered'")
    assert stored.doubts([K1]) == {}
    run(stored, "r2")
    stored.fold("r2", 1, a_fold(doubts=[Uncertain(K1, B1, 4)]))
    assert stored.doubts([K1]) == {K1: {B1}}


def test_a_doubt_that_a_person_settled_is_a_new_one_when_the_run_goes_on_and_sends_it_again(
    stored: Ledger, path: Path
) -> None:
    run(stored, "r1")
    stored.fold("r1", 2, a_fold(doubts=[Uncertain(K1, B1, 4)]))
    alter(path, "UPDATE doubts SET state = 'resend'")
    stored.fold("r1", 3, a_fold(doubts=[Uncertain(K1, B1, 4)]))
    assert stored.doubts([K1]) == {K1: {B1}}


def test_delivered_rows_of_a_content_add_up(ledger: Ledger) -> None:
    assert ledger.delivered_rows(b"c1") == b""
    run(ledger, "r1")
    ledger.fold("r1", 1, a_fold(contents=[(b"c1", 12, b"\x01\x08")]))
    ledger.fold("r1", 2, a_fold(contents=[(b"c1", 12, b"\x82"), (b"c2", 3, b"\x00")]))
    assert (ledger.delivered_rows(b"c1"), ledger.delivered_rows(b"c2")) == (b"\x83\x08", b"\x00")


def test_a_finished_content_stays_finished(ledger: Ledger) -> None:
    run(ledger, "r1")
    ledger.fold("r1", 1, a_fold(contents=[(b"c1", 12, b"\x01"), (b"c2", 3, b"\x00")]))
    assert not ledger.finished(b"c1")
    ledger.finish_contents([b"c1", b"unheard of"])
    run(ledger, "r2")
    ledger.fold("r2", 1, a_fold(contents=[(b"c1", 12, b"\x00\x00")]))
    assert [ledger.finished(content) for content in (b"c1", b"c2", b"unheard of")] == [True, False, False]
