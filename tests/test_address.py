"""Addresses: which may be read, and what of them is shown."""

from __future__ import annotations

import pytest

from batchpost.address import address_fault, has_secret, is_address, names_one, shown


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://example.com/a/conv.csv", "https://example.com/a/conv.csv"),
        ("https://example.com:8443/a.csv?X-Amz-Signature=hush", "https://example.com:8443/a.csv"),
        ("https://me:hush@example.com/a.csv#hush", "https://example.com/a.csv"),
        ("HTTPS://me:hu@sh@example.com?hush", "https://example.com"),
        ("s3://bucket/conv-?.csv", "s3://bucket/conv-?.csv"),
        ("s3://key:hush@bucket/a.csv", "s3://bucket/a.csv"),
        ("exports/a?b#c.csv", "exports/a?b#c.csv"),
    ],
)
def test_what_is_shown_holds_no_secret(address: str, told: str) -> None:
    assert shown(address) == told
    assert "hush" not in shown(address)
    assert has_secret(address) == ("hush" in address)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://example.com/a.csv", "plain http is for loopback addresses only"),
        ("https:///a.csv", "is not an https address"),
        ("https://exa mple.com/a.csv", "is not an https address"),
        ("https://example.com:99999/a.csv", "is not an https address"),
        ("s3:///a.csv", "has no bucket"),
        ("s3://bucket", "names a bucket and no key"),
        ("s3://bucket//a.csv", "an empty part"),
        ("s3://key:secret@bucket/a.csv", "credentials"),
        ("gs://bucket/a.csv", "gs:// addresses are not supported yet"),
        ("az://box/a.csv", "az:// addresses are not supported yet"),
        ("sftp://host/a.csv", "sftp:// addresses are not supported yet"),
        ("file:///a.csv", "file:// addresses are not supported yet"),
    ],
)
def test_what_cannot_be_read_is_said_by_its_text_alone(address: str, message: str) -> None:
    fault = address_fault(address)
    assert fault
    assert message in fault[0]


@pytest.mark.parametrize(
    "address",
    [
        *("https://example.com/a.csv", "https://example.com", "http://127.0.0.1:8080/a.csv", "http://localhost/a"),
        *("http://[::1]:80/a", "s3://bucket/", "s3://bucket/a.csv", "s3://bucket/in/*.csv", "S3://b/a b ü.csv"),
    ],
)
def test_what_may_be_read_has_no_fault(address: str) -> None:
    assert is_address(address)
    assert address_fault(address) is None


@pytest.mark.parametrize("path", ["a.csv", "a/b.csv", "C:/a.csv", "env:URL", "://a", "-"])
def test_paths_are_no_addresses(path: str) -> None:
    assert not is_address(path)


@pytest.mark.parametrize(
    ("address", "one"),
    [
        ("https://example.com/*.csv", True),
        ("https://example.com/a?b=1", True),
        ("s3://bucket/a.csv", True),
        ("s3://bucket/in/", False),
        ("s3://bucket/a-*.csv", False),
        ("s3://bucket/a?.csv", False),
    ],
)
def test_prefixes_and_patterns_stand_for_many(address: str, one: bool) -> None:
    assert names_one(address) is one
