"""What a file is by its name, and which files of a folder are its tables: decided by names alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from batchpost.batch import Compression, Kind
from batchpost.errors import InputRefused

__all__ = ["KNOWN", "LAKES", "ending_of", "form_of", "is_marker", "refuse_lake", "tables_of", "unreadable_ending"]

TEXT_ENDINGS = (".csv", ".tsv", ".txt")
EXCEL_ENDINGS = (".xlsx", ".xlsm")
PACKINGS: tuple[tuple[str, Compression], ...] = (("", ""), (".gz", "gzip"), (".zst", "zstd"))
KNOWN = ".csv, .tsv, .txt, these as .gz or .zst, .parquet, .xlsx"
FOREIGN_ENDINGS = (
    *(".xlsb", ".xls", ".ods", ".numbers"),
    *(".json", ".jsonl", ".ndjson", ".xml", ".zip", ".bz2", ".xz", ".7z"),
    *(".parquet.gz", ".parquet.zst", ".xlsx.gz", ".xlsx.zst", ".avro", ".orc", ".feather", ".arrow"),
)
WORKBOOKS = (".xlsb", ".xls", ".ods", ".numbers")
LAKES = {"_delta_log": "a Delta table", ".hoodie": "a Hudi table"}
_MARKER = re.compile(r"_SUCCESS|_committed_.*|_started_.*|.*\.crc")  # what Spark and Hadoop leave beside a table
_PART = re.compile(r"part-\d+")
_PARTITION = re.compile(r"([^=]+)=.*")


def form_of(name: str) -> tuple[Kind, Compression] | None:
    """Kind and compression by a file's name; None for an unknown ending."""
    plain = name.lower()
    if plain.endswith(".parquet"):
        return "parquet", ""
    if plain.endswith(EXCEL_ENDINGS):
        return "excel", ""
    for ending, packing in PACKINGS:
        if plain.removesuffix(ending).endswith(TEXT_ENDINGS) and plain.endswith(ending):
            return "csv", packing
    return None


def ending_of(name: str) -> str:
    """The known ending of a name in lower case, packing included (``.csv.gz``); empty where it has none."""
    plain = name.lower()
    packing = next((ending for ending, _ in PACKINGS if ending and plain.endswith(ending)), "")
    return f".{plain.removesuffix(packing).rpartition('.')[2]}{packing}" if form_of(name) else ""


def unreadable_ending(name: str) -> str | None:
    """Why a file of this name cannot be read, by its ending; None where it may be."""
    ending = next((ending for ending in FOREIGN_ENDINGS if name.lower().endswith(ending)), None)
    if ending in WORKBOOKS:
        return f"{ending} files are not supported yet: save the workbook as .xlsx, or the sheet as CSV UTF-8"
    return f"{ending} files are not supported yet: save the table as CSV UTF-8 or Parquet" if ending else None


def is_marker(name: str) -> bool:
    """Whether a file is one of those that Spark and Hadoop leave beside a table, and no table itself."""
    return _MARKER.fullmatch(name) is not None


def tables_of(folder: str, files: Sequence[str], folders: Sequence[str]) -> list[str]:
    """The tables among a folder's files, by name. Left out are names that begin with ``_`` or ``.``, by which Spark,
    Hadoop and people mark what is no data, and files whose ending says nothing.

    Raises InputRefused for the folder of a table that is more than its files, or whose folders are a column.
    """
    refuse_lake(folder, folders)
    seen = sorted(name for name in files if not name.startswith(("_", ".")) and not is_marker(name))
    tables = [name for name in seen if form_of(name) or unreadable_ending(name)]
    if {"metadata", "data"} <= {*folders} and not tables:
        raise _lake(folder, "an Iceberg table")
    if divided := sorted(found[1] for name in folders if (found := _PARTITION.fullmatch(name))):
        message = f"is divided into folders by {divided[0]!r}, which would be lost: their names are a column"
        pattern = f"{folder.rstrip('/')}/**/*.parquet"
        raise InputRefused(
            folder, message, hint=f"Export it with the column in its files, or read {pattern} without it"
        )
    for name in seen:
        if name not in tables and _PART.match(name):
            raise InputRefused(
                f"{folder.rstrip('/')}/{name}", "has no ending that says what it is", hint=f"Known are {KNOWN}"
            )
    return tables


def refuse_lake(folder: str, names: Iterable[str]) -> None:
    """Raise InputRefused where a name inside a folder says that its Parquet files alone are not its table."""
    for name in names:
        if name in LAKES:
            raise _lake(folder, LAKES[name])


def _lake(folder: str, what: str) -> InputRefused:
    message = f"is {what}, whose Parquet files also hold rows that were deleted or replaced"
    return InputRefused(folder, message, hint="Export the table as plain Parquet or CSV first")
