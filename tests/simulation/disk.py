"""A disk that dies: every write, sync, rename and removal under one folder is an instant at which the machine may stop.

What a process handed over survives its death. What was not synced may not survive a power cut: unsynced writes of
journals and of the ledger are lost, torn in 512-byte sectors or kept, each for itself; any other file that was not
synced is cut off or has zeros in it; and directory entries made since the last sync of anything are undone from the
last one back, as a file system with an ordered journal does.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import apsw

from batchpost.journal import create_sitting
from tests.simulation.records import Claims

__all__ = ["Crash", "Disk", "Disks", "SimulatedLog"]

_SECTOR = 512
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Crash(BaseException):
    """The machine is dead: nothing after this happened."""


@dataclass
class Tracked:
    """A file whose unsynced writes are known: what is on disk for sure, and what was written since."""

    durable: bytes = b""
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)

    def written(self, offset: int, data: bytes) -> None:
        self.pending.append((offset, data))

    def synced(self, content: bytes) -> None:
        self.durable = content
        self.pending.clear()

    def after_a_power_cut(self, random: Random) -> bytes:
        """What is found: each unsynced write happened, or did not, or in part."""
        image = bytearray(self.durable)
        for change in self.pending:
            if isinstance(change, int):
                if random.random() < 0.5:
                    del image[change:]
                continue
            offset, data = change
            for begin, piece in _sectors(offset, data) if random.random() < 0.3 else [(offset, data)]:
                if random.random() < 0.5:
                    image += bytes(max(0, begin + len(piece) - len(image)))
                    image[begin : begin + len(piece)] = piece
        return bytes(image)


def _sectors(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    pieces, begin = [], 0
    while begin < len(data):
        end = min(len(data), begin + _SECTOR - (offset + begin) % _SECTOR)
        pieces.append((offset + begin, data[begin:end]))
        begin = end
    return pieces


class Disk:
    """The disk under ``root``. ``instants`` counts, by kind, the instants at which the machine could have died.

    ``crash`` is the instant at which it does: (kind, which one of that kind, from 1), or None. ``full`` is the same for
    a write that finds no space. ``on_death`` is called when it dies.
    """

    def __init__(self, root: Path, random: Random) -> None:
        self.root = root
        self.random = random
        self.instants: Counter[str] = Counter()
        self.crash: tuple[str, int] | None = None
        self.full: int | None = None
        self.power_cut = False
        self.dead = False
        self.on_death: Callable[[], None] = lambda: None
        self.claims = Claims()
        self.wall: Callable[[], float] = lambda: 0.0
        self._tracked: dict[Path, Tracked] = {}
        self._unsynced: set[Path] = set()
        self._undo: list[Callable[[Path], None]] = []
        self._image = root.with_name(f"{root.name}-found")
        self._busy = False

    # -- dying -------------------------------------------------------------------------------------------------

    def instant(self, kind: str) -> None:
        """Something is about to happen; raises Crash if the machine dies first, or is dead.

        A dead process that clears up behind itself is let be: what it does is not there afterwards.
        """
        if self.dies(kind):
            self.die()
            raise Crash
        if self.dead and kind != "entry":
            raise Crash

    def dies(self, kind: str) -> bool:
        """Whether this is the instant of death; the caller may leave half its work behind and call :meth:`die`."""
        if self.dead:
            return False
        self.instants[kind] += 1
        return self.crash == (kind, self.instants[kind])

    def die(self) -> None:
        """Keep the disk as it is now; whatever the dead process does from here on is not there afterwards."""
        self.dead = True
        self._busy = True
        shutil.copytree(self.root, self._image, symlinks=True)
        if self.power_cut:
            self._cut_power()
        self._busy = False
        self.on_death()

    def _cut_power(self) -> None:
        for path, tracked in self._tracked.items():
            found = self._in_image(path)
            if tracked.pending and found.exists():
                found.write_bytes(tracked.after_a_power_cut(self.random))
        for path in sorted(self._unsynced - self._tracked.keys()):
            found = self._in_image(path)
            if found.is_file():
                content = found.read_bytes()
                kept = content[: self.random.randint(0, len(content))]
                found.write_bytes(kept + bytes(len(content) - len(kept) if self.random.random() < 0.3 else 0))
        for undo in self._undo[self.random.randint(0, len(self._undo)) :][::-1]:
            undo(self._image)

    def restart(self) -> None:
        """The disk as it is found; a new process, or a new boot."""
        self._busy = True
        if self.dead:
            shutil.rmtree(self.root)
            self._image.rename(self.root)
        self._busy = self.dead = self.power_cut = False
        self.crash = self.full = None
        self.instants.clear()
        self.claims.forget()
        self._tracked.clear()
        self.settle()

    def settle(self) -> None:
        """All that is there now has been for long."""
        self._unsynced.clear()
        self._undo.clear()

    def _in_image(self, path: Path) -> Path:
        return self._image / path.relative_to(self.root)

    # -- what is written ---------------------------------------------------------------------------------------

    def tracked(self, path: Path) -> Tracked:
        """The file's record; what is there when it is first seen counts as being on disk."""
        if path not in self._tracked:
            self._tracked[path] = Tracked(path.read_bytes() if path.exists() else b"")
        return self._tracked[path]

    def forget(self, path: Path) -> None:
        """The file was removed."""
        self._tracked.pop(path, None)

    def has_space(self) -> bool:
        """Whether the next write finds space."""
        if self.full is None:
            return True
        self.full -= 1
        return self.full > 0

    def synced(self, path: Path | None = None) -> None:
        """Something was synced: with an ordered journal every directory entry made before it is on disk, too."""
        self._undo.clear()
        if path:
            self._unsynced.discard(path)

    def holds(self, path: object) -> bool:
        """Whether a path is on this disk, and it is not the simulation itself that is at it."""
        return not self._busy and isinstance(path, str | Path) and str(path).startswith(f"{self.root}/")

    # -- directory entries -------------------------------------------------------------------------------------

    def entry(self, event: str, args: tuple[object, ...]) -> None:
        """An audit event of the interpreter that changes a directory under the root."""
        path = Path(str(args[0]))
        self.instant("entry")
        if event == "open":
            self._unsynced.add(path)
            if not path.exists():
                self._undo.append(lambda image: _remove(image / path.relative_to(self.root)))
        elif event in ("os.mkdir", "os.link"):
            made = Path(str(args[1])) if event == "os.link" else path
            self._undo.append(lambda image: _remove(image / made.relative_to(self.root)))
        elif event == "os.rename":
            target = Path(str(args[1]))
            self._undo.append(_Renamed(self.root, path, target))
            self._unsynced.discard(target)
            if path in self._unsynced:
                self._unsynced ^= {path, target}
        elif path.exists():
            self._undo.append(_Removed(self.root, path))

    def create_sitting(self, folder: Path) -> SimulatedLog:
        """The journal's next file, made as in earnest."""
        inner = create_sitting(folder)
        path = sorted(folder.glob("sitting-*.log"))[-1]
        self.synced()  # it syncs its folder
        return SimulatedLog(self, path, inner)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Renamed:
    def __init__(self, root: Path, source: Path, target: Path) -> None:
        self._names = source.relative_to(root), target.relative_to(root)
        self._before = target.read_bytes() if target.is_file() else None

    def __call__(self, image: Path) -> None:
        source, target = (image / name for name in self._names)
        if target.exists() and source.parent.exists():
            target.rename(source)
        if self._before is not None and target.parent.exists():
            target.write_bytes(self._before)


class _Removed:
    def __init__(self, root: Path, path: Path) -> None:
        self._name = path.relative_to(root)
        self._content = path.read_bytes() if path.is_file() else None

    def __call__(self, image: Path) -> None:
        path = image / self._name
        if self._content is None:
            path.mkdir(exist_ok=True)
        elif path.parent.exists():
            path.write_bytes(self._content)


class SimulatedLog:
    """A file of the journal on the simulated disk."""

    def __init__(self, disk: Disk, path: Path, inner: object) -> None:
        self._disk, self._path, self._inner = disk, path, inner
        self._size = 0
        disk.tracked(path)

    def append(self, data: bytes) -> None:
        disk = self._disk
        if disk.dies("append"):
            self._write(data[: disk.random.randint(0, len(data))])
            disk.die()
        if disk.dead:
            raise Crash
        if not disk.has_space():
            self._inner.append(data[: disk.random.randint(0, len(data) - 1)])
            raise OSError(errno.ENOSPC, "No space left on device")
        self._write(data)
        disk.claims.appended(data)

    def _write(self, data: bytes) -> None:
        self._disk.tracked(self._path).written(self._size, data)
        self._inner.append(data)
        self._size += len(data)
        now = self._disk.wall()
        os.utime(self._path, (now, now))

    def sync(self) -> None:
        self._disk.instant("sync")
        self._disk.tracked(self._path).synced(self._path.read_bytes())
        self._disk.synced()
        self._disk.claims.synced()

    def close(self) -> None:
        self._inner.close()


# -- SQLite, and the interpreter's own files -------------------------------------------------------------------


class _File(apsw.VFSFile):
    """A file of SQLite's on the simulated disk, if it is there at all."""

    def __init__(self, disk: Disk | None, name: object, flags: list[int]) -> None:
        self._disk = disk
        self._path = Path(name.filename() if isinstance(name, apsw.URIFilename) else str(name))
        if disk:
            disk.tracked(self._path)
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's names
        if self._disk:
            self._disk.instant("sqlite")
            if not self._disk.has_space():
                raise apsw.FullError("No space left on device")
            self._disk.tracked(self._path).written(offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        if self._disk:
            self._disk.instant("sqlite")
            self._disk.tracked(self._path).pending.append(size)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._disk:
            self._disk.instant("sqlite")
            self._disk.tracked(self._path).synced(self._path.read_bytes())
            self._disk.synced()


class _Files(apsw.VFS):
    """The default file system of SQLite in this process; the checksums of the ledger's pages come on top of it."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks
        super().__init__("simulated", "unix", makedefault=True)

    def xOpen(self, name: object, flags: list[int]) -> _File:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return _File(self._disks.of(path), name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802
        disk = self._disks.of(name)
        if disk:
            disk.instant("sqlite")
            disk.entry("os.remove", (name,))
            disk.forget(Path(name))
        super().xDelete(name, False)
        if disk and syncdir:
            disk.instant("sqlite")
            disk.synced()


class Disks:
    """All that is written in this process, by the disk it is on; made once, before the first ledger is opened."""

    def __init__(self) -> None:
        self.current: Disk | None = None
        self._files = _Files(self)
        self._fsync = os.fsync
        os.fsync = self._synced
        sys.addaudithook(self._audit)

    def of(self, path: object) -> Disk | None:
        """The disk that a path is on."""
        disk = self.current
        return disk if disk is not None and disk.holds(path) else None

    def _audit(self, event: str, args: tuple[object, ...]) -> None:
        if event not in ("open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir") or not self.current:
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & _WRITES):
            return
        path = _named(args[0], args[-1] if event in ("os.remove", "os.rmdir") else -1)
        if disk := self.of(path):
            disk.entry(event, (path, *args[1:]))

    def _synced(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if disk := self.of(str(path)) or (self.current if path == getattr(self.current, "root", None) else None):
            disk.instant("entry")
            disk.synced(path)


def _named(path: object, folder: object) -> object:
    """A path of an audit event, which may be relative to an open folder."""
    if not isinstance(path, str | Path) or not isinstance(folder, int) or folder < 0:
        return path
    return Path(f"/proc/self/fd/{folder}").readlink() / path
