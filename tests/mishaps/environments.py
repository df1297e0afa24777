"""Mistakes around a job: variables, secrets, folders, certificates, proxies."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.commands import Done
from tests.mishaps.stage import Scenario, Stage

__all__ = ["SCENARIOS"]


def run(set_up: Callable[[Stage], object], route: str = "update-lead", **tables: str) -> Scenario:
    """A run of a job with a sound input, after something was done to what is around it."""

    def act(stage: Stage) -> Done:
        stage.rows()
        stage.job(route, **tables)
        set_up(stage)
        return stage.run()

    return act


def variable(name: str, value: str | None) -> Callable[[Stage], object]:
    """Set a variable, or unset it."""
    if value is None:
        return lambda stage: stage.environ.delenv(name)
    return lambda stage: stage.environ.setenv(name, value)


def credential_of_systemd(stage: Stage) -> None:
    folder = stage.folder / "credentials"
    folder.mkdir()
    stage.environ.setenv("CREDENTIALS_DIRECTORY", str(folder))


def nothing(stage: Stage) -> None:
    """All is as it should be."""


FILE = 'token = "file:secrets/token"'
CREDENTIAL = 'token = "credential:pingtree"'
CA_FILE = 'base_url = "https://127.0.0.1:9"\nca_file = "certificates/ours.pem"'
PROXY = 'proxy = "env:PROXY"'

SCENARIOS: dict[str, Scenario] = {
    "variable-missing": run(variable("ORG", None), "global-event"),
    "variable-empty": run(variable("TOKEN", "")),
    "token-with-a-blank": run(variable("TOKEN", "Bearer Tok-Zq7canary93Ez")),
    "token-not-ascii": run(variable("TOKEN", "tök")),
    "token-too-long": run(variable("TOKEN", "x" * 5_000)),
    "org-id-no-path": run(variable("ORG", ".."), "global-event"),
    "file-missing": run(nothing, api=FILE),
    "file-is-a-folder": run(lambda stage: (stage.folder / "secrets/token").mkdir(parents=True), api=FILE),
    "file-empty": run(lambda stage: stage.write("\n", "secrets/token"), api=FILE),
    "file-is-a-pipe": run(
        lambda stage: ((stage.folder / "secrets").mkdir(), os.mkfifo(stage.folder / "secrets/token")), api=FILE
    ),
    "credential-without-systemd": run(nothing, api=CREDENTIAL),
    "credential-missing": run(credential_of_systemd, api=CREDENTIAL),
    "workspace-variable": run(variable("BATCHPOST_WORKSPACE", "/nowhere")),
    "ca-file-missing": run(nothing, api=CA_FILE),
    "ca-file-no-pem": run(lambda stage: stage.write("no certificate\n", "certificates/ours.pem"), api=CA_FILE),
    "proxy-no-http": run(variable("PROXY", "ftp://user:hush@proxy.example.com"), api=PROXY),
    "proxy-variable-missing": run(nothing, api=PROXY),
    "ledger-variable-missing": run(nothing, ledger='url = "env:LEDGER"'),
    "ledger-variable-of-something-else": run(variable("LEDGER", "mysql://db"), ledger='url = "env:LEDGER"'),
    "ledger-folder-is-a-file": run(lambda stage: stage.write("", ".batchpost")),
    "results-folder-is-a-file": run(lambda stage: stage.write("", "results")),
}
