"""A CSV file as batches of text, checked record by record before polars parses them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from batchpost.batch import Batch, BatchDigest, Decision, Dialect, Fingerprint, InputFile, Place, blank_nulls, with_last
from batchpost.charset import Charset, TextStream, find_charset, swapped
from batchpost.csvdialect import Header, as_mended, read_header
from batchpost.csvgrammar import Block, Blocks, Grammar, Limits
from batchpost.errors import InputChanged, InputRefused
from batchpost.guards import unguard_text, unguarded
from batchpost.job import Source
from batchpost.rawfile import RawFile, refuse_foreign

__all__ = ["CsvFile"]

SWAP = str.maketrans("\r\n", "\n\r")
HEAD_BYTES = 1 << 20  # the header and the records that show the delimiter must be in it
LINE_END = re.compile(rb"\r\n?|\n")
QUOTED = re.compile(rb'"[^"]*+"')
LINE_ENDS = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}


@dataclass(frozen=True, slots=True)
class _Layout:
    """What is settled about a file before its rows are read. ``begin`` is the offset of the first row where the file's
    bytes are its text, else None."""

    charset: Charset
    settings: Source
    header: Header | None  # None for a file of 0 bytes
    is_to_fix: bool
    swap: bool  # lines end in CR
    decisions: tuple[Decision, ...]
    begin: int | None


class CsvFile:
    """One CSV file, read again and again in the same batches; construction reads the header.

    ``[source] encoding, delimiter, quote, header_row, skip_rows`` are not heeded for a ``to_fix.csv`` (``is_to_fix``),
    whose guarded cells come back as they were. Raises InputRefused for whatever cannot be read soundly.
    """

    def __init__(self, file: InputFile, settings: Source, limits: Limits | None = None) -> None:
        self._file, self._limits = file, limits or Limits()
        self._layout = _layout(file, settings)
        header = self._layout.header
        self.columns: tuple[str, ...] = header.columns if header else ()
        self.dialect: Dialect | None = header.dialect if header else None
        self.is_to_fix = self._layout.is_to_fix
        self.decisions = self._layout.decisions
        self.unsupported_columns: dict[str, str] = {}
        self.fingerprint: Fingerprint | None = None
        if not header:
            self._refuse_empty("is empty")

    def _refuse_empty(self, message: str) -> None:
        if self._layout.settings.empty != "ok":
            hint = 'If that may happen: [source] empty = "ok"'
            raise InputRefused(self._file.name, message, hint=hint)

    def batches(self, index: int = 0) -> Iterator[Batch]:
        """The file's batches in order. Raises InputRefused at the first unsound record or character, InputChanged
        where the header is no longer what it was; a complete pass leaves :attr:`fingerprint`."""
        rows, begin = 0, self._layout.begin
        with RawFile(self._file) as raw:
            for block, last in with_last(self._blocks(raw)):
                place = None if begin is None else Place(begin, len(block.text), block.line, rows + 1, last)
                yield self._batch(block, index, rows + 1, last, place)
                rows += block.rows
                begin = None if begin is None else begin + len(block.text)
            if not rows and self._layout.header:
                self._refuse_empty("has a header and no rows")
            self.fingerprint = Fingerprint(self._file.name, raw.sha256, raw.size, rows)

    def batches_at(self, places: Sequence[Place], index: int = 0) -> Iterator[Batch]:
        """The batches at these places of the file, as :meth:`batches` gave them. Raises InputChanged where the header
        is no longer what it was, InputRefused for an unsound record and for a last batch that more comes after."""
        header, mark = self._layout.header, self._layout.charset.mark
        assert header  # noqa: S101 - there are no places without a header
        with RawFile(self._file) as raw:
            top = mark + header.preamble
            if raw.read_at(0, len(top)) != top:
                raise self._other_header()
            for place in places:
                text = raw.read_at(place.offset, place.size + place.last)
                if len(text) > place.size:
                    raise InputRefused(self._file.name, "goes on after what was its last row")
                if place.last and not text.endswith(b"\n"):
                    text += b"\n"
                blocks = iter(self._cut(lambda _: b"", text, place.line))
                yield self._batch(next(blocks, Block(place.line)), index, place.first_row, place.last, place)

    def _blocks(self, raw: RawFile) -> Iterator[Block]:
        header = self._layout.header
        stream = _stream(raw, self._layout.charset, self._file, self.is_to_fix, self._layout.swap)
        text, preamble = b"", header.preamble if header else b""
        while len(text) < len(preamble) and (more := stream.read(self._limits.block_bytes)):
            text += more
        whole = text if len(text) >= len(preamble) else text + b"\n"  # the header may be all there is
        if not whole.startswith(preamble) or (not header and stream.read(1)):
            raise self._other_header()
        if header:
            yield from self._cut(stream.read, whole[len(preamble) :], header.line)

    def _other_header(self) -> InputChanged:
        return InputChanged(f"{self._file.name}: its header changed while it was being read")

    def _cut(self, read: Callable[[int], bytes], text: bytes, line: int) -> Blocks:
        assert self.dialect  # noqa: S101 - there are no rows without a header
        return Blocks(
            read,
            Grammar(self.dialect.delimiter.encode(), self.dialect.quote.encode(), swapped=self._layout.swap),
            len(self.columns),
            name=self._file.name,
            text=text,
            line=line,
            ragged=self._layout.settings.ragged == "reject",
            limits=self._limits,
        )

    def _batch(self, block: Block, index: int, first_row: int, last: bool, place: Place | None) -> Batch:
        digest = BatchDigest(self.columns, last)
        digest.update(block.text)
        ragged = tuple(row for row, _, _ in block.ragged)
        return Batch(index, first_row, self._parse(block), _lines(block), ragged, digest.value(), last, place)

    def _parse(self, block: Block) -> pl.DataFrame:
        """The block's cells. Its grammar is proved by now, so that polars can neither guess nor forgive anything."""
        assert self.dialect  # noqa: S101 - there are no blocks without a header
        delimiter = self.dialect.delimiter
        # polars takes the width from the first record and drops a byte order mark there: both must not be the data's.
        first = delimiter * (len(self.columns) - 1) + "\n"
        try:
            frame = pl.read_csv(
                first.encode() + _without_ragged(block),
                has_header=False,
                schema=dict.fromkeys(self.columns, pl.String),
                separator=delimiter,
                quote_char=self.dialect.quote or None,
                empty_string_is_null=False,
                infer_schema=False,
            ).slice(1)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise self._disagreement(block) from error
        if frame.height != block.rows:
            raise self._disagreement(block)
        if self._layout.swap and (block.folds or b"\r" in block.text):
            frame = frame.with_columns(pl.all().str.replace_many(["\n", "\r"], ["\r", "\n"]))
        if self.is_to_fix:
            frame = frame.with_columns(unguard_text(pl.all()))
        return blank_nulls(frame, self._layout.settings.null_values)

    def _disagreement(self, block: Block) -> InputRefused:
        message = f"the {block.rows:,} rows from here on are read differently by polars"
        return InputRefused(self._file.name, message, line=block.line, hint="Please report this file")


def _layout(file: InputFile, settings: Source) -> _Layout:
    with RawFile(file) as raw:
        head, packing = raw.read(HEAD_BYTES), raw.compression
    refuse_foreign(head, file.name)
    mark = find_charset(head, None, file.name)  # our own files, and what spreadsheets make of them, need no setting
    mended = as_mended(_lenient(head, mark), settings)
    settings = mended or settings
    charset = mark if mended else find_charset(head, settings.encoding, file.name)
    with RawFile(file) as raw:
        stream = _stream(raw, charset, file, bool(mended), swap=False)
        text = stream.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            stream.refuse_cut()
    if swap := _ends_in_cr(text):
        text = swapped(text)
    if text and len(head) < HEAD_BYTES and not text.endswith(b"\n"):
        text += b"\n"
    header = read_header(text, file, charset, settings) if text else None
    decisions = [*_of_bytes(file, packing, charset, settings)]
    if header:
        names = unguarded(header.columns) if mended else header.columns
        names = tuple(name.translate(SWAP) for name in names) if swap else names
        newline = "\r" if swap else header.dialect.newline
        header = replace(header, columns=names, dialect=replace(header.dialect, newline=newline))
        decisions += [*header.decisions, Decision("", f"lines end in {LINE_ENDS[newline]}", "as the header's does")]
    begin = None
    if header and not (packing or swap) and charset.encoding == "utf-8":
        begin = len(charset.mark) + len(header.preamble)
    return _Layout(charset, settings, header, bool(mended), swap, tuple(decisions), begin)


def _stream(raw: RawFile, charset: Charset, file: InputFile, is_to_fix: bool, swap: bool) -> TextStream:
    return TextStream(raw, charset, file.name, may_state=not is_to_fix, swap=swap)


def _ends_in_cr(text: bytes) -> bool:
    """Whether lines end in CR alone, as on old Macintoshes and in what Excel calls CSV (Macintosh). Quoted cells may
    have line feeds in them; should this be wrong, the first line end outside of them is a fault."""
    bare = QUOTED.sub(b"", text)
    first = LINE_END.search(bare)
    return first is not None and first[0] == b"\r" and bare.count(b"\r") - bare.count(b"\r\n") > bare.count(b"\n")


def _of_bytes(file: InputFile, packing: str, charset: Charset, settings: Source) -> Iterator[Decision]:
    if packing or file.compression:
        named = "" if packing == file.compression else ", although its name says otherwise"
        yield Decision("", packing or "not packed", f"its first bytes{named}")
    if charset.mark:
        yield Decision("encoding", charset.encoding, "its byte order mark")
    else:
        stated = "as the job says" if settings.encoding else "each byte is checked as it is read"
        yield Decision("encoding", charset.encoding, stated)


def _lenient(head: bytes, charset: Charset) -> bytes:
    text = head[len(charset.mark) :].decode(charset.encoding, "replace").encode()
    return swapped(text) if _ends_in_cr(text) else text


def _without_ragged(block: Block) -> bytes:
    """The block's text with a blank line in place of each ragged record."""
    if not block.ragged:
        return block.text
    parts, at = [], 0
    for _, start, end in block.ragged:
        parts += [block.text[at:start], b"\n"]
        at = end
    return b"".join((*parts, block.text[at:]))


def _lines(block: Block) -> pl.Series:
    """The line on which each row of the block starts."""
    lines = pl.int_range(block.line, block.line + block.rows, dtype=pl.UInt64, eager=True)
    if not block.folds:
        return lines.alias("line")
    further = pl.repeat(0, block.rows + 1, dtype=pl.UInt64, eager=True)
    rows, extra = zip(*block.folds, strict=True)
    further = further.scatter([row + 1 for row in rows], list(extra))  # what lies below a folded row moves down
    return (lines + further.cum_sum().head(block.rows)).alias("line")
