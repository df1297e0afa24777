"""Plans a big file: the whole of it read, checked, mapped, hashed and compared with itself, nothing sent.

    python bench/plan.py [--rows 10000000] [--runs 3] [--peer-rows 500000]

The file is made here, 90 bytes a row, as CSV, as the same in UTF-16, and as Parquet. Beside it, in the same rounds,
what a script usually does: ``csv.DictReader``, ``Decimal``, ``datetime.strptime`` and ``json.dumps`` for each row. It
gets fewer rows, as it is slower. Each is a process of its own; the figures are medians. Everything runs on this machine
and ends by itself.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from codecs import BOM_UTF16_LE
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl

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


class Figures(NamedTuple):
    """One process: seconds from start to end, seconds of CPU, megabytes resident at most; those that it starts too."""

    wall: float
    cpu: float
    resident: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer-rows", type=int, default=500_000)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make, arguments.rows)
        return
    with tempfile.TemporaryDirectory(prefix="batchpost-bench-") as name:
        folder = Path(name)
        sizes = {title: made(folder / file, arguments.rows) for title, file in FILES.items()}
        commands = {
            f"batchpost plan, {title} of {sizes[title]:,.0f} MB": (plan(folder, file), arguments.rows)
            for title, file in FILES.items()
        }
        commands |= {
            "usual loop over the CSV": (
                [sys.executable, "-c", USUAL, str(folder / "rows.csv"), str(arguments.peer_rows)],
                min(arguments.peer_rows, arguments.rows),
            ),
        }
        found: dict[str, list[Figures]] = {title: [] for title in commands}
        for _ in range(arguments.runs):
            for title, (command, _) in commands.items():
                found[title].append(measured(command))
        print("| | rows | seconds | s for 10 million rows | CPU µs a row | MB resident |\n|---|---|---|---|---|---|")
        for title, (_, rows) in commands.items():
            wall, cpu, resident = (median(values) for values in zip(*found[title], strict=True))
            print(
                f"| {title} | {rows:,} | {wall:.1f} | {wall / rows * 10_000_000:.0f} | {cpu / rows * 1e6:.2f} "
                f"| {resident:.0f} |"
            )


def made(path: Path, rows: int) -> float:
    """Have the file written by another process, as memory counts for a process's children; returns its size in MB."""
    subprocess.run([sys.executable, __file__, "--make", str(path), "--rows", str(rows)], check=True)
    return path.stat().st_size / 1e6


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


def plan(folder: Path, name: str) -> Sequence[str]:
    """A job over the file, and the command that plans it."""
    (folder / f"{name}.toml").write_text(JOB.format(name=name))
    return [sys.executable, "-m", "batchpost", "plan", str(folder / f"{name}.toml")]


def measured(command: Sequence[str]) -> Figures:
    """Run a command to its end, which must be a good one, and say what it took."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "BENCH_ORG": "org_bench"})
    started: dict[str, int] = {}
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        started |= peaks_of_children(process.pid)
        time.sleep(0.1)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command[:5])} ended with {os.waitstatus_to_exitcode(status)}")
    resident = (usage.ru_maxrss + sum(started.values())) / 1024
    return Figures(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, resident)


def peaks_of_children(pid: int) -> dict[str, int]:
    """KB resident at most so far, of each process that a process has started (Linux; proc(5))."""
    peaks = {}
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{child}/status").read_text())
                peaks[child] = int(found[1]) if found else 0
    return peaks


if __name__ == "__main__":
    main()
