from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpost.layout import aligned, amount_text, moment, repeated, short_command, short_path, span

HERE = Path("/srv/space")


def test_cells_stand_in_columns_and_numbers_end_at_one_place() -> None:
    assert aligned([("", "rows"), ("read", "1,000"), ("sent", "7")], right=(1,), indent="  ") == [
        "         rows",
        "  read  1,000",
        "  sent      7",
    ]
    assert aligned([]) == []
    assert aligned([("a", "long"), ("b",)]) == ["a  long", "b"]


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.00", "0.00"), ("1234567.50", "1,234,567.50"), ("-45.00", "-45.00"), ("-1000.5", "-1,000.5"), ("12", "12")],
)
def test_amounts_are_grouped_and_exact(amount: str, text: str) -> None:
    assert amount_text(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "less than a second"),
        (0.99, "less than a second"),
        (1, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (11_520, "3 h 12 min"),
        (90 * 86_400, "90 d"),
        (86_400 + 7_300, "1 d 2 h"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


@given(st.floats(min_value=0, max_value=1e9))
def test_a_span_has_at_most_two_units(seconds: float) -> None:
    assert len(span(seconds).split()) <= 4


def test_a_moment_is_told_with_its_zone() -> None:
    assert moment("2026-11-22T09:11:46Z") == "2026-11-22 09:11:46 UTC"
    assert moment(None) == "-"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/srv/space/jobs/a.toml", "jobs/a.toml"),
        ("/srv/other/a.toml", "../other/a.toml"),
        ("/a.toml", "/a.toml"),
        ("jobs/a.toml", "jobs/a.toml"),
    ],
)
def test_a_path_is_told_from_here_where_that_is_shorter(path: str, text: str) -> None:
    assert short_path(path, HERE) == text


def test_a_command_is_told_with_short_paths_that_a_shell_reads_back() -> None:
    command = "batchpost run '/srv/space/my jobs/a.toml' --source /srv/space/b.csv"
    assert short_command(command, HERE) == "batchpost run 'my jobs/a.toml' --source b.csv"
    assert short_command("batchpost run /srv/it's/a.toml", HERE).startswith("batchpost run ")


@pytest.mark.parametrize(
    ("command", "options", "expected"),
    [
        ("batchpost run j.toml", {}, "batchpost run j.toml --base-url u"),
        ("batchpost run j.toml", {"sources": ("/a.csv",)}, "batchpost run j.toml --source /a.csv --base-url u"),
        (
            "batchpost run j.toml --source to_fix.csv",
            {"sources": ("/a.csv",)},
            "batchpost run j.toml --source to_fix.csv --base-url u",
        ),
        ("batchpost run j.toml", {"instead": ("batchpost", "retry", "R")}, "batchpost retry R --base-url u"),
        ("batchpost export R", {"sources": ("/a.csv",)}, "batchpost export R"),
        ("", {}, ""),
    ],
)
def test_a_next_command_repeats_what_makes_it_the_same_run(
    command: str, options: dict[str, tuple[str, ...]], expected: str
) -> None:
    assert repeated(command, ("--base-url", "u"), **options) == expected


def test_a_next_command_about_a_run_looks_for_it_in_the_same_workspace() -> None:
    again = ("--workspace", "/srv/my space", "--base-url", "u")
    assert repeated("batchpost show R", again) == "batchpost show R --workspace '/srv/my space'"
    assert repeated("", again) == ""


def test_a_next_command_names_an_address_without_its_secrets() -> None:
    told = repeated(
        "batchpost run job.toml", (), sources=["https://me:hush@example.com/a.csv?sig=hush", "s3://b/a.csv"]
    )
    assert told == "batchpost run job.toml --source 'https://example.com/a.csv?…' --source s3://b/a.csv"
    assert repeated("batchpost run job.toml", (), sources=["env:URL"]) == "batchpost run job.toml --source env:URL"
