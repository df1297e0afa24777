"""The ends of a run's rows while it goes, or after it died: from its plan and its journal, which are only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from batchpost.batch import Fingerprint
from batchpost.fates import SEND, Fates
from batchpost.firstpass import Plan
from batchpost.history import Open
from batchpost.links import link_frame
from batchpost.model import Outcome
from batchpost.spool import read_spool
from batchpost.takeup import take_up

__all__ = ["IDS", "PlanEnds"]

IDS = ("campaign_id", "transaction_id", "event_id")
_SPOOLED = ("row", "file", "file_row", *IDS, "amount", "fires_again")


class PlanEnds:
    """What the private folder of a run says of its rows. ``under_way``: a process is at it right now, so that what has
    no end yet gets one.

    Raises OSError and ValueError where there is no sound plan, LedgerError for a damaged journal.
    """

    def __init__(self, folder: Path, *, under_way: bool = False) -> None:
        self._plan = Plan.load(folder)
        self._under_way = under_way
        history, settled = take_up(folder, self._plan.rows)
        harmless = not history.header.get("fires_again", True)
        self._fates = _ended(self._plan.fates, settled)
        opened = [] if under_way else [number for number, row in history.open.items() if row.in_doubt]
        for number in opened:
            self._fates.codes[number] = SEND
        self._doubtful = {} if harmless else {number: history.open[number] for number in opened}

    @property
    def files(self) -> list[Fingerprint]:
        """The files of the run's input, in order."""
        return self._plan.files

    @property
    def mends(self) -> bool:
        """Whether its rows mend or repeat others."""
        return bool(self._plan.links)

    def frames(self) -> Iterator[pl.DataFrame]:
        """Every row, batch by batch: ``file`` (UInt16, an index), ``row`` (UInt32, there from 1), ``outcome``,
        ``reason``, :data:`IDS`, ``amount`` as text, and the links of those that mend others. Raises OSError."""
        first = 0
        for record in read_spool(self._plan.spool, _SPOOLED):
            told = self._left(record.hstack(self._fates.series(first, record.height)))
            links = self._plan.links[first : first + record.height]
            yield told.hstack(link_frame(links)) if links else told
            first += record.height

    def _left(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows without an end: not attempted, or in doubt, as in :mod:`batchpost.outcomes`."""
        doubtful = [number for number, row in self._doubtful.items()]
        waits = [number for number, row in self._doubtful.items() if _waits(row)]
        in_doubt = pl.col("row").is_in(doubtful) & (pl.col("fires_again") | ~pl.col("row").is_in(waits))
        unknown, left = Outcome.UNKNOWN.value, Outcome.NOT_ATTEMPTED.value
        cause = "under_way" if self._under_way else "crashed"
        open_yet = pl.col("outcome").is_null()
        return frame.select(
            "file",
            pl.col("file_row").alias("row"),
            pl.when(~open_yet).then("outcome").when(in_doubt).then(pl.lit(unknown)).otherwise(pl.lit(left)),
            pl.when(~open_yet).then("reason").otherwise(pl.lit(cause)).alias("reason"),
            *IDS,
            "amount",
        )


def _waits(row: Open) -> bool:
    """Whether an event that is refused a second time just waits for the right address."""
    return row.redirected


def _ended(planned: Fates, settled: Fates) -> Fates:
    """The journal's word counts before the plan's."""
    ended, before = Fates(), settled.part(0, len(settled))
    ended.codes += planned.codes
    for outcome, reason in planned.table[1:]:
        ended.code(outcome, reason)
    for code, (outcome, reason) in enumerate(settled.table[1:], 1):
        ended.settle_where(0, before == code, Outcome(outcome), reason)
    return ended
