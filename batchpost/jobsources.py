"""The files of a job: which runs read them as ordinary input, and which rows mend or repeat rows of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from batchpost.links import LINK_COLUMNS
from batchpost.rowends import ROWS, TALLY, RunEnds

__all__ = ["STOOD", "JobSources", "Reading", "Source", "job_sources", "linked"]

STOOD: dict[str, Any] = {"source": pl.UInt32(), **{name: kind for name, kind in TALLY.items() if name != "file"}}
"""Rows counted by source, the run that has them last, and end."""

_PLACE = {"run": ROWS["run"], "file": ROWS["file"], "row": ROWS["row"]}
_TARGET: dict[str, Any] = {**_PLACE, "source": pl.UInt32(), "mends": ROWS["row"]}
_DIGITS = r"^[0-9]{1,9}$"


class Reading(NamedTuple):
    """A file as a run read it: the number of the run, the index of the file there, its rows."""

    run: int
    file: int
    rows: int


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a job, known by its content. ``number`` counts them in the order first read, ``first_read`` is when
    (Unix seconds), under this ``name``; ``mends``: its rows mend or repeat others. ``readings`` are those of runs that
    say how its rows ended, oldest first; a file of mends has none."""

    number: int
    sha256: str
    name: str
    first_read: float
    first_run: int
    mends: bool = False
    readings: list[Reading] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class JobSources:
    """``sources`` by their numbers; ``of`` says which one a file of a run is."""

    sources: Sequence[Source]
    of: Mapping[tuple[int, int], int]

    def bases(self) -> dict[int, Reading]:
        """The last reading of each source that has one."""
        return {source.number: source.readings[-1] for source in self.sources if source.readings}

    def earlier(self) -> dict[int, list[Reading]]:
        """The readings before the last one, of the sources that have some, as far as they found the same rows."""
        found = {
            source.number: [one for one in source.readings[:-1] if one.rows == source.readings[-1].rows]
            for source in self.sources
        }
        return {number: readings for number, readings in found.items() if readings}


def job_sources(runs: Iterable[RunEnds]) -> JobSources:
    """The files that these runs read, oldest run first. A file that a run read twice counts once."""
    sources: dict[str, Source] = {}
    of: dict[tuple[int, int], int] = {}
    for run in runs:
        names = [(file.sha256, file.name) for file in run.files]
        names = names or [
            (sha, f"file {index} of {run.record.run_id}") for index, sha in enumerate(run.record.inputs, 1)
        ]
        seen: set[str] = set()
        for index, (sha, name) in enumerate(names):
            first = Source(len(sources), sha, name, run.record.started_at, run.number, run.mends)
            source = sources.setdefault(sha, first)
            of[run.number, index] = source.number
            if run.files and not run.mends and sha not in seen:
                source.readings.append(Reading(run.number, index, run.files[index].rows))
            seen.add(sha)
    return JobSources(list(sources.values()), of)


def linked(rows: pl.DataFrame, runs: Sequence[RunEnds], files: JobSources) -> pl.DataFrame:
    """Which row of which source each of these rows stands for: ``run, file, row`` as given, ``source`` and ``mends``.

    ``rows`` are those of runs that mend others, as :data:`batchpost.rowends.ROWS`. One whose link leads nowhere stands
    for itself.
    """
    places = _places(runs, files)
    found = pl.DataFrame(schema=_TARGET)
    for (number,), of_run in rows.sort("run", maintain_order=True).group_by("run", maintain_order=True):
        found = pl.concat([found, _targets(of_run, places, found, files, int(str(number)))])
    return found


def _targets(
    rows: pl.DataFrame, places: pl.DataFrame, before: pl.DataFrame, files: JobSources, run: int
) -> pl.DataFrame:
    link = pl.when(pl.col("batchpost_row").str.contains(_DIGITS)).then("batchpost_row").cast(pl.UInt32)
    linked_to = rows.with_columns(link_row=link).join(places, on=LINK_COLUMNS[:2], how="left", maintain_order="left")
    through = before.select(
        run_to="run", file_to="file", link_row="row", source_through="source", mends_through="mends"
    )
    told = linked_to.join(through, on=["run_to", "file_to", "link_row"], how="left", maintain_order="left")
    sound = pl.col("link_row").is_between(1, pl.col("rows_to"))
    own = {index: source for (number, index), source in files.of.items() if number == run}
    itself = pl.col("file").replace_strict(own, return_dtype=pl.UInt32)
    source = pl.coalesce("source_through", pl.when(sound).then("source_to"))
    mends = pl.when(source.is_null()).then("row").otherwise(pl.coalesce("mends_through", "link_row"))
    told = told.with_columns(source=pl.coalesce(source, itself), mends=mends)
    return told.select(pl.col(name).cast(kind) for name, kind in _TARGET.items())


def _places(runs: Sequence[RunEnds], files: JobSources) -> pl.DataFrame:
    """Where links can lead: the names of runs and files, with the numbers of these, and for files that are ordinary
    input the source and its rows."""
    bases = files.bases()
    entries = []
    for run in runs:
        for index, file in enumerate(run.files):
            source = files.of[run.number, index]
            same = source in bases and bases[source].rows == file.rows
            to = (source, file.rows) if same and not run.mends else (None, None)
            entries.append((run.record.run_id, file.name, run.number, index, *to))
    kinds = {"batchpost_run": pl.String, "batchpost_source": pl.String, "run_to": ROWS["run"], "file_to": ROWS["file"]}
    return pl.DataFrame(entries, schema={**kinds, "source_to": pl.UInt32, "rows_to": pl.UInt32}, orient="row")
