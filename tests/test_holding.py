"""Fetched files are private, go with their program, and with the next one where it was killed."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from batchpost.holding import Holding

DIES = """
import os, pathlib, sys
from batchpost.holding import Holding
holding = Holding(pathlib.Path(sys.argv[1]))
path, file = holding.new_file(".csv")
file.write(b"id")
file.close()
os.kill(os.getpid(), 9)
"""


def left(parent: Path) -> list[str]:
    return sorted(place.name for place in parent.iterdir())


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    Holding(tmp_path).close()
    assert left(tmp_path) == []


def test_files_and_folder_are_private_and_go_at_the_end(tmp_path: Path) -> None:
    holding = Holding(tmp_path)
    path, file = holding.new_file(".csv.gz")
    other, second = holding.new_file()
    file.close()
    second.close()
    assert (path.name, other.name) == ("1.csv.gz", "2")
    assert [stat.S_IMODE(place.stat().st_mode) for place in (path, path.parent)] == [0o600, 0o700]
    assert [stat.S_IMODE(place.stat().st_mode) for place in tmp_path.glob("*.lock")] == [0o600]
    assert repr(holding) == f"Holding('{path.parent}', files=2)"
    holding.close()
    assert left(tmp_path) == []


def test_the_folder_may_hold_files_of_any_name(tmp_path: Path) -> None:
    holding = Holding(tmp_path)
    folder = holding.folder()
    assert folder == holding.folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "plan.arrow").write_text("x")
    holding.close()
    assert left(tmp_path) == []


def test_what_a_living_program_holds_stays(tmp_path: Path) -> None:
    first, second = Holding(tmp_path), Holding(tmp_path)
    path, file = first.new_file()
    file.close()
    second.new_file()[1].close()
    assert path.exists()
    second.close()
    first.close()
    assert left(tmp_path) == []


def test_what_a_killed_program_left_goes_with_the_next(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    assert ended.returncode == -9
    assert [place.name for place in tmp_path.glob("*/*")] == ["1.csv"]
    holding = Holding(tmp_path)
    path, file = holding.new_file()
    file.close()
    assert list(tmp_path.glob("*/*")) == [path]
    holding.close()
    assert left(tmp_path) == []


def test_links_in_place_of_a_folder_are_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (tmp_path / "batchpost-input-x").symlink_to(kept)
    holding = Holding(tmp_path)
    holding.new_file()[1].close()
    holding.close()
    assert (kept / "file").exists()


def test_a_place_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file"):
        Holding(tmp_path / "file").new_file()
