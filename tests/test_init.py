"""``batchpost init`` on real files: drafts that load, with nothing guessed that would go out wrong."""

from __future__ import annotations

import json
import shutil
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest

from sample_data import generate
from tests.commands import ROOT, call, tree
from tests.newjobs import KNOWN, csv, init

EVENTS = ("--event", "Funded=sale_completed")
TRACKED = ("--event", "Call connected=called", "--event", "Application submitted=applied")
CAMPAIGNS = tuple(
    word for name, identity in generate.CAMPAIGNS.items() for word in ("--campaign", f"{name}={identity}")
)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KNOWN.items():
        monkeypatch.setenv(name, value)


def plan_of(folder: Path) -> dict[str, Any]:
    """The plan of the draft, which must have no mistake."""
    job = folder / "jobs" / "job.toml"
    checked = call("check", "--workspace", folder, job)
    assert (checked.code, checked.err) == (0, "")
    planned = call("plan", "--json", "--workspace", folder, job)
    plan: dict[str, Any] = json.loads(planned.out)
    return plan


def reasons(plan: dict[str, Any], outcome: str = "invalid") -> dict[str, int]:
    return {entry["reason"]: entry["rows"] for entry in plan["reasons"] if entry["outcome"] == outcome}


# -- the sample files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "route", "options", "planted", "fields"),
    [
        (
            "conversions.csv",
            "global-event",
            (*EVENTS, "--timezone", "America/New_York"),
            # No lead id; N/A and "tbd"; a 45th of the 13th month; a negative payout; a skipped hour; a contradiction.
            {"missing_required": 1, "not_a_number": 2, "not_a_date": 1, "out_of_range": 1, "nonexistent_time": 1}
            | {"contradiction": 2},
            {"transaction_id", "event_id", "revenue", "conversion_date", "pid", "email"},
        ),
        (
            "tracking.csv",
            "campaign-event",
            (*TRACKED, *CAMPAIGNS),
            {"unknown_campaign": 1},
            {"transaction_id", "event_id", "conversion_date", "pid"},
        ),
        (
            "enrichment.parquet",
            "update-lead",
            ("--campaign", "cmp_sandbox"),
            {"not_an_email": 10, "not_a_phone": 10, "not_a_state": 10},
            {"transaction_id", "first_name", "last_name", "email", "mobile", "state", "zip_code"},
        ),
        ("leads.csv", "update-lead", (), {}, {"transaction_id"}),
        (
            "leads.csv",
            "campaign-event",
            ("--event", "sale_completed"),
            {},
            {"transaction_id", "event_id", "pid"},
        ),
    ],
    ids=["conversions", "tracking", "enrichment", "leads", "leads as events"],
)
def test_a_draft_for_a_sample_file_finds_no_fault_but_the_planted_ones(
    tmp_path: Path, name: str, route: str, options: tuple[str, ...], planted: dict[str, int], fields: set[str]
) -> None:
    shutil.copy(ROOT / "sample_data" / name, tmp_path)
    done, job = init(tmp_path, name, route, *options)
    assert (done.code, done.err) == (0, "")
    assert set(job["fields"]) == fields
    assert job["source"]["path"] == name
    assert reasons(plan_of(tmp_path)) == planted


@pytest.mark.parametrize("name", ["conversions.csv", "tracking.csv"])
def test_without_a_word_about_statuses_nothing_would_be_sent(tmp_path: Path, name: str) -> None:
    shutil.copy(ROOT / "sample_data" / name, tmp_path)
    done, job = init(tmp_path, name, "global-event")
    assert "say which values of" in done.out
    assert list(job["fields"]["event_id"]["map"].values()) == ["undecided"]
    plan = plan_of(tmp_path)
    assert (plan["exit_code"], plan["rows"]["to_send"], reasons(plan)) == (0, 0, {})


# -- exports of other people -----------------------------------------------------------------------------------------

GERMAN = "Lead-Nr;Status;Auszahlung;Verkauft am;E-Mail;PLZ;Bemerkung\n" + "".join(
    f"txn_{n:08};Verkauft;1.{n:03},{n:02};{1 + n:02}.03.2025;a{n}@example.com;{10115 + n};Müller sagt ja\n"
    for n in range(25)
)
AMERICAN = "leadId,Disposition,Sale Amount,Sold At,Cell,Postal Code,State\n" + "".join(
    f'txn_{n:08},SOLD,"$1,{n:03}.00",{1 + n % 12}/{1 + n}/2025 {1 + n % 12}:{n:02} '
    f"{'AM' if n % 2 else 'PM'},(212) 555-01{n:02},021{n:02},ny\n"
    for n in range(25)
)
OTHER_WORDS = (
    "Pingtree ID\tLead Status\tcommission_usd\tdateSold\tContact.Email\tD.O.B.\tsub id 1\tutmCampaign\n"
    + "".join(
        f"txn_{n:08}\tWon\t{n}.50\t2025-03-{1 + n:02}\ta{n}@example.com\t19{60 + n}-02-03\tx\tspring\n"
        for n in range(25)
    )
)
AMBIGUOUS = "Lead ID,Payout,Sold At\n" + "".join(
    f"txn_{n:08},{n}.50,0{1 + n % 9}/0{1 + n % 7}/2025\n" for n in range(25)
)
TWO_MONEYS = "Lead ID,Sale Amount,Commission\n" + "".join(f"txn_{n:08},{n * 100}.00,{n}.50\n" for n in range(25))
TWO_FORMATS = "Lead ID,Payout,Sold At\n" + "".join(
    f"txn_{n:08},{n}.50,{f'2025/03/{1 + n:02}' if n % 5 == 0 else f'03/{1 + n:02}/2025 10:00'}\n" for n in range(25)
)


@pytest.mark.parametrize(
    ("text", "options", "fields"),
    [
        pytest.param(
            GERMAN,
            ("--event", "Verkauft=sale"),
            {
                "transaction_id": {"column": "Lead-Nr", "pattern": "^txn_"},
                "revenue": {"column": "Auszahlung"},
                "conversion_date": {"column": "Verkauft am", "format": "%d.%m.%Y"},
                "email": {"column": "E-Mail"},
                "zip_code": {"column": "PLZ"},
                "event_id": {"column": "Status", "otherwise": "skip", "map": {"Verkauft": "sale"}},
            },
            id="German",
        ),
        pytest.param(
            AMERICAN,
            ("--event", "sold=sale", "--timezone", "America/Chicago"),
            {
                "transaction_id": {"column": "leadId", "pattern": "^txn_"},
                "revenue": {"column": "Sale Amount"},
                "conversion_date": {
                    "column": "Sold At",
                    "format": "%m/%d/%Y %I:%M %p",
                    "timezone": "America/Chicago",
                    "send_as": "CST",
                },
                "mobile": {"column": "Cell"},
                "state": {"column": "State"},
                "zip_code": {"column": "Postal Code"},
                "event_id": {"column": "Disposition", "otherwise": "skip", "map": {"SOLD": "sale"}},
            },
            id="American",
        ),
        pytest.param(
            OTHER_WORDS,
            ("--event", "won=sale"),
            {
                "transaction_id": {"column": "Pingtree ID", "pattern": "^txn_"},
                "revenue": {"column": "commission_usd"},
                "conversion_date": {"column": "dateSold"},
                "sub1": {"column": "sub id 1"},
                "utm_campaign": {"column": "utmCampaign"},
                "email": {"column": "Contact.Email"},
                "date_of_birth": {"column": "D.O.B."},
                "event_id": {"column": "Lead Status", "otherwise": "skip", "map": {"Won": "sale"}},
            },
            id="other words",
        ),
        pytest.param(
            AMBIGUOUS,
            ("--event", "sale"),
            {
                "transaction_id": {"column": "Lead ID", "pattern": "^txn_"},
                "event_id": {"value": "sale"},
                "revenue": {"column": "Payout"},
            },
            id="dates that prove no order",
        ),
        pytest.param(
            TWO_MONEYS,
            ("--event", "sale"),
            {
                "transaction_id": {"column": "Lead ID", "pattern": "^txn_"},
                "event_id": {"value": "sale"},
                "revenue": {"column": "Commission"},
            },
            id="two columns of money",
        ),
        pytest.param(
            TWO_FORMATS,
            ("--event", "sale"),
            {
                "transaction_id": {"column": "Lead ID", "pattern": "^txn_"},
                "event_id": {"value": "sale"},
                "revenue": {"column": "Payout"},
                "conversion_date": {"column": "Sold At", "format": ["%m/%d/%Y %H:%M", "%Y/%m/%d"]},
            },
            id="two formats",
        ),
    ],
)
def test_a_strange_export_gets_a_draft_by_which_every_row_can_go(
    tmp_path: Path, text: str, options: tuple[str, ...], fields: dict[str, Any]
) -> None:
    csv(tmp_path, text)
    done, job = init(tmp_path, "export.csv", "global-event", *options)
    assert done.code == 0
    assert job["fields"] == fields
    plan = plan_of(tmp_path)
    assert (reasons(plan), plan["rows"]["to_send"]) == ({}, 25)


def test_the_german_export_is_sent_with_the_amounts_that_it_means(tmp_path: Path) -> None:
    csv(tmp_path, GERMAN)
    _, job = init(tmp_path, "export.csv", "global-event", "--event", "sale")
    assert job["source"]["decimal"] == ","
    assert plan_of(tmp_path)["money"]["revenue"]["read"] == f"{25_000 + 300 + 3:.2f}"


def test_dates_without_proof_are_left_out_with_both_ways_to_write_them(tmp_path: Path) -> None:
    csv(tmp_path, AMBIGUOUS)
    done, _ = init(tmp_path, "export.csv", "global-event", "--event", "sale")
    text = (tmp_path / "jobs/job.toml").read_text()
    assert '# conversion_date = { column = "Sold At", format = "%m/%d/%Y" }' in text
    assert '# conversion_date = { column = "Sold At", format = "%d/%m/%Y" }' in text
    assert "conversion_date: say whether day or month comes first in 'Sold At'" in done.out
    _, job = init(tmp_path, "export.csv", "global-event", "--event", "sale", "--day-first", "--force")
    assert job["fields"]["conversion_date"]["format"] == "%d/%m/%Y"


def test_of_two_columns_of_money_the_other_is_named(tmp_path: Path) -> None:
    csv(tmp_path, TWO_MONEYS)
    done, _ = init(tmp_path, "export.csv", "global-event", "--event", "sale")
    assert "revenue: make sure that 'Commission' is the money, and not 'Sale Amount'" in done.out
    assert '# sale_amount = { column = "Sale Amount"' in (tmp_path / "jobs/job.toml").read_text()
    options = ("--event", "sale", "--field", "revenue=Sale Amount", "--force")
    done, job = init(tmp_path, "export.csv", "global-event", *options)
    assert job["fields"]["revenue"]["column"] == "Sale Amount"
    assert "make sure" not in done.out


def test_typed_columns_of_parquet_are_what_they_are(tmp_path: Path) -> None:
    days = pl.datetime_range(pl.datetime(2025, 3, 1), pl.datetime(2025, 3, 20), "1d", eager=True, time_zone="UTC")
    frame = pl.DataFrame(
        {
            "Lead ID": [f"txn_{n:08}" for n in range(20)],
            "Payout": pl.Series([f"{n}.25" for n in range(20)]).cast(pl.Decimal(10, 2)),
            "Sold At": days,
            "Birthday": days.dt.date().cast(pl.Date),
            "Owner": [n % 2 == 0 for n in range(20)],
            "Score": list(range(20)),
            "Tags": [[n] for n in range(20)],
        }
    )
    frame.write_parquet(tmp_path / "typed.parquet")
    done, job = init(tmp_path, "typed.parquet", "global-event", "--event", "sale")
    text = (tmp_path / "jobs/job.toml").read_text()
    assert done.code == 0
    assert job["fields"]["conversion_date"] == {"column": "Sold At", "send_as": "EST"}  # offsets are in the values
    assert job["fields"]["date_of_birth"] == {"column": "Birthday"}
    assert '# owner = { column = "Owner", as = "boolean" }' in text
    assert '# score = { column = "Score", as = "number" }' in text
    assert "'Tags' cannot be read" in text
    assert reasons(plan_of(tmp_path)) == {}


def test_day_numbers_of_a_spreadsheet_are_read_and_milliseconds_are_left_out_with_the_reason(tmp_path: Path) -> None:
    csv(tmp_path, "Lead ID,Sold At,DOB\n" + "".join(f"txn_{n:08},{45000 + n},1741082400{n:03}\n" for n in range(20)))
    done, job = init(tmp_path, "export.csv", "global-event", "--event", "sale")
    assert set(job["fields"]) == {"transaction_id", "event_id", "conversion_date"}
    assert job["fields"]["conversion_date"]["format"] == "excel"
    assert "excel (days counted from 1900)" in (tmp_path / "jobs/job.toml").read_text()
    assert "export 'DOB' as dates" in done.out
    assert reasons(plan_of(tmp_path)) == {}


def test_zip_codes_without_their_zeros_get_them_back(tmp_path: Path) -> None:
    csv(tmp_path, "Lead ID,ZIP\n" + "".join(f"txn_{n:08},{2100 + n if n % 2 else 10001}\n" for n in range(20)))
    _, job = init(tmp_path, "export.csv", "update-lead", "--campaign", "cmp_a")
    assert job["fields"]["zip_code"] == {"column": "ZIP", "lost_zeros": "restore"}
    assert reasons(plan_of(tmp_path)) == {}


# -- what a draft says -----------------------------------------------------------------------------------------------

PERSONAL = (
    "Lead ID,Status,Payout,First Name,Email,Phone,Street,Notes\n"
    + "".join(
        f"txn_{n:08},Funded,{n}.50,Wilhelmina,wilhelmina{n}@example.org,212555{n:04},{n} Zyxwel Street,to Wilhelmina\n"
        for n in range(25)
    )
    + "txn_99999999,wilhelmina@example.org,1.00,Wilhelmina,not an address Zyxwel,12,3 Zyxwel Street,-\n"
)


@pytest.mark.parametrize("route", ["global-event", "update-lead"])
def test_nobodys_data_is_in_the_draft_or_on_the_terminal(tmp_path: Path, route: str) -> None:
    csv(tmp_path, PERSONAL)
    done, _ = init(tmp_path, "export.csv", route, "--campaign", "cmp_a")
    shown = (tmp_path / "jobs/job.toml").read_text() + done.out + done.err
    assert done.code == 0
    for personal in ("ilhelmina", "example.org", "212555", "Zyxwel", "99999999"):
        assert personal not in shown


def test_headers_of_any_text_stay_text(tmp_path: Path) -> None:
    header = '"Lead ID","a\nb = 1","c ""quoted"" \\ d","[fields]","# x","e = { value = 1 }"," "'
    csv(tmp_path, f"{header}\n" + "".join(f'txn_{n:08},"x\ny",1,2,3,4,z\n' for n in range(3)))
    done, job = init(tmp_path, "export.csv", "global-event", "--event", "sale")
    assert done.code == 0
    assert set(job) == {"name", "route", "api", "source", "fields"}
    assert set(job["fields"]) == {"transaction_id", "event_id"}
    plan_of(tmp_path)


def test_what_is_not_seen_in_a_header_is_seen_in_the_draft(tmp_path: Path) -> None:
    """So that a draft printed to a terminal or a pipe is the one that would be written."""
    csv(tmp_path, "Lead\u00a0ID,Pay\u202eout\u200b!\n" + "".join(f"txn_{n:08},x\n" for n in range(3)))
    done = call("init", tmp_path / "export.csv", "--route", "global-event", "--event", "e", "-o", "-")
    fields = tomllib.loads(done.out)["fields"]
    assert fields["transaction_id"]["column"] == "Lead\u00a0ID"
    assert '"Pay\\u202eout\\u200b!"' in done.out


def test_every_line_that_is_offered_can_be_taken(tmp_path: Path) -> None:
    """Custom fields, once the # is taken away, are part of a job without a mistake."""
    shutil.copy(ROOT / "sample_data/enrichment.parquet", tmp_path)
    init(tmp_path, "enrichment.parquet", "update-lead", "--campaign", "cmp_a")
    path = tmp_path / "jobs/job.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.removeprefix("# ") if " = { column" in line else line for line in lines))
    assert reasons(plan_of(tmp_path)) == {"not_an_email": 10, "not_a_phone": 10, "not_a_state": 10}
    assert "home_owner" in path.read_text().partition("[fields]")[2]


@pytest.mark.parametrize(
    ("line", "sent"),
    [('"Funded" = "funded"', 244), ('"Declined" = "declined"', 101)],
)
def test_taking_a_status_is_all_that_is_to_do(tmp_path: Path, line: str, sent: int) -> None:
    shutil.copy(ROOT / "sample_data/conversions.csv", tmp_path)
    init(tmp_path, "conversions.csv", "global-event")
    path = tmp_path / "jobs/job.toml"
    path.write_text(path.read_text().replace(f"# {line}", line))
    plan = plan_of(tmp_path)
    planned = plan["rows"]["read"] - reasons(plan, "skipped")["otherwise"] - 3  # two blank rows and a total
    assert planned == sent


def test_it_ends_with_what_to_decide_where_it_stands_and_what_to_type(tmp_path: Path) -> None:
    shutil.copy(ROOT / "sample_data/conversions.csv", tmp_path)
    done, _ = init(tmp_path, "conversions.csv", "global-event")
    lines = (tmp_path / "jobs/job.toml").read_text().splitlines()
    marked = [number for number, line in enumerate(lines, 1) if "DECIDE:" in line]
    assert [f"line {number}, " in done.out for number in marked] == [True, True]
    assert done.last.startswith("Next: batchpost plan ")
    assert "from all 401 rows (2 blank and 1 with a total among them)" in done.out


def test_standard_output_gets_the_draft_and_nothing_else(tmp_path: Path) -> None:
    csv(tmp_path, TWO_MONEYS)
    before = tree(tmp_path)
    done = call("init", tmp_path / "export.csv", "--route", "global-event", "--event", "e", "-o", "-")
    assert done.out.startswith("# A draft by")
    assert "make sure that 'Commission' is the money" in done.err
    assert tree(tmp_path) == before


def test_what_was_said_of_the_file_is_in_the_job(tmp_path: Path) -> None:
    text = "a title\nLead ID;Payout;Name\n" + "".join(f"txn_{n:08};{n}.50;Jürgen\n" for n in range(5))
    (tmp_path / "export.csv").write_bytes(text.encode("cp1252"))
    options = ("--encoding", "cp1252", "--delimiter", ";", "--header-row", "2", "--event", "sale")
    done, job = init(tmp_path, "export.csv", "global-event", *options)
    assert done.code == 0
    source = {"path": "export.csv", "encoding": "cp1252", "delimiter": ";", "header_row": 2}
    assert job["source"] == source
    assert reasons(plan_of(tmp_path)) == {}


def test_what_the_reader_found_out_is_told_beside_the_path(tmp_path: Path) -> None:
    shutil.copy(ROOT / "sample_data/enrichment.parquet", tmp_path)
    init(tmp_path, "enrichment.parquet", "update-lead", "--campaign", "cmp_a")
    source = (tmp_path / "jobs/job.toml").read_text().partition("[source]")[2].partition("[fields]")[0]
    assert "10,000 rows" in source


def test_the_job_goes_into_the_workspace_under_the_files_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exports").mkdir()
    csv(tmp_path / "exports", TWO_MONEYS, "Buyer conv-2025-03-14.csv")
    monkeypatch.chdir(tmp_path)
    done = call("init", "exports/Buyer conv-2025-03-14.csv", "--route", "global-event", "--event", "sale")
    assert done.code == 0
    text = (tmp_path / "jobs/Buyer-conv.toml").read_text()
    assert 'name  = "Buyer-conv"' in text
    assert 'path = "exports/Buyer conv-2025-03-14.csv"' in text
    assert done.last == "Next: batchpost plan jobs/Buyer-conv.toml"
    assert call("plan", "jobs/Buyer-conv.toml").code == 0


def test_a_pattern_stands_for_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.csv", "b.csv"):
        csv(tmp_path, TWO_MONEYS, name)
    monkeypatch.chdir(tmp_path)
    done = call("init", "*.csv", "--route", "global-event", "--event", "sale", "--name", "both")
    assert "from all 50 rows" in done.out
    assert 'path = "*.csv"' in (tmp_path / "jobs/both.toml").read_text()


# -- what is refused -------------------------------------------------------------------------------------------------

REFUSED = [
    ("Name,Payout\nx,1.00\n", ("--event", "e"), 2, "--field transaction_id="),
    ("Lead ID,Payout\na,1.00\n", (), 2, "--event sale_completed"),
    ("Lead ID,Payout\na,1.00\n", ("--event", "e", "--field", "revenue=Pay"), 2, 'did you mean "Payout"'),
    ("Lead ID,Payout\na,1.00\n", ("--event", "e", "--field", "revnue=Payout"), 2, 'did you mean "revenue"'),
    ("Lead ID,Payout\na,1.00\n", ("--event", "e", "--field", "revenue"), 2, "write FIELD=COLUMN"),
    ("Lead ID,Payout\na,1.00\n", ("--event", "sale="), 2, "need an id"),
    ("Lead ID,Payout\na,1.00\n", ("--event", "e", "--timezone", "America/NewYork"), 2, "America/New_York"),
    ("Lead ID,Payout\na,1.00\n", ("--event", "e", "--timezone", "UTC"), 2, "no column of times"),
    ("Lead ID,Payout\na,1.00\n", ("--event", "e", "--delimiter", "ab"), 2, "--delimiter"),
    ("Lead ID,Payout\na,1.00\n", ("--event", "e", "--name", "a/b"), 2, "--name a/b"),
    (
        "txn_12345678,a@example.com,5\ntxn_12345679,b@example.com,6\n",
        ("--header-row", "1"),
        5,
        "looks like a row of data",
    ),
    ("Lead ID,Payout\n", ("--event", "e"), 5, "no rows"),
    ("Lead ID,Payout\na\n", ("--event", "e"), 5, "line 2"),
]


@pytest.mark.parametrize(("text", "options", "code", "told"), REFUSED, ids=[case[3] for case in REFUSED])
def test_what_cannot_be_is_refused_and_nothing_is_written(
    tmp_path: Path, text: str, options: tuple[str, ...], code: int, told: str
) -> None:
    csv(tmp_path, text)
    before = tree(tmp_path)
    done, _ = init(tmp_path, "export.csv", "global-event", *options)
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert tree(tmp_path) == before


def test_an_update_needs_its_campaign(tmp_path: Path) -> None:
    csv(tmp_path, "Lead ID,Email\na,a@example.com\n")
    done, _ = init(tmp_path, "export.csv", "update-lead")
    assert (done.code, "--campaign cmp_" in done.err) == (2, True)


def test_the_readers_refusal_is_told_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "export.csv").write_bytes("Lead ID,Name\na,Jürgen\n".encode("cp1252"))
    done, _ = init(tmp_path, "export.csv", "global-event", "--event", "e")
    assert done.code == 5
    assert "cp1252" in done.err
    assert "(here: --encoding)" in done.err


def test_there_is_no_job_for_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert init(tmp_path, "export.csv", "global-event")[0].code == 66


def test_a_file_of_mends_needs_no_job(tmp_path: Path) -> None:
    csv(tmp_path, "Lead ID,batchpost_run,batchpost_source,batchpost_row\na,r,s,1\n", "to_fix.csv")
    done, _ = init(tmp_path, "to_fix.csv", "global-event", "--event", "e")
    assert done.code == 2
    assert "batchpost run" in done.err
    assert "--source" in done.err


def test_a_job_that_is_there_is_not_touched_without_a_word(tmp_path: Path) -> None:
    csv(tmp_path, TWO_MONEYS)
    init(tmp_path, "export.csv", "global-event", "--event", "first")
    done, job = init(tmp_path, "export.csv", "global-event", "--event", "second")
    assert (done.code, job["fields"]["event_id"]["value"]) == (2, "first")
    assert "--force" in done.err
    done, job = init(tmp_path, "export.csv", "global-event", "--event", "second", "--force")
    assert (done.code, job["fields"]["event_id"]["value"]) == (0, "second")


def test_an_address_that_holds_a_secret_is_not_written_down(tmp_path: Path) -> None:
    address = "https://files.example.com/conv.csv?signature=abcdef"
    done = call("init", address, "--route", "global-event", "--workspace", tmp_path)
    assert done.code == 2
    assert "abcdef" not in done.err
    assert "env:NAME" in done.err


@pytest.mark.parametrize(
    ("value", "fields"),
    [("2025-03-04 10:00", {"conversion_date", "conversion_timezone"}), ("2025-03-04T10:00Z", {"conversion_date"})],
)
def test_a_column_of_zones_is_sent_unless_the_times_say_theirs(tmp_path: Path, value: str, fields: set[str]) -> None:
    rows = "".join(f"txn_{n:08},{value},est\n" for n in range(5))
    csv(tmp_path, f"Lead ID,Sold At,Time Zone\n{rows}")
    done, job = init(tmp_path, "export.csv", "global-event", "--event", "sale")
    assert set(job["fields"]) - {"transaction_id", "event_id"} == fields
    assert "Nothing is left to decide" in done.out
    assert reasons(plan_of(tmp_path)) == {}


def test_only_what_an_event_carries_along_is_left_out_where_it_is_unfit(tmp_path: Path) -> None:
    """A time without its zone, or a cost without what is to be done with it, would mean something else."""
    rows = "".join(f"txn_{n:08},2025-03-04 10:00,est,a{n}@example.com,1.00,add\n" for n in range(9))
    csv(tmp_path, f"Lead ID,Sold At,TZ,Email,Cost,Cost Operation\n{rows}txn_99,2025-03-04 10:00,CET,none,1.00,plus\n")
    _, job = init(tmp_path, "export.csv", "global-event", "--event", "sale")
    assert [name for name, field in job["fields"].items() if "when_invalid" in field] == ["email"]
    assert {"conversion_timezone", "cost_operation"} <= set(job["fields"])
    assert reasons(plan_of(tmp_path)) == {"not_allowed": 1}


def test_amounts_that_are_mostly_below_zero_wait_for_a_word(tmp_path: Path) -> None:
    csv(tmp_path, "Lead ID,Payout\n" + "".join(f"txn_{n:08},({n + 1}.00)\n" for n in range(5)))
    done, job = init(tmp_path, "export.csv", "global-event", "--event", "sale")
    assert job["fields"]["revenue"] == {"column": "Payout"}
    assert reasons(plan_of(tmp_path)) == {"out_of_range": 5}
    assert "say whether amounts below 0 in 'Payout' shall go out" in done.out


def test_a_workbook_is_a_file_like_any_other(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Lead ID", "Payout", "Sold At"])
    for n in range(20):
        sheet.append([f"txn_{n:08}", n * 1.5, datetime(2025, 3, 1 + n, 10, n)])  # noqa: DTZ001 - a cell has no zone
    book.save(tmp_path / "book.xlsx")
    done, job = init(tmp_path, "book.xlsx", "global-event", "--event", "sale", "--timezone", "America/New_York")
    assert done.code == 0
    assert set(job["fields"]) == {"transaction_id", "event_id", "revenue", "conversion_date"}
    assert "# sheet = " in (tmp_path / "jobs/job.toml").read_text()
    assert reasons(plan_of(tmp_path)) == {}


@pytest.mark.parametrize(
    ("values", "column", "told", "fields"),
    [
        (
            ["2025-03-04 10:00", "2025-03-05 11:00"],
            "Sold At (PST)",
            "The header says PST.",
            {"column": "Sold At (PST)"},
        ),
        (["2025-03-04T10:00:00Z"], "Sold At", "any code", {"column": "Sold At", "send_as": "EST"}),
        (["2025-03-04 10:00:00 UTC"], "Sold At", "says that it is UTC", None),
        (["1741082400", "1741082500"], "Sold At", "%s", {"column": "Sold At", "format": "%s", "send_as": "EST"}),
        (["2025-03-04T10:00:00Z", "2025-03-04T10:00:00"], "Sold At", "have an offset from UTC, the others", {}),
    ],
    ids=["in the header", "offsets", "UTC", "seconds since 1970", "some offsets"],
)
def test_a_zone_is_only_what_the_values_say(
    tmp_path: Path, values: list[str], column: str, told: str, fields: dict[str, Any] | None
) -> None:
    rows = "".join(f"txn_{n:08},{value}\n" for n, value in enumerate(values * 3))
    csv(tmp_path, f"Lead ID,{column}\n{rows}")
    done, job = init(tmp_path, "export.csv", "global-event", "--event", "sale")
    assert done.code == 0
    text = (tmp_path / "jobs/job.toml").read_text().replace("\n# ", " ")
    assert told in text
    zoned = {"column": "Sold At", "format": "%Y-%m-%d %H:%M:%S UTC", "timezone": "UTC", "send_as": "EST"}
    assert job["fields"].get("conversion_date", {}) == (zoned if fields is None else fields)
    assert reasons(plan_of(tmp_path)) == {}
