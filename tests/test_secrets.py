from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchpost.errors import SecretError
from batchpost.secrets import LONGEST, is_reference, read_secret

CANARY = "tok_9f8e7d6c"


@pytest.mark.parametrize(
    "text", ["env:TOKEN", "env:_T1", "file:secrets/token", "file:/run/my token", "credential:pt.tok"]
)
def test_a_reference_names_where_a_secret_is(text: str) -> None:
    assert is_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        CANARY,
        "env:",
        "env:1A",
        "env:A B",
        "env:A\n",
        "file:",
        "file:a\nb",
        "credential:",
        "credential:../x",
        "ENV:A",
    ],
)
def test_any_other_text_is_none(text: str, tmp_path: Path) -> None:
    assert not is_reference(text)
    with pytest.raises(SecretError, match="env:NAME, file:PATH or credential:NAME"):
        read_secret(text, tmp_path, {})


def test_a_secret_of_the_environment_is_read_as_it_is(tmp_path: Path) -> None:
    assert read_secret("env:TOKEN", tmp_path, {"TOKEN": CANARY}) == CANARY


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
@pytest.mark.parametrize("reference", ["file:secrets/token", "env:TOKEN", "credential:token"])
def test_one_line_end_after_a_secret_is_cut(tmp_path: Path, reference: str, ending: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text(CANARY + ending, newline="")
    environ = {"TOKEN": CANARY + ending, "CREDENTIALS_DIRECTORY": str(tmp_path / "secrets")}
    assert read_secret(reference, tmp_path, environ) == CANARY


@pytest.mark.parametrize(("length", "fits"), [(LONGEST, True), (LONGEST + 1, False), (1 << 20, False)])
@pytest.mark.parametrize("reference", ["file:token", "env:TOKEN"])
def test_a_secret_may_be_long_but_not_a_whole_file(tmp_path: Path, reference: str, length: int, fits: bool) -> None:
    secret = (CANARY * (length // len(CANARY) + 1))[:length]
    (tmp_path / "token").write_text(f"{secret}\r\n", newline="")
    if fits:
        assert read_secret(reference, tmp_path, {"TOKEN": secret}) == secret
        return
    with pytest.raises(SecretError, match=rf"^{reference}: the secret is longer than 4,096 bytes") as caught:
        read_secret(reference, tmp_path, {"TOKEN": secret})
    assert CANARY not in str(caught.value)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in ("pipe", "/dev/zero"):
        with pytest.raises(SecretError, match=rf"^file:{place}: .* is a pipe or a device, not a file"):
            read_secret(f"file:{place}", tmp_path, {})


def test_a_link_is_followed_and_who_else_may_read_it_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "..data").write_text(f"{CANARY}\n")
    (tmp_path / "..data").chmod(0o644)
    (tmp_path / "token").symlink_to("..data")
    assert read_secret("file:token", tmp_path, {}) == CANARY


def test_a_file_may_be_named_by_its_whole_path(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(CANARY)
    assert read_secret(f"file:{file}", tmp_path / "elsewhere", {}) == CANARY


def test_a_credential_of_systemd_is_in_its_directory(tmp_path: Path) -> None:
    (tmp_path / "pt").write_text(f"{CANARY}\n")
    assert read_secret("credential:pt", Path("/"), {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == CANARY


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("env:TOKEN", "variable TOKEN is not set"),
        ("file:token", "No such file"),
        ("file:.", "Is a directory"),
        ("file:token/x", "No such file"),
        ("credential:token", "CREDENTIALS_DIRECTORY is not set"),
    ],
)
def test_a_missing_secret_is_named_by_its_reference(tmp_path: Path, reference: str, message: str) -> None:
    with pytest.raises(SecretError, match=message) as caught:
        read_secret(reference, tmp_path, {})
    assert str(caught.value).startswith(reference)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "is empty"),
        (f"{CANARY} ", "blanks"),
        (f" {CANARY}", "blanks"),
        (f"{CANARY}\n\n", "line ends"),
        (f"{CANARY}\r", "line ends"),
        (f"tok\t{CANARY}", "control characters"),
        (f"{CANARY}\0", "control characters"),
        (f"{CANARY}é", "non-ASCII"),
        (f"\ufeff{CANARY}", "non-ASCII"),
        (f"{CANARY}\x7f", "non-ASCII|control"),
    ],
)
def test_what_cannot_be_a_secret_is_refused_without_showing_it(tmp_path: Path, secret: str, message: str) -> None:
    with pytest.raises(SecretError, match=message) as caught:
        read_secret("env:TOKEN", tmp_path, {"TOKEN": secret})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"\xff\xfe" + CANARY.encode(), CANARY.encode() + b" \n"])
def test_the_same_holds_for_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(SecretError, match=r"^file:token: ") as caught:
        read_secret("file:token", tmp_path, {})
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
