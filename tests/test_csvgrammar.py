"""Records: recognised whole, cut into the same blocks whatever the portions, faults named where they are."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpost.csvgrammar import Block, Blocks, Grammar, Limits
from batchpost.errors import InputRefused

COMMA = Grammar(b",", b'"')


def cut(
    text: bytes, cells: int = 2, portion: int = 4 << 20, rows: int = 1 << 14, *, ragged: bool = False
) -> list[Block]:
    at = 0

    def read(size: int) -> bytes:
        nonlocal at
        at += size
        return text[at - size : at]

    limits = Limits(portion, rows)
    return list(Blocks(read, COMMA, cells, name="in.csv", text=b"", line=1, ragged=ragged, limits=limits))


@pytest.mark.parametrize(
    ("text", "end", "cells"),
    [
        (b"a,b\nc", 4, 2),
        (b"a,b\r\nc", 5, 2),
        (b"\n", 1, 1),
        (b",\n", 2, 2),
        (b'"a,""b""\n",c\n', 13, 2),
        (b'"",""\n', 6, 2),
        ("ä,ö\n".encode(), 6, 2),
    ],
)
def test_a_whole_record_has_an_end_and_cells(text: bytes, end: int, cells: int) -> None:
    assert COMMA.scan(text, 0)[:3] == (end, cells, None)


@pytest.mark.parametrize(
    ("text", "at"),
    [(b"", 0), (b"a", 0), (b"a,b", 2), (b"a,b\r", 2), (b'a,"b', 2), (b'a,"b""', 2), (b'a,"b"', 2), (b'"', 0)],
)
def test_a_record_that_the_text_cuts_off_has_no_end_and_no_fault(text: bytes, at: int) -> None:
    found = COMMA.scan(text, 0)
    assert (found.end, found.fault, found.at) == (-1, None, at)


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        (b'a"b,c\n', 1, "stray quote"),
        (b' "a",b\n', 1, "stray quote"),
        (b'a,"b"c\n', 5, "text after a closing quote"),
        (b'"a" ,b\n', 3, "text after a closing quote"),
        (b'"a \\"b\\" c",d\n', 5, "after a quote that follows a backslash"),
        (b'"\\"b\n', 3, "after a quote that follows a backslash"),
        (b"a\rb\n", 1, "carriage return"),
        (b'"a"\rb\n', 3, "carriage return"),
        (b"a\r\r\n", 1, "carriage return"),
    ],
)
def test_a_fault_is_named_where_it_is(text: bytes, at: int, message: str) -> None:
    found = COMMA.scan(text, 0)
    assert found.fault
    assert message in found.fault.message
    assert (found.end, found.at) == (-1, at)


@pytest.mark.parametrize("delimiter", [b";", b"\t", b"|", b" ", b"^", b"]", b"-", b"\\", b"."])
def test_any_delimiter_divides(delimiter: bytes) -> None:
    grammar = Grammar(delimiter, b'"')
    text = delimiter.join((b"a,b", b'"x%by"' % delimiter, b"")) + b"\n"
    assert grammar.split(text, 0, len(text)) == ["a,b", f"x{delimiter.decode()}y", ""]
    assert grammar.rows(3)[0].match(text).end() == len(text)  # type: ignore[union-attr]


def test_the_cells_of_a_header_come_without_their_quotes() -> None:
    text = b'x\n"a ""b""\r\n", c ,\r\ny'
    assert COMMA.split(text, 2, len(text) - 1) == ['a "b"\r\n', " c ", ""]
    assert Grammar(b",", b"").split(b'"a",b\n', 0, 6) == ['"a"', "b"]


def test_blocks_hold_whole_records_with_their_lines() -> None:
    blocks = cut(b'a,b\n"c\n\n",d\n\ne,f', portion=5, rows=2)
    assert b"".join(block.text for block in blocks) == b'a,b\n"c\n\n",d\n\ne,f\n'
    assert [(block.line, block.rows, block.folds) for block in blocks] == [
        (1, 1, []),
        (2, 2, [(0, 2)]),
        (6, 1, []),
    ]


def test_a_block_has_few_rows_however_short_they_are() -> None:
    blocks = cut(b"\n" * 10_000, rows=2048)
    assert [block.rows for block in blocks] == [2048, 2048, 2048, 2048, 1808]


def test_a_ragged_record_is_marked_with_its_place() -> None:
    [block] = cut(b'a,b\nc\n"d\n",e,f\ng,h\n', ragged=True)
    assert (block.rows, block.ragged, block.folds) == (4, [(1, 4, 6), (2, 6, 15)], [(2, 1)])


PIECES = st.lists(st.sampled_from([b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"x", b" "]), max_size=30)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.integers(1, 9), st.booleans())
def test_what_is_refused_does_not_depend_on_the_portions(pieces: list[bytes], portion: int, ragged: bool) -> None:
    def outcome(size: int) -> tuple[object, ...]:
        try:
            blocks = cut(b"".join(pieces), 2, size, ragged=ragged)
        except InputRefused as refused:
            return (refused.line, refused.message)
        return (sum(block.rows for block in blocks), b"".join(block.text for block in blocks))

    assert outcome(portion) == outcome(1000)


@pytest.mark.parametrize(
    "text",
    [b'"' + b'""\n' * 200_000, b"a," * 300_000, b'"a","b"' * 100_000, b'a,"' + b"x" * 1_000_000, b"a,b\r" * 200_000],
    ids=["doubled quotes", "one long record", "text after quotes", "open quote", "carriage returns"],
)
def test_no_text_takes_more_than_a_moment(text: bytes) -> None:
    started = time.process_time()
    with pytest.raises(InputRefused):
        cut(text)
    assert time.process_time() - started < 2


# -- lines that need no pattern ----------------------------------------------------------------------------------------


class Patterned(Blocks):
    """Every record is looked at by the patterns."""

    def _plain_rows(self) -> int:
        return 0


PIECES = st.lists(
    st.sampled_from([b"a", b"b,c", b",", b"\n", b"\r\n", b"\r", b'"', b'"x,\n"', b"1,2\n", b"3,4\r\n"]), max_size=40
)


@settings(max_examples=300, deadline=None)
@given(pieces=PIECES, rows=st.integers(1, 5), size=st.integers(1, 30), cells=st.integers(1, 3), ragged=st.booleans())
def test_plain_lines_are_taken_at_once_with_the_same_rows_lines_and_refusals(
    pieces: list[bytes], rows: int, size: int, cells: int, ragged: bool
) -> None:
    text = b"".join(pieces)

    def cut(kind: type[Blocks]) -> tuple[bytes, list[int], list[int], str]:
        """Text, lines on which rows begin, rows that are ragged; and the refusal."""
        source = io.BytesIO(text)
        blocks = kind(
            *(source.read, Grammar(b",", b'"'), cells),
            name="x",
            text=b"",
            line=2,
            ragged=ragged,
            limits=Limits(size, rows, 1 << 20),
        )
        read, lines, odd, before = b"", [], [], 0
        try:
            for block in blocks:
                read += block.text
                folds = dict(block.folds)
                line = block.line
                for row in range(block.rows):
                    lines.append(line)
                    line += 1 + folds.get(row, 0)
                odd += [before + row for row, _, _ in block.ragged]
                before += block.rows
        except InputRefused as refusal:
            return b"", [], [], str(refusal)
        return read, lines, odd, ""

    assert cut(Blocks) == cut(Patterned)
