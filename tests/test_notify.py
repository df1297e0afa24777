from __future__ import annotations

import json
import re
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchpost.ending import Ending
from batchpost.job import Job
from batchpost.notify import AGAIN, ENDS, FRESH, HURRIED, Notifier, Told, event_of, message_of, recall, remember
from batchpost.webhook import WITHIN, Webhook
from tests.jobtexts import job_text, load

PAGE = (Path(__file__).parent.parent / "docs" / "monitoring.md").read_text(encoding="utf-8")
NOW = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC
HOUR = 3_600.0
SUMMARY: dict[str, Any] = {
    "run_id": "20261118T110640000-00ff",
    "test": False,
    "state": "finished",
    "stopped_by": None,
    "exit_code": 1,
    "message": "",
    "rows": {"read": 1_204, "delivered": 1_199, "rejected": 4, "invalid": 1},
    "reasons": {"conversion": 1_199, "lead_not_found": 3, "not_a_number": 1, "refused": 1, "otherwise": 0},
    "money": {"revenue": {"read": "214310.50", "delivered": "213905.00", "rejected": "405.50", "invalid": "0.00"}},
    "source": [{"path": "in.csv", "sha256": "aa"}],
    "outstanding": {},
    "started_at": "2026-11-18T11:06:00Z",
    "finished_at": "2026-11-18T11:06:40Z",
    "duration_s": 40.0,
    "next": "batchpost run /srv/jobs/nightly.toml --source /srv/results/nightly/R/to_fix.csv",
}


def job_of(folder: Path, on: str = "", base_url: str = "https://api.pingtree.com") -> Job:
    notify = f'webhook = "env:HOOK"\n{on}'
    return load(folder, job_text(top='name = "nightly"', api=f'base_url = "{base_url}"', notify=notify))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return job_of(tmp_path)


def ended(job: Job, code: int, at: float = NOW, message: str = "", **more: Any) -> Ending:
    """An end with a summary of the run where it went through, without one otherwise."""
    if code in (0, 1, 3) and "summary" not in more:
        more["summary"] = {**SUMMARY, "exit_code": code, "rows": {"read": 2, "delivered": 2 - code, "rejected": code}}
    return Ending(job, code, message, "batchpost run /srv/jobs/nightly.toml", at - 40, at, **more)


@dataclass
class Channel:
    """A webhook, what it was told, and whether it takes anything at the moment."""

    folder: Path
    takes: bool = True
    address: str = "https://hooks.example.com/s3cret"
    told: list[dict[str, Any]] = field(default_factory=list)

    def _reply(self, request: httpx.Request) -> httpx.Response:
        if self.takes:
            self.told.append(json.loads(request.content))
        return httpx.Response(200 if self.takes else 404)

    @property
    def memory(self) -> Path:
        return self.folder / "ledger-told" / "nightly.json"

    @property
    def events(self) -> list[tuple[str, int]]:
        return [(message["event"], message["exit_code"]) for message in self.told]

    def notifier(self) -> Notifier:
        hook = Webhook("env:HOOK", self.address, {}, way=lambda url: httpx.MockTransport(self._reply))
        return Notifier(hook, self.memory, host=lambda: "uploads-1")

    def tell(self, *endings: Ending) -> list[tuple[str | None, str]]:
        """Each by a program of its own."""
        return [self.notifier().tell(ending) for ending in endings]


@pytest.fixture
def channel(tmp_path: Path) -> Channel:
    return Channel(tmp_path)


# -- which ends are told ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "unattended", "attended"),
    [
        (0, False, False),
        (1, True, True),
        (2, True, False),
        (3, True, True),
        (4, True, True),
        (5, True, False),
        (6, False, False),
        (66, True, False),
        (69, True, True),
        (70, True, True),
        (75, False, False),
        (130, True, False),
        (143, True, True),
    ],
)
def test_failures_are_told_and_what_somebody_reads_anyway_is_not(
    job: Job, channel: Channel, code: int, unattended: bool, attended: bool
) -> None:
    channel.tell(ended(job, code, attended=True))
    assert channel.events == ([("failure", code)] if attended else [])
    channel.memory.unlink(missing_ok=True)
    channel.told.clear()
    channel.tell(ended(job, code))
    assert channel.events == ([("failure", code)] if unattended else [])


def test_every_exit_code_of_the_contract_has_its_words() -> None:
    page = (Path(__file__).parent.parent / "README.md").read_text()
    table = page.partition("## Exit codes")[2].partition("\n## ")[0]
    codes = {int(code) for cell in re.findall(r"(?m)^\| ([\d, ]+) \|", table) for code in cell.split(",")}
    assert codes == set(ENDS)


def test_the_first_good_end_after_a_failure_is_told_once(job: Job, channel: Channel) -> None:
    channel.tell(*(ended(job, code, NOW + at) for at, code in enumerate((0, 4, 6, 75, 0, 0))))
    assert channel.events == [("failure", 4), ("recovery", 0)]


def test_the_same_failure_is_told_again_after_some_hours_only(job: Job, channel: Channel) -> None:
    times = (0, 300, AGAIN - 1, AGAIN, AGAIN + 300, 2 * AGAIN)
    channel.tell(*(ended(job, 69, NOW + at, "The platform is away for 12 minutes") for at in times))
    assert len(channel.told) == 3


def test_another_failure_is_told_at_once_and_the_one_before_is_not_forgotten(job: Job, channel: Channel) -> None:
    codes = (69, 4, 69, 4, 70, 69)
    channel.tell(*(ended(job, code, NOW + at * 60) for at, code in enumerate(codes)))
    assert channel.events == [("failure", 69), ("failure", 4), ("failure", 70)]


def test_after_a_recovery_the_same_failure_is_news(job: Job, channel: Channel) -> None:
    channel.tell(*(ended(job, code, NOW + at) for at, code in enumerate((4, 0, 4, 0))))
    assert channel.events == [("failure", 4), ("recovery", 0)] * 2


@pytest.mark.parametrize(
    ("change", "is_news"),
    [
        ({"run_id": "20261118T120000000-0a0a", "duration_s": 3.0}, False),
        ({"rows": {"read": 1_204, "already_delivered": 1_199, "rejected": 4, "invalid": 1}}, False),
        ({"rows": {"read": 1_204, "delivered": 1_198, "rejected": 5, "invalid": 1}}, True),
        ({"source": [{"path": "in.csv", "sha256": "bb"}]}, True),
        ({"expected": ["rows: 7 are fewer than 10"]}, True),
    ],
)
def test_troubles_are_the_same_if_input_and_rows_are(
    job: Job, channel: Channel, change: dict[str, Any], is_news: bool
) -> None:
    for minute, summary in enumerate((SUMMARY, {**SUMMARY, **change})):
        channel.tell(ended(job, 1, NOW + minute * 60, summary=summary))
    assert len(channel.told) == 1 + is_news


@pytest.mark.parametrize(
    ("first", "second", "is_news"),
    [
        ("30 of 200 rows failed: stopped", "41 of 260 rows failed: stopped", False),
        ("the run 20261118T110640000-00ff is damaged", "the run 20261119T110640000-0a0a is damaged", False),
        ("there is no token", "there is no ledger", True),
    ],
)
def test_numbers_and_ids_make_no_other_failure(
    job: Job, channel: Channel, first: str, second: str, is_news: bool
) -> None:
    channel.tell(ended(job, 4, NOW, first), ended(job, 4, NOW + 60, second))
    assert len(channel.told) == 1 + is_news


def test_stops_are_the_same_by_their_cause(job: Job, channel: Channel) -> None:
    for minute, (cause, sent) in enumerate([("unauthorized", 5), ("unauthorized", 90), ("redirect", 5)]):
        summary = {**SUMMARY, "state": "stopped", "stopped_by": cause, "rows": {"read": 100, "delivered": sent}}
        channel.tell(ended(job, 4, NOW + minute * 60, f"{sent} sent", summary=summary))
    assert [message["stopped_by"] for message in channel.told] == ["unauthorized", "redirect"]


@pytest.mark.parametrize(
    ("code", "hours", "told"), [(0, 1, 0), (1, 3, 0), (3, 19, 0), (0, 24, 1), (4, 1, 1), (6, 1, 1)]
)
def test_no_new_input_is_a_failure_only_where_none_was_gone_through_lately(
    job: Job, channel: Channel, code: int, hours: float, told: int
) -> None:
    """The lines of a crontab that repeat a nightly run find no new file once the first has sent it."""
    channel.tell(ended(job, code, NOW - hours * HOUR))
    channel.told.clear()
    channel.tell(ended(job, 66, NOW, "Every file was finished before"))
    assert channel.events == [("failure", 66)] * told
    assert FRESH < 24 * HOUR


def test_a_clock_that_was_set_back_silences_nothing(job: Job, channel: Channel) -> None:
    channel.tell(ended(job, 4, NOW + 48 * HOUR), ended(job, 4, NOW))
    assert len(channel.told) == 2


# -- whom the job wants told -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "events"),
    [
        ('on = ["failure"]', [("failure", 4), ("failure", 4)]),
        ('on = ["recovery"]', [("recovery", 0)]),
        (
            'on = "always"',
            [("failure", 4), ("failure", 4), ("recovery", 0), ("finished", 0), ("finished", 75), ("failure", 4)],
        ),
    ],
)
def test_what_is_told_is_what_the_job_asks_for(
    tmp_path: Path, channel: Channel, on: str, events: list[tuple[str, int]]
) -> None:
    job = job_of(tmp_path, on)
    channel.tell(*(ended(job, code, NOW + at) for at, code in enumerate((4, 4, 0, 0, 75, 4))))
    assert channel.events == events


# -- what is remembered ----------------------------------------------------------------------------------------------


def test_what_could_not_be_told_is_told_by_the_next_run(job: Job, channel: Channel) -> None:
    channel.takes = False
    assert channel.tell(ended(job, 4)) == [(None, "env:HOOK could not be told: HTTP 404")]
    channel.takes = True
    assert channel.tell(ended(job, 4, NOW + 60)) == [("failure", "")]
    channel.takes = False
    channel.tell(ended(job, 0, NOW + 120))
    channel.takes = True
    channel.tell(ended(job, 0, NOW + 180))
    assert channel.events == [("failure", 4), ("recovery", 0)]


def test_a_failure_that_nobody_was_told_of_has_no_recovery(job: Job, channel: Channel) -> None:
    channel.takes = False
    channel.tell(ended(job, 4))
    channel.takes = True
    channel.tell(ended(job, 0, NOW + 60))
    assert channel.told == []


def test_the_memory_is_private_and_says_nothing_of_the_failure(job: Job, channel: Channel) -> None:
    channel.tell(ended(job, 5, message="in.csv, line 7: is torn"))
    assert stat.S_IMODE(channel.memory.stat().st_mode) == 0o600
    assert stat.S_IMODE(channel.memory.parent.stat().st_mode) == 0o700
    assert "torn" not in channel.memory.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"failures": 5}', '{"failures": {"a": "b"}}', '{"failures": {}}'])
def test_a_memory_that_is_no_more_is_as_none(job: Job, channel: Channel, text: str) -> None:
    remember(channel.memory, Told())
    channel.memory.write_text(text)
    assert recall(channel.memory) == Told()
    channel.tell(ended(job, 4))
    assert channel.events == [("failure", 4)]
    assert recall(channel.memory).exit_code == 4


def test_without_a_ledger_every_failure_is_told(job: Job, channel: Channel) -> None:
    notifier = replace(channel.notifier(), memory=None)
    assert [notifier.tell(ended(job, 2, NOW + at))[0] for at in (0, 60)] == ["failure", "failure"]
    assert not channel.memory.parent.exists()


# -- what is said ----------------------------------------------------------------------------------------------------


def test_a_failure_is_four_plain_lines_and_the_same_as_fields(job: Job) -> None:
    ending = replace(ended(job, 1, summary=SUMMARY), next=SUMMARY["next"])
    message = message_of(ending, "failure", Told(), "uploads-1")
    assert (
        message.pop("text")
        == """\
nightly finished, but some rows did not get through as they should. Exit code 1, on uploads-1
1,204 rows: 1,199 delivered (213,905.00), 1 invalid, 4 rejected (405.50); 3 lead_not_found, 1 refused, 1 not_a_number
Next: batchpost run /srv/jobs/nightly.toml --source /srv/results/nightly/R/to_fix.csv"""
    )
    assert message == {
        "event": "failure",
        "job": "nightly",
        "run_id": SUMMARY["run_id"],
        "test": False,
        "exit_code": 1,
        "state": "finished",
        "stopped_by": None,
        "message": "",
        "rows": SUMMARY["rows"],
        "money": SUMMARY["money"],
        "reasons": SUMMARY["reasons"],
        "next": SUMMARY["next"],
        "started_at": "2026-11-18T11:06:00Z",
        "finished_at": "2026-11-18T11:06:40Z",
        "duration_s": 40.0,
        "host": "uploads-1",
    }


def test_a_command_without_a_run_has_its_own_times(job: Job) -> None:
    message = message_of(ended(job, 66, message="there is no in.csv"), "failure", Told(), "h")
    assert (
        message["text"]
        == """\
nightly found no input. Exit code 66, on h
there is no in.csv
Next: batchpost run /srv/jobs/nightly.toml"""
    )
    assert (message["started_at"], message["finished_at"]) == ("2026-11-18T11:06:00Z", "2026-11-18T11:06:40Z")
    assert (message["run_id"], message["state"], message["duration_s"], message["rows"]) == (None, None, 40.0, {})


def test_a_recovery_says_from_what_and_what_still_waits(job: Job) -> None:
    summary = {**SUMMARY, "rows": {"read": 1, "delivered": 1}, "reasons": {}, "outstanding": {"R1": 2, "R2": 1}}
    ending = ended(job, 0, summary=summary)
    told = Told({"x": NOW - 86_400}, exit_code=4)
    assert message_of(ending, "recovery", told, "h")["text"].splitlines() == [
        "nightly ended well after exit code 4 (2026-11-17 11:06:40 UTC). Exit code 0, on h",
        "1 row: 1 delivered (213,905.00)",
        "3 rows of earlier runs without a known end: batchpost resolve R1, batchpost resolve R2",
    ]


def test_a_test_says_so(tmp_path: Path, job: Job) -> None:
    here = job_of(tmp_path, base_url="http://127.0.0.1:9")
    for ending in (ended(here, 4), ended(job, 1, summary={**SUMMARY, "test": True})):
        message = message_of(ending, "failure", Told(), "h")
        assert (message["test"], message["text"].startswith("nightly (a test) ")) == (True, True)


def test_two_kinds_of_money_are_named_and_what_was_expected_is_the_message(job: Job) -> None:
    money = {"revenue": {"delivered": "1.50"}, "amount": {"delivered": "1200.00"}}
    expected = ["rows: 2 are fewer than 10", "revenue: 1.50 is less than 50.00"]
    summary = {**SUMMARY, "rows": {"read": 2, "delivered": 2}, "reasons": {}, "money": money, "expected": expected}
    message = message_of(ended(job, 1, summary=summary), "failure", Told(), "h")
    assert message["message"] == "; ".join(expected)
    assert message["text"].splitlines()[1:3] == [
        "; ".join(expected),
        "2 rows: 2 delivered (revenue 1.50, amount 1,200.00)",
    ]


def test_nothing_in_a_text_wakes_a_channel_or_begins_a_line(job: Job) -> None:
    hostile = "exports/<!channel>@here\n<https://evil.example|click>\x1b[2J\udcff.csv: is torn"
    message = message_of(ended(job, 5, message=hostile), "failure", Told(), "h")
    assert not set("<>@\x1b") & set(message["text"])
    assert len(message["text"].splitlines()) == 3
    assert "\x1b" not in message["message"]
    assert "\n" not in message["message"]
    assert json.dumps(message, ensure_ascii=False).encode(), "a name that is no text is as good as any"


def test_many_mistakes_are_one_line_that_has_an_end(job: Job) -> None:
    mistakes = "\n".join(f"job.toml:{line}: fields.x: is no field" for line in range(100))
    message = message_of(ended(job, 2, message=mistakes), "failure", Told(), "h")
    assert message["message"].startswith("job.toml:0: fields.x: is no field; job.toml:1: ")
    assert (len(message["message"]), message["message"][-1]) == (500, "…")


def test_google_chat_gets_what_it_takes(job: Job, channel: Channel) -> None:
    channel.address = "https://chat.googleapis.com/v1/spaces/x/messages?key=a&token=b"
    channel.tell(ended(job, 4))
    assert [[*message] for message in channel.told] == [["text"]]


# -- what the page says ----------------------------------------------------------------------------------------------


def test_the_page_tells_which_ends_are_failures_as_the_code_decides(job: Job) -> None:
    table = PAGE.partition("| exit code | a failure |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    told = {int(code): words.strip() for codes, words in rows for code in codes.split(",")}
    words = {
        (True, True): "yes",
        (True, False): "yes, unless a person at a terminal reads it anyway",
        (False, False): "no",
    }
    decided = {
        code: words[
            event_of(ended(job, code), Told()) == "failure",
            event_of(ended(job, code, attended=True), Told()) == "failure",
        ]
        for code in ENDS
    }
    assert told == decided


def test_the_page_shows_a_message_as_it_is(job: Job) -> None:
    example = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
    message = message_of(ended(job, 1, summary=SUMMARY), "failure", Told(), "uploads-1")
    assert [*example] == [*message]
    assert {name: type(value) for name, value in example.items()} == {
        name: type(value) for name, value in message.items()
    }
    [shown, _] = re.findall(r"```text\n(.*?)\n```", PAGE, re.DOTALL)
    assert shown.splitlines()[0] == example["text"].splitlines()[0]
    assert shown.splitlines()[:2] == [
        line.replace("nightly ", "nightly-conversions ") for line in message["text"].splitlines()[:2]
    ]


def test_the_page_has_the_times_of_the_code() -> None:
    for said in (
        f"only after {AGAIN / HOUR:g} hours",
        f"in the last {FRESH / HOUR:g} hours",
        f"within {WITHIN:g} seconds",
        f"({HURRIED:g} seconds after a signal",
    ):
        assert said in PAGE
