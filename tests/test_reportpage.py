from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from batchpost.jobfile import load_job
from batchpost.noteworthy import NotedRow, Noteworthy
from batchpost.report import report_of
from batchpost.reportpage import job_as_run, kept_job, leave_report, page_of, rendered, write_page
from tests.jobtexts import job_text
from tests.reports import RUN_ID, TIMELINE, Page, entry, summary, write_outcomes

LOST = {"outcome": "rejected", "reason": "lead_not_found", "http_status": 404, "detail": "No lead", "latency_ms": 12.5}
BAD = {
    "outcome": "invalid",
    "reason": "not_a_number",
    "detail": "revenue: column 'Payout' is not a number",
    "attempts": 0,
}
DASH = "\u2013"  # where there is nothing to tell
SPITEFUL = (
    "<script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>\"'&\x1b[31m\u202e\x00\u2028<!--]]>"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_outcomes(tmp_path, [{"latency_ms": 40.5, "attempts": 2}, LOST, BAD])


def page(folder: Path, **changes: Any) -> Page:
    return Page(page_of(folder, summary(**changes), workspace=Path("/srv/uploads"), made="2026-11-26T02:16:00Z"))


def row_of(found: Page, *start: str) -> list[str]:
    """The cells of the first row of a table that begins so."""
    rows: list[list[str]] = []
    for element in found.elements:
        if element.tag == "tr":
            rows.append([])
        elif element.tag in ("td", "th"):
            rows[-1].append(" ".join(element.text.split()))
    return next(row for row in rows if row[: len(start)] == list(start))


# -- what it says ----------------------------------------------------------------------------------------------------


def test_the_answer_the_money_and_the_next_command_stand_at_the_top(folder: Path) -> None:
    found = page(folder)
    assert found.text("h1") == ["No. 7 of 9 rows are in, 2 are not."]
    assert found.text("title")[0] == f"No: nightly {RUN_ID}"
    assert "1,000.00 of 1,200.00 revenue is in, 200.00 is not." in found.text("p")
    [following] = found.text("div", class_="next")
    assert following == (
        f"Next batchpost retry {RUN_ID} In /srv/uploads. Safe to repeat: yes. What was delivered is not sent again."
    )
    assert found.all("div", class_="bar")[0].attributes["aria-label"] == "Rows: 7 in, 2 not in, 1 skipped on purpose"


def test_paths_of_commands_are_as_seen_from_the_workspace(folder: Path) -> None:
    found = page(folder, next="batchpost run /srv/uploads/jobs/nightly.toml --source '/srv/uploads/a b.csv'")
    assert found.text("div", class_="next")[0].startswith(
        "Next batchpost run jobs/nightly.toml --source 'a b.csv' In /srv/uploads."
    )


def test_the_books_are_there_to_the_cent(folder: Path) -> None:
    found = page(folder)
    assert row_of(found, "●delivered") == ["●delivered", "7", "1,000.00"]
    assert row_of(found, "lead_not_found the platform does not know the lead (yet)")[1:] == ["1", "200.00"]
    assert row_of(found, "read") == ["read", "10", "1,250.00"]


@pytest.mark.parametrize(
    ("theirs", "beside", "ours", "told"),
    [
        ("1250.00", "what was read", "1,250.00", "✓ agrees"),
        ("1250.01", "what was read", "1,250.00", "0.01 more"),
        ("1000.50", "the rows meant to go out", "1,200.00", "199.50 less"),
    ],
)
def test_the_buyers_total_stands_beside_what_it_comes_nearest_to(
    folder: Path, theirs: str, beside: str, ours: str, told: str
) -> None:
    source = summary()["source"][0] | {"totals": [{"line": 12, "row": 11, "money": {"revenue": theirs}}]}
    row = row_of(page(folder, source=[source]), "line 12")
    assert row[1:] == ["revenue", f"{float(theirs):,.2f}", beside, ours, told]


def test_attempts_statuses_and_latencies_have_their_tables(folder: Path) -> None:
    found = page(folder)
    assert row_of(found, "2", "1") == ["2", "1"]
    assert row_of(found, "400 Bad Request") == ["400 Bad Request", "1"]
    assert row_of(found, "99 of 100 (p99)") == ["99 of 100 (p99)", "88.0"]


def test_rows_with_a_trouble_are_shown_with_their_place_and_the_detail_once(folder: Path) -> None:
    found = page(folder)
    [bad, lost] = found.text("div", class_="trouble")
    assert bad.startswith("▲not_a_number invalid, 1 row not a number revenue: column 'Payout' is not a number The row.")
    assert lost.startswith("✕lead_not_found rejected, 1 row the platform does not know the lead (yet) No lead The row.")
    assert row_of(found, "2", "3", DASH, "404") == ["2", "3", DASH, "404"]


def test_details_that_differ_stand_in_their_rows(tmp_path: Path) -> None:
    rows = [LOST | {"detail": detail, "transaction_id": f"txn_{detail}"} for detail in ("one", "two")]
    found = page(write_outcomes(tmp_path, rows))
    assert row_of(found, "2", "3") == ["2", "3", "txn_two", "404", "two"]


def test_the_slowest_rows_are_listed(folder: Path) -> None:
    assert row_of(page(folder), "1", "2", DASH, "delivered") == ["1", "2", DASH, "delivered", "2", DASH, "40.5"]


def test_several_files_are_named_in_every_row(folder: Path) -> None:
    found = page(folder, source=[{"path": path, "rows": 5, "bytes": 9, "sha256": "00"} for path in ("a.csv", "b.csv")])
    assert row_of(found, "exports/conv.csv", "2")[:3] == ["exports/conv.csv", "2", "3"]


def test_charts_have_the_same_figures_beside_them(folder: Path) -> None:
    found = page(folder)
    assert [chart.attributes["role"] for chart in found.all("svg")] == ["img", "img"]
    assert row_of(found, "02:15:05") == ["02:15:05", "240", "48.0", "21.5", "44.0", "75.5"]
    assert row_of(found, "02:15:10") == ["02:15:10", "0", "0.0", DASH, DASH, DASH]


def test_without_the_drawing_library_the_figures_are_there_and_how_to_get_charts() -> None:
    found = Page(rendered(report_of(summary(), None), draws=lambda: False))
    assert found.all("svg") == []
    assert f"Charts: pip install 'batchpost[report]', then batchpost report {RUN_ID}." in found.text("p")
    assert row_of(found, "02:15:00")[1] == "200"


def test_a_test_says_so(folder: Path) -> None:
    assert page(folder).text("p", class_="test") == []
    assert page(folder, test=True).text("p", class_="test")[0].startswith("A test. The platform was this machine")


def test_what_was_expected_and_is_not_so_is_told(folder: Path) -> None:
    assert "10 rows are meant to go out." in page(folder, expected=["10 rows are meant to go out"]).text("li")


# -- runs with less to tell ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"state": "running", "next": ""}, "Wait: the run is under way."),
        ({"next": "", "rows": {"read": 3, "delivered": 3}, "exit_code": 0}, "Nothing is left to do."),
        ({"next": ""}, f"batchpost show {RUN_ID}"),
    ],
)
def test_without_a_next_command_it_says_what_else(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    assert page(tmp_path, **changes).text("div", class_="next") == [f"Next {told}"]


def test_a_run_that_died_early_has_a_page(tmp_path: Path) -> None:
    found = Page(page_of(tmp_path, {"run_id": RUN_ID, "job": "nightly", "state": "crashed"}))
    assert found.text("h1") == ["Not known. This run left no books: it ended before they were made."]
    assert found.faults == []
    assert "There are no outcomes of this run (any more), so that no single rows can be shown." in found.text("p")
    assert found.text("section", id="job")[0].startswith("The job as it was run It is not known any more")


def test_forgotten_outcomes_leave_the_books(tmp_path: Path) -> None:
    found = page(tmp_path)
    assert found.text("h1") == ["No. 7 of 9 rows are in, 2 are not."]
    assert [bool(found.all("section", id=name)) for name in ("books", "troubles", "slowest")] == [True, True, False]


def test_outcomes_that_somebody_changed_are_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text("source,row\na,1,2\n")
    assert any("cannot be read as they were written" in text for text in page(tmp_path).text("p"))


def test_a_run_that_sent_nothing_has_no_part_about_time(folder: Path) -> None:
    found = page(folder, timeline={}, requests={"sent": 0, "retried": 0}, http={}, latency_ms={})
    assert [found.all("section", id=name) for name in ("time", "requests")] == [[], []]


def test_an_older_run_without_a_timeline_has_the_rest(folder: Path) -> None:
    changed = {name: part for name, part in summary().items() if name not in ("timeline", "books", "expected")}
    found = Page(page_of(folder, changed))
    assert found.all("svg") == []
    assert row_of(found, "lead_not_found the platform does not know the lead (yet)")[1:] == ["1", DASH]


# -- what it must not do ---------------------------------------------------------------------------------------------


def spiteful() -> Page:
    """A page of a run in which everything that comes from elsewhere is an attack."""
    row = NotedRow(SPITEFUL, 1, 2, SPITEFUL, "rejected", "lead_not_found", SPITEFUL, 400, 1, 1.0)
    other = row._replace(detail=SPITEFUL + "2")
    found = summary(
        **dict.fromkeys(("job", "job_file", "route", "message"), SPITEFUL),
        money={SPITEFUL: {"read": "1.00", "delivered": "1.00"}},
        books=[entry("rejected", "lead_not_found", 2) | {"money": {SPITEFUL: "1.00"}}],
        rows={"read": 2, "rejected": 2},
        http={SPITEFUL: 2},
        expected=[SPITEFUL],
        next=f"batchpost run {SPITEFUL}",
        source=[
            {"path": SPITEFUL, "sha256": SPITEFUL, "rows": 1, "bytes": 1, "money": {SPITEFUL: "1.00"}}
            | {"totals": [{"line": 1, "row": 1, "money": {SPITEFUL: "1.00"}}]}
        ],
    )
    noted = Noteworthy(first={("rejected", "lead_not_found"): [row, other]}, slowest=[row])
    report = report_of(found, noted, job_text=f"# {SPITEFUL[:70]}", notes=[SPITEFUL])
    return Page(rendered(report, workspace=Path("/srv") / SPITEFUL.replace("/", "")))


def test_whatever_comes_from_elsewhere_is_text() -> None:
    found = spiteful()
    assert found.faults == []
    assert {element.tag for element in found.elements} & {"script", "img", "iframe", "object", "form", "base"} == set()
    assert [name for element in found.elements for name in element.attributes if name.startswith("on")] == []
    assert found.source.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 15, "shown, and not lost"


def test_what_moves_a_cursor_or_turns_text_around_is_not_in_the_page() -> None:
    source = spiteful().source
    assert [mark for mark in ("\x1b", "\u202e", "\x00", "\u2028") if mark in source] == []
    assert {character for character in source if not character.isprintable()} == {"\n"}


def test_a_servers_word_has_its_own_direction(folder: Path) -> None:
    assert "No lead" in page(folder).text("bdi")


def test_a_long_word_of_a_server_is_cut(tmp_path: Path) -> None:
    found = page(write_outcomes(tmp_path, [LOST | {"detail": "x" * 5_000}]))
    assert "x" * 300 + "…" in found.text("bdi")


@pytest.mark.parametrize("make", [spiteful, lambda: Page(page_of(Path("/nowhere"), summary()))])
def test_nothing_is_fetched_and_nothing_is_run(make: Any) -> None:
    found = make()
    [policy] = [meta for meta in found.all("meta") if meta.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy.attributes["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    references = [
        (element.tag, element.attributes[name])
        for element in found.elements
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href")
        if name in element.attributes
    ]
    assert [place for _, place in references if not place.startswith(("#", "data:,"))] == []
    [style] = found.text("style")
    assert not re.search(r"url\(|@import|@font-face", style)


def test_the_page_is_well_formed_and_every_header_says_what_it_is_of(folder: Path) -> None:
    found = page(folder)
    assert found.faults == []
    assert len(found.all("h1")) == 1
    assert {header.attributes.get("scope") for header in found.all("th")} == {"col", "row"}
    assert len(found.all("table")) == len(found.all("caption")) >= 8
    ids = [element.attributes["id"] for element in found.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    links = [element.attributes["href"][1:] for element in found.all("a")]
    assert links
    assert set(links) <= set(ids)


def test_tables_that_may_be_shown_as_cards_say_that_they_are_tables(folder: Path) -> None:
    """Some browsers forget it where a table's ``display`` is another."""
    tables = re.findall(r'<table class="[^"]*\bcards\b.*?</table>', page(folder).source, re.DOTALL)
    assert len(tables) == 5
    assert [tag for table in tables for tag in re.findall(r"<(?:t|table)\w+[^>]*>", table) if "role=" not in tag] == []


def test_two_pages_of_one_run_are_the_same(folder: Path) -> None:
    assert page(folder).source == page(folder).source


# -- the job, and files ----------------------------------------------------------------------------------------------


def test_a_job_is_shown_without_what_addresses_hide_and_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    hidden = "https://example.com/in.csv?sig=secret"
    path.write_text(job_text("global-event", source=f'path = ["{hidden}", "in.csv"]'))
    shown = job_as_run(load_job(path, workspace=tmp_path))
    assert 'path = ["https://example.com/in.csv", "in.csv"]' in shown
    assert [word for word in ("secret", "sig=", "?") if word in shown] == []
    path.write_text(shown)
    assert job_as_run(load_job(path, workspace=tmp_path)) == shown


def test_a_run_leaves_its_page_and_its_job_for_its_owner_alone(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "given.toml"
    path.write_text(job_text("global-event"))
    job = load_job(path, workspace=tmp_path)
    left = leave_report(folder, summary(), job)
    assert left == folder / "report.html"
    assert [(folder / name).stat().st_mode & 0o777 for name in ("report.html", "job.toml")] == [0o600, 0o600]
    assert kept_job(folder) == job_as_run(job)
    found = Page(left.read_text())
    assert found.all("pre")[0].text == job_as_run(job)
    assert "Made 2026-11-26 02:15:20 UTC by batchpost" in found.text("footer")[0]


@pytest.mark.parametrize("text", [None, "= no toml", "\udcff"])
def test_a_kept_job_that_cannot_be_read_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "job.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert kept_job(tmp_path) == ""


def test_a_page_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write_page(tmp_path / "report.html", text)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["two"]


def test_the_page_comes_with_the_package() -> None:
    """The build takes all that is in the folder; a name that git would leave out would be missing from the wheel."""
    package = Path(sys.modules["batchpost"].__file__ or "").parent
    assert sorted(path.name for path in (package / "templates").iterdir()) == [
        *("report.css", "report.html", "rows.html", "time.html")
    ]


def test_the_timeline_of_days_has_dates(folder: Path) -> None:
    found = page(folder, timeline={**TIMELINE, "step": 86_400})
    assert row_of(found, "2026-11-27 02:15")[1] == "240"
