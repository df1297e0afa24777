"""Plans a big file: the whole of it read, checked, mapped, hashed and compared with itself, nothing sent.

The file is made here, 90 bytes a row, as CSV, as the same in UTF-16, and as Parquet. Beside it, in the same rounds,
what a script usually does: ``csv.DictReader``, ``Decimal``, ``datetime.strptime`` and ``json.dumps`` for each row. It
gets fewer rows, as it is slower. ``python -m bench.plan FILE ROWS`` makes one of the files.
"""

from __future__ import annotations

import subprocess
import sys
from codecs import BOM_UTF16_LE
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, Part
from bench.process import Ran, run
from bench.servers import ROOT
from bench.setting import Setting, shown

if TYPE_CHECKING:
    import polars as pl

__all__ = ["measure"]

ROWS = 10_000_000
LOOP_ROWS = 500_000
LOOP = "usual loop over the CSV"
AIMS = {"CSV": 45.0, "Parquet": 30.0}  # seconds for ten million rows
FILES = {"CSV": "rows.csv", "CSV in UTF-16": "rows-utf16.csv", "Parquet": "rows.parquet"}
STEP = 500_000  # rows made at a time, and rows of a Parquet row group
JOB = """
name = "plan"
route = "global-event"
[api]
base_url = "http://127.0.0.1:9"
org_id = "env:BENCH_ORG"
server_dedupe = ["sale_completed"]
[source]
path = "{name}"
[fields]
transaction_id  = {{ column = "Lead ID", pattern = "^txn_" }}
event_id        = {{ column = "Status", map = {{ "Funded" = "sale_completed" }}, otherwise = "skip" }}
revenue         = {{ column = "Payout", min = 0.01, max = 5000 }}
conversion_date = {{ column = "Sold At", format = "%m/%d/%Y %H:%M", timezone = "America/New_York", send_as = "EST" }}
pid             = {{ column = "Source" }}
email           = {{ column = "Email", when_invalid = "omit" }}
"""
USUAL = """
import csv, json, sys
from datetime import datetime
from decimal import Decimal
seen = set()
with open(sys.argv[1], newline="") as file:
    for number, row in enumerate(csv.DictReader(file)):
        if number == int(sys.argv[2]):
            break
        amount = Decimal(row["Payout"])
        sold = datetime.strptime(row["Sold At"], "%m/%d/%Y %H:%M")
        assert row["Lead ID"].startswith("txn_") and row["Lead ID"] not in seen and 0 < amount <= 5000
        seen.add(row["Lead ID"])
        json.dumps({"transaction_id": row["Lead ID"], "event_id": "sale_completed", "revenue": float(amount),
                    "conversion_date": str(sold), "pid": row["Source"], "email": row["Email"]})
"""


def measure(setting: Setting) -> Part:
    """Seconds, CPU and memory of a plan of each kind of file, and of the usual loop."""
    folder, rows, loop_rows = setting.folder, setting.rows(ROWS), setting.rows(LOOP_ROWS)
    (folder / "usual.py").write_text(USUAL)
    commands = {title: _plan(folder, _made(folder / file, rows)) for title, file in FILES.items()}
    commands[LOOP] = [sys.executable, "usual.py", FILES["CSV"], str(loop_rows)]
    contestants: dict[str, Callable[[], Ran]] = {
        title: partial(run, command, folder=folder, environ={"BENCH_ORG": "org_bench"})
        for title, command in commands.items()
    }
    found = setting.interleaved(contestants, setting.few)
    figures: list[Figure] = []
    for title, runs in found.items():
        count = loop_rows if title == LOOP else rows
        figures += _figures(title, count, runs, shown(commands[title], folder))
    return Part("plan", figures)


def _figures(title: str, rows: int, runs: Sequence[Ran], command: str) -> list[Figure]:
    name = f"{title}, {rows:,} rows"
    seconds = [ran.wall / rows * ROWS for ran in runs]
    return [
        Figure(name, f"s for {ROWS:,}", seconds, [command], most=AIMS.get(title)),
        Figure(f"{name}, CPU", "µs a row", [ran.cpu / rows * 1e6 for ran in runs]),
        Figure(f"{name}, memory", "MB", [ran.resident for ran in runs]),
    ]


def _plan(folder: Path, file: Path) -> Sequence[str]:
    """A job over the file, and the command that plans it."""
    job = f"{file.name}.toml"
    (folder / job).write_text(JOB.format(name=file.name))
    return [sys.executable, "-m", "batchpost", "plan", job]


def _made(path: Path, rows: int) -> Path:
    """Have the file written by another process, as memory counts for a process's children."""
    subprocess.run([sys.executable, "-m", "bench.plan", str(path), str(rows)], cwd=ROOT, check=True)
    return path


def make(path: Path, rows: int) -> None:
    """Write the file."""
    import pyarrow.parquet as pq

    writer = None
    with path.open("wb") as file:
        for first in range(0, rows, STEP):
            frame = some_rows(first, min(STEP, rows - first))
            if path.name == FILES["CSV in UTF-16"]:
                text = frame.write_csv(include_header=not first)
                file.write((BOM_UTF16_LE if not first else b"") + text.encode("utf-16-le"))
            elif path.suffix == ".csv":
                frame.write_csv(file, include_header=not first)
            else:
                table = frame.to_arrow()
                writer = writer or pq.ParquetWriter(file, table.schema)
                writer.write_table(table)
        if writer:
            writer.close()


def some_rows(first: int, count: int) -> pl.DataFrame:
    """Sales with ids of their own, the same for the same numbers."""
    import polars as pl

    number = pl.int_range(first, first + count, dtype=pl.Int64)
    random = [number.hash(seed) for seed in (7, 8, 9)]
    cents = random[1] % 499_900 + 100
    minutes = pl.duration(minutes=(random[2] % 43_200).cast(pl.Int64))
    return pl.select(
        pl.format("txn_{}-{}", _digits(random[0] % 2**32, 10), _digits(number, 8)).alias("Lead ID"),
        pl.repeat("Funded", count).alias("Status"),
        pl.format("{}.{}", cents // 100, _digits(cents % 100, 2)).alias("Payout"),
        (pl.datetime(2025, 4, 1) + minutes).dt.strftime("%m/%d/%Y %H:%M").alias("Sold At"),
        pl.format("src_{}", number % 5).alias("Source"),
        pl.format("lead{}@example.com", number).alias("Email"),
        pl.repeat("note", count).alias("Notes"),
    )


def _digits(number: pl.Expr, width: int) -> pl.Expr:
    return number.cast(str).str.zfill(width)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
