"""What is to be read: paths → files → numbered batches of text. Whatever cannot be read soundly is refused.

Text comes in as text: no type is ever inferred, no cell repaired, no row dropped.
"""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batchpost.address import PATTERN, address_fault, is_address, names_one, shown
from batchpost.batch import Batch, Decision, Dialect, Fingerprint, InputFile, Place
from batchpost.csvfile import CsvFile
from batchpost.csvgrammar import Limits
from batchpost.errors import InputRefused, NoInput, SecretError, UsageError
from batchpost.job import Source
from batchpost.kinds import KNOWN, LAKES, form_of, is_marker, refuse_lake, tables_of, unreadable_ending
from batchpost.rawfile import refuse_irregular
from batchpost.secrets import is_reference, read_secret

if TYPE_CHECKING:
    from batchpost.excelfile import ExcelFile
    from batchpost.parquetfile import ParquetFile
    from batchpost.remote import Remote

__all__ = [
    "Batch",
    "Dialect",
    "Fingerprint",
    "InputFile",
    "Reader",
    "find_files",
    "names_one_file",
    "open_input",
    "unsupported",
]

_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}  # by Unicode category; Cs is what a name that is not UTF-8 has


def unsupported(path: str) -> str | None:
    """Why a path of a job file or the command line cannot be read, by its text alone; None where it may be."""
    if is_address(path):
        fault = address_fault(path)
        return "; ".join(fault) if fault else unreadable_ending(shown(path))
    if "{date" in path:
        return "dated paths are not supported yet: name the file with --source"
    return unreadable_ending(path)


def names_one_file(path: str, workspace: Path) -> bool:
    """Whether a path means one file, and not a folder, a prefix or a pattern."""
    return names_one(path) if is_address(path) else is_reference(path) or (workspace / path).is_file()


def find_files(
    source: Source, workspace: Path, overrides: Sequence[str] = (), remote: Remote | None = None
) -> tuple[InputFile, ...]:
    """The files that ``[source] path`` (or ``overrides`` in its place) means, read against the workspace.

    Folders stand for their files of known endings and patterns for what they match, both in the order of their names.
    What an address or a reference (``env:NAME``) stands for is fetched, by ``remote`` (in its absence by that of this
    process). Raises NoInput where nothing is there, UsageError for what is not supported, InputRefused for what is no
    file, is named twice or has an unknown ending.
    """
    stated = [source.path] if isinstance(source.path, str) else source.path
    whole = {shown(address): address for path in stated for address in _addresses(path, workspace)} if overrides else {}
    paths = [whole.get(path, path) for path in overrides] or stated
    files = tuple(file for path in paths for file in _files(path, workspace, remote))
    seen: dict[tuple[int, int], InputFile] = {}
    for file in files:
        status = file.path.stat()
        first = seen.setdefault((status.st_dev, status.st_ino), file)
        if first is not file:
            raise InputRefused(file.name, f"is the same file as {first.name}", hint="Name it once")
    names = [file.name for file in files]
    if twice := next((name for name in names if names.count(name) > 1), None):
        hint = "Results tell rows apart by that: send each in a run of its own"
        raise InputRefused(twice, "stands for two addresses that differ in nothing that may be shown", hint=hint)
    return files


def _addresses(path: str, workspace: Path) -> list[str]:
    """The address that a path is or refers to, if that is known."""
    if is_reference(path) and not is_address(path):
        with suppress(SecretError):
            return [read_secret(path, workspace, os.environ)]
    return [path] if is_address(path) else []


def _files(path: str, workspace: Path, remote: Remote | None) -> Iterator[InputFile]:
    if path == "-":
        raise InputRefused(
            path, "is standard input, which cannot be read twice", hint="Save it to a file and name that"
        )
    if is_address(path):
        yield from _fetched(path, remote)
        return
    place = workspace / path
    if place.is_dir():
        yield from _folder(place, workspace)
    elif place.exists() or place.is_symlink():  # a file whose name looks like a pattern is that file
        yield _file(place, workspace)
    elif is_reference(path):
        yield from _referred(path, workspace, remote)
    elif reason := unsupported(path):
        raise UsageError(f"{path}: {reason}")
    elif PATTERN.search(path):
        yield from _matches(path, workspace)
    else:
        raise NoInput(f"there is no {place}{_beside(place.parent)}")


def _fetched(address: str, remote: Remote | None) -> Iterator[InputFile]:
    from batchpost.remote import this_process

    for one in (remote or this_process()).files(address):
        form = form_of(one.path.name)
        assert form  # noqa: S101 - nothing else is fetched
        yield InputFile(one.path, one.name, *form)


def _referred(reference: str, workspace: Path, remote: Remote | None) -> Iterator[InputFile]:
    address = read_secret(reference, workspace, os.environ)
    if not is_address(address):
        raise UsageError(f"{reference}: must hold an address like https://… or s3://…")
    yield from _fetched(address, remote)


def _matches(pattern: str, workspace: Path) -> Iterator[InputFile]:
    found = sorted(glob.glob(pattern, root_dir=workspace, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute one
    places = [workspace / match for match in found if not is_marker(Path(match).name)]
    if not places:
        raise NoInput(f"no file matches {pattern} in {workspace}{_beside((workspace / pattern).parent)}")
    for folder in {above for place in places for above in place.parents}:
        refuse_lake(str(folder), (name for name in LAKES if (folder / name).is_dir()))
    yield from (_file(place, workspace) for place in places)


def _beside(folder: Path) -> str:
    """What is there in place of a file that is not: it may be late, or have another name."""
    if PATTERN.search(str(folder)):
        return ""
    try:
        tables = [place for place in folder.iterdir() if form_of(place.name)]
        newest = max(tables, key=lambda place: place.stat().st_mtime, default=None)
    except OSError:
        return f"; there is no folder {folder}" if not folder.exists() else ""
    return f"; the newest table in that folder is {newest.name}" if newest else "; that folder has no tables"


def _folder(folder: Path, workspace: Path) -> Iterator[InputFile]:
    """The folder's tables; one that is not supported yet stops the run rather than stay behind unseen."""
    places = list(folder.iterdir())
    folders = [place.name for place in places if place.is_dir() and not form_of(place.name)]
    tables = tables_of(str(folder), [place.name for place in places if place.name not in folders], folders)
    if not tables:
        raise NoInput(f"there is no table in {folder} ({KNOWN})")
    return (_file(folder / name, workspace) for name in tables)


def _file(place: Path, workspace: Path) -> InputFile:
    path, base = place.absolute(), workspace.absolute()
    name = str(path.relative_to(base)) if path.is_relative_to(base) else str(path)
    refuse_irregular(path, name)
    if _UNSEEN & {unicodedata.category(character) for character in name}:
        raise InputRefused(name, "has control characters or line ends in its name", hint="Give it another name")
    if reason := unreadable_ending(path.name):
        raise UsageError(f"{name}: {reason}")
    form = form_of(path.name)
    if not form:
        raise InputRefused(name, "has no ending that says what it is", hint=f"Known are {KNOWN}")
    return InputFile(path, name, *form)


class Reader:
    """One file of the input, read again and again in the same batches; construction reads its header or footer.

    ``columns`` are those of every batch's frame; ``dialect`` how a text file is written (None for Parquet, Excel and
    a file of 0 bytes); ``decisions`` are what was found out about the file, with the evidence;
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

    def batches_at(self, places: Sequence[Place]) -> Iterator[Batch]:
        """The batches at places that :meth:`batches` gave, without what lies between them; raises as it does."""
        if not isinstance(self._content, CsvFile):
            raise TypeError(f"{self.file.name}: its batches have no places")
        return self._content.batches_at(places, self.index)

    @property
    def fingerprint(self) -> Fingerprint | None:
        """What the last complete pass read; None before one."""
        return self._content.fingerprint

    @fingerprint.setter
    def fingerprint(self, fingerprint: Fingerprint) -> None:
        """Count a pass that was made before, of the same bytes."""
        self._content.fingerprint = fingerprint


def _content(file: InputFile, settings: Source, limits: Limits) -> CsvFile | ParquetFile | ExcelFile:
    if file.kind == "csv":
        return CsvFile(file, settings, limits)
    if file.kind == "excel":
        from batchpost.excelfile import ExcelFile

        return ExcelFile(file, settings, limits)
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
