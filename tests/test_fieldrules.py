from __future__ import annotations

from pathlib import Path

import pytest

from batchpost.fieldrules import near_field
from batchpost.routes import ROUTES
from tests.jobtexts import HERE, job_text, marked, mistakes_of

# What one line may have wrong besides.
ALSO = ("false", "min", "fold", "timezone")

# A line of [fields], the place below fields that is wrong, what the message says, what the hint says.
WRONG = [
    ('sub1 = { when_empty = "omit" }', "sub1", "neither which column", "add column"),
    ('sub1 = { column = "A", value = "x" }', "sub1", "both a column and a value", "keep one"),
    ('sub1 = { column = " " }', "sub1.column", "is empty", "as the header does"),
    ('transaction_id = { value = "txn_1" }', "transaction_id.value", "to the same lead", "column"),
    *[
        (f'sub1 = {{ value = "x", {key} }}', f"sub1.{key.split()[0]}", "no effect on a constant", "remove")
        for key in ('pattern = "x"', 'when_empty = "omit"', 'when_invalid = "omit"')
    ],
    # as
    ('revenue = { column = "A", as = "text" }', "revenue.as", "documents revenue as money", '"money"'),
    ('revenue = { column = "A", as = "number" }', "revenue.as", "counted as money", '"money"'),
    ('amount = { column = "A", as = "integer" }', "amount.as", "counted as money", '"money"'),
    ('cost = { column = "A", as = "text" }', "cost.as", "as money", '"money"'),
    ('sub1 = { column = "A", as = "boolean" }', "sub1.as", "as text", '"text"'),
    ('transaction_id = { column = "A", as = "integer" }', "transaction_id.as", "as text", '"text"'),
    ('tcpa_consent = { column = "A", as = "number" }', "tcpa_consent.as", "as integer", '"integer"'),
    ('tcpa_consent_date = { column = "A", as = "datetime" }', "tcpa_consent_date.as", "as date", '"date"'),
    ('conversion_date = { column = "A", as = "text" }', "conversion_date.as", "as datetime", '"datetime"'),
    ('sub1 = { column = "A", custom = true }', "sub1.custom", "documents this field", "remove"),
    # a constant
    ("sub1 = { value = 5 }", "sub1.value", "must be text", "quotes"),
    ("revenue = { value = true }", "revenue.value", "not a money", "1250.00"),
    ("revenue = { value = nan }", "revenue.value", "a finite number", ""),
    ('revenue = { value = "much" }', "revenue.value", "not a money", "1250.00"),
    ('revenue = { value = "1e3" }', "revenue.value", "not a money", "1250.00"),
    ('score = { value = "1_000", as = "number" }', "score.value", "not a number", "1250.00"),
    ('visits = { column = "A", as = "integer", map = { a = "1e3" } }', "visits.map.a", "not a integer", "number"),
    ('visits = { value = 1.5, as = "integer" }', "visits.value", "not a integer", "number"),
    ('owner = { value = "Y", as = "boolean" }', "owner.value", "not a boolean", "true or false"),
    ('cost_operation = { value = "substrat" }', "cost_operation.value", "one of add", '"substract"'),
    ("tcpa_consent = { value = 2 }", "tcpa_consent.value", "one of 0, 1", ""),
    ('conversion_timezone = { value = "UTC" }', "conversion_timezone.value", "one of PST", ""),
    ('event_id = { value = "" }', "event_id.value", "is empty", ""),
    ('email = { value = "nobody" }', "email.value", "not a email", "name@example.com"),
    ('mobile = { value = "555-0101" }', "mobile.value", "not a phone", "5550101234"),
    ('date_of_birth = { value = "7/1/1980" }', "date_of_birth.value", "not a date", "2026-07-01"),
    ('conversion_date = { value = "2026-02-30" }', "conversion_date.value", "not a datetime", "2026-07-01 16:30:00"),
    ('conversion_date = { value = "2026-07-01 16:30" }', "conversion_date.value", "not a datetime", "16:30:00"),
    # map and otherwise
    ('sub1 = { column = "A", otherwise = "skip" }', "sub1.otherwise", "needs a map", "add map"),
    ('sub1 = { column = "A", map = {} }', "sub1.map", "is empty", "remove"),
    ('sub1 = { column = "A", map = { a = 1 } }', "sub1.map.a", "must be text", "quotes"),
    ('flag = { column = "A", map = { a = true } }', "flag.map.a", "must be text", 'as = "number" or "boolean"'),
    ('flag = { column = "A", as = "boolean", map = { a = "x" } }', "flag.map.a", "not a boolean", "without quotes"),
    ('revenue = { column = "A", map = { a = "x" } }', "revenue.map.a", "not a money", "number"),
    ('sub1 = { column = "A", map = { "Yes" = "1", "yes " = "2" } }', 'sub1.map."yes "', "is there twice", "keep one"),
    ('sub1 = { column = "A", map = { a = "1" }, otherwise = { value = 2 } }', "sub1.otherwise.value", "text", "quotes"),
    # min and max
    ('sub1 = { column = "A", min = 1 }', "sub1.min", "is for numbers", "remove"),
    ('score = { column = "A", max = 1 }', "score.max", "is for numbers", 'as = "number"'),
    ('tcpa_consent_date = { column = "A", min = 1 }', "tcpa_consent_date.min", "is for numbers", "remove"),
    ('revenue = { column = "A", min = 5.01, max = 5 }', "revenue.min", "greater than max", "swap"),
    # pattern
    ('sub1 = { column = "A", pattern = "(" }', "sub1.pattern", "not a regular expression: unclosed group", ""),
    ('sub1 = { column = "A", pattern = "(?=a)" }', "sub1.pattern", "look-around", ""),
    # dates
    ('sub1 = { column = "A", format = "%Y-%m-%d" }', "sub1.format", "is for dates; this field is a text", "remove"),
    ('paid_on = { column = "A", format = "%Y-%m-%d" }', "paid_on.format", "is for dates", 'as = "date"'),
    ('date_of_birth = { column = "A", timezone = "America/New_York" }', "date_of_birth.timezone", "with a time", ""),
    ('date_of_birth = { column = "A", fold = "latest" }', "date_of_birth.fold", "with a time", "remove"),
    ('date_of_birth = { column = "A", format = "MM/DD/YYYY" }', "date_of_birth.format", "no % codes", "%m/%d/%Y"),
    ('date_of_birth = { column = "A", format = [] }', "date_of_birth.format", "is empty", "%m/%d/%Y"),
    ('date_of_birth = { column = "A", format = ["%D", "%Y-%M-%d"] }', "date_of_birth.format", "minutes", "%m/%d/%Y"),
    ('date_of_birth = { column = "A", format = "%Y-%m-%d %" }', "date_of_birth.format", "without a code", "%m"),
    ('date_of_birth = { column = "A", format = "%F %H:%M %p" }', "date_of_birth.format", "AM or PM) and no %I", "%m"),
    ('date_of_birth = { column = "A", format = "%F %-I:%M" }', "date_of_birth.format", "no %p that says AM", "%m"),
    ('date_of_birth = { column = "A", format = "%F %H" }', "date_of_birth.format", "an hour without its minutes", "%m"),
    ('conversion_date = { column = "A", format = "%F %T %Z" }', "conversion_date.format", "and ignores it", "%m"),
    ('conversion_date = { column = "A", format = "%F %T %#z" }', "conversion_date.format", "write %z", "%m"),
    ('conversion_date = { column = "A", format = "%F %T %::z" }', "conversion_date.format", "and loses it", "%m"),
    ('conversion_date = { column = "A", fold = "latest" }', "conversion_date.fold", "needs timezone", ""),
    (
        'conversion_date = { column = "A", timezone = "America/New_York" }',
        "conversion_date.timezone",
        "needs send_as",
        'send_as = "EST"',
    ),
    (
        'seen = { column = "A", as = "datetime", timezone = "New York" }',
        "seen.timezone",
        "not a time",
        "America/New_York",
    ),
    ('seen = { column = "A", as = "datetime", timezone = "America" }', "seen.timezone", "not a time zone", ""),
    ('seen = { column = "A", as = "datetime", timezone = "../UTC" }', "seen.timezone", "not a time zone", ""),
    ('seen = { column = "A", as = "datetime", timezone = "" }', "seen.timezone", "not a time zone", "America/New_York"),
    ('seen = { column = "A", as = "datetime", send_as = "EST" }', "seen.send_as", "for conversion_date only", "remove"),
    (
        'conversion_date = { column = "A", send_as = "UTC" }',
        "conversion_date.send_as",
        "one of PST, EST",
        "none for UTC",
    ),
    ('conversion_date = { column = "A", send_as = "est" }', "conversion_date.send_as", "one of PST, EST", '"EST"'),
    # booleans
    ('sub1 = { column = "A", true = ["Y"], false = [] }', "sub1.true", "is for booleans", 'as = "boolean"'),
    ('owner = { column = "A", as = "boolean", true = ["Y"] }', "owner", "not what is false", "add false"),
    ('owner = { column = "A", as = "boolean", false = ["N"] }', "owner", "not what is true", "add true"),
    ('owner = { column = "A", as = "boolean", true = [], false = ["N"] }', "owner.true", "is empty", "Yes"),
    (
        'owner = { column = "A", as = "boolean", true = ["Y", " x"], false = ["X"] }',
        "owner.false",
        "that true has too",
        "keep it",
    ),
    # empty and invalid
    ('event_id = { column = "A", when_invalid = "omit" }', "event_id.when_invalid", "cannot leave out", "reject"),
    ('event_id = { column = "A", when_empty = "clear" }', "event_id.when_empty", "cannot clear", "reject"),
    ('revenue = { column = "A", when_empty = "clear" }', "revenue.when_empty", "cannot send an empty text", "omit"),
    ('flag = { column = "A", as = "boolean", when_empty = "clear" }', "flag.when_empty", "cannot send", "omit"),
    ('cost_operation = { column = "A", when_empty = "clear" }', "cost_operation.when_empty", "cannot send", "omit"),
    # names
    ('transacton_id = { column = "A" }', "transacton_id", "not a documented field", '"transaction_id"'),
    ('Revenue = { column = "A" }', "Revenue", "not a documented field", '"revenue"'),
    ('adspend = { column = "A" }', "adspend", "not a documented field", '"adSpend"'),
    ('first-name = { column = "A" }', "first-name", "not a documented field", "custom = true"),
]


@pytest.mark.parametrize(("line", "place", "message", "hint"), WRONG)
def test_a_wrong_field_is_named_with_its_mend(tmp_path: Path, line: str, place: str, message: str, hint: str) -> None:
    text = job_text(fields=f"{line} {HERE}")
    found = {(one.place, one.line): one for one in mistakes_of(tmp_path, text)}
    mistake = found[(f"fields.{place}", marked(text))]
    assert message in mistake.message
    assert hint in mistake.hint
    assert {where for where, _ in found} <= {
        f"fields.{place}",
        *(f"fields.{place.partition('.')[0]}.{key}" for key in ALSO),
    }


@pytest.mark.parametrize(
    "line",
    [
        'sub1 = { column = "A", pattern = "^(a|b)+$", when_empty = "clear" }',
        'sub1 = { column = "A", as = "date", format = ["%m/%d/%Y", "%F"] }',
        'sub1 = { value = "" }',
        'mobile = { column = "A", as = "text" }',
        'mobile = { value = "+1 (555) 010-1234" }',
        'cost = { column = "A", as = "number", min = -1, max = "9999999999999999999.01" }',
        "revenue = { value = 12.5 }",
        "revenue = { value = 1e3 }",
        'score = { value = "-.5", as = "number" }',
        'revenue = { value = "12.50" }',
        'revenue = { column = "A", map = { free = 0, paid = "12.50" }, otherwise = "reject" }',
        'conversion_date = { value = "2026-07-01" }',
        'conversion_date = { value = "2026-07-01 16:30:00" }',
        'conversion_date = { column = "A", as = "date" }',
        'conversion_date = { column = "A", format = "%d.%m.%y %H:%M:%S%.f" }',
        'conversion_date = { column = "A", format = "%s", send_as = "EST" }',
        'conversion_date = { column = "A", format = ["%F %T%z", "%F %T %:z", "%F %%Z"], send_as = "EST" }',
        'conversion_date = { column = "A", timezone = "Europe/Berlin", send_as = "HST", fold = "earliest" }',
        'tcpa_consent = { column = "A", map = { Yes = 1, No = "0" } }',
        "tcpa_consent = { value = 1 }",
        "loan_amount = { value = 15000 }",
        "home_owner = { value = true }",
        'home_owner = { column = "A", as = "boolean", map = { J = true, N = false }, otherwise = { value = false } }',
        'address2 = { column = "A" }',
        'emails = { column = "A", custom = true }',
        'date_of_birth = { column = "A", when_invalid = "omit", when_empty = "clear" }',
    ],
)
def test_a_sound_field_is_let_through(tmp_path: Path, line: str) -> None:
    assert mistakes_of(tmp_path, job_text(fields=line)) == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("transactionId", "transaction_id"),
        ("e-mail", "email"),
        ("zipcode", "zip_code"),
        ("utm_sorce", "utm_source"),
        ("sub_1", "sub1"),
        ("revenue", ""),
        ("loan_amount", ""),
        ("credit_score", ""),
        ("state_2", ""),
        ("sub6", ""),
        ("zip", ""),
    ],
)
def test_only_names_next_to_a_documented_one_are_held_for_mistyped(name: str, meant: str) -> None:
    assert near_field(name, ROUTES["global-event"]) == meant
