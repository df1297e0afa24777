"""What a person sees while a run goes: the bar with its facts, why it waits and for how long, what else it is at. Pure:
lines for a terminal of so many columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import NamedTuple

from batchpost.layout import counted, span
from batchpost.output import Line, wrapped
from batchpost.pulse import Pulse

__all__ = ["ASCII", "UNICODE", "Signs", "doing_lines", "pause_text", "sending_lines"]

_LONGEST = 40  # columns of the bar
_SHORTEST = 5
_SHORT = 0.5  # seconds of a pause that need no word


class Signs(NamedTuple):
    """The characters of a bar, between facts, and of what turns."""

    done: str
    left: str
    between: str
    turns: str


UNICODE = Signs("━", "┈", " · ", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
ASCII = Signs("#", "-", ", ", "|/-\\")


def sending_lines(
    outcomes: Mapping[str, int], pulse: Pulse, *, asked: float, left: float | None, width: int, signs: Signs = UNICODE
) -> list[Line]:
    """The bar, why nothing starts if that is so, and the facts, each line within ``width`` columns.

    ``outcomes`` are settled rows by outcome, ``asked`` is the job's rate, ``left`` the seconds that the rest takes
    (None where that cannot be said).
    """
    pause = pause_text(pulse)
    lines = [_bar(pulse, None if pause else left, width, signs)]
    if pause:
        lines += wrapped(Line(pause, "trouble"), width)
    return [*lines, *(Line(text) for text in _packed([*_facts(outcomes, pulse, asked)], width, signs.between))]


def doing_lines(what: str, rows: int, seconds: float, *, width: int, signs: Signs = UNICODE) -> list[Line]:
    """What a run is at besides sending, for so many seconds now, and the rows of it that are done."""
    turned = signs.turns[int(seconds * 4) % len(signs.turns)]
    done = f": {counted(rows, 'row')}" if rows else ""
    took = f"  {span(int(seconds))}" if seconds >= 1 else ""
    room = max(10, width - len(turned) - 1 - len(done) - len(took))
    return [Line(f"{turned} {_cut(what, room)}{done}{took}")]


def pause_text(pulse: Pulse) -> str:
    """Why nothing new starts, and for how long still; empty where something may, or will in a moment."""
    for_now = span(ceil(pulse.paused_for))
    match pulse.paused_why:
        case "retry_after" if pulse.paused_for >= _SHORT:
            return f"Paused: the platform asks to wait (Retry-After), {for_now} more"
        case "rate_limited" if pulse.paused_for >= _SHORT:
            return f"Paused: the platform asks to slow down (429), {for_now} more"
        case "circuit":
            due = "a try is under way" if pulse.in_flight else "the next try is due"
            trial = f"the next try in {for_now}" if pulse.paused_for else due
            return f"Paused: the platform has served nothing for {span(pulse.down_for)}; {trial}"
        case "backoff" if pulse.paused_for >= _SHORT:
            return f"Waiting: the rows left have failed before, the next try in {for_now}"
        case "stopping" if pulse.in_flight:
            drain = f", {for_now} at most" if pulse.paused_for else ""
            return f"Stopping: waits for the replies to {counted(pulse.in_flight, 'request')} in flight{drain}"
        case _:
            return ""


def _bar(pulse: Pulse, left: float | None, width: int, signs: Signs) -> Line:
    total = max(1, pulse.to_send)
    done = min(pulse.settled, total) / total
    told = f"{int(100 * done)} %"
    if left is not None:
        told += f"  {span(ceil(left))} left"
    room = min(_LONGEST, width - len(told) - 2)
    if room < _SHORTEST:
        return Line(told[:width])
    full = int(room * done)
    return Line(f"{signs.done * full}{signs.left * (room - full)}  {told}")


def _facts(outcomes: Mapping[str, int], pulse: Pulse, asked: float) -> Iterator[str]:
    yield f"{min(pulse.settled, pulse.to_send):,} of {pulse.to_send:,}"
    slowed = f" (of {_rate(asked)} asked for)" if pulse.rate_allowed < asked else ""
    yield f"{_rate(pulse.rate_now)}/s of {_rate(pulse.rate_allowed)} allowed{slowed}"
    yield f"{pulse.in_flight:,} of {pulse.in_flight_allowed:,} in flight"
    if pulse.retried:
        yield "1 retry" if pulse.retried == 1 else f"{pulse.retried:,} retries"
    for outcome, rows in outcomes.items():
        yield f"{rows:,} {outcome.replace('_', ' ')}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}".removesuffix(".0")


def _packed(facts: Sequence[str], width: int, between: str) -> Iterator[str]:
    """The facts on as few lines as they fit on."""
    line = ""
    for fact in facts:
        longer = f"{line}{between}{fact}" if line else fact
        if line and len(longer) > width:
            yield line
            longer = fact
        line = longer[:width]
    if line:
        yield line


def _cut(text: str, width: int) -> str:
    """The end of a text, which is what tells one file from another."""
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"
