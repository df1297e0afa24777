"""What a job's last runs were like, to see at a glance whether the next one is like them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from statistics import median
from typing import Any, NamedTuple

from batchpost.layout import amount_text, counted
from batchpost.model import Outcome
from batchpost.places import Places, summaries

__all__ = ["PastRun", "compared", "last_runs"]

_RUNS = 7  # a week of nights
_FAR = 2  # times as many, or as few, are told


class PastRun(NamedTuple):
    """A finished run: its id, when it began (ISO 8601, UTC), its rows meant to go out and their money by field."""

    run_id: str
    started_at: str
    rows: int
    money: Mapping[str, Decimal]


def last_runs(at: Places, inputs: Collection[str] = (), most: int = _RUNS) -> list[PastRun]:
    """A job's last finished runs over ordinary inputs other than those of these SHA-256, newest first."""
    return list(islice(_ordinary(at, inputs), most))


def _ordinary(at: Places, inputs: Collection[str]) -> Iterator[PastRun]:
    seen: set[tuple[str, ...]] = set()
    for summary in summaries(at.results, test=at.test):
        files = tuple(str(source.get("sha256")) for source in summary.get("source", ()))
        if summary.get("state") != "finished" or summary.get("mends") or files in seen or set(files) & set(inputs):
            continue
        seen.add(files)  # the same file again is no other night
        yield _past(summary)


def _past(summary: Mapping[str, Any]) -> PastRun:
    rows = summary.get("rows", {})
    money = {
        name: Decimal(totals.get("read", "0")) - Decimal(totals.get(Outcome.SKIPPED, "0"))
        for name, totals in summary.get("money", {}).items()
    }
    meant = rows.get("read", 0) - rows.get(Outcome.SKIPPED, 0)
    return PastRun(str(summary.get("run_id")), str(summary.get("started_at")), meant, money)


def compared(rows: int, money: Mapping[str, Decimal], before: Sequence[PastRun]) -> list[str]:
    """How an input with so many rows meant to go out, and so much money, stands beside the last runs; a line each for
    rows and money, none without a run before."""
    if not before:
        return []
    told = [_beside("rows", Decimal(rows), [Decimal(run.rows) for run in before])]
    for name, total in money.items():
        if earlier := [run.money[name] for run in before if name in run.money]:
            told.append(_beside(name, total, earlier))
    runs = counted(len(before), "run") if len(before) > 1 else "run"
    return [f"Beside the last {runs} of this job: {'; '.join(told)}"]


def _beside(what: str, now: Decimal, earlier: Sequence[Decimal]) -> str:
    low, usual, high = min(earlier), median(earlier), max(earlier)
    span = _text(what, low) if low == high else f"{_text(what, low)} to {_text(what, high)}"
    remark = ""
    if usual and now * _FAR < usual and now < low:
        remark = ", far fewer than usual" if what == "rows" else ", far less than usual"
    elif now > _FAR * usual and now > high:
        remark = ", far more than usual"
    return f"{_text(what, now)} {what}{remark} (before: {span})"


def _text(what: str, number: Decimal) -> str:
    return f"{number:,.0f}" if what == "rows" else amount_text(f"{number:.2f}")
