"""One API field of a job, from its column to its literal: trimming, pattern, map, conversion, and what was wrong.

Everything is expressions over a working frame. Parsing runs over all rows; the reasons are worked out only for those
that have a problem, so that they cost nothing where the data is sound.
"""

from __future__ import annotations

import polars as pl
import polars.selectors as cs

from batchpost.convert import CAMPAIGN, CONVERTERS, Conversion, Wanted, broken, constant
from batchpost.dates import date, datetime
from batchpost.job import ByColumn, FieldSource, Job
from batchpost.payload import JsonValue
from batchpost.routes import FieldType

__all__ = ["BoundField", "campaign_of", "cell", "fields_of", "trimmed", "unwrapped"]

# White space (Unicode), zero-width characters and byte order marks: what surrounds a cell without being seen.
_BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
_CONVERTERS = {**CONVERTERS, FieldType.DATE: date, FieldType.DATETIME: datetime}
_NUMERIC = (FieldType.NUMBER, FieldType.INTEGER, FieldType.MONEY)

# Code of a problem → what is said of the column. A code is a reason, perhaps with ":" and a finer mark.
_SENTENCES = {
    "missing_required": "is empty, and the platform requires this field",
    "missing_campaign": "is empty, so the row has no campaign",
    "unknown_campaign": "is not in the job's map of campaigns",
    "empty": "is empty, which the job does not allow",
    "otherwise": "is not in the job's map, which leaves such rows out",
    "not_in_map": "is not in the job's map",
    "pattern_mismatch": "does not match the job's pattern",
    "not_allowed": "is not one of {choices}",
    "excel_error": "is a spreadsheet's error, not a value",
    "replacement_character": "has the mark of text that was read in a wrong encoding (U+FFFD)",
    "forbidden_character:invisible": "has a character in it that is not seen (a zero-width blank or the like)",
    "forbidden_character": "has a control character or a line break that does not belong there",
    "id_as_number": "is a number where an id should be (12345.0, NaN): a program has taken the ids for numbers",
    "scientific_notation": "is in scientific notation: a spreadsheet has cut its digits off",
    "not_a_number": "is not {kind}",
    "not_a_number:comma": "is not {kind}; if its comma is a decimal sign, set [source] decimal",
    "ambiguous_number": "has a comma or point that may group thousands or be a decimal sign: set [source] decimal",
    "not_an_integer": "is not a whole number",
    "out_of_range": "is not {limits}",
    "out_of_range:negative": "is negative: say with min how low it may be, if it may",
    "out_of_range:digits": "has more than 15 digits or 9 decimals, more than the platform can be trusted to keep",
    "out_of_range:year": "is not between the years 1900 and 2100",
    "not_a_boolean": "is not one of the job's words for true and false",
    "not_a_date": "is not a date {format}",
    "not_a_date:serial": "is not a date {format}; it may be a spreadsheet's day number: format = 'excel'",
    "ambiguous_date": "fits several of the job's formats, as different dates",
    "needs_send_as": "has an offset from UTC: say with send_as in which zone it goes out",
    "nonexistent_time": "is a time that the change to daylight saving skips",
    "ambiguous_time": "is a time that comes twice as daylight saving ends: say with fold which one it is",
    "not_a_phone:extension": "has an extension, and the platform takes 10 digits",
    "not_a_phone": "is not a phone number of 10 digits",
    "not_a_state": "is not a state or its abbreviation",
    "not_a_zip": "is not a ZIP code of 5 digits or ZIP+4",
    "not_a_zip:short": 'has lost its leading zeros: lost_zeros = "restore" puts them back',
    "not_an_email": "is not an email address",
}


def trimmed(text: pl.Expr) -> pl.Expr:
    """Cells without the blanks around them, zero-width ones and byte order marks included."""
    return text.str.strip_chars(_BLANKS)


def cell(column: str) -> pl.Expr:
    """The trimmed text of an input's column, in the working column ``<column>.cell``.

    Chosen by its exact name: ``*`` and ``^…$`` are patterns to polars, and names to a spreadsheet.
    """
    return trimmed(cs.by_name(column).as_expr()).alias(f"{column}.cell")


def unwrapped(text: pl.Expr) -> pl.Expr:
    """``="02134"`` and ``'02134``, ways to keep a text a text in a spreadsheet, as 02134."""
    return trimmed(text.str.replace(r'^="([^"]*)"$|^\'([0-9=+@(-].*)$', "${1}${2}"))


class BoundField:
    """An API field with its source. Works on a frame that has its column's ``cell`` (null: empty).

    ``text`` makes what is read of a cell. ``steps`` after it are groups of expressions, each one ``with_columns``; they
    end in ``<name>.value``, the canonical text that goes out, null where there is none. Where ``plain`` (None: no such
    test) holds for all texts of a batch, the fewer ``short_steps`` make the same.
    """

    def __init__(
        self,
        wanted: Wanted,
        *,
        required: bool = False,
        missing: str = "missing_required",
        unmapped: str = "not_in_map",
    ) -> None:
        self.wanted = wanted
        self.name = wanted.name
        self.source = wanted.source
        self.required = required
        self._missing = missing
        self._unmapped = "otherwise" if self.source.otherwise == "skip" else unmapped
        self._conversion: Conversion = _CONVERTERS[wanted.type](wanted)
        self.text = wanted.make("text", self._text())
        self.plain = self._conversion.plain
        value = (wanted.make("value", self._allowed()),)
        self.steps = (*self._conversion.steps, value)
        self.short_steps = (*self._conversion.short, value)

    @property
    def value(self) -> pl.Expr:
        """The canonical text as sent; null where the field is left out, or unfit, or cleared."""
        return self.wanted.part("value")

    @property
    def readable(self) -> pl.Expr:
        """A number's JSON literal also where a check of its size failed; null where the row goes out without it."""
        return self.value if self._omits_invalid else self.wanted.part("literal")

    @property
    def exact(self) -> pl.Expr:
        """The amount of :attr:`readable` (Decimal)."""
        exact = self.wanted.part("exact")
        return pl.when(self.value.is_not_null()).then(exact) if self._omits_invalid else exact

    @property
    def json(self) -> JsonValue:
        """The JSON value; null where the field is left out."""
        json = self._conversion.json(self.value)
        if self.source.when_empty != "clear":
            return json
        return json._replace(text=pl.when(self._cell.is_null()).then(pl.lit("")).otherwise(json.text))

    @property
    def suspect(self) -> pl.Expr:
        """True where :meth:`why` may have something to say: a cheap test for all rows."""
        needed = self.required or self.source.when_empty == "reject"
        missing = self._cell.is_null() if needed else pl.lit(False)
        if self._omits_invalid and self._unmapped != "otherwise":
            return missing
        return missing | (self._cell.is_not_null() & self.value.is_null())

    def why(self) -> pl.Expr:
        """The code of what is wrong with the field, null where nothing is; for suspect rows."""
        read = pl.when(self._found.is_not_null()).then(self._why_unfit()).otherwise(self._why_unfound())
        if self._omits_invalid:
            read = pl.when(read == "otherwise").then(read)
        when_empty = pl.lit(None, pl.String)
        if self.required:
            when_empty = pl.lit(self._missing)
        elif self.source.when_empty == "reject":
            when_empty = pl.lit("empty")
        fit = pl.when(self.value.is_null()).then(read)
        return pl.when(self._cell.is_null()).then(when_empty).otherwise(fit)

    def sentence(self, code: pl.Expr) -> pl.Expr:
        """What is wrong in plain words: field, column and what was expected, never the cell's value."""
        subject = "the job's value" if self.source.column is None else f"column '{self.source.column}'"
        said = {code: f"{self.name}: {subject} {words}" for code, words in self._sentences().items()}
        return code.replace_strict(list(said), list(said.values()), default=None, return_dtype=pl.String)

    def typed(self) -> pl.Expr:
        """The value as SQL compares it: Float64, Boolean, Date, Datetime (a date without time: midnight) or String."""
        if self.wanted.type in _NUMERIC:
            return self.value.cast(pl.Float64)
        if self.wanted.type is FieldType.BOOLEAN:
            return self.value == "true"
        day = self.value.str.head(10).str.to_date("%Y-%m-%d", strict=False)
        if self.wanted.type is FieldType.DATE:
            return day
        if self.wanted.type is FieldType.DATETIME:
            time = self.value.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
            return pl.coalesce(time, day.cast(pl.Datetime("us")))
        return self.value

    @property
    def _omits_invalid(self) -> bool:
        return self.source.when_invalid == "omit" and not self.required

    @property
    def _cell(self) -> pl.Expr:
        if self.source.value is not None:
            return pl.lit(constant(self.source.value) or None, pl.String)
        return pl.col(f"{self.source.column}.cell")

    @property
    def _found(self) -> pl.Expr:
        return self.wanted.part("text")

    def _mapped(self) -> pl.Expr:
        """The map's target for the cell; null where the map does not have it."""
        words = {word.strip(_BLANKS).lower(): constant(target) for word, target in (self.source.map or {}).items()}
        lower = self._cell.str.to_lowercase()
        return lower.replace_strict(list(words), list(words.values()), default=None, return_dtype=pl.String)

    def _text(self) -> pl.Expr:
        """The text to convert: the cell's, if it matches, or what the map makes of it."""
        text = self._cell
        if self.source.map is not None:
            text = self._mapped()
            otherwise = self.source.otherwise
            if otherwise is not None and not isinstance(otherwise, str):
                sound = self._cell.is_not_null() & broken(self._cell).is_null()
                text = pl.coalesce(text, pl.when(sound).then(pl.lit(constant(otherwise.value))))
        if self.source.pattern is not None:
            text = pl.when(self._cell.str.contains(self.source.pattern)).then(text)
        return text

    def _why_unfound(self) -> pl.Expr:
        """A cell without a text to convert: it is broken, the map lacks it, or it does not match."""
        unmatched = pl.lit("pattern_mismatch")
        if self.source.map is None:
            return pl.coalesce(broken(self._cell), unmatched)
        unmapped = pl.when(self._mapped().is_null()).then(pl.lit(self._unmapped))
        if self.source.otherwise is not None and not isinstance(self.source.otherwise, str):
            return pl.coalesce(broken(self._cell), unmatched)
        return pl.coalesce(broken(self._cell), unmapped, unmatched)

    def _allowed(self) -> pl.Expr:
        typed, choices = self.wanted.part("typed"), self.wanted.choices
        if not choices:
            return typed
        spelled = {choice.lower(): choice for choice in choices}
        lower = typed.str.to_lowercase()
        return lower.replace_strict(list(spelled), list(spelled.values()), default=None, return_dtype=pl.String)

    def _why_unfit(self) -> pl.Expr:
        not_allowed = pl.when(self.wanted.part("typed").is_not_null()).then(pl.lit("not_allowed"))
        return pl.coalesce(not_allowed, broken(self._found), self._conversion.why)

    def _sentences(self) -> dict[str, str]:
        source, formats = self.source, self.source.format
        bounds = [
            f"{word} {bound}"
            for word, bound in (("at least", source.min), ("at most", source.max))
            if bound is not None
        ]
        known = [formats] if isinstance(formats, str) else formats or ["YYYY-MM-DD"]
        kinds = {FieldType.MONEY: "an amount of money", FieldType.INTEGER: "a whole number"}
        slots = {
            "choices": ", ".join(self.wanted.choices),
            "kind": kinds.get(self.wanted.type, "a number"),
            "limits": " and ".join(bounds),
            "format": "as " + " or ".join(known),
        }
        return {code: words.format_map(slots) for code, words in _SENTENCES.items()}


def fields_of(job: Job) -> list[BoundField]:
    """The fields of a job, in its order."""
    return [_bound(job, name, source) for name, source in job.fields.items()]


def _bound(job: Job, name: str, source: FieldSource) -> BoundField:
    rule = job.spec.fields.get(name)
    fixed = source.column is None or source.map is not None
    wanted = Wanted(
        name,
        job.type_of(name),
        source,
        choices=rule.choices if rule else (),
        decimal=None if fixed else job.source.decimal,
        fixed=fixed,
    )
    return BoundField(wanted, required=rule is not None and rule.required)


def campaign_of(job: Job) -> BoundField | None:
    """The campaign that each row names, as a field; None where the job has one campaign, or its route none."""
    by = job.api.campaign_id
    if not isinstance(by, ByColumn) or not job.spec.by_campaign:
        return None
    source = FieldSource(column=by.column, map=dict(by.map) if by.map is not None else None)
    return BoundField(
        Wanted(CAMPAIGN, FieldType.TEXT, source), required=True, missing="missing_campaign", unmapped="unknown_campaign"
    )
