"""The rules of ``[notify]``: a webhook by reference, and something to tell it."""

from __future__ import annotations

from collections.abc import Iterator

from batchpost.job import Job
from batchpost.jobtext import Finding
from batchpost.secrets import is_reference

__all__ = ["notify_findings"]


def notify_findings(job: Job) -> Iterator[Finding]:
    """Mistakes of ``[notify]``. Defaults of a workspace may say when to tell, for those of its jobs that say whom."""
    webhook, when = job.notify.webhook, job.notify.on
    if webhook is not None and not is_reference(webhook):
        message = (
            "must be env:NAME, file:PATH or credential:NAME, never the address itself: whoever has it can post there"
        )
        yield Finding(("notify", "webhook"), message, "put the address into the environment and write env:ITS_NAME")
    if not when:
        yield Finding(("notify", "on"), "is empty, so nobody is ever told", 'write ["failure", "recovery"] or "always"')
    if webhook is None and "on" in job.notify.model_fields_set:
        message = "says when to tell, but not whom: webhook is missing"
        yield Finding(("notify",), message, 'write webhook = "env:ITS_NAME"', spare=True, absent=True)
