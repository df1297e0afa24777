"""A batch of text → what to post, what to leave out, and what is wrong with the rest: pure, and no Python per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import polars as pl

from batchpost.condition import Condition, check_where
from batchpost.fields import BoundField, campaign_of, cell, fields_of, unwrapped
from batchpost.job import Job
from batchpost.model import Outcome
from batchpost.payload import JsonValue, json_objects, json_string, quoted
from batchpost.routes import Credential
from batchpost.rowkinds import blank_and_totals, nameless

__all__ = ["Mapper", "check_where", "stake_text"]

_NULL = pl.lit(None, pl.String)
_SEPARATOR = "\x1f"  # between texts that are joined into one
_ROWS = {
    "ragged_row": "the row has another number of cells than the header",
    "blank_row": "every cell is empty",
    "totals_row": "the row is a total, not a lead's",
    "filtered": "the row does not meet [rows] where",
    "where_unknown": "[rows] where gives NULL for this row: a cell that it compares is empty or not a value",
}


class Diagnosis:
    """What some fields say of rows that are suspect, as expressions that are built once."""

    def __init__(self, fields: Sequence[BoundField]) -> None:
        names = [f"code{n}" for n in range(len(fields))]
        self._suspect = [field.suspect.any().alias(name) for field, name in zip(fields, names, strict=True)]
        self._codes = {name: field.why().alias(name) for field, name in zip(fields, names, strict=True)}
        self._sentences = {name: field.sentence(pl.col(name)) for field, name in zip(fields, names, strict=True)}

    def of(self, suspects: pl.DataFrame) -> pl.DataFrame:
        """``row, reason, detail`` of the rows where a field has something to say: its first reason, all sentences."""
        # Most of the fields are sound in all rows of a batch, and their reasons have costly patterns.
        flags = suspects.select(pl.lit(False).alias("row"), *self._suspect).row(0, named=True)
        found = [name for name, is_suspect in flags.items() if is_suspect]
        reason = pl.coalesce(*found, _NULL).str.extract(r"^([^:]*)").alias("reason")
        sentences = [self._sentences[name] for name in found]
        detail = pl.concat_str(*sentences, _NULL, separator="; ", ignore_nulls=True).alias("detail")
        told = suspects.select("row", *(self._codes[name] for name in found)).select("row", reason, detail)
        return told.filter(pl.col("reason").is_not_null())


class Mapper:
    """Maps the batches of an input by a job whose columns all exist. Keeps nothing between batches."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._fields = {field.name: field for field in fields_of(job)}
        self._campaign = campaign_of(job)
        # The campaign comes last: where the lead's id is missing too, that says more.
        self._bound = [*self._fields.values(), *([self._campaign] if self._campaign else [])]
        self._condition = Condition(job.rows.where, list(self._fields.values())) if job.rows.where else None
        self._columns = self._columns_read()
        self._plain = [field.plain.all().alias(field.name) for field in self._bound if field.plain is not None]
        lead = pl.col(f"{self._fields['transaction_id'].source.column}.cell")
        suspect = pl.any_horizontal([field.suspect for field in self._bound])
        self._marks = [suspect.alias("suspect"), nameless(lead).alias("nameless")]
        self._steps: dict[frozenset[str], list[list[pl.Expr]]] = {}
        self._diagnosis = Diagnosis(self._bound)
        self._on_purpose = Diagnosis([field for field in self._bound if field.source.otherwise == "skip"])
        self._body = self._members()
        self._output = [expr.alias(name) for name, expr in self._output_columns().items()]

    def map(self, frame: pl.DataFrame, *, last: bool = False, ragged: Sequence[int] = ()) -> pl.DataFrame:
        """One row for each of the frame, in its order; the frame's columns are text, ``""`` or null where empty.

        ``last``: the frame ends its file, so that its last row may be a total. ``ragged``: offsets of rows with
        another number of cells than the header. Columns: ``campaign_id, transaction_id, event_id, pid, amount,
        stake, key_extra, body, outcome, reason, detail`` (String), ``money_<field>`` (Decimal(38, 9)) for each of
        the job's money fields and, where the job maps it, ``conversion_date`` as it goes out, with its zone.
        ``outcome`` is null, and ``body`` is not, where the row is to be sent. Raises UsageError where
        ``[rows] where`` fails on a row.
        """
        work = self._convert(frame)
        verdicts = [
            _outcome(_about(pl.DataFrame({"row": ragged}), "ragged_row"), Outcome.INVALID),
            *self._blank_and_totals(frame, work["nameless"], last),
            *self._problems(work.filter("suspect")),
            *(self._filtered(self._condition, work) if self._condition else ()),
        ]
        first = pl.concat(verdicts).unique("row", keep="first", maintain_order=True)
        decided = [_spread(first, name, work.height) for name in ("outcome", "reason", "detail")]
        return work.with_columns(*decided, json_objects(work, self._body)).select(self._output)

    def money_of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """What rows say of the job's money fields, as Decimal(38, 9), null where that cannot be read; no check of the
        field counts. The columns are named by the fields."""
        work = self._convert(frame)
        return work.select(self._fields[name].wanted.part("exact").alias(name) for name in self._job.money_fields)

    def _columns_read(self) -> list[str]:
        sources = [field.source.column for field in self._bound]
        filtered = self._condition.columns if self._condition else []
        return list(dict.fromkeys(name for name in (*sources, *filtered, *self._job.rows.key) if name is not None))

    def _convert(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The working frame: the row's offset, the cells, each field's parts, and whether the row is suspect."""
        offset = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
        work = frame.select(offset, *(cell(name) for name in self._columns))
        cells = [f"{name}.cell" for name in self._columns]
        marks = pl.col(cells).str.starts_with('="') | pl.col(cells).str.starts_with("'")
        wrapped = work.select(marks.any()).row(0, named=True)
        if any(wrapped.values()):  # rare, and its regex would cost as much as the trimming
            work = work.with_columns(unwrapped(pl.col([name for name, found in wrapped.items() if found])))
        work = work.with_columns(pl.col(cells).replace("", None))
        work = work.with_columns(field.text for field in self._bound)
        plain = work.select(self._plain).row(0, named=True) if self._plain else {}
        for step in self._steps_for(frozenset(name for name, holds in plain.items() if holds)):
            work = work.with_columns(step)
        return work.with_columns(self._marks)

    def _steps_for(self, plain: frozenset[str]) -> list[list[pl.Expr]]:
        """The steps of all fields side by side, where the texts of these need no conversion."""
        if plain not in self._steps:
            fields = [field.short_steps if field.name in plain else field.steps for field in self._bound]
            self._steps[plain] = [
                [expr for group in step for expr in group] for step in zip_longest(*fields, fillvalue=())
            ]
        return self._steps[plain]

    def _blank_and_totals(self, frame: pl.DataFrame, candidates: pl.Series, last: bool) -> list[pl.DataFrame]:
        if not candidates.any():
            return []
        kinds = blank_and_totals(frame, candidates, last=last)
        if self._job.rows.totals == "reject":
            kinds = kinds.filter(pl.col("reason") != "totals_row")
        said = pl.col("reason").replace_strict(_ROWS, return_dtype=pl.String)
        return [_outcome(kinds.with_columns(said.alias("detail")), Outcome.SKIPPED)]

    def _problems(self, suspects: pl.DataFrame) -> list[pl.DataFrame]:
        """What the fields say of their cells. A row that a map leaves out on purpose may be wrong elsewhere."""
        if suspects.is_empty():
            return []
        left_out = self._on_purpose.of(suspects).filter(pl.col("reason") == "otherwise")
        others = suspects.join(left_out, on="row", how="anti", maintain_order="left")
        return [_outcome(left_out, Outcome.SKIPPED), _outcome(self._diagnosis.of(others), Outcome.INVALID)]

    def _filtered(self, condition: Condition, work: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        holds = condition.holds(work)
        left_out, unknown = work.filter(~holds), work.filter(holds.is_null())
        return (
            _outcome(_about(left_out, "filtered"), Outcome.SKIPPED),
            _outcome(_about(unknown, "where_unknown"), Outcome.INVALID),
        )

    def _output_columns(self) -> dict[str, pl.Expr]:
        money = self._job.money_fields
        # A total is no operation's money: counted, it would double the books.
        countable = pl.col("reason").ne_missing("totals_row")
        readable = pl.when(countable).then(self._fields[money[0]].readable) if money else _NULL
        amounts = {f"money_{name}": pl.when(countable).then(self._fields[name].exact) for name in money}
        sent = pl.col("outcome").is_null()
        key = [pl.col(f"{name}.cell").fill_null("") for name in self._job.rows.key]
        return {
            "campaign_id": self._campaign_id(),
            **{name: self._value(name) for name in ("transaction_id", "event_id", "pid")},
            "amount": readable,
            **amounts,
            **({"conversion_date": self._date_and_zone()} if "conversion_date" in self._fields else {}),
            "stake": pl.when(sent).then(self._stake()) if self._job.spec.stakes else _NULL,
            "key_extra": pl.concat_str(key, separator=_SEPARATOR) if key else pl.lit(""),
            "body": pl.when(sent).then(pl.col("body")),
            **{name: pl.col(name) for name in ("outcome", "reason", "detail")},
        }

    def _campaign_id(self) -> pl.Expr:
        if self._campaign:
            return self._campaign.value
        constant = self._job.api.campaign_id if self._job.spec.by_campaign else None
        return pl.lit(constant if isinstance(constant, str) else None, pl.String)

    def _value(self, name: str) -> pl.Expr:
        return self._fields[name].value if name in self._fields else _NULL

    def _members(self) -> list[tuple[str, JsonValue]]:
        """What a body has: the lead's id, the campaign where it belongs there, and the other fields in the order of the
        job, ``conversion_timezone`` right after the date that it is for."""
        members = [("transaction_id", self._fields["transaction_id"].json)]
        if self._job.spec.credential is Credential.CAMPAIGN_IN_BODY:
            members.append(("cid", json_string(self._campaign_id())))
        for name, field in self._fields.items():
            if name == "transaction_id":
                continue
            members.append((name, field.json))
            if name == "conversion_date" and "conversion_timezone" not in self._fields:
                members.append(("conversion_timezone", quoted(self._zone())))
        return members

    def _zone(self) -> pl.Expr:
        """The code of the zone that ``conversion_date`` goes out in; null for a date without a time."""
        if "conversion_timezone" in self._fields or "conversion_date" not in self._fields:
            return self._value("conversion_timezone")
        date = self._fields["conversion_date"]
        has_time = date.value.str.len_bytes() > len("YYYY-MM-DD")
        return pl.when(has_time).then(pl.lit(date.source.send_as, pl.String))

    def _date_and_zone(self) -> pl.Expr:
        zone = pl.concat_str(pl.lit(" "), self._zone())
        return pl.concat_str(self._value("conversion_date"), zone.fill_null(""))

    def _stake(self) -> pl.Expr:
        return stake_text({name: self._value(name) for name in self._job.spec.stakes}, self._zone(), self._job)


def stake_text(values: Mapping[str, pl.Expr], zone: pl.Expr, job: Job) -> pl.Expr:
    """What makes a second event of one operation a conflict: its money, however written, and its date with the code of
    its zone. ``values`` are those of the fields that the job's route names as stakes."""
    money = job.money_fields
    parts = [_canonical(values[name]) if name in money else values[name] for name in job.spec.stakes]
    return pl.concat_str([part.fill_null("") for part in (*parts, zone)], separator=_SEPARATOR)


def _canonical(number: pl.Expr) -> pl.Expr:
    """A decimal's text without trailing zeros: 85.00 and 85 are the same money."""
    short = number.str.strip_chars_end("0").str.strip_chars_end(".")
    return pl.when(number.str.contains(".", literal=True)).then(short).otherwise(number).replace("-0", "0")


def _spread(findings: pl.DataFrame, name: str, height: int) -> pl.Series:
    """A column of findings over all rows, null where nothing was found."""
    nothing = pl.repeat(None, height, dtype=pl.String, eager=True).alias(name)
    return nothing.scatter(findings["row"], findings[name]) if findings.height else nothing


def _about(rows: pl.DataFrame, reason: str) -> pl.DataFrame:
    """Findings of one reason for the frame's rows."""
    return rows.select(
        pl.col("row").cast(pl.UInt32), pl.lit(reason).alias("reason"), pl.lit(_ROWS[reason]).alias("detail")
    )


def _outcome(findings: pl.DataFrame, outcome: Outcome) -> pl.DataFrame:
    return findings.select("row", pl.lit(outcome.value).alias("outcome"), "reason", "detail")
