"""A small chart as SVG: one line a panel over a logarithmic number of rows, from zero. No more than the page needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

__all__ = ["Panel", "nice_top", "svg"]

WIDTH, HEIGHT = 400, 260  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 66, 44, 40, 42
LINE, GRID, INK = "#1f6feb", "#d0d7de", "#24292f"
STEPS = 4  # lines of the grid above zero


class Panel(NamedTuple):
    """One chart: its title, and ``(rows, value)`` with rows above zero, in order."""

    title: str
    points: Sequence[tuple[float, float]]


def svg(panels: Sequence[Panel]) -> str:
    """The panels side by side, as the text of an SVG file."""
    width = WIDTH * len(panels)
    root = ET.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {HEIGHT}", width=str(width), height=str(HEIGHT)
    )
    ET.SubElement(root, "rect", width=str(width), height=str(HEIGHT), fill="#ffffff")
    for number, panel in enumerate(panels):
        group = ET.SubElement(
            root, "g", {"transform": f"translate({number * WIDTH} 0)", "font-family": "sans-serif", "font-size": "12"}
        )
        _draw(group, panel)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def nice_top(value: float) -> float:
    """The next of 1, 2, 4, 8 or 10 times a power of ten that is not below ``value``."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * 0.999_999)


def _draw(group: ET.Element, panel: Panel) -> None:
    top = nice_top(max(value for _, value in panel.points))
    first, last = math.log10(panel.points[0][0]), math.log10(panel.points[-1][0])

    def across(rows: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(rows) - first) / ((last - first) or 1)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    _text(group, WIDTH / 2, 22, panel.title, "middle")
    for step in range(STEPS + 1):
        value = top * step / STEPS
        ends = {"x1": str(LEFT), "x2": str(WIDTH - RIGHT), "y1": f"{up(value):.1f}", "y2": f"{up(value):.1f}"}
        ET.SubElement(group, "line", {**ends, "stroke": GRID})
        _text(group, LEFT - 8, up(value) + 4, f"{value:,.0f}", "end")
    corners = " ".join(f"{across(rows):.1f},{up(value):.1f}" for rows, value in panel.points)
    ET.SubElement(group, "polyline", {"points": corners, "fill": "none", "stroke": LINE, "stroke-width": "2"})
    for number, (rows, value) in enumerate(panel.points):
        ET.SubElement(group, "circle", cx=f"{across(rows):.1f}", cy=f"{up(value):.1f}", r="3.5", fill=LINE)
        beside = 8 if number == 0 else 0  # not over the axis
        _text(group, across(rows) + beside, up(value) - 9, f"{value:,.0f}", "middle" if number else "start")
        _text(group, across(rows), HEIGHT - BOTTOM + 18, f"{rows:,.0f}", "middle")
    _text(group, WIDTH / 2, HEIGHT - 8, "rows", "middle")


def _text(group: ET.Element, x: float, y: float, text: str, anchor: str) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "fill": INK}
    ET.SubElement(group, "text", place).text = text
