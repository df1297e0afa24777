"""What records say, in the present format and in the first one, which had a record a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import anyio
import orjson
import pytest

from batchpost.fold import fold_run
from batchpost.history import History, Open, replay
from batchpost.journal import FORMAT, Journal
from batchpost.ledger import Ledger
from batchpost.ledgerrows import RunRecord
from batchpost.model import Outcome, Row, Settlement
from batchpost.recordshapes import OF_ROWS, Claim, read_record, rows_of
from tests.endings import Ended, ends_of
from tests.fakes import FakeLog, a_row, inline

TOOK = Settlement(Outcome.DELIVERED, "conversion", "", 200, "", "conv_1", "src_1", "https://thanks.example.com")
GONE = Settlement(Outcome.REJECTED, "lead_not_found", "naïve\n\x1b[1m", 400)
UNSURE = Settlement(Outcome.UNKNOWN, "dropped", "the connection ended")
KEYS = {number: bytes([number]) * 16 for number in range(10)}


def row(number: int) -> Row:
    return a_row(number, key=KEYS[number], body_hash=KEYS[number], stake=b"s" * 16, amount=f"{number}.50")


# -- record by record ----------------------------------------------------------------------------------------------

SAME = ["conversion", "", 200, "", "conv_1", "src_1", ""]
CLAIM_OF_TWO = ["claim", [9, 2, 5], [3, 4], [Claim(b"\1", b"\2", b"\3", "5.00"), Claim(b"\4", b"\5", b"\6", "")]]


@pytest.mark.parametrize(
    ("first", "present", "read"),
    [
        (
            ["claim", [9, 2, 5], [[3, "01", "02", "03", "5.00"], [4, "04", "05", "06", ""]]],
            ["claim", [9, 2, 5], [3, 4], "0104", "0205", "0306", ["5.00", ""]],
            CLAIM_OF_TWO,
        ),
        (
            ["claim", [0, 0, -1], [[3, "0102", "0304", "", ""]]],
            ["claim", [0, 0, -1], [3], "0102", "0304", "", ""],
            ["claim", [0, 0, -1], [3], [Claim(b"\1\2", b"\3\4", b"", "")]],
        ),
        (["start", 3, 17.25], ["start", 17.25, [3]], ["start", 17.25, [3]]),
        (["start", 3, 17], ["start", 17, [3]], ["start", 17, [3]]),
        (
            ["end", 3, 17.25, "delivered", *SAME, 5.5, True],
            ["end", 17.25, [3], [5.5], True, "delivered", *SAME],
            ["end", 17.25, [3], [5.5], True, "delivered", *SAME],
        ),
        (
            ["end", 3, 17, "failed", "dns", "", None, "", "", "", "", 5, False],
            ["end", 17, [3], [5], False, "failed", "dns", "", None, "", "", "", ""],
            ["end", 17, [3], [5], False, "failed", "dns", "", None, "", "", "", ""],
        ),
    ],
)
def test_both_formats_are_read_alike(first: list[Any], present: list[Any], read: list[Any]) -> None:
    assert read_record(first) == read_record(present) == read


def test_what_is_the_same_for_all_rows_and_what_is_not() -> None:
    end = ["end", 1.5, [3, 4], [5, 6.5], [True, False], ["delivered", "rejected"], "x", "", [200, None], *[""] * 4]
    assert read_record(end) == end
    assert read_record(["end", 1.5, [3, 4], [5.0], *end[4:]]) is None, "each row has a latency of its own"
    assert read_record(["end", 1.5, [3, 4], 5.0, *end[4:]]) == ["end", 1.5, [3, 4], 5.0, *end[4:]]
    assert read_record(["claim", [0, 0, -1], [3, 4], "0102", "0304", "0506", "1.00"]) == [
        *("claim", [0, 0, -1], [3, 4]),
        [Claim(b"\1", b"\3", b"\5", "1.00"), Claim(b"\2", b"\4", b"\6", "1.00")],
    ]


@pytest.mark.parametrize(
    "record",
    [
        ["claim", [0, 0, -1], [3, 4], "010203", "0304", "0506", ""],
        ["claim", [0, 0, -1], [3, 4], "0102", "0304", "05060", ""],
        ["claim", [0, 0, -1], [3, 4], "0102", "0304", "0506", ["", "", ""]],
        ["claim", [0, 0, -1], [3, 4], ["01", "02"], "0304", "0506", ""],
        ["claim", [0, 0, -1], [], "", "", "", ""],
        ["claim", [0, 0, -1], []],
        ["claim", [0, 0, -1], 3, "01", "02", "03", ""],
        ["claim", [0, 0, -1], [[3, "01", "02", "03"]]],
        ["claim", [0, 0, -1], [[3, "01", "02", 3, ""]]],
        ["claim", [0, 0, -1], [[3, "01", "02", "03", ""], [4, "0104", "02", "03", ""]]],
        ["claim", [0, 0], [3], "01", "02", "03", ""],
        ["start", 17.5, []],
        ["start", 17.5, [3, 3.0]],
        ["start", 17.5, [True]],
        ["start", 17.5, [2**32]],
        ["start", 17.5, 3],
        ["start", True, 17.5],
        ["start", -1, 17.5],
        ["end", 3, 17.5, "delivered", *SAME, [5.5], True],
        ["end", 3, 17.5, "gone", *SAME, 5.5, True],
        ["end", 17.5, [3], [5.5], True, "delivered", *SAME, ""],
        ["end", 17.5, [3], [5.5], True, ["delivered", "delivered"], *SAME],
        ["end", 17.5, [3, 4], [5.5, 6.5], True, ["delivered", "gone"], *SAME],
        ["end", 17.5, [3, 4], [5.5, 6.5], 1, "delivered", *SAME],
        ["end", 17.5, [3, 4], [5.5, None], True, "delivered", *SAME],
        ["end", 17.5, [3, 4], [5.5, 6.5], True, "delivered", "", "", [200, 1000], "", "", "", ""],
        ["end", 17.5, [3, 4], [5.5, 6.5], True, "delivered", "", "", [200, "200"], "", "", "", ""],
        ["again", [3], 17.5, "dropped", True],
        ["nothing", 1],
        [["start"], 17.5, [3]],
        "start",
        None,
    ],
    ids=str,
)
def test_what_no_journal_says_is_not_read(record: object) -> None:
    assert read_record(record) is None


def test_the_rows_that_a_record_is_about() -> None:
    records = [["start", 1.5, [3, 4]], ["again", 5, 1.5, "x", True], ["end", 2.5, [6, 7], [1.0, 2.0]]]
    assert [record[0] for record in records if record[0] in OF_ROWS] == ["start", "again", "end"]
    assert [[*rows_of(record)] for record in records] == [[3, 4], [5], [6, 7]]


# -- whole journals ------------------------------------------------------------------------------------------------


class FirstFormat:
    """Writes a sitting as the program did whose journals had a record a row."""

    def __init__(self) -> None:
        self.data = b""
        self.now = 100.0
        self.claimed, self.highest = 0, -1

    def begin(self, **header: Any) -> None:
        self._add(orjson.dumps(["sitting", {**header, "boot_id": "a boot", "pid": 7, "at": self.now}]))

    def claim(self, *numbers: int) -> None:
        rows = [row(number) for number in numbers]
        entries = [[one.number, one.key.hex(), one.body_hash.hex(), one.stake.hex(), one.amount] for one in rows]
        self._add(orjson.dumps(["claim", [len(self.data), self.claimed, self.highest], entries]))
        self.claimed += len(rows)
        self.highest = max(self.highest, *numbers)

    def start(self, *numbers: int) -> None:
        for number in numbers:
            self._add(b'["start",%d,%.3f]' % (number, self.now))

    def again(self, number: int, kind: str, *, applied: bool) -> None:
        self._add(orjson.dumps(["again", number, self.now, kind, applied]))

    def settle(self, settlements: dict[int, Settlement]) -> None:
        for number, settlement in settlements.items():
            applied = settlement.outcome is not Outcome.REJECTED
            self._add(orjson.dumps(["end", number, self.now, *settlement, 5.25, applied]))

    def over(self, cause: str, code: int) -> None:
        self._add(orjson.dumps(["over", [len(self.data), self.claimed, self.highest], self.now, cause, code]))

    def _add(self, text: bytes) -> None:
        self.data += b"%08x %b\n" % (crc32(text, len(self.data)), text)


class PresentFormat:
    """Writes the same through the journal."""

    def __init__(self) -> None:
        self.log = FakeLog()
        self.now = 100.0
        self.book = Journal(self.log, run_blocking=inline, clock=lambda: self.now, boot=lambda: "a boot")

    @property
    def data(self) -> bytes:
        return bytes(self.log.data)

    def begin(self, **header: Any) -> None:
        self.book.begin(header)

    def claim(self, *numbers: int) -> None:
        anyio.run(self.book.claim, [row(number) for number in numbers])

    def start(self, *numbers: int) -> None:
        self.book.start(numbers)

    def again(self, number: int, kind: str, *, applied: bool) -> None:
        self.book.again(number, kind, may_be_applied=applied)

    def settle(self, settlements: dict[int, Settlement]) -> None:
        for number, settlement in settlements.items():
            applied = settlement.outcome is not Outcome.REJECTED
            self.book.settle(number, settlement, latency_ms=5.25, may_be_applied=applied)
        self.book.flush()

    def over(self, cause: str, code: int) -> None:
        self.book.over(cause, code)


Writer = FirstFormat | PresentFormat


def killed(to: Writer) -> bytes:
    """Rows 0 to 4 were sent: 0 and 1 are settled, 2 came back with a 500, 3 may have arrived, 4 was refused for a
    while; 5 is claimed only."""
    to.begin(run_id="r1", is_event=True, fires_again=True, seq=1, input="aa", contents=[("c0", 10)])
    to.claim(0, 1, 2, 3)
    to.start(0, 1, 2)
    to.now = 100.5
    to.settle({0: TOOK, 1: GONE})
    to.again(2, "server_error", applied=True)
    to.claim(4, 5)
    to.now = 101.125
    to.start(3, 4)
    to.again(4, "rate_limited", applied=False)
    to.settle({})
    return to.data


def ended(to: Writer, before: int) -> bytes:
    """The sitting after it, which ended in order: 4 went through, 6 and 7 at once; 2 stays as it is."""
    to.now = 200.0
    to.begin(run_id="r1", before=[before])
    to.claim(4, 5, 6, 7)
    to.start(4, 6, 7)
    to.now = 201.0
    to.settle({6: TOOK, 7: TOOK})
    to.settle({4: UNSURE})
    to.over("limit", 6)
    return to.data


def journal_of(folder: Path, *writers: type[Writer]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    first = killed(writers[0]())
    data = [first, *(ended(writer(), len(first)) for writer in writers[1:])]
    files = [folder / f"sitting-{number:04d}.log" for number in range(1, len(data) + 1)]
    for file, text in zip(files, data, strict=True):
        file.write_bytes(text)
    return files


def read(files: list[Path], boot: str) -> tuple[list[Ended], dict[int, Open], tuple[str, int] | None, int]:
    history = History()
    ends = ends_of(replay(files, history, boot=lambda: boot))
    return ends, history.open, history.over, history.starts


def folded(files: list[Path], boot: str) -> tuple[object, object, bytes]:
    ledger = Ledger.in_memory()
    ledger.begin_run(RunRecord("r1", 0, "job", "running", "", (), "global-event", True, "", 1.0))
    fold_run(ledger, "r1", files, boot=lambda: boot)
    keys = [*KEYS.values()]
    known = ledger.events(keys), ledger.doubts(keys), ledger.delivered_rows(b"\xc0")
    ledger.close()
    return known


@pytest.mark.parametrize("boot", ["a boot", "another boot"])
@pytest.mark.parametrize(
    "writers",
    [(FirstFormat,), (FirstFormat, FirstFormat), (FirstFormat, PresentFormat)],
    ids=["killed", "two sittings", "gone on with by this program"],
)
def test_a_journal_of_the_first_format_is_read_and_folded_as_one_of_the_present(
    tmp_path: Path, writers: tuple[type[Writer], ...], boot: str
) -> None:
    older = journal_of(tmp_path / "older", *writers)
    newer = journal_of(tmp_path / "newer", *[PresentFormat] * len(writers))
    assert read(older, boot) == read(newer, boot)
    assert folded(older, boot) == folded(newer, boot)
    ends, left, over, starts = read(older, boot)
    known, doubts, rows = folded(older, boot)
    assert [end.number for end in ends] == [0, 1, 6, 7, 4][: 2 if over is None else 5]
    assert [(end.attempts, end.first_attempt_at) for end in ends if end.number == 4] == ([(2, 101.125)] if over else [])
    doubted = {2, 3} | ({4, 5} if boot != "a boot" else set()) - {end.number for end in ends}
    assert {number for number, one in left.items() if one.in_doubt} == doubted
    assert starts == (8 if over else 5)
    assert len(known) == (3 if over else 1)
    assert doubts.keys() == {KEYS[number] for number in doubted | ({4} if over else set())}
    assert rows == bytes([0b11000001 if over else 0b1, 0])


def test_the_present_format_says_so_and_the_first_may_not() -> None:
    headers = [orjson.loads(killed(writer()).split(b"\n")[0][9:])[1] for writer in (PresentFormat, FirstFormat)]
    assert [header.get("format") for header in headers] == [FORMAT, None]
    assert FORMAT == 2
