"""What a person reads of a status, whatever its size."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchpost.job import Expect
from batchpost.jobstatus import JobStatus, UnderWay, Wanted
from batchpost.ledgerrows import RunRecord
from batchpost.named import JobNamed
from batchpost.nextsteps import Step
from batchpost.places import Places
from batchpost.rowends import File, RunEnds
from batchpost.status import Answer, FileStatus, Part, tolerant
from batchpost.statusview import first_line, remarks, status_lines

AT = Places(Path("/ws/.batchpost/ledger.db"), Path("/ws/results/job"), False)
FIRST_DAY = date(2025, 11, 27)


def part(outcome: str, reason: str, rows: int, amount: str | None = "0", run: int = 0) -> Part:
    kind: Any = {"delivered": "in", "skipped": "skipped", "unknown": "unknown"}.get(outcome, "left")
    return Part(outcome, reason, run, kind, rows, 0 if amount is None else rows, Decimal(amount or 0))


def file(*parts: Part, day: int = 0, name: str = "") -> FileStatus:
    """A file of the so-manieth day."""
    return FileStatus(name or f"conv-{day:03}.csv", f"sha-{day}-{name}", FIRST_DAY + timedelta(day), float(day), parts)


def status(*files: FileStatus, money: str = "revenue", steps: int = 0, **more: Any) -> JobStatus:
    runs = [
        RunEnds(number, RunRecord(f"r{number}", number, "job", "finished", "", (), "global-event", False, "", 0.0), AT)
        for number in range(400)
    ]
    given: dict[str, Any] = {
        "named": JobNamed("job", AT, Path("/ws"), "/ws/job.toml"),
        "route": "global-event",
        "wanted": Wanted(),
        "runs": runs,
        "under_way": None,
        "unseen": (),
        "faults": {},
        **more,
    }
    told = [Step(f"batchpost retry r{number}", number) for number in range(steps)]
    return JobStatus(money=money, answer=Answer(files), steps=told, **given)


def text(given: JobStatus) -> list[str]:
    return [line.text for line in status_lines(given, Path("/ws"))]


def said(given: JobStatus) -> str:
    return first_line(given, Path("/ws"))


DELIVERED = part("delivered", "conversion", 9_995, "213905.00")
LEFT = (part("rejected", "lead_not_found", 3, "405.50"), part("invalid", "not_a_number", 2, None))


def test_the_first_line_is_the_answer_with_rows_and_money() -> None:
    assert said(status(file(DELIVERED, *LEFT), steps=1)) == (
        "NO: 213,905.00 of 214,310.50 is in. Not in: 5 rows, 405.50 (3 lead_not_found, 2 not_a_number). "
        "Next: batchpost retry r0"
    )
    assert said(status(file(DELIVERED, *LEFT), money="", steps=1)) == (
        "NO: 9,995 of 10,000 rows are in. Not in: 5 rows (3 lead_not_found, 2 not_a_number). Next: batchpost retry r0"
    )
    assert said(status(file(DELIVERED))) == "YES: all of 213,905.00 is in, 9,995 rows."
    assert said(status(file(DELIVERED), money="")) == "YES: all 9,995 rows are in."
    assert said(status(file(part("delivered", "accepted", 1)), money="")) == "YES: the 1 row is in."
    assert said(status(file(part("skipped", "filtered", 7)))) == "YES: no row was meant to go out, of 7 rows read."


def test_tolerated_rows_are_told() -> None:
    parts = tolerant((DELIVERED, *LEFT), Expect(reasons={"lead_not_found": 3, "not_a_number": 2}))
    assert said(status(file(*parts))) == (
        "YES: 213,905.00 of 214,310.50 is in. 5 rows are not in and tolerated: 3 lead_not_found, 2 not_a_number."
    )


def test_many_reasons_are_cut_short_and_rows_without_a_known_end_go_by_that() -> None:
    reasons = [part("invalid", f"reason_{number}", 9 - number) for number in range(6)]
    unknown = [part("unknown", "timeout", 20), part("unknown", "dropped", 30)]
    assert said(status(file(*reasons, *unknown), money="")) == (
        "NO: 0 of 89 rows are in. Not in: 89 rows (50 unknown, 9 reason_0, 8 reason_1, 7 reason_2, and 3 reasons more)."
    )


def test_a_run_under_way_is_told_instead_of_a_command() -> None:
    given = status(file(part("not_attempted", "under_way", 2)), steps=1, under_way=UnderWay(4711, "02:15:00", "r0"))
    assert said(given).endswith("(2 under_way). A run is under way (process 4711).")
    assert "A run is under way (process 4711), since 02:15:00: these are the numbers of this moment." in text(given)


def test_a_long_history_shows_the_newest_files_and_those_with_something_left() -> None:
    nights = [file(part("delivered", "conversion", 10, "100"), day=day) for day in range(365)]
    nights[7] = file(*nights[7].parts, part("rejected", "lead_not_found", 2, "20", run=7), day=7)
    lines = text(status(*nights))
    shown = [line.split() for line in lines if "conv-" in line]
    assert [cells[1] for cells in shown] == ["conv-007.csv", *(f"conv-{day}.csv" for day in range(353, 365))]
    assert shown[0] == ["2025-12-04", "conv-007.csv", "12", "10", "2", "100.00", "120.00"]
    assert "Not shown: 352 older files of which all is in (--json has all)." in lines
    assert [line.split() for line in lines if line.startswith("all")] == [
        ["all", "365", "files", "3,652", "3,650", "2", "36,500.00", "36,520.00"]
    ]


def test_of_a_history_with_much_left_the_rest_is_counted() -> None:
    nights = [file(part("rejected", "lead_not_found", 1, run=day), day=day) for day in range(60)]
    lines = text(status(*nights, steps=9))
    assert sum("conv-" in line for line in lines) == 40
    assert "Not shown: 0 older files of which all is in, and 20 of which something is not (--json has all)." in lines
    assert any(line.endswith("r59 and 59 more") for line in lines)
    assert lines[-7:] == [*(f"  batchpost retry r{number}" for number in range(6)), "  ... and 3 more (--json has all)"]


def test_skipped_and_tolerated_rows_have_columns_where_there_are_some() -> None:
    parts = tolerant((part("delivered", "conversion", 5, "50"), part("skipped", "filtered", 2), LEFT[0]), Expect())
    header, row = (line.split("  ") for line in text(status(file(*parts)))[2:4])
    cells = [cell.strip() for cell in header if cell]
    assert cells == ["FIRST READ", "FILE", "ROWS", "SKIPPED", "IN", "NOT IN", "REVENUE IN", "OF"]
    assert [cell.strip() for cell in row if cell] == [
        *("2025-11-27", "conv-000.csv", "10", "2", "5", "3", "50.00", "455.50")
    ]


def test_runs_whose_outcomes_are_gone_are_told_by_the_latest_one() -> None:
    there = status()
    read = [replace(run, files=(File("in.csv", "sha", 9),)) for run in there.runs[:3]]
    [told] = remarks(replace(there, runs=read))
    assert told == "The outcomes of r2 and of 2 more are gone: its rows count as its books and the ledger have them."
    assert not list(remarks(there))
    assert not list(remarks(replace(there, runs=[replace(run, table=Path("outcomes.csv")) for run in read])))


def test_rows_without_an_amount_are_told_where_they_are_not_in_and_not_tolerated() -> None:
    assert list(remarks(status(file(LEFT[1])))) == [
        "2 rows of these have no amount that is known: the money is without them."
    ]
    assert not list(remarks(status(file(LEFT[1]._replace(tolerated=True)))))
    assert not list(remarks(status(file(LEFT[1]), money="")))


def test_a_job_whose_file_cannot_be_read_is_told() -> None:
    named = JobNamed("job", AT, Path("/ws"), "/ws/job.toml", fault="/ws/job.toml cannot be read (JobError)")
    assert (
        "/ws/job.toml cannot be read (JobError), so nothing is tolerated, and no row counts by another file's."
        in text(status(file(DELIVERED), named=named))
    )


def test_a_name_of_a_file_moves_no_cursor() -> None:
    lines = status_lines(status(file(DELIVERED, name="a\x1b[2Jb.csv")), Path("/ws"))
    assert all("\x1b" not in line.shown(colors=False) for line in lines)
