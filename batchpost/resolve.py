"""Which rows of a run a person means, and whether what is said of them can be said: each is settled once.

Nothing is changed here but by :func:`settling`, which keeps runs away meanwhile. What follows from a decision is in
:mod:`batchpost.resolutions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

import polars as pl

from batchpost.errors import Locked, UsageError
from batchpost.layout import instant, moment
from batchpost.ledger import Ledger
from batchpost.locks import Locks, what_of
from batchpost.lookback import Found
from batchpost.model import Outcome
from batchpost.places import open_ledger
from batchpost.prepare import fold_dead_runs
from batchpost.resolutions import Action, Doubt, Resolution, Resolutions
from batchpost.routes import ROUTES
from batchpost.standing import File, Standing, told_rows

__all__ = ["IDS", "WORDS", "Choice", "Wanted", "choose", "decision_text", "looking", "settling", "waiting"]

IDS = ("source", "row", "transaction_id", "event_id", "campaign_id")
"""The columns by which a line of a list names a row, as in outcomes."""
WORDS: dict[Action, str] = {
    "delivered": "delivered",
    "not_delivered": "not delivered",
    "resend": "to be sent again",
    "ignored": "ignored",
    "voided": "voided",
}
"""What a person says of a row, as it is told again."""
_MOST_ROWS = 10_000_000  # of a file of which nothing is known
_TOLD = 10  # complaints that are told one by one
_PART = re.compile(r"(?:(?P<file>.+):)?\s*(?P<first>\d{1,9})\s*(?:-\s*(?P<last>\d{1,9}))?")
_DELIVERED = (Outcome.DELIVERED.value, Outcome.ALREADY_DELIVERED.value)


@dataclass(frozen=True)
class Wanted:
    """Which rows: ``rows`` as on the command line (``5,17-20``, ``file.csv:5``), those of some ``reasons``, those that
    the lines of a list name. ``listed`` has the columns ``entry`` (the line of the list, or its row in Parquet) and
    some of :data:`IDS`, as text, null for any; ``name`` is the list's. Without all of them: every row that waits."""

    rows: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    listed: pl.DataFrame | None = None
    name: str = ""

    @property
    def everything(self) -> bool:
        """Whether nothing was picked."""
        return not (self.rows or self.reasons or self.listed is not None)


class Choice(NamedTuple):
    """``numbers`` are the rows that a decision is about (from 0 in the whole input), ``doubts`` what it settles;
    ``same`` rows of which that holds already. ``frame`` has the evidence of them all."""

    numbers: list[int]
    doubts: list[Doubt]
    same: list[int]
    frame: pl.DataFrame

    def rows(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """These rows with all that is known of them."""
        return self.frame.filter(pl.col("number").is_in(numbers)).to_dicts()


@contextmanager
def looking(run: Found) -> Iterator[Ledger]:
    """The ledger of a run, to look at, with all in it that runs left which died. Raises Locked for a run under way,
    LedgerError."""
    if run.held:
        raise Locked(
            f"{run.record.run_id} is under way: which of its rows have no known end is clear when it ends. "
            f"`batchpost stop {run.record.job}` ends it gently"
        )
    with closing(open_ledger(run.at, must_exist=True, new_ledger=False)) as ledger:
        if run.record.unfinished:
            fold_dead_runs(ledger, run.at)
        yield ledger


@contextmanager
def settling(run: Found, *, wait: float = 0.0) -> Iterator[Ledger]:
    """The ledger of a run, to be changed, with all locks that the run itself would hold, for which it waits so many
    seconds. Raises Locked where another run holds one, LedgerError."""
    with Locks(run.at.locks, wait=wait) as locks:
        locks.take(f"job {run.record.job}", f"the job {run.record.job}")
        for name in _lock_names(run):
            locks.take(name, what_of(name))
        with closing(open_ledger(run.at, must_exist=True, new_ledger=False)) as ledger:
            fold_dead_runs(ledger, run.at)
            yield ledger


def waiting(standing: Standing, wanted: Wanted) -> list[int]:
    """The rows without a known end, as far as they are picked. Raises UsageError for names that fit none."""
    frame, complaints = _candidates(standing, wanted, "delivered")
    if complaints:
        raise UsageError("; ".join(complaints[:_TOLD]))
    picked = {*frame["number"]}
    return [number for number in standing.open if number in picked]


def choose(ledger: Ledger, standing: Standing, wanted: Wanted, action: Action) -> Choice:
    """The rows that are meant, and what a decision about them settles. Raises UsageError where one of them cannot be
    decided like this, naming each with its reason; then none is."""
    is_event = ROUTES[standing.run.record.route].is_event
    if action == "voided" and not is_event:
        raise UsageError("--voided is for events: an update cannot be taken back")
    if action == "voided" and wanted.everything:
        raise UsageError("--voided: say which events the platform removed, with --rows or --from")
    frame, complaints = _candidates(standing, wanted, action)
    rows = {row["number"]: row for row in frame.to_dicts()}
    sold = dict(Resolutions(ledger).delivered_of(standing.run.record.run_id, rows)) if action == "voided" else {}
    numbers, same, doubts = list[int](), list[int](), dict[tuple[bytes, bytes], Doubt]()
    for number, row in rows.items():
        verdict = _verdict(standing, row, action, sold.get(number))
        if isinstance(verdict, str):
            complaints.append(f"row {standing.place(number)} {verdict}")
        else:
            (numbers if verdict else same).append(number)
            doubts.update({(doubt.key, doubt.body): doubt for doubt in verdict})
    if complaints:
        raise UsageError(_told(complaints))
    return Choice(numbers, list(doubts.values()), same, frame)


def decision_text(decided: Resolution) -> str:
    """``not delivered, 2026-11-27 05:40:12 UTC, ann: "asked Bob"``."""
    at = moment(instant(decided.at))
    words = {str(action): words for action, words in WORDS.items()}
    note = f': "{decided.note}"' if decided.note else ""
    return f"{words.get(decided.action, decided.action)}, {at}{f', {decided.who}' if decided.who else ''}{note}"


def _lock_names(run: Found) -> list[str]:
    """The operations that the run touches, as its summary says. Where that is lost there is the job's lock alone."""
    return [str(name) for name in run.summary.get("locks", ())]


def _told(complaints: Sequence[str]) -> str:
    more = f"; and {len(complaints) - _TOLD:,} more" if len(complaints) > _TOLD else ""
    return f"Nothing was changed: {'; '.join(islice(complaints, _TOLD))}{more}"


# -- which rows ----------------------------------------------------------------------------------------------------


def _candidates(standing: Standing, wanted: Wanted, action: Action) -> tuple[pl.DataFrame, list[str]]:
    """The rows that are named, with their evidence, and what is wrong with the names."""
    complaints: list[str] = []
    if wanted.listed is not None:
        frame = _listed(standing, wanted.listed, wanted.name, complaints)
    elif wanted.rows:
        frame = _numbered(standing, [number for text in wanted.rows for number in _numbers(standing, text)])
    elif action == "voided":
        frame = _matching(standing, pl.DataFrame({"reason": list(wanted.reasons)}))
        frame = frame.filter(pl.col("outcome").is_in(_DELIVERED))
    else:
        frame = standing.frame.filter(pl.col("number").is_in(standing.open))
    if wanted.reasons:
        picked = frame.filter(pl.col("reason").is_in(list(wanted.reasons)))
        if picked.is_empty() and not complaints and not frame.is_empty():
            raise UsageError(f"--reason {','.join(wanted.reasons)}: no such row waits. {_reasons_text(frame)}")
        frame = picked
    return frame.unique("number", maintain_order=True), complaints


def _reasons_text(frame: pl.DataFrame) -> str:
    counts = frame.group_by("reason").len().sort("len", descending=True).iter_rows()
    found = ", ".join(f"{count:,} {reason}" for reason, count in counts if reason)
    return f"There are: {found}" if found else "No row waits for a decision"


def _numbered(standing: Standing, numbers: Sequence[int]) -> pl.DataFrame:
    """Rows by number, also those of which nothing but that is known."""
    told = _matching(standing, pl.DataFrame({"number": sorted({*numbers})}, schema={"number": pl.Int64}))
    known = standing.frame.filter(pl.col("number").is_in(numbers))
    bare = pl.DataFrame({"number": sorted({*numbers})}, schema={"number": pl.Int64})
    frames = [known, told.join(known, on="number", how="anti")]
    rest = bare.join(pl.concat(frames), on="number", how="anti")
    return pl.concat([*frames, rest], how="diagonal").sort("number")


def _matching(standing: Standing, wanted: pl.DataFrame) -> pl.DataFrame:
    """The rows of the outcomes that have such values; none where there are no outcomes."""
    with suppress(UsageError, pl.exceptions.PolarsError):
        return told_rows(standing.run, standing.files, wanted)
    return standing.frame.clear()


def _numbers(standing: Standing, text: str) -> Iterator[int]:
    """The numbers of ``5,17-20`` or ``file.csv:5,7``; raises UsageError."""
    file = standing.files[0] if len(standing.files) == 1 else None
    for part in filter(None, map(str.strip, text.split(","))):
        found = _PART.fullmatch(part)
        if not found:
            raise UsageError(f"--rows {part}: write data rows as they are shown: 5, 17-20, or file.csv:5")
        file = _file(standing, found["file"]) if found["file"] else file
        if file is None:
            names = ", ".join(standing.short(one.source) for one in standing.files)
            example = f"{standing.short(standing.files[0].source)}:{part}"
            raise UsageError(f"--rows {part}: say in which file, as in {example}. The run has {names}")
        first, last = int(found["first"]), int(found["last"] or found["first"])
        most = file.rows or _MOST_ROWS
        if not 1 <= first <= last <= most:
            raise UsageError(f"--rows {part}: {file.source or 'the input'} has the rows 1 to {most:,} at most")
        yield from range(file.first + first - 1, file.first + last)


def _file(standing: Standing, name: str) -> File:
    for file in standing.files:
        if name in (file.source, standing.short(file.source)):
            return file
    names = ", ".join(standing.short(file.source) for file in standing.files)
    raise UsageError(f"--rows {name}: the run has no such file. It has {names}")


def _listed(standing: Standing, listed: pl.DataFrame, name: str, complaints: list[str]) -> pl.DataFrame:
    """The rows that the lines of a list name, one each; what fits none, or several, is a complaint."""
    if standing.gone and standing.frame["transaction_id"].null_count() == standing.frame.height:
        raise UsageError(f"--from {name}: the outcomes of this run are gone, and with them the ids. Use --rows")
    found = told_rows(standing.run, standing.files, listed) if not standing.gone else _among(standing.frame, listed)
    sent = found.filter(~pl.col("outcome").is_in([Outcome.SKIPPED.value]).fill_null(False))
    fits = sent.group_by("entry").agg(pl.col("number").unique().sort())
    several = {entry: numbers for entry, numbers in fits.iter_rows() if len(numbers) > 1}
    for entry, lead in listed.select("entry", "transaction_id").iter_rows():
        if entry in several:
            places = " and ".join(standing.place(number) for number in several[entry][:3])
            complaints.append(f"{name}, line {entry} ({lead}) fits rows {places}: give it more of {', '.join(IDS)}")
    for entry, lead in listed.join(sent, on="entry", how="anti").select("entry", "transaction_id").iter_rows():
        complaints.append(f"{name}, line {entry} ({lead}) fits no row that this run sent")
    return sent.filter(~pl.col("entry").is_in(list(several))).drop("entry")


def _among(frame: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """As :func:`batchpost.standing.told_rows`, where there are no outcomes."""
    others = [name for name in listed.columns if name not in ("entry", "transaction_id")]
    joined = frame.join(listed.rename({name: f"_{name}" for name in others}), on="transaction_id")
    for name in others:
        joined = joined.filter(pl.col(f"_{name}").is_null() | (pl.col(f"_{name}") == pl.col(name).cast(pl.String)))
    return joined.select(*frame.columns, "entry")


# -- what may be said of one ---------------------------------------------------------------------------------------


def _verdict(standing: Standing, row: dict[str, Any], action: Action, sold: Doubt | None) -> list[Doubt] | str:
    """The doubts of a row that the action settles, none where it holds already, or why it cannot be said."""
    number = row["number"]
    doubts = standing.doubts.get(number, [])
    unsettled = [doubt for doubt in doubts if doubt.state == "open"]
    if action == "voided" and not unsettled:
        return _void(standing, row, doubts, sold)
    if unsettled:
        return _settle(standing, row, action, unsettled)
    decided = standing.decided.get(number, [])
    if decided:
        last = decided[-1]
        if last.action == action:
            return []
        if (last.action, action) == ("voided", "resend"):
            return [doubt for doubt in doubts if doubt.state == "voided"]
        return f"was decided already: {decision_text(last)}"
    if action == "delivered" and (doubts or row.get("outcome") in _DELIVERED):
        return []
    if doubts:
        return "was delivered since by a later run"
    return f"has a known end: {_end(row)}"


def _settle(standing: Standing, row: dict[str, Any], action: Action, unsettled: list[Doubt]) -> list[Doubt] | str:
    """An open row. What is said to have arrived must be one request, with the money that the row shows."""
    if action == "voided":
        return "has no known end: say --delivered first if the platform had it"
    if action == "delivered":
        run_id, number = standing.run.record.run_id, row["number"]
        others = [doubt for doubt in unsettled if doubt[2:4] != (run_id, number)]
        differing = [doubt for doubt in others if not _same_money(doubt.amount, row.get("amount"))]
        if differing or len({doubt.body for doubt in unsettled}) > 1:
            other = (differing or others)[0]
            sent, here = other.amount or "no amount", row.get("amount") or "none"
            return (
                f"waits for {standing.row_of(other.run_id, other.row)}, which was sent with other contents "
                f"({sent}; {here} here): say what became of that one there"
            )
    return unsettled


def _void(standing: Standing, row: dict[str, Any], doubts: list[Doubt], sold: Doubt | None) -> list[Doubt] | str:
    if sold is not None:
        return [sold]
    if any(doubt.state == "voided" for doubt in doubts):
        return []
    decided = standing.decided.get(row["number"], [])
    if decided and doubts and decided[-1].action == "voided":
        return []
    if row.get("outcome") in _DELIVERED:
        return "was delivered by another run, or again by one since, as the ledger knows it: void it there"
    return f"was not delivered by this run: {_end(row)}"


def _same_money(one: str, other: str | None) -> bool:
    return not one or not other or Decimal(one) == Decimal(other)


def _end(row: Mapping[str, Any]) -> str:
    outcome, reason = row.get("outcome"), row.get("reason")
    return f"{str(outcome).replace('_', ' ')} ({reason})" if outcome else "its outcome is not there to be read"
