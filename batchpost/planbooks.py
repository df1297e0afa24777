"""The books of a plan, before anything is sent: rows, reasons and money; what the files of the input say and come to;
and whether that is what the job expects."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from batchpost.ahead import ahead
from batchpost.expectation import unmet_by_input
from batchpost.firstpass import Plan
from batchpost.prepare import Prepared
from batchpost.spool import read_spool
from batchpost.summary import TO_SEND, Books, plain

__all__ = ["books_of", "read_of_files", "source_part", "unmet_of"]


def books_of(prepared: Prepared) -> Books:
    """Rows, reasons and money by outcome as the plan stands."""
    fates, first = prepared.plan.fates, 0
    money = [f"money_{name}" for name in prepared.job.money_fields]
    parts = []
    for record in ahead(read_spool(prepared.plan.spool, ("row", *money))):
        codes = pl.Series("code", fates.codes[first : first + record.height], dtype=pl.UInt8)
        parts.append(record.with_columns(codes).group_by("code").agg(pl.len().alias("rows"), pl.col(money).sum()))
        first += record.height
    books = Books()
    for code, rows, *sums in pl.concat(parts).group_by("code").agg(pl.all().sum()).iter_rows() if parts else ():
        outcome, reason = fates.table[code]
        books.count(outcome or TO_SEND, reason, rows, dict(zip(prepared.job.money_fields, sums, strict=True)))
    return books


def read_of_files(prepared: Prepared) -> dict[str, dict[str, Decimal]]:
    """The money that was read of each file of the input, by its path and by field."""
    money = {name: f"money_{name}" for name in prepared.job.money_fields}
    parts = (record.group_by("file").sum() for record in read_spool(prepared.plan.spool, ("file", *money.values())))
    read = [dict.fromkeys(money, Decimal(0)) for _ in prepared.plan.files]
    for part in parts:
        for row in part.iter_rows(named=True):
            for name, column in money.items():
                read[row["file"]][name] += row[column]
    return {file.path: sums for file, sums in zip(prepared.plan.files, read, strict=True)}


def source_part(plan: Plan, money: Mapping[str, Mapping[str, Decimal]]) -> list[dict[str, Any]]:
    """The files read, in order: ``[{path, sha256, bytes, rows, money, totals}]``. ``money`` is what was read of each,
    by field; ``totals`` are the file's own rows of totals: ``[{line, row, money}]``."""
    return [
        {
            "path": file.path,
            "sha256": file.sha256,
            "bytes": file.bytes,
            "rows": file.rows,
            "money": {name: plain(total) for name, total in money.get(file.path, {}).items()},
            "totals": [
                {"line": total.line, "row": total.row, "money": total.money}
                for total in plan.totals
                if total.file == index
            ],
        }
        for index, file in enumerate(plan.files)
    ]


def unmet_of(prepared: Prepared) -> list[str]:
    """What of ``[expect]`` the input does not meet, a sentence each. Rows that mend others are as many as they are, and
    an input that a run was begun with is as it was then."""
    expect, plan = prepared.job.expect, prepared.plan
    if plan.links or prepared.continued:
        return []
    money = {}
    if expect.revenue is not None or expect.amount is not None:
        money = books_of(prepared).meant
    return unmet_by_input(expect, plan.fates.counts(), money)
