"""``[notify]``: which ends of a run are told to a webhook, and what is said. No row's data is in it, only counts, sums
of money, codes and sentences of ours.

What was told last is remembered beside the ledger, so that one failure is not told every five minutes and its end is
told once. ``docs/monitoring.md`` has the rules for people.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from batchpost.ending import Ending
from batchpost.files import private_folder, replaced
from batchpost.layout import amount_text, counted, instant, moment
from batchpost.model import Outcome
from batchpost.output import one_line
from batchpost.reasons import UNTROUBLED
from batchpost.summary import TROUBLE
from batchpost.webhook import WITHIN, Webhook

__all__ = [
    "AGAIN",
    "ENDS",
    "FRESH",
    "HURRIED",
    "Event",
    "Notifier",
    "Told",
    "event_of",
    "message_of",
    "recall",
    "remember",
]

Event = Literal["failure", "recovery", "finished"]

AGAIN = 8 * 3_600.0  # seconds after which a failure that is still the same is told again
FRESH = 20 * 3_600.0  # seconds since a run went through its input in which it is no failure that there is no new one
HURRIED = 3.0  # seconds for a message after a signal: the system waits for the program to go
_LONGEST = 500  # characters of a message

ENDS = {
    0: "ended well",
    1: "finished, but some rows did not get through as they should",
    2: "did not start: the command line, the job, the environment or the ledger is wrong. Nothing was sent",
    3: "finished, but nobody knows whether some rows arrived",
    4: "stopped, and a person must act",
    5: "refused its input. Nothing was sent",
    6: "stopped where it was told to",
    66: "found no input",
    69: "gave up for now: the platform is not available",
    70: "broke off by a bug of batchpost",
    75: "did not start: another run is under way",
    130: "was stopped by SIGINT",
    143: "was stopped by SIGTERM",
}
"""What every exit code means, after the job's name."""

_NO_FAILURE = (0, 6, 75)
_SEEN = (2, 5, 66, 130)  # no failure where a person reads it: nothing was sent, or that person stopped it
_THROUGH = (0, 1, 3)  # went through its input
# What chat tools read as a link, or as the name of somebody to wake.
_MARKUP = str.maketrans({"<": "\u2039", ">": "\u203a", "@": "\uff20"})


@dataclass(frozen=True, slots=True)
class Told:
    """What is remembered of a job: the failures told since it last ended well, by what they were (when, in Unix
    seconds), the exit code of the last of them, and when a run last went through its input."""

    failures: Mapping[str, float] = field(default_factory=dict)
    exit_code: int = 0
    through: float = 0.0

    @property
    def at(self) -> float:
        """When the last failure was told."""
        return max(self.failures.values(), default=0.0)


def event_of(ending: Ending, told: Told) -> Event:
    """What an end is: a failure, the recovery from one that was told, or neither."""
    if _is_failure(ending, told):
        return "failure"
    return "recovery" if ending.exit_code == 0 and told.failures else "finished"


def _is_failure(ending: Ending, told: Told) -> bool:
    code = ending.exit_code
    if code in _NO_FAILURE or (ending.attended and code in _SEEN):
        return False
    return code != 66 or ending.ended - told.through > FRESH


def _is_wanted(event: Event, ending: Ending) -> bool:
    """Whether ``[notify] on`` asks for it."""
    on = ending.job.notify.on
    return on == "always" or event in on


def _is_due(event: Event, ending: Ending, told: Told) -> bool:
    """Whether to tell it now: a failure not again and again, unless everything is to be told."""
    known = event == "failure" and _identity(ending) in _lately(told, ending.ended)
    return _is_wanted(event, ending) and (not known or ending.job.notify.on == "always")


def _afterwards(event: Event, ending: Ending, told: Told) -> Told:
    """What is to be remembered once it was told, or nobody wanted to be told."""
    if event == "recovery":
        return replace(told, failures={}, exit_code=0)
    if event == "finished":
        return told
    failures = {**_lately(told, ending.ended), _identity(ending): ending.ended}
    return replace(told, failures=failures, exit_code=ending.exit_code)


def _lately(told: Told, now: float) -> dict[str, float]:
    """The failures that need not be told again yet. One that was told in the future was told by another clock."""
    return {what: at for what, at in told.failures.items() if 0 <= now - at < AGAIN}


def _identity(ending: Ending) -> str:
    """What makes two failures the same: of finished runs the troubles of the same input, of others where they stopped,
    numbers and ids aside. A digest, since there is nothing in it to read."""
    summary = ending.summary
    parts: list[Any] = [ending.exit_code]
    if summary.get("state") == "finished":
        parts += [sorted(file.get("sha256", "") for file in summary.get("source", ()))]
        parts += [[summary["rows"].get(outcome, 0) for outcome in (*TROUBLE, Outcome.UNKNOWN)], summary.get("expected")]
    else:
        parts += [summary.get("stopped_by") or re.sub(r"\S*\d\S*", "#", ending.message)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def message_of(ending: Ending, event: Event, told: Told, host: str) -> dict[str, Any]:
    """The JSON message: ``text`` for chat tools, and the same as fields."""
    summary = ending.summary
    return {
        "text": _text(ending, event, told, host),
        "event": event,
        "job": ending.job.name,
        "run_id": summary.get("run_id"),
        "test": ending.is_test,
        "exit_code": ending.exit_code,
        "state": summary.get("state"),
        "stopped_by": summary.get("stopped_by"),
        "message": _message(ending),
        "rows": summary.get("rows", {}),
        "money": summary.get("money", {}),
        "reasons": summary.get("reasons", {}),
        "next": one_line(ending.next),
        "started_at": summary.get("started_at") or instant(ending.began),
        "finished_at": summary.get("finished_at") or instant(ending.ended),
        "duration_s": summary.get("duration_s", round(ending.ended - ending.began, 3)),
        "host": host,
    }


def _message(ending: Ending) -> str:
    """What stopped it, or what of ``[expect]`` did not hold, in one line."""
    text = ending.message or "; ".join(ending.summary.get("expected", ()))
    text = one_line("; ".join(text.splitlines()))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _text(ending: Ending, event: Event, told: Told, host: str) -> str:
    """Up to four plain lines: how it ended, why, the books, what is left to type."""
    test = " (a test)" if ending.is_test else ""
    after = f" after exit code {told.exit_code} ({moment(instant(told.at))})" if event == "recovery" else ""
    how = ENDS.get(ending.exit_code, "ended")
    head = f"{ending.job.name}{test} {how}{after}. Exit code {ending.exit_code}, on {host}"
    lines = (head, _message(ending), _books(ending.summary), _left(ending, event))
    return "\n".join(one_line(line).translate(_MARKUP) for line in lines if line)


def _left(ending: Ending, event: Event) -> str:
    """The next command after a failure; else the rows of earlier runs that still wait for somebody."""
    if event == "failure":
        return f"Next: {ending.next}" if ending.next else ""
    waiting = ending.summary.get("outstanding") or {}
    runs = (f"batchpost resolve {run_id}" for run_id in waiting)
    rows = counted(sum(waiting.values()), "row")
    return f"{rows} of earlier runs without a known end: {', '.join(runs)}" if waiting else ""


def _books(summary: Mapping[str, Any]) -> str:
    """``1,204 rows: 1,199 delivered (213,905.00), 5 rejected (405.50); 3 lead_not_found, 2 refused``."""
    rows, money, reasons = (summary.get(name) or {} for name in ("rows", "money", "reasons"))
    if not rows.get("read"):
        return ""
    parts = [_part(outcome, rows[outcome], money) for outcome in Outcome if rows.get(outcome)]
    troubles = sorted(((count, name) for name, count in reasons.items() if name not in UNTROUBLED), reverse=True)
    named = ", ".join(f"{count:,} {name}" for count, name in troubles[:5] if count)
    return f"{counted(rows['read'], 'row')}: {', '.join(parts)}{f'; {named}' if named else ''}"


def _part(outcome: Outcome, rows: int, money: Mapping[str, Mapping[str, str]]) -> str:
    """Rows of one outcome, with their money where there is some."""
    sums = {name: totals.get(outcome, "") for name, totals in money.items()}
    told = [(name, amount_text(total)) for name, total in sums.items() if total.strip("0.")]
    named = ", ".join(amount if len(money) == 1 else f"{name} {amount}" for name, amount in told)
    return f"{rows:,} {outcome.replace('_', ' ')}{f' ({named})' if named else ''}"


@dataclass(frozen=True, slots=True)
class Notifier:
    """Tells one job's webhook what ``[notify] on`` asks for. ``memory`` is the file of what was told, None
    where the ledger that it lies beside is not known."""

    webhook: Webhook
    memory: Path | None
    host: Callable[[], str] = socket.gethostname

    def tell(self, ending: Ending) -> tuple[Event | None, str]:
        """Tell an end if it is one to tell; returns what was told (None: nothing) and what went wrong (empty:
        nothing). What could not be told is told after the next run, if it is still so. Raises OSError where what was
        told cannot be remembered."""
        told = recall(self.memory)
        event, after, fault = event_of(ending, told), told, ""
        is_due = _is_due(event, ending, told)
        if is_due:
            message = message_of(ending, event, told, self.host())
            fault = self.webhook.post(self._encoded(message), HURRIED if ending.interrupted else WITHIN)
        if not fault and (is_due or not _is_wanted(event, ending)):
            after = _afterwards(event, ending, told)
        if ending.exit_code in _THROUGH:
            after = replace(after, through=ending.ended)
        if after != told and self.memory is not None:
            remember(self.memory, after)
        why = f"{self.webhook.reference} could not be told: {fault}" if fault else ""
        return (event if is_due and not fault else None), why

    def _encoded(self, message: Mapping[str, Any]) -> bytes:
        """Google Chat refuses every field that it does not know."""
        alone = self.webhook.host == "chat.googleapis.com"
        return json.dumps({"text": message["text"]} if alone else message, ensure_ascii=False).encode()


def recall(memory: Path | None) -> Told:
    """What was told before; nothing where there is no file that says so."""
    if memory is None:
        return Told()
    try:
        found = json.loads(memory.read_text())
        failures = {str(what): float(at) for what, at in found["failures"].items()}
        return Told(failures, int(found["exit_code"]), float(found["through"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Told()


def remember(memory: Path, told: Told) -> None:
    """Keep what was told, in a private file; raises OSError."""
    private_folder(memory.parent, own=1)
    kept = {"failures": dict(told.failures), "exit_code": told.exit_code, "through": told.through}
    with replaced(memory) as file:
        file.write(json.dumps(kept).encode() + b"\n")
