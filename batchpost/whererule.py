"""The rules of ``[rows] where``: one SQL condition on the row itself, as polars reads SQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from batchpost.job import Job
from batchpost.jobtext import Finding
from batchpost.routes import FieldType

__all__ = ["names_in", "where_findings"]

_ACROSS_ROWS = {"Agg", "Over", "SubPlan", "Window", "Rolling"}  # nodes of a polars expression that look past the row
_EXAMPLE = "write one like revenue > 0 AND Region = 'US'"


def where_findings(job: Job) -> Iterator[Finding]:
    """What is wrong with the condition; nothing where there is none."""
    where = job.rows.where
    if where is None:
        return
    import polars as pl

    place = ("rows", "where")
    try:
        expression = pl.sql_expr(where)
        names = expression.meta.root_names()
        if not names:
            yield Finding(place, "names no field and no column", _EXAMPLE)
        elif not expression.meta.eq(expression.meta.undo_aliases()):
            yield Finding(place, "is more than one condition", "join conditions with AND or OR")
        elif _looks_across(json.loads(expression.meta.serialize(format="json"))):
            yield Finding(place, "looks at more than one row", "compare fields and columns of the row itself")
        elif (kind := _kind_of(job, expression, names)) != pl.Boolean:
            yield Finding(place, f"is not a condition: it gives {kind}", _EXAMPLE)
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().partition("\n")[0]
        yield Finding(place, f"is not an SQL condition: {reason}", _EXAMPLE)


def names_in(where: str) -> list[str]:
    """The fields and columns that an SQL condition names, each once."""
    import polars as pl

    return list(dict.fromkeys(pl.sql_expr(where).meta.root_names()))


def _looks_across(node: Any) -> bool:
    if isinstance(node, dict):
        inner = (value for key, value in node.items() if key not in ("Column", "Literal"))
        return not _ACROSS_ROWS.isdisjoint(node) or any(map(_looks_across, inner))
    return any(map(_looks_across, node)) if isinstance(node, list) else node == "Len"


def _kind_of(job: Job, expression: Any, names: list[str]) -> Any:
    """The polars type of an expression over the job's fields, typed as they are compared, and columns of text."""
    import polars as pl

    types = {
        FieldType.NUMBER: pl.Float64(),
        FieldType.INTEGER: pl.Float64(),
        FieldType.MONEY: pl.Float64(),
        FieldType.BOOLEAN: pl.Boolean(),
        FieldType.DATE: pl.Date(),
        FieldType.DATETIME: pl.Datetime(),
    }
    kinds = {name: job.type_of(name) if name in job.fields else FieldType.TEXT for name in names}
    schema = {name: types.get(kind, pl.String()) for name, kind in kinds.items()}
    return pl.LazyFrame(schema=schema).select(expression.alias("kept")).collect_schema()["kept"]
