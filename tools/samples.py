"""What the reference pages show by example: keys of a job file, cells, replies. Each is read by the real code."""

from __future__ import annotations

import json
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from batchpost.job import Job
from batchpost.mapping import Mapper
from batchpost.model import Outcome, Repeat, Reply, Row, Target
from batchpost.routes import Route
from batchpost.verdict import Action, judge, when_exhausted

__all__ = ["CELLS", "KEYS", "REPLIES", "read_cell", "read_reply"]

KEYS: dict[tuple[str, str], str] = {
    ("", "name"): '"nightly-conversions"',
    ("", "route"): '"global-event"',
    ("api", "base_url"): '"http://127.0.0.1:8765"',
    ("api", "org_id"): '"env:PINGTREE_ORG_ID"',
    ("api", "campaign_id"): '{ column = "Campaign", map = { Auto = "cmp_auto" } }',
    ("api", "token"): '"file:secrets/token"',
    ("api", "tokens"): '{ cmp_auto = "env:AUTO_TOKEN" }',
    ("api", "server_dedupe"): '["sale_completed"]',
    ("api", "redistributes"): "true",
    ("api", "proxy"): '"http://proxy:3128"',
    ("api", "ca_file"): '"ca.pem"',
    ("source", "path"): '"exports/conv-*.csv"',
    ("source", "take"): '"all"',
    ("source", "encoding"): '"cp1252"',
    ("source", "delimiter"): '";"',
    ("source", "quote"): '"\'"',
    ("source", "header_row"): "3",
    ("source", "sheet"): '"March"',
    ("source", "skip_rows"): "2",
    ("source", "null_values"): '["N/A", "-"]',
    ("source", "decimal"): '","',
    ("source", "ragged"): '"reject"',
    ("source", "empty"): '"ok"',
    ("fields", "column"): '"Lead ID"',
    ("fields", "value"): '"sale_completed"',
    ("fields", "as"): '"number"',
    ("fields", "custom"): "true",
    ("fields", "pattern"): '"^txn_"',
    ("fields", "map"): '{ Funded = "sale_completed" }',
    ("fields", "otherwise"): '"skip"',
    ("fields", "min"): "0.01",
    ("fields", "max"): "5000",
    ("fields", "format"): '"%m/%d/%Y %H:%M"',
    ("fields", "timezone"): '"America/New_York"',
    ("fields", "send_as"): '"EST"',
    ("fields", "fold"): '"earliest"',
    ("fields", "lost_zeros"): '"restore"',
    ("fields", "true"): '["Y", "Ja"]',
    ("fields", "false"): '["N", "Nein"]',
    ("fields", "when_empty"): '"clear"',
    ("fields", "when_invalid"): '"omit"',
    ("rows", "where"): "\"revenue > 0 AND Region = 'US'\"",
    ("rows", "totals"): '"reject"',
    ("rows", "key"): '["order_no"]',
    ("rows", "skip_unchanged"): "false",
    ("rows", "foreign_duplicates"): '"accept"',
    ("delivery", "rate"): "50",
    ("delivery", "concurrency"): "64",
    ("delivery", "timeout"): "10",
    ("delivery", "max_attempts"): "3",
    ("delivery", "max_failures"): "100",
    ("delivery", "stop_when"): '{ lead_not_found = "10%" }',
    ("delivery", "drain"): "30",
    ("expect", "rows"): '"1000..6000"',
    ("expect", "revenue"): '"50000..400000"',
    ("expect", "amount"): '"50000.."',
    ("expect", "reasons"): '{ lead_not_found = "2%" }',
    ("expect", "conversion"): "false",
    ("results", "directory"): '"/srv/batchpost/results"',
    ("results", "format"): '"csv"',
    ("results", "include"): '"all"',
    ("ledger", "url"): '"env:LEDGER"',
    ("ledger", "must_exist"): "true",
    ("notify", "webhook"): '"env:CHAT_WEBHOOK"',
    ("notify", "on"): '"always"',
}
"""By table and key, a value as a job file has it."""

CELLS: dict[str, dict[str, str]] = {
    "text": {"  Anna ": "", "N/A": "", "": ""},
    "number": {"15000": "", "1,250.50": "", "1,250": "", "n/a": ""},
    "integer": {"12": "", "12.0": "", "12.5": ""},
    "money": {"85": "", "$1,250.00": "", "1.250,00": "", "1,250": "", "(45.00)": "", "1.005": ""},
    "boolean": {"Yes": "", "0": "", "Ja": 'true = ["Ja"], false = ["Nein"]', "perhaps": ""},
    "date": {"2025-03-04": "", "03/04/2025": "", "3/4/2025": 'format = "%m/%d/%Y"', "45720": 'format = "excel"'},
    "datetime": {
        "2025-07-01 13:05:00": "",
        "2025-07-01T13:05": 'timezone = "America/New_York", send_as = "EST"',
        "2025-03-09 02:30:00": 'timezone = "America/New_York", send_as = "EST"',
        "2025-07-01": 'timezone = "America/New_York", send_as = "EST"',
    },
    "phone": {"(212) 555-0123": "", "+1 212 555 0123": "", "555-0123": ""},
    "state": {"tx": "", "Texas": "", "Ontario": ""},
    "zip": {"02134": "", "02134-1000": "", "2134": "", " 2134": 'lost_zeros = "restore"'},
    "email": {"anna@example.com": "", "anna@example": "", "anna": ""},
}
"""By type, cells, each with what the field's entry says beside ``column``."""

_NO_LEAD = {"status": 400, "message": "No lead found for the provided transaction_id in this organization"}
_BAD_EVENT = {"status": 400, "message": "Invalid event_id — event not configured for the associated campaign"}
_EVENT_REPLIES: dict[str, tuple[int, Any]] = {
    "200, `conversion: true`": (200, {"status": 200, "data": {"conversion_id": "conv_1", "conversion": True}}),
    "200, `conversion: false`, to an event without money": (200, {"status": 200, "data": {"conversion": False}}),
    "200, `conversion: false`, to an event with money": (200, {"status": 200, "data": {"conversion": False}}),
    "200, but no readable JSON": (200, None),
    "400, `event_id is required`": (400, {"status": 400, "message": "event_id is required"}),
    "400, `No lead found …`": (400, _NO_LEAD),
    "400, `Invalid event_id …`": (400, _BAD_EVENT),
    "400, `Duplicate event …`, to a first attempt": (
        400,
        {"status": 400, "message": "Duplicate event for this transaction_id"},
    ),
    "400, `Duplicate event …`, after an attempt that may have arrived": (
        400,
        {"status": 400, "message": "Duplicate event for this transaction_id"},
    ),
    "403 that speaks of a lock": (403, {"status": 403, "message": "concurrent event lock in progress"}),
    "403 that speaks of an inactive source": (403, {"status": 403, "message": "Source inactive"}),
    "any other 403": (403, {"status": 403, "message": "Forbidden"}),
    "429": (429, {"message": "Too many requests"}),
    "500": (500, {"status": 500, "message": "Internal server error"}),
}
REPLIES: dict[str, dict[str, tuple[int, Any]]] = {
    "update-lead": {
        "201, `accepted`": (201, {"status": "201", "data": {"leadStatus": "accepted"}}),
        "201, `unsold`": (201, {"status": "201", "data": {"leadStatus": "unsold"}}),
        "201, but no readable JSON": (201, None),
        "400, `missingField`": (400, {"message": "transaction_id is required", "data": {"leadStatus": "missingField"}}),
        "400, `invalidField`": (400, {"message": "email is invalid", "data": {"leadStatus": "invalidField"}}),
        "400, `rejected`, `Lead not found …`": (
            400,
            {"message": "Lead not found for the given transaction_id", "data": {"leadStatus": "rejected"}},
        ),
        "400, `rejected`, anything else": (400, {"message": "No update", "data": {"leadStatus": "rejected"}}),
        "401": (401, {"status": "401", "message": "Unauthorized", "data": {"leadStatus": "rejected"}}),
        "405": (405, {"status": "405", "data": {"leadStatus": "rejected"}}),
        "429": (429, {"message": "Too many requests"}),
        "500": (500, {"status": "500", "message": "Internal server error", "data": {"leadStatus": "rejected"}}),
    },
    "global-event": _EVENT_REPLIES,
    "campaign-event": _EVENT_REPLIES,
}
"""By route, what the platform's pages say that it answers, and what else may come: status and body."""


def read_reply(route: Route, told: str) -> tuple[str, str]:
    """What a reply means for a row of the route that is safe to repeat, and for one that is not."""
    status, body = REPLIES[route.name][told]
    reply = Reply(status, {}, b"<html>" if body is None else json.dumps(body).encode())
    safe = Repeat.REFUSED if route.is_event else Repeat.HARMLESS
    return _meaning(reply, told, safe), _meaning(reply, told, Repeat.FIRES_AGAIN)


def _meaning(reply: Reply, told: str, repeat: Repeat) -> str:
    again = "may have arrived" in told
    if again and repeat is Repeat.FIRES_AGAIN:
        return "\N{EN DASH}"
    row = Row(0, "", Target("/"), b"{}", repeat, b"", b"", b"", "", "", again, "without money" not in told)
    verdict = judge(reply, row, now=0.0)
    end = verdict.settlement
    if end is None:
        return "the run stops, the row stays `not_attempted`"
    if verdict.action is Action.SETTLE:
        return f"`{end.outcome}: {end.reason}`"
    if verdict.action is Action.HOLD:
        return f"the source's rows are held: `{end.outcome}: {end.reason}`"
    last = when_exhausted(end, repeat, may_be_applied=verdict.may_be_applied)
    pause = "all wait, then it is sent again" if verdict.pause is not None else "sent again"
    return f"{pause}; in the end `{last.outcome}: {last.reason}`"


def read_cell(kind: str, cell: str, given: str) -> str:
    """What goes out for a cell of a type, as JSON, or the reason why nothing does."""
    field = "conversion_date" if "send_as" in given else "custom_field"
    entry = {
        "column": "Cell",
        **({} if field == "conversion_date" else {"as": kind}),
        **tomllib.loads(f"x = {{ {given} }}")["x"],
    }
    fields = {"transaction_id": {"column": "Lead"}, "event_id": {"value": "e"}, field: entry}
    place = {"source": {"path": "x.csv"}, "path": Path("/w/j.toml"), "workspace": Path("/w")}
    job = Job.model_validate({"name": "j", "route": "global-event", "fields": fields, **place})
    frame = pl.DataFrame({"Lead": ["txn"], "Cell": [cell]}, schema={"Lead": pl.String, "Cell": pl.String})
    [row] = Mapper(job).map(frame, last=False, ragged=()).to_dicts()
    if row["outcome"] is not None and row["outcome"] != Outcome.DELIVERED:
        return f"`{row['outcome']}: {row['reason']}`"
    sent: dict[str, Any] = json.loads(row["body"], parse_float=Decimal)
    told = [row["body"].partition(f'"{name}":')[2] for name in (field, "conversion_timezone") if name in sent]
    return " ".join(f"`{_first(text)}`" for text in told) or "nothing"


def _first(text: str) -> str:
    """The JSON value at the beginning of a text, as it stands there."""
    text = text.lstrip()
    _, end = json.JSONDecoder().raw_decode(text)
    return text[:end]
