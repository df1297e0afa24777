"""What stands of a run's rows: from the ledger, with the evidence of the outcomes, of the plan, or without any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchpost.errors import UsageError
from batchpost.ledger import Ledger
from batchpost.ledgerrows import Fold, RunRecord, Uncertain
from batchpost.lookback import Found
from batchpost.outcomes import OUTCOME_COLUMNS
from batchpost.places import Places
from batchpost.resolutions import Resolutions
from batchpost.standing import File, Standing, money_of, standing_of, told_rows

FILES = [{"path": "in/a.csv", "rows": 3}, {"path": "in/b.csv", "rows": 2}]
STARTED = 1_750_000_000.0


def key(number: int) -> bytes:
    return bytes([number]) * 16


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """One of real runs: r1 left rows 2 and 4 (from 0) of two files without a known end."""
    with closing(Ledger.open(tmp_path / "ledger.db")) as ledger:
        for run_id in ("r1", "r2"):
            results = str(tmp_path / "results")
            record = RunRecord(run_id, 0, "job", "finished", "", (), "global-event", False, results, STARTED)
            ledger.begin_run(record)
        doubts = [Uncertain(key(row), key(9), row, b"s", f"{row}.50") for row in (2, 4)]
        ledger.fold("r1", 1, [Fold.of([], [], doubts, [])])
        yield ledger


def found(ledger: Ledger, run_id: str = "r1") -> Found:
    record = next(record for record in ledger.runs() if record.run_id == run_id)
    return Found(record, Places(ledger.path, Path(record.results), record.test))


def write_results(ledger: Ledger, run_id: str = "r1", **summary: Any) -> None:
    """A summary and outcomes: five rows, lead t0 to t4, two of them without a known end."""
    folder = found(ledger, run_id).folder
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"source": FILES, **summary}))
    rows = [("in/a.csv", 1), ("in/a.csv", 2), ("in/a.csv", 3), ("in/b.csv", 1), ("in/b.csv", 2)]
    entries: list[dict[str, str]] = []
    for number, (source, row) in enumerate(rows):
        unsure = number in (2, 4)
        told = {
            "source": source,
            "row": str(row),
            "line": str(row + 1),
            "transaction_id": f"t{number}",
            "event_id": "sale",
            "outcome": "unknown" if unsure else "delivered",
            "amount": f"{number}.50",
            "reason": "timeout" if unsure else "conversion",
            "attempts": "1",
        }
        entries.append({name: told.get(name, "") for name in OUTCOME_COLUMNS})
    pl.DataFrame(entries).write_csv(folder / "outcomes.csv")


def of_run(ledger: Ledger, run_id: str = "r1") -> Standing:
    return standing_of(ledger, found(ledger, run_id))


def test_rows_without_a_known_end_come_with_the_evidence_of_the_outcomes(ledger: Ledger) -> None:
    write_results(ledger)
    standing = of_run(ledger)
    assert (standing.open, standing.due, standing.gone) == ([2, 4], (), False)
    names = ("number", "source", "row", "line", "transaction_id", "amount", "outcome", "reason", "attempts")
    assert [tuple(row[name] for name in names) for row in standing.rows([2, 4])] == [
        (2, "in/a.csv", 3, 4, "t2", "2.50", "unknown", "timeout", 1),
        (4, "in/b.csv", 2, 3, "t4", "4.50", "unknown", "timeout", 1),
    ]
    assert standing.frame.height == 2


def test_without_outcomes_the_ledger_and_the_summary_tell_what_they_know(ledger: Ledger) -> None:
    write_results(ledger)
    (found(ledger).folder / "outcomes.csv").unlink()
    standing = of_run(ledger)
    assert standing.gone
    [first, second] = standing.rows(standing.open)
    assert (first["source"], first["row"], first["amount"], first["transaction_id"]) == ("in/a.csv", 3, "2.50", None)
    assert (second["source"], second["row"], second["outcome"]) == ("in/b.csv", 2, None)


def test_without_any_results_rows_are_known_by_their_number(ledger: Ledger) -> None:
    standing = of_run(ledger)
    assert (standing.gone, standing.files) == (True, [File("", 0, 0)])
    assert [(row["row"], row["amount"]) for row in standing.rows(standing.open)] == [(3, "2.50"), (5, "4.50")]
    assert [standing.place(number) for number in standing.open] == ["3", "5"]


def test_damaged_outcomes_are_as_good_as_none(ledger: Ledger) -> None:
    write_results(ledger)
    (found(ledger).folder / "outcomes.csv").write_bytes(b"source,row\n\xff\xfe,1,2\n")
    assert of_run(ledger).gone


def test_a_row_is_named_as_shortly_as_it_can_be(ledger: Ledger) -> None:
    write_results(ledger)
    standing = of_run(ledger)
    assert [standing.place(number) for number in range(5)] == ["a.csv:1", "a.csv:2", "a.csv:3", "b.csv:1", "b.csv:2"]
    assert (standing.row_of("r1", 4), standing.row_of("r2", 0)) == ("row b.csv:2", "row 1 of r2")
    assert standing.row_of("unheard of", 0) == "row a.csv:1 of unheard of"
    other = of_run(ledger, "r2")
    assert other.row_of("r1", 4) == "row b.csv:2 of r1"
    twice = Standing(standing.run, [File("x/a.csv", 0, 1), File("y/a.csv", 1, 1)], standing.frame, {}, {}, {})
    assert [twice.place(number) for number in (0, 1)] == ["x/a.csv:1", "y/a.csv:1"]


def test_rows_that_wait_for_another_run_know_for_which(ledger: Ledger) -> None:
    resolutions = Resolutions(ledger)
    resolutions.wait_for("r2", [(0, key(2), b""), (1, key(4), b"")])
    standing = of_run(ledger, "r2")
    assert standing.open == [0, 1]
    assert [(doubt.run_id, doubt.row) for doubt in standing.waits_for(0)] == [("r1", 2)]
    assert of_run(ledger).waits_for(2) == []
    assert [row["amount"] for row in standing.rows([0])] == [None], "what the other run sent is not this row's money"


def test_what_was_decided_is_told_with_what_became_of_it(ledger: Ledger) -> None:
    write_results(ledger)
    resolutions = Resolutions(ledger, lambda: STARTED)
    first, second = (doubt for _, doubt in resolutions.doubts_of("r1"))
    resolutions.decide([first], "resend", "they cannot tell")
    resolutions.decide([second], "ignored", "")
    standing = of_run(ledger)
    assert (standing.open, standing.due) == ([], (2,))
    assert {number: [one.action for one in log] for number, log in standing.decided.items()} == {
        2: ["resend"],
        4: ["ignored"],
    }
    assert standing.rows([2])[0]["transaction_id"] == "t2"


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"number": [0, 4]}, [0, 4]),
        ({"transaction_id": ["t3", "t1", "none"]}, [1, 3]),
        ({"transaction_id": ["t3", "t1"], "event_id": ["sale", "other"]}, [3]),
        ({"transaction_id": ["t3", "t1"], "event_id": [None, "sale"]}, [1, 3]),
        ({"transaction_id": ["t3", "t4"], "source": ["in/b.csv"] * 2, "row": ["1", "1"]}, [3]),
        ({"reason": ["timeout"]}, [2, 4]),
    ],
)
def test_rows_of_the_outcomes_are_found_by_whatever_is_known_of_them(
    ledger: Ledger, wanted: dict[str, list[Any]], numbers: list[int]
) -> None:
    write_results(ledger)
    run = found(ledger)
    files = of_run(ledger).files
    given = pl.DataFrame({**wanted, "entry": range(len(next(iter(wanted.values()))))})
    told = told_rows(run, files, given)
    assert told["number"].to_list() == numbers
    assert told.columns[-1] == "entry"


def test_rows_of_outcomes_that_are_not_there_are_not_found(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="no outcomes of this run"):
        told_rows(found(ledger), [File("", 0, 0)], pl.DataFrame({"number": [1]}))


def test_money_is_added_exactly_and_none_where_there_is_none() -> None:
    assert money_of([{"amount": "0.10"}, {"amount": "0.20"}, {"amount": None}, {}]) == Decimal("0.30")
    assert money_of([{"amount": None}]) is None
    assert money_of([]) is None
