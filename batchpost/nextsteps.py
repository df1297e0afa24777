"""What to type about rows that are not in, the most useful first."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from batchpost.address import is_address
from batchpost.jobruns import DUE_AGAIN
from batchpost.model import Outcome
from batchpost.results import NO_MEND
from batchpost.rowends import ENDS_FILE, RunEnds
from batchpost.status import Answer, Part

__all__ = ["Commands", "Step", "next_steps"]

_TO_MEND = frozenset({"missing_field", "invalid_field", "too_large"})  # refusals that time does not heal
_SENT_AGAIN = (Outcome.REJECTED, Outcome.FAILED, Outcome.NOT_ATTEMPTED, DUE_AGAIN)
_HOPELESS = frozenset({*NO_MEND, "not_a_conversion"}) - {"source_inactive", "locked_elsewhere"}
_RETRY = "retry.csv"


class _Order(IntEnum):
    GO_ON = 0
    SETTLE = 1
    MEND = 2
    RETRY = 3
    READ_AGAIN = 4
    LOOK = 5


class Step(NamedTuple):
    """A command, with absolute paths, and what it is about: the number of a run."""

    command: str
    run: int


@dataclass(frozen=True, slots=True)
class Commands:
    """Makes command lines about a job: its ``file``, the ``workspace`` that its paths are read against, and what each
    line must say ``again``."""

    file: str
    workspace: Path
    again: tuple[str, ...] = ()

    def run(self, sources: Iterable[str] = ()) -> str:
        """A run of the job, of these files in place of its own."""
        named = (word for path in sources for word in ("--source", path))
        return shlex.join(["batchpost", "run", self.file, *named, *self.again])

    def about(self, command: str, run_id: str) -> str:
        """Another command about a run."""
        return shlex.join(["batchpost", command, run_id, *self.again])

    def said_before(self, command: str) -> str:
        """A command line from elsewhere, with what it must say again."""
        words = shlex.split(command)
        return shlex.join([*words, *(self.again if not {*self.again} <= {*words} else ())])

    def names(self, run: RunEnds) -> list[str]:
        """The files of a run, by paths that can be typed."""
        return [file.name if is_address(file.name) else str(self.workspace / file.name) for file in run.files]


def next_steps(answer: Answer, runs: Sequence[RunEnds], commands: Commands, unseen: Sequence[str] = ()) -> list[Step]:
    """The commands, each once; none about rows of a run that is under way. ``unseen`` are files to be read yet."""
    left: dict[int, list[Part]] = {number: [] for number in answer.unread}
    for part in answer.parts:
        if part.out:
            left.setdefault(part.run, []).append(part)
    found = [
        (order, -number, Step(command, number))
        for number, parts in left.items()
        for order, command in _of_run(runs[number], parts, commands)
    ]
    if unseen or (not answer.files and not found and not any(run.held for run in runs)):
        found.append((_Order.GO_ON, 0, Step(commands.run(unseen), -1)))
    return list({step.command: step for *_, step in sorted(found)}.values())


def _of_run(run: RunEnds, parts: Sequence[Part], commands: Commands) -> Iterator[tuple[_Order, str]]:
    run_id = run.record.run_id
    if run.held:
        return
    if run.record.unfinished:
        yield _Order.GO_ON, _goes_on(run, commands)
        return
    if any(part.kind == "unknown" for part in parts):
        yield _Order.SETTLE, commands.about("resolve", run_id)
    rest = [part for part in parts if part.kind == "left" and part.reason not in _HOPELESS]
    if rest or not parts:
        yield from _sent_again(run, rest, commands)
    if any(part.reason in _HOPELESS for part in parts):
        yield _Order.LOOK, commands.about("show", run_id)


def _sent_again(run: RunEnds, parts: Sequence[Part], commands: Commands) -> Iterator[tuple[_Order, str]]:
    """Mended, once more as they are, or with their whole file where nothing better is left of the run."""
    to_fix = run.folder / "to_fix.csv"
    whole = run.record.state == "finished" and run.table is not None and run.table.name != ENDS_FILE
    mended = [part for part in parts if part.outcome == Outcome.INVALID or part.reason in _TO_MEND]
    again = [part for part in parts if part not in mended and part.outcome in _SENT_AGAIN]
    if mended and (mendable := to_fix.exists()):
        yield _Order.MEND, commands.run([str(to_fix)])
    if again and whole:
        yield _Order.RETRY, commands.about("retry", run.record.run_id)
    helped = (mended if mended and mendable else []) + (again if whole else [])
    if len(helped) < len(parts) or not parts:
        there = [name for name in commands.names(run) if is_address(name) or Path(name).exists()]
        if there or not run.files:
            yield _Order.READ_AGAIN, commands.run(there)


def _goes_on(run: RunEnds, commands: Commands) -> str:
    """The command that goes on with a run: as it ended, or as it must have begun."""
    said = str(run.summary.get("next") or "")
    if said and run.record.state != "running":
        return commands.said_before(said)
    paths = [Path(name) for name in commands.names(run)] if run.mends else []
    if len(paths) == 1 and paths[0].name == _RETRY:
        return commands.about("retry", paths[0].parent.name)
    return commands.run(map(str, paths))
