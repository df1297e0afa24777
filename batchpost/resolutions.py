"""What a person decided about requests whose end is not known, and about events that the platform took back.

A decision and what follows from it are one transaction; the record of decisions is only ever added to. Rows count from
0 in the whole input of their run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import polars as pl

from batchpost.errors import LedgerError
from batchpost.ledger import Ledger
from batchpost.ledgerrows import Delivered, Fold

__all__ = ["DUE", "Action", "Decided", "Doubt", "Resolution", "Resolutions"]

Action = Literal["resend", "delivered", "not_delivered", "ignored", "voided"]
DUE: tuple[Action, Action] = ("resend", "not_delivered")
"""What makes a row go out again."""

_WAITS = "(waiting.body = x'' OR waiting.body = doubts.body)"
_DUE = "('resend', 'not_delivered')"
_NEWER = (
    "(SELECT 1 FROM updates JOIN runs ON runs.run_id = doubts.run_id "
    "WHERE updates.key = doubts.key AND (updates.seq, updates.row) > (runs.seq, doubts.row))"
)


class Doubt(NamedTuple):
    """A request of a run's row whose end is not known, or was not: its operation, its body and stake as keyed hashes,
    its amount. ``state`` is ``open``, an :data:`Action`, or ``delivered`` for what is known to be."""

    key: bytes
    body: bytes
    run_id: str
    row: int
    stake: bytes = b""
    amount: str = ""
    state: str = "open"


class Decided(NamedTuple):
    """What was decided about an operation as it was sent with this body and stake; ``stake`` is empty where it is not
    known."""

    body: bytes
    stake: bytes
    state: str


class Resolution(NamedTuple):
    """What was decided about a row of a run, when (Unix seconds), why, and by whom (a login name, or nothing)."""

    at: float
    action: str
    note: str
    run_id: str
    row: int
    key: bytes
    body: bytes
    who: str = ""


class Resolutions:
    """The decisions in a ledger. Every method raises LedgerError. ``wall`` gives Unix seconds."""

    def __init__(self, ledger: Ledger, wall: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._db = ledger.database
        self._wall = wall

    # -- what stands -------------------------------------------------------------------------------------------

    def doubts_of(self, run_id: str) -> list[tuple[int, Doubt]]:
        """The doubts, open and decided, that a run's rows raised or wait for, each with that row, in row order."""
        columns = "key, doubts.body, doubts.run_id, doubts.row, stake, amount, state"
        query = (
            f"SELECT row, {columns} FROM doubts WHERE run_id = ?1 UNION "  # noqa: S608 - our own names
            f"SELECT waiting.row, {columns} FROM waiting JOIN doubts USING (key) "
            f"WHERE waiting.run_id = ?1 AND {_WAITS} ORDER BY 1, 2, 3"
        )
        return [(number, Doubt(*doubt)) for number, *doubt in self._db.rows(query, (run_id,))]

    def delivered_of(self, run_id: str, rows: Collection[int]) -> list[tuple[int, Doubt]]:
        """The events that a run delivered for these rows, as doubts of the state ``delivered``, in row order."""
        self._db.change("CREATE TEMP TABLE IF NOT EXISTS numbers (row INTEGER PRIMARY KEY)")
        self._db.change("DELETE FROM numbers")
        self._db.change_all("INSERT OR IGNORE INTO numbers VALUES (?)", ((row,) for row in rows))
        query = (
            "SELECT row, key, body, run_id, row, stake, amount, 'delivered' FROM events "
            "WHERE run_id = ? AND row IN (SELECT row FROM numbers) ORDER BY row"
        )
        return [(number, Doubt(*doubt)) for number, *doubt in self._db.rows(query, (run_id,))]

    def settled_of(self, run_id: str) -> set[int]:
        """The rows of a run that had a doubt and have none any more: a person decided, or they are delivered."""
        doubts = self.doubts_of(run_id)
        return {row for row, _ in doubts} - {row for row, doubt in doubts if doubt.state == "open"}

    def outstanding(self) -> dict[str, tuple[int, ...]]:
        """Of each run that has some: its rows with an open doubt, raised or waited for, in order."""
        return self._rows_of_runs("state = 'open'")

    def due(self) -> dict[str, tuple[int, ...]]:
        """Of each run that has some: its rows that a person made due again, and that neither got through since nor
        are of a lead of which a newer update went out."""
        unsure = self.outstanding()
        found = self._rows_of_runs(f"state IN {_DUE} AND NOT EXISTS {_NEWER}")
        return {run: tuple(row for row in rows if row not in unsure.get(run, ())) for run, rows in found.items()}

    def states(self) -> Iterator[tuple[str, int, str]]:
        """The run and row of everything that raised a doubt or waits for one, with the states of those doubts."""
        query = (
            "SELECT run_id, row, state FROM doubts UNION "  # noqa: S608 - our own names
            f"SELECT waiting.run_id, waiting.row, state FROM waiting JOIN doubts USING (key) WHERE {_WAITS}"
        )
        for run_id, row, state in self._db.rows(query):
            yield str(run_id), int(row), str(state)

    def doubtful(self) -> pl.Series:
        """The keys of all operations with a doubt that is not known to be delivered, open or decided."""
        keys = self._db.rows("SELECT DISTINCT key FROM doubts WHERE state <> 'delivered'")
        return pl.Series([key for (key,) in keys], dtype=pl.Binary)

    def about(self, keys: Sequence[bytes]) -> dict[bytes, list[Decided]]:
        """What was decided about these operations, as far as nothing is known to be delivered since."""
        found: dict[bytes, list[Decided]] = {}
        wanted: set[bytes] = set()
        for key, *decided in self._db.rows("SELECT key, body, stake, state FROM doubts WHERE state <> 'delivered'"):
            wanted = wanted or set(keys)
            if key in wanted and decided[2] != "open":
                found.setdefault(key, []).append(Decided(*decided))
        return found

    def raised_by(self, keys: Collection[bytes]) -> dict[str, int]:
        """The runs that left one of these operations without a known end, each with how many."""
        found: dict[str, int] = {}
        for key, run_id in self._db.rows("SELECT key, run_id FROM doubts WHERE state = 'open' ORDER BY run_id"):
            if key in keys:
                found[run_id] = found.get(run_id, 0) + 1
        return found

    def taken_back(self) -> set[bytes]:
        """The keys of events that were delivered once and voided since: no bitmap of a content, which may still have
        their rows, says what is to become of them."""
        return {key for (key,) in self._db.rows("SELECT DISTINCT key FROM resolutions WHERE action = 'voided'")}

    def of(self, run_id: str | None = None) -> list[Resolution]:
        """What was decided, oldest first; about the rows of one run if named."""
        query = (
            "SELECT at, action, note, run_id, row, key, body, who FROM resolutions "
            "WHERE ?1 IS NULL OR run_id = ?1 ORDER BY id"
        )
        return [Resolution(*row) for row in self._db.rows(query, (run_id,))]

    # -- what changes it ---------------------------------------------------------------------------------------

    def wait_for(self, run_id: str, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Enter rows of a run that are not sent because of an open doubt: row, key, and the body that the doubt must
        be of, empty for any. A row whose own attempt is the doubt is left out."""
        entries = [(run_id, *row) for row in rows]
        with self._ledger.writing() as database:
            database.change_all(
                "INSERT OR REPLACE INTO waiting SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS "
                "(SELECT 1 FROM doubts WHERE key = ?3 AND run_id = ?1 AND row = ?2)",
                entries,
            )

    def decide(
        self, doubts: Sequence[Doubt], action: Action, note: str, *, is_event: bool = True, who: str = ""
    ) -> list[tuple[str, int]]:
        """Put an end to doubts that still are as they are given here, each once; the rows that wait for such an
        operation are decided with it, and so recorded, too. ``who`` is the person's login name. Returns runs and rows.

        ``delivered``: the ledger knows it from then on. ``voided``: it forgets that it was delivered. An action of
        :data:`DUE`: the files of these rows are not finished any more. Raises LedgerError, and then nothing was
        decided, where one of them is another by now.
        """
        with self._ledger.writing():
            for doubt in doubts:
                self._change(doubt, action)
            touched = [row for doubt in doubts for row in self._record(doubt, action, note, who)]
            if not is_event:
                self._confirm(doubts)
            elif action == "delivered":
                self._deliver(doubts)
            if action == "delivered":
                self._mark(doubts)
            if action in DUE:
                self._reopen({run_id for run_id, _ in touched})
        return touched

    def _change(self, doubt: Doubt, action: str) -> None:
        if action == "voided" and doubt.state == "delivered":
            gone = "DELETE FROM events WHERE key = ? AND body = ? AND run_id = ?"
            changed = self._db.change(gone, (doubt.key, doubt.body, doubt.run_id))
            self._db.change(
                "INSERT OR REPLACE INTO doubts (key, body, run_id, row, stake, amount, state) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*doubt[:6], action),
            )
        else:
            query = "UPDATE doubts SET state = ? WHERE key = ? AND body = ? AND run_id = ? AND state = ?"
            changed = self._db.change(query, (action, doubt.key, doubt.body, doubt.run_id, doubt.state))
        if not changed:
            raise LedgerError(f"{self._ledger.path}: a row is not as it was any more. Nothing was resolved; look again")

    def _record(self, doubt: Doubt, action: str, note: str, who: str) -> Iterator[tuple[str, int]]:
        """Enter the decision for the doubt's row and for those that wait for it; gives these."""
        waiting = self._db.rows(
            "SELECT run_id, row FROM waiting WHERE key = ? AND (body = x'' OR body = ?)", (doubt.key, doubt.body)
        )
        query = (
            "INSERT INTO resolutions (at, action, note, who, run_id, row, key, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        for run_id, row in dict.fromkeys([(doubt.run_id, doubt.row), *waiting]):
            self._db.change(query, (self._wall(), action, note, who, run_id, row, doubt.key, doubt.body))
            yield run_id, row

    def _deliver(self, doubts: Sequence[Doubt]) -> None:
        """What the ledger knows of an event whose reply never came: all but the platform's id of it."""
        for key, body, run_id, row, stake, amount, _ in doubts:
            event = Delivered(body, stake, amount, "", self._started(run_id), row)
            self._ledger.take(run_id, Fold.of([(key, event)], (), (), ()))

    def _started(self, run_id: str) -> float:
        found = self._db.row("SELECT started_at FROM runs WHERE run_id = ?", (run_id,))
        return float(found[0]) if found else self._wall()

    def _confirm(self, doubts: Sequence[Doubt]) -> None:
        """A lead's last update is a confirmed one if it was delivered and nothing else may still be applied."""
        self._db.change_all(
            "UPDATE updates SET confirmed = 1 WHERE key = ?1 "
            "AND NOT EXISTS (SELECT 1 FROM open_doubts WHERE key = ?1) AND EXISTS "
            "(SELECT 1 FROM doubts WHERE doubts.key = ?1 AND doubts.body = updates.body AND state = 'delivered')",
            [(doubt.key,) for doubt in doubts],
        )

    def _mark(self, doubts: Sequence[Doubt]) -> None:
        """The rows are delivered, and so are those that they mend: their contents know it, whatever else is in doubt
        about their leads."""
        for run_id in {doubt.run_id for doubt in doubts}:
            first = 0
            for content, rows in list(self._contents_of(run_id)):
                bitmap = bytearray(rows // 8 + 1)
                for doubt in doubts:
                    if doubt.run_id == run_id and 0 <= (number := doubt.row - first) < rows:
                        bitmap[number >> 3] |= 1 << (number & 7)
                self._ledger.take(run_id, Fold.of(contents=[(content, rows, bytes(bitmap))]))
                first += rows
        mended = "SELECT mends, rows, mends_row FROM doubts JOIN contents ON id = mends WHERE key = ? AND body = ?"
        for doubt in doubts:
            for content, rows, row in list(self._db.rows(mended, (doubt.key, doubt.body))):
                bit = (1 << row).to_bytes(rows // 8 + 1, "little")
                self._ledger.take(doubt.run_id, Fold.of(contents=[(content, rows, bit)]))

    def _contents_of(self, run_id: str) -> Iterator[tuple[bytes, int]]:
        """The contents of a run's input, in order, each with its number of rows."""
        query = (
            "SELECT contents.id, contents.rows FROM runs, json_each(runs.contents) AS named "
            "JOIN contents ON contents.id = unhex(named.value) WHERE run_id = ? ORDER BY named.key"
        )
        return self._db.rows(query, (run_id,))

    def _reopen(self, runs: Collection[str]) -> None:
        """The files of these runs have rows to send again."""
        for run_id in sorted(runs):
            found = self._db.row("SELECT contents FROM runs WHERE run_id = ?", (run_id,))
            contents = json.loads(found[0]) if found else []
            self._db.change_all(
                "UPDATE contents SET finished = 0 WHERE id = ?", [(bytes.fromhex(content),) for content in contents]
            )

    def _rows_of_runs(self, where: str) -> dict[str, tuple[int, ...]]:
        query = (
            f"SELECT run_id, row FROM doubts WHERE {where} UNION "  # noqa: S608 - our own names
            f"SELECT waiting.run_id, waiting.row FROM waiting JOIN doubts USING (key) WHERE {where} AND {_WAITS} "
            "ORDER BY 1, 2"
        )
        found: dict[str, list[int]] = {}
        for run_id, row in self._db.rows(query):
            found.setdefault(run_id, []).append(row)
        return {run_id: tuple(rows) for run_id, rows in found.items()}
