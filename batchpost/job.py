"""A job as one frozen object: what a job file may say, with its defaults and the rules of single values.

Reading a file into it, with every mistake at once, is :mod:`batchpost.jobfile`.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from batchpost.routes import ROUTES, FieldType, Route

__all__ = ["Api", "ByColumn", "Delivery", "FieldSource", "Job", "Ledger", "Results", "Rows", "Source", "Value"]

Scalar = str | bool | int | float
RouteName = Literal["update-lead", "global-event", "campaign-event"]


class Frozen(BaseModel):
    """A part of a job file: unknown keys are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ByColumn(Frozen):
    """A campaign id that each row names: the column's text, through ``map`` where one is given (case and outer blanks
    are ignored)."""

    column: str
    map: dict[str, str] | None = None


class Api(Frozen):
    """``[api]``: where requests go, and references to the secrets they need."""

    base_url: str = "https://api.pingtree.com"
    org_id: str | None = None
    campaign_id: str | ByColumn | None = None
    token: str | None = None
    tokens: dict[str, str] = {}
    server_dedupe: bool | list[str] = []
    redistributes: bool = False
    proxy: str | None = None
    ca_file: str | None = None

    def dedupes(self, event_id: str) -> bool:
        """Whether the job asserts that the platform refuses a second event of this id."""
        return self.server_dedupe if isinstance(self.server_dedupe, bool) else event_id in self.server_dedupe


class Source(Frozen):
    """``[source]``: which files, and how their text is to be read where that is not plain from the file itself."""

    path: str | list[str]
    take: Literal["new", "all"] | None = None
    encoding: str | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quote: Annotated[str, Field(max_length=1)] = '"'
    header_row: Annotated[int, Field(ge=1)] | None = None
    skip_rows: Annotated[int, Field(ge=0)] = 0
    null_values: list[str] = []
    decimal: Literal[".", ","] | None = None
    ragged: Literal["refuse", "reject"] = "refuse"
    empty: Literal["refuse", "ok"] = "refuse"


class Value(Frozen):
    """A constant in place of a cell."""

    value: Scalar


class FieldSource(Frozen):
    """One entry of ``[fields]``: where an API field's value comes from and what it must look like.

    Exactly one of ``column`` and ``value`` is given. ``min`` and ``max`` are inclusive and compare exact decimals.
    """

    column: str | None = None
    value: Scalar | None = None
    as_: FieldType | None = Field(default=None, alias="as")
    pattern: str | None = None
    map: dict[str, Scalar] | None = None
    otherwise: Literal["skip", "reject"] | Value | None = None
    min: Decimal | None = None
    max: Decimal | None = None
    format: str | list[str] | None = None
    timezone: str | None = None
    send_as: str | None = None
    fold: Literal["reject", "earliest", "latest"] = "reject"
    true: list[str] | None = None
    false: list[str] | None = None
    when_empty: Literal["omit", "clear", "reject"] = "omit"
    when_invalid: Literal["reject", "omit"] = "reject"


class Rows(Frozen):
    """``[rows]``: which rows go out, and what makes two of them the same operation."""

    where: str | None = None
    key: list[str] = []
    skip_unchanged: bool = True
    foreign_duplicates: Literal["reject", "accept"] = "reject"


class Delivery(Frozen):
    """``[delivery]``: how fast and how persistently. ``rate`` in requests a second, ``timeout`` and ``drain`` in
    seconds, ``max_failures`` a count of rows or a share such as ``"5%"`` (from 200 settled rows on)."""

    rate: Annotated[float, Field(gt=0, le=1_000_000)] = 10
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 32
    timeout: Annotated[float, Field(gt=0, le=600)] = 30
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    max_failures: int | str = "5%"
    drain: Annotated[float, Field(ge=0, le=600)] = 8


class Results(Frozen):
    """``[results]``: where the files of a run go and what they hold."""

    directory: str = "results"
    format: Literal["auto", "csv", "parquet"] = "auto"
    include: Literal["all"] | None = None


class Ledger(Frozen):
    """``[ledger]``: where it is remembered what was delivered, ever."""

    url: str = "sqlite:.batchpost/ledger.db"
    must_exist: bool = False


class Job(Frozen):
    """A whole job, ready to be planned. ``path`` and ``workspace`` are absolute; paths in the job are read against
    the workspace."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    route: RouteName
    api: Api = Api()
    source: Source
    fields: dict[str, FieldSource]
    rows: Rows = Rows()
    delivery: Delivery = Delivery()
    results: Results = Results()
    ledger: Ledger = Ledger()
    path: Path
    workspace: Path

    @property
    def spec(self) -> Route:
        """The route's documented fields and rules."""
        return ROUTES[self.route]

    def type_of(self, field: str) -> FieldType:
        """The type of an API field: as the job says, else as the route documents it, else text."""
        stated = self.fields[field].as_
        rule = self.spec.fields.get(field)
        return stated or (rule.type if rule else FieldType.TEXT)

    @property
    def money_fields(self) -> tuple[str, ...]:
        """The mapped fields that are money, the row's ``amount`` first."""
        return tuple(name for name in self.spec.money if name in self.fields)
