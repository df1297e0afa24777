"""Mistakes on the command line."""

from __future__ import annotations

from tests.commands import Done
from tests.mishaps.stage import JOB, Scenario, Stage

__all__ = ["SCENARIOS"]


def line(*words: str) -> Scenario:
    """A command beside the nightly job, of which nothing was run."""

    def act(stage: Stage) -> Done:
        stage.job()
        return stage.say(*words)

    return act


def after_a_run(*words: str) -> Scenario:
    """A command after a run that went well."""

    def act(stage: Stage) -> Done:
        stage.delivered()
        return stage.say(*words)

    return act


def prefix_of_several(stage: Stage) -> Done:
    stage.delivered()
    stage.rows(4)
    stage.run()
    return stage.say("show", stage.run_ids()[0][:2])


def retry_of_an_unfinished_run(stage: Stage) -> Done:
    stage.job(base_url=stage.platform.base_url)
    stage.rows()
    stage.run("--limit", "1")
    return stage.say("retry", "nightly")


def job_file_of_init(stage: Stage) -> Done:
    stage.job()
    stage.rows()
    return stage.say("init", "exports/conv.csv", "--route", "global-event", "-o", JOB, "--event", "sale_completed")


def signed_source(stage: Stage) -> Done:
    stage.job()
    return stage.run("--source", "https://files.example.com/conv.csv?signature=hush", "--rte", "5")


SCENARIOS: dict[str, Scenario] = {
    "no-such-command": line("rnu", JOB),
    "no-such-option": line("run", JOB, "--dry-run"),
    "option-mistyped": signed_source,
    "job-missing": line("run"),
    "no-such-job-file": line("run", "nightly.toml"),
    "option-unreadable": line("run", JOB, "--until", "7pm"),
    "span-unreadable": line("run", JOB, "--for", "9"),
    "number-too-small": line("run", JOB, "--limit", "0"),
    "two-ends": line("run", JOB, "--until", "07:00", "--for", "9h"),
    "date-not-there-yet": line("run", JOB, "--date", "yesterday"),
    "address-not-https": line("run", JOB, "--base-url", "http://api.example.com"),
    "workspace-missing": line("run", JOB, "--workspace", "nowhere"),
    "no-such-run": after_a_run("show", "nigthly"),
    "no-run-yet": line("show", "latest"),
    "prefix-of-several": prefix_of_several,
    "retry-of-no-run": after_a_run("retry", "nigthly"),
    "retry-of-an-unfinished-run": retry_of_an_unfinished_run,
    "retry-of-unknown-rows": after_a_run("retry", "nightly", "--only", "unknown"),
    "resolve-two-ways": after_a_run("resolve", "nightly", "--delivered", "--resend"),
    "resolve-no-such-row": after_a_run("resolve", "nightly", "--delivered", "--rows", "17"),
    "abandon-a-finished-run": after_a_run("abandon", "nightly"),
    "stop-of-no-job": after_a_run("stop", "weekly"),
    "export-of-no-outcome": after_a_run("export", "nightly", "--only", "lost"),
    "export-to-no-table": after_a_run("export", "nightly", "-o", "out.xlsx"),
    "init-over-a-job-file": job_file_of_init,
    "sandbox-for-others": line("sandbox", "--host", "0.0.0.0"),
}
