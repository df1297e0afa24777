from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from batchpost.firstrun import MANY, is_first, question, refusal
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.places import Places
from batchpost.prepare import Prepared
from tests.jobtexts import job_text, load


@pytest.fixture
def ledger() -> Any:
    with closing(Ledger.in_memory()) as made:
        yield made


def prepared(
    folder: Path, ledger: Ledger, *, route: str = "update-lead", rows: int = MANY + 1, **facts: Any
) -> Prepared:
    """A job that is about to send so many rows to the platform; no more of it than the question looks at."""
    at = Places(folder / "ledger.db", folder / "results", facts.pop("test", False))
    plan = SimpleNamespace(to_send=rows)
    made = SimpleNamespace(
        **{"job": load(folder, job_text(route)), "at": at, "plan": plan, "ledger": ledger, "continued": False, **facts}
    )
    return cast("Prepared", made)


def ran(ledger: Ledger, results: Path, job: str = "job", sent: int | None = 5) -> None:
    """An earlier run; without a summary if nothing says what it sent."""
    record = RunRecord("R1", 0, job, "finished", "", (), "update-lead", False, str(results), 0.0)
    ledger.begin_run(record)
    if sent is not None:
        (results / "R1").mkdir(parents=True)
        (results / "R1" / "summary.json").write_text(json.dumps({"requests": {"sent": sent}}))


def test_more_than_a_thousand_updates_by_a_job_that_never_sent_any_are_a_first_run(
    tmp_path: Path, ledger: Ledger
) -> None:
    assert is_first(prepared(tmp_path, ledger))


@pytest.mark.parametrize(
    "facts", [{"rows": MANY}, {"route": "global-event"}, {"test": True}, {"continued": True}], ids=str
)
def test_few_updates_events_tests_and_runs_that_go_on_are_none(
    tmp_path: Path, ledger: Ledger, facts: dict[str, Any]
) -> None:
    assert not is_first(prepared(tmp_path, ledger, **facts))


@pytest.mark.parametrize(
    ("earlier", "first"),
    [({"sent": 1}, False), ({"sent": 0}, True), ({"sent": None}, False), ({"job": "another"}, True)],
    ids=str,
)
def test_a_job_that_has_sent_something_is_not_asked_again(
    tmp_path: Path, ledger: Ledger, earlier: dict[str, Any], first: bool
) -> None:
    ran(ledger, tmp_path / "results", **earlier)
    assert is_first(prepared(tmp_path, ledger)) == first


def test_the_question_and_the_refusal_say_how_many_and_what_may_happen(tmp_path: Path, ledger: Ledger) -> None:
    about = prepared(tmp_path, ledger, rows=12_000)
    asked, refused = question(about), str(refusal(about))
    for text in (asked, refused):
        assert "12,000 leads" in text
        assert "offer the lead to buyers once more (re-distribution)" in text
    assert asked.endswith("Send them?")
    assert refused.endswith("say so once with --yes")
    assert (refusal(about).exit_code, refusal(about).then) == (2, "{run} --yes")
