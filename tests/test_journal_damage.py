"""Journals under every kind of damage: what is read back is true, in doubt, or refused with file and byte.

The oracle knows what really happened at every moment. A damaged file that a crash could have left at some moment (cut
off; after a power cut also zeros in place of what was not synced) is judged by that moment, any other by the end.
"""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

import orjson
import pytest

from batchpost.ended import EndedRows
from batchpost.errors import JournalError, LedgerError
from batchpost.fold import fold_run
from batchpost.history import DamagedJournal, History, replay
from batchpost.journal import FORMAT, Journal
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.model import Outcome, Row, Settlement
from tests.endings import ends_of
from tests.fakes import FakeLog, a_row, inline

SAME, OTHER = "the boot of the run", "a later boot"
BOOTS = [SAME, OTHER]
TOOK = Settlement(Outcome.DELIVERED, "conversion", "", 200, "", "conv_1", "src_1", "https://thanks.example.com")
GONE = Settlement(Outcome.REJECTED, "lead_not_found", "no such lead", 400)
INACTIVE = Settlement(Outcome.REJECTED, "source_inactive", "", 403)
ROWS = 30


class Moment(NamedTuple):
    """How things stood: bytes written and on disk, rows that may have had their effect, ends by row."""

    size: int
    durable: int
    effects: frozenset[int]
    ends: dict[int, str]


@dataclass
class Sitting:
    """One sitting of the true history: its file, and the moments after each of its events."""

    log: FakeLog = field(default_factory=FakeLog)
    moments: list[Moment] = field(default_factory=list)
    effects: set[int] = field(default_factory=set)
    ends: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ticks = iter(range(100, 10_000))
        self.moments.append(Moment(0, 0, frozenset(self.effects), dict(self.ends)))
        self.book = Journal(self.log, run_blocking=inline, clock=lambda: float(next(ticks)), boot=lambda: SAME)

    @property
    def data(self) -> bytes:
        return bytes(self.log.data)

    def begin(self, **header: Any) -> None:
        contents = [("c0", ROWS)]
        self.book.begin({"run_id": "r1", "is_event": True, "seq": 1, "input": "aa", "contents": contents, **header})
        self._note()

    def claim(self, *numbers: int) -> None:
        at_once(self.book.claim([row(number) for number in numbers]))
        self._note()

    def post(self, *numbers: int) -> None:
        """A start, and then the requests."""
        self.book.start(numbers)
        for number in numbers:
            self.effects.add(number)
            self.ends.pop(number, None)
        self._note()

    def again(self, number: int, *, applied: bool) -> None:
        self.book.again(number, "server_error", may_be_applied=applied)
        self.book.flush()
        if not applied:
            self.effects.discard(number)
        self._note()

    def settle(self, number: int, settlement: Settlement = TOOK) -> None:
        self.settle_together({number: settlement})

    def settle_together(self, settlements: dict[int, Settlement]) -> None:
        """Rows whose replies came at once: one record."""
        for number, settlement in settlements.items():
            applied = settlement.outcome is Outcome.DELIVERED
            self.book.settle(number, settlement, latency_ms=5.25, may_be_applied=applied)
            self.ends[number] = settlement.reason
            if not applied:
                self.effects.discard(number)
        self.book.flush()
        self._note()

    def sync(self) -> None:
        at_once(self.book.sync())
        self._note()

    def over(self) -> None:
        self.sync()
        self.book.over("until", 6)
        self.book.close()
        self._note()

    def _note(self) -> None:
        """The moment after an event, and where it synced something the one before the sync."""
        before = self.moments[-1]
        if self.log.durable > before.durable:
            self.moments.append(before._replace(size=len(self.log.data)))
        moment = Moment(len(self.log.data), self.log.durable, frozenset(self.effects), dict(self.ends))
        self.moments.append(moment)


def at_once(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what never waits, without an event loop: there are thousands of them."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def row(number: int, **changes: Any) -> Row:
    mark = bytes([number])
    return a_row(number, key=mark, body_hash=mark, stake=mark, amount="5.00", **changes)


def killed() -> Sitting:
    """Rows 0 to 4 were sent; 0 and 1 are settled, 2 came back with a 500, 3 with a 429, 5 and 6 are claimed only."""
    sitting = Sitting()
    sitting.begin()
    sitting.claim(0, 1, 2, 3)
    sitting.post(0, 1)
    sitting.settle(0)
    sitting.post(2)
    sitting.settle(1, INACTIVE)
    sitting.sync()
    sitting.claim(4, 5, 6)
    sitting.again(2, applied=True)
    sitting.post(3)
    sitting.again(3, applied=False)
    sitting.post(4)
    return sitting


def ended(first: Sitting) -> Sitting:
    """The sitting after it, which ended in order: 1, whose source was inactive, went through this time."""
    sitting = Sitting(effects=set(first.effects), ends=dict(first.ends))
    sitting.begin(before=[len(first.data)])
    sitting.claim(1, 3, 7)
    sitting.post(1, 3)
    sitting.settle_together({1: TOOK, 3: GONE})
    sitting.claim(8)
    sitting.post(8)
    sitting.settle(8)
    sitting.over()
    return sitting


def long(details: int = 400) -> Sitting:
    """A sitting of many sectors, killed."""
    sitting = Sitting()
    sitting.begin()
    for number in range(0, ROWS - 2, 2):
        sitting.claim(number, number + 1)
        sitting.post(number, number + 1)
        took = {number: TOOK._replace(detail="d" * details) if number % 4 else TOOK}
        if number % 8 == 6:
            sitting.settle_together({**took, number + 1: GONE})
            continue
        sitting.settle_together(took)
        if number % 6 == 0:
            sitting.sync()
        if number % 10:
            sitting.settle(number + 1, GONE)
    sitting.claim(ROWS - 2, ROWS - 1)
    sitting.post(ROWS - 2)
    return sitting


class Journals:
    """The files of a run, each byte of which can be changed and changed back."""

    def __init__(self, folder: Path, *sittings: Sitting) -> None:
        self.folder = folder
        self.files = [folder / f"sitting-{number:04d}.log" for number in range(1, len(sittings) + 1)]
        self.sittings = sittings
        self.last = sittings[-1]
        for file, sitting in zip(self.files, sittings, strict=True):
            file.write_bytes(sitting.data)

    def judge(self, image: bytes, boot: str, index: int = -1) -> bool:
        """Read the journal with one file as ``image``; returns whether it was refused. Asserts that it is no lie."""
        with self.files[index].open("r+b") as file:
            file.write(image)
            file.truncate()
        history = History()
        try:
            read = {end.number: end for end in ends_of(replay(self.files, history, boot=lambda: boot))}
        except DamagedJournal as error:
            return bool(re.search(r"sitting-000\d\.log: .*(byte \d+|\d+ bytes)", str(error)))
        finally:
            self.files[index].write_bytes(self.sittings[index].data)
        doubts = {number for number, left in history.open.items() if left.in_doubt}
        self._no_lie({number: end.settlement.reason for number, end in read.items()}, doubts, image, boot, index)
        assert all(end.claim.key == bytes([number]) for number, end in read.items())
        return False

    def _no_lie(self, ends: dict[int, str], doubts: set[int], image: bytes, boot: str, index: int) -> None:
        truth = self._truth(image, boot, index)
        final = self.last.ends
        before = self.sittings[0].ends
        for number, reason in ends.items():
            assert reason in (final.get(number), before.get(number)), f"row {number} never ended so"
        assert truth.effects <= doubts | ends.keys(), "a row that was sent is said to be fresh"
        delivered = {number for number, reason in truth.ends.items() if reason == "conversion"}
        assert all(ends.get(number, "conversion") == "conversion" for number in delivered - doubts)
        if boot == SAME:
            assert truth.ends.items() <= ends.items(), "a settled row is lost"

    def _truth(self, image: bytes, boot: str, index: int) -> Moment:
        """The last moment at which a crash could have left this; the end of all if none could."""
        sitting = self.sittings[index]
        whole = sitting.data
        known = image.startswith(whole.splitlines(keepends=True)[0])  # without it the boot is not known
        boot = boot if known else OTHER
        end = Moment(0, 0, frozenset(self.last.effects), self.last.ends)
        if index not in (-1, len(self.sittings) - 1) or (image == whole and boot == SAME):
            return end
        moments = sitting.moments
        if boot == SAME:
            written = len(image) + (whole[len(image) : len(image) + 1] == b"\n")  # the record is all there
            latest = bisect_right([moment.size for moment in moments], written) - 1
            return moments[latest] if whole.startswith(image) else end
        differing = (
            [place for place, byte in enumerate(image) if byte and byte != whole[place : place + 1][0]]
            if len(image) <= len(whole)
            else [0]
        )
        if differing:
            return end
        kept = self._whole_to(image, whole)
        first = next((place for place, byte in enumerate(image) if byte != whole[place]), len(image))
        possible = [moment for moment in moments if moment.durable <= first and moment.size >= kept]
        return possible[-1] if possible else end

    @staticmethod
    def _whole_to(image: bytes, whole: bytes) -> int:
        """Where the last whole record ends. What zeros leave of a record could be of any."""
        kept = end = 0
        for line in whole.splitlines(keepends=True):
            begin, end = end, end + len(line)
            kept = end if image[begin:end] == line else kept
        return kept


@pytest.fixture
def one(tmp_path: Path) -> Journals:
    return Journals(tmp_path, killed())


@pytest.fixture
def two(tmp_path: Path) -> Journals:
    first = killed()
    return Journals(tmp_path, first, ended(first))


def flips(data: bytes) -> Iterator[bytes]:
    """Every byte with one bit changed, and with all eight."""
    for place, byte in enumerate(data):
        for mask in (1 << place % 8, 0xFF):
            yield data[:place] + bytes([byte ^ mask]) + data[place + 1 :]


# -- bytes and lengths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boot", BOOTS)
def test_a_changed_byte_is_refused_wherever_it_is(one: Journals, boot: str) -> None:
    assert all(one.judge(image, boot) for image in flips(one.last.data))


@pytest.mark.parametrize("boot", BOOTS)
@pytest.mark.parametrize("index", [0, 1])
def test_a_changed_byte_of_one_of_two_sittings_is_refused(two: Journals, boot: str, index: int) -> None:
    images = [*flips(two.sittings[index].data)][index::3]
    assert all(two.judge(image, boot, index) for image in images)


@pytest.mark.parametrize("boot", BOOTS)
def test_a_file_cut_off_is_the_crash_that_it_looks_like(one: Journals, boot: str) -> None:
    data = one.last.data
    assert not any(one.judge(data[:length], boot) for length in range(len(data) + 1))


@pytest.mark.parametrize("boot", BOOTS)
def test_an_earlier_sittings_file_that_was_cut_off_since_is_refused(two: Journals, boot: str) -> None:
    data = two.sittings[0].data
    assert all(two.judge(data[:length], boot, 0) for length in range(0, len(data), 7))
    assert two.judge(data + data.splitlines(keepends=True)[-1], boot, 0)


@pytest.mark.parametrize("boot", BOOTS)
def test_a_sitting_that_ended_in_order_and_was_cut_off_is_refused_or_read_as_a_crash(two: Journals, boot: str) -> None:
    data = two.last.data
    assert not any(two.judge(data[:length], boot) for length in range(len(data) + 1))


# -- sectors, blocks and whole records -----------------------------------------------------------------------------


@pytest.mark.parametrize("boot", BOOTS)
@pytest.mark.parametrize("size", [512, 4096])
def test_zeroed_blocks_are_a_power_cut_or_refused(tmp_path: Path, size: int, boot: str) -> None:
    journals = Journals(tmp_path, long())
    data = journals.last.data
    images = set()
    for begin in range(0, len(data), size):
        for end in (begin + size, begin + 2 * size, len(data)):
            zeros = bytes(min(end, len(data)) - begin)
            images.add(data[:begin] + zeros + data[begin + len(zeros) :])
    read = {image for image in images if not journals.judge(image, boot)}
    if boot == SAME:
        assert read == {bytes(len(data))}, "nothing but zeros tells no boot"
    else:
        assert 1 < len(read) < len(images)


@pytest.mark.parametrize("boot", BOOTS)
@pytest.mark.parametrize("size", [1, 512, 4096])
def test_missing_bytes_in_the_middle_are_refused(tmp_path: Path, size: int, boot: str) -> None:
    journals = Journals(tmp_path, long())
    data = journals.last.data
    for begin in range(0, len(data) - size - 1, max(size, 13)):
        image = data[:begin] + data[begin + size :]
        if not data.startswith(image):
            assert journals.judge(image, boot)


@pytest.mark.parametrize("boot", BOOTS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines, lines[2]],
        lambda lines: [*lines, b"garbage"],
        lambda lines: [*lines, b"\xff" * 40 + b"\n"],
        lambda lines: lines[1:],
        lambda lines: [*lines[:4], *lines[5:]],
        lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]],
        lambda lines: [b"garbage\n" * 3],
        lambda lines: [lines[0], *lines],
    ],
)
def test_records_that_are_missing_moved_or_added_are_refused(
    one: Journals, boot: str, spoil: Callable[[list[bytes]], list[bytes]]
) -> None:
    lines = one.last.data.splitlines(keepends=True)
    assert one.judge(b"".join(spoil(lines)), boot)


@pytest.mark.parametrize("boot", BOOTS)
def test_nothing_may_come_after_the_end_of_a_sitting(two: Journals, boot: str) -> None:
    last = two.last.data.splitlines(keepends=True)[-1]
    for added in (last, b"\0" * 512, b"x", last[:5]):
        assert two.judge(two.last.data + added, boot)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_power_cut_leaves_of_what_was_not_synced_is_read(tmp_path: Path, seed: int) -> None:
    """Lost, torn, zeroed and reordered in sectors or blocks, at any moment."""
    random = Random(seed)
    sitting = long(details=random.choice([0, 300, 3000]))
    journals = Journals(tmp_path, sitting)
    for moment in random.sample(sitting.moments, 12):
        block = random.choice([512, 4096])
        image = bytearray(sitting.data[: moment.size])
        for begin in range(moment.durable // block * block, moment.size, block):
            if random.random() < 0.5:
                lost = slice(max(begin, moment.durable), min(begin + block, moment.size))
                image[lost] = bytes(lost.stop - lost.start)
        kept = random.randint(max(moment.durable, len(image.rstrip(b"\0"))), moment.size)
        assert not journals.judge(bytes(image[:kept]), OTHER)


# -- sound checksums, wrong contents -------------------------------------------------------------------------------

ODD = (None, True, -1, 2**40, 1.5, 1e300, "x", "zz", [], {}, [1, 2], [["a"]])


def sealed(records: list[Any]) -> bytes:
    """A file of these records, each with a right checksum."""
    data = b""
    for record in records:
        text = orjson.dumps(record)
        data += b"%08x %b\n" % (crc32(text, len(data)), text)
    return data


def replaced(items: list[Any], others: Iterable[Any] = ODD) -> Iterator[list[Any]]:
    """Each item in turn replaced by each of the others."""
    others = tuple(others)
    for place in range(len(items)):
        yield from ([*items[:place], other, *items[place + 1 :]] for other in others)


def misshapen_list(items: list[Any]) -> Iterator[Any]:
    """A list of a record with an odd item, of another length, nested, doubled, or no list at all."""
    yield from replaced(items)
    yield from ([], items[:-1], items[1:], [*items, items[-1]], [items[0]] * len(items), [items], items[0], items * 2)
    yield from ([*items, odd] for odd in ODD)


def misshapen_value(value: Any, rows: int) -> Iterator[Any]:
    """A bare value as lists of every length, the right one with a value of another kind among them."""
    yield from ([value] * count for count in (0, 1, rows - 1, rows + 1, 2 * rows))
    yield from replaced([value] * rows)
    if isinstance(value, str):
        yield from (value[:-1], value[1:], value[2:], f"{value}0", f"{value}00", f"{value[:-2]}é", f"{value[:-2]}zz")


def misshapen(records: list[Any]) -> Iterator[list[Any]]:
    """One record changed in one item, one item short, one too long, or something else altogether."""
    for index, record in enumerate(records):
        others: list[Any] = [[*record, 1], record[:-1], {}, [], None, 7, ["start"], "start", record[::-1]]
        others += replaced(record)
        rows = next((len(item) for item in record[::-1] if isinstance(item, list)), 1)
        for place, item in enumerate(record):
            odd = misshapen_list(item) if isinstance(item, list) else misshapen_value(item, rows)
            others += ([*record[:place], other, *record[place + 1 :]] for other in odd)
        if record[0] == "sitting":
            others += (["sitting", {**record[1], key: odd}] for key in record[1] for odd in ODD)
            others += (["sitting", {name: record[1][name] for name in record[1] if name != key}] for key in record[1])
        yield from ([*records[:index], other, *records[index + 1 :]] for other in others)


def several() -> Sitting:
    """A sitting in order whose records are of several rows each, with columns of both kinds."""
    sitting = Sitting()
    sitting.begin()
    sitting.claim(0, 1, 2)
    sitting.post(0, 1, 2)
    sitting.again(1, applied=False)
    sitting.settle_together({0: TOOK, 1: GONE, 2: TOOK})
    sitting.claim(7, 8)
    sitting.post(7, 8)
    sitting.settle_together({7: TOOK, 8: TOOK})
    sitting.over()
    return sitting


def fold(files: list[Path]) -> set[int]:
    """Fold a journal as a run does; returns the rows that the ledger holds in doubt. Everything is put in columns."""
    ledger = Ledger.in_memory()
    ledger.begin_run(RunRecord("r1", 0, "job", "running", "", (), "global-event", True, "", 1.0))
    rows = EndedRows(files[0].parent)
    try:
        fold_run(ledger, "r1", files, rows.add, boot=lambda: SAME)
        assert rows.height <= ROWS
        return {number for number in range(ROWS) if bytes([number]) in ledger.doubts([bytes([number])])}
    finally:
        ledger.close()


def test_a_record_of_another_shape_is_damage_whoever_made_its_checksum(tmp_path: Path) -> None:
    records = [orjson.loads(line[9:]) for line in several().data.splitlines()]
    records[0][1] |= {"linked": [["dd", 9]], "links": [None] * ROWS, "orders": [[1, 2, "bb"]] * ROWS, "before": []}
    file = tmp_path / "sitting-0001.log"
    file.write_bytes(sealed(records))
    assert fold([file]) == set()
    refused = folded = 0
    for changed in misshapen(records):
        file.write_bytes(sealed(changed))
        try:
            fold([file])
            folded += 1
        except LedgerError as error:
            refused += "sitting-0001.log: " in str(error)
    assert refused + folded == len([*misshapen(records)])
    assert refused > 5 * folded > 0, "texts and numbers that could be are taken as they are"


def test_a_format_newer_than_this_program_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "sitting-0001.log"
    file.write_bytes(sealed([["sitting", {"format": FORMAT + 1, "boot_id": "", "whatever": 1}], ["news", 1]]))
    with pytest.raises(LedgerError, match=rf"format {FORMAT + 1} of the journal, and this program knows {FORMAT}") as e:
        fold([file])
    assert not isinstance(e.value, DamagedJournal)


@pytest.mark.parametrize("missing", [0, 1])
def test_the_missing_file_of_a_sitting_is_named(tmp_path: Path, missing: int) -> None:
    first = killed()
    files = Journals(tmp_path, first, ended(first), ended(first)).files
    files[missing].unlink()
    with pytest.raises(
        DamagedJournal, match=rf"sitting-000{missing + 2}\.log: the file of the sitting before is missing"
    ):
        fold([*files[:missing], *files[missing + 1 :]])


# -- a disk that takes no more -------------------------------------------------------------------------------------


class SmallDisk(FakeLog):
    """Takes so many bytes: the write that does not fit goes in part, and every later one and every sync fails."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def append(self, data: bytes) -> None:
        self._fail("append")
        fits = self._room - len(self.data)
        if fits < len(data):
            self.data += data[:fits]
            self.broken = "all"
            self._fail("append")
        self.data += data


class DiskThatLosesWrites(FakeLog):
    """Its ``number``-th sync fails (EIO), once; after that it says that all is well."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._left = number

    def append(self, data: bytes) -> None:
        self.data += data

    def sync(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise OSError(errno.EIO, "Input/output error")
        self.durable = len(self.data)


CONCURRENCY, TOGETHER = 4, 2


def work(log: FakeLog, rows: int = 16) -> tuple[set[int], set[int], bool]:
    """As delivery does it: claims ahead, ends handed over with the next starts, :data:`TOGETHER` at a time. Returns the
    rows that were posted, those whose reply came, and whether the journal failed. Nothing may be posted after that."""
    book = Journal(log, run_blocking=inline, clock=lambda: 1.0, boot=lambda: SAME)
    posted: set[int] = set()
    replied: set[int] = set()
    in_flight: list[int] = []
    try:
        book.begin({"run_id": "r1"})
        for first in range(0, rows, CONCURRENCY):
            at_once(book.claim([row(number) for number in range(first, first + CONCURRENCY)]))
            for start in range(first, first + CONCURRENCY, TOGETHER):
                while len(in_flight) > CONCURRENCY - TOGETHER:
                    replied.add(in_flight[0])
                    book.settle(in_flight.pop(0), TOOK, latency_ms=1.0, may_be_applied=True)
                numbers = range(start, start + TOGETHER)
                book.start([*numbers])
                posted.update(numbers)
                in_flight += numbers
        return posted, replied, False
    except JournalError:
        for number in in_flight:  # their replies still come, and find a journal that takes nothing
            with pytest.raises(JournalError):
                book.settle(number, TOOK, latency_ms=1.0, may_be_applied=True)
        with pytest.raises(JournalError):
            book.start([rows])
        return posted, replied, True


def read(log: FakeLog, folder: Path, boot: str) -> tuple[set[int], set[int]]:
    """The rows ended and those in doubt."""
    (folder / "sitting-0001.log").write_bytes(log.data)
    history = History()
    ends = {end.number for end in ends_of(replay([folder / "sitting-0001.log"], history, boot=lambda: boot))}
    return ends, {number for number, left in history.open.items() if left.in_doubt}


def test_wherever_the_disk_is_full_no_more_than_concurrency_is_in_doubt(tmp_path: Path) -> None:
    whole = SmallDisk(1_000_000)
    assert work(whole)[2] is False
    most = 0
    for room in range(len(whole.data)):
        log = SmallDisk(room)
        posted, replied, failed = work(log)
        ends, doubts = read(log, tmp_path, SAME)
        assert failed
        assert posted <= ends | doubts
        assert ends <= replied
        assert len(doubts - posted) in (0, TOGETHER), "only starts that lack nothing but their line's end"
        assert len(doubts) <= CONCURRENCY
        most = max(most, len(doubts))
    assert most == CONCURRENCY


@pytest.mark.parametrize("number", range(1, 6))
def test_nothing_is_posted_after_a_sync_that_failed_once(tmp_path: Path, number: int) -> None:
    """The kernel says so once, and forgets it; the claim that it was for may be on no disk."""
    log = DiskThatLosesWrites(number)
    posted, _, failed = work(log)
    assert failed
    log.data[log.durable :] = b""  # and the machine goes down
    ends, doubts = read(log, tmp_path, OTHER)
    assert posted <= ends | doubts
    assert len(posted) == CONCURRENCY * max(number - 2, 0)


def test_on_a_real_file_system_a_full_disk_leaves_concurrency_in_doubt(tmp_path: Path) -> None:
    """RLIMIT_FSIZE in a process of its own: the write that passes it goes in part."""
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from batchpost.journal import create_sitting\n"
        "from tests.test_journal_damage import work\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1200, 1200))\n"
        "posted, _, failed = work(create_sitting(Path(sys.argv[1])))\n"
        "print(failed, *sorted(posted))\n"
    )
    root = Path(__file__).parent.parent
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=root, check=True, capture_output=True, text=True
    ).stdout.split()
    assert (tmp_path / "sitting-0001.log").stat().st_size == 1200
    history = History()
    ends = {end.number for end in ends_of(replay([tmp_path / "sitting-0001.log"], history, boot=lambda: SAME))}
    doubts = {number for number, left in history.open.items() if left.in_doubt}
    assert told[0] == "True"
    assert {int(number) for number in told[1:]} == ends | doubts
    assert 0 < len(doubts) <= CONCURRENCY
