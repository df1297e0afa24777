"""What a run takes from the world outside: clocks, chance, the disk of its journal, the network, signals.

One frozen value given to :func:`batchpost.jobrun.run_job`. Its defaults are the real world; a simulation gives another.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread

from batchpost.journal import LogFile, boot_id, create_sitting
from batchpost.lane import open_wire
from batchpost.model import Stop
from batchpost.transport import Origin, Wire

__all__ = ["WORLD", "Edge", "OpenWire", "Runner"]

T = TypeVar("T")

_SIGNALS = {signal.SIGINT: ("SIGINT", 130), signal.SIGTERM: ("SIGTERM", 143)}


class OpenWire(Protocol):
    """Opens as many connections to one origin as requests may be in flight; see :func:`batchpost.lane.open_wire`."""

    def __call__(
        self, origin: Origin, *, count: int, timeout: float, proxy: str | None, ca_file: str | None
    ) -> AbstractAsyncContextManager[Wire]:
        """``timeout`` is seconds for one attempt."""


class Runner(Protocol):
    """Runs an async function on an event loop of its own, to its end."""

    def __call__(self, main: Callable[[], Awaitable[T]], /) -> T:
        """Returns what ``main`` returns."""


def _hears_signals() -> bool:
    """Signals come to the main thread, and only there can be said what becomes of them."""
    return threading.current_thread() is threading.main_thread()


async def _in_thread(call: Callable[[], None]) -> None:
    await anyio.to_thread.run_sync(call)


def _run(main: Callable[[], Awaitable[T]], /) -> T:
    """On asyncio, with uvloop where there is one."""
    before = {number: signal.getsignal(number) for number in _SIGNALS} if _hears_signals() else {}
    options: dict[str, Any] = {"use_uvloop": find_spec("uvloop") is not None}
    try:
        return anyio.run(main, backend_options=options)
    finally:  # the event loop leaves them to the system, and a SIGTERM while results are written would end it wordless
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


async def _heed_signals(stop: Callable[[Stop], None]) -> None:
    """The first signal ends the run in order; the second at once: the journal is on the safe side of both."""
    if not _hears_signals():
        return
    asked = False
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        async for number in signals:
            name, code = _SIGNALS[number]
            if asked:
                os._exit(code)
            asked = True
            stop(Stop("interrupted", f"Stopped by {name}", code))


@dataclass(frozen=True, slots=True)
class Edge:
    """``wall`` gives Unix seconds, ``clock`` monotonic ones; ``entropy`` so many random bytes, ``random`` what spreads
    retries; ``boot`` tells one boot of the machine from the next; ``create_sitting`` makes the next file of a run's
    journal in its folder; ``run_blocking`` calls a function away from the loop; ``heed_signals`` runs beside the
    delivery and may stop it.
    """

    wall: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    entropy: Callable[[int], bytes] = secrets.token_bytes
    random: Callable[[], Random] = Random
    boot: Callable[[], str] = boot_id
    create_sitting: Callable[[Path], LogFile] = create_sitting
    run_blocking: Callable[[Callable[[], None]], Awaitable[None]] = _in_thread
    open_wire: OpenWire = open_wire
    run: Runner = _run
    heed_signals: Callable[[Callable[[Stop], None]], Coroutine[Any, Any, None]] = _heed_signals


WORLD = Edge()
