"""A webhook on loopback that keeps what it is told."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import Quiet, serving

Answer = tuple[int, dict[str, str]]


@dataclass
class Hook:
    """``answer`` is asked for status and headers with the number of the request from 0; ``bodies`` and ``heads`` are
    what came so far."""

    url: str
    answer: Callable[[int], Answer]
    bodies: list[bytes] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    @property
    def events(self) -> list[tuple[str, int]]:
        """What was told: event and exit code."""
        return [(message["event"], message["exit_code"]) for message in self.messages]


@contextmanager
def webhook(
    answer: Callable[[int], Answer] = lambda number: (200, {}), tls: ssl.SSLContext | None = None
) -> Iterator[Hook]:
    class Answering(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            head = {name.lower(): value for name, value in self.headers.items()}
            hook.heads.append({":path": self.path, **head})
            status, headers = hook.answer(len(hook.bodies) - 1)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")
            self.close_connection = True

    with serving(Answering, tls) as origin:
        hook = Hook(f"{origin}/services/T0/hook", answer)
        yield hook
