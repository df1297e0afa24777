"""Measures batchpost on this machine and writes docs/performance.md.

    python -m bench [PART ...] [--quick] [--rounds 5] [--docs docs]

Without PART all of them, which takes about an hour. A part that is measured again replaces its lines of the page, whose
single runs are in performance.json. ``--quick`` takes a hundredth of the rows, shows the table and writes nothing.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench import limits, plan, scale, slowdown, starting, throughput
from bench.figures import Part, load, machine, others, save, today
from bench.page import ABOUT, CHART, chart, page, table
from bench.process import Failed
from bench.servers import ROOT
from bench.setting import Setting

__all__ = ["PARTS", "main"]

PARTS: dict[str, Callable[[Setting], Part]] = {
    "start": starting.measure,
    "throughput": throughput.measure,
    "latency": limits.latency,
    "rate": limits.rate,
    "slowdown": slowdown.measure,
    "plan": plan.measure,
    "growth": scale.growth,
    "resume": scale.resume,
}
KEPT = "performance.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; without one, all")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows; nothing is written")
    parser.add_argument("--rounds", type=int, help="runs of each; 5, or 1 with --quick")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where performance.md is")
    parser.add_argument("--render", action="store_true", help="measure nothing; write the page from performance.json")
    given = parser.parse_args(arguments)
    if unknown := set(given.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if given.render:
        _render(given.docs)
        return 0
    with tempfile.TemporaryDirectory(prefix="batchpost-bench-") as folder:
        setting = Setting(Path(folder), given.rounds or (1 if given.quick else 5), is_quick=given.quick)
        for name in given.parts or PARTS:
            try:
                part = _measured(name, setting)
            except Failed as failed:
                print(failed, file=sys.stderr)
                return 1
            print(table([part]), flush=True)
            if not given.quick:
                _keep(given.docs, part)
    return 0


def _measured(name: str, setting: Setting) -> Part:
    print(f"{name}: {ABOUT[name].partition('.')[0]}", file=sys.stderr, flush=True)
    before = others()
    part = replace(PARTS[name](setting), measured=today(), machine=machine(), others=before)
    if part.is_doubtful:
        print(f"Others used {before:.0%} of the machine: these figures mean little.", file=sys.stderr)
    return part


def _keep(docs: Path, part: Part) -> None:
    """Put one part in the place of what was measured before, and make the page anew."""
    kept = docs / KEPT
    save(kept, {**load(kept), part.name: part})
    _render(docs)


def _render(docs: Path) -> None:
    parts = load(docs / KEPT)
    (docs / "performance.md").write_text(page(parts))
    for part in parts.values():
        if part.points:
            (docs / CHART).write_text(chart(part.points))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers end with the blocks that they serve
    sys.exit(main())
