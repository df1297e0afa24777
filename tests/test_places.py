from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchpost.errors import LedgerError
from batchpost.places import Places, open_ledger, places, read_summary, summaries
from tests.jobtexts import job_text, load


def at(folder: Path, **tables: str) -> Places:
    return places(load(folder, job_text(**tables)), {})


def write_summary(results: Path, run_id: str, **summary: Any) -> None:
    folder = results / run_id
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"run_id": run_id, "test": False, **summary}))


def test_places_are_beside_the_ledger_and_the_results_by_job(tmp_path: Path) -> None:
    found = at(tmp_path, ledger='url = "sqlite:state/sent.db"', results='directory = "out"')
    assert found == Places(tmp_path / "state" / "sent.db", tmp_path / "out" / "job", test=False)
    assert found.locks == tmp_path / "state" / "sent-locks"
    assert found.run("r1") == tmp_path / "state" / "sent-runs" / "r1"


@pytest.mark.parametrize("host", ["http://127.0.0.1:8765", "http://localhost", "http://[::1]:80"])
def test_a_loopback_origin_has_a_ledger_of_its_own(tmp_path: Path, host: str) -> None:
    test, real = at(tmp_path, api=f'base_url = "{host}"'), at(tmp_path)
    assert test.test
    assert not real.test
    assert test.ledger.name == "ledger-test.db"
    assert {test.locks, test.run("r")}.isdisjoint({real.locks, real.run("r")})


def test_summaries_come_newest_first_and_tests_apart(tmp_path: Path) -> None:
    write_summary(tmp_path, "20260101T000000000-aaaa")
    write_summary(tmp_path, "20260102T000000000-aaaa", test=True)
    write_summary(tmp_path, "20260103T000000000-aaaa")
    (tmp_path / "20260104T000000000-aaaa").mkdir()
    assert [found["run_id"][:8] for found in summaries(tmp_path, test=False)] == ["20260103", "20260101"]
    assert [found["run_id"][:8] for found in summaries(tmp_path, test=True)] == ["20260102"]
    assert list(summaries(tmp_path / "none", test=True)) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff"])
def test_a_summary_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text, errors="surrogateescape")
    assert read_summary(tmp_path) is None
    assert read_summary(tmp_path / "none") is None


def known(found: Places, run_id: str = "r1") -> None:
    """Results that rest on the ledger as it is."""
    ledger = open_ledger(found, must_exist=False, new_ledger=True)
    write_summary(found.results, run_id, ledger={"id": ledger.id, "generation": ledger.generation})
    ledger.close()


def test_the_ledger_of_the_results_is_opened_and_a_newer_generation_of_it_is_fine(tmp_path: Path) -> None:
    found = at(tmp_path)
    known(found)
    ledger = open_ledger(found, must_exist=True, new_ledger=False)
    ledger.finish_contents([])
    generation = ledger.generation
    ledger.close()
    again = open_ledger(found, must_exist=False, new_ledger=False)
    assert again.generation == generation == 1
    again.close()


def test_results_that_rest_on_a_ledger_that_is_gone_do_not_let_a_new_one_be_made(tmp_path: Path) -> None:
    found = at(tmp_path)
    known(found)
    found.ledger.unlink()
    with pytest.raises(LedgerError, match=r"the ledger is gone.*--new-ledger"):
        open_ledger(found, must_exist=False, new_ledger=False)
    assert not found.ledger.exists()
    open_ledger(found, must_exist=True, new_ledger=True).close()
    with pytest.raises(LedgerError, match="not the ledger that the results"):
        open_ledger(found, must_exist=False, new_ledger=False)


def test_a_ledger_older_than_the_results_is_refused(tmp_path: Path) -> None:
    found = at(tmp_path)
    known(found)
    ledger = open_ledger(found, must_exist=True, new_ledger=False)
    write_summary(found.results, "r2", ledger={"id": ledger.id, "generation": ledger.generation + 1})
    ledger.close()
    with pytest.raises(LedgerError, match="older than the results"):
        open_ledger(found, must_exist=False, new_ledger=False)


def test_results_of_tests_say_nothing_of_the_real_ledger(tmp_path: Path) -> None:
    found = at(tmp_path)
    write_summary(found.results, "r1", test=True, ledger={"id": "another", "generation": 9})
    open_ledger(found, must_exist=False, new_ledger=False).close()
    assert found.ledger.exists()
