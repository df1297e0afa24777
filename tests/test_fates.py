from __future__ import annotations

import polars as pl
import pytest

from batchpost.fates import SEND, Fates
from batchpost.model import Outcome


def some_fates() -> Fates:
    fates = Fates()
    outcomes = pl.Series([None, "invalid", "skipped", None, "invalid"], dtype=pl.String)
    reasons = pl.Series([None, "not_a_number", "filtered", None, "missing_required"], dtype=pl.String)
    fates.extend(outcomes, reasons)
    return fates


def test_nulls_are_rows_to_send_and_all_others_are_decided() -> None:
    fates = some_fates()
    assert len(fates) == 5
    assert [code == SEND for code in fates.codes] == [True, False, False, True, False]
    assert fates.counts() == {
        ("", ""): 2,
        ("invalid", "not_a_number"): 1,
        ("skipped", "filtered"): 1,
        ("invalid", "missing_required"): 1,
    }


def test_further_rows_share_the_table_of_reasons() -> None:
    fates = some_fates()
    size = len(fates.table)
    fates.extend(pl.Series(["skipped"]), pl.Series(["filtered"]))
    assert len(fates.table) == size
    assert fates.codes[5] == fates.codes[2]


def test_settling_a_row_changes_that_row_only() -> None:
    fates = some_fates()
    fates.settle(3, Outcome.ALREADY_DELIVERED, "same_row")
    assert fates.series(0, 5).rows() == [
        (None, None),
        ("invalid", "not_a_number"),
        ("skipped", "filtered"),
        ("already_delivered", "same_row"),
        ("invalid", "missing_required"),
    ]


def test_a_slice_is_of_the_rows_asked_for() -> None:
    assert some_fates().series(1, 2)["reason"].to_list() == ["not_a_number", "filtered"]
    assert some_fates().series(5, 3).height == 0


def test_a_byte_holds_no_more_than_255_reasons() -> None:
    fates = Fates()
    for number in range(255):
        assert fates.code("invalid", f"reason_{number}") == number + 1
    with pytest.raises(ValueError, match="255"):
        fates.code("invalid", "one too many")


def test_rows_to_settle_are_named_by_number_or_by_a_column_of_booleans() -> None:
    fates = some_fates()
    fates.settle_all(pl.Series([3, 0], dtype=pl.UInt32), Outcome.SKIPPED, "voided")
    fates.settle_where(1, pl.Series([True, False]), Outcome.ALREADY_DELIVERED, "same_row")
    fates.settle_all(pl.Series([], dtype=pl.UInt32), Outcome.INVALID, "conflict")
    assert fates.series(0, 5)["reason"].to_list() == ["voided", "same_row", "filtered", "voided", "missing_required"]


def test_a_part_shows_no_later_change() -> None:
    fates = some_fates()
    part = fates.part(0, 5)
    fates.settle(0, Outcome.SKIPPED, "voided")
    assert (part[0], len(part)) == (SEND, 5)


def test_an_outcome_without_a_reason_is_not_sent() -> None:
    fates = Fates()
    fates.extend(pl.Series(["skipped", None]), pl.Series([None, None], dtype=pl.String))
    assert [code == SEND for code in fates.codes] == [False, True]
