from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchpost.errors import LedgerError
from batchpost.fold import fold_run
from batchpost.journal import Journal, create_sitting, sitting_files
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.model import Outcome, Repeat, Row, Settlement
from batchpost.resolutions import Action, Resolutions
from tests.endings import Ended, ends_of
from tests.fakes import a_row, inline
from tests.ledgers import updates_of

A, B = b"a" * 16, b"b" * 16
DELIVERED = Settlement(Outcome.DELIVERED, "conversion", "", 200, "", "conv_1")
UNKNOWN = Settlement(Outcome.UNKNOWN, "dropped")
REJECTED = Settlement(Outcome.REJECTED, "lead_not_found", "", 400)
CONFIRMED = Settlement(Outcome.ALREADY_DELIVERED, "confirmed_duplicate", "", 400)

Record = Callable[[Journal], None]


def settled(number: int, settlement: Settlement, *, applied: bool = False) -> Record:
    def record(journal: Journal) -> None:
        journal.start([number])
        journal.settle(number, settlement, latency_ms=1.0, may_be_applied=applied)

    return record


def started(number: int) -> Record:
    return lambda journal: journal.start([number])


def lead(number: int, key: bytes = A, body: bytes = A) -> Row:
    return a_row(number, Repeat.HARMLESS, key=key, body_hash=body)


class Runs:
    """One run in a ledger of its own, sitting by sitting."""

    def __init__(self, folder: Path, **header: Any) -> None:
        self.folder, self.ledger = folder, Ledger.in_memory()
        self.record = self.ledger.begin_run(RunRecord("r1", 0, "job", "running", "", (), "x", True, "", 1.0))
        contents = [("c0", 3), ("c1", 20)]
        self.header = {"is_event": True, "fires_again": True, "seq": 1, "input": "aa", "contents": contents, **header}

    def sit(self, rows: Sequence[Row], *records: Record, over: bool = True) -> None:
        journal = Journal(create_sitting(self.folder), run_blocking=inline, clock=lambda: 2.0)
        journal.begin(self.header)
        asyncio.run(journal.claim(rows))
        for record in records:
            record(journal)
        if over:
            journal.over("finished", 0)
        journal.close()

    def fold(self) -> list[Ended]:
        collected: list[pl.DataFrame] = []
        fold_run(self.ledger, "r1", sitting_files(self.folder), collected.append)
        return ends_of(collected)


@pytest.fixture
def events(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.fixture
def updates(tmp_path: Path) -> Runs:
    return Runs(tmp_path, is_event=False, fires_again=False)


def test_delivered_events_are_remembered_with_what_an_account_manager_needs(events: Runs) -> None:
    row = a_row(4, key=A, body_hash=B, stake=b"s" * 16, amount="5.00")
    events.sit([row, a_row(5, key=B, stake=b"t" * 16)], settled(4, DELIVERED), settled(5, REJECTED))
    [first, second] = events.fold()
    found = events.ledger.events([A, B])
    assert list(found) == [A]
    assert found[A] == (B, b"s" * 16, "5.00", "conv_1", 2.0, 4)
    assert (first.number, second.settlement.reason) == (4, "lead_not_found")
    assert Resolutions(events.ledger).outstanding() == {}


def test_delivered_rows_are_marked_in_the_content_of_their_own_file(events: Runs) -> None:
    rows = [a_row(number) for number in (0, 2, 3, 22)]
    events.sit(rows, *(settled(row.number, DELIVERED) for row in rows))
    events.fold()
    assert events.ledger.delivered_rows(b"\xc0") == bytes([0b101])
    assert events.ledger.delivered_rows(b"\xc1") == bytes([0b1, 0, 0b1000])
    assert not events.ledger.finished(b"\xc0")


def test_a_platform_that_confirms_an_event_has_delivered_it(events: Runs) -> None:
    events.sit([a_row(0, key=A)], settled(0, CONFIRMED))
    events.fold()
    assert A in events.ledger.events([A])


def test_what_was_started_and_not_settled_is_in_doubt_and_what_was_only_claimed_is_not(events: Runs) -> None:
    events.sit([a_row(0, key=A, body_hash=A), a_row(1, key=B)], started(0), over=False)
    history = fold_run(events.ledger, "r1", sitting_files(events.folder))
    assert events.ledger.doubts([A, B]) == {A: {A}}
    assert list(history.open) == [0]


def test_an_unknown_end_is_in_doubt_and_its_confirmation_ends_the_doubt(events: Runs) -> None:
    events.sit([a_row(0, key=A, body_hash=A)], settled(0, UNKNOWN))
    events.fold()
    assert Resolutions(events.ledger).outstanding().keys() == {"r1"}
    events.sit([a_row(0, key=A, body_hash=A)], settled(0, CONFIRMED))
    events.fold()
    assert Resolutions(events.ledger).outstanding() == {}


def test_an_attempt_that_may_have_arrived_stays_in_doubt_when_the_source_turns_out_inactive(events: Runs) -> None:
    inactive = Settlement(Outcome.REJECTED, "source_inactive", "", 403)
    rows = [a_row(0, key=A, body_hash=A), a_row(1, key=B, body_hash=B)]
    events.sit(rows, settled(0, inactive, applied=True), settled(1, inactive))
    events.fold()
    assert events.ledger.doubts([A, B]) == {A: {A}}


def test_a_sitting_is_folded_once_and_its_rows_are_told_again_all_the_same(events: Runs) -> None:
    events.sit([a_row(0, key=A)], settled(0, DELIVERED))
    assert [ended.number for ended in events.fold()] == [0]
    generation = events.ledger.generation
    assert [ended.number for ended in events.fold()] == [0]
    assert events.ledger.events([A])
    assert events.ledger.generation in (generation, generation + 1)


def test_what_a_damaged_journal_said_before_the_damage_does_not_get_in(events: Runs) -> None:
    events.sit([a_row(0, key=A), a_row(1, key=B)], settled(0, DELIVERED), settled(1, DELIVERED))
    [file] = sitting_files(events.folder)
    file.write_bytes(file.read_bytes().replace(b"[1],[1.0]", b"[7],[1.0]"))
    with pytest.raises(LedgerError):
        events.fold()
    assert events.ledger.events([A, B]) == {}


def test_a_sitting_that_died_before_its_first_record_adds_nothing(events: Runs) -> None:
    create_sitting(events.folder).close()
    assert events.fold() == []
    assert Resolutions(events.ledger).outstanding() == {}


def test_a_mend_marks_the_row_that_it_mends(tmp_path: Path) -> None:
    runs = Runs(tmp_path, contents=[("c0", 2)], linked=[("dd", 9)], links=[None, [0, 8]])
    runs.sit([a_row(0), a_row(1)], settled(0, DELIVERED), settled(1, DELIVERED))
    runs.fold()
    assert runs.ledger.delivered_rows(b"\xc0") == bytes([0b11])
    assert runs.ledger.delivered_rows(b"\xdd") == bytes([0, 1])


# -- updates -----------------------------------------------------------------------------------------------------------


def test_the_last_update_of_a_lead_is_the_one_that_stands_last(updates: Runs) -> None:
    updates.sit([lead(1), lead(2, body=B)], settled(1, DELIVERED, applied=True), settled(2, DELIVERED, applied=True))
    updates.fold()
    assert updates_of(updates.ledger, [A])[A] == (B, True, 1, 2, b"\xaa")


@pytest.mark.parametrize("settlement", [REJECTED, UNKNOWN, Settlement(Outcome.FAILED, "dropped")])
def test_an_update_that_may_have_been_applied_unsettles_all_that_follow(updates: Runs, settlement: Settlement) -> None:
    updates.sit([lead(1), lead(2, body=B)], settled(1, settlement, applied=True), settled(2, DELIVERED, applied=True))
    updates.fold()
    assert updates_of(updates.ledger, [A])[A] == (B, False, 1, 2, b"\xaa")


def test_an_update_that_was_certainly_not_applied_changes_nothing(updates: Runs) -> None:
    updates.sit([lead(1), lead(2, body=B)], settled(1, DELIVERED, applied=True), settled(2, REJECTED))
    updates.fold()
    assert updates_of(updates.ledger, [A])[A] == (A, True, 1, 1, b"\xaa")


def test_an_update_left_open_is_the_leads_last_one_but_not_confirmed(updates: Runs) -> None:
    updates.sit([lead(3)], started(3), over=False)
    updates.fold()
    assert updates_of(updates.ledger, [A])[A] == (A, False, 1, 3, b"\xaa")
    assert Resolutions(updates.ledger).outstanding() == {}


def test_an_update_that_redistributes_is_kept_in_doubt(tmp_path: Path) -> None:
    runs = Runs(tmp_path, is_event=False, fires_again=True)
    runs.sit([lead(3)], started(3), over=False)
    runs.fold()
    assert runs.ledger.doubts([A]) == {A: {A}}


def test_an_update_sent_again_keeps_its_place(tmp_path: Path) -> None:
    runs = Runs(tmp_path, is_event=False, seq=9, orders=[[2, 7, "bb"]])
    runs.sit([lead(0)], settled(0, DELIVERED, applied=True))
    runs.fold()
    assert updates_of(runs.ledger, [A])[A] == (A, True, 2, 7, b"\xbb")


# -- doubts that a person settled --------------------------------------------------------------------------------------


def decide(runs: Runs, action: Action) -> None:
    resolutions = Resolutions(runs.ledger)
    resolutions.decide([doubt for _, doubt in resolutions.doubts_of("r1")], action, "")


@pytest.mark.parametrize("over", [True, False])
def test_a_doubt_is_raised_anew_only_by_a_sitting_that_sends_the_row_again(events: Runs, over: bool) -> None:
    events.sit([a_row(0, key=A, body_hash=A)], settled(0, UNKNOWN))
    events.fold()
    decide(events, "resend")
    events.sit([a_row(1, key=B, body_hash=B)], settled(1, DELIVERED))
    events.fold()
    assert Resolutions(events.ledger).outstanding() == {}, "told again by the journal, and not sent again"
    events.sit([a_row(0, key=A, body_hash=A)], *([settled(0, UNKNOWN)] if over else [started(0)]), over=over)
    events.fold()
    assert events.ledger.doubts([A]) == {A: {A}}


def test_an_event_that_was_voided_is_not_brought_back_by_a_journal_that_tells_of_it_again(events: Runs) -> None:
    events.sit([a_row(0, key=A, body_hash=A)], settled(0, DELIVERED))
    events.fold()
    resolutions = Resolutions(events.ledger)
    resolutions.decide([doubt for _, doubt in resolutions.delivered_of("r1", [0])], "voided", "")
    events.sit([a_row(1, key=B, body_hash=B)], settled(1, DELIVERED))
    events.fold()
    assert set(events.ledger.events([A, B])) == {B}
    events.sit([a_row(0, key=A, body_hash=A)], settled(0, DELIVERED))
    events.fold()
    assert set(events.ledger.events([A, B])) == {A, B}


def test_an_update_that_a_person_says_was_delivered_stays_confirmed_when_its_run_goes_on(tmp_path: Path) -> None:
    runs = Runs(tmp_path, is_event=False, fires_again=True)
    runs.sit([lead(3)], settled(3, UNKNOWN, applied=True))
    runs.fold()
    assert not updates_of(runs.ledger, [A])[A].confirmed
    resolutions = Resolutions(runs.ledger)
    resolutions.decide([doubt for _, doubt in resolutions.doubts_of("r1")], "delivered", "", is_event=False)
    assert updates_of(runs.ledger, [A])[A].confirmed
    runs.sit([a_row(4, key=B, body_hash=B)], settled(4, DELIVERED))
    runs.fold()
    assert updates_of(runs.ledger, [A])[A].confirmed


def test_a_doubt_about_a_mend_knows_which_row_it_mends(tmp_path: Path) -> None:
    runs = Runs(tmp_path, contents=[("c0", 2)], linked=[("dd", 9)], links=[None, [0, 8]])
    runs.sit([a_row(1, key=A)], settled(1, UNKNOWN))
    runs.fold()
    decide(runs, "delivered")
    assert runs.ledger.delivered_rows(b"\xdd") == bytes([0, 1])
