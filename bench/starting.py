"""How long a person waits for the command line, and for a hundred rows."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from bench.figures import Figure, Part
from bench.process import run
from bench.servers import free_port, sandbox
from bench.setting import Setting, shown
from bench.work import COMMAND, expect, leads, workspace

__all__ = ["measure"]

ROWS = 100
ROUNDS = 15
HELP = (str(Path(sys.executable).with_name("batchpost")), "--help")


def measure(setting: Setting) -> Part:
    """Milliseconds of ``--help``, and of a run against the sandbox, in a workspace of its own each time."""
    folder = setting.folder
    with sandbox(free_port()) as port:
        found = setting.interleaved(
            {"help": partial(_help, folder), "run": partial(_run, setting, port)},
            rounds=5 if setting.is_quick else ROUNDS,
        )
    commands = ["python -m batchpost sandbox --port $PORT --accept-any", shown(COMMAND, folder)]
    return Part(
        "start",
        [
            Figure("batchpost --help", "ms", found["help"], [shown(HELP, folder)], most=120),
            Figure(f"run of {ROWS} rows against the sandbox", "ms", found["run"], commands, most=1_000),
        ],
    )


def _help(folder: Path) -> float:
    return run(HELP, folder=folder).wall * 1e3


def _run(setting: Setting, port: int) -> float:
    with workspace(setting.folder) as work:
        work.job("update-lead", f"http://127.0.0.1:{port}")
        work.source(leads(setting.folder, ROWS))
        return expect(work.run(rows=ROWS), delivered=ROWS).ran.wall * 1e3
