"""The command line: what ``batchpost`` understands, and how every command ends.

Commands only wire; what they print and decide is in modules of their own, which are imported when a command needs
them, so that ``--help`` is quick. Every command returns its exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from batchpost import __version__
from batchpost.cli_init import init
from batchpost.cli_jobs import check, plan, schema
from batchpost.cli_look import abandon, export, forget, runs, show, stop, verify
from batchpost.cli_resolve import resolve
from batchpost.cli_run import retry, run
from batchpost.cli_sandbox import sandbox
from batchpost.failures import heed_signals, tell_failure
from batchpost.output import Output

__all__ = ["batchpost", "main", "run_command"]

_POLARS = {
    # Its allocator (jemalloc) gives memory back after half a second, only to ask for it again with the next batch.
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:3000,muzzy_decay_ms:3000",
    # One thread more than there are processors: the stages of a plan wait for each other now and then.
    "POLARS_MAX_THREADS": str((os.cpu_count() or 1) + 1),
}
_COMMANDS = (init, check, plan, run, retry, resolve, runs, show, verify, export, abandon, stop, forget, sandbox, schema)


class _InOrder(click.Group):
    """Lists its commands in the order in which a person needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes, and every option with an example: docs/cli.md. A RUN is a run's id, a unique beginning of one, "
    "a job's name (its latest run) or latest.",
)
@click.version_option(__version__, prog_name="batchpost")
def batchpost() -> None:
    """Post every row of a CSV or Parquet file to a lead platform's API: once, at the rate it allows, and with proof
    of what happened to each."""


for _command in _COMMANDS:
    batchpost.add_command(_command)


def main() -> NoReturn:
    """The program. What it writes is for its user alone, also where a library makes the file."""
    os.umask(0o077)
    for name, value in _POLARS.items():
        os.environ.setdefault(name, value)
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code. Nothing escapes: what goes wrong is told on standard error."""
    output = Output()
    heed_signals()
    try:
        code = batchpost.main(list(arguments), prog_name="batchpost", standalone_mode=False, obj=output)
    except click.exceptions.NoArgsIsHelpError as error:
        output.tell(error.format_message())
        return error.exit_code
    except SystemExit:
        raise
    except BaseException as error:  # a panic of polars is no Exception
        context = error.ctx if isinstance(error, click.UsageError) else None
        if context is not None:
            output.tell(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n")
        return tell_failure(error, output)
    return code if isinstance(code, int) else 0
