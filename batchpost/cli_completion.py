"""The command that lets a shell complete the others."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from batchpost.errors import UsageError
from batchpost.output import Output

__all__ = ["VARIABLE", "completion"]

VARIABLE = "_BATCHPOST_COMPLETE"
"""By it a shell's script asks for what could stand next; click's name for a program that is called batchpost."""


@click.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> int:
    """Print the script by which a shell completes commands, options, jobs and runs: bash, zsh or fish.

    It completes the files of jobs, the ids and jobs of the workspace's runs, outcomes, reasons and routes. Where to
    put the script: docs/completion.md.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"this version of click completes nothing in {shell}")
    output: Output = context.obj
    script = kind(context.find_root().command, {}, "batchpost", VARIABLE).source().rstrip()
    # What stands behind the first comma is the value, commas and all: lists of words and texts of help have some.
    output.say(script.replace('string split ","', 'string split -m 1 ","'))
    return 0
