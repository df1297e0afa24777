"""Checks that the lock files are in step with pyproject.toml; offline, by what the files say.

    python tools/locks.py

Prints every difference and ends with 1, or one line and 0. `make lock` mends it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

__all__ = ["Lock", "check", "differences", "read_lock"]

ROOT = Path(__file__).parent.parent
EDITABLE = Requirement("editables")  # what hatchling needs besides itself for an editable installation (PEP 660)

Lock = dict[str, tuple[str, bool, bool]]


def read_lock(text: str) -> Lock:
    """Name to version, whether pyproject.toml asks for it, and whether it has hashes, as pip-compile writes them."""
    found: Lock = {}
    for entry in re.split(r"\n(?=\S)", text):
        if pin := re.match(r"([A-Za-z0-9._-]+)==(\S+)", entry):
            found[canonicalize_name(pin[1])] = (pin[2], "(pyproject.toml" in entry, "--hash=sha256:" in entry)
    return found


def differences(wanted: list[Requirement], lock: Lock) -> list[str]:
    """What a lock lacks, pins outside the wanted range or without hashes, or still has though nothing asks for it."""
    found = [f"{name}: no hashes" for name, (_, _, hashed) in lock.items() if not hashed]
    names = {canonicalize_name(requirement.name) for requirement in wanted}
    found += [f"{name}: no longer asked for" for name, (_, asked, _) in lock.items() if asked and name not in names]
    for requirement in wanted:
        pin = lock.get(canonicalize_name(requirement.name))
        if pin is None:
            found.append(f"{requirement}: missing")
        elif not requirement.specifier.contains(Version(pin[0]), prereleases=True):
            found.append(f"{requirement}: pinned at {pin[0]}")
    return found


def _addresses(text: str) -> list[str]:
    """Locks name packages, never places to get them from: that is the machine's business."""
    return [f"names a place: {line}" for line in text.splitlines() if "://" in line or re.match(r"-[if]|--\w", line)]


def check(root: Path) -> list[str]:
    """Every difference between ``pyproject.toml`` and the lock files under ``root``, each with its file's name."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    build = [*(Requirement(text) for text in project["build-system"]["requires"]), EDITABLE]
    run = [*build, *(Requirement(text) for text in project["project"]["dependencies"])]
    dev = [*run, *(Requirement(text) for text in project["project"]["optional-dependencies"]["dev"])]
    found, locks = [], {}
    for name, wanted in (("run.txt", run), ("dev.txt", dev)):
        text = (root / "requirements" / name).read_text()
        locks[name] = read_lock(text)
        found += [f"{name}: {problem}" for problem in (*differences(wanted, locks[name]), *_addresses(text))]
    for package, (version, _, _) in locks["run.txt"].items():
        if (other := locks["dev.txt"].get(package, ("nothing",))[0]) != version:
            found.append(f"dev.txt: {package} is {other}, in run.txt {version}")
    return found


def main() -> int:
    """Returns the exit code."""
    found = check(ROOT)
    for problem in found:
        print(problem, file=sys.stderr)
    print("the lock files are out of step: make lock" if found else "the lock files are in step with pyproject.toml")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
