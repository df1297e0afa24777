from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchpost.files import naming, private_folder, replaced


@pytest.fixture(params=[0, 0o077], ids=["open umask", "strict umask"], autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_and_the_parents_made_for_it_are_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    made = private_folder(tmp_path / "results" / "job" / "run")
    assert [mode(path) for path in (made, *list(made.parents)[:3])] == [0o700, 0o700, 0o700, 0o755]
    assert private_folder(made) == made


def test_the_name_of_a_new_folder_is_durable_before_anything_is_put_into_it(tmp_path: Path) -> None:
    done: list[tuple[str, list[str]]] = []

    def sync(folder: Path) -> None:
        done.append((folder.name, [path.name for path in folder.iterdir()]))

    private_folder(tmp_path / "results" / "job" / "run", sync=sync)
    assert done == [(tmp_path.name, ["results"]), ("results", ["job"]), ("job", ["run"])]
    private_folder(tmp_path / "results" / "job" / "run", sync=sync)
    assert len(done) == 3


def test_a_file_takes_its_place_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_bytes(b"old")
    with replaced(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_completed_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_bytes(b"old")

    def fail() -> None:
        with replaced(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [found.read_bytes() for found in tmp_path.iterdir()] == [b"old"]


def test_a_planted_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    (tmp_path / ".out.csv.part").symlink_to(precious)
    (tmp_path / "out.csv").symlink_to(precious)
    with replaced(tmp_path / "out.csv") as file:
        file.write(b"ours")
    assert precious.read_bytes() == b"precious"
    assert not (tmp_path / "out.csv").is_symlink()


def test_what_a_crash_left_half_made_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".out.csv.part").write_bytes(b"half")
    with replaced(tmp_path / "out.csv") as file:
        file.write(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_an_error_that_names_no_file_is_given_its_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"full\.txt") as caught, naming(tmp_path / "full.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC


def test_an_error_that_names_its_file_keeps_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"other\.txt"), naming(tmp_path / "full.txt"):
        (tmp_path / "other.txt").read_text()
