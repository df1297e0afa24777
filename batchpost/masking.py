"""Requests as they may be shown: ids, money and dates of the conversion; never the person behind the lead."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from batchpost.model import Row
from batchpost.redact import NOT_PERSONAL
from batchpost.routes import Credential, Route

__all__ = ["MASK", "Sample", "masked_sample"]

MASK = "***"


@dataclass(frozen=True, slots=True)
class Sample:
    """A request to show. ``number`` counts the rows of the whole input from 0; ``body`` is masked, in its order."""

    number: int
    method: str
    path: str
    body: dict[str, Any]

    def __str__(self) -> str:
        members = ", ".join(f"{json.dumps(name)}: {_literal(value)}" for name, value in self.body.items())
        return f"{self.method} {self.path}\n  {{{members}}}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON output; money becomes text, so that it stays as it is sent."""
        body = {name: str(value) if isinstance(value, Decimal) else value for name, value in self.body.items()}
        return {"row": self.number, "method": self.method, "path": self.path, "body": body}


def masked_sample(row: Row, route: Route) -> Sample:
    """A row's request with the organisation's id and all that may be personal masked."""
    secret = route.credential is Credential.ORG_IN_PATH
    path = route.path.format(scope=MASK) if secret else row.target.path
    body = json.loads(row.body, parse_float=Decimal)
    return Sample(
        row.number, "POST", path, {name: value if name in NOT_PERSONAL else MASK for name, value in body.items()}
    )


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
