"""The jobs of a history and their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.jobtexts import job_text
from tests.simulation.platform import DEDUPED

__all__ = ["Case", "Night"]


@dataclass(frozen=True)
class Case:
    """A job of a history: its file's name, what kind of job it is, the settings that promises depend on."""

    name: str
    kind: str
    rate: int
    concurrency: int
    redistributes: bool = False
    campaign: str = ""

    @property
    def is_event(self) -> bool:
        return self.kind in ("sales", "repeats")

    @property
    def fires_again(self) -> bool:
        return self.kind == "repeats" or self.redistributes

    def text(self) -> str:
        """Its job file."""
        delivery = f"rate = {self.rate}\nconcurrency = {self.concurrency}\ntimeout = 5\nmax_attempts = 4\n"
        delivery += "max_failures = 100000\ndrain = 2"
        tables = {"delivery": delivery, "source": f'path = "{self.name}.csv"'}
        base = 'base_url = "http://127.0.0.1:9"\n'
        if not self.is_event:
            api = f'{base}campaign_id = "{self.campaign}"\nredistributes = {str(self.redistributes).lower()}'
            fields = 'sub1 = { column = "Mark" }\n-email'
            return job_text("update-lead", f'name = "{self.name}"', api=api, fields=fields, **tables)
        event = DEDUPED if self.kind == "sales" else "repeat_purchase"
        api = base + (f'server_dedupe = ["{DEDUPED}"]' if self.kind == "sales" else "")
        fields = (
            f'event_id = {{ value = "{event}" }}\nrevenue = {{ column = "Payout" }}\nsub1 = {{ column = "Mark" }}\n'
        )
        fields += 'pid = { column = "Source" }'
        return job_text("global-event", f'name = "{self.name}"', api=api, fields=fields, **tables)

    def operation(self, lead: str) -> tuple[str, ...]:
        """What the platform knows a row of this lead by."""
        if self.is_event:
            return ("event", lead, DEDUPED if self.kind == "sales" else "repeat_purchase")
        return ("update", self.campaign, lead)


@dataclass(frozen=True)
class Night:
    """One job's input of one night: rows of (lead, payout, mark, source)."""

    case: Case
    number: int
    rows: tuple[tuple[str, str, str, str], ...]

    @property
    def file(self) -> str:
        """Its name."""
        return f"{self.case.name}-{self.number}.csv"

    def row_of(self, mark: str, operation: tuple[str, ...]) -> int:
        """The row (from 0) that a request was made of; -1 for none."""
        lead = operation[-1] if operation[0] == "update" else operation[1]
        return next((n for n, row in enumerate(self.rows) if (row[0], row[2]) == (lead, mark)), -1)

    def write(self, root: Path) -> None:
        """Put it where the job reads it."""
        lines = ["Lead,Payout,Mark,Source", *(",".join(row) for row in self.rows)]
        (root / self.file).write_text("\n".join(lines) + "\n")
