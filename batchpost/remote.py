"""What addresses stand for: fetched into private temporary files, and from there on like any file of this machine."""

from __future__ import annotations

import atexit
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from batchpost.address import PATTERN, address_fault, names_one, shown, split_object
from batchpost.errors import InputRefused, NoInput, UsageError
from batchpost.files import naming
from batchpost.holding import Holding
from batchpost.kinds import KNOWN, ending_of, is_marker, refuse_lake, tables_of, unreadable_ending

if TYPE_CHECKING:
    from batchpost.objects import Objects

__all__ = ["Fetched", "Remote", "this_process"]


class Fetched:
    """One fetched file: where it lies, and what people are shown of its address."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name


class Remote:
    """Fetches what addresses stand for. ``environ`` has proxies, credentials and HOME; files lie under ``parent``
    until :meth:`close`. An address that is asked for again is fetched again, and takes the place of its first copy."""

    def __init__(self, environ: Mapping[str, str], parent: Path) -> None:
        self._environ = environ
        self._holding = Holding(parent)
        self._held: dict[str, Path] = {}

    def files(self, address: str) -> Iterator[Fetched]:
        """The files of an address, each fetched when it is asked for, in the order of their names.

        Raises UsageError for an address that cannot be one, NoInput where nothing is there (now), InputRefused for
        what cannot be had or read, OSError of the disk.
        """
        if fault := address_fault(address):
            raise UsageError(f"{shown(address)}: {'; '.join(fault)}")
        if not address.lower().startswith("s3://"):
            yield self._downloaded(address)
            return
        from batchpost.objects import Objects  # brings pyarrow

        bucket, key = split_object(address)
        if names_one(address):
            _refuse_unknown(address)
        objects = Objects(bucket, self._environ)
        for one in [key] if names_one(address) else _keys(objects, bucket, key):
            yield self._object(objects, f"s3://{bucket}/{one}", one)

    def close(self) -> None:
        """Remove everything that was fetched."""
        self._held.clear()
        self._holding.close()

    def _downloaded(self, address: str) -> Fetched:
        from batchpost.download import download
        from batchpost.ways import ways

        name = shown(address)
        _refuse_ending(name)
        self._forget(address)
        path, file = self._holding.new_file()
        self._held[address] = path
        with naming(path), file:
            found = download(address, file, way=ways(self._environ), environ=self._environ)
        ending = ending_of(name) or ending_of(found.file_name)
        if not ending:
            _refuse_ending(found.file_name, name)
            raise InputRefused(name, "nothing says what it is: neither its address nor its server", hint=_NAMELESS)
        self._held[address] = path.rename(path.with_name(path.name + ending))
        return Fetched(self._held[address], name)

    def _object(self, objects: Objects, address: str, key: str) -> Fetched:
        _refuse_unknown(address)
        self._forget(address)
        path, file = self._holding.new_file(ending_of(key))
        self._held[address] = path
        with naming(path), file:
            objects.fetch(key, file)
        return Fetched(path, address)

    def _forget(self, address: str) -> None:
        if held := self._held.pop(address, None):
            held.unlink(missing_ok=True)


_NAMELESS = f"Known are names with {KNOWN} in the address or in Content-Disposition"


@cache
def this_process() -> Remote:
    """What the commands of this process fetch with; what it holds goes when the process ends."""
    remote = Remote(os.environ, Path(tempfile.gettempdir()))
    atexit.register(remote.close)
    return remote


def _refuse_ending(file_name: str, name: str = "") -> None:
    if reason := unreadable_ending(file_name):
        raise UsageError(f"{name or file_name}: {reason}")


def _refuse_unknown(address: str) -> None:
    """Raise for an object whose name does not say that it is a table."""
    _refuse_ending(address)
    if not ending_of(address):
        hint = f"Known are {KNOWN}; for all tables below it, end the address with a slash"
        raise InputRefused(address, "has no ending that says what it is", hint=hint)


def _keys(objects: Objects, bucket: str, key: str) -> Iterator[str]:
    """The keys that a prefix or a pattern stands for."""
    if not PATTERN.search(key):
        tables = tables_of(f"s3://{bucket}/{key}", *objects.listed(key, deep=False))
        if not tables:
            raise NoInput(f"there is no {KNOWN} file in s3://{bucket}/{key}")
        yield from (key + name for name in tables)
        return
    plain = PATTERN.split(key, maxsplit=1)[0]
    prefix = plain[: plain.rfind("/") + 1]
    pattern = key[len(prefix) :]
    files, folders = objects.listed(prefix, deep="/" in pattern)
    matcher = _matcher(pattern)
    matches = sorted(name for name in files if matcher.fullmatch(name) and not is_marker(name.rpartition("/")[2]))
    if not matches:
        raise NoInput(f"no object matches s3://{bucket}/{key}")
    for name in folders:
        above, _, last = name.rpartition("/")
        if not above or any(match.startswith(f"{above}/") for match in matches):
            refuse_lake(f"s3://{bucket}/{prefix}{above}", [last])
    yield from (prefix + name for name in matches)


def _matcher(pattern: str) -> re.Pattern[str]:
    """A pattern as the shell reads it: ``*`` and ``?`` stay within a folder, ``**/`` stands for any folders."""
    parts = []
    for piece in re.findall(r"\*\*/|\*|\?|\[!?\]?[^\]]*\]|.", pattern):
        if piece == "**/":
            parts.append(r"(?:[^/.][^/]*/)*")
        elif piece in ("*", "?"):
            parts.append("[^/]" + piece.replace("?", ""))
        elif len(piece) > 1:
            inner = piece[1:-1].replace("\\", r"\\").replace("^", r"\^")
            parts.append(f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]")
        else:
            parts.append(re.escape(piece))
    return re.compile("".join(parts))
