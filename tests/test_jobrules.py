from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobtexts import HERE, job_text, marked, mistakes_of

TOKENS = "-token\n[api.tokens]\ncmp_a = "

# A job, the place that is wrong, what the message says, what the hint says; the line is the one with the mark.
WRONG = [
    # the platform's address
    *[
        (job_text(api=f'base_url = "{url}" {HERE}'), "api.base_url", message, hint)
        for url, message, hint in (
            ("api.pingtree.com", "is not an https URL", "https://api.pingtree.com"),
            ("", "is not an https URL", "https://"),
            ("ftp://api.pingtree.com", "is not an https URL", "https://"),
            ("https://api.pingtree.com:port", "is not an https URL", "https://"),
            ("https://api.ping tree.com", "is not an https URL", "https://"),
            ("https://[::1", "is not an https URL", "https://"),
            ("https://u:s3cret@api.pingtree.com", "a user or password", "@"),
            ("http://api.pingtree.com", "must be https", "https://"),
            ("http://127.0.0.1.example.com", "must be https", "https://"),
            ("http://192.168.0.1", "must be https", "https://"),
            ("https://api.pingtree.com/api", "more than scheme, host and port", "remove the path"),
            ("https://api.pingtree.com?", "more than scheme, host and port", "remove"),
            ("https://api.pingtree.com/#x", "more than scheme, host and port", "remove"),
        )
    ],
    (job_text(api=f'proxy = "proxy:3128" {HERE}'), "api.proxy", "not an http or https URL", "http://proxy"),
    (job_text(api=f'proxy = "http://u:s3cret@proxy:3128" {HERE}'), "api.proxy", "holds a password", "env:NAME"),
    (job_text(api=f'ca_file = " " {HERE}'), "api.ca_file", "is empty", "PEM"),
    # credentials
    (job_text(api="-org_id").replace("[api]", f"[api] {HERE}"), "api.org_id", "is missing", "env:PINGTREE_ORG_ID"),
    (job_text(api=f'org_id = "s3cret" {HERE}'), "api.org_id", "never the secret itself", "env:"),
    (job_text(api=f'token = "env:T" {HERE}'), "api.token", "is for update-lead only", "remove"),
    (job_text("update-lead", api=f'token = "s3cret" {HERE}'), "api.token", "never the secret itself", "env:"),
    (
        job_text("update-lead", api="-token").replace("[api]", f"[api] {HERE}"),
        "api.token",
        "needs the enrichment token",
        "env:PINGTREE_TOKEN",
    ),
    (job_text("update-lead", api=f'{TOKENS}"s3cret" {HERE}'), "api.tokens.cmp_a", "never the secret itself", "env:"),
    (job_text("update-lead", api=f'token = "env:T" {HERE}\ntokens = {{ cmp_a = "env:A" }}'), "api.token", "contra", ""),
    (job_text("update-lead", api=f'org_id = "env:O" {HERE}'), "api.org_id", "is for global-event only", "remove"),
    (job_text("campaign-event", api=f'org_id = "env:O" {HERE}'), "api.org_id", "is for global-event only", "remove"),
    (job_text("campaign-event", api=f'token = "env:T" {HERE}'), "api.token", "is for update-lead only", "remove"),
    # campaigns
    (job_text(api=f'campaign_id = "cmp_a" {HERE}'), "api.campaign_id", "update-lead and campaign-event only", "remove"),
    (
        job_text("campaign-event", api="-campaign_id").replace("[api]", f"[api] {HERE}"),
        "api.campaign_id",
        "is missing",
        "cmp_",
    ),
    (
        job_text("update-lead", api=f'campaign_id = "env:C" {HERE}'),
        "api.campaign_id",
        "the campaign's id itself",
        "cmp_",
    ),
    (
        job_text("update-lead", api=f'campaign_id = {{ column = "" }} {HERE}'),
        "api.campaign_id.column",
        "is empty",
        "header",
    ),
    (
        job_text("update-lead", api=f'campaign_id = {{ column = "C", map = {{}} }} {HERE}'),
        "api.campaign_id.map",
        "is empty",
        "remove",
    ),
    (
        job_text("update-lead", api=f'campaign_id = {{ column = "C", map = {{ a = "" }} }} {HERE}'),
        "api.campaign_id.map.a",
        "is empty",
        "id",
    ),
    (
        job_text("update-lead", api=f'campaign_id = {{ column = "C", map = {{ a = "x", "A " = "y" }} }} {HERE}'),
        'api.campaign_id.map."A "',
        "twice with different campaigns",
        "keep one",
    ),
    (
        job_text("update-lead", api=f'{TOKENS}"env:A"\ncmp_b = "env:B" {HERE}'),
        "api.tokens.cmp_b",
        "does not reach",
        '"cmp_a"',
    ),
    (
        job_text(
            "update-lead",
            api='-token\ncampaign_id = { column = "C", map = { a = "cmp_a", b = "cmp_b" } }\n'
            f'tokens = {{ cmp_a = "env:A" }} {HERE}',
        ),
        "api.tokens",
        "no token for campaign cmp_b",
        "add it",
    ),
    # keys of other routes
    (job_text("update-lead", api=f"server_dedupe = true {HERE}"), "api.server_dedupe", "campaign-event only", "remove"),
    (job_text(api=f"redistributes = true {HERE}"), "api.redistributes", "update-lead only", "remove"),
    (job_text("update-lead", rows=f'key = ["Order"] {HERE}'), "rows.key", "campaign-event only", "remove"),
    (job_text(rows=f"skip_unchanged = false {HERE}"), "rows.skip_unchanged", "update-lead only", "remove"),
    (
        job_text("update-lead", rows=f'foreign_duplicates = "accept" {HERE}'),
        "rows.foreign_duplicates",
        "campaign-event only",
        "remove",
    ),
    # duplicates
    (
        job_text(api='server_dedupe = ["sale"]', rows=f'key = ["Order"] {HERE}'),
        "rows.key",
        "contradicts server_dedupe",
        "keep one",
    ),
    (job_text(api="server_dedupe = true", rows=f'key = ["Order"] {HERE}'), "rows.key", "contradicts", "keep one"),
    (job_text(api=f'server_dedupe = ["sales"] {HERE}'), "api.server_dedupe[1]", "never sends", '"sale"'),
    (
        job_text(
            api=f'server_dedupe = ["sale", "lost"] {HERE}',
            fields='event_id = { column = "S", map = { a = "sale" }, otherwise = { value = "last" } }',
        ),
        "api.server_dedupe[2]",
        "never sends",
        '"last"',
    ),
    # fields of the route
    (
        job_text(fields="-transaction_id").replace("[fields]", f"[fields] {HERE}"),
        "fields.transaction_id",
        "is missing: global-event needs it",
        "column",
    ),
    (
        job_text("campaign-event", fields="-event_id").replace("[fields]", f"[fields] {HERE}"),
        "fields.event_id",
        "is missing: campaign-event needs it",
        "column",
    ),
    (
        job_text("campaign-event", fields=f'cid = {{ value = "c" }} {HERE}'),
        "fields.cid",
        "not given",
        "[api] campaign_id",
    ),
    (
        job_text(
            fields='conversion_date = { column = "D", send_as = "EST" }\n'
            f'conversion_timezone = {{ value = "EST" }} {HERE}'
        ),
        "fields.conversion_timezone",
        "is there twice",
        "keep one",
    ),
    # the source
    *[
        (job_text(source=f'path = "{path}" {HERE}'), "source.path", message, hint)
        for path, message, hint in (
            ("", "is empty", "file"),
            ("gs://bucket/a.csv", "gs:// addresses are not supported yet", "fetch"),
            ("sftp://example.com/a.csv", "sftp:// addresses are not supported yet", "fetch"),
            ("http://example.com/a.csv", "must be https", "https://"),
            ("https://me:word@example.com/a.csv", "holds a password", "env:NAME"),
            ("s3://bucket", "names a bucket and no key", "s3://bucket/"),
            ("s3://bucket/a.xls", ".xls files are not supported yet", ".xlsx"),
            ("conv-{date:%Y%m%d}.csv", "{date}, which is not supported by this version", "--source"),
            ("a.xlsb", "cannot be read: .xlsb files are not supported yet", "save the workbook as .xlsx"),
            ("a.XLS", "cannot be read: .xls files", "CSV"),
        )
    ],
    (job_text(source=f"path = [] {HERE}"), "source.path", "is empty", "file"),
    (job_text(source=f'path = [\n"a.csv",\n"b.xls", {HERE}\n]'), "source.path[2]", ".xls", "CSV"),
    (job_text(source=f'encoding = "cp125" {HERE}'), "source.encoding", "not a text encoding", "cp1252"),
    (job_text(source=f'encoding = "base64" {HERE}'), "source.encoding", "not a text encoding", "cp1252"),
    (job_text(source=f"delimiter = '\"' {HERE}"), "source.delimiter", "the quote", ";"),
    (job_text(source=f'delimiter = "\\n" {HERE}'), "source.delimiter", "a line end", ";"),
    # where
    *[
        (job_text(fields='revenue = { column = "P" }', rows=f'where = "{where}" {HERE}'), "rows.where", message, hint)
        for where, message, hint in (
            ("revenue >", "not an SQL condition: unable to parse", "revenue > 0"),
            ("", "not an SQL condition", "revenue > 0"),
            ("revenue > 0, Region = 'US'", "not an SQL condition: invalid expression", "AND"),
            ("revenue > 0; DROP TABLE x", "not an SQL condition", "AND"),
            ("revenue > 0 Region", "more than one condition", "AND"),
            ("revenue", "is not a condition", "revenue > 0"),
            ("1 = 1", "names no field", "revenue > 0"),
            ("Region + 1 = revenue > 2", "not an SQL condition", "revenue"),
            ("revenue > AVG(revenue)", "more than one row", "the row itself"),
            ("revenue > 0 AND COUNT(*) > 1", "more than one row", "the row itself"),
            ("ROW_NUMBER() OVER (ORDER BY revenue) = 1", "more than one row", "the row itself"),
            ("revenue > (SELECT 1)", "more than one row", "the row itself"),
            ("nosuch(revenue) > 1", "unsupported function", ""),
        )
    ],
    # the rest
    (job_text(delivery=f"max_failures = -1 {HERE}"), "delivery.max_failures", "a count of rows or a share", "5%"),
    (job_text(delivery=f'max_failures = "5" {HERE}'), "delivery.max_failures", "a count of rows or a share", "5%"),
    (job_text(delivery=f'max_failures = "101%" {HERE}'), "delivery.max_failures", "a count of rows or a share", "5%"),
    (job_text(delivery=f"stop_when = {{ acepted = 5 }} {HERE}"), "delivery.stop_when.acepted", "no reason", "accepted"),
    (job_text(delivery=f"stop_when = {{ filtered = 5 }} {HERE}"), "delivery.stop_when.filtered", "left out by", ""),
    (job_text(delivery=f'stop_when = {{ timeout = "5" }} {HERE}'), "delivery.stop_when.timeout", "a count", "5%"),
    # what is expected
    *[
        (job_text(expect=f"rows = {rows} {HERE}"), "expect.rows", "is no number and no range", "1000..6000")
        for rows in ('"5..1"', '"many"', '".."', '"1.5..3"', '"-5..5"', "-1")
    ],
    (
        job_text(expect=f'revenue = "1..5" {HERE}'),
        "expect.revenue",
        "a field that the job does not send",
        "map [fields] revenue",
    ),
    (job_text("update-lead", expect=f'revenue = "1..5" {HERE}'), "expect.revenue", "is for global-event and", "remove"),
    (job_text("update-lead", expect=f"conversion = true {HERE}"), "expect.conversion", "is for global-event", "remove"),
    (
        job_text(expect=f"reasons = {{ lead_not_fund = 5 }} {HERE}"),
        "expect.reasons.lead_not_fund",
        "no reason",
        "found",
    ),
    (job_text(expect=f"reasons = {{ filtered = 5 }} {HERE}"), "expect.reasons.filtered", "left out by [rows]", "lists"),
    (job_text(expect=f'reasons = {{ timeout = "x" }} {HERE}'), "expect.reasons.timeout", "a count of rows", "5%"),
    (job_text(results=f'directory = "" {HERE}'), "results.directory", "is empty", "results"),
    (job_text(ledger=f'url = "postgresql://u:s3cret@h/d" {HERE}'), "ledger.url", "not supported by this", "sqlite:"),
    (job_text(ledger=f'url = "ledger.db" {HERE}'), "ledger.url", "must be sqlite:PATH or env:NAME", "sqlite:"),
    (job_text(ledger=f'url = "sqlite:" {HERE}'), "ledger.url", "must be sqlite:PATH or env:NAME", "sqlite:"),
    (job_text(ledger=f'url = "sqlite:///x.db" {HERE}'), "ledger.url", "must be sqlite:PATH or env:NAME", "sqlite:"),
    # what comes in a later version
    *[
        (job_text(**{table: f'{key} = "x" {HERE}'}), f"{table}.{key}", "is not supported by this version", hint)
        for table, key, hint in (
            ("source", "date", "--source"),
            ("source", "timezone", "--source"),
            ("source", "wait", "66"),
            ("source", "after", "take"),
            ("delivery", "window", "start the run"),
            ("delivery", "timezone", "start the run"),
        )
    ],
]


@pytest.mark.parametrize(("text", "place", "message", "hint"), WRONG)
def test_a_mistake_is_named_with_its_line_and_mend(
    tmp_path: Path, text: str, place: str, message: str, hint: str
) -> None:
    (mistake,) = mistakes_of(tmp_path, text)
    assert (mistake.place, mistake.line, mistake.path) == (place, marked(text), str(tmp_path / "job.toml"))
    assert message in mistake.message
    assert hint in mistake.hint
    assert "s3cret" not in str(mistake)


SOUND = [
    job_text(),
    job_text("campaign-event"),
    job_text("update-lead"),
    job_text("update-lead", rows="skip_unchanged = false", api="redistributes = true"),
    job_text("update-lead", api='campaign_id = { column = "Campaign" }\n-token\ntokens = { any = "file:a b" }'),
    job_text(
        "update-lead",
        api='campaign_id = { column = "C", map = { a = "x", "A " = "x" } }\n-token\ntokens = { x = "env:X" }',
    ),
    job_text(api='base_url = "http://localhost:8080"'),
    job_text(api='base_url = "http://127.9.9.9/"'),
    job_text(api='base_url = "http://[::1]:80"'),
    job_text(api='proxy = "http://proxy:3128"'),
    job_text(api='proxy = "env:PROXY"\nca_file = "ca.pem"'),
    job_text(api="server_dedupe = false", rows='key = ["Order"]\nforeign_duplicates = "accept"'),
    job_text(api='server_dedupe = ["any"]', fields='event_id = { column = "E" }'),
    job_text(source='path = ["s3://bucket/in/*.csv", "https://example.com/a?b=c", "env:URL"]\nsheet = "Leads"'),
    job_text(source='path = ["a.csv", "b/*.parquet", "c.csv.gz"]\ndelimiter = ";"\nencoding = "cp1252"'),
    job_text(delivery="max_failures = 0"),
    job_text(delivery='stop_when = { conversion = 5, timeout = "1%", confirmed_duplicate = 0 }'),
    *[job_text(expect=f"rows = {rows}") for rows in ('"1000..6000"', '"5.."', '"..5"', "5", '"5"', '"0..0"')],
    job_text(fields='revenue = { column = "P" }', expect='revenue = "0.01..5000.50"\nconversion = false'),
    job_text(expect='reasons = { lead_not_found = "2%", not_a_number = 0, not_a_conversion = 5, timeout = 3 }'),
    job_text(delivery='max_failures = "2.5 %"'),
    job_text(ledger='url = "env:LEDGER"\nmust_exist = true'),
    job_text(ledger='url = "sqlite:/var/lib/batchpost/ledger.db"'),
    job_text(
        fields='revenue = { column = "P" }\nowner = { column = "O", as = "boolean" }\n'
        'conversion_date = { column = "D" }',
        rows="where = \"revenue > 0.5 AND Region IN ('Agg', 'US') AND owner AND conversion_date > DATE('2026-01-01') "
        "AND TRY_CAST(Len AS INTEGER) > 3 AND Mail LIKE '%x'\"",
    ),
]


@pytest.mark.parametrize("text", SOUND)
def test_a_sound_job_is_let_through(tmp_path: Path, text: str) -> None:
    assert mistakes_of(tmp_path, text) == ()
