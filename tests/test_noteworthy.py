from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from batchpost import noteworthy
from batchpost.export import outcomes_frame
from batchpost.noteworthy import FIRST, SLOWEST, Noteworthy, read_noteworthy
from tests.reports import write_outcomes

LOST = {"outcome": "rejected", "reason": "lead_not_found", "http_status": 404, "detail": "No lead"}


def read(folder: Path) -> Noteworthy:
    return read_noteworthy(outcomes_frame(folder))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_first_rows_of_each_trouble_are_kept_in_their_order(tmp_path: Path, kind: str) -> None:
    rows = [{}, *[LOST] * (FIRST + 2), {"outcome": "invalid", "reason": "not_a_date", "attempts": 0}]
    found = read(write_outcomes(tmp_path, rows, kind))
    assert list(found.first) == [("rejected", "lead_not_found"), ("invalid", "not_a_date")]
    lost = found.first["rejected", "lead_not_found"]
    assert [row.row for row in lost] == list(range(2, 2 + FIRST))
    assert (lost[0].line, lost[0].http_status, lost[0].detail, lost[0].source) == (
        3,
        404,
        "No lead",
        "exports/conv.csv",
    )


def test_rows_that_need_nobody_and_rows_that_were_not_attempted_are_no_trouble(tmp_path: Path) -> None:
    rows = [
        {},
        {"outcome": "skipped", "reason": "filtered"},
        {"outcome": "already_delivered", "reason": "ledger"},
        {"outcome": "not_attempted", "reason": "limit"},
        {"reason": "not_a_conversion"},
    ]
    assert list(read(write_outcomes(tmp_path, rows)).first) == [("delivered", "not_a_conversion")]


def test_the_slowest_rows_come_slowest_first_and_the_earlier_of_equals_first(tmp_path: Path) -> None:
    latencies = [5.0, 90.0, 30.0, 90.0, None, *[1.0] * SLOWEST]
    rows = [{"latency_ms": latency, "attempts": 0 if latency is None else 1} for latency in latencies]
    found = read(write_outcomes(tmp_path, rows)).slowest
    assert [(row.row, row.latency_ms) for row in found[:4]] == [(2, 90.0), (4, 90.0), (3, 30.0), (1, 5.0)]
    assert [row.row for row in found[4:]] == list(range(6, 2 + SLOWEST))


def test_rows_are_counted_by_the_attempts_they_took(tmp_path: Path) -> None:
    rows = [{"attempts": attempts} for attempts in (1, 1, 3, 0, 2)]
    assert read(write_outcomes(tmp_path, rows)).attempts == {1: 2, 3: 1, 2: 1}


def test_what_is_found_does_not_rest_on_where_the_batches_end(tmp_path: Path) -> None:
    rows = [
        {**(LOST if number % 3 else {}), "latency_ms": float(number * 37 % 101), "attempts": number % 4}
        for number in range(100)
    ]
    whole = outcomes_frame(write_outcomes(tmp_path, rows)).select(noteworthy.NotedRow._fields).collect()
    expected = read_noteworthy(whole.lazy())
    found = Noteworthy()
    for start in range(0, 100, 7):
        noteworthy.note(whole.slice(start, 7), found)
    assert found == expected


def test_outcomes_of_no_rows_have_nothing_to_show(tmp_path: Path) -> None:
    assert read(write_outcomes(tmp_path, [])) == Noteworthy()


def test_a_file_that_somebody_changed_is_refused_by_its_reader(tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text("source,row\na,1\n")
    with pytest.raises(pl.exceptions.PolarsError):
        read(tmp_path)
