"""What was measured, as values: figures with their runs and aims, parts of the suite, and the file that keeps them."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.servers import find

__all__ = ["Figure", "Part", "load", "machine", "others", "ratios", "save", "today"]


BUSY = 0.05  # share of all cores that others may use; above it figures mean little


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    ``values`` has one value a run, in ``unit``; the figure is their median. ``least`` and ``most`` are the aim, where
    there is one; ``about`` says what a reader has to know, or why there are no values. ``commands`` are those that a
    run consists of, with ``$PORT`` for the server's port.
    """

    name: str
    unit: str
    values: list[float]
    commands: list[str] = field(default_factory=list)
    least: float | None = None
    most: float | None = None
    about: str = ""

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(self.values)

    @property
    def is_reached(self) -> bool | None:
        """Whether the aim is reached; None without an aim or without values."""
        if not self.values or (self.least is None and self.most is None):
            return None
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the suite, measured at one time.

    ``points`` are those of a chart, ``{rows, rate, resident}`` each; ``others`` is the share of all cores that was
    busy before it began.
    """

    name: str
    figures: list[Figure]
    measured: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    points: list[dict[str, float]] = field(default_factory=list)
    others: float = 0.0

    @property
    def is_doubtful(self) -> bool:
        """Whether the machine had something else to do."""
        return self.others > BUSY


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Each run beside the one of the same round; empty where there is nothing to compare with."""
    return [value / other for value, other in zip(values, others, strict=True)] if others else []


def load(path: Path) -> dict[str, Part]:
    """The parts measured so far, by name."""
    if not path.exists():
        return {}
    parts = json.loads(path.read_text())
    return {
        name: Part(**{**part, "figures": [Figure(**figure) for figure in part["figures"]]})
        for name, part in parts.items()
    }


def save(path: Path, parts: dict[str, Part]) -> None:
    """Keep the parts, four significant digits of each value."""
    facts = {name: asdict(part) for name, part in sorted(parts.items())}
    path.write_text(json.dumps(_shortened(facts), indent=1) + "\n")


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shortened(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(below) for below in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def today() -> str:
    """The day, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def machine() -> dict[str, str]:
    """What the figures depend on."""
    cpus = re.findall(r"(?m)^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpus[0] if cpus else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "nginx": _nginx_version(),
    }


def others(seconds: float = 2.0) -> float:
    """The share of all cores that is busy while this waits (proc(5): ``/proc/stat``)."""
    before = _ticks()
    time.sleep(seconds)
    idle, total = (now - then for now, then in zip(_ticks(), before, strict=True))
    return 1 - idle / total


def _ticks() -> tuple[int, int]:
    """Idle, and all, of all cores since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def _nginx_version() -> str:
    program = find("nginx")
    if program is None:
        return "not installed"
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    return said.strip().rpartition("/")[2]
