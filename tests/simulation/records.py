"""Which rows the journal of the sitting under way has claimed for good, from the bytes that it writes."""

from __future__ import annotations

import orjson

__all__ = ["Claims"]


class Claims:
    """Rows claimed and on disk. A process that continues a run claims anew."""

    def __init__(self) -> None:
        self.durable: set[int] = set()
        self._written: set[int] = set()

    def appended(self, data: bytes) -> None:
        """Records were handed to the operating system."""
        for line in data.splitlines():
            if (begin := line.find(b'["claim"')) >= 0:
                self._written |= set(orjson.loads(line[begin:])[2])

    def synced(self) -> None:
        """Everything written is on disk."""
        self.durable |= self._written

    def forget(self) -> None:
        """A new process."""
        self.durable.clear()
        self._written.clear()
