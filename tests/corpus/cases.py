"""The cases of the corpus: which file, read how, and what must come of it. ``cases/*.toml`` hold them, by group."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchpost.batch import Batch
from batchpost.errors import BatchpostError, InputRefused, NoInput, UsageError
from batchpost.job import Job, Source
from batchpost.mapping import Mapper
from batchpost.source import Reader, find_files, open_input

__all__ = ["GROUPS", "HERE", "Case", "Outcome", "cases", "outcome"]

HERE = Path(__file__).parent
GROUPS = ("encodings", "dialects", "shapes", "foreign", "packed", "parquet", "workbooks", "names", "values")
_LEAD = re.compile(r'^\{"transaction_id":"(?:[^"\\]|\\.)*","event_id":"sale"(?:,|(?=\}))')
_ERRORS = {InputRefused: "refused", NoInput: "no_input", UsageError: "usage"}


@dataclass(frozen=True)
class Case:
    """One case. ``expected`` has any of the parts of an :data:`Outcome`; ``note`` is for the table of the page."""

    group: str
    path: str | list[str]
    what: str
    source: dict[str, Any]
    fields: dict[str, Any]
    expected: dict[str, Any]
    note: str = ""

    @property
    def name(self) -> str:
        """The file, or what is named in its place."""
        return self.path if isinstance(self.path, str) else " and ".join(self.path)


Outcome = dict[str, Any]
"""``columns``, ``rows`` (all cells), ``lines``, ``found`` (what the reader says it found out), ``left_out`` (column →
why); with fields also ``fates`` (what goes out of each row besides its id and event, or the reason why it does not) and
``ids``. Or the one key ``refused``, ``no_input`` or ``usage`` with ``message``, ``hint`` and ``line``."""


def cases() -> Iterator[Case]:
    """All cases, in the order of their files."""
    for group in GROUPS:
        for one in tomllib.loads((HERE / "cases" / f"{group}.toml").read_text("utf-8"))["case"]:
            settings, fields = one.pop("source", {}), one.pop("fields", {})
            yield Case(group, one.pop("file"), one.pop("what"), settings, fields, one, one.pop("note", ""))


def outcome(case: Case) -> Outcome:
    """What comes of a case."""
    source = {"path": case.path, **case.source}
    try:
        readers = open_input(find_files(Source(**source), HERE / case.group), Source(**source))
        batches = [batch for reader in readers for batch in reader.batches()]
    except (InputRefused, NoInput, UsageError) as error:
        return {_ERRORS[type(error)]: _told(error)}
    mapped = _mapped(case, source, batches) if case.fields else {}
    return {**_read(readers, batches), **mapped}


def _told(error: BatchpostError) -> dict[str, Any]:
    if isinstance(error, InputRefused):
        return {"line": error.line, "message": error.message, "hint": error.hint}
    return {"message": str(error)}


def _read(readers: tuple[Reader, ...], batches: list[Batch]) -> Outcome:
    return {
        "columns": list(readers[0].columns),
        "rows": [list(row) for batch in batches for row in batch.frame.fill_null("").iter_rows()],
        "lines": [line for batch in batches for line in batch.lines if line is not None],
        "found": [decision.said for reader in readers for decision in reader.decisions],
        "left_out": readers[0].unsupported_columns,
    }


def _mapped(case: Case, source: dict[str, Any], batches: list[Batch]) -> Outcome:
    first = next(iter(batches)).frame.columns[0]
    fields = {"transaction_id": {"column": first}, "event_id": {"value": "sale"}, **case.fields}
    job = {"name": "j", "route": "global-event", "source": source, "path": HERE / "j.toml", "workspace": HERE}
    mapper = Mapper(Job.model_validate({**job, "fields": fields}))
    rows = [
        row
        for batch in batches
        for row in mapper.map(batch.frame, last=batch.last, ragged=batch.ragged).iter_rows(named=True)
    ]
    return {
        "fates": [_LEAD.sub("{", row["body"]) if row["body"] else row["reason"] for row in rows],
        "ids": [row["transaction_id"] or "" for row in rows],
    }
