"""What people decide about doubts: once, on the record, and with everything that follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count
from typing import get_args

import pytest

from batchpost.errors import LedgerError
from batchpost.ledger import Delivered, Fold, LastUpdate, Ledger, RunRecord
from batchpost.resolutions import Action, Doubt, Resolution, Resolutions
from tests.ledgers import BODY, CONTENT, OTHER, sale

K1, K2, K3 = (bytes([number]) * 16 for number in (1, 2, 3))
D1, D2, D3 = Doubt(K1, BODY, "r1", 4), Doubt(K2, BODY, "r1", 6), Doubt(K2, OTHER, "r1", 5)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """One with three runs, the first of which left three requests, of two operations, without a known end."""
    with closing(Ledger.in_memory()) as ledger:
        for run_id in ("r1", "r2", "r3"):
            record = RunRecord(run_id, 0, "nightly", "running", "f1", ("aa",), "global-event", False, "results", 1.5)
            ledger.begin_run(record)
        ledger.fold(
            "r1", 1, [Fold([(K3, sale(3))], [], [(doubt.key, doubt.body, doubt.row) for doubt in (D1, D2, D3)], [])]
        )
        yield ledger


@pytest.fixture
def decisions(ledger: Ledger) -> Resolutions:
    """Its decisions, a second apart."""
    ticks = count(100)
    return Resolutions(ledger, lambda: float(next(ticks)))


def test_a_run_is_told_its_own_doubts_and_those_that_its_rows_wait_for(decisions: Resolutions) -> None:
    assert decisions.doubts_of("r1") == [(4, D1), (5, D3), (6, D2)]
    decisions.wait_for("r2", [(9, K1), (2, K2), (3, K3)])
    assert decisions.doubts_of("r2") == [(2, D2), (2, D3), (9, D1)]
    assert decisions.doubts_of("r3") == []


def test_rows_that_wait_are_entered_once(decisions: Resolutions) -> None:
    for _ in range(2):
        decisions.wait_for("r2", [(9, K1), (10, K1)])
    assert decisions.doubts_of("r2") == [(9, D1), (10, D1)]


@pytest.mark.parametrize("action", get_args(Action))
def test_a_doubt_is_settled_once_and_the_first_decision_stands(
    ledger: Ledger, decisions: Resolutions, action: Action
) -> None:
    assert decisions.resolve([D1, D2, D1], action, "phoned them", run_id="r1") == 2
    assert decisions.resolve([D1, D2], "resend", "never mind", run_id="r1") == 0
    assert decisions.of() == [
        Resolution(100.0, action, "phoned them", "r1", 4, K1, BODY),
        Resolution(101.0, action, "phoned them", "r1", 6, K2, BODY),
    ]
    assert (ledger.doubts([K1, K2]), ledger.open_doubts()) == ({K2: {OTHER}}, {"r1": 1})


def test_what_was_raised_anew_by_a_later_run_is_another_doubt(ledger: Ledger, decisions: Resolutions) -> None:
    decisions.resolve([D1], "resend", "", run_id="r1")
    ledger.fold("r2", 1, [Fold([], [], [(K1, BODY, 0)], [])])
    assert decisions.resolve([D1], "not_delivered", "", run_id="r1") == 0
    assert decisions.doubts_of("r2") == [(0, D1._replace(run_id="r2", row=0))]
    assert decisions.resolve([D1._replace(run_id="r2", row=0)], "not_delivered", "", run_id="r2") == 1


def test_the_run_that_raised_a_doubt_does_not_raise_it_again(ledger: Ledger, decisions: Resolutions) -> None:
    """Its journal tells of it in each further sitting."""
    decisions.resolve([D1], "not_delivered", "", run_id="r1")
    ledger.fold("r1", 2, [Fold([], [], [(K1, BODY, 4)], [])])
    assert ledger.doubts([K1]) == {}


def test_rows_that_wait_are_decided_and_recorded_with_what_they_wait_for(decisions: Resolutions) -> None:
    decisions.wait_for("r2", [(9, K1), (2, K2)])
    assert decisions.resolve([D1], "not_delivered", "gone", run_id="r2") == 1
    assert decisions.of("r2") == [Resolution(101.0, "not_delivered", "gone", "r2", 9, K1, BODY)]
    assert decisions.of("r1") == [Resolution(100.0, "not_delivered", "gone", "r1", 4, K1, BODY)]
    assert decisions.doubts_of("r2") == [(2, D2), (2, D3)]
    assert decisions.of("r3") == []


def evidence(doubts: Sequence[Doubt]) -> Fold:
    events = [(doubt.key, Delivered(doubt.body, b"s" * 16, "9.00", "", 50.0)) for doubt in doubts]
    return Fold(events, [], [], [(CONTENT, 8, bytes([sum(1 << doubt.row for doubt in doubts)]))])


def test_what_was_delivered_after_all_is_known_from_then_on(ledger: Ledger, decisions: Resolutions) -> None:
    assert decisions.resolve([D1, D2], "delivered", "seen in their list", run_id="r1", delivered=evidence) == 2
    assert {key: event.amount for key, event in ledger.events([K1, K2]).items()} == {K1: "9.00", K2: "9.00"}
    assert ledger.delivered_rows(CONTENT) == b"\x50"
    assert ledger.doubts([K1, K2]) == {}, "an event that was delivered leaves no doubt, whatever its body"


def test_only_doubts_that_are_open_become_deliveries(ledger: Ledger, decisions: Resolutions) -> None:
    decisions.resolve([D1], "not_delivered", "", run_id="r1")
    assert decisions.resolve([D1, D2], "delivered", "", run_id="r1", delivered=evidence) == 1
    assert (set(ledger.events([K1, K2])), ledger.delivered_rows(CONTENT)) == ({K2}, b"\x40")


def test_an_update_that_was_applied_after_all_is_confirmed(ledger: Ledger, decisions: Resolutions) -> None:
    last = LastUpdate(BODY, False, 1, 4, CONTENT)
    ledger.fold("r1", 2, [Fold([], [(K1, last)], [], [])])
    confirmed = Fold([], [(K1, last._replace(confirmed=True))], [], [])
    assert decisions.resolve([D1], "delivered", "", run_id="r1", delivered=lambda _: confirmed) == 1
    assert ledger.updates([K1])[K1].confirmed


def test_a_decision_that_cannot_be_carried_out_is_not_recorded(ledger: Ledger, decisions: Resolutions) -> None:
    def contradictory(doubts: Sequence[Doubt]) -> Fold:
        raise LedgerError("no")

    generation = ledger.generation
    with pytest.raises(LedgerError):
        decisions.resolve([D1], "delivered", "", run_id="r1", delivered=contradictory)
    assert (decisions.of(), ledger.doubts([K1]), ledger.generation) == ([], {K1: {BODY}}, generation)


def test_a_voided_event_may_be_sent_again(ledger: Ledger, decisions: Resolutions) -> None:
    assert decisions.void([(7, K3), (8, K1)], "they took it back", run_id="r1") == 1
    assert (ledger.events([K3]), ledger.voided()) == ({}, {K3})
    assert decisions.of("r1") == [Resolution(100.0, "voided", "they took it back", "r1", 7, K3, BODY)]
    assert decisions.void([(7, K3)], "again", run_id="r1") == 0
    assert len(decisions.of()) == 1


def test_a_run_voids_only_what_it_delivered_itself(ledger: Ledger, decisions: Resolutions) -> None:
    assert decisions.void([(7, K3)], "", run_id="r2") == 0
    assert set(ledger.events([K3])) == {K3}


def test_the_journal_that_tells_of_a_voided_event_again_does_not_bring_it_back(
    ledger: Ledger, decisions: Resolutions
) -> None:
    """A run that goes on folds all of its sittings once more; the delivery of another run is a new one."""
    decisions.void([(7, K3)], "", run_id="r1")
    ledger.fold("r1", 2, [Fold([(K3, sale(3)), (K2, sale(2))], [], [], [])])
    assert (set(ledger.events([K2, K3])), ledger.voided()) == ({K2}, {K3})
    ledger.fold("r2", 1, [Fold([(K3, sale(9))], [], [], [])])
    assert (ledger.events([K3]), ledger.voided()) == ({K3: sale(9)}, set())
    ledger.fold("r1", 3, [Fold([(K3, sale(3))], [], [], [])])
    assert (ledger.events([K3]), ledger.voided()) == ({K3: sale(9)}, set())
