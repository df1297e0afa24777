"""A proposed job as a commented job file: each guess with its evidence beside it, each open question marked."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from batchpost.batch import Decision
from batchpost.jobview import toml_key, toml_value
from batchpost.layout import counted
from batchpost.output import one_line
from batchpost.proposal import EventMap, Line, Proposal
from batchpost.routes import Credential
from batchpost.synonyms import snake_name

__all__ = ["MARK", "Draft", "draft_text"]

MARK = "DECIDE:"
_WIDTH = 118
_NUMBERS = ("header_row", "skip_rows")  # keys of [source] whose values are none of text
_NOTHING_YET = "no status fires yet"


@dataclass(frozen=True, slots=True)
class Draft:
    """What the file is called, and what it says of its input: ``path`` as a job file has it, ``shown`` for people."""

    name: str
    path: str
    shown: str
    proposal: Proposal


def draft_text(draft: Draft) -> str:
    """The job file, which loads without a mistake."""
    proposal = draft.proposal
    parts = [
        _head(draft),
        ["[api]", *_api(proposal)],
        ["[source]", *_source(draft)],
        ["[fields]  # API field = where its value comes from", *_fields(proposal)],
        list(_leftover(proposal)),
        list(_event_map(proposal.event)) if proposal.event else [],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(draft: Draft) -> list[str]:
    route = draft.proposal.route.name
    told = (
        f"A draft by `batchpost init`, made from {draft.proposal.table} of {draft.shown}. Read it, decide what is "
        f"marked {MARK.removesuffix(':')}, then see what would go out: batchpost plan (it sends nothing)."
    )
    return [*_comment(told), "", f"name  = {toml_value(draft.name)}", f"route = {toml_value(route)}"]


def _api(proposal: Proposal) -> Iterator[str]:
    credential = proposal.route.credential
    if proposal.campaign:
        yield from _comment(*proposal.campaign.why)
        yield f"campaign_id = {toml_value(proposal.campaign.value)}"
    if credential is Credential.ORG_IN_PATH:
        yield from _comment("The organisation's id opens the route: a secret, so only a reference is written here.")
        yield 'org_id = "env:PINGTREE_ORG_ID"'
    if credential is Credential.BEARER:
        yield from _comment("The enrichment token, not the form's; file:PATH and credential:NAME are references, too.")
        yield 'token = "env:PINGTREE_TOKEN"'
        if proposal.campaign and not isinstance(proposal.campaign.value, str):
            yield from _comment("Where campaigns have tokens of their own, [api.tokens] takes its place.")
        return
    yield from _comment("Only if every campaign refuses a second event of these for one lead: retries rest on it.")
    yield f"# server_dedupe = {toml_value(_events(proposal))}"


def _events(proposal: Proposal) -> list[str]:
    if proposal.event:
        return sorted(set(proposal.event.fires.values())) or ["sale_completed"]
    values = [line.keys["value"] for line in proposal.lines if line.name == "event_id" and "value" in line.keys]
    return [str(value) for value in values] or ["sale_completed"]


def _source(draft: Draft) -> Iterator[str]:
    proposal = draft.proposal
    yield f"path = {toml_value(draft.path)}"
    for key, value in proposal.source.items():
        yield f"{key} = {toml_value(value)}"
    for decision in proposal.decisions:
        if decision.key not in proposal.source:
            yield from _found(decision)
    decimal = proposal.decimal
    if decimal.sign:
        yield from _comment(decimal.why)
        yield f"decimal = {toml_value(decimal.sign)}"
    elif decimal.open:
        yield from _comment(decimal.why)
        yield from ('# decimal = "."', '# decimal = ","')
    if words := _null_words(proposal):
        yield from _comment(f"Cells that say there is nothing: {words[1]}. To take them for empty:")
        yield f"# null_values = {toml_value(words[0])}"


def _found(decision: Decision) -> Iterable[str]:
    """What the reader found, as the line that says it in a job, where there is a key for it."""
    if not decision.key:
        return _comment(f"{decision.value}: {decision.evidence}")
    value = decision.value if decision.key in _NUMBERS and decision.value.isdecimal() else toml_value(decision.value)
    return [f"# {decision.key} = {value}  # {one_line(decision.evidence)}"]


def _null_words(proposal: Proposal) -> tuple[list[str], str] | None:
    """Words in place of values in columns that go out, and where they are."""
    found: dict[str, None] = {}
    told = []
    for line in proposal.lines:
        column = proposal.table.columns.get(str(line.keys.get("column")))
        for word, count in column.null_words().items() if column else ():
            found[word] = None
            told.append(f"{counted(count, 'cell')} of {column.name!r}" if column else "")
    return (list(found), ", ".join(told)) if found else None


def _fields(proposal: Proposal) -> Iterator[str]:
    names = [toml_key(line.name) for line in proposal.lines if line.sent]
    width = max(map(len, names), default=0)
    for number, line in enumerate(proposal.lines):
        if number:
            yield ""
        yield from _entry(line, width)


def _entry(line: Line, width: int) -> Iterator[str]:
    yield from _comment(*line.why)
    if line.decide:
        yield from _comment(f"{MARK} {line.decide}.")
    mark = "" if line.sent else "# "
    yield f"{mark}{toml_key(line.name).ljust(width)} = {toml_value(line.keys)}"
    for keys, told in line.others:
        yield f"# {toml_key(line.name).ljust(width)} = {toml_value(keys)}{f'  # {told}' if told else ''}"


def _event_map(event: EventMap) -> Iterator[str]:
    yield from _comment(*event.why)
    if event.decide:
        yield from _comment(
            f"{MARK} {event.decide}. Take the # before those away, and write the event's id as the campaign has it."
        )
    yield "[fields.event_id]"
    yield f"column    = {toml_value(event.column)}"
    yield 'otherwise = "skip"'
    yield ""
    yield "[fields.event_id.map]"
    words = {**dict.fromkeys(event.fires, 0), **event.counts}
    entries = {word: f"{toml_value(word)} = {toml_value(event.fires.get(word, snake_name(word)))}" for word in words}
    width = max([len(entry) for entry in entries.values()], default=0)
    if not event.fires:
        yield f'{toml_value(_NOTHING_YET)} = "undecided"'
    for word, entry in entries.items():
        mark = "  " if word in event.fires else "# "
        rows = counted(words[word], "row") if words[word] else "in none of the rows looked at"
        yield f"{mark}{entry.ljust(width)}  # {rows}".lstrip()


def _leftover(proposal: Proposal) -> Iterator[str]:
    """The columns that are no field, as comments where [fields] ends, so that a line without its # is part of it."""
    yield from _comment(*proposal.notes)
    if proposal.customs:
        told = "Columns that are not sent. To send one as a custom field of the campaign, take the # before it away."
        yield from _comment(told)
        rows = [(f"{toml_key(line.name)} = {toml_value(line.keys)}", line.why[0]) for line in proposal.customs]
        width = min(max(len(entry) for entry, _ in rows), 80)
        yield from (f"# {entry.ljust(width)}  # {one_line(why)}" for entry, why in rows)
    for name, why in proposal.table.unsupported.items():
        yield from _comment(f"{name!r} cannot be read: {why}.")


def _comment(*sentences: str) -> Iterable[str]:
    """Sentences as lines of comment, of a width that a screen has; nothing in them can end the comment."""
    text = one_line(" ".join(sentences))
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)
