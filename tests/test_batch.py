"""The values of reading: names of columns, null words, digests."""

from __future__ import annotations

import polars as pl
import pytest

from batchpost.batch import BatchDigest, blank_nulls, column_names, with_last
from batchpost.errors import InputRefused


def test_column_names_are_trimmed_and_numbered_where_empty() -> None:
    assert column_names([" a", "", "B "], "in.csv") == ("a", "column 2", "B")


@pytest.mark.parametrize("cells", [["a", "b", "a "], ["column 3", "b", ""]])
def test_two_columns_of_one_name_are_refused_by_both_positions(cells: list[str]) -> None:
    with pytest.raises(InputRefused, match=r"in\.csv, line 4: columns 1 and 3 have the same name"):
        column_names(cells, "in.csv", 4)


@pytest.mark.parametrize("cells", [[], [""], ["", " "]])
def test_a_header_without_a_name_is_refused(cells: list[str]) -> None:
    with pytest.raises(InputRefused, match="the header is empty"):
        column_names(cells, "in.csv")


def test_null_words_are_blanked_whole_cells_only_and_nulls_stay() -> None:
    frame = pl.DataFrame({"a": ["NULL", " NULL ", "NULLS", None], "b": ["x", "n/a", "", "null"]})
    assert blank_nulls(frame, ["NULL", "n/a"]).rows() == [("", "x"), ("", ""), ("NULLS", ""), (None, "null")]
    assert blank_nulls(frame, []) is frame


def test_a_digest_is_of_columns_content_and_end() -> None:
    def digest(columns: tuple[str, ...], content: bytes, last: bool) -> bytes:
        hashed = BatchDigest(columns, last)
        hashed.update(content)
        return hashed.value()

    first = digest(("a", "b"), b"1,2\n", False)
    assert len(first) == 16
    assert digest(("a", "b"), b"1,2\n", False) == first
    others = [digest(("ab",), b"1,2\n", False), digest(("a", "b"), b"1,3\n", False), digest(("a", "b"), b"1,2\n", True)]
    assert len({first, *others}) == 4


@pytest.mark.parametrize("items", [[], [1], [1, 2, 3]])
def test_the_last_item_is_known_when_it_comes(items: list[int]) -> None:
    assert list(with_last(iter(items))) == [(item, item == len(items)) for item in items]
