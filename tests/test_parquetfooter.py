"""A footer is held against itself before anything is read by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchpost.parquetfooter import Unsound, read_footer
from tests.thrift import Struct, footer_of, with_footer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(pa.table({"a": ["x", "y"], "b": ["1", "2"], "n": [3, 4]}), tmp_path / "in.parquet", row_group_size=1)
    return tmp_path / "in.parquet"


def chunk(footer: Struct, group: int, column: int) -> Struct:
    """ColumnChunk.meta_data: type 1, total_compressed_size 7, data_page_offset 9, dictionary_page_offset 11."""
    meta: Struct = footer[4][1][1][group][1][1][1][column][3][1]
    return meta


def test_a_sound_footer_is_read_and_the_schema_that_was_written_kept_apart(path: Path) -> None:
    footer = read_footer(path)
    assert footer.metadata.num_rows == 2
    assert b"ARROW:schema" not in footer.metadata.metadata
    assert footer.written is not None
    assert footer.written.names == ["a", "b", "n"]


def other_place(footer: Struct) -> None:
    """The first column's values where the second's are."""
    for number in (9, 11):
        chunk(footer, 0, 0)[number] = chunk(footer, 0, 1)[number]


def too_long(footer: Struct) -> None:
    chunk(footer, 0, 0)[7][1] += 1


def beyond(footer: Struct) -> None:
    chunk(footer, 1, 2)[9][1] += 10_000
    chunk(footer, 1, 2)[11][1] += 10_000


def fewer_rows(footer: Struct) -> None:
    footer[4][1][1][0][3][1] = 0  # RowGroup.num_rows


def negative_rows(footer: Struct) -> None:
    for group, rows in enumerate((-1, 3)):
        footer[4][1][1][group][3][1] = rows


def giant(footer: Struct) -> None:
    footer[4][1][1][0][2][1] = 2**40  # RowGroup.total_byte_size


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (other_place, "two columns in one place"),
        (too_long, "two columns in one place"),
        (beyond, "columns beyond its end"),
        (fewer_rows, "do not add up"),
        (negative_rows, "do not add up"),
        (giant, "would unpack to 1,099,511,6"),
    ],
)
def test_a_footer_that_contradicts_itself_is_refused(path: Path, lie: Callable[[Struct], None], message: str) -> None:
    footer = footer_of(path.read_bytes())
    lie(footer)
    path.write_bytes(with_footer(path.read_bytes(), footer))
    with pytest.raises((Unsound, OSError), match=message):
        read_footer(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not end"),
        (b"PAR1", "does not end"),
        (b"PAR1\xff\xff\xff\x7fPAR1", "does not end"),
        (b"PARE\0\0\0\0PARE", "encrypted"),
        (b"XXXX" + b"\0" * 8 + b"PAR1", "does not begin"),
    ],
)
def test_what_has_no_footer_is_refused_in_plain_words(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "in.parquet").write_bytes(content)
    with pytest.raises(Unsound, match=message):
        read_footer(tmp_path / "in.parquet")
