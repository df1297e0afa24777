"""The servers that are posted to, on loopback: nginx, the small one, the sandbox. Each ends with its block."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.answering import Seen, read_record
from bench.process import Failed

__all__ = ["ROOT", "Answering", "answering", "certificate", "find", "free_port", "nginx", "sandbox"]

ROOT = Path(__file__).parent.parent
REPLY = '{"status":"201","message":"Lead successfully updated","data":{"leadStatus":"accepted"},"isDeDupe":false}'
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port}{ssl};
        location / {{ default_type application/json; return 201 '{reply}'; }}
    }}
}}
"""
SSL = " ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem"


def find(name: str) -> str | None:
    """The path of a program; nginx is where a user's search path does not look."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def certificate(folder: Path) -> Path:
    """Write ``cert.pem`` and ``key.pem``, for 127.0.0.1 and signed by itself; returns the certificate."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *more], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem"


@contextmanager
def nginx(folder: Path, port: int, *, tls: bool = False) -> Iterator[int]:
    """One worker on the last core that answers 201 at once; yields the port. ``tls`` needs :func:`certificate`."""
    program = find("nginx")
    if program is None:
        raise Failed("nginx is not installed (Debian: apt-get install nginx-light)")
    config = folder / f"nginx-{port}.conf"
    ssl = SSL.format(folder=folder) if tls else ""
    config.write_text(NGINX.format(folder=folder, port=port, ssl=ssl, reply=REPLY))
    with _running([program, "-c", str(config), "-p", str(folder)], port):
        yield port


class Answering:
    """The small server's port, and its record once it has ended."""

    def __init__(self, port: int, record: Path) -> None:
        self.port = port
        self._record = record

    def seen(self) -> list[Seen]:
        """All requests by arrival; only after the end of the block."""
        return read_record(self._record)


@contextmanager
def answering(folder: Path, port: int, *options: str) -> Iterator[Answering]:
    """The small server, with options of :mod:`bench.answering`."""
    record = folder / f"record-{port}"
    command = [sys.executable, "-m", "bench.answering", "--port", str(port), "--record", str(record), *options]
    with _running(command, port):
        yield Answering(port, record)


@contextmanager
def sandbox(port: int) -> Iterator[int]:
    """batchpost's own sandbox, to which every lead exists."""
    with _running([sys.executable, "-m", "batchpost", "sandbox", "--port", str(port), "--accept-any"], port):
        yield port


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[None]:
    """A server from the moment that it listens, kept on the last core, so that it does not push its client about."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
        _wait_until(lambda: _listens(port), f"{command[0]} did not start")
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    for _ in range(200):
        if is_so():
            return
        time.sleep(0.05)
    raise Failed(otherwise)
