"""The committed sample files are what their generator makes, and the sample jobs are jobs."""

from __future__ import annotations

import csv
import tomllib
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from batchpost.job import Job
from batchpost.sandbox_leads import load_leads
from sample_data import generate

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "sample_data"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    generate.write_all(folder)
    return folder


@pytest.mark.parametrize("name", ["conversions.csv", "tracking.csv", "strange.csv", "leads.csv"])
def test_the_committed_tables_are_made_again_byte_for_byte(made: Path, name: str) -> None:
    assert (made / name).read_bytes() == (SAMPLES / name).read_bytes()


def test_the_committed_parquet_file_is_made_again(made: Path) -> None:
    """Its bytes also hold the version of the library that wrote them, so the rows are compared."""
    committed = pq.read_table(SAMPLES / "enrichment.parquet")
    assert committed.schema.equals(generate.ENRICHMENT_SCHEMA)
    assert pq.read_table(made / "enrichment.parquet").equals(committed)


@pytest.mark.parametrize("kind", ["conversions", "tracking", "strange", "leads", "enrichment"])
def test_a_seed_makes_one_file_and_another_seed_another(tmp_path: Path, kind: str) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        generate.write(kind, 50, seed, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_a_conversion_file_is_sound_csv_with_the_mess_that_it_promises() -> None:
    with (SAMPLES / "conversions.csv").open(encoding="utf-8", newline="") as file:
        header, *rows, totals = csv.reader(file, strict=True)
    assert len(rows) == generate.CONVERSIONS
    assert {len(row) for row in rows} == {len(header)}
    assert totals[0] == "TOTAL"
    assert rows[120] == [""] * 7
    assert rows[47] in rows[:47]
    assert [row[0] for row in rows].count(rows[83][0]) == 2
    assert [rows[n][2] for n in (150, 171, 240)] == ["N/A", "1,250", "-45.00"]
    assert rows[322][6].startswith("=")
    assert "\n" in rows[281][6]
    assert rows[222][:2] == ["", "Funded"]
    assert rows[263][:3] == [f"  {rows[263][0].strip()} ", " funded ", " $85.00 "]


def test_the_strange_file_is_as_strange_as_it_promises() -> None:
    text = (SAMPLES / "strange.csv").read_bytes().decode("cp1252")
    assert "€" in text
    assert text.count("\n") == text.count("\r\n")
    titles, rows = text.splitlines()[:3], list(csv.reader(text.splitlines()[3:], delimiter=";", strict=True))
    header, *rows, totals = rows
    assert [line.rstrip(";") for line in titles] == [
        "Lead settlement, March 2025",
        "As of 17.03.2025, amounts in €",
        "",
    ]
    assert len(rows) == generate.STRANGE
    assert {len(row) for row in rows} == {len(header)}
    assert rows[118] == [""] * 6
    assert [rows[number][1:3] for number in (31, 187)] == [["Paid out", "n/a"]] * 2
    paid = [decimal(row[2]) for row in rows if row[1] == "Paid out" and row[2] != "n/a"]
    assert totals[0] == "Total"
    assert decimal(totals[2]) - sum(paid) == decimal("1.811,00")  # the amounts that are missing
    known = load_leads(SAMPLES / "leads.csv")
    assert [number for number, row in enumerate(rows) if row[0] and row[0] not in known] == [150]


def decimal(text: str) -> Decimal:
    """An amount with a point between thousands and a decimal comma."""
    return Decimal(text.replace(".", "").replace(",", "."))


@pytest.mark.parametrize(
    ("rows", "column"),
    [
        (pl.read_csv(SAMPLES / "conversions.csv", infer_schema=False).filter(pl.col("Status") == "Funded"), "Lead ID"),
        (pl.read_csv(SAMPLES / "tracking.csv", infer_schema=False), "Lead ID"),
        (pl.read_parquet(SAMPLES / "enrichment.parquet"), "transaction_id"),
    ],
    ids=["conversions", "tracking", "enrichment"],
)
def test_a_few_leads_are_unknown_to_the_sandbox_but_fewer_than_three_in_a_hundred(
    rows: pl.DataFrame, column: str
) -> None:
    known = load_leads(SAMPLES / "leads.csv")
    ids = rows[column].drop_nulls().to_list()
    unknown = [lead for lead in ids if lead not in known]
    assert 0 < len(unknown) < 0.03 * len(ids)


@pytest.mark.parametrize("name", ["nightly_conversions", "enrichment_backfill", "tracking_events"])
def test_the_sample_jobs_are_jobs_over_the_sample_files(name: str) -> None:
    path = ROOT / "jobs" / f"{name}.toml"
    defaults, stated = (tomllib.loads(file.read_text("utf-8")) for file in (ROOT / "batchpost.toml", path))
    merged = stated | {part: values | stated.get(part, {}) for part, values in defaults.items()}
    job = Job.model_validate({**merged, "path": path, "workspace": ROOT})
    assert job.api.base_url == "http://127.0.0.1:8765"
    assert isinstance(job.source.path, str)
    source = ROOT / job.source.path
    columns = pl.read_parquet_schema(source) if source.suffix == ".parquet" else pl.scan_csv(source).collect_schema()
    assert {field.column for field in job.fields.values()} <= set(columns)
    assert {name for name, rule in job.spec.fields.items() if rule.required} <= set(job.fields)
