"""Bytes of input files: unpacked soundly or refused, hashed as they lie on disk, never of what is no file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from batchpost.batch import Compression, InputFile
from batchpost.errors import InputRefused
from batchpost.rawfile import RawFile, refuse_foreign

DATA = b"".join(b"%d,some text,%d\n" % (number, number * 7919) for number in range(3000))

# 40 lines "<n>,text" as `zstd` writes them: with a checksum, which pyarrow's own writer leaves out
CHECKED = base64.b64decode(
    "KLUv/WQ2AM0DAGQDMCx0ZXh0CjEyMzQ1Njc4OTEwMTExMTExMTExMjIyMjIyMjIyMjMzMzMzMzMzMzM5LHRleHQKJiCAk9IDWfLNLIt8mc2ST2ZZ5MtMlnyZzZJPZmeZyCeVWVQWqHxPmTllacrHlNlSFsPAgw05bjBDxhkMDKEhcgEFzNYG"
)
CHECKED_DATA = b"".join(b"%d,text\n" % number for number in range(40))


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(data)
    return bytes(sink.getvalue().to_pybytes())


PACK = {"gzip": gzip.compress, "zstd": zstd}


def read(path: Path, content: bytes, compression: Compression = "", portion: int = 1000) -> bytes:
    path.write_bytes(content)
    parts = []
    with RawFile(InputFile(path, path.name, "csv", compression)) as raw:
        while part := raw.read(portion):
            parts.append(part)
    assert all(len(part) == portion for part in parts[:-1])
    return b"".join(parts)


@pytest.mark.parametrize("portion", [1, 1000, 1 << 20])
def test_a_plain_file_is_read_as_it_is(tmp_path: Path, portion: int) -> None:
    assert read(tmp_path / "a.csv", DATA[:3000], portion=portion) == DATA[:3000]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_packed_file_is_unpacked_and_hashed_as_it_lies_on_disk(tmp_path: Path, compression: Compression) -> None:
    packed = PACK[compression](DATA)
    (tmp_path / "a").write_bytes(packed)
    with RawFile(InputFile(tmp_path / "a", "a", "csv", compression)) as raw:
        assert raw.read(len(DATA) + 1) == DATA
        assert raw.read(1) == b""
        assert (raw.sha256, raw.size) == (hashlib.sha256(packed).hexdigest(), len(packed))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_files_that_were_packed_apart_and_joined_are_one(tmp_path: Path, compression: Compression) -> None:
    half = len(DATA) // 2
    joined = PACK[compression](DATA[:half]) + PACK[compression](DATA[half:])
    assert read(tmp_path / "a", joined, compression) == DATA


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [1, 4, 9, 1000, 5000])
def test_a_packed_file_that_is_cut_off_is_refused(tmp_path: Path, compression: Compression, cut: int) -> None:
    with pytest.raises(InputRefused, match=r"cannot be unpacked: .*fetch it again"):
        read(tmp_path / "a", PACK[compression](DATA)[:-cut], compression)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("extra", [b"x", b"\0\0\0\0\0", b"a,b\n1,2\n", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"])
def test_anything_after_the_end_of_a_packed_file_is_refused(
    tmp_path: Path, compression: Compression, extra: bytes
) -> None:
    with pytest.raises(InputRefused, match="cannot be unpacked"):
        read(tmp_path / "a", PACK[compression](DATA) + extra, compression)


@pytest.mark.parametrize(
    ("compression", "packed", "data"),
    [("gzip", gzip.compress(CHECKED_DATA), CHECKED_DATA), ("zstd", CHECKED, CHECKED_DATA)],
)
def test_no_flipped_bit_of_a_checksummed_file_goes_through(
    tmp_path: Path, compression: Compression, packed: bytes, data: bytes
) -> None:
    refused = 0
    for bit in range(0, len(packed) * 8, 3):
        damaged = bytearray(packed)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert read(tmp_path / "a", bytes(damaged), compression) == data  # gzip's own time stamp and the like
        except InputRefused:
            refused += 1
    assert refused > len(packed) * 2


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_file_that_is_only_named_packed_is_text_or_nothing(tmp_path: Path, compression: Compression) -> None:
    assert read(tmp_path / "a", b"", compression) == b""
    assert read(tmp_path / "a", "a,b\r\n1,é\n".encode(), compression) == "a,b\r\n1,é\n".encode()
    with pytest.raises(InputRefused, match=f"is named as {compression} but is not, and it is no text"):
        read(tmp_path / "a", b"\x1e\x8bpacked once", compression)


def test_a_packed_file_is_unpacked_whatever_its_name(tmp_path: Path) -> None:
    assert read(tmp_path / "a", gzip.compress(DATA)) == DATA
    assert read(tmp_path / "a", zstd(DATA), "gzip") == DATA


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_bomb_costs_no_more_memory_than_a_portion(tmp_path: Path, compression: Compression) -> None:
    (tmp_path / "a").write_bytes(PACK[compression](bytes(30_000_000)))
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    with RawFile(InputFile(tmp_path / "a", "a", "csv", compression)) as raw:
        read_bytes = sum(len(raw.read(1 << 16)) for _ in range(458))
        held = pa.total_allocated_bytes() - before
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read_bytes == 30_000_000
    assert held + peak < 3_000_000


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "nowhere")
    for place, message in (
        (tmp_path / "pipe.csv", "is a pipe or a device"),
        (Path("/dev/null"), "is a pipe or a device"),
        (tmp_path / "folder.csv", "is a folder"),
        (tmp_path / "dangling.csv", "cannot be read: No such file"),
    ):
        with pytest.raises(InputRefused, match=message):
            RawFile(InputFile(place, "shown.csv", "csv"))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"PK\x03\x04rest", "Excel workbook.*Name it .xlsx"),
        (b"\xd0\xcf\x11\xe0rest", "old Excel"),
        (b"PAR1rest", "a Parquet file.*Name it .parquet"),
        (gzip.compress(b"a", mtime=0), "gzip inside its packing.*unpack it once"),
        (zstd(b"a"), "zstd inside its packing.*unpack it once"),
        (b"%PDF-1.7", "a PDF"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\xef\xbb\xbf\r\n <HTML><table>", "a web page"),
        (b'<?xml version="1.0"?>', "a web page or XML"),
    ],
)
def test_another_format_under_the_name_of_a_text_file_is_refused_by_name(head: bytes, message: str) -> None:
    with pytest.raises(InputRefused, match=message):
        refuse_foreign(head, "a.csv")


@pytest.mark.parametrize("head", [b"", b"a,b\n", b"<5 years,b\n", b"PK,b\n", b"\xef\xbb\xbfa,b"])
def test_text_is_not_taken_for_another_format(head: bytes) -> None:
    refuse_foreign(head, "a.csv")


def test_bytes_at_an_offset_are_those_on_disk_fewer_at_the_end_and_not_hashed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"0123456789")
    with RawFile(InputFile(tmp_path / "a.csv", "a.csv", "csv")) as raw:
        parts = [raw.read_at(6, 3), raw.read_at(0, 2), raw.read_at(8, 5), raw.read_at(10, 1)]
        assert parts == [b"678", b"01", b"89", b""]
        assert (raw.size, raw.sha256) == (0, hashlib.sha256().hexdigest())
