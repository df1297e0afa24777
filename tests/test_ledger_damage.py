"""A damaged ledger, or a damaged journal beside one, gives the right answers or none.

By default a sample of all damages, from a seed; all of them with BATCHPOST_DAMAGE=all in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from batchpost.errors import LedgerError
from batchpost.ledger import Ledger
from tests.ledgers import (
    Image,
    answers_of,
    fold_into,
    fold_more,
    fold_more_in_little_memory,
    instants_of,
    lay,
    put,
    questions_to,
    small_ledger,
)

ALL = os.environ.get("BATCHPOST_DAMAGE") == "all"
PAGE = 512
MAGIC = bytes.fromhex("d9d505f920a163d7")
Answers = dict[str, Any]


@cache
def _crashes(write: Callable[[Path], None] = fold_more) -> list[Image]:
    """What a process leaves that dies in a small write, instant by instant."""
    with TemporaryDirectory() as folder:
        small_ledger(Path(folder) / "ledger.db")
        return instants_of(Path(folder) / "ledger.db", write)


@pytest.fixture(scope="module")
def whole() -> bytes:
    """A sound ledger."""
    return _crashes()[0]["ledger.db"]


@pytest.fixture(scope="module")
def before(whole: bytes, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What it answers."""
    path = tmp_path_factory.mktemp("before") / "ledger.db"
    path.write_bytes(whole)
    return answers_of(path)


@pytest.fixture(scope="module")
def after(whole: bytes, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What it answers after a small write."""
    path = tmp_path_factory.mktemp("after") / "ledger.db"
    path.write_bytes(whole)
    fold_more(path)
    return answers_of(path)


def asked(path: Path, *expected: Answers) -> tuple[list[str], set[int]]:
    """Ask everything: the questions that were refused, and which of the expected states all other answers are of.

    Fails on any other exception.
    """
    refused, states = [], set(range(len(expected)))
    try:
        with closing(Ledger.open(path)) as ledger:
            for name, ask in questions_to(ledger).items():
                try:
                    answer = ask()
                    states = {state for state in states if answer == expected[state][name]}
                except LedgerError as error:
                    refused.append(name if str(path) in str(error) else f"{error} does not say where")
    except LedgerError as error:
        refused.append("open" if str(path) in str(error) else f"{error} does not say where")
    return refused, states


def written(path: Path) -> bool:
    """Whether a small write is taken."""
    try:
        with closing(Ledger.open(path)) as ledger:
            fold_into(ledger)
    except LedgerError:
        return False
    return True


def sample(size: int, step: int, always: Iterator[int] | range = range(0)) -> list[int]:
    """Numbers below ``size``: all, or one of every ``step`` and those always wanted."""
    if ALL:
        return list(range(size))
    random = Random(size)
    return sorted({*always, *(random.randrange(first, min(first + step, size)) for first in range(0, size, step))})


# -- the ledger itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [1, 255], ids=["one bit", "all bits"])
def test_no_flipped_byte_of_a_ledger_goes_unnoticed_or_changes_an_answer(
    whole: bytes, before: Answers, tmp_path: Path, mask: int
) -> None:
    path = tmp_path / "ledger.db"
    for offset in sample(len(whole), 20, range(100)):
        image = bytearray(whole)
        image[offset] ^= 1 << offset % 8 if mask == 1 else mask
        put(path, image)
        refused, states = asked(path, before)
        assert states == {0}, f"a wrong answer after byte {offset}"
        assert refused, f"nobody noticed byte {offset}"
        assert {*refused} <= {"open", *before}


def test_a_write_into_a_damaged_ledger_is_refused_or_does_what_it_should(
    whole: bytes, before: Answers, after: Answers, tmp_path: Path
) -> None:
    path, taken = tmp_path / "ledger.db", 0
    for offset in sample(len(whole), 80):
        image = bytearray(whole)
        image[offset] ^= 0x10
        put(path, image)
        done = written(path)
        taken += done
        assert asked(path, after if done else before)[1] == {0}, f"a wrong answer after byte {offset}"
    assert taken < len(sample(len(whole), 80)) / 2


def test_a_ledger_that_was_cut_off_anywhere_is_refused(whole: bytes, before: Answers, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    edges = (edge + off for edge in range(PAGE, len(whole), PAGE) for off in (-1, 0, 1))
    for size in sample(len(whole), 32, edges):
        put(path, whole[:size])
        assert asked(path, before) == (["open"], {0}), f"cut to {size} bytes"


@pytest.mark.parametrize("tail", [b"\0", b"\xff" * 100, bytes(PAGE), b"\x0a" * PAGE * 3 + b"x", b"copy" * 10_000])
def test_bytes_behind_its_end_do_not_matter(
    whole: bytes, before: Answers, after: Answers, tmp_path: Path, tail: bytes
) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(whole + tail)
    assert asked(path, before) == ([], {0})
    assert written(path)
    assert asked(path, after) == ([], {0})


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"\x0d"])
def test_no_overwritten_page_goes_unnoticed(whole: bytes, before: Answers, tmp_path: Path, filler: bytes) -> None:
    path = tmp_path / "ledger.db"
    for first in range(0, len(whole), PAGE):
        put(path, whole[:first] + filler * PAGE + whole[first + PAGE :])
        refused, states = asked(path, before)
        assert refused
        assert states == {0}


# -- a journal that a dead process left ------------------------------------------------------------------------


CRASHES = {
    "nothing written": (fold_more, 0.0),
    "half written": (fold_more, 0.5),
    "all written": (fold_more, 1.0),
    "in several parts": (fold_more_in_little_memory, 0.8),
}


def hot(crash: str) -> Image:
    """A crash while the pages were written, so far along: everything needed to undo it is on disk."""
    write, progress = CRASHES[crash]
    images = [image for image in _crashes(write) if image.get("ledger.db-journal", b"").startswith(MAGIC)]
    return images[round(progress * (len(images) - 1))]


def test_these_crashes_are_what_they_are_called(whole: bytes) -> None:
    images = {name: hot(name) for name in CRASHES}
    changed = {name: image["ledger.db"] != whole for name, image in images.items()}
    assert [name for name in CRASHES if not changed[name]] == ["nothing written"]
    parts = {name: image["ledger.db-journal"].count(MAGIC) for name, image in images.items()}
    assert [count > 1 for count in parts.values()] == [False, False, False, True]


@pytest.mark.parametrize("write", [fold_more, fold_more_in_little_memory])
def test_a_crash_at_any_instant_of_a_write_leaves_what_was_before_or_after_it(
    before: Answers, after: Answers, tmp_path: Path, write: Callable[[Path], None]
) -> None:
    images, found = _crashes(write), []
    for image in images:
        lay(image, tmp_path)
        refused, states = asked(tmp_path / "ledger.db", before, after)
        assert not refused
        assert len(states) == 1
        found += states
    assert found == [0] * (len(images) - 1) + [1]
    assert len({image["ledger.db"] for image in images}) > 8


def _not_page_bytes(journal: bytes) -> Iterator[int]:
    """The header's fields, and what is around the page in each record."""
    yield from range(28)
    for record in range(512, len(journal), PAGE + 8):
        yield from range(record, min(record + 4, len(journal)))
        yield from range(record + 4 + PAGE, min(record + 8 + PAGE, len(journal)))


@pytest.mark.parametrize("mask", [1, 255], ids=["one bit", "all bits"])
@pytest.mark.parametrize("crash", CRASHES)
def test_a_flipped_byte_in_a_journal_is_refused_or_of_no_account(
    before: Answers, after: Answers, tmp_path: Path, crash: str, mask: int
) -> None:
    image, unnoticed = hot(crash), []
    journal = image["ledger.db-journal"]
    for offset in sample(len(journal), 40, _not_page_bytes(journal)):
        damaged = bytearray(journal)
        damaged[offset] ^= 1 << offset % 8 if mask == 1 else mask
        lay({**image, "ledger.db-journal": bytes(damaged)}, tmp_path)
        refused, states = asked(tmp_path / "ledger.db", before, after)
        assert states, f"a wrong answer after byte {offset} of the journal"
        if not refused:
            unnoticed.append(offset)
    padding = range(28, 512) if crash != "in several parts" else range(len(journal))
    assert [offset for offset in unnoticed if offset not in padding] == []


def test_a_page_of_a_journal_with_another_pages_number_is_refused(
    before: Answers, after: Answers, tmp_path: Path
) -> None:
    """SQLite would write it there. No sum of its own covers the number: the ledger as a whole is looked at."""
    image, refusals = hot("half written"), 0
    journal = image["ledger.db-journal"]
    for record in range(512, len(journal) - PAGE, PAGE + 8):
        for number in range(1, len(image["ledger.db"]) // PAGE + 3):
            damaged = journal[:record] + number.to_bytes(4) + journal[record + 4 :]
            if damaged == journal:
                continue
            lay({**image, "ledger.db-journal": damaged}, tmp_path)
            refused, states = asked(tmp_path / "ledger.db", before, after)
            assert states == {0, 1}, f"a wrong answer after the page at byte {record} of the journal went to {number}"
            refusals += refused == ["open"]
    assert refusals > 100


@pytest.mark.parametrize("crash", CRASHES)
def test_a_journal_that_was_cut_off_is_refused(before: Answers, after: Answers, tmp_path: Path, crash: str) -> None:
    image = hot(crash)
    journal = image["ledger.db-journal"]
    for size in sample(len(journal), 16, range(1, 40)):
        if size == 0 or _between_parts(journal, size):
            continue  # what is left is a journal of a transaction that had not come further
        lay({**image, "ledger.db-journal": journal[:size]}, tmp_path)
        refused, states = asked(tmp_path / "ledger.db", before, after)
        assert states, f"a wrong answer after a cut to {size} bytes"
        assert refused == ["open"] or size > journal.rindex(MAGIC), f"cut to {size} bytes"


def _between_parts(journal: bytes, size: int) -> bool:
    """Whether a cut leaves whole parts, each of which ends less than a sector before the next one's header."""
    first, following = journal.rfind(MAGIC, 0, size), journal.find(MAGIC, size)
    records = int.from_bytes(journal[first + 8 : first + 12])
    return first + PAGE + records * (PAGE + 8) <= size <= following
