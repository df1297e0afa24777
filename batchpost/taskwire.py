"""A wire over transports that are awaited: each request is a task of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import anyio

from batchpost.model import Reply
from batchpost.transport import Ended, Request, Transport, interrupted

__all__ = ["TaskWire"]


class TaskWire:
    """See :class:`batchpost.transport.Wire`; each request is a task that ``start_soon`` of a task group starts."""

    def __init__(self, transports: Sequence[Transport], start_soon: Callable[..., object]) -> None:
        self.notify: Callable[[], None] = lambda: None
        self._free = list(transports)
        self._start_soon = start_soon
        self._under_way: set[anyio.CancelScope] = set()
        self._ended: list[Ended] = []

    def begin(self, requests: Iterable[Request]) -> None:
        """As :meth:`batchpost.transport.Wire.begin`."""
        for request in requests:
            scope = anyio.CancelScope()
            self._under_way.add(scope)
            self._start_soon(self._post, self._free.pop(), request, scope)

    def take(self) -> list[Ended]:
        """As :meth:`batchpost.transport.Wire.take`."""
        ended, self._ended = self._ended, []
        return ended

    def abort(self) -> None:
        """As :meth:`batchpost.transport.Wire.abort`."""
        for scope in self._under_way:
            scope.cancel()

    async def _post(self, transport: Transport, request: Request, scope: anyio.CancelScope) -> None:
        token, target, body, max_idle = request
        result: Reply | Exception | None = None
        try:
            with scope:
                result = await transport.post(target, body, max_idle=max_idle)
        except Exception as error:
            result = error
        finally:
            self._under_way.discard(scope)
            self._free.append(transport)
        self._ended.append((token, result or interrupted(handed_over=transport.handed_over)))
        if len(self._ended) == 1:
            self.notify()
