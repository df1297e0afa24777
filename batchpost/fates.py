"""What is already decided of each row before anything is sent: one byte a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import polars as pl

from batchpost.model import Outcome

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
        first = len(self.codes)
        self.codes += bytes(len(outcomes))
        rows = outcomes.is_not_null().arg_true()
        pairs = outcomes.gather(rows) + "\0" + reasons.gather(rows)
        codes = {pair: self.code(*pair.split("\0")) for pair in pairs.unique()}
        for row, code in zip(rows, pairs.replace_strict(codes, return_dtype=pl.UInt8), strict=True):
            self.codes[first + row] = code

    def settle(self, row: int, outcome: Outcome, reason: str) -> None:
        """Decide one row."""
        self.codes[row] = self.code(outcome, reason)

    def settle_all(self, rows: Iterable[int], outcome: Outcome, reason: str) -> None:
        """Decide several rows alike."""
        codes, code = self.codes, self.code(outcome, reason)
        for row in rows:
            codes[row] = code

    def counts(self) -> dict[tuple[str, str], int]:
        """Rows by (outcome, reason); those to send under ``("", "")``."""
        return {self.table[code]: count for code, count in Counter(self.codes).items()}

    def series(self, first: int, rows: int) -> pl.DataFrame:
        """The columns ``outcome`` and ``reason`` of these rows; null where the row is to be sent."""
        codes = pl.Series("code", self.codes[first : first + rows], dtype=pl.UInt8)
        outcomes = dict(enumerate(outcome or None for outcome, _ in self.table))
        reasons = dict(enumerate(reason or None for _, reason in self.table))
        return pl.DataFrame(
            {
                "outcome": codes.replace_strict(outcomes, return_dtype=pl.String),
                "reason": codes.replace_strict(reasons, return_dtype=pl.String),
            }
        )
