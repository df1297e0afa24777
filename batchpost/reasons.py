"""What each outcome and reason means and what to do about it, in a few words for a person who sees it for the first
time."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BY_OUTCOME",
    "OUTCOMES",
    "REASONS",
    "REMEDIES",
    "TOLERABLE",
    "UNTROUBLED",
    "Fate",
    "meaning",
    "remedy",
]


class Fate(NamedTuple):
    """What an outcome says of a row, and whether the row goes out again."""

    meaning: str
    again: str


OUTCOMES: dict[str, Fate] = {
    "delivered": Fate("the platform took it", "never by itself"),
    "already_delivered": Fate("not needed, since it was delivered before", "never by itself"),
    "skipped": Fate("left out on purpose", "no, unless the job or a decision changes"),
    "invalid": Fate("failed a check of ours and was not sent", "once mended: `to_fix.csv`, given back with `--source`"),
    "rejected": Fate("the platform refused it", "with `batchpost retry`, and with its file in another run"),
    "failed": Fate("gave up: not applied, or an update that is harmless to repeat", "with the next `run` or `retry`"),
    "unknown": Fate(
        "it may have arrived, and sending it again is not safe", "only once `batchpost resolve` settled it"
    ),
    "not_attempted": Fate("the run ended before its turn", "with the next `run`"),
}
"""Every outcome, in the order of :class:`batchpost.model.Outcome`."""

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
        "stop_when": "left when more rows had ended in a way than [delivery] stop_when allows",
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

_MAIL = "send the account manager the reason and the detail"
_LATER = "`batchpost run` or `retry` later"

REMEDIES: dict[str, str] = {
    # delivered
    "not_a_conversion": "ask whether the event is set up as a conversion; `[expect] conversion = false` if none is due",
    # invalid: of all of them, mend the row in to_fix.csv or the job, and run again
    "missing_required": "fill the cell in",
    "missing_campaign": "name the campaign in the row",
    "unknown_campaign": "add the name to the map of `[api] campaign_id`, or correct it in the row",
    "empty": 'fill the cell in, or say `when_empty = "omit"`',
    "not_in_map": 'add the value to the field\'s `map`, or say `otherwise = "skip"`',
    "pattern_mismatch": "correct the value; if it is right, correct the job's `pattern`",
    "not_allowed": "write one of the values that the route allows; a `map` does it for all rows",
    "excel_error": "repair the formula in the workbook and export it again",
    "replacement_character": "export the data again as UTF-8: the lost letter is not in this file",
    "forbidden_character": "take the character out of the cell",
    "id_as_number": "export the column as text, or take the .0 away",
    "scientific_notation": "export the column as text: the lost digits are not in this file",
    "not_a_number": "write the number in digits",
    "ambiguous_number": 'say `decimal = "."` or `","` in `[source]`',
    "not_an_integer": 'correct the value, or say `as = "number"`',
    "out_of_range": "correct the value; if it is right, correct the job's `min` or `max`. A refund is no event",
    "not_a_boolean": "name the words in the field's `true` and `false`",
    "not_a_date": "correct the value, or add its way of writing to the field's `format`",
    "ambiguous_date": "write the date as 2025-03-04, or leave one format in the job",
    "needs_send_as": "say `send_as` beside `timezone`",
    "nonexistent_time": "correct the time, or the job's `timezone`, which may not be the export's",
    "ambiguous_time": 'say `fold = "earliest"` or `"latest"`, or write the time with its offset',
    "not_a_phone": 'correct it, or leave it out with `when_invalid = "omit"`',
    "not_a_state": 'correct it, or leave it out with `when_invalid = "omit"`',
    "not_a_zip": 'correct it; `lost_zeros = "restore"` puts back what a spreadsheet took',
    "not_an_email": 'correct it, or leave it out with `when_invalid = "omit"`',
    "ragged_row": "look for a delimiter or line end inside a cell, and put that cell in quotes",
    "where_unknown": "fill the cell that `where` looks at, or say in `where` what an empty one means",
    "contradiction": "keep the row that is right; if both are, `[rows] key` says what makes them two",
    "conflict": "send nothing: `corrections.csv` goes to the account manager",
    # rejected
    "lead_not_found": "`batchpost retry` later, if the lead may be new; else correct the id",
    "invalid_event": "have the event configured in the campaign, or correct `event_id`; then `retry`",
    "missing_field": "map the field that the detail names; then `retry`",
    "invalid_field": "correct the field that the detail names",
    "not_found": "correct `base_url` or the id in the path; then `retry`",
    "too_large": "leave out or shorten the longest cell",
    "refused": _MAIL,
    "server_duplicate": 'leave it, if another tool fired it: `foreign_duplicates = "accept"` then says so for all',
    "locked_elsewhere": "find out who else fires this event; `retry` once nobody does",
    "source_inactive": "have the source activated, or correct `pid`; then `run`",
    # failed or unknown: failed rows go out again, unknown ones wait for `batchpost resolve`
    "rate_limited": "lower `[delivery] rate`",
    "locked": _LATER,
    "forbidden": _MAIL,
    "server_error": f"{_LATER}; if it stays, {_MAIL}",
    "unavailable": _LATER,
    "timeout": f"{_LATER}; if there are many, lower `concurrency` or raise `timeout`",
    "unreadable_reply": "look at what answers at `base_url`: a proxy, a page for maintenance",
    "dropped": _LATER,
    "incomplete": _LATER,
    "garbage": "look at what answers at `base_url`",
    "misplaced": "look at the proxy on the way: it gave an answer to the wrong request",
    "closed": _LATER,
    "connect_timeout": "look at this machine's network and firewall",
    "connect_refused": "look at `base_url`, and whether anything listens there",
    "connect_failed": "look at this machine's network",
    "dns": "look at the name in `base_url`, and at this machine's DNS",
    "tls": "look at this machine's clock, and at `ca_file`; the detail names what is wrong",
    "proxy": "look at `[api] proxy` and its login",
    "redirect": "correct `base_url`: the platform has another address",
    "in_doubt": "`batchpost resolve RUN` shows what to ask the platform",
    # not_attempted: the next run sends them
    "limit": "`run` sends the rest",
    "until": "`run` sends the rest",
    "interrupted": "`run` sends the rest",
    "unauthorized": "put the enrichment token in place (the form's gets 401); then `run`",
    "method_not_allowed": "correct `base_url`; then `run`",
    "max_failures": "look at the reasons of the failed rows first; then `run`",
    "stop_when": "look at the rows of that reason first; then `run`",
    "circuit_open": "`run` later",
    "retry_after": "`run` later",
    "input_changed": "find out who wrote the file; then `plan` and `run`: it is another input now",
    "disk": "make room on the disk that the message names; then `run`",
    "canary": "mend the job as the message says; then `run`",
    "under_way": "wait: the run is not at its end",
    "crashed": "`run` goes on from there",
    "journal_damaged": "`batchpost resolve RUN` shows those that may have arrived; the others come with their file",
}
"""What to do about each reason that is not :data:`UNTROUBLED`, in Markdown."""


def remedy(reason: str) -> str:
    """What to do about a reason, in Markdown; empty for one that needs nobody, or is not known here."""
    return REMEDIES.get(reason, "")


def meaning(reason: str) -> str:
    """What a reason means; empty for one that is not known here."""
    return REASONS.get(reason, "")
