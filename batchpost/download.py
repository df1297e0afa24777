"""One file from an https address into a local one: whole, as the server holds it, or refused with the likeliest mend.

It uses httpx's transport without the client above it: that one logs addresses, whose query is a secret.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import BinaryIO

import httpx

from batchpost.address import address_fault, shown
from batchpost.errors import InputRefused, NoInput
from batchpost.ways import login_of

__all__ = ["Downloaded", "download"]

ATTEMPTS = 5
LONGEST_PAUSE = 60.0  # seconds between two attempts
MAX_REDIRECTS = 10
_TIMEOUT = {"connect": 20.0, "read": 60.0, "write": 20.0, "pool": 20.0}  # seconds without any progress
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_BY_TYPE = {
    "text/csv": ".csv",
    "application/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/plain": ".txt",
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}


@dataclass(slots=True)
class Downloaded:
    """What is known of a file under way: ``size`` is what the server says, ``validator`` its strong ETag or its date,
    ``file_name`` what it calls it (with an ending by its media type where the name has none), ``packed`` whether the
    bytes are to be unpacked as HTTP demands."""

    validator: str = ""
    size: int = -1
    file_name: str = ""
    packed: bool = False


class _Broken(Exception):
    """The attempt failed in a way that another one may not; ``pause`` is what the server asked for, in seconds."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


@dataclass(slots=True)
class _Task:
    """One download: where from, where to, and how far it is."""

    url: httpx.URL
    name: str
    file: BinaryIO
    environ: Mapping[str, str]
    have: int = 0
    found: Downloaded = field(default_factory=Downloaded)


def download(
    address: str,
    file: BinaryIO,
    *,
    way: Callable[[httpx.URL], httpx.BaseTransport],
    environ: Mapping[str, str],
    sleep: Callable[[float], None] = time.sleep,
) -> Downloaded:
    """Write what lies at the address into ``file`` (empty, open for both), from the beginning.

    ``way`` gives the transport to an address's host, ``environ`` the place of the ``netrc`` file. What breaks off is
    tried again, ATTEMPTS times in a row without progress, and goes on where it stopped if the server can do that.
    Raises NoInput for what is not there or cannot be reached now, InputRefused for what will not be had like this,
    OSError of the disk.
    """
    task = _Task(httpx.URL(address), shown(address), file, environ)
    failed = 0
    while True:
        before = task.have
        try:
            _attempt(task, way)
            break
        except _Broken as broken:
            failed = 1 if task.have > before else failed + 1
            if failed >= ATTEMPTS:
                raise NoInput(f"{task.name}: {broken}, {failed} times in a row. Try again later") from None
            sleep(min(LONGEST_PAUSE, max(broken.pause, 2.0 ** (failed - 1))))
    if task.found.packed:
        _unpack(file, task.name)
    file.flush()
    return task.found


def _attempt(task: _Task, way: Callable[[httpx.URL], httpx.BaseTransport]) -> None:
    """One request, redirects included, and the body that comes; raises _Broken where another attempt may help."""
    url = task.url
    for _ in range(MAX_REDIRECTS):
        with _response(task, url, way) as response:
            if response.status_code not in (301, 302, 303, 307, 308):
                _judge(task, url, response)
                _take(task, response)
                return
            url = _redirected(task, url, response)
    raise InputRefused(task.name, f"redirects more than {MAX_REDIRECTS} times")


@contextmanager
def _response(task: _Task, url: httpx.URL, way: Callable[[httpx.URL], httpx.BaseTransport]) -> Iterator[httpx.Response]:
    try:
        with way(url) as transport:
            response = transport.handle_request(_request(task, url))
            try:
                yield response
            finally:
                response.close()
    except httpx.TransportError as error:
        raise _fault(task, url, error) from None


def _request(task: _Task, url: httpx.URL) -> httpx.Request:
    headers = {"Host": url.netloc.decode("ascii"), "User-Agent": "batchpost", "Accept": "*/*"}
    headers["Accept-Encoding"] = "identity"
    headers["Connection"] = "close"
    of_address = (url.scheme, url.host, url.port) == (task.url.scheme, task.url.host, task.url.port)
    if login := login_of(task.url if of_address else url, task.environ):
        headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    if task.have and task.found.validator:
        headers |= {"Range": f"bytes={task.have}-", "If-Range": task.found.validator}
    bare = url.copy_with(username="", password="", fragment=None)
    return httpx.Request("GET", bare, headers=headers, extensions={"timeout": _TIMEOUT})


def _redirected(task: _Task, url: httpx.URL, response: httpx.Response) -> httpx.URL:
    """Where a redirect leads; raises InputRefused where it leads out of TLS, or nowhere."""
    try:
        to = url.join(response.headers.get("location", ""))
    except httpx.InvalidURL:
        to = httpx.URL("")
    place = f"{to.scheme}://{to.host}"
    if to.scheme not in ("http", "https") or not to.host or not response.headers.get("location"):
        raise InputRefused(task.name, "redirects to what is no address")
    if to.scheme == "http" and (url.scheme == "https" or address_fault(str(to))):
        raise InputRefused(task.name, f"redirects to {place}, which is not encrypted", hint="Name the https address")
    return to


def _judge(task: _Task, url: httpx.URL, response: httpx.Response) -> None:
    """Make ready for the body, or raise."""
    status = response.status_code
    if status == 206 and task.have:
        start = _RANGE.fullmatch(response.headers.get("content-range", ""))
        if not start or int(start[1]) != task.have or start[2] not in ("*", str(task.found.size)):
            task.have = 0
            raise _Broken("the server sent another part than was asked for")
        return
    task.have = 0
    if status == 200:
        task.found = _found(task.name, url, response.headers)
        return
    raise _refusal(task.name, response)


def _refusal(name: str, response: httpx.Response) -> Exception:
    """What a status other than success means."""
    status = response.status_code
    if status in (404, 410):
        return NoInput(f"{name}: the server says that it is not there (HTTP {status})")
    if status == 401:
        hint = "Put user:password@ into the address (by env:NAME), or the host into ~/.netrc"
        return InputRefused(name, "wants a user and a password (HTTP 401)", hint=hint)
    if status == 403:
        return InputRefused(
            name, "access is denied (HTTP 403)", hint="A signed address expires, and only works whole: get a new one"
        )
    if status in (408, 416, 425, 429) or status >= 500:
        return _Broken(f"the server answers HTTP {status}", _retry_after(response))
    return InputRefused(name, f"the server answers HTTP {status}", hint="Does the address open in a browser?")


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _found(name: str, url: httpx.URL, headers: httpx.Headers) -> Downloaded:
    """What a complete response's head says of the file; raises InputRefused where its end could not be told."""
    length = headers.get("content-length", "")
    size = int(length) if length.isascii() and length.isdigit() else -1
    if size < 0 and "chunked" not in headers.get("transfer-encoding", "").lower():
        message = "its server says neither how long it is nor where it ends: a part could be missing unseen"
        raise InputRefused(name, message, hint="Fetch the file first and name the copy")
    coding = headers.get("content-encoding", "identity").lower()
    if coding not in ("identity", "", "gzip", "x-gzip"):
        raise InputRefused(name, f"comes packed as {coding[:20]}", hint="Fetch the file first and name the copy")
    etag = headers.get("etag", "")
    validator = etag if etag.startswith('"') else headers.get("last-modified", "") if not etag else ""
    file_name = _file_name(headers)
    kept = (url.path.lower().endswith(".gz"), file_name.lower().endswith(".gz"))  # a .csv.gz stays what it is
    return Downloaded(validator, size, file_name, coding.endswith("gzip") and not any(kept))


def _file_name(headers: httpx.Headers) -> str:
    """What the server calls the file; a name of the media type's ending where it does not call it anything."""
    message = Message()
    message["Content-Disposition"] = headers.get("content-disposition", "")
    named = message.get_filename() or ""
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    return named.replace("\\", "/").rpartition("/")[2] or (f"file{_BY_TYPE[media]}" if media in _BY_TYPE else "")


def _take(task: _Task, response: httpx.Response) -> None:
    """Write the body behind what is there; it may break off at any byte."""
    task.file.seek(task.have)
    task.file.truncate()
    for part in response.iter_raw():
        task.file.write(part)
        task.have += len(part)
    if 0 <= task.found.size != task.have:
        raise _Broken(f"{task.have:,} of {task.found.size:,} bytes came")


def _unpack(file: BinaryIO, name: str) -> None:
    """Undo ``Content-Encoding: gzip`` in bounded memory: what is unpacked goes behind what is packed, and then to the
    front."""
    packed_end = file.seek(0, os.SEEK_END)
    read_at, write_at = 0, packed_end
    unpacker = zlib.decompressobj(31)
    try:
        while read_at < packed_end:
            file.seek(read_at)
            part = file.read(min(1 << 20, packed_end - read_at))
            read_at += len(part)
            while part and not unpacker.eof:
                plain = unpacker.decompress(part, 4 << 20)
                part = unpacker.unconsumed_tail
                file.seek(write_at)
                write_at += file.write(plain)
    except zlib.error:
        raise InputRefused(name, "its gzip is cut off or damaged", hint="Fetch it again") from None
    if not unpacker.eof or unpacker.unused_data:
        raise InputRefused(name, "its gzip is cut off or damaged", hint="Fetch it again")
    _move_to_front(file, packed_end, write_at)


def _move_to_front(file: BinaryIO, start: int, end: int) -> None:
    at = 0
    while start + at < end:
        file.seek(start + at)
        part = file.read(min(1 << 20, end - start - at))
        file.seek(at)
        at += file.write(part)
    file.truncate(at)


def _fault(task: _Task, url: httpx.URL, error: httpx.TransportError) -> Exception:
    """What a failed connection means. No text of the library is repeated: it may hold the address."""
    causes = list(_causes(error))
    place = task.name if url.host == task.url.host else f"{task.name} (redirected to {url.host})"
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = f"the certificate of {url.host} is not trusted: {cause.verify_message}"
            return InputRefused(place, why, hint="Is the address right, and $SSL_CERT_FILE?")
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            return InputRefused(place, f"there is no host {url.host}", hint="Is the address right?")
    if isinstance(error, httpx.ProxyError):
        return InputRefused(place, "the proxy refuses the connection", hint="Look at $HTTPS_PROXY and $NO_PROXY")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return InputRefused(place, "cannot be asked for like this")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return _Broken(f"no TLS with {url.host}")
    if isinstance(error, httpx.TimeoutException):
        return _Broken("nothing came in time")
    if isinstance(error, httpx.ConnectError):
        return _Broken(f"{url.host} cannot be reached")
    return _Broken("the connection broke off")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
