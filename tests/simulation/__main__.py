"""Simulate many histories and tell which promises were broken: ``python -m tests.simulation --seeds 2000``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

__all__ = ["main"]


def main() -> int:
    """Returns 1 where a promise was broken."""
    given = _arguments()
    began = time.monotonic()
    if given.worker is None:
        return _in_parallel(given, began)
    from tests.simulation.run import exhaust, simulate  # takes its time to import, and takes SQLite over

    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=folder) as root:
        seeds = range(given.first + given.worker, given.first + given.seeds, given.jobs)
        if given.exhaust:
            total = exhaust(given.first, Path(root), given.worker, given.jobs)
        else:
            total = simulate(seeds, Path(root), fail_fast=given.fail_fast)
    print("\n".join(total), flush=True)
    return 1 if any(line.startswith("BROKEN") for line in total) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many histories")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first one; alone with --seeds 1")
    parser.add_argument("--exhaust", action="store_true", help="crash the first seed's night at every instant")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--fail-fast", action="store_true", help="stop at the first broken promise")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_parallel(given: argparse.Namespace, began: float) -> int:
    """A history is the same in every process: one thread of polars, one order of sets."""
    environ = {**os.environ, "PYTHONHASHSEED": "0", "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, "-m", "tests.simulation", *sys.argv[1:], "--jobs", str(given.jobs), "--worker"]
    workers = [
        subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True, env=environ)
        for number in range(given.jobs)
    ]
    outputs = [worker.communicate()[0] for worker in workers]
    figures: Counter[str] = Counter()
    for line in (line for output in outputs for line in output.splitlines()):
        name, _, number = line.rpartition(": ")
        if name.startswith("BROKEN"):
            print(line)
        elif name:
            figures[name] += int(number)
    for name, number in sorted(figures.items()):
        print(f"{name:36} {number:>10,}")
    failed = any(worker.returncode for worker in workers)
    print(f"{'seconds':36} {time.monotonic() - began:>10,.0f}")
    print("every promise was kept" if not failed else "promises were broken", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
