"""What a run's end sets off besides the screen, with the program as a user has it."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from batchpost.announce import Announcer
from batchpost.failures import Situation
from batchpost.output import Output
from batchpost.sandbox import Sandbox
from batchpost.sandbox_faults import parse_faults
from tests.commands import Done, call, started, until
from tests.hooks import Answer, Hook, webhook
from tests.promtext import values
from tests.workspaces import ENVIRON, Workspace, sale_rows, sandbox, update_rows, write_csv

ALL_SOUND, ONE_BAD = "12.50", "much"


class Terminal(io.StringIO):
    """Somebody looks at it."""

    def isatty(self) -> bool:
        return True


class Logger(list[tuple[str, str, dict[str, Any]]]):
    """Keeps the events that were logged, as (level, name, facts)."""

    def __getattr__(self, level: str) -> Any:
        return lambda name, **facts: self.append((level, name, facts))


@pytest.fixture
def hook() -> Iterator[Hook]:
    with webhook() as found:
        yield found


@pytest.fixture
def place(tmp_path: Path, server: Sandbox, monkeypatch: pytest.MonkeyPatch, hook: Hook) -> Workspace:
    """Five conversions in the current folder, and a webhook to tell."""
    monkeypatch.chdir(tmp_path)
    for name, value in {**ENVIRON, "HOOK": hook.url}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "batchpost.toml").touch()
    workspace = Workspace(tmp_path, server.base_url)
    workspace.sales(notify='webhook = "env:HOOK"')
    rows(workspace)
    return workspace


def rows(place: Workspace, payout: str = ALL_SOUND, count: int = 5) -> None:
    columns = sale_rows(count)
    columns["Payout"][1] = payout
    write_csv(place.folder / "in.csv", columns)


def run(*more: str) -> Done:
    return call("run", "job.toml", "--metrics", "m.prom", *more)


def code_of(folder: Path, job: str = "job") -> float:
    return values(folder / "m.prom")[f"{job}.last_run_exit_code"]


# -- ends of all kinds -----------------------------------------------------------------------------------------------


def test_a_failure_and_its_end_are_told_with_the_books(place: Workspace, hook: Hook) -> None:
    rows(place, ONE_BAD)
    assert run().code == 1
    assert code_of(place.folder) == 1
    rows(place)
    assert run().code == 0
    assert run().code == 0
    failure, recovery = hook.messages
    assert (failure["event"], failure["exit_code"], failure["rows"]["invalid"]) == ("failure", 1, 1)
    assert failure["text"].splitlines()[2].startswith("Next: batchpost run ")
    assert failure["next"].endswith(f"--metrics {place.folder}/m.prom")
    assert (recovery["event"], recovery["rows"]["delivered"], recovery["test"]) == ("recovery", 1, True)
    assert code_of(place.folder) == 0
    assert (place.folder / ".batchpost" / "ledger-test-told" / "job.json").exists(), "tests have a memory of their own"


def test_a_run_that_never_began_is_told_too(place: Workspace, hook: Hook, server: Sandbox) -> None:
    (place.folder / "in.csv").write_bytes(b"Lead,Payout,Email\ntxn_1,5\n")
    assert run().code == 5
    (place.folder / "in.csv").unlink()
    assert run().code == 66
    assert hook.events == [("failure", 5), ("failure", 66)]
    assert "line 2" in hook.messages[0]["message"]
    assert (hook.messages[1]["run_id"], code_of(place.folder)) == (None, 66)
    assert server.received == []


def test_a_secret_that_is_missing_is_told_to_a_webhook_that_is_there(
    place: Workspace, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORG")
    assert run("-q").code == 2
    assert hook.events == [("failure", 2)]
    assert "env:ORG" in hook.messages[0]["message"]


def test_a_retry_that_helps_is_a_recovery(place: Workspace, hook: Hook, server: Sandbox) -> None:
    place.updates(delivery="rate = 100000\nmax_attempts = 1\nmax_failures = 9", notify='webhook = "env:HOOK"')
    write_csv(place.folder / "in.csv", update_rows([("txn_00000", "Rome")]))
    server.configure(faults=parse_faults("drop=1"))
    assert run().code == 1
    server.configure(faults=parse_faults(""))
    assert call("retry", "latest", "--metrics", "m.prom").code == 0
    assert hook.events == [("failure", 1), ("recovery", 0)]
    assert code_of(place.folder) == 0


def test_jobs_of_one_command_are_told_each_and_share_a_file(place: Workspace, hook: Hook) -> None:
    text = (place.folder / "job.toml").read_text()
    (place.folder / "two.toml").write_text(text.replace('name = "job"', 'name = "two"').replace("in.csv", "none.csv"))
    assert call("run", "two.toml", "job.toml", "--metrics", "m.prom", "-q").code == 66
    assert [(message["job"], message["exit_code"]) for message in hook.messages] == [("two", 66)]
    assert (code_of(place.folder, "two"), code_of(place.folder)) == (66, 0)


def test_a_bug_is_told_without_its_text(place: Workspace, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise ValueError("txn_00001 is personal")

    monkeypatch.setattr("batchpost.sending.run_job", broken)
    assert run("-q").code == 70
    assert hook.events == [("failure", 70)]
    assert "personal" not in hook.bodies[0].decode()
    assert code_of(place.folder) == 70


# -- job files with mistakes -----------------------------------------------------------------------------------------


def test_a_job_file_with_mistakes_is_told_and_so_are_the_jobs_that_wait_for_its_mend(
    place: Workspace, hook: Hook, server: Sandbox
) -> None:
    text = (place.folder / "job.toml").read_text()
    (place.folder / "two.toml").write_text(text.replace('name = "job"', 'name = "two"').replace("revenue", "revenu"))
    done = call("run", "job.toml", "two.toml", "--metrics", "m.prom")
    assert done.code == 2
    assert [(message["job"], message["exit_code"]) for message in hook.messages] == [("job", 2), ("two", 2)]
    assert all("two.toml:" in message["message"] and "revenu" in message["message"] for message in hook.messages)
    assert (code_of(place.folder), code_of(place.folder, "two")) == (2, 2)
    assert server.received == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "job"', 'nam = "job"'),
        ('name = "job"', 'name = "../job"'),
        ('webhook = "env:HOOK"', 'webhok = "env:HOOK"'),
        ("[notify]", '[ledger]\nurl = "x"\n[notify]'),
        ("base_url", 'base_url = "ftp://127.0.0.1" #'),
        ("[api]", "[api"),
    ],
)
def test_nobody_is_told_where_it_is_not_known_what_of_whom_or_after_what(
    place: Workspace, hook: Hook, old: str, new: str
) -> None:
    text = (place.folder / "job.toml").read_text()
    assert old in text
    (place.folder / "job.toml").write_text(text.replace(old, new))
    assert run().code == 2
    assert hook.bodies == []
    assert not (place.folder / "m.prom").exists()


# -- what is looked at before anything is sent -----------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "", "hooks.example.com/s3cret", "http://hooks.example.com/s3cret"])
def test_a_webhook_without_an_address_is_found_before_anything_is_sent(
    place: Workspace, server: Sandbox, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("HOOK") if value is None else monkeypatch.setenv("HOOK", value)
    done = run()
    assert (done.code, code_of(place.folder)) == (2, 2)
    for said in (done.err, call("check", "job.toml").err):
        assert "HOOK" in said
        assert "s3cret" not in said
    assert call("check", "job.toml").code == 2
    assert call("check", "--offline", "job.toml").code == 0
    assert server.received == []


def test_check_posts_nothing(place: Workspace, hook: Hook) -> None:
    assert call("check", "job.toml").code == 0
    assert call("plan", "job.toml").code == 0
    assert hook.bodies == []


@pytest.mark.parametrize("path", ["metrics.txt", "none/m.prom", "foreign.prom"])
def test_metrics_that_cannot_be_written_are_found_before_anything_is_sent(
    place: Workspace, hook: Hook, server: Sandbox, path: str
) -> None:
    (place.folder / "foreign.prom").write_text("node_role 1\n")
    done = call("run", "job.toml", "--metrics", path)
    assert (done.code, "--metrics: " in done.err) == (2, True)
    assert hook.events == [("failure", 2)]
    assert server.received == []
    assert (place.folder / "foreign.prom").read_text() == "node_role 1\n"


# -- what goes wrong meanwhile ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_a_webhook_that_fails_changes_nothing_and_is_one_line(
    place: Workspace, hook: Hook, quiet: tuple[str, ...]
) -> None:
    hook.answer = lambda number: (410, {})
    rows(place, ONE_BAD)
    done = run(*quiet)
    assert done.code == 1
    [event] = [event for event in done.events if event["event"] == "not_announced"]
    assert (event["what"], event["why"]) == ("webhook", "env:HOOK could not be told: HTTP 410")
    assert hook.url not in done.out + done.err
    assert done.last.startswith("Safe to repeat: yes. Sent 4, left 1. Next: ")


def test_metrics_that_fail_change_nothing_and_the_webhook_is_told(place: Workspace, hook: Hook) -> None:
    (place.folder / "textfile" / ".batchpost-job.prom.part").mkdir(parents=True)
    rows(place, ONE_BAD)
    done = call("run", "job.toml", "--metrics", "textfile")
    assert done.code == 1
    [event] = [event for event in done.events if event["event"] == "not_announced"]
    assert (event["what"], ".batchpost-job.prom.part: " in event["why"]) == ("metrics", True)
    assert hook.events == [("failure", 1)]


@pytest.mark.parametrize("error", [RuntimeError("txn_00001"), PermissionError(13, "Permission denied", "/x")])
def test_a_bug_in_the_announcing_is_told_and_changes_nothing(place: Workspace, error: Exception) -> None:
    err = io.StringIO()
    announcer = Announcer(place.load(), None, {"HOOK": "http://127.0.0.1:9/"}, Output(io.StringIO(), err))

    class Broken:
        def tell(self, ending: object) -> None:
            raise error

    announcer._notifier = Broken()  # type: ignore[assignment]
    assert announcer.ended({"exit_code": 3}) == 3
    assert err.getvalue().startswith("job: webhook: ")
    assert err.getvalue().count("\n") == 1
    assert "txn_00001" not in err.getvalue()


def test_at_a_terminal_a_person_is_told_in_words_and_nobody_of_what_that_person_reads(
    place: Workspace, hook: Hook
) -> None:
    hook.answer = lambda number: (404, {})
    err = Terminal()
    announcer = Announcer(place.load(), None, {"HOOK": hook.url}, Output(io.StringIO(), err))
    for code in (2, 5, 66, 130):
        assert announcer.ended({"exit_code": code}) == code
    assert hook.bodies == []
    assert announcer.ended({"exit_code": 4, "stopped_by": "unauthorized"}) == 4
    assert err.getvalue() == "job: webhook: env:HOOK could not be told: HTTP 404\n"


def test_a_log_has_an_event_for_what_was_told(place: Workspace, hook: Hook) -> None:
    log = Logger()
    announcer = Announcer(place.load(), None, {"HOOK": hook.url}, Output(io.StringIO(), io.StringIO()), log)
    assert announcer.failed(OSError(28, "No space left on device", "/srv/x"), Situation(begun=True)) == 4
    assert log == [("info", "announced", {"job": "job", "what": "failure"})]
    assert "No space left on device" in hook.messages[0]["message"]


# -- signals ---------------------------------------------------------------------------------------------------------


def test_a_run_that_sigterm_ends_is_told_before_the_program_goes(place: Workspace, hook: Hook) -> None:
    with sandbox(accept_any=True, latency=0.2) as (slow, _):
        text = (place.folder / "job.toml").read_text()
        (place.folder / "job.toml").write_text(text.replace(place.base_url, slow.base_url))
        rows(place, count=60)
        given = ("run", "job.toml", "--metrics", "m.prom")
        with started(*given, cwd=place.folder, env={"HOOK": hook.url}) as process:
            until(lambda: len(slow.effects) > 8)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 143
    [message] = hook.messages
    assert (message["event"], message["exit_code"], message["state"]) == ("failure", 143, "interrupted")
    assert message["rows"]["delivered"] + message["rows"]["not_attempted"] == 60
    assert code_of(place.folder) == 143


@pytest.fixture
def silent(hook: Hook) -> Iterator[Hook]:
    """The webhook, without an answer until the test is over."""
    over = Event()

    def answer(number: int) -> Answer:
        over.wait(60)
        return 200, {}

    hook.answer = answer
    yield hook
    over.set()


def terminated(place: Workspace, hook: Hook) -> Done:
    """Two jobs of which the first is being told when SIGTERM comes."""
    (place.folder / "two.toml").write_text((place.folder / "job.toml").read_text().replace('"job"', '"two"'))
    with started("run", "job.toml", "two.toml", cwd=place.folder, env={"HOOK": hook.url}) as process:
        until(lambda: len(hook.bodies) == 1)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    done = Done(process.returncode, out, err)
    [event] = [event for event in done.events if event["event"] == "not_announced"]
    assert (event["job"], event["why"]) == ("job", "it was not waited for: Stopped by SIGTERM")
    return done


def test_sigterm_does_not_wait_for_a_silent_webhook(place: Workspace, silent: Hook) -> None:
    rows(place, ONE_BAD)
    done = terminated(place, silent)
    assert done.code == 143
    assert [event["job"] for event in done.events if event["event"] == "run_finished"] == ["job"], "two was not begun"
    assert "Safe to repeat: yes. Sent 4, left 1." in done.last, "what the first came to is told all the same"
    [summary] = (place.folder / "results" / "job").glob("*/summary.json")
    assert json.loads(summary.read_text())["exit_code"] == 1


def test_nor_where_nothing_was_sent(place: Workspace, silent: Hook, server: Sandbox) -> None:
    (place.folder / "in.csv").write_bytes(b"Lead,Payout,Email\ntxn_1,5\n")
    done = terminated(place, silent)
    assert (done.code, server.received) == (143, [])
    assert "line 2" in done.err, "what was wrong is told all the same"
    assert "two: " not in done.err
