"""A job as one frozen object: what a job file may say, with its defaults and the rules of single values.

Reading a job file into it, with every mistake at once, is :mod:`batchpost.jobfile`. The text under each key is its
description in the JSON Schema, from which ``docs/reference/job-file.md`` is made.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from batchpost.address import is_loopback
from batchpost.routes import ROUTES, FieldType, Route

__all__ = [
    "EXCEL",
    "ROUTE_KEYS",
    "Api",
    "ByColumn",
    "Delivery",
    "Expect",
    "FieldSource",
    "Job",
    "Ledger",
    "Notify",
    "Results",
    "Rows",
    "Scalar",
    "Source",
    "Value",
]

Scalar = str | bool | int | float
EXCEL = "excel"  # in place of a date format: a spreadsheet's day numbers, in its 1900 system
RouteName = Literal["update-lead", "global-event", "campaign-event"]

_UPDATES = ("update-lead",)
_EVENTS = ("global-event", "campaign-event")

# The keys that mean something on some routes only, as (table, key).
ROUTE_KEYS: dict[tuple[str, str], tuple[str, ...]] = {
    ("api", "org_id"): ("global-event",),
    ("api", "campaign_id"): ("update-lead", "campaign-event"),
    ("api", "token"): _UPDATES,
    ("api", "tokens"): _UPDATES,
    ("api", "server_dedupe"): _EVENTS,
    ("api", "redistributes"): _UPDATES,
    ("rows", "key"): _EVENTS,
    ("rows", "skip_unchanged"): _UPDATES,
    ("rows", "foreign_duplicates"): _EVENTS,
    ("expect", "revenue"): _EVENTS,
    ("expect", "amount"): _EVENTS,
    ("expect", "conversion"): _EVENTS,
}


class Frozen(BaseModel):
    """A part of a job file: unknown keys are mistakes, text is not taken for a number, values do not change."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


class ByColumn(Frozen):
    """A campaign id that each row names."""

    column: str
    """The column that names the campaign."""
    map: dict[str, str] | None = None
    """The column's text to campaign ids; case and outer blanks are ignored. Without it the text is the id."""


class Api(Frozen):
    """``[api]``: where requests go, and references to the secrets they need."""

    base_url: str = "https://api.pingtree.com"
    """The platform's address: https, or http to a loopback address."""
    org_id: str | None = None
    """global-event: a reference to the organisation id, which is the credential of that route."""
    campaign_id: str | ByColumn | None = None
    """update-lead and campaign-event: the campaign's id, or the column that names it."""
    token: str | None = None
    """update-lead: a reference to the enrichment token (env:NAME, file:PATH or credential:NAME)."""
    tokens: dict[str, str] = {}
    """update-lead: campaign id to a reference to its token, where campaigns have tokens of their own."""
    server_dedupe: bool | list[str] = []
    """Events: the event ids that every campaign reached refuses a second time; true: all. Retries rest on it."""
    redistributes: bool = False
    """update-lead: an update that may have been applied is not sent again, since it could sell the lead twice."""
    proxy: str | None = None
    """The HTTP proxy to go through, as a URL; one with a password only by reference."""
    ca_file: str | None = None
    """A PEM file of certificate authorities to trust in place of the system's."""

    @property
    def origin(self) -> str:
        """Scheme, host and port of ``base_url``, the port always there: what a delivered operation belongs to."""
        url = urlsplit(self.base_url)
        host = url.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return f"{url.scheme}://{host}:{url.port or (443 if url.scheme == 'https' else 80)}"

    @property
    def is_loopback(self) -> bool:
        """Whether requests stay on this machine: such runs are tests and have a ledger of their own."""
        return is_loopback(urlsplit(self.base_url).hostname or "")


class Source(Frozen):
    """``[source]``: which files, and how their text is to be read where that is not plain from the file itself."""

    path: str | list[str]
    """A file, a folder or a pattern, or several, read against the workspace; an https:// or s3:// address; or a
    reference to an address (env:NAME)."""
    take: Literal["new", "all"] | None = None
    """new: files not finished before, by content (the default for patterns and folders); all (for one file)."""
    encoding: str | None = None
    """How the text is encoded where it is neither UTF-8 nor UTF-16 with a byte order mark, such as cp1252."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """The character between cells; found out where it is not given."""
    quote: Annotated[str, Field(max_length=1)] = '"'
    """The character around cells that hold delimiters; empty: there is none."""
    header_row: Annotated[int, Field(ge=1)] | None = None
    """The line of the header, counted from 1; where it is not given, the first one that is no sep= line."""
    sheet: Annotated[str, Field(min_length=1)] | None = None
    """The sheet of a workbook, by its name; where it is not given, the first one that is not hidden."""
    skip_rows: Annotated[int, Field(ge=0)] = 0
    """Lines to leave out before the header, such as a title; the same as header_row = skip_rows + 1."""
    null_values: list[str] = []
    """Words that mean an empty cell, such as N/A."""
    decimal: Literal[".", ","] | None = None
    """The decimal sign of numbers and money; a comma makes 1.250,00 readable."""
    ragged: Literal["refuse", "reject"] = "refuse"
    """Rows with too many or too few cells: refuse the file, or reject the row."""
    empty: Literal["refuse", "ok"] = "refuse"
    """A file with a header and no rows: refuse it, or take it as nothing to do."""


class Value(Frozen):
    """A constant in place of a cell."""

    value: Scalar
    """What goes out."""


class FieldSource(Frozen):
    """One entry of ``[fields]``: where an API field's value comes from and what it must look like.

    Exactly one of ``column`` and ``value`` is given. ``min`` and ``max`` are inclusive and compare exact decimals.
    """

    column: str | None = None
    """The input's column."""
    value: Scalar | None = None
    """A constant for every row, in place of a column."""
    as_: Annotated[FieldType | None, Field(alias="as", strict=False)] = None
    """How the text becomes a JSON value; the route's own fields know their type."""
    custom: bool = False
    """The field is a custom one of the campaign, though its name is near a documented one."""
    pattern: str | None = None
    """A regular expression (without look-around) that the text must match somewhere."""
    map: dict[str, Scalar] | None = None
    """The cell's text to what goes out; case and outer blanks are ignored."""
    otherwise: Literal["skip", "reject"] | Value | None = None
    """A text that the map does not have: skip the row, reject it (the default), or send { value = ... }."""
    min: Annotated[Decimal | None, Field(strict=False)] = None
    """The least number allowed."""
    max: Annotated[Decimal | None, Field(strict=False)] = None
    """The greatest number allowed."""
    format: str | list[str] | None = None
    """How dates are written (strftime codes, or "excel" for day numbers), one format or several; ISO needs none."""
    timezone: str | None = None
    """The zone that the column's times are in, such as America/New_York."""
    send_as: str | None = None
    """conversion_date: the platform's zone code to convert to; it goes out as conversion_timezone."""
    fold: Literal["reject", "earliest", "latest"] = "reject"
    """A time in the hour that daylight saving repeats: reject the row, or take the first or the second of the two."""
    lost_zeros: Literal["reject", "restore"] = "reject"
    """A ZIP code of three or four digits, as a spreadsheet leaves it: reject the row, or put the zeros back."""
    true: list[str] | None = None
    """The words that mean true; case and outer blanks are ignored."""
    false: list[str] | None = None
    """The words that mean false."""
    when_empty: Literal["omit", "clear", "reject"] = "omit"
    """An empty cell: leave the field out, send an empty text, or reject the row."""
    when_invalid: Literal["reject", "omit"] = "reject"
    """A value that fails its checks: reject the row, or leave the field out."""


class Rows(Frozen):
    """``[rows]``: which rows go out, and what makes two of them the same operation."""

    where: str | None = None
    """An SQL condition over API fields (typed) and columns (text); other rows are skipped."""
    totals: Literal["skip", "reject"] = "skip"
    """A row of totals under the data: skip it, or take it for a row like any other, which lacks a lead."""
    key: list[str] = []
    """Events: columns that make two events of one lead different, such as an order number."""
    skip_unchanged: bool = True
    """update-lead: a lead whose last delivered update was the same body is not sent again."""
    foreign_duplicates: Literal["reject", "accept"] = "reject"
    """Events: a Duplicate that no attempt of ours explains counts as rejected, or as delivered before."""


class Delivery(Frozen):
    """``[delivery]``: how fast and how persistently."""

    rate: Annotated[float, Field(gt=0, le=1_000_000)] = 10
    """Requests a second, at most, in any one-second window."""
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 32
    """Requests in flight, at most."""
    timeout: Annotated[float, Field(gt=0, le=600)] = 30
    """Seconds for one attempt, from connecting to the last byte of the reply."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """Attempts a row, the first included."""
    max_failures: int | str = "5%"
    """Rows that may fail before the run stops: a count, or a share such as 5% (from 200 settled rows on)."""
    stop_when: dict[str, int | str] = {}
    """Reasons, each with the rows that may end so before the run stops: a count, or a share (from 200 rows on)."""
    drain: Annotated[float, Field(ge=0, le=600)] = 8
    """Seconds that requests in flight get when the run is told to stop."""


class Expect(Frozen):
    """``[expect]``: what an input and the end of its run must be like; see :mod:`batchpost.expectation`."""

    rows: int | str | None = None
    """Rows meant to go out, which are all but the skipped ones: a number, or a range such as 1000..6000 or 1000.. ."""
    revenue: int | str | None = None
    """The revenue of those rows together: an amount, or a range such as 50000..400000."""
    amount: int | str | None = None
    """The same of amount."""
    reasons: dict[str, int | str] = {}
    """Reasons that are tolerated, each up to a count or a share of the rows meant to go out."""
    conversion: bool | None = None
    """Whether every event must count as a conversion; without it those must that were sent with money."""


class Results(Frozen):
    """``[results]``: where the files of a run go and what they hold."""

    directory: str = "results"
    """The folder for results, read against the workspace."""
    format: Literal["auto", "csv", "parquet"] = "auto"
    """Of outcomes: as the input, or one of the two."""
    include: Literal["all"] | None = None
    """all: outcomes have the input's own columns too."""


class Ledger(Frozen):
    """``[ledger]``: where it is remembered what was delivered, ever."""

    url: str = "sqlite:.batchpost/ledger.db"
    """sqlite:PATH, read against the workspace, or env:NAME for a variable that holds such a text."""
    must_exist: bool = False
    """Refuse to run without a ledger from before: for machines that lose their disk."""


class Notify(Frozen):
    """``[notify]``: who is told how a run ended. No personal data goes out."""

    webhook: str | None = None
    """A reference to the address (https) that a JSON message is posted to: env:NAME, file:PATH or credential:NAME."""
    on: Literal["always"] | list[Literal["failure", "recovery"]] = ["failure", "recovery"]
    """When: a run that does not end in 0, the first one after it that does, or always."""


class Job(Frozen):
    """A whole job, ready to be planned. ``path`` and ``workspace`` are absolute; paths in the job are read against
    the workspace."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """The job's name, also of its folder in the results: letters, digits, dot, underscore and dash."""
    route: RouteName
    """The platform's endpoint."""
    api: Api = Api()
    source: Source
    fields: dict[str, FieldSource]
    """API field = where its value comes from."""
    rows: Rows = Rows()
    delivery: Delivery = Delivery()
    expect: Expect = Expect()
    results: Results = Results()
    ledger: Ledger = Ledger()
    notify: Notify = Notify()
    path: Path
    workspace: Path

    @property
    def spec(self) -> Route:
        """The route's documented fields and rules."""
        return ROUTES[self.route]

    def type_of(self, field: str) -> FieldType:
        """The type of an API field: as the job says, else as the route documents it, else that of its constant,
        else text."""
        entry = self.fields[field]
        if entry.as_:
            return entry.as_
        if rule := self.spec.fields.get(field):
            return rule.type
        return _CONSTANT_TYPES.get(type(entry.value), FieldType.TEXT)

    @property
    def money_fields(self) -> tuple[str, ...]:
        """The mapped fields that are money, the row's ``amount`` first."""
        return tuple(name for name in self.spec.money if name in self.fields)


_CONSTANT_TYPES: dict[type, FieldType] = {
    bool: FieldType.BOOLEAN,
    int: FieldType.INTEGER,
    float: FieldType.NUMBER,
}
