from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.convert import Conversion, Wanted
from batchpost.dates import date, datetime
from batchpost.job import FieldSource
from batchpost.routes import TIMEZONES, FieldType

NEW_YORK = {"format": "%m/%d/%Y %H:%M", "timezone": "America/New_York", "send_as": "EST"}


def read(convert: Callable[[Wanted], Conversion], *texts: str, name: str = "when", **source: Any) -> list[str]:
    """For each text what goes out, or ``!`` and the code of what is wrong."""
    wanted = Wanted(name, FieldType.DATETIME, FieldSource(column="C", **source))
    conversion = convert(wanted)
    frame = pl.DataFrame({f"{name}.text": texts})
    for step in conversion.steps:
        frame = frame.with_columns(step)
    outcome = pl.coalesce(wanted.part("typed"), pl.concat_str(pl.lit("!"), conversion.why))
    return frame.select(outcome).to_series().to_list()


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("2024-02-29", "2024-02-29"),
        ("1900-01-01", "1900-01-01"),
        ("2100-12-31", "2100-12-31"),
        ("2023-02-29", "!not_a_date"),
        ("2024-13-01", "!not_a_date"),
        ("2024-00-10", "!not_a_date"),
        ("2024-1-5", "!not_a_date"),
        ("20240105", "!not_a_date"),
        ("01/05/2024", "!not_a_date"),
        ("2024-01-05 00:00:00", "!not_a_date"),
        ("45306", "!not_a_date:serial"),
        ("0000-00-00", "!not_a_date"),
        ("1899-12-31", "!out_of_range:year"),
        ("2101-01-01", "!out_of_range:year"),
    ],
)
def test_a_date_is_iso_and_exists(text: str, sent: str) -> None:
    assert read(date, text) == [sent]


@settings(max_examples=50, deadline=None)
@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)))
def test_every_day_survives_every_way_of_writing_it(day: dt.date) -> None:
    iso = day.isoformat()
    assert read(date, iso) == [iso]
    assert read(datetime, iso) == [iso]
    assert read(date, f"{day.month}/{day.day}/{day.year}", format="%m/%d/%Y") == [iso]


@pytest.mark.parametrize(
    ("formats", "text", "sent"),
    [
        ("%m/%d/%Y", "1/2/2024", "2024-01-02"),
        ("%d/%m/%Y", "1/2/2024", "2024-02-01"),
        ("%d.%m.%y", "05.03.24", "2024-03-05"),
        ("%b %d, %Y", "Jan 2, 2024", "2024-01-02"),
        ("%Y%m%d", "20240102", "2024-01-02"),
        ("%m/%d/%Y %H:%M", "1/2/2024 23:59", "2024-01-02"),
        ("%m/%d/%Y", "02/30/2024", "!not_a_date"),
        ("%m/%d/%Y", "13/01/2024", "!not_a_date"),
        ("%m/%d/%Y", "1/2/2024 10:00", "!not_a_date"),
        ("%m/%d/%Y", "2024-01-02", "!not_a_date"),
        ("%m/%d/%Y", "1/2/24", "!out_of_range:year"),
        (["%m/%d/%Y", "%Y-%m-%d"], "2024-01-02", "2024-01-02"),
        (["%m/%d/%Y", "%d/%m/%Y"], "13/01/2024", "2024-01-13"),
        (["%m/%d/%Y", "%d/%m/%Y"], "01/13/2024", "2024-01-13"),
        (["%m/%d/%Y", "%d/%m/%Y"], "05/05/2024", "2024-05-05"),
        (["%m/%d/%Y", "%d/%m/%Y"], "01/02/2024", "!ambiguous_date"),
        (["%m/%d/%Y", "%d/%m/%Y"], "13/13/2024", "!not_a_date"),
    ],
)
def test_a_date_by_the_jobs_formats(formats: str | list[str], text: str, sent: str) -> None:
    assert read(date, text, format=formats) == [sent]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("2024-07-01", "2024-07-01"),
        ("2024-07-01 13:05", "2024-07-01 13:05:00"),
        ("2024-07-01 13:05:09", "2024-07-01 13:05:09"),
        ("2024-07-01T13:05:09", "2024-07-01 13:05:09"),
        ("2024-07-01T13:05:09.987", "2024-07-01 13:05:09"),
        ("2024-07-01 00:00:00", "2024-07-01 00:00:00"),
        ("2024-07-01 24:00:00", "!not_a_date"),
        ("2024-07-01 23:60", "!not_a_date"),
        ("2024-07-01 23:59:60", "!not_a_date"),
        ("2023-02-29 10:00", "!not_a_date"),
        ("2024-07-01 1:05", "!not_a_date"),
        ("2024-07-01 1:05 PM", "!not_a_date"),
        ("yesterday", "!not_a_date"),
        ("1850-07-01 10:00", "!out_of_range:year"),
        ("2024-07-01T13:05:09Z", "!needs_send_as"),
        ("2024-07-01T13:05:09+02:00", "!needs_send_as"),
    ],
)
def test_a_time_without_zones_goes_out_as_it_is_read(text: str, sent: str) -> None:
    assert read(datetime, text) == [sent]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("2024-07-01T13:05:09Z", "2024-07-01 08:05:09"),
        ("2024-07-01T13:05:09+02:00", "2024-07-01 06:05:09"),
        ("2024-07-01 13:05:09 -0430", "2024-07-01 12:35:09"),
        ("2024-07-01T02:00:00Z", "2024-06-30 21:00:00"),
        ("2024-07-01 13:05:09", "2024-07-01 13:05:09"),
        ("2024-07-01", "2024-07-01"),
        ("2024-07-01T13:05:09+25:00", "!not_a_date"),
    ],
)
def test_an_offset_in_the_text_is_converted_from(text: str, sent: str) -> None:
    assert read(datetime, text, send_as="EST") == [sent]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("07/01/2024 13:05", "2024-07-01 12:05:00"),  # daylight saving: an hour ahead of EST
        ("01/15/2024 13:05", "2024-01-15 13:05:00"),
        ("07/01/2024 00:30", "2024-06-30 23:30:00"),
        ("01/01/1901 10:00", "1901-01-01 10:00:00"),
        ("03/10/2024 01:59", "2024-03-10 01:59:00"),
        ("03/10/2024 02:30", "!nonexistent_time"),
        ("03/10/2024 03:00", "2024-03-10 02:00:00"),
        ("11/03/2024 01:30", "!ambiguous_time"),
        ("11/03/2024 02:00", "2024-11-03 02:00:00"),
        ("07/01/2024 24:00", "!not_a_date"),
        ("07/01/2024 23:60", "!not_a_date"),
    ],
)
def test_a_local_time_is_converted_to_the_fixed_offset(text: str, sent: str) -> None:
    assert read(datetime, text, **NEW_YORK) == [sent]


@pytest.mark.parametrize(("fold", "sent"), [("earliest", "2024-11-03 00:30:00"), ("latest", "2024-11-03 01:30:00")])
def test_the_job_may_say_which_of_two_equal_times_is_meant(fold: str, sent: str) -> None:
    texts = ("11/03/2024 01:30", "03/10/2024 02:30")
    assert read(datetime, *texts, **NEW_YORK, fold=fold) == [sent, "!nonexistent_time"]


@pytest.mark.parametrize(("code", "hours"), TIMEZONES.items())
def test_each_code_is_its_fixed_offset_in_summer_too(code: str, hours: int) -> None:
    (sent,) = read(datetime, "2024-07-15T12:00:00Z", send_as=code)
    assert sent == f"2024-07-15 {12 + hours:02d}:00:00"


def test_a_date_without_a_time_is_never_moved() -> None:
    sent = read(datetime, "2024-03-10", "2024-07-01", timezone="Asia/Tokyo", send_as="HST")
    assert sent == ["2024-03-10", "2024-07-01"]
    assert read(datetime, "7/1/2024", format="%m/%d/%Y", timezone="Asia/Tokyo", send_as="HST") == ["2024-07-01"]


def test_an_offset_in_the_text_wins_over_the_jobs_zone() -> None:
    assert read(datetime, "2024-07-01T12:00:00Z", timezone="Asia/Tokyo", send_as="EST") == ["2024-07-01 07:00:00"]


@pytest.mark.parametrize(
    ("form", "text", "sent"),
    [
        ("%Y-%m-%d %H:%M:%S%z", "2024-07-01 12:00:00-0400", "2024-07-01 11:00:00"),
        ("%Y-%m-%dT%H:%M:%S%:z", "2024-07-01T12:00:00+02:00", "2024-07-01 05:00:00"),
        ("%s", "1719835200", "2024-07-01 07:00:00"),
        ("%m/%d/%Y %I:%M %p", "07/01/2024 01:05 PM", "2024-07-01 13:05:00"),
        ("%m/%d/%Y %-I:%M:%S %p", "7/1/2024 1:05:09 am", "2024-07-01 01:05:09"),
        ("%m/%d/%Y %H:%M:%S", "07/01/2024 23:59:60", "!not_a_date"),
    ],
)
def test_times_by_the_jobs_formats(form: str, text: str, sent: str) -> None:
    assert read(datetime, text, format=form, send_as="EST") == [sent]


def test_a_format_that_reads_an_instant_needs_a_zone_to_send_it_in() -> None:
    assert read(datetime, "1719835200", format="%s") == ["!needs_send_as"]


def test_dates_with_and_without_times_may_share_a_column() -> None:
    formats = ["%m/%d/%Y", "%m/%d/%Y %H:%M"]
    sent = read(datetime, "07/01/2024", "07/01/2024 13:05", format=formats, timezone="America/New_York", send_as="EST")
    assert sent == ["2024-07-01", "2024-07-01 12:05:00"]


# -- a spreadsheet's day numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "day", "time"),
    [
        ("45306", "2024-01-15", "2024-01-15"),
        ("45306.0", "2024-01-15", "2024-01-15"),
        ("45306.5", "2024-01-15", "2024-01-15 12:00:00"),
        ("45306.6875", "2024-01-15", "2024-01-15 16:30:00"),
        ("45306.9999999", "2024-01-16", "2024-01-16 00:00:00"),
        ("61", "1900-03-01", "1900-03-01"),
        ("60", "!not_a_date", "!not_a_date"),
        ("1", "!not_a_date", "!not_a_date"),
        ("73416", "!out_of_range:year", "!out_of_range:year"),
        ("-45306", "!not_a_date", "!not_a_date"),
        ("4.53E+04", "!not_a_date", "!not_a_date"),
        ("2024-01-15", "!not_a_date", "!not_a_date"),
    ],
)
def test_a_day_number_is_a_date_where_the_job_says_so(text: str, day: str, time: str) -> None:
    assert read(date, text, format="excel") == [day]
    assert read(datetime, text, format="excel") == [time]


def test_a_format_whose_numbers_touch_wants_all_their_digits() -> None:
    """11225 may be 12 January or 2 November, and is 22 November 2005 to a reader that takes what it gets."""
    assert read(date, "11225", "011225", format="%m%d%y") == ["!not_a_date", "2025-01-12"]
    assert read(datetime, "2025114", "20251104", format="%Y%m%d") == ["!not_a_date", "2025-11-04"]
    assert read(datetime, "20251104 930", "20251104 0930", format="%Y%m%d %H%M") == [
        "!not_a_date",
        "2025-11-04 09:30:00",
    ]
    assert read(datetime, "4-Nov-25 (9.30)", format="%d-%b-%y (%H.%M)") == ["2025-11-04 09:30:00"]


def test_the_day_of_a_time_with_an_offset_is_the_one_that_the_text_names() -> None:
    texts = ("03/04/2025 23:00 -0500", "03/04/2025 23:00 +05:30", "03/04/2025 23:00")
    days = ["2025-03-04", "2025-03-04", "!not_a_date"]
    assert read(date, *texts, format="%m/%d/%Y %H:%M %z") == days


def test_a_birth_whose_year_has_two_digits_was_in_the_century_before_where_it_would_be_to_come() -> None:
    texts = ("03/04/55", "03/04/99", "03/04/05", "02/29/36")
    days = ["1955-03-04", "1999-03-04", "2005-03-04", "1936-02-29"]
    assert read(date, *texts, name="date_of_birth", format="%m/%d/%y") == days
    assert read(date, "03/04/55", format="%m/%d/%y") == ["2055-03-04"]


def test_day_numbers_and_dates_may_be_in_one_column() -> None:
    texts = ("45306.25", "01/15/2024 06:00", "01/15/2024")
    source = {**NEW_YORK, "format": ["excel", "%m/%d/%Y %H:%M"]}
    assert read(datetime, *texts, **source) == ["2024-01-15 06:00:00", "2024-01-15 06:00:00", "!not_a_date"]
    assert read(datetime, "45306.25", **NEW_YORK) == ["!not_a_date:serial"]
