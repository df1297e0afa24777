"""What a mistake is made on: a workspace of one nightly job, with an input full of canaries, and what is said there.

A scenario is a function of a :class:`Stage` that sets something wrong up and gives its last command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchpost.ledger import Ledger
from batchpost.places import Places
from batchpost.progress import Display
from batchpost.sandbox import Sandbox
from tests.canaries import CELLS, COLUMNS, SECRET
from tests.commands import Done, call
from tests.jobtexts import job_text
from tests.workspaces import FAST, sandbox

__all__ = ["JOB", "NOWHERE", "Scenario", "Stage", "page"]

JOB = "jobs/nightly.toml"
INPUT = "exports/conv.csv"
NOWHERE = "http://127.0.0.1:9"  # nobody listens there
_CANARIES = "\n".join(f'{name} = {{ column = "{kind}" }}' for kind, name in COLUMNS.items() if kind == "email")
_SALE = f'event_id = {{ value = "sale_completed" }}\nrevenue = {{ column = "Payout" }}\n{_CANARIES}'
_UPDATE = f'city = {{ column = "City" }}\n{_CANARIES}'

Scenario = Callable[["Stage"], Done]


@dataclass
class Stage:
    """A workspace that is the current folder. ``said`` are the commands so far, as a person would type them; ``open``
    closes what a scenario opens."""

    folder: Path
    environ: pytest.MonkeyPatch
    open: ExitStack
    said: list[str] = field(default_factory=list)

    @cached_property
    def platform(self) -> Sandbox:
        """A sandbox that knows every lead."""
        server, _ = self.open.enter_context(sandbox(org_id=SECRET))
        return server

    def write(self, text: str | bytes, name: str = JOB) -> Path:
        """A file of the workspace."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def job(self, route: str = "global-event", top: str = "", *, base_url: str = NOWHERE, **tables: str) -> str:
        """Write the nightly job: a sound one of the route, with lines put in. Returns its text."""
        own = _UPDATE if route == "update-lead" else _SALE
        given = {
            "delivery": FAST,
            **tables,
            "api": f'base_url = "{base_url}"\n{tables.get("api", "")}',
            "source": f'path = "{INPUT}"\n{tables.get("source", "")}',
            "fields": f"{own}\n{tables.get('fields', '')}",
        }
        text = job_text(route, f'name = "nightly"\n{top}', **given)
        self.write(text)
        return text

    def rows(self, count: int = 3, name: str = INPUT, **columns: list[str]) -> Path:
        """An input of sound rows, each cell that may hold personal data a canary; ``columns`` in place of these."""
        leads = [f"txn_{number:05}" for number in range(1, count + 1)]
        table = {"Lead": leads, "Payout": ["12.50"] * count, "City": ["Rome"] * count}
        table |= {kind: [cell] * count for kind, cell in CELLS.items()}
        text = pl.DataFrame({**table, "Mail": table["email"], **columns}).write_csv()
        return self.write(text, name)

    def say(self, *words: str) -> Done:
        """One command in this process."""
        self.said.append(" ".join(("batchpost", *words)))
        return call(*words)

    def run(self, *words: str) -> Done:
        """The nightly run."""
        return self.say("run", JOB, *words)

    def while_sending(self, action: Callable[[], object], *words: str) -> Done:
        """The nightly run, in which something happens when the first request is about to go out."""
        progress, done = Display.progress, list[object]()

        def look(display: Display, *given: Any) -> None:
            progress(display, *given)
            if not done:
                done.append(action())

        self.environ.setattr(Display, "progress", look)
        return self.run(*words)

    def delivered(self, **tables: str) -> Done:
        """The nightly run that went well, before all went wrong."""
        self.job(base_url=self.platform.base_url, **tables)
        self.rows()
        done = self.run()
        assert done.code == 0, done
        return done

    @property
    def ledger(self) -> Path:
        """The ledger's file: the platform is on loopback, so it is the one for tests."""
        return self.folder / ".batchpost/ledger-test.db"

    @property
    def places(self) -> Places:
        return Places(self.ledger, self.folder / "results/nightly", test=True)

    def run_ids(self) -> list[str]:
        """The ids of the runs in the ledger, oldest first."""
        ledger = Ledger.open(self.ledger, must_exist=True)
        try:
            return [record.run_id for record in reversed(ledger.runs())]
        finally:
            ledger.close()


def page(stage: Stage, done: Done) -> str:
    """The last command with all that it said and its exit code, without what is another in each run of the tests."""
    told = "\n".join(line for line in done.err.splitlines() if not line.startswith("{"))  # but what is logged
    parts = [f"$ {stage.said[-1]}", told, _ends(done.out.rstrip("\n")), f"exit code {done.code}"]
    return _steady("\n\n".join(part for part in parts if part), stage.folder) + "\n"


def _ends(text: str) -> str:
    """What a run says at its end; of its books what is marked as trouble, as the rest is for other tests."""
    if "Safe to repeat" not in text:
        return text
    told = re.findall(r"^(?:nightly \d|!|Canary:|Nothing more is sent|Safe to repeat).*", text, re.MULTILINE)
    return "\n".join([*told[:-1], "…", told[-1]])


_CHANGING: Mapping[str, str] = {
    r"\d{8}T\d{9}-[0-9a-f]{4}": "20261127T020000000-1a2b",
    r"127\.0\.0\.1:(?!9\b)\d+": "127.0.0.1:8080",
    r"process \d+ since [\d-]+ [\d:]+": "process 4711 since 2026-11-27 02:00:00",
    r"(Error at \w+\.py):\d+": r"\1:229",
    r"damaged at byte \d+": "damaged at byte 355",
    r" \((?:less than a second|\d+ s)\)": "",
}


def _steady(text: str, folder: Path) -> str:
    text = text.replace(str(folder), "/srv/uploads")
    for pattern, steady in _CHANGING.items():
        text = re.sub(pattern, steady, text, flags=re.MULTILINE)
    return text
