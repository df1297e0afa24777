"""Numbers of a workbook → text: exact, and dates by their format alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpost.exceltext import Format, column_name, column_number, format_of, number_text, unescaped


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        ("123", "123"),
        ("123.0", "123"),
        ("-45", "-45"),
        ("-0", "0"),
        ("0.1", "0.1"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1E-7", "0.0000001"),
        ("1.25E+3", "1250"),
        ("999999999999999", "999999999999999"),
        ("1E+15", "1E+15"),
        ("1.234567890123457E+16", "1.234567890123457E+16"),
        ("12345678901234567", "1.2345678901234568E+16"),
        ("-1234567890123456", "-1.234567890123456E+15"),
    ],
)
def test_numbers_are_the_shortest_text_that_reads_back_the_same(literal: str, text: str) -> None:
    assert number_text(literal, "") == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_changes_its_value(value: float) -> None:
    assert float(number_text(repr(value), "")) == value


@pytest.mark.parametrize("literal", ["", "x", "1,5", "inf", "nan", "1E+999"])
def test_what_is_no_number_is_not_taken_for_one(literal: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is Python's
        number_text(literal, "")


@pytest.mark.parametrize(
    ("serial", "kind", "text"),
    [
        ("45720", "date", "2025-03-04"),
        ("45720", "datetime", "2025-03-04 00:00:00"),  # a midnight is no date: it may be moved between zones
        ("45720.6875", "datetime", "2025-03-04 16:30:00"),
        ("45720.6875", "date", "2025-03-04 16:30:00"),  # the format hides the time, which is there
        ("45720.68755929398", "datetime", "2025-03-04 16:30:05.123"),
        ("45720.999999999", "datetime", "2025-03-05 00:00:00"),
        ("0.6875", "time", "16:30:00"),
        ("0", "time", "00:00:00"),
        ("45720.6875", "time", "2025-03-04 16:30:00"),
        ("1.2506944444444446", "span", "30:01:00"),
        ("1", "date", "1900-01-01"),
        ("59", "date", "1900-02-28"),
        ("60", "date", "60"),  # the 29th of February 1900
        ("61", "date", "1900-03-01"),
        ("2958465", "date", "9999-12-31"),
        ("2958466", "date", "2958466"),
        ("-1", "date", "-1"),
        ("0.5", "datetime", "0.5"),
    ],
)
def test_dates_are_iso(serial: str, kind: Format, text: str) -> None:
    assert number_text(serial, kind) == text


def test_days_may_count_from_1904() -> None:
    assert number_text("44258", "date", from_1904=True) == "2025-03-04"
    assert number_text("0", "date", from_1904=True) == "1904-01-01"
    assert number_text("2958465", "date", from_1904=True) == "2958465"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("General", ""),
        ("0.00E+00", ""),
        ("00000", ""),
        ("$#,##0.00;[Red]($#,##0.00)", ""),
        ('#,##0.00 "days"', ""),
        ('"days; hours"0', ""),
        ("[$USD] #,##0.00", ""),
        (r"0\d", ""),
        ("@", ""),
        ("yyyy-mm-dd", "date"),
        ("[$-409]d-mmm-yy;@", "date"),
        ("mmm", "date"),
        ("m/d/yyyy h:mm", "datetime"),
        ("m/d/yyyy h:mm AM/PM", "datetime"),
        ("h:mm:ss", "time"),
        ("mm:ss.0", "time"),
        ("h AM/PM", "time"),
        ("[h]:mm:ss", "span"),
        ("[mm]:ss", "span"),
        ('yyyy"year"', "date"),
    ],
)
def test_a_format_says_what_a_number_is(code: str, kind: Format) -> None:
    assert format_of(164, code) == kind


@pytest.mark.parametrize(
    ("number", "kind"), [(0, ""), (1, ""), (14, "date"), (20, "time"), (22, "datetime"), (46, "span"), (49, "")]
)
def test_formats_without_a_text_are_known_by_their_number(number: int, kind: Format) -> None:
    assert format_of(number) == kind


def test_escapes_in_text_are_undone_once() -> None:
    assert unescaped("a_x000D_\nb") == "a\r\nb"
    assert unescaped("_x005F_x000D_") == "_x000D_"
    assert unescaped("a_x00 x_b") == "a_x00 x_b"


@given(st.integers(1, 16_384))
def test_columns_have_letters(number: int) -> None:
    assert column_number(f"{column_name(number)}12") == number


@pytest.mark.parametrize("reference", ["", "1", "a1", "ABCD1", "A 1"])
def test_other_names_are_no_cells(reference: str) -> None:
    with pytest.raises(ValueError, match="not a cell"):
        column_number(reference)
