"""Others that post to the same server: hey, wrk, ``curl -Z`` and the usual loop of csv + httpx.

Each is one command and the way to read requests a second from it. Those that are not installed are left out by name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.process import Failed, Ran, run
from bench.servers import find

__all__ = ["BODY", "Peer", "Speed", "curl", "hey", "usual_loop", "wrk"]

BODY = '{"first_name":"Name123","email":"lead1234567@example.com","zip_code":"34567","loan_amount":468}'
JSON = "Content-Type: application/json"
LUA = f"""
wrk.method = "POST"
wrk.body = '{BODY}'
wrk.headers["Content-Type"] = "application/json"
"""
LOOP = """
import asyncio, csv, sys, time
import httpx

async def main(path, url, rows, in_flight):
    semaphore = asyncio.Semaphore(in_flight)
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with httpx.AsyncClient(limits=limits, timeout=30, trust_env=False) as client:
        async def post(row):
            async with semaphore:
                (await client.post(url, json=row)).raise_for_status()
        with open(path, newline="") as file:
            some = [row for row, _ in zip(csv.DictReader(file), range(rows))]
        started = time.perf_counter()
        await asyncio.gather(*map(post, some))
        print(rows / (time.perf_counter() - started))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


class Speed(NamedTuple):
    """Requests a second, microseconds of CPU a request, and requests a second without start and end, where known."""

    rate: float
    cpu: float
    sending: float = 0.0


class Peer(NamedTuple):
    """A program to compare with: its command, how requests a second are read from how it went, how many it sends.

    ``requests`` of 0 are as many as it can in its time.
    """

    command: list[str]
    rate: Callable[[Ran], float]
    requests: int
    folder: Path

    @property
    def is_installed(self) -> bool:
        """Whether its program is there."""
        return find(self.command[0]) is not None

    def measure(self) -> Speed:
        """Run it once; raises Failed when it got anything but success."""
        ran = run(self.command, folder=self.folder)
        rate = self.rate(ran)
        return Speed(rate, ran.cpu / (self.requests or rate * ran.wall) * 1e6)


def hey(folder: Path, url: str, count: int, in_flight: int) -> Peer:
    """Go's net/http on one core, a fixed body."""
    count = count // in_flight * in_flight
    options = f"-cpus 1 -n {count} -c {in_flight} -m POST -T application/json"
    return Peer(["hey", *options.split(), "-d", BODY, url], _of_hey, count, folder)


def _of_hey(ran: Ran) -> float:
    statuses = re.findall(r"\[(\d+)\]\s+\d+ responses", ran.out)
    found = re.search(r"Requests/sec:\s+([\d.]+)", ran.out)
    if statuses != ["201"] or found is None:
        raise Failed(f"hey got something else than 201\n{ran.out[-2000:]}")
    return float(found[1])


def wrk(folder: Path, url: str, seconds: int, in_flight: int) -> Peer:
    """One thread in C that only compares the reply's status."""
    (folder / "post.lua").write_text(LUA)
    return Peer(f"wrk -t1 -c{in_flight} -d{seconds}s -s post.lua {url}".split(), _of_wrk, 0, folder)


def _of_wrk(ran: Ran) -> float:
    found = re.search(r"Requests/sec:\s+([\d.]+)", ran.out)
    if "Non-2xx" in ran.out or found is None:
        raise Failed(f"wrk got something else than 2xx\n{ran.out[-2000:]}")
    return float(found[1])


def curl(folder: Path, url: str, count: int, in_flight: int) -> Peer:
    """One process for all requests, from a configuration file; its start counts, as it is short."""
    request = "\n".join(
        (f'url = "{url}"', f'header = "{JSON}"', f"data = {_quoted(BODY)}", 'output = "/dev/null"', "fail")
    )
    (folder / "curl.conf").write_text("\nnext\n".join([request] * count) + "\n")
    command = f"curl --silent --parallel --parallel-max {in_flight} --config curl.conf".split()
    return Peer(command, lambda ran: count / ran.wall, count, folder)


def usual_loop(folder: Path, file: str, url: str, rows: int, in_flight: int) -> Peer:
    """What a script usually does: csv, ``httpx.AsyncClient``, a semaphore; no checks, no journal, no results."""
    (folder / "loop.py").write_text(LOOP)
    command = [sys.executable, "loop.py", file, url, str(rows), str(in_flight)]
    return Peer(command, lambda ran: float(ran.out), rows, folder)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
