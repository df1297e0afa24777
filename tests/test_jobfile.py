from __future__ import annotations

import os
import pickle
from decimal import Decimal
from pathlib import Path

import pytest

from batchpost.errors import JobError, UsageError
from batchpost.job import ByColumn
from batchpost.jobfile import check_columns, find_workspace, ledger_path, load_job
from batchpost.routes import FieldType
from tests.jobtexts import BASES, job_text, load, mistakes_of, write_job

EIGHT = """\
nam = "nightly"
route = "global-event"

[api]
org_id = "org_5f1a2b3c"
timeout = 5

[source]
path = "conv.xls"

[fields]
transacton_id = { column = "Lead ID" }
event_id = { column = "Status", otherwise = "skip" }
revenue = { column = "Payout", min = 10, max = "much" }

[delivery]
max_failures = "five"

[expect]
rows = "5..1"
"""


def test_all_mistakes_are_told_at_once_a_line_each_in_their_order(tmp_path: Path) -> None:
    path = write_job(tmp_path, EIGHT)
    with pytest.raises(JobError) as caught:
        load_job(path)
    assert [(mistake.line, mistake.place) for mistake in caught.value.mistakes] == [
        (1, "nam"),
        (5, "api.org_id"),
        (6, "api.timeout"),
        (9, "source.path"),
        (12, "fields.transacton_id"),
        (13, "fields.event_id.otherwise"),
        (14, "fields.revenue.max"),
        (17, "delivery.max_failures"),
        (20, "expect.rows"),
    ]
    assert str(caught.value).splitlines()[0] == (
        f'{path}:1: nam: is not a key or table of a job file (did you mean "name"?)'
    )
    assert "org_5f1a2b3c" not in str(caught.value)


@pytest.mark.parametrize("route", list(BASES))
def test_what_a_job_does_not_say_has_its_default(tmp_path: Path, route: str) -> None:
    job = load(tmp_path, job_text(route))
    assert job.api.base_url == "https://api.pingtree.com"
    assert job.api.server_dedupe == []
    assert (job.delivery.rate, job.delivery.concurrency, job.delivery.timeout) == (10, 32, 30)
    assert (job.delivery.max_attempts, job.delivery.max_failures, job.delivery.drain) == (5, "5%", 8)
    assert (job.results.directory, job.results.format) == ("results", "auto")
    assert (job.ledger.url, job.ledger.must_exist) == ("sqlite:.batchpost/ledger.db", False)
    assert job.fields["transaction_id"].when_empty == "omit"
    assert (job.path, job.workspace) == (tmp_path / "job.toml", tmp_path)


def test_a_job_cannot_change_and_can_be_sent_to_another_process(tmp_path: Path) -> None:
    job = load(tmp_path, job_text(fields='revenue = { column = "P", min = 0.01 }'))
    with pytest.raises(ValueError, match="frozen"):
        job.name = "other"
    assert pickle.loads(pickle.dumps(job)) == job
    assert job.fields["revenue"].min == Decimal("0.01")


def test_a_field_has_the_type_of_its_route_its_job_or_its_constant(tmp_path: Path) -> None:
    fields = """\
revenue = { column = "P" }
mobile = { column = "M", as = "text" }
loan = { value = 15000 }
rate = { value = 0.5 }
owner = { value = true }
score = { column = "S" }"""
    job = load(tmp_path, job_text(fields=fields))
    names = ("revenue", "mobile", "loan", "rate", "owner", "score")
    kinds = [FieldType.MONEY, FieldType.TEXT, FieldType.INTEGER, FieldType.NUMBER, FieldType.BOOLEAN, FieldType.TEXT]
    assert [job.type_of(name) for name in names] == kinds
    assert job.money_fields == ("revenue",)


@pytest.mark.parametrize(
    ("url", "origin", "loopback"),
    [
        ("https://api.pingtree.com", "https://api.pingtree.com:443", False),
        ("https://API.pingtree.com:443/", "https://api.pingtree.com:443", False),
        ("http://localhost", "http://localhost:80", True),
        ("http://[::1]:8080", "http://[::1]:8080", True),
        ("https://127.0.0.1:8443", "https://127.0.0.1:8443", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(tmp_path: Path, url: str, origin: str, loopback: bool) -> None:
    api = load(tmp_path, job_text(api=f'base_url = "{url}"')).api
    assert (api.origin, api.is_loopback) == (origin, loopback)


# The workspace


def _folders(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


@pytest.mark.parametrize(
    ("files", "job", "workspace"),
    [
        ((), "a/b/x.toml", "a/b"),
        ((), "a/jobs/x.toml", "a"),
        ((), "a/jobs/b/x.toml", "a/jobs/b"),
        (("a/batchpost.toml",), "a/b/c/x.toml", "a"),
        (("a/b/batchpost.toml", "a/batchpost.toml"), "a/b/x.toml", "a/b"),
        (("a/jobs/batchpost.toml",), "a/jobs/x.toml", "a/jobs"),
        (("batchpost.toml",), "a/../b/jobs/x.toml", "."),
    ],
)
def test_the_workspace_is_found_from_where_the_job_is(
    tmp_path: Path, files: tuple[str, ...], job: str, workspace: str
) -> None:
    _folders(tmp_path, *files)
    assert find_workspace(tmp_path / job, None, {}) == tmp_path / workspace


def test_option_and_environment_say_it_before_that(tmp_path: Path) -> None:
    _folders(tmp_path, "batchpost.toml", "one/x", "two/x")
    environ = {"BATCHPOST_WORKSPACE": str(tmp_path / "two")}
    assert find_workspace(tmp_path / "x.toml", tmp_path / "one", environ) == tmp_path / "one"
    assert find_workspace(tmp_path / "x.toml", None, environ) == tmp_path / "two"
    assert find_workspace(tmp_path / "x.toml", None, {"BATCHPOST_WORKSPACE": ""}) == tmp_path
    for option, bad in ((tmp_path / "no", {}), (None, {"BATCHPOST_WORKSPACE": str(tmp_path / "no")})):
        with pytest.raises(UsageError, match="there is no folder"):
            find_workspace(tmp_path / "x.toml", option, bad)


# Defaults for all jobs of a workspace


def test_a_job_wins_over_the_workspace_key_by_key(tmp_path: Path) -> None:
    defaults = (
        '[api]\norg_id = "env:ALL"\nca_file = "ca.pem"\n[delivery]\nrate = 5\ntimeout = 7\n[results]\nformat = "csv"'
    )
    job = load(tmp_path, job_text(delivery="rate = 50"), defaults)
    assert (job.api.org_id, job.api.ca_file) == ("env:ORG", "ca.pem")
    assert (job.delivery.rate, job.delivery.timeout, job.results.format) == (50, 7, "csv")


def test_defaults_that_a_route_does_not_have_are_for_other_jobs(tmp_path: Path) -> None:
    defaults = '[api]\norg_id = "env:O"\nserver_dedupe = ["other"]\ntokens = { cmp_z = "env:Z" }\nredistributes = true'
    event = load(tmp_path, job_text(api="-org_id"), defaults)
    assert (event.api.org_id, event.api.server_dedupe) == ("env:O", ["other"])
    assert (event.api.tokens, event.api.redistributes) == ({}, False)
    update = load(tmp_path, job_text("update-lead"), defaults)
    assert (update.api.token, update.api.tokens, update.api.org_id) == ("env:TOKEN", {}, None)
    assert update.api.redistributes


def test_a_workspace_may_hold_the_tokens_of_campaigns_that_a_job_does_not_reach(tmp_path: Path) -> None:
    defaults = '[api.tokens]\ncmp_a = "env:A"\ncmp_z = "env:Z"'
    assert load(tmp_path, job_text("update-lead", api="-token"), defaults).api.tokens["cmp_a"] == "env:A"


@pytest.mark.parametrize(
    ("defaults", "place", "line", "message"),
    [
        ("\n[delivery]\nrate = 0", "delivery.rate", 3, "must be more than 0"),
        ("[api]\nproxi = 1", "api.proxi", 2, "not a key of [api]"),
        ('[source]\npath = "a.csv"', "source", 1, "does not belong in batchpost.toml"),
        ("api = 5", "api", 1, "does not belong in batchpost.toml"),
        ("\n[notify]\nwebhook = 5", "notify.webhook", 3, "must be text in quotes"),
        ("[ledger]\nurl = 'postgres://h/d'", "ledger.url", 2, "not supported by this version"),
        ("[results]\n= 5", "TOML", 2, "invalid statement"),
    ],
)
def test_a_mistake_in_the_defaults_names_their_file(
    tmp_path: Path, defaults: str, place: str, line: int, message: str
) -> None:
    (mistake,) = mistakes_of(tmp_path, job_text(), defaults)
    assert (mistake.path, mistake.place, mistake.line) == (str(tmp_path / "batchpost.toml"), place, line)
    assert message in mistake.message


# The command line's options


def test_options_win_over_the_job(tmp_path: Path) -> None:
    path = write_job(tmp_path, job_text(delivery="rate = 50"))
    job = load_job(path, workspace=tmp_path, base_url="http://127.0.0.1:8080", rate=3, concurrency=2)
    assert (job.api.base_url, job.delivery.rate, job.delivery.concurrency) == ("http://127.0.0.1:8080", 3, 2)


def test_source_paths_of_the_command_line_are_read_against_the_current_folder(tmp_path: Path) -> None:
    path = write_job(tmp_path, job_text())
    here = os.path.relpath(tmp_path / "in" / ".." / "other.csv")
    outside = tmp_path.parent / "far.csv"
    assert load_job(path, workspace=tmp_path, source=[here]).source.path == "other.csv"
    assert load_job(path, workspace=tmp_path, source=[here, str(outside)]).source.path == ["other.csv", str(outside)]
    assert load_job(path, workspace=tmp_path).source.path == "in.csv"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"base_url": "http://api.pingtree.com"}, "--base-url: must be https"),
        ({"rate": 0.0}, "--rate: must be more than 0"),
        ({"concurrency": 5000}, "--concurrency: must be 1000 or less"),
        ({"source": ["gs://b/a.csv"]}, "--source: gs:// addresses are not supported yet"),
        ({"source": ["a.csv", "b.xls"]}, "--source: cannot be read: .xls files are not supported yet"),
    ],
)
def test_a_wrong_option_is_named_as_the_option(tmp_path: Path, options: dict[str, object], text: str) -> None:
    path = write_job(tmp_path, job_text(delivery="rate = 50"))
    with pytest.raises(JobError) as caught:
        load_job(path, workspace=tmp_path, **options)  # type: ignore[arg-type]
    assert str(caught.value).startswith(text)


# Files that cannot be read


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ('name = "x"\nroute = global-event', 2, "invalid value", "text needs quotes"),
        ('name = "x"\nname = "y"\nroute = "z"', 2, "cannot overwrite a value", "the key is there twice"),
        ('name = "x"\n[api]\n[api]\n', 3, "cannot declare", "the table is there twice"),
        ('name = "x\nroute = "y"', 1, "illegal character", "a quote is missing"),
        ('name = "x"\nroute = "y', 2, "unterminated string", "a quote is missing"),
        ('name = "C:\\new"\npath = "C:\\data"', 2, "unescaped '\\' in a string", "backslash twice"),
        ('[source]\npath = "C:\\Users"', 2, "invalid hex value", "backslash twice"),
        ('lead id = "x"', 1, "expected '=' after a key", "a key with blanks needs quotes"),
        ('a = "x"\nb = [1,\n', 2, "invalid value", ""),
    ],
)
def test_what_is_not_toml_is_the_only_mistake(tmp_path: Path, text: str, line: int, message: str, hint: str) -> None:
    (mistake,) = mistakes_of(tmp_path, text)
    assert (mistake.place, mistake.line) == ("TOML", line)
    assert mistake.message.startswith(message)
    assert hint in mistake.hint


def test_a_byte_order_mark_and_dos_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(b"\xef\xbb\xbf" + job_text(delivery="rate = 0").replace("\n", "\r\n").encode())
    with pytest.raises(JobError) as caught:
        load_job(path, workspace=tmp_path)
    assert caught.value.mistakes[0].line == job_text(delivery="rate = 0").splitlines().index("rate = 0") + 1


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    for name, message in (("no.toml", "there is no file"), (".", "Is a directory"), ("latin.toml", "is not UTF-8")):
        with pytest.raises(UsageError, match=message) as caught:
            load_job(tmp_path / name, workspace=tmp_path)
        assert not isinstance(caught.value, JobError)


# What shows only beside an input

COLUMNS = ["Lead", "Status", "Pay out", "Region", "Campaign"]


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        (job_text(fields='revenue = { column = "Payout" }'), "fields.revenue.column", '"Payout"', '"Pay out"'),
        (job_text(fields='sub1 = { column = "region" }'), "fields.sub1.column", '"region"', '"Region"'),
        (job_text(fields='sub1 = { column = "Xyz" }'), "fields.sub1.column", "no column", ""),
        (job_text(rows='key = ["Status", "Order"]'), "rows.key[2]", '"Order"', ""),
        (job_text(rows="where = \"Regoin = 'US'\""), "rows.where", '"Regoin"', '"Region"'),
        (job_text(rows="where = 'Region = \"USA\"'"), "rows.where", '"USA"', "single quotes"),
        (job_text(rows="where = \"transactionid = 'x'\""), "rows.where", '"transactionid"', '"transaction_id"'),
        (
            job_text("campaign-event", api='campaign_id = { column = "campaign" }'),
            "api.campaign_id.column",
            "no",
            "Campaign",
        ),
        (job_text(fields='sub1 = { column = "Status" }'), "fields.sub1.column", "cannot be read: it is a list", ""),
    ],
)
def test_a_column_that_the_input_lacks_is_a_mistake(
    tmp_path: Path, text: str, place: str, message: str, hint: str
) -> None:
    job = load(tmp_path, text)
    unsupported = {"Status": "it is a list"} if "cannot" in message else {}
    (mistake,) = check_columns(job, COLUMNS, unsupported)
    assert mistake.place == place
    key = place.split(".")[1].partition("[")[0]
    assert text.splitlines()[(mistake.line or 0) - 1].startswith(key)
    assert message in mistake.message
    assert hint in mistake.hint


def test_columns_that_are_there_are_no_mistake(tmp_path: Path) -> None:
    rows = "where = \"event_id = 'sale' AND Region = 'US'\"\nkey = [\"Status\"]"
    text = job_text("campaign-event", api='campaign_id = { column = "Campaign" }', rows=rows)
    job = load(tmp_path, text)
    assert isinstance(job.api.campaign_id, ByColumn)
    assert check_columns(job, COLUMNS, {"Pay out": "it is a list"}) == []


# The ledger


@pytest.mark.parametrize(
    ("url", "environ", "path"),
    [
        ("sqlite:.batchpost/ledger.db", {}, ".batchpost/ledger.db"),
        ("sqlite:/var/lib/ledger.db", {}, "/var/lib/ledger.db"),
        ("env:LEDGER", {"LEDGER": "sqlite:my data/l.db"}, "my data/l.db"),
    ],
)
def test_the_ledgers_file_is_read_against_the_workspace(
    tmp_path: Path, url: str, environ: dict[str, str], path: str
) -> None:
    job = load(tmp_path, job_text(ledger=f'url = "{url}"'))
    assert ledger_path(job, environ) == tmp_path / path


@pytest.mark.parametrize("value", [None, "", "ledger.db", "sqlite:", "postgresql://u:s3cret@h/d"])
def test_a_variable_that_names_no_ledger_is_refused_without_its_value(tmp_path: Path, value: str | None) -> None:
    job = load(tmp_path, job_text(ledger='url = "env:LEDGER"'))
    with pytest.raises(UsageError, match="sqlite:PATH") as caught:
        ledger_path(job, {} if value is None else {"LEDGER": value})
    assert "s3cret" not in str(caught.value)
