"""The process that reads Parquet files, from the outside: started, asked, heard, and ended, whatever becomes of it."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any, cast

from batchpost.errors import UsageError

if TYPE_CHECKING:
    from io import FileIO  # what unbuffered pipes are

__all__ = ["EXIT_MEMORY", "Header", "ReaderEnded", "ReaderProcess", "close_spare", "packed", "reader_process"]

Header = dict[str, Any]

SILENCE = 600.0  # seconds without a word after which it hangs
BODY = 1 << 30  # bytes at most: more is no answer of ours
EXIT_MEMORY = 3
PIPE = 1 << 20  # bytes that the pipe holds, where the system lets it
_FRAME = Struct("<IQ")  # lengths of the header (JSON) and of the body
# Modules come from where they come from here. Without -P, a json.py in the current folder would be one of them.
# numpy, which pyarrow loads where it finds it, would be 20 MB for nothing.
_START = "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); sys.modules['numpy'] = None"
PROGRAM = ("-P", "-c", f"{_START}; from batchpost.parquetreader import main; main()")
# What an interpreter may need to start. Secrets are in the environment too: they stay here.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME")
_ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"}
_SETTINGS = {"ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONDONTWRITEBYTECODE": "1", **_ONE_THREAD}


class ReaderEnded(Exception):
    """The process ended, or hung, before it had answered; the text says how."""


def packed(header: Header, body: int) -> bytes:
    """A frame's lengths and header; ``body`` is the length of what follows."""
    text = json.dumps(header).encode()
    return _FRAME.pack(len(text), body) + text


class ReaderProcess:
    """A running process. ``program`` is what the interpreter is started with; ``silence`` in seconds.

    Raises UsageError where it does not start.
    """

    def __init__(self, program: Sequence[str] = PROGRAM, silence: float = SILENCE) -> None:
        self._silence = silence
        self.owner = os.getpid()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own words
                [sys.executable, *program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what a dying library says may repeat a cell
                bufsize=0,
                cwd="/",
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _SETTINGS,
                process_group=0,  # Ctrl-C is for us
            )
        except OSError as error:
            raise UsageError(f"the process that reads Parquet files cannot be started: {error.strerror}") from error
        self._asks, self._answers = cast("FileIO", self._process.stdin), cast("FileIO", self._process.stdout)
        if set_size := getattr(fcntl, "F_SETPIPE_SZ", None):
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._answers, set_size, PIPE)
        self._await_ready()

    def _await_ready(self) -> None:
        try:
            self._say([str(Path(entry).absolute()) for entry in sys.path])
            self.heard()
        except ReaderEnded as error:
            hint = f"See what {sys.executable} -c 'import pyarrow.parquet' says"
            raise UsageError(f"the process that reads Parquet files does not start: {error}. {hint}") from error
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def ask(self, request: Header) -> None:
        """Send a request; raises ReaderEnded."""
        self._say(request)

    def _say(self, what: Any) -> None:
        line = memoryview(json.dumps(what).encode() + b"\n")
        try:
            while line:
                line = line[self._asks.write(line) or 0 :]
        except BrokenPipeError:
            raise self._ended() from None

    def heard(self) -> tuple[Header, bytearray]:
        """The next frame: header and body; raises ReaderEnded, and has the process ended then."""
        while True:
            lengths = _FRAME.unpack(self._exactly(_FRAME.size))
            if max(lengths) > BODY:
                raise self._ended("it answered with what is no answer")
            text, body = self._exactly(lengths[0]), self._exactly(lengths[1])
            try:
                header = json.loads(text)
            except ValueError:
                raise self._ended("it answered with what is no answer") from None
            if header["kind"] != "busy":
                return header, body

    def _exactly(self, size: int) -> bytearray:
        content = bytearray(size)
        rest = memoryview(content)
        waiter = select.poll()
        waiter.register(self._answers, select.POLLIN)
        while rest:
            if not waiter.poll(self._silence * 1000):
                raise self._ended(f"it said nothing for {self._silence:g} s")
            got = self._answers.readinto(rest)
            if not got:
                raise self._ended()
            rest = rest[got:]
        return content

    def _ended(self, why: str = "") -> ReaderEnded:
        """Its end in words: ``why``, or how it ended by itself."""
        if not why:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)  # the pipe closes a moment before the process is gone
            why = _in_words(self._process.returncode)
        self.close()
        return ReaderEnded(why)

    def close(self) -> None:
        """End it at once."""
        if self.owner == os.getpid():
            self._process.kill()
            self._process.wait()
        else:
            self._process.returncode = 0  # after a fork it is the parent's to end
        self._asks.close()
        self._answers.close()


def _in_words(code: int | None) -> str:
    if code == -signal.SIGXCPU:
        return "it took too long over one part"
    if code == EXIT_MEMORY:
        return "it took too much memory"
    if code is not None and code < 0:
        return f"signal {-code} ({signal.strsignal(-code)})"
    return f"exit code {code}"


_spare: list[ReaderProcess] = []  # at most one, that has done well: starting one takes longer than many a file


@contextlib.contextmanager
def reader_process() -> Iterator[ReaderProcess]:
    """A process to ask, kept for the next file where all goes well, and ended where it does not.

    A process that has met damage never reads another file.
    """
    process = _spare.pop() if _spare else None
    if process is None or process.owner != os.getpid() or not process.is_alive:
        if process is not None:
            process.close()
        process = ReaderProcess()
    try:
        yield process
    except BaseException:
        process.close()
        raise
    _keep(process)


def _keep(process: ReaderProcess) -> None:
    if _spare:
        process.close()
    else:
        _spare.append(process)


@atexit.register
def close_spare() -> None:
    """End the process that waits for a next file, if there is one; done at the program's end."""
    while _spare:
        _spare.pop().close()
