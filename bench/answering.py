"""A small server that answers as late, and refuses as much, as it is told, and records every request that arrives.

    python -m bench.answering --port 8300 --record FILE --latency 0.02

It stands for a platform in the benchmarks of pacing: an asyncio protocol that reads no more of a request than its
length. Timers fire to some tens of microseconds, which is why it waits by ``select``: epoll and uvloop count
milliseconds, and half of one is 2 % of 20. Ends at SIGTERM, or after an hour by itself, and then writes the record.
"""

from __future__ import annotations

import argparse
import asyncio
import selectors
import signal
from array import array
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["LIMITS", "Seen", "bucket", "fixed", "read_record", "sliding"]

REPLY = b'{"status":"201","message":"Lead successfully updated","data":{"leadStatus":"accepted"},"isDeDupe":false}'
REFUSED = b'{"status":"429","message":"Too many requests"}'
LONGEST_LIFE = 3600.0  # seconds


class Seen(NamedTuple):
    """One request as the server saw it: monotonic seconds, the status it gave, how many it held with this one."""

    arrived: float
    answered: float
    status: int
    in_flight: int


def read_record(path: Path) -> list[Seen]:
    """What a server recorded, by arrival; answers that were never sent are left out."""
    values = array("d")
    values.frombytes(path.read_bytes())
    rows = zip(values[0::4], values[1::4], values[2::4], values[3::4], strict=True)
    return sorted(Seen(arrived, answered, int(status), int(held)) for arrived, answered, status, held in rows)


Allows = Callable[[float], bool]


def sliding(limit: int) -> Allows:
    """At most ``limit`` requests are served in any second."""
    served: deque[float] = deque(maxlen=limit)

    def allows(now: float) -> bool:
        if len(served) == limit and now - served[0] < 1.0:
            return False
        served.append(now)
        return True

    return allows


def fixed(limit: int) -> Allows:
    """At most ``limit`` requests are served in each second of the clock."""
    second, count = -1, 0

    def allows(now: float) -> bool:
        nonlocal second, count
        if int(now) != second:
            second, count = int(now), 0
        count += 1
        return count <= limit

    return allows


def bucket(limit: int) -> Allows:
    """``limit`` tokens a second come into a bucket that holds a tenth of a second's; each request takes one."""
    most = limit / 10
    tokens, last = most, 0.0

    def allows(now: float) -> bool:
        nonlocal tokens, last
        tokens = min(most, tokens + (now - last) * limit)
        last = now
        if tokens < 1:
            return False
        tokens -= 1
        return True

    return allows


LIMITS: dict[str, Callable[[int], Allows]] = {"sliding": sliding, "fixed": fixed, "bucket": bucket}


class Platform:
    """What all connections share: how late the next answer is, which one is refused, and the record."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._latency: float = given.latency
        self._slow_from, self._slow_to, self._slow_latency = given.slow
        self._allows = LIMITS[given.limit](given.allow) if given.allow else None
        self._served = _answer("201 Created", REPLY)
        self._refused = _answer("429 Too Many Requests", REFUSED, given.retry_after)
        self._first = 0.0
        self._in_flight = 0
        self.record = array("d")

    def arrived(self, now: float) -> tuple[float, int, bytes]:
        """A request is whole: the instant of its answer, its status, and the answer."""
        self._first = self._first or now
        self._in_flight += 1
        if self._allows is not None and not self._allows(now):
            return now, 429, self._refused
        is_slow = self._slow_from <= now - self._first < self._slow_to
        return now + (self._slow_latency if is_slow else self._latency), 201, self._served

    def answered(self, arrived: float, now: float, status: int, held: int) -> None:
        """An answer went out; ``held`` is how many requests were in flight when this one arrived."""
        self._in_flight -= 1
        self.record.extend((arrived, now, status, held))

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""
        return self._in_flight


class Connection(asyncio.Protocol):
    """One connection, one request after the other."""

    def __init__(self, platform: Platform, loop: asyncio.AbstractEventLoop) -> None:
        self._platform, self._loop = platform, loop
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._buffer.find(b"\r\n\r\n")) >= 0:
            end = head + 4 + _content_length(bytes(self._buffer[:head]))
            if len(self._buffer) < end:
                return
            del self._buffer[:end]
            self._request()

    def _request(self) -> None:
        now = self._loop.time()
        due, status, answer = self._platform.arrived(now)
        held = self._platform.in_flight
        if due <= now:
            self._reply(now, status, held, answer)
        else:
            self._loop.call_at(due, self._reply, now, status, held, answer)

    def _reply(self, arrived: float, status: int, held: int, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)
        self._platform.answered(arrived, self._loop.time(), status, held)


def _answer(status: str, body: bytes, retry_after: int | None = None) -> bytes:
    wait = "" if retry_after is None else f"Retry-After: {retry_after}\r\n"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{wait}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0] or 0)


async def serve(given: argparse.Namespace) -> None:
    """Listen until SIGTERM, then write the record."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    loop.call_later(LONGEST_LIFE, over.set)
    platform = Platform(given)
    server = await loop.create_server(lambda: Connection(platform, loop), "127.0.0.1", given.port)
    await over.wait()
    server.close()
    given.record.write_bytes(platform.record.tobytes())


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--record", type=Path, required=True, help="where to write what arrived")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds from a whole request to its answer")
    parser.add_argument("--slow", type=float, nargs=3, metavar=("FROM", "TO", "LATENCY"), default=(0.0, 0.0, 0.0),
                        help="another latency between these seconds after the first request")  # fmt: skip
    parser.add_argument("--allow", type=int, help="requests a second; the others get 429 at once")
    parser.add_argument("--limit", choices=LIMITS, default="sliding", help="how they are counted")
    parser.add_argument("--retry-after", type=int, metavar="SECONDS", help="said with each 429")
    given = parser.parse_args()
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        loop.run_until_complete(serve(given))
    finally:
        loop.close()


if __name__ == "__main__":
    main()
