"""A corpus as raw lines, cut into shards: the unit of work, of part files and of distribution.

A shard is a run of whole lines, and its boundaries depend on the lines alone: the same text as a plain file,
gzip, standard input or with Windows line ends is cut at the same places. A shard of a plain file is a
byte range that any process can read for itself; a shard of a stream carries its lines.
"""

from __future__ import annotations

import codecs
import gzip
import re
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, cast

from zsre.relations.errors import DataError, UsageError

STANDARD_INPUT: Final = "-"
GZIP_MAGIC: Final = b"\x1f\x8b"
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: What no single record holds: the end of one and the beginning of another with a carriage return between.
_BARE_RETURN: Final = re.compile(rb"\}[ \t]*\r[ \t\r]*\{")
#: A shard ends early once its lines hold this much, so that what is held of a stream stays bounded.
SHARD_BYTES: Final = 16 * 2**20
#: What is kept of a line that is too long: enough to show its beginning.
_LINE_HEAD_BYTES: Final = 1000
_SKIP_BYTES: Final = 2**16


@dataclass(frozen=True, slots=True)
class CutSettings:
    """How a corpus becomes lines and shards; ``limit`` stops after that many records (lines that aren't blank)."""

    shard_lines: int = 5000
    max_line_bytes: int = 2**20
    limit: int | None = None

    def __post_init__(self) -> None:
        for flag, value in (
            ("--shard-lines", self.shard_lines),
            ("--max-line-bytes", self.max_line_bytes),
            ("--limit", self.limit),
        ):
            if value is not None and value < 1:
                raise UsageError(f"{flag} {value}: must be at least 1")


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line without its line end, numbered from 1; ``size`` is its length in the input, line end included.

    Of a line that is ``too_long`` only the beginning is held. ``bare_returns`` tells whether one that is too long
    reads like many, whose ends are carriage returns without line feeds.
    """

    number: int
    data: bytes
    size: int
    too_long: bool = False
    bare_returns: bool = False

    @property
    def blank(self) -> bool:
        """Tell whether nothing but white space stands on the line."""
        return not self.too_long and not self.data.removeprefix(BYTE_ORDER_MARK).strip()


@dataclass(frozen=True, slots=True)
class FileRange:
    """The bytes of a plain file from ``start`` up to ``end``, both at line ends."""

    path: Path
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive lines of one input: ``line_count`` of them from ``first_line`` on, as a byte range or held."""

    index: int
    file: str
    first_line: int
    line_count: int
    max_line_bytes: int
    source: FileRange | tuple[RawLine, ...]

    def lines(self) -> Iterator[RawLine]:
        """Yield the shard's lines; raise DataError if the file is no longer what it was when it was cut."""
        if not isinstance(self.source, FileRange):
            yield from self.source
            return
        position, count = self.source.start, 0
        with _open_file(self.source.path) as stream:
            stream.seek(position)
            for line in islice(read_lines(stream, self.file, self.max_line_bytes, self.first_line), self.line_count):
                position, count = position + line.size, count + 1
                yield line
        if position != self.source.end or count != self.line_count:
            raise DataError(f"{self.file}: the file changed while it was being read; start again with a still copy")


@dataclass(frozen=True, slots=True)
class Corpus:
    """An input that is known to be readable; ``path`` is ``None`` for standard input."""

    name: str
    path: Path | None
    plain: bool

    @property
    def size(self) -> int | None:
        """Return the number of bytes to read, or ``None`` where that isn't known beforehand."""
        return self.path.stat().st_size if self.plain and self.path is not None else None

    def shards(self, settings: CutSettings) -> Iterator[Shard]:
        """Cut the input into shards, one after the other, holding the lines of one at a time."""
        with self._open() as stream:
            lines = read_lines(stream, self.name, settings.max_line_bytes)
            start = 0
            for index, group in enumerate(_groups(_limited(lines, settings.limit), settings.shard_lines)):
                end = start + sum(line.size for line in group)
                source: FileRange | tuple[RawLine, ...] = tuple(group)
                if self.plain and self.path is not None:
                    source = FileRange(self.path, start, end)
                yield Shard(index, self.name, group[0].number, len(group), settings.max_line_bytes, source)
                start = end

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        if self.path is None:
            yield _unzipped(sys.stdin.buffer)
            return
        with _open_file(self.path) as stream:
            yield stream if self.plain else _unzipped(stream)


def open_corpus(given: str) -> Corpus:
    """Look at an input, a path or ``-`` for standard input; raise DataError if it can't be read."""
    if given == STANDARD_INPUT:
        return Corpus("standard input", None, plain=False)
    path = Path(given)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise DataError(f"{given}: {error.strerror}; give a JSONL file, or - for standard input") from error
    if stat.S_ISDIR(mode):
        raise DataError(f"{given}: is a directory; give a JSONL file, or - for standard input")
    if not stat.S_ISREG(mode):
        return Corpus(given, path, plain=False)
    with _open_file(path) as stream:
        return Corpus(given, path, plain=stream.read(2) != GZIP_MAGIC)


def read_lines(stream: BinaryIO, name: str, max_line_bytes: int, first: int = 1) -> Iterator[RawLine]:
    """Yield the lines of a stream, never holding more of one than ``max_line_bytes``.

    Raises DataError where the stream breaks off, as a gzip file does that was cut short.
    """
    number = first
    while True:
        try:
            line = _read_line(stream, number, max_line_bytes)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{name}: cannot be read beyond line {number - 1}: {error}") from error
        if line is None:
            return
        yield line
        number += 1


def has_bare_returns(data: bytes) -> bool:
    """Tell whether a line reads like many, whose ends are carriage returns without line feeds."""
    return _BARE_RETURN.search(data) is not None


def looks_like_utf16(data: bytes) -> bool:
    """Tell whether bytes that are no UTF-8 JSON are a line of UTF-16, as cut at the bytes of its line feeds."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    # Where the second byte of a line feed is zero, it is left over once the last line has been cut.
    leftover = len(data) < 4 and not data.strip(b"\0\r")
    # A quotation mark has a zero byte on either side: its own, and that of the ASCII character next to it.
    return leftover or b'\0"\0' in data


def _read_line(stream: BinaryIO, number: int, max_line_bytes: int) -> RawLine | None:
    raw = stream.readline(max_line_bytes + 2)
    if not raw:
        return None
    size = len(raw)
    if not raw.endswith(b"\n"):
        chunk = raw if size == max_line_bytes + 2 else b""
        while chunk and not chunk.endswith(b"\n"):
            chunk = stream.readline(_SKIP_BYTES)
            size += len(chunk)
    data = raw.removesuffix(b"\n").removesuffix(b"\r")
    if len(data) > max_line_bytes:
        return RawLine(number, data[:_LINE_HEAD_BYTES], size, too_long=True, bare_returns=has_bare_returns(data))
    return RawLine(number, data, size)


def _limited(lines: Iterable[RawLine], limit: int | None) -> Iterator[RawLine]:
    records = 0
    for line in lines:
        yield line
        records += not line.blank
        if records == limit:
            return


def _groups(lines: Iterable[RawLine], shard_lines: int) -> Iterator[list[RawLine]]:
    group: list[RawLine] = []
    held = 0
    try:
        for line in lines:
            group.append(line)
            held += len(line.data)
            if len(group) == shard_lines or held >= SHARD_BYTES:
                yield group
                group, held = [], 0
    except DataError:
        # What came before the place where a stream breaks off is still worth having.
        if group:
            yield group
        raise
    if group:
        yield group


def _open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; check its name and permissions") from error


def _unzipped(stream: BinaryIO) -> BinaryIO:
    peek = getattr(stream, "peek", None)
    compressed = peek is not None and peek(2)[:2] == GZIP_MAGIC
    return cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if compressed else stream
