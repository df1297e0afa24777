"""A webhook on loopback that keeps what it is told."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

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

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on standard error."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that goes away is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    hook = Hook(f"{scheme}://127.0.0.1:{server.server_address[1]}/services/T0/hook", answer)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
