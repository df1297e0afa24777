"""Chromium without a window, spoken to by its DevTools protocol over a pipe: for tests that look at pages."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

__all__ = ["Browser", "Tab", "browser", "found"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 60.0  # for one answer: a busy machine starts a browser slowly
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-default-browser-check"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--hide-scrollbars", "--remote-debugging-pipe"),
)
# It reads requests from its descriptor 3 and answers on 4.
_LAUNCHER = """import fcntl, os, sys
out_of_the_way = [fcntl.fcntl(int(text), fcntl.F_DUPFD, 10) for text in sys.argv[1:3]]
for place, descriptor in enumerate(out_of_the_way, 3):
    os.dup2(descriptor, place)
os.execv(sys.argv[3], sys.argv[3:])"""


def found() -> str | None:
    """The program, where it is installed."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@dataclass
class Browser:
    """The protocol: numbered requests, answers, and events meanwhile, each message ended by a zero byte."""

    requests: IO[bytes]
    answers: IO[bytes]
    events: list[dict[str, Any]] = field(default_factory=list)
    _number: int = 0
    _read: bytes = b""

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of a request; raises AssertionError where the browser refuses it."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self.requests.write(json.dumps({**message, "sessionId": session} if session else message).encode() + b"\0")
        self.requests.flush()
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def until(self, method: str, session: str) -> dict[str, Any]:
        """Wait for an event."""
        at = 0
        while True:
            for event in self.events[at:]:
                if event.get("method") == method and event.get("sessionId") == session:
                    return event
            at = len(self.events)
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._read:
            ready, _, _ = select.select([self.answers], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self.answers.fileno(), 1 << 20)
            assert piece, "the browser has ended"
            self._read += piece
        text, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def open(self, path: Path, *, width: int, dark: bool = False, scripts: bool = True) -> Tab:
        """A page of this machine in a tab of its own, as wide as that; ``scripts``: the page could run some."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session, path.as_uri())
        for part in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            tab.call(f"{part}.enable")
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tab.call("Emulation.setEmulatedMedia", features=[scheme])
        tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        tab.call("Page.navigate", url=tab.url)
        self.until("Page.loadEventFired", session)
        return tab


@dataclass
class Tab:
    """One page."""

    browser: Browser
    session: str
    url: str

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def seen(self, *methods: str) -> list[dict[str, Any]]:
        """What the browser reported of this page so far."""
        events = [event for event in self.browser.events if event.get("sessionId") == self.session]
        return [event["params"] for event in events if event["method"] in methods]

    def nodes(self) -> list[dict[str, Any]]:
        """What a screen reader is told: role, name and properties, those that it passes over left out."""
        return [
            {
                "role": node["role"]["value"],
                "name": node.get("name", {}).get("value", ""),
                **{one["name"]: one["value"].get("value") for one in node.get("properties", [])},
            }
            for node in self.call("Accessibility.getFullAXTree")["nodes"]
            if not node["ignored"]
        ]


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile, ended with the block."""
    its_requests, requests = os.pipe()
    answers, its_answers = os.pipe()
    pipes = (its_requests, its_answers)
    command = [sys.executable, "-c", _LAUNCHER, *map(str, pipes), program, *_FLAGS, f"--user-data-dir={profile}"]
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    with subprocess.Popen(command, pass_fds=pipes, **quiet) as process:
        for descriptor in pipes:
            os.close(descriptor)
        try:
            with os.fdopen(requests, "wb") as write, os.fdopen(answers, "rb", buffering=0) as read:
                yield Browser(write, read)
        finally:
            process.terminate()
            process.wait()
