"""What is written comes back cell for cell; a file that is damaged is read as a strict reader reads it, or refused.

``READING_EXAMPLES=3000`` looks at so many examples of each property, others each time; without it they are few and
always the same.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from batchpost.csvgrammar import Limits
from batchpost.errors import InputRefused
from tests.readings import (
    DELIMITERS,
    ENCODINGS,
    ENDS,
    PLAIN,
    QUOTING,
    Cells,
    Table,
    Written,
    accident,
    by_csv,
    damaged,
    expected,
    files,
    quotable,
    read,
    read_or_refused,
    tables,
    without,
)

MANY = int(os.environ.get("READING_EXAMPLES", "0"))
# What is wrong with a whole file has no line.
WHOLE = ("is empty", "has a header and no rows", "is JSON", "is a web page", "is not text", "cannot be", "is named as")


def budget(examples: int) -> Any:
    """So many examples, always the same; or as many others as the environment says."""
    return settings(
        max_examples=MANY or examples,
        derandomize=not MANY,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def comes_back(place: Path, names: Sequence[str], rows: Cells, **truth: Any) -> None:
    """By itself the file is read exactly or refused, with the key to set or the place; with the truth, exactly."""
    found = read_or_refused(place)
    if isinstance(found, InputRefused):
        assert "[source]" in found.hint or found.line
    else:
        assert (found.columns, found.rows) == (tuple(names), rows)
    stated = read(place, **truth)
    assert (stated.columns, stated.rows) == (tuple(names), rows)


def as_strict_or_refused(place: Path, content: bytes | None = None, **source: Any) -> None:
    """The file is refused by its line, or read as the strict reader reads it."""
    found = read_or_refused(place, **source)
    if isinstance(found, InputRefused):
        assert found.line or found.message.startswith(WHOLE)
        return
    assert found.dialect
    assert found.dialect.delimiter == source.get("delimiter", found.dialect.delimiter)
    text = place.read_bytes() if content is None else content
    assert found == expected(text, found.dialect, ragged=source.get("ragged") == "reject")


# --- what programs write ----------------------------------------------------------------------------------------------


@budget(150)
@given(tables(), DELIMITERS, ENDS, QUOTING, st.booleans())
def test_what_pythons_csv_writes_comes_back(
    tmp_path: Path, table: Table, delimiter: str, end: str, quoting: int, ended: bool
) -> None:
    names, rows = quotable(table, quoting, end)
    text = by_csv(names, rows, delimiter=delimiter, lineterminator=end, quoting=quoting)
    place = tmp_path / "in.csv"
    place.write_bytes((text if ended else text.removesuffix(end)).encode())
    comes_back(place, names, rows, delimiter=delimiter, quote='"', header_row=1)


@budget(60)
@given(tables(PLAIN), DELIMITERS, ENDS)
def test_what_is_written_without_quotes_comes_back(tmp_path: Path, table: Table, delimiter: str, end: str) -> None:
    names, rows = without(table, '"\n' + delimiter)
    assume(len({name.strip() for name in names}) == len(names))
    place = tmp_path / "in.csv"
    place.write_bytes("".join(delimiter.join(row) + end for row in [names, *rows]).encode())
    comes_back(place, [name.strip() for name in names], rows, delimiter=delimiter, quote="", header_row=1)


@budget(60)
@given(tables(), DELIMITERS, QUOTING)
def test_quotes_after_backslashes_are_refused_or_read_as_a_strict_reader_does(
    tmp_path: Path, table: Table, delimiter: str, quoting: int
) -> None:
    """RFC 4180 knows no backslash, so that no reader can know that one was meant."""
    names, rows = without(table, "\r")
    dialect: dict[str, Any] = {"delimiter": delimiter, "quoting": quoting, "doublequote": False, "escapechar": "\\"}
    place = tmp_path / "in.csv"
    place.write_bytes(by_csv(names, rows, lineterminator="\n", **dialect).encode())
    as_strict_or_refused(place, delimiter=delimiter, header_row=1)


@budget(80)
@given(tables(), DELIMITERS, ENDS, st.sampled_from(["necessary", "always", "non_numeric"]), st.booleans())
def test_what_polars_writes_comes_back(
    tmp_path: Path, table: Table, delimiter: str, end: str, style: Any, mark: bool
) -> None:
    names, rows = without(table, "\r") if style == "necessary" else table
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    place = tmp_path / "in.csv"
    frame.write_csv(place, separator=delimiter, line_terminator=end, quote_style=style, include_bom=mark)
    comes_back(place, names, rows, delimiter=delimiter, header_row=1)


@budget(60)
@given(tables(), DELIMITERS, st.sampled_from(["needed", "all_valid"]))
def test_what_arrow_writes_comes_back(tmp_path: Path, table: Table, delimiter: str, style: str) -> None:
    names, rows = table
    names = [name.replace('"', "''") for name in names]  # it does not double those of a name
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    options = pa.csv.WriteOptions(delimiter=delimiter, quoting_style=style)
    pa.csv.write_csv(pa.Table.from_arrays(columns, names), tmp_path / "in.csv", options)
    comes_back(tmp_path / "in.csv", names, rows, delimiter=delimiter, header_row=1)


@budget(100)
@given(tables(), DELIMITERS, ENDS, ENCODINGS, QUOTING, st.booleans())
def test_what_pandas_writes_comes_back(
    tmp_path: Path, table: Table, delimiter: str, end: str, encoding: str, quoting: Any, packed: bool
) -> None:
    names, rows = quotable(table, quoting, end)
    if encoding == "cp1252":
        rows = [tuple(cell.encode("cp1252", "replace").decode("cp1252") for cell in row) for row in rows]
    place = tmp_path / ("in.csv.gz" if packed else "in.csv")
    pd.DataFrame(rows, columns=names).to_csv(
        place, index=False, sep=delimiter, lineterminator=end, encoding=encoding, quoting=quoting
    )
    content = gzip.decompress(place.read_bytes()) if packed else place.read_bytes()
    is_old = encoding == "cp1252" and not content.isascii()
    assume(not (is_old and is_utf8(content)))  # "Ã¤" in cp1252 is "ä" in UTF-8: no reader can tell
    comes_back(place, names, rows, delimiter=delimiter, header_row=1, encoding="cp1252" if is_old else None)


def is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@budget(12)
@given(tables(), st.sampled_from(["polars", "arrow", "pandas"]))
def test_parquet_comes_back(tmp_path: Path, table: Table, writer: str) -> None:
    names, rows = table
    place = tmp_path / "in.parquet"
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    if writer == "polars":
        pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String)).write_parquet(place)
    elif writer == "arrow":
        pa.parquet.write_table(pa.table(columns), place, row_group_size=2)
    else:
        pd.DataFrame(columns).to_parquet(place)
    found = read(place)
    assert (found.columns, found.rows) == (tuple(names), rows)


# XML has no control characters and reads a CR as LF; these two are no characters.
NOT_IN_XML = "".join(map(chr, range(32))).replace("\t", "").replace("\n", "") + "\ufffe\uffff"


@budget(40)
@given(tables())
def test_workbooks_come_back(tmp_path: Path, table: Table) -> None:
    names, rows = without(table, NOT_IN_XML)
    assume(all(any(row) for row in rows))  # rows without any cell are no rows
    book = openpyxl.Workbook()
    for down, row in enumerate([tuple(names), *rows], 1):
        for across, text in enumerate(row, 1):
            if text:
                book.active.cell(down, across, text).data_type = "s"
    book.save(tmp_path / "in.xlsx")
    found = read(tmp_path / "in.xlsx", header_row=1)
    assert (found.columns, found.rows) == (tuple(names), rows)
    assert found.lines == list(range(2, len(rows) + 2))


# --- what may happen to a file ----------------------------------------------------------------------------------------


@budget(400)
@given(damaged())
def test_a_damaged_file_is_read_as_a_strict_reader_reads_it_or_refused_by_its_line(
    tmp_path: Path, both: tuple[Written, bytes]
) -> None:
    file, content = both
    (tmp_path / "in.csv").write_bytes(content)
    as_strict_or_refused(tmp_path / "in.csv", **file.source, header_row=1)


@budget(400)
@given(damaged())
def test_so_is_one_whose_dialect_is_found_out(tmp_path: Path, both: tuple[Written, bytes]) -> None:
    file, content = both
    (tmp_path / "in.csv").write_bytes(content)
    as_strict_or_refused(tmp_path / "in.csv", encoding=file.source.get("encoding"))


@budget(150)
@given(damaged())
def test_rows_that_are_rejected_are_those_that_the_strict_reader_finds_ragged(
    tmp_path: Path, both: tuple[Written, bytes]
) -> None:
    file, content = both
    (tmp_path / "in.csv").write_bytes(content)
    as_strict_or_refused(tmp_path / "in.csv", **file.source, header_row=1, ragged="reject")


@budget(80)
@given(files(), st.data())
def test_a_damaged_archive_is_read_as_what_it_unpacks_to_or_refused(
    tmp_path: Path, file: Written, data: st.DataObject
) -> None:
    place = tmp_path / "in.csv.gz"
    place.write_bytes(accident(data.draw, gzip.compress(file.content, mtime=0)))
    try:
        content = gzip.decompress(place.read_bytes())
    except (OSError, EOFError, zlib.error):
        content = place.read_bytes()  # what is not packed any more may only be text
    as_strict_or_refused(place, content, **file.source, header_row=1)


@budget(100)
@given(files(), st.integers(1, 60), st.integers(1, 9), st.sampled_from(["refuse", "reject"]))
def test_any_block_size_and_limit_of_rows_give_the_same_rows_and_lines(
    tmp_path: Path, file: Written, size: int, most: int, ragged: str
) -> None:
    (tmp_path / "in.csv").write_bytes(file.content)
    whole = read_or_refused(tmp_path / "in.csv", **file.source, header_row=1, ragged=ragged)
    parts = read_or_refused(tmp_path / "in.csv", Limits(size, most), **file.source, header_row=1, ragged=ragged)
    assert str(parts) == str(whole)


@budget(100)
@given(damaged(), st.integers(1, 60), st.integers(1, 9))
def test_so_they_do_of_a_damaged_file(tmp_path: Path, both: tuple[Written, bytes], size: int, most: int) -> None:
    file, content = both
    (tmp_path / "in.csv").write_bytes(content)
    whole = read_or_refused(tmp_path / "in.csv", **file.source)
    parts = read_or_refused(tmp_path / "in.csv", Limits(size, most), **file.source)
    assert str(parts) == str(whole)
