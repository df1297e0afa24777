"""batchpost from Python: load a job, look at what it would send, send it.

The same code as the command line's, without a terminal: nothing is printed, nothing is asked, no log is written. What
the command line ends with an exit code for is raised here (:mod:`batchpost.errors`) where nothing was sent, and is in
the :class:`Summary` where something was.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchpost.jobfile import load_job

if TYPE_CHECKING:
    from batchpost.job import Job
    from batchpost.planview import PlanView

__all__ = ["Summary", "load_job", "plan", "run"]


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended.

    ``rows`` are those read, under ``read``, and those of each outcome; ``money`` the same by field; ``exit_code`` is
    the command line's. ``next`` is the command to type next, empty where nothing is left to do. ``results`` is the
    folder with the run's files, and ``facts`` all of its ``summary.json``.
    """

    run_id: str
    job: str
    state: str
    exit_code: int
    rows: Mapping[str, int]
    money: Mapping[str, Mapping[str, Decimal]]
    reasons: Mapping[str, int]
    stopped_by: str | None
    message: str
    next: str
    results: Path
    facts: Mapping[str, Any] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether every row is in, was skipped on purpose, or is tolerated."""
        return self.exit_code == 0


def plan(job: Job, *, limit: int | None = None) -> PlanView:
    """Read and check a job's whole input and compare it with the ledger, as ``batchpost plan``. Nothing is sent, and
    nothing is written into the workspace.

    ``limit`` is the most rows to reckon with. Raises :class:`batchpost.errors.BatchpostError` as :func:`run` would
    before its first request, but for an input that is not as expected: that is told in ``unmet``.
    """
    from batchpost.planview import view_of
    from batchpost.preview import preview

    with preview(job, os.environ) as found:
        return view_of(found, math.inf if limit is None else limit)


def run(
    job: Job,
    *,
    limit: int | None = None,
    seconds: float | None = None,
    wait: float = 0.0,
    yes: bool = False,
    new_run: bool = False,
) -> Summary:
    """Plan a job and send it, as ``batchpost run``: goes on with its unfinished run, leaves the same files, tells
    ``[notify]``'s webhook.

    ``limit`` is the most rows to send and ``seconds`` the time after which nothing starts; ``wait`` is how many seconds
    a lock or a missing input is waited for. ``yes`` is the word that a first run of more than 1,000 updates needs.
    ``new_run`` gives an unfinished run up. In the main thread SIGINT and SIGTERM end the run in order, as on the
    command line; it cannot be called where an event loop runs in the same thread.

    Raises :class:`batchpost.errors.BatchpostError` where nothing was sent, and
    :class:`batchpost.errors.CutShort` where the ledger or the disk took no more after something was.
    """
    from batchpost.output import Output
    from batchpost.places import places
    from batchpost.progress import Display
    from batchpost.sending import Settings, deliver

    unseen = Output(StringIO(), StringIO())
    settings = Settings(
        limit=math.inf if limit is None else limit,
        until=math.inf if seconds is None else time.monotonic() + seconds,
        wait=wait,
        new_run=new_run,
        yes=yes,
        quiet=True,
    )
    facts, code = deliver(job, settings, Display(unseen, quiet=True, yes=yes), unseen)
    return _summary(facts, code, places(job, os.environ).results / str(facts["run_id"]))


def _summary(facts: Mapping[str, Any], code: int, results: Path) -> Summary:
    return Summary(
        run_id=facts["run_id"],
        job=facts["job"],
        state=facts["state"],
        exit_code=code,
        rows=facts["rows"],
        money={
            name: {outcome: Decimal(total) for outcome, total in totals.items()}
            for name, totals in facts.get("money", {}).items()
        },
        reasons=facts.get("reasons", {}),
        stopped_by=facts.get("stopped_by"),
        message=str(facts.get("message") or ""),
        next=str(facts.get("next") or ""),
        results=results,
        facts=facts,
    )
