"""Which event a row fires, and of which campaign it is: what only a person can say, with what the file has to go by."""

from __future__ import annotations

from collections.abc import Sequence

from batchpost.columnfacts import Column
from batchpost.errors import UsageError
from batchpost.layout import counted
from batchpost.placing import Match, usual
from batchpost.proposal import Campaign, EventMap, Given, Line
from batchpost.questions import Person
from batchpost.synonyms import words_of

__all__ = ["campaign_of", "event_of", "named", "some_names"]

_EVENT_ID = r"^[a-z][a-z0-9]*(?:[_.-][a-z0-9]+)+$"
_CAMPAIGN_ID = "cmp_"
_MOST = 30  # names that are listed


def named(columns: Sequence[str]) -> str:
    """The columns of an input in a message."""
    return f"The columns are {some_names(columns)}"


def some_names(columns: Sequence[str]) -> str:
    """Columns' names in a message: all of them, or the first where they would fill a screen."""
    more = f" and {len(columns) - _MOST:,} more" if len(columns) > _MOST else ""
    return f"{', '.join(map(repr, columns[:_MOST]))}{more}"


def event_of(match: Match | None, given: Given, columns: Sequence[str], person: Person | None) -> Line | EventMap:
    """How ``event_id`` is made. Raises UsageError where nothing says which event a row fires."""
    everyone = given.events.get("")
    if everyone:
        return Line("event_id", {"value": everyone}, ("Every row fires this event, as was said.",))
    if match is None:
        if given.events:
            raise UsageError(f'--event: no column is one of statuses; add --field event_id="Column". {named(columns)}')
        return _constant(columns, person)
    column = match.column
    if not given.events and _are_event_ids(column):
        told = f"ids of events ({column.distinct:,} different), which go out as they are"
        return Line("event_id", {"column": column.name}, (f"{usual(match)}; it holds {told}.",))
    counts = column.categories()
    if not counts:
        if given.events:
            return EventMap(column.name, {}, dict(given.events), (f"{usual(match)}.",))
        return Line("event_id", {"column": column.name}, (f"{usual(match)}; its values go out as they are.",))
    return _mapped(match, counts, given, person)


def _constant(columns: Sequence[str], person: Person | None) -> Line:
    if person is None:
        raise UsageError(
            "no column says which event a row fires: pass --event sale_completed for all rows, or "
            f'--field event_id="Column". {named(columns)}'
        )
    question = "No column says which event a row fires. Which event do all of them fire (its id in the campaign)?"
    event = person.enter(question, "", lambda text: "" if text else "An event has an id, such as sale_completed.")
    return Line("event_id", {"value": event}, ("Every row fires this event, as was said when asked.",))


def _mapped(match: Match, counts: dict[str, int], given: Given, person: Person | None) -> EventMap:
    name = match.column.name
    spelled = {word.lower(): word for word in counts}
    fires = {spelled.get(word.strip().lower(), word): event for word, event in given.events.items()}
    others = match.column.filled - sum(counts.values())
    hidden = f"; {counted(others, 'row')} with other values, which are not shown" if others else ""
    why = f"{usual(match)}, with {counted(len(counts), 'different value')}{hidden}."
    if not fires and person is not None:
        fires = _asked(name, counts, person)
    if fires:
        return EventMap(name, counts, fires, (why, "Rows with any other value are skipped."))
    decide = f"say which values of {name!r} fire an event; until then every row is skipped"
    return EventMap(name, counts, {}, (why,), decide)


def _asked(name: str, counts: dict[str, int], person: Person) -> dict[str, str]:
    """The event of each status, as a person says."""
    fires = {}
    for word, count in counts.items():
        question = f"{name!r} is {word!r} in {counted(count, 'row')}. Which event does it fire (- for none)?"
        event = person.enter(question, "-", lambda _: "")
        if event != "-":
            fires[word] = event
    return fires


def _are_event_ids(column: Column) -> bool:
    """Whether a column's values are sent as they are: it is called by the field's own name, or they look like ids."""
    if words_of(column.name) == ("event", "id"):
        return True
    return "event" in words_of(column.name) and column.with_text(_EVENT_ID) == column.filled


def campaign_of(match: Match | None, given: Given, columns: Sequence[str], person: Person | None) -> Campaign:
    """The campaign of the rows. Raises UsageError where nothing says it."""
    if everyone := given.campaigns.get(""):
        return Campaign(everyone, ("As was said.",), (everyone,))
    if match is None and not given.campaigns:
        return _one_campaign(columns, person)
    if match is None:
        raise UsageError(f'--campaign: no column names campaigns; add --field campaign_id="Column". {named(columns)}')
    column, (prefix, fit) = match.column, match.column.prefix()
    if not given.campaigns and prefix == _CAMPAIGN_ID:
        why = f"{usual(match)}; {fit} ids that begin with {_CAMPAIGN_ID}."
        return Campaign({"column": column.name}, (why,), tuple(column.categories()))
    return _by_name(match, given, person)


def _one_campaign(columns: Sequence[str], person: Person | None) -> Campaign:
    if person is None:
        raise UsageError(f"nothing says which campaign the rows are of: pass --campaign cmp_…. {named(columns)}")
    question = "Which campaign are the rows of (its id, such as cmp_9z8y7x6w)?"
    identity = person.enter(question, "", lambda text: "" if text else "The route needs one.")
    return Campaign(identity, ("As was said when asked.",), (identity,))


def _by_name(match: Match, given: Given, person: Person | None) -> Campaign:
    column, counts = match.column, match.column.categories()
    spelled = {word.lower(): word for word in counts}
    ids = {spelled.get(word.strip().lower(), word): identity for word, identity in given.campaigns.items()}
    if not ids and person is not None:
        question = "Which campaign is {!r} of {!r} ({}; - for none)?"
        asked = {
            word: person.enter(question.format(word, column.name, counted(count, "row")), "-", lambda _: "")
            for word, count in counts.items()
        }
        ids = {word: identity for word, identity in asked.items() if identity != "-"}
    if not ids:
        example = next(iter(counts), "Name")
        raise UsageError(
            f"{column.name!r} names campaigns, but not by their ids: pass --campaign cmp_… for all rows, or "
            f'--campaign "{example}=cmp_…" for each ({counted(max(len(counts), column.distinct), "name")})'
        )
    others = [f"{word!r} ({counted(count, 'row')})" for word, count in counts.items() if word not in ids]
    left = (f"Without a campaign, so that their rows are invalid: {', '.join(others)}.",) if others else ()
    why = (f"{usual(match)}; which campaign each is, was said.", *left)
    return Campaign({"column": column.name, "map": ids}, why, tuple(dict.fromkeys(ids.values())))
