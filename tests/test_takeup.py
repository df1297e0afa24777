"""A sitting that goes on learns from the journal, or from what the one before noted: both say the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from batchpost.errors import LedgerError
from batchpost.fates import Fates
from batchpost.history import DamagedJournal, History
from batchpost.journal import Journal, create_sitting, sitting_files
from batchpost.model import Outcome, Settlement
from batchpost.takeup import note, take_up
from tests.fakes import a_row, inline

ROWS = 12
TOOK = Settlement(Outcome.DELIVERED, "conversion", "", 200, "", "conv_1")
NO_LEAD = Settlement(Outcome.REJECTED, "lead_not_found", "", 400)
NOTES = ["taken.bin", "taken.json"]


def sit(folder: Path, *, over: bool = True) -> None:
    """Rows 1 and 2 end; 3 was answered with a 500 and 4 with a 429; 5 is claimed only."""
    journal = Journal(create_sitting(folder), run_blocking=inline, clock=lambda: 7.0)
    journal.begin({"run_id": "r1", "contents": [["c0", ROWS]]})
    mark = b"\x01" * 16
    asyncio.run(journal.claim([a_row(number, stake=mark, amount="5.00") for number in range(1, 6)]))
    journal.start([1, 2, 3, 4])
    journal.settle(1, TOOK, latency_ms=1.0, may_be_applied=True)
    journal.settle(2, NO_LEAD, latency_ms=1.0, may_be_applied=False)
    journal.again(3, "server_error", may_be_applied=True)
    journal.again(4, "rate_limited", may_be_applied=False)
    if over:
        journal.over("limit", 6)
    journal.close()


def said(folder: Path) -> tuple[History, dict[int, tuple[str, str]]]:
    """What is taken up: the history, and the rows that ended."""
    history, fates = take_up(folder, ROWS)
    ends = {row: fates.table[code] for row, code in enumerate(fates.codes) if code}
    return history, ends


def noted(folder: Path) -> None:
    history, fates = take_up(folder, ROWS)
    note(folder, history, fates)


def test_what_is_noted_is_what_the_journal_says(tmp_path: Path) -> None:
    sit(tmp_path)
    read = said(tmp_path)
    noted(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("taken.*")) == NOTES
    assert said(tmp_path) == read
    history, ends = read
    assert ends == {1: ("delivered", "conversion"), 2: ("rejected", "lead_not_found")}
    assert {row: left.in_doubt for row, left in history.open.items()} == {3: True, 4: False}
    assert (history.over, history.starts, history.sittings) == (("limit", 6), 4, 1)


def test_the_notes_are_used_and_the_journal_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sit(tmp_path)
    noted(tmp_path)
    monkeypatch.setattr("batchpost.takeup.replay", None)
    assert said(tmp_path)[0].starts == 4


def test_a_sitting_that_did_not_end_in_order_notes_nothing(tmp_path: Path) -> None:
    """Whether its claims are in doubt depends on the boot of who asks."""
    sit(tmp_path, over=False)
    noted(tmp_path)
    assert [*tmp_path.glob("taken.*")] == []


def test_another_sitting_makes_the_notes_worth_nothing(tmp_path: Path) -> None:
    sit(tmp_path)
    noted(tmp_path)
    sit(tmp_path)
    assert said(tmp_path)[0].starts == 8


def test_a_journal_that_was_changed_since_is_refused_as_ever(tmp_path: Path) -> None:
    sit(tmp_path)
    noted(tmp_path)
    [file] = sitting_files(tmp_path)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedJournal):
        take_up(tmp_path, ROWS)


@pytest.mark.parametrize("name", NOTES)
def test_damaged_notes_are_worth_nothing(tmp_path: Path, name: str) -> None:
    sit(tmp_path)
    expected = said(tmp_path)
    noted(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for damaged in (b"", whole[:-1], whole[:3] + b"\xff" + whole[4:], b"{}", b'{"facts": [], "crc32": 1}'):
        (tmp_path / name).write_bytes(damaged)
        assert said(tmp_path) == expected
    (tmp_path / name).unlink()
    assert said(tmp_path) == expected


def test_notes_of_another_input_are_worth_nothing(tmp_path: Path) -> None:
    sit(tmp_path)
    noted(tmp_path)
    assert len(take_up(tmp_path, ROWS + 1)[1]) == ROWS + 1


def test_a_journal_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    sit(tmp_path)
    sit(tmp_path)
    noted(tmp_path)
    sitting_files(tmp_path)[0].unlink()
    with pytest.raises(LedgerError):
        take_up(tmp_path, ROWS)


def test_fates_of_many_kinds_come_back(tmp_path: Path) -> None:
    sit(tmp_path)
    history, _ = take_up(tmp_path, ROWS)
    fates = Fates()
    fates.codes += bytes(ROWS)
    for row in range(ROWS):
        fates.settle(row, Outcome.REJECTED, f"reason_{row}")
    note(tmp_path, history, fates)
    assert take_up(tmp_path, ROWS)[1].table == fates.table
