"""Addresses in place of paths: which may be read, and what of them may be shown. Decided by their text alone.

A query (which signs, or names an account) and a user with a password are secrets: they are in no name, message or
result. Of ``s3://`` addresses there is nothing to hide; their credentials come from the environment.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

__all__ = [
    "PATTERN",
    "address_fault",
    "has_secret",
    "is_address",
    "is_loopback",
    "names_one",
    "shown",
    "split_object",
    "split_url",
]

PATTERN = re.compile(r"[*?\[]")  # what makes a path, or a key, stand for several

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FETCH = "fetch the file first and name the copy"


def is_address(path: str) -> bool:
    """Whether a path is an address, by a scheme at its beginning."""
    return _ADDRESS.match(path) is not None


def address_fault(address: str) -> tuple[str, str] | None:
    """What is wrong with an address, and the likeliest mend; None where it may be read."""
    found = _ADDRESS.match(address)
    scheme = found[1].lower() if found else ""
    if scheme == "s3":
        return _object_fault(address)
    if scheme not in ("https", "http"):
        return f"{scheme}:// addresses are not supported yet", _FETCH
    url = split_url(address)
    if url is None or not url.hostname:
        return f"is not an {scheme} address", "write one like https://example.com/exports/conv.csv"
    if scheme == "http" and not is_loopback(url.hostname):
        return "must be https: plain http is for loopback addresses only", "write https:// in place of http://"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown(address: str) -> str:
    """What people are shown of a path: of an address scheme, host and path, anything else as it is."""
    found = _ADDRESS.match(address)
    if not found:
        return address
    host, slash, rest = address[found.end() :].partition("/")
    if found[1].lower() == "s3":
        return f"s3://{host.rpartition('@')[2]}{slash}{rest}"
    bare = re.split(r"[?#]", f"{host.rpartition('@')[2]}{slash}{rest}", maxsplit=1)[0]
    return f"{found[1].lower()}://{bare}"


def has_secret(address: str) -> bool:
    """Whether an address holds more than may be shown."""
    return is_address(address) and shown(address).lower() != address.partition("#")[0].lower()


def names_one(address: str) -> bool:
    """Whether an address is that of one file, and not of a prefix or a pattern."""
    return not address.lower().startswith("s3://") or not (PATTERN.search(address) or address.endswith("/"))


def split_object(address: str) -> tuple[str, str]:
    """Bucket and key (or prefix, or pattern) of an ``s3://`` address."""
    bucket, _, key = address[len("s3://") :].partition("/")
    return bucket, key


def _object_fault(address: str) -> tuple[str, str] | None:
    bucket, key = split_object(address)
    if "@" in bucket or (":" in bucket and not bucket.startswith("arn:")):
        return "holds credentials, which do not belong in an address", "set AWS_ACCESS_KEY_ID or AWS_PROFILE"
    if not _BUCKET.fullmatch(bucket):
        return "has no bucket", "write one like s3://bucket/exports/conv.csv"
    if "//" in key or key.startswith("/"):
        return "has an empty part between two slashes", _FETCH
    if not key and not address.endswith("/"):
        return "names a bucket and no key", f"write s3://{bucket}/ for all tables in it"
    return None


def split_url(text: str) -> SplitResult | None:
    """The parts of a URL; None where it is none (a bad port, a bad IPv6 address, blanks)."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    return None if re.search(r"[\s\\\x00-\x1f\x7f]", text) else url
