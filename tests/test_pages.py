"""The pages that are made from the code are as the code would make them, and what they show by example is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batchpost.job import ROUTE_KEYS
from batchpost.jobview import job_schema
from batchpost.model import Outcome
from batchpost.reasons import BY_OUTCOME, OUTCOMES, REASONS
from batchpost.routes import ROUTES, FieldType, Route
from tests.jobtexts import job_text, mistakes_of
from tools.pages import ROOT, pages
from tools.samples import CELLS, KEYS, REPLIES, read_cell, read_reply

PAGES = pages()
REFERENCE = ROOT / "docs/reference"
TABLES = ("api", "source", "fields", "rows", "delivery", "expect", "results", "ledger", "notify")
DATED = """conversion_date = { column = "C", format = "%m/%d/%Y %H:%M", timezone = "America/New_York",
send_as = "EST", fold = "earliest" }""".replace("\n", " ")
OWNER = 'owner = { column = "C", as = "boolean", true = ["Y", "Ja"], false = ["N", "Nein"] }'
# The lines of fields in which a key has an effect; elsewhere it stands in one of `pid`.
ENTRIES = {
    "column": 'transaction_id = { column = "Lead ID" }',
    "value": 'event_id = { value = "sale_completed" }',
    "as": 'loan = { column = "C", as = "number" }',
    "custom": 'emails = { column = "C", custom = true }',
    "otherwise": 'pid = { column = "C", map = { a = "b" }, otherwise = "skip" }',
    "lost_zeros": 'zip_code = { column = "C", lost_zeros = "restore" }',
    **dict.fromkeys(("true", "false"), OWNER),
    **dict.fromkeys(("min", "max"), 'revenue = { column = "C", min = 0.01, max = 5000 }'),
    **dict.fromkeys(("format", "timezone", "send_as", "fold"), DATED),
}
SALE = 'revenue = { column = "Payout" }\namount = { column = "Amount" }'
# What a job must have beside a key of another table, for the key to be no mistake.
BESIDE = {
    ("api", "tokens"): {"api": '-token\ncampaign_id = "cmp_auto"'},
    ("api", "server_dedupe"): {"fields": ENTRIES["value"]},
    ("notify", "on"): {"notify": 'webhook = "env:CHAT_WEBHOOK"'},
    **{(table, key): {"fields": SALE} for table, key in KEYS if table in ("rows", "expect")},
}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_as_the_code_would_make_it(path: Path) -> None:
    assert path.read_text() == PAGES[path], "make docs"


def test_every_page_of_the_reference_is_made_from_the_code() -> None:
    assert {*REFERENCE.iterdir()} == {path for path in PAGES if path.parent == REFERENCE}


# -- job files -------------------------------------------------------------------------------------------------------


def keys_of_the_schema() -> set[tuple[str, str]]:
    """Every table and key that a job file may have."""
    schema = job_schema()
    parts = {
        name: about.get("$ref") or about.get("additionalProperties", {}).get("$ref")
        for name, about in schema["properties"].items()
    }
    top = {("", name) for name in schema["properties"] if name not in TABLES}
    return top | {
        (table, key) for table in TABLES for key in schema["$defs"][str(parts[table]).rpartition("/")[2]]["properties"]
    }


def test_every_key_has_an_example_and_no_other() -> None:
    assert {*KEYS} == keys_of_the_schema()


def job_with(place: tuple[str, str]) -> str:
    """A job that has the example of a key."""
    (table, key), line = place, f"{place[1]} = {KEYS[place]}"
    route = "global-event" if "global-event" in ROUTE_KEYS.get(place, ROUTES) else "update-lead"
    if table == "":
        return job_text(route, top=line)
    if table == "fields":
        return job_text(route, fields=ENTRIES.get(key, f'pid = {{ column = "C", {line} }}'))
    more = BESIDE.get(place, {}) if route == "global-event" or table == "api" else {}
    return job_text(route, **{**more, table: f"{more.get(table, '')}\n{line}"})


@pytest.mark.parametrize("place", KEYS, ids=".".join)
def test_an_example_of_a_key_is_taken_by_a_job(place: tuple[str, str], tmp_path: Path) -> None:
    text = job_with(place)
    assert f"{place[1]} = {KEYS[place]}" in text
    assert mistakes_of(tmp_path, text) == ()


def test_an_example_that_is_none_would_be_noticed(tmp_path: Path) -> None:
    assert mistakes_of(tmp_path, job_text(delivery='rate = "fast"'))


@pytest.mark.parametrize("key", ["org_id", "campaign_id", "token"])
def test_what_the_page_calls_required_on_a_route_is(key: str, tmp_path: Path) -> None:
    route = "global-event" if key == "org_id" else "update-lead"
    [mistake] = mistakes_of(tmp_path, job_text(route, api=f"-{key}"))
    assert mistake.place == f"api.{key}"


# -- routes and cells ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES.values(), ids=lambda route: route.name)
def test_every_field_of_a_route_is_on_the_page(route: Route) -> None:
    page = (REFERENCE / "routes.md").read_text()
    section = page.partition(f"## `{route.name}`\n")[2].partition("\n## ")[0]
    if "are those of [`global-event`]" in section:
        assert route.fields == ROUTES["global-event"].fields
    else:
        named = re.findall(r"`([A-Za-z_\d]+)`", section.partition("How a reply reads")[0].partition("| --- |")[2])
        assert {*route.fields} <= {*named}


def test_every_type_is_shown_by_cells() -> None:
    assert {*CELLS} == {kind.value for kind in FieldType}


@pytest.mark.parametrize(
    ("kind", "cell", "given", "told"),
    [
        ("money", "$1,250.00", "", "`1250.00`"),
        ("money", "1,250", "", "`invalid: ambiguous_number`"),
        ("text", "", "", "nothing"),
        (
            "datetime",
            "2025-07-01T13:05",
            'timezone = "America/New_York", send_as = "EST"',
            '`"2025-07-01 12:05:00"` `"EST"`',
        ),
    ],
)
def test_a_cell_is_read_as_a_run_reads_it(kind: str, cell: str, given: str, told: str) -> None:
    assert read_cell(kind, cell, given) == told


@pytest.mark.parametrize(
    ("route", "told", "meanings"),
    [
        ("update-lead", "201, `unsold`", ("`delivered: unsold`", "`delivered: unsold`")),
        ("update-lead", "401", ("the run stops, the row stays `not_attempted`",) * 2),
        ("global-event", "500", ("sent again; in the end `unknown: server_error`", "`unknown: server_error`")),
        (
            "global-event",
            "403 that speaks of a lock",
            ("sent again; in the end `failed: locked`", "`rejected: locked_elsewhere`"),
        ),
    ],
)
def test_a_reply_is_read_as_a_run_reads_it(route: str, told: str, meanings: tuple[str, str]) -> None:
    assert told in REPLIES[route]
    assert read_reply(ROUTES[route], told) == meanings


# -- outcomes --------------------------------------------------------------------------------------------------------


def test_every_outcome_and_reason_is_on_the_page() -> None:
    page = (REFERENCE / "outcomes.md").read_text()
    assert [*OUTCOMES] == [outcome.value for outcome in Outcome]
    assert {reason for reason in REASONS if f"\n| `{reason}` | " not in page} == set()
    assert {*re.findall(r"(?m)\]\(#([\w-]+)\)", page)} == {
        re.sub(r"[` ]+", "-", heading).strip("-") for heading in re.findall(r"(?m)^## (.*)", page)
    }
    assert len(re.findall(r"(?m)^## ", page)) == len(BY_OUTCOME)
