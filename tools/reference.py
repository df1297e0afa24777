"""The reference pages, made from the code that they are about: job files, routes and fields, outcomes and reasons."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from batchpost.job import ROUTE_KEYS
from batchpost.jobview import job_schema, toml_value
from batchpost.reasons import BY_OUTCOME, OUTCOMES, REMEDIES, UNTROUBLED
from batchpost.routes import ROUTES, TIMEZONES, Credential, Route
from tools.samples import CELLS, KEYS, REPLIES, read_cell, read_reply

__all__ = ["job_file", "outcomes", "routes"]

_NOTE = "<!-- Made from the code by `make docs`: what is changed here by hand is lost. -->"
_NONE = "\N{EN DASH}"
_PROSE = textwrap.TextWrapper(140, break_long_words=False, break_on_hyphens=False)
_TABLES = ("api", "source", "fields", "rows", "delivery", "expect", "results", "ledger", "notify")
_OWN = re.compile(r"(?:(?:update-lead|global-event|campaign-event|Events)(?: and |: ))+")
_SCALAR = {"string", "boolean", "integer", "number"}
_WORDS = {"string": "text", "boolean": "`true` or `false`", "number": "number", "integer": "whole number"}
_DEFAULTS = {
    ("api", "org_id"): "required there",
    ("api", "campaign_id"): "required there",
    ("api", "token"): "this or `tokens`",
    ("fields", "column"): "this or `value`",
    ("fields", "value"): "this or `column`",
}
_AUTHENTICATION = {
    Credential.BEARER: "`Authorization: Bearer <enrichment token>`, from `[api] token` or `tokens`; the form's token "
    "gets 401",
    Credential.ORG_IN_PATH: "none but the organisation id in the path, from `[api] org_id`, which is therefore a "
    "secret; no token is ever sent there",
    Credential.CAMPAIGN_IN_BODY: "none; the campaign's id goes out in the body as `cid`, from `[api] campaign_id`",
}

_ABOUT_JOBS = """A job file is TOML. `batchpost check JOB` names each key that is not here, with the likeliest one,
and `batchpost schema` gives editors the same in JSON Schema. Whole jobs, and what is behind the keys:
[job-files.md](../job-files.md)."""
_ABOUT_FIELDS = """A field of [the route](routes.md), or a custom field of the campaign, and where its value comes
from. A key that can have no effect on the field is a mistake."""
_ABOUT_ROUTES = """The platform's three endpoints, as its pages have them. `route` of a job file names one; each key
of `[fields]` is one of its fields or a custom field of the campaign. How a cell becomes a value: [types](#types)."""
_ABOUT_EVENTS = """A second event of one `transaction_id` and `event_id` is refused (400 Duplicate) where the campaign
has duplicates disabled, and fires again where it allows them. Money of the operation: {}. One that was delivered
before with other {} is a `conflict` and is not sent."""
_ABOUT_UPDATES = """Only the fields that go out are changed. By the campaign's settings, an update may offer the lead
to buyers again."""
_ABOUT_TYPES = """What becomes of a cell, by the type of its field. The route's own fields know their type; a custom
field gets it by `as`. Outer blanks do not count. An empty cell is left out of the body unless `when_empty` says
otherwise."""
_ABOUT_ENDS = """Every row ends in exactly one outcome, with one reason. Both are columns of `outcomes.csv`. `--only`
and `--reason` pick rows by them; those of `invalid`, `rejected` and `failed`, and `not_a_conversion`, may be
tolerated by `[expect] reasons`."""
_ABOUT_INVALID = """Mend the rows in the run's `to_fix.csv` and give it back: `batchpost run JOB --source
…/to_fix.csv`. Where the job is at fault, mend the job and run it again."""
_ABOUT_DOUBT = """A row is `failed` where the request was not applied, or is harmless to repeat; it goes out again. It
is `unknown` where the request may have been applied and a second one could fire again; it waits for `batchpost
resolve RUN`."""
_REPLIES = "How a reply reads; the whole table, faults included: "
_GUARANTEES = "[guarantees.md](../guarantees.md#what-a-reply-or-a-fault-means)."


def job_file() -> str:
    """Every key of a job file, table by table, from its JSON Schema."""
    schema = job_schema()
    defs: dict[str, Any] = schema["$defs"]
    top = {name: key for name, key in schema["properties"].items() if name not in _TABLES}
    parts = [*_head("Every key of a job file", _ABOUT_JOBS), "\n## At the top\n"]
    parts += _keys("", {"properties": top, "required": schema["required"]}, defs)
    for name in _TABLES:
        table = _table(schema["properties"][name], defs)
        parts += [f"\n## `[{name}]`\n", *_about_table(name, table), *_keys(name, table, defs)]
    return "\n".join(parts) + "\n"


def _table(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a table; of ``[fields]``, that of each entry."""
    reference = schema.get("$ref") or schema["additionalProperties"]["$ref"]
    found: dict[str, Any] = defs[reference.rpartition("/")[2]]
    return found


def _about_table(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    told = _markdown(table["description"]).partition(": ")[2].partition("; see ")[0].rstrip(".")
    yield _prose(_ABOUT_FIELDS if name == "fields" else f"{told[0].upper()}{told[1:]}.") + "\n"


def _keys(table: str, schema: Mapping[str, Any], defs: Mapping[str, Any]) -> list[str]:
    by_route = any(place[0] == table for place in ROUTE_KEYS)
    rows = []
    for key, about in schema["properties"].items():
        default = "required" if key in schema.get("required", ()) else _default(about)
        routes = _codes(ROUTE_KEYS.get((table, key), ())) or "all"
        meaning = _OWN.sub("", _markdown(about["description"])) if by_route else _markdown(about["description"])
        cells = [f"`{key}`", _type(about, defs), _DEFAULTS.get((table, key), default), *([routes] if by_route else [])]
        rows.append([*cells, meaning[0].upper() + meaning[1:], f"`{KEYS[table, key]}`"])
    return _rows(["key", "type", "default", *(["routes"] if by_route else []), "meaning", "example"], rows)


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    return _NONE if default is None else f"`{toml_value(default)}`"


def _type(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """What may stand there, in words."""
    if "$ref" in schema:
        return _type(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "enum" in schema or "const" in schema:
        return _codes(toml_value(value) for value in schema.get("enum") or [schema["const"]])
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
        anything = {kind.get("type") for kind in kinds} >= _SCALAR
        return "text, number or boolean" if anything else " or ".join(dict.fromkeys(_type(one, defs) for one in kinds))
    if schema["type"] == "array":
        return f"list of {_type(schema['items'], defs)}"
    if schema["type"] == "object":
        inner = schema.get("additionalProperties")
        return f"table of {_type(inner, defs)}" if inner else f"table of {_codes(schema['properties'])}"
    return _WORDS[schema["type"]] + _limits(schema)


def _limits(schema: Mapping[str, Any]) -> str:
    least, above, most = (schema.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
    if schema.get("minLength") == schema.get("maxLength") == 1:
        return ", one character"
    low = f"{least:,} or more" if least is not None else f"above {above:,}" if above is not None else ""
    high = f"at most {most:,}" if most is not None else ""
    return f" ({', '.join(part for part in (low, high) if part)})" if low or high else ""


def routes() -> str:
    """Each route with its path, its credential, its fields, and how its replies read; then the types of fields."""
    parts = _head("Routes and fields", _ABOUT_ROUTES)
    described: list[Route] = []
    for route in ROUTES.values():
        parts += [f"\n## `{route.name}`\n", *_about_route(route)]
        same = next((other for other in described if other.fields == route.fields), None)
        if same:
            parts.append(f"\nThe fields and replies are those of [`{same.name}`](#{same.name}).")
        else:
            parts += ["", *_fields(route), "", _prose(_REPLIES + _GUARANTEES), "", *_replies(route)]
        described.append(route)
    return "\n".join([*parts, *_types()]) + "\n"


def _about_route(route: Route) -> Iterator[str]:
    yield f"`POST {route.path.format(scope='<campaign id>' if route.by_campaign else '<organisation id>')}`\n"
    yield _prose(f"Authentication: {_AUTHENTICATION[route.credential]}.") + "\n"
    told = _ABOUT_EVENTS.format(_listed(route.money), _listed(route.stakes)) if route.is_event else _ABOUT_UPDATES
    yield _prose(told)


def _fields(route: Route) -> list[str]:
    """Fields of one rule that follow each other share a line."""
    rows = []
    for rule, group in groupby(route.fields.items(), key=lambda item: item[1]):
        names = " ".join(f"`{name}`" for name, _ in group)
        rows.append([names, f"[{rule.type}](#types)", "yes" if rule.required else "", _codes(rule.choices)])
    return _rows(["fields", "type", "required", "only these values"], rows)


def _replies(route: Route) -> list[str]:
    events, updates = ("an event in `server_dedupe`", "any other event"), ("an update", "with `redistributes`")
    rows = [[told, *read_reply(route, told)] for told in REPLIES[route.name]]
    return _rows(["the platform says", *(events if route.is_event else updates)], rows)


def _types() -> list[str]:
    zones = ", ".join(f"{code} (UTC{hours})" for code, hours in TIMEZONES.items())
    zoned = f"`conversion_timezone` is a fixed offset, without daylight saving: {zones}. `send_as` converts to it."
    rows = [
        [f"`{kind}`" if not at else "", _code(cell), read_cell(kind, cell, given), _code(given) if given else ""]
        for kind, cells in CELLS.items()
        for at, (cell, given) in enumerate(cells.items())
    ]
    told = _rows(["type", "in the file", "what goes out, or why nothing does", "with"], rows)
    return ["\n## Types\n", _prose(_ABOUT_TYPES), "", *told, "", _prose(zoned)]


def outcomes() -> str:
    """Every outcome, and every reason with its meaning and what to do about it."""
    ends = [[f"[`{name}`](#{_anchor(name)})", fate.meaning, fate.again] for name, fate in OUTCOMES.items()]
    parts = [*_head("Outcomes and reasons", _ABOUT_ENDS), ""]
    parts += _rows(["outcome", "meaning", "does the row go out again?"], ends)
    for outcome, group in BY_OUTCOME.items():
        advice = {"invalid": _ABOUT_INVALID, "failed or unknown": _ABOUT_DOUBT}.get(outcome)
        parts += [f"\n## {' and '.join(f'`{name}`' for name in _named(outcome))}\n"]
        parts += [_prose(advice) + "\n"] if advice else []
        parts += _reasons(group)
    return "\n".join(parts) + "\n"


def _named(group: str) -> list[str]:
    """The outcomes that share a group of reasons."""
    return [name for name in OUTCOMES if name in group.split()]


def _anchor(outcome: str) -> str:
    """The heading that an outcome's reasons stand under, as links name it."""
    return next("-and-".join(_named(group)) for group in BY_OUTCOME if outcome in _named(group))


def _reasons(group: Mapping[str, str]) -> list[str]:
    if UNTROUBLED.issuperset(group):
        return _rows(["reason", "meaning"], [[f"`{name}`", told] for name, told in group.items()])
    rows = [[f"`{name}`", told, REMEDIES.get(name, "nothing")] for name, told in group.items()]
    return _rows(["reason", "meaning", "what to do"], rows)


# -- Markdown --------------------------------------------------------------------------------------------------------


def _head(title: str, about: str) -> list[str]:
    return [f"# {title}\n", f"{_NOTE}\n", _prose(about)]


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"|{'|'.join(f' {cell}'.replace('|', chr(92) + '|').rstrip() + ' ' for cell in line)}|" for line in lines]


def _prose(text: str) -> str:
    return _PROSE.fill(" ".join(text.split()))


def _code(text: str) -> str:
    return f"`{text}`" if text else "an empty cell"


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def _listed(names: Sequence[str]) -> str:
    *most, last = (f"`{name}`" for name in names)
    return f"{', '.join(most)} or {last}" if most else last


def _markdown(text: str) -> str:
    """A docstring's text on one line, its marks those of Markdown."""
    return " ".join(text.replace("``", "`").split())
