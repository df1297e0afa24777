from __future__ import annotations

from pathlib import Path

import pytest

from batchpost.mounts import network_file_system


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ("/dev/a / ext4 rw 0 0\n", ""),
        ("/dev/a / ext4 rw 0 0\nserver:/x {there} nfs4 rw 0 0\n", "nfs4"),
        ("server:/x {there} nfs rw 0 0\n/dev/a / ext4 rw 0 0\n", "nfs"),
        ("/dev/a / ext4 rw 0 0\nserver:/x {there}/elsewhere nfs4 rw 0 0\n", ""),
        ("server:/ / nfs4 rw 0 0\n/dev/b {there} ext4 rw 0 0\n", ""),
        ("systemd-1 {there} autofs rw 0 0\nserver:/x {there} nfs4 rw 0 0\n", "nfs4"),
        ("//server/x {there} cifs rw 0 0\n", "cifs"),
        ("", ""),
    ],
    ids=["local", "nfs", "order", "elsewhere", "local disk on nfs root", "automounted", "cifs", "no table"],
)
@pytest.mark.parametrize("name", ["", "not/there/yet"])
def test_the_mount_nearest_to_a_path_says_what_it_is_on(tmp_path: Path, table: str, kind: str, name: str) -> None:
    there = tmp_path / "a folder"
    mounts = tmp_path / "mounts"
    mounts.write_text(table.format(there=str(there.resolve()).replace(" ", "\\040")))
    assert network_file_system(there / name, mounts) == kind


def test_a_link_counts_as_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text(f"server:/x {tmp_path.resolve() / 'far'} nfs4 rw 0 0\n")
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to("far")
    assert network_file_system(tmp_path / "near" / "ledger.db", tmp_path / "mounts") == "nfs4"


def test_a_system_without_a_table_of_mounts_is_taken_as_local(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "none") == ""
