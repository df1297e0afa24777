from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchpost.canary import Tried, canary_text, job_fault, tried_rows
from batchpost.errors import InputRefused, NoInput
from batchpost.masking import Sample
from batchpost.sending import when_there
from tests.workspaces import write_csv

SAMPLE = Sample(1, "POST", "/api/event/global/***", {"transaction_id": "t1", "revenue": Decimal("1.50")})


def tried(reason: str, outcome: str = "rejected", status: str = "400") -> Tried:
    return Tried(SAMPLE, outcome, reason, "", status)


# -- the canary ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reasons", "summary", "fault"),
    [
        (["conversion"], {"stopped_by": "limit"}, ""),
        (["lead_not_found"] * 3, {"stopped_by": "limit"}, ""),
        (["server_error"], {"stopped_by": None}, ""),
        (["conversion", "invalid_event"], {"stopped_by": "limit"}, "(1 of 2 rows: invalid_event)"),
        (["missing_field"], {"stopped_by": None}, "(1 of 1 rows: missing_field)"),
        (["source_inactive"], {"stopped_by": "limit"}, "(1 of 1 rows: source_inactive)"),
        ([], {"stopped_by": "unauthorized", "message": "The platform refused the token"}, "refused the token"),
        (["conversion"], {"stopped_by": "redirect", "message": ""}, "redirect"),
    ],
)
def test_only_what_the_job_itself_is_at_fault_for_stops_the_rest(
    reasons: list[str], summary: dict[str, Any], fault: str
) -> None:
    found = job_fault([tried(reason) for reason in reasons], summary)
    assert found.endswith(fault)
    assert bool(found) == bool(fault)


def test_a_canary_is_told_with_requests_and_replies() -> None:
    rows = [tried("conversion", "delivered", "200"), Tried(SAMPLE, "rejected", "lead_not_found", "No lead", "")]
    assert (
        canary_text(rows, "")
        == """\
Canary: 2 rows sent before the others, personal data masked.
POST /api/event/global/***
  {"transaction_id": "t1", "revenue": 1.50}
  -> HTTP 200, delivered: conversion
POST /api/event/global/***
  {"transaction_id": "t1", "revenue": 1.50}
  -> rejected: lead_not_found (No lead)
The job itself is not at fault: the rest follows."""
    )


def test_a_large_canary_is_told_in_part_and_a_fault_last() -> None:
    lines = canary_text([tried("invalid_event")] * 1_200, "it is wrong").splitlines()
    assert lines[0].startswith("Canary: 1,200 rows")
    assert lines[-2:] == ["... and 1,190 more, see the results", "Nothing more is sent: it is wrong."]


def test_canary_rows_are_found_in_the_outcomes_by_their_number(tmp_path: Path) -> None:
    columns = ("outcome", "reason", "detail", "http_status", "row", "line", "attempts", "latency_ms", "amount")
    rows = {name: ["", "", ""] for name in columns}
    rows |= {"outcome": ["skipped", "rejected", "skipped"], "reason": ["otherwise", "refused", "otherwise"]}
    write_csv(tmp_path / "outcomes.csv", {**rows, "http_status": ["", "400", ""]})
    assert tried_rows([SAMPLE], tmp_path) == [Tried(SAMPLE, "rejected", "refused", "", "400")]


# -- waiting for an input --------------------------------------------------------------------------------------------


@dataclass
class World:
    """A clock that only sleeping moves, and an input that comes after so many seconds."""

    comes_at: float
    now: float = 100.0
    told: list[float] = field(default_factory=list)
    given: list[float] = field(default_factory=list)

    def attempt(self, wait: float) -> dict[str, Any]:
        self.given.append(wait)
        if self.now < 100.0 + self.comes_at:
            raise NoInput("there is no in.csv")
        return {"at": self.now - 100.0}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, seconds: float) -> dict[str, Any]:
        return when_there(
            self.attempt, seconds, lambda _, left: self.told.append(left), clock=lambda: self.now, sleep=self.sleep
        )


def test_an_input_that_is_there_is_not_waited_for() -> None:
    world = World(comes_at=0)
    assert world.wait(3_600) == {"at": 0.0}
    assert (world.told, world.given) == ([], [3_600])


def test_an_input_is_looked_for_every_few_seconds_and_the_lock_gets_what_is_left() -> None:
    world = World(comes_at=12)
    assert world.wait(3_600) == {"at": 15.0}
    assert world.told == [3_600, 3_595, 3_590]
    assert world.given == [3_600, 3_595, 3_590, 3_585]


@pytest.mark.parametrize("seconds", [0, 12])
def test_the_wait_has_an_end_and_looks_once_more_there(seconds: float) -> None:
    world = World(comes_at=1_000)
    with pytest.raises(NoInput):
        world.wait(seconds)
    assert world.now == 100.0 + seconds
    assert world.given[-1] == 0


def test_an_input_that_comes_at_the_last_moment_is_taken() -> None:
    assert World(comes_at=12).wait(12) == {"at": 12.0}


def test_an_unsound_input_is_not_waited_for() -> None:
    def attempt(wait: float) -> dict[str, Any]:
        raise InputRefused("in.csv", "is torn")

    with pytest.raises(InputRefused):
        when_there(attempt, 60, lambda _, left: None, sleep=lambda seconds: None)
