"""One kind of job from its input to its verdict: figures, and the promises that were broken."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.commands import finished
from tests.crash.kinds import lay_out
from tests.crash.oracle import Books, broken_promises, doubled, in_doubt, lost, peak, read_books
from tests.crash.scene import PHASES
from tests.crash.story import Story, play
from tests.workspaces import Workspace, sandbox

__all__ = ["Report", "aloud", "crash"]


@dataclass(frozen=True)
class Report:
    """What came of one kind: figures by part and name, and a sentence for each broken promise."""

    kind: str
    figures: dict[str, dict[str, int]]
    broken: list[str]


def crash(
    kind: str, folder: Path, *, rows: int, kills: int, seed: int, tell: Callable[[str], object] = lambda _: None
) -> Report:
    """Kill a job of this kind in a folder of its own until ``kills`` have hit it, let it end, and compare."""
    began = time.monotonic()
    folder.mkdir(exist_ok=True)
    with sandbox() as (server, _):
        load = lay_out(kind, Workspace(folder, server.base_url), rows, seed)
        story = play(load, server, kills, seed, tell)
        books = read_books(story) if story.ended else Books({}, [], 0)
        broken = _broken(story, books) if story.ended else story.complaints
    return Report(kind, _figures(story, books, began), broken)


def _broken(story: Story, books: Books) -> list[str]:
    return [*broken_promises(story, books), *_verified(story, books), *_again(story, books), *_left_over(story)]


def aloud(line: str) -> None:
    """Tell how far it is on standard error."""
    print(line, file=sys.stderr, flush=True)


def _verified(story: Story, books: Books) -> Iterator[str]:
    """What ``batchpost verify`` says."""
    done = finished("verify", books.summary["run_id"], cwd=story.load.workspace.folder)
    if done.code:
        yield f"verify ended in {done.code}: {(done.out + done.err)[-500:]}"


def _again(story: Story, books: Books) -> Iterator[str]:
    """The same command once more sends what was refused, and nothing that got through or may have."""
    before = len(story.server.received)
    finished("run", "job.toml", cwd=story.load.workspace.folder)
    eligible = dict(zip(story.load.marks, books.rows, strict=False))
    for entry in story.server.received[before:]:
        row = eligible[story.load.mark_of(entry)]
        if row.outcome not in ("rejected", "failed"):
            yield f"{row.end}, and the next run sent it again"


def _left_over(story: Story) -> Iterator[str]:
    """Of all that was begun and cut off, nothing is left that only a run under way needs."""
    at = story.load.workspace.places
    runs, beside = at.run("any").parent, at.ledger.parent
    left = [*runs.iterdir(), *beside.glob(f"*{at.ledger.name}?*"), *at.results.glob("*/.*")]
    yield from (f"{path.relative_to(story.load.workspace.folder)} is left over" for path in left)


def _figures(story: Story, books: Books, began: float) -> dict[str, dict[str, int]]:
    kills = story.kills
    return {
        "": {
            "rows": len(books.rows),
            "starts of the program": len(story.sat),
            "kills in start-up, or too late": kills["start-up"] + kills["finished"],
            "kills that count": story.counted,
            **{f"  while {phase}": kills[phase] for phase in PHASES[1:]},
            "  of these in a ledger's write": sum(sat.in_a_ledger_write for sat in story.sat if sat.counts),
            "requests": len(story.received),
            "most requests within a second": peak(story),
            "side effects": len(story.effects),
            "rows in doubt after a kill": in_doubt(books),
            "lost": lost(books),
            "doubled": doubled(story, books),
            "seconds": round(time.monotonic() - began),
        },
        "rows by their end": books.counted(),
        "requests with a fault": Counter(str(entry.fault) for entry in story.received if entry.fault),
    }
