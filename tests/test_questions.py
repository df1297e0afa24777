"""Questions at a terminal end at once where a signal comes, and tell which one it was."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys

import pytest

ASKS = """
import sys
from batchpost.failures import failure, heed_signals
from batchpost.questions import Terminal, confirm
heed_signals()
import polars as pl  # as the commands do, when they need it
pl.LazyFrame({"a": [1]}).select(pl.col("a") + 1).collect()  # from here on SIGINT is polars' first
try:
    Terminal().enter("Which?", "", lambda _: "") if sys.argv[1] == "enter" else confirm("Which?")
except BaseException as error:
    sys.exit(failure(error)[1])
"""


@pytest.mark.parametrize("question", ["enter", "confirm"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_question_without_waiting_for_enter(number: signal.Signals, code: int, question: str) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", ASKS, question], stdin=theirs, stdout=theirs, stderr=theirs, process_group=0
    ) as asking:
        os.close(theirs)
        shown = b""
        while b"Which?" not in shown:
            assert select.select([ours], [], [], 20)[0], shown
            shown += os.read(ours, 1024)
        asking.send_signal(number)
        try:
            assert asking.wait(20) == code
        finally:
            asking.kill()
    os.close(ours)
