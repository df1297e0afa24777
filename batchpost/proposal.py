"""A proposed job: an entry for each API field that a column was found for, with the evidence, and what is left open.

Nothing is guessed that would go out wrong without a word: the order of day and month, a time zone, a decimal sign and
which status fires are proved by the values, said by a person, or left out and marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchpost.batch import Decision
from batchpost.columnfacts import Table
from batchpost.routes import Route

__all__ = ["Campaign", "Decimal", "EventMap", "Given", "Line", "Proposal"]


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says, in place of guesses: ``fields`` API field → column (empty: none), ``events`` status
    → event id (``""`` → the event of every row), ``campaigns`` name → campaign id (``""`` → the campaign of every
    row), and the rest as in a job file. ``order``: whether the ``month`` or the ``day`` comes first in dates."""

    fields: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    campaigns: Mapping[str, str] = field(default_factory=dict)
    order: str | None = None
    timezone: str | None = None
    send_as: str | None = None
    decimal: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of ``[fields]``. ``sent``: whether it is part of the job; else it is written as a comment. ``why`` are
    sentences that stand above it, ``others`` other ways to write it, ``decide`` what is left to a person."""

    name: str
    keys: dict[str, Any]
    why: tuple[str, ...] = ()
    sent: bool = True
    others: tuple[tuple[dict[str, Any], str], ...] = ()
    decide: str = ""


@dataclass(frozen=True, slots=True)
class EventMap:
    """A column of statuses: each with how many rows have it, and the event that it fires (empty: none)."""

    column: str
    counts: dict[str, int]
    fires: dict[str, str]
    why: tuple[str, ...] = ()
    decide: str = ""


@dataclass(frozen=True, slots=True)
class Campaign:
    """``[api] campaign_id`` as a job file has it, with sentences about it; ``ids`` are the campaigns as far as they
    are known."""

    value: str | dict[str, Any]
    why: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decimal:
    """``[source] decimal``: the sign, None where the values need none said; ``open``: they leave it open."""

    sign: str | None = None
    why: str = ""
    open: bool = False
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """A whole job to be written down. ``customs`` are the columns that are no field of the route, as comments;
    ``notes`` what the draft lacks."""

    route: Route
    lines: tuple[Line, ...]
    event: EventMap | None
    campaign: Campaign | None
    decimal: Decimal
    customs: tuple[Line, ...]
    table: Table
    source: dict[str, Any] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def open(self) -> tuple[tuple[str, str], ...]:
        """What a person has to decide, in the draft's order: field and sentence."""
        told = [(line.name, line.decide) for line in self.lines if line.decide]
        if self.event and self.event.decide:
            told.append(("event_id", self.event.decide))
        return tuple(told)

    @property
    def sent(self) -> tuple[str, ...]:
        """The fields that go out."""
        names = [line.name for line in self.lines if line.sent]
        return tuple([names[0], "event_id", *names[1:]] if self.event else names)
