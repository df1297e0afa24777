"""From what a file shows to a proposed job: every guess in its place, and questions where a person can be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from batchpost.columnfacts import Column, Table
from batchpost.customfields import custom_line, custom_lines
from batchpost.decimals import decimal_of
from batchpost.entries import Entries
from batchpost.errors import UsageError
from batchpost.eventchoice import campaign_of, event_of, named
from batchpost.fieldrules import near_field
from batchpost.placing import Match, date_reading, place
from batchpost.proposal import Campaign, EventMap, Given, Line, Proposal
from batchpost.questions import Person
from batchpost.routes import FieldType, Route
from batchpost.synonyms import name_rank

__all__ = ["propose"]

_LEAD = "transaction_id"


def propose(table: Table, route: Route, given: Given, person: Person | None) -> Proposal:
    """A job for an input of these columns. Raises UsageError where something that the route needs is not to be found,
    and nobody can be asked."""
    names = list(table.columns)
    _refuse_misspelled(given, route)
    campaigns = _campaign_column(table.columns, given) if route.by_campaign else None
    placed = _placed(table.columns, route, given, campaigns, person)
    campaign = campaign_of(campaigns, given, names, person) if route.by_campaign else None
    statuses = placed.pop("event_id", None)
    event = event_of(statuses, given, names, person) if route.is_event else None
    if "revenue" in placed:
        placed["revenue"] = _money(placed["revenue"], table.columns, person)
    numbers = [match.column for name, match in placed.items() if _is_number(name, route)]
    decimal = decimal_of(numbers, given.decimal, person)
    zones = placed["conversion_timezone"].column.name if "conversion_timezone" in placed else ""
    lines = _lines(placed, event, Entries(route, given, decimal, person, zones))
    used = {str(line.keys.get("column")) for line in lines} | _used_beside(event, campaign)
    rest = [column for name, column in table.columns.items() if name not in used]
    return Proposal(
        route=route,
        lines=lines,
        event=event if isinstance(event, EventMap) else None,
        campaign=campaign,
        decimal=decimal,
        customs=custom_lines(rest, route, [line.name for line in lines], decimal.sign),
        table=table,
        notes=tuple(_missing(route, [line.name for line in lines])),
    )


def _placed(
    columns: Mapping[str, Column], route: Route, given: Given, campaigns: Match | None, person: Person | None
) -> dict[str, Match]:
    """The columns of the fields; the one that names campaigns is none of them."""
    free = {name: column for name, column in columns.items() if not campaigns or name != campaigns.column.name}
    said = {name: column for name, column in given.fields.items() if name != "campaign_id"}
    placed = place(free, route, said, given.order)
    if _says_its_zone(placed.get("conversion_date"), given):
        placed.pop("conversion_timezone", None)
    return {**placed, _LEAD: _lead(placed.get(_LEAD), columns, person)}


def _says_its_zone(date: Match | None, given: Given) -> bool:
    """Whether the times need no column that says their zone, which would contradict ``send_as``."""
    if date is None or given.timezone or given.send_as:
        return date is not None
    reading = date_reading(date.column, given.order)
    return bool(reading.zoned or reading.utc)


def _used_beside(event: Line | EventMap | None, campaign: Campaign | None) -> set[str]:
    """The columns that the job uses without a line of their own."""
    used = {event.column} if isinstance(event, EventMap) else set()
    return used | ({campaign.value["column"]} if campaign and isinstance(campaign.value, dict) else set())


def _missing(route: Route, names: list[str]) -> Iterator[str]:
    """What somebody may look for in the draft."""
    if not route.money and len(names) == 1:
        yield "No column was found for a field to update: as it is, an update changes nothing."
    if route.money and not set(route.money) & set(names):
        yield "No column was found for revenue, which the platform wants of a conversion, and not of a tracking event."


def _refuse_misspelled(given: Given, route: Route) -> None:
    for name in given.fields:
        if name not in route.fields and name != "campaign_id" and (near := near_field(name, route)):
            raise UsageError(f'--field {name}: is not a documented field of {route.name}; did you mean "{near}"?')


def _campaign_column(columns: Mapping[str, Column], given: Given) -> Match | None:
    """The column that names each row's campaign."""
    said = given.fields.get("campaign_id")
    if said is not None and said not in columns:
        raise UsageError(f"--field campaign_id: the input has no column {said!r}. {named(list(columns))}")
    if said is not None:
        return Match("campaign_id", columns[said], columns[said].prefix()[1], said=True)
    found = [
        (rank, Match("campaign_id", column, column.prefix()[1], rank))
        for column in columns.values()
        if column.filled and (rank := name_rank(column.name, "campaign_id")) is not None
    ]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _lead(found: Match | None, columns: Mapping[str, Column], person: Person | None) -> Match:
    """The column of the lead's id, asked for where its name says too little."""
    if found is not None and (person is None or not found.is_weak):
        return found
    if person is None:
        message = "no column holds the platform's id of each lead (transaction_id)"
        raise UsageError(f'{message}: pass --field transaction_id="Column". {named(list(columns))}')
    names = [name for name, column in columns.items() if column.filled]
    if not names:
        raise UsageError("every column is empty in the rows looked at")
    default = names.index(found.column.name) if found else 0
    chosen = names[person.choose("Which column holds the platform's id of each lead (transaction_id)?", names, default)]
    column = columns[chosen]
    return Match(_LEAD, column, column.fit(FieldType.TEXT), said=True)


def _money(found: Match, columns: Mapping[str, Column], person: Person | None) -> Match:
    """The column of the money, asked for where several would do."""
    if person is None or not found.rivals:
        return found
    names = [found.column.name, *found.rivals]
    chosen = names[person.choose("Which column is the money of the event (revenue)?", names, 0)]
    others = tuple(name for name in names if name != chosen)
    kind = FieldType.MONEY
    return replace(found, column=columns[chosen], fit=columns[chosen].fit(kind), rivals=others, said=True)


def _is_number(name: str, route: Route) -> bool:
    rule = route.fields.get(name)
    return rule is not None and rule.type in (FieldType.MONEY, FieldType.NUMBER)


def _lines(placed: Mapping[str, Match], event: Line | EventMap | None, entries: Entries) -> tuple[Line, ...]:
    """The lines in the route's order, the lead's id first and the event after it, custom fields last."""
    route = entries.route
    order = [_LEAD, *(name for name in route.fields if name != _LEAD), *placed]
    lines = []
    for name in dict.fromkeys(order):
        if name == "event_id" and isinstance(event, Line):
            lines.append(event)
        elif name in placed and name in route.fields:
            lines.append(entries.line(placed[name]))
        elif name in placed:
            made = custom_line(name, placed[name].column, route, entries.decimal.sign)
            lines.append(replace(made, sent=True, why=(f"As was said; {made.why[0]}.",)))
    return tuple(lines)
