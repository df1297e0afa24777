"""The corpus's workbooks, Parquet files and archives. Their bytes depend on the versions of what writes them."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import zipfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from tests.corpus.texts import SALES
from tests.workbooks import table, workbook_parts

__all__ = ["TABLES"]

Write = Callable[[], bytes]
MOMENT = dt.datetime.fromisoformat("2025-03-04 16:30:15")
LEADS = {"Lead ID": ["txn_0001", "txn_0002"], "Payout": [12.5, None]}


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def _typed() -> bytes:
    stamps = pa.array([MOMENT, None], pa.timestamp("us"))
    columns = {
        "Lead ID": pa.array([2**53 + 1, -(2**63)], pa.int64()),
        "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
        "decimal": pa.array([Decimal("1250.00"), Decimal("-0.10")], pa.decimal128(12, 2)),
        "words": pa.array(["a", "b"]).dictionary_encode(),
        "day": pa.array([dt.date(2025, 3, 4), None], pa.date32()),
        "naive": stamps,
        "utc": stamps.cast(pa.timestamp("us", tz="UTC")),
        "zone": stamps.cast(pa.timestamp("us", tz="America/New_York")),
        "time": pa.array([dt.time(16, 30), None], pa.time64("us")),
        "truth": pa.array([True, False]),
        "float": pa.array([12.5, 0.1], pa.float64()),
        "single": pa.array([0.1, 1e20], pa.float32()),
        "raw": pa.array([b"text", None], pa.binary()),
        "nothing": pa.nulls(2),
    }
    return parquet(columns)


def _int96() -> bytes:
    return parquet({"Lead ID": ["txn_0001"], "Sold At": pa.array([MOMENT])}, use_deprecated_int96_timestamps=True)


def _nested() -> bytes:
    rows = [{"id": "txn_0001", "paid": 12.5}, {"id": "txn_0002", "paid": None}]
    return parquet({"lead": pa.array(rows), "tags": pa.array([["a"], []]), "City": ["Bern", "Basel"]})


def _bytes(*columns: str) -> bytes:
    return parquet({name: pa.array([b"\xff\xfe"], pa.binary()) for name in columns})


def _no_row_groups() -> bytes:
    out = io.BytesIO()
    pq.ParquetWriter(out, pa.schema([("Lead ID", pa.string())])).close()
    return out.getvalue()


def _flipped() -> bytes:
    content = bytearray(
        parquet({"Lead ID": [f"txn_{n:04}" for n in range(50)]}, compression="snappy", write_page_checksum=True)
    )
    content[40] ^= 1
    return bytes(content)


def _same_names() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["Payout", " Payout"]), out)
    return out.getvalue()


PARQUET: dict[str, Write] = {
    "types.parquet": _typed,
    "plain.parquet": lambda: parquet(LEADS),
    "float-ids.parquet": lambda: parquet({"Lead ID": [1234567.0, 1.02e17], "Payout": [1.0, float("nan")]}),
    "int96.parquet": _int96,
    "nested.parquet": _nested,
    "only-bytes.parquet": lambda: _bytes("Lead ID"),
    "zero-rows.parquet": lambda: parquet({"Lead ID": pa.array([], pa.string())}),
    "no-row-groups.parquet": _no_row_groups,
    "same-names.parquet": _same_names,
    "truncated.parquet": lambda: parquet(LEADS)[:-40],
    "wrong-magic.parquet": lambda: b"PAR2" + parquet(LEADS)[4:],
    "no-last-magic.parquet": lambda: parquet(LEADS)[:-4] + b"PAR0",
    "trailing-bytes.parquet": lambda: parquet(LEADS) + b"\n",
    "flipped-bit.parquet": _flipped,
    "empty.parquet": bytes,
    "a-parquet-file.csv": lambda: parquet(LEADS),
}


def workbook(*sheets: Sequence[Sequence[Any]], hidden: int | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, 1):
        sheet = book.create_sheet(f"Sheet {number}")
        sheet.sheet_state = "hidden" if number == hidden else "visible"
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _raw(rows: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in workbook_parts(rows).items():
            package.writestr(name, text)
    return out.getvalue()


HEAD = ["Lead ID", "Payout", "Sold At"]
ROW = ["txn_0001", 12.5, dt.date(2025, 3, 4)]
ERRORS = '<row r="2"><c r="A2" t="inlineStr"><is><t>txn_0001</t></is></c><c r="B2" t="e"><v>#N/A</v></c></row>'
WORKED = '<row r="2"><c r="A2" t="str"><f>"txn"</f><v>txn_0001</v></c><c r="B2"><f>6+6.5</f><v>12.5</v></c></row>'

WORKBOOKS: dict[str, Write] = {
    "plain.xlsx": lambda: workbook([HEAD, ROW, ["txn_0002", 1250, MOMENT]]),
    "titles.xlsx": lambda: workbook([["Payouts of March"], [], HEAD, ROW, ["txn_0002", 8, dt.date(2025, 3, 5)]]),
    "second-sheet.xlsx": lambda: workbook([["Read me"], ["See the other sheet"]], [HEAD, ROW]),
    "hidden-sheet.xlsx": lambda: workbook([["Old"], ["old_1"]], [HEAD, ROW], hidden=1),
    "blank-rows.xlsx": lambda: workbook([HEAD, ROW, [], ["", None, None], ["txn_0002", 8, None]]),
    "right-of-the-header.xlsx": lambda: workbook([HEAD, ROW, ["txn_0002", 8, dt.date(2025, 3, 5), "see note"]]),
    "numbers-as-ids.xlsx": lambda: workbook(
        [["Lead ID", "Zip"], [123456789012, 2134], [1.02e17, 2134.0], [0.1, "02134"]]
    ),
    "times-and-truth.xlsx": lambda: workbook([["Lead ID", "At", "Ok"], ["txn_0001", dt.time(16, 30), True]]),
    "errors.xlsx": lambda: _raw(table(("Lead ID", "Payout")) + ERRORS),
    "formula.xlsx": lambda: _raw(table(("Lead ID", "Payout")) + WORKED),
    "formula-without-result.xlsx": lambda: workbook([["Lead ID", "Payout"], ["txn_0001", "=6+6.5"]]),
    "empty-sheet.xlsx": lambda: workbook([]),
    "header-alone.xlsx": lambda: workbook([HEAD]),
    "same-names.xlsx": lambda: workbook([["Lead ID", "Payout", "Payout"], ["txn_0001", 1, 2]]),
    "cut-off.xlsx": lambda: workbook([HEAD, ROW])[:-200],
    "a-workbook.csv": lambda: workbook([HEAD, ROW]),
}


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("in.csv"), SALES)
    return out.getvalue()


def _zst(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def _gz(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _wrong_sum() -> bytes:
    content = bytearray(_gz(SALES.encode()))
    content[-5] ^= 1
    return bytes(content)


PACKED: dict[str, Write] = {
    "packed.csv.gz": lambda: _gz(SALES.encode()),
    "packed.csv.zst": lambda: _zst(SALES.encode()),
    "packed.csv": lambda: _gz(SALES.encode()),
    "two-members.csv.gz": lambda: _gz(SALES.encode()[:30]) + _gz(SALES.encode()[30:]),
    "twice.csv.gz": lambda: _gz(_gz(SALES.encode())),
    "cut-off.csv.gz": lambda: _gz(SALES.encode())[:-12],
    "wrong-sum.csv.gz": _wrong_sum,
    "trailing-bytes.csv.gz": lambda: _gz(SALES.encode()) + b"rest",
    "cut-off.csv.zst": lambda: _zst(SALES.encode())[:-6],
    "other.csv.gz": lambda: bz2.compress(SALES.encode()),
    "archive.csv": _zip,
    "nothing.csv.gz": lambda: _gz(b""),
}

_GROUPS = {"parquet": PARQUET, "workbooks": WORKBOOKS, "packed": PACKED}
TABLES = {f"{group}/{name}": write for group, files in _GROUPS.items() for name, write in files.items()}
