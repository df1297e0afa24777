"""``resolve`` from outside: what it shows of rows without a known end, what can be said of them, and what follows."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchpost.ledger import Ledger
from batchpost.locks import Locks
from batchpost.resolutions import Resolutions
from batchpost.sandbox import Sandbox
from batchpost.sandbox_faults import parse_faults, parse_latency
from tests.commands import Done, call, started, tree, until
from tests.workspaces import (
    ENVIRON,
    Table,
    Workspace,
    counted,
    csv,
    elsewhere,
    fired,
    sale_rows,
    update_rows,
    write_csv,
)

ONE_BY_ONE = "rate = 100000\nconcurrency = 1\nmax_failures = 1000"
ACTIONS = ("--delivered", "--not-delivered", "--resend", "--ignore")
DUE = ("--not-delivered", "--resend")


@pytest.fixture
def place(tmp_path: Path, server: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace that is the current folder, with a job of events that may fire twice."""
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "batchpost.toml").touch()
    workspace = Workspace(tmp_path, server.base_url)
    workspace.sales(dedupe=False, delivery=ONE_BY_ONE)
    return workspace


def failing(server: Sandbox, *arguments: str) -> str:
    """A run to whose every request the platform answers 500; returns the run's id."""
    server.configure(faults=parse_faults("error=1"))
    done = call(*(arguments or ("run", "job.toml")), "--json", "-q")
    server.configure(faults=parse_faults(""))
    assert done.code == 3, done.err
    return str(json.loads(done.out)["run_id"])


def without_end(place: Workspace, server: Sandbox, rows: int = 3) -> str:
    """A run of so many sales (four at most: then the circuit opens), none of which has a known end."""
    write_csv(place.folder / "in.csv", sale_rows(rows))
    return failing(server)


def with_one_delivered(place: Workspace, server: Sandbox) -> str:
    """The same of three, of which the last one was delivered."""
    write_csv(place.folder / "in.csv", sale_rows(3))
    server.configure(faults=parse_faults("error=1"))
    call("run", "job.toml", "--limit", "2", "-q")
    server.configure(faults=parse_faults(""))
    return str(json.loads(call("run", "job.toml", "--json", "-q").out)["run_id"])


def shown(run: str, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("resolve", run, "--json", *arguments).out)
    return found


def waiting(run: str) -> list[int]:
    """The rows that wait for a decision, as a person counts them."""
    return [row["row"] for row in shown(run)["rows"]]


def again(place: Workspace, *arguments: str) -> dict[str, Any]:
    """One more sitting; its summary."""
    found: dict[str, Any] = json.loads(call(*(arguments or ("run", "job.toml")), "--json", "-q").out)
    return found


def generation(place: Workspace) -> int:
    with place.ledger() as ledger:
        return ledger.generation


def refused(place: Workspace, *arguments: str, code: int = 2) -> str:
    """What is said to a command that must not change anything."""
    before = tree(place.folder)
    done = call("resolve", *arguments)
    assert (done.code, done.out) == (code, ""), done.out + done.err
    kept = {name: facts for name, facts in tree(place.folder).items() if "-locks/" not in name}
    assert kept == {name: facts for name, facts in before.items() if "-locks/" not in name}
    return done.err


# -- without an action: the rows and their evidence --------------------------------------------------------------------


def test_the_rows_are_shown_with_their_evidence_and_what_they_are_worth(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    done = call("resolve", run)
    assert done.code == 3
    assert f"{run}, job (global-event) (a test): 3 rows, 33.03 without a known end" in done.out
    header, *rows = [line.split() for line in done.out.splitlines() if line.startswith("  ")][:4]
    assert header[:5] == ["ROW", "LINE", "TRANSACTION_ID", "EVENT_ID", "AMOUNT"]
    assert [row[:6] for row in rows] == [
        ["1", "2", "txn_00000", "repeat_purchase", "10.00", "1"],
        ["2", "3", "txn_00001", "repeat_purchase", "11.01", "1"],
        ["3", "4", "txn_00002", "repeat_purchase", "12.02", "1"],
    ]
    assert all(
        re.search(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ){2}server_error \(HTTP 500\)", line) for line in lines(done)
    )
    assert "@mail.example.com" not in done.out + json.dumps(shown(run))


def lines(done: Done) -> list[str]:
    return [line for line in done.out.splitlines() if "txn_" in line]


def test_what_each_action_means_is_said_and_the_next_commands_can_be_pasted(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    text = call("resolve", run).out
    for option, words in zip(ACTIONS, ("the platform has it", "does not have it", "count twice", "never"), strict=True):
        assert re.search(rf"^  {option} .*{words}", text, re.MULTILINE)
    assert "--voided" in text
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("  batchpost ")]
    assert [words[1] for words in commands] == ["export", "resolve", "resolve"]
    for words in commands[:2]:
        assert call(*words[1:]).code == 0, words
    (place.folder / "list.csv").write_text("transaction_id\ntxn_00002\n")
    assert call(*commands[2][1:]).code == 0


def test_a_program_is_told_the_same(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server, 2)
    told = shown(run)
    assert (told["open"], told["due"]) == ({"rows": 2, "amount": "21.01"}, {"rows": 0, "amount": None})
    assert (told["run_id"], told["next"]) == (run, f"batchpost resolve {run}")
    [first, _] = told["rows"]
    facts = ("source", "row", "line", "transaction_id", "amount", "outcome", "reason", "http_status", "attempts")
    assert [first[name] for name in facts] == ["in.csv", 1, 2, "txn_00000", "10.00", "unknown", "server_error", 500, 1]
    assert (first["waits_for"], first["decided"]) == ([], [])


def test_what_was_decided_before_is_shown_with_when_by_whom_and_why(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    call("resolve", run, "--delivered", "--rows", "1", "--note", "Ann has it in her list")
    call("resolve", run, "--not-delivered", "--rows", "2")
    done = call("resolve", run)
    assert "1 row, 12.02 without a known end" in done.out
    decided = done.out[done.out.index("Decided before:") :].splitlines()[2:4]
    assert re.search(r' 1 .* delivered, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, \S+: "Ann has it in her list"$', decided[0])
    assert re.search(r" 2 .* not delivered, .* UTC, \S+; due$", decided[1])
    [one, two] = shown(run)["decided"]
    assert [entry["note"] for entry in one["decided"]] == ["Ann has it in her list"]
    assert (one["due"], two["due"]) == (False, True)


def test_where_nothing_waits_that_is_said(place: Workspace) -> None:
    write_csv(place.folder / "in.csv", sale_rows(2))
    call("run", "job.toml", "-q")
    done = call("resolve", "latest")
    assert (done.code, "no row without a known end" in done.out) == (0, True)
    assert call("resolve", "latest", "--delivered").out.endswith("no row waits for a decision.\n")


def test_many_rows_are_cut_short_for_a_person_and_all_there_for_a_program(place: Workspace, server: Sandbox) -> None:
    place.sales(dedupe=False, delivery=f"{ONE_BY_ONE}\nconcurrency = 60")
    write_csv(place.folder / "in.csv", sale_rows(60))
    server.configure(faults=parse_faults("error=1"), latency=parse_latency("200ms"))
    call("run", "job.toml", "-q")
    [run] = [line.split()[0] for line in call("runs").out.splitlines()[1:]]
    told = shown(run)
    assert told["open"]["rows"] > 50
    assert f"... and {told['open']['rows'] - 50} more (--json has all)" in call("resolve", run).out


def test_listing_changes_nothing(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    before = tree(place.folder)
    call("resolve", run)
    assert tree(place.folder) == before


# -- which rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [*ACTIONS[1:], "--voided"])
def test_the_actions_exclude_each_other(place: Workspace, server: Sandbox, second: str) -> None:
    run = without_end(place, server)
    assert "cannot both be true of a row" in refused(place, run, "--delivered", second, "--rows", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--note", "x"], "--note goes with what became of the rows"),
        (["--yes"], "--yes goes with what became of the rows"),
        (["--delivered", "--rows", "1", "--from", "in.csv"], "two ways to say which rows"),
        (["--delivered", "--rows", ","], "name at least one row"),
        (["--delivered", "--rows", "one"], "write data rows as they are shown"),
        (["--delivered", "--rows", "4"], "in.csv has the rows 1 to 3"),
        (["--delivered", "--rows", "3-2"], "in.csv has the rows 1 to 3"),
        (["--delivered", "--rows", "other.csv:1"], "has no such file. It has in.csv"),
        (["--delivered", "--reason", "timeout"], "no such row waits. There are: 3 server_error"),
        (["--delivered", "--from", "none.csv"], "there is no such file"),
        (["--voided"], "say which events the platform removed"),
    ],
)
def test_a_command_that_means_nothing_changes_nothing(
    place: Workspace, server: Sandbox, arguments: Sequence[str], message: str
) -> None:
    run = without_end(place, server)
    assert message in refused(place, run, *arguments)


@pytest.mark.parametrize(
    ("rows", "left"), [("1", [2, 3]), ("1,3", [2]), ("2-3", [1]), ("1, 2-3", []), ("in.csv:2", [1, 3])]
)
def test_rows_are_picked_as_they_are_shown(place: Workspace, server: Sandbox, rows: str, left: list[int]) -> None:
    run = without_end(place, server)
    assert call("resolve", run, "--ignore", "--rows", rows).code == 0
    assert waiting(run) == left


@pytest.fixture
def two_files(place: Workspace, server: Sandbox) -> str:
    """A run over two files with two rows each, none of which has a known end."""
    place.sales(dedupe=False, source='path = ["a.csv", "b.csv"]', delivery=ONE_BY_ONE)
    for name in "ab":
        write_csv(place.folder / f"{name}.csv", sale_rows(2, name))
    return failing(server)


def test_of_several_files_a_row_is_named_with_its_file(place: Workspace, two_files: str) -> None:
    text = call("resolve", two_files).out
    assert [line.split()[0] for line in text.splitlines() if " repeat_purchase " in line] == [
        *("a.csv:1", "a.csv:2", "b.csv:1", "b.csv:2")
    ]
    message = refused(place, two_files, "--ignore", "--rows", "2")
    assert "--rows 2: say in which file, as in a.csv:2. The run has a.csv, b.csv" in message
    assert call("resolve", two_files, "--ignore", "--rows", "b.csv:1,2", "--rows", "a.csv:2").code == 0
    assert [(row["source"], row["row"]) for row in shown(two_files)["rows"]] == [("a.csv", 1)]
    assert again(place)["reasons"] == {"ignored": 3, "in_doubt": 1}


def test_due_rows_of_several_files_go_out_with_retry(place: Workspace, server: Sandbox, two_files: str) -> None:
    call("resolve", two_files, "--not-delivered", "--rows", "a.csv:2,b.csv:1")
    before = len(server.received)
    assert again(place, "retry", two_files)["rows"]["delivered"] == 2
    assert sent(server)[before:] == ["a_00001", "b_00000"]


def test_rows_are_picked_by_reason_for_looking_and_for_deciding(place: Workspace, server: Sandbox) -> None:
    write_csv(place.folder / "in.csv", sale_rows(3))
    server.configure(faults=parse_faults("error=1"))
    call("run", "job.toml", "--limit", "1", "-q")
    server.configure(faults=parse_faults("drop=1"))
    call("run", "job.toml", "-q")
    reasons = {row["row"]: row["reason"] for row in shown("job")["rows"]}
    assert set(reasons.values()) == {"server_error", "dropped"}
    assert [row["row"] for row in shown("job", "--reason", "server_error")["rows"]] == [1]
    assert call("resolve", "job", "--ignore", "--reason", "dropped").code == 0
    assert waiting("job") == [1]


# -- from a list -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_a_list_as_export_writes_it_names_its_rows(place: Workspace, server: Sandbox, name: str) -> None:
    run = without_end(place, server)
    call("export", run, "--only", "unknown", "-o", name)
    assert call("resolve", run, "--not-delivered", "--from", name).code == 0
    assert (waiting(run), shown(run)["due"]["rows"]) == ([], 3)


@pytest.mark.parametrize(
    "text",
    [
        "transaction_id\ntxn_00001\n",
        "Paid,Transaction ID,Account\n11.01,txn_00001,Ann\n",
        "transaction_id;event_id\n txn_00001 ;repeat_purchase\n",
        "transaction_id,event_id,row\ntxn_00001,,7\n",
        "source,row,transaction_id\nin.csv,2,txn_00001\n",
        "transaction_id\ntxn_00001\ntxn_00001\n",
        "\ufefftransaction_id\r\ntxn_00001\r\n",
    ],
)
def test_the_account_managers_list_names_rows_by_what_it_has(place: Workspace, server: Sandbox, text: str) -> None:
    run = without_end(place, server)
    Path("theirs.csv").write_text(text)
    done = call("resolve", run, "--delivered", "--from", "theirs.csv", "--note", "their list")
    assert (done.code, waiting(run)) == (0, [1, 3]), done.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("transaction_id\ntxn_00001\ntxn_9\nx_8\n", "theirs.csv, line 3 (txn_9) fits no row that this run sent"),
        ("transaction_id\ntxn_00001\ntxn_9\nx_8\n", "theirs.csv, line 4 (x_8) fits no row that this run sent"),
        ("transaction_id,event_id\ntxn_00001,other_event\n", "line 2 (txn_00001) fits no row"),
        ("source,row,transaction_id\nin.csv,1,txn_00001\n", "line 2 (txn_00001) fits no row"),
        ("lead\ntxn_00001\n", "it has no column transaction_id; it has lead"),
        ("transaction_id\n", "--from theirs.csv: "),
        ("transaction_id,event_id\n,repeat_purchase\n", "line 2 has no transaction_id"),
    ],
)
def test_a_list_of_which_a_line_fits_no_row_changes_nothing(
    place: Workspace, server: Sandbox, text: str, message: str
) -> None:
    run = without_end(place, server)
    Path("theirs.csv").write_text(text)
    assert message in refused(place, run, "--delivered", "--from", "theirs.csv")


def test_a_line_that_fits_several_operations_must_say_which(place: Workspace, server: Sandbox) -> None:
    place.sales(dedupe=False, fields='-event_id\nevent_id = { column = "Event" }', delivery=ONE_BY_ONE)
    rows: Table = {name: [cells[0]] * 2 for name, cells in sale_rows(1).items()}
    write_csv(place.folder / "in.csv", {**rows, "Event": ["repeat_purchase", "upsell"]})
    run = failing(server)
    Path("theirs.csv").write_text("transaction_id\ntxn_00000\n")
    message = refused(place, run, "--delivered", "--from", "theirs.csv")
    assert "line 2 (txn_00000) fits rows 1 and 2: give it more of source, row, transaction_id, event_id" in message
    Path("theirs.csv").write_text("transaction_id,event_id\ntxn_00000,upsell\n")
    assert call("resolve", run, "--delivered", "--from", "theirs.csv").code == 0
    assert waiting(run) == [1]


def test_a_list_may_name_rows_of_which_it_holds_already(place: Workspace, server: Sandbox) -> None:
    """An account manager lists all that they have, what was never in question included."""
    run = with_one_delivered(place, server)
    Path("theirs.csv").write_text("transaction_id\ntxn_00000\ntxn_00002\n")
    done = call("resolve", run, "--delivered", "--from", "theirs.csv")
    assert done.code == 0
    assert "1 row, 10.00: delivered." in done.out
    assert "That holds already: 1 row, 12.02." in done.out
    assert "row 3 has a known end: delivered (conversion)" in refused(
        place, run, "--not-delivered", "--from", "theirs.csv"
    )


# -- all of them -------------------------------------------------------------------------------------------------------


def test_all_at_once_needs_a_yes_where_nobody_can_be_asked(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    message = refused(place, run, "--delivered")
    assert "All that wait, 3 rows, 33.03: delivered? Say so with --yes, or pick some" in message
    assert call("resolve", run, "--delivered", "--yes").code == 0
    assert waiting(run) == []


def test_a_single_row_needs_no_yes(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server, 1)
    assert call("resolve", run, "--delivered").code == 0


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, []), ("n", 2, [1, 2, 3])])
def test_on_a_terminal_a_person_is_asked(
    place: Workspace, server: Sandbox, answer: str, code: int, left: list[int]
) -> None:
    run = without_end(place, server)
    theirs, ours = os.openpty()
    try:
        with started("resolve", run, "--resend", cwd=place.folder, stdin=ours, stderr=ours) as process:
            os.write(theirs, f"{answer}\n".encode())
            process.communicate(timeout=60)
        assert process.returncode == code
        assert b"All that wait, 3 rows, 33.03: to be sent again. Is that right? [y/N]" in os.read(theirs, 4096)
    finally:
        os.close(theirs)
        os.close(ours)
    assert waiting(run) == left


def test_what_another_person_decided_while_one_was_asked_stands(place: Workspace, server: Sandbox) -> None:
    """Nothing is held while somebody thinks it over."""
    run = without_end(place, server)
    theirs, ours = os.openpty()
    try:
        with started("resolve", run, "--resend", cwd=place.folder, stdin=ours, stderr=ours) as process:
            said = b""
            while b"[y/N]" not in said:
                said += os.read(theirs, 4096)
            assert call("resolve", run, "--ignore", "--rows", "2").code == 0
            os.write(theirs, b"y\n")
            process.communicate(timeout=60)
        assert process.returncode == 2
        assert b"Nothing was changed: the rows are others than a moment ago" in os.read(theirs, 4096)
    finally:
        os.close(theirs)
        os.close(ours)
    assert waiting(run) == [1, 3]


# -- once --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ACTIONS)
def test_a_row_is_decided_once(place: Workspace, server: Sandbox, first: str) -> None:
    run = without_end(place, server)
    call("resolve", run, first, "--rows", "1", "--note", "asked Ann")
    kept = generation(place)
    same = call("resolve", run, first, "--rows", "1")
    assert (same.code, "nothing to do, as that holds already: 1 row, 10.00" in same.out) == (0, True)
    assert generation(place) == kept
    for other in set(ACTIONS) - {first}:
        message = refused(place, run, other, "--rows", "1")
        assert re.search(
            r'row 1 was decided already: .*, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, \S+: "asked Ann"', message
        )


def test_of_rows_of_which_one_was_decided_none_is(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    call("resolve", run, "--delivered", "--rows", "2")
    assert "Nothing was changed: row 2 was decided already: delivered" in refused(
        place, run, "--not-delivered", "--rows", "1-3"
    )
    assert waiting(run) == [1, 3]


def test_a_row_with_a_known_end_is_not_decided(place: Workspace, server: Sandbox) -> None:
    run = with_one_delivered(place, server)
    assert "row 3 has a known end: delivered (conversion)" in refused(place, run, "--resend", "--rows", "3")
    assert call("resolve", run, "--delivered", "--rows", "3").code == 0


def test_a_decision_is_recorded_with_its_time_and_note(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    call("resolve", run, "--ignore", "--rows", "2-3", "--note", "not worth it")
    with place.ledger() as ledger:
        found = Resolutions(ledger).of(run)
        assert [(one.row, one.action, one.note) for one in found] == [(n, "ignored", "not worth it") for n in (1, 2)]
        assert all(abs(one.at - (place.folder / "in.csv").stat().st_mtime) < 120 for one in found)


# -- what follows ------------------------------------------------------------------------------------------------------


def sent(server: Sandbox) -> list[str]:
    return [entry.transaction_id for entry in server.received]


@pytest.mark.parametrize("action", DUE)
def test_what_is_due_goes_out_with_retry_exactly_and_once(place: Workspace, server: Sandbox, action: str) -> None:
    run = without_end(place, server)
    call("resolve", run, action, "--rows", "1,3")
    before = len(server.received)
    summary = again(place, "retry", run)
    assert (summary["exit_code"], summary["rows"]["read"], summary["rows"]["delivered"]) == (0, 2, 2)
    assert sent(server)[before:] == ["txn_00000", "txn_00002"]
    done = call("retry", run)
    assert (done.code, done.out) == (0, "")
    assert f"has no rows to send again. 1 wait for a decision: batchpost resolve {run}" in done.err
    assert again(place)["reasons"] == {"same_row": 2, "in_doubt": 1}
    assert len(server.received) == before + 2


@pytest.mark.parametrize("action", DUE)
def test_what_is_due_goes_out_with_the_next_run_of_its_file_once(
    place: Workspace, server: Sandbox, action: str
) -> None:
    run = without_end(place, server)
    call("resolve", run, action, "--rows", "1,3")
    before = len(server.received)
    assert again(place)["reasons"] == {"conversion": 2, "in_doubt": 1}
    assert sent(server)[before:] == ["txn_00000", "txn_00002"]
    assert call("retry", run).out == ""
    assert again(place)["reasons"] == {"same_row": 2, "in_doubt": 1}
    assert len(server.received) == before + 2


@pytest.mark.parametrize(("action", "reason"), [("--delivered", "same_row"), ("--ignore", "ignored")])
def test_what_is_settled_for_good_never_goes_out_again(
    place: Workspace, server: Sandbox, action: str, reason: str
) -> None:
    run = without_end(place, server)
    call("resolve", run, action, "--yes")
    before = len(server.received)
    assert call("retry", run).out == ""
    summary = again(place)
    assert (summary["exit_code"], summary["reasons"]) == (0, {reason: 3})
    copy = write_csv(place.folder / "copy.csv", {**sale_rows(3), "More": ["x"] * 3})
    summary = again(place, "run", "job.toml", "--source", str(copy))
    assert (summary["exit_code"], summary["reasons"]) == (0, {"ledger" if action == "--delivered" else "ignored": 3})
    assert len(server.received) == before


def test_due_rows_can_be_left_out_of_a_retry_or_be_all_of_it(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    call("resolve", run, "--resend", "--yes")
    assert call("retry", run, "--only", "failed,rejected").out == ""
    assert call("retry", run, "--reason", "timeout").out == ""
    assert again(place, "retry", run, "--only", "due", "--reason", "server_error")["rows"]["delivered"] == 3
    assert "Settle them first: batchpost resolve" in call("retry", run, "--only", "unknown").err


def test_the_file_of_a_due_row_comes_again_where_only_new_files_are_taken(place: Workspace, server: Sandbox) -> None:
    place.sales(dedupe=False, source='path = "in*.csv"', delivery=ONE_BY_ONE)
    run = without_end(place, server)
    assert call("run", "job.toml", "-q").code == 66
    call("resolve", run, "--delivered", "--rows", "1")
    assert call("run", "job.toml", "-q").code == 66
    call("resolve", run, "--not-delivered", "--rows", "2,3")
    assert again(place)["reasons"] == {"same_row": 1, "conversion": 2}
    assert call("run", "job.toml", "-q").code == 66


def test_what_gets_through_is_not_due_and_what_does_not_stays_so(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server, 2)
    call("resolve", run, "--not-delivered", "--yes")
    server.configure(faults=parse_faults("limit=1"))
    stopped = again(place, "retry", run, "--limit", "1")
    assert stopped["rows"]["delivered"] == 1
    server.configure(faults=parse_faults(""))
    assert (shown(run)["due"]["rows"], [row["due"] for row in shown(run)["decided"]]) == (1, [False, True])
    assert "delivered since" in call("resolve", run).out


@pytest.mark.parametrize("where", ["first", "second"])
def test_a_row_that_has_no_known_end_again_is_open_again(place: Workspace, server: Sandbox, where: str) -> None:
    """It waits for the request of the retry, and a decision about either is one about both."""
    first = without_end(place, server, 2)
    call("resolve", first, "--resend", "--yes")
    second = failing(server, "retry", first)
    assert (waiting(first), waiting(second)) == ([1, 2], [1, 2])
    assert shown(first)["rows"][0]["waits_for"] == [{"run_id": second, "row": "1"}]
    assert f"settled with row 1 of {second}" in call("resolve", first).out
    done = call("resolve", first if where == "first" else second, "--delivered", "--yes")
    assert f"With them, as they are about the same: row 1 of {second if where == 'first' else first}" in done.out
    assert (waiting(first), waiting(second)) == ([], [])
    assert again(place)["reasons"] == {"same_row": 2}


# -- where the platform refuses a second one ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "reasons"),
    [
        ("--delivered", {"same_row": 3}),
        ("--ignore", {"ignored": 3}),
        ("--not-delivered", {"conversion", "confirmed_duplicate"}),
        ("--resend", {"conversion", "confirmed_duplicate"}),
    ],
)
def test_events_that_the_platform_refuses_twice_are_settled_likewise(
    place: Workspace, server: Sandbox, action: str, reasons: dict[str, int] | set[str]
) -> None:
    place.sales(dedupe=True, delivery=f"{ONE_BY_ONE}\nmax_attempts = 1")
    run = without_end(place, server)
    call("resolve", run, action, "--yes")
    summary = again(place)
    assert summary["exit_code"] == 0
    assert summary["reasons"] == reasons if isinstance(reasons, dict) else set(summary["reasons"]) <= reasons
    effects = [entry.transaction_id for entry in server.received if entry.effect]
    assert len(effects) == len(set(effects))


# -- voided ------------------------------------------------------------------------------------------------------------


def test_a_voided_event_lets_a_corrected_row_pass_and_never_the_same_one(place: Workspace, server: Sandbox) -> None:
    write_csv(place.folder / "in.csv", sale_rows(3))
    run = again(place)["run_id"]
    done = call("resolve", run, "--voided", "--rows", "2", "--note", "removed on their side")
    assert (done.code, '1 row, 11.01: voided. Noted: "removed on their side"' in done.out) == (0, True)
    before = len(server.received)
    summary = again(place)
    assert (summary["exit_code"], summary["reasons"]) == (0, {"same_row": 2, "voided": 1})
    [voided] = place.outcomes(summary).filter(pl.col("reason") == "voided").to_dicts()
    assert (voided["outcome"], voided["transaction_id"]) == ("skipped", "txn_00001")

    corrected = sale_rows(3)
    corrected["Payout"][1] = "14.00"
    write_csv(place.folder / "corrected.csv", corrected)
    for reasons in ({"ledger": 2, "conversion": 1}, {"ledger": 3}):
        assert again(place, "run", "job.toml", "--source", "corrected.csv")["reasons"] == reasons
    assert again(place)["reasons"] == {"same_row": 2, "voided": 1}
    assert sent(server)[before:] == ["txn_00001"]


def test_after_a_voided_event_the_file_that_was_found_to_have_it_otherwise_is_to_be_run(
    place: Workspace, server: Sandbox
) -> None:
    write_csv(place.folder / "in.csv", sale_rows(3))
    run = again(place)["run_id"]
    corrected = sale_rows(3)
    corrected["Payout"][1] = "14.00"
    write_csv(place.folder / "right.csv", corrected)
    assert again(place, "run", "job.toml", "--source", "right.csv")["reasons"] == {"conflict": 1, "ledger": 2}
    done = call("resolve", run, "--voided", "--rows", "2")
    assert done.out.endswith("another date.\nNext: batchpost run job.toml --source right.csv\n")
    told = json.loads(call("resolve", run, "--voided", "--rows", "2", "--json").out)
    assert told["next"] == "batchpost run job.toml --source right.csv"
    before = len(server.received)
    assert again(place, *shlex.split(told["next"])[1:])["reasons"] == {"conversion": 1, "ledger": 2}
    assert sent(server)[before:] == ["txn_00001"]


def test_where_no_run_found_a_voided_event_to_be_another_the_file_is_left_to_the_person(place: Workspace) -> None:
    write_csv(place.folder / "in.csv", sale_rows(2))
    run = again(place)["run_id"]
    corrected = sale_rows(2)
    corrected["Payout"][1] = "14.00"
    path = write_csv(place.folder / "right.csv", corrected)
    again(place, "run", "job.toml", "--source", "right.csv")
    path.unlink()
    for row in ("1", "2"):
        done = call("resolve", run, "--voided", "--rows", row)
        assert "FILE is the file that has it.\nNext: batchpost run job.toml --source FILE\n" in done.out


def test_only_what_this_run_delivered_is_voided_and_once(place: Workspace, server: Sandbox) -> None:
    run = with_one_delivered(place, server)
    second = again(place)["run_id"]
    assert "row 1 has no known end: say --delivered first" in refused(place, run, "--voided", "--rows", "1")
    assert "row 3 was delivered by another run" in refused(place, second, "--voided", "--rows", "3")
    Path("gone.csv").write_text("transaction_id\ntxn_00002\n")
    assert call("resolve", run, "--voided", "--from", "gone.csv").code == 0
    assert call("resolve", run, "--voided", "--from", "gone.csv").out.startswith(f"{run}: nothing to do")
    assert "row 3 was decided already: voided" in refused(place, run, "--delivered", "--rows", "3")


def test_what_a_person_said_was_delivered_can_be_voided_later_and_sent_again_on_their_word(
    place: Workspace, server: Sandbox
) -> None:
    run = without_end(place, server)
    call("resolve", run, "--delivered", "--yes")
    assert call("resolve", run, "--voided", "--rows", "1").code == 0
    assert again(place)["reasons"] == {"voided": 1, "same_row": 2}
    assert call("resolve", run, "--resend", "--rows", "1").code == 0
    assert again(place)["reasons"] == {"conversion": 1, "same_row": 2}


def test_delivered_rows_are_voided_by_reason(place: Workspace) -> None:
    write_csv(place.folder / "in.csv", sale_rows(2))
    run = again(place)["run_id"]
    assert call("resolve", run, "--voided", "--reason", "conversion").code == 0
    assert again(place)["reasons"] == {"voided": 2}


# -- updates -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def updates(place: Workspace) -> Workspace:
    """Updates that may offer a lead to buyers again, so that none is sent twice by itself."""
    place.updates(api="redistributes = true", delivery=ONE_BY_ONE)
    write_csv(place.folder / "in.csv", update_rows([("a", "Rome"), ("b", "Oslo")]))
    return place


@pytest.mark.parametrize(
    ("action", "reasons", "requests"),
    [
        ("--delivered", {"same_row": 2}, 0),
        ("--ignore", {"ignored": 2}, 0),
        ("--not-delivered", {"accepted": 2}, 2),
        ("--resend", {"accepted": 2}, 2),
    ],
)
@pytest.mark.parametrize("command", ["run", "retry"])
def test_updates_are_settled_likewise(
    updates: Workspace, server: Sandbox, action: str, reasons: dict[str, int], requests: int, command: str
) -> None:
    run = failing(server)
    assert refused(updates, run, "--voided", "--rows", "1").endswith(
        "--voided is for events: an update cannot be taken back\n"
    )
    assert call("resolve", run, action, "--yes").code == 0
    before = len(server.received)
    if command == "run" or requests:
        assert again(updates, command, "job.toml" if command == "run" else run)["reasons"] == reasons
    assert call("retry", run).out == ""
    assert len(server.received) == before + requests
    assert set(again(updates)["reasons"]) == ({"same_row"} if action != "--ignore" else {"ignored"})


def test_a_due_update_never_overwrites_a_newer_one(updates: Workspace, server: Sandbox) -> None:
    run = failing(server)
    write_csv(updates.folder / "newer.csv", update_rows([("a", "Paris")]))
    again(updates, "run", "job.toml", "--source", "newer.csv")
    done = call("resolve", run, "--not-delivered", "--yes")
    assert "Not due all the same, as a newer update of the lead went out: 1 row." in done.out
    before = len(server.received)
    again(updates, "retry", run)
    assert sent(server)[before:] == ["b"]


def test_two_rows_with_the_same_update_are_settled_together(updates: Workspace, server: Sandbox) -> None:
    write_csv(updates.folder / "in.csv", update_rows([("a", "Rome"), ("a", "Oslo"), ("a", "Rome")]))
    run = failing(server)
    assert "settled with row 3" in call("resolve", run).out
    done = call("resolve", run, "--delivered", "--rows", "1")
    assert "With them, as they are about the same: row 3." in done.out
    assert waiting(run) == [2]


# -- runs that wait for one another ------------------------------------------------------------------------------------


def test_a_run_that_finds_rows_in_doubt_waits_for_the_run_that_left_them(place: Workspace, server: Sandbox) -> None:
    first = without_end(place, server, 2)
    second = again(place)
    assert (second["exit_code"], second["reasons"], second["outstanding"]) == (3, {"in_doubt": 2}, {first: 2})
    assert second["next"] == f"batchpost resolve {second['run_id']}"
    text = call("resolve", second["run_id"]).out
    assert f"waits for row 1 of {first}" in text
    assert f"What came back for row N of {first} is shown by: batchpost resolve {first}" in text
    assert call("resolve", second["run_id"], "--not-delivered", "--yes").code == 0
    assert (waiting(first), shown(first)["due"]["rows"]) == ([], 2)
    assert again(place, "retry", second["run_id"])["rows"]["delivered"] == 2
    assert shown(first)["due"]["rows"] == 0


def test_what_another_run_sent_with_other_money_is_not_said_to_be_delivered_by_this_row(
    place: Workspace, server: Sandbox
) -> None:
    first = without_end(place, server, 1)
    rows = sale_rows(1)
    rows["Payout"] = ["99.00"]
    write_csv(place.folder / "in.csv", rows)
    second = again(place)["run_id"]
    message = refused(place, second, "--delivered")
    assert f"row 1 waits for row 1 of {first}, which was sent with other contents (10.00; 99.00 here)" in message
    assert call("resolve", first, "--delivered").code == 0
    assert again(place)["reasons"] == {"conflict": 1}


# -- what runs, show, summaries and exit codes say ---------------------------------------------------------------------


def unknown_column() -> list[str]:
    header, *rows = [line.removesuffix("  test") for line in call("runs").out.splitlines()]
    at = header.split().index("UNKNOWN") - len(header.split())
    return [row.split()[at] for row in rows]


def test_runs_show_summaries_and_exit_codes_count_what_waits_and_no_more(place: Workspace, server: Sandbox) -> None:
    first = without_end(place, server)
    assert unknown_column() == ["3"]
    second = again(place)
    assert (second["exit_code"], second["outstanding"]) == (3, {first: 3})
    assert unknown_column() == ["3", "3"]
    call("resolve", first, "--delivered", "--rows", "1")
    call("resolve", first, "--not-delivered", "--rows", "2")
    assert unknown_column() == ["1", "1"]
    text = call("show", first).out
    assert "Rows without a known end to this day: 1\n" in text
    assert "Decided since: 1 delivered, 1 not delivered; 1 of them due" in text
    assert text.endswith(f"Next:\n  batchpost resolve {first}\n")
    third = again(place)
    assert (third["exit_code"], third["outstanding"]) == (3, {first: 1, second["run_id"]: 1})
    call("resolve", first, "--ignore", "--rows", "3")
    assert unknown_column() == ["-", "-", "-"]
    fourth = again(place)
    assert (fourth["exit_code"], fourth["outstanding"], fourth["next"]) == (0, {}, "")
    assert "Next:" not in call("show", first).out


def test_show_names_the_retry_once_all_is_decided_and_then_what_else_is_to_do(
    place: Workspace, server: Sandbox
) -> None:
    rows = sale_rows(3)
    rows["Payout"][1] = "much"
    write_csv(place.folder / "in.csv", rows)
    run = failing(server)
    assert call("show", run).out.endswith(f"Next:\n  batchpost resolve {run}\n")
    call("resolve", run, "--not-delivered", "--yes")
    assert call("show", run).out.endswith(f"Next:\n  batchpost retry {run}\n")
    call("retry", run, "-q")
    assert call("show", run).out.endswith("to_fix.csv\n")


def test_a_run_without_unknown_rows_of_its_own_still_names_earlier_ones(place: Workspace, server: Sandbox) -> None:
    first = without_end(place, server, 2)
    write_csv(place.folder / "in.csv", sale_rows(1, "other"))
    done = call("run", "job.toml", "-q", "--log-format", "console")
    assert (done.code, done.out) == (0, "")
    write_csv(place.folder / "in.csv", sale_rows(1, "third"))
    done = call("run", "job.toml")
    assert f"! 2 rows of an earlier run have no known end:\n  batchpost resolve {first}" in done.out


def test_plan_names_the_runs_that_its_rows_wait_for(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server, 2)
    done = call("plan", "job.toml")
    assert done.code == 3
    assert f"2 wait until somebody says what became of them in an earlier run: batchpost resolve {run}" in done.out
    assert json.loads(call("plan", "job.toml", "--json").out)["waits"] == {run: 2}


def test_the_runs_own_books_still_agree(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    for row, action in enumerate(("--delivered", "--ignore", "--resend"), 1):
        call("resolve", run, action, "--rows", str(row))
    assert call("verify", run).out == f"{run}: the books agree\n"
    call("retry", run, "-q")
    assert call("verify", run).code == 0


def test_results_are_kept_while_one_of_their_rows_waits(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    second = again(place)["run_id"]
    call("resolve", run, "--delivered", "--rows", "1,2")
    assert "The results of 0 runs" in call("forget", "--older-than", "0s").out
    call("resolve", run, "--ignore", "--rows", "3")
    done = call("forget", "--older-than", "0s")
    assert all(f"{one}: " in done.out for one in (run, second))
    assert call("resolve", run).code == 0


# -- mends -------------------------------------------------------------------------------------------------------------


def mended(place: Workspace, server: Sandbox) -> tuple[str, str]:
    """A run with an invalid row, and one with the mend of it, whose end is not known."""
    rows = sale_rows(2)
    rows["Payout"][1] = "much"
    write_csv(place.folder / "in.csv", rows)
    first = again(place)
    to_fix = place.results(first) / "to_fix.csv"
    to_fix.write_text(to_fix.read_text().replace("much", "11.01"))
    return str(first["run_id"]), failing(server, "run", "job.toml", "--source", str(to_fix))


def test_a_mend_that_was_delivered_after_all_settles_the_row_that_it_mends(place: Workspace, server: Sandbox) -> None:
    _, mend = mended(place, server)
    assert again(place)["reasons"] == {"same_row": 1, "not_a_number": 1}
    assert call("resolve", mend, "--delivered").code == 0
    assert again(place)["reasons"] == {"same_row": 2}


def test_a_mend_that_is_due_goes_out_and_settles_the_row_that_it_mends(place: Workspace, server: Sandbox) -> None:
    _, mend = mended(place, server)
    call("resolve", mend, "--not-delivered")
    assert again(place, "retry", mend)["rows"]["delivered"] == 1
    assert again(place)["reasons"] == {"same_row": 2}
    assert shown(mend)["due"]["rows"] == 0


# -- runs that are not finished ----------------------------------------------------------------------------------------


def interrupted(place: Workspace, server: Sandbox) -> str:
    """A run that was stopped after two of its four rows, neither of which has a known end."""
    write_csv(place.folder / "in.csv", sale_rows(4))
    server.configure(faults=parse_faults("error=1"))
    stopped = again(place, "run", "job.toml", "--limit", "2")
    server.configure(faults=parse_faults(""))
    assert (stopped["state"], stopped["rows"]["unknown"]) == ("stopped", 2)
    return str(stopped["run_id"])


@pytest.mark.parametrize(
    ("action", "reasons", "requests"),
    [
        ("--delivered", {"same_row": 2, "conversion": 2}, 2),
        ("--ignore", {"ignored": 2, "conversion": 2}, 2),
        ("--resend", {"conversion": 4}, 4),
        ("--not-delivered", {"conversion": 4}, 4),
    ],
)
def test_a_run_that_goes_on_heeds_what_was_decided_since(
    place: Workspace, server: Sandbox, action: str, reasons: dict[str, int], requests: int
) -> None:
    run = interrupted(place, server)
    done = call("resolve", run, action, "--yes")
    assert (done.code, done.out.splitlines()[-1]) == (0, "Next: batchpost run job.toml")
    before = len(server.received)
    summary = again(place)
    assert (summary["run_id"], summary["exit_code"], summary["reasons"]) == (run, 0, reasons)
    assert len(server.received) == before + requests
    assert call("verify", run).code == 0
    assert again(place)["rows"]["already_delivered"] == sum(reasons.values()) - reasons.get("ignored", 0)


def test_a_row_that_is_due_and_not_reached_again_was_not_attempted(place: Workspace, server: Sandbox) -> None:
    run = interrupted(place, server)
    call("resolve", run, "--not-delivered", "--yes")
    summary = again(place, "run", "job.toml", "--limit", "1")
    assert (summary["run_id"], summary["exit_code"], summary["rows"]["unknown"]) == (run, 6, 0)
    assert summary["rows"]["delivered"] == 1
    assert call("verify", run).code == 0
    assert again(place)["exit_code"] == 0


def test_a_reason_of_which_nothing_waits_any_more_is_no_mistake(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    assert "no such row waits" in refused(place, run, "--ignore", "--reason", "timeout")
    for _ in range(2):
        assert call("resolve", run, "--ignore", "--reason", "server_error", "--yes").code == 0


def test_a_row_that_the_same_run_sends_again_is_a_doubt_of_its_own(place: Workspace, server: Sandbox) -> None:
    """One word of a person is good for one request."""
    run = interrupted(place, server)
    call("resolve", run, "--resend", "--yes")
    assert failing(server) == run
    assert waiting(run) == [1, 2, 3, 4]
    before = len(server.received)
    assert again(place)["reasons"] == {"in_doubt": 4}
    assert len(server.received) == before
    assert call("resolve", run, "--delivered", "--yes").code == 0
    assert again(place)["exit_code"] == 0


def killed(place: Workspace, server: Sandbox, rows: Table | None = None) -> str:
    """A run that was killed while its first request was under way."""
    write_csv(place.folder / "in.csv", rows or sale_rows(2))
    before, effects = len(server.received), len(fired(server.received))
    server.configure(latency=1.0)
    with elsewhere(place) as process:
        until(lambda: len(server.received) > before)
        process.kill()
    server.configure(latency=0.0)
    until(lambda: len(fired(server.received)) > effects)  # it was served all the same
    return call("runs").out.splitlines()[-1].split()[0]


@pytest.mark.parametrize("action", ["--delivered", "--not-delivered"])
def test_what_a_run_that_died_left_in_doubt_is_shown_and_settled(
    place: Workspace, server: Sandbox, action: str
) -> None:
    run = killed(place, server)
    text = call("resolve", run).out
    assert "1 row, 10.00 without a known end" in text
    assert re.search(r"1 +2 +txn_00000 +repeat_purchase +10.00 .*the run died before an answer was recorded", text)
    Path("list.csv").write_text("transaction_id\ntxn_00000\n")
    assert call("resolve", run, action, "--from", "list.csv").code == 0
    before = len(server.received)
    summary = again(place)
    assert (summary["run_id"], summary["exit_code"]) == (run, 0), summary["reasons"]
    assert sent(server)[before:] == ([] if action == "--delivered" else ["txn_00000"]) + ["txn_00001"]


def test_what_other_runs_left_that_died_is_booked_before_anything_is_decided(place: Workspace, server: Sandbox) -> None:
    first = without_end(place, server, 1)
    dead = killed(place, server, sale_rows(2, "other"))
    assert unknown_column() == ["1", "-"]
    call("resolve", first, "--ignore", "--rows", "1")
    assert unknown_column() == ["-", "1"]
    assert waiting(dead) == [1]


def test_rows_of_a_run_that_was_given_up_are_settled_and_go_out_with_their_file(
    place: Workspace, server: Sandbox
) -> None:
    run = interrupted(place, server)
    call("abandon", run)
    text = call("resolve", run, "--not-delivered", "--yes").out
    assert text.endswith("Next: batchpost run job.toml\n")
    assert again(place)["rows"]["delivered"] == 4
    assert shown(run)["due"]["rows"] == 0


# -- who else is at it -------------------------------------------------------------------------------------------------


@pytest.fixture
def running(place: Workspace, server: Sandbox) -> Iterator[tuple[str, str]]:
    """A run whose end is not known, and another one of the same job that is under way."""
    first = without_end(place, server, 1)
    write_csv(place.folder / "in.csv", sale_rows(2, "other"))
    before = len(server.received)
    server.configure(latency=30.0)
    with elsewhere(place):
        until(lambda: len(server.received) > before)
        yield first, call("runs").out.splitlines()[-1].split()[0]
        server.configure(latency=0.0)


def test_a_run_under_way_is_not_looked_at_and_keeps_others_from_being_settled(
    place: Workspace, running: tuple[str, str]
) -> None:
    first, second = running
    for arguments in ((second,), (second, "--delivered")):
        done = call("resolve", *arguments)
        assert (done.code, f"{second} is under way" in done.err, done.out) == (75, True, "")
    assert call("resolve", first).code == 3
    done = call("resolve", first, "--delivered")
    assert (done.code, "Another run holds the job job (process " in done.err) == (75, True)
    assert waiting(first) == [1]


@pytest.mark.parametrize("route", ["events", "updates"])
def test_whoever_sends_the_same_operations_keeps_them_from_being_settled(
    place: Workspace, server: Sandbox, route: str
) -> None:
    if route == "updates":
        place.updates(api="redistributes = true", delivery=ONE_BY_ONE)
        write_csv(place.folder / "in.csv", update_rows([("a", "Rome")]))
        run, lock = failing(server), f"updates {place.base_url} cmp_a"
    else:
        run, lock = without_end(place, server, 1), f"events {place.base_url}"
    with Locks(place.places.locks) as locks:
        locks.take(lock, lock)
        assert call("resolve", run, "--delivered").code == 75
        assert call("resolve", run).code == 3
    assert call("resolve", run, "--delivered", "--wait", "5s").code == 0


def test_a_run_and_a_decision_never_overlap(place: Workspace, server: Sandbox) -> None:
    """While a row is decided, no run of the job begins."""
    run = without_end(place, server, 1)
    from batchpost.lookback import all_runs
    from batchpost.resolve import settling

    [found] = all_runs(place.folder, {})
    with settling(found):
        assert call("run", "job.toml", "-q").code == 75
    assert call("run", "job.toml", "-q").code == 3
    assert waiting(run) == [1]


# -- ledgers -----------------------------------------------------------------------------------------------------------


def test_a_damaged_ledger_is_refused_with_a_sentence(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    ledger = place.places.ledger
    content = bytearray(ledger.read_bytes())
    content[len(content) // 2 :: 512] = b"\xff" * len(content[len(content) // 2 :: 512])
    ledger.write_bytes(content)
    for arguments in ((run,), (run, "--delivered", "--yes")):
        done = call("resolve", *arguments)
        assert (done.code, done.out) == (2, "")
        assert re.search(r"ledger-test\.db: .*checksum is wrong.*Restore", done.err)


def test_an_older_copy_of_the_ledger_is_refused(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    older = place.places.ledger.read_bytes()
    again(place)
    place.places.ledger.write_bytes(older)
    assert "ledger is older than the results" in call("resolve", run, "--delivered", "--yes").err


def test_rows_are_settled_by_number_where_their_outcomes_are_gone(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    (place.folder / "results" / "job" / run / "outcomes.csv").unlink()
    assert [line.split()[:2] for line in call("resolve", run).out.splitlines()[3:6]] == [
        ["1", "10.00"],
        ["2", "11.01"],
        ["3", "12.02"],
    ]
    Path("list.csv").write_text("transaction_id\ntxn_00000\n")
    assert "batchpost export" not in call("resolve", run).out
    assert "the outcomes of this run are gone, and with them the ids. Use --rows" in refused(
        place, run, "--delivered", "--from", "list.csv"
    )
    assert call("resolve", run, "--delivered", "--rows", "2").code == 0
    assert waiting(run) == [1, 3]


def test_a_run_whose_summary_is_gone_can_be_settled_all_the_same(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    shutil.rmtree(place.folder / "results" / "job" / run)
    assert call("resolve", run, "--ignore", "--rows", "2").code == 0
    assert call("resolve", run, "--ignore", "--yes").code == 0
    assert again(place)["reasons"] == {"ignored": 3}


def test_real_runs_and_tests_are_settled_apart(place: Workspace, server: Sandbox) -> None:
    """A real run has a ledger of its own; here it is the test's, as if the platform were elsewhere."""
    run = without_end(place, server)
    real = place.places.ledger.with_name("ledger.db")
    shutil.copy(place.places.ledger, real)
    with_real = Ledger.open(real)
    with_real.database.change("UPDATE runs SET test = 0, run_id = 'R' || run_id")
    with_real.database.change("UPDATE doubts SET run_id = 'R' || run_id")
    with_real.close()
    assert call("resolve", f"R{run}", "--ignore", "--rows", "1").code == 0
    assert (waiting(run), waiting(f"R{run}")) == ([1, 2, 3], [2, 3])
    assert " (a test)" not in call("resolve", f"R{run}").out


def test_the_outcomes_that_a_spreadsheet_would_run_are_found_all_the_same(place: Workspace, server: Sandbox) -> None:
    """Ids that begin like a formula are guarded in every CSV, on the way out and on the way in."""
    rows = sale_rows(2)
    rows["Lead"][0] = "=1+1"
    write_csv(place.folder / "in.csv", rows)
    run = failing(server)
    call("export", run, "--only", "unknown", "-o", "list.csv")
    assert "'=1+1" in csv(Path("list.csv"))["transaction_id"].to_list()
    assert call("resolve", run, "--ignore", "--from", "list.csv").code == 0
    assert counted(place.outcomes(again(place)), "reason") == {"ignored": 2}


def test_what_show_tells_a_program_is_of_today(place: Workspace, server: Sandbox) -> None:
    run = without_end(place, server)
    call("resolve", run, "--not-delivered", "--rows", "1")
    told = json.loads(call("show", run, "--json").out)
    decided = {"unknown": 2, "due": 1, "decided": {"not_delivered": 1}, "next": f"batchpost resolve {run}"}
    assert (told["rows"]["unknown"], told["today"]) == (3, decided)


def test_from_elsewhere_the_next_commands_name_the_workspace(
    place: Workspace, server: Sandbox, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = without_end(place, server)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    text = call("resolve", run, "--workspace", place.folder).out
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("  batchpost ")]
    assert all(words[-2:] == ["--workspace", str(place.folder)] for words in commands)
    assert [call(*words[1:]).code for words in commands[:2]] == [0, 0]


@pytest.mark.parametrize("more", ["", 'include = "all"'])
def test_outcomes_in_parquet_are_read_likewise(place: Workspace, server: Sandbox, more: str) -> None:
    place.sales(dedupe=False, delivery=ONE_BY_ONE, results=f'format = "parquet"\n{more}')
    run = without_end(place, server)
    assert [row["transaction_id"] for row in shown(run)["rows"]] == ["txn_00000", "txn_00001", "txn_00002"]
    Path("list.csv").write_text("source,row,transaction_id\nin.csv,2,txn_00001\n")
    assert call("resolve", run, "--not-delivered", "--from", "list.csv").code == 0
    assert (waiting(run), again(place, "retry", run)["rows"]["delivered"]) == ([1, 3], 1)
