"""The way to a host from which an input is fetched: proxies of the environment, TLS, and who we are there."""

from __future__ import annotations

import netrc
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from batchpost.address import is_loopback
from batchpost.errors import UsageError

__all__ = ["login_of", "proxy_for", "ways"]


def ways(environ: Mapping[str, str]) -> Callable[[httpx.URL], httpx.BaseTransport]:
    """What opens a transport to an address's host, by way of the environment's proxy if there is one.

    TLS is at least 1.2, verified against the system's authorities or ``$SSL_CERT_FILE``. Opening raises UsageError for
    what is not an HTTP proxy.
    """
    tls = ssl.create_default_context(cafile=environ.get("SSL_CERT_FILE") or None)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2

    def way(url: httpx.URL) -> httpx.BaseTransport:
        proxy = proxy_for(url.scheme, url.host, environ)
        try:
            return httpx.HTTPTransport(verify=tls, trust_env=False, proxy=httpx.Proxy(proxy) if proxy else None)
        except (ValueError, httpx.InvalidURL):
            raise UsageError(f"${url.scheme.upper()}_PROXY does not hold the address of an HTTP proxy") from None

    return way


def proxy_for(scheme: str, host: str, environ: Mapping[str, str]) -> str | None:
    """The proxy that ``https_proxy``, ``all_proxy`` and ``no_proxy`` name for a host, as curl reads them (lower case
    wins); None for none, and always for this machine."""
    ordered = sorted(environ.items(), key=lambda pair: pair[0].islower())
    proxies = {name.lower().removesuffix("_proxy"): value for name, value in ordered if name.lower().endswith("_proxy")}
    if is_loopback(host) or urllib.request.proxy_bypass_environment(host, proxies):  # type: ignore[attr-defined]
        return None
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def login_of(url: httpx.URL, environ: Mapping[str, str]) -> str:
    """``user:password`` of an address, else those that ``netrc`` has for its host; empty for none. Raises UsageError
    for a ``netrc`` file that cannot be read."""
    if url.username:
        return f"{url.username}:{url.password}"
    place = Path(environ.get("NETRC") or Path(environ.get("HOME", "/")) / ".netrc")
    try:
        found = netrc.netrc(place).authenticators(url.host) if place.is_file() else None
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        raise UsageError(f"{place}: cannot be read as a netrc file") from None
    return f"{found[0]}:{found[2]}" if found else ""
