"""The second pass: the input is read again, and what is to be sent becomes requests, in file order.

Each batch must be what the first pass saw, or the run stops before the batch's first row goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from batchpost.batch import Batch
from batchpost.errors import InputChanged, InputRefused
from batchpost.fates import SEND
from batchpost.job import Job
from batchpost.mapping import Mapper
from batchpost.model import Repeat, Row, Target
from batchpost.plan import Plan, repeat_of
from batchpost.source import Reader
from batchpost.spool import read_spool

__all__ = ["read_again", "rows_to_send"]


def read_again(plan: Plan, readers: Sequence[Reader]) -> Iterator[tuple[Batch, pl.DataFrame]]:
    """The batches of the input with the first pass's record of each; raises InputChanged where they differ."""
    records = read_spool(plan.spool)
    expected = iter(plan.batches)
    for reader in readers:
        for batch in _batches(reader):
            if next(expected, None) != (batch.file, batch.frame.height, batch.digest):
                raise _changed(reader, batch.first_row)
            yield batch, next(records)
    if next(expected, None) is not None:
        raise _changed(readers[-1], None)


def _batches(reader: Reader) -> Iterator[Batch]:
    try:
        yield from reader.batches()
    except (InputRefused, OSError) as error:
        raise _changed(reader, None) from error


def _changed(reader: Reader, row: int | None) -> InputChanged:
    where = f" from row {row:,} on" if row else ""
    return InputChanged(f"{reader.file.name} was changed while it was being sent{where}; nothing of that part was sent")


def rows_to_send(
    plan: Plan,
    readers: Sequence[Reader],
    job: Job,
    target: Callable[[str | None], Target],
) -> Iterator[Row]:
    """The rows whose fate is to be sent, as requests.

    ``target`` gives the target of a campaign id (None: the organisation's). Raises InputChanged.
    """
    mapper = Mapper(job)
    first = 0
    for batch, record in read_again(plan, readers):
        height = batch.frame.height
        codes = plan.fates.codes[first : first + height]
        wanted = [offset for offset in range(height) if codes[offset] == SEND]
        first += height
        if wanted:
            mapped = mapper.map(batch.frame[wanted])
            yield from _rows(plan, job, mapped, record[wanted], target)


def _rows(
    plan: Plan, job: Job, mapped: pl.DataFrame, record: pl.DataFrame, target: Callable[[str | None], Target]
) -> Iterator[Row]:
    columns = mapped.select(
        "transaction_id",
        "event_id",
        "campaign_id",
        pl.col("body").cast(pl.Binary),
        repeat_of(job),
        pl.col("pid").fill_null(""),
    )
    known = record.select("row", "key", "body_hash", "stake", pl.col("amount").fill_null(""))
    by_event = job.spec.is_event and bool(job.rows.key)  # several operations may share a lead and an event
    for (lead, event, campaign, body, repeat, pid), (number, key, body_hash, stake, amount) in zip(
        columns.iter_rows(), known.iter_rows(), strict=True
    ):
        yield Row(
            number,
            (lead, event) if by_event else key,
            target(campaign),
            body,
            Repeat(repeat),
            key,
            body_hash,
            stake,
            amount,
            pid,
            number in plan.in_doubt,
            bool(amount),
        )
