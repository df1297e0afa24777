"""The platform's three routes as data: path, credential, fields with their types and rules.

Source: the platform's "Update Lead API" and "Global Event Postback API" pages and, for ``campaign-event``, the public
page of its campaign postback.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

__all__ = ["ROUTES", "TIMEZONES", "Credential", "FieldRule", "FieldType", "Route"]


class FieldType(StrEnum):
    """How a cell's text becomes a JSON value. ``number``, ``integer`` and ``money`` go out as JSON numbers,
    ``boolean`` as ``true``/``false``, all others as strings."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    MONEY = "money"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    PHONE = "phone"
    STATE = "state"
    ZIP = "zip"
    EMAIL = "email"


class Credential(StrEnum):
    """What opens a route."""

    BEARER = "bearer"
    ORG_IN_PATH = "org_in_path"
    CAMPAIGN_IN_BODY = "campaign_in_body"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A documented body field. ``choices`` are the only values that the platform's page allows (empty: any)."""

    type: FieldType
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. ``money`` names the fields that are money of the operation, the first of them mapped is the
    row's ``amount``; ``stakes`` those that make a second event of one operation a conflict."""

    name: str
    path: str
    credential: Credential
    fields: dict[str, FieldRule]
    money: tuple[str, ...] = ()
    stakes: tuple[str, ...] = ()

    @property
    def is_event(self) -> bool:
        """True for the routes where a second request may fire a second event."""
        return self.credential is not Credential.BEARER

    @property
    def by_campaign(self) -> bool:
        """True where the job must say which campaign a row belongs to."""
        return self.credential is not Credential.ORG_IN_PATH

    def path_for(self, scope: str) -> str:
        """The request path for a campaign or organisation id; whatever is in the id stays one path segment.

        Raises ValueError for ``.`` and ``..``: servers resolve them away (RFC 3986, 5.2.4), some also as ``%2E``.
        """
        if scope in (".", ".."):
            raise ValueError("an id must not be . or .., which mean another path")
        return self.path.format(scope=quote(scope, safe=""))


# conversion_timezone: fixed offsets from UTC in hours. There is no UTC and no daylight-saving code (API page).
TIMEZONES = {"PST": -8, "EST": -5, "CST": -6, "MST": -7, "AKST": -9, "SST": -11, "HST": -10, "AST": -4}

_TEXT = FieldRule(FieldType.TEXT)
_NUMBER = FieldRule(FieldType.NUMBER)
_MONEY = FieldRule(FieldType.MONEY)
_REQUIRED = FieldRule(FieldType.TEXT, required=True)
_SUBS = {f"{name}{n}": _TEXT for name in ("sub", "adv") for n in range(1, 6)}

_LEAD_FIELDS = {
    "transaction_id": _REQUIRED,
    "first_name": _TEXT,
    "last_name": _TEXT,
    "email": FieldRule(FieldType.EMAIL),
    "mobile": FieldRule(FieldType.PHONE),
    "address": _TEXT,
    "city": _TEXT,
    "state": FieldRule(FieldType.STATE),
    "zip_code": FieldRule(FieldType.ZIP),
    "date_of_birth": FieldRule(FieldType.DATE),
    **_SUBS,
}

_EVENT_FIELDS = {
    "transaction_id": _REQUIRED,
    "event_id": _REQUIRED,
    "revenue": _MONEY,
    "amount": _MONEY,
    "pid": _TEXT,
    "clid": _TEXT,
    "external_clickid": _TEXT,
    "conversion_date": FieldRule(FieldType.DATETIME),
    "conversion_timezone": FieldRule(FieldType.TEXT, choices=tuple(TIMEZONES)),
    **_SUBS,
    **{
        f"utm_{name}": _TEXT
        for name in ("source", "medium", "campaign", "adgroup", "matchtype", "term", "content", "creative", "placement")
    },
    "tcpa_consent_date": FieldRule(FieldType.DATE),
    "tcpa_consent": FieldRule(FieldType.INTEGER, choices=("0", "1")),
    "cost": _MONEY,
    # "substract" is the page's spelling; another page has "subtract": a job may say either.
    "cost_operation": FieldRule(FieldType.TEXT, choices=("add", "substract", "subtract", "override")),
    "adSpend": _MONEY,
    "min_price": _MONEY,
    # Other lead fields may be sent along; these are typed as on the update page.
    **{name: rule for name, rule in _LEAD_FIELDS.items() if name != "transaction_id"},
}

_STAKES = ("revenue", "amount", "conversion_date")

ROUTES: dict[str, Route] = {
    route.name: route
    for route in (
        Route("update-lead", "/api/lead/update/{scope}", Credential.BEARER, _LEAD_FIELDS),
        Route(
            "global-event",
            "/api/event/global/{scope}",
            Credential.ORG_IN_PATH,
            _EVENT_FIELDS,
            money=("revenue", "amount"),
            stakes=_STAKES,
        ),
        Route(
            "campaign-event",
            "/api/event/trigger",
            Credential.CAMPAIGN_IN_BODY,
            _EVENT_FIELDS,
            money=("revenue", "amount"),
            stakes=_STAKES,
        ),
    )
}
