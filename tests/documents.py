"""The documentation as sessions: each page's commands run in order, in a workspace and against a sandbox of their own.

What of a page is run, and how it says what is to be expected, is told in ``CONTRIBUTING.md``. To see what a page's
commands print today, for writing it down: ``python -m tests.documents docs/first-job.md``.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shlex import quote
from textwrap import dedent

__all__ = ["CANNOT_RUN", "LANGUAGES", "PAGES", "ROOT", "Block", "Done", "Session", "apply", "blocks", "missing"]

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?ms)^( *)```(\w*)\n(.*?)^\1```$|^<!-- before\n(.*?)^-->$")
LANGUAGES = {"sh", "python", "toml", "diff", "console", "text", "", "ini", "json", "yaml"}
PORT = "8765"  # that of every page; a session has another one in its place
SEPARATOR = "\x1e"
EXITS = re.compile(r"(?i) # .*\bexits with (\d+)")
LONGEST = 120  # seconds of a page

# What begins a line of a `console` block, and why a test cannot run it.
CANNOT_RUN = {
    "make ": "takes minutes, or is what CI calls anyway",
    ".ci/run": "is what CI calls anyway",
    "python bench/": "takes minutes, or wants a server that is not there",
    ". .venv/bin/activate": "a test has its own",
    "sudo ": "asks for another user",
    "install -d -o ": "asks for another user",
    "cd /srv/uploads": "the workspace of another machine",
    "export PATH=/opt/": "a program of another machine",
    "python3 -m venv /opt/": "writes outside the test",
    "/opt/batchpost/venv/bin/pip ": "fetches from the network",
    "systemctl ": "wants systemd",
    "journalctl ": "wants systemd",
}


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of a page: its first line in the page's file, language and text, the port of the session not yet
    in it. ``before`` are commands in a comment of the page. ``below``: it stands right below the block before it."""

    line: int
    language: str
    text: str
    below: bool = False

    @property
    def file(self) -> str:
        """The file that the block is the whole content of, or mends; empty for most."""
        first = self.text.partition("\n")[0]
        named = re.fullmatch(r"# (\S+/\S+\.toml)|--- (\S+)", first)
        return (named[1] or named[2]) if named and self.language in ("toml", "diff") else ""


@dataclass(frozen=True, slots=True)
class Done:
    """How a session ended: 0 where all was as the page says, and all that it printed, in order."""

    code: int
    printed: str

    def of(self, block: Block) -> str:
        """What a block printed."""
        parts = self.printed.split(SEPARATOR)
        return next((part.partition("\n")[2] for part in parts if part.partition("\n")[0] == str(block.line)), "")


def blocks(text: str) -> list[Block]:
    """The code blocks of a page in order, those in lists too."""
    found: list[Block] = []
    end = 0
    for match in BLOCK.finditer(text):
        _, language, content, before = match.groups()
        below = bool(found) and not text[end : match.start()].strip()
        line = text.count("\n", 0, match.start()) + 1
        shown = Block(line, language or "", dedent(content or ""), below)
        found.append(shown if before is None else Block(line, "sh", before))
        end = match.end()
    return found


def commands(block: Block) -> Iterator[tuple[str, int]]:
    """The lines of a shell block with the exit code that each is to end with. A line ends at its end: loops and
    heredocs are not for a page."""
    for line in map(str.strip, re.sub(r"\\\n\s*", "", block.text).splitlines()):
        if line and not line.startswith("#"):
            exits = EXITS.search(line)
            yield line, int(exits[1]) if exits else 0


def apply(diff: str, text: str) -> str:
    """A file's text mended as a diff says, whose lines are found by their text alone; raises ValueError where the old
    lines of a hunk are not there, or there twice."""
    hunks = re.split(r"(?m)^@@.*\n|^---.*\n|^\+\+\+.*\n", diff)
    for hunk in filter(None, hunks):
        lines = [(line[:1] or " ", line[1:]) for line in hunk.splitlines()]
        old, new = ("".join(f"{line}\n" for sign, line in lines if sign in kept) for kept in (" -", " +"))
        found = [match.start() for match in re.finditer(rf"(?m)^{re.escape(old)}", text)]
        if len(found) != 1:
            raise ValueError(f"is not there once:\n{old}")
        text = f"{text[: found[0]]}{new}{text[found[0] + len(old) :]}"
    return text


def missing(expected: str, printed: str) -> list[str]:
    """Lines of what a page shows that were not printed in this order. An ellipsis stands for anything; ids of runs,
    times and durations may be others."""
    left, lost = iter(plain(printed).splitlines()), []
    for line in filter(str.strip, expected.splitlines()):
        pattern = re.compile(".*".join(map(re.escape, plain(line.strip()).split("…"))))
        if not any(pattern.fullmatch(shown.strip()) for shown in left):
            lost.append(line)
            break
    return lost


def plain(text: str) -> str:
    """Text with what is another at each run taken out."""
    for changing, name in (
        (r"\d{8}T\d{9}-[0-9a-f]{4}", "RUN"),
        (r"\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d UTC)?", "DATE"),
        (r"\((?:less than a second|\d+ s)\)", "(DURATION)"),
        (r"\d[\d,]*\.\d+ a second", "RATE"),
        (r"\d[\d,.]* ms\b", "LATENCY"),
    ):
        text = re.sub(changing, name, text)
    return text


@dataclass(frozen=True)
class Session:
    """A fresh workspace below ``folder`` with the sample jobs and files, in which a page's blocks are run in order."""

    folder: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "uploads"

    def run(self, steps: Sequence[Block], codes: Mapping[str, int] | None = None) -> Done:
        """Run the blocks that can be. The first command that ends otherwise than said ends the session; ``codes`` are
        the exit codes of lines that do not say theirs."""
        script = "\n".join(line for block in steps for line in _script(block, codes or {}))
        with self._platform("batchpost sandbox" in script) as (port, begin):
            self._lay_out(port)
            script = f"{_BEGIN}\n{begin}\n{script}".replace(PORT, str(port)).replace("/tmp/", f"{self.folder}/tmp/")
            try:
                code, printed = self._bash(script, port)
            finally:
                self._end_sandbox()
        return Done(code, printed.replace(f":{port}", f":{PORT}"))

    def _bash(self, script: str, port: int) -> tuple[int, str]:
        """The exit code and what was printed, both streams in one."""
        with subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.workspace,
            env=self._environ(port),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                printed, _ = process.communicate(timeout=LONGEST)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                printed = f"{process.communicate()[0]}\ntook longer than {LONGEST} seconds"
        return process.returncode, printed

    @contextmanager
    def _platform(self, in_the_script: bool) -> Iterator[tuple[int, str]]:
        """The port of a sandbox, and the line with which the script begins it. It is in this process unless the page
        starts another one in its place."""
        leads = "sample_data/leads.csv"
        if in_the_script:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = int(free.getsockname()[1])
            yield port, f"batchpost sandbox --leads {leads}"
            return
        from tests.workspaces import sandbox  # not above: mending a file by a diff needs none of it

        with sandbox(accept_any=False, leads=ROOT / leads) as (platform, _):
            yield int(platform.base_url.rpartition(":")[2]), ""

    def _lay_out(self, port: int) -> None:
        for name in ("jobs", "sample_data"):
            shutil.copytree(ROOT / name, self.workspace / name)
        settings = (ROOT / "batchpost.toml").read_text()
        (self.workspace / "batchpost.toml").write_text(settings.replace(PORT, str(port)))
        for name in ("bin", "home", "tmp"):
            (self.folder / name).mkdir()
        program = self.folder / "bin" / "batchpost"
        program.write_text(_PROGRAM)
        program.chmod(0o755)

    def _environ(self, port: int) -> dict[str, str]:
        ours = Path(sys.executable).parent
        return {
            "PATH": f"{self.folder}/bin:{ours}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": f"{self.folder}/home",
            "TMPDIR": f"{self.folder}/tmp",
            "LANG": "C.UTF-8",
            "POLARS_MAX_THREADS": "1",  # the files are small, and pages run beside each other
            "SESSION": str(self.folder),
            "READY": f"{ROOT}/tests/ready.py {ready_server()}",
            "SESSION_PORT": str(port),
            "PINGTREE_ORG_ID": "org_sandbox",
            "PINGTREE_TOKEN": "sandbox-token",
        }

    def _end_sandbox(self) -> None:
        pid = self.folder / "sandbox.pid"
        if pid.exists():
            with suppress(ProcessLookupError):
                os.kill(int(pid.read_text()), signal.SIGTERM)


@cache
def ready_server() -> str:
    """The address of a server that carries commands out (see :mod:`tests.ready`), one for this process."""
    folder = Path(tempfile.mkdtemp(prefix="ready-"))
    address = str(folder / "s")
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"}
    process = subprocess.Popen([sys.executable, str(ROOT / "tests" / "ready.py"), address], env=environ)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(process.kill)
    deadline = time.monotonic() + LONGEST
    while not Path(address).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return address


# Every command is followed by `said`, which ends the session where its exit code is another one.
_BEGIN = """set -o pipefail
said() {
  local code=$?
  [ $code -eq $1 ] && return
  printf '\\n%s\\nended with %s, not %s\\n' "$2" $code $1
  exit 1
}"""

# `batchpost` as a page types it. The id of a run stands for the session's first one. A sandbox goes on beside the
# session, in place of the one before, and is waited for.
_PROGRAM = r"""#!/bin/bash
words=()
for word; do
  if [[ $word =~ ^[0-9]{8}T[0-9]{9}-[0-9a-f]{4}$ ]]; then
    word=$(ls -d results/*/*/ | sed 's|.*/\(.*\)/|\1|' | sort | head -n 1)
  fi
  words+=("$word")
done
[ "$1" = sandbox ] || exec python -S -E $READY "${words[@]}"
up() { (exec 3<>/dev/tcp/127.0.0.1/$SESSION_PORT) 2>/dev/null; }
if [ -f $SESSION/sandbox.pid ]; then
  kill $(cat $SESSION/sandbox.pid)
  while up; do sleep 0.02; done
fi
python -m batchpost "$@" --port $SESSION_PORT </dev/null >$SESSION/sandbox.log 2>&1 &
echo $! >$SESSION/sandbox.pid
until up; do kill -0 $! || { cat $SESSION/sandbox.log; exit 1; }; sleep 0.02; done
"""


def _script(block: Block, codes: Mapping[str, int]) -> Iterator[str]:
    """The lines of bash that a block becomes; none for what is only shown."""
    yield f"printf '{SEPARATOR}{block.line}\\n'"
    if block.language == "sh":
        for line, code in commands(block):
            yield line.rstrip(" &") if line.startswith("batchpost sandbox") else line
            yield f"said {codes.get(line, code)} {quote(line)}"
    elif block.language == "python":
        yield f"python - <<'PYTHON'\n{block.text}PYTHON\nsaid 0 'the block at line {block.line}'"
    elif block.file and block.language == "toml":
        yield f"mkdir -p $(dirname {block.file})\ncat >{block.file} <<'TOML'\n{block.text}TOML"
    elif block.file:
        yield f"python -m tests.documents mend {block.file} <<'DIFF'\n{block.text}DIFF"
        yield f"said 0 'the diff at line {block.line}'"


def main(words: Sequence[str]) -> int:
    """``mend FILE`` by a diff on standard input, or show what a page's commands print."""
    if words[0] == "mend":
        path = Path(words[1])
        path.write_text(apply(sys.stdin.read(), path.read_text()))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        done = Session(Path(folder)).run(blocks(Path(words[0]).read_text()))
    print(done.printed.replace(SEPARATOR, "\n--- line "))
    return done.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
