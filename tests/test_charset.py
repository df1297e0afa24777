"""Encodings: found by their mark, else UTF-8, else as the job says; decoded strictly, refused by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchpost.batch import InputFile
from batchpost.charset import Charset, TextStream, find_charset
from batchpost.errors import InputChanged, InputRefused, UsageError
from batchpost.rawfile import RawFile


def decode(path: Path, content: bytes, charset: Charset, portion: int = 4, *, may_state: bool = True) -> bytes:
    path.write_bytes(content)
    with RawFile(InputFile(path, path.name, "csv")) as raw:
        stream = TextStream(raw, charset, "in.csv", may_state=may_state)
        return b"".join(iter(lambda: stream.read(portion), b""))


@pytest.mark.parametrize(
    ("head", "stated", "encoding"),
    [
        (b"a,b", None, "utf-8"),
        (b"", None, "utf-8"),
        (b"\xef\xbb\xbfa", None, "utf-8"),
        (b"\xef\xbb\xbfa", "UTF-8", "utf-8"),
        (b"\xef\xbb\xbfa", "utf-8-sig", "utf-8"),
        (b"a", "utf_8_sig", "utf-8"),
        (b"\xff\xfea\0", None, "utf-16-le"),
        (b"\xff\xfea\0", "utf-16", "utf-16-le"),
        (b"\xfe\xff\0a", "UTF-16BE", "utf-16-be"),
        (b"\xff\xfe\0\0a\0\0\0", None, "utf-32-le"),
        (b"a", "windows-1252", "cp1252"),
        (b"a", "Latin1", "iso8859-1"),
        (b"a\0", "utf-16-le", "utf-16-le"),
    ],
)
def test_a_mark_decides_then_the_job_then_utf_8(head: bytes, stated: str | None, encoding: str) -> None:
    found = find_charset(head, stated, "in.csv")
    assert found.encoding == encoding
    assert head.startswith(found.mark)
    assert bool(found.mark) == (head[:1] in (b"\xef", b"\xff", b"\xfe"))


@pytest.mark.parametrize(
    ("head", "stated"), [(b"\xef\xbb\xbfa", "cp1252"), (b"\xff\xfea\0", "utf-16-be"), (b"\xff\xfea\0", "utf-8")]
)
def test_a_mark_that_contradicts_the_job_is_refused(head: bytes, stated: str) -> None:
    with pytest.raises(InputRefused, match=f"byte order mark of .* but .* is '{stated}'"):
        find_charset(head, stated, "in.csv")


def test_two_byte_orders_without_a_mark_are_refused() -> None:
    with pytest.raises(InputRefused, match="'utf-16-le' or 'utf-16-be'"):
        find_charset(b"a\0", "utf-16", "in.csv")


@pytest.mark.parametrize("stated", ["utf-9", "base64", "rot13", "", "zlib", "a\0b"])
def test_what_is_no_text_encoding_is_a_mistake_of_the_job(stated: str) -> None:
    if not stated:
        assert find_charset(b"a", stated, "in.csv").encoding == "utf-8"
        return
    with pytest.raises(UsageError, match="no encoding"):
        find_charset(b"a", stated, "in.csv")


@pytest.mark.parametrize("portion", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "cp1252", "gb18030"])
def test_characters_cut_by_a_portion_come_out_whole(tmp_path: Path, encoding: str, portion: int) -> None:
    text = "Zoë,naïve\r\nÜ,€\n" + ("" if encoding == "cp1252" else "😀名\n")
    assert decode(tmp_path / "a", text.encode(encoding), Charset(encoding), portion) == text.encode()


def test_the_mark_itself_is_not_text(tmp_path: Path) -> None:
    assert decode(tmp_path / "a", b"\xef\xbb\xbfa", Charset("utf-8", b"\xef\xbb\xbf")) == b"a"
    with pytest.raises(InputChanged):
        decode(tmp_path / "a", b"a,b", Charset("utf-8", b"\xef\xbb\xbf"))


@pytest.mark.parametrize("portion", [1, 3, 1000])
@pytest.mark.parametrize(
    ("content", "charset", "line", "message"),
    [
        (b"a,b\n1,2\nZo\xeb,3\n", "utf-8", 3, "the text is not utf-8"),
        (b"a\n\xc3\xa9\n\xed\xa0\x80\n", "utf-8", 3, "the text is not utf-8"),
        (b"a\n\xc0\xaf\n", "utf-8", 2, "the text is not utf-8"),
        (b"a\nb\n\x81\n", "cp1252", 3, "the text is not cp1252"),
        ("a\nb\n".encode("utf-16-le") + b"\x00\xd8a\x00", "utf-16-le", 3, "the text is not utf-16-le"),
        (b"a\nb\xe2\x82", "utf-8", 2, "ends in the middle of a character"),
        ("a\nb".encode("utf-16-le")[:-1], "utf-16-le", 2, "ends in the middle of a character"),
        (b"a\nb,\0\n", "utf-8", 2, "NUL"),
        ("a\nb,\0\n".encode("utf-16-le"), "utf-16-le", 2, "NUL"),
        (b"a\nb\n\x1a", "utf-8", 3, "Ctrl-Z"),
        (b"a\nb\x1a\r\n", "utf-8", 2, "Ctrl-Z"),
    ],
)
def test_what_does_not_decode_is_refused_by_its_line(
    tmp_path: Path, portion: int, content: bytes, charset: str, line: int, message: str
) -> None:
    with pytest.raises(InputRefused, match=message) as caught:
        decode(tmp_path / "a", content, Charset(charset), portion)
    assert caught.value.line == line


def test_a_ctrl_z_inside_is_the_mappings_business(tmp_path: Path) -> None:
    assert decode(tmp_path / "a", b"a\x1a\nb\n", Charset("utf-8")) == b"a\x1a\nb\n"


@pytest.mark.parametrize(
    ("content", "may_state", "hint"),
    [
        (b"a\nZo\xeb\n", True, 'encoding = "cp1252"'),
        (b"a\nZo\xeb \x93x\x94\n", True, 'encoding = "cp1252"'),
        ("a\nДмитрий\nЛюдмила\n".encode("cp1251"), True, 'encoding = "cp1251"'),  # noqa: RUF001 - meant
        ("a\n山田太郎\n鈴木\n".encode("cp932"), True, 'encoding = "cp932"'),
        ("a\nJosé\nFrançois\n".encode("mac_roman"), True, 'encoding = "mac_roman"'),
        (b"a\nZo\xeb\n", False, 'Save it as "CSV UTF-8"'),
        ("a\nZoë, Zürich, Köln\n".encode() + b"Zo\xeb\n", True, "Mend this line"),  # cp1252 would spoil the others
        (b"a\n\xed\xa0\xbd\xed\xb8\x80\n", True, "Export it anew as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), True, 'encoding = "utf-16-le"'),
        ("a,b\n1,2\n".encode("utf-16-be"), True, 'encoding = "utf-16-be"'),
        (b"abcdefgh\0", True, "damaged"),
    ],
)
def test_a_refusal_names_the_likeliest_mend(tmp_path: Path, content: bytes, may_state: bool, hint: str) -> None:
    with pytest.raises(InputRefused) as caught:
        decode(tmp_path / "a", content, Charset("utf-8"), 1000, may_state=may_state)
    assert hint in caught.value.hint
