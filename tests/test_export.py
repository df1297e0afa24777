from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import polars.selectors as cs
import pytest

from batchpost.errors import UsageError
from batchpost.export import export_rows, outcomes_frame, picked
from batchpost.outcomes import OUTCOME_COLUMNS
from batchpost.results import CsvTable, ParquetTable, outcome_schema
from tests.workspaces import csv

ROWS = {
    "row": [1, 2, 3],
    "line": [2, None, 4],
    "transaction_id": ["=1+1", "txn", "'@x"],
    "outcome": ["delivered", "invalid", "rejected"],
    "reason": ["conversion", "not_a_date", "lead_not_found"],
    "http_status": [200, None, 400],
    "amount": ["-1.50", None, "2.00"],
    "latency_ms": [1.5, None, 2.0],
    "Notes": ["-", "", "x"],
}


@pytest.fixture(params=["csv", "parquet"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same outcomes in either form, with a column of the input."""
    frame = pl.DataFrame(ROWS)
    missing = [pl.lit(None, pl.String).alias(name) for name in OUTCOME_COLUMNS if name not in ROWS]
    frame = frame.with_columns(missing).with_columns(
        pl.col("row", "attempts").cast(pl.UInt32), pl.col("line").cast(pl.UInt64), pl.col("http_status").cast(pl.UInt16)
    )
    with (tmp_path / f"outcomes.{request.param}").open("wb") as file:
        columns = [*OUTCOME_COLUMNS, "Notes"]
        is_csv = request.param == "csv"
        table = CsvTable(file, columns, ("amount",)) if is_csv else ParquetTable(file, outcome_schema(["Notes"]), {})
        table.write(frame)
        table.close()
    return tmp_path


def test_outcomes_are_read_as_they_were_from_either_form(results: Path) -> None:
    frame = outcomes_frame(results).collect()
    for name in ("row", "line", "transaction_id", "http_status", "amount", "latency_ms"):
        assert frame[name].to_list() == ROWS[name], name
    assert frame["detail"].null_count() == 3


@pytest.mark.parametrize(
    ("only", "reasons", "rows"),
    [
        ((), (), [1, 2, 3]),
        (("invalid", "rejected"), (), [2, 3]),
        ((), ("conversion",), [1]),
        (("invalid", "rejected"), ("lead_not_found", "conversion"), [3]),
        (("failed",), (), []),
    ],
)
def test_rows_are_picked_by_outcome_and_reason(
    results: Path, only: tuple[str, ...], reasons: tuple[str, ...], rows: list[int]
) -> None:
    assert picked(outcomes_frame(results), only, reasons).collect()["row"].to_list() == rows


def test_an_outcome_that_does_not_exist_is_refused(results: Path) -> None:
    with pytest.raises(UsageError, match="there is no outcome lost; there are delivered, "):
        picked(outcomes_frame(results), ("lost",), ())


def test_csv_is_guarded_against_formulas_and_money_stays_money(results: Path) -> None:
    place = results / "some.csv"
    assert export_rows(outcomes_frame(results), place) == 3
    found = csv(place)
    assert found["transaction_id"].to_list() == ["'=1+1", "txn", "''@x"]
    assert found["Notes"].to_list() == ["'-", "", "x"]
    assert found["amount"].to_list() == ["-1.50", "", "2.00"]
    assert found["line"].to_list() == ["2", "", "4"]
    assert place.stat().st_mode & 0o777 == 0o600


def test_parquet_has_the_types_of_outcomes_and_the_text_as_it_was(results: Path) -> None:
    place = results / "some.parquet"
    assert export_rows(picked(outcomes_frame(results), ("delivered",), ()), place) == 1
    found = pl.read_parquet(place)
    assert (found.schema["row"], found.schema["http_status"]) == (pl.UInt32, pl.UInt16)
    assert found["transaction_id"].to_list() == ["=1+1"]


def test_nothing_picked_is_a_header_alone(results: Path) -> None:
    file = io.BytesIO()
    assert export_rows(picked(outcomes_frame(results), ("failed",), ()), file) == 0
    assert file.getvalue().decode() == ",".join([*OUTCOME_COLUMNS, "Notes"]) + "\n"


@pytest.mark.parametrize("name", ["some.txt", "some", "some.csv.gz"])
def test_another_ending_is_refused_and_nothing_written(results: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"must end in \.csv or \.parquet"):
        export_rows(outcomes_frame(results), results / name)
    assert not (results / name).exists()


def test_outcomes_that_somebody_damaged_are_refused_without_their_content(tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text("source,row\na,1\ncanary,2,3\n")
    with pytest.raises(UsageError, match="cannot be read as they were written") as caught:
        export_rows(outcomes_frame(tmp_path), tmp_path / "some.csv")
    assert "canary" not in str(caught.value)
    assert not (tmp_path / "some.csv").exists()


def test_results_without_outcomes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no outcomes of this run"):
        outcomes_frame(tmp_path)


def test_the_names_of_columns_are_guarded_and_come_back_as_they_were(tmp_path: Path) -> None:
    columns = [*OUTCOME_COLUMNS, "=1+1", "'-x", "plain"]
    with (tmp_path / "outcomes.csv").open("wb") as file:
        CsvTable(file, columns).write(pl.DataFrame({name: ["x"] for name in columns}))
    frame = outcomes_frame(tmp_path)
    assert frame.collect_schema().names() == columns
    export_rows(frame, tmp_path / "some.csv")
    assert (tmp_path / "some.csv").read_text().splitlines()[0].endswith(",'=1+1,''-x,plain")
    export_rows(frame, tmp_path / "some.parquet")
    assert pl.read_parquet(tmp_path / "some.parquet").columns == columns


def test_a_column_of_the_input_may_be_called_like_a_pattern(tmp_path: Path) -> None:
    frame = pl.DataFrame({**{name: [""] for name in OUTCOME_COLUMNS}, "row": ["1"], "*": ["=1"], "^r.*$": ["x"]})
    with (tmp_path / "outcomes.csv").open("wb") as file:
        CsvTable(file, frame.columns).write(frame)
    assert outcomes_frame(tmp_path).select("row", cs.by_name("*"), cs.by_name("^r.*$")).collect().row(0) == (
        1,
        "=1",
        "x",
    )
