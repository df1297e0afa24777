from __future__ import annotations

import fcntl
import os
import re
import stat
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from batchpost.ending import Ending
from batchpost.errors import UsageError
from batchpost.job import Job
from batchpost.metrics import METRICS, metrics_file, write_metrics
from batchpost.model import Outcome
from batchpost.version import __version__
from tests.jobtexts import job_text, load
from tests.promtext import values

DOCS = Path(__file__).parent.parent / "docs" / "monitoring.md"
NOW = 1_795_000_000.0
SUMMARY: dict[str, Any] = {
    "test": False,
    "exit_code": 3,
    "rows": {"read": 1_204, "delivered": 1_199, "unknown": 2, "rejected": 3},
    "money": {"revenue": {"read": "214310.50", "delivered": "213905.00", "rejected": "405.50"}},
    "requests": {"sent": 1_210, "retried": 6},
    "latency_ms": {"p50": 12.0, "p95": 40.5, "p99": 81.0, "max": 900.0},
    "outstanding": {"R1": 4, "R2": 1},
    "duration_s": 61.25,
}


def job_of(folder: Path, name: str = "nightly") -> Job:
    return load(folder, job_text(top=f'name = "{name}"'))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return job_of(tmp_path)


def ending(job: Job, code: int, at: float = NOW, summary: dict[str, Any] | None = None) -> Ending:
    return Ending(job, code, "", "", at - 5, at, summary=summary or {})


# -- what is written -------------------------------------------------------------------------------------------------


def test_a_run_is_told_with_its_rows_its_money_and_its_latencies(tmp_path: Path, job: Job) -> None:
    file = tmp_path / "b.prom"
    write_metrics(file, ending(job, 3, summary=SUMMARY))
    found = values(file)
    rows = {name.split(".")[2]: found.pop(name) for name in [*found] if ".last_run_rows." in name}
    money = {name: found.pop(name) for name in [*found] if ".last_run_money." in name}
    assert rows == {**{outcome.value: 0 for outcome in Outcome}, "delivered": 1_199, "unknown": 2, "rejected": 3}
    assert {name: value for name, value in money.items() if value} == {
        "nightly.last_run_money.revenue.delivered": 213_905.0,
        "nightly.last_run_money.revenue.rejected": 405.5,
    }
    assert found == {
        "nightly.last_run_exit_code": 3,
        "nightly.last_run_timestamp_seconds": NOW,
        "nightly.last_success_timestamp_seconds": 0,
        "nightly.last_run_duration_seconds": 61.25,
        "nightly.last_run_requests": 1_210,
        "nightly.last_run_retries": 6,
        "nightly.last_run_latency_seconds.0.5": 0.012,
        "nightly.last_run_latency_seconds.0.95": 0.0405,
        "nightly.last_run_latency_seconds.0.99": 0.081,
        "nightly.last_run_latency_seconds.1": 0.9,
        "nightly.rows_without_known_end": 7,
        f"nightly.info.false.{__version__}": 1,
    }


def test_the_text_is_what_the_collector_reads(tmp_path: Path, job: Job) -> None:
    """Its parser wants a line end at the end, refuses timestamps, and wants one help and type before the samples."""
    file = tmp_path / "b.prom"
    write_metrics(file, ending(job, 0, summary=SUMMARY))
    text = file.read_text()
    assert text.endswith("1.0\n")
    for gauge in METRICS:
        lines = [line for line in text.splitlines() if gauge.name in line]
        assert lines[:2] == [f"# HELP {gauge.name} {gauge.help}", f"# TYPE {gauge.name} gauge"]
        assert all(line.startswith(f"{gauge.name}{{") and len(line.split()) == 2 for line in lines[2:])
        assert len(lines) > 2


def test_names_keep_to_the_conventions_of_prometheus() -> None:
    for gauge in METRICS:
        assert gauge.name.startswith("batchpost_")
        assert not gauge.name.endswith(("_total", "_count", "_sum", "_bucket", "_ms", "_milliseconds", "_percent"))
        assert "job" not in gauge.labels
    assert len({gauge.name for gauge in METRICS}) == len(METRICS)


def test_every_metric_is_documented_with_its_labels_and_no_other() -> None:
    page = DOCS.read_text(encoding="utf-8")
    table = page.partition("| metric |")[2].partition("\n\n")[0]
    told = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in table.splitlines()[2:]}
    assert told == {f"`{gauge.name}`": ", ".join(f"`{label}`" for label in gauge.labels) for gauge in METRICS}


def test_the_alerts_of_the_page_are_about_metrics_and_labels_that_there_are() -> None:
    rules = DOCS.read_text(encoding="utf-8").partition("```yaml")[2].partition("```")[0]
    assert set(re.findall(r"batchpost_\w+", rules)) <= {gauge.name for gauge in METRICS}
    assert set(re.findall(r"\$labels\.(\w+)", rules)) <= {"job_name", "instance"}
    assert rules.count("- alert: ") == 3


# -- what is kept ----------------------------------------------------------------------------------------------------


def test_a_run_that_was_refused_changes_only_what_it_knows(tmp_path: Path, job: Job) -> None:
    file = tmp_path / "b.prom"
    write_metrics(file, ending(job, 0, NOW, SUMMARY))
    before = values(file)
    write_metrics(file, ending(job, 66, NOW + 60))
    after = values(file)
    changed = {name: value for name, value in after.items() if before[name] != value}
    assert changed == {"nightly.last_run_exit_code": 66, "nightly.last_run_timestamp_seconds": NOW + 60}
    assert before.keys() == after.keys()
    assert after["nightly.last_success_timestamp_seconds"] == NOW


def test_a_run_takes_the_place_of_the_one_before_whole(tmp_path: Path, job: Job) -> None:
    file = tmp_path / "b.prom"
    write_metrics(file, ending(job, 0, NOW, {**SUMMARY, "money": {"amount": {"delivered": "1.00"}}}))
    write_metrics(file, ending(job, 0, NOW, SUMMARY))
    assert not [name for name in values(file) if ".amount." in name]


def test_a_file_may_hold_several_jobs(tmp_path: Path, job: Job) -> None:
    file = tmp_path / "b.prom"
    write_metrics(file, ending(job, 0, NOW, SUMMARY))
    alone = values(file)
    write_metrics(file, ending(job_of(tmp_path, "other"), 4, NOW + 9, SUMMARY))
    both = values(file)
    assert {name: value for name, value in both.items() if name.startswith("nightly.")} == alone
    assert {name.removeprefix("other.") for name in both if name.startswith("other.")} == {
        name.removeprefix("nightly.") for name in alone
    }


def test_jobs_that_end_at_the_same_moment_do_not_lose_each_other(tmp_path: Path, job: Job) -> None:
    file = tmp_path / "b.prom"
    jobs = [job.model_copy(update={"name": f"job-{number}"}) for number in range(8)]
    threads = [Thread(target=write_metrics, args=(file, ending(one, 0, NOW, SUMMARY))) for one in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name.partition(".")[0] for name in values(file)} == {one.name for one in jobs}


def test_a_lock_that_is_never_given_back_costs_a_moment_and_no_more(tmp_path: Path, job: Job) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        write_metrics(tmp_path / "b.prom", ending(job, 0))
    finally:
        os.close(descriptor)
    assert values(tmp_path / "b.prom")["nightly.last_run_exit_code"] == 0


def test_metrics_of_another_version_are_dropped_and_its_version_with_them(tmp_path: Path, job: Job) -> None:
    file = tmp_path / "b.prom"
    file.write_text(
        'batchpost_old{job_name="nightly"} 5\nbatchpost_info{job_name="nightly",version="0.0.1",test="true"} 1\n'
    )
    write_metrics(file, ending(job, 6))
    assert [name for name in values(file) if ".info." in name] == [f"nightly.info.false.{__version__}"]
    assert "batchpost_old" not in file.read_text()


# -- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o777])
def test_others_may_read_it_whatever_the_umask(tmp_path: Path, job: Job, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_metrics(tmp_path / "b.prom", ending(job, 0))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b.prom").stat().st_mode) == 0o644
    assert {path.name for path in tmp_path.iterdir()} == {"b.prom", "job.toml"}


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path, job: Job) -> None:
    (tmp_path / "other").write_text("")
    (tmp_path / "b.prom").symlink_to(tmp_path / "other")
    write_metrics(tmp_path / "b.prom", ending(job, 0))
    assert (tmp_path / "other").read_text() == ""
    assert not (tmp_path / "b.prom").is_symlink()


def test_in_a_folder_each_job_has_a_file_of_its_own(tmp_path: Path, job: Job) -> None:
    assert metrics_file(tmp_path, job) == tmp_path / "batchpost-nightly.prom"
    assert metrics_file(tmp_path / "all.prom", job) == tmp_path / "all.prom"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.txt", None, "must be a folder, or a file whose name ends in .prom"),
        ("none/metrics.prom", None, "there is no folder "),
        ("node.prom", "node_role 1\n", "holds metrics of another program (node_role)"),
        ("torn.prom", "batchpost_info{job_name=\n", "holds something else than metrics"),
        ("bytes.prom", b"\xff\xfe", "holds something else than metrics"),
        ("folder.prom/x.prom/y.prom", None, "there is no folder "),
    ],
)
def test_a_path_that_is_not_ours_to_write_is_refused(
    tmp_path: Path, job: Job, name: str, text: str | bytes | None, message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UsageError) as caught:
        metrics_file(tmp_path / name, job)
    assert message in str(caught.value)
    assert "--metrics: " in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_into_is_refused(tmp_path: Path, job: Job) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(UsageError, match="no file can be written into"):
        metrics_file(tmp_path / "closed", job)


def test_an_empty_file_is_as_good_as_none(tmp_path: Path, job: Job) -> None:
    (tmp_path / "b.prom").touch()
    assert metrics_file(tmp_path / "b.prom", job) == tmp_path / "b.prom"
