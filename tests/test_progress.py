from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batchpost.errors import UsageError
from batchpost.model import Outcome
from batchpost.output import Output
from batchpost.progress import Display, Trouble, books_text, closing_lines, last_line, status_text
from batchpost.tally import Tally
from tests.workspaces import Workspace, sale_rows, sandbox, update_rows, write_csv

HERE = Path("/srv")
SUMMARY: dict[str, Any] = {
    "run_id": "R1",
    "job": "nightly",
    "test": False,
    "state": "stopped",
    "stopped_by": "unauthorized",
    "message": "The platform refused the token (401)",
    "exit_code": 4,
    "duration_s": 61.0,
    "rows": {"read": 3_000, "delivered": 1_204, "skipped": 0, "rejected": 6, "not_attempted": 1_790},
    "reasons": {"conversion": 1_204, "lead_not_found": 6, "unauthorized": 1_790, "connect_refused": 0},
    "money": {"revenue": {"read": "300000.00", "delivered": "120400.00", "rejected": "600.00"}},
    "requests": {"sent": 1_211, "retried": 1},
    "rate": {"mean": 49.9},
    "latency_ms": {"p50": 12.0},
    "to_fix": 6,
    "corrections": 0,
    "next": "batchpost run /srv/jobs/nightly.toml",
}


class Terminal(io.StringIO):
    """Somebody looks at it."""

    def isatty(self) -> bool:
        return True


@dataclass
class Logger:
    """Keeps the events that were logged, as (level, name, facts)."""

    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, level: str) -> Any:
        return lambda name, **facts: self.events.append((level, name, facts))

    @property
    def names(self) -> list[str]:
        return [name for _, name, _ in self.events]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with sandbox() as (server, _):
        place = Workspace(tmp_path, server.base_url)
        place.sales()
        write_csv(tmp_path / "in.csv", sale_rows(4))
        yield place


def backfill(workspace: Workspace, rows: int) -> None:
    workspace.updates()
    write_csv(workspace.folder / "in.csv", update_rows([(f"txn_{number}", "Bonn") for number in range(rows)]))


def display(**options: Any) -> tuple[Display, Terminal]:
    err = Terminal()
    return Display(Output(io.StringIO(), err), **options), err


# -- the end ---------------------------------------------------------------------------------------------------------


def test_the_books_show_outcomes_that_occurred_and_reasons_to_look_at() -> None:
    assert (
        books_text(SUMMARY)
        == """\
                rows     revenue
read           3,000  300,000.00
delivered      1,204  120,400.00
rejected           6      600.00
not attempted  1,790        0.00

1,790  unauthorized    left when the platform refused the token
    6  lead_not_found  the platform does not know the lead (yet)"""
    )


def test_books_without_rows_or_money_are_a_line() -> None:
    assert books_text({}) == "      rows\nread     0"


def test_the_last_line_says_whether_to_repeat_what_is_left_and_what_to_type() -> None:
    assert last_line(SUMMARY, HERE) == (
        "Safe to repeat: yes. Sent 1,204, left 1,796. Next: batchpost run jobs/nightly.toml"
    )
    assert last_line({**SUMMARY, "next": ""}, HERE).endswith("Next: batchpost show R1")


def test_a_run_ends_with_its_books_its_files_and_what_to_do() -> None:
    lines = closing_lines(SUMMARY, Path("/srv/results/nightly/R1"), HERE).splitlines()
    assert lines[0] == "nightly R1: The platform refused the token (401) (1 min 1 s)"
    assert lines[-3] == "1,211 requests, 1 of them retries; 49.9 a second, half of them within 12 ms"
    assert lines[-2] == "results/nightly/R1: to_fix.csv 6 rows"
    assert lines[-1] == last_line(SUMMARY, HERE)


def test_a_run_where_all_is_well_needs_no_last_line() -> None:
    summary = {
        **SUMMARY,
        "exit_code": 0,
        "state": "finished",
        "message": "",
        "latency_ms": {},
        "test": True,
        "to_fix": 0,
    }
    lines = closing_lines(summary, Path("/srv/results/nightly/R1"), HERE).splitlines()
    assert lines[0] == "nightly R1: finished (1 min 1 s)  (a test)"
    assert lines[-2:] == ["1,211 requests, 1 of them retries", "results/nightly/R1"]


# -- on the way ------------------------------------------------------------------------------------------------------


def test_the_status_has_speed_and_outcomes() -> None:
    tally = Tally(outcomes={Outcome.DELIVERED: 1_500, Outcome.ALREADY_DELIVERED: 2}, requests=1_600)
    assert status_text(tally) == "1,500 delivered, 2 already delivered"
    tally.began, tally.ended = 10.0, 42.0
    assert status_text(tally) == "50/s, 1,500 delivered, 2 already delivered"


def test_retries_are_logged_once_a_burst() -> None:
    trouble = Trouble()
    seen = [trouble.events(float(now), now, retried)[:] for now, retried in enumerate([0, 3, 9, 12])]
    assert seen == [[], [("retrying", {"retried": 3})], [], []]
    assert trouble.events(50.0, 50, 13) == []
    assert trouble.events(111.0, 51, 14) == [("retrying", {"retried": 14})]


def test_a_standstill_is_logged_once_until_something_moves() -> None:
    trouble = Trouble()
    steps = [(0.0, 5), (29.0, 5), (30.0, 5), (99.0, 5), (100.0, 6), (129.0, 6), (131.0, 6)]
    logged = [(now, trouble.events(now, settled, 0)) for now, settled in steps]
    assert [now for now, events in logged if events] == [30.0, 131.0]
    assert logged[2][1] == [("waiting", {"settled": 5, "seconds": 30})]


def test_off_a_terminal_a_run_is_two_log_events_with_counts_only(workspace: Workspace) -> None:
    log = Logger()
    watcher, err = display(log=log)
    summary = workspace.run(watcher)  # type: ignore[arg-type]
    watcher.finished(summary)
    assert log.names == ["run_started", "run_finished"]
    assert log.events[0][2] == {
        "run_id": summary["run_id"],
        "job": "job",
        "continued": False,
        "settled_before": 0,
        "rows": 4,
        "to_send": 4,
        "rate": 100_000,
        "test": True,
    }
    assert log.events[1][2]["exit_code"] == 0
    assert err.getvalue() == ""
    assert watcher.sending


def test_a_run_that_ends_badly_is_logged_as_an_error() -> None:
    log = Logger()
    display(log=log)[0].finished(SUMMARY)
    assert [event[:2] for event in log.events] == [("error", "run_finished")]


def test_trouble_on_the_way_is_logged() -> None:
    log, now = Logger(), [0.0]
    watcher, _ = display(log=log, clock=lambda: now[0])
    tally = Tally(retried=3)
    for now[0] in (1.0, 2.0, 40.0):
        watcher.progress(tally, 10)
    assert log.names == ["retrying", "waiting"]


def test_on_a_terminal_it_is_told_in_words_with_a_bar_that_goes_away(workspace: Workspace) -> None:
    watcher, err = display(bar=True)
    watcher.finished(workspace.run(watcher, limit=2))  # type: ignore[arg-type]
    said = err.getvalue()
    assert said.startswith("job: 4 of 4 rows go to http://127.0.0.1:")
    assert "0/4" in said
    assert said.endswith("\x1b[1A\x1b[2K")
    again, err = display()
    workspace.run(again)  # type: ignore[arg-type]
    assert "a second at most, going on with 20" in err.getvalue()


def test_the_bar_counts_to_the_limit() -> None:
    watcher, err = display(bar=True, limit=50)
    watcher._start_bar(100)
    watcher.progress(Tally(outcomes={Outcome.DELIVERED: 20}), 100)
    watcher.close()
    assert "20/50" in err.getvalue()
    assert "20 delivered" in err.getvalue()


def test_quiet_on_a_terminal_is_silent(workspace: Workspace) -> None:
    watcher, err = display(quiet=True)
    watcher.waiting("there is no in.csv", 60)
    watcher.finished(workspace.run(watcher))  # type: ignore[arg-type]
    assert err.getvalue() == ""


def test_a_missing_input_is_told_once() -> None:
    watcher, err = display()
    for left in (7_200.0, 7_195.0):
        watcher.waiting("there is no in.csv", left)
    assert err.getvalue() == "there is no in.csv. Waiting for it for 2 h\n"
    log = Logger()
    display(log=log)[0].waiting("there is no in.csv", 60)
    assert log.events == [("info", "waiting_for_input", {"seconds": 60})]


# -- before many leads are updated -----------------------------------------------------------------------------------


def test_a_person_is_asked_once_before_more_than_a_thousand_leads_are_updated(workspace: Workspace) -> None:
    asked: list[str] = []
    backfill(workspace, 1_002)
    watcher, _ = display(ask=lambda question: not asked.append(question))
    assert workspace.run(watcher, limit=1)["rows"]["delivered"] == 1  # type: ignore[arg-type]
    workspace.run(watcher, limit=1, new_run=True)  # type: ignore[arg-type]
    assert [question[:28] for question in asked] == ["1,002 leads will be updated."]
    assert "buyers once more" in asked[0]


def test_a_no_sends_nothing(workspace: Workspace) -> None:
    backfill(workspace, 1_001)
    watcher, _ = display(ask=lambda question: False)
    with pytest.raises(UsageError, match="Nothing was sent, as you said no"):
        workspace.run(watcher)  # type: ignore[arg-type]
    assert not watcher.sending


def test_a_thousand_leads_and_events_need_no_question(workspace: Workspace) -> None:
    watcher, _ = display(ask=lambda question: False)
    assert workspace.run(watcher, limit=1)["exit_code"] == 6  # type: ignore[arg-type]
    backfill(workspace, 1_000)
    assert workspace.run(watcher, limit=1)["exit_code"] == 6  # type: ignore[arg-type]


def test_requests_to_keep_are_the_first_ones_masked(workspace: Workspace) -> None:
    watcher, _ = display(keep=2)
    workspace.run(watcher)  # type: ignore[arg-type]
    assert [(sample.number, sample.body["email"]) for sample in watcher.samples] == [(0, "***"), (1, "***")]
