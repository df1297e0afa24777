"""What columns are usually called: for each API field the names of its column, the surest first.

Names are compared without case, signs, accents and blanks, so that ``Lead ID``, ``lead_id`` and ``leadId`` are one.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["CAMPAIGN_NAMES", "DATE_WORDS", "SYNONYMS", "ZONE_WORDS", "name_rank", "snake_name", "words_of"]

_UTM = ("source", "medium", "campaign", "adgroup", "matchtype", "term", "content", "creative", "placement")

SYNONYMS: dict[str, tuple[str, ...]] = {
    "transaction_id": (
        *("transaction id", "txn id", "txn", "transaction", "trans id", "tid", "lead id", "lead transaction id"),
        *(
            "pingtree id",
            "lead uuid",
            "lead guid",
            "lead number",
            "lead nr",
            "lead no",
            "lead ref",
            "lead reference",
            "lead",
        ),
        *("click id", "clickid", "uuid", "guid", "reference", "ref id", "id"),
    ),
    "event_id": (
        *("event id", "event", "event name", "event type", "event code", "conversion event", "conversion type"),
        *("status", "disposition", "lead status", "sale status", "deal status", "loan status", "application status"),
        *("stage", "outcome", "result", "state of lead", "lead disposition", "conversion status"),
    ),
    "revenue": (
        *("revenue", "payout", "total payout", "lead payout", "conversion revenue", "commission", "earnings", "earned"),
        *("conversion value", "sale amount", "sale value", "sale price", "sold price", "price paid", "bid", "price"),
        *("auszahlung", "provision", "umsatz", "erlos", "order value", "order total", "amount", "betrag", "value"),
        *("total",),
    ),
    "amount": ("amount",),
    "conversion_date": (
        *("conversion date", "conversion time", "converted at", "converted on", "conversion timestamp", "sold at"),
        *("sold on", "sold date", "date sold", "sale date", "sale time", "date of sale", "funded at", "funded on"),
        *("funded date", "funding date", "closed at", "closed on", "closed date", "close date", "event date"),
        *("event time", "event timestamp", "occurred at", "occurred on", "happened at", "transaction date"),
        *("transaction time", "verkauft am", "verkaufsdatum", "abschlussdatum", "date time", "timestamp", "time"),
        *("date", "datum"),
    ),
    "conversion_timezone": ("conversion timezone", "conversion time zone", "timezone", "time zone", "tz"),
    "pid": ("pid", "publisher id", "source id", "affiliate id", "aff id", "partner id", "publisher", "source"),
    "clid": ("clid", "click id"),
    "external_clickid": ("external click id", "ext click id", "external clid", "partner click id"),
    "cost": ("cost", "lead cost", "ad cost", "media cost"),
    "cost_operation": ("cost operation",),
    "adSpend": ("ad spend", "advertising spend"),
    "min_price": ("min price", "minimum price", "floor price", "price floor"),
    "tcpa_consent": ("tcpa consent", "tcpa", "tcpa optin", "tcpa opt in"),
    "tcpa_consent_date": ("tcpa consent date", "tcpa date", "consent date", "optin date", "opt in date"),
    "first_name": ("first name", "fname", "first", "given name", "forename", "vorname"),
    "last_name": ("last name", "lname", "last", "surname", "family name", "nachname"),
    "email": ("email", "email address", "mail", "mail address", "email addr"),
    "mobile": (
        *("mobile", "mobile phone", "mobile number", "cell", "cell phone", "cell number", "phone", "phone number"),
        *(
            "telephone",
            "telephone number",
            "tel",
            "phone 1",
            "primary phone",
            "home phone",
            "mobil",
            "telefon",
            "handy",
        ),
    ),
    "address": (
        *("address", "street address", "street", "address 1", "address line 1", "addr", "addr 1", "mailing address"),
        *("strasse", "adresse", "anschrift"),
    ),
    "city": ("city", "town", "city name", "stadt", "ort"),
    "state": ("state", "state code", "state abbreviation", "us state", "province", "region", "st", "bundesland"),
    "zip_code": ("zip code", "zip", "zip 5", "postal code", "post code", "postal", "zip postal code", "plz"),
    "date_of_birth": ("date of birth", "dob", "birth date", "birthday", "born", "born on", "birth", "geburtsdatum"),
    **{f"sub{n}": (f"sub {n}", f"sub id {n}", f"subid {n}", f"s {n}", f"aff sub {n}") for n in range(2, 6)},
    "sub1": ("sub 1", "sub id 1", "subid 1", "s 1", "aff sub 1", "sub id", "aff sub"),
    **{f"adv{n}": (f"adv {n}", f"adv sub {n}", f"advertiser {n}") for n in range(1, 6)},
    **{f"utm_{name}": (f"utm {name}",) for name in _UTM},
}

CAMPAIGN_NAMES = (
    *("campaign id", "cid", "offer campaign id", "pingtree campaign id", "campaign", "campaign name", "kampagne"),
)

# Words before a name that say whose it is, and after it in what it is counted or which clock it shows.
_WHOSE = frozenset(
    [
        "lead",
        "customer",
        "client",
        "contact",
        "consumer",
        "borrower",
        "applicant",
        "user",
        "buyer",
        "person",
        "data",
        "kunde",
        "kunden",
    ]
)
_COUNTED = frozenset(["usd", "eur", "gbp", "cad", "aud", "dollars", "euro"])
ZONE_WORDS = frozenset(
    [
        "utc",
        "gmt",
        "est",
        "edt",
        "et",
        "pst",
        "pdt",
        "pt",
        "cst",
        "cdt",
        "ct",
        "mst",
        "mdt",
        "mt",
        "akst",
        "hst",
        "ast",
        "local",
    ]
)
# A header with one of these is that of a date, though its values may look like plain numbers.
DATE_WORDS = frozenset(
    [
        "date",
        "time",
        "datetime",
        "timestamp",
        "ts",
        "day",
        "on",
        "at",
        "when",
        "dob",
        "birth",
        "birthday",
        "born",
        "datum",
        "am",
        "since",
        "until",
        "created",
        "updated",
    ]
)


def words_of(header: str) -> tuple[str, ...]:
    """The words of a header in lower case: ``saleAmount``, ``SALE_AMOUNT`` and ``Sale amount`` are all two."""
    plain = unicodedata.normalize("NFKD", header.replace("#", " number ").replace("ß", "ss"))
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    humps = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain)
    return tuple(word.lower() for word in re.findall(r"[^\W_]+", humps))


def name_rank(header: str, field: str) -> int | None:
    """How sure a header names a field: 0 is surest; None where it is no usual name for it."""
    return _rank(words_of(header), CAMPAIGN_NAMES if field == "campaign_id" else SYNONYMS.get(field, ()))


def snake_name(header: str) -> str:
    """The header as the name of a custom field; ``column`` where nothing of it can be part of one."""
    return "_".join(words_of(header)) or "column"


def _rank(words: tuple[str, ...], names: tuple[str, ...]) -> int | None:
    while words and words[-1] in _COUNTED | ZONE_WORDS and len(words) > 1:
        words = words[:-1]
    known = [name.replace(" ", "") for name in names]
    for skipped in range(min(3, len(words))):
        if skipped and words[skipped - 1] not in _WHOSE:
            break
        bare = "".join(words[skipped:])
        if bare in known:
            return known.index(bare) + skipped
    return None
