"""Deliberate breaks of the delivery code, each of which must be noticed: ``python -m tests.simulation.mutations``.

Each is a change of one place in the package's text. It is made in a copy, the simulation runs on the copy, and the
first broken promise is what caught it; what lies outside the simulation is caught by the test that is named with it. A
mutation that nothing notices fails the suite.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

__all__ = ["MUTATIONS", "Mutation", "main", "mutated"]

_HERE = Path(__file__).parents[2]
_SEEDS = 300  # so many histories may pass before a mutation counts as unnoticed


class Mutation(NamedTuple):
    """A break: its name, the module, the text before and after. ``seed`` is one of those that show it."""

    name: str
    module: str
    before: str
    after: str
    seed: int = 0


MUTATIONS = (
    Mutation(
        "send before the claim",
        "delivery",
        "await self._journal.claim(rows)\n                    self._queue.add(rows)\n",
        "self._queue.add(rows)\n                    self._wake()\n"
        "                    await self._journal.claim(rows)\n",
    ),
    Mutation(
        "claim without waiting for the disk",
        "journal",
        "\n        await self.sync()\n\n    def start(",
        "\n\n    def start(",
    ),
    Mutation("a sync that syncs nothing", "journal", "                self._file.sync()\n", "                pass\n"),
    Mutation("forget that a row was started", "delivery", "        self._journal.start(row.number)\n", ""),
    Mutation(
        "forget a settle that is not a delivery",
        "delivery",
        "        self._journal.settle(row.number",
        "        if through:\n            self._journal.settle(row.number",
    ),
    Mutation(
        "hold back the ends of rows",
        "delivery",
        "        self._journal.flush()\n        while not",
        "        while not",
    ),
    Mutation(
        "ignore the locks",
        "locks",
        "        path = _path(self._folder, name)\n        lock = FileLock",
        "        return\n        path = _path(self._folder, name)\n        lock = FileLock",
    ),
    Mutation(
        "leave dead runs out of the ledger",
        "prepare",
        '    if is_held(at.locks, f"run {record.run_id}"):',
        "    if record.run_id:",
    ),
    Mutation(
        "merge no run into the ledger twice, nor its second sitting",
        "ledger",
        "AND folded < ?1",
        "AND folded = 0",
    ),
    Mutation(
        "merge without the events",
        "ledger",
        "        rows = sorted((key, *delivered[:5], run_id, delivered.row) for key, delivered in fold.events)\n",
        "        rows: list[tuple[bytes, ...]] = []\n",
    ),
    Mutation("merge without the doubts", "fold", 'header.get("fires_again", True)', "False"),
    Mutation(
        "retry what may have been sent",
        "verdict",
        "Action.SETTLE if row.repeat is Repeat.FIRES_AGAIN else Action.RETRY",
        "Action.RETRY",
    ),
    Mutation(
        "call failed what nobody knows",
        "verdict",
        "settlement = Settlement(Outcome.UNKNOWN, reason, detail, status)",
        "settlement = Settlement(Outcome.FAILED, reason, detail, status)",
    ),
    Mutation(
        "give up as failed what may have been applied",
        "verdict",
        "unknown = may_be_applied and repeat is not Repeat.HARMLESS",
        "unknown = False",
    ),
    Mutation(
        "take a duplicate of ours for a stranger's",
        "verdict",
        "if row.in_doubt and row.repeat is Repeat.REFUSED:",
        "if False:",
    ),
    Mutation(
        "take a stranger's duplicate for ours",
        "verdict",
        "if row.in_doubt and row.repeat is Repeat.REFUSED:",
        "if row.repeat is Repeat.REFUSED:",
    ),
    Mutation(
        "believe an empty 200",
        "verdict",
        "    if body is None:\n        return _no_end(",
        "    if body is None and False:\n        return _no_end(",
    ),
    Mutation(
        "do not look at the ledger's events",
        "compare",
        "about, before = decided.get(key, ()), delivered.get(key)",
        "about, before = decided.get(key, ()), None",
    ),
    Mutation("send again what is in doubt", "compare", "    if not doubts:\n", "    if doubts:\n"),
    Mutation(
        "overwrite a newer update",
        "compare",
        "    if before.seq > order.seq:\n        return True\n",
        "    if before.seq > order.seq:\n        return False\n",
    ),
    Mutation("call unchanged what is not confirmed", "compare", "if same and before.confirmed and (", "if same and ("),
    Mutation(
        "call unchanged what changed in between",
        "compare",
        "== plan.sendable.body(index) and not goes_out.get(key)",
        "== plan.sendable.body(index)",
    ),
    Mutation(
        "forget what the journal settled",
        "prepare",
        '        if reason != "source_inactive" and',
        '        if reason == "source_inactive" and',
    ),
    Mutation(
        "trust the journal after a power cut",
        "history",
        "row.in_doubt = row.in_doubt or row.started or lost_writes",
        "row.in_doubt = row.in_doubt or row.started",
    ),
    Mutation(
        "take a started row for one that was not sent",
        "history",
        "row.in_doubt = row.in_doubt or row.started or lost_writes",
        "row.in_doubt = row.in_doubt or lost_writes",
    ),
    Mutation(
        "send a lead's updates at the same time",
        "rowqueue",
        "            if row.lane_key not in self._open:\n",
        "            row = row._replace(lane_key=row.number)\n            if row.lane_key not in self._open:\n",
    ),
    Mutation(
        "start the next update before the last is settled",
        "delivery",
        "        task.row = task.row._replace(in_doubt=",
        "        self._close(task.row)\n        task.row = task.row._replace(in_doubt=",
    ),
    Mutation(
        "one request a second too many",
        "pacing",
        "        self._capacity = max(1, int(rate))\n",
        "        self._capacity = 1 + max(1, int(rate))\n",
    ),
    Mutation(
        "no pause after a restart", "run", "quiet_until = _quiet_until(prepared, options.pause)", "quiet_until = 0.0"
    ),
    Mutation(
        "do not heed Retry-After", "delivery", "verdict.pause is not None and (stop", "verdict.pause == 1e9 and (stop"
    ),
    Mutation(
        "a cancelled attempt was never sent",
        "delivery",
        'Fault("interrupted", lane.handed_over,',
        'Fault("interrupted", False,',
    ),
    Mutation("exit 0 with unknown rows", "summary", "        held.add(3)\n", "        held.add(0)\n"),
    Mutation(
        "call a run finished that has rows left", "run", "    if run.stop is None:\n        clear_run", "    clear_run"
    ),
    Mutation(
        "two requests at once on one connection",
        "delivery",
        "lane = self._lanes.pop()",
        "lane = self._lanes[-1]",
    ),
    Mutation(
        "write into the ledger and never commit",
        "database",
        'self._connection.execute("COMMIT")',
        'self._connection.execute("ROLLBACK")',
    ),
)


def mutated(mutation: Mutation, folder: Path, original: Path = _HERE) -> None:
    """A copy of the package and its tests with this break; raises ValueError where the text is not there once."""
    _copy(original, folder)
    path = folder / "batchpost" / f"{mutation.module}.py"
    text = path.read_text()
    if text.count(mutation.before) != 1:
        raise ValueError(f"{mutation.name}: {mutation.module}.py has its text {text.count(mutation.before)} times")
    path.write_text(text.replace(mutation.before, mutation.after))


def _copy(original: Path, folder: Path) -> None:
    for part in ("batchpost", "tests"):
        shutil.copytree(original / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))


def _caught(mutation: Mutation, original: Path) -> str:
    """The first broken promise; empty where nothing noticed, or where the break made the program fall over at once."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        mutated(mutation, Path(folder), original)
        command = [sys.executable, "-m", "tests.simulation", "--jobs", "1", "--fail-fast"]
        for first, seeds in ((mutation.seed, 1), (0, _SEEDS)):
            done = subprocess.run(
                [*command, "--first", str(first), "--seeds", str(seeds)],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": folder},
                capture_output=True,
                text=True,
                check=False,
            )
            found = [line for line in done.stdout.splitlines() if line.startswith("BROKEN")]
            if found and ": a bug: " not in found[0]:
                return found[0].removeprefix("BROKEN ").removesuffix(": 1")
            if found or done.returncode:
                print(f"{mutation.name}: {(found or [done.stderr])[0][-1000:]}", flush=True)
                return ""
    return ""


def main() -> int:
    """Returns 1 where a mutation was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    parser.add_argument("names", nargs="*", help="only those with one of these words in the name")
    given = parser.parse_args()
    chosen = [one for one in MUTATIONS if not given.names or any(name in one.name for name in given.names)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="original-") as folder, ThreadPoolExecutor(given.jobs) as pool:
        _copy(_HERE, Path(folder))
        caught = list(pool.map(lambda mutation: _told(mutation, Path(folder)), chosen))
    print(f"{sum(caught)} of {len(chosen)} mutations were noticed, in {time.monotonic() - began:,.0f} s")
    return 0 if all(caught) else 1


def _told(mutation: Mutation, original: Path) -> bool:
    promise = _caught(mutation, original)
    print(f"{'noticed' if promise else 'NOT NOTICED':12}{mutation.name:52}{promise}", flush=True)
    return bool(promise)


if __name__ == "__main__":
    sys.exit(main())
