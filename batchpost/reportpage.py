"""``report.html``: what a report says, as a page that needs neither script nor network; and ``job.toml`` beside it, the
job as it was run.

Everything in it is escaped; what a server, a file or a job says has no control characters left.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from batchpost.address import shown
from batchpost.charts import can_draw, latency_chart, rate_chart
from batchpost.errors import UsageError
from batchpost.export import outcomes_frame
from batchpost.files import replaced
from batchpost.jobview import show_job
from batchpost.layout import amount_text, counted, moment, short_command, span
from batchpost.model import Outcome
from batchpost.noteworthy import Noteworthy, read_noteworthy
from batchpost.output import plain_text
from batchpost.report import Report, report_of
from batchpost.summary import plain
from batchpost.version import __version__

if TYPE_CHECKING:
    from batchpost.job import Job

__all__ = ["JOB", "REPORT", "job_as_run", "kept_job", "leave_report", "page_of", "rendered", "write_page"]

REPORT, JOB = "report.html", "job.toml"
_LONGEST = 300  # characters of a server's word
_NOTHING = "\u2013"

# Told apart by shape, not by colour alone.
_MARKS = {
    Outcome.DELIVERED: ("●", "good"),
    Outcome.ALREADY_DELIVERED: ("◐", "good"),
    Outcome.SKIPPED: ("○", "soft"),
    Outcome.INVALID: ("▲", "bad"),
    Outcome.REJECTED: ("✕", "bad"),
    Outcome.FAILED: ("■", "bad"),
    Outcome.UNKNOWN: ("?", "unsure"),
    Outcome.NOT_ATTEMPTED: ("◇", "unsure"),
}


class _Figure(NamedTuple):
    name: str
    value: str
    note: str = ""


# -- files -----------------------------------------------------------------------------------------------------------


def leave_report(folder: Path, summary: Mapping[str, Any], job: Job) -> Path:
    """Write the page of a run that just ended into its results, with the job as it was run; returns its path.

    Raises OSError.
    """
    text = job_as_run(job)
    with replaced(folder / JOB) as file:
        file.write(text.encode())
    page = page_of(folder, summary, job_text=text, workspace=job.workspace, made=str(summary.get("finished_at") or ""))
    return write_page(folder / REPORT, page)


def write_page(path: Path, page: str) -> Path:
    """Put a page in place, whole and for its owner alone; raises OSError."""
    with replaced(path) as file:
        file.write(page.encode())
    return path


def job_as_run(job: Job) -> str:
    """The job as TOML with its defaults, secrets as references, addresses without what may not be shown."""
    path = job.source.path
    source = job.source.model_copy(update={"path": shown(path) if isinstance(path, str) else [*map(shown, path)]})
    ledger = job.ledger.model_copy(update={"url": shown(job.ledger.url)})
    proxy = None if job.api.proxy is None else shown(job.api.proxy)
    api = job.api.model_copy(update={"proxy": proxy})
    return show_job(job.model_copy(update={"source": source, "ledger": ledger, "api": api}))


def kept_job(folder: Path) -> str:
    """The job that a run left in its results; empty where there is none that can be read."""
    try:
        text = (folder / JOB).read_text(encoding="utf-8")
        tomllib.loads(text)
    except (OSError, ValueError):
        return ""
    return text


# -- the page --------------------------------------------------------------------------------------------------------


def page_of(
    folder: Path,
    summary: Mapping[str, Any],
    *,
    job_text: str = "",
    notes: Sequence[str] = (),
    workspace: Path | None = None,
    made: str = "",
) -> str:
    """The page of a run, from its summary and the outcomes in its results; ``made`` is a moment in ISO 8601."""
    noted, missing = _noted(folder, summary)
    report = report_of(summary, noted, missing=missing, job_text=job_text, notes=notes)
    return rendered(report, workspace=workspace, made=made)


def _noted(folder: Path, summary: Mapping[str, Any]) -> tuple[Noteworthy | None, str]:
    """What is worth showing of the outcomes; or why nothing is."""
    try:
        return read_noteworthy(outcomes_frame(folder)), ""
    except UsageError:
        if summary.get("state") == "running":
            return None, "Single rows are shown when the run has ended"
        return None, "There are no outcomes of this run (any more), so that no single rows can be shown"
    except pl.exceptions.PolarsError:
        return None, "The outcomes of this run cannot be read as they were written, so that no single rows can be shown"


def rendered(
    report: Report, *, workspace: Path | None = None, made: str = "", draws: Callable[[], bool] = can_draw
) -> str:
    """A report as HTML; ``draws`` says whether there can be charts."""
    environment = Environment(
        loader=PackageLoader("batchpost"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_cleaned,
    )
    environment.filters.update(_filters(workspace, report.timeline))
    return environment.get_template("report.html").render(
        report=report,
        charts=_charts(report) if report.timeline and draws() else None,
        figures=list(_figures(report.summary)),
        parts=list(_parts(report)),
        marks=_MARKS,
        workspace=None if workspace is None else str(workspace),
        made=moment(made or None),
        version=__version__,
    )


def _cleaned(value: Any) -> Any:
    return plain_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _in_words(command: str) -> Markup:
    """A command whose options are not broken at their dashes."""
    words = (Markup('<span class="word">{}</span>').format(plain_text(word)) for word in command.split(" "))
    return Markup(" ").join(words)


def _charts(report: Report) -> dict[str, Markup]:
    target = (report.summary.get("rate") or {}).get("target")
    # Made by charts.py of numbers alone, and escaped by its XML library.
    return {
        "rate": Markup(rate_chart(report.timeline, target)),  # noqa: S704
        "latency": Markup(latency_chart(report.timeline)),  # noqa: S704
    }


def _figures(summary: Mapping[str, Any]) -> Iterator[_Figure]:
    rows, requests, rate, latency = (summary.get(name) or {} for name in ("rows", "requests", "rate", "latency_ms"))
    if rows:
        yield _Figure("rows read", f"{rows.get('read', 0):,}", f"{rows.get('skipped', 0):,} skipped on purpose")
    if "duration_s" in summary:
        yield _Figure("time", span(summary["duration_s"]), f"from {moment(summary.get('started_at'))}")
    if requests:
        yield _Figure("requests", f"{requests.get('sent', 0):,}", f"{requests.get('retried', 0):,} of them retries")
    if requests.get("sent") and "mean" in rate:
        note = f"at most {rate.get('peak', 0):,} in a second, {rate.get('target', 0):,g} allowed"
        yield _Figure("requests a second", f"{rate['mean']:,.1f}", note)
    if "p95" in latency:
        yield _Figure(
            "95 of 100 within", f"{latency['p95']:,g} ms", f"half of them within {latency.get('p50', 0):,g} ms"
        )


def _parts(report: Report) -> Iterator[tuple[str, str]]:
    if report.books:
        yield "books", "Books"
    if report.summary.get("source"):
        yield "input", "Input"
    if report.troubles or report.missing:
        yield "troubles", "What needs a look" if report.troubles else "Single rows"
    if (report.summary.get("requests") or {}).get("sent"):
        yield from (("time", "Over time"), ("requests", "Requests"))
    if report.noted and report.noted.slowest:
        yield "slowest", "Slowest rows"
    yield from (("job", "Job"), ("commands", "Commands"))


def _filters(workspace: Path | None, timeline: Mapping[str, Any]) -> dict[str, Callable[[Any], str]]:
    seconds = timeline["step"] * len(timeline["requests"]) if timeline else 0
    shape = "%Y-%m-%d %H:%M" if seconds > 86_400 else "%H:%M:%S"
    return {
        "amount": amount_text,
        "decimal": lambda amount: amount_text(plain(Decimal(amount))),
        "count": lambda count: _NOTHING if count is None else f"{count:,}",
        "rows": lambda count: counted(count, "row"),
        "ms": lambda value: _NOTHING if value is None else f"{value:,.1f}",
        "words": lambda code: str(code).replace("_", " "),
        "place": shown,
        "span": span,
        "cut": lambda text: text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…",
        "clock": lambda moment: datetime.fromtimestamp(moment, UTC).strftime(shape),
        "command": lambda command: _in_words(command if workspace is None else short_command(command, workspace)),
    }
