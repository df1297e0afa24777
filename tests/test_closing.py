from __future__ import annotations

from pathlib import Path
from typing import Any

from batchpost.closing import closing_lines, last_line, next_lines

HERE = Path("/srv")
FOLDER = Path("/srv/results/nightly/R1")
SUMMARY: dict[str, Any] = {
    "run_id": "R1",
    "job": "nightly",
    "test": False,
    "state": "stopped",
    "stopped_by": "unauthorized",
    "message": "The platform refused the token (401)",
    "exit_code": 4,
    "duration_s": 61.0,
    "rows": {"read": 3_000, "delivered": 1_204, "skipped": 0, "rejected": 6, "not_attempted": 1_790},
    "books": [
        {"outcome": "delivered", "reason": "conversion", "rows": 1_204, "money": {"revenue": "120400.00"}},
        {"outcome": "rejected", "reason": "lead_not_found", "rows": 6, "money": {"revenue": "600.00"}},
        {"outcome": "not_attempted", "reason": "unauthorized", "rows": 1_790, "money": {"revenue": "179000.00"}},
    ],
    "requests": {"sent": 1_211, "retried": 1},
    "rate": {"mean": 49.9},
    "latency_ms": {"p50": 12.0},
    "to_fix": 6,
    "corrections": 0,
    "next": "batchpost run /srv/jobs/nightly.toml",
}
WELL: dict[str, Any] = {
    **SUMMARY,
    "exit_code": 0,
    "state": "finished",
    "message": "",
    "latency_ms": {},
    "test": True,
    "to_fix": 0,
    "next": "",
    "requests": {"sent": 1_211, "retried": 0},
}


def told(summary: dict[str, Any], folder: Path = FOLDER, **options: Any) -> list[str]:
    return [line.text for line in closing_lines(summary, folder, HERE, **options)]


def test_the_last_line_says_whether_to_repeat_what_is_left_and_what_to_type() -> None:
    assert last_line(SUMMARY, HERE) == (
        "Safe to repeat: yes. Sent 1,204, left 1,796. Next: batchpost run jobs/nightly.toml"
    )
    assert last_line({**SUMMARY, "next": ""}, HERE).endswith("Next: batchpost show R1")


def test_a_run_ends_with_how_it_went_its_books_its_files_and_what_to_do() -> None:
    lines = told(SUMMARY)
    assert lines[:3] == [
        "nightly R1: The platform refused the token (401) (1 min 1 s)",
        "1,211 requests, 1 of them a retry; 49.9 a second, half of them within 12 ms",
        "",
    ]
    assert "  read              3,000  300,000.00" in lines
    assert lines[-4:] == ["results/nightly/R1", "  to_fix.csv  6 rows to mend", "", last_line(SUMMARY, HERE)]


def test_a_run_where_all_is_well_needs_no_last_line() -> None:
    lines = told(WELL)
    assert lines[:2] == ["nightly R1: finished (1 min 1 s)  (a test)", "1,211 requests"]
    assert lines[-1] == "results/nightly/R1"


def test_the_files_that_are_there_are_named_each_with_what_it_is_for(tmp_path: Path) -> None:
    for name in ("outcomes.parquet", "report.html"):
        (tmp_path / name).touch()
    lines = told({**WELL, "to_fix": 2, "corrections": 1}, tmp_path)
    assert lines[-4:] == [
        "  to_fix.csv        2 rows to mend",
        "  corrections.csv   1 row for the account manager",
        "  outcomes.parquet  every row and its outcome",
        "  report.html       all of it to look at",
    ]


def test_rows_of_earlier_runs_without_a_known_end_come_with_a_command_alone_on_its_line() -> None:
    lines = told({**WELL, "outstanding": {"R0": 3}})
    assert lines[-2:] == ["! 3 rows of an earlier run have no known end:", "  batchpost resolve R0"]
    assert "! 1 row of an earlier run has no known end:" in told({**WELL, "outstanding": {"R0": 1}})
    doubtful = {**WELL, "outstanding": {"R0": 3}, "rows": {**WELL["rows"], "unknown": 1}}
    assert not any("R0" in line for line in told(doubtful))


def test_a_run_that_went_on_says_so_and_what_did_not_hold_is_told() -> None:
    lines = told({**SUMMARY, "continued": True, "settled_before": 1_000, "expected": ["x is y"], "tolerated": 6})
    assert lines[0].endswith("(1 min 1 s), went on with 1,000 rows settled before")
    at = lines.index("! Not as expected: x is y")
    assert lines[at + 1] == "  [expect] tolerates 6 rows of these"


def test_on_a_narrow_terminal_only_paths_and_the_last_line_may_be_longer_than_it() -> None:
    lines = told(SUMMARY, width=40)
    assert [line for line in lines if len(line) > 40] == [last_line(SUMMARY, HERE)]


def test_a_next_command_has_its_line_to_itself() -> None:
    assert [line.text for line in next_lines("batchpost run /srv/jobs/n.toml", HERE)] == [
        "Next:",
        "  batchpost run jobs/n.toml",
    ]
