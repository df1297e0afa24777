"""The version of this program, also in what it writes: one place for it."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
