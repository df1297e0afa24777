"""What a person means by a job's name or file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from batchpost.errors import JobError, UsageError
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.named import named_job
from tests.jobtexts import job_text

LOOPBACK = 'base_url = "http://127.0.0.1:9"'


def enter(workspace: Path, name: str, *, test: bool, started: float = 1.0) -> Path:
    """A run in the register of real runs or of tests; returns the ledger."""
    path = workspace / ".batchpost" / f"ledger{'-test' if test else ''}.db"
    results = str(workspace / "results" / name)
    with closing(Ledger.open(path)) as ledger:
        run_id = f"r{len(ledger.runs())}-{test}"
        ledger.begin_run(RunRecord(run_id, 0, name, "running", "", (), "global-event", test, results, started))
    return path


def test_a_file_says_whether_its_runs_are_tests(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text(job_text(top='name = "real"'))
    (tmp_path / "test.toml").write_text(job_text(top='name = "test"', api=LOOPBACK))
    real = named_job("real.toml", tmp_path, {}, tmp_path)
    test = named_job(str(tmp_path / "test.toml"), tmp_path, {}, Path("/"))
    assert (real.name, real.at.test, real.at.ledger.name) == ("real", False, "ledger.db")
    assert (test.name, test.at.test, test.at.ledger.name) == ("test", True, "ledger-test.db")


def test_a_name_means_the_real_runs_and_tests_where_there_are_no_others(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(job_text(api=LOOPBACK))
    tests = enter(tmp_path, "job", test=True, started=9.0)
    assert named_job("job", tmp_path, {}, tmp_path).at.ledger == tests
    real = enter(tmp_path, "job", test=False, started=1.0)
    found = named_job("job", tmp_path, {}, tmp_path)
    assert (found.at.ledger, found.at.test, found.file) == (real, False, str(tmp_path / "job.toml"))
    assert found.job is not None
    assert found.by_ids


def test_a_job_without_runs_is_found_by_its_name_in_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "nightly.toml").write_text(job_text(top='name = "nightly-conversions"'))
    (tmp_path / "jobs" / "broken.toml").write_text("name = ")
    found = named_job("nightly-conversions", tmp_path, {}, tmp_path)
    assert (found.name, found.file) == ("nightly-conversions", str(tmp_path / "jobs" / "nightly.toml"))


def test_without_its_file_a_job_expects_nothing(tmp_path: Path) -> None:
    enter(tmp_path, "job", test=False)
    found = named_job("job", tmp_path, {}, tmp_path)
    assert (found.job, found.by_ids, found.expect.reasons) == (None, False, {})
    assert found.fault == "its job file cannot be read (UsageError)"


def test_a_job_with_a_key_of_its_own_is_not_known_by_ids(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(job_text(rows='key = ["Order"]'))
    assert not named_job("job.toml", tmp_path, {}, tmp_path).by_ids


def test_what_is_no_job_is_said(tmp_path: Path) -> None:
    enter(tmp_path, "nightly", test=False)
    with pytest.raises(UsageError, match=r'there is no job nigthly in .*; did you mean "nightly"'):
        named_job("nigthly", tmp_path, {}, tmp_path)
    (tmp_path / "job.toml").write_text(job_text(source="path = 3"))
    with pytest.raises(JobError):
        named_job("job.toml", tmp_path, {}, tmp_path)
