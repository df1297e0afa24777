"""How a job's run came to its end, for those who were not looking on: a webhook, a file of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchpost.job import Job

__all__ = ["Ending"]


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one job's part of a command, whatever it was.

    ``summary`` is that of its run, empty where none got so far as to have one; ``message`` says what stopped it and is
    one of ours, without a row's data; ``next`` is the command to type (empty: none). ``began`` and ``ended`` are Unix
    seconds. ``attended``: a person reads at the terminal what is told of it.
    """

    job: Job
    exit_code: int
    message: str
    next: str
    began: float
    ended: float
    attended: bool = False
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_test(self) -> bool:
        """Whether it was this machine that was sent to."""
        return bool(self.summary.get("test", self.job.api.is_loopback))

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it, and the system waits for the program to go."""
        return self.exit_code in (130, 143)
