from __future__ import annotations

from array import array
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from batchpost.model import Outcome
from batchpost.summary import Books, exit_code, next_command, percentiles, plain


def some_books(*rows: tuple[str, str, str | None]) -> Books:
    outcomes, reasons, money = zip(*rows, strict=True)
    cents = pl.Series(money, dtype=pl.String).cast(pl.Decimal(38, 9))
    books = Books()
    books.add(pl.DataFrame({"outcome": outcomes, "reason": reasons, "money_revenue": cents}))
    return books


def test_books_balance_in_rows_and_in_money_to_the_cent() -> None:
    books = some_books(
        ("delivered", "conversion", "0.10"), ("delivered", "conversion", "0.20"), ("invalid", "conflict", "1e3")
    )
    books.add(pl.DataFrame({"outcome": ["failed"], "reason": ["dropped"], "money_revenue": [Decimal("0.003")]}))
    rows = books.rows_part()
    assert rows.pop("read") == sum(rows.values()) == books.read == 4
    assert set(rows) == {outcome.value for outcome in Outcome}
    money = books.money_part()["revenue"]
    assert (money["read"], money["delivered"], money["invalid"]) == ("1000.303", "0.30", "1000.00")
    assert Decimal(money.pop("read")) == sum(map(Decimal, money.values()))
    assert books.reasons == {"conversion": 2, "conflict": 1, "dropped": 1}


def test_a_cell_without_money_counts_as_a_row_and_as_nothing_else() -> None:
    books = some_books(("skipped", "filtered", None), ("skipped", "filtered", "2"))
    assert (books.rows["skipped"], books.money_part()["revenue"]["skipped"]) == (2, "2.00")


@pytest.mark.parametrize(
    ("amount", "text"),
    [("5", "5.00"), ("5.1", "5.10"), ("1250.125", "1250.125"), ("-3", "-3.00"), ("0", "0.00"), ("1E+2", "100.00")],
)
def test_money_has_two_places_at_least(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("rows", "stops", "code"),
    [
        ([("delivered", "accepted"), ("skipped", "filtered"), ("already_delivered", "ledger")], (), 0),
        ([("invalid", "conflict")], (), 1),
        ([("rejected", "lead_not_found")], (), 1),
        ([("failed", "dropped")], (), 1),
        ([("delivered", "not_a_conversion")], (), 1),
        ([("unknown", "dropped"), ("failed", "dropped")], (), 3),
        ([("not_attempted", "limit"), ("unknown", "dropped")], (6,), 6),
        ([("not_attempted", "circuit")], (6, 69), 69),
        ([("not_attempted", "disk")], (69, 4), 4),
        ([("failed", "dropped")], (70, 4), 70),
        ([("unknown", "interrupted")], (4, 143), 143),
        ([], (143, 130), 130),
    ],
)
def test_of_all_that_holds_the_first_in_the_contracts_order_is_the_exit_code(
    rows: list[tuple[str, str]], stops: tuple[int, ...], code: int
) -> None:
    books = some_books(*((*row, None) for row in rows)) if rows else Books()
    assert exit_code(books, *stops) == code


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles(array("f", range(100, 0, -1))) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert percentiles(array("f", [3.14159])) == {"p50": 3.1, "p95": 3.1, "p99": 3.1, "max": 3.1}
    assert percentiles(array("f", [1.0, 2.0])) == {"p50": 1, "p95": 2, "p99": 2, "max": 2}
    assert percentiles(array("f")) == {}


@pytest.mark.parametrize(
    ("rows", "to_fix", "command"),
    [
        ({"delivered": 3, "failed": 0}, 0, ""),
        ({"failed": 1, "unknown": 1, "invalid": 1}, 1, "batchpost retry r1"),
        ({"unknown": 1, "invalid": 1}, 1, "batchpost resolve r1"),
        ({"invalid": 1}, 1, "batchpost run job.toml --source results/to_fix.csv"),
        ({"rejected": 1}, None, "batchpost export r1 --only invalid,rejected"),
    ],
)
def test_the_next_command_is_for_the_most_urgent_rows(rows: dict[str, int], to_fix: int | None, command: str) -> None:
    assert next_command(rows, "r1", "job.toml", Path("results"), to_fix) == command
