"""The three sample jobs from end to end against the sandbox, twice: the second time nothing is sent.

    python tools/demo.py [--workspace DIR]

Everything happens in a fresh folder, removed at the end unless ``--workspace`` names one to keep. What the platform
received is asked of the sandbox, not of batchpost. Ends with 0 and one line if all is as it must be, else with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

__all__ = ["Surprise", "main"]

ROOT = Path(__file__).parent.parent
BATCHPOST = str(Path(sys.executable).with_name("batchpost"))
PORT = 8765
SECRETS = {
    "PINGTREE_ORG_ID": "org_sandbox",
    "PINGTREE_TOKEN": "sandbox-token",
}  # what the sandbox takes; none of them real

# Job file -> its exit code: 1 says that some rows are invalid, and the samples have such rows on purpose.
JOBS = {"nightly_conversions": 1, "enrichment_backfill": 1, "tracking_events": 1}


class Surprise(Exception):
    """Something is not as it must be; the text says what."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A workspace and a sandbox that is running."""

    workspace: Path
    port: int

    def batchpost(self, *arguments: str, expect: int) -> None:
        """Run a command in the workspace, its log shown only on failure; raises Surprise for another exit code."""
        print(f"\n$ batchpost {' '.join(arguments)}", flush=True)
        environ = {**os.environ, **SECRETS}
        command = [BATCHPOST, *arguments]
        done = subprocess.run(  # noqa: S603 - our own command with arguments from this file
            command, cwd=self.workspace, env=environ, stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode != expect:
            raise Surprise(f"batchpost {' '.join(arguments)} ended with {done.returncode}, not {expect}\n{done.stderr}")

    def run(self, job: str) -> int:
        """Run a job, show its books and return the requests that the platform received meanwhile."""
        before = self.received()
        url = f"http://127.0.0.1:{self.port}"
        self.batchpost("run", f"jobs/{job}.toml", "--base-url", url, "--progress", "never", expect=JOBS[job])
        sent = self.received() - before
        show_books(latest_summary(self.workspace, job), sent)
        return sent

    def received(self) -> int:
        """Requests that the platform has seen so far."""
        with closing(
            HTTPConnection("127.0.0.1", self.port, timeout=30)
        ) as connection:  # unlike urllib never by a proxy
            connection.request("GET", "/_sandbox/received")
            return sum(1 for _ in connection.getresponse())


def latest_summary(workspace: Path, job: str) -> dict[str, object]:
    """``summary.json`` of a job's latest run."""
    path = max((workspace / "results" / job.replace("_", "-")).glob("*/summary.json"))
    summary: dict[str, object] = json.loads(path.read_text())
    return summary


def show_books(summary: dict[str, object], sent: int) -> None:
    """The books of a run on two lines: rows by outcome, and requests as the platform counted them."""
    rows = summary["rows"]
    if not isinstance(rows, dict) or rows["read"] != sum(count for name, count in rows.items() if name != "read"):
        raise Surprise(f"the books do not add up: {rows}")
    parts = " + ".join(f"{count:,} {name}" for name, count in rows.items() if count and name != "read")
    print(f"  {rows['read']:,} rows read = {parts}")
    print(f"  {sent:,} requests received by the platform")


@contextmanager
def sandbox(workspace: Path) -> Iterator[int]:
    """The sandbox as a process of its own: yields its port, and stops it by its id whatever happens."""
    port = free_port()
    command = [BATCHPOST, "sandbox", "--port", str(port), "--accept-any"]
    print(f"$ {' '.join(['batchpost', *command[1:]])} &", flush=True)
    with (workspace / "sandbox.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=workspace, stdout=log, stderr=log)  # noqa: S603 - as above
    try:
        wait_until_up(process, port, workspace / "sandbox.log")
        yield port
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """The sandbox's usual port if nobody has it, else any free one of this machine."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Surprise("no free port on 127.0.0.1")


def wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once the sandbox takes connections; raises Surprise if it ends, or does not in 30 seconds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Surprise(f"the sandbox did not start:\n{log.read_text()}")


def play(workspace: Path) -> tuple[int, int]:
    """Run every job, verify it, and run it again; returns the requests of the first and of the second time."""
    for name in ("jobs", "sample_data"):
        shutil.copytree(ROOT / name, workspace / name)
    shutil.copy(ROOT / "batchpost.toml", workspace)
    with sandbox(workspace) as port:
        demo = Demo(workspace, port)
        first = {job: demo.run(job) for job in JOBS}
        print("\nOnce more: what was delivered is not sent again.")
        second = {job: demo.run(job) for job in JOBS}
        for job in JOBS:
            demo.batchpost("verify", job.replace("_", "-"), expect=0)
    if not all(first.values()) or any(second.values()):
        raise Surprise(f"requests received: {first}, and the second time {second}")
    return sum(first.values()), sum(second.values())


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description="The sample jobs against the sandbox, twice.")
    parser.add_argument("--workspace", type=Path, help="a new folder to work in and keep")
    given = parser.parse_args()
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the sandbox is stopped then as well
    workspace = given.workspace or Path(tempfile.mkdtemp(prefix="batchpost-demo-"))
    try:
        workspace.mkdir(parents=True, exist_ok=given.workspace is None)
        first, second = play(workspace)
    except (Surprise, OSError) as error:
        print(f"demo: FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        if given.workspace is None:
            shutil.rmtree(workspace, ignore_errors=True)
    seconds = time.monotonic() - begun
    print(f"\ndemo: ok in {seconds:.0f} s: {first:,} requests the first time, {second} the second; all books verified")
    return 0


if __name__ == "__main__":
    sys.exit(main())
