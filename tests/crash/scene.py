"""Where a program under way is, told from outside: by its files and by the requests that have arrived."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from contextlib import closing, suppress
from io import SEEK_END
from pathlib import Path

from batchpost.journal import sitting_files
from batchpost.ledger import Ledger
from batchpost.locks import holder
from batchpost.sandbox import Sandbox
from tests.crash.aims import Aim
from tests.workspaces import Workspace

__all__ = ["PHASES", "Scene"]

PHASES = ("start-up", "planning", "waiting", "sending", "folding", "results")
"""Where a kill can hit: before the job's lock is held; up to the first record of this sitting's journal; before its
first request; after that; once the journal says that it is over; once new outcomes are being written."""

_TAIL = 200  # bytes, which hold a journal's last record

Signature = tuple[int, int, int] | None


class Scene:
    """One sitting of the workspace's job, begun when this is made: what was there before does not count."""

    def __init__(self, workspace: Workspace, server: Sandbox) -> None:
        self._at = at = workspace.places
        self._server = server
        self._began = time.monotonic()
        self._journals = len(self._sittings())
        self._requests = len(server.received)
        results = next(iter(sorted(at.results.glob("*"))), at.results / "none yet")
        kept = next(at.run("any").parent.glob("*/read.json"), None)  # a run that goes on reads no more for its plan
        self._files = {
            "plan": kept.with_name("plan.json") if kept else at.run("next-job") / "plan.arrow",
            "ledger": at.ledger.with_name(f"{at.ledger.name}-journal"),
            "summary": results / "summary.json",
            "results": results / ".outcomes.csv.part",
            "outcomes": results / "outcomes.csv",
        }
        self._before = {name: _signature(path) for name, path in self._files.items()}

    @property
    def requests(self) -> int:
        """Requests of this sitting that have arrived."""
        return len(self._server.received) - self._requests

    def shows(self, aim: Aim, pid: int) -> bool:
        """Whether the sign of an aim is there."""
        match aim.sign:
            case "elapsed":
                return time.monotonic() - self._began >= aim.amount
            case "requests":
                return self.requests >= max(1, aim.amount)
            case "lock":
                return self._holds_lock(pid)
            case "journal":
                return len(self._sittings()) > self._journals
            case "over":
                return self._over()
            case "books":
                return self._fresh("outcomes") and self.is_told_finished()
            case "never":
                return False
            case _:
                return self._fresh(aim.sign)

    def phase(self, pid: int) -> str:
        """Where the program was when it was killed."""
        if not self._holds_lock(pid):
            return "start-up"
        if len(self._sittings()) == self._journals:
            return "planning"
        if self._over():
            return "results" if self._fresh("results") or self._fresh("outcomes") else "folding"
        return "sending" if self.requests else "waiting"

    def in_a_ledger_write(self) -> bool:
        """Whether SQLite's own journal was left behind."""
        return self._files["ledger"].exists()

    def is_told_finished(self) -> bool:
        """Whether the summary says that the run is over."""
        try:
            return bool(json.loads(self._files["summary"].read_text())["state"] == "finished")
        except (OSError, ValueError, LookupError):
            return False

    def is_finished(self) -> bool:
        """Whether the register says so. A copy is asked: to open the ledger itself would mend what a kill left."""
        if not self.is_told_finished():
            return False
        with tempfile.TemporaryDirectory() as folder:
            for path in (self._at.ledger, self._files["ledger"]):
                if path.exists():
                    shutil.copy(path, folder)
            with closing(Ledger.open(Path(folder) / self._at.ledger.name, must_exist=True)) as ledger:
                return all(record.state == "finished" for record in ledger.runs())

    def _fresh(self, name: str) -> bool:
        return _signature(self._files[name]) not in (None, self._before[name])

    def _holds_lock(self, pid: int) -> bool:
        return (holder(self._at.locks, "job job") or {}).get("pid") == pid

    def _sittings(self) -> list[Path]:
        """The journals of the job's run, oldest first; none where its folder goes away at this very moment."""
        found: list[Path] = []
        for run in sorted(self._at.run("any").parent.glob("*")):
            with suppress(FileNotFoundError):
                found += sitting_files(run)
        return found

    def _over(self) -> bool:
        """Whether the last record of this sitting's journal says that it ended in order."""
        sittings = self._sittings()
        if len(sittings) <= self._journals:
            return len(sittings) < self._journals  # the run is finished, and has cleared them away
        try:
            with sittings[-1].open("rb") as file:
                file.seek(max(0, file.seek(0, SEEK_END) - _TAIL))
                return b' ["over",' in file.read()
        except FileNotFoundError:
            return True


def _signature(path: Path) -> Signature:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
