"""Keeping personal data and secrets out of what is written beside the results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

import orjson

from batchpost.model import Row, Settlement
from batchpost.spellings import LONGEST, without

__all__ = ["NOT_PERSONAL", "clean_detail", "clean_settlement", "printable"]

# Fields of a body that name an operation or its money. Everything else may be personal, custom fields included: a list
# of what is hidden would forget one.
NOT_PERSONAL = frozenset(
    {
        *("transaction_id", "event_id", "cid", "pid", "clid", "external_clickid"),
        *("revenue", "amount", "cost", "cost_operation", "adSpend", "min_price"),
        *("conversion_date", "conversion_timezone"),
    }
)
_LONGEST = 200
_NAME = re.compile(
    r"[a-z]{2,8}_[0-9a-z-]{1,64}"
).fullmatch  # conv_a1b2…, src_abc123: ids as the platform's pages have them
_STATUSES = frozenset({"", "accepted", "unsold", "rejected", "missingField", "invalidField"})


def printable(text: str, longest: int = _LONGEST) -> str:
    """The text on one line, without control characters, ANSI escapes or line separators, cut at ``longest``."""
    line = "".join(character if character.isprintable() else " " for character in text[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "…"


def clean_detail(message: str, body: bytes, secrets: Iterable[str] = ()) -> str:
    """A server's message without the row's own values and without secrets, fit for a log, a CSV cell and a page.

    ``body`` is the JSON that was sent; every value of it becomes an ellipsis, however the server spells it (see
    :func:`batchpost.spellings.without`).
    """
    if not message:
        return ""
    clean = without(message, [*secrets, *_values(body)])
    if len(message) > LONGEST:  # a value may be cut in two there, so the last part is not shown
        clean = clean[: -LONGEST // 8]
    return printable(clean)


def clean_settlement(settlement: Settlement, row: Row) -> Settlement:
    """A row's end without what the server repeats of the row: its detail without any value, its ids and its address to
    redirect to (which go into the journal) without personal ones."""
    if not (settlement.detail or settlement.redirect_url or _may_tell(settlement, row)):
        return settlement
    secrets = list(_secrets(row))
    personal = [*secrets, *_values(row.body, apart=NOT_PERSONAL)]
    return settlement._replace(
        detail=clean_detail(settlement.detail, row.body, secrets),
        lead_status=without(settlement.lead_status, personal),
        conversion_id=without(settlement.conversion_id, personal),
        pid=settlement.pid if settlement.pid == row.pid else without(settlement.pid, personal),
        redirect_url=without(settlement.redirect_url, personal),
    )


def _may_tell(settlement: Settlement, row: Row) -> bool:
    """Whether an id of the server's could be something else: hardly ever, and this is asked of every row."""
    return (
        settlement.lead_status not in _STATUSES
        or _is_odd(settlement.conversion_id, row.body)
        or (settlement.pid != row.pid and _is_odd(settlement.pid, row.body))
    )


def _is_odd(name: str, body: bytes) -> bool:
    return name != "" and (not _NAME(name) or name.encode() in body)


def _secrets(row: Row) -> Iterator[str]:
    """The token, or the organisation's id where that opens the route (it is the end of the path then)."""
    if row.target.token:
        yield row.target.token
    if not row.target.campaign_id:
        yield unquote(row.target.path.rpartition("/")[2])


def _values(body: bytes, apart: Iterable[str] = ()) -> Iterator[str]:
    members = orjson.loads(body)
    for name, value in members.items() if isinstance(members, dict) else ():
        if name not in apart and not isinstance(value, bool):
            yield f"{value:.15g}" if isinstance(value, float) else str(value)
