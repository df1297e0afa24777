"""One process from its start to its end: how long it took, its CPU, its memory. Linux only (proc(5), pidfd)."""

from __future__ import annotations

import os
import re
import resource
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["Failed", "Ran", "Sample", "cpu_between", "run"]

_TICK = os.sysconf("SC_CLK_TCK")
_EVERY = 0.1  # seconds between two looks


class Failed(Exception):
    """A measured command did not end as it must; the text says which and how."""


class Sample(NamedTuple):
    """CPU seconds that a process had used until a monotonic instant."""

    at: float
    cpu: float


class Ran(NamedTuple):
    """How a command went.

    ``started`` is a monotonic instant, ``wall`` and ``cpu`` (user and system, children included) are seconds,
    ``resident`` is megabytes at most, those of each process that it started added, ``samples`` is ten a second.
    """

    out: str
    started: float
    wall: float
    cpu: float
    resident: float
    samples: list[Sample]


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str] | None = None,
    codes: Sequence[int] = (0,),
    timeout: float = 600.0,
) -> Ran:
    """Run a command in ``folder`` to its end; raises Failed for another exit code or after ``timeout`` seconds.

    What was written before is brought to disk first, so that nobody pays for it but who wrote it.
    """
    os.sync()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environ or {})},
            stdout=out,
            stderr=errors,
            process_group=0,
            text=True,
        )
        peaks: dict[str, int] = {}
        samples: list[Sample] = []
        try:
            usage = _watch(process, started + timeout, peaks, samples)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        wall = time.monotonic() - started
        out.seek(0)
        errors.seek(0)
        if process.returncode not in codes:
            raise Failed(f"{' '.join(command)} ended with {process.returncode}\n{errors.read()[-4000:]}")
        resident = (usage.ru_maxrss + sum(peaks.values())) / 1024
        return Ran(out.read(), started, wall, usage.ru_utime + usage.ru_stime, resident, samples)


def cpu_between(samples: Sequence[Sample], begin: float, end: float) -> float:
    """The share of a core that a process used between two monotonic instants, by the samples that lie between."""
    inside = [sample for sample in samples if begin <= sample.at <= end]
    first, last = inside[0], inside[-1]
    return (last.cpu - first.cpu) / (last.at - first.at)


def _watch(
    process: subprocess.Popen[str], until: float, peaks: dict[str, int], samples: list[Sample]
) -> resource.struct_rusage:
    """Look at the process until it ends, and set its exit code."""
    handle = os.pidfd_open(process.pid)
    try:
        while not select.select([handle], [], [], _EVERY)[0]:
            if time.monotonic() > until:
                raise Failed(f"{process.args!r} took too long")
            with suppress(OSError):  # it may end just now
                peaks |= _peaks_of_children(process.pid)
                samples.append(Sample(time.monotonic(), _cpu(process.pid)))
    finally:
        os.close(handle)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _peaks_of_children(pid: int) -> dict[str, int]:
    """KB resident at most so far, of each process that a process has started."""
    peaks = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{child}/status").read_text())
            peaks[child] = int(found[1]) if found else 0
    return peaks
