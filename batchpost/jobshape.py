"""Keys that do not exist and values of the wrong kind, in plain words: pydantic's findings, translated.

No message repeats a value: it could be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from batchpost.job import (
    Api,
    ByColumn,
    Delivery,
    Expect,
    FieldSource,
    Job,
    Ledger,
    Notify,
    Results,
    Rows,
    Source,
    Value,
)
from batchpost.jobtext import Finding, did_you_mean, likeliest
from batchpost.toml_lines import Place

__all__ = ["keys_of", "shaped"]

_TABLES: dict[str, type[BaseModel]] = {
    "api": Api,
    "source": Source,
    "rows": Rows,
    "delivery": Delivery,
    "expect": Expect,
    "results": Results,
    "ledger": Ledger,
    "notify": Notify,
}
_NOUNS = {
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "finite_number": "a finite number",
    "list_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "literal_error": "one of {expected}",
    "enum": "one of {expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
    "string_too_short": "one character",
    "string_too_long": "one character",
    "string_pattern_mismatch": "made of letters, digits, dots, underscores and dashes, 100 at most, "
    "and begin with a letter or digit",
}
_QUOTED = {"bool_type", "int_type", "float_type"}  # what people put in quotes by mistake
_SHARES = (("delivery", "max_failures"), ("delivery", "stop_when"))
# What to write where something is missing.
_ADDED: dict[Place, str] = {
    ("name",): 'write name = "…", as results and ledger should call the job',
    ("route",): 'write route = "update-lead", "global-event" or "campaign-event"',
    ("source",): 'write [source] and below it path = "…"',
    ("source", "path"): 'write path = "…": a file, a folder or a pattern',
    ("fields",): 'write [fields] and below it transaction_id = { column = "…" }',
}
# Stand-ins for what a job cannot be built without, so that all the rest of a broken file is still checked.
_STAND_INS: dict[str, Any] = {"name": "job", "route": "global-event", "source": {}, "fields": {}}

Error = dict[str, Any]


def keys_of(place: Place) -> list[str]:
    """The keys that may stand at a place of a job file, none where any may (``[fields]``, maps)."""
    model = _model_at(place)
    if model is None:
        return []
    return [info.alias or name for name, info in model.model_fields.items() if (model, name) not in _INNER]


def shaped(tree: dict[str, Any], path: Path, workspace: Path) -> tuple[Job, list[Finding], set[Place]]:
    """The job of a tree of values, what is wrong with their kinds, and the places of that.

    Where something is wrong, the job is one without the broken places, good for finding further mistakes only.
    """
    own = {key: value for key, value in tree.items() if key not in ("path", "workspace")}
    findings = [_unknown((key,)) for key in tree if key not in own]
    try:
        return _job(own, path, workspace), findings, {finding.place for finding in findings}
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        errors = [(_place(own, one["loc"], one["type"]), dict(one)) for one in found]
    findings += _findings(own, errors)
    broken = {place for place, _ in errors}
    meant = {_meant(place) for place, error in errors if error["type"] == "extra_forbidden"}
    return _job(_pruned(own, broken), path, workspace), findings, broken | meant


def _job(tree: dict[str, Any], path: Path, workspace: Path) -> Job:
    return Job.model_validate({**tree, "path": path, "workspace": workspace}, by_alias=True, by_name=False)


def _model_at(place: Place) -> type[BaseModel] | None:
    match place:
        case ():
            return Job
        case (str(table),):
            return _TABLES.get(table)
        case ("fields", _):
            return FieldSource
        case ("fields", _, "otherwise"):
            return Value
        case ("api", "campaign_id"):
            return ByColumn
        case _:
            return None


_INNER = {(Job, "path"), (Job, "workspace")}


def _place(tree: dict[str, Any], loc: Iterable[str | int], kind: str) -> Place:
    """Where an error stands in the file: its location without the names of the kinds that pydantic tried there."""
    place: Place = ()
    node: Any = tree
    parts = list(loc)
    for index, part in enumerate(parts):
        inside = part in node if isinstance(node, dict) else isinstance(node, list) and isinstance(part, int)
        if inside:
            node = node[part]
        elif not (kind == "missing" and index == len(parts) - 1):
            continue
        place = (*place, part)
    return place


def _findings(tree: dict[str, Any], errors: list[tuple[Place, Error]]) -> list[Finding]:
    by_place: dict[Place, list[Error]] = {}
    for place, error in errors:
        by_place.setdefault(place, []).append(error)
    # Of the kinds that a value may have, the one that got furthest into it is the one that was meant.
    deepest = [place for place in by_place if not any(other != place and _under(other, place) for other in by_place)]
    unknown = [place for place in deepest if by_place[place][0]["type"] == "extra_forbidden"]
    missing = [place for place in deepest if by_place[place][0]["type"] == "missing"]
    wrong = [place for place in deepest if place not in unknown and place not in missing]
    meant = {_meant(place) for place in unknown}
    return [
        *(_unknown(place) for place in unknown),
        *(Finding(place, "is missing", _ADDED.get(place, "")) for place in missing if place not in meant),
        *(_wrong(tree, place, by_place[place]) for place in wrong),
    ]


def _meant(unknown: Place) -> Place:
    """The place that an unknown key was most likely meant to be."""
    return (*unknown[:-1], likeliest(str(unknown[-1]), keys_of(unknown[:-1])))


def _under(place: Place, ancestor: Place) -> bool:
    return place[: len(ancestor)] == ancestor


def _unknown(place: Place) -> Finding:
    *above, key = place
    parent = tuple(above)
    match parent:
        case ():
            message = "is not a key or table of a job file"
        case ("fields", _):
            message = "is not a key of a field"
        case _:
            message = f"is not a key of [{'.'.join(str(part) for part in parent)}]"
    return Finding(place, message, _belongs(str(key)) or did_you_mean(str(key), keys_of(parent)))


def _belongs(key: str) -> str:
    if key in keys_of(()):
        return "it belongs at the top of the file, before the first [table]"
    table = next((table for table in _TABLES if key in keys_of((table,))), "")
    return f"it belongs in [{table}]" if table else ""


def _wrong(tree: dict[str, Any], place: Place, errors: list[Error]) -> Finding:
    value = _value(tree, place)
    nouns = dict.fromkeys(_noun(error) for error in errors)
    return Finding(place, "must be " + " or ".join(nouns), _mend(place, value, errors))


def _noun(error: Error) -> str:
    context = {
        key: f"{value:.15g}" if isinstance(value, float) else value for key, value in error.get("ctx", {}).items()
    }
    if "expected" in context:
        context["expected"] = ", ".join(_choices(error))
    return _NOUNS.get(error["type"], "of another kind").format(**context)


def _choices(error: Error) -> list[str]:
    return re.findall(r"'([^']*)'", error.get("ctx", {}).get("expected", ""))


def _mend(place: Place, value: Any, errors: list[Error]) -> str:
    kinds = {error["type"] for error in errors}
    choices = [choice for error in errors for choice in _choices(error)]
    if isinstance(value, str) and choices and likeliest(value, choices):
        return did_you_mean(value, choices)
    if isinstance(value, str) and kinds & _QUOTED:
        return "write it without quotes"
    if place[:2] in _SHARES:
        return 'write a whole number, or a share like "5%"'
    if place[0] == "fields" and place[-1] == "otherwise":
        return 'write "skip", "reject" or { value = "…" }'
    if place[0] == "fields" and len(place) == 2:
        return 'write { column = "…" }'
    if "string_type" in kinds and isinstance(value, int | float | date | datetime | time):
        return "put it in quotes"
    return ""


def _value(tree: Any, place: Place) -> Any:
    for part in place:
        tree = tree[part]
    return tree


def _pruned(tree: dict[str, Any], broken: set[Place]) -> dict[str, Any]:
    """A copy without the broken places; a list loses its place whole, a missing key takes its parent along."""
    tree = _without(tree, (), {_cut(place) for place in broken})
    whole = {**_STAND_INS, **tree}
    return {**whole, "source": {"path": "-", **whole["source"]}}


def _cut(place: Place) -> Place:
    upto = next((index for index, part in enumerate(place) if isinstance(part, int)), len(place))
    return place[:upto]


def _without(node: Any, place: Place, broken: set[Place]) -> Any:
    if not isinstance(node, dict):
        return node
    return {
        key: _without(value, (*place, key), broken)
        for key, value in node.items()
        if (*place, key) not in broken and not _incomplete((*place, key), value, broken)
    }


def _incomplete(place: Place, value: Any, broken: set[Place]) -> bool:
    """Whether a value lacks a key that it cannot be without, or has lost it: it must go as a whole."""
    needed = {ByColumn: "column", Value: "value"}.get(_model_at(place) or BaseModel)
    return isinstance(value, dict) and (*place, needed) in broken
