"""``report.html`` as a browser sees it: nothing fetched, nothing complained of, and readable by everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from batchpost.reportpage import page_of, write_page
from tests.chromium import Browser, Tab, browser, found
from tests.reports import entry, summary, write_outcomes

pytestmark = pytest.mark.skipif(found() is None, reason="Chromium is not installed (Debian: apt-get install chromium)")

WIDTHS = (1_200, 390)
PLACES = [(width, dark) for width in WIDTHS for dark in (False, True)]

UNFOLD = "document.querySelectorAll('details').forEach(details => details.open = true)"

# Every text that is seen, with how much it stands out of what is behind it (WCAG 2.2, 1.4.3).
CONTRAST = """(() => {
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(element).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), told = [];
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest('title, desc')) continue;
    const style = getComputedStyle(element), inside = element.closest('svg');
    const [front, back] = [light(parts(inside ? style.fill : style.color)), light(behind(inside || element))];
    told.push([text.slice(0, 40), (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05)]);
  }
  return told;
})()"""

# What sticks out of the page to the right, or must be pushed aside to be read; the job's own lines may.
OUTSIDE = """(() => [
  document.documentElement.scrollWidth - innerWidth,
  [...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth).length,
  [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth
    && !e.closest('pre, .tall, thead') && e.checkVisibility()).map(e => e.tagName + '.' + e.className)
])()"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(found() or "", tmp_path_factory.mktemp("profile")) as running:
        yield running


def made(folder: Path) -> Path:
    """A page with all its parts, long words and large sums."""
    lead = "txn_086d9444-484e-6508-2f00-8d162e7099e6"
    lost = {"outcome": "rejected", "reason": "lead_not_found", "http_status": 404, "transaction_id": lead}
    rows: list[dict[str, Any]] = [
        {"latency_ms": 40.5, "attempts": 2, "transaction_id": lead},
        lost | {"detail": "No lead found for the provided transaction_id in this organization", "latency_ms": 9.0},
        lost | {"detail": "x" * 200, "latency_ms": 12_345.6},
        {"outcome": "invalid", "reason": "not_a_number", "detail": "revenue: column 'Payout' is not a number"},
        {"outcome": "unknown", "reason": "timeout", "detail": "no reply within 30 s", "transaction_id": lead},
    ]
    large = {"read": "10998150.09", "delivered": "9457968.83", "unknown": "1240181.26", "skipped": "300000.00"}
    books = [
        entry("delivered", "conversion", 7_733_120, "9457968.83"),
        entry("already_delivered", "confirmed_duplicate", 57),
        entry("skipped", "filtered", 1_136, "300000.00"),
        entry("invalid", "not_a_number", 1),
        entry("rejected", "lead_not_found", 2),
        entry("unknown", "timeout", 1, "1240181.26"),
    ]
    counts: Counter[str] = Counter()
    for book in books:
        counts[book["outcome"]] += book["rows"]
    found = summary(
        test=True,
        books=books,
        money={"revenue": large},
        expected=["7 rows are meant to go out"],
        rows={"read": sum(counts.values()), **counts},
        next="batchpost run jobs/nightly.toml --source results/nightly/20261126T021500000-ab12/to_fix.csv",
    )
    job = '[source]\npath = "exports/conv-*.csv"   # ' + "a long remark " * 20
    write_outcomes(folder, rows)
    page = page_of(folder, found, job_text=job, notes=["Rows without a known end to this day: 1"], workspace=folder)
    return write_page(folder / "report.html", page)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module", params=PLACES, ids=[f"{width}-{'dark' if dark else 'light'}" for width, dark in PLACES])
def tab(request: pytest.FixtureRequest, chromium: Browser, path: Path) -> Tab:
    """The page with everything in it unfolded."""
    width, dark = request.param
    opened = chromium.open(path, width=width, dark=dark)
    opened.evaluate(UNFOLD)
    return opened


def test_nothing_is_fetched_and_nothing_is_complained_of(tab: Tab) -> None:
    asked = [event["request"]["url"] for event in tab.seen("Network.requestWillBeSent")]
    assert {url for url in asked if not url.startswith("data:")} == {tab.url}
    assert tab.seen("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded") == []


def test_every_text_stands_out_of_its_background(tab: Tab) -> None:
    told = tab.evaluate(CONTRAST)
    assert len(told) > 150
    assert [(text, round(ratio, 2)) for text, ratio in told if ratio < 4.5] == []


def test_the_colour_scheme_is_the_readers(chromium: Browser, path: Path) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = (chromium.open(path, width=1_200, dark=dark).evaluate(background) for dark in (False, True))
    assert (light, dark) == ("rgb(252, 252, 250)", "rgb(20, 23, 27)")


def test_nothing_sticks_out_of_the_page(tab: Tab) -> None:
    assert tab.evaluate(OUTSIDE) == [0, 0, []]


def test_whoever_hears_the_page_is_told_what_everything_is(tab: Tab) -> None:
    nodes = tab.nodes()
    roles = Counter(node["role"] for node in nodes)
    named = ("image", "table", "heading", "link", "columnheader", "region", "navigation", "DisclosureTriangle")
    assert [node for node in nodes if node["role"] in named and not node["name"].strip()] == []
    assert [node["name"] for node in nodes if node["role"] == "heading" and node.get("level") == 1] == [
        "No. 7,733,177 of 7,733,181 rows are in, 3 are not, of 1 it is not known."
    ]
    assert [node["name"] for node in nodes if node["role"] == "image"] == [
        "Rows: 7,733,177 in, 3 not in, 1 not known, 1,136 skipped on purpose",
        "Requests a second",
        "Latency in milliseconds",
    ]
    assert roles["table"] == tab.evaluate("document.querySelectorAll('table').length")
    assert roles["main"] == roles["navigation"] == 1
    assert roles["cell"] + roles["gridcell"] > 40, "tables are tables, also where they are shown as cards"


def test_headings_go_down_one_step_at_a_time(tab: Tab) -> None:
    levels = [int(node["level"]) for node in tab.nodes() if node["role"] == "heading"]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_page_works_with_scripts_switched_off(chromium: Browser, path: Path) -> None:
    tab = chromium.open(path, width=1_200, scripts=False)
    document = tab.call("DOM.getDocument", depth=0)["root"]["nodeId"]
    found = tab.call("DOM.querySelectorAll", nodeId=document, selector="svg.chart path")["nodeIds"]
    assert len(found) >= 4


def test_it_prints_on_white_and_with_the_job(chromium: Browser, path: Path) -> None:
    tab = chromium.open(path, width=1_200, dark=True)
    tab.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.evaluate("document.querySelector('details.job pre').checkVisibility({contentVisibilityAuto: true})")
    tab.evaluate(UNFOLD)
    faint = [(text, ratio) for text, ratio in tab.evaluate(CONTRAST) if ratio < 4.5]
    assert faint == []
