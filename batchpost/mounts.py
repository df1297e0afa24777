"""Which kind of file system a path is on, by the system's table of mounts (Linux; proc(5))."""

from __future__ import annotations

from pathlib import Path

__all__ = ["network_file_system"]

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "fuse.sshfs", "fuse.glusterfs"}


def network_file_system(path: Path, table: Path) -> str:
    """The kind of network file system that holds ``path``; empty for a local one, or where there is no such table."""
    try:
        mounts = [line.split()[1:3] for line in table.read_text().splitlines()]
    except OSError:
        return ""
    real, longest, kind = path.resolve(), "", ""
    for point, system in ((point.replace("\\040", " "), system) for point, system in mounts):
        if len(point) >= len(longest) and real.is_relative_to(point):  # of two at one point the later one is on top
            longest, kind = point, system
    return kind if kind in _NETWORK else ""
