"""Where the microseconds of a row go: a run to nginx, sampled by py-spy, by phase and module.

    python -m bench.sampled [--rows 300000] [--route update-lead]

py-spy looks 500 times a second at what each thread of Python does, without stopping it: a look may then find half of a
stack, which goes where the rest of it belongs, or nowhere. Shares are those of looks that found a thread at work. CPU
is that of a run before it, without py-spy. What no look accounts for is the work of threads that are not Python's
(polars). What the event loop does by itself counts as ``edge``, which starts it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.process import Failed, run
from bench.servers import free_port, nginx
from bench.work import COMMAND, ROUTES, SECRET, expect, leads, workspace

__all__ = ["Looks", "counted", "report"]

RATE = 500  # looks a second
START, READING, UNCLEAR, NATIVE = "start", "read ahead", "unclear", "not Python"
PHASES = {
    "plan": ("prepare", "compare", "plan", "identity", "duplicates", "spool", "fates"),
    "send": ("send", "delivery", "feed", "lane", "journal", "pacing", "verdict", "transport", "rowqueue", "tally"),
    "fold": ("fold", "history", "records", "ledger"),
    "results": ("finish", "results", "outcomes", "runsummary"),
    READING: ("ahead", "csvfile", "mapping", "batch", "source"),
}
PHASE_OF = {module: phase for phase, modules in PHASES.items() for module in modules}
SMALL = 0.005  # a share below which modules are shown together


Looks = Counter[tuple[str, str]]  # how many looks found a ``(phase, module)`` at work


def counted(lines: Iterable[str]) -> Looks:
    """Read py-spy's raw format, ``outermost (file:line);…;innermost (file:line) count`` a line.

    The phase is that of the outermost module which has one: the results read by way of the ledger are results.
    """
    looks: Looks = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        modules = re.findall(r"batchpost/(\w+)\.py", stack)
        phase = next((PHASE_OF[module] for module in modules if module in PHASE_OF), START if modules else UNCLEAR)
        looks[phase, modules[-1] if modules else "other"] += int(count)
    return looks


def report(looks: Looks, rows: int, cpu: float) -> str:
    """A table of module, share and microseconds of CPU a row, by phase; ``cpu`` is the seconds of the whole run."""
    seconds = min(looks.total() / RATE, cpu)
    lines = [f"{'':24}{'share':>8}{'µs a row':>10}"]

    def line(name: str, part: float) -> str:
        return f"{name:24}{part * 100:>7.1f}%{part * cpu / rows * 1e6:>10.2f}"

    shares = {key: count / looks.total() * seconds / cpu for key, count in looks.items()}
    for phase in (START, *PHASES, UNCLEAR):
        inside = {module: part for (name, module), part in shares.items() if name == phase}
        if inside:
            lines.append(line(phase, sum(inside.values())))
            lines += [line(f"  {module}", part) for module, part in _biggest(inside)]
    return "\n".join([*lines, line(NATIVE, 1 - seconds / cpu), line("all", 1.0)])


def _biggest(parts: Mapping[str, float]) -> list[tuple[str, float]]:
    big = sorted(((name, part) for name, part in parts.items() if part >= SMALL), key=lambda pair: -pair[1])
    rest = sum(part for part in parts.values() if part < SMALL)
    return [*big, ("…", rest)] if rest else big


def sample(folder: Path, rows: int, route: str) -> str:
    """Run the job once for its CPU, and once more under py-spy; raises Failed."""
    spy = Path(sys.executable).with_name("py-spy")
    if not spy.exists():
        raise Failed("py-spy is not installed (pip install py-spy)")
    file, raw = leads(folder, rows), folder / "raw"
    watched = [str(spy), "record", "--rate", str(RATE), "--nonblocking", "--format", "raw", "--output", str(raw), "--"]
    with nginx(folder, free_port()) as port:
        with workspace(folder) as work:
            work.job(route, f"http://127.0.0.1:{port}")
            work.source(file)
            done = expect(work.run(rows=rows), delivered=rows)
        with workspace(folder) as work:
            work.job(route, f"http://127.0.0.1:{port}")
            work.source(file)
            run([*watched, *COMMAND], folder=work.folder, environ={"BENCH_SECRET": SECRET})
    return report(counted(raw.read_text().splitlines()), rows, done.ran.cpu)


def main() -> int:
    """Sample and show; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--route", choices=ROUTES, default="update-lead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchpost-bench-") as folder:
        try:
            print(sample(Path(folder), given.rows, given.route))
        except Failed as failed:
            print(failed, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
