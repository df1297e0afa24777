"""What stands of a run's rows today: which have no known end, with the evidence, and what a person decided about them.

The books of a run are what was known when it ended; this is what the ledger knows now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import polars as pl

from batchpost.errors import UsageError
from batchpost.export import outcomes_frame
from batchpost.firstpass import Plan
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.lookback import Found
from batchpost.places import Places
from batchpost.resolutions import Doubt, Resolution, Resolutions
from batchpost.spool import read_spool

__all__ = ["EVIDENCE", "File", "Standing", "money_of", "standing_of", "told_rows"]

EVIDENCE = {
    "source": pl.String,
    "row": pl.UInt32,
    "line": pl.UInt64,
    "transaction_id": pl.String,
    "event_id": pl.String,
    "campaign_id": pl.String,
    "amount": pl.String,
    "outcome": pl.String,
    "reason": pl.String,
    "http_status": pl.UInt16,
    "attempts": pl.UInt32,
    "first_attempt_at": pl.String,
    "settled_at": pl.String,
    "detail": pl.String,
}
"""What is told of a row, as in ``outcomes``; ``source`` and ``row`` are where a person finds it."""
_IDS = ("line", "transaction_id", "event_id", "campaign_id", "amount")
_SCHEMA = {"number": pl.Int64, **EVIDENCE}


class File(NamedTuple):
    """A file of a run's input: its name, the number of its first row in the whole input, its rows."""

    source: str
    first: int
    rows: int


@dataclass(frozen=True)
class Standing:
    """``frame`` has ``number`` (the row in the whole input, from 0) and the columns of :data:`EVIDENCE`, in the order
    of the input; ``gone`` says that the outcomes are not there, so that some of them are empty. ``doubts`` and
    ``decided`` (oldest first) are by number. ``runs`` are the ledger's runs by id; ``due`` the rows that a person made
    due again and that did not get through since; ``again`` what the next commands must say besides."""

    run: Found
    files: Sequence[File]
    frame: pl.DataFrame
    doubts: Mapping[int, list[Doubt]]
    decided: Mapping[int, list[Resolution]]
    runs: Mapping[str, RunRecord]
    due: tuple[int, ...] = ()
    gone: bool = False
    again: str = ""

    @property
    def open(self) -> list[int]:
        """The rows without a known end."""
        return [number for number in sorted(self.doubts) if any(doubt.state == "open" for doubt in self.doubts[number])]

    def waits_for(self, number: int) -> list[Doubt]:
        """The open doubts about other rows, of this run or another one, that a row waits for."""
        own = (self.run.record.run_id, number)
        return [doubt for doubt in self.doubts.get(number, ()) if doubt.state == "open" and doubt[2:4] != own]

    def rows(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """These rows with all that is known of them, in the order of the input."""
        return self.frame.filter(pl.col("number").is_in(list(numbers))).to_dicts()

    def place(self, number: int) -> str:
        """A row as a person names it: ``5``, and ``file.csv:5`` where the run has several files."""
        return _place(self.files, number)

    def place_in(self, run_id: str, number: int) -> str:
        """The same for a row of any run of the ledger."""
        record = self.runs.get(run_id)
        if record is None or run_id == self.run.record.run_id:
            return _place(self.files, number)
        return _place(_files(Found(record, Places(self.run.at.ledger, Path(record.results), record.test))), number)

    def row_of(self, run_id: str, number: int) -> str:
        """``row 5`` of this run, ``row 5 of 20261127T…`` of another one."""
        of = "" if run_id == self.run.record.run_id else f" of {run_id}"
        return f"row {self.place_in(run_id, number)}{of}"

    def short(self, source: str) -> str:
        """A file's name without its folders, where no other file of the run has the same one."""
        return _short(self.files, source)


def standing_of(ledger: Ledger, run: Found, again: str = "") -> Standing:
    """What stands of a run. Raises LedgerError."""
    resolutions, run_id = Resolutions(ledger), run.record.run_id
    run = replace(
        run, doubts=len(resolutions.outstanding().get(run_id, ())), due=resolutions.due().get(run_id, ())
    )  # it may have been found before something was decided
    doubts: dict[int, list[Doubt]] = {}
    for number, doubt in resolutions.doubts_of(run_id):
        doubts.setdefault(number, []).append(doubt)
    decided: dict[int, list[Resolution]] = {}
    for one in resolutions.of(run_id):
        decided.setdefault(one.row, []).append(one)
    files = _files(run)
    known = _known(run, files, doubts, decided)
    try:
        told, gone = told_rows(run, files, pl.DataFrame({"number": known["number"]})), False
    except (UsageError, pl.exceptions.PolarsError):  # it died early, or somebody has deleted or damaged them
        told, gone = _planned(run, known["number"]), True
    frame = known.update(told, on="number", how="left") if told.height else known
    runs = {record.run_id: record for record in ledger.runs()}
    return Standing(run, files, frame.sort("number"), doubts, decided, runs, run.due, gone, again)


def told_rows(run: Found, files: Sequence[File], wanted: pl.DataFrame) -> pl.DataFrame:
    """Rows from a run's outcomes: ``number`` and the columns of :data:`EVIDENCE`, then what ``wanted`` has besides.

    ``wanted`` has some of these columns, and each of its rows those values that an outcome must have (null: any).
    Raises UsageError where there are no outcomes, and polars' errors.
    """
    first = pl.LazyFrame(files, schema={"source": pl.String, "first": pl.Int64, "rows": pl.UInt32}, orient="row")
    outcomes = outcomes_frame(run.folder).select(pl.col(name).cast(kind) for name, kind in EVIDENCE.items())
    number = (pl.col("first") + pl.col("row").cast(pl.Int64) - 1).alias("number")
    numbered = outcomes.join(first.select("source", "first"), on="source").select(number, *EVIDENCE)
    [key, *others] = [name for name in ("number", "transaction_id", "reason", *EVIDENCE) if name in wanted.columns]
    given = wanted.lazy().rename({name: f"_{name}" for name in others if name != key})
    joined = numbered.join(given, on=key)
    for name in (name for name in others if name != key):
        joined = joined.filter(pl.col(f"_{name}").is_null() | (pl.col(f"_{name}") == pl.col(name).cast(pl.String)))
    extra = [name for name in wanted.columns if name not in _SCHEMA]
    return joined.select(*_SCHEMA, *extra).collect(engine="streaming").sort("number")


def _place(files: Sequence[File], number: int) -> str:
    file = next(file for file in reversed(files) if file.first <= number)
    row = number - file.first + 1
    return f"{_short(files, file.source)}:{row}" if len(files) > 1 else str(row)


def _short(files: Sequence[File], source: str) -> str:
    name = PurePath(source).name
    return name if sum(PurePath(file.source).name == name for file in files) == 1 else source


def money_of(rows: Iterable[Mapping[str, Any]]) -> Decimal | None:
    """What these rows are worth together; None where none of them has money."""
    amounts = [Decimal(row["amount"]) for row in rows if row.get("amount")]
    return sum(amounts, Decimal(0)) if amounts else None


def _files(run: Found) -> list[File]:
    """A run's files; where there is no summary, as the plan of the run names them."""
    sources = run.summary.get("source")
    if not sources:
        plan = _plan(run)
        sources = [{"path": file.path, "rows": file.rows} for file in plan.files] if plan else []
    files, first = list[File](), 0
    for source in sources:
        files.append(File(source["path"], first, source["rows"]))
        first += source["rows"]
    return files or [File("", 0, 0)]


def _plan(run: Found) -> Plan | None:
    """The plan of a run that is not finished, if it is there and whole."""
    with suppress(OSError, ValueError):
        return Plan.load(run.at.run(run.record.run_id))
    return None


def _known(
    run: Found, files: Sequence[File], doubts: Mapping[int, list[Doubt]], decided: Mapping[int, list[Resolution]]
) -> pl.DataFrame:
    """The rows as far as the ledger and the names of the files tell of them."""
    entries = []
    for number in sorted({*doubts, *decided}):
        file = next(file for file in reversed(files) if file.first <= number)
        own = [doubt.amount for doubt in doubts.get(number, ()) if doubt[2:4] == (run.record.run_id, number)]
        entries.append({"number": number, "source": file.source, "row": number - file.first + 1, "amount": None})
        if own and own[0]:
            entries[-1]["amount"] = own[0]
    return pl.DataFrame(entries, schema=_SCHEMA)


def _planned(run: Found, numbers: pl.Series) -> pl.DataFrame:
    """Ids and amounts of rows from the plan of a run that died."""
    found = [pl.DataFrame(schema={name: _SCHEMA[name] for name in ("number", *_IDS)})]
    plan = _plan(run)
    with suppress(OSError, ValueError):
        for batch in read_spool(plan.spool) if plan else ():
            chosen = batch.filter(pl.col("row").cast(pl.Int64).is_in(numbers.to_list()))
            found.append(chosen.select(pl.col("row").cast(pl.Int64).alias("number"), *_IDS))
    return pl.concat(found)
