"""Which of several ends of a row counts."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import polars as pl
import pytest

from batchpost.latest import ENTRIES, followed, latest, taken_back, worth

ENDED = {0: 100.0, 1: 200.0, 2: 300.0, 3: 400.0}
FOREVER = float("inf")
DELIVERED, SAME_ROW = ("delivered", "conversion"), ("already_delivered", "same_row")
VOIDED, DUE = ("skipped", "voided"), ("due", "due")
NOT_FOUND, NOT_A_NUMBER, UNKNOWN = ("rejected", "lead_not_found"), ("invalid", "not_a_number"), ("unknown", "timeout")
NOT_COUNTED = ("delivered", "not_a_conversion")


class Entry(NamedTuple):
    """An end as :data:`ENTRIES` has it."""

    source: int
    row: int
    run: int
    outcome: str
    reason: str
    amount: Decimal | None = None
    key: str | None = None
    until: float | None = None


def entries(*rows: Entry) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=ENTRIES, orient="row")


def history(*ends: tuple[str, str], until: float | None = None) -> pl.DataFrame:
    """The ends of one row, in one run after the other; ``until`` is that of the first."""
    return entries(*(Entry(0, 1, run, *end, until=None if run else until) for run, end in enumerate(ends)))


def end_of(frame: pl.DataFrame) -> tuple[str, str]:
    [end] = latest(worth(frame, conversion=True), ENDED).select("outcome", "reason").rows()
    return end


@pytest.mark.parametrize(
    "ends",
    [
        [NOT_FOUND, DELIVERED],
        [NOT_A_NUMBER, NOT_FOUND],
        [DELIVERED, NOT_FOUND],  # an update that went out again under another job
        [DELIVERED, ("invalid", "conflict")],
        [DELIVERED, UNKNOWN],
        [DELIVERED, VOIDED],
        [UNKNOWN, ("skipped", "ignored")],
        [NOT_FOUND, SAME_ROW],
        [NOT_FOUND, NOT_A_NUMBER, DELIVERED],
    ],
)
def test_the_latest_end_counts(ends: list[tuple[str, str]]) -> None:
    assert end_of(history(*ends)) == ends[-1]


@pytest.mark.parametrize("later", [SAME_ROW, NOT_A_NUMBER, ("skipped", "filtered"), ("skipped", "duplicate_in_input")])
def test_what_was_delivered_stays_so_whatever_a_later_reading_of_the_row_says(later: tuple[str, str]) -> None:
    assert end_of(history(NOT_FOUND, DELIVERED, later)) == DELIVERED


def test_already_delivered_adds_nothing_to_an_event_that_was_not_counted() -> None:
    assert end_of(history(NOT_COUNTED, SAME_ROW, SAME_ROW)) == NOT_COUNTED


@pytest.mark.parametrize("end", [VOIDED, DUE])
def test_already_delivered_is_overtaken_by_what_was_said_after_it(end: tuple[str, str]) -> None:
    assert end_of(history(end, SAME_ROW, until=250.0)) == end
    assert end_of(history(end, SAME_ROW, until=150.0)) == SAME_ROW  # it went out anew in between


def test_of_rows_that_mend_the_same_one_what_did_not_get_through_counts() -> None:
    for ends in ([DELIVERED, NOT_FOUND], [NOT_FOUND, DELIVERED], [("skipped", "duplicate_in_input"), NOT_FOUND]):
        assert end_of(entries(*(Entry(0, 1, 0, *end) for end in ends))) == NOT_FOUND
    assert end_of(entries(Entry(0, 1, 0, *UNKNOWN), Entry(0, 1, 0, *NOT_FOUND))) == UNKNOWN


def test_rows_are_told_apart_by_source_and_row() -> None:
    found = latest(entries(Entry(0, 1, 0, *DELIVERED), Entry(0, 2, 0, *NOT_FOUND), Entry(1, 1, 1, *NOT_FOUND)), ENDED)
    assert found.sort("source", "row").select("source", "row", "outcome").rows() == [
        (0, 1, "delivered"),
        (0, 2, "rejected"),
        (1, 1, "rejected"),
    ]


# -- rows of one operation ---------------------------------------------------------------------------------------------


def ends_of(frame: pl.DataFrame) -> dict[int, tuple[str, str]]:
    """The ends by source."""
    return {source: (outcome, reason) for source, outcome, reason in frame.select("source", "outcome", "reason").rows()}


def test_a_later_file_brings_in_what_an_earlier_one_did_not_with_its_amount() -> None:
    ends = entries(
        Entry(0, 1, 0, *NOT_A_NUMBER, key="a"),
        Entry(0, 2, 0, *NOT_A_NUMBER, key="b"),
        Entry(1, 1, 1, *DELIVERED, Decimal("5.00"), "a"),
    )
    found = followed(ends, is_event=True).sort("source", "row")
    assert found.select("outcome", "run", "amount").rows() == [
        ("delivered", 1, Decimal("5.00")),
        ("invalid", 0, None),
        ("delivered", 1, Decimal("5.00")),
    ]


@pytest.mark.parametrize(
    ("end", "stays"),
    [(UNKNOWN, True), (VOIDED, True), (NOT_FOUND, False), (DUE, False), (("invalid", "conflict"), False)],
)
def test_only_what_did_not_get_through_is_brought_in(end: tuple[str, str], stays: bool) -> None:
    ends = entries(Entry(0, 1, 0, *end, key="a"), Entry(1, 1, 1, *DELIVERED, key="a"))
    assert ends_of(followed(ends, is_event=True))[0] == (end if stays else DELIVERED)


def test_an_earlier_file_brings_in_a_later_one_only_as_it_is_sent_again() -> None:
    """An event that an earlier row delivers in the end is delivered; an update is an older one."""
    again = entries(Entry(0, 1, 2, *DELIVERED, key="a"), Entry(1, 1, 1, *NOT_FOUND, key="a"))
    assert ends_of(followed(again, is_event=True))[1] == DELIVERED
    assert ends_of(followed(again, is_event=False))[1] == NOT_FOUND
    before = entries(Entry(0, 1, 2, *SAME_ROW, key="a"), Entry(1, 1, 1, "invalid", "conflict", key="a"))
    assert ends_of(followed(before, is_event=True))[1] == ("invalid", "conflict")


def test_rows_of_the_same_file_and_rows_without_a_key_do_not_follow_each_other() -> None:
    same = entries(Entry(0, 1, 0, *NOT_A_NUMBER, key="a"), Entry(0, 2, 0, *DELIVERED, key="a"))
    assert sorted(followed(same, is_event=True)["outcome"]) == ["delivered", "invalid"]
    bare = entries(Entry(0, 1, 0, *NOT_A_NUMBER), Entry(1, 1, 1, *DELIVERED))
    assert ends_of(followed(bare, is_event=True))[0] == NOT_A_NUMBER


def test_what_rests_on_a_delivery_is_worth_what_that_one_is() -> None:
    ledger = ("already_delivered", "ledger")
    taken = Entry(0, 1, 0, *VOIDED, key="a", until=350.0)
    ends = entries(taken, Entry(1, 1, 1, *ledger, key="a"), Entry(2, 1, 3, *ledger, key="a"))
    assert ends_of(taken_back(ends, entries(), ENDED)) == {0: VOIDED, 1: VOIDED, 2: ledger}
    anew = entries(taken, Entry(1, 1, 1, *DELIVERED, key="a"), Entry(2, 1, 2, *ledger, key="a"))
    assert ends_of(taken_back(anew, entries(), ENDED)) == {0: VOIDED, 1: DELIVERED, 2: ledger}


def test_a_delivery_of_another_job_that_was_taken_back_counts_too() -> None:
    elsewhere = pl.DataFrame(
        [Entry(0, 1, -1, *VOIDED, key="a", until=FOREVER)], schema={**ENTRIES, "run": pl.Int64}, orient="row"
    )
    ends = entries(Entry(0, 1, 0, "already_delivered", "ledger", key="a"))
    assert ends_of(taken_back(ends, elsewhere, ENDED)) == {0: VOIDED}
