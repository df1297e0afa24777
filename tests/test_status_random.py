"""Random histories: what ``status`` says agrees with what the platform did, and with a simple model of the rules."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from batchpost.jobends import Rules, how_rows_stand
from batchpost.jobruns import job_runs
from batchpost.named import named_job
from batchpost.rowends import Ends, run_ends
from tests.histories import History, status_of
from tests.statusmodel import Count, modelled
from tests.workspaces import Workspace, sandbox, write_csv


@pytest.mark.parametrize("seed", range(4))
def test_what_is_in_is_what_the_platform_took(tmp_path: Path, seed: int) -> None:
    """Whoever is asked about a row without a known end tells the truth. Then a row is in just if the platform took its
    lead's event, with the amount that it took; and at no time is more said to be in than that."""
    with sandbox(accept_any=False, leads=write_csv(tmp_path / "leads.csv", {"transaction_id": ["none"]})) as (
        server,
        _,
    ):
        history = History(Workspace(tmp_path, server.base_url), server, Random(seed))
        steps = [
            *[history.night] * 5,
            history.again,
            history.crash,
            history.learn,
            *[history.mend] * 2,
            *[history.retry] * 3,
        ]
        for _ in range(14):
            history.random.choice(steps)()
            never_too_much(history)
            if history.random.random() < 0.5:
                history.settle(history.was_fired)
                never_too_much(history)
        history.settle(history.was_fired)
        exactly(history)


def never_too_much(history: History) -> None:
    fired = history.fired()
    for file in status_of(history.workspace).answer.files:
        rows = history.files.get(file.name)
        taken = [lead for lead in rows["Lead"] if lead in fired] if rows else []
        assert file.sum.rows["in"] <= len(taken), (file.name, history.log)


def exactly(history: History) -> None:
    fired = history.fired()
    assert all(len(amounts) == 1 for amounts in fired.values()), history.log
    status = status_of(history.workspace)
    assert status.answer.sum.rows["unknown"] == 0, history.log
    for file in status.answer.files:
        if file.name in history.files:
            taken = [amount for lead in history.files[file.name]["Lead"] for amount in fired.get(lead, ())]
            assert (file.sum.rows["in"], file.sum.money["in"]) == (len(taken), sum(map(Decimal, taken))), (
                file.name,
                history.log,
            )
            assert file.sum.read == len(history.files[file.name]["Lead"])


@pytest.mark.parametrize("route", ["global-event", "update-lead"])
@pytest.mark.parametrize("seed", range(3))
def test_the_numbers_are_those_of_a_simple_model(tmp_path: Path, seed: int, route: str) -> None:
    """Anything may be said of rows without a known end, events are taken back, outcomes are deleted, links are
    spoilt."""
    with sandbox(accept_any=False, leads=write_csv(tmp_path / "leads.csv", {"transaction_id": ["none"]})) as (
        server,
        _,
    ):
        history = History(Workspace(tmp_path, server.base_url), server, Random(seed), route=route, spoils=True)
        steps = [*[history.night] * 5, *[history.again] * 2, history.crash, history.learn, *[history.mend] * 3]
        steps += [*[history.retry] * 3, history.void, lambda: history.settle(history.anything)]
        for step in range(16):
            history.random.choice(steps)()
            if step == 10:
                history.forget()
            agrees(history)


def agrees(history: History) -> None:
    named = named_job("job.toml", history.workspace.folder, history.workspace.environ, history.workspace.folder)
    told = job_runs(named.at, named.name)
    runs = [run_ends(record, named.at, number) for number, record in enumerate(told.records)]
    expected = modelled(runs, told.decisions, is_event=history.route != "update-lead")
    found = {}
    for file in status_of(history.workspace).answer.files:
        counts: Count = {}
        for part in file.parts:
            kind = (part.kind, "") if part.kind in ("in", "skipped") else (part.outcome, part.reason)
            rows, money = counts.get(kind, (0, Decimal(0)))
            counts[kind] = (rows + part.rows, money + part.amount)
        found[file.sha256] = counts
    assert found == expected, history.log
    rules = Rules(is_event=history.route != "update-lead")
    reader = Ends(runs, is_event=rules.is_event)
    tallies = [how_rows_stand(runs, told.decisions, reader, rules, held=held).tally for held in (0, 1_000)]
    assert sorted(tallies[0].rows()) == sorted(tallies[1].rows()), history.log
