"""What each reason means, in a few words for a person who sees it for the first time."""

from __future__ import annotations

__all__ = ["BY_OUTCOME", "REASONS", "TOLERABLE", "UNTROUBLED", "meaning"]

# Reasons of rows that need nobody's attention.
UNTROUBLED = frozenset(
    {
        *("accepted", "unsold", "conversion", "tracking"),
        *("same_row", "ledger", "unchanged", "differs", "confirmed_duplicate", "foreign_duplicate"),
        *("filtered", "otherwise", "blank_row", "totals_row", "duplicate_in_input", "superseded", "ignored", "voided"),
    }
)

BY_OUTCOME: dict[str, dict[str, str]] = {
    "delivered": {
        "accepted": "taken by the platform",
        "unsold": "updated, and not offered to buyers again",
        "conversion": "fired, and counted as a conversion",
        "tracking": "fired as a tracking event, without money",
        "not_a_conversion": "fired with money, but the platform did not count it as a conversion",
    },
    "already_delivered": {
        "same_row": "this row of this file was delivered before",
        "ledger": "the same event was delivered before",
        "unchanged": "the lead's last update was this very one",
        "differs": "this event was delivered before, with other details but the same money and date",
        "confirmed_duplicate": "the platform has it already, from an earlier attempt of ours",
        "foreign_duplicate": "the platform has it already; [rows] foreign_duplicates accepts that",
    },
    "skipped": {
        "filtered": "left out by [rows] where",
        "otherwise": "left out by a map of the job",
        "blank_row": "an empty row",
        "totals_row": "a total under the data",
        "duplicate_in_input": "the same operation as an earlier row of this input",
        "superseded": "a newer update of this lead went out since",
        "ignored": "it may have arrived, and a person said to leave it at that",
        "voided": "delivered once, and removed by the platform since",
    },
    "invalid": {
        "missing_required": "a required cell is empty",
        "missing_campaign": "the row names no campaign",
        "unknown_campaign": "the job's map does not know the row's campaign",
        "empty": "a cell is empty that the job wants filled",
        "not_in_map": "a value that the job's map does not have",
        "pattern_mismatch": "a value that does not match the job's pattern",
        "not_allowed": "a value that the platform does not know",
        "excel_error": "a spreadsheet's error in place of a value",
        "replacement_character": "text that was read in a wrong encoding once",
        "forbidden_character": "a control character or line break in a value",
        "id_as_number": "a number in place of an id (12345.0)",
        "scientific_notation": "a spreadsheet has cut off an id's digits (1.02E+17)",
        "not_a_number": "not a number",
        "ambiguous_number": "a comma or point that may group thousands or be a decimal sign",
        "not_an_integer": "not a whole number",
        "out_of_range": "outside the limits",
        "not_a_boolean": "neither a word for true nor one for false",
        "not_a_date": "not a date in the job's format",
        "ambiguous_date": "fits several of the job's formats, as different dates",
        "needs_send_as": "a time with an offset, and the job does not say in which zone to send it",
        "nonexistent_time": "a time that the change to daylight saving skips",
        "ambiguous_time": "a time that comes twice as daylight saving ends",
        "not_a_phone": "not a phone number of 10 digits",
        "not_a_state": "not a state or its abbreviation",
        "not_a_zip": "not a ZIP code",
        "not_an_email": "not an email address",
        "ragged_row": "another number of cells than the header",
        "where_unknown": "[rows] where cannot be decided for this row",
        "contradiction": "several rows of this input are the same event with different contents",
        "conflict": "delivered before with other money or another date: see corrections.csv",
    },
    "rejected": {
        "lead_not_found": "the platform does not know the lead (yet)",
        "invalid_event": "the event is not configured for the campaign",
        "missing_field": "the platform wants a field that was not sent",
        "invalid_field": "the platform does not take a value",
        "not_found": "the platform knows no such address (404)",
        "too_large": "the request is too large for the platform (413)",
        "refused": "the platform refused it",
        "server_duplicate": "the platform has this event already, and not by an attempt of ours",
        "locked_elsewhere": "somebody else is sending the same event right now",
        "source_inactive": "the row's source is inactive on the platform",
    },
    "failed or unknown": {
        "rate_limited": "the platform asked to slow down for too long",
        "locked": "the lead stayed locked for too long",
        "forbidden": "the platform answered 403 and did not say why",
        "server_error": "the platform answered with an error of its own",
        "unavailable": "the platform was not available",
        "timeout": "no answer in time",
        "unreadable_reply": "an answer that proves nothing",
        "dropped": "the connection ended before an answer",
        "incomplete": "the answer broke off",
        "garbage": "what came back is no HTTP, or has no end",
        "misplaced": "the answer was one to another request",
        "closed": "the connection was closed before the request",
        "connect_timeout": "no connection in time",
        "connect_refused": "nobody listens at the platform's address",
        "connect_failed": "no connection",
        "dns": "the platform's name cannot be resolved",
        "tls": "no safe connection: the certificate, or TLS itself",
        "proxy": "the proxy let nothing through",
        "redirect": "the platform answered with a redirect",
        "in_doubt": "an earlier attempt may have arrived, and sending it again is not safe",
    },
    "not_attempted": {
        "limit": "left by --limit or --canary",
        "until": "left when the time was up",
        "interrupted": "left when the run was told to stop",
        "unauthorized": "left when the platform refused the token",
        "method_not_allowed": "left when the platform took no POST on this path",
        "max_failures": "left when too many rows had failed",
        "circuit_open": "left when the platform served nothing for too long",
        "retry_after": "left when the platform asked to wait for too long",
        "input_changed": "left when the input changed while it was sent",
        "disk": "left when the journal could not be written",
        "canary": "left when the canary found the job at fault",
        "under_way": "still to be sent",
        "crashed": "left when the run died",
        "journal_damaged": "left, or without an end that can be read, as the journal was damaged",
    },
}
"""Every reason with its meaning, by the outcome that it is one of."""

REASONS = {reason: words for group in BY_OUTCOME.values() for reason, words in group.items()}

TOLERABLE = frozenset(
    {"not_a_conversion", *BY_OUTCOME["invalid"], *BY_OUTCOME["rejected"], *BY_OUTCOME["failed or unknown"]}
)
"""Reasons that ``[expect] reasons`` may name."""


def meaning(reason: str) -> str:
    """What a reason means; empty for one that is not known here."""
    return REASONS.get(reason, "")
