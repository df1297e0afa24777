"""Bytes in whatever encoding → UTF-8, strictly: what does not decode is refused with its line, nothing is replaced."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from batchpost.errors import InputChanged, InputRefused, UsageError
from batchpost.likeliest import likeliest_encoding
from batchpost.rawfile import RawFile

__all__ = ["Charset", "TextStream", "find_charset", "swapped"]

# The longer marks first: that of UTF-32 begins like that of UTF-16. Unicode standard, 23.8.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_SAMPLE = 1_000  # lines
_BEYOND_ASCII = re.compile(rb"[^\x00-\x7f]")
_HALVES = re.compile(rb"\xed[\xa0-\xbf]")  # a surrogate, as old Java and MySQL write what is beyond U+FFFF
_ASCII = bytes(range(128))
_PROOF = 6  # bytes beyond ASCII that are UTF-8: hardly by chance
_SWAP = bytes.maketrans(b"\r\n", b"\n\r")


@dataclass(frozen=True, slots=True)
class Charset:
    """An encoding by Python's name for it, and the byte order mark that the file begins with (``b""``: none)."""

    encoding: str
    mark: bytes = b""

    def __str__(self) -> str:
        return f"{self.encoding} with a byte order mark" if self.mark else self.encoding


def find_charset(head: bytes, stated: str | None, name: str) -> Charset:
    """The encoding of a file from its first bytes and ``[source] encoding``: UTF-8 unless a byte order mark or the job
    says otherwise. Raises UsageError for an unknown encoding, InputRefused where mark and job disagree."""
    wanted = _codec(stated) if stated else ""
    for mark, encoding in MARKS:
        if not head.startswith(mark):
            continue
        if not encoding.startswith(wanted.removesuffix("-sig")):
            message = f"begins with the byte order mark of {encoding}, but [source] encoding is {stated!r}"
            raise InputRefused(name, message, line=1, hint="Remove the setting: the mark says what it is")
        return Charset(encoding, mark)
    if wanted in ("utf-16", "utf-32"):
        hint = f"Say which: [source] encoding = {wanted + '-le'!r} or {wanted + '-be'!r}"
        raise InputRefused(name, f"has no byte order mark, and {wanted} has two byte orders", line=1, hint=hint)
    return Charset("utf-8" if wanted in ("", "utf-8-sig") else wanted)


def _codec(stated: str) -> str:
    try:
        "".encode(stated)  # refuses base64 and the like, which are codecs but no text
        return codecs.lookup(stated).name
    except (LookupError, ValueError) as error:
        message = f"[source] encoding = {stated!r} is no encoding that is known here (utf-8, cp1252, latin-1, …)"
        raise UsageError(message) from error


def _beyond_ascii(text: bytes) -> int:
    return len(text.translate(None, _ASCII))


def swapped(text: bytes) -> bytes:
    """A text (UTF-8) with LF for CR and CR for LF."""
    return text.translate(_SWAP)


class TextStream:
    """A file's text as UTF-8, without its byte order mark. Raises InputRefused at the first byte that does not
    decode, at a NUL, at a Ctrl-Z that ends the file, and at the end of one that is UTF-8 although the job says
    otherwise (the line is named, counted by LF). ``may_state``: whether ``[source] encoding`` is a mend. ``swap``: LF
    and CR change places, for a file whose lines end in CR."""

    def __init__(
        self, raw: RawFile, charset: Charset, name: str, *, may_state: bool = True, swap: bool = False
    ) -> None:
        self._raw, self._charset, self._name, self._may_state, self._swap = raw, charset, name, may_state, swap
        self._decoder = codecs.getincrementaldecoder(charset.encoding)("strict")
        self._utf8 = _Utf8() if not charset.mark and not charset.encoding.startswith("utf") else None
        self._line = 1
        self._beyond = 0  # bytes beyond ASCII so far
        self._tail = b""
        if raw.read(len(charset.mark)) != charset.mark:
            raise InputChanged(f"{name}: it was rewritten while it was being read")

    def read(self, size: int) -> bytes:
        """The text of the next ``size`` bytes of the file or more; empty only at the end."""
        text = b""
        while not text:
            chunk = self._raw.read(size)
            text = self._decode(chunk)
            if self._utf8:
                self._utf8.look(chunk)
            if not chunk:
                break
        text = swapped(text) if self._swap else text
        self._check(text)
        return text

    def refuse_cut(self) -> None:
        """Raise InputRefused where what was read so far, as the whole file, ends in the middle of a character."""
        self._decode(b"")

    def _decode(self, chunk: bytes) -> bytes:
        is_utf8 = self._charset.encoding == "utf-8"
        if is_utf8:
            self._refuse_nul(chunk)
            if chunk.isascii() and chunk and not self._decoder.getstate()[0]:
                return chunk  # what most exports are is proved without decoding it
        try:
            decoded = self._decoder.decode(chunk, final=not chunk)
            text = chunk if is_utf8 else decoded.encode()
        except UnicodeError as error:
            raise self._undecodable(error, chunk) from error
        if not is_utf8:
            self._refuse_nul(text)
        if self._beyond < _PROOF:
            self._beyond += _beyond_ascii(text)
        return text

    def _undecodable(self, error: UnicodeError, chunk: bytes) -> InputRefused:
        before = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
        line = self._line + before.decode(self._charset.encoding, "replace").count("\n")
        if not chunk:
            return InputRefused(self._name, "ends in the middle of a character", line=line, hint="Is it cut off?")
        more, hint = "", 'Save it as UTF-8, or name what it is: [source] encoding = "…"'
        if not self._may_state:
            hint = 'Save it as "CSV UTF-8"'
        elif isinstance(error, UnicodeDecodeError):
            more, hint = self._reason(error, before) or (more, hint)
        return InputRefused(self._name, f"the text is not {self._charset.encoding}{more}", line=line, hint=hint)

    def _reason(self, error: UnicodeDecodeError, before: bytes) -> tuple[str, str] | None:
        """What the text may be instead, and the mend; None where that cannot be told."""
        if self._charset.encoding == "utf-8":
            if _HALVES.match(error.object, error.start):
                return ": it has a character in two halves (CESU-8)", "Export it anew as UTF-8"
            if self._beyond + _beyond_ascii(before) >= _PROOF:
                hint = "Mend this line, or export the file again: another encoding would spoil the other lines"
                return ", although what is above it is", hint
        if self._charset.encoding.startswith(("utf-16", "utf-32")):
            return "", "It is damaged, or has half a character in it: export it anew"
        likely = _likeliest(error.object)
        if not likely:
            return None
        found = error.object[error.start : error.start + 4]
        return (
            f": the byte 0x{found[0]:02X} would be {_shown(found, likely)} in {likely}",
            f'If that is right, set [source] encoding = "{likely}"; or save the file as UTF-8',
        )

    def _check(self, text: bytes) -> None:
        self._line += text.count(b"\n")
        if not text and self._utf8 and self._utf8.line:
            message = f"the text is UTF-8, but [source] encoding is {self._charset.encoding}"
            raise InputRefused(self._name, message, line=self._utf8.line, hint="Remove the setting")
        self._tail = (self._tail + text)[-3:]
        if not text and self._tail.rstrip(b"\r\n").endswith(b"\x1a"):
            raise InputRefused(
                self._name,
                "ends in a Ctrl-Z character (0x1A), the old end-of-file mark",
                line=self._line - self._tail[self._tail.rindex(b"\x1a") :].count(b"\n"),
                hint="Remove that last character",
            )

    def _refuse_nul(self, text: bytes) -> None:
        at = text.find(b"\0")
        if at < 0:
            return
        hint = "Is the file damaged, or not text?"
        for encoding, zeros in (("utf-16-le", text[1:2000:2]), ("utf-16-be", text[:2000:2])):
            if zeros.count(b"\0") * 2 > len(zeros):
                hint = f'It looks like UTF-16 without a byte order mark: set [source] encoding = "{encoding}"'
        line = self._line + text.count(b"\n", 0, at)
        raise InputRefused(self._name, "has a NUL character", line=line, hint=hint)


class _Utf8:
    """Looks on whether bytes are UTF-8 beyond ASCII, which other text hardly ever is: ``line`` is where that begins,
    0 where they are not."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._lines, self.line, self._sound = 1, 0, True

    def look(self, chunk: bytes) -> None:
        """Take in the next bytes, or the end."""
        if not self._sound:
            return
        try:
            self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError:
            self._sound, self.line = False, 0
            return
        if not self.line and (beyond := _BEYOND_ASCII.search(chunk)):
            self.line = self._lines + chunk.count(b"\n", 0, beyond.start())
        self._lines += chunk.count(b"\n")


def _likeliest(chunk: bytes) -> str:
    """The encoding that a text which is not UTF-8 is most likely in, by its whole lines; empty where none is."""
    lines = chunk.splitlines()
    beyond = [line for line in (lines[:-1] if len(lines) > 2 else lines) if not line.isascii()]
    return likeliest_encoding(b"\n".join(beyond[:_SAMPLE] or lines[-1:]))


def _decoded(text: bytes, encoding: str) -> str | None:
    try:
        return text.decode(encoding)
    except UnicodeDecodeError:
        return None


def _shown(found: bytes, encoding: str) -> str:
    """The character that the first of the bytes is, or that it begins."""
    for count in range(1, len(found) + 1):
        character = _decoded(found[:count], encoding)
        if character and character.isprintable():
            return f"“{character}”" if count == 1 else f"the beginning of “{character}”"
    return "part of a character"
