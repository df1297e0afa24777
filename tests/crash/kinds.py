"""The three kinds of job that are killed, each with an input drawn from a seed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from batchpost.sandbox import Received
from tests.workspaces import Table, Workspace, leads, sale_rows, update_rows, write_csv

__all__ = ["CONCURRENCY", "KINDS", "RATE", "Load", "lay_out"]

KINDS = ("dedupe", "no-dedupe", "update")
CONCURRENCY = 16
RATE = 500  # requests a second: some hundred rows between two kills
_DELIVERY = f"rate = {RATE}\nconcurrency = {CONCURRENCY}\ntimeout = 5\nmax_failures = 1000000"
_UPDATES_A_LEAD = 3


@dataclass(frozen=True)
class Load:
    """A job and its input in a workspace; the lead, the money and the mark of each row, in file order.

    A row's mark is what tells its requests from those of any other row: its lead, or what it updates.
    """

    kind: str
    workspace: Workspace
    leads: list[str]
    money: list[Decimal]
    marks: list[str]

    @property
    def rows(self) -> int:
        return len(self.marks)

    def mark_of(self, entry: Received) -> str:
        """The mark of the row that a request was for."""
        return str(entry.body.get("city", "")) if self.kind == "update" else entry.transaction_id


def lay_out(kind: str, workspace: Workspace, rows: int, seed: int) -> Load:
    """Write the job of a kind and its input; the same seed gives the same input."""
    random = Random(f"{seed} {kind} input")
    table = _updates(workspace, rows, random) if kind == "update" else _sales(kind, workspace, rows, random)
    write_csv(workspace.folder / "in.csv", table)
    marks = table["City" if kind == "update" else "Lead"]
    return Load(kind, workspace, table["Lead"], [Decimal(money) for money in table.get("Payout", ())], marks)


def _sales(kind: str, workspace: Workspace, rows: int, random: Random) -> Table:
    workspace.sales(dedupe=kind == "dedupe", delivery=_DELIVERY)
    order = random.sample(range(rows), rows)
    return {name: [cells[number] for number in order] for name, cells in sale_rows(rows).items()}


def _updates(workspace: Workspace, rows: int, random: Random) -> Table:
    """A few updates of each lead, half of them close to the one before."""
    workspace.updates(delivery=_DELIVERY)
    names = leads(rows // _UPDATES_A_LEAD + 1)
    recent: deque[str] = deque(maxlen=CONCURRENCY)
    drawn = []
    for number in range(rows):
        lead = random.choice(recent) if recent and random.random() < 0.5 else random.choice(names)
        recent.append(lead)
        drawn.append((lead, f"Town {number:06}"))
    return update_rows(drawn)
