"""Kill the program again and again and tell which promises were broken: ``python -m tests.crash --kills 100``."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.crash.kinds import KINDS
from tests.crash.run import Report, aloud, crash

__all__ = ["main"]


def main() -> int:
    """Returns 1 where a promise was broken."""
    given = _arguments()
    began = time.monotonic()
    kinds = [given.only] if given.only else list(KINDS)
    with tempfile.TemporaryDirectory(prefix="crash-", dir=given.folder) as root:
        reports = _all(kinds, Path(root), given)
    _print_table(reports)
    broken = [f"BROKEN {report.kind}: {promise}" for report in reports for promise in report.broken]
    print("\n".join(broken) or "every promise was kept")
    print(f"seed {given.seed}, {time.monotonic() - began:,.0f} seconds", flush=True)
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="kills of each kind of job that hit a run under way")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of each input")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same inputs and plan of kills")
    parser.add_argument("--only", choices=KINDS, help="one kind of job")
    parser.add_argument("--folder", type=Path, help="where the workspaces are made and removed (default: as TMPDIR)")
    return parser.parse_args()


def _all(kinds: list[str], root: Path, given: argparse.Namespace) -> list[Report]:
    """The kinds side by side, each with a process, a sandbox and a workspace of its own."""
    fresh = multiprocessing.get_context("spawn")  # a fork would take the threads of polars along
    with ProcessPoolExecutor(len(kinds), mp_context=fresh) as pool:
        how = {"rows": given.rows, "kills": given.kills, "seed": given.seed, "tell": aloud}
        jobs = [pool.submit(crash, kind, root / kind, **how) for kind in kinds]
        return [job.result() for job in jobs]


def _print_table(reports: list[Report]) -> None:
    print(f"{'':36}" + "".join(f"{report.kind:>12}" for report in reports))
    for part in reports[0].figures:
        names = dict.fromkeys(name for report in reports for name in report.figures[part])
        if part:
            print(part)
        for name in sorted(names) if part else names:
            numbers = (report.figures[part].get(name, 0) for report in reports)
            print(f"{'  ' * bool(part) + name:36}" + "".join(f"{number:>12,}" for number in numbers))


if __name__ == "__main__":
    sys.exit(main())
