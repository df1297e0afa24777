"""Requests a second and CPU time of the lane beside httpx, in one run against one server.

    python bench/lane.py URL COUNT LANES

URL is an http or https address whose path is posted to, such as http://127.0.0.1:8201/api/lead/update/cmp_a; it should
answer 201 at once (nginx: ``return 201``). httpx gets a hundredth of COUNT, since it is that much slower.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import repeat
from urllib.parse import urlsplit

import httpx
import uvloop

from batchpost.lane import open_wire
from batchpost.model import Reply, Target
from batchpost.transport import MAX_IDLE, Origin, Request

BODY = b'{"transaction_id":"txn_0123456789","email":"someone@example.com","loan_amount":15000}'


async def with_lanes(url: str, count: int, workers: int) -> None:
    parts = urlsplit(url)
    request: Request = (None, Target(parts.path, token="bench-token"), BODY, MAX_IDLE)
    ended = asyncio.Event()
    async with open_wire(Origin.parse(f"{parts.scheme}://{parts.netloc}"), count=workers, timeout=30) as wire:
        wire.notify = ended.set
        begun = min(workers, count)
        wire.begin(repeat(request, begun))
        left = count
        while left:
            await ended.wait()
            ended.clear()
            replies = wire.take()
            for _, reply in replies:
                if not isinstance(reply, Reply) or reply.status != 201:
                    raise SystemExit(f"the server gives {reply!r}, not 201")
            left -= len(replies)
            more = min(len(replies), count - begun)
            begun += more
            wire.begin(repeat(request, more))


async def with_httpx(url: str, count: int, workers: int) -> None:
    rows = iter(range(count))
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=workers), trust_env=False) as client:

        async def work() -> None:
            for _ in rows:
                (await client.post(url, content=BODY)).raise_for_status()

        await asyncio.gather(*(work() for _ in range(workers)))


def measure(name: str, send: Callable[[str, int, int], Awaitable[None]], url: str, count: int, workers: int) -> None:
    async def run() -> None:
        await send(url, count, workers)

    wall, cpu = time.perf_counter(), time.process_time()
    uvloop.run(run())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:6} {count:>9,} requests {count / wall:>10,.0f} req/s {cpu / count * 1e6:>8.1f} CPU µs a request")


def main() -> None:
    url, count, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    measure("lane", with_lanes, url, count, workers)
    measure("httpx", with_httpx, url, max(count // 100, workers), workers)


if __name__ == "__main__":
    main()
