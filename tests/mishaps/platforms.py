"""What a platform, the way to it, or the disk under a run does to it: ends of runs that had begun."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import trustme

from batchpost.progress import Display
from tests.canaries import SECRET
from tests.commands import Done
from tests.hostile import Hostile, answering, hosted, message
from tests.ledgers import alter
from tests.mishaps.stage import Scenario, Stage
from tests.wire import serving
from tests.workspaces import sandbox

__all__ = ["SCENARIOS"]

ONE_BY_ONE = "rate = 100000\nconcurrency = 1\nmax_failures = 1000"
DEDUPED = 'server_dedupe = ["sale_completed"]'


def answered(reply: bytes, *words: str, route: str = "global-event", rows: int = 3, **tables: str) -> Scenario:
    """A run whose every request is answered so."""

    def act(stage: Stage) -> Done:
        server = Hostile(answering(reply))
        stage.open.enter_context(hosted(server))
        stage.job(route, base_url=server.url, **{"delivery": ONE_BY_ONE, **tables})
        stage.rows(rows)
        return stage.run(*words)

    return act


def against(
    *words: str, route: str = "global-event", columns: dict[str, list[str]] | None = None, **config: Any
) -> Scenario:
    """A run against a sandbox of this configuration; ``tables`` of it are the job's."""
    tables = config.pop("tables", {})

    def act(stage: Stage) -> Done:
        server, _ = stage.open.enter_context(sandbox(**{"org_id": SECRET, **config}))
        stage.job(route, base_url=server.base_url, **{"delivery": ONE_BY_ONE, **tables})
        stage.rows(len(next(iter(columns.values()))) if columns else 3, **(columns or {}))
        return stage.run(*words)

    return act


def rejection(text: str, status: str = "400 Bad Request") -> bytes:
    return message(status, b'{"message":"%s"}' % text.encode())


def wrong_token(stage: Stage) -> Done:
    stage.job("update-lead", base_url=stage.platform.base_url, delivery=ONE_BY_ONE)
    stage.rows()
    return stage.run()


def nobody_listens(stage: Stage) -> Done:
    """For half an hour, which is made shorter."""
    stage.environ.setattr("batchpost.pacing.LONGEST_OUTAGE", 0.3)
    stage.job(delivery=ONE_BY_ONE)
    stage.rows()
    return stage.run()


def certificate_of_others(stage: Stage) -> Done:
    """Also for half an hour."""
    stage.environ.setattr("batchpost.pacing.LONGEST_OUTAGE", 0.3)
    server = Hostile(answering(message()), tls=serving(leaf=trustme.CA().issue_cert("127.0.0.1")))
    stage.open.enter_context(hosted(server))
    stage.job(base_url=server.url, delivery=ONE_BY_ONE)
    stage.rows()
    return stage.run()


def while_sending(action: Callable[[Stage], object], *words: str) -> Scenario:
    """A run in which something happens when the first request is about to go out."""

    def act(stage: Stage) -> Done:
        stage.job(base_url=stage.platform.base_url)
        stage.rows()
        return stage.while_sending(lambda: action(stage), *words)

    return act


def stumble(*_: object) -> None:
    raise RuntimeError("Quillan.Zephyrin@Mailcanary.Example")


def bug_before(stage: Stage) -> Done:
    stage.environ.setattr(Display, "planned", stumble)
    stage.job()
    stage.rows()
    return stage.run()


def told_to_stop(stage: Stage) -> Done:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    stage.environ.setattr(Display, "planned", stop)
    stage.job()
    stage.rows()
    return stage.run()


def several_at_once(stage: Stage) -> Done:
    """One job without its input, one against a platform that knows none of its leads."""
    stage.write(stage.job().replace('"nightly"', '"weekly"').replace("conv.csv", "weekly.csv"), "jobs/weekly.toml")
    stage.environ.setenv("ORG", "org_of_others")
    stage.job(base_url=stage.platform.base_url)
    stage.rows()
    return stage.say("run", "jobs/weekly.toml", "jobs/nightly.toml")


def as_json(stage: Stage) -> Done:
    stage.job()
    return stage.run("--json")


def quiet(stage: Stage) -> Done:
    stage.job()
    return stage.run("-q")


SCENARIOS: dict[str, Scenario] = {
    "wrong-token": wrong_token,
    "wrong-path": answered(rejection("no", "405 Method Not Allowed")),
    "redirect": answered(message("301 Moved Permanently", b"", "Location: https://www.example.com/")),
    "redirect-and-deduped": answered(message("301 Moved Permanently", b"", "Location: /"), api=DEDUPED),
    "too-many-failures": answered(
        rejection("No lead found"), rows=20, delivery="rate = 100000\nconcurrency = 1\nmax_failures = 5"
    ),
    "stop-when": answered(
        message("200 OK", b'{"status":"200","message":"Lead updated","data":{"status":"accepted"}}'),
        route="update-lead",
        delivery=f"{ONE_BY_ONE}\nstop_when = {{ accepted = 1 }}",
        rows=6,
    ),
    "source-inactive": against(
        columns={"Source": ["good", "bad", "good"]},
        inactive_pids=["bad"],
        tables={"fields": 'pid = { column = "Source" }'},
    ),
    "wait-too-long": answered(message("429 Too Many Requests", b"", "Retry-After: 3600")),
    "nobody-listens": nobody_listens,
    "certificate-of-others": certificate_of_others,
    "leads-unknown": answered(rejection("No lead found")),
    "event-not-configured": answered(rejection("Invalid event_id"), "--canary", "1"),
    "server-error-and-not-repeatable": answered(message("500 Internal Server Error", b"")),
    "rows-invalid": against(columns={"Payout": ["12.50", "much", "12.50"]}),
    "limit": against("--limit", "1"),
    "not-as-expected": answered(rejection("No lead found"), expect='reasons = { lead_not_found = "10%" }'),
    "results-taken-away": while_sending(lambda stage: shutil.rmtree(stage.folder / "results")),
    "ledger-spoilt": while_sending(lambda stage: alter(stage.ledger, "ALTER TABLE contents RENAME TO gone")),
    "bug-while-sending": while_sending(stumble, "--new-run", "--limit", "2"),
    "bug-before": bug_before,
    "told-to-stop": told_to_stop,
    "several-at-once": several_at_once,
    "as-json": as_json,
    "quiet": quiet,
}
