"""The pages of ``docs/`` that are made from the code.

python tools/pages.py            writes them
python tools/pages.py --check    names those that are not as they would be written, and ends with 1
"""

from __future__ import annotations

import sys
from pathlib import Path

from batchpost.helppage import renewed
from tools import reference

__all__ = ["pages"]

ROOT = Path(__file__).parent.parent


def pages(root: Path = ROOT) -> dict[Path, str]:
    """Every such page, with what belongs into it."""
    docs = root / "docs"
    return {
        docs / "cli.md": renewed((docs / "cli.md").read_text()),
        docs / "reference/job-file.md": reference.job_file(),
        docs / "reference/routes.md": reference.routes(),
        docs / "reference/outcomes.md": reference.outcomes(),
    }


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    changed = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    for path in changed:
        print(path.relative_to(ROOT))
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(pages()[path])
    return 1 if changed and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
