"""How the rows of runs ended, of many runs at a time: from their outcomes, from what ``forget`` left of these, or from
plan and journal. Nothing is asked but files, and nothing is written but by :func:`keep_ends`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import polars as pl
import pyarrow as pa

from batchpost.errors import LedgerError
from batchpost.files import replaced, synced
from batchpost.guards import guard_formula, unguard_formula
from batchpost.ledgerrows import RunRecord
from batchpost.links import LINK_COLUMNS
from batchpost.locks import is_held
from batchpost.places import Places, read_summary
from batchpost.planends import IDS, PlanEnds
from batchpost.results import ParquetTable

__all__ = ["ENDS_FILE", "MONEY", "MOVED", "ROWS", "TALLY", "Ends", "File", "Picks", "RunEnds", "keep_ends", "run_ends"]

ENDS_FILE = "ends.parquet"
"""What ``forget`` leaves of a run's outcomes: of each row where it is, how it ended, its amount, which row it mends."""

MONEY = pl.Decimal(38, 9)
ROWS: dict[str, Any] = {
    "run": pl.UInt32(),
    "file": pl.UInt16(),
    "row": pl.UInt32(),
    "outcome": pl.String(),
    "reason": pl.String(),
    "amount": MONEY,
    "key": pl.String(),
    **dict.fromkeys(LINK_COLUMNS, pl.String()),
}
"""A row as a run left it: the number of the run, the index of the file, the row there from 1. ``key`` is what makes it
the same operation as another one, as text, null where it is not known."""
TALLY: dict[str, Any] = {
    **{name: ROWS[name] for name in ("run", "file", "outcome", "reason")},
    "rows": pl.Int64(),
    "priced": pl.Int64(),
    "amount": MONEY,
}
"""Rows counted by file and end; ``priced`` are those with an amount."""


class _Query(Protocol):
    """What is asked of rows; ``guarded``: their text is as it stands in CSV."""

    def __call__(self, rows: pl.LazyFrame, *, guarded: bool) -> pl.LazyFrame: ...


_FILE = ["path", "source"]
_NUMBERS = (pl.col("path").alias("run"), pl.col("source").alias("file"))  # of what is known by numbers already
_KEPT = ("source", "row", "outcome", "reason", "amount")
_HEADER = 1 << 16  # bytes of a header, at most
_CHUNK = 200_000  # rows of a table at a time
MOVED = "ended while it was looked at"
"""The fault of a run that was under way: to be looked at anew."""


class File(NamedTuple):
    """A file of a run's input: its name there, its SHA-256, its rows."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class RunEnds:
    """A run and where the ends of its rows are: in a ``table``, in its ``plan``, or nowhere (both None). ``number`` is
    its place among the runs looked at. ``files`` is empty where nothing says which it read; ``mends``: its rows mend or
    repeat others; ``held``: a process is at it right now."""

    number: int
    record: RunRecord
    at: Places
    files: tuple[File, ...] = ()
    table: Path | None = None
    plan: PlanEnds | None = None
    mends: bool = False
    held: bool = False
    fault: str = ""

    @property
    def folder(self) -> Path:
        """Its results."""
        return Path(self.record.results) / self.record.run_id

    @property
    def summary(self) -> dict[str, Any]:
        """Its ``summary.json``; empty where there is none."""
        return read_summary(self.folder) or {}

    @property
    def known(self) -> bool:
        """Whether the end of each row can be read."""
        return self.table is not None or self.plan is not None


def run_ends(record: RunRecord, at: Places, number: int = 0) -> RunEnds:
    """Where the ends of a run's rows are."""
    held = record.state == "running" and is_held(at.locks, f"run {record.run_id}")
    fault = ""
    if record.state in ("running", "abandoned"):  # of the latter where its results could not be written
        try:
            plan = PlanEnds(at.run(record.run_id), under_way=held)
            files = tuple(File(file.path, file.sha256, file.rows) for file in plan.files)
            return RunEnds(number, record, at, files, plan=plan, mends=plan.mends, held=held)
        except FileNotFoundError:  # it died before it had one, or it ended just now
            pass
        except (LedgerError, OSError, ValueError) as error:
            fault = str(error) if record.state == "running" else ""
    results = Path(record.results) / record.run_id
    summary = read_summary(results) or {}
    files = tuple(File(one["path"], one["sha256"], one["rows"]) for one in summary.get("source") or ())
    table = _table(results) if files and not fault else None
    return RunEnds(number, record, at, files, table, mends=_mends(summary, table), held=held, fault=fault)


def _table(results: Path) -> Path | None:
    """The outcomes; of those in two formats the newer ones, as ``[results]`` may change between two sittings."""
    found = [path for name in ("outcomes.parquet", "outcomes.csv") if (path := results / name).is_file()]
    if found:
        return max(found, key=lambda path: path.stat().st_mtime_ns)
    return path if (path := results / ENDS_FILE).is_file() else None


def _mends(summary: dict[str, Any], table: Path | None) -> bool:
    if table is None or "mends" in summary:
        return bool(summary.get("mends"))
    try:
        return set(LINK_COLUMNS) <= set(_columns(table))
    except (OSError, pl.exceptions.PolarsError):
        return False


def _columns(table: Path) -> list[str]:
    """The names of a table's columns; raises OSError and polars' errors."""
    if table.suffix == ".parquet":
        return list(pl.read_parquet_schema(table))
    return pl.scan_csv(table, infer_schema=False, glob=False).collect_schema().names()


class Picks(NamedTuple):
    """Which rows: those for which ``among`` is true of their ``row``, ``outcome``, ``reason`` and ``amount``, which
    ``places`` has by ``run``, ``file`` and ``row``, and whose ``key`` is one of these; None: any."""

    among: pl.Expr | None = None
    places: pl.DataFrame | None = None
    keys: pl.Series | None = None


class Ends:
    """The ends of the rows of many runs, read in as few passes as can be. ``is_event`` says what an operation is made
    of. ``faults`` has, by number, the runs whose ends proved unreadable, and why."""

    def __init__(self, runs: Sequence[RunEnds], *, is_event: bool = True) -> None:
        self._runs = {run.number: run for run in runs}
        self._parts = ("transaction_id", "event_id") if is_event else ("campaign_id", "transaction_id")
        self.faults = {run.number: run.fault for run in runs if run.fault}

    def tallied(self, numbers: Iterable[int]) -> pl.DataFrame:
        """The rows of these runs by file and end, as :data:`TALLY`."""

        def counted(rows: pl.LazyFrame, *, guarded: bool) -> pl.LazyFrame:  # noqa: ARG001 - no cell is looked at
            priced = pl.col("amount").count().cast(pl.Int64).alias("priced")
            sums = (pl.len().cast(pl.Int64).alias("rows"), priced, pl.col("amount").sum())
            return rows.group_by(*_FILE, "outcome", "reason").agg(sums)

        found = self._collected(numbers, Picks(), counted, TALLY)
        return found.group_by("run", "file", "outcome", "reason").agg(pl.all().sum())

    def picked(self, numbers: Iterable[int], picks: Picks) -> pl.DataFrame:
        """Rows of these runs, as :data:`ROWS`."""
        return self._collected(numbers, picks, self._keyed, ROWS)

    def batches(self, number: int) -> Iterator[pl.DataFrame]:
        """All rows of one run, as :data:`ROWS`, in their order. Raises OSError, polars' errors, and LookupError where
        they are nowhere."""
        run = self._runs[number]
        if run.table is not None:
            files, rows = _names([run]), self._keyed(_scanned([run]), guarded=_is_csv(run))
            for batch in rows.collect_batches(chunk_size=_CHUNK, maintain_order=True, lazy=True, engine="streaming"):
                yield batch.join(files, on=_FILE, maintain_order="left").select(*ROWS)
        elif run.plan is not None:
            for frame in run.plan.frames():
                rows = self._keyed(_batch(run, frame), guarded=False)
                yield rows.with_columns(*_NUMBERS).collect().select(*ROWS)
        else:
            raise LookupError(run.record.run_id)

    def _collected(self, numbers: Iterable[int], picks: Picks, query: _Query, schema: dict[str, Any]) -> pl.DataFrame:
        runs = [self._runs[number] for number in sorted({*numbers}) if number not in self.faults]
        found = [pl.DataFrame(schema=schema)]
        for group in _alike([run for run in runs if run.table]):
            found += self._of_tables(group, picks, query)
        for run in runs:
            if run.plan is not None:
                found += self._of_plan(run, picks, query)
        return pl.concat([frame.select(pl.col(name).cast(kind) for name, kind in schema.items()) for frame in found])

    def _of_tables(self, group: list[RunEnds], picks: Picks, query: _Query) -> list[pl.DataFrame]:
        """Tables know runs by their paths and files by their names: what is found is little, and is told apart in the
        end."""
        files, guarded = _names(group), _is_csv(group[0])
        try:
            rows = self._picked(_scanned(group), picks, files, guarded=guarded)
            return [query(rows, guarded=guarded).collect(engine="streaming").join(files, on=_FILE)]
        except (OSError, pl.exceptions.PolarsError) as error:  # its text may have cells of the file
            if len(group) > 1:
                return [frame for run in group for frame in self._of_tables([run], picks, query)]
            self.faults[group[0].number] = f"cannot be read as it was written ({type(error).__name__})"
            return []

    def _of_plan(self, run: RunEnds, picks: Picks, query: _Query) -> list[pl.DataFrame]:
        found = []
        try:
            for frame in run.plan.frames() if run.plan else ():
                rows = self._picked(_batch(run, frame), picks, None, guarded=False)
                found.append(query(rows, guarded=False).with_columns(*_NUMBERS).collect())
        except (OSError, pa.ArrowInvalid):
            self.faults[run.number] = MOVED
            return []
        return found

    def _picked(self, rows: pl.LazyFrame, picks: Picks, files: pl.DataFrame | None, *, guarded: bool) -> pl.LazyFrame:
        """``files`` are those of tables; ``guarded``: text is as it stands in CSV."""
        if picks.among is not None:
            rows = rows.filter(picks.among)
        if picks.places is not None:
            at = picks.places.select(pl.col("run").alias("path"), pl.col("file").alias("source"), "row")
            at = at if files is None else picks.places.join(files, on=["run", "file"]).select(*_FILE, "row")
            rows = rows.join(at.lazy(), on=[*_FILE, "row"], how="semi")
        if picks.keys is not None:
            parts = picks.keys.str.split_exact("\0", 1).struct.rename_fields(list(self._parts)).struct.unnest()
            if not set(self._parts) <= set(rows.collect_schema()):
                return rows.clear()
            if guarded:
                parts = parts.with_columns(guard_formula(column) for column in parts)
            rows = rows.join(parts.lazy(), on=self._parts, how="semi")
        return rows

    def _keyed(self, rows: pl.LazyFrame, *, guarded: bool) -> pl.LazyFrame:
        """With the key of each row, and with what links it as it was before it was guarded."""
        columns = set(rows.collect_schema())
        texts = [name for name in (*IDS, *LINK_COLUMNS) if name in columns]
        has_ids = set(self._parts) <= columns
        key = pl.concat_str(self._parts, separator="\0") if has_ids else pl.lit(None, pl.String)
        missing = [pl.lit(None, pl.String).alias(name) for name in LINK_COLUMNS if name not in columns]
        if guarded:
            rows = rows.with_columns(unguard_formula(pl.col(name)) for name in texts)
        return rows.with_columns(key.alias("key"), *missing)


def _is_csv(run: RunEnds) -> bool:
    return run.table is not None and run.table.suffix == ".csv"


def _scanned(group: list[RunEnds]) -> pl.LazyFrame:
    """The rows of tables with the same columns, lazily; cells of CSV as they are in the file."""
    paths = [run.table for run in group if run.table]
    texts = [name for name in (*IDS, *LINK_COLUMNS) if name in _columns(paths[0])]
    if _is_csv(group[0]):
        rows = pl.scan_csv(paths, infer_schema=False, glob=False, include_file_paths="path")
    else:
        rows = pl.scan_parquet(paths, glob=False, include_file_paths="path")
    rows = rows.select("path", *_KEPT, *texts)
    return rows.with_columns(pl.col("amount").cast(MONEY), pl.col("row").cast(pl.UInt32))


def _batch(run: RunEnds, frame: pl.DataFrame) -> pl.LazyFrame:
    """A batch of :meth:`batchpost.planends.PlanEnds.frames`, where run and file are known by their numbers."""
    numbers = (pl.lit(run.number, ROWS["run"]).alias("path"), pl.col("file").alias("source"))
    return frame.lazy().select(*numbers, pl.col("amount").cast(MONEY), pl.exclude("file", "amount"))


def _names(group: list[RunEnds]) -> pl.DataFrame:
    """The files of runs by the paths of their tables and the names that they have there."""
    entries = [(str(run.table), file.name, run.number, index) for run in group for index, file in enumerate(run.files)]
    kinds = {"path": pl.String, "source": pl.String, "run": ROWS["run"], "file": ROWS["file"]}
    names = pl.DataFrame(entries, schema=kinds, orient="row")
    return names.with_columns(guard_formula(names["source"])) if _is_csv(group[0]) else names


def _alike(runs: list[RunEnds]) -> Iterator[list[RunEnds]]:
    """Runs whose tables have the same columns."""
    groups: defaultdict[object, list[RunEnds]] = defaultdict(list)
    for run in runs:
        groups[_kind(run)].append(run)
    yield from groups.values()


def _kind(run: RunEnds) -> object:
    table = run.table
    if table is None:
        return None
    try:
        if table.suffix == ".parquet":
            return tuple(_columns(table))
        with table.open("rb") as file:
            return file.readline(_HEADER)
    except (OSError, pl.exceptions.PolarsError):
        return run.number  # what is wrong with it, reading it will say


def keep_ends(run: RunEnds) -> bool:
    """Write :data:`ENDS_FILE` into a run's results, durably, so that its outcomes can be deleted; returns whether there
    is one now, which there cannot be where what it left cannot be read. Raises OSError."""
    place = run.folder / ENDS_FILE
    if run.table == place or not run.known or run.folder.is_symlink():
        return run.known and not run.folder.is_symlink()
    names = {index: file.name for index, file in enumerate(run.files)}
    source = pl.col("file").replace_strict(names, return_dtype=pl.String).alias("source")
    columns = (*_KEPT, *(LINK_COLUMNS if run.mends else ()))
    kinds = {"row": pa.uint32(), "amount": pa.decimal128(38, 9)}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in columns])
    facts = {"run_id": run.record.run_id, "job": run.record.job}
    try:
        with replaced(place) as file, closing(ParquetTable(file, schema, facts)) as table:
            for rows in Ends([run]).batches(run.number):
                table.write(rows.with_columns(source))
    except (ValueError, pl.exceptions.PolarsError):
        return False
    synced(run.folder)
    return True
