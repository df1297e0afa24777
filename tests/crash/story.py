"""One job, killed until enough kills have hit it, and then left to end by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from batchpost.sandbox import Received, Sandbox
from tests.commands import started
from tests.crash.aims import CALM, NEVER, Aim, Weather, aims, endings, weathers
from tests.crash.kinds import Load
from tests.crash.scene import Scene

__all__ = ["Sat", "Story", "play"]

_POLL = 0.0005  # seconds
_SETTLED = (0, 1, 3)  # exit codes of a run that went to its end
_TOLD_EVERY = 10


@dataclass(frozen=True)
class Sat:
    """One start of the program: its aim, how it ended (``code``, or the ``phase`` in which it was killed), what it
    said on standard error, and whether a ledger's journal was left behind."""

    aim: Aim
    code: int | None
    phase: str
    said: str
    in_a_ledger_write: bool = False

    @property
    def counts(self) -> bool:
        """Whether it was killed while the run was under way; a program that is only starting up is not a run yet."""
        return self.code is None and self.phase not in ("start-up", "finished")


@dataclass
class Story:
    """All sittings of a job, and what the sandbox recorded meanwhile."""

    load: Load
    server: Sandbox
    sat: list[Sat] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    effects: list[Received] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether the run went to its end."""
        return self.sat[-1].code in _SETTLED or self.sat[-1].phase == "finished"

    @property
    def kills(self) -> Counter[str]:
        """Kills by phase."""
        return Counter(sat.phase for sat in self.sat if sat.code is None)

    @property
    def counted(self) -> int:
        """Kills that hit a run under way."""
        return sum(sat.counts for sat in self.sat)


def play(load: Load, server: Sandbox, kills: int, seed: int, tell: Callable[[str], object] = lambda _: None) -> Story:
    """Kill the job's program until ``kills`` have counted, then a few times more behind its last request, then not."""
    story = Story(load, server)
    weather = weathers(load.kind, seed)
    for aim, most in _plan(story, kills, seed):
        sat = _sit(load, server, aim, most, next(weather) if most else CALM)
        story.sat.append(sat)
        if sat.counts and story.counted % _TOLD_EVERY == 0:
            tell(f"{load.kind}: {story.counted} kills, {len(server.received):,} requests")
        if sat.code is not None or sat.phase == "finished":
            break
    if not story.ended:
        last = story.sat[-1]
        story.complaints.append(f"start {len(story.sat)} ({last.aim}) ended in {last.code}: {last.said[-500:]}")
    elif story.counted < kills:
        story.complaints.append(f"only {story.counted} of {kills} kills hit the run: give it more rows")
    story.received, story.effects = list(server.received), list(server.effects)
    return story


def _plan(story: Story, kills: int, seed: int) -> Iterator[tuple[Aim, int]]:
    """The next aim, and the most requests that its sitting may make: no kill leaves too little for those to come."""
    load = story.load
    random_aims, seen, looked_at = aims(load.kind, seed), set[bytes](), 0
    for _ in range(20 + 3 * kills):
        if story.counted >= kills:
            break
        seen.update(entry.raw for entry in story.server.received[looked_at:])
        looked_at = len(story.server.received)
        yield next(random_aims), max(1, (load.rows - len(seen)) // (kills - story.counted + 1))
    for aim in endings(load.kind, seed, max(1, kills // 6)):
        yield aim, 0
    yield NEVER, 0


def _sit(load: Load, server: Sandbox, aim: Aim, most: int, weather: Weather) -> Sat:
    """Start the program and kill it at its aim or, if ``most`` is given, after so many requests at the latest."""
    server.config = replace(server.config, seed=weather.seed)
    server.configure(latency=weather.latency, faults=weather.faults)
    scene = Scene(load.workspace, server)
    deadline = time.monotonic() + 120 + load.rows / 50
    with started("run", "job.toml", cwd=load.workspace.folder, start_new_session=True) as process:
        while (code := process.poll()) is None and not (most and scene.requests >= most):
            if scene.shows(aim, process.pid):
                time.sleep(aim.pause)
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"{load.kind}: a sitting did not end in time ({aim}, {scene.phase(process.pid)})")
            time.sleep(_POLL)
        if code is None:
            code = _kill(process)
        said = process.stderr.read() if process.stderr else ""
    phase = ("finished" if scene.is_finished() else scene.phase(process.pid)) if code is None else "ended"
    return Sat(aim, code, phase, said, scene.in_a_ledger_write())


def _kill(process: subprocess.Popen[str]) -> int | None:
    """SIGKILL to the program and all that it started; its exit code if it was quicker."""
    os.killpg(process.pid, signal.SIGKILL)
    code = process.wait(timeout=30)
    return None if code == -signal.SIGKILL else code
