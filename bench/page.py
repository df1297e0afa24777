"""Writes docs/performance.md and its chart from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from bench.figures import Figure, Part
from bench.plot import Panel, svg
from bench.work import job_text

__all__ = ["ABOUT", "CHART", "chart", "number", "page", "table"]

CHART = "performance.svg"
HEAD = """# Performance

Written by `make bench` from [performance.json](performance.json), where every single run is. How to run it, or a part
of it: [benchmarks.md](benchmarks.md). Nothing here is a promise: every figure depends on the machine. A figure is the
median of its runs; what is compared was measured in turns, each once in every round. All requests stay on this machine.
What limits the figures that miss their aim: [decisions/sending.md](decisions/sending.md#what-is-missed-and-why).
"""
HOW = """## How each was measured

`$PORT` is a free port, and `leads.csv` what `python -m bench.rows leads.csv 1000000` makes. `job.toml` is this, or the
like of it for events and other limits, in a workspace that is new each time where nothing else is said:

```toml
{job}```
"""
ABOUT = {
    "start": "How long a person waits.",
    "throughput": """From the start of the process to its exit: reading, checking, ledger, journal, sending, results.
nginx (one worker, on the last core) answers 201 at once; 64 requests are in flight. The others only post: `hey` and
`wrk` one fixed body of like size, `curl` the same from a configuration file, and the loop the rows of the same CSV, by
`httpx.AsyncClient` and a semaphore. *Times* compares the two runs of the same round. The certificate for TLS is one of
its own; batchpost checks it, `hey` does not.""",
    "latency": """The server answers after 20 ms, so with 25 requests in flight 1,250 a second are possible. How late
it really answers counts against everybody, and is told.""",
    "rate": "The job's `rate` is what bounds the run. The server records when requests arrive.",
    "slowdown": """The job's `rate` is 1,000, the platform allows 200 a second, counted in one of four ways, and answers
429 to the others. Then a platform that takes 20 ms, 200 ms for ten seconds, and 20 ms again, with 25 requests in flight
at most. All is read from the server's record.""",
    "plan": """Sales are read, checked, mapped, hashed and compared; nothing is sent. The usual loop is what a script
does for each row: `csv.DictReader`, `Decimal`, `strptime`, `json.dumps`. Where the time of a plan goes:
[decisions/planning.md](decisions/planning.md).""",
    "growth": """The same job with more rows, from start to exit, nginx as under throughput; and new rows beside the
ledger that the biggest run has left. What takes ten million rows is run once.""",
    "resume": """A run that was stopped goes on, and inputs of which everything was delivered before are run again.
What takes long is run once or three times.""",
}


def page(parts: Mapping[str, Part]) -> str:
    """The whole page, the parts in the order of ``ABOUT``."""
    told = [parts[name] for name in ABOUT if name in parts]
    sections = [HEAD, *_machines(told), table(told), HOW.format(job=job_text("update-lead", "http://127.0.0.1:$PORT"))]
    for part in told:
        sections.append(f"### {part.name.capitalize()}\n\n{ABOUT[part.name]}")
        if part.points:
            sections.append(f"![Rows a second and memory by the number of rows]({CHART})")
        sections.append("```text\n" + "\n".join(_commands(part.figures)) + "\n```")
    return "\n\n".join(section.strip() for section in sections) + "\n"


def table(parts: Sequence[Part]) -> str:
    """All figures in one table, with their aims."""
    lines = ["| | median | lowest to highest | runs | aim | reached |", "|---|---|---|---|---|---|"]
    for part in parts:
        lines.append(f"| **{part.name}** | | | | | |")
        lines += [_line(figure) for figure in part.figures]
    return "\n".join(lines)


def chart(points: Sequence[Mapping[str, float]]) -> str:
    """Rows a second, and memory, by the number of rows."""
    return svg(
        [
            Panel("rows a second, start to exit", [(point["rows"], point["rate"]) for point in points]),
            Panel("megabytes resident at most", [(point["rows"], point["resident"]) for point in points]),
        ]
    )


def number(value: float) -> str:
    """Three digits that count, or all of them before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _line(figure: Figure) -> str:
    name = f"{figure.name} ({figure.about})" if figure.about else figure.name
    if not figure.values:
        return f"| {name} | | | 0 | {_aim(figure)} | |"
    span = f"{number(min(figure.values))} to {number(max(figure.values))}" if len(figure.values) > 1 else ""
    reached = {None: "", True: "yes", False: "**no**"}[figure.is_reached]
    cells = (name, f"{number(figure.value)} {figure.unit}", span, str(len(figure.values)), _aim(figure), reached)
    return f"| {' | '.join(cells)} |"


def _aim(figure: Figure) -> str:
    least = [] if figure.least is None else [f"≥ {figure.least:,g}"]
    most = [] if figure.most is None else [f"≤ {figure.most:,g}"]
    return ", ".join(least + most)


def _machines(parts: Sequence[Part]) -> Iterator[str]:
    """A line for all parts that were measured on one machine on one day."""
    for (measured, facts), group in groupby(parts, lambda part: (part.measured, tuple(part.machine.items()))):
        names = ", ".join(part.name + _doubt(part) for part in group)
        yield f"- {measured}, {', '.join(f'{name} {value}' for name, value in facts)}: {names}"


def _doubt(part: Part) -> str:
    return f" (while others used {part.others:.0%} of it: to be measured again)" if part.is_doubtful else ""


def _commands(figures: Sequence[Figure]) -> Iterator[str]:
    """The commands of all figures, each kind once, under the names of the figures."""
    for figure in figures:
        if figure.commands:
            yield f"# {figure.name}"
            yield from figure.commands
