"""The second pass: the input is read again, and what is to be sent becomes requests, in file order.

Each batch must be what the first pass saw, or the run stops before the batch's first row goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import compress, groupby, islice, repeat

import polars as pl

from batchpost.ahead import ahead
from batchpost.batch import Batch, Place
from batchpost.errors import InputChanged, InputRefused
from batchpost.fates import SEND
from batchpost.firstpass import Piece, Plan, repeat_of
from batchpost.job import Job
from batchpost.mapping import Mapper
from batchpost.model import Repeat, Row, Target
from batchpost.source import Reader
from batchpost.spool import read_spool

__all__ = ["read_again", "rows_to_send"]

_AGAIN = "Run again when it is whole: what was delivered is not sent again"
_OF_REQUEST = ("transaction_id", "event_id", "campaign_id", "body", "repeat", "pid")
_COLUMNS = (*_OF_REQUEST, "row", "key", "body_hash", "stake", "amount")
_AT_ONCE = 1_024  # rows made into objects at a time
_REPEATS = {repeat.value: repeat for repeat in Repeat}


def read_again(
    plan: Plan, readers: Sequence[Reader], *, to_send: bool = False
) -> Generator[tuple[Batch, pl.DataFrame], None, None]:
    """The batches of the input with the first pass's record of each; ``to_send``: those with a row to send, others are
    read only where there is no other way to come to these. Raises InputChanged where a batch that is read differs.
    """
    wanted = _sending(plan) if to_send else [True] * len(plan.batches)
    records = read_spool(plan.spool, wanted=wanted)
    of_files = groupby(zip(plan.batches, wanted, strict=True), key=lambda one: one[0].file)
    pieces = {file: [*group] for file, group in of_files}
    for reader in readers:
        expected = pieces.get(reader.index, [])
        for batch in _picked(reader, expected) if to_send else _proved(reader, [piece for piece, _ in expected]):
            yield batch, next(records)


def _sending(plan: Plan) -> list[bool]:
    """Whether a batch has a row to send."""
    sending, first = [], 0
    for piece in plan.batches:
        sending.append(plan.fates.codes.find(SEND, first, first + piece.rows) >= 0)
        first += piece.rows
    return sending


def _picked(reader: Reader, pieces: Sequence[tuple[Piece, bool]]) -> Iterator[Batch]:
    """The wanted ones among a file's batches: by their places, or read from the beginning to the last of them."""
    picked = [piece for piece, wanted in pieces if wanted]
    if not picked:
        return
    if all(piece.place for piece in picked):
        yield from _proved(reader, picked, [piece.place for piece in picked if piece.place])
        return
    last = max(number for number, (_, wanted) in enumerate(pieces, 1) if wanted)
    batches = _proved(reader, [piece for piece, _ in pieces])
    with closing(batches):  # the file's end is looked at where its last batch is wanted
        yield from compress(islice(batches, last if last < len(pieces) else None), (wanted for _, wanted in pieces))


def _proved(
    reader: Reader, pieces: Sequence[Piece], places: Sequence[Place] | None = None
) -> Generator[Batch, None, None]:
    """The batches of a file, or those at the places, each as the first pass saw it and all that it saw."""
    expected = iter(pieces)
    with closing(_batches(reader, places)) as batches:
        for batch in batches:
            if next(expected, None) != Piece.of(batch):
                raise _changed(reader, batch.first_row)
            yield batch
    if next(expected, None) is not None:
        raise _changed(reader, None)


def _batches(reader: Reader, places: Sequence[Place] | None) -> Generator[Batch, None, None]:
    try:
        yield from reader.batches() if places is None else reader.batches_at(places)
    except (InputRefused, OSError) as error:
        raise _changed(reader, None) from error


def _changed(reader: Reader, row: int | None) -> InputChanged:
    where = f" from row {row:,} on" if row else ""
    what = f"{reader.file.name} was changed while it was being sent{where}; nothing of that part was sent"
    return InputChanged(f"{what}. {_AGAIN}")


def rows_to_send(
    plan: Plan,
    readers: Sequence[Reader],
    job: Job,
    target: Callable[[str | None], Target],
) -> Generator[Row, None, None]:
    """The rows whose fate is to be sent, as requests; the next batch of them is read and mapped in a thread meanwhile.

    ``target`` gives the target of a campaign id (None: the organisation's). Raises InputChanged.
    """
    by_event = job.spec.is_event and bool(job.rows.key)  # several operations may share a lead and an event
    all_convert = job.expect.conversion is True
    with closing(ahead(_mapped(plan, readers, job))) as frames:
        for frame in frames:
            for part in frame.iter_slices(_AT_ONCE):
                yield from _rows(part, plan.in_doubt, target, by_event=by_event, all_convert=all_convert)


def _mapped(plan: Plan, readers: Sequence[Reader], job: Job) -> Generator[pl.DataFrame, None, None]:
    """What a request needs of each row to send: :data:`_COLUMNS`, a frame a batch."""
    mapper = Mapper(job)
    with closing(read_again(plan, readers, to_send=True)) as batches:
        for batch, record in batches:
            first: int = record["row"][0]
            codes = pl.Series(plan.fates.codes[first : first + batch.frame.height], dtype=pl.UInt8)
            sends = codes == SEND
            mapped = mapper.map(batch.frame.filter(sends)).with_columns(
                pl.col("body").cast(pl.Binary), repeat_of(job), pl.col("pid").fill_null("")
            )
            known = record.filter(sends).select("row", "key", "body_hash", "stake", pl.col("amount").fill_null(""))
            yield pl.concat([mapped.select(_OF_REQUEST), known], how="horizontal").select(_COLUMNS)


def _rows(
    part: pl.DataFrame,
    in_doubt: set[int],
    target: Callable[[str | None], Target],
    *,
    by_event: bool,
    all_convert: bool,
) -> Iterator[Row]:
    """The rows of a frame; made column by column, as this is done for each row that is sent."""
    leads, events, campaigns, bodies, repeats, pids, numbers, keys, hashes, stakes, amounts = (
        column.to_list() for column in part.get_columns()
    )
    targets = {campaign: target(campaign) for campaign in set(campaigns)}
    return map(
        Row,
        numbers,
        zip(leads, events, strict=True) if by_event else keys,
        map(targets.__getitem__, campaigns),
        bodies,
        map(_REPEATS.__getitem__, repeats),
        keys,
        hashes,
        stakes,
        amounts,
        pids,
        map(in_doubt.__contains__, numbers),
        repeat(True, part.height) if all_convert else map(bool, amounts),
    )
