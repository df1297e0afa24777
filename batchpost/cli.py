"""The command line: what ``batchpost`` understands, and how every command ends.

Commands only wire; what they print and decide is in modules of their own, which are imported when a command needs
them, so that ``--help`` is quick. Every command returns its exit code.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from batchpost.cli_completion import VARIABLE, completion
from batchpost.cli_init import init
from batchpost.cli_jobs import check, plan, schema
from batchpost.cli_look import abandon, export, forget, runs, show, stop, verify
from batchpost.cli_report import report
from batchpost.cli_resolve import resolve
from batchpost.cli_run import retry, run
from batchpost.cli_sandbox import sandbox
from batchpost.cli_status import status
from batchpost.examples import epilog
from batchpost.failures import heed_signals, tell_failure
from batchpost.output import Output
from batchpost.typed import keep_typed, situation_of
from batchpost.version import __version__

__all__ = ["batchpost", "main", "run_command"]

_POLARS = {
    # Its allocator (jemalloc) gives memory back after half a second, only to ask for it again with the next batch.
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:3000,muzzy_decay_ms:3000",
    # One thread more than there are processors: the stages of a plan wait for each other now and then.
    "POLARS_MAX_THREADS": str((os.cpu_count() or 1) + 1),
}
_COMMANDS = (
    *(init, check, plan, run, retry, resolve, status, runs, show, verify, export, report, abandon, stop, forget),
    *(sandbox, schema, completion),
)
_VERSION = f"%(prog)s %(version)s\nPython {platform.python_version()}, {platform.system()} {platform.machine()}"


class _InOrder(click.Group):
    """Lists its commands in the order in which a person needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keeps them as they are typed."""
        keep_typed(ctx, args)
        return super().parse_args(ctx, args)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="batchpost COMMAND --help has examples. A RUN is a run's id, a unique beginning of one, a job's name (its "
    "latest run) or latest. Exit codes: docs/cli.md; what to do at each: docs/recovery.md.",
)
@click.version_option(__version__, prog_name="batchpost", message=_VERSION)
def batchpost() -> None:
    """Post every row of a CSV or Parquet file to a lead platform's API: once, at the rate it allows, and with proof
    of what happened to each."""


for _command in _COMMANDS:
    _command.epilog = epilog(_command.name or "")
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
        if VARIABLE in os.environ:  # a shell asks what could stand next: an error would be written into the line
            return 1
        context = error.ctx if isinstance(error, click.UsageError) else None
        if context is not None:
            output.tell(context.get_usage())
        return tell_failure(error, output, situation_of(arguments, batchpost.commands))
    return code if isinstance(code, int) else 0
