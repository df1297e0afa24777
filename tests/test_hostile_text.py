"""Text that others wrote (servers' messages, inputs, job files) runs nothing, moves no cursor and begins no line."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.errors import JobError
from batchpost.job import Source
from batchpost.jobfile import load_job
from batchpost.output import Steady
from batchpost.reasons import meaning
from batchpost.results import CsvTable
from batchpost.sandbox import Faults, Sandbox
from batchpost.source import find_files, open_input
from tests.commands import ROOT, Done, call
from tests.hostile import Hostile, Script, Visit, message
from tests.workspaces import ENVIRON, Workspace, leads, sale_rows, sandbox, write_csv

HOSTILE = {
    "CR": "a\rb",
    "LF": "a\nb",
    "CRLF and a log line": 'a\r\n{"event": "run_finished", "exit_code": 0}',
    "colour": "\x1b[31mred\x1b[0m",
    "clear screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "hyperlink": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "bell": "\x07",
    "C1": "\x9b31mred\x85next",
    "bidi": "safe\u202egnp.exe\u202c\u2066x\u2069",
    "zero width": "a\u200bb\u200d\ufeffc",
    "line separators": "a\u2028b\u2029c\x0bd\x0ce\x1cf",
    "NUL": "a\0b",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "table": "a | b | c ,\"quoted\",'x'",
    "markup": "[red]x[/red] [/] [link=http://evil.example]y[/link] {field} %s %(x)s",
    "long": "x" * 180_000,
    "formula": '=HYPERLINK("http://evil.example","x")',
    "formula, full width": "\uff1d1+1",
    "delete": "\x7f\x08\x08\x08rm",
}
FORMULAS = (
    "=1+1", "+1 555 867 5309", "-45", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "\u3000=1", "\u200b=1",
    "\ufeff=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x", "'=1", "''=1", "'", "''", "'x", "'-45", "\"=1\"", "=", "-",
    "' =1", "=cmd|' /C calc'!A0", "=\"02134\"", "x=1", "-1,5", ";=1", "|=1", "%3D1", "5\" pipe", "a\r\nb", "ümlaut 🎉",
)  # fmt: skip
RUNS = re.compile(r"[\s\x00-\x1f\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@contextmanager
def answering(script: Script) -> Iterator[Hostile]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Hostile(script)) as server:
        yield server


def saying(*messages: str) -> Script:
    """Refuses the n-th lead with the n-th message, everywhere that a reply has text."""

    async def script(visit: Visit) -> None:
        while True:
            body = json.loads((await visit.request()).partition(b"\r\n\r\n")[2])
            row = int(body["transaction_id"].rpartition("_")[2])
            text = messages[row % len(messages)]
            data = {"leadStatus": text, "redirect_url": text, "conversion_id": text, "pid": text}
            sold = {**data, "leadStatus": "accepted"}
            if row < len(messages):
                await visit.send(message("400 Bad Request", json.dumps({"message": text, "data": data}).encode()))
            else:
                await visit.send(message("201 Created", json.dumps({"status": "201", "data": sold}).encode()))

    return script


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace that is the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "batchpost.toml").touch()
    return Workspace(tmp_path)


def updates(workspace: Workspace, base_url: str, count: int, **tables: str) -> None:
    workspace.base_url = base_url
    workspace.updates(delivery='rate = 100000\nconcurrency = 4\nmax_failures = "100%"', **tables)
    names = leads(count)
    mails = [f"{name}@mail.example.com" for name in names]
    write_csv(workspace.folder / "in.csv", {"Lead": names, "Mail": mails, "City": ["Rome"] * count})


def harmless(done: Done) -> bool:
    """Nothing but what can be seen, and line ends."""
    return all(character.isprintable() or character == "\n" for character in done.out + done.err)


def cells(path: Path) -> list[list[str]]:
    """A CSV file as another program reads it."""
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


# -- what servers say ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_servers_text_is_one_harmless_line_wherever_it_is_written(
    here: Workspace, log_format: str, form: str
) -> None:
    count = 2 * len(HOSTILE)
    with answering(saying(*HOSTILE.values())) as server:
        updates(here, server.url, count, results=f'format = "{form}"')
        done = call("run", "job.toml", "--log-format", log_format, "--canary", str(len(HOSTILE) + 1))

    [folder] = (here.folder / "results" / "job").iterdir()
    assert (done.code, harmless(done)) == (1, True)
    if log_format == "json":
        assert [json.loads(line)["event"] for line in done.err.splitlines()] == [
            "run_started",
            "run_started",
            "run_finished",
        ]
    if form == "csv":
        assert len((folder / "outcomes.csv").read_bytes().splitlines()) == count + 1
        texts = pl.DataFrame(cells(folder / "outcomes.csv")[1:], orient="row")
    else:
        texts = pl.read_parquet(folder / "outcomes.parquet").cast(pl.String).fill_null("")
    assert texts.height == count
    flat = [text for column in texts.iter_columns() for text in column]
    assert [text for text in flat if not text.isprintable()] == []
    assert max(map(len, flat)) <= 2_000
    assert sum("script>alert(1)" in text for text in flat) > 1, "they arrived"
    assert json.loads((folder / "summary.json").read_text())["rows"]["rejected"] == len(HOSTILE)
    for words in ("show latest", "show latest --json", "runs", "verify latest", "plan job.toml", "export latest"):
        looked = call(*words.split())
        assert (harmless(looked), "evil.example" in looked.out and "export" not in words) == (True, False), words


@pytest.mark.parametrize(
    "body", [b'{"message": "\\ud800 x"}', b'{"message": "\xff\xfe"}', b'{"message": "a\nb"}', b"\x1b[2J", b"\0" * 99]
)
def test_a_reply_that_is_no_sound_json_is_told_by_its_status(here: Workspace, body: bytes) -> None:
    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.send(message("400 Bad Request", body))

    with answering(script) as server:
        updates(here, server.url, 1)
        done = call("run", "job.toml")
    [folder] = (here.folder / "results" / "job").iterdir()
    assert (done.code, harmless(done)) == (1, True)
    header, row = cells(folder / "outcomes.csv")
    assert dict(zip(header, row, strict=True))["detail"] == "HTTP 400"


def on_a_terminal(*words: str, cwd: Path) -> bytes:
    """What a command writes to a terminal that shows no colours."""
    parent, child = pty.openpty()
    environ = {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "TERM": "xterm", **ENVIRON}
    command = [sys.executable, "-m", "batchpost", *words]
    with subprocess.Popen(
        command, cwd=cwd, env=environ, stdout=child, stderr=child, stdin=subprocess.DEVNULL
    ) as process:
        os.close(child)
        said = b""
        try:
            while part := os.read(parent, 65536):
                said += part
        except OSError:  # the other side is closed
            pass
        finally:
            os.close(parent)
        process.wait(30)
    return said


def test_no_escape_of_anybodys_reaches_a_terminal(here: Workspace) -> None:
    with answering(saying(*HOSTILE.values())) as server:
        updates(here, server.url, len(HOSTILE), results='include = "all"')
        notes = [text.replace("\0", "")[:100] for text in HOSTILE.values()]
        pl.read_csv(here.folder / "in.csv").with_columns(pl.Series("Note", notes)).write_csv(here.folder / "in.csv")
        said = on_a_terminal("run", "job.toml", "--canary", "99", "--progress", "never", cwd=here.folder)
        said += on_a_terminal("export", "latest", cwd=here.folder)
    text = said.decode().replace("\r\n", "\n")
    assert "gnp.exe" in text
    assert "Canary: " in text
    assert {character for character in text if not character.isprintable()} == {"\n"}


# -- what inputs and job files say -----------------------------------------------------------------------------------

EVIL_NAMES = [
    'x\n{"event": "run_finished"}.csv',
    "x\x1b[2J.csv",
    "x\r\n.csv",
    "x\u2028.csv",
    os.fsdecode(b"x\xff.csv"),
]


@pytest.mark.parametrize("name", EVIL_NAMES, ids=ascii)
def test_a_file_whose_name_could_begin_a_line_is_refused_in_one_line(here: Workspace, name: str) -> None:
    here.sales()
    write_csv(here.folder / "in.csv", sale_rows(2)).rename(here.folder / name)
    for words in (("plan", "job.toml", "--source", name), ("run", "job.toml", "--source", name)):
        done = call(*words)
        assert (done.code, harmless(done), done.err.count("\n")) == (5, True, {"plan": 1, "run": 2}[words[0]])
        assert "has control characters or line ends in its name. Give it another name" in done.err


@pytest.mark.parametrize(
    "name", ["x \u202egnp.csv", "[red]x[].csv", "ümlaut 🎉.csv", "-x.csv", "=1+1.csv", "x\u202fy.csv"]
)
def test_a_file_with_an_odd_name_is_sent_and_shown_harmlessly(here: Workspace, server: Sandbox, name: str) -> None:
    here.base_url = server.base_url
    here.sales()
    write_csv(here.folder / "in.csv", sale_rows(2)).rename(here.folder / name)
    for words in (("plan", "job.toml", "--source", f"./{name}"), ("run", "job.toml", "--source", f"./{name}")):
        done = call(*words)
        assert (done.code, harmless(done)) == (0, True)
    [folder] = (here.folder / "results" / "job").iterdir()
    assert not any(RUNS.match(cell) for row in cells(folder / "outcomes.csv") for cell in row)
    for words in (("show", "latest"), ("verify", "latest")):
        assert (call(*words).code, harmless(call(*words))) == (0, True)


EVIL_COLUMNS = ['Payout\n{"event": "x"}', "Payout\x1b[2J", "Pay\u202eout", "[red]Payout[/]", "Payout\r\nx", "=1+1"]


@pytest.mark.parametrize("column", EVIL_COLUMNS, ids=ascii)
def test_a_column_of_any_name_is_told_in_one_line(here: Workspace, server: Sandbox, column: str) -> None:
    here.base_url = server.base_url
    rows = sale_rows(3)
    money = ["much", *rows["Payout"][1:]]
    write_csv(here.folder / "in.csv", {"Lead": rows["Lead"], column: money, "Email": rows["Email"]})
    here.sales()
    for command in ("check", "plan", "run"):  # the job names a column that is not there; the hint names this one
        done = call(command, "job.toml")
        lines = {"check": 1, "plan": 2, "run": 2}[command]  # the second says what to do next
        assert (done.code, harmless(done), done.err.count("\n")) == (2, True, lines), done.err
    here.sales(fields=f"revenue = {{ column = {json.dumps(column)} }}")
    done = call("run", "job.toml")
    assert (done.code, harmless(done), len(server.effects)) == (1, True, 2)
    [folder] = (here.folder / "results" / "job").iterdir()
    mended = cells(folder / "to_fix.csv")
    assert [name for name in mended[0] if RUNS.match(name)] == []
    again = call("run", "job.toml", "--source", str(folder / "to_fix.csv"))
    assert (again.code, "the input has no column" in again.err) == (1, False), "its columns came back as they were"


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\u202eb", 'x\n{"event": "y"}', "[red]a[/]", "<b>a</b>"], ids=ascii)
def test_a_mistake_in_a_job_is_told_in_one_line_whatever_it_holds(here: Workspace, text: str) -> None:
    quoted = json.dumps(text)
    places = {
        f"name = {quoted}": {"top": f"name = {quoted}"},
        "an unknown key": {"api": f"{quoted} = 1"},
        "a column": {"fields": f"revenue = {{ column = {quoted} }}"},
        "an event": {"api": f"server_dedupe = [{quoted}]"},
        "where": {"rows": f"where = {quoted}"},
        "a folder": {"source": f"path = {quoted}"},
    }
    write_csv(here.folder / "in.csv", sale_rows(1))
    for name, tables in places.items():
        here.job(**tables)
        done = call("check", "job.toml")
        assert (done.code in (2, 66), harmless(done), done.err.count("\n")) == (True, True, 1), (name, done.err)


# -- formulas --------------------------------------------------------------------------------------------------------

ANY_TEXT = st.text(
    st.one_of(st.sampled_from("'=+-@\t\r\n\"\uff1d\uff20 ,;x1\u00a0\ufeff"), st.characters(exclude_categories=["Cs"]))
)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=5), name=ANY_TEXT)
def test_every_text_comes_back_through_a_file_to_fix_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], name: str
) -> None:
    name = name.replace("\0", "").strip() or "x"
    columns = [name, f"{name}2", "batchpost_row"]
    texts = [[text.replace("\0", "") for text in row] for row in rows]
    path = tmp_path_factory.mktemp("fix") / "to_fix.csv"
    with path.open("wb") as file:
        CsvTable(file, columns, comes_back=True).write(
            pl.DataFrame([[*row, "1"] for row in texts], schema=columns, orient="row")
        )
    found = cells(path)
    assert len(found) == len(rows) + 1
    assert [cell for row in found for cell in row if RUNS.match(cell)] == []
    [reader] = open_input(find_files(Source(path=path.name), path.parent), Source(path=path.name))
    assert reader.columns == tuple(columns)
    assert [list(row[:2]) for batch in reader.batches() for row in batch.frame.iter_rows()] == texts


def a_formula(rows: list[list[str]]) -> list[str]:
    """Cells that a spreadsheet would run; our own negative amounts are numbers to it."""
    return [cell for row in rows for cell in row if RUNS.match(cell) and not PLAIN_NUMBER.fullmatch(cell)]


def test_no_csv_that_a_run_writes_has_a_cell_that_runs_and_all_come_back(here: Workspace) -> None:
    with answering(saying(*FORMULAS)) as server:
        updates(here, server.url, len(FORMULAS), fields='note = { column = "Note" }', results='include = "all"')
        base = pl.read_csv(here.folder / "in.csv", infer_schema=False)
        base.with_columns(pl.Series("Note", FORMULAS), pl.Series("-City", FORMULAS)).write_csv(here.folder / "in.csv")
        assert call("run", "job.toml").code == 1
        [first] = (here.folder / "results" / "job").iterdir()
        assert call("retry", "latest", "--only", "rejected").code == 1
        assert call("run", "job.toml", "--source", str(first / "to_fix.csv")).code == 1
        assert call("export", first.name, "-o", "all.csv").code == 0
    bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]
    count = len(FORMULAS)
    assert len(bodies) == 3 * count
    sent = [
        {body["transaction_id"]: body.get("note") for body in bodies[at : at + count]} for at in (0, count, 2 * count)
    ]
    assert sent[0] == sent[1] == sent[2]
    written = [*here.folder.glob("results/job/*/*.csv"), here.folder / "all.csv"]
    assert {path.name for path in written} == {"outcomes.csv", "to_fix.csv", "retry.csv", "all.csv"}
    for path in written:
        assert a_formula(cells(path)) == [], path
    runs = sorted((here.folder / "results" / "job").iterdir())
    fixes = [cells(run / "to_fix.csv") for run in runs]
    notes = [[(row[fix[0].index("Note")], row[fix[0].index("'-City")]) for row in fix[1:]] for fix in fixes]
    assert notes[0] == notes[1] == notes[2], "no apostrophe was added the second time"
    assert len(notes[0]) == len(FORMULAS)


def test_money_and_ids_in_corrections_do_not_run(here: Workspace, server: Sandbox) -> None:
    here.base_url = server.base_url
    here.sales()
    rows = sale_rows(2)
    rows["Lead"] = ["=1+1", "-x"]
    write_csv(here.folder / "in.csv", rows)
    assert call("run", "job.toml").code == 0
    write_csv(here.folder / "in.csv", {**rows, "Payout": ["1.00", "2.00"]})
    assert call("run", "job.toml").code == 1
    found = cells(max((here.folder / "results" / "job").iterdir()) / "corrections.csv")
    assert [row[0] for row in found] == ["transaction_id", "'=1+1", "'-x"]
    differences = [row[found[0].index("difference")] for row in found[1:]]
    assert all(PLAIN_NUMBER.fullmatch(text) and text.startswith("-") for text in differences)
    assert a_formula(found) == []


# -- ids, addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["a\r\nX-Evil: 1", "a\nb", "a\x1b[2J", "a\0b"], ids=ascii)
@pytest.mark.parametrize("column", ["Lead", "Campaign"])
def test_an_id_that_could_begin_a_header_is_invalid_and_not_sent(here: Workspace, bad: str, column: str) -> None:
    with sandbox(accept_any=True) as (server, _):
        here.base_url = server.base_url
        here.job("update-lead", api='campaign_id = { column = "Campaign" }\ntoken = "env:TOKEN"')
        rows = {"Lead": ["txn_1", "txn_2"], "Mail": ["a@x.example"] * 2, "Campaign": ["cmp_a", "cmp_a"]}
        pl.DataFrame({**rows, column: [rows[column][0], bad]}).write_parquet(here.folder / "in.parquet")
        done = call("run", "job.toml", "--source", "in.parquet")
    assert (done.code, harmless(done), len(server.received)) == (1, True, 1)
    [folder] = (here.folder / "results" / "job").iterdir()
    assert pl.read_parquet(folder / "outcomes.parquet")["reason"][1] == "forbidden_character"


GOOD = [
    "https://api.pingtree.com",
    "https://xn--bcher-kva.example",
    "http://127.0.0.1:8080",
    "http://[::1]:1",
    "http://localhost",
]
BAD = {
    "http://api.pingtree.com": "must be https",
    "http://127.0.0.1.evil.example": "must be https",
    "http://localhost.evil.example": "must be https",
    "http://localhost.": "must be https",
    "http://0x7f.1": "must be https",
    "http://0177.0.0.1": "must be https",
    "http://2130706433": "must be https",
    "http://127.1": "must be https",
    "http://0.0.0.0": "must be https",
    "http://[::]": "must be https",
    "http://[::ffff:127.0.0.1]": "must be https",
    "http://[fe80::1%25lo]": "must be https",
    "http://10.0.0.1": "must be https",
    "http://xn--lcalhost-54a.example": "must be https",
    "https://bücher.example": "is not an https URL",
    "http://ⓛocalhost": "is not an https URL",
    "https://127.0.0.1\\@evil.example": "is not an https URL",
    "https://api.example.com\r\nX-Evil: 1": "is not an https URL",
    "https://api.example.com evil": "is not an https URL",
    "https://user@api.example.com": "holds a user or password",
    "https://user:word@api.example.com": "holds a user or password",
    "https://localhost@evil.example": "holds a user or password",
    "https://api.example.com?x=1": "holds more than",
    "https://api.example.com#x": "holds more than",
    "https://api.example.com/v2": "holds more than",
    "ftp://api.example.com": "is not an https URL",
    "file:///etc/passwd": "is not an https URL",
    "//api.example.com": "is not an https URL",
    "https://": "is not an https URL",
    "https://api.example.com:99999": "is not an https URL",
    "https://[::1": "is not an https URL",
    "javascript:alert(1)": "is not an https URL",
}


@pytest.mark.parametrize("address", BAD, ids=ascii)
@pytest.mark.parametrize("by_option", [False, True], ids=["in the job", "by option"])
def test_an_address_where_a_secret_must_not_go_is_refused(tmp_path: Path, address: str, by_option: bool) -> None:
    workspace = Workspace(tmp_path)
    workspace.job(api="" if by_option else f"base_url = {json.dumps(address)}")
    with pytest.raises(JobError) as caught:
        load_job(tmp_path / "job.toml", workspace=tmp_path, base_url=address if by_option else None)
    assert BAD[address] in str(caught.value)
    assert ("--base-url" if by_option else "api.base_url") in str(caught.value)
    assert "word" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize("address", GOOD)
def test_an_address_is_https_or_this_machine(tmp_path: Path, address: str) -> None:
    Workspace(tmp_path).job(api=f'base_url = "{address}"')
    assert load_job(tmp_path / "job.toml", workspace=tmp_path).api.base_url == address


# -- logs ------------------------------------------------------------------------------------------------------------

KEYS = {
    "run_started": {"run_id", "job", "continued", "settled_before", "rows", "to_send", "rate", "test"},
    "retrying": {"retried"},
    "waiting": {"settled", "seconds"},
    "heartbeat": {"run_id", "job", "settled", "to_send", "delivered", "rejected", "failed", "unknown", "requests",
                  "retried", "rate", "rate_allowed", "in_flight", "paused_why", "paused_s", "eta_s"},
    "run_finished": {"run_id", "job", "test", "state", "stopped_by", "exit_code", "rows", "reasons", "money",
                     "requests", "duration_s", "next"},
}  # fmt: skip
OUTCOMES = {
    "read",
    "delivered",
    "already_delivered",
    "skipped",
    "invalid",
    "rejected",
    "failed",
    "unknown",
    "not_attempted",
}


def test_a_log_has_counts_and_never_a_row(here: Workspace) -> None:
    with sandbox(accept_any=True, faults=Faults(drop=0.01, error=0.005)) as (server, _):
        here.base_url = server.base_url
        here.updates(delivery='rate = 100000\nconcurrency = 8\nmax_failures = "100%"')
        names = leads(1_100)
        mails = [f"{name}@mail.example.com" if name != "txn_00007" else "none" for name in names]
        write_csv(here.folder / "in.csv", {"Lead": names, "Mail": mails, "City": ["Rome"] * len(names)})
        events = [event for _ in range(2) for event in call("run", "job.toml", "--log-format", "json").events]
    assert {event["event"] for event in events} >= {"run_started", "retrying", "run_finished"}
    for event in events:
        assert event.keys() - {"event", "level", "timestamp"} == KEYS[event["event"]]
        assert not re.search("txn_|mail.example|Rome", json.dumps(event))
    for finished in (event for event in events if event["event"] == "run_finished"):
        assert finished["rows"].keys() == OUTCOMES
        assert all(meaning(reason) for reason in finished["reasons"])
        counts: list[Any] = [*finished["rows"].values(), *finished["reasons"].values(), *finished["requests"].values()]
        assert all(isinstance(count, int) for count in counts)


@pytest.mark.parametrize("pieces", [[b"a\x1b[2J\n\xc3\xbc\n"], [b"a\x1b[", b"2J\n\xc3", b"\xbc\n"]])
def test_bytes_to_a_terminal_are_shown_without_control_characters(pieces: list[bytes]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    binary = Steady(terminal).binary()
    assert binary.writable()
    assert [binary.write(piece) for piece in pieces] == [len(piece) for piece in pieces]
    assert terminal.getvalue() == "a [2J\nü\n"
