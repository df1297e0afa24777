"""Playing many histories in this process, and adding up what they were."""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.simulation.disk import Crash, Disks
from tests.simulation.history import NOWHERE, CrashPoint, History, clean, play
from tests.simulation.oracle import broken_promises

__all__ = ["exhaust", "simulate"]

_DISKS = Disks()
_TOLD = 3  # broken promises of one history that are told; they mostly have one cause


def simulate(seeds: Iterable[int], root: Path, *, fail_fast: bool = False) -> list[str]:
    """Play these seeds; returns figures, ``name: number`` each, and broken promises, ``BROKEN seed …``."""
    figures: Counter[str] = Counter()
    broken: list[str] = []
    with _quiet():
        for seed in seeds:
            found = list(_one(seed, root, figures, None))
            broken += [f"BROKEN seed {seed}: {promise}" for promise in found[:_TOLD]]
            if found and fail_fast:
                break
    return _told(figures, broken)


def exhaust(seed: int, root: Path, worker: int, workers: int) -> list[str]:
    """Crash the night of a seed at every instant of every sitting, once as a kill and once as a power cut."""
    figures: Counter[str] = Counter()
    broken: list[str] = []
    with _quiet():
        for number, crash in enumerate(_instants(seed, root)):
            if number % workers == worker:
                found = _one(seed, root, figures, crash)
                broken += [f"BROKEN seed {seed} at {tuple(crash)}: {promise}" for promise in found[:_TOLD]]
                figures["crash points tried"] += 1
    return _told(figures, broken)


def _instants(seed: int, root: Path) -> Iterator[CrashPoint]:
    history = play(seed, root / "dry", _DISKS, crash=NOWHERE)
    clean(root / "dry")
    for sitting, passed in history.instants_of.items():
        for kind, last in passed.items():
            for number in range(1, last + 1):
                yield CrashPoint(sitting, kind, number, power_cut=False)
                yield CrashPoint(sitting, kind, number, power_cut=True)


def _one(seed: int, root: Path, figures: Counter[str], crash: CrashPoint | None) -> list[str]:
    folder = root / str(seed)
    try:
        history = play(seed, folder, _DISKS, crash=crash)
        _count(history, figures)
        broken = broken_promises(history)
    except Exception:
        broken = [f"a bug: {traceback.format_exc()!r}"]
    finally:
        clean(folder)
    figures["promises broken"] += len(broken)
    return broken


def _count(history: History, figures: Counter[str]) -> None:
    platform = history.machine.platform
    figures["histories"] += 1
    figures["sittings"] += len(history.sat)
    figures["rows"] += sum(len(night.rows) for night in history.nights)
    figures["requests"] += len(platform.attempts)
    figures["side effects"] += len(platform.arrivals)
    figures["decisions of a person"] += history.decisions
    figures["events taken back"] += platform.voids.total()
    figures["kills"] += history.crashes(power_cut=False)
    figures["power cuts"] += history.crashes(power_cut=True)
    figures["full disks"] += sum(sat.disk_full for sat in history.sat)
    for sat in history.sat:
        if sat.ended.crashed and sat.crash:
            figures[f"crashes at: {sat.crash[0]}"] += 1
    for kind, number in history.instants.items():
        figures[f"instants passed: {kind}"] += number
    for name, number in platform.troubles.items():
        figures[f"faults: {name}"] += number


def _told(figures: Counter[str], broken: list[str]) -> list[str]:
    return [*(f"{name}: {number}" for name, number in figures.items()), *(f"{line}: 1" for line in broken)]


class _quiet:  # noqa: N801 - reads as a word
    """What a dying process leaves unraised is not news."""

    def __enter__(self) -> None:
        self._before = sys.unraisablehook
        sys.unraisablehook = lambda found: None if isinstance(found.exc_value, Crash) else self._before(found)

    def __exit__(self, *error: object) -> None:
        sys.unraisablehook = self._before
