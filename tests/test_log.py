from __future__ import annotations

import io
import json

import pytest

from batchpost.log import LogKind, kind_of_log, make_logger
from batchpost.output import Steady


@pytest.mark.parametrize(
    ("chosen", "is_terminal", "kind"),
    [
        ("auto", False, "json"),
        ("auto", True, None),
        ("json", True, "json"),
        ("console", True, "console"),
        ("console", False, "console"),
    ],
)
def test_log_lines_are_json_where_no_person_looks(chosen: str, is_terminal: bool, kind: str | None) -> None:
    assert kind_of_log(chosen, is_terminal=is_terminal) == kind


def test_an_event_is_one_json_line_with_level_and_time() -> None:
    stream = io.StringIO()
    make_logger("json", Steady(stream)).info("run_started", job="nightly", rows=3)
    event = json.loads(stream.getvalue())
    assert stream.getvalue().count("\n") == 1
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "run_started", "level": "info", "job": "nightly", "rows": 3}


def test_for_people_it_is_plain_text_with_colours_only_where_wanted() -> None:
    plain, coloured = io.StringIO(), io.StringIO()
    make_logger("console", Steady(plain)).info("run_started", job="nightly")
    make_logger("console", Steady(coloured), colors=True).info("run_started", job="nightly")
    assert "run_started" in plain.getvalue()
    assert "job=nightly" in plain.getvalue()
    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[" in coloured.getvalue()


def test_quiet_leaves_errors_only() -> None:
    stream = io.StringIO()
    logger = make_logger("json", Steady(stream), quiet=True)
    logger.info("run_started")
    logger.warning("updates_may_redistribute")
    logger.error("run_finished")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["run_finished"]


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    steady = Steady(None)
    make_logger("json", steady).info("run_started")
    assert steady.isatty() is False


def test_an_exceptions_variables_are_never_shown() -> None:
    stream = io.StringIO()
    email = "ada@mail.example.com"
    try:
        raise ValueError(len(email))
    except ValueError:
        make_logger("console", Steady(stream)).error("failed", exc_info=True)
    assert "ValueError: 20" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert "'ada@" not in stream.getvalue()


@pytest.mark.parametrize("kind", ["json", "console"])
@pytest.mark.parametrize(
    "text", ["a\nb", "a\x1b[2J\x9b\u202e\u2028b", "\ud800", '"}\n{"event": "run_finished"}', "[red]x[/]"]
)
def test_a_text_of_anybodys_ends_no_line_and_moves_no_cursor(kind: LogKind, text: str) -> None:
    stream = io.StringIO()
    make_logger(kind, Steady(stream)).info("run_finished", next=text, rows={text: text})
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    if kind == "json":
        assert json.loads(line)["event"] == "run_finished"
