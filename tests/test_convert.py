from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.convert import CONVERTERS, EXACT, Wanted, broken, constant
from batchpost.job import FieldSource
from batchpost.routes import FieldType

NUMBER, INTEGER, MONEY = FieldType.NUMBER, FieldType.INTEGER, FieldType.MONEY
LOW = Decimal("-1E+20")


def convert(
    kind: FieldType,
    *texts: str,
    name: str = "sub1",
    decimal: str | None = None,
    fixed: bool = False,
    **source: Any,
) -> list[str]:
    """For each text what goes out, or ``!`` and the code of what is wrong."""
    wanted = Wanted(name, kind, FieldSource(column="C", **source), decimal=decimal, fixed=fixed)
    conversion = CONVERTERS[kind](wanted)
    frame = pl.DataFrame({f"{name}.text": texts})
    for step in conversion.steps:
        frame = frame.with_columns(step)
    outcome = pl.coalesce(wanted.part("typed"), pl.concat_str(pl.lit("!"), conversion.why))
    return frame.select(outcome).to_series().to_list()


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("85.00", "85.00"),
        ("007.50", "7.50"),
        ("+5", "5"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("-45", "-45"),
        ("0", "0"),
        ("000", "0"),
        ("0.00", "0.00"),
        ("-0", "-0"),
        ("100", "100"),
        ("1.250", "1.250"),
        ("1,250.00", "1250.00"),
        ("1,250,000", "1250000"),
        ("123456789012345", "123456789012345"),
        ("0.123456789", "0.123456789"),
        ("000000000000000000000.10", "0.10"),
        ("1,250", "!ambiguous_number"),
        ("-1,250", "!ambiguous_number"),
        ("1.250,00", "!not_a_number:comma"),
        ("85,5", "!not_a_number:comma"),
        ("1.250.000", "!not_a_number:comma"),
        ("1,25,000.00", "!not_a_number"),
        ("12345,678.00", "!not_a_number"),
        ("5.", "!not_a_number"),
        (".", "!not_a_number"),
        ("-", "!not_a_number"),
        ("--5", "!not_a_number"),
        ("5-", "!not_a_number"),
        ("1 250", "!not_a_number"),
        ("NaN", "!not_a_number"),
        ("inf", "!not_a_number"),
        ("-Infinity", "!not_a_number"),
        ("1e3", "!not_a_number"),
        ("1.02E+17", "!not_a_number"),
        ("5%", "!not_a_number"),
        ("0x10", "!not_a_number"),
        ("٣", "!not_a_number"),
        ("1234567890123456", "!out_of_range:digits"),
        ("0.1234567891", "!out_of_range:digits"),
        ("1234567.123456789", "!out_of_range:digits"),
    ],
)
@pytest.mark.parametrize("kind", [NUMBER, MONEY])
def test_a_number_keeps_its_digits_or_is_refused(kind: FieldType, text: str, sent: str) -> None:
    of_money = {"1 250": "1250", "1.250": "!ambiguous_number"}
    assert convert(kind, text, min=LOW) == [of_money.get(text, sent) if kind is MONEY else sent]


def test_a_point_before_three_digits_may_group_thousands_of_money_where_no_sign_is_said() -> None:
    """A German export whose amounts are all whole has nothing but such points: 1.250 would go out as 1.25."""
    texts = ("1.250", "-12.500", "€ 850.000", "0.125", "1.2500", "1250.125", "12.50")
    unsaid = ["!ambiguous_number"] * 3 + ["0.125", "1.2500", "1250.125", "12.50"]
    assert convert(MONEY, *texts, min=LOW) == unsaid
    assert convert(MONEY, *texts[:3], decimal=",", min=LOW) == ["1250", "-12500", "850000"]
    assert convert(MONEY, *texts[:3], decimal=".", min=LOW) == ["1.250", "-12.500", "850.000"]
    assert convert(MONEY, "1.250", fixed=True) == ["1.250"]


@pytest.mark.parametrize(
    ("decimal", "text", "sent"),
    [
        (".", "1,250", "1250"),
        (".", "1,250.5", "1250.5"),
        (".", "12,50", "!not_a_number"),
        (".", "1.250,00", "!not_a_number"),
        (",", "1.250,00", "1250.00"),
        (",", "1.250", "1250"),
        (",", "85,5", "85.5"),
        (",", ",5", "0.5"),
        (",", "-0,50", "-0.50"),
        (",", "85.5", "!not_a_number"),
        (",", "1,250.00", "!not_a_number"),
        (",", "0,1234567891", "!out_of_range:digits"),
    ],
)
def test_the_jobs_decimal_sign_settles_what_a_comma_is(decimal: str, text: str, sent: str) -> None:
    assert convert(NUMBER, text, decimal=decimal) == [sent]
    assert convert(MONEY, text, decimal=decimal, min=LOW) == [sent]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("$1,250.00", "1250.00"),
        ("$ 45", "45"),
        ("-$45.10", "-45.10"),
        ("$-45.10", "-45.10"),
        ("USD 45", "45"),
        ("45 USD", "45"),
        ("45usd", "45"),
        ("45,00 €", "!not_a_number:comma"),
        ("€45", "45"),
        ("£\u00a045", "45"),
        ("(45.00)", "-45.00"),
        ("($1,045.00)", "-1045.00"),
        ("(45 EUR)", "-45"),
        ("$1,250", "!ambiguous_number"),
        ("(-45)", "!not_a_number"),
        ("(45", "!not_a_number"),
        ("45)", "!not_a_number"),
        ("-(45)", "!not_a_number"),
        ("$", "!not_a_number"),
        ("$$45", "!not_a_number"),
        ("-$-45", "!not_a_number"),
        ("€45 USD", "!not_a_number"),
        ("45.00-", "!not_a_number"),
        ("4$5", "!not_a_number"),
        ("45 XYZ", "!not_a_number"),
    ],
)
def test_money_may_have_a_currency_and_brackets(text: str, sent: str) -> None:
    assert convert(MONEY, text, min=LOW) == [sent]


@pytest.mark.parametrize("text", ["-45", "(45.00)", "$-0.01", "-$45.10"])
def test_negative_money_is_refused_unless_the_job_allows_it(text: str) -> None:
    assert convert(MONEY, text) == ["!out_of_range:negative"]
    assert convert(MONEY, text, min=Decimal(-100)) == convert(MONEY, text, min=LOW)
    assert convert(MONEY, text, min=Decimal("0.01")) == ["!out_of_range"]
    assert not convert(NUMBER, "-45")[0].startswith("!")


def test_no_money_is_money() -> None:
    assert convert(MONEY, "0", "-0", "0.00", "$0", "(0)") == ["0", "-0", "0.00", "0", "-0"]


@pytest.mark.parametrize(
    ("decimal", "text", "sent"),
    [
        (",", "1 250,00 €", "1250.00"),
        (",", "1\u00a0250\u00a0000,5", "1250000.5"),
        (",", "1\u202f250,00\u00a0EUR", "1250.00"),
        (None, "CHF 1'250.00", "1250.00"),
        (None, "1\u2019250.00", "1250.00"),
        (None, "12 50", "!not_a_number"),
        (None, "1 2500", "!not_a_number"),
        (None, "1 250,00", "!not_a_number:comma"),
    ],
)
def test_groups_of_money_may_be_divided_by_blanks_and_apostrophes(decimal: str | None, text: str, sent: str) -> None:
    assert convert(MONEY, text, decimal=decimal) == [sent]


@pytest.mark.parametrize("text", ["$5", "(5)", "5 USD"])
def test_only_money_has_a_currency(text: str) -> None:
    assert convert(NUMBER, text) == ["!not_a_number"]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("5", "5"),
        ("5.0", "5"),
        ("5.000", "5"),
        ("-007", "-7"),
        (".0", "0"),
        ("100", "100"),
        ("5.5", "!not_an_integer"),
        ("five", "!not_a_number"),
    ],
)
def test_an_integer_has_no_fraction(text: str, sent: str) -> None:
    assert convert(INTEGER, text) == [sent]


def test_limits_are_inclusive_and_exact() -> None:
    texts = ("0.01", "0.009999999", "5000", "5000.00", "5000.000000001", "-1")
    sent = convert(MONEY, *texts, min=Decimal("0.01"), max=Decimal(5000))
    assert sent == ["0.01", "!out_of_range", "5000", "5000.00", "!out_of_range", "!out_of_range"]


@pytest.mark.parametrize("limit", ["1E+30", "0.00000000000001", "-1E+30"])
def test_a_limit_that_no_amount_can_reach_is_no_trouble(limit: str) -> None:
    low, high = ("5", "!out_of_range") if Decimal(limit) > 5 else ("!out_of_range", "5")
    assert convert(NUMBER, "5", max=Decimal(limit)) == [low]
    assert convert(NUMBER, "5", min=Decimal(limit)) == [high]


def test_money_that_is_out_of_range_stays_readable_for_the_books() -> None:
    wanted = Wanted("revenue", MONEY, FieldSource(column="C", max=Decimal(10)))
    frame = pl.DataFrame({"revenue.text": ["$1,250.10"]})
    for step in CONVERTERS[MONEY](wanted).steps:
        frame = frame.with_columns(step)
    assert frame.schema["revenue.exact"] == EXACT
    assert frame.select("revenue.literal", "revenue.exact", "revenue.typed").row(0) == (
        "1250.10",
        Decimal("1250.100000000"),
        None,
    )


@settings(max_examples=100, deadline=None)
@given(st.decimals(min_value=-999_999, max_value=999_999, allow_nan=False, places=9), st.booleans())
def test_grouped_or_not_the_exact_value_goes_out(number: Decimal, grouped: bool) -> None:
    text = f"{number:,f}" if grouped else f"{number:f}"
    (sent,) = convert(MONEY, text, min=LOW)
    assert Decimal(sent) == number


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789.,-+$() E", max_size=12))
def test_what_goes_out_as_a_number_is_one_and_has_the_digits_of_the_text(text: str) -> None:
    (sent,) = convert(MONEY, text)
    if sent.startswith("!"):
        assert sent[1:].split(":")[0] in {"not_a_number", "ambiguous_number", "out_of_range"}
    else:
        significant = "".join(filter(str.isdigit, text)).lstrip("0")
        assert Decimal(sent).is_finite()
        assert "".join(filter(str.isdigit, sent)).lstrip("0") == significant


@pytest.mark.parametrize(
    ("lists", "text", "sent"),
    [
        *(({}, word, "true") for word in ("true", "YES", "y", "1")),
        *(({}, word, "false") for word in ("False", "no", "N", "0")),
        ({}, "maybe", "!not_a_boolean"),
        ({"true": ["Owns", " Ja "], "false": ["Rents"]}, "owns", "true"),
        ({"true": ["Owns", " Ja "], "false": ["Rents"]}, "JA", "true"),
        ({"true": ["Owns"], "false": ["Rents"]}, "rents", "false"),
        ({"true": ["Owns"], "false": ["Rents"]}, "yes", "!not_a_boolean"),
    ],
)
def test_booleans_by_the_jobs_words_or_the_usual_ones(lists: dict[str, list[str]], text: str, sent: str) -> None:
    assert convert(FieldType.BOOLEAN, text, **lists) == [sent]


def test_what_the_job_writes_itself_needs_no_place_in_its_word_lists() -> None:
    sent = convert(FieldType.BOOLEAN, "true", "false", "Owns", fixed=True, true=["Owns"], false=["Rents"])
    assert sent == ["true", "false", "true"]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Zoë 👩\u200d👧 שלום", None),
        ("two\nlines\r\nand\ta tab", None),
        ("None", None),
        ("n/a", None),
        ("#1 choice", None),
        ("1.02E+17", None),
        ("a\x00b", "!forbidden_character"),
        ("a\x1bb", "!forbidden_character"),
        ("a\x85b", "!forbidden_character"),
        ("\x7f", "!forbidden_character"),
    ],
)
def test_text_goes_out_as_it_is_unless_it_has_control_characters(text: str, sent: str | None) -> None:
    assert convert(FieldType.TEXT, text) == [sent or text]


@pytest.mark.parametrize("name", ["transaction_id", "event_id", "pid", "[api] campaign_id"])
@pytest.mark.parametrize("text", ["a\nb", "a\tb", "a\rb", "a\x00"])
def test_an_id_has_no_line_breaks(name: str, text: str) -> None:
    assert convert(FieldType.TEXT, text, name=name) == ["!forbidden_character"]


@pytest.mark.parametrize("name", ["transaction_id", "event_id", "clid", "[api] campaign_id"])
@pytest.mark.parametrize("text", ["1.02E+17", "1.02E17", "1,02e+17", "1E+05", "-2.5E-3"])
def test_an_id_that_a_spreadsheet_rounded_is_refused(name: str, text: str) -> None:
    assert convert(FieldType.TEXT, text, name=name) == ["!scientific_notation"]


@pytest.mark.parametrize("text", ["12345.0", "12345.000", "NaN", "nan", "inf", "-Infinity"])
def test_an_id_that_a_program_took_for_a_number_is_refused(text: str) -> None:
    assert convert(FieldType.TEXT, text, name="transaction_id") == ["!id_as_number"]
    assert convert(FieldType.TEXT, text) == [text]


@pytest.mark.parametrize("text", ["12345", "12345.5", "1.0.0", "Nan Goldin"])
def test_an_id_may_look_somewhat_like_a_number(text: str) -> None:
    assert convert(FieldType.TEXT, text, name="transaction_id") == [text]


@pytest.mark.parametrize("text", ["txn_\u200b1", "\ufefftxn", "txn\u00ad1", "a\u202eb"])
def test_an_id_has_nothing_in_it_that_is_not_seen(text: str) -> None:
    assert convert(FieldType.TEXT, text, name="transaction_id") == ["!forbidden_character:invisible"]


@pytest.mark.parametrize("text", ["12e5", "4e10", "txn_1.02E+17", "E+17", "a/../b?c#d e", "ümlaut"])
def test_an_id_that_only_resembles_a_rounded_number_goes_out(text: str) -> None:
    assert convert(FieldType.TEXT, text, name="transaction_id") == [text]


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#n/a"])
def test_a_spreadsheets_error_is_no_value(error: str) -> None:
    frame = pl.DataFrame({"t": [error, f"{error} is text"]})
    assert frame.select(broken(pl.col("t"))).to_series().to_list() == ["excel_error", None]
    assert convert(FieldType.TEXT, error)[0].startswith("!")


def test_the_mark_of_a_wrong_encoding_is_found_anywhere_in_a_text() -> None:
    frame = pl.DataFrame({"t": ["M\ufffdller", "Müller"]})
    assert frame.select(broken(pl.col("t"))).to_series().to_list() == ["replacement_character", None]
    assert convert(FieldType.TEXT, "M\ufffdller")[0].startswith("!")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("5551234567", "5551234567"),
        ("(555) 123-4567", "5551234567"),
        ("555.123.4567", "5551234567"),
        ("+1 555\u2013123\u20134567", "5551234567"),
        ("1-555-123-4567", "5551234567"),
        ("15551234567", "5551234567"),
        ("25551234567", "!not_a_phone"),
        ("+44 20 7946 0958", "!not_a_phone"),
        ("+5551234567", "!not_a_phone"),
        ("555-123-4567 x12", "!not_a_phone:extension"),
        ("555-123-4567 ext. 8", "!not_a_phone:extension"),
        ("123-4567", "!not_a_phone"),
        ("1555123456.0", "!not_a_phone"),
        ("5551234567.0", "!not_a_phone"),
        ("call me", "!not_a_phone"),
        ("5.55E+09", "!scientific_notation"),
    ],
)
def test_a_phone_number_is_ten_digits(text: str, sent: str) -> None:
    assert convert(FieldType.PHONE, text) == [sent]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("NY", "NY"),
        ("ny", "NY"),
        ("new york", "NY"),
        ("WEST VIRGINIA", "WV"),
        ("District of Columbia", "DC"),
        ("Puerto Rico", "PR"),
        ("U.S. Virgin Islands", "VI"),
        ("Virgin Islands", "VI"),
        ("gu", "GU"),
        ("ap", "AP"),
        ("Ontario", "!not_a_state"),
        ("XX", "!not_a_state"),
    ],
)
def test_a_state_goes_out_as_its_abbreviation(text: str, sent: str) -> None:
    assert convert(FieldType.STATE, text) == [sent]


def test_every_territory_and_military_mail_code_is_known() -> None:
    codes = ["DC", "PR", "GU", "VI", "AS", "MP", "AA", "AE", "AP"]
    assert convert(FieldType.STATE, *codes) == codes


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("02134", "02134"),
        ("02134-1234", "02134-1234"),
        ("2134", "!not_a_zip:short"),
        ("2134-1234", "!not_a_zip:short"),
        ("501", "!not_a_zip:short"),
        ("50", "!not_a_zip"),
        ("021341234", "!not_a_zip"),
        ("K1A 0B1", "!not_a_zip"),
        ("2.13E+03", "!scientific_notation"),
    ],
)
def test_a_zip_code_keeps_its_zeros_and_is_never_guessed(text: str, sent: str) -> None:
    assert convert(FieldType.ZIP, text) == [sent]


def test_lost_zeros_come_back_only_where_the_job_says_so() -> None:
    texts = ("2134", "501", "2134-1234", "501-0007", "02134", "50", "021341234")
    sent = convert(FieldType.ZIP, *texts, lost_zeros="restore")
    assert sent == ["02134", "00501", "02134-1234", "00501-0007", "02134", "!not_a_zip", "!not_a_zip"]


@pytest.mark.parametrize(
    "text", ["a@b.co", "Ann.O'Neil+tag@mail.example.com", "jörg@müller.example", "x_1-2@a-b.example", "李@例子.中国"]
)
def test_an_email_address_goes_out_as_it_is(text: str) -> None:
    assert convert(FieldType.EMAIL, text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a@b",
        "a@@b.co",
        "a b@c.de",
        "a@b..co",
        ".a@b.co",
        "a.@b.co",
        "a@-b.co",
        "a@b.co,c@d.co",
        "<a@b.co>",
        "@b.co",
        "a@b.co\n",
        'a"b@c.de',
        "a\u00a0b@c.de",
        "a\ufffdb@c.de",
        "a\u200bb@c.de",
        "a" * 250 + "@b.co",
    ],
)
def test_what_is_no_email_address_is_refused(text: str) -> None:
    assert convert(FieldType.EMAIL, text) == ["!not_an_email"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (85, "85"),
        (85.5, "85.5"),
        (1e-7, "0.0000001"),
        (1e21, "1000000000000000000000"),
        ("as it is", "as it is"),
    ],
)
def test_a_value_in_the_job_is_spelled_as_a_cell_would_be(value: str | bool | int | float, text: str) -> None:
    assert constant(value) == text


# -- texts that need no conversion -------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(
        st.none() | st.decimals(0, 10**12 - 1, places=2, allow_nan=False).map(str) | st.integers(0, 10**12 - 1).map(str)
    ),
    kind=st.sampled_from([NUMBER, INTEGER, MONEY]),
    decimal=st.sampled_from([None, "."]),
    limits=st.sampled_from(
        [{}, {"min": Decimal(5)}, {"max": Decimal(100)}, {"min": Decimal(-5), "max": Decimal(10**9)}]
    ),
)
def test_plain_numbers_are_converted_the_short_way_to_the_same(
    texts: list[str | None], kind: FieldType, decimal: str | None, limits: dict[str, Decimal]
) -> None:
    wanted = Wanted("n", kind, FieldSource(column="C", **limits), decimal=decimal)
    conversion = CONVERTERS[kind](wanted)
    assert conversion.plain is not None
    frame = pl.DataFrame({"n.text": texts}, schema={"n.text": pl.String})
    frame = frame.filter(conversion.plain.fill_null(value=True))
    long, short = frame, frame
    for step in conversion.steps:
        long = long.with_columns(step)
    for step in conversion.short:
        short = short.with_columns(step)
    made = ["n.literal", "n.exact", "n.typed"]
    assert short.select(made, conversion.why.alias("why")).equals(long.select(made, conversion.why.alias("why")))


@pytest.mark.parametrize(
    "text", ["-5", "+5", "05", "1,250", "1.250", "$5", "5.", ".5", "1e3", " 5", "NaN", "1234567890123"]
)
def test_whatever_is_not_plain_takes_the_long_way(text: str) -> None:
    plain = CONVERTERS[MONEY](Wanted("n", MONEY, FieldSource(column="C"))).plain
    assert plain is not None
    assert pl.DataFrame({"n.text": [text]}).select(plain).item() is False
    assert CONVERTERS[MONEY](Wanted("n", MONEY, FieldSource(column="C"), decimal=",")).plain is None
