from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.errors import UsageError
from batchpost.job import Job
from batchpost.mapping import Mapper, check_where

LEAD = {"transaction_id": {"column": "Lead"}}
EVENT = {**LEAD, "event_id": {"value": "sale"}}
SALE = {**EVENT, "revenue": {"column": "Payout"}}


def job(fields: dict[str, Any], route: str = "global-event", **more: Any) -> Job:
    job = {"name": "j", "route": route, "source": {"path": "x.csv"}, "path": Path("/w/j.toml"), "workspace": Path("/w")}
    return Job.model_validate({**job, "fields": fields, **more})


def mapped(
    columns: dict[str, list[str | None]],
    fields: dict[str, Any],
    *,
    last: bool = False,
    ragged: tuple[int, ...] = (),
    **more: Any,
) -> list[dict[str, Any]]:
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return Mapper(job(fields, **more)).map(frame, last=last, ragged=ragged).to_dicts()


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["reason"] or "sent" for row in rows]


def one(cell: str | None, source: dict[str, Any], field: str = "sub1", **more: Any) -> dict[str, Any]:
    """The row that a sound lead and one cell make, with what was sent of the field."""
    (row,) = mapped({"Lead": ["t1"], "C": [cell]}, {**EVENT, field: {"column": "C", **source}}, **more)
    return {**row, "sent": json.loads(row["body"], parse_float=Decimal).get(field) if row["body"] else None}


def test_a_sound_row_becomes_a_body_with_the_lead_first_and_then_in_the_order_of_the_job() -> None:
    (row,) = mapped(
        {"Lead": [" txn_1\ufeff"], "Status": ["FUNDED "], "Payout": ["$1,250.00"], "At": ["07/01/2024 13:05"]},
        {
            "event_id": {"column": "Status", "map": {" Funded": "sale_completed"}},
            "transaction_id": {"column": "Lead"},
            "conversion_date": {
                "column": "At",
                "format": "%m/%d/%Y %H:%M",
                "timezone": "America/New_York",
                "send_as": "EST",
            },
            "revenue": {"column": "Payout"},
            "loan_amount": {"value": 15000, "as": "number"},
            "home_owner": {"value": True, "as": "boolean"},
            "pid": {"value": "src_1"},
        },
    )
    assert row["body"] == (
        '{"transaction_id":"txn_1","event_id":"sale_completed","conversion_date":"2024-07-01 12:05:00",'
        '"conversion_timezone":"EST","revenue":1250.00,"loan_amount":15000,"home_owner":true,"pid":"src_1"}'
    )
    assert row == {
        "campaign_id": None,
        "transaction_id": "txn_1",
        "event_id": "sale_completed",
        "pid": "src_1",
        "amount": "1250.00",
        "money_revenue": Decimal(1250),
        "conversion_date": "2024-07-01 12:05:00 EST",
        "stake": "1250\x1f\x1f2024-07-01 12:05:00\x1fEST",
        "key_extra": "",
        "body": row["body"],
        "outcome": None,
        "reason": None,
        "detail": None,
    }


def test_the_output_has_one_row_for_each_of_the_input_and_fixed_types() -> None:
    mapper = Mapper(job({**SALE, "amount": {"column": "Payout"}}))
    empty = mapper.map(pl.DataFrame(schema={"Lead": pl.String, "Payout": pl.String}), last=True)
    full = mapper.map(pl.DataFrame({"Lead": ["a", "", "b", "total"], "Payout": ["1", "", "x", "3"]}))
    money = dict.fromkeys(("money_revenue", "money_amount"), pl.Decimal(38, 9))
    text = dict.fromkeys(("stake", "key_extra", "body", "outcome", "reason", "detail"), pl.String)
    ids = dict.fromkeys(("campaign_id", "transaction_id", "event_id", "pid", "amount"), pl.String)
    assert dict(empty.schema) == dict(full.schema) == {**ids, **money, **text}
    assert (empty.height, full.height) == (0, 4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), max_size=12)] * 3), min_size=1))
def test_whatever_the_cells_hold_every_row_is_sent_whole_or_says_why_not(rows: list[tuple[str, str, str]]) -> None:
    columns = {name: [row[n] for row in rows] for n, name in enumerate(("Lead", "Note", "Payout"))}
    made = mapped(columns, {**SALE, "sub1": {"column": "Note"}})
    assert len(made) == len(rows)
    for (lead, note, _), row in zip(rows, made, strict=True):
        assert (row["body"] is None) == (row["outcome"] in {"invalid", "skipped"}) == (row["reason"] is not None)
        if row["body"] is None:
            continue
        body = json.loads(row["body"], parse_float=Decimal, parse_int=Decimal)
        assert body["transaction_id"] in lead
        assert body.get("sub1", "") in note
        assert body.get("revenue") == row["money_revenue"]


# Which rows are leads


def test_a_ragged_row_is_invalid_whatever_its_cells_are() -> None:
    rows = mapped({"Lead": ["a", "", "c"]}, EVENT, ragged=(0, 1))
    assert [(row["outcome"], row["reason"]) for row in rows] == [
        ("invalid", "ragged_row"),
        ("invalid", "ragged_row"),
        (None, None),
    ]


@pytest.mark.parametrize("blank", ["", None, " ", "\u00a0", "\ufeff\u200b\t"])
def test_a_row_of_blanks_is_skipped(blank: str | None) -> None:
    (row,) = mapped({"Lead": [blank], "Payout": [blank], "Unused": [blank]}, SALE)
    assert (row["outcome"], row["reason"]) == ("skipped", "blank_row")


@pytest.mark.parametrize("word", ["Total", "TOTALS:", "sum", "Grand Total", "subtotal:", " total : ", "Summe"])
@pytest.mark.parametrize("column", ["Lead", "Unused"])
def test_a_row_that_says_total_is_skipped_and_its_money_is_in_no_book(column: str, word: str) -> None:
    (row,) = mapped({"Lead": [""], "Payout": ["4,500.00"], "Unused": [""], column: [word]}, SALE)
    assert (row["outcome"], row["reason"], row["money_revenue"]) == ("skipped", "totals_row", None)


def test_a_lead_that_mentions_a_total_is_a_lead() -> None:
    rows = mapped({"Lead": ["t1", "total_1"], "Payout": ["1", "2"], "Unused": ["Total", "sum"]}, SALE)
    assert verdicts(rows) == ["sent", "sent"]


@pytest.mark.parametrize("below", [[], ["", " "]])
def test_numbers_alone_at_the_end_of_the_file_are_a_total(below: list[str]) -> None:
    columns = {"Lead": ["t1", "", *below], "Payout": ["5", "$5.00", *below], "Count": ["1", "1", *below]}
    kinds = ["blank_row" for _ in below]
    assert verdicts(mapped(columns, SALE, last=True)) == ["sent", "totals_row", *kinds]
    assert verdicts(mapped(columns, SALE, last=False)) == ["sent", "missing_required", *kinds]


def test_numbers_alone_above_a_lead_are_a_row_without_its_id() -> None:
    columns: dict[str, list[str | None]] = {"Lead": ["", "t1"], "Payout": ["5", "5"]}
    assert verdicts(mapped(columns, SALE, last=True)) == ["missing_required", "sent"]
    columns["Note"] = ["", ""]
    columns["Lead"], columns["Note"] = ["t1", ""], ["", "see above"]
    assert verdicts(mapped(columns, SALE, last=True)) == ["sent", "missing_required"]


def test_a_total_is_a_row_like_any_other_where_the_job_says_so() -> None:
    columns = {"Lead": ["t1", ""], "Status": ["x", ""], "Payout": ["5", "5"]}
    assert verdicts(mapped(columns, SALE, last=True)) == ["sent", "totals_row"]
    assert verdicts(mapped(columns, SALE, last=True, rows={"totals": "reject"})) == ["sent", "missing_required"]


# Cells


@pytest.mark.parametrize("cell", ['="02134"', ' ="02134" ', '=" 02134\u00a0"', "'02134"])
def test_a_spreadsheets_way_to_keep_a_text_a_text_is_undone(cell: str) -> None:
    assert one(cell, {}, "zip_code")["sent"] == "02134"


@pytest.mark.parametrize("cell", ['="a"&"b"', '="a', '"a"', "=A1", "'t Hooft", "''00123"])
def test_any_other_formula_or_quote_stays_as_it_is(cell: str) -> None:
    assert one(cell, {})["sent"] == cell


def test_columns_are_found_by_their_exact_names() -> None:
    fields = {**EVENT, "sub1": {"column": "*"}, "sub2": {"column": "^x.*$"}, "sub3": {"column": "x y"}}
    (row,) = mapped({"Lead": ["t"], "*": ["star"], "^x.*$": ["caret"], "x y": ["blank"]}, fields)
    assert row["body"] == '{"transaction_id":"t","event_id":"sale","sub1":"star","sub2":"caret","sub3":"blank"}'


@pytest.mark.parametrize("cell", ["", None, "  ", '=""'])
def test_an_empty_cell_is_left_out_cleared_or_refused_as_the_job_says(cell: str | None) -> None:
    assert one(cell, {})["body"] == '{"transaction_id":"t1","event_id":"sale"}'
    assert one(cell, {"when_empty": "clear"})["body"] == '{"transaction_id":"t1","event_id":"sale","sub1":""}'
    refused = one(cell, {"when_empty": "reject"})
    assert (refused["outcome"], refused["reason"]) == ("invalid", "empty")
    assert refused["detail"] == "sub1: column 'C' is empty, which the job does not allow"


def test_a_required_field_is_never_left_out() -> None:
    rows = mapped(
        {"Lead": ["t1", "t2"], "E": ["", "#N/A"]}, {**LEAD, "event_id": {"column": "E", "when_invalid": "omit"}}
    )
    assert verdicts(rows) == ["missing_required", "excel_error"]


@pytest.mark.parametrize("field", ["sub1", "email", "revenue", "state", "conversion_date", "mobile", "tcpa_consent"])
@pytest.mark.parametrize(("cell", "reason"), [("#N/A", "excel_error"), ("M\ufffdller", "replacement_character")])
def test_what_an_earlier_fault_left_is_named_in_a_field_of_any_type(field: str, cell: str, reason: str) -> None:
    assert one(cell, {}, field)["reason"] == reason


def test_an_optional_value_that_is_unfit_may_be_left_out() -> None:
    assert one("nope", {}, "email")["reason"] == "not_an_email"
    omitted = one("nope", {"when_invalid": "omit"}, "email")
    assert (omitted["outcome"], omitted["sent"]) == (None, None)
    assert one("a@b.co", {"when_invalid": "omit"}, "email")["sent"] == "a@b.co"


def test_money_that_is_left_out_is_in_no_book() -> None:
    row = one("9000", {"max": 5000, "when_invalid": "omit"}, "revenue")
    assert (row["outcome"], row["amount"], row["money_revenue"], row["sent"]) == (None, None, None, None)


@pytest.mark.parametrize(("cell", "sent"), [(" txn_1 ", "txn_1"), ("a_txn_1", None), ("TXN_1", None)])
def test_a_pattern_is_searched_in_the_trimmed_text(cell: str, sent: str | None) -> None:
    row = one(cell, {"pattern": "^txn_"})
    assert (row["sent"], row["reason"]) == (sent, None if sent else "pattern_mismatch")


# Maps


@pytest.mark.parametrize("cell", ["Funded", " fUNDED\u00a0"])
def test_a_map_ignores_case_and_outer_blanks(cell: str) -> None:
    assert one(cell, {"map": {" FUNDED ": "sale"}})["sent"] == "sale"


@pytest.mark.parametrize(
    ("otherwise", "outcome", "reason", "sent"),
    [
        ({}, "invalid", "not_in_map", None),
        ({"otherwise": "reject"}, "invalid", "not_in_map", None),
        ({"otherwise": "skip"}, "skipped", "otherwise", None),
        ({"otherwise": {"value": "other"}}, None, None, "other"),
    ],
)
def test_what_the_map_lacks(otherwise: dict[str, Any], outcome: str | None, reason: str | None, sent: str) -> None:
    row = one("Declined", {"map": {"Funded": "sale"}, **otherwise})
    assert (row["outcome"], row["reason"], row["sent"]) == (outcome, reason, sent)
    empty = one("", {"map": {"Funded": "sale"}, **otherwise})
    assert (empty["outcome"], empty["sent"]) == (None, None)


@pytest.mark.parametrize("otherwise", ["skip", "reject", {"value": "other"}])
def test_a_broken_cell_is_neither_skipped_nor_replaced(otherwise: Any) -> None:
    assert one("#REF!", {"map": {"Funded": "sale"}, "otherwise": otherwise})["reason"] == "excel_error"


@pytest.mark.parametrize(
    ("field", "source", "literal"),
    [
        ("revenue", {"map": {"Gold": 85.5, "x": 1}}, "85.5"),
        ("revenue", {"map": {"Gold": 85}}, "85"),
        ("home_owner", {"map": {"Gold": True}, "as": "boolean"}, "true"),
        ("tcpa_consent", {"map": {"Gold": 1}}, "1"),
        ("sub1", {"map": {"Gold": "85"}}, '"85"'),
    ],
)
def test_a_maps_targets_have_the_type_of_the_field(field: str, source: dict[str, Any], literal: str) -> None:
    row = one("gold", source, field)
    assert row["body"] == f'{{"transaction_id":"t1","event_id":"sale","{field}":{literal}}}'


def test_a_row_left_out_on_purpose_may_be_wrong_elsewhere() -> None:
    fields = {
        "revenue": {"column": "Payout"},
        **LEAD,
        "event_id": {"column": "E", "map": {"F": "s"}, "otherwise": "skip"},
    }
    rows = mapped({"Lead": ["t1", "", "t3"], "E": ["D", "D", "F"], "Payout": ["x", "7", "x"]}, fields)
    assert [(row["outcome"], row["reason"]) for row in rows] == [
        ("skipped", "otherwise"),
        ("skipped", "otherwise"),
        ("invalid", "not_a_number"),
    ]
    assert rows[1]["money_revenue"] == Decimal(7)


@pytest.mark.parametrize(
    ("field", "cell", "sent"),
    [
        ("cost_operation", "OVERRIDE", "override"),
        ("cost_operation", "subtract", "subtract"),
        ("cost_operation", "multiply", None),
        ("conversion_timezone", "est", "EST"),
        ("conversion_timezone", "UTC", None),
        ("tcpa_consent", "1", 1),
        ("tcpa_consent", "0.0", 0),
        ("tcpa_consent", "2", None),
    ],
)
def test_a_documented_choice_goes_out_in_its_own_spelling(field: str, cell: str, sent: Any) -> None:
    row = one(cell, {}, field)
    assert (row["sent"], row["reason"]) == (sent, "not_allowed" if sent is None else None)


# What is said


def test_the_first_problem_is_the_reason_and_all_are_told_without_a_word_of_the_row() -> None:
    secret = "Zz9-secret"
    (row,) = mapped(
        {"Lead": ["t1"], "Payout": [secret], "At": [secret], "State": [secret], "Mail": [secret]},
        {
            **EVENT,
            "revenue": {"column": "Payout", "min": 0, "max": 5},
            "conversion_date": {"column": "At", "format": ["%m/%d/%Y", "%F"]},
            "state": {"column": "State"},
            "email": {"column": "Mail", "pattern": "@example"},
        },
    )
    assert row["reason"] == "not_a_number"
    assert row["detail"] == (
        "revenue: column 'Payout' is not an amount of money; "
        "conversion_date: column 'At' is not a date as %m/%d/%Y or %F; "
        "state: column 'State' is not a state or its abbreviation; "
        "email: column 'Mail' does not match the job's pattern"
    )


@pytest.mark.parametrize(
    ("field", "source", "cell", "detail"),
    [
        ("revenue", {"min": 0, "max": 5000}, "-1", "is not at least 0 and at most 5000"),
        ("revenue", {"min": Decimal("0.01")}, "0", "is not at least 0.01"),
        ("conversion_timezone", {}, "UTC", "is not one of PST, EST, CST, MST, AKST, SST, HST, AST"),
        ("zip_code", {}, "2134", 'has lost its leading zeros: lost_zeros = "restore" puts them back'),
        ("age", {"as": "integer"}, "young", "is not a whole number"),
        ("revenue", {}, "1.250,00", "is not an amount of money; if its comma is a decimal sign, set [source] decimal"),
    ],
)
def test_a_detail_says_what_was_expected(field: str, source: dict[str, Any], cell: str, detail: str) -> None:
    assert one(cell, source, field)["detail"] == f"{field}: column 'C' {detail}"


def test_a_constant_that_is_unfit_is_the_jobs_fault() -> None:
    (row,) = mapped({"Lead": ["t1"]}, {**EVENT, "email": {"value": "nobody"}})
    assert row["detail"] == "email: the job's value is not an email address"


def test_the_source_says_how_its_numbers_are_written_but_not_how_the_job_writes_its_own() -> None:
    fields = {**SALE, "cost": {"value": 1.5}, "min_price": {"column": "P", "map": {"a": 2.5}}}
    columns: dict[str, list[str | None]] = {"Lead": ["t1"], "Payout": ["1.250,50"], "P": ["a"]}
    (row,) = mapped(columns, fields, source={"path": "x.csv", "decimal": ","})
    assert row["body"].endswith('"revenue":1250.50,"cost":1.5,"min_price":2.5}')


# Money, stakes and keys


def test_the_books_have_the_money_of_rows_that_are_not_sent() -> None:
    columns: dict[str, list[str | None]] = {
        "Lead": ["a", "", "b"],
        "Payout": ["$9.10", "9000", "x"],
        "Fee": ["1", "2", ""],
    }
    fields = {**EVENT, "amount": {"column": "Fee"}, "revenue": {"column": "Payout", "max": 100}}
    rows = mapped(columns, fields)
    assert [row["amount"] for row in rows] == ["9.10", "9000", None]
    assert [row["money_revenue"] for row in rows] == [Decimal("9.10"), Decimal(9000), None]
    assert [row["money_amount"] for row in rows] == [Decimal(1), Decimal(2), None]


@pytest.mark.parametrize(("first", "second"), [("85.00", "85"), ("$0.10", ".1"), ("-0.00", "0"), ("100", "100.0")])
def test_a_stake_is_the_same_however_the_money_is_written(first: str, second: str) -> None:
    rows = mapped({"Lead": ["a", "a", "a"], "Payout": [first, second, "10"]}, SALE)
    assert rows[0]["stake"] == rows[1]["stake"] != rows[2]["stake"]


def test_a_stake_has_both_moneys_the_date_and_its_zone() -> None:
    fields = {
        **EVENT,
        "amount": {"column": "A"},
        "revenue": {"column": "R"},
        "conversion_date": {"column": "D", "send_as": "PST"},
    }
    columns: dict[str, list[str | None]] = {
        "Lead": ["a", "b", "c"],
        "A": ["1.50", "", "x"],
        "R": ["20", "", "1"],
        "D": ["2024-07-01 10:00", "2024-07-01", ""],
    }
    assert [row["stake"] for row in mapped(columns, fields)] == [
        "20\x1f1.5\x1f2024-07-01 10:00:00\x1fPST",
        "\x1f\x1f2024-07-01\x1f",
        None,
    ]


def test_a_zone_that_the_job_maps_itself_is_sent_once() -> None:
    fields = {
        **EVENT,
        "conversion_timezone": {"column": "Z"},
        "conversion_date": {"column": "D", "send_as": "PST"},
    }
    (row,) = mapped({"Lead": ["a"], "Z": ["cst"], "D": ["2024-07-01 10:00"]}, fields)
    assert row["body"].count("conversion_timezone") == 1
    assert row["stake"] == "\x1f\x1f2024-07-01 10:00:00\x1fCST"


def test_a_date_without_a_time_has_no_zone() -> None:
    fields = {**EVENT, "conversion_date": {"column": "D", "send_as": "PST"}}
    rows = mapped({"Lead": ["a", "b"], "D": ["2024-07-01", "2024-07-01T10:00:00Z"]}, fields)
    assert [json.loads(row["body"]).get("conversion_timezone") for row in rows] == [None, "PST"]


def test_key_columns_tell_two_events_of_one_lead_apart() -> None:
    columns: dict[str, list[str | None]] = {"Lead": ["a", "a"], "Order": [" 1 ", None], "Line": ["x", "y"]}
    rows = mapped(columns, EVENT, rows={"key": ["Order", "Line"]})
    assert [row["key_extra"] for row in rows] == ["1\x1fx", "\x1fy"]


def test_an_update_has_no_stake() -> None:
    (row,) = mapped({"Lead": ["a"]}, LEAD, route="update-lead", api={"campaign_id": "cmp_a"})
    assert (row["stake"], row["campaign_id"], row["body"]) == (None, "cmp_a", '{"transaction_id":"a"}')


# Campaigns


def test_a_campaign_event_names_its_campaign() -> None:
    (row,) = mapped({"Lead": ["a"]}, EVENT, route="campaign-event", api={"campaign_id": 'c"1'})
    assert row["body"] == '{"transaction_id":"a","cid":"c\\"1","event_id":"sale"}'


def test_each_row_may_name_its_campaign() -> None:
    api = {"campaign_id": {"column": "Camp", "map": {"Auto": "cmp_1"}}}
    cells = [" auto ", "Home", "", "#REF!"]
    rows = mapped({"Lead": ["a"] * 4, "Camp": cells}, EVENT, route="campaign-event", api=api)
    assert verdicts(rows) == ["sent", "unknown_campaign", "missing_campaign", "excel_error"]
    assert [row["campaign_id"] for row in rows] == ["cmp_1", None, None, None]
    assert rows[0]["body"].startswith('{"transaction_id":"a","cid":"cmp_1",')
    assert rows[1]["detail"] == "[api] campaign_id: column 'Camp' is not in the job's map of campaigns"


@pytest.mark.parametrize(
    ("cell", "reason"), [("cmp_1", None), ("1.02E+17", "scientific_notation"), ("a\nb", "forbidden_character")]
)
def test_a_campaign_without_a_map_is_the_cells_text_if_it_can_be_an_id(cell: str, reason: str | None) -> None:
    api = {"campaign_id": {"column": "Camp"}}
    (row,) = mapped({"Lead": ["a"], "Camp": [cell]}, LEAD, route="update-lead", api=api)
    assert (row["campaign_id"], row["reason"]) == (None if reason else cell, reason)


def test_a_row_without_lead_and_campaign_lacks_its_lead_first() -> None:
    api = {"campaign_id": {"column": "Camp"}}
    (row,) = mapped({"Lead": [""], "Camp": [""], "Note": ["hm"]}, LEAD, route="update-lead", api=api)
    assert row["reason"] == "missing_required"
    assert "[api] campaign_id" in row["detail"]


# Conditions


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("revenue > 10", ["sent", "filtered", "where_unknown"]),
        ("revenue >= 10 OR Region = 'EU'", ["sent", "sent", "where_unknown"]),
        ("Region = 'US'", ["sent", "filtered", "sent"]),
        ('"Sold At" IS NULL', ["filtered", "filtered", "sent"]),
        ("conversion_date > DATE '2024-07-01'", ["sent", "sent", "where_unknown"]),
        ("conversion_date <= TIMESTAMP '2024-07-01 10:00:00'", ["sent", "filtered", "where_unknown"]),
        ("date_of_birth < DATE '1990-01-01'", ["sent", "filtered", "where_unknown"]),
        ("home_owner", ["sent", "filtered", "where_unknown"]),
        ("COALESCE(home_owner, TRUE)", ["sent", "filtered", "sent"]),
        ("TRY_CAST(Payout AS DOUBLE) > 1000", ["where_unknown", "filtered", "where_unknown"]),
        ("transaction_id IN ('a', 'c') AND NOT (Region LIKE '%X')", ["sent", "filtered", "sent"]),
        ("CASE WHEN revenue > 10 THEN Region = 'US' ELSE TRUE END", ["sent", "sent", "sent"]),
    ],
)
def test_a_condition_sees_typed_fields_and_the_text_of_columns(where: str, expected: list[str]) -> None:
    columns: dict[str, list[str | None]] = {
        "Lead": ["a", "b", "c"],
        "Payout": ["$1,250.00", "10", ""],
        "Region": ["US", " EU ", "US"],
        "Sold At": ["2024-07-01 10:00", "2024-07-02", ""],
        "Born": ["1980-01-01", "1999-01-01", ""],
        "Owner": ["y", "n", ""],
    }
    fields = {
        **SALE,
        "conversion_date": {"column": "Sold At"},
        "date_of_birth": {"column": "Born"},
        "home_owner": {"column": "Owner", "as": "boolean"},
    }
    rows = {"where": where}
    assert check_where(job(fields, rows=rows), list(columns)) is None
    assert verdicts(mapped(columns, fields, rows=rows)) == expected


def test_an_invalid_row_stays_invalid_whatever_the_condition_says() -> None:
    rows = mapped({"Lead": ["a", "b"], "Payout": ["x", "1"]}, SALE, rows={"where": "revenue > 10"})
    assert [(row["outcome"], row["reason"]) for row in rows] == [("invalid", "not_a_number"), ("skipped", "filtered")]


def test_a_field_hides_a_column_of_its_name() -> None:
    columns: dict[str, list[str | None]] = {"Lead": ["a"], "sub1": ["column"], "C": ["field"]}
    rows = mapped(columns, {**EVENT, "sub1": {"column": "C"}}, rows={"where": "sub1 = 'field'"})
    assert verdicts(rows) == ["sent"]


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("revenue >", "unable to parse"),
        ("Regoin = 'US'", "no field or column is called 'Regoin'"),
        ("revenue > 'x'", "compare"),
        ("conversion_date > '2024-07-01'", "compare"),
        ("revenue", "true or false"),
        ("revenue + 1", "true or false"),
        ("1 = 1", "names no field"),
        ("revenue > AVG(revenue)", "more than one row"),
        ("SUM(revenue) > 1", "more than one row"),
        ("ROW_NUMBER() OVER (ORDER BY Region) > 1", "more than one row"),
        ("SUM(revenue) OVER (PARTITION BY Region) > 1", "more than one row"),
        ("revenue IN (1, MAX(revenue))", "more than one row"),
        ("RANDOM() > 0.5", "random"),
    ],
)
def test_a_condition_that_cannot_work_is_found_before_any_row(where: str, fault: str) -> None:
    fields = {**SALE, "conversion_date": {"column": "At"}}
    found = check_where(job(fields, rows={"where": where}), ["Lead", "Payout", "At", "Region"])
    assert found is not None
    assert fault in found
    assert "\n" not in found


def test_a_job_without_a_condition_has_none_to_check() -> None:
    assert check_where(job(SALE), ["Lead", "Payout"]) is None


def test_a_condition_that_breaks_on_a_row_stops_without_telling_the_cell() -> None:
    with pytest.raises(UsageError, match="TRY_CAST") as caught:
        mapped({"Lead": ["a"], "Payout": ["1"], "Age": ["Zz9-secret"]}, SALE, rows={"where": "CAST(Age AS INT) > 1"})
    assert "Zz9" not in str(caught.value)
    assert caught.value.__suppress_context__
