"""Formats of dates: proved by the column, or left open."""

from __future__ import annotations

import pytest

from batchpost.dateformats import formats_of, read_dates
from tests.newjobs import column

MONTH_FIRST, DAY_FIRST = "%m/%d/%Y", "%d/%m/%Y"


@pytest.mark.parametrize(
    ("values", "formats"),
    [
        (["03/04/2025", "03/14/2025"], ["%m/%d/%Y"]),
        (["03/04/2025", "14/03/2025"], ["%d/%m/%Y"]),
        (["4.3.2025", "31.12.2025"], ["%d.%m.%Y"]),
        (["3/4/2025 9:05 AM", "3/14/2025 12:15 PM"], ["%m/%d/%Y %I:%M %p"]),
        (["3/14/2025, 9:05:10 am"], ["%m/%d/%Y, %I:%M:%S %p"]),
        (["03/14/25", "03/04/25"], ["%m/%d/%y"]),
        (["14-Mar-2025", "3-April-2025"], ["%d-%B-%Y"]),
        (["Mar 14, 2025", "Dec. 3, 2025", "Dec. 4, 2025"], ["%B. %d, %Y", "%B %d, %Y"]),
        (["Fri, 14 Mar 2025 10:00:00 +0100"], ["%A, %d %B %Y %H:%M:%S %z"]),
        (["2025/03/04 10:15:30.123"], ["%Y/%m/%d %H:%M:%S%.f"]),
        (["20250314", "20250301"], ["%Y%m%d"]),
        (["20250314101530"], ["%Y%m%d%H%M%S"]),
        (["1741082400"], ["%s"]),
        (["45720", "45721.5"], ["excel"]),
        (["45720", "45721", "03/14/2025"], ["excel", "%m/%d/%Y"]),
        (["2025-03-04 10:00:00 UTC"], ["%Y-%m-%d %H:%M:%S UTC"]),
    ],
)
def test_a_format_is_found_that_reads_every_value(values: list[str], formats: list[str]) -> None:
    reading = read_dates(column("Date", *values), named=True)
    assert (reading.kind, list(reading.formats), reading.read) == ("formats", formats, len(values))


def test_a_day_above_twelve_proves_the_order_and_is_counted() -> None:
    reading = read_dates(column("Date", "03/04/2025", "03/14/2025", "12/31/2025"), named=True)
    assert (reading.formats, reading.proof) == ((MONTH_FIRST,), 2)


@pytest.mark.parametrize("values", [["03/04/2025", "12/11/2025"], ["07/07/2025"]], ids=["low days", "the same twice"])
def test_without_one_both_orders_stay_open(values: list[str]) -> None:
    reading = read_dates(column("Date", *values), named=True)
    assert (reading.kind, reading.formats) == ("open", ())
    assert reading.orders == ((MONTH_FIRST,), (DAY_FIRST,))


def test_a_single_counterexample_leaves_the_order_open() -> None:
    reading = read_dates(column("Date", *["03/14/2025"] * 99, "14/03/2025"), named=True)
    assert (reading.kind, reading.torn) == ("open", True)


def test_a_person_may_say_the_order() -> None:
    for order, expected in (("month", MONTH_FIRST), ("day", DAY_FIRST)):
        assert read_dates(column("Date", "03/04/2025"), named=True, order=order).formats == (expected,)


def test_two_digit_years_may_also_come_first() -> None:
    reading = read_dates(column("Date", "05/03/04", "05/03/11"), named=True)
    assert reading.orders == (("%m/%d/%y",), ("%d/%m/%y",), ("%y/%m/%d",))


def test_two_formats_in_one_column_are_both_found_the_more_frequent_first() -> None:
    reading = read_dates(column("Date", "03/14/2025 10:00", "03/15/2025 11:00", "03/04/2025"), named=True)
    assert reading.formats == ("%m/%d/%Y %H:%M", "%m/%d/%Y")
    assert (reading.read, reading.timed) == (3, 2)


def test_the_order_proved_with_one_sign_says_nothing_of_another_sign() -> None:
    reading = read_dates(column("Date", "03/14/2025", "03/15/2025", "04.05.2025"), named=True)
    assert reading.orders == (("%m/%d/%Y", "%m.%d.%Y"), ("%m/%d/%Y", "%d.%m.%Y"))


@pytest.mark.parametrize(
    ("values", "timed", "zoned"),
    [
        (["2025-03-04", "2025-03-05"], 0, 0),
        (["2025-03-04 10:00", "2025-03-05"], 1, 0),
        (["2025-03-04T10:00:00Z", "2025-03-04 10:00:00"], 2, 1),
    ],
)
def test_iso_needs_no_format(values: list[str], timed: int, zoned: int) -> None:
    reading = read_dates(column("Date", *values), named=True)
    assert (reading.kind, reading.keys, reading.timed, reading.zoned) == ("iso", {}, timed, zoned)


def test_a_field_of_days_takes_iso_times_with_a_format() -> None:
    reading = read_dates(column("DOB", "1990-03-04 00:00:00"), named=True, plain_days=True)
    assert reading.formats == ("%Y-%m-%d %H:%M:%S",)
    assert read_dates(column("DOB", "1990-03-04"), named=True, plain_days=True).kind == "iso"


@pytest.mark.parametrize(
    ("value", "kind"),
    [("45720", "formats"), ("45720.5", "formats"), ("1741082400123", "milliseconds"), ("20250314", "formats")],
)
def test_bare_digits_are_dates_only_under_the_header_of_one(value: str, kind: str) -> None:
    assert read_dates(column("Date", value), named=True).kind == kind
    assert read_dates(column("Number", value), named=False).kind == "none"


@pytest.mark.parametrize("values", [["hello"], ["12:30"], ["1.250,00"], ["192.168.1.1"], []])
def test_other_values_are_no_dates(values: list[str]) -> None:
    assert read_dates(column("Date", *values), named=True).kind == "none"


def test_values_that_are_no_dates_are_counted_and_do_not_hide_the_format() -> None:
    reading = read_dates(column("Date", *[f"03/{day}/2025" for day in range(13, 23)], "13/45/2025"), named=True)
    assert (reading.formats, reading.read, reading.filled) == ((MONTH_FIRST,), 10, 11)


@pytest.mark.parametrize("shape", ["9/9", "9:9", "9999999", "B 9", "9/9/9999 noon", "text"])
def test_a_shape_that_is_none_of_a_date_has_no_format(shape: str) -> None:
    assert formats_of(shape, compact=True) == ()
