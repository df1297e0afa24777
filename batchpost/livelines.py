"""A few lines at the bottom of a terminal that are painted again and again, and go away in the end.

The cursor rests at the start of the first line, and lines never wrap: so the lines survive a change of the terminal's
size, whether the terminal breaks long lines anew or cuts them off. They are painted from a thread of their own, because
a terminal may stop taking text (Ctrl-S, a slow connection), and what sends must not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread

from batchpost.output import Line, Steady

__all__ = ["LiveLines"]

_EVERY = 0.25  # seconds
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_TO_LINE_END, _TO_SCREEN_END = "\x1b[K", "\x1b[J"


class LiveLines:
    """Paints what ``lines`` gives for so many columns, four times a second from the first time on that it gives any."""

    def __init__(self, stream: Steady, lines: Callable[[int], Sequence[Line]], *, every: float = _EVERY) -> None:
        self._stream, self._lines, self._every = stream, lines, every
        self._over = Event()
        self._lock = Lock()  # of what is on the screen
        self._painted = False
        self._thread: Thread | None = None

    def start(self) -> None:
        """Paint from now on, until :meth:`stop`."""
        if self._thread is None:
            self._over.clear()
            self._thread = Thread(target=self._paint_on, name="live lines", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Take the lines away. What follows stands where they were."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            if self._painted:
                self._painted = False
                self._stream.write(f"\r{_TO_SCREEN_END}")
                self._stream.flush()

    def paint(self) -> None:
        """Paint once."""
        width, height = self._stream.size
        lines = list(self._lines(max(1, width - 1)))[: max(1, height - 1)]
        if not lines:
            return
        colors = self._stream.colors
        text = f"{_TO_LINE_END}\r\n".join(line.shown(colors=colors) for line in lines)
        up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
        with self._lock:
            self._painted = True
            self._stream.write(f"{_NO_WRAP}\r{text}{_TO_SCREEN_END}{up}\r{_WRAP}")
            self._stream.flush()

    def _paint_on(self) -> None:
        while not self._over.wait(self._every):
            self.paint()
