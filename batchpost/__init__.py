"""batchpost: posts every row of a file to a lead platform's API, once, and can prove what happened to each.

From Python: ``from batchpost import load_job, plan, run`` (:mod:`batchpost.api`, ``docs/python.md``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchpost.version import __version__

if TYPE_CHECKING:
    from batchpost.api import Summary, load_job, plan, run

__all__ = ["Summary", "__version__", "load_job", "plan", "run"]


def __getattr__(name: str) -> Any:
    """What the interface needs is imported when it is asked for: ``batchpost --help`` needs none of it."""
    if name in __all__:
        from batchpost import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
