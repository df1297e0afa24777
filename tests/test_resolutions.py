"""What people decide about doubts: once, on the record, and with everything that follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import get_args

import pytest

from batchpost.errors import LedgerError
from batchpost.ledger import Ledger
from batchpost.ledgerrows import Delivered, Fold, LastUpdate, RunRecord, Uncertain
from batchpost.resolutions import Action, Decided, Doubt, Resolution, Resolutions
from tests.ledgers import BODY, CONTENT, MENDED, OTHER, sale, updates_of

K1, K2, K3 = (bytes([number]) * 16 for number in (1, 2, 3))
STAKE, FILE = b"s" * 16, b"f" * 16
D1 = Doubt(K1, BODY, "r1", 4, STAKE, "9.00")
D2, D3 = Doubt(K2, BODY, "r1", 6, STAKE, "7.00"), Doubt(K2, OTHER, "r1", 5)
SOLD = Doubt(K3, BODY, "r1", 7, b"\x05" * 16, "3.50", "delivered")
ON_DOUBTS = [action for action in get_args(Action) if action != "voided"]


def raised(*doubts: Doubt) -> Fold:
    return Fold.of([], [], [Uncertain(one.key, one.body, one.row, one.stake, one.amount) for one in doubts], [])


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """One with three runs, the first of which delivered an event and left three requests, of two operations, without
    a known end."""
    with closing(Ledger.in_memory()) as ledger:
        for run_id in ("r1", "r2", "r3"):
            contents = (FILE,) if run_id == "r1" else ()
            record = RunRecord(run_id, 0, "nightly", "running", "f1", ("aa",), "global-event", False, "results", 1.5)
            ledger.begin_run(record._replace(contents=contents))
        sold = Fold.of([(K3, sale(3, 7))], [], [], [(FILE, 20, b"\0\0\0")])
        ledger.fold("r1", 1, [sold, raised(D1, D2, D3)])
        yield ledger


@pytest.fixture
def decisions(ledger: Ledger) -> Resolutions:
    """Its decisions, a second apart."""
    ticks = count(100)
    return Resolutions(ledger, lambda: float(next(ticks)))


# -- what stands -------------------------------------------------------------------------------------------------------


def test_a_run_is_told_its_own_doubts_and_those_that_its_rows_wait_for(decisions: Resolutions) -> None:
    assert decisions.doubts_of("r1") == [(4, D1), (5, D3), (6, D2)]
    decisions.wait_for("r2", [(9, K1, b""), (2, K2, b""), (3, K2, OTHER), (4, K3, b"")])
    assert decisions.doubts_of("r2") == [(2, D2), (2, D3), (3, D3), (9, D1)]
    assert decisions.doubts_of("r3") == []


def test_rows_that_wait_are_entered_once_and_a_row_does_not_wait_for_itself(decisions: Resolutions) -> None:
    for _ in range(2):
        decisions.wait_for("r2", [(9, K1, b""), (10, K1, b"")])
        decisions.wait_for("r1", [(4, K1, b"")])
    assert decisions.doubts_of("r2") == [(9, D1), (10, D1)]
    assert [row for row, _ in decisions.doubts_of("r1")] == [4, 5, 6]


def test_of_each_run_the_rows_without_a_known_end_are_counted_its_waiting_ones_too(decisions: Resolutions) -> None:
    assert decisions.outstanding() == {"r1": (4, 5, 6)}
    decisions.wait_for("r2", [(9, K1, b""), (3, K2, OTHER)])
    assert decisions.outstanding() == {"r1": (4, 5, 6), "r2": (3, 9)}
    decisions.decide([D1], "ignored", "")
    assert decisions.outstanding() == {"r1": (5, 6), "r2": (3,)}
    assert decisions.settled_of("r1") == {4}


def test_the_events_that_a_run_delivered_are_found_by_their_rows(decisions: Resolutions) -> None:
    assert decisions.delivered_of("r1", [7, 8, 4]) == [(7, SOLD)]
    assert decisions.delivered_of("r2", [7]) == []


@pytest.mark.parametrize("action", ON_DOUBTS)
def test_what_was_decided_about_an_operation_is_known_by_its_key(decisions: Resolutions, action: Action) -> None:
    decisions.decide([D1], action, "")
    expected = {} if action == "delivered" else {K1: [Decided(BODY, STAKE, action)]}
    assert decisions.about([K1, K2]) == expected
    assert decisions.about([]) == {}


# -- deciding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ON_DOUBTS)
def test_a_doubt_is_settled_once_and_the_first_decision_stands(
    ledger: Ledger, decisions: Resolutions, action: Action
) -> None:
    decisions.decide([D1, D2], action, "phoned them", who="ann")
    with pytest.raises(LedgerError, match=r"not as it was any more\. Nothing was resolved"):
        decisions.decide([D3, D2], "resend", "never mind")
    assert decisions.of() == [
        Resolution(100.0, action, "phoned them", "r1", 4, K1, BODY, "ann"),
        Resolution(101.0, action, "phoned them", "r1", 6, K2, BODY, "ann"),
    ]
    still_open = {} if action == "delivered" else {K2: {OTHER}}  # an event that was delivered leaves no doubt
    assert (ledger.doubts([K1, K2]), decisions.outstanding()) == (still_open, {"r1": (5,)} if still_open else {})


def test_what_was_raised_anew_by_a_later_run_is_another_doubt(ledger: Ledger, decisions: Resolutions) -> None:
    """The row of the run before waits for it."""
    decisions.decide([D1], "resend", "")
    ledger.fold("r2", 1, [raised(D1._replace(row=0))])
    with pytest.raises(LedgerError, match="not as it was"):
        decisions.decide([D1], "not_delivered", "")
    anew = D1._replace(run_id="r2", row=0)
    assert decisions.doubts_of("r2") == [(0, anew)]
    assert decisions.doubts_of("r1")[0] == (4, anew)
    decisions.decide([anew], "not_delivered", "")
    assert [(one.run_id, one.row, one.action) for one in decisions.of()] == [
        *(("r1", 4, "resend"), ("r2", 0, "not_delivered"), ("r1", 4, "not_delivered")),
    ]


def test_the_run_that_raised_a_doubt_raises_it_again_when_it_sends_again(
    ledger: Ledger, decisions: Resolutions
) -> None:
    decisions.decide([D1], "not_delivered", "")
    assert ledger.doubts([K1]) == {}
    ledger.fold("r1", 2, [raised(D1)])
    assert ledger.doubts([K1]) == {K1: {BODY}}
    assert decisions.doubts_of("r1")[0] == (4, D1)


def test_rows_of_one_run_with_the_same_body_share_a_doubt(ledger: Ledger, decisions: Resolutions) -> None:
    """Two updates of one lead, with another one between them."""
    first, second = Doubt(K1, OTHER, "r2", 1), Doubt(K1, OTHER, "r2", 3)
    ledger.fold("r2", 1, [raised(second, first)])
    assert decisions.outstanding()["r2"] == (1, 3)
    decisions.decide([second], "ignored", "")
    assert decisions.settled_of("r2") == {1, 3}
    assert [resolution.row for resolution in decisions.of("r2")] == [3, 1]


def test_rows_that_wait_are_decided_and_recorded_with_what_they_wait_for(decisions: Resolutions) -> None:
    decisions.wait_for("r2", [(9, K1, b""), (2, K2, b"")])
    decisions.decide([D1], "not_delivered", "gone")
    assert decisions.of("r2") == [Resolution(101.0, "not_delivered", "gone", "r2", 9, K1, BODY)]
    assert decisions.of("r1") == [Resolution(100.0, "not_delivered", "gone", "r1", 4, K1, BODY)]
    assert decisions.settled_of("r2") == {9}
    assert decisions.of("r3") == []


def test_a_decision_of_which_a_part_cannot_be_carried_out_is_not_recorded(
    ledger: Ledger, decisions: Resolutions
) -> None:
    before = ledger.generation
    with pytest.raises(LedgerError):
        decisions.decide([D1, D2._replace(state="resend")], "delivered", "")
    assert (decisions.of(), ledger.doubts([K1]), ledger.generation) == ([], {K1: {BODY}}, before)
    assert ledger.events([K1]) == {}


# -- delivered after all -----------------------------------------------------------------------------------------------


def test_what_was_delivered_after_all_is_known_from_then_on(ledger: Ledger, decisions: Resolutions) -> None:
    decisions.decide([D1, D2], "delivered", "seen in their list")
    expected = {
        K1: Delivered(BODY, STAKE, "9.00", "", 1.5, 4),
        K2: Delivered(BODY, STAKE, "7.00", "", 1.5, 6),
    }
    assert ledger.events([K1, K2]) == expected
    assert ledger.doubts([K1, K2]) == {}, "an event that was delivered leaves no doubt, whatever its body"
    assert decisions.delivered_of("r1", [4]) == [(4, D1._replace(state="delivered"))]
    assert ledger.delivered_rows(FILE) == bytes([0b1010000, 0, 0])


def test_an_update_that_was_applied_after_all_is_confirmed(ledger: Ledger, decisions: Resolutions) -> None:
    ledger.fold("r1", 2, [Fold.of([], [(K1, LastUpdate(BODY, False, 1, 4, CONTENT))], [], [])])
    decisions.decide([D1], "delivered", "", is_event=False)
    assert updates_of(ledger, [K1])[K1].confirmed
    assert ledger.events([K1]) == {}


@pytest.mark.parametrize("last", [OTHER, BODY])
def test_an_update_is_not_confirmed_while_another_one_may_be_applied_or_was_later(
    ledger: Ledger, decisions: Resolutions, last: bytes
) -> None:
    ledger.fold("r1", 2, [Fold.of([], [(K2, LastUpdate(last, False, 1, 4, CONTENT))], [], [])])
    decisions.decide([D2], "delivered", "", is_event=False)
    assert not updates_of(ledger, [K2])[K2].confirmed
    decisions.decide([D3], "not_delivered", "", is_event=False)
    assert updates_of(ledger, [K2])[K2].confirmed is (last == BODY)


def test_a_mend_that_was_delivered_after_all_settles_the_row_that_it_mends(
    ledger: Ledger, decisions: Resolutions
) -> None:
    mend = Uncertain(K1, OTHER, 0, mends=MENDED, mends_row=9)
    ledger.fold("r2", 1, [Fold.of([], [], [mend], [(MENDED, 20, b"\x01\0\0")])])
    decisions.decide([Doubt(K1, OTHER, "r2", 0)], "delivered", "")
    assert ledger.delivered_rows(MENDED) == b"\x01\x02\0"


# -- due ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["resend", "not_delivered"])
def test_what_is_due_stays_so_until_it_gets_through(ledger: Ledger, decisions: Resolutions, action: Action) -> None:
    decisions.wait_for("r2", [(9, K1, b"")])
    decisions.decide([D1], action, "")
    assert decisions.due() == {"r1": (4,), "r2": (9,)}
    ledger.fold("r3", 1, [Fold.of([(K1, sale(1))], [], [], [])])
    assert decisions.due() == {}


def test_what_is_in_doubt_again_is_not_due(ledger: Ledger, decisions: Resolutions) -> None:
    decisions.decide([D1, D2], "resend", "")
    ledger.fold("r2", 1, [raised(D1._replace(row=0))])
    assert decisions.due() == {"r1": (6,)}


@pytest.mark.parametrize(("action", "finished"), [("resend", False), ("not_delivered", False), ("ignored", True)])
def test_the_file_of_a_row_that_is_due_is_not_finished_any_more(
    ledger: Ledger, decisions: Resolutions, action: Action, finished: bool
) -> None:
    ledger.finish_contents([FILE])
    decisions.decide([D1], action, "")
    assert ledger.finished(FILE) is finished


# -- voided ------------------------------------------------------------------------------------------------------------


def test_a_voided_event_is_forgotten_as_a_delivery_and_known_as_voided(ledger: Ledger, decisions: Resolutions) -> None:
    decisions.decide([SOLD], "voided", "they took it back")
    assert (ledger.events([K3]), decisions.taken_back()) == ({}, {K3})
    assert decisions.about([K3]) == {K3: [Decided(BODY, b"\x05" * 16, "voided")]}
    assert decisions.of("r1") == [Resolution(100.0, "voided", "they took it back", "r1", 7, K3, BODY)]
    with pytest.raises(LedgerError, match="not as it was"):
        decisions.decide([SOLD], "voided", "again")
    assert len(decisions.of()) == 1


def test_a_run_voids_only_what_it_delivered_itself(ledger: Ledger, decisions: Resolutions) -> None:
    with pytest.raises(LedgerError, match="not as it was"):
        decisions.decide([SOLD._replace(run_id="r2")], "voided", "")
    assert set(ledger.events([K3])) == {K3}


@pytest.mark.parametrize("run_id", ["r1", "r2"])
def test_what_is_delivered_after_it_was_voided_is_known_whichever_run_does_it(
    ledger: Ledger, decisions: Resolutions, run_id: str
) -> None:
    """Also by a run whose row waited for the voided one, and has the decision in its own name."""
    decisions.wait_for("r2", [(0, K3, b"")])
    decisions.decide([SOLD], "voided", "")
    assert (ledger.events([K3]), decisions.taken_back()) == ({}, {K3})
    corrected = sale(9)._replace(body=OTHER)
    ledger.fold(run_id, 2, [Fold.of([(K3, corrected)], [], [], [])])
    assert (ledger.events([K3]), decisions.taken_back()) == ({K3: corrected}, {K3})


def test_what_was_voided_and_sent_again_without_an_end_is_still_taken_back(
    ledger: Ledger, decisions: Resolutions
) -> None:
    decisions.decide([SOLD], "voided", "")
    decisions.decide([SOLD._replace(state="voided")], "resend", "")
    ledger.fold("r2", 1, [raised(SOLD)])
    assert (ledger.doubts([K3]), decisions.taken_back()) == ({K3: {BODY}}, {K3})


# -- superseded, and who left it ---------------------------------------------------------------------------------------


def test_a_due_update_is_due_no_more_once_a_newer_one_of_its_lead_went_out(
    ledger: Ledger, decisions: Resolutions
) -> None:
    ledger.fold("r1", 2, [Fold.of([], [(K1, LastUpdate(BODY, False, 1, 4, CONTENT))], [], [])])
    decisions.decide([D1, D2], "not_delivered", "", is_event=False)
    assert decisions.due() == {"r1": (4, 6)}
    ledger.fold("r2", 1, [Fold.of([], [(K1, LastUpdate(OTHER, True, 2, 0, CONTENT))], [], [])])
    assert decisions.due() == {"r1": (6,)}


def test_the_runs_that_left_operations_in_doubt_are_known_by_their_keys(ledger: Ledger, decisions: Resolutions) -> None:
    ledger.fold("r2", 1, [raised(D1._replace(key=K3))])
    assert decisions.raised_by({K1, K2, K3}) == {"r1": 3, "r2": 1}
    assert decisions.raised_by({K3}) == {"r2": 1}
    decisions.decide([D1], "ignored", "")
    assert decisions.raised_by({K1}) == {}


def test_a_decision_names_all_rows_that_it_is_about(decisions: Resolutions) -> None:
    decisions.wait_for("r2", [(9, K1, b"")])
    assert decisions.decide([D1, D2], "ignored", "") == [("r1", 4), ("r2", 9), ("r1", 6)]
