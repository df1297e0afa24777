"""``batchpost init`` at a terminal: what it asks, that Enter takes the default, and that it asks nowhere else."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from batchpost.newjob import Wish, make_job
from batchpost.output import Output
from batchpost.proposal import Given
from batchpost.questions import Terminal
from tests.commands import ROOT
from tests.newjobs import Scripted, csv
from tests.workspaces import ENVIRON

UNSURE = "Number,Status,Payout,Sale Amount,Sold At\n" + "".join(
    f"lead{n:08},{'Funded' if n % 3 else 'Declined'},{n}.50,{n * 10}.00,0{1 + n % 9}/0{1 + n % 5}/2025 10:00\n"
    for n in range(30)
)


def made(folder: Path, text: str, person: Scripted | None, **wish: Any) -> dict[str, Any]:
    """The job for a file, by a person's answers."""
    csv(folder, text)
    wanted = {"route": "global-event", "place": str(folder / "job.toml"), "workspace": folder, **wish}
    make_job(Wish(file=str(folder / "export.csv"), **wanted), Output(io.StringIO(), io.StringIO()), person)
    return tomllib.loads((folder / "job.toml").read_text())


def test_it_asks_only_where_it_is_unsure(tmp_path: Path) -> None:
    person = Scripted(0, "-", "sale_completed", 1, 0, "America/Denver")
    job = made(tmp_path, UNSURE, person)
    assert [question.partition("?")[0].partition(":")[0] for question in person.asked] == [
        "Which column holds the platform's id of each lead (transaction_id)",
        "'Status' is 'Funded' in 20 rows. Which event does it fire (- for none)",
        "'Status' is 'Declined' in 10 rows. Which event does it fire (- for none)",
        "Which column is the money of the event (revenue)",
        "The dates in 'Sold At' are written in one of these ways, and no value proves which",
        "In which zone are the times of 'Sold At' (such as America/New_York; - to send them as written)",
    ]
    assert job["fields"] == {
        "transaction_id": {"column": "Number"},
        "revenue": {"column": "Sale Amount"},
        "conversion_date": {
            "column": "Sold At",
            "format": "%m/%d/%Y %H:%M",
            "timezone": "America/Denver",
            "send_as": "MST",
        },
        "event_id": {"column": "Status", "otherwise": "skip", "map": {"Declined": "sale_completed"}},
    }


def test_enter_takes_the_careful_way_everywhere(tmp_path: Path) -> None:
    job = made(tmp_path, UNSURE, Scripted())
    assert job["fields"] == {
        "transaction_id": {"column": "Number"},
        "revenue": {"column": "Payout"},
        "event_id": {"column": "Status", "otherwise": "skip", "map": {"no status fires yet": "undecided"}},
    }


def test_where_the_file_proves_everything_nothing_is_asked(tmp_path: Path) -> None:
    person = Scripted()
    text = "Lead ID,event_id,Payout,Sold At\n" + "".join(f"txn_{n:08},sale,{n}.50,2025-03-04\n" for n in range(20))
    made(tmp_path, text, person)
    assert person.asked == []


def test_what_the_command_line_says_is_not_asked(tmp_path: Path) -> None:
    fields = {"transaction_id": "Number", "revenue": "Payout"}
    given = Given(fields=fields, events={"Funded": "sale"}, order="day", timezone="America/New_York")
    person = Scripted()
    job = made(tmp_path, UNSURE, person, given=given)
    assert person.asked == []
    assert job["fields"]["conversion_date"]["format"] == "%d/%m/%Y %H:%M"


def test_an_answer_that_is_unfit_is_asked_for_again() -> None:
    @click.command()
    def ask() -> None:
        known = Terminal().enter("Zone?", "-", lambda text: "" if text in ("-", "UTC") else "That is no zone.")
        chosen = Terminal().choose("Which?", ["one", "two"], 1)
        click.echo(f"{known} {chosen}")

    done = CliRunner().invoke(ask, input="Nowhere\nUTC\n7\n\n")
    assert done.stdout.endswith("UTC 1\n")
    assert "That is no zone." in done.stderr


def written(terminal: int) -> str:
    """All that was written to a terminal whose other end is closed."""
    parts = []
    with suppress(OSError), os.fdopen(terminal, "rb", buffering=0) as file:
        while part := file.read(4_096):
            parts.append(part)
    return b"".join(parts).decode()


@pytest.mark.parametrize(("options", "asks"), [([], True), (["--yes"], False)], ids=["asks", "--yes"])
def test_a_real_terminal_is_asked_on_standard_error(tmp_path: Path, options: list[str], asks: bool) -> None:
    csv(tmp_path, UNSURE.replace("Number", "Lead ID").replace("Sale Amount", "Other"))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "batchpost", "init", "export.csv", "--route", "global-event", *options]
    environ = {**ENVIRON, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True
    ) as process:
        os.close(theirs)
        if asks:
            os.write(ours, b"sale_completed\n\n1\n\n")  # Funded fires, Declined does not, month first, no zone
        out, _ = process.communicate(timeout=60)
    shown = written(ours)
    job = tomllib.loads((tmp_path / "jobs/export.toml").read_text())
    assert process.returncode == 0
    assert out.splitlines()[-1] == "Next: batchpost plan jobs/export.toml"
    assert ("Which event does it fire" in shown) == asks
    assert job["fields"]["event_id"]["map"] == (
        {"Funded": "sale_completed"} if asks else {"no status fires yet": "undecided"}
    )
    assert ("conversion_date" in job["fields"]) == asks
