"""``--metrics``: what a job's last run came to, as Prometheus text for node_exporter's textfile collector.

A file may hold several jobs; each run renews the samples of its own. What a run that ended early has no figure for
stays as it was. ``docs/monitoring.md`` explains every metric.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchpost.ending import Ending
from batchpost.errors import UsageError, told_by_system
from batchpost.files import replaced
from batchpost.job import Job
from batchpost.model import Outcome
from batchpost.version import __version__

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["METRICS", "Gauge", "metrics_file", "samples_of", "write_metrics"]

Samples = dict[str, dict[tuple[str, ...], float]]
"""Values by the metric's name and its labels' values, without the job's."""

_JOB = "job_name"  # `job` is Prometheus's own label: scraped, ours would be renamed to exported_job
_ENDING = ".prom"  # the textfile collector reads no others
_MODE = 0o644  # node_exporter is another user
_PREFIX = "batchpost_"
_OWN = "Name a file of its own"
_QUANTILES = (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"), ("1", "max"))


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric: its full name, its help, and its labels besides the job's."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


# Never reword a help text: of files with different ones, as an update leaves them, the collector drops the later.
METRICS = (
    Gauge("batchpost_last_run_exit_code", "Exit code of the last run, also of one that was refused before sending."),
    Gauge("batchpost_last_run_timestamp_seconds", "When the last run ended, in Unix seconds."),
    Gauge("batchpost_last_success_timestamp_seconds", "When a run last ended in 0, in Unix seconds; 0 for never."),
    Gauge("batchpost_last_run_duration_seconds", "How long the last run that read its input took, over all sittings."),
    Gauge("batchpost_last_run_rows", "Rows of the last run that read its input, by outcome.", ("outcome",)),
    Gauge(
        "batchpost_last_run_money",
        "Money of the last run that read its input, by API field and outcome.",
        ("field", "outcome"),
    ),
    Gauge("batchpost_last_run_requests", "Requests of the last run that read its input."),
    Gauge("batchpost_last_run_retries", "Those of its requests that were not the first one of their row."),
    Gauge(
        "batchpost_last_run_latency_seconds",
        "Seconds from a request to its reply in the last sitting that sent something; quantile 1 is the slowest.",
        ("quantile",),
    ),
    Gauge("batchpost_rows_without_known_end", "Rows of all runs that wait for batchpost resolve, as of the last run."),
    Gauge("batchpost_info", "1; the version that wrote these, and whether the run was a test.", ("version", "test")),
)
_BY_NAME = {gauge.name: gauge for gauge in METRICS}


def metrics_file(path: Path, job: Job) -> Path:
    """The file that ``--metrics`` names for a job: in a folder one of its own. Raises UsageError for one that could not
    be written, or is not ours to write."""
    file = path / f"{_PREFIX.rstrip('_')}-{job.name}{_ENDING}" if path.is_dir() else path
    if file.suffix != _ENDING:
        raise UsageError(f"--metrics: {path} must be a folder, or a file whose name ends in {_ENDING}")
    if not file.parent.is_dir():
        raise UsageError(f"--metrics: there is no folder {file.parent}")
    if not os.access(file.parent, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(f"--metrics: no file can be written into {file.parent}. See who may, and who runs this")
    try:
        _kept(file)
    except OSError as error:
        raise UsageError(f"--metrics: {told_by_system(error)}") from error
    return file


def write_metrics(file: Path, ending: Ending) -> None:
    """Renew a job's samples in a file (0644) that is there whole or not at all; raises OSError, and UsageError for a
    file that is not ours."""
    name = ending.job.name
    with _alone(file.parent):
        jobs = _kept(file)
        before = jobs.get(name, {})
        jobs[name] = {**before, **samples_of(ending)}
        jobs[name].setdefault("batchpost_last_success_timestamp_seconds", {(): 0.0})
        with replaced(file, _MODE) as out:
            out.write(_text(jobs))


def samples_of(ending: Ending) -> Samples:
    """What an end says by itself; metrics that it has nothing for are not there."""
    samples: Samples = {
        "batchpost_last_run_exit_code": {(): float(ending.exit_code)},
        "batchpost_last_run_timestamp_seconds": {(): ending.ended},
        "batchpost_info": {(__version__, str(ending.is_test).lower()): 1.0},
    }
    if ending.exit_code == 0:
        samples["batchpost_last_success_timestamp_seconds"] = {(): ending.ended}
    return {**samples, **_of_summary(ending.summary)} if ending.summary else samples


def _of_summary(summary: Mapping[str, Any]) -> Samples:
    rows, money = summary.get("rows", {}), summary.get("money", {})
    requests, latency = summary.get("requests", {}), summary.get("latency_ms", {})
    doubtful = rows.get(Outcome.UNKNOWN, 0) + sum(summary.get("outstanding", {}).values())
    samples: Samples = {
        "batchpost_last_run_duration_seconds": {(): float(summary.get("duration_s", 0.0))},
        "batchpost_last_run_rows": {(outcome,): float(rows.get(outcome, 0)) for outcome in Outcome},
        "batchpost_last_run_money": {
            (name, outcome): float(totals.get(outcome, 0)) for name, totals in money.items() for outcome in Outcome
        },
        "batchpost_last_run_requests": {(): float(requests.get("sent", 0))},
        "batchpost_last_run_retries": {(): float(requests.get("retried", 0))},
        "batchpost_rows_without_known_end": {(): float(doubtful)},
    }
    if latency:
        samples["batchpost_last_run_latency_seconds"] = {
            (quantile,): float(latency[name]) / 1_000 for quantile, name in _QUANTILES if name in latency
        }
    return samples


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else of us writes into the folder meanwhile. Where that cannot be had within a second it goes on without:
    what could be lost is another job's samples, until its next run."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(20):
            if _locked(descriptor):
                break
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _kept(file: Path) -> dict[str, Samples]:
    """The samples that a file holds, by job; none where there is no file. Raises OSError, and UsageError for a file
    with something in it that no run wrote."""
    from prometheus_client.parser import text_string_to_metric_families

    jobs: dict[str, Samples] = {}
    try:
        families = [*text_string_to_metric_families(file.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return jobs
    except OSError:
        raise
    except Exception:  # whatever the parser stumbles over
        raise UsageError(f"--metrics: {file} holds something else than metrics. {_OWN}") from None
    for family in families:
        if not family.name.startswith(_PREFIX):
            raise UsageError(f"--metrics: {file} holds metrics of another program ({family.name}). {_OWN}")
        _take(family, jobs)
    return jobs


def _take(family: Metric, jobs: dict[str, Samples]) -> None:
    """Sort a family's samples to their jobs. Those of metrics that this version does not have are dropped."""
    gauge = _BY_NAME.get(family.name)
    if gauge is None:
        return
    for sample in family.samples:
        if job := sample.labels.get(_JOB):
            labels = tuple(sample.labels.get(label, "") for label in gauge.labels)
            jobs.setdefault(job, {}).setdefault(gauge.name, {})[labels] = sample.value


def _text(jobs: Mapping[str, Samples]) -> bytes:
    from prometheus_client import generate_latest
    from prometheus_client.registry import Collector

    class Families(Collector):
        def collect(self) -> Iterable[Metric]:
            return _families(jobs)

    return generate_latest(Families())


def _families(jobs: Mapping[str, Samples]) -> Iterator[Metric]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    for gauge in METRICS:
        family = GaugeMetricFamily(gauge.name, gauge.help, labels=(_JOB, *gauge.labels))
        for name, samples in sorted(jobs.items()):
            for labels, value in samples.get(gauge.name, {}).items():
                family.add_metric([name, *labels], value)
        if family.samples:
            yield family
