"""Charts of a run over time, as SVG to stand in a page: requests a second, and latencies.

They have classes and no colours, so that the page's style sheet decides how they look. Drawn by leather, which the
``report`` extra brings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any
from xml.etree import ElementTree as ET

__all__ = ["HEIGHT", "WIDTH", "Ticks", "can_draw", "latency_chart", "number_ticks", "rate_chart", "time_ticks"]

WIDTH, HEIGHT = 360, 190  # units of the drawing, which is as wide as its place in the page
_LEFT, _RIGHT, _TOP, _BOTTOM = 36, 24, 8, 22
_PERCENTILES = ("p50", "p95", "p99")
_WIDE = 25  # from this ratio of the largest to the smallest latency on, their scale is logarithmic
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
_BARE = ("fill", "stroke", "stroke-width", "font-family", "font-size")

Points = list[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Ticks:
    """Where an axis has its marks, each with its text; the scale ends at ``low`` and ``high``."""

    low: float
    high: float
    texts: Mapping[float, str]


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    points: Points


def can_draw() -> bool:
    """Whether the library that draws is installed."""
    return find_spec("leather") is not None


def rate_chart(timeline: Mapping[str, Any], target: float | None) -> str:
    """Requests a second in each bucket of a summary's ``timeline``; ``target`` is what was allowed, shown where it is
    near enough."""
    rates = [count / timeline["step"] for count in timeline["requests"]]
    peak = max(rates)
    times = time_ticks(timeline["began"], len(rates) * timeline["step"])
    lines = [_Line("rate", _area(rates, timeline["step"], 0))]
    allowed = ""
    if target and peak / 8 <= target <= peak * 2.5:
        lines.insert(0, _Line("target", [(0, target), (times.high, target)]))
        allowed = f"; {target:g} were allowed"
    top = max(peak, target) if target and allowed else peak
    about = f"Requests a second over time: at most {peak:,.1f}{allowed}."
    return _drawn("rate", "Requests a second", about, lines, times, number_ticks(top))


def latency_chart(timeline: Mapping[str, Any]) -> str:
    """Half of the attempts (p50), 95 and 99 of 100 were no slower: milliseconds in each bucket."""
    values = {name: timeline[name] for name in _PERCENTILES}
    known = [value for line in values.values() for value in line if value is not None]
    least, most = max(min(known, default=1.0), 0.01), max(known, default=1.0)
    is_wide = most / least >= _WIDE
    ticks = _log_ticks(least, most) if is_wide else number_ticks(most)
    scale: Callable[[float], float] = (lambda value: math.log10(max(value, 0.01))) if is_wide else float
    step = timeline["step"]
    scaled = {name: [None if value is None else scale(value) for value in line] for name, line in values.items()}
    areas = [_Line(name, _area(scaled[name], step, ticks.low)) for name in ("p99", "p95")]
    about = f"Latency over time in milliseconds{', on a logarithmic scale' if is_wide else ''}: p50, p95 and p99."
    times = time_ticks(timeline["began"], len(timeline["requests"]) * timeline["step"])
    lines = [*areas, _Line("p50", _steps(scaled["p50"], step))]
    return _drawn("latency", "Latency in milliseconds", about, lines, times, ticks)


def _steps(values: Sequence[float | None], step: int) -> Points:
    """Each bucket as a level from its beginning to its end, so that a single one is seen, too."""
    return [point for at, value in enumerate(values) for point in ((at * step, value), ((at + 1) * step, value))]


def _area(values: Sequence[float | None], step: int, floor: float) -> Points:
    """The same, with a way down to the floor at both ends of every stretch, so that it can be filled."""
    points: Points = []
    for at, value in enumerate(values):
        before, after = (values[index] if 0 <= index < len(values) else None for index in (at - 1, at + 1))
        if value is None:
            points.append((at * step, None))
            continue
        points += [(at * step, floor)] if before is None else []
        points += [(at * step, value), ((at + 1) * step, value)]
        points += [((at + 1) * step, floor)] if after is None else []
    return points


# -- scales ----------------------------------------------------------------------------------------------------------


def number_ticks(most: float) -> Ticks:
    """From 0 to at least ``most`` in steps of 1, 2 or 5 times a power of ten, four or fewer."""
    most = most if most > 0 else 1.0
    power = 10.0 ** math.floor(math.log10(most / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * 4 >= most)
    values = [step * count for count in range(math.ceil(most / step - 1e-9) + 1)]
    return Ticks(0, values[-1], {value: _short(value) for value in values})


def _log_ticks(least: float, most: float) -> Ticks:
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    every = max(1, math.ceil((high - low) / 4))
    return Ticks(low, high, {power: _short(10.0**power) for power in range(low, high + 1, every)})


def _short(value: float) -> str:
    for size, letter in ((1_000_000, "M"), (10_000, "k")):
        if value >= size:
            return f"{value / (1_000 if letter == 'k' else size):g}{letter}"
    return f"{value:,.10g}"


def time_ticks(began: int, seconds: int) -> Ticks:
    """Moments at which people look at a clock (UTC), five or fewer; places are seconds since ``began``."""
    days = max(1, math.ceil(seconds / 86_400 / 4))
    step = next((step for step in _TIMES if seconds / step <= 4), days * 86_400)
    first = math.ceil(began / step) * step
    moments = range(first, began + seconds + 1, step)
    shape = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%d %b"
    return Ticks(
        0, seconds, {moment - began: datetime.fromtimestamp(moment, UTC).strftime(shape) for moment in moments}
    )


# -- drawing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scale:
    """What leather asks of a scale. Its own ones end at ticks that they choose."""

    ticks: Ticks

    def project(self, value: float, start: float, end: float) -> float:
        """The place of a value between two ends, to a tenth of a unit."""
        share = (value - self.ticks.low) / (self.ticks.high - self.ticks.low)
        return round(start + share * (end - start), 1)


def _drawn(name: str, title: str, about: str, lines: Sequence[_Line], x: Ticks, y: Ticks) -> str:
    from leather import Axis, Line, Series

    size = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    across, up = _Scale(x), _Scale(y)
    svg = ET.Element("svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "class": f"chart {name}"})
    svg.set("aria-labelledby", f"{name}-title")
    svg.set("aria-describedby", f"{name}-about")
    ET.SubElement(svg, "title", {"id": f"{name}-title"}).text = title
    ET.SubElement(svg, "desc", {"id": f"{name}-about"}).text = about
    place = ET.SubElement(svg, "g", {"transform": f"translate({_LEFT} {_TOP})"})
    for scale, side in ((across, "bottom"), (up, "left")):
        place.append(Axis(list(scale.ticks.texts), _texts_of(scale.ticks)).to_svg(*size, scale, side))
    for line in lines:
        if any(value is not None for _, value in line.points):
            drawn = Line(stroke_color="currentColor").to_svg(*size, across, up, Series(line.points), None)
            drawn.set("class", f"line {line.name}")
            place.append(drawn)
    return ET.tostring(_bare(svg), encoding="unicode")


def _texts_of(ticks: Ticks) -> Callable[[float, int, int], str]:
    return lambda value, _index, _count: ticks.texts[value]


def _bare(svg: ET.Element) -> ET.Element:
    """Without the library's colours, widths and fonts."""
    for element in svg.iter():
        for name in _BARE:
            element.attrib.pop(name, None)
    return svg
