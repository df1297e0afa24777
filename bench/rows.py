"""Makes a file of leads, a million a second: ``python -m bench.rows FILE COUNT [--first N] [--also]``.

A process of its own, as its memory would count for the programs that are started and measured afterwards.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

STEP = 500_000  # rows made at a time


def some_leads(first: int, count: int, *, also: bool) -> pl.DataFrame:
    """``(transaction_id, first_name, email, zip, loan)``, all text; ``also`` adds a column that no job reads."""
    import polars as pl

    number = pl.int_range(first, first + count, dtype=pl.Int64)
    columns = {
        "transaction_id": pl.format("txn_{}-4d56-78ef-9012-abcdef123456", number.cast(str).str.zfill(8)),
        "first_name": pl.format("Name{}", number % 977),
        "email": pl.format("lead{}@example.com", number),
        "zip": (number % 100_000).cast(str).str.zfill(5),
        "loan": (number % 900 + 1).cast(str),
    }
    if also:
        columns["note"] = pl.format("n{}", number % 7)
    leads: pl.DataFrame = pl.select([column.alias(name) for name, column in columns.items()])
    return leads


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0, help="the number of the first lead")
    parser.add_argument("--also", action="store_true", help="one column more, that no job reads")
    given = parser.parse_args()
    with given.file.open("wb") as file:
        for done in range(0, given.count, STEP):
            leads = some_leads(given.first + done, min(STEP, given.count - done), also=given.also)
            leads.write_csv(file, include_header=not done)


if __name__ == "__main__":
    main()
