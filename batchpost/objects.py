"""Objects of S3, and of what speaks like it: listed, and fetched whole, through pyarrow's client.

Credentials are looked for where the AWS tools do: environment, ``AWS_PROFILE`` and ``~/.aws``, the machine's role.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from batchpost.errors import BatchpostError, InputRefused, NoInput, UsageError
from batchpost.ways import proxy_for

__all__ = ["Objects", "refusal"]

_PART = 8 << 20  # bytes of one request
_TRIES = 3  # an object that is replaced while it is being fetched is fetched again
_CODE = re.compile(r"AWS Error ([A-Z_]+)")
_YES = ("1", "true", "yes")
Result = TypeVar("Result")


class Objects:
    """One bucket. ``environ`` is where the settings of the AWS tools are looked up; opening it sends nothing but the
    question in which region the bucket is, where nothing says so. ``attempts`` are those of each request."""

    def __init__(self, bucket: str, environ: Mapping[str, str], attempts: int = 5) -> None:
        self._bucket = bucket
        retries = fs.AwsStandardS3RetryStrategy(max_attempts=attempts)
        options = _options(bucket, environ)
        self._s3: Any = self._asked(bucket, lambda: fs.S3FileSystem(retry_strategy=retries, **options))

    def listed(self, prefix: str, *, deep: bool) -> tuple[list[str], list[str]]:
        """Names of the objects and of the folders below a prefix that ends in a slash (or is empty): those right below
        it, or ``deep`` all of them, relative to it. Raises as :meth:`fetch`, but no NoInput for what is not there."""
        base = f"{self._bucket}/{prefix}".rstrip("/")
        selector = fs.FileSelector(base, recursive=deep, allow_not_found=True)
        found = self._asked(f"{self._bucket}/{prefix}", lambda: self._s3.get_file_info(selector))
        if not found:
            self._refuse_missing_bucket()
        names: dict[Any, list[str]] = {fs.FileType.File: [], fs.FileType.Directory: []}
        for one in found:
            names.setdefault(one.type, []).append(one.path[len(base) + 1 :])
        return names[fs.FileType.File], names[fs.FileType.Directory]

    def fetch(self, key: str, file: BinaryIO) -> None:
        """Write an object into ``file`` (empty, open), all of one version of it.

        Raises NoInput for what is not there or cannot be reached now, UsageError for a bucket or credentials that are
        none, InputRefused for what may not be read or does not keep still, OSError of the disk.
        """
        name = f"{self._bucket}/{key}"
        for _ in range(_TRIES):
            file.seek(0)
            file.truncate()
            before = self._copied(name, file)
            if self._version(name, self._open(name)) == before:
                file.flush()
                return
        raise InputRefused(f"s3://{name}", "was replaced each time while it was being fetched")

    def _open(self, name: str) -> Any:
        return self._asked(name, lambda: self._s3.open_input_stream(name))

    def _version(self, name: str, stream: Any) -> dict[str, bytes]:
        known = self._asked(name, stream.metadata) or {}
        return {key: known.get(key, b"") for key in ("ETag", "Content-Length", "Last-Modified")}

    def _copied(self, name: str, file: BinaryIO) -> dict[str, bytes]:
        stream = self._open(name)
        version = self._version(name, stream)
        while part := self._asked(name, lambda: stream.read(_PART)):
            file.write(part)
        return version

    def _asked(self, name: str, ask: Callable[[], Result]) -> Result:
        """What ``ask`` returns; the client's errors as ours. Their text is not repeated."""
        try:
            return ask()
        except FileNotFoundError:
            self._refuse_missing_bucket()
            raise NoInput(f"there is no s3://{name}") from None
        except (OSError, pa.ArrowException) as error:
            raise refusal(f"s3://{name}", str(error)) from None

    def _refuse_missing_bucket(self) -> None:
        """The client tells of a missing object and of a missing bucket alike, but the one may come yet. Who may not
        look at the bucket itself learns nothing by asking for it. Raises UsageError."""
        try:
            found = self._s3.get_file_info(self._bucket).type
        except (OSError, pa.ArrowException):
            return
        if found == fs.FileType.NotFound:
            raise _no_bucket(f"s3://{self._bucket}")


def _no_bucket(name: str) -> UsageError:
    return UsageError(f"{name}: there is no such bucket. Correct its name, or set AWS_ENDPOINT_URL to its provider's")


def _options(bucket: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the client does not find by itself, or not everywhere that the AWS tools do."""
    options: dict[str, Any] = {}
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    host = f"s3.{region}.amazonaws.com" if region else "s3.amazonaws.com"
    if endpoint:
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/"):
            raise UsageError("$AWS_ENDPOINT_URL is not an address like https://s3.example.com")
        host = url.hostname
        options |= {"endpoint_override": url.netloc, "scheme": url.scheme}
    if region or endpoint:
        options["region"] = region or "us-east-1"
    elif not environ.get("AWS_PROFILE"):
        options["region"] = _region(bucket)
    if any(environ.get(name, "").lower() in _YES for name in ("AWS_SKIP_SIGNATURE", "AWS_NO_SIGN_REQUEST")):
        options["anonymous"] = True
    elif environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        options |= {"access_key": environ["AWS_ACCESS_KEY_ID"], "secret_key": environ["AWS_SECRET_ACCESS_KEY"]}
        options["session_token"] = environ.get("AWS_SESSION_TOKEN")
    if proxy := proxy_for(options.get("scheme", "https"), host, environ):
        options["proxy_options"] = proxy
    return options


def _region(bucket: str) -> str | None:
    try:
        found: str = fs.resolve_s3_region(bucket)
    except (OSError, pa.ArrowException):
        return None
    return found


def refusal(name: str, text: str) -> BatchpostError:
    """The client's words as an error for people."""
    found = _CODE.search(text)
    code = found[1] if found else ""
    if code == "NO_SUCH_BUCKET":
        return _no_bucket(name)
    if code in ("ACCESS_DENIED", "FORBIDDEN") or "status 403" in text:
        hint = "Reading it needs s3:GetObject, and s3:ListBucket for prefixes and patterns; a public bucket needs "
        return InputRefused(name, "access is denied", hint=f"{hint}AWS_SKIP_SIGNATURE=true")
    if code in ("INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_CLIENT_TOKEN_ID", "UNRECOGNIZED_CLIENT"):
        return UsageError(f"{name}: the credentials are not those of anybody there. Look at AWS_ACCESS_KEY_ID")
    if "ExpiredToken" in text or code == "EXPIRED_TOKEN":
        return UsageError(f"{name}: the credentials have expired. Get new ones")
    if "status 301" in text or "region" in text.lower():
        return UsageError(f"{name}: the bucket is in another region. Set AWS_REGION to the bucket's")
    if code == "NETWORK_CONNECTION" or code in ("SLOW_DOWN", "SERVICE_UNAVAILABLE", "INTERNAL_FAILURE", "THROTTLING"):
        return NoInput(f"{name}: the storage cannot be reached now ({code}). Try again later")
    return InputRefused(name, f"cannot be fetched ({code or 'no reason was given'})")
