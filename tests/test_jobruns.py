"""What was decided about rows, as it stands today."""

from __future__ import annotations

import pytest

from batchpost.jobruns import Decision, decided, stands
from batchpost.resolutions import Resolution


@pytest.mark.parametrize(
    ("states", "action", "due", "stood"),
    [
        (["open"], "", False, None),
        (["open", "delivered"], "delivered", False, None),  # it waits for two others
        (["delivered"], "", False, ("delivered", "resolved")),  # by a later run
        (["delivered"], "delivered", False, ("delivered", "resolved")),
        (["delivered"], "resend", False, ("delivered", "resolved")),
        (["delivered"], "ignored", False, ("delivered", "resolved")),
        (["ignored"], "ignored", False, ("skipped", "ignored")),
        (["voided"], "voided", False, ("skipped", "voided")),
        (["not_delivered"], "not_delivered", True, ("due", "due")),
        (["resend"], "resend", True, ("due", "due")),
        (["resend"], "resend", False, ("skipped", "superseded")),  # a newer update of the lead went out
        ([], "", False, None),
    ],
)
def test_how_a_row_stands(states: list[str], action: str, due: bool, stood: tuple[str, str] | None) -> None:
    assert stands(states, action, due=due) == stood


def resolution(action: str, at: float) -> Resolution:
    return Resolution(at, action, "", "r1", 7, b"", b"")


def test_the_last_word_about_a_row_counts_and_when_it_was_taken_back_is_kept() -> None:
    said = [resolution("delivered", 1.0), resolution("voided", 2.0)]
    assert list(decided([("r1", 7, "voided")], said, ())) == [Decision("r1", 7, "skipped", "voided", 2.0)]
    said.append(resolution("resend", 3.0))
    assert list(decided([("r1", 7, "resend")], said, {("r1", 7)})) == [Decision("r1", 7, "due", "due", 2.0)]


def test_rows_with_an_open_doubt_have_no_end() -> None:
    assert list(decided([("r1", 0, "open"), ("r1", 1, "delivered")], (), ())) == [
        Decision("r1", 1, "delivered", "resolved")
    ]
