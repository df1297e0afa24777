from __future__ import annotations

from pathlib import Path

import pytest

from batchpost.jobshape import keys_of
from tests.jobtexts import BASES, HERE, job_text, marked, mistakes_of

# A job, the place that is wrong, the whole message, the whole hint; the line is the one with the mark.
WRONG = [
    # unknown keys
    (job_text(top=f"speed = 5 {HERE}"), "speed", "is not a key or table of a job file", ""),
    (job_text(top=f'path = "a.csv" {HERE}'), "path", "is not a key or table of a job file", "it belongs in [source]"),
    (job_text(top=f'workspace = "/" {HERE}'), "workspace", "is not a key or table of a job file", ""),
    (
        job_text(deliver=f"rate = 5 {HERE}").replace("[deliver]", f"[deliver] {HERE}").replace(f"5 {HERE}", "5"),
        "deliver",
        "is not a key or table of a job file",
        'did you mean "delivery"?',
    ),
    (
        job_text(delivery=f"concurency = 5 {HERE}"),
        "delivery.concurency",
        "is not a key of [delivery]",
        'did you mean "concurrency"?',
    ),
    (
        job_text(api=f"Redistributes = true {HERE}"),
        "api.Redistributes",
        "is not a key of [api]",
        'did you mean "redistributes"?',
    ),
    (job_text(api=f"timeout = 5 {HERE}"), "api.timeout", "is not a key of [api]", "it belongs in [delivery]"),
    (
        job_text(results=f'route = "x" {HERE}'),
        "results.route",
        "is not a key of [results]",
        "it belongs at the top of the file, before the first [table]",
    ),
    (
        job_text(fields=f'sub1 = {{ column = "A", patern = "x" }} {HERE}'),
        "fields.sub1.patern",
        "is not a key of a field",
        'did you mean "pattern"?',
    ),
    (
        job_text(fields=f'sub1 = {{ column = "A", as_ = "text" }} {HERE}'),
        "fields.sub1.as_",
        "is not a key of a field",
        'did you mean "as"?',
    ),
    (
        job_text(fields=f'sub1 = {{ colum = "A" }} {HERE}'),
        "fields.sub1.colum",
        "is not a key of a field",
        'did you mean "column"?',
    ),
    (
        job_text(fields=f'sub1 = {{ column = "A", map = {{ a = "b" }}, otherwise = {{ valu = "x" }} }} {HERE}'),
        "fields.sub1.otherwise.valu",
        "is not a key of [fields.sub1.otherwise]",
        'did you mean "value"?',
    ),
    (
        job_text("update-lead", api=f'campaign_id = {{ colunm = "C" }} {HERE}'),
        "api.campaign_id.colunm",
        "is not a key of [api.campaign_id]",
        'did you mean "column"?',
    ),
    (
        job_text("update-lead", api=f'-token\ntokn = "env:T" {HERE}'),
        "api.tokn",
        "is not a key of [api]",
        'did you mean "token"?',
    ),
    (
        job_text("update-lead", top=f'-name\nnme = "x" {HERE}'),
        "nme",
        "is not a key or table of a job file",
        'did you mean "name"?',
    ),
    # missing keys
    (job_text(top="-name"), "name", "is missing", 'write name = "…", as results and ledger should call the job'),
    (job_text(top="-route"), "route", "is missing", 'write route = "update-lead", "global-event" or "campaign-event"'),
    (
        job_text(source="-path").replace("[source]", f"[source] {HERE}"),
        "source.path",
        "is missing",
        'write path = "…": a file, a folder or a pattern',
    ),
    (
        job_text("update-lead", api=f'campaign_id = {{ map = {{ a = "x" }} }} {HERE}'),
        "api.campaign_id.column",
        "is missing",
        "",
    ),
    (
        job_text(fields=f'sub1 = {{ column = "A", map = {{ a = "x" }}, otherwise = {{}} }} {HERE}'),
        "fields.sub1.otherwise.value",
        "is missing",
        "",
    ),
    # values of another kind
    (job_text(top=f"name = 5 {HERE}"), "name", "must be text in quotes", "put it in quotes"),
    (
        job_text(top=f'name = "a/b" {HERE}'),
        "name",
        "must be made of letters, digits, dots, underscores and dashes, 100 at most, and begin with a letter or digit",
        "",
    ),
    (
        job_text(top=f'route = "global-evnt" {HERE}'),
        "route",
        "must be one of update-lead, global-event, campaign-event",
        'did you mean "global-event"?',
    ),
    (job_text(top=f"route = true {HERE}"), "route", "must be one of update-lead, global-event, campaign-event", ""),
    (job_text(delivery=f'rate = "50" {HERE}'), "delivery.rate", "must be a number", "write it without quotes"),
    (job_text(delivery=f"rate = 0 {HERE}"), "delivery.rate", "must be more than 0", ""),
    (job_text(delivery=f"rate = 2e6 {HERE}"), "delivery.rate", "must be 1000000 or less", ""),
    (job_text(delivery=f"rate = nan {HERE}"), "delivery.rate", "must be a finite number", ""),
    (job_text(delivery=f"rate = true {HERE}"), "delivery.rate", "must be a number", ""),
    (job_text(delivery=f"concurrency = 1001 {HERE}"), "delivery.concurrency", "must be 1000 or less", ""),
    (job_text(delivery=f"concurrency = 1.5 {HERE}"), "delivery.concurrency", "must be a whole number", ""),
    (job_text(delivery=f"max_attempts = 0 {HERE}"), "delivery.max_attempts", "must be 1 or more", ""),
    (
        job_text(delivery=f"max_failures = 1.5 {HERE}"),
        "delivery.max_failures",
        "must be a whole number or text in quotes",
        'write a whole number, or a share like "5%"',
    ),
    (
        job_text(ledger=f'must_exist = "true" {HERE}'),
        "ledger.must_exist",
        "must be true or false",
        "write it without quotes",
    ),
    (job_text(ledger=f"must_exist = 1 {HERE}"), "ledger.must_exist", "must be true or false", ""),
    (
        job_text(source=f"path = 5 {HERE}"),
        "source.path",
        "must be text in quotes or a list in brackets",
        "put it in quotes",
    ),
    (job_text(source=f'path = [\n"a",\n5, {HERE}\n]'), "source.path[2]", "must be text in quotes", "put it in quotes"),
    (job_text(source=f'take = "newest" {HERE}'), "source.take", "must be one of new, all", 'did you mean "new"?'),
    (job_text(source=f'delimiter = ";;" {HERE}'), "source.delimiter", "must be one character", ""),
    (job_text(source=f'delimiter = "" {HERE}'), "source.delimiter", "must be one character", ""),
    (job_text(source=f"header_row = 0 {HERE}"), "source.header_row", "must be 1 or more", ""),
    (job_text(source=f'null_values = "N/A" {HERE}'), "source.null_values", "must be a list in brackets", ""),
    (
        job_text(api=f'server_dedupe = "sale" {HERE}'),
        "api.server_dedupe",
        "must be true or false or a list in brackets",
        "write it without quotes",
    ),
    (
        job_text("update-lead", api=f"campaign_id = 5 {HERE}"),
        "api.campaign_id",
        "must be text in quotes or a table",
        "put it in quotes",
    ),
    (
        job_text("update-lead", api=f'campaign_id = {{ column = "C", map = {{ a = 5 }} }} {HERE}'),
        "api.campaign_id.map.a",
        "must be text in quotes",
        "put it in quotes",
    ),
    (
        job_text("update-lead", api=f"-token\n[api.tokens]\ncmp_a = 5 {HERE}"),
        "api.tokens.cmp_a",
        "must be text in quotes",
        "put it in quotes",
    ),
    (job_text(rows=f'key = "Order" {HERE}'), "rows.key", "must be a list in brackets", ""),
    (job_text(fields=f'city = "City" {HERE}'), "fields.city", "must be a table", 'write { column = "…" }'),
    (
        job_text(fields=f'sub1 = {{ column = "A", as = "txt" }} {HERE}'),
        "fields.sub1.as",
        "must be one of text, number, integer, money, boolean, date, datetime, phone, state, zip, email",
        'did you mean "text"?',
    ),
    (job_text(fields=f'revenue = {{ column = "A", min = "x" }} {HERE}'), "fields.revenue.min", "must be a number", ""),
    (job_text(fields=f'revenue = {{ column = "A", min = true }} {HERE}'), "fields.revenue.min", "must be a number", ""),
    (
        job_text(fields=f'revenue = {{ column = "A", max = inf }} {HERE}'),
        "fields.revenue.max",
        "must be a finite number",
        "",
    ),
    (
        job_text(fields=f"sub1 = {{ value = 2026-07-01 }} {HERE}"),
        "fields.sub1.value",
        "must be text in quotes or true or false or a whole number or a number",
        "put it in quotes",
    ),
    (
        job_text(fields=f'sub1 = {{ column = "A", map = {{ a = "b" }}, otherwise = "skp" }} {HERE}'),
        "fields.sub1.otherwise",
        "must be one of skip, reject or a table",
        'did you mean "skip"?',
    ),
    (
        job_text(fields=f'sub1 = {{ column = "A", map = {{ a = ["b"] }} }} {HERE}'),
        "fields.sub1.map.a",
        "must be text in quotes or true or false or a whole number or a number",
        "",
    ),
    (job_text(fields=f'sub1 = {{ column = "A", map = "x" }} {HERE}'), "fields.sub1.map", "must be a table", ""),
]


@pytest.mark.parametrize(("text", "place", "message", "hint"), WRONG)
def test_a_wrong_key_or_kind_is_one_mistake_in_plain_words(
    tmp_path: Path, text: str, place: str, message: str, hint: str
) -> None:
    (mistake,) = mistakes_of(tmp_path, text)
    assert (mistake.place, mistake.line, mistake.message, mistake.hint) == (place, marked(text), message, hint)


@pytest.mark.parametrize("table", ["api", "source", "fields", "rows", "delivery", "results", "ledger"])
def test_a_table_that_is_none_is_one_mistake(tmp_path: Path, table: str) -> None:
    text = f"{table} = 5 {HERE}\n" + job_text()
    before, _, after = text.partition(f"\n[{table}]")
    text = before + ("\n" + after[after.index("\n\n") :] if "\n\n" in after else "\n")
    found = {mistake.place: mistake for mistake in mistakes_of(tmp_path, text)}
    assert found[table].line == 1
    assert found[table].message == "must be a table"
    assert set(found) <= {table, "api.org_id"}


KEYS = [
    (table, key) for table in ("api", "source", "rows", "delivery", "results", "ledger") for key in keys_of((table,))
]
KEYS += [("fields", key) for key in keys_of(("fields", "sub1"))]
VALUES = ['"s3cret"', "5", "-1.5", "nan", "true", "[]", '["s3cret", 5]', '{ a = "s3cret", b = 1 }', "2026-07-01"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("route", list(BASES))
def test_whatever_stands_anywhere_is_a_mistake_or_sound_and_is_not_repeated(
    tmp_path: Path, route: str, value: str
) -> None:
    for table, key in KEYS:
        line = f'sub1 = {{ column = "A", {key} = {value} }}' if table == "fields" else f"{key} = {value}"
        line = line.replace('column = "A", column', "column")
        found = mistakes_of(tmp_path, job_text(route, **{table: line}))
        assert [mistake for mistake in found if "s3cret" in str(mistake)] == []
        assert all(mistake.line for mistake in found), (table, key)


def test_the_keys_of_a_place_are_those_of_its_table() -> None:
    assert keys_of(("source",))[0] == "path"
    assert keys_of(("fields",)) == []
    assert "as" in keys_of(("fields", "revenue"))
    assert not {"path", "workspace"} & set(keys_of(()))


def test_a_broken_route_does_not_hide_the_other_mistakes(tmp_path: Path) -> None:
    text = job_text(
        top='route = "event"', fields='revenue = { column = "A", min = 5, max = 1 }', source='path = "a.xls"'
    )
    assert [mistake.place for mistake in mistakes_of(tmp_path, text)] == ["route", "source.path", "fields.revenue.min"]


def test_a_broken_key_of_a_field_does_not_hide_the_others(tmp_path: Path) -> None:
    text = job_text(fields='sub1 = { colum = "A", as = "money", min = "x", pattern = "(" }')
    places = {mistake.place for mistake in mistakes_of(tmp_path, text)}
    assert places == {f"fields.sub1.{key}" for key in ("colum", "as", "min", "pattern")}
