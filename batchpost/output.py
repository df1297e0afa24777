"""What a person or a program reads: results on standard output, everything else on standard error.

A reader that went away (``| head``, a closed terminal) is no reason to end a run: what it does not want is dropped.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Literal, NamedTuple, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["Line", "Look", "Output", "Steady", "one_line", "plain_text", "wrapped"]

Look = Literal["", "strong", "faint", "good", "trouble"]
_LOOKS = {"strong": "1", "faint": "2", "good": "32", "trouble": "33"}  # SGR (ECMA-48)
_SIZE = (80, 24)


class Line(NamedTuple):
    """A line for a person, and how it looks where there are colours; its text says the same without them."""

    text: str
    look: Look = ""

    def shown(self, *, colors: bool) -> str:
        """The line as it goes to a terminal or a file, its text without control characters."""
        text = one_line(self.text)
        return f"\x1b[{_LOOKS[self.look]}m{text}\x1b[0m" if colors and self.look and text else text


def wrapped(line: Line, width: int, indent: str = "") -> list[Line]:
    """The line as one or several of at most ``width`` columns (0: as it is), broken between words; ``indent`` goes
    before the second one and those after it."""
    if not width:
        return [line]
    texts = textwrap.wrap(
        line.text, max(20, width), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [Line(text, line.look) for text in texts or [""]]


def plain_text(text: str) -> str:
    """The text without control characters but line ends, so that a file's name or a server's word moves no cursor."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


def one_line(text: str) -> str:
    """The same without line ends, so that no name begins a line that looks like one of ours."""
    return "".join(character if character.isprintable() else " " for character in text)


class Steady:
    """A text stream that never fails: once its reader is gone (or it was never open) it takes and forgets."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # an ASCII locale cannot write every name
            reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write; returns the characters taken."""
        if self._stream is not None:
            try:
                self._stream.write(text)
            except (OSError, ValueError):
                self.give_up()
        return len(text)

    def writelines(self, lines: Sequence[str]) -> None:
        """Write one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what is buffered."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self.give_up()

    def isatty(self) -> bool:
        """Whether a person may be looking."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    @property
    def paints(self) -> bool:
        """Whether it is a terminal where the cursor can be moved."""
        return self.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")

    @property
    def colors(self) -> bool:
        """Whether it shows colours, and nobody has said that it should not (https://no-color.org)."""
        return self.paints and not os.environ.get("NO_COLOR")

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal that it is; no columns where it is none."""
        if not self.isatty():
            return 0, 0
        try:
            size = os.get_terminal_size(self.fileno())
        except (OSError, ValueError):
            return _SIZE
        return (size.columns or _SIZE[0], size.lines or _SIZE[1])

    def fileno(self) -> int:
        """The descriptor; raises OSError without one."""
        if self._stream is None:
            raise OSError("no stream")
        return self._stream.fileno()

    def give_up(self) -> None:
        """Point the descriptor at nothing, or Python complains at its end about what it could not flush."""
        stream, self._stream = self._stream, None
        with suppress(OSError, ValueError, AttributeError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, cast(TextIO, stream).fileno())
            os.close(nothing)

    def binary(self) -> IO[bytes]:
        """The stream for UTF-8 as it is; on a terminal without control characters, since cells may hold any."""
        self.flush()
        if self.isatty():
            return cast("IO[bytes]", _Shown(self))
        return cast("IO[bytes]", _Bytes(self, getattr(self._stream, "buffer", None)))


class _Bytes(io.BufferedIOBase):
    """Writes through to a stream's buffer as long as somebody reads. polars is given no descriptor: writing to one
    itself, it would report a closed pipe in a way of its own."""

    def __init__(self, steady: Steady, buffer: IO[bytes] | None) -> None:
        self._steady, self._buffer = steady, buffer

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        if self._buffer is not None:
            try:
                self._buffer.write(data)
                self._buffer.flush()
            except (OSError, ValueError):
                self._buffer = None
                self._steady.give_up()
        return len(memoryview(data))


class _Shown(io.BufferedIOBase):
    """UTF-8 shown as text, whatever the pieces are in which it comes."""

    def __init__(self, steady: Steady) -> None:
        self._steady, self._decoder = steady, codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        self._steady.write(plain_text(self._decoder.decode(bytes(data))))
        self._steady.flush()
        return len(memoryview(data))


class Output:
    """The two streams of the command line: ``out`` for results, ``err`` for the rest."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.out = Steady(out if out is not None else sys.stdout)
        self.err = Steady(err if err is not None else sys.stderr)

    def say(self, text: str) -> None:
        """A result: a text of one or more lines."""
        self.out.write(plain_text(text) + "\n")
        self.out.flush()

    def show(self, lines: Iterable[Line]) -> None:
        """A result of lines that may have colours."""
        colors = self.out.colors
        self.out.write("".join(f"{line.shown(colors=colors)}\n" for line in lines))
        self.out.flush()

    def tell(self, text: str) -> None:
        """Anything that is not the result."""
        self.err.write(plain_text(text) + "\n")
        self.err.flush()
