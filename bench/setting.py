"""How a part is measured: where, how many rows, how often; contestants one after the other in each round."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["Setting", "shown"]

K = TypeVar("K")
T = TypeVar("T")
QUICK = 100  # a quick bench has so many times fewer rows


@dataclass(frozen=True, slots=True)
class Setting:
    """``folder`` is a temporary one for files that parts share; ``rounds`` is how often what is not too dear is run."""

    folder: Path
    rounds: int = 5
    is_quick: bool = False

    @property
    def few(self) -> int:
        """Rounds of what takes long: at most three."""
        return min(self.rounds, 3)

    def rows(self, count: int) -> int:
        """So many rows, or a hundredth of them, at least 1,000."""
        return max(1_000, count // QUICK) if self.is_quick else count

    def seconds(self, count: int) -> int:
        """So many seconds, or a third of them."""
        return max(2, count // 3) if self.is_quick else count

    def interleaved(self, contestants: Mapping[K, Callable[[], T]], rounds: int | None = None) -> dict[K, list[T]]:
        """Each of them once in each round; what each round gave, by name."""
        found: dict[K, list[T]] = {name: [] for name in contestants}
        for number in range(rounds or self.rounds):
            for name, contestant in contestants.items():
                print(f"  round {number + 1}: {name}", file=sys.stderr, flush=True)
                found[name].append(contestant())
        return found


def shown(command: Sequence[str | Path], folder: Path) -> str:
    """A command as a reader can repeat it in a folder of their own."""
    text = shlex.join(str(part) for part in command)
    text = text.replace(f"{Path(sys.executable).parent}/", "").replace(f"{folder}/", "")
    return re.sub(r"(127\.0\.0\.1:|--port )\d+", r"\1$PORT", text)
