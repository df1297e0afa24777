"""The pictures of a terminal in the documentation, made anew from what a terminal really shows.

    python -m tools.screens [--folder docs/pictures]

The sample conversions are planned and run against the sandbox in a terminal of 100 columns, which is tmux's; what it
shows, colours included, is drawn as SVG. Needs tmux. Ends with 0, or with 1 and a line on what went wrong.
"""

from __future__ import annotations

import argparse
import io
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tools.demo import BATCHPOST, ROOT, SECRETS, Surprise, free_port, wait_until_up

__all__ = ["main"]

WIDTH, HEIGHT = 100, 60
JOB = "jobs/nightly_conversions.toml"
PLATFORM = ("--leads", "sample_data/leads.csv", "--latency", "40ms-400ms", "--fault", "drop=0.04", "--seed", "5")
LONGEST = 60.0  # seconds until a screen must show what it should

# Dark, with contrast enough for every colour that is used (WCAG AA).
THEME = TerminalTheme(
    (22, 24, 29),
    (222, 224, 229),
    [(22, 24, 29), (255, 120, 110), (126, 211, 140), (232, 190, 92), *[(150, 180, 255)] * 4],
    [(140, 146, 158), (255, 140, 130), (146, 231, 160), (250, 210, 112), *[(170, 200, 255)] * 4],
)
FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)  # they would be fetched from elsewhere
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal of tmux's, on a server of its own."""

    socket: str

    def tmux(self, *words: str) -> str:
        """What a command of tmux prints; raises Surprise where it fails."""
        done = subprocess.run(  # noqa: S603 - our own command
            ["tmux", "-L", self.socket, *words],  # noqa: S607 - whichever tmux there is
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Surprise(f"tmux {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def type(self, line: str) -> None:
        """Clear the screen, then type a line and Enter."""
        self.tmux("send-keys", "-t", "screen", "clear", "Enter")
        self.wait(lambda screen: screen.strip() == "$")
        self.tmux("send-keys", "-t", "screen", line, "Enter")

    def shows(self) -> str:
        """The screen with its colours, without the empty lines below."""
        return self.tmux("capture-pane", "-p", "-e", "-t", "screen").rstrip() + "\n"

    def wait(self, holds: Callable[[str], bool]) -> str:
        """The screen as soon as it shows what it should."""
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            if holds(plain(screen := self.shows())):
                return screen
            time.sleep(0.1)
        raise Surprise(f"the screen never showed what it should:\n{self.shows()}")


def plain(screen: str) -> str:
    """A screen's text without colours."""
    return Text.from_ansi(screen).plain


def is_over(screen: str) -> bool:
    """Whether the shell asks for the next line."""
    return screen.rstrip().endswith("\n$")


@contextmanager
def terminal(workspace: Path, port: int) -> Iterator[Terminal]:
    """A shell in a terminal, in the workspace, with the sandbox's address in its settings; ended with the block."""
    settings = workspace / "batchpost.toml"
    settings.write_text(settings.read_text().replace(":8765", f":{port}", 1))
    words = ["env", *(f"{name}={value}" for name, value in SECRETS.items()), "PS1=$ ", f"PATH={path_of(workspace)}"]
    shown = Terminal(f"batchpost-screens-{port}")
    size = ("-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(workspace))
    shown.tmux("-f", "/dev/null", "new-session", "-d", "-s", "screen", *size, shlex.join([*words, "sh"]))
    try:
        yield shown
    finally:
        shown.tmux("kill-session", "-t", "screen")


def path_of(workspace: Path) -> str:
    """A PATH on which ``batchpost`` is this one."""
    (workspace / "bin").mkdir()
    (workspace / "bin" / "batchpost").symlink_to(BATCHPOST)
    return f"{workspace}/bin:/usr/local/bin:/usr/bin:/bin"


@contextmanager
def sandbox(workspace: Path) -> Iterator[int]:
    """The sandbox as a process of its own; yields its port."""
    port = free_port()
    with (workspace / "sandbox.log").open("wb") as log:
        command = [BATCHPOST, "sandbox", "--port", str(port), *PLATFORM]
        process = subprocess.Popen(command, cwd=workspace, stdout=log, stderr=log)  # noqa: S603 - our own command
    try:
        wait_until_up(process, port, workspace / "sandbox.log")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def screens(workspace: Path) -> Iterator[tuple[str, str]]:
    """Each picture's name and what the terminal shows."""
    for name in ("jobs", "sample_data"):
        shutil.copytree(ROOT / name, workspace / name)
    shutil.copy(ROOT / "batchpost.toml", workspace)
    with sandbox(workspace) as port, terminal(workspace, port) as shown:
        shown.type(f"batchpost plan {JOB}")
        yield "plan", shown.wait(is_over)
        shown.type(f"batchpost run {JOB} --rate 25")
        yield "run-under-way", shown.wait(lambda screen: bool(re.search(r"[5-9]\d %.*left", screen)))
        yield "run-finished", shown.wait(is_over)


def drawn(name: str, screen: str) -> str:
    """A screen as SVG that needs nothing from elsewhere."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor")
    console.print(Text.from_ansi(screen.rstrip()), soft_wrap=True)
    svg = console.export_svg(title="batchpost", theme=THEME, unique_id=name)
    return FONT_FACE.sub("", svg).replace("Fira Code, monospace", FONTS).replace("Fira Code", FONTS)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the pictures of a terminal anew.")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "pictures", help="where they go")
    folder: Path = parser.parse_args().folder
    workspace = Path(tempfile.mkdtemp(prefix="batchpost-screens-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, screen in screens(workspace):
            (folder / f"{name}.svg").write_text(drawn(name, screen))
            print(f"{name}.svg: {len(plain(screen).splitlines())} lines")
    except (Surprise, OSError) as error:
        print(f"screens: FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
