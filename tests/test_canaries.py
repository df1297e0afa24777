"""Personal data and secrets through every fault there is, with the program as a user has it: afterwards they are in no
log, message, journal, ledger, summary, process argument, notification, metric or file left behind, however they are
spelt."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from anyio.from_thread import start_blocking_portal

from tests.canaries import BODY, CELLS, COLUMNS, PERSONAL, SECRET, SPELLINGS, found_in, kinds_below
from tests.commands import ROOT, Done, call, finished, started, until
from tests.hooks import Hook, webhook
from tests.hostile import Hostile, Script, Visit, message
from tests.jobtexts import job_text
from tests.wire import serving, silent
from tests.workspaces import Table, Workspace, counted, csv, leads, sandbox, write_csv

KINDS = set(BODY)
FIELDS = "\n".join(
    f'{name} = {{ column = "{kind}"{", format = " + repr("%m/%d/%Y") if kind == "birth date" else ""} }}'
    for kind, name in COLUMNS.items()
)
TOKEN = 'token = "file:secrets/token"'
ENDURING = 'rate = 100000\nconcurrency = 8\nmax_failures = "100%"\nmax_attempts = 1\ntimeout = 5'
OWN = ("in.csv", "in.parquet", "secrets/token")  # where a person has put the canaries
NOTIFY = 'webhook = "env:HOOK"\non = "always"'
ENTITLED = ("to_fix.csv", "retry.csv")  # results that are the input's own rows


@dataclass
class Place:
    """A workspace with a home and a folder for temporary files of its own, a webhook whose address is a secret, and all
    that its commands have said."""

    root: Path
    hook: Hook
    said: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root / "work")

    @property
    def folder(self) -> Path:
        return self.workspace.folder

    @property
    def environ(self) -> dict[str, str]:
        return {"HOME": str(self.root / "home"), "TMPDIR": str(self.root / "tmp"), "ORG": SECRET, "HOOK": self.address}

    @property
    def address(self) -> str:
        return f"{self.hook.url}/{SECRET}?token={SECRET}"

    def job(self, base_url: str, route: str = "update-lead", api: str = TOKEN, **tables: str) -> None:
        tables = {"delivery": ENDURING, "fields": FIELDS, "notify": NOTIFY, **tables}
        text = job_text(route, api=f'base_url = "{base_url}"\n{api}', **tables)
        (self.folder / "job.toml").write_text(text)

    def rows(self, count: int, **columns: list[str]) -> None:
        table: Table = {"Lead": leads(count), "Mail": leads(count), "Payout": ["12.50"] * count}
        write_csv(
            self.folder / "in.csv", {**table, **{kind: [cell] * count for kind, cell in CELLS.items()}, **columns}
        )

    def call(self, *words: str, **options: Any) -> Done:
        """One command as a program of its own."""
        options = {"env": {**self.environ, **options.pop("env", {})}, **options}
        return self.heard(finished(*words, *self._metrics(words), cwd=self.folder, **options))

    def look(self, *words: str) -> Done:
        """One command in this process, which is quicker."""
        return self.heard(call(*words, *self._metrics(words), "--workspace", self.folder))

    def _metrics(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return ("--metrics", str(self.folder / "m.prom")) if words[0] in ("run", "retry") else ()

    def heard(self, done: Done) -> Done:
        self.said += [done.out, done.err]
        return done

    def results(self) -> Path:
        [found] = (self.folder / "results" / "job").glob("*/summary.json")
        return found.parent

    def journals(self) -> list[Path]:
        """The files of all runs' journals; a folder may move to its place while they are looked for."""
        found = ((Path(folder), names) for folder, _, names in os.walk(self.folder))
        return [folder / name for folder, names in found for name in names if name.startswith("sitting-")]

    def outcomes(self) -> pl.DataFrame:
        return csv(self.results() / "outcomes.csv")

    def check(self) -> None:
        """Nothing that was said or written has a canary, but for what a person put there or asked for."""
        kinds = kinds_below(self.root)
        assert kinds["work/secrets/token"] == {"secret"}
        assert kinds["work/in.csv"] == KINDS - {"secret"}, "the search finds what is there"
        found = {name: there for name, there in kinds.items() if there and not _entitled(name, there)}
        assert found == {}
        assert [text for text in self.said if found_in(text.encode())] == []
        assert [body for body in self.hook.bodies if found_in(body)] == []
        assert not any((self.root / "tmp").iterdir()), "temporary files are gone"


def _entitled(name: str, there: set[str]) -> bool:
    return name.removeprefix("work/") in OWN or (Path(name).name in ENTITLED and "secret" not in there)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for folder in ("work/secrets", "home", "tmp"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "work" / "secrets" / "token").write_text(f"{SECRET}\n")
    (tmp_path / "work" / "batchpost.toml").touch()
    with webhook() as hook:
        place = Place(tmp_path, hook)
        monkeypatch.setenv("HOOK", place.address)
        yield place


@contextmanager
def serving_on_a_thread(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Hostile(*scripts, tls=tls)) as server:
        yield server


def replying(reply: Callable[[int, dict[str, Any]], bytes]) -> Script:
    """A script that answers each request by its row (from 0) and its body."""

    async def script(visit: Visit) -> None:
        while True:
            body = json.loads((await visit.request()).partition(b"\r\n\r\n")[2])
            await visit.send(reply(int(body["transaction_id"].removeprefix("txn_")), body))

    return script


# -- the search itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BODY)
def test_the_search_finds_a_canary_in_every_spelling_wherever_it_lies(tmp_path: Path, kind: str) -> None:
    spelt = [spell(BODY[kind]).encode() for spell in SPELLINGS.values()]
    spelt += [BODY[kind].encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be", "latin-1")]
    for content in spelt:
        assert kind in found_in(content)
        assert kind in found_in(b"\x00\xff{" + content + b"}\x00\xff")
    (tmp_path / ".hidden" / "deep").mkdir(parents=True)
    pl.DataFrame({"a": [f"x{BODY[kind]}x"]}).write_parquet(tmp_path / ".hidden" / "deep" / "t.parquet")
    (tmp_path / f"-{BODY[kind].replace('/', '')}").touch()
    assert all(kind in kinds for kinds in kinds_below(tmp_path).values())
    assert len(kinds_below(tmp_path)) == 2
    assert found_in(b"nothing personal: 12345 conv_a1 txn_00001 No lead found") == set()


# -- what servers repeat ---------------------------------------------------------------------------------------------

REPEATED = [(kind, spelling) for kind in BODY for spelling in SPELLINGS]


def repeat_in_an_update(row: int, _: dict[str, Any]) -> bytes:
    """Repeats one canary in one spelling, each row in another part of another reply."""
    kind, spelling = REPEATED[row % len(REPEATED)]
    text = SPELLINGS[spelling](BODY[kind])
    accepted = {"status": "201", "message": text, "data": {"leadStatus": "accepted"}}
    replies: list[tuple[str, dict[str, Any]]] = [
        ("400 Bad Request", {"message": f"Invalid value {text} in request", "invalidFields": {text: text}}),
        ("404 Not Found", {"message": text}),
        ("422 Unprocessable Content", {"status": "422", "message": f"<{text}>", "data": {"leadStatus": text}}),
        ("200 OK", {"success": False, "message": f"'{text}' is not valid"}),
        (
            "201 Created",
            {**accepted, "data": {"leadStatus": "accepted", "redirect_url": f"https://x.example/?q={text}"}},
        ),
        ("201 Created", {**accepted, "data": {"leadStatus": "unsold", "conversion_id": text, "pid": text}}),
        ("500 Internal Server Error" if row % 12 == 6 else "400 Bad Request", {"error": f"{text}: {text}"}),
    ]
    status, body = replies[(row + row // len(REPEATED)) % len(replies)]
    return message(status, json.dumps(body).encode(), f"X-Echo: {text.encode().hex()}")


def test_what_a_server_repeats_of_an_update_is_taken_out_of_everything(place: Place) -> None:
    with serving_on_a_thread(replying(repeat_in_an_update)) as server:
        place.job(server.url)
        place.rows(3 * len(REPEATED))
        done = place.call("run", "job.toml", "--yes")
        again = ("retry", "latest", "--only", "failed,rejected", "--limit", "20", "--yes", "--log-format", "console")
        assert place.look(*again).code == 6

    assert done.code == 1
    first = min((place.folder / "results" / "job").iterdir())
    outcomes = csv(first / "outcomes.csv")
    assert outcomes.height == 3 * len(REPEATED)
    assert set(counted(outcomes, "outcome")) == {"delivered", "rejected", "failed"}
    mended = outcomes.filter(pl.col("detail").str.contains("…"))
    assert mended.height > outcomes.height // 2, "they were repeated, and taken out"
    assert outcomes.filter(pl.col("redirect_url") != "")["redirect_url"].str.contains("^https://x.example/").all()
    assert (first / "retry.csv").exists()
    for words in ("show latest", "runs", f"verify {first.name}", f"export {first.name}", "show latest --json"):
        assert place.look(*words.split()).code == 0
    place.check()


def repeat_in_an_event(row: int, body: dict[str, Any]) -> bytes:
    text = SPELLINGS[REPEATED[row % len(REPEATED)][1]](BODY[REPEATED[row % len(REPEATED)][0]])
    fired = {"conversion_id": text, "pid": body["pid"], "conversion": True, "cid": text}
    replies: list[tuple[str, dict[str, Any]]] = [
        ("200 OK", {"status": 200, "message": text, "data": fired}),
        ("400 Bad Request", {"status": 400, "message": f"Duplicate event for {text}"}),
        ("403 Forbidden", {"status": 403, "message": f"{text} is locked: in progress"}),
        ("403 Forbidden", {"status": 403, "message": f"{text} is inactive"}),
    ]
    status, reply = replies[row % len(replies)]
    return message(status, json.dumps(reply).encode())


def test_what_a_server_repeats_of_an_event_is_in_no_parquet_journal_or_ledger(place: Place) -> None:
    count = 4 * len(REPEATED) // 3
    event = 'event_id = { value = "sale" }\npid = { column = "Pid" }\nrevenue = { column = "Payout" }'
    with serving_on_a_thread(replying(repeat_in_an_event)) as server:
        place.job(server.url, "global-event", "", fields=f"{FIELDS}\n{event}", results='format = "parquet"')
        place.rows(count, Pid=[f"src_{number}" for number in range(count)])
        done = place.call("run", "job.toml", "--log-format", "console")

    assert done.code == 4, "sources that are inactive"
    outcomes = pl.read_parquet(place.results() / "outcomes.parquet")
    reasons = set(counted(outcomes, "reason"))
    assert reasons == {"conversion", "server_duplicate", "locked_elsewhere", "source_inactive"}
    assert outcomes.filter(pl.col("reason") != "conversion")["detail"].str.contains("…").all()
    assert place.look("show", "latest").code == 0
    place.check()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ("401 Unauthorized", 4, "refused the token (401)"),
        ("307 Temporary Redirect", 4, "answered with a redirect (307)"),
    ],
)
def test_a_reply_that_stops_the_run_is_told_in_our_own_words(place: Place, status: str, code: int, said: str) -> None:
    everything = json.dumps({"message": " ".join(BODY.values()), "data": BODY}).encode()
    query = "&".join(f"{COLUMNS.get(kind, kind)}={SPELLINGS['percent'](value)}" for kind, value in BODY.items())
    reply = message(status, everything, f"Location: http://elsewhere.example/?{query}", f'WWW-Authenticate: "{SECRET}"')
    with serving_on_a_thread(replying(lambda *_: reply)) as server:
        place.job(server.url)
        place.rows(5)
        done = place.call("run", "job.toml", "--json")

    assert (done.code, said in json.loads(done.out)["message"]) == (code, True)
    assert "elsewhere" not in done.out + done.err
    [told] = place.hook.messages
    assert (told["exit_code"], said in told["text"]) == (code, True)
    assert SECRET in place.hook.heads[0][":path"], "it went to the secret address"
    assert place.look("show", "latest").code == 0
    place.check()


# -- the sandbox's faults --------------------------------------------------------------------------------------------


def test_every_fault_of_the_sandbox_leaves_nothing_behind(place: Place) -> None:
    often = ("drop", "reset", "half", "error", "lock", "garbage")
    faults = [*(f"{name}=0.05" for name in often), "unavailable=0.01", "slow=0.05:5ms", "limit=30"]
    given = ("--port", "0", "--accept-any", "--fault", ",".join(faults))
    place.rows(90)
    with started("sandbox", *given, cwd=place.folder, env=place.environ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        place.job(process.stdout.readline().strip(), delivery=ENDURING.replace("max_attempts = 1", ""))
        assert place.call("run", "job.toml", "-q").code == 4, "the token is another"
        (place.folder / "secrets" / "token").write_text("sandbox-token")
        done = place.call("run", "job.toml", "--log-format", "json")
        process.send_signal(signal.SIGTERM)
        place.heard(Done(process.wait(20), process.stdout.read(), process.stderr.read()))

    (place.folder / "secrets" / "token").write_text(SECRET)
    assert done.code == 0
    summary = json.loads((place.results() / "summary.json").read_text())
    assert (summary["rows"]["delivered"], summary["requests"]["retried"] > 8) == (90, True)
    assert set(summary["http"]) >= {"201", "500", "429", "403"}
    place.check()


# -- the way there ---------------------------------------------------------------------------------------------------


def test_a_connection_that_never_comes_about_and_sigterm_tell_nothing(place: Place) -> None:
    with serving_on_a_thread(silent, tls=serving("elsewhere.example")) as server:
        place.job(server.url)
        place.rows(10)
        with started("run", "job.toml", cwd=place.folder, env=place.environ) as process:
            until(lambda: any(b'["again"' in log.read_bytes() for log in place.journals()))
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert b"job.toml" in command
            assert found_in(command) == set()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
    done = place.heard(Done(process.returncode, out, err))
    assert done.code == 143
    assert counted(place.outcomes(), "outcome") == {"not_attempted": 10}
    place.check()


async def refusing(visit: Visit) -> None:
    """A proxy that lets nobody through, and says with which password."""
    await visit.head()
    await visit.send(message("407 Proxy Authentication Required", SECRET.encode(), f"Proxy-Authenticate: {SECRET}"))


def test_a_proxys_password_is_nowhere(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_on_a_thread(refusing) as proxy:
        event = f'{FIELDS}\nevent_id = {{ value = "sale" }}'
        place.job("https://api.invalid", "campaign-event", 'proxy = "env:PROXY"', fields=event)
        place.rows(3)
        password = f"http://user:{SECRET}@127.0.0.1:{proxy.port}"
        with started("run", "job.toml", cwd=place.folder, env={**place.environ, "PROXY": password}) as process:
            until(lambda: len(proxy.visits) > 1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert place.heard(Done(process.returncode, out, err)).code == 130
    job = str(place.folder / "job.toml")
    monkeypatch.setenv("PROXY", password)
    assert "proxy" in place.look("check", "--show", job).out
    assert place.look("plan", job).code == 0
    for broken in (f"http://{SECRET}@", f"socks5://u:{SECRET}@127.0.0.1:1", SECRET, f"http://{SECRET}:x:y@[::1"):
        monkeypatch.setenv("PROXY", broken)
        assert place.look("run", job).code == 2, broken
    place.check()


# -- ends that nobody wished for -------------------------------------------------------------------------------------


def test_a_killed_run_leaves_no_canary_in_what_the_next_one_needs(place: Place) -> None:
    with sandbox(accept_any=True, token=SECRET, latency=0.2) as (server, _):
        place.job(server.base_url)
        place.rows(60)
        with started("run", "job.toml", cwd=place.folder, env=place.environ) as process:
            until(lambda: len(server.effects) > 10)
            process.kill()
            place.heard(Done(process.wait(20), *process.communicate()))
        left = [path.name for path in place.folder.rglob(".batchpost/ledger-test-runs/*/*")]
        assert {"sitting-0001.log", "plan.arrow"} <= set(left)
        place.check()
        for words in ("runs", "show latest", "abandon latest", "show latest --json", "export latest"):
            assert place.look(*words.split()).code == 0, words
        place.look("verify", "latest")
        assert place.look("plan", str(place.folder / "job.toml")).code == 0
    place.check()
    assert counted(place.outcomes(), "outcome")["delivered"] > 0


def test_a_full_disk_tells_which_and_nothing_else(place: Place) -> None:
    """The limit of a file's size stands for the disk's: the journal is the first to reach it."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    with sandbox(accept_any=True, token=SECRET) as (server, _):
        alone = ENDURING.replace("concurrency = 8", "concurrency = 1")  # so that each row has records of its own
        place.job(server.base_url, delivery=alone)
        place.rows(800)
        done = place.call("run", "job.toml", "--yes", preexec_fn=limit)
        assert done.code == 4
        assert re.search(r"ledger-test-runs/\S+ cannot be written: (No space left on device|File too large)", done.out)
        place.check()
        assert place.look("run", str(place.folder / "job.toml"), "-q", "--yes").code == 0
    place.check()


_BUG = """
import sys
import {module} as module
def broken(*arguments, **options):
    secret, row = arguments, options
    raise {error}({text!r}, arguments)
{owner}.{name} = broken
from batchpost.cli import main
sys.argv = ["batchpost", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    ("command", "module", "owner", "name", "error"),
    [
        ("run", "batchpost.settling", "module", "judge", "ValueError"),
        ("plan", "batchpost.mapping", "module.Mapper", "map", "__import__('polars').exceptions.PanicException"),
        ("run", "batchpost.finish", "module.CsvTable", "write", "KeyError"),
    ],
)
def test_a_bug_is_told_with_its_traceback_and_without_a_row(
    place: Place, command: str, module: str, owner: str, name: str, error: str
) -> None:
    text = " ".join(BODY.values())
    program = _BUG.format(module=module, owner=owner, name=name, error=error, text=text)
    with sandbox(accept_any=True, token=SECRET) as (server, _):
        place.job(server.base_url)
        place.rows(5)
        words = [sys.executable, "-c", program, command, "job.toml"]
        environ = {"PYTHONPATH": str(ROOT), "BATCHPOST_DEBUG": "1", **place.environ}
        done = subprocess.run(words, cwd=place.folder, env=environ, capture_output=True, text=True, check=False)
    place.heard(Done(done.returncode, done.stdout, done.stderr))
    assert done.returncode == 70
    assert re.search(r"^\w+(Error|Exception)$", done.stderr, re.MULTILINE)
    assert "in broken" in done.stderr
    assert "This is a bug" in done.stderr
    place.check()


# -- what shows requests ---------------------------------------------------------------------------------------------


def test_requests_are_shown_with_all_that_is_personal_masked(place: Place) -> None:
    with sandbox(accept_any=True, token=SECRET) as (server, _):
        place.job(server.base_url)
        place.rows(5)
        job = str(place.folder / "job.toml")
        for words in (("plan", job), ("plan", job, "--json"), ("check", "--show", job)):
            assert place.look(*words).code == 0
        assert place.said[0].count('"first_name": "***"') == 3
        done = place.call("run", "job.toml", "--canary", "2", "--log-format", "console")
    assert done.code == 0
    assert done.out.count("POST /api/lead/update/cmp_a") == 2
    assert server.received[0].body["first_name"] == PERSONAL["first name"], "they were sent"
    place.check()


# -- what is wrong before anything is sent ---------------------------------------------------------------------------

MISPLACED = {
    "as it is": f'[api]\ntoken = "{SECRET}"',
    "without quotes": f"[api]\ntoken = {SECRET}",
    "half quoted": f'[api]\ntoken = "{SECRET}',
    "in a list": f'[api]\ntoken = ["{SECRET}"]',
    "in a table": f'[api]\ntoken = {{ value = "{SECRET}" }}',
    "of a campaign": f'[api]\ntokens = {{ cmp_a = "{SECRET}" }}',
    "as a bearer": f'[api]\ntoken = "Bearer {SECRET}"',
    "as a bad reference": f'[api]\ntoken = "env:{SECRET}"',
    "as a header": f'[api.headers]\nAuthorization = "Bearer {SECRET}"',
    "as the user of an address": f'[api]\nbase_url = "https://{SECRET}@api.example.com"',
    "as the password of an address": f'[api]\nbase_url = "https://u:{SECRET}@api.example.com"',
    "in the query of an address": f'[api]\nbase_url = "https://api.example.com/?token={SECRET}"',
    "in the path of an address": f'[api]\nbase_url = "https://api.example.com/{SECRET}"',
    "in an address that is none": f'[api]\nbase_url = "https://[{SECRET}"',
    "in a proxy": f'[api]\nproxy = "http://u:{SECRET}@proxy.example.com:1"',
    "in a webhook": f'[notify]\nwebhook = "https://hooks.example.com/{SECRET}"',
    "in a ledger": f'[ledger]\nurl = "postgresql://u:{SECRET}@db.example.com/x"',
    "in a remote path": f'[source]\npath = "https://u:{SECRET}@files.example.com/x.csv"',
    "as a field": f'[fields]\ntransaction_id = "{SECRET}"',
    "as the organisation": f'route = "global-event"\n[api]\norg_id = "{SECRET}"',
    "as a number's bound": f'[delivery]\nrate = "{SECRET}"',
}


@pytest.mark.parametrize("where", MISPLACED)
def test_a_secret_in_the_wrong_place_of_a_job_is_not_repeated(place: Place, where: str) -> None:
    text, broken = MISPLACED[where], "quote" in where
    sound = {"[source]": 'path = "in.csv"', "[fields]": 'transaction_id = { column = "Lead" }'}
    tables = "\n".join(f"{table}\n{lines}" for table, lines in sound.items() if table not in text)
    others = 'campaign_id = "cmp_a"\n' + ("" if "token" in text else 'token = "env:TOKEN"\n')
    text = text if "route" in text else text.replace("[api]\n", f"[api]\n{others}")
    route = "" if "route" in text else 'route = "update-lead"\n'
    (place.folder / "job.toml").write_text(f'name = "job"\n{route}{text}\n{tables}\n')
    place.rows(1)
    job = str(place.folder / "job.toml")
    for words in (("check", job), ("check", "--offline", "--show", job), ("plan", job), ("run", job, "--json")):
        assert place.look(*words).code == 2
    assert [said for said in place.said if found_in(said.encode())] == []
    assert all(("TOML: " in said) is broken for said in place.said if said)


@pytest.mark.parametrize(
    "address",
    [
        f"https://{SECRET}@api.example.com",
        f"https://u:{SECRET}@api.example.com",
        f"https://api.example.com/{SECRET}",
        f"http://{SECRET}.example.com",
        f"ftp://{SECRET}",
    ],
)
def test_a_secret_in_an_address_of_the_command_line_is_not_repeated(place: Place, address: str) -> None:
    place.job("http://127.0.0.1:9")
    place.rows(1)
    for command in ("plan", "run"):
        done = place.look(command, str(place.folder / "job.toml"), "--base-url", address)
        assert (done.code, "--base-url: " in done.err) == (2, True)
        assert not found_in(f"{done.out}{done.err}".encode())


@pytest.mark.parametrize("reference", ["env:TOKEN", "file:secrets/token", "credential:token"])
@pytest.mark.parametrize(
    "secret",
    ["", f"{SECRET} ", f"{SECRET} x", f"{SECRET}\n\n", f"{SECRET}\rx", f"{SECRET}é", f"{SECRET}\x1b[2J", SECRET * 600],
    ids=["empty", "blank at the end", "blank", "two line ends", "CR", "not ASCII", "control", "10 KB"],
)
def test_a_secret_that_cannot_be_one_is_exit_2_and_not_repeated(
    place: Place, monkeypatch: pytest.MonkeyPatch, reference: str, secret: str
) -> None:
    (place.folder / "secrets" / "token").write_bytes(secret.encode())
    monkeypatch.setenv("TOKEN", secret)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place.folder / "secrets"))
    place.job("http://127.0.0.1:9", api=f'token = "{reference}"')
    place.rows(1)
    for command in ("check", "plan", "run"):
        done = place.look(command, str(place.folder / "job.toml"))
        assert (done.code, reference in done.err) == (2, True)
    assert [said for said in place.said if found_in(said.encode())] == []
