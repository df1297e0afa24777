"""What to type about rows that are not in."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchpost.ledgerrows import RunRecord
from batchpost.nextsteps import Commands, next_steps
from batchpost.places import Places
from batchpost.rowends import File, RunEnds
from batchpost.status import Answer, FileStatus, Part


def a_run(folder: Path, number: int = 0, state: str = "finished", **more: Any) -> RunEnds:
    """A run with outcomes, of the file ``in.csv``."""
    record = RunRecord(f"r{number}", number, "job", state, "", ("sha",), "global-event", True, str(folder), 0.0)
    results = folder / record.run_id
    results.mkdir(exist_ok=True)
    given = {"files": (File("in.csv", "sha", 9),), "table": results / "outcomes.csv", **more}
    return RunEnds(number, record, Places(folder / "ledger.db", folder, True), **given)


def answer(*ends: tuple[str, str] | tuple[str, str, int], unread: tuple[int, ...] = ()) -> Answer:
    """One row of each end; the third of one is the run that has it last."""
    parts = []
    for outcome, reason, *run in ends:
        kind: Any = outcome if outcome in ("unknown", "skipped") else "in" if reason == "conversion" else "left"
        parts.append(Part(outcome, reason, run[0] if run else 0, kind, 1, 1, Decimal(1)))
    return Answer((FileStatus("in.csv", "sha", date(2026, 11, 27), 0.0, tuple(parts)),) if parts else (), unread)


def told(folder: Path, given: Answer, *runs: RunEnds, unseen: tuple[str, ...] = ()) -> list[str]:
    """The commands, with the workspace's path left out."""
    steps = next_steps(given, runs, Commands(str(folder / "job.toml"), folder), unseen)
    return [step.command.replace(f"{folder}/", "") for step in steps]


def test_an_unfinished_run_comes_first_and_the_newest_before_the_others(tmp_path: Path) -> None:
    runs = [a_run(tmp_path, 0), a_run(tmp_path, 1), a_run(tmp_path, 2, "interrupted")]
    (tmp_path / "r0" / "to_fix.csv").touch()
    given = answer(
        ("invalid", "not_a_number", 0),
        ("failed", "timeout", 0),
        ("unknown", "timeout", 0),
        ("rejected", "lead_not_found", 1),
        ("not_attempted", "limit", 2),
    )
    assert told(tmp_path, given, *runs) == [
        "batchpost run job.toml",
        "batchpost resolve r0",
        "batchpost run job.toml --source r0/to_fix.csv",
        "batchpost retry r1",
        "batchpost retry r0",
    ]


@pytest.mark.parametrize(
    ("end", "commands"),
    [
        (("rejected", "lead_not_found"), ["batchpost retry r0"]),
        (("rejected", "source_inactive"), ["batchpost retry r0"]),
        (("rejected", "missing_field"), ["batchpost run job.toml --source r0/to_fix.csv"]),
        (("failed", "server_error"), ["batchpost retry r0"]),
        (("not_attempted", "until"), ["batchpost retry r0"]),
        (("due", "due"), ["batchpost retry r0"]),
        (("invalid", "conflict"), ["batchpost show r0"]),
        (("rejected", "server_duplicate"), ["batchpost show r0"]),
        (("delivered", "not_a_conversion"), ["batchpost show r0"]),
        (("gone", "gone"), ["batchpost run job.toml --source in.csv"]),
        (("skipped", "filtered"), []),
        (("delivered", "conversion"), []),
    ],
)
def test_every_end_has_its_command(tmp_path: Path, end: tuple[str, str], commands: list[str]) -> None:
    run = a_run(tmp_path)
    (run.folder / "to_fix.csv").touch()
    (tmp_path / "in.csv").touch()
    assert told(tmp_path, answer(end), run) == commands


def test_rows_that_the_job_tolerates_bring_no_command(tmp_path: Path) -> None:
    [file] = answer(("rejected", "lead_not_found")).files
    tolerated = replace(file, parts=tuple(part._replace(tolerated=True) for part in file.parts))
    assert told(tmp_path, Answer((tolerated,)), a_run(tmp_path)) == []


def test_where_nothing_better_is_left_of_a_run_its_file_goes_in_again(tmp_path: Path) -> None:
    """Its results were forgotten, or it was given up, so that it can neither be retried nor mended."""
    again = ["batchpost run job.toml --source in.csv"]
    (tmp_path / "in.csv").touch()
    for run in (a_run(tmp_path, table=tmp_path / "ends.parquet"), a_run(tmp_path, state="abandoned")):
        for end in (("rejected", "lead_not_found"), ("invalid", "not_a_number"), ("due", "due")):
            assert told(tmp_path, answer(end), run) == again
    (tmp_path / "in.csv").unlink()
    assert told(tmp_path, answer(("rejected", "lead_not_found")), a_run(tmp_path, state="abandoned")) == []


def test_addresses_are_taken_as_they_are(tmp_path: Path) -> None:
    run = a_run(tmp_path, state="abandoned", files=(File("s3://exports/in.csv", "sha", 9),))
    assert told(tmp_path, answer(("failed", "timeout")), run) == ["batchpost run job.toml --source s3://exports/in.csv"]


def test_a_run_that_was_stopped_says_itself_how_it_goes_on(tmp_path: Path) -> None:
    run = a_run(tmp_path, state="stopped")
    (run.folder / "summary.json").write_text('{"next": "batchpost run job.toml --source other.csv"}')
    assert told(tmp_path, answer(("not_attempted", "limit")), run) == ["batchpost run job.toml --source other.csv"]


def test_a_run_that_died_goes_on_as_it_began(tmp_path: Path) -> None:
    left = answer(("not_attempted", "crashed"))
    assert told(tmp_path, left, a_run(tmp_path, state="running")) == ["batchpost run job.toml"]
    mends = a_run(tmp_path, state="running", mends=True, files=(File("results/job/r7/to_fix.csv", "sha", 9),))
    assert told(tmp_path, left, mends) == ["batchpost run job.toml --source results/job/r7/to_fix.csv"]
    retried = a_run(tmp_path, state="running", mends=True, files=(File("results/job/r7/retry.csv", "sha", 9),))
    assert told(tmp_path, left, retried) == ["batchpost retry r7"]


def test_of_a_run_under_way_nothing_is_to_be_done(tmp_path: Path) -> None:
    assert told(tmp_path, answer(("not_attempted", "under_way")), a_run(tmp_path, state="running", held=True)) == []
    assert told(tmp_path, answer(), a_run(tmp_path, state="running", held=True)) == []


def test_what_nobody_has_read_is_to_be_read(tmp_path: Path) -> None:
    assert told(tmp_path, answer()) == ["batchpost run job.toml"]
    assert told(tmp_path, answer(("delivered", "conversion")), a_run(tmp_path), unseen=("new.csv",)) == [
        "batchpost run job.toml --source new.csv"
    ]
    (tmp_path / "in.csv").touch()
    assert told(tmp_path, answer(unread=(0,)), a_run(tmp_path)) == ["batchpost run job.toml --source in.csv"]
    assert told(tmp_path, answer(unread=(0,)), a_run(tmp_path, files=())) == ["batchpost run job.toml"]


def test_names_with_blanks_can_be_pasted_and_options_are_said_again(tmp_path: Path) -> None:
    commands = Commands("my jobs/a.toml", tmp_path, ("--workspace", "/srv/my jobs"))
    assert commands.run(["in 1.csv"]) == "batchpost run 'my jobs/a.toml' --source 'in 1.csv' --workspace '/srv/my jobs'"
    for line in ("batchpost run a.toml", "batchpost run a.toml --workspace '/srv/my jobs'"):
        assert commands.said_before(line) == "batchpost run a.toml --workspace '/srv/my jobs'"
    assert commands.about("retry", "r1") == "batchpost retry r1 --workspace '/srv/my jobs'"
