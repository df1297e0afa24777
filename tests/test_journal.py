"""Writing the journal: a claim is on disk before its rows go out, and a disk that failed once is not trusted."""

from __future__ import annotations

import resource
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from batchpost.errors import JournalError
from batchpost.history import History, replay
from batchpost.journal import DiskFile, Journal, create_sitting, sitting_files
from batchpost.model import Outcome, Row, Settlement
from batchpost.recordshapes import Claim
from tests.endings import Ended, ends_of
from tests.fakes import FakeLog, a_row, inline

TOOK = Settlement(Outcome.DELIVERED, "conversion", "", 200, "", "conv_1", "src_1", "https://thanks.example.com")


def journal(log: FakeLog) -> Journal:
    ticks = iter(range(100, 10_000))
    return Journal(log, run_blocking=inline, clock=lambda: float(next(ticks)), name="j.log")


def claim(book: Journal, *rows: Row) -> None:
    anyio.run(book.claim, rows)


def settle(book: Journal, number: int, settlement: Settlement = TOOK, *, applied: bool = True) -> None:
    book.settle(number, settlement, latency_ms=5.2, may_be_applied=applied)
    book.flush()


# -- writing ---------------------------------------------------------------------------------------------------


def test_everything_written_is_read_back(tmp_path: Path) -> None:
    log = FakeLog()
    book = journal(log)
    book.begin({"run_id": "r1", "is_event": True})
    claim(book, a_row(7, stake=b"\x01" * 16, amount="85.00"), a_row(8, stake=b"\x02" * 16))
    book.start([7])
    book.again(7, "dropped", may_be_applied=True)
    book.start([7])
    settle(book, 7)
    book.start([8])
    settle(book, 8, Settlement(Outcome.REJECTED, "lead_not_found", "naïve\n\x1b[1m", 400), applied=False)
    book.over("finished", 0)
    (tmp_path / "sitting-0001.log").write_bytes(log.data)
    history = History()
    ends = ends_of(replay(sitting_files(tmp_path), history))
    mark = (7).to_bytes(16, "big")
    assert ends[0] == Ended(7, Claim(mark, mark, b"\x01" * 16, "85.00"), TOOK, 104.0, 101.0, 2, 5.2, True)
    assert [(end.number, end.settlement.detail) for end in ends] == [(7, ""), (8, "naïve\n\x1b[1m")]
    assert (history.header["run_id"], history.header["is_event"], history.sittings) == ("r1", True, 1)
    assert (history.open, history.over, history.starts) == ({}, ("finished", 0), 3)


def test_a_claim_with_hashes_of_several_lengths_is_not_written() -> None:
    """They are joined: one with 16 bytes and one without any would be read as two of eight."""
    log = FakeLog()
    with pytest.raises(ValueError, match="several lengths"):
        claim(journal(log), a_row(1, stake=b"s" * 16), a_row(2))
    assert log.data == b""


def test_a_claim_is_on_disk_before_it_returns() -> None:
    log = FakeLog()
    book = journal(log)
    book.begin({})
    assert not book.dirty
    claim(book, a_row(1))
    assert [event[0] for event in log.trace] == ["sitting", "sync", "claim", "sync"]
    assert log.durable == len(log.data)
    assert repr(book) == f"<Journal {len(log.data)} bytes, {len(log.data)} durable>"


def test_starts_and_ends_do_not_wait_for_the_disk() -> None:
    log = FakeLog()
    book = journal(log)
    claim(book, a_row(1))
    book.start([1])
    settle(book, 1)
    assert [event[0] for event in log.trace] == ["claim", "sync", "start", "end"]
    assert book.dirty


@pytest.mark.parametrize("call", ["append", "sync"])
def test_after_a_failed_write_or_sync_everything_is_refused(call: str) -> None:
    """Also when the disk works again: what was lost is lost."""
    log = FakeLog()
    book = journal(log)
    claim(book, a_row(1))
    log.broken = call
    with pytest.raises(JournalError, match=r"j\.log cannot be written: No space left on device"):
        claim(book, a_row(2))
    log.broken, before = "", len(log.data)
    attempts: list[Callable[[], Any]] = [
        lambda: claim(book, a_row(3)),
        lambda: book.start([1]),
        lambda: book.again(1, "dropped", may_be_applied=True),
        lambda: settle(book, 1),
        lambda: book.over("finished", 0),
        lambda: anyio.run(book.sync),
    ]
    for attempt in attempts:
        with pytest.raises(JournalError, match="not written since an earlier error"):
            attempt()
    book.close()
    assert len(log.data) == before
    assert log.trace[-1] == ("close",)


def test_an_end_is_handed_over_with_the_next_start_in_one_write() -> None:
    log = FakeLog()
    book = journal(log)
    claim(book, a_row(1), a_row(2))
    book.start([1])
    before = len(log.data)
    book.settle(1, TOOK, latency_ms=5.2, may_be_applied=True)
    assert (len(log.data), book.dirty) == (before, True)
    writes: list[bytes] = []
    book._hand_over = writes.append
    book.start([2])
    assert [line.split(b'"')[1] for line in writes[0].splitlines()] == [b"end", b"start"]
    assert len(writes) == 1


@pytest.mark.parametrize("hand_over", [Journal.flush, lambda book: anyio.run(book.sync), Journal.close])
def test_an_end_that_no_start_follows_is_handed_over_all_the_same(hand_over: Callable[[Journal], object]) -> None:
    log = FakeLog()
    book = journal(log)
    claim(book, a_row(1))
    book.start([1])
    book.settle(1, TOOK, latency_ms=5.2, may_be_applied=True)
    hand_over(book)
    assert "end" in [record[0] for record in log.trace]


def test_a_sync_beside_a_failing_one_fails_as_well() -> None:
    """The kernel reports a lost write to one caller only."""

    class OneError(FakeLog):
        def sync(self) -> None:
            entered.set()
            assert proceed.wait(5)
            self.broken, broken = "", self.broken
            if broken:
                raise OSError(5, "Input/output error")

    entered, proceed = threading.Event(), threading.Event()
    log = OneError()
    log.broken = "sync"
    book = Journal(log, run_blocking=anyio.to_thread.run_sync)

    async def both() -> list[str]:
        outcomes: list[str] = []

        async def one() -> None:
            try:
                await book.sync()
            except JournalError as error:
                outcomes.append(str(error))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            tasks.start_soon(one)
            await anyio.to_thread.run_sync(entered.wait)
            proceed.set()
        return outcomes

    outcomes = anyio.run(both)
    assert len(outcomes) == 2
    assert all("Input/output error" in outcome for outcome in outcomes)


def test_closing_puts_everything_on_disk() -> None:
    log = FakeLog()
    book = journal(log)
    book.begin({})
    book.over("finished", 0)
    book.close()
    assert [event[0] for event in log.trace] == ["sitting", "sync", "over", "sync", "close"]


def test_a_record_says_what_damage_before_it_can_hide() -> None:
    """Bytes known to be on disk, rows claimed, the highest of them."""
    log = FakeLog()
    book = journal(log)
    book.begin({})
    first = len(log.data)
    claim(book, a_row(4), a_row(9))
    second = len(log.data)
    claim(book, a_row(6))
    book.over("finished", 0)
    told = [event[1] for event in log.trace if event[0] in ("claim", "over")]
    assert told == [[first, 0, -1], [second, 2, 9], [len(log.data) - len(log.data.splitlines()[-1]) - 1, 3, 9]]


def test_a_file_that_cannot_be_synced_is_closed_all_the_same() -> None:
    log = FakeLog()
    book = journal(log)
    book.start([1])
    log.broken = "sync"
    with pytest.raises(JournalError):
        book.close()
    assert log.trace[-1] == ("close",)


# -- on a real disk --------------------------------------------------------------------------------------------


def test_each_sitting_has_a_private_file_of_its_own(tmp_path: Path) -> None:
    for number in (1, 2):
        file = create_sitting(tmp_path)
        file.append(b"x")
        file.sync()
        file.close()
        path = sitting_files(tmp_path)[-1]
        assert path.name == f"sitting-{number:04d}.log"
        assert path.read_bytes() == b"x"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_sitting_begins_once_all_before_it_and_its_own_name_are_on_disk(tmp_path: Path) -> None:
    """What the files before it say has been acted upon, so a power cut must not take it back."""
    done: list[tuple[str, int]] = []
    for _ in range(3):
        create_sitting(tmp_path, sync=lambda path: done.append((path.name, len(sitting_files(tmp_path))))).close()
    first, second = "sitting-0001.log", "sitting-0002.log"
    assert done == [(tmp_path.name, 1), (first, 1), (tmp_path.name, 2), (first, 2), (second, 2), (tmp_path.name, 3)]


def test_a_log_file_is_never_one_that_exists_or_a_planted_link(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            DiskFile(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()


def test_a_short_write_is_an_error(tmp_path: Path) -> None:
    """Half a record is none; a file that may grow no further takes half of it."""
    file = DiskFile(tmp_path / "log")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="No space left"):
            file.append(b"x" * 1500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
        file.close()
