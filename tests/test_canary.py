from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchpost.canary import Tried, canary_lines, job_fault, tried_rows
from batchpost.masking import Sample
from tests.workspaces import write_csv

SAMPLE = Sample(1, "POST", "/api/event/global/***", {"transaction_id": "t1", "revenue": Decimal("1.50")})
LIMIT = {"stopped_by": "limit"}


def tried(reason: str, outcome: str = "rejected", status: str = "400", **more: str) -> Tried:
    return Tried(SAMPLE, outcome, reason, http_status=status, **more)


def sold(reason: str = "conversion") -> Tried:
    return tried(reason, "delivered", "200")


def text(rows: list[Tried], fault: str = "", *, rest: bool = True) -> str:
    return "\n".join(line.text for line in canary_lines(rows, fault, rest=rest))


# -- on or stop ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "summary", "fault"),
    [
        ([sold()], LIMIT, ""),
        ([tried("lead_not_found")], LIMIT, ""),
        ([tried("lead_not_found")] * 2, LIMIT, ""),
        ([tried("lead_not_found")] * 9 + [sold()], LIMIT, ""),
        ([tried("server_error", "failed", "500")] * 5, {"stopped_by": None}, ""),
        ([tried("timeout", "unknown", "")] * 5, LIMIT, ""),
        ([], LIMIT, ""),
        ([sold(), tried("invalid_event")], LIMIT, "(1 of 2 rows: invalid_event)"),
        ([tried("missing_field")], {"stopped_by": None}, "(1 of 1 rows: missing_field)"),
        ([sold(), tried("forbidden", "failed", "403")], LIMIT, "(403; 1 of 2 rows: forbidden)"),
        ([tried("source_inactive", status="403")], LIMIT, "(403; 1 of 1 rows: source_inactive)"),
        ([tried("locked_elsewhere", status="403"), sold()], LIMIT, "(403; 1 of 2 rows: locked_elsewhere)"),
        ([], {"stopped_by": "unauthorized", "message": "The platform refused the token"}, "refused the token"),
        ([sold()], {"stopped_by": "redirect", "message": ""}, "redirect"),
    ],
)
def test_only_what_the_job_itself_is_at_fault_for_stops_the_rest(
    rows: list[Tried], summary: dict[str, Any], fault: str
) -> None:
    found = job_fault(rows, summary)
    assert found.endswith(fault)
    assert bool(found) == bool(fault)


def test_several_rows_that_are_all_refused_are_no_chance() -> None:
    rows = [tried("lead_not_found"), tried("lead_not_found"), tried("refused")]
    assert job_fault(rows, LIMIT) == (
        "the platform refused all 3 rows (lead_not_found, refused); see whether campaign, organisation and the column "
        "of transaction_id are the right ones"
    )


def test_money_that_makes_no_conversion_in_any_of_several_rows_stops_unless_the_job_expects_that() -> None:
    rows = [sold("not_a_conversion")] * 3
    assert "counted none as a conversion" in job_fault(rows, LIMIT)
    assert job_fault(rows, LIMIT, converts=False) == ""
    assert job_fault(rows[:2], LIMIT) == ""


# -- what is shown ---------------------------------------------------------------------------------------------------


def test_a_canary_is_told_with_its_requests_and_what_came_back() -> None:
    rows = [
        sold()._replace(conversion_id="conv_a1", latency_ms="12.4", place="in.csv, line 2"),
        tried("lead_not_found", detail="No lead found", place="in.csv, line 3"),
        tried("unsold", "delivered", "201", lead_status="unsold", place="in.csv, row 3"),
        tried("dns", "failed", "", place="in.csv, line 5"),
    ]
    assert (
        text(rows)
        == """\
Canary: 4 rows sent before the others, personal data masked.
in.csv, line 2
POST /api/event/global/***
  {"transaction_id": "t1", "revenue": 1.50}
  -> HTTP 200 after 12 ms: delivered, conversion
     conversion id: conv_a1
in.csv, line 3
POST /api/event/global/***
  {"transaction_id": "t1", "revenue": 1.50}
  -> HTTP 400: rejected, lead_not_found
     it says: No lead found
in.csv, row 3
POST /api/event/global/***
  {"transaction_id": "t1", "revenue": 1.50}
  -> HTTP 201: delivered, unsold
     lead status: unsold
in.csv, line 5
POST /api/event/global/***
  {"transaction_id": "t1", "revenue": 1.50}
  -> no reply: failed, dns
The job itself is not at fault: the rest follows."""
    )


def test_the_end_says_whether_something_follows() -> None:
    assert text([sold()]).endswith("\nThe job itself is not at fault: the rest follows.")
    assert text([sold()], rest=False).endswith("\nThe job itself is not at fault.")
    assert text([sold()], "it is wrong").endswith("\n! Nothing more is sent: it is wrong.")
    assert text([sold()], "it is wrong", rest=False).endswith("\n! The job is at fault: it is wrong.")
    assert text([sold()]).startswith("Canary: 1 row sent")


def test_a_large_canary_is_told_in_part() -> None:
    lines = text([tried("invalid_event")] * 1_200, "it is wrong").splitlines()
    assert lines[0].startswith("Canary: 1,200 rows")
    assert lines[-2] == "... and 1,190 more, see the results"
    assert sum(line.startswith("POST") for line in lines) == 10


@pytest.mark.parametrize(("line", "place"), [("4", "in.csv, line 4"), ("", "in.csv, row 2")])
def test_canary_rows_are_found_in_the_outcomes_by_their_number(tmp_path: Path, line: str, place: str) -> None:
    columns = ("outcome", "reason", "detail", "http_status", "lead_status", "conversion_id", "latency_ms")
    rows = {name: ["", "", ""] for name in (*columns, "line", "attempts", "amount")}
    rows |= {"outcome": ["skipped", "rejected", "skipped"], "reason": ["otherwise", "refused", "otherwise"]}
    rows |= {"source": ["in.csv"] * 3, "row": ["1", "2", "3"], "line": ["", line, ""]}
    write_csv(tmp_path / "outcomes.csv", {**rows, "http_status": ["", "400", ""], "latency_ms": ["", "7.5", ""]})
    assert tried_rows([SAMPLE], tmp_path) == [
        Tried(SAMPLE, "rejected", "refused", http_status="400", latency_ms="7.5", place=place)
    ]
