"""A web server on loopback that serves one file and breaks it off, redirects, asks who is there, and so on."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.loopback import Quiet, serving


@dataclass
class Answer:
    """One reply: ``cut`` bytes of the body are sent and then the connection is closed."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    length: bool = True


@dataclass
class Asked:
    """One request as it came."""

    path: str
    headers: dict[str, str]


@dataclass
class FileServer:
    """``answer`` is asked for each request, with its number from 0; ``asked`` are all so far."""

    url: str
    answer: Callable[[Asked, int], Answer]
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def file_server(answer: Callable[[Asked, int], Answer], tls: ssl.SSLContext | None = None) -> Iterator[FileServer]:
    class Answering(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()})
            found.asked.append(asked)
            given = found.answer(asked, len(found.asked) - 1)
            self.send_response(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            if given.length and "Transfer-Encoding" not in given.headers:
                self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            self.wfile.write(given.body if given.cut is None else given.body[: given.cut])
            self.close_connection = True

        def do_HEAD(self) -> None:
            """Of an answer without a body."""
            self.do_GET()

    with serving(Answering, tls) as origin:
        found = FileServer(origin, answer)
        yield found


def ranged(body: bytes, asked: Asked, etag: str = '"v1"', cut: int | None = None) -> Answer:
    """The whole body, or the part that is asked for if it is still of this version."""
    start = asked.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
    if start and asked.headers.get("if-range") == etag:
        at = int(start)
        headers = {"ETag": etag, "Content-Range": f"bytes {at}-{len(body) - 1}/{len(body)}"}
        return Answer(body[at:], 206, headers, cut)
    return Answer(body, 200, {"ETag": etag}, cut)
