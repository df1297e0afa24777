"""The values that flow from a row to its outcome. Nothing here waits or touches a disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Fault", "HashKind", "Outcome", "Repeat", "Reply", "Row", "Settlement", "Stop", "Target"]


class Outcome(StrEnum):
    """What became of a row; every row ends in exactly one."""

    DELIVERED = "delivered"
    ALREADY_DELIVERED = "already_delivered"
    SKIPPED = "skipped"
    INVALID = "invalid"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_ATTEMPTED = "not_attempted"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes and with what credential; one for each campaign.

    ``path`` is percent-encoded and begins with ``/``. ``token`` is the bearer token of an update, empty for events;
    ``token_from`` is how the job refers to it, for people.
    """

    path: str
    campaign_id: str = ""
    token: str = ""
    token_from: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return f"Target(campaign_id={self.campaign_id!r})"


class Reply(NamedTuple):
    """A complete HTTP reply. ``headers`` have lower-case names; ``body`` is decoded and at most 1 MB.

    ``oversized`` says that the body was longer and was thrown away; ``garbled`` that its content encoding was wrong.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    oversized: bool = False
    garbled: bool = False


class Fault(NamedTuple):
    """An attempt without a complete reply. ``may_have_arrived``: bytes of the request were handed to the socket."""

    kind: str
    may_have_arrived: bool
    detail: str = ""


class HashKind(StrEnum):
    """What a ledger's keyed hashes are made with (:mod:`batchpost.identity`)."""

    HMAC_SHA256 = "hmac-sha256"
    BLAKE2B = "blake2b"
    """In ledgers that version 2 or an older one made."""


class Repeat(StrEnum):
    """What a second request of the same operation would do: the three columns of the verdict table."""

    HARMLESS = "harmless"  # an update leaves the same record
    REFUSED = "refused"  # the platform refuses a second event (`server_dedupe`)
    FIRES_AGAIN = "fires_again"  # an event without dedupe, an update that redistributes the lead


class Row(NamedTuple):
    """One request to make, and what the journal and the ledger need to know of it.

    ``number`` counts the rows of the whole input from 0. ``key`` and ``body_hash`` are 16-byte keyed hashes of the
    operation and of the body as sent; ``stake`` one of the money and the conversion date (empty for updates). Rows
    with the same ``lane_key`` go out in order, each after the one before is settled. ``in_doubt``: an earlier attempt
    of ours with this very body may have arrived. ``money_sent``: the event must count as a conversion, as the body
    carries an amount or the job says so.
    """

    number: int
    lane_key: object
    target: Target
    body: bytes
    repeat: Repeat
    key: bytes
    body_hash: bytes
    stake: bytes
    amount: str
    pid: str
    in_doubt: bool = False
    money_sent: bool = False


class Settlement(NamedTuple):
    """A row's end: its outcome, the reason, and the platform's evidence for it."""

    outcome: Outcome
    reason: str
    detail: str = ""
    http_status: int | None = None
    lead_status: str = ""
    conversion_id: str = ""
    pid: str = ""
    redirect_url: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run ended before its rows did. ``cause`` is a short code, ``message`` one sentence for a person."""

    cause: str
    message: str
    exit_code: int

    def or_more_urgent(self, other: Stop | None) -> Stop:
        """Which of two reasons holds, by the order of the exit codes in the contract; ``other`` if they are equal."""
        return self if other is None or _urgency(self) < _urgency(other) else other


_URGENCY = (130, 143, 70, 4, 69, 6)


def _urgency(stop: Stop) -> int:
    return _URGENCY.index(stop.exit_code) if stop.exit_code in _URGENCY else len(_URGENCY)
