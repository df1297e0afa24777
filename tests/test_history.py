"""Reading a journal back: what a crash, a power cut or a damaged disk leaves behind is never too hopeful."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest

from batchpost.errors import LedgerError
from batchpost.history import History, replay
from batchpost.journal import Journal, boot_id
from batchpost.model import Outcome, Row, Settlement
from tests.endings import Ended, ends_of
from tests.fakes import FakeLog, a_row, inline

BOOTS = ["the same boot", "another boot"]
TOOK = Settlement(Outcome.DELIVERED, "conversion", "", 200, "", "conv_1", "src_1", "https://thanks.example.com")


BOOT_ID = boot_id()


def journal(log: FakeLog) -> Journal:
    ticks = iter(range(100, 10_000))
    return Journal(log, run_blocking=inline, clock=lambda: float(next(ticks)), name="j.log")


def claim(book: Journal, *rows: Row) -> None:
    anyio.run(book.claim, rows)


def settle(book: Journal, number: int, settlement: Settlement = TOOK, *, applied: bool = True) -> None:
    book.settle(number, settlement, latency_ms=5.25, may_be_applied=applied)
    book.flush()


def read(folder: Path, *sittings: bytes, boot: str = BOOTS[0]) -> tuple[History, list[Ended]]:
    files = [folder / f"sitting-{number:04d}.log" for number in range(1, len(sittings) + 1)]
    for file, data in zip(files, sittings, strict=True):
        with file.open("r+b" if file.exists() else "wb") as target:  # emptying a file first is slow on some disks
            target.write(data)
            target.truncate()
    history = History()
    ends = ends_of(replay(files, history, boot=lambda: BOOT_ID if boot == BOOTS[0] else "0000-another"))
    return history, ends


def doubted(history: History) -> set[int]:
    return {number for number, row in history.open.items() if row.in_doubt}


# -- crashes ---------------------------------------------------------------------------------------------------


def crashed() -> FakeLog:
    """Rows 1 to 4 were sent, 1 is settled, 3 came back with a 500, 5 is claimed only; the last sync is a while ago."""
    log = FakeLog()
    book = journal(log)
    book.begin({"run_id": "r1"})
    claim(book, a_row(1), a_row(2), a_row(3))
    book.start([1])
    book.start([2])
    settle(book, 1)
    anyio.run(book.sync)
    claim(book, a_row(4), a_row(5))
    book.start([3])
    book.again(3, "server_error", may_be_applied=True)
    book.start([4])
    return log


SENT = {1, 2, 3, 4}


def too_hopeful(history: History, ends: Iterable[Ended]) -> set[int]:
    """Rows that were sent and that the journal would let go out as if they never had been."""
    return SENT - doubted(history) - {end.number for end in ends}


def test_after_a_kill_only_what_was_started_is_in_doubt(tmp_path: Path) -> None:
    history, ends = read(tmp_path, bytes(crashed().data))
    assert [end.number for end in ends] == [1]
    assert doubted(history) == set(history.open) == {2, 3, 4}
    assert history.over is None
    assert [history.open[3].attempts, history.open[3].first_attempt_at] == [1, 104.0]


def test_after_a_power_cut_everything_claimed_is_in_doubt(tmp_path: Path) -> None:
    """A start is not on disk before the request: its absence proves nothing."""
    log = crashed()
    history, ends = read(tmp_path, bytes(log.data[: log.durable]), boot=BOOTS[1])
    assert [end.number for end in ends] == [1]
    assert doubted(history) == {2, 3, 4, 5}


@pytest.mark.parametrize("fill", [b"", b"\0"], ids=["cut off", "zeros"])
def test_whatever_a_power_cut_leaves_of_the_tail(tmp_path: Path, fill: bytes) -> None:
    log = crashed()
    for length in range(log.durable, len(log.data)):
        tail = fill * (len(log.data) - length)
        history, ends = read(tmp_path, bytes(log.data[:length]) + tail, boot=BOOTS[1])
        assert not too_hopeful(history, ends)
        assert [end.number for end in ends] == [1]


@pytest.mark.parametrize("boot", BOOTS)
def test_any_length_of_the_file_is_readable_or_refused(tmp_path: Path, boot: str) -> None:
    """Shorter than what was on disk is no crash, and cannot always be told; but it is never a traceback."""
    log = crashed()
    for length in range(len(log.data)):
        history, ends = read(tmp_path, bytes(log.data[:length]), boot=boot)
        assert {end.number for end in ends} <= {1}
        assert set(history.open) <= {1, 2, 3, 4, 5}


@pytest.mark.parametrize("boot", BOOTS)
def test_no_damaged_byte_makes_the_journal_too_hopeful(tmp_path: Path, boot: str) -> None:
    data, refused = bytes(crashed().data), 0
    for position, byte in enumerate(data):
        for damaged in {byte ^ 1, 0, 10} - {byte}:
            try:
                history, ends = read(tmp_path, data[:position] + bytes([damaged]) + data[position + 1 :], boot=boot)
            except LedgerError:
                refused += 1
                continue
            assert not too_hopeful(history, ends)
            assert all(end.settlement == TOOK for end in ends)
    assert refused > len(data)


def test_the_request_of_a_torn_last_line_was_never_made(tmp_path: Path) -> None:
    """The process was killed in the middle of the write that comes before the request; within one boot that is all."""
    history, _ = read(tmp_path, bytes(crashed().data[:-3]))
    assert doubted(history) == {2, 3}


@pytest.mark.parametrize("boot", BOOTS)
def test_a_last_line_that_lacks_nothing_but_its_end_counts(tmp_path: Path, boot: str) -> None:
    history, _ = read(tmp_path, bytes(crashed().data[:-1]), boot=boot)
    assert doubted(history) >= {2, 3, 4}


def test_damage_in_the_middle_is_refused_within_one_boot(tmp_path: Path) -> None:
    lines = bytes(crashed().data).splitlines(keepends=True)
    lines[7] = b"0" * 8 + lines[7][8:]
    with pytest.raises(LedgerError, match="damaged at byte"):
        read(tmp_path, b"".join(lines))


@pytest.mark.parametrize("boot", BOOTS)
def test_a_start_without_a_claim_is_refused(tmp_path: Path, boot: str) -> None:
    log = FakeLog()
    book = journal(log)
    book.begin({})
    book.start([1])
    with pytest.raises(LedgerError, match="row 1 was sent without a claim"):
        read(tmp_path, bytes(log.data), boot=boot)


@pytest.mark.parametrize("boot", BOOTS)
def test_a_sitting_that_ended_in_order_leaves_no_new_doubt(tmp_path: Path, boot: str) -> None:
    """A refused token: the row was sent and had no effect, the others were not sent."""
    log = FakeLog()
    book = journal(log)
    book.begin({})
    claim(book, a_row(1), a_row(2), a_row(3))
    book.start([1])
    book.again(1, "unauthorized", may_be_applied=False)
    book.start([2])
    book.again(2, "interrupted", may_be_applied=True)
    book.over("unauthorized", 4)
    book.close()
    history, ends = read(tmp_path, bytes(log.data), boot=boot)
    assert (ends, history.over) == ([], ("unauthorized", 4))
    assert {number: row.in_doubt for number, row in history.open.items()} == {1: False, 2: True}


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b'0a1b2c3d ["sitting",{"form'])
def test_a_file_that_died_before_its_first_record_was_whole_is_an_empty_sitting(tmp_path: Path, data: bytes) -> None:
    history, ends = read(tmp_path, data)
    assert (history.open, ends, history.sittings, history.over) == ({}, [], 0, None)


# -- two sittings ----------------------------------------------------------------------------------------------


def second_sitting(**header: object) -> tuple[FakeLog, Journal]:
    log = FakeLog()
    book = journal(log)
    book.begin({"run_id": "other", **header})
    claim(book, a_row(2), a_row(5))
    book.start([2])
    settle(book, 2)
    return log, book


def test_a_second_sitting_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    history, ends = read(tmp_path, bytes(crashed().data), bytes(second_sitting()[0].data))
    assert [end.number for end in ends] == [1, 2]
    assert doubted(history) == set(history.open) == {3, 4}
    assert (history.sittings, history.header["run_id"]) == (2, "r1")


def test_attempts_add_up_over_the_sittings(tmp_path: Path) -> None:
    history, ends = read(tmp_path, bytes(crashed().data), bytes(second_sitting()[0].data))
    assert [(end.number, end.attempts, end.first_attempt_at) for end in ends] == [(1, 1, 101.0), (2, 2, 102.0)]
    assert history.starts == 5


def test_doubts_of_the_first_sitting_outlive_an_orderly_second(tmp_path: Path) -> None:
    log, book = second_sitting()
    settle(book, 5, Settlement(Outcome.REJECTED, "lead_not_found"), applied=False)
    book.over("finished", 1)
    history, ends = read(tmp_path, bytes(crashed().data), bytes(log.data), boot=BOOTS[1])
    assert [end.number for end in ends] == [1, 2, 5]
    assert doubted(history) == {3, 4}


@pytest.mark.parametrize(
    ("kinds", "only"),
    [
        (["redirect"], True),
        (["redirect", "redirect"], True),
        (["dropped", "redirect"], False),
        (["redirect", "dropped"], False),
        (["redirect", None], False),
    ],
    ids=str,
)
def test_a_row_was_only_redirected_if_no_other_attempt_may_have_arrived(
    tmp_path: Path, kinds: list[str | None], only: bool
) -> None:
    log = FakeLog()
    book = journal(log)
    book.begin({"run_id": "r1"})
    claim(book, a_row(1))
    for kind in kinds:
        book.start([1])
        if kind:
            book.again(1, kind, may_be_applied=True)
    book.flush()
    history, _ = read(tmp_path, bytes(log.data))
    assert (doubted(history), history.open[1].redirected) == ({1}, only)


@pytest.mark.parametrize("boot", BOOTS)
@pytest.mark.parametrize("second", [b"", b"0badc0de ["], ids=["empty", "torn"])
def test_a_row_that_was_refused_is_not_in_doubt_for_a_later_sitting_that_did_not_claim_it(
    tmp_path: Path, boot: str, second: bytes
) -> None:
    log = FakeLog()
    book = journal(log)
    book.begin({"run_id": "r1"})
    claim(book, a_row(1), a_row(2))
    book.start([1])
    book.again(1, "rate_limited", may_be_applied=False)
    book.over("until", 6)
    history, _ = read(tmp_path, bytes(log.data), second, boot=boot)
    assert (set(history.open), doubted(history)) == ({1}, set())


def test_a_row_may_be_settled_again_in_a_later_sitting(tmp_path: Path) -> None:
    again = FakeLog()
    book = journal(again)
    book.begin({})
    claim(book, a_row(1))
    book.start([1])
    settle(book, 1, Settlement(Outcome.ALREADY_DELIVERED, "confirmed_duplicate"))
    _, ends = read(tmp_path, bytes(crashed().data), bytes(again.data))
    assert [(end.number, end.settlement.reason) for end in ends] == [(1, "conversion"), (1, "confirmed_duplicate")]


# -- which sitting sent it last ----------------------------------------------------------------------------------------


def sitting(log: FakeLog, *numbers: int, ends: Iterable[int] = (), starts: bool = True, over: bool = True) -> bytes:
    """Rows that are claimed, started and settled in one sitting."""
    book = journal(log)
    book.begin({"run_id": "r1"})
    claim(book, *(a_row(number) for number in numbers))
    for number in numbers if starts else ():
        book.start([number])
    for number in ends:
        settle(book, number, UNSURE)
    if over:
        book.over("limit", 6)
    return bytes(log.data)


UNSURE = Settlement(Outcome.UNKNOWN, "dropped")


def test_a_row_is_of_the_sitting_of_its_last_attempt(tmp_path: Path) -> None:
    first, second = sitting(FakeLog(), 1, 2, 3, ends=[1]), sitting(FakeLog(), 1, 2, ends=[1])
    history, ends = read(tmp_path, first, second)
    assert [(end.number, end.sitting) for end in ends] == [(1, 1), (1, 2)]
    assert {number: row.sitting for number, row in history.open.items()} == {2: 2, 3: 1}


@pytest.mark.parametrize(("boot", "sittings"), [(BOOTS[0], {1: 1, 2: 1}), (BOOTS[1], {1: 2, 2: 1})])
def test_a_claim_whose_start_may_be_lost_counts_as_sent(tmp_path: Path, boot: str, sittings: dict[int, int]) -> None:
    """A power cut may have taken the record of its start; what was not claimed again was not sent again."""
    first, second = sitting(FakeLog(), 1, 2), sitting(FakeLog(), 1, starts=False, over=False)
    history, _ = read(tmp_path, first, second, boot=boot)
    assert {number: row.sitting for number, row in history.open.items()} == sittings
