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
from batchpost.progress import Display, shown_at_work
from batchpost.pulse import Pulse, unseen
from batchpost.tally import Tally
from tests.workspaces import Workspace, sale_rows, sandbox, update_rows, write_csv

PLATFORM = "https://platform.example.com"  # never reached: nothing is sent before the question is answered


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


@pytest.fixture(autouse=True)
def a_usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with sandbox() as (server, _):
        place = Workspace(tmp_path, server.base_url)
        place.sales()
        write_csv(tmp_path / "in.csv", sale_rows(4))
        yield place


def backfill(workspace: Workspace, rows: int) -> None:
    """Updates that go to the platform itself."""
    workspace.base_url = PLATFORM
    workspace.updates()
    write_csv(workspace.folder / "in.csv", update_rows([(f"txn_{number}", "Bonn") for number in range(rows)]))


def display(**options: Any) -> tuple[Display, Terminal]:
    err = Terminal()
    return Display(Output(io.StringIO(), err), **options), err


def painted(watcher: Display) -> list[str]:
    """What the display shows at this moment on a terminal of 80 columns."""
    screen = watcher._screen
    assert screen is not None
    return [line.text for line in screen.lines(80)]


# -- off a terminal --------------------------------------------------------------------------------------------------


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
    display(log=log)[0].finished({"run_id": "R1", "exit_code": 4})
    assert [event[:2] for event in log.events] == [("error", "run_finished")]


def test_trouble_on_the_way_is_logged() -> None:
    log, now = Logger(), [0.0]
    watcher, _ = display(log=log, clock=lambda: now[0])
    for now[0] in (1.0, 2.0, 40.0):
        watcher.progress(Tally(), Pulse(retried=3))
    assert log.names == ["retrying", "waiting"]


def test_a_heartbeat_is_logged_once_a_minute_of_the_displays_clock(workspace: Workspace) -> None:
    log, now = Logger(), [1_000.0]
    watcher, err = display(log=log, clock=lambda: now[0])
    summary = workspace.run(watcher)  # type: ignore[arg-type]
    for settled in range(150):
        now[0] += 1.0
        watcher.progress(Tally(outcomes={Outcome.DELIVERED: settled}), Pulse(settled, 500, settled, rate_allowed=5.0))
    beats = [facts for _, name, facts in log.events if name == "heartbeat"]
    assert [(beat["run_id"], beat["settled"], beat["delivered"]) for beat in beats] == [
        (summary["run_id"], 59, 59),
        (summary["run_id"], 119, 119),
    ]
    assert [beat["eta_s"] for beat in beats] == [441, 381]
    assert err.getvalue() == ""


# -- on a terminal ---------------------------------------------------------------------------------------------------


def test_on_a_terminal_it_is_told_in_words_with_lines_that_go_away(workspace: Workspace) -> None:
    watcher, err = display(bar=True, limit=2)
    workspace.run(watcher, limit=2)  # type: ignore[arg-type]
    assert "writing the outcomes" in painted(watcher)[0]
    screen = watcher._screen
    assert screen is not None
    screen._live.paint()
    watcher.finished({})
    said = err.getvalue()
    assert "job: 2 of 4 rows go to http://127.0.0.1:" in said
    assert "writing the outcomes" in said
    assert said.endswith("\r\x1b[J")
    again, err = display()
    workspace.run(again)  # type: ignore[arg-type]
    assert "a second at most, going on with 20" in err.getvalue()


def test_the_bar_counts_to_what_goes_out_and_counts_a_pause_down_between_two_pulses() -> None:
    now = [100.0]
    watcher, _ = display(bar=True, clock=lambda: now[0])
    tally = Tally(outcomes={Outcome.DELIVERED: 20, Outcome.REJECTED: 1})
    pulse = Pulse(21, 50, 22, 1, 5.0, 5.0, 1, 4, paused_for=9.5, paused_why="retry_after")
    watcher.progress(tally, pulse)
    tally.outcomes[Outcome.FAILED] = 5  # what is shown is of the moment of the pulse
    assert painted(watcher)[1:] == [
        "Paused: the platform asks to wait (Retry-After), 10 s more",
        "21 of 50 · 5/s of 5 allowed · 1 of 4 in flight · 1 retry · 20 delivered",
        "1 rejected",
    ]
    now[0] += 4.2
    assert painted(watcher)[1].endswith(" 6 s more")
    now[0] += 100
    assert "Paused" not in painted(watcher)[1]
    watcher.close()
    assert painted(watcher) == []


def test_the_time_left_is_by_the_pace_of_late() -> None:
    now = [0.0]
    watcher, _ = display(bar=True, clock=lambda: now[0])
    for now[0] in range(11):
        watcher.progress(Tally(), Pulse(int(now[0]) * 5, 100, rate_allowed=50.0))
    assert painted(watcher)[0].endswith("  50 %  10 s left")
    watcher.close()


def test_what_is_done_besides_sending_is_shown_with_its_rows_as_they_grow() -> None:
    now = [0.0]
    watcher, _ = display(bar=True, clock=lambda: now[0])
    watcher.doing("reading in.csv", 50_000)
    now[0] = 3.0
    watcher.doing("reading in.csv", 100_000)
    assert painted(watcher) == ["⠹ reading in.csv: 100,000 rows  3 s"]
    watcher.doing("comparing with the ledger")
    assert painted(watcher) == ["⠋ comparing with the ledger"]
    watcher.close()


def test_a_run_says_what_it_does_from_the_first_row_to_the_last_file(workspace: Workspace) -> None:
    from tests.workspaces import Onlooker

    onlooker = Onlooker()
    workspace.run(onlooker)
    assert onlooker.done == [
        "looking for the input",
        "reading in.csv",
        "looking for rows of the same operation",
        "looking for a run to go on with",
        "comparing with the ledger",
        "taking the run into the ledger",
        "writing the outcomes",
    ]
    assert (onlooker.pulses[-1].settled, onlooker.pulses[-1].to_send, onlooker.pulses[-1].requests) == (4, 4, 4)


def test_where_no_bar_is_wanted_nothing_is_painted() -> None:
    watcher, err = display()
    watcher.doing("reading in.csv", 5)
    watcher.progress(Tally(), Pulse(1, 2))
    watcher.close()
    assert watcher._screen is None
    assert err.getvalue() == ""


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


def test_a_command_that_is_at_work_shows_it_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    with shown_at_work(Output(io.StringIO(), err)) as doing:
        doing("reading in.csv", 5)
    assert err.getvalue() in ("", "\r\x1b[J") or "reading in.csv" in err.getvalue()
    assert doing is not unseen
    with shown_at_work(Output(io.StringIO(), io.StringIO())) as doing:
        assert doing is unseen
    monkeypatch.setenv("TERM", "dumb")
    with shown_at_work(Output(io.StringIO(), Terminal())) as doing:
        assert doing is unseen


def test_where_the_terminal_has_no_unicode_there_is_none() -> None:
    class Old(Terminal):
        encoding = "ascii"

    watcher = Display(Output(io.StringIO(), Old()), bar=True)
    watcher.progress(Tally(), Pulse(1, 2))
    assert "".join(painted(watcher)).isascii()
    watcher.close()


# -- before many leads are updated -----------------------------------------------------------------------------------


def test_a_person_is_asked_before_the_first_run_of_more_than_a_thousand_updates(workspace: Workspace) -> None:
    asked: list[str] = []
    backfill(workspace, 1_001)
    watcher, _ = display(ask=lambda question: bool(asked.append(question)))
    with pytest.raises(UsageError, match="Nothing was sent, as you said no"):
        workspace.run(watcher)  # type: ignore[arg-type]
    assert not watcher.sending
    assert [question.partition(". ")[0] for question in asked] == [
        "This is the first run of job, and it updates 1,001 leads"
    ]
    with workspace.ledger() as ledger:
        assert ledger.runs() == []


def test_where_nobody_can_be_asked_the_first_run_is_refused(workspace: Workspace) -> None:
    backfill(workspace, 1_001)
    watcher, _ = display(log=Logger())
    with pytest.raises(UsageError, match=r"first run of job.* say so once with --yes"):
        workspace.run(watcher)  # type: ignore[arg-type]
    assert not watcher.sending


class Enough(Exception):
    """Ends a run before it begins."""


class Begun(Logger):
    """Ends a run as soon as it says that it begins."""

    def info(self, name: str, **facts: Any) -> None:
        raise Enough(name)


@pytest.mark.parametrize(
    ("options", "questions"), [({"yes": True}, 0), ({"ask": True}, 1)], ids=["said beforehand", "said when asked"]
)
def test_a_yes_lets_the_first_run_begin_and_is_not_asked_for_twice(
    workspace: Workspace, options: dict[str, Any], questions: int
) -> None:
    asked: list[str] = []
    backfill(workspace, 1_001)
    if "ask" in options:
        options = {"ask": lambda question: not asked.append(question)}
    watcher, _ = display(log=Begun(), **options)
    for _ in range(2):
        with pytest.raises(Enough, match="run_started"):
            workspace.run(watcher)  # type: ignore[arg-type]
    assert len(asked) == questions


def test_updates_to_this_machine_are_neither_asked_about_nor_refused(workspace: Workspace) -> None:
    url = workspace.base_url
    backfill(workspace, 1_001)
    workspace.base_url = url
    workspace.updates()
    for ask in (None, lambda question: False):
        watcher, _ = display(ask=ask)
        assert workspace.run(watcher, limit=1)["exit_code"] == 6  # type: ignore[arg-type]


def test_requests_to_keep_are_the_first_ones_masked(workspace: Workspace) -> None:
    watcher, _ = display(keep=2)
    workspace.run(watcher)  # type: ignore[arg-type]
    assert [(sample.number, sample.body["email"]) for sample in watcher.samples] == [(0, "***"), (1, "***")]
