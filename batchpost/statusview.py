"""What ``status`` prints: one line that answers, the files by day, what is not in and why, and what to type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from batchpost.goneends import GONE
from batchpost.jobruns import DUE_AGAIN
from batchpost.jobstatus import JobStatus
from batchpost.layout import aligned, amount_text, counted, short_command
from batchpost.output import Line
from batchpost.reasons import meaning
from batchpost.status import FileStatus, Part, Sum, by_day, left_by_reason
from batchpost.summary import plain

__all__ = ["first_line", "remarks", "status_lines", "what_it_means"]

_NEWEST = 12  # files that are shown in any case
_TROUBLED = 40  # files that are shown because something of them is not in
_STEPS = 6
_REASONS = 4  # that the first line names
_MEANINGS = {
    DUE_AGAIN: "a person said that it goes out again, and it has not yet",
    GONE: "what the run left of it is gone, and with it how it ended",
}


def what_it_means(reason: str) -> str:
    """What a reason means, those included that only a status has."""
    return _MEANINGS.get(reason) or meaning(reason)


# -- the first line --------------------------------------------------------------------------------------------------


def first_line(status: JobStatus, here: Path) -> str:
    """``YES: …`` or ``NO: …``; ``here`` shortens the paths of the next command."""
    total, left = status.answer.sum, left_by_reason(status.answer.parts)
    if status.exit_code == 0:
        return f"YES: {_all_in(status, total)}"
    parts = [_nothing(status) or _some_in(status, total)]
    if left:
        parts.append(f"Not in: {_worth(status, total.out, total.money_out)} ({_named(left)})")
    if status.unseen and status.answer.files:
        parts.append(f"No run has read {' or '.join(status.unseen)}")
    if status.answer.unread and status.answer.files:
        parts.append(f"Nothing is known of what {_unread(status)} read")
    if status.under_way:
        parts.append(_going_on(status))
    elif status.steps:
        return f"NO: {'. '.join(parts)}. Next: {short_command(status.steps[0].command, here)}"
    return f"NO: {'. '.join(parts)}."


def _all_in(status: JobStatus, total: Sum) -> str:
    notes = _notes(status)
    if not total.meant:
        return f"no row was meant to go out, of {counted(total.read, 'row')} read{notes}."
    if tolerated := left_by_reason(status.answer.parts, tolerated=True):
        rows = total.rows["tolerated"]
        told = f"{counted(rows, 'row')} {_are(rows)} not in and tolerated: {_named(tolerated)}"
        return f"{_some_in(status, total)}. {told}."
    of_rows = f", {counted(total.meant, 'row')}" if status.money else ""
    return f"{_whole(status, total)}{of_rows}{notes}."


def _whole(status: JobStatus, total: Sum) -> str:
    if status.money:
        return f"all of {_amount(total.money_meant)} is in"
    return f"{'the' if total.meant == 1 else 'all'} {counted(total.meant, 'row')} {_are(total.meant)} in"


def _some_in(status: JobStatus, total: Sum) -> str:
    if not total.out and not total.rows["tolerated"]:
        return f"{_whole(status, total)}{_notes(status)}"
    if status.money:
        return f"{_amount(total.money['in'])} of {_amount(total.money_meant)} is in{_notes(status)}"
    return f"{total.rows['in']:,} of {counted(total.meant, 'row')} {_are(total.meant)} in{_notes(status)}"


def _nothing(status: JobStatus) -> str:
    """What to say where there are no rows to speak of; empty where there are."""
    answer, wanted = status.answer, status.wanted
    if not status.runs:
        return f"there is no run of {status.named.name} yet{_notes(status)}"
    if answer.files:
        return ""
    if answer.unread:
        return f"nothing is known of what {_unread(status)} read{_notes(status)}"
    if status.unseen:
        return f"no run has read {' or '.join(status.unseen)}{_notes(status)}"
    return f"no run has read a file for the first time on {wanted.day}{_notes(status, day=False)}"


def _unread(status: JobStatus) -> str:
    """The runs that left no word of their rows."""
    unread = status.answer.unread
    more = f" and {len(unread) - 1:,} more" if len(unread) > 1 else ""
    return f"{status.run_id(unread[-1])}{more}"


def _going_on(status: JobStatus) -> str:
    under_way = status.under_way
    process = f" (process {under_way.pid})" if under_way and under_way.pid else ""
    return f"A run is under way{process}"


def _notes(status: JobStatus, *, day: bool = True) -> str:
    notes = [str(status.wanted.day)] if day and status.wanted.day else []
    notes += ["a test"] if status.named.at.test else []
    return f" ({', '.join(notes)})" if notes else ""


def _named(left: Sequence[tuple[str, str, Sequence[Part]]]) -> str:
    """``3 lead_not_found, 2 not_a_number``; rows without a known end go by that."""
    counts: dict[str, int] = {}
    for _, reason, parts in left:
        name = "unknown" if parts[0].kind == "unknown" else reason
        counts[name] = counts.get(name, 0) + sum(part.rows for part in parts)
    ranked = sorted(counts.items(), key=lambda entry: -entry[1])
    more = len(ranked) - _REASONS
    told = [f"{rows:,} {name}" for name, rows in ranked[:_REASONS]]
    return ", ".join([*told, *([f"and {counted(more, 'reason')} more"] if more > 0 else [])])


def _worth(status: JobStatus, rows: int, money: Decimal) -> str:
    return f"{counted(rows, 'row')}, {_amount(money)}" if status.money else counted(rows, "row")


def _are(rows: int) -> str:
    return "is" if rows == 1 else "are"


def _amount(amount: Decimal) -> str:
    return amount_text(plain(amount))


# -- below it --------------------------------------------------------------------------------------------------------


def status_lines(status: JobStatus, here: Path) -> list[Line]:
    """The first line, the files by day, what is not in by reason, and the next commands."""
    lines = [Line(first_line(status, here), "trouble" if status.exit_code else "good")]
    if status.answer.files:
        lines += [Line(""), *map(Line, _files(status))]
    for title, tolerated in (("Not in:", False), ("Not in, and tolerated:", True)):
        if left := left_by_reason(status.answer.parts, tolerated=tolerated):
            lines += [Line(""), Line(title), *map(Line, _left(status, left))]
    if told := list(remarks(status)):
        lines += [Line(""), *map(Line, told)]
    steps = status.steps if status.answer.files else ()
    if steps:
        lines += [Line(""), Line("Next:")]
        lines += [Line(f"  {short_command(step.command, here)}", "strong") for step in steps[:_STEPS]]
    if (more := len(steps) - _STEPS) > 0:
        lines.append(Line(f"  ... and {more:,} more (--json has all)"))
    return lines


def remarks(status: JobStatus) -> Iterator[str]:
    """What else a person should know, a sentence each."""
    if status.under_way:
        since = f", since {status.under_way.since}" if status.under_way.since else ""
        yield f"{_going_on(status)}{since}: these are the numbers of this moment."
    for number, fault in status.faults.items():
        yield f"{status.run_id(number)}: {fault}. Its rows count as far as its books and the ledger know them."
    gone = [run.record.run_id for run in status.runs if run.files and not run.known and run.number not in status.faults]
    if gone:
        others = f" and of {len(gone) - 1:,} more" if len(gone) > 1 else ""
        yield f"The outcomes of {gone[-1]}{others} are gone: its rows count as its books and the ledger have them."
    priceless = sum(part.rows - part.priced for part in status.answer.parts if part.out)
    if status.money and priceless:
        have = "has" if priceless == 1 else "have"
        yield f"{counted(priceless, 'row')} of these {have} no amount that is known: the money is without them."
    if status.named.fault:
        yield f"{status.named.fault}, so nothing is tolerated, and no row counts by another file's."


def _files(status: JobStatus) -> list[str]:
    """The table of files: by day, with sums where a day has several."""
    files = status.answer.files
    troubled = [file for file in files if file.sum.out or file.sum.rows["tolerated"]]
    shown = {file.sha256 for file in (*files[-_NEWEST:], *troubled[-_TROUBLED:])}
    total = status.answer.sum
    extra = [name for name in ("skipped", "tolerated") if total.rows[name]]
    rows = [("FIRST READ", "FILE", *_head(status, extra))]
    hidden: list[FileStatus] = []
    days = by_day(files)
    for day, group in days:
        told = [file for file in group if file.sha256 in shown]
        hidden += [file for file in group if file.sha256 not in shown]
        for index, file in enumerate(told):
            rows.append(("" if index else str(day), file.name, *_cells(status, file.sum, extra)))
        if told and len(group) > 1:
            rows.append(("", f"{len(group):,} files", *_cells(status, Sum.of(_parts(group)), extra)))
    if len(days) > 1:
        rows.append(("all", f"{len(files):,} files", *_cells(status, total, extra)))
    lines = aligned(rows, right=range(2, len(rows[0])))
    return [*lines, *_hidden(hidden)]


def _head(status: JobStatus, extra: Sequence[str]) -> list[str]:
    money = [f"{status.money.upper()} IN", "OF"] if status.money else []
    return ["ROWS", *map(str.upper, extra), "IN", "NOT IN", *money]


def _cells(status: JobStatus, total: Sum, extra: Sequence[str]) -> list[str]:
    counts = [total.read, *(total.rows[name] for name in extra), total.rows["in"], total.out]
    money = [_amount(total.money["in"]), _amount(total.money_meant)] if status.money else []
    return [*(f"{count:,}" if count else "-" for count in counts), *money]


def _parts(files: Iterable[FileStatus]) -> Iterator[Part]:
    for file in files:
        yield from file.parts


def _hidden(files: Sequence[FileStatus]) -> Iterator[str]:
    if files:
        out = [file for file in files if file.sum.out]
        rest = f", and {len(out):,} of which something is not" if out else ""
        yield f"Not shown: {counted(len(files) - len(out), 'older file')} of which all is in{rest} (--json has all)."


def _left(status: JobStatus, left: Sequence[tuple[str, str, Sequence[Part]]]) -> list[str]:
    """Rows and money by outcome and reason, with the run that has them last."""
    rows = []
    for outcome, reason, parts in left:
        total, runs = Sum.of(parts), sorted({part.run for part in parts})
        count = sum(total.rows.values())
        priced = any(part.priced for part in parts)
        money = [_amount(sum(total.money.values(), Decimal(0))) if priced else "-"] if status.money else []
        more = f" and {len(runs) - 1:,} more" if len(runs) > 1 else ""
        kind = "" if outcome == reason else outcome.replace("_", " ")
        rows.append([f"{count:,}", *money, kind, reason, what_it_means(reason), f"{status.run_id(runs[-1])}{more}"])
    return aligned(rows, right=(0, 1) if status.money else (0,), indent="  ")
