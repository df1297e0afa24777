"""The command that proposes a job file from a file's headers and values."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from batchpost.errors import UsageError
from batchpost.options import DIR, SOURCE
from batchpost.output import Output
from batchpost.routes import ROUTES, TIMEZONES

if TYPE_CHECKING:
    from batchpost.newjob import Wish

__all__ = ["init"]

_READING = ("encoding", "delimiter", "quote", "header_row", "sheet")
_SIGNS = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "none": ""}


@click.command()
@click.argument("file", metavar="FILE", type=SOURCE)
@click.option(
    "--route", type=click.Choice(list(ROUTES)), required=True, help="The platform's endpoint that the rows go to."
)
@click.option(
    "-o",
    "place",
    type=SOURCE,
    metavar="JOB",
    help="The job file to write, - for standard output.  [default: jobs/NAME.toml]",
)
@click.option("--name", metavar="NAME", help="The job's name.  [default: the file's name without its date]")
@click.option(
    *("--field", "fields"),
    multiple=True,
    metavar="FIELD=COLUMN",
    help="This column for an API field, campaign_id or a custom field; nothing after = for none (repeatable).",
)
@click.option(
    *("--event", "events"),
    multiple=True,
    metavar="[STATUS=]EVENT",
    help="The event that rows of a status fire, or that all rows do (repeatable).",
)
@click.option(
    *("--campaign", "campaigns"),
    multiple=True,
    metavar="[NAME=]ID",
    help="The campaign that a name in the file means, or that all rows are of (repeatable).",
)
@click.option("--month-first", "order", flag_value="month", help="Dates like 03/04/2025 are in March.")
@click.option("--day-first", "order", flag_value="day", help="Dates like 03/04/2025 are in April.")
@click.option("--timezone", metavar="ZONE", help="The zone of conversion_date's times, such as America/New_York.")
@click.option("--send-as", type=click.Choice(list(TIMEZONES)), help="The platform's code that those go out in.")
@click.option("--decimal", type=click.Choice([".", ","]), help="The decimal sign of numbers and money.")
@click.option("--encoding", metavar="NAME", help="How the text is encoded, such as cp1252.")
@click.option("--delimiter", metavar="SIGN", help="The sign between cells; tab for a tab.")
@click.option("--quote", metavar="SIGN", help="The sign around cells; none for none.")
@click.option("--header-row", type=click.IntRange(min=1), metavar="N", help="The line of the header, from 1.")
@click.option("--sheet", metavar="NAME", help="The sheet of a workbook.")
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=100_000,
    show_default=True,
    metavar="N",
    help="How many rows to look at.",
)
@click.option("--force", is_flag=True, help="Write over a job file that is there.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing: take what the file proves, and mark the rest.")
@click.option("--workspace", type=DIR, metavar="DIR", help="The folder that the job's paths are read against.")
@click.pass_obj
def init(output: Output, /, file: str, **options: Any) -> int:
    """Propose a job file from a file's headers and values.

    Every guess stands in the draft with its evidence, columns without a field are listed as custom fields, and what
    the file does not prove (the order of day and month, a time zone, which status fires) is asked on a terminal and
    elsewhere left out and marked. Nothing is sent.
    """
    from batchpost.newjob import make_job
    from batchpost.questions import Terminal

    can_ask = not options["yes"] and output.err.isatty() and sys.stdin is not None and sys.stdin.isatty()
    return make_job(_wish(file, options), output, Terminal() if can_ask else None)


def _wish(file: str, options: dict[str, Any]) -> Wish:
    from batchpost.newjob import Wish
    from batchpost.proposal import Given

    given = Given(
        fields=_pairs("--field", options["fields"]),
        events=_named(options["events"]),
        campaigns=_named(options["campaigns"]),
        **{name: options[name] for name in ("order", "timezone", "send_as", "decimal")},
    )
    reading = {name: options[name] for name in _READING if options[name] is not None}
    for name in ("delimiter", "quote"):
        if name in reading:
            reading[name] = _SIGNS.get(reading[name], reading[name])
    own = {name: options[name] for name in ("route", "place", "name", "rows", "force", "workspace")}
    return Wish(file=file, given=given, reading=reading, **own)


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """``FIELD=COLUMN`` texts, divided at the first sign."""
    pairs = [text.partition("=") for text in texts]
    if bad := next((text for text, pair in zip(texts, pairs, strict=True) if not pair[0].strip() or not pair[1]), None):
        raise UsageError(f"{option} {bad}: write FIELD=COLUMN")
    return {field.strip(): column.strip() for field, _, column in pairs}


def _named(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=ID`` texts, divided at the last sign, since an id has none; without a name under an empty text."""
    pairs = [text.rpartition("=") for text in texts]
    if any(not identity.strip() for _, _, identity in pairs):
        raise UsageError("--event and --campaign need an id behind the =")
    return {name.strip(): identity.strip() for name, _, identity in pairs}
