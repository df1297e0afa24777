"""``[rows] where``: SQL over the input's columns (text) and the API fields (typed), one row at a time."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from batchpost.errors import UsageError
from batchpost.fields import BoundField, fields_of
from batchpost.job import Job
from batchpost.jobtext import did_you_mean

__all__ = ["Condition", "check_where"]

_PARTS = ("cell", "value")


class Condition:
    """A condition that rows must meet. An API field hides a column of its name; an empty cell is NULL.

    Raises polars' errors where the text is no SQL expression: see :func:`check_where`.
    """

    def __init__(self, where: str, fields: Sequence[BoundField]) -> None:
        self._expr = pl.sql_expr(where)
        self._names = list(dict.fromkeys(self._expr.meta.root_names()))
        self._fields = {field.name: field for field in fields}
        #: The input's columns that it reads.
        self.columns = [name for name in self._names if name not in self._fields]

    def holds(self, work: pl.DataFrame) -> pl.Series:
        """True, false or null for each row of a working frame (the fields' values, the columns' cells).

        Raises UsageError where a row makes the SQL fail (a CAST); the message has none of the row's text.
        """
        try:
            return self._typed(work).select(self._expr.alias("holds")).to_series()
        except pl.exceptions.PolarsError:
            # "from None": polars names the values that it could not cast, and they may be personal data.
            raise UsageError(
                "rows.where: the condition fails on the values of a row. Where it has CAST, write TRY_CAST: NULL then"
            ) from None

    def fault(self, columns: Sequence[str]) -> str | None:
        """What is wrong with it for an input with these columns, in plain words; None where all is well."""
        if not self._names:
            return "names no field and no column"
        if unknown := [name for name in self.columns if name not in columns]:
            known = [*self._fields, *columns]
            return f"no field or column is called {unknown[0]!r} {did_you_mean(unknown[0], known)}".rstrip()
        nothing = self._typed(
            pl.DataFrame(schema={f"{name}.{part}": pl.String for name in self._names for part in _PARTS})
        )
        if not _row_by_row(self._expr, nothing.schema):
            return "looks at more than one row (a sum, a rank): a condition is decided row by row"
        result = nothing.select(self._expr.alias("holds")).to_series()
        return None if result.dtype == pl.Boolean else "gives a value where true or false is wanted"

    def _typed(self, work: pl.DataFrame) -> pl.DataFrame:
        """What the SQL sees: the fields typed, the columns as text."""
        return work.select(
            (self._fields[name].typed() if name in self._fields else pl.col(f"{name}.cell")).alias(name)
            for name in self._names
        )


def _row_by_row(expr: pl.Expr, schema: pl.Schema) -> bool:
    """Whether no part of an expression looks beyond its row."""
    parts = [expr]
    while parts:
        part = parts.pop()
        if not _is_separable(part):
            return False
        parts.extend(part.meta.pop(schema=schema))
    return True


def _is_separable(part: pl.Expr) -> bool:
    try:
        return part.meta.is_literal() or part.meta.is_row_separable()
    except pl.exceptions.ColumnNotFoundError:  # polars 2.1 asks for the type of what stands before an IN
        return True


def check_where(job: Job, columns: Sequence[str]) -> str | None:
    """What is wrong with ``[rows] where`` for an input with these columns; None where all is well or there is none."""
    if job.rows.where is None:
        return None
    try:
        return Condition(job.rows.where, fields_of(job)).fault(columns)
    except pl.exceptions.PolarsError as error:
        return str(error).splitlines()[0]
