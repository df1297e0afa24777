from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import polars as pl
import pytest

from batchpost.batch import Fingerprint
from batchpost.compare import Correction, Position, compare
from batchpost.fates import SEND
from batchpost.firstpass import Operation, Plan
from batchpost.job import Job
from batchpost.ledger import Ledger
from batchpost.ledgerrows import Delivered, Fold, LastUpdate, RunRecord, Uncertain
from batchpost.links import Order
from batchpost.resolutions import Action, Resolutions
from tests.jobtexts import job_text, load

NOW, INPUT, OTHER = 1_750_000_000.0, b"input", b"other input"
HERE = Position(5, INPUT)


def mark(text: str) -> bytes:
    return text.encode().ljust(16)


class Planned(Plan):
    """A plan whose spool is in memory, a row a frame."""

    rows_to_send: Sequence[Operation]

    def operations(self, code: int = SEND) -> Iterator[pl.DataFrame]:
        wanted = [operation for operation in self.rows_to_send if self.fates.codes[operation.row] == code]
        for operation in wanted:
            yield pl.DataFrame([operation], schema=["row", "key", "body_hash", "stake", "fires_again"], orient="row")


def a_plan(rows: Sequence[tuple[str, str]], stake: str = "5", fires_again: bool = True) -> Plan:
    """Rows to send: (key, body)."""
    plan = Planned(Path("none"), files=[Fingerprint("in.csv", "", 0, len(rows))])
    plan.fates.codes += bytes(len(rows))
    plan.rows_to_send = [
        Operation(number, mark(key), mark(body), mark(stake), fires_again) for number, (key, body) in enumerate(rows)
    ]
    keys = [key for key, _ in rows]
    plan.repeated = bytearray(keys.count(key) > 1 for key in keys)
    return plan


def a_ledger(
    events: Sequence[tuple[str, str]] = (),
    updates: Sequence[tuple[str, LastUpdate]] = (),
    doubts: Sequence[tuple[str, str]] = (),
    delivered: dict[bytes, bytes] | None = None,
) -> Ledger:
    ledger = Ledger.in_memory()
    ledger.begin_run(RunRecord("r1", 0, "job", "running", "", (), "global-event", False, "", NOW))
    fold = Fold.of(
        [
            (mark(key), Delivered(mark(body), mark("5"), "5.00", "conv_1", NOW, row))
            for row, (key, body) in enumerate(events)
        ],
        [(mark(key), last) for key, last in updates],
        [Uncertain(mark(key), mark(body), 0, mark("5"), "5.00") for key, body in doubts],
        [(content, 100, bitmap) for content, bitmap in (delivered or {}).items()],
    )
    ledger.fold("r1", 1, [fold])
    return ledger


def decide(ledger: Ledger, action: Action, *, is_event: bool = True) -> None:
    """The same of every doubt."""
    decisions = Resolutions(ledger)
    decisions.decide([doubt for _, doubt in decisions.doubts_of("r1")], action, "", is_event=is_event)


def void(ledger: Ledger, row: int) -> None:
    decisions = Resolutions(ledger)
    decisions.decide([doubt for _, doubt in decisions.delivered_of("r1", [row])], "voided", "taken back")


@pytest.fixture
def events(tmp_path: Path) -> Job:
    return load(tmp_path, job_text())


@pytest.fixture
def updates(tmp_path: Path) -> Job:
    return load(tmp_path, job_text("update-lead"))


def reasons(plan: Plan) -> list[str]:
    return [plan.fates.table[code][1] for code in plan.fates.codes]


def last(body: str, *, confirmed: bool = True, seq: int = 1, row: int = 0, content: bytes = OTHER) -> LastUpdate:
    return LastUpdate(mark(body), confirmed, seq, row, content)


# -- events ------------------------------------------------------------------------------------------------------------


def test_a_delivered_event_is_known_by_its_operation_whatever_else_is_sent_with_it(events: Job) -> None:
    plan = a_plan([("x", "A"), ("y", "B"), ("z", "C")])
    assert compare(plan, events, a_ledger([("x", "A"), ("y", "other")]), HERE, [INPUT]) == []
    assert reasons(plan) == ["ledger", "differs", ""]
    assert plan.fates.table[plan.fates.codes[1]] == ("already_delivered", "differs")


def test_a_delivered_event_with_another_stake_is_a_conflict_with_what_was_delivered(events: Job) -> None:
    plan = a_plan([("x", "B")], stake="6")
    ledger = a_ledger([("x", "A")])
    delivered = Delivered(mark("A"), mark("5"), "5.00", "conv_1", NOW, 0)
    assert compare(plan, events, ledger, HERE, [INPUT]) == [Correction(0, delivered)]
    assert plan.fates.table[plan.fates.codes[0]] == ("invalid", "conflict")


@pytest.mark.parametrize(
    ("body", "fires_again", "reason", "in_doubt"),
    [("A", True, "in_doubt", set()), ("B", True, "in_doubt", set()), ("A", False, "", {0}), ("B", False, "", set())],
)
def test_an_event_whose_end_is_not_known_goes_out_only_where_the_platform_refuses_a_second(
    events: Job, body: str, fires_again: bool, reason: str, in_doubt: set[int]
) -> None:
    plan = a_plan([("x", body)], fires_again=fires_again)
    compare(plan, events, a_ledger(doubts=[("x", "A")]), HERE, [INPUT])
    assert (reasons(plan), plan.in_doubt) == ([reason], in_doubt)


def test_a_delivered_event_is_in_doubt_no_more(events: Job) -> None:
    plan = a_plan([("x", "A")], fires_again=False)
    compare(plan, events, a_ledger([("x", "A")], doubts=[("x", "A")]), HERE, [INPUT])
    assert (reasons(plan), plan.in_doubt) == (["ledger"], set())


# -- what a person decided ---------------------------------------------------------------------------------------------

ACTIONS: list[tuple[Action, str, str]] = [
    ("resend", "", ""),
    ("not_delivered", "", ""),
    ("delivered", "ledger", "differs"),
    ("ignored", "ignored", "ignored"),
]


@pytest.mark.parametrize(("action", "same_body", "other_body"), ACTIONS)
def test_an_event_goes_out_again_only_where_a_person_made_it_due(
    events: Job, action: Action, same_body: str, other_body: str
) -> None:
    ledger = a_ledger(doubts=[("x", "A"), ("y", "A")])
    decide(ledger, action)
    plan = a_plan([("x", "A"), ("y", "B"), ("z", "C")])
    compare(plan, events, ledger, HERE, [INPUT])
    assert reasons(plan) == [same_body, other_body, ""]
    assert plan.in_doubt == set()


def test_an_event_that_a_person_says_was_delivered_is_in_conflict_with_other_money(events: Job) -> None:
    ledger = a_ledger(doubts=[("x", "A")])
    decide(ledger, "delivered")
    plan = a_plan([("x", "B")], stake="6")
    [correction] = compare(plan, events, ledger, HERE, [INPUT])
    assert (reasons(plan), correction.before.amount) == (["conflict"], "5.00")


@pytest.mark.parametrize("action", ["resend", "not_delivered"])
def test_a_duplicate_confirms_what_a_person_made_due_where_the_platform_refuses_a_second(
    events: Job, action: Action
) -> None:
    ledger = a_ledger(doubts=[("x", "A"), ("y", "A")])
    decide(ledger, action)
    plan = a_plan([("x", "A"), ("y", "B")], fires_again=False)
    compare(plan, events, ledger, HERE, [INPUT])
    assert (reasons(plan), plan.in_doubt) == (["", ""], {0})


def test_a_voided_event_lets_other_money_pass_once_and_nothing_else(events: Job) -> None:
    ledger = a_ledger([("x", "A")])
    void(ledger, 0)
    same, other_details, corrected = a_plan([("x", "A")]), a_plan([("x", "B")]), a_plan([("x", "C")], stake="6")
    for plan in (same, other_details, corrected):
        compare(plan, events, ledger, HERE, [INPUT])
    assert [reasons(plan) for plan in (same, other_details, corrected)] == [["voided"], ["voided"], [""]]
    ledger.begin_run(RunRecord("r2", 0, "job", "running", "", (), "global-event", False, "", NOW))
    delivered = Delivered(mark("C"), mark("6"), "6.00", "conv_2", NOW, 0)
    ledger.fold("r2", 1, [Fold.of([(mark("x"), delivered)], (), (), ())])
    same, again, third = a_plan([("x", "A")]), a_plan([("x", "C")], stake="6"), a_plan([("x", "D")], stake="7")
    for plan in (same, again, third):
        compare(plan, events, ledger, HERE, [INPUT])
    assert [reasons(plan) for plan in (same, again, third)] == [["voided"], ["ledger"], ["conflict"]]


@pytest.mark.parametrize(
    ("action", "same_body", "other_body"),
    [("resend", "", ""), ("not_delivered", "", ""), ("delivered", "unchanged", ""), ("ignored", "ignored", "")],
)
def test_an_update_goes_out_again_only_where_a_person_made_it_due(
    updates: Job, action: Action, same_body: str, other_body: str
) -> None:
    for body, reason in (("A", same_body), ("B", other_body)):
        ledger = a_ledger(updates=[("x", last("A", confirmed=False))], doubts=[("x", "A")])
        decide(ledger, action, is_event=False)
        plan = a_plan([("x", body)])
        compare(plan, updates, ledger, HERE, [INPUT])
        assert (reasons(plan), plan.in_doubt) == ([reason], set())


# -- the same content --------------------------------------------------------------------------------------------------


def test_a_row_whose_event_was_voided_is_left_out_whatever_its_content_says(events: Job) -> None:
    ledger = a_ledger([("x", "A"), ("y", "B")], delivered={INPUT: b"\x03"})
    void(ledger, 0)
    plan = a_plan([("x", "A"), ("y", "B")])
    compare(plan, events, ledger, HERE, [INPUT])
    assert reasons(plan) == ["voided", "same_row"]
    assert plan.fates.table[plan.fates.codes[0]] == ("skipped", "voided")


def test_a_row_whose_event_was_voided_goes_out_when_a_person_says_so(events: Job) -> None:
    ledger = a_ledger([("x", "A"), ("y", "B")], delivered={INPUT: b"\x03"})
    void(ledger, 0)
    decide(ledger, "resend")
    plan = a_plan([("x", "A"), ("y", "B")])
    compare(plan, events, ledger, HERE, [INPUT])
    assert reasons(plan) == ["", "same_row"]


def test_an_update_that_was_delivered_is_not_sent_again_for_an_older_one_that_a_person_made_due(updates: Job) -> None:
    ledger = a_ledger(
        updates=[("x", last("B", row=1, confirmed=False))], doubts=[("x", "A")], delivered={INPUT: b"\x02"}
    )
    decide(ledger, "resend", is_event=False)
    plan = a_plan([("x", "A"), ("x", "B")])
    compare(plan, updates, ledger, Position(2, INPUT), [INPUT])
    assert reasons(plan)[1] == "same_row"


def test_a_row_of_a_content_that_was_delivered_before_needs_no_key(events: Job) -> None:
    plan = a_plan([(f"k{n}", "A") for n in range(20)])
    plan.files = [Fingerprint("a.csv", "", 0, 12), Fingerprint("b.csv", "", 0, 8)]
    ledger = a_ledger(delivered={b"a": bytes([0b101, 0b1000]), b"b": bytes([0b10])})
    compare(plan, events, ledger, HERE, [b"a", b"b"])
    assert [row for row, reason in enumerate(reasons(plan)) if reason == "same_row"] == [0, 2, 11, 13]


@pytest.mark.parametrize(
    ("fate", "becomes"),
    [
        (("skipped", "filtered"), ("skipped", "filtered")),
        (("invalid", "contradiction"), ("already_delivered", "same_row")),  # a mend of it got through
    ],
)
def test_a_delivered_row_stays_skipped_but_is_not_invalid_any_more(
    fate: tuple[str, str], becomes: tuple[str, str], events: Job
) -> None:
    plan = a_plan([("x", "A"), ("y", "A")])
    plan.fates.codes[0] = plan.fates.code(*fate)
    compare(plan, events, a_ledger([("x", "A")], delivered={INPUT: b"\xff"}), HERE, [INPUT])
    assert plan.fates.table[plan.fates.codes[0]] == becomes


# -- updates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 2, 100])
@pytest.mark.parametrize(
    ("before", "bodies", "expected"),
    [
        (last("A"), "A", ["unchanged"]),
        (last("A"), "B", [""]),
        (last("A", confirmed=False), "A", [""]),
        (last("A"), "BA", ["", ""]),  # once B goes out, A is a change again
        (last("A"), "AB", ["unchanged", ""]),
        (last("A"), "ABA", ["unchanged", "", ""]),
        (last("A"), "AA", ["unchanged", "unchanged"]),
    ],
)
def test_an_update_is_unchanged_only_against_what_the_lead_will_be_then(
    updates: Job, before: LastUpdate, bodies: str, expected: list[str], chunk: int
) -> None:
    plan = a_plan([("x", body) for body in bodies], fires_again=False)
    compare(plan, updates, a_ledger(updates=[("x", before)]), HERE, [INPUT], chunk=chunk)
    assert reasons(plan) == expected


def test_unchanged_updates_are_sent_where_the_job_says_so(tmp_path: Path) -> None:
    job = load(tmp_path, job_text("update-lead", rows="skip_unchanged = false"))
    plan = a_plan([("x", "A")], fires_again=False)
    compare(plan, job, a_ledger(updates=[("x", last("A"))]), HERE, [INPUT])
    assert reasons(plan) == [""]


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (last("B", seq=6), "superseded"),  # a later run
        (last("B", seq=5, row=4, content=INPUT), "superseded"),  # this run, further down
        (last("B", seq=5, row=2, content=INPUT), ""),  # this run, before it
        (last("B", seq=1, row=4, content=INPUT), "superseded"),  # an earlier run over the same input, further down
        (last("B", seq=1, row=4, content=OTHER), ""),  # an earlier run over another input
    ],
)
def test_an_update_never_overwrites_a_newer_one(updates: Job, before: LastUpdate, reason: str) -> None:
    plan = a_plan([("a", "A"), ("b", "A"), ("c", "A"), ("x", "A")], fires_again=False)
    compare(plan, updates, a_ledger(updates=[("x", before)]), HERE, [INPUT])
    assert reasons(plan)[3] == reason


@pytest.mark.parametrize(("seq", "reason"), [(2, ""), (4, "superseded")])
def test_a_row_sent_again_stands_where_it_stood_in_its_own_run(updates: Job, seq: int, reason: str) -> None:
    plan = a_plan([("x", "A")], fires_again=False)
    position = Position(5, INPUT, [Order(3, 7, OTHER)])
    compare(plan, updates, a_ledger(updates=[("x", last("B", seq=seq, content=b"third"))]), position, [INPUT])
    assert reasons(plan) == [reason]


@pytest.mark.parametrize(
    ("body", "fires_again", "reason", "in_doubt"),
    [("A", True, "in_doubt", set()), ("B", True, "", set()), ("A", False, "", {0})],
)
def test_an_update_in_doubt_is_held_back_only_where_it_could_sell_the_lead_twice(
    updates: Job, body: str, fires_again: bool, reason: str, in_doubt: set[int]
) -> None:
    plan = a_plan([("x", body)], fires_again=fires_again)
    compare(plan, updates, a_ledger(doubts=[("x", "A")]), HERE, [INPUT])
    assert (reasons(plan), plan.in_doubt) == ([reason], in_doubt)


def one_by_one(
    rows: Sequence[tuple[str, str]], known: dict[str, LastUpdate], ignored: set[tuple[str, str]]
) -> list[str]:
    """What becomes of updates, told row by row."""
    found, goes_out = [], set()
    for number, (key, body) in enumerate(rows):
        before, reason = known.get(key), ""
        if before is not None:
            same = before.body == mark(body) and key not in goes_out
            further_down = before.row > number and (before.seq == HERE.seq or before.content == HERE.content)
            if before.seq > HERE.seq or further_down:
                reason = "superseded"
            elif same and before.confirmed:
                reason = "unchanged"
            elif same and (key, body) in ignored:
                reason = "ignored"
            else:
                goes_out.add(key)
        found.append(reason)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_many_updates_are_decided_as_each_would_be(updates: Job, seed: int) -> None:
    random = Random(seed)
    rows = [(random.choice("abcdefgh"), random.choice("AB")) for _ in range(30)]
    known = {
        key: last(
            random.choice("AB"),
            confirmed=random.random() < 0.6,
            seq=random.choice((1, 5, 5, 6)),
            row=random.randrange(30),
            content=random.choice((INPUT, OTHER)),
        )
        for key in "abcdef"
    }
    ignored = {(random.choice("abcdefgh"), random.choice("AB")) for _ in range(6)}
    ledger = a_ledger(updates=[*known.items()], doubts=sorted(ignored))
    decide(ledger, "ignored", is_event=False)
    plan = a_plan(rows)
    compare(plan, updates, ledger, HERE, [INPUT], chunk=random.choice((1, 7, 100)))
    assert reasons(plan) == one_by_one(rows, known, ignored)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_many_events_are_each_compared_with_their_own_delivery(events: Job, chunk: int) -> None:
    """Delivered, voided, ignored and unheard of in one input, an operation several times."""
    ledger = a_ledger([("x", "A"), ("y", "B"), ("v", "A")], doubts=[("i", "A"), ("x", "B")])
    decide(ledger, "ignored")
    void(ledger, 2)
    plan = a_plan([("z", "A"), ("v", "A"), ("x", "A"), ("i", "B"), ("y", "A"), ("x", "B"), ("v", "C"), ("y", "B")])
    assert compare(plan, events, ledger, HERE, [INPUT], chunk=chunk) == []
    assert reasons(plan) == ["", "voided", "ledger", "ignored", "differs", "differs", "voided", "ledger"]


def test_corrections_come_in_the_order_of_their_rows(events: Job) -> None:
    plan = a_plan([("z", "B"), ("y", "B"), ("x", "B"), ("y", "C")], stake="6")
    found = compare(plan, events, a_ledger([("x", "A"), ("y", "A")]), HERE, [INPUT])
    assert [(one.row, one.before.row) for one in found] == [(1, 1), (2, 0), (3, 1)]


def test_an_input_without_rows_to_send_asks_nothing(updates: Job, events: Job) -> None:
    for job in (updates, events):
        assert compare(a_plan([]), job, a_ledger(), HERE, [INPUT]) == []
