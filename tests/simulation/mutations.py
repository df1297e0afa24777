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

__all__ = ["MUTATIONS", "Mutation", "caught", "main", "mutated"]

_HERE = Path(__file__).parents[2]
_SEEDS = 300  # so many histories may pass before a mutation counts as unnoticed


class Mutation(NamedTuple):
    """A break: its name, the module, the text before and after. ``seed`` is one of those that show it; what is outside
    the simulation is shown by the ``test``."""

    name: str
    module: str
    before: str
    after: str
    seed: int = 0
    test: str = ""


MUTATIONS = (
    Mutation(
        "send before the claim",
        "delivery",
        "await self._journal.claim(rows)\n                self._queue.add(rows)\n                self._wake()\n",
        "self._queue.add(rows)\n                self._wake()\n                await self._journal.claim(rows)\n",
    ),
    Mutation(
        "claim without waiting for the disk",
        "journal",
        "\n        await self.sync()\n\n    def start(",
        "\n\n    def start(",
    ),
    Mutation("a sync that syncs nothing", "journal", "                self._file.sync()\n", "                pass\n"),
    Mutation(
        "forget that rows were started",
        "delivery",
        "            self._journal.start([task.row.number for task in tasks])\n",
        "",
        seed=1,
    ),
    Mutation(
        "forget a settle that is not a delivery",
        "settling",
        "        self._journal.settle(row.number",
        "        if settlement.outcome is _DELIVERED:\n            self._journal.settle(row.number",
        seed=1,
    ),
    Mutation(
        "hold back the ends of rows",
        "delivery",
        "self._start(now)\n                    self._journal.flush()\n",
        "self._start(now)\n",
        test="test_delivery_random.py::test_the_books_and_the_platform_agree",
    ),
    Mutation(
        "miss what happens in the middle of a round",
        "delivery",
        "    async def _wait(self, seconds: float) -> None:\n",
        "    async def _wait(self, seconds: float) -> None:\n        self._changed = anyio.Event()\n",
        test="test_delivery_rounds.py::"
        "test_a_request_that_ends_while_it_is_begun_is_taken_at_once_and_the_others_are_recorded",
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
        seed=3,
    ),
    Mutation(
        "leave a run's second sitting out of the ledger",
        "ledger",
        "AND folded < ?1",
        "AND folded = 0",
    ),
    Mutation(
        "merge without the events",
        "ledger",
        'rows = fold.events.sort("key", maintain_order=True)',
        "rows = fold.events.clear()",
        seed=1,
    ),
    Mutation("merge without the doubts", "fold", 'header.get("fires_again", True)', "False", seed=3),
    Mutation(
        "retry what may have been sent",
        "verdict",
        "Action.SETTLE if row.repeat is Repeat.FIRES_AGAIN else Action.RETRY",
        "Action.RETRY",
        seed=1,
    ),
    Mutation(
        "call failed what nobody knows",
        "verdict",
        "settlement = Settlement(Outcome.UNKNOWN, reason, detail, status)",
        "settlement = Settlement(Outcome.FAILED, reason, detail, status)",
        seed=1,
    ),
    Mutation(
        "give up as failed what may have been applied",
        "verdict",
        "unknown = may_be_applied and repeat is not Repeat.HARMLESS",
        "unknown = False",
        seed=1,
    ),
    Mutation(
        "take a duplicate of ours for a stranger's",
        "verdict",
        "if row.in_doubt and row.repeat is Repeat.REFUSED:",
        "if False:",
        seed=3,
    ),
    Mutation(
        "take a stranger's duplicate for ours",
        "verdict",
        "if row.in_doubt and row.repeat is Repeat.REFUSED:",
        "if row.repeat is Repeat.REFUSED:",
        seed=35,
    ),
    Mutation(
        "believe an empty 200",
        "verdict",
        "    if body is None:\n        return _no_end(",
        '    if body is None:\n        body = {"success": True}\n    if not body:\n        return _no_end(',
        seed=1,
    ),
    Mutation(
        "do not look at the ledger's events",
        "compare",
        'ledger.delivered(frame["key"])',
        'ledger.delivered(frame["key"].clear())',
        seed=1,
    ),
    Mutation(
        "send again what is in doubt",
        "compare",
        "if fires_again and (same or job.spec.is_event):",
        "if fires_again and same and not job.spec.is_event:",
        seed=3,
    ),
    Mutation(
        "overwrite a newer update",
        "compare",
        "newer = found.select(_NEWER).to_series()",
        "newer = found.select(_NEWER & False).to_series()",
        seed=107,
    ),
    Mutation(
        "call unchanged what is not confirmed",
        "compare",
        'pl.col("confirmed") & needless',
        '(pl.col("confirmed") | True) & needless',
        seed=8,
    ),
    Mutation(
        "call unchanged what changed in between",
        "compare",
        'filter(unchanged & ~gone), Outcome.ALREADY_DELIVERED, "unchanged"',
        'filter(unchanged), Outcome.ALREADY_DELIVERED, "unchanged"',
        test="test_compare.py::test_an_update_is_unchanged_only_against_what_the_lead_will_be_then",
    ),
    Mutation(
        "forget what the journal settled",
        "prepare",
        '        if reason != "source_inactive":',
        '        if reason == "source_inactive":',
        test="test_prepare.py::test_what_a_journal_settled_stays_settled_and_an_inactive_source_is_tried_again",
    ),
    Mutation(
        "trust the journal after a power cut",
        "history",
        "row.attempted(may_be_applied=row.started or lost)",
        "row.attempted(may_be_applied=row.started)",
        seed=151,
    ),
    Mutation(
        "take a started row for one that was not sent",
        "history",
        "row.attempted(may_be_applied=row.started or lost)",
        "row.attempted(may_be_applied=lost)",
        seed=3,
    ),
    Mutation(
        "take the first row of a start for all of them",
        "history",
        "self._started.update(dict.fromkeys(rows, at))",
        "self._started.update(dict.fromkeys(rows[:1], at))",
        seed=120,
    ),
    Mutation(
        "send a lead's updates at the same time",
        "rowqueue",
        "            key = row.lane_key\n",
        "            row = row._replace(lane_key=row.number)\n            key = row.lane_key\n",
    ),
    Mutation(
        "let the newest of a lead's waiting updates go first",
        "rowqueue",
        "self._released.append(waiting.popleft())",
        "self._released.append(waiting.pop())",
        seed=1,
    ),
    Mutation(
        "one request a second too many",
        "pacing",
        "        self._capacity = max(1, int(rate))\n",
        "        self._capacity = 1 + max(1, int(rate))\n",
        seed=3,
    ),
    Mutation(
        "no pause after a restart",
        "jobrun",
        "quiet_until = _quiet_until(prepared, options.pause)",
        "quiet_until = 0.0",
        seed=6,
    ),
    Mutation(
        "do not heed Retry-After",
        "settling",
        "verdict.pause is not None and (stop",
        "verdict.pause == 1e9 and (stop",
        seed=1,
    ),
    Mutation(
        "a cancelled attempt was never sent",
        "taskwire",
        "interrupted(handed_over=transport.handed_over)",
        "interrupted(handed_over=False)",
        seed=18,
    ),
    Mutation(
        "an aborted connection had sent nothing",
        "lane",
        "handed_over = self._connecting is None",
        "handed_over = False",
        test="test_lane.py::test_all_that_is_under_way_is_aborted_and_what_was_still_connecting_was_not_sent",
    ),
    Mutation(
        "take an old connection's end for that of the request begun since",
        "connection",
        "        self.closed = True\n        self._asked = False\n",
        "        self.closed = True\n",
        test="test_lane.py::test_an_end_of_an_old_connection_is_not_that_of_the_request_begun_since",
    ),
    Mutation("exit 0 with unknown rows", "summary", "        held.add(3)\n", "        held.add(0)\n", seed=1),
    Mutation(
        "call a run finished that has rows left",
        "jobrun",
        "    if run.stop is None:\n        clear_run",
        "    clear_run",
    ),
    Mutation(
        "two requests at once on one connection",
        "taskwire",
        "self._free.pop()",
        "self._free[-1]",
    ),
    Mutation(
        "merge without the updates",
        "ledger",
        "self._fold_updates(fold.updates)",
        "self._fold_updates(fold.updates.clear())",
        seed=3,
    ),
    Mutation(
        "merge the ledger twice",
        "ledger",
        "WHERE run_id = ?2 AND folded < ?1",
        "WHERE run_id = ?2 AND folded <= ?1",
        test="test_ledger.py::test_a_sitting_is_folded_once",
    ),
    Mutation(
        "bring back an event that was voided",
        "fold",
        'frame.filter(pl.col("delivered") & (pl.col("sitting") > self._after))',
        'frame.filter(pl.col("delivered"))',
        test="test_fold.py::test_an_event_that_was_voided_is_not_brought_back_by_a_journal_that_tells_of_it_again",
    ),
    Mutation(
        "send a part of the input that was changed",
        "feed",
        "if next(expected, None) != Piece.of(batch):",
        "if next(expected, None) is None:",
        test="test_feed.py::test_nothing_comes_out_of_a_batch_that_is_not_what_the_first_pass_read",
    ),
    Mutation(
        "go on by the plan of another input",
        "keptplan",
        "if [*inputs] != [file.sha256 for file in files] or",
        "if len([*inputs]) != len(files) or",
        test="test_keptplan.py::test_whatever_is_in_doubt_is_not_taken",
    ),
    Mutation(
        "go on by a plan made with another key",
        "keptplan",
        'if facts["mark"] != mark or',
        "if",
        test="test_keptplan.py::test_a_plan_of_other_files_or_with_another_mark_is_not_taken",
    ),
    Mutation(
        "call not sent what was dropped",
        "connection",
        'self.fail(MaybeSent("dropped", "the connection ended before a reply"))',
        "self.close()\n            self._owner.ended(connect_fault((), Stage.CONNECTING))",
        test="test_hostile_faults.py::test_a_reply_that_never_becomes_one_leaves_the_request_maybe_sent",
    ),
    Mutation(
        "take half a reply for a whole one",
        "connection",
        "elif clean and self._ends_with_connection() and self._was_closed():",
        "elif clean and self._status:",
        test="test_hostile_faults.py::test_a_reply_that_never_becomes_one_leaves_the_request_maybe_sent",
    ),
    Mutation(
        "believe a record with a changed byte",
        "records",
        '    if line[:9] != b"%08x " % crc32(text, offset):\n        return None\n',
        "",
        test="test_journal_damage.py::test_a_changed_byte_is_refused_wherever_it_is",
    ),
    Mutation(
        "go on after a sync that failed",
        "journal",
        "        self._broken = error\n",
        "",
        test="test_journal_damage.py::test_nothing_is_posted_after_a_sync_that_failed_once",
    ),
    Mutation(
        "send with another ledger than that of the results",
        "places",
        "if known and (wrong := _mistaken(ledger, known, at.results)):",
        "if known and not (wrong := _mistaken(ledger, known, at.results)) and wrong:",
        test="test_run_ledger.py::test_a_ledger_that_is_not_the_one_of_the_results_stops_everything_but_on_the_persons_word",
    ),
    Mutation(
        "repeat a server's words as they came",
        "redact",
        "    clean = without(message, [*secrets, *_values(body)])\n",
        "    clean = message\n",
        test="test_canaries.py::test_what_a_server_repeats_of_an_update_is_taken_out_of_everything",
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
    shutil.copy(original / "pyproject.toml", folder)  # has pytest's settings


def caught(mutation: Mutation, original: Path = _HERE, *, seeds: int = _SEEDS) -> str:
    """What noticed it, within so many seeds; empty where nothing did, or where the break only made the program fall
    over at once."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        mutated(mutation, Path(folder), original)
        if mutation.test:
            return mutation.test if _fails(mutation.test, Path(folder)) and not _fails(mutation.test, original) else ""
        for first, count in ((mutation.seed, 1), (0, seeds)):
            if promise := _broken(Path(folder), first, count):
                seed = int(promise.split()[1].rstrip(":"))
                fair = ": a bug: " not in promise and not _broken(original, seed, 1)
                return promise if fair else ""
    return ""


def _broken(folder: Path, first: int, seeds: int) -> str:
    """The first broken promise of the program in a folder: ``seed 7: …``."""
    told = _run(folder, "tests.simulation", "--jobs", "1", "--fail-fast", "--first", str(first), "--seeds", str(seeds))
    found = [line for line in told.stdout.splitlines() if line.startswith("BROKEN")]
    if told.returncode and not found:
        raise RuntimeError(told.stderr[-2000:])
    return found[0].removeprefix("BROKEN ").removesuffix(": 1") if found else ""


def _fails(test: str, folder: Path) -> bool:
    """Whether a test fails on the program in a folder; raises RuntimeError where there is no such test."""
    told = _run(folder, "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{test}")
    if told.returncode not in (0, 1):
        raise RuntimeError(told.stdout[-2000:])
    return told.returncode == 1


def _run(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


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
        noticed = list(pool.map(lambda mutation: _told(mutation, Path(folder)), chosen))
    print(f"{sum(noticed)} of {len(chosen)} mutations were noticed, in {time.monotonic() - began:,.0f} s")
    return 0 if all(noticed) else 1


def _told(mutation: Mutation, original: Path) -> bool:
    promise = caught(mutation, original)
    print(f"{'noticed' if promise else 'NOT NOTICED':12}{mutation.name:52}{promise}", flush=True)
    return bool(promise)


if __name__ == "__main__":
    sys.exit(main())
