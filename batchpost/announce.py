"""What becomes of a job's end besides the screen: its webhook is told, its metrics are written.

Neither changes how the run ended. Both are looked at before anything is sent: a secret that is missing, or a folder
that is not there, is found then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchpost.ending import Ending
from batchpost.errors import UsageError, told_by_system
from batchpost.failures import Situation, failure, last_words, most_urgent
from batchpost.job import Job
from batchpost.output import Output

if TYPE_CHECKING:
    from batchpost.notify import Notifier

__all__ = ["Announcer"]


class Announcer:
    """Announces the end of one job's run, whatever it is.

    ``metrics`` is the path that the command line names, None for none. What goes wrong is said in one line to ``log``
    (a structlog logger), or to a person where there is none.
    """

    def __init__(
        self, job: Job, metrics: Path | None, environ: Mapping[str, str], output: Output, log: Any = None
    ) -> None:
        self._job, self._output, self._log = job, output, log
        self._began = time.time()
        self._faults: list[UsageError] = []
        self._notifier: Notifier | None = self._tried(lambda: _notifier(job, environ))
        self._file: Path | None = self._tried(lambda: _file(metrics, job))

    def _tried(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except UsageError as fault:
            self._faults.append(fault)
            return None

    def check(self) -> None:
        """Raises UsageError where the webhook cannot be told or the metrics cannot be written. What is sound of the
        two is announced all the same."""
        if self._faults:
            raise self._faults[0]

    def ended(self, summary: Mapping[str, Any]) -> int:
        """Announce a run by its summary, within a bounded time; returns its exit code, or that of a signal that came
        meanwhile."""
        code, message = int(summary["exit_code"]), str(summary.get("message") or "")
        return self._announce(code, message, str(summary.get("next") or ""), summary)

    def failed(self, error: BaseException, situation: Situation) -> int:
        """The same of a command that an exception stopped."""
        message, code = failure(error, sending=situation.begun)
        return self._announce(code, message, last_words(error, situation).rpartition("Next: ")[2], {})

    def _announce(self, code: int, message: str, command: str, summary: Mapping[str, Any]) -> int:
        if self._notifier is None and self._file is None:
            return code
        attended = self._output.err.isatty()
        ending = Ending(self._job, code, message, command, self._began, time.time(), attended, summary)
        try:
            self._attempt("metrics", self._write, ending)
            self._attempt("webhook", self._tell, ending)
        except KeyboardInterrupt as stop:
            text, stopped = failure(stop)
            self._complain("webhook", f"it was not waited for: {text}")
            return most_urgent((code, stopped))
        return code

    def _attempt(self, what: str, act: Callable[[Ending], str], ending: Ending) -> None:
        try:
            why = act(ending)
        except OSError as error:
            why = told_by_system(error)
        except Exception as error:  # a bug of ours here must not hide how the run ended
            why = failure(error)[0]
        if why:
            self._complain(what, why)

    def _complain(self, what: str, why: str) -> None:
        if self._log is not None:
            self._log.error("not_announced", job=self._job.name, what=what, why=why)
        else:
            self._output.tell(f"{self._job.name}: {what}: {why}")

    def _write(self, ending: Ending) -> str:
        if self._file is not None:
            from batchpost.metrics import write_metrics

            write_metrics(self._file, ending)
        return ""

    def _tell(self, ending: Ending) -> str:
        event, why = self._notifier.tell(ending) if self._notifier is not None else (None, "")
        if event is not None and self._log is not None:
            self._log.info("announced", job=self._job.name, what=event)
        return why


def _notifier(job: Job, environ: Mapping[str, str]) -> Notifier | None:
    if job.notify.webhook is None:
        return None
    from batchpost.notify import Notifier
    from batchpost.places import places
    from batchpost.webhook import open_webhook

    webhook = open_webhook(job.notify.webhook, job.workspace, environ)
    try:
        return Notifier(webhook, places(job, environ).told(job.name))
    except UsageError:  # where the ledger is: the run itself says what is wrong
        return Notifier(webhook, None)


def _file(metrics: Path | None, job: Job) -> Path | None:
    if metrics is None:
        return None
    from batchpost.metrics import metrics_file

    return metrics_file(metrics, job)
