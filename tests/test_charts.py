from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from batchpost.charts import HEIGHT, WIDTH, Ticks, can_draw, latency_chart, number_ticks, rate_chart, time_ticks
from tests.reports import TIMELINE

BEGAN = 1_795_659_300  # 2026-11-26 02:15:00 UTC


def timeline(**changes: Any) -> dict[str, Any]:
    return {**TIMELINE, **changes}


def line(svg: str, name: str) -> list[list[tuple[float, float]]]:
    """The stretches of a line, each as its points."""
    paths = ET.fromstring(svg).findall(f".//g[@class='line {name}']/path")
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path.attrib["d"])] for path in paths]


def texts(svg: str, side: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(svg).findall(f".//g[@class='axis {side}']//text")]


def test_the_library_that_draws_is_there_in_tests() -> None:
    assert can_draw()


@pytest.mark.parametrize("svg", [rate_chart(TIMELINE, 50), latency_chart(TIMELINE)])
def test_a_chart_has_a_name_and_a_description_and_no_colours_of_its_own(svg: str) -> None:
    root = ET.fromstring(svg)
    named = {element.attrib["id"]: element.text for element in root if "id" in element.attrib}
    assert root.attrib["role"] == "img"
    assert root.attrib["viewBox"] == f"0 0 {WIDTH} {HEIGHT}"
    assert named[root.attrib["aria-labelledby"]]
    assert named[root.attrib["aria-describedby"]]
    drawn = {name for element in root.iter() for name in element.attrib}
    assert not drawn & {"fill", "stroke", "stroke-width", "font-family", "font-size", "style"}
    assert {element.tag for element in root.iter()} == {"svg", "title", "desc", "g", "line", "text", "path"}


def test_rates_are_levels_from_the_beginning_of_a_bucket_to_its_end_and_a_pause_is_zero() -> None:
    [points] = line(rate_chart(timeline(requests=[200, 240, 0, 130]), None), "rate")
    heights = {y for _, y in points}
    assert points[0][1] == points[-1][1] == max(heights), "closed at zero, so that it can be filled"
    assert [round(max(heights) - y) for _, y in points[1:-1:2]] == pytest.approx(
        [160 * rate / 60 for rate in (40, 48, 0, 26)], abs=1
    )
    assert [x for x, _ in points[1:-1:2]] == [0, 75, 150, 225], "four buckets in 300 units"


@pytest.mark.parametrize(
    ("target", "shown"), [(50, True), (48, True), (110, True), (500, False), (1, False), (None, False)]
)
def test_what_was_allowed_is_shown_where_it_is_near(target: float | None, shown: bool) -> None:
    svg = rate_chart(TIMELINE, target)
    assert bool(line(svg, "target")) == shown
    assert (f"{target} were allowed" in svg) == shown


def test_latencies_leave_a_gap_where_nothing_came_back() -> None:
    svg = latency_chart(TIMELINE)
    assert [len(stretch) for stretch in line(svg, "p50")] == [4, 2]
    for name in ("p95", "p99"):
        assert [len(stretch) for stretch in line(svg, name)] == [6, 4], "with a way down at both ends"
        assert {stretch[0][1] for stretch in line(svg, name)} == {160.0}


def test_a_single_bucket_is_seen() -> None:
    one = timeline(requests=[3], p50=[1.0], p95=[2.0], p99=[2.0])
    assert line(latency_chart(one), "p50") == [[(0.0, 80.0), (300.0, 80.0)]]
    assert len(line(rate_chart(one, None), "rate")[0]) == 4


def test_a_run_without_any_answer_has_a_chart_without_lines() -> None:
    none = [None] * 4
    svg = latency_chart(timeline(p50=none, p95=none, p99=none))
    assert [line(svg, name) for name in ("p50", "p95", "p99")] == [[], [], []]
    assert texts(svg, "bottom")


def test_latencies_far_apart_get_a_logarithmic_scale_and_it_is_told() -> None:
    near = latency_chart(timeline(p50=[10.0] * 4, p99=[200.0] * 4))
    far = latency_chart(timeline(p50=[10.0] * 4, p95=[90.0] * 4, p99=[4_000.0] * 4))
    assert "logarithmic" not in near
    assert "on a logarithmic scale" in far
    assert texts(far, "left") == ["10", "100", "1,000", "10k"]
    [ninety] = line(far, "p50")
    assert ninety[0][1] == 160.0


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (0, ["0", "0.5", "1"]),
        (0.3, ["0", "0.1", "0.2", "0.3"]),
        (4, ["0", "1", "2", "3", "4"]),
        (48, ["0", "20", "40", "60"]),
        (501, ["0", "200", "400", "600"]),
        (12_345, ["0", "5,000", "10k", "15k"]),
        (10_000_000, ["0", "5M", "10M"]),
    ],
)
def test_numbers_have_round_marks_up_to_the_largest(most: float, labels: list[str]) -> None:
    ticks = number_ticks(most)
    assert list(ticks.texts.values()) == labels
    assert ticks.high >= most
    assert ticks.low == 0


@pytest.mark.parametrize(
    ("began", "seconds", "labels"),
    [
        (BEGAN, 1, ["02:15:00", "02:15:01"]),
        (BEGAN + 3, 60, ["02:15:15", "02:15:30", "02:15:45", "02:16:00"]),
        (BEGAN, 3_600, ["02:15", "02:30", "02:45", "03:00", "03:15"]),
        (BEGAN, 86_400, ["06:00", "12:00", "18:00", "00:00"]),
        (BEGAN, 4 * 86_400, ["27 Nov", "28 Nov", "29 Nov", "30 Nov"]),
    ],
)
def test_time_has_marks_where_people_look_at_a_clock(began: int, seconds: int, labels: list[str]) -> None:
    ticks = time_ticks(began, seconds)
    assert list(ticks.texts.values()) == labels
    assert (ticks.low, ticks.high) == (0, seconds)


@pytest.mark.parametrize("seconds", [1, 2, 7, 59, 61, 599, 7_000, 90_000, 500_000, 5_000_000, 40_000_000])
def test_time_never_has_more_than_five_marks(seconds: int) -> None:
    ticks: Ticks = time_ticks(BEGAN + 17, seconds)
    assert 1 <= len(ticks.texts) <= 5
    assert all(0 <= place <= seconds for place in ticks.texts)
