"""The help texts of all commands as Markdown: ``python -m batchpost.helppage docs/cli.md`` renews them in the page."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from batchpost.cli import batchpost

__all__ = ["MARK", "help_pages", "renewed"]

MARK = "<!-- From here on: the commands' own help texts. `python -m batchpost.helppage docs/cli.md` renews them. -->"
_WIDTH = 100


def help_pages(group: click.Group = batchpost) -> str:
    """The help text of each command under a heading of its own, in the group's order."""
    parts = []
    with click.Context(group, info_name=group.name, **group.context_settings) as parent:
        for name in group.list_commands(parent):
            command = group.commands[name]
            with click.Context(
                command, parent=parent, info_name=name, terminal_width=_WIDTH, max_content_width=_WIDTH
            ) as context:
                parts.append(f"## batchpost {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def renewed(page: str) -> str:
    """A page with everything after the mark made anew."""
    return f"{page.partition(MARK)[0]}{MARK}\n\n{help_pages()}"


if __name__ == "__main__":
    _page = Path(sys.argv[1])
    _page.write_text(renewed(_page.read_text()))
