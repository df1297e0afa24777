"""Rows between the file and the workers: who may go next. Nothing here waits.

A row passes: *taken* from the input (or set aside while another row with its lane key is under way), claimed by the
feeder, *ready*, started; after a fault *delayed* until its backoff is over; *closed* when it is settled, which lets
the next row with its lane key be taken.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Set
from dataclasses import dataclass
from heapq import heappop, heappush

from batchpost.model import Row

__all__ = ["RowQueue", "Task"]

_MOST_ASIDE = 10_000


@dataclass(slots=True)
class Task:
    """A claimed row on its way.

    ``began`` is the clock at the start of its latest request; ``sends`` counts requests, ``attempts`` those that use up
    ``max_attempts``, ``few`` those retried a few times only; ``since`` is the clock at its first wait that does not
    count; ``applied``: an attempt may have had its effect.
    """

    row: Row
    began: float = 0.0
    sends: int = 0
    attempts: int = 0
    few: int = 0
    since: float = -1.0
    applied: bool = False


class RowQueue:
    """The order of rows: file order, and one at a time for each lane key. Up to 10,000 rows wait aside."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._ready: deque[Task] = deque()
        self._delayed: list[tuple[float, int, Task]] = []
        self._open: dict[object, deque[Row] | None] = {}  # lane key under way -> rows of it that wait, if any
        self._released: deque[Row] = deque()
        self._aside = 0

    def __repr__(self) -> str:
        return f"<RowQueue {len(self._ready)} ready, {len(self._delayed)} delayed, {self._aside} aside>"

    @property
    def ready(self) -> int:
        """Claimed rows that wait for a worker."""
        return len(self._ready)

    @property
    def under_way(self) -> bool:
        """Whether some row is taken and not closed."""
        return bool(self._open)

    def take(self, most: int, held: Set[str]) -> list[Row]:
        """Up to ``most`` rows that may go out now, in order; rows of ``held`` sources (pid) are dropped."""
        taken: list[Row] = []
        while len(taken) < most:
            row = self._released.popleft() if self._released else self._next_row()
            if row is None:
                break
            if held and row.pid in held:
                self.close(row)
            else:
                taken.append(row)
        return taken

    def more(self) -> bool:
        """Whether rows are left to take; asked once, when no more will be taken."""
        return bool(self._released or self._aside or self._next_row() or self._aside)

    def add(self, rows: list[Row]) -> None:
        """These rows are claimed: workers may start them."""
        self._ready.extend(map(Task, rows))

    def delay(self, task: Task, due: float) -> None:
        """The row may start again at ``due``."""
        heappush(self._delayed, (due, task.row.number, task))

    def again(self, task: Task) -> None:
        """The row may start again at once."""
        self._ready.appendleft(task)

    def due_in(self, now: float) -> float:
        """Seconds until some row can start; infinite if none waits."""
        if self._ready:
            return 0.0
        return max(0.0, self._delayed[0][0] - now) if self._delayed else math.inf

    def pick(self, most: int, now: float) -> list[Task]:
        """Up to so many rows: those whose backoff is over, then claimed ones in their order."""
        picked: list[Task] = []
        while self._delayed and self._delayed[0][0] <= now and len(picked) < most:
            picked.append(heappop(self._delayed)[2])
        ready = self._ready
        picked += [ready.popleft() for _ in range(min(len(ready), most - len(picked)))]
        return picked

    def close(self, row: Row) -> bool:
        """The row is settled or given up; returns whether that lets the feeder go on."""
        waiting = self._open.pop(row.lane_key)
        if not waiting:
            return not self._open
        self._released.append(waiting.popleft())
        self._aside -= 1
        self._open[row.lane_key] = waiting or None
        return True

    def _next_row(self) -> Row | None:
        """The next row of the input whose lane key is free."""
        under_way = self._open
        for row in self._rows if self._aside < _MOST_ASIDE else ():
            key = row.lane_key
            if key not in under_way:
                under_way[key] = None
                return row
            waiting = under_way[key]
            if waiting is None:
                waiting = under_way[key] = deque()
            waiting.append(row)
            self._aside += 1
            if self._aside >= _MOST_ASIDE:
                break
        return None
