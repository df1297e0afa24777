"""The command line as it was typed: told once more without what must not be shown, for the last line of one that
failed."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from batchpost.address import has_secret, is_address, is_loopback, shown, split_url
from batchpost.failures import Situation

__all__ = ["keep_typed", "situation_of", "tell_again", "typed_command", "with_job"]

_TYPED = "batchpost.typed"
_SENDING = ("run", "retry")
_PLATFORM = "--base-url"


def keep_typed(context: click.Context, words: Sequence[str]) -> None:
    """Note what was typed after the program's name, for :func:`typed_command`."""
    context.meta[_TYPED] = tuple(words)


def typed_command(without: Collection[Path] = ()) -> str:
    """The command line of the command that is being carried out, ``without`` these files; empty outside of one."""
    context = click.get_current_context(silent=True)
    words = context.meta.get(_TYPED) if context else None
    return tell_again(word for word in words if Path(word) not in without) if words else ""


def tell_again(words: Iterable[str]) -> str:
    """A command to type, from its words; what may not be shown of an address is left for a person."""
    told = ["batchpost"]
    for word in words:
        told.append(_shown(word, after=told[-1]))
    return shlex.join(told)


def _shown(word: str, after: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else (after, "", word)
    if option == _PLATFORM:
        value = value if not value or _is_origin(value) else "…"
    elif is_address(value):
        value = f"{shown(value)}{'?…' if has_secret(value) else ''}"
    return f"{option}{equals}{value}" if word.startswith("--") else value


def _is_origin(text: str) -> bool:
    """Whether an address is what the platform's may be: anything else could hold a token in a wrong place."""
    url = split_url(text)
    if url is None or not url.hostname or url.username is not None or url.path.strip("/") or url.query or url.fragment:
        return False
    return url.scheme == "https" or (url.scheme == "http" and is_loopback(url.hostname))


def with_job(
    command: str, jobs: Sequence[str], *, sources: Iterable[str] = (), again: Sequence[str] = (), begun: bool = False
) -> Situation:
    """The situation of a command that sends these jobs. ``again`` are the options, with their values, that another
    command about them must repeat or it would mean another job; ``sources`` what it reads in place of the job's own."""
    pairs = [*zip(again[::2], again[1::2], strict=True)]
    workspace = [word for pair in pairs if pair[0] == "--workspace" for word in pair]
    inputs = [word for path in sources for word in ("--source", path)]
    return Situation(
        command,
        help="batchpost run --help",
        check=tell_again(["check", *jobs, *workspace]) if jobs else "",
        plan=tell_again(["plan", *jobs, *inputs, *again]) if len(jobs) == 1 else "",
        elsewhere=bool(inputs),
        sends=True,
        waits=True,
        begun=begun,
    )


def situation_of(words: Sequence[str], commands: Mapping[str, click.Command]) -> Situation:
    """What the words of a command line, sound or not, say of the command that failed before it had begun."""
    name = next((word for word in words if not word.startswith("-")), "")
    command = commands.get(name)
    if command is None:
        return Situation(tell_again(words))
    after = [*words[words.index(name) + 1 :]]
    given = command.make_context(name, after, resilient_parsing=True).params
    named: tuple[Path, ...] = given.get("jobs") or ((given["job"],) if isinstance(given.get("job"), Path) else ())
    options = (("--workspace", given.get("workspace")), ("--base-url", given.get("base_url")))
    again = [str(word) for option, value in options if value for word in (option, value)]
    found = with_job(tell_again(words), [*map(str, named)], sources=given.get("sources") or (), again=again)
    sends = name in _SENDING
    return replace(found, help=f"batchpost {name} --help", sends=sends, waits="wait" in given)
