"""A job shown to people, editors and later runs: as TOML with all defaults, as JSON Schema, as a fingerprint."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from batchpost.address import shown
from batchpost.job import ROUTE_KEYS, Job
from batchpost.routes import ROUTES

__all__ = ["config_fingerprint", "fingerprint", "job_schema", "show_job", "toml_key", "toml_value"]

_TABLES = ("api", "source", "fields", "rows", "delivery", "expect", "results", "ledger", "notify")
_SECRETS = ("org_id", "token", "tokens")  # references may change between the sittings of a run
_WIRING = ("proxy", "ca_file")  # how the platform is reached, not what it is told


def show_job(job: Job) -> str:
    """The job as TOML with its defaults, secrets as references; loads again to the same job.

    Keys without a default and those that the job's route does not have are left out; of a field, all defaults are.
    """
    lines = [f"name = {toml_value(job.name)}", f"route = {toml_value(job.route)}"]
    for table in _TABLES:
        shown = _fields(job) if table == "fields" else dict(_settings(job, table))
        lines += ["", f"[{table}]", *(f"{toml_key(key)} = {toml_value(value)}" for key, value in shown.items())]
    return "\n".join(lines) + "\n"


def job_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of job files, for editors: every key with its description, kinds and default."""
    schema = Job.model_json_schema(by_alias=True)
    for own in ("path", "workspace"):  # where the file is, not what it says
        del schema["properties"][own]
        schema["required"].remove(own)
    known = sorted({name for route in ROUTES.values() for name in route.fields})
    entry = schema["properties"]["fields"]["additionalProperties"]
    schema["properties"]["fields"]["properties"] = dict.fromkeys(known, entry)
    schema["description"] = "What batchpost reads, checks and posts."
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "batchpost job"}


def fingerprint(job: Job) -> str:
    """SHA-256 (hex) of all that must stay as it is while a run is continued: not ``[delivery]``, ``[results]``,
    ``[notify]``, secrets and their references, nor where the job file is."""
    values = job.model_dump(mode="json", exclude={"path", "workspace", "delivery", "expect", "results", "notify"})
    if expected := job.expect.model_dump(mode="json", exclude_defaults=True):
        values["expect"] = expected  # without one, runs that were begun before there was any go on
    given = job.source.path  # an address is signed anew each time
    path = shown(given) if isinstance(given, str) else [shown(one) for one in given]
    return _digest({**values, "source": {**values["source"], "path": path}, "api": _identity(job, without=_SECRETS)})


def config_fingerprint(job: Job) -> str:
    """SHA-256 (hex) of what decides which operation a row of the input is and what goes out for it: the route,
    ``[api]`` without secrets and wiring, ``[fields]`` and ``[rows]``."""
    values = job.model_dump(mode="json", include={"route", "fields", "rows"})
    return _digest({**values, "api": _identity(job, without=(*_SECRETS, *_WIRING))})


def _identity(job: Job, without: tuple[str, ...]) -> dict[str, Any]:
    api = job.api.model_dump(mode="json", exclude={"base_url", *without})
    return {**api, "origin": job.api.origin, "campaigns": sorted(job.api.tokens)}


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _settings(job: Job, table: str) -> Iterator[tuple[str, Any]]:
    if table == "notify" and job.notify.webhook is None:
        return  # to say when to tell, but not whom, is a mistake
    for key, value in getattr(job, table).model_dump().items():
        if value is not None and job.route in ROUTE_KEYS.get((table, key), (job.route,)):
            yield key, _plain(value)


def _fields(job: Job) -> dict[str, Any]:
    return {name: given.model_dump(by_alias=True, exclude_unset=True) for name, given in job.fields.items()}


def _plain(value: Any) -> Any:
    """A setting as a person writes it: 10 for 10.0, no keys without a value."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return {key: inner for key, inner in value.items() if inner is not None} if isinstance(value, dict) else value


def toml_key(key: str) -> str:
    """A key as TOML has it, in quotes where it needs them."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def toml_value(value: Any) -> str:
    """A value as TOML has it, on one line; a dict as an inline table."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case Decimal():
            # A TOML number is read as a float; where that would lose digits, a text keeps them.
            return f"{value:f}" if Decimal(str(float(value))) == value else f'"{value:f}"'
        case dict():  # an inline table
            inner = ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:  # a JSON text is a TOML text, but for DEL, which TOML wants escaped; what is not seen is escaped, too
            text = json.dumps(str(value), ensure_ascii=False)
            return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
