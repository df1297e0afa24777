"""Drafts for random tables: whatever headers and values are, a draft loads, also with every line that it offers."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from batchpost.jobfile import load_job
from batchpost.newjob import Wish, make_job
from batchpost.output import Output
from batchpost.proposal import Given
from batchpost.routes import ROUTES
from batchpost.synonyms import SYNONYMS

HEADERS = [
    *(name for names in SYNONYMS.values() for name in names),
    *("Loan Amount", "Notes", 'a"b', "x=1", "[t]", "Campaign", "cid", "emial", "Owner?", "Ümlaut", "🙂", "*", "^a$"),
]
VALUES: list[Callable[[random.Random], str]] = [
    lambda rng: f"txn_{rng.randrange(10**8):08}",
    lambda rng: f"${rng.randrange(9999)}.{rng.randrange(100):02}",
    lambda rng: f"{rng.randrange(9)},{rng.randrange(1000):03}",
    lambda rng: f"{rng.randrange(9)}.{rng.randrange(1000):03}",
    lambda rng: rng.choice(["Funded", "Declined", "Y", "N", "NY", "est", "add", "N/A", "", "cmp_a"]),
    lambda rng: f"{1 + rng.randrange(12)}/{1 + rng.randrange(12)}/2025",
    lambda rng: f"{1 + rng.randrange(28)}/{1 + rng.randrange(12)}/2025 10:00 AM",
    lambda rng: f"2025-03-{1 + rng.randrange(28):02}{rng.choice(['', ' 10:00', 'T10:00:00Z'])}",
    lambda rng: str(rng.choice([45_000, 1_741_082_400, 1_741_082_400_123]) + rng.randrange(99)),
    lambda rng: rng.choice(["a@example.com", "2125550123", "#REF!", "1.2E+15", 'x\ny"z', "\x7f\u202e odd"]),
]


def write_table(path: Path, rng: random.Random) -> None:
    """A table with a column of ids and others that are mostly of one kind."""
    columns = ["Lead ID", *dict.fromkeys(rng.sample(HEADERS, rng.randrange(1, 14)))]
    kinds = [VALUES[0], *(rng.choice(VALUES) for _ in columns[1:])]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        for _ in range(rng.choice([1, 2, 5, 40])):
            rows.writerow([(kind if rng.random() < 0.95 else rng.choice(VALUES))(rng) for kind in kinds])


def with_every_offer(text: str) -> str:
    """The draft with all custom fields taken."""
    before, mark, offers = text.partition("# Columns that are not sent.")
    offered, table, after = offers.partition("[fields.event_id]")
    lines = [line.removeprefix("# ") if " = { column" in line else line for line in offered.splitlines()]
    return f"{before}{mark}" + "\n".join(lines) + f"\n{table}{after}"


@pytest.mark.parametrize("seed", range(24))
def test_a_draft_for_any_table_loads(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    write_table(tmp_path / "export.csv", rng)
    given = Given(
        events={"": "sale"},
        campaigns={"": "cmp_a"},
        order=rng.choice([None, "day"]),
        decimal=rng.choice([None, ","]),
    )
    job = tmp_path / "job.toml"
    wish = Wish(str(tmp_path / "export.csv"), rng.choice(list(ROUTES)), str(job), given=given, workspace=tmp_path)
    assert make_job(wish, Output(io.StringIO(), io.StringIO()), None) == 0
    load_job(job, workspace=tmp_path)
    job.write_text(with_every_offer(job.read_text("utf-8")), encoding="utf-8")
    load_job(job, workspace=tmp_path)
