"""How every row of a job's files stands today, over all its runs: by tallies of what each run says, and, one by one, of
the rows that have more than one end or did not get through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import polars as pl

from batchpost.expectation import NOT_A_CONVERSION
from batchpost.goneends import tally_of_gone
from batchpost.jobruns import Decision
from batchpost.jobsources import STOOD, JobSources, Reading, job_sources, linked
from batchpost.latest import ENTRIES, followed, latest, left, spent, taken_back, worth
from batchpost.model import Outcome
from batchpost.rowends import ROWS, Picks, RunEnds

__all__ = ["Reader", "Rules", "Stood", "decided_rows", "how_rows_stand"]

_PLACE = ["source", "row"]
_FILE = ["run", "file"]
_DECIDED: dict[str, Any] = {
    **{name: ROWS[name] for name in (*_FILE, "row")},
    "now": pl.String(),
    "now_reason": pl.String(),
    "voided": pl.Float64(),
}
_READ: dict[str, Any] = {"source": pl.UInt32(), **ROWS}
_INSIDE = pl.col("outcome").is_in([Outcome.DELIVERED.value, Outcome.ALREADY_DELIVERED.value])
_NOT_COUNTED = pl.col("reason") == NOT_A_CONVERSION
_WAITS = left() | _NOT_COUNTED


class Reader(Protocol):
    """Reads the ends of runs; :class:`batchpost.rowends.Ends` is one. ``faults`` are as there."""

    faults: dict[int, str]

    def tallied(self, numbers: Iterable[int]) -> pl.DataFrame:
        """The rows of these runs by file and end, as :data:`batchpost.rowends.TALLY`."""

    def picked(self, numbers: Iterable[int], picks: Picks) -> pl.DataFrame:
        """Rows of these runs, as :data:`batchpost.rowends.ROWS`."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a job says that matters here. ``conversion``: an event counts only as a conversion; ``by_ids``: rows of one
    lead, and of one event of it, are one operation."""

    is_event: bool = True
    conversion: bool = True
    by_ids: bool = True


@dataclass(frozen=True, slots=True)
class Stood:
    """The files of a job, and how their rows stand, as :data:`batchpost.jobsources.STOOD`; by number the runs whose
    ends cannot be read, and why."""

    files: JobSources
    tally: pl.DataFrame
    faults: Mapping[int, str]


def how_rows_stand(
    runs: Sequence[RunEnds],
    decisions: Sequence[Decision],
    reader: Reader,
    rules: Rules,
    *,
    delivered: Mapping[bytes, tuple[int, int]] | None = None,
    voided: pl.DataFrame | None = None,
    held: int = 500_000,
) -> Stood:
    """Every row by its latest end. ``runs`` are numbered from 0, oldest first.

    ``delivered`` is what the ledger knows of contents: their rows, and how many of them are delivered. ``voided`` are
    other jobs' deliveries that were taken back, as :data:`batchpost.latest.ENTRIES`. Up to ``held`` rows that did not
    get through are looked at before others of their operations are; where there are more, it is the other way round.
    """
    files = job_sources(runs)
    bases, tally = _tallied(runs, files, reader)
    rows = _Rows(runs, files, bases, tally, reader, rules, decided_rows(decisions, runs), held)
    ends, was = rows.latest(pl.DataFrame(schema=ENTRIES) if voided is None else voided)
    unread = {source: one for source, one in files.bases().items() if source not in bases}
    gone = tally_of_gone(runs, unread, delivered or {})
    counted_before = _counted(was).with_columns(-pl.col("rows", "priced", "amount"))
    stood = pl.concat([tally, _counted(ends), counted_before, gone])
    stood = stood.group_by("source", "run", "outcome", "reason").agg(pl.all().sum())
    return Stood(files, stood.filter(pl.col("rows") != 0), dict(reader.faults))


def _tallied(runs: Sequence[RunEnds], files: JobSources, reader: Reader) -> tuple[dict[int, Reading], pl.DataFrame]:
    """The last reading of each source whose ends can be read, and their rows."""
    bases = {source: one for source, one in files.bases().items() if runs[one.run].known}
    found = reader.tallied({one.run for one in bases.values()}).join(_readings(bases.items()), on=_FILE)
    counts = dict(found.group_by("source").agg(pl.col("rows").sum()).iter_rows())
    for source, one in bases.items():
        if (count := counts.get(source, 0)) != one.rows and one.run not in reader.faults:
            reader.faults[one.run] = f"has {count:,} of the {one.rows:,} rows of {files.sources[source].name}"
    bases = {source: one for source, one in bases.items() if one.run not in reader.faults}
    return bases, found.filter(pl.col("source").is_in(list(bases))).select(*STOOD)


def _readings(readings: Iterable[tuple[int, Reading]]) -> pl.DataFrame:
    entries = [(source, one.run, one.file) for source, one in readings]
    return pl.DataFrame(entries, schema={name: _READ[name] for name in ("source", *_FILE)}, orient="row")


def decided_rows(decisions: Sequence[Decision], runs: Sequence[RunEnds]) -> pl.DataFrame:
    """The decisions by ``run``, ``file`` and ``row`` there: outcome and reason ``now`` and ``now_reason``, and when it
    was ``voided``."""
    numbers = {run.record.run_id: run for run in runs}
    entries = []
    for one in decisions:
        run = numbers[one.run_id]
        firsts = [0, *accumulate(file.rows for file in run.files)]
        index = next((index for index, first in enumerate(firsts[1:]) if one.number < first), None)
        if index is not None:
            place = (run.number, index, one.number - firsts[index] + 1)
            entries.append((*place, one.outcome, one.reason, one.voided_at))
    return pl.DataFrame(entries, schema=_DECIDED, orient="row")


def _counted(ends: pl.DataFrame) -> pl.DataFrame:
    """Rows one by one as :data:`batchpost.jobsources.STOOD`."""
    counts = ends.group_by("source", "run", "outcome", "reason").agg(
        pl.len().alias("rows"), pl.col("amount").count().alias("priced"), pl.col("amount").sum()
    )
    return counts.select(pl.col(name).cast(kind) for name, kind in STOOD.items())


class _Rows:
    """The rows that are looked at one by one. ``bases`` are the readings that the ``tally`` is of."""

    def __init__(
        self,
        runs: Sequence[RunEnds],
        files: JobSources,
        bases: Mapping[int, Reading],
        tally: pl.DataFrame,
        reader: Reader,
        rules: Rules,
        decided: pl.DataFrame,
        held: int,
    ) -> None:
        self._runs, self._files, self._reader, self._rules, self._decided = runs, files, reader, rules, decided
        self._bases, self._last, self._tally, self._held = bases, _readings(bases.items()), tally, held
        self._earlier = _readings(
            (source, one) for source, found in files.earlier().items() if source in bases for one in found
        )
        self._ended = {run.number: run.record.finished_at or run.record.started_at for run in runs}

    def latest(self, voided: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """How these rows stand, as :data:`batchpost.latest.ENTRIES`, and those of them that the tallies have, as they
        stand there."""
        mends = self._mends()
        was = self._wanted(mends)
        entries = pl.concat([mends, self._entries(was), self._history(was)])
        ends = latest(entries, self._ended)
        keys = pl.concat([ends.filter(left() | spent())["key"], voided["key"]]).drop_nulls().unique()
        if self._rules.by_ids and keys.len():
            others = self._read(self._last if voided.height else self._after(ends), Picks(keys=keys))
            others = others.join(was, on=_PLACE, how="anti")
            was = pl.concat([was, others])
            ends = latest(pl.concat([entries, self._entries(others), self._history(others)]), self._ended)
            ends = followed(taken_back(ends, voided, self._ended), is_event=self._rules.is_event)
        return ends, was

    def _after(self, ends: pl.DataFrame) -> pl.DataFrame:
        """The last readings that may have rows after one of these that did not get through, or rows that rest on one
        that is not worth what it was. ``ends`` have a ``source`` and a ``run``, and whether they are ``until``."""
        wanted = pl.lit(False)
        if (waiting := ends.filter(left())).height:
            wanted = (pl.col("source") > waiting["source"].min()) | (pl.col("run") > waiting["run"].min())
        if (worthless := ends.filter(spent())).height:
            wanted |= pl.col("run") >= worthless["run"].min()
        return self._last.filter(wanted)

    def _read(self, readings: pl.DataFrame, picks: Picks) -> pl.DataFrame:
        """Rows of these readings, as :data:`batchpost.rowends.ROWS` with their ``source``."""
        return self._reader.picked(readings["run"], picks).join(readings, on=_FILE).select(*_READ)

    def _read_at(self, readings: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
        """The same of rows by their sources."""
        at = places.join(readings, on="source").select(*_FILE, "row")
        return self._read(readings.join(at, on=_FILE, how="semi"), Picks(places=at))

    def _mends(self) -> pl.DataFrame:
        """All rows of runs that mend others, as entries; not those of sources of which only the tallies are known."""
        rows = self._reader.picked([run.number for run in self._runs if run.mends], Picks())
        unread = [source for source in self._files.bases() if source not in self._bases]
        stand_for = linked(rows, self._runs, self._files).filter(~pl.col("source").is_in(unread))
        return self._entries(rows.join(stand_for, on=[*_FILE, "row"]), row="mends")

    def _wanted(self, mends: pl.DataFrame) -> pl.DataFrame:
        """Of the last readings: the rows that have another end or a decision, and those that did not get through where
        that may have changed."""
        decided = self._decided.join(pl.concat([self._last, self._earlier]), on=_FILE)
        before = self._read(self._earlier, Picks(_NOT_COUNTED))
        places = pl.concat([frame.select(_PLACE) for frame in (mends, decided, before)]).unique()
        again = self._last.join(self._earlier, on="source", how="semi")
        found = pl.concat([self._read(again, Picks(_WAITS)), self._read_at(self._last, places)])
        keys = pl.concat([frame["key"] for frame in (mends, found, self._history(found))])
        return pl.concat([found, self._waiting(keys)]).unique(_PLACE)

    def _waiting(self, known: pl.Series) -> pl.DataFrame:
        """The rows that did not get through, where a later row of their operation may have; of very many rows only
        those that have one, or whose key is ``known``."""
        others = pl.col("run").is_duplicated() | (pl.col("run") < len(self._runs) - 1)
        readings = self._last.filter(others) if self._rules.by_ids else self._last.clear()
        waiting = self._tally.filter(_WAITS).join(readings, on="source", how="semi")
        keys = None
        if waiting["rows"].sum() > self._held:
            after = self._after(waiting.with_columns(until=pl.when(_NOT_COUNTED).then(0.0)))
            keys = pl.concat([known, self._read(after, Picks(_INSIDE))["key"]]).drop_nulls().unique()
        return self._read(readings, Picks(_WAITS, keys=keys))

    def _history(self, rows: pl.DataFrame) -> pl.DataFrame:
        """How these rows ended in readings before the last one."""
        return self._entries(self._read_at(self._earlier, rows.select(_PLACE)))

    def _entries(self, rows: pl.DataFrame, row: str = "row") -> pl.DataFrame:
        """Rows as they ended, with what was decided since; ``row`` is the column of the row that they stand for."""
        told = rows.join(self._decided, on=[*_FILE, "row"], how="left")
        unsure = pl.col("outcome") == Outcome.UNKNOWN.value
        holds = pl.col("now").is_not_null() & (unsure | (_INSIDE & pl.col("voided").is_not_null()))
        taken = holds & (pl.col("now") != Outcome.DELIVERED.value)
        told = told.select(
            "source",
            pl.col(row).alias("row"),
            "run",
            pl.when(holds).then("now").otherwise("outcome").alias("outcome"),
            pl.when(holds).then("now_reason").otherwise("reason").alias("reason"),
            *("amount", "key"),
            pl.when(taken).then("voided").alias("until"),
        )
        return worth(told, conversion=self._rules.conversion)
