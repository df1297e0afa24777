"""batchpost's command line with all its modules loaded, so that a page of many commands does not load them each time.

As a program: ``ready.py SOCKET`` serves; a client hands over its words, folder, environment and streams, and gets the
exit code. Every command is a process of its own, forked from the one that has loaded everything.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

__all__ = ["ask", "serve"]

LONGEST = 1 << 20  # bytes of words and environment


def ask(address: str, words: list[str]) -> int:
    """Have a command carried out in this process's place; its exit code."""
    told = json.dumps({"words": words, "folder": str(Path.cwd()), "environ": dict(os.environ)}).encode()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        socket.send_fds(line, [told + b"\n"], [0, 1, 2])
        answer = line.recv(16)
    return int(answer or b"70")


def serve(address: str) -> None:
    """Serve until killed."""
    import batchpost.cli_report
    import batchpost.jobstatus
    import batchpost.planview
    import batchpost.reportpage
    import batchpost.resolveview
    import batchpost.sending  # noqa: F401

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            line, _ = door.accept()
            if os.fork() == 0:
                door.close()
                _carry_out(line)
            line.close()


def _carry_out(line: socket.socket) -> None:
    """Be the command: its streams, its folder, its environment; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told, streams, _, _ = socket.recv_fds(line, LONGEST, 3)
    while not told.endswith(b"\n"):
        told += line.recv(LONGEST)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    code = 70
    try:
        code = _run(json.loads(told))
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    line.send(str(code).encode())
    os._exit(code)


def _run(told: dict[str, Any]) -> int:
    from batchpost.cli import main

    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environ"])
    sys.argv = ["batchpost", *told["words"]]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
