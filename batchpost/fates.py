"""What is already decided of each row before anything is sent: one byte a row."""

from __future__ import annotations

import polars as pl

from batchpost.model import Outcome
from batchpost.rowbytes import byte_column, bytes_of, mark

__all__ = ["SEND", "Fates"]

SEND = 0  # the fate of rows that go out


class Fates:
    """A byte for every row of the input, in order: an index into a table of (outcome, reason).

    Ten million rows take 10 MB. Index 0 is ``("", "")``: the row is to be sent.
    """

    def __init__(self) -> None:
        self.codes = bytearray()
        self.table: list[tuple[str, str]] = [("", "")]
        self._index = {("", ""): SEND}

    def __len__(self) -> int:
        return len(self.codes)

    def code(self, outcome: str, reason: str) -> int:
        """The byte for this outcome and reason; raises ValueError beyond 255 of them."""
        found = self._index.get((outcome, reason))
        if found is None:
            found = self._index[outcome, reason] = len(self.table)
            self.table.append((outcome, reason))
            if found > 255:
                raise ValueError("more than 255 reasons")
        return found

    def extend(self, outcomes: pl.Series, reasons: pl.Series) -> None:
        """Take in the next rows; nulls mean that the row is to be sent."""
        pairs = outcomes + "\0" + reasons.fill_null("")
        codes = {pair: self.code(*pair.split("\0")) for pair in pairs.drop_nulls().unique(maintain_order=True)}
        coded = pairs.replace_strict(codes, default=SEND, return_dtype=pl.UInt8) if codes else None
        self.codes += bytes(len(pairs)) if coded is None else bytes_of(coded)

    def settle(self, row: int, outcome: Outcome, reason: str) -> None:
        """Decide one row."""
        self.codes[row] = self.code(outcome, reason)

    def settle_all(self, rows: pl.Series, outcome: Outcome, reason: str) -> None:
        """Decide several rows alike; ``rows`` are their numbers."""
        mark(self.codes, rows, self.code(outcome, reason))

    def settle_where(self, first: int, which: pl.Series, outcome: Outcome, reason: str) -> None:
        """Decide those rows from ``first`` on for which it is true."""
        decided = self.part(first, len(which)).set(which, self.code(outcome, reason))
        self.codes[first : first + len(which)] = bytes_of(decided)

    def part(self, first: int, rows: int) -> pl.Series:
        """The bytes of so many rows, UInt8; later changes do not show in it."""
        return byte_column(bytes(memoryview(self.codes)[first : first + rows]))

    def counts(self) -> dict[tuple[str, str], int]:
        """Rows by (outcome, reason); those to send under ``("", "")``."""
        counted = {code: self.codes.count(code) for code in range(len(self.table))}
        return {self.table[code]: count for code, count in counted.items() if count}

    def series(self, first: int, rows: int) -> pl.DataFrame:
        """The columns ``outcome`` and ``reason`` of these rows; null where the row is to be sent."""
        codes = self.part(first, rows)
        outcomes = dict(enumerate(outcome or None for outcome, _ in self.table))
        reasons = dict(enumerate(reason or None for _, reason in self.table))
        return pl.DataFrame(
            {
                "outcome": codes.replace_strict(outcomes, return_dtype=pl.String),
                "reason": codes.replace_strict(reasons, return_dtype=pl.String),
            }
        )
