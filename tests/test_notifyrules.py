from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobtexts import HERE, job_text, load, marked, mistakes_of

SECRET = "https://hooks.example.com/services/T0/s3cret"


@pytest.mark.parametrize(
    ("lines", "place", "message", "hint"),
    [
        (f'webhook = "{SECRET}" {HERE}', "notify.webhook", "never the address itself", "env:ITS_NAME"),
        (f'webhook = "" {HERE}', "notify.webhook", "must be env:NAME, file:PATH or credential:NAME", "env:"),
        (f'webhook = "env:A"\non = [] {HERE}', "notify.on", "is empty", "always"),
        (f'webhook = "env:A"\non = "never" {HERE}', "notify.on", "must be", ""),
        (f'webhook = "env:A"\non = ["failed"] {HERE}', "notify.on", "must be one of failure, recovery", "failure"),
        (f'webhok = "env:A" {HERE}\non = "always"', "notify.webhok", "is not a key", "webhook"),
        (f'webhook = 5 {HERE}\non = "always"', "notify.webhook", "must be text in quotes", ""),
    ],
)
def test_a_mistake_is_named_with_its_line_and_mend(
    tmp_path: Path, lines: str, place: str, message: str, hint: str
) -> None:
    text = job_text(notify=lines)
    [mistake] = mistakes_of(tmp_path, text)
    assert (mistake.place.startswith(place), mistake.line) == (True, marked(text))
    assert message in mistake.message
    assert hint in mistake.hint
    assert "s3cret" not in str(mistake)


def test_when_without_whom_is_a_mistake_of_the_table(tmp_path: Path) -> None:
    text = job_text(notify='on = "always"').replace("[notify]", f"[notify] {HERE}")
    [mistake] = mistakes_of(tmp_path, text)
    assert (mistake.place, mistake.line) == ("notify", marked(text))
    assert "webhook is missing" in mistake.message


@pytest.mark.parametrize("lines", ["", 'webhook = "file:secrets/hook"', 'webhook = "credential:hook"\non = "always"'])
def test_sound_tables_are_no_mistakes(tmp_path: Path, lines: str) -> None:
    assert mistakes_of(tmp_path, job_text(notify=lines)) == ()


def test_defaults_may_say_when_for_the_jobs_that_say_whom(tmp_path: Path) -> None:
    defaults = '[notify]\non = ["failure"]'
    assert mistakes_of(tmp_path, job_text(), defaults) == ()
    job = load(tmp_path, job_text(notify='webhook = "env:HOOK"'), defaults)
    assert (job.notify.webhook, job.notify.on) == ("env:HOOK", ["failure"])


def test_defaults_may_say_whom_for_all_jobs_of_a_workspace(tmp_path: Path) -> None:
    job = load(tmp_path, job_text(notify='on = "always"'), '[notify]\nwebhook = "env:HOOK"')
    assert (job.notify.webhook, job.notify.on) == ("env:HOOK", "always")
