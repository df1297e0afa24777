"""What is to be read: paths → files → numbered batches of text. Whatever cannot be read soundly is refused.

Text comes in as text: no type is ever inferred, no cell repaired, no row dropped.
"""

from __future__ import annotations

import glob
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from batchpost.batch import Batch, Compression, Decision, Dialect, Fingerprint, InputFile, Kind
from batchpost.csvfile import CsvFile
from batchpost.csvgrammar import Limits
from batchpost.errors import InputRefused, NoInput, UsageError
from batchpost.job import Source
from batchpost.rawfile import refuse_irregular

if TYPE_CHECKING:
    from batchpost.parquetfile import ParquetFile

__all__ = ["Batch", "Dialect", "Fingerprint", "InputFile", "Reader", "find_files", "open_input", "unsupported"]

TEXT_ENDINGS = (".csv", ".tsv", ".txt")
PACKINGS: tuple[tuple[str, Compression], ...] = (("", ""), (".gz", "gzip"), (".zst", "zstd"))
KNOWN = ".csv, .tsv, .txt, these as .gz or .zst, .parquet"
FOREIGN_ENDINGS = (
    *(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers"),
    *(".json", ".jsonl", ".ndjson", ".xml", ".zip", ".bz2", ".xz", ".7z"),
    *(".parquet.gz", ".parquet.zst", ".avro", ".orc", ".feather", ".arrow"),
)
_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}  # by Unicode category; Cs is what a name that is not UTF-8 has
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
PATTERN = re.compile(r"[*?\[]")


def unsupported(path: str) -> str | None:
    """Why a path of a job file or the command line cannot be read yet, by its text alone; None where it may be."""
    if found := ADDRESS.match(path):
        return f"{found[0]} addresses are not supported yet: fetch the file first"
    if "{date" in path:
        return "dated paths are not supported yet: name the file with --source"
    ending = next((ending for ending in FOREIGN_ENDINGS if path.lower().endswith(ending)), None)
    return f"{ending} files are not supported yet: save the table as CSV UTF-8 or Parquet" if ending else None


def find_files(source: Source, workspace: Path, overrides: Sequence[str] = ()) -> tuple[InputFile, ...]:
    """The files that ``[source] path`` (or ``overrides`` in its place) means, read against the workspace.

    Folders stand for their files of known endings and patterns for what they match, both in the order of their names.
    Raises NoInput where nothing is there, UsageError for what is not supported, InputRefused for what is no file, is
    named twice or has an unknown ending.
    """
    stated = overrides or ([source.path] if isinstance(source.path, str) else source.path)
    files = tuple(file for path in stated for file in _files(path, workspace))
    seen: dict[tuple[int, int], InputFile] = {}
    for file in files:
        status = file.path.stat()
        first = seen.setdefault((status.st_dev, status.st_ino), file)
        if first is not file:
            raise InputRefused(file.name, f"is the same file as {first.name}", hint="Name it once")
    return files


def _files(path: str, workspace: Path) -> Iterator[InputFile]:
    if path == "-":
        raise InputRefused(
            path, "is standard input, which cannot be read twice", hint="Save it to a file and name that"
        )
    place = workspace / path
    if place.is_dir():
        yield from _folder(place, workspace)
    elif place.exists() or place.is_symlink():  # a file whose name looks like a pattern is that file
        yield _file(place, workspace)
    elif reason := unsupported(path):
        raise UsageError(f"{path}: {reason}")
    elif PATTERN.search(path):
        matches = sorted(glob.glob(path, root_dir=workspace, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute one
        if not matches:
            raise NoInput(f"no file matches {path} in {workspace}")
        yield from (_file(workspace / match, workspace) for match in matches)
    else:
        raise NoInput(f"there is no {place}")


def _folder(folder: Path, workspace: Path) -> Iterator[InputFile]:
    """The folder's tables; one that is not supported yet stops the run rather than stay behind unseen."""
    tables = [
        place
        for place in sorted(folder.iterdir())
        if _form(place.name) or (place.is_file() and unsupported(place.name))
    ]
    if not tables:
        raise NoInput(f"there is no {KNOWN} file in {folder}")
    return (_file(place, workspace) for place in tables)


def _form(name: str) -> tuple[Kind, Compression] | None:
    """Kind and compression by a file's name; None for an unknown ending."""
    plain = name.lower()
    if plain.endswith(".parquet"):
        return "parquet", ""
    for ending, packing in PACKINGS:
        if plain.removesuffix(ending).endswith(TEXT_ENDINGS) and plain.endswith(ending):
            return "csv", packing
    return None


def _file(place: Path, workspace: Path) -> InputFile:
    path, base = place.absolute(), workspace.absolute()
    name = str(path.relative_to(base)) if path.is_relative_to(base) else str(path)
    refuse_irregular(path, name)
    if _UNSEEN & {unicodedata.category(character) for character in name}:
        raise InputRefused(name, "has control characters or line ends in its name", hint="Give it another name")
    if reason := unsupported(path.name):
        raise UsageError(f"{name}: {reason}")
    form = _form(path.name)
    if not form:
        raise InputRefused(name, "has no ending that says what it is", hint=f"Known are {KNOWN}")
    return InputFile(path, name, *form)


class Reader:
    """One file of the input, read again and again in the same batches; construction reads its header or footer.

    ``columns`` are those of every batch's frame; ``dialect`` how a text file is written (None for Parquet and for a
    file of 0 bytes); ``decisions`` are what was found out about the file, with the evidence;
    ``unsupported_columns`` name → reason of Parquet columns that are left out; ``is_to_fix`` marks a
    mended ``to_fix.csv``. Raises InputRefused, and UsageError for settings that cannot be.
    """

    def __init__(self, file: InputFile, settings: Source, index: int = 0, limits: Limits | None = None) -> None:
        self.file, self.index = file, index
        self._content = _content(file, settings, limits or Limits())
        self.columns: tuple[str, ...] = self._content.columns
        self.dialect: Dialect | None = self._content.dialect
        self.decisions: tuple[Decision, ...] = self._content.decisions
        self.is_to_fix: bool = self._content.is_to_fix
        self.unsupported_columns: dict[str, str] = self._content.unsupported_columns

    def __repr__(self) -> str:
        return f"Reader({self.file.name!r}, columns={list(self.columns)})"

    def batches(self) -> Iterator[Batch]:
        """The file's batches in order; raises InputRefused at what is unsound, InputChanged where the header or the
        columns are not what construction saw. Whether the rows are the same, their digests tell."""
        return self._content.batches(self.index)

    @property
    def fingerprint(self) -> Fingerprint | None:
        """What the last complete pass read; None before one."""
        return self._content.fingerprint


def _content(file: InputFile, settings: Source, limits: Limits) -> CsvFile | ParquetFile:
    if file.kind == "csv":
        return CsvFile(file, settings, limits)
    from batchpost.parquetfile import ParquetFile  # brings pyarrow, which most runs do not need

    return ParquetFile(file, settings, limits.rows)


def open_input(files: Sequence[InputFile], settings: Source) -> tuple[Reader, ...]:
    """A reader for each file, indexed in their order. Raises InputRefused where two differ in their columns, as one
    mapping must mean the same in all; a file of 0 bytes (where allowed) has none and is not compared."""
    readers = tuple(Reader(file, settings, index) for index, file in enumerate(files))
    with_columns = [reader for reader in readers if reader.columns]
    for reader in with_columns[1:]:
        _refuse_difference(with_columns[0], reader)
    return readers


def _refuse_difference(first: Reader, other: Reader) -> None:
    if first.columns == other.columns:
        return
    missing = [name for name in first.columns if name not in other.columns]
    added = [name for name in other.columns if name not in first.columns]
    parts = [f"{what} {', '.join(map(repr, names))}" for what, names in (("lacks", missing), ("adds", added)) if names]
    raise InputRefused(
        other.file.name,
        f"has other columns than {first.file.name}: it {' and '.join(parts) or 'has them in another order'}",
        hint="Files of one run must have the same header; send these in runs of their own",
    )
