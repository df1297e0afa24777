"""The rules of what a job expects: ranges, reasons that exist, limits that are counts or shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from batchpost.expectation import range_of, share_of
from batchpost.job import Job
from batchpost.jobtext import Finding, did_you_mean
from batchpost.reasons import BY_OUTCOME, REASONS, TOLERABLE
from batchpost.toml_lines import Place

__all__ = ["expect_findings", "limit_findings"]

_FROM_SENDING = frozenset(
    reason for group in ("delivered", "rejected", "failed or unknown") for reason in BY_OUTCOME[group]
)
_CONFIRMED = frozenset({"confirmed_duplicate", "foreign_duplicate"})


def expect_findings(job: Job) -> Iterator[Finding]:
    """Mistakes in ``[expect]``, and in what stops a run by the way its rows end."""
    yield from _ranges(job)
    yield from _reasons(("expect", "reasons"), job.expect.reasons, TOLERABLE, "is no reason that can be tolerated")
    stops = _FROM_SENDING | _CONFIRMED
    yield from _reasons(
        ("delivery", "stop_when"), job.delivery.stop_when, stops, "is no reason that sending can end with"
    )
    yield from limit_findings(("delivery", "max_failures"), job.delivery.max_failures)


def limit_findings(place: Place, limit: int | str) -> Iterator[Finding]:
    """What is wrong with a count of rows or a share of them."""
    if limit < 0 if isinstance(limit, int) else share_of(limit) is None:
        yield Finding(place, "must be a count of rows or a share", 'write a whole number, or one like "5%"')


def _ranges(job: Job) -> Iterator[Finding]:
    for name, example in (("rows", "1000..6000"), ("revenue", "50000..400000"), ("amount", "50000..400000")):
        given = getattr(job.expect, name)
        if given is None:
            continue
        place = ("expect", name)
        found = range_of(given)
        if found is None or (name == "rows" and any(bound and bound % 1 for bound in found)):
            yield Finding(place, "is no number and no range", f'write one like "{example}", "1000.." or "..6000"')
        if name in job.spec.money and name not in job.fields:
            hint = f"map [fields] {name}, or remove it"
            yield Finding(place, f"expects the sum of a field that the job does not send: {name}", hint, absent=True)


def _reasons(place: Place, limits: Mapping[str, int | str], known: frozenset[str], complaint: str) -> Iterator[Finding]:
    for reason, limit in limits.items():
        if reason not in known:
            near = did_you_mean(reason, known)
            means = f": {REASONS[reason]}" if reason in REASONS and not near else ""
            yield Finding((*place, reason), f"{complaint}{means}", near or "docs/reference/outcomes.md lists them")
        yield from limit_findings((*place, reason), limit)
