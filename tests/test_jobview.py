from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from batchpost.jobfile import config_fingerprint, fingerprint, job_schema, load_job, show_job
from tests.jobtexts import job_text, load, write_job

DOCS = Path(__file__).parent.parent / "docs" / "job-files.md"

# The contract's example, without what this version refuses.
SAMPLE = """\
#:schema ./job.schema.json
name  = "nightly-conversions"
route = "global-event"

[api]
base_url      = "https://api.pingtree.com"
org_id        = "env:PINGTREE_ORG_ID"
server_dedupe = ["sale_completed"]

[source]
path = "exports/conv-*.csv"
take = "new"

[fields]
transaction_id  = { column = "Lead ID", pattern = "^txn_" }
event_id        = { column = "Status", map = { "Funded" = "sale_completed" }, otherwise = "skip" }
revenue         = { column = "Payout", as = "money", min = 0.01, max = 5000 }
conversion_date = { column = "Sold At", format = "%D %H:%M", timezone = "US/Eastern", send_as = "EST", fold = "reject" }
loan_amount     = { column = "Loan", as = "number" }
home_owner      = { column = "Owner?", as = "boolean", true = ["Y", "Yes"], false = ["N", "No"] }
email           = { column = "Email", when_invalid = "omit" }
city            = { column = "City", when_empty = "omit" }

[rows]
where = "revenue > 0 AND Region = 'US'"
key   = []
foreign_duplicates = "reject"

[delivery]
rate         = 50
concurrency  = 32
timeout      = 30
max_attempts = 5
max_failures = "5%"
stop_when    = { timeout = "1%" }
drain        = 8

[expect]
rows       = "1000..6000"
revenue    = "50000..400000"
reasons    = { lead_not_found = "2%" }
conversion = true

[results]
directory = "results"
format    = "auto"

[ledger]
url = "sqlite:.batchpost/ledger.db"

[notify]
webhook = "env:SLACK_WEBHOOK"
on = "always"
"""

ODD = job_text(
    "update-lead",
    api='campaign_id = { column = "Cämpaign \\" \\\\", map = { "a.b" = "x", "ü" = "y" } }\n-token\n'
    'tokens = { x = "env:X", y = "file:t/y" }',
    source='path = ["a b.csv", "c\\td\\u007f.csv"]\nquote = ""\nnull_values = ["N/A", "😀"]',
    fields='"odd name" = { column = "A", as = "number", min = -0.5, max = "12345678901234567890.123456789" }\n'
    'flag = { column = "B", as = "boolean", map = { J = true, N = false }, otherwise = { value = false } }\n'
    'seen = { column = "C", as = "datetime", format = ["%F", "%D"] }\nfixed = { value = 1.5 }',
    delivery="rate = 0.5\nmax_failures = 12",
    results='include = "all"',
)


@pytest.mark.parametrize("text", [SAMPLE, ODD, job_text(), job_text("campaign-event", api="server_dedupe = true")])
def test_a_job_shown_is_the_same_job_again(tmp_path: Path, text: str) -> None:
    job = load(tmp_path, text)
    shown = show_job(job)
    again = load(tmp_path, shown)
    assert again == job
    assert (show_job(again), fingerprint(again)) == (shown, fingerprint(job))


def test_a_job_is_shown_with_its_defaults_and_secrets_as_references(tmp_path: Path) -> None:
    shown = tomllib.loads(show_job(load(tmp_path, job_text())))
    assert (shown["delivery"]["rate"], shown["delivery"]["max_failures"]) == (10, "5%")
    assert shown["rows"] == {"totals": "skip", "key": [], "foreign_duplicates": "reject"}
    assert shown["api"] == {"base_url": "https://api.pingtree.com", "org_id": "env:ORG", "server_dedupe": []}


# Fingerprints


def _prints(folder: Path, text: str, defaults: str | None = None) -> tuple[str, str]:
    job = load(folder, text, defaults)
    return fingerprint(job), config_fingerprint(job)


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + job_text(),
        job_text(delivery="rate = 99\ntimeout = 5"),
        job_text(results='directory = "elsewhere"'),
        job_text(notify='webhook = "env:HOOK"'),
        job_text(expect="reasons = {}"),
        job_text(api='org_id = "file:org"'),
        job_text(api='base_url = "https://API.pingtree.com:443/"\nserver_dedupe = []'),
    ],
)
def test_what_may_change_between_sittings_leaves_the_fingerprint(tmp_path: Path, text: str) -> None:
    assert _prints(tmp_path, text) == _prints(tmp_path, job_text())


@pytest.mark.parametrize(
    "text",
    [
        job_text(api='base_url = "https://other.pingtree.com"'),
        job_text(api='server_dedupe = ["sale"]'),
        job_text("campaign-event"),
        job_text(fields='sub1 = { column = "A" }'),
        job_text(fields='transaction_id = { column = "Lead", pattern = "^x" }'),
        job_text(rows='key = ["Order"]'),
    ],
)
def test_another_configuration_changes_both_fingerprints(tmp_path: Path, text: str) -> None:
    before, after = _prints(tmp_path, job_text()), _prints(tmp_path, text)
    assert before[0] != after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize(
    "text",
    [
        job_text(top='name = "other"'),
        job_text(source='path = "other.csv"'),
        job_text(source='encoding = "cp1252"'),
        job_text(ledger='url = "sqlite:other.db"'),
        job_text(api='proxy = "http://proxy:3128"'),
        job_text(expect="rows = 5"),
    ],
)
def test_another_input_or_name_makes_another_run_of_the_same_configuration(tmp_path: Path, text: str) -> None:
    before, after = _prints(tmp_path, job_text()), _prints(tmp_path, text)
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_the_campaigns_with_tokens_count_and_the_tokens_do_not(tmp_path: Path) -> None:
    def text(*tokens: str) -> str:
        return job_text(
            "update-lead", api=f"-token\ncampaign_id = {{ column = 'C' }}\ntokens = {{ {', '.join(tokens)} }}"
        )

    first = _prints(tmp_path, text('a = "env:A"', 'b = "env:B"'))
    assert _prints(tmp_path, text('b = "env:X"', 'a = "env:Y"')) == first
    assert _prints(tmp_path, text('a = "env:A"')) != first


def test_defaults_of_the_workspace_are_part_of_the_job(tmp_path: Path) -> None:
    plain = _prints(tmp_path, job_text())
    with_defaults = _prints(tmp_path, job_text(), '[api]\nserver_dedupe = ["sale"]')
    assert with_defaults == _prints(tmp_path, job_text(api='server_dedupe = ["sale"]'))
    assert with_defaults != plain


def test_where_the_job_file_is_does_not_matter(tmp_path: Path) -> None:
    prints = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        prints.append(fingerprint(load_job(write_job(tmp_path / name, job_text()), workspace=tmp_path / name)))
    assert prints[0] == prints[1]


# The schema for editors


def _fits(value: Any, schema: dict[str, Any], defs: dict[str, Any]) -> bool:
    """As much of JSON Schema as job files need."""
    schema = {**defs[schema["$ref"].rpartition("/")[2]], **schema} if "$ref" in schema else schema
    if "anyOf" in schema:
        return any(_fits(value, one, defs) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    match schema["type"]:
        case "object":
            rest = schema.get("additionalProperties", False)
            known = schema.get("properties", {})
            inner = (key in known or rest is not False for key in value) if isinstance(value, dict) else [False]
            return (
                all(inner)
                and set(schema.get("required", [])) <= set(value)
                and all(_fits(item, known.get(key, rest), defs) for key, item in value.items())
            )
        case "array":
            return isinstance(value, list) and all(_fits(item, schema["items"], defs) for item in value)
        case "string":
            return isinstance(value, str) and re.search(schema.get("pattern", ""), value) is not None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return value is None


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (SAMPLE, True),
        (ODD, True),
        (job_text(top="speed = 5"), False),
        (job_text(top='route = "event"'), False),
        (job_text(top="-name"), False),
        (job_text(fields='revenue = { column = "A", as = "mony" }'), False),
        (job_text(fields='revenue = { colum = "A" }'), False),
        (job_text(delivery='rate = "50"'), False),
        (job_text(expect='rows = "1..5"\nreasons = { lead_not_found = "2%" }'), True),
        (job_text(expect="rows = 1.5"), False),
        (job_text(notify='webhook = "env:HOOK"\non = ["failure"]'), True),
        (job_text(notify='on = "never"'), False),
    ],
)
def test_the_schema_takes_what_a_job_may_say(text: str, fits: bool) -> None:
    schema = job_schema()
    assert _fits(tomllib.loads(text), schema, schema["$defs"]) is fits


def test_the_schema_describes_every_key_of_a_job_file() -> None:
    schema = job_schema()
    assert not {"path", "workspace"} & (set(schema["properties"]) | set(schema["required"]))
    assert "as" in schema["$defs"]["FieldSource"]["properties"]
    assert "revenue" in schema["properties"]["fields"]["properties"]
    for name, part in {**schema["$defs"], "Job": schema}.items():
        for key, entry in part.get("properties", {}).items():
            assert entry.get("description") or "$ref" in entry, f"{name}.{key}"


# The reference page


def test_every_example_of_the_page_is_a_sound_job(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(#:schema.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    names = [load(tmp_path, example).name for example in examples]
    assert len(names) == len(set(names)) == 3
