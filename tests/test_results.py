from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchpost.job import Source
from batchpost.outcomes import OUTCOME_COLUMNS
from batchpost.results import (
    CsvTable,
    ParquetTable,
    input_names,
    link_rows,
    outcome_schema,
    to_fix_rows,
)
from batchpost.source import find_files, open_input
from tests.test_feed import a_job, planned
from tests.workspaces import csv, sale_rows


def csv_text(frame: pl.DataFrame, numbers: tuple[str, ...] = ()) -> str:
    file = io.BytesIO()
    table = CsvTable(file, frame.columns, numbers)
    table.write(frame)
    table.close()
    return file.getvalue().decode()


def outcomes(*rows: tuple[str, str]) -> pl.DataFrame:
    """Outcomes of rows 1, 2, … of ``in.csv``: (outcome, reason)."""
    names: dict[str, type[pl.DataType]] = dict.fromkeys(OUTCOME_COLUMNS, pl.String)
    names |= {"row": pl.UInt32, "line": pl.UInt64, "attempts": pl.UInt32, "http_status": pl.UInt16}
    names |= {"latency_ms": pl.Float64}
    given = [
        {"source": "in.csv", "row": n, "line": n + 1, "outcome": outcome, "reason": reason, "attempts": 1}
        for n, (outcome, reason) in enumerate(rows, 1)
    ]
    return pl.DataFrame(given, schema=names)


@pytest.mark.parametrize("cell", ["=1+1", "+49", "-5", "@x", "\tx", "'=x", " =x", "\uff1dx"])
def test_what_a_spreadsheet_would_run_is_guarded(cell: str) -> None:
    assert csv_text(pl.DataFrame({"a": [cell]})).splitlines()[1].strip('"') == f"'{cell}"
    assert csv_text(pl.DataFrame({cell: ["a"]})).splitlines()[0].strip('"') == f"'{cell}"


def test_our_own_numbers_keep_their_minus_sign() -> None:
    frame = pl.DataFrame({"note": ["-5"], "amount": ["-5"], "row": [3], "empty": pl.Series([None], dtype=pl.String)})
    assert csv_text(frame, ("amount",)) == "note,amount,row,empty\n'-5,-5,3,\n"


def test_columns_may_have_names_that_are_patterns_to_polars() -> None:
    frame = pl.DataFrame({"*": ["=1"], "^a.*$": ["b"], "a.b": ["c"]})
    assert csv_text(frame) == "*,^a.*$,a.b\n'=1,b,c\n"
    linked = link_rows(outcomes(("invalid", "not_a_number")), frame, "r1")
    assert linked.columns[:4] == ["*", "^a.*$", "a.b", "batchpost_run"]
    file = io.BytesIO()
    table = ParquetTable(file, pa.schema([(name, pa.string()) for name in frame.columns]), {})
    table.write(frame)
    table.close()
    assert pq.read_table(file).to_pylist() == [{"*": "=1", "^a.*$": "b", "a.b": "c"}]


@pytest.mark.parametrize("columns", [1, 2])
def test_a_row_of_empty_cells_reads_back_as_one(tmp_path: Path, columns: int) -> None:
    frame = pl.DataFrame({name: ["x", "", None, "x"] for name in ("a", "b")[:columns]})
    text = csv_text(frame)
    assert text.splitlines()[2] == ('""' if columns == 1 else ",")
    (tmp_path / "t.csv").write_text(text)
    assert csv(tmp_path / "t.csv").rows() == frame.fill_null("").rows()
    [reader] = open_input(find_files(Source(path="t.csv"), tmp_path), Source(path="t.csv"))
    [batch] = reader.batches()
    assert batch.frame.rows() == frame.fill_null("").rows()


def test_a_table_without_rows_has_its_header() -> None:
    assert csv_text(pl.DataFrame(schema={"a": pl.String, "b,c": pl.String})) == 'a,"b,c"\n'


def test_cells_with_quotes_commas_and_line_ends_come_back(tmp_path: Path) -> None:
    cells = ['say "hi"', "a,b", "two\nlines", "ümlaut 🎉", ""]
    (tmp_path / "t.csv").write_text(csv_text(pl.DataFrame({"a": cells, "b": ["x"] * 5})), newline="")
    assert csv(tmp_path / "t.csv")["a"].to_list() == cells


def test_parquet_outcomes_have_types_and_the_runs_facts() -> None:
    file = io.BytesIO()
    table = ParquetTable(file, outcome_schema(["City"]), {"run_id": "r1"})
    frame = outcomes(("delivered", "conversion"), ("invalid", "conflict")).with_columns(pl.lit("Rome").alias("City"))
    table.write(frame)
    table.write(frame)
    table.close()
    found = pq.read_table(file)
    assert found.schema.metadata[b"batchpost.run_id"] == b"r1"
    assert found.column_names == [*OUTCOME_COLUMNS, "City"]
    assert pl.DataFrame(found).equals(pl.concat([frame, frame]))


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["Lead", "City"], ["Lead", "City"]),
        (["row", "Lead"], ["input_row", "Lead"]),
        (["row", "input_row", "input_input_row"], ["input_input_input_row", "input_row", "input_input_row"]),
        (["Row", "input_pid"], ["Row", "input_pid"]),
    ],
)
def test_an_inputs_columns_keep_their_names_but_for_those_of_ours(columns: list[str], names: list[str]) -> None:
    assert input_names(columns) == dict(zip(columns, names, strict=True))


def test_only_rows_that_a_mend_can_help_are_to_be_fixed(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    _, [reader] = planned(job, sale_rows(6))
    [batch] = reader.batches()
    fates = outcomes(
        ("delivered", "conversion"),
        ("invalid", "not_a_number"),
        ("invalid", "conflict"),
        ("rejected", "lead_not_found"),
        ("rejected", "server_duplicate"),
        ("failed", "dropped"),
    )
    rows = to_fix_rows(fates, batch, "r1")
    assert rows.select("Lead", "batchpost_run", "batchpost_row", "batchpost_line", "batchpost_reason").rows() == [
        ("txn_00001", "r1", 2, 3, "not_a_number"),
        ("txn_00003", "r1", 4, 5, "lead_not_found"),
    ]


def test_a_row_that_mends_another_keeps_its_link_to_the_first_one() -> None:
    own = pl.DataFrame(
        {
            "Lead": ["a"],
            "batchpost_run": ["r0"],
            "batchpost_source": ["first.csv"],
            "batchpost_row": ["9"],
            "batchpost_line": ["10"],
            "batchpost_reason": ["old"],
        }
    )
    [row] = link_rows(outcomes(("invalid", "conflict")), own, "r1").rows(named=True)
    assert (row["batchpost_run"], row["batchpost_source"], row["batchpost_row"]) == ("r0", "first.csv", "9")
    assert (row["Lead"], row["batchpost_reason"]) == ("a", "conflict")
