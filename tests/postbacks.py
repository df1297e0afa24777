"""The platform on hostile sockets, for whole runs: what it was sent to the byte, what it fired, the ways to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import orjson

from batchpost.edge import Edge
from batchpost.jobrun import Options, run_job
from tests.hostile import Hostile, Visit, forwarding, hosted, message, tunnelling
from tests.wire import WAYS, Way, authority
from tests.workspaces import Onlooker, Table, Workspace, write_csv

__all__ = [
    "CROSSED",
    "ROUTES",
    "RUNS",
    "TWO",
    "Ground",
    "Hasty",
    "Order",
    "Platform",
    "delivered",
    "ground",
    "json_reply",
]

RUNS = tuple(way for way in WAYS if way.name in ("lane", "lane-tls", "proxy", "proxy-tls"))
TWO = tuple(way for way in RUNS if not way.tls)
ROUTES = ("update", "deduped", "once")  # the columns of the verdict table
# Every route by each transport, and the one where most is at stake over TLS as well.
CROSSED = tuple((way, route) for route in ROUTES for way in (RUNS if route == "once" else TWO))
PLAIN = "rate = 100000\nconcurrency = 4\nmax_failures = 100000"


class Hasty(Random):
    """Backs off like the real one, in a fiftieth of its time."""

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * super().random() / 50


class Order(NamedTuple):
    """A request as it was received: its place among all, how often its lead has come by now, its bytes."""

    number: int
    times: int
    lead: str
    head: bytes
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.raw)
        return found


def json_reply(status: str, body: object, *fields: str) -> bytes:
    """A whole reply with a JSON body."""
    return message(status, orjson.dumps(body), *fields)


Behave = Callable[[Visit, Order], Awaitable[None]]


class Platform:
    """Takes requests as the platform's pages say, unless ``behave`` does something else with one.

    ``orders`` are all requests, ``fired`` the leads of those that had an effect, in order.
    """

    def __init__(self, behave: Behave | None = None, *, dedupes: bool = True) -> None:
        self._behave, self._dedupes = behave or self.serve, dedupes
        self._arrivals: Counter[str] = Counter()
        self.orders: list[Order] = []
        self.fired: list[str] = []

    async def __call__(self, visit: Visit) -> None:
        while True:
            head, _, raw = (await visit.request()).partition(b"\r\n\r\n")
            lead = str(orjson.loads(raw)["transaction_id"])
            self._arrivals[lead] += 1
            order = Order(len(self.orders), self._arrivals[lead], lead, head, raw)
            self.orders.append(order)
            await self._behave(visit, order)

    async def serve(self, visit: Visit, order: Order) -> None:
        """Do it and say so."""
        await visit.send(self.fire(order))

    def fire(self, order: Order) -> bytes:
        """Do what is asked, or not where it is a duplicate; returns the reply, whether it is sent or not."""
        is_event = b"/api/lead/update/" not in order.head
        if is_event and self._dedupes and order.lead in self.fired:
            return json_reply("400 Bad Request", {"status": 400, "message": "Duplicate event for this transaction_id"})
        self.fired.append(order.lead)
        mark = f"{order.lead}#{self.fired.count(order.lead)}"
        if is_event:
            data = {"transaction_id": order.lead, "conversion_id": mark, "conversion": True}
            return json_reply("200 OK", {"status": 200, "message": "Event triggered successfully", "data": data})
        data = {"transaction_id": order.lead, "leadStatus": "accepted", "redirect_url": mark}
        return json_reply("201 Created", {"status": "201", "transaction_id": order.lead, "data": data})


@dataclass
class Ground:
    """A job in a workspace of its own, the platform, and the way between them.

    ``door`` is the port that the job's connections are made to: the proxy's, or that of ``server``.
    """

    workspace: Workspace
    platform: Platform
    server: Hostile
    way: Way
    door: int
    api: str
    edge: Edge = field(default_factory=lambda: Edge(random=Hasty))

    def by_way_of(self, port: int) -> str:
        """A line of [api] that has all connections made to another port of this machine than ``door``."""
        url = f"{'https' if self.way.tls and not self.way.proxy else 'http'}://127.0.0.1:{port}"
        return f'proxy = "{url}"' if self.way.proxy else f'base_url = "{url}"'

    def job(self, route: str, *, delivery: str = "", api: str = "", **tables: str) -> None:
        """Updates, events that the platform refuses a second time, or events that fire as often as they are sent."""
        tables = {**tables, "api": f"{self.api}{api}", "delivery": f"{PLAIN}\n{delivery}"}
        if route == "update":
            self.workspace.updates(**tables)
        else:
            self.workspace.sales(dedupe=route == "deduped", **tables)

    def rows(self, leads: list[str], **columns: list[str]) -> None:
        """The input: a row a lead, fit for any route."""
        count = len(leads)
        usual: Table = {"Lead": leads, "Payout": ["12.50"] * count, "Email": [""] * count, "Mail": [""] * count}
        write_csv(self.workspace.folder / "in.csv", {**usual, "City": ["Rome"] * count, **columns})

    def run(self, watcher: Onlooker | None = None, **options: Any) -> dict[str, Any]:
        """One sitting; returns the summary."""
        settings = Options(**{"pause": 0.0, **options})
        return run_job(self.workspace.load(), settings, self.workspace.environ, watcher or Onlooker(), self.edge)

    def ends(self, summary: dict[str, Any]) -> dict[str, tuple[str, str]]:
        """Outcome and reason of each lead."""
        frame = self.workspace.outcomes(summary).select("transaction_id", "outcome", "reason")
        return {lead: (outcome, reason) for lead, outcome, reason in frame.iter_rows()}


def delivered(route: str) -> tuple[str, str]:
    """Outcome and reason of a row that got through."""
    return "delivered", "accepted" if route == "update" else "conversion"


@contextmanager
def ground(folder: Path, way: Way, platform: Platform, *, server: Hostile | None = None) -> Iterator[Ground]:
    """The ground of one test, with its servers up. ``server`` is what stands for the platform, if it is not it."""
    server = server or way.serve(platform)
    with ExitStack() as stack:
        stack.enter_context(hosted(server))
        api, door = "", server.port
        if way.tls:
            authority().cert_pem.write_to_path(str(folder / "ca.pem"))
            api += 'ca_file = "ca.pem"\n'
        if way.proxy:
            proxy = Hostile(tunnelling(server.port) if way.tls else forwarding(server.port))
            stack.enter_context(hosted(proxy))
            api, door = f'{api}proxy = "{proxy.url}"\n', proxy.port
        yield Ground(Workspace(folder, way.url_of(server)), platform, server, way, door, api)
