"""Log lines for whoever collects them: a handful of events a run, with counts and ids of runs, never a row's data.

Nothing process-wide is configured: a logger is made once, at the edge, and given to what logs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog

from batchpost.output import Steady, one_line

__all__ = ["LogKind", "kind_of_log", "make_logger"]

LogKind = Literal["console", "json"]


def kind_of_log(chosen: str, *, is_terminal: bool) -> LogKind | None:
    """How to log: as chosen; by ``auto`` as JSON, and on a terminal not at all, where there is a progress line."""
    if chosen == "auto":
        return None if is_terminal else "json"
    return "console" if chosen == "console" else "json"


def _harmless(logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG001 - structlog's
    """Texts without line ends and control characters, which could end the line or move a terminal's cursor."""
    return {name: one_line(value) if isinstance(value, str) else value for name, value in event.items()}


def make_logger(kind: LogKind, stream: Steady, *, quiet: bool = False, colors: bool = False) -> Any:
    """A structlog logger that writes one line an event to ``stream``; ``quiet`` leaves out all but errors."""
    renderer: Any = structlog.processors.JSONRenderer()
    if kind == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors,
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,  # the default one shows the values of variables
        )
    return structlog.wrap_logger(
        structlog.PrintLogger(file=cast("TextIO", stream)),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _harmless,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR if quiet else logging.INFO),
        cache_logger_on_first_use=True,
    )
