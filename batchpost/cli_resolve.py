"""The command that settles rows without a known end."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchpost.errors import UsageError
from batchpost.options import DIR, DOUBTS, DURATION, FILE, RUN
from batchpost.output import Output
from batchpost.questions import confirm

if TYPE_CHECKING:
    import polars as pl

    from batchpost.batch import Batch
    from batchpost.lookback import Found
    from batchpost.resolutions import Action
    from batchpost.resolve import Choice, Wanted
    from batchpost.standing import Standing

__all__ = ["resolve"]

_ACTIONS: dict[str, Action] = {
    "resend": "resend",
    "delivered": "delivered",
    "not_delivered": "not_delivered",
    "voided": "voided",
    "ignore": "ignored",
}


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option("--delivered", is_flag=True, help="The platform has them: never sent again.")
@click.option("--not-delivered", is_flag=True, help="The platform does not have them: due again.")
@click.option("--resend", is_flag=True, help="Nobody can tell; send them again all the same.")
@click.option("--ignore", is_flag=True, help="Nobody can tell; never send them again.")
@click.option("--voided", is_flag=True, help="Events that the platform removed: other money may go out.")
@click.option(
    "--rows", multiple=True, metavar="5,17-20", help="Data rows as shown; FILE:5 where there are several files."
)
@click.option("--reason", "reasons", type=DOUBTS, default=(), help="Only rows of these reasons: timeout,dropped.")
@click.option(
    *("--from", "listed"), type=FILE, metavar="FILE", help="Rows named in a CSV or Parquet, as export writes it."
)
@click.option("--note", default="", metavar="TEXT", help="Why, and who says so; kept with the decision.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before all rows are decided at once.")
@click.option("--wait", type=DURATION, default=0.0, metavar="SPAN", help="Wait so long for a lock: 10m.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.option(
    "--workspace", type=DIR, metavar="DIR", help="The workspace; without it the nearest folder with a batchpost.toml."
)
@click.pass_obj
def resolve(output: Output, /, run: str, **given: Any) -> int:
    """Settle rows of a run whose end is not known, as only the platform can tell.

    Without an action: show them with what came back, and what can be said of them. With one: record what became of
    them. That acts on the operation, once, so rows of other runs that wait for the same are settled with them. What is
    due again goes out with `batchpost retry RUN` and with the next run of its file; nothing is sent here.

    --from takes what `export` writes, or any list with a transaction_id column and, where a lead has several rows,
    event_id, campaign_id, or source and row. If one of its lines fits no row, nothing is done.

    Exit code 0: done, or nothing waits; 2: it cannot be, and nothing was changed; 3: shown, and rows wait; 75: a run is
    under way.
    """
    from batchpost.lookback import all_runs, find_home, find_run
    from batchpost.resolveview import standing_json, standing_text

    home = find_home(given["workspace"], os.environ, Path.cwd())
    found = find_run(all_runs(home, os.environ), run, home)
    given["note"] = " ".join(given["note"].split())  # one line, as it is told again
    action = _action(given)
    wanted = _wanted(given)
    if action is not None:
        return _decide(output, found, wanted, action, given)
    standing, numbers = _look(found, wanted, given)
    if given["as_json"]:
        output.say(json.dumps(standing_json(standing, numbers)))
    else:
        output.say(standing_text(standing, numbers))
    return 3 if numbers else 0


def _action(given: dict[str, Any]) -> Action | None:
    """The one action, or none; raises UsageError."""
    named = [name for name in _ACTIONS if given[name]]
    if len(named) > 1:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in named)
        raise UsageError(f"{options} cannot both be true of a row: give one")
    if not named and (given["note"] or given["yes"]):
        raise UsageError(f"--{'note' if given['note'] else 'yes'} goes with what became of the rows, as in --delivered")
    return _ACTIONS[named[0]] if named else None


def _wanted(given: dict[str, Any]) -> Wanted:
    from batchpost.resolve import Wanted

    if given["rows"] and given["listed"]:
        raise UsageError("--rows and --from are two ways to say which rows: give one")
    if any(not text.strip(" ,") for text in given["rows"]):
        raise UsageError("--rows: name at least one row, as in --rows 5")
    listed = _listed(given["listed"]) if given["listed"] else None
    return Wanted(given["rows"], given["reasons"], listed, given["listed"].name if given["listed"] else "")


def _listed(path: Path) -> pl.DataFrame:
    """The lines of a list: ``entry`` and the columns that name rows. Raises UsageError."""
    import polars as pl

    from batchpost.guards import unguard_formula, unguarded
    from batchpost.resolve import IDS

    columns, batches = _table(path)
    names = {name.strip().lower().replace(" ", "_"): at for at, name in enumerate(unguarded(columns))}
    if "transaction_id" not in names:
        raise UsageError(f"--from {path}: it has no column transaction_id; it has {', '.join(names)}")
    whole = {"source", "row"} <= {*names}  # a column of one of these names alone may be anything
    chosen = [name for name in IDS if name in names and (whole or name not in ("source", "row"))]
    cells = [
        unguard_formula(pl.col(columns[names[name]])).str.strip_chars().replace("", None).alias(name) for name in chosen
    ]
    frames = []
    for batch in batches:
        count = pl.int_range(batch.first_row, batch.first_row + batch.frame.height).cast(pl.UInt64)
        frames.append(batch.frame.select(pl.coalesce(batch.lines, count).alias("entry"), *cells))
    lines = pl.concat(frames).filter(~pl.all_horizontal(pl.col(chosen).is_null()))
    if nameless := lines.filter(pl.col("transaction_id").is_null())["entry"].to_list():
        raise UsageError(f"--from {path}: line {nameless[0]} has no transaction_id")
    return lines


def _table(path: Path) -> tuple[tuple[str, ...], list[Batch]]:
    """The columns of a list, and all of it; raises UsageError."""
    from batchpost.errors import InputRefused
    from batchpost.job import Source
    from batchpost.source import find_files, open_input

    if not path.is_file():
        raise UsageError(f"--from {path}: there is no such file")
    source = Source(path=str(path))
    try:
        [reader] = open_input(find_files(source, Path.cwd()), source)
        return reader.columns, [*reader.batches()]
    except InputRefused as refusal:
        raise UsageError(f"--from {refusal}. Nothing was changed") from refusal


def _look(found: Found, wanted: Wanted, given: dict[str, Any]) -> tuple[Standing, list[int]]:
    """What stands, and the rows that wait, as far as they were picked."""
    from batchpost.resolve import looking, waiting
    from batchpost.standing import standing_of

    with looking(found) as ledger:
        standing = standing_of(ledger, found, _again(given))
        return standing, waiting(standing, wanted)


def _decide(output: Output, found: Found, wanted: Wanted, action: Action, given: dict[str, Any]) -> int:
    """Look first and ask; nobody is kept from running while a person thinks it over."""
    from batchpost.resolutions import Resolutions
    from batchpost.resolve import choose, looking, settling
    from batchpost.routes import ROUTES
    from batchpost.standing import standing_of

    if given["wait"]:
        with settling(found, wait=given["wait"]):  # the run itself may be under way
            pass
    with looking(found) as ledger:
        standing = standing_of(ledger, found, _again(given))
        choice = choose(ledger, standing, wanted, action)
    if wanted.everything and len(choice.numbers) > 1 and not given["yes"]:
        _agree(output, choice, action)
    recorded: list[tuple[str, int]] = []
    if choice.numbers:
        with settling(found, wait=given["wait"]) as ledger:
            if choose(ledger, standing_of(ledger, found), wanted, action).doubts != choice.doubts:
                raise UsageError("Nothing was changed: the rows are others than a moment ago. Look at them again")
            is_event = ROUTES[found.record.route].is_event
            resolutions = Resolutions(ledger)
            recorded = resolutions.decide(choice.doubts, action, given["note"], is_event=is_event, who=_login())
            standing = standing_of(ledger, found, _again(given))
    _tell(output, standing, choice, action, recorded, given)
    return 0


def _agree(output: Output, choice: Choice, action: Action) -> None:
    """Ask before all rows are decided at once; raises UsageError for a no, and where nobody can answer."""
    from batchpost.resolve import WORDS
    from batchpost.resolveview import count_text

    told = f"All that wait, {count_text(choice.rows(choice.numbers))}: {WORDS[action]}"
    if not (output.err.isatty() and sys.stdin is not None and sys.stdin.isatty()):
        raise UsageError(
            f"{told}? Say so with --yes, or pick some with --rows, --reason or --from. Nothing was changed"
        )
    if not confirm(f"{told}. Is that right?"):
        raise UsageError("Nothing was changed, as you said no")


def _again(given: dict[str, Any]) -> str:
    """What the next commands must say besides, or they would look elsewhere."""
    return f" --workspace {shlex.quote(str(given['workspace']))}" if given["workspace"] else ""


def _login() -> str:
    with suppress(OSError, KeyError, ImportError):  # a container's user may have no name
        return getpass.getuser()
    return ""


def _tell(
    output: Output,
    standing: Standing,
    choice: Choice,
    action: Action,
    recorded: list[tuple[str, int]],
    given: dict[str, Any],
) -> None:
    from batchpost.resolveview import decided_json, decided_text

    if given["as_json"]:
        output.say(json.dumps(decided_json(standing, choice, action, given["note"])))
    else:
        output.say(decided_text(standing, choice, action, given["note"], recorded))
