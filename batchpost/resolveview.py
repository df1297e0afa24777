"""What ``resolve`` prints: rows without a known end with their evidence, what can be said of them, what was said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from batchpost.layout import aligned, amount_text, counted, instant, short_command
from batchpost.lookback import next_of
from batchpost.model import Outcome
from batchpost.reasons import meaning
from batchpost.resolutions import DUE, Action, Resolution
from batchpost.resolve import WORDS, Choice, decision_text
from batchpost.routes import ROUTES
from batchpost.standing import EVIDENCE, Standing, money_of
from batchpost.summary import plain
from batchpost.voided import FILE_WANTED, command_anew

__all__ = ["count_text", "decided_json", "decided_text", "standing_json", "standing_text"]

_MOST = 50  # rows of a kind that are shown to a person
_LONGEST = 60  # characters of what a server said
_MEANS: dict[Action, str] = {
    "delivered": "the platform has it: it counts as delivered, and is never sent again",
    "not_delivered": "the platform does not have it: it is due again",
    "resend": "nobody can tell, and it may go out all the same: it is due again, and may count twice",
    "ignored": "nobody can tell, and it may not: it is never sent again, and does not count as delivered",
}
_OPTIONS: dict[Action, str] = {
    "delivered": "--delivered",
    "not_delivered": "--not-delivered",
    "resend": "--resend",
    "ignored": "--ignore",
}


def count_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """``3 rows, 255.00``."""
    money = money_of(rows)
    amount = "" if money is None else f", {amount_text(plain(money))}"
    return f"{counted(len(rows), 'row')}{amount}"


def standing_text(standing: Standing, numbers: Sequence[int]) -> str:
    """The rows ``numbers`` that wait for a decision, those decided, and what to type."""
    record = standing.run.record
    test = " (a test)" if record.test else ""
    waiting = standing.rows(numbers)
    head = f"{record.run_id}, {record.job} ({record.route}){test}"
    parts = [[f"{head}: {count_text(waiting) if waiting else 'no row'} without a known end"]]
    if waiting:
        parts += [_table(standing, waiting, lambda row: _came_back(standing, row), "WHAT CAME BACK")]
        elsewhere = {doubt.run_id for row in waiting for doubt in standing.waits_for(row["number"])}
        parts += [
            [f"What came back for row N of {run_id} is shown by: batchpost resolve {run_id}{standing.again}"]
            for run_id in sorted(elsewhere - {record.run_id})
        ]
    decided = standing.rows(set(standing.decided) - set(standing.open))
    if decided:
        table = _table(standing, decided, lambda row: _became(standing, row), "DECIDED", evidence=False)
        parts += [["Decided before:", *table]]
    if waiting:
        parts += [list(_explained(standing)), list(_commands(standing, waiting))]
    elif command := next_of(standing.run):
        parts += [[_next(standing, command)]]
    return "\n\n".join("\n".join(part) for part in parts)


def standing_json(standing: Standing, numbers: Sequence[int]) -> dict[str, Any]:
    """The same for a program, with every row."""
    record = standing.run.record
    waiting, due = standing.rows(numbers), standing.rows(standing.due)
    decided = standing.rows(set(standing.decided) - set(standing.open))
    return {
        "run_id": record.run_id,
        "job": record.job,
        "route": record.route,
        "test": record.test,
        "open": _sum(waiting),
        "due": _sum(due),
        "rows": [_row_json(standing, row) for row in waiting],
        "decided": [_row_json(standing, row) for row in decided],
        "next": _again(standing, command) if (command := next_of(standing.run)) else "",
    }


def decided_text(
    standing: Standing, choice: Choice, action: Action, note: str, recorded: Sequence[tuple[str, int]]
) -> str:
    """What was decided just now, and what to type; ``standing`` is what stands since, ``recorded`` the runs and rows
    that were decided, those included that waited for the same."""
    run_id = standing.run.record.run_id
    lines = []
    if choice.numbers:
        noted = f' Noted: "{note}"' if note else ""
        lines.append(f"{run_id}: {count_text(choice.rows(choice.numbers))}: {WORDS[action]}.{noted}")
        lines += _table(standing, choice.rows(choice.numbers), None, "", evidence=False)
    if choice.same:
        rows = choice.rows(choice.same)
        again = "That holds already" if choice.numbers else f"{run_id}: nothing to do, as that holds already"
        lines.append(f"{again}: {count_text(rows)}.")
        lines += _table(standing, rows, lambda row: _became(standing, row), "DECIDED", evidence=False)
    own = {(run_id, number) for number in choice.numbers}
    if others := [standing.row_of(*row) for row in dict.fromkeys(recorded) if row not in own]:
        more = f", and {len(others) - _MOST:,} more" if len(others) > _MOST else ""
        lines.append(f"With them, as they are about the same: {', '.join(others[:_MOST])}{more}.")
    return "\n".join([*(lines or [f"{run_id}: no row waits for a decision."]), *_follows(standing, choice, action)])


def _follows(standing: Standing, choice: Choice, action: Action) -> Iterator[str]:
    """What is due by a decision, what is still open, and what to type."""
    if outdated := [number for number in choice.numbers if action in DUE and number not in standing.due]:
        rows = choice.rows(outdated)
        yield f"Not due all the same, as a newer update of the lead went out: {count_text(rows)}."
    if standing.due and action in DUE:
        yield f"Due again: {count_text(standing.rows(standing.due))}. {_goes_out(standing)}"
    if standing.open:
        left, command = count_text(standing.rows(standing.open)), f"batchpost resolve {standing.run.record.run_id}"
        yield f"Still without a known end: {left}: {command}{standing.again}"
    elif action != "voided" and (following := next_of(standing.run)):
        yield _next(standing, following)
    if action == "voided":
        command = command_anew(standing, choice.rows([*choice.numbers, *choice.same]))
        which = f". {FILE_WANTED} is the file that has it" if FILE_WANTED in command.split() else ""
        yield f"What was voided goes out anew with other money or another date{which}."
        yield f"Next: {command}"


def _next(standing: Standing, command: str) -> str:
    return f"Next: {short_command(_again(standing, command), Path.cwd())}"


def _again(standing: Standing, command: str) -> str:
    """The command with what it must say besides, if it does not yet."""
    return command if "--workspace" in command else f"{command}{standing.again}"


def decided_json(standing: Standing, choice: Choice, action: Action, note: str) -> dict[str, Any]:
    """The same for a program."""
    told = choice.rows([*choice.numbers, *choice.same])
    anew = {"next": command_anew(standing, told)} if action == "voided" else {}
    return {
        **standing_json(standing, standing.open),
        **anew,
        "action": action,
        "note": note,
        "rows": [_row_json(standing, row) for row in choice.rows(choice.numbers)],
        "already": [_row_json(standing, row) for row in choice.rows(choice.same)],
    }


# -- the rows --------------------------------------------------------------------------------------------------------


def _table(
    standing: Standing,
    rows: Sequence[Mapping[str, Any]],
    told: Callable[[Mapping[str, Any]], str] | None,
    title: str,
    *,
    evidence: bool = True,
) -> list[str]:
    """Rows with their ids and amounts, evidence, and what is to be told of them in the last column."""
    columns: list[tuple[str, Callable[[Mapping[str, Any]], str]]] = [
        ("ROW", lambda row: standing.place(row["number"])),
        ("LINE", lambda row: _text(row["line"])),
        ("TRANSACTION_ID", lambda row: _text(row["transaction_id"])),
        ("EVENT_ID", lambda row: _text(row["event_id"])),
        ("CAMPAIGN_ID", lambda row: _text(row["campaign_id"])),
        ("AMOUNT", lambda row: amount_text(row["amount"]) if row["amount"] else ""),
    ]
    if evidence:
        columns += [
            ("ATTEMPTS", lambda row: _text(row["attempts"])),
            ("FIRST ATTEMPT (UTC)", lambda row: _moment(row["first_attempt_at"])),
            ("SETTLED (UTC)", lambda row: _moment(row["settled_at"])),
        ]
    if told is not None:
        columns.append((title, told))
    cells = [[tell(row) for row in rows[:_MOST]] for _, tell in columns]
    kept = [at for at, column in enumerate(cells) if any(column)]
    lines = [[columns[at][0] for at in kept], *zip(*(cells[at] for at in kept), strict=True)]
    numbers = ("ROW", "LINE", "AMOUNT", "ATTEMPTS")
    right = [place for place, at in enumerate(kept) if columns[at][0] in numbers]
    more = len(rows) - _MOST
    return [
        *aligned(lines, right=right, indent="  "),
        *([f"  ... and {more:,} more (--json has all)"] if more > 0 else []),
    ]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _moment(iso: str | None) -> str:
    return iso[:19].replace("T", " ") if iso else ""


def _came_back(standing: Standing, row: Mapping[str, Any]) -> str:
    waits = " and ".join(standing.row_of(one.run_id, one.row) for one in standing.waits_for(row["number"])[:3])
    if waits and not row["attempts"]:
        return f"waits for {waits}"
    if row["outcome"] != Outcome.UNKNOWN.value:
        return "the run died before an answer was recorded"
    status = f" (HTTP {row['http_status']})" if row["http_status"] else ""
    said = row["detail"] or meaning(row["reason"])
    short = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
    return f"{row['reason']}{status}{f': {short}' if short else ''}{f'; settled with {waits}' if waits else ''}"


def _became(standing: Standing, row: Mapping[str, Any]) -> str:
    number = row["number"]
    if number not in standing.decided:
        return f"{row['outcome']}: {row['reason']}"
    last = standing.decided[number][-1]
    if last.action not in DUE:
        return decision_text(last)
    delivered = any(doubt.state == "delivered" for doubt in standing.doubts.get(number, ()))
    since = "delivered since" if delivered else "a newer update of the lead went out since"
    return f"{decision_text(last)}; {'due' if number in standing.due else since}"


def _sum(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    money = money_of(rows)
    return {"rows": len(rows), "amount": None if money is None else plain(money)}


def _row_json(standing: Standing, row: Mapping[str, Any]) -> dict[str, Any]:
    number = row["number"]
    waits = [{"run_id": one.run_id, "row": standing.place_in(*one[2:4])} for one in standing.waits_for(number)]
    return {
        **{name: row[name] for name in EVIDENCE},
        "due": number in standing.due,
        "waits_for": waits,
        "decided": [_decision_json(one) for one in standing.decided.get(number, ())],
    }


def _decision_json(decided: Resolution) -> dict[str, str]:
    return {"action": decided.action, "at": instant(decided.at), "who": decided.who, "note": decided.note}


# -- what to do ------------------------------------------------------------------------------------------------------


def _explained(standing: Standing) -> Iterator[str]:
    yield "Ask the platform, then say of each row, once, what became of it:"
    yield from aligned([(_OPTIONS[action], meaning_of) for action, meaning_of in _MEANS.items()], indent="  ")
    yield "Which rows: --rows 5,17-20, --reason timeout, or --from LIST; without these all that wait."
    yield _goes_out(standing)


def _goes_out(standing: Standing) -> str:
    record = standing.run.record
    if record.state == "finished":
        retry = f"batchpost retry {record.run_id}{standing.again}"
        return f"What is due goes out with `{retry}`, and with the next run of its file."
    return "What is due goes out with the next run of its file."


def _commands(standing: Standing, waiting: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    run_id, place = standing.run.record.run_id, standing.place(waiting[0]["number"])
    is_event = ROUTES[standing.run.record.route].is_event
    yield "Next:"
    if not standing.gone:
        yield f"  batchpost export {run_id} --only unknown -o unknown.csv{standing.again}"
    yield f'  batchpost resolve {run_id} --delivered --rows {place} --note "who says so"{standing.again}'
    yield f'  batchpost resolve {run_id} --not-delivered --from list.csv --note "who says so"{standing.again}'
    if is_event:
        yield f"An event that the platform removed later: batchpost resolve {run_id} --voided --rows N{standing.again}"
