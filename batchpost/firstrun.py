"""The first run of a job that updates many leads: somebody must have meant it, as an update may sell a lead twice."""

from __future__ import annotations

from pathlib import Path

from batchpost.errors import UsageError
from batchpost.places import read_summary
from batchpost.prepare import Prepared

__all__ = ["MANY", "is_first", "question", "refusal"]

MANY = 1_000  # updates that are few enough to need no word

_RISK = (
    "The platform evaluates a lead again when it is updated; by the campaign's settings it may then offer the lead to "
    "buyers once more (re-distribution)"
)


def is_first(prepared: Prepared) -> bool:
    """Whether more than :data:`MANY` leads are to be updated by a job that has sent nothing before. A run against this
    machine is none: nothing can be re-distributed there."""
    if prepared.job.spec.is_event or prepared.at.test or prepared.continued or prepared.plan.to_send <= MANY:
        return False
    return not any(
        _has_sent(Path(record.results) / record.run_id) for record in prepared.ledger.runs(prepared.job.name)
    )


def _has_sent(results: Path) -> bool:
    """Whether a run of the register sent anything. Of one whose summary is gone that is taken for granted: it was only
    entered once somebody had said yes."""
    summary = read_summary(results)
    return summary is None or bool(summary.get("requests", {}).get("sent"))


def question(prepared: Prepared) -> str:
    """What a person is asked."""
    job = prepared.job.name
    return f"This is the first run of {job}, and it updates {prepared.plan.to_send:,} leads. {_RISK}. Send them?"


def refusal(prepared: Prepared) -> UsageError:
    """What is raised where nobody can be asked and nobody has said ``--yes``."""
    return UsageError(
        f"This is the first run of {prepared.job.name}, it would update {prepared.plan.to_send:,} leads, and there is "
        f"nobody to ask. {_RISK}. If that is meant, say so once with --yes",
        then="{run} --yes",
    )
