"""Lines of a stream of bytes, of which none is held beyond a limit."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from zsre.relations.errors import DataError

#: Lines that are longer are rejected, unless a flag says otherwise.
MAX_LINE_BYTES: Final = 2**20
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: What no single record holds: the end of one and the beginning of another with a carriage return between.
_BARE_RETURN: Final = re.compile(rb"\}[ \t]*\r[ \t\r]*\{")
#: What is kept of a line that is too long: enough to show its beginning.
LINE_HEAD_BYTES: Final = 1000
_WHOLE: Final = "put a whole copy of it in its place"
_SKIP_BYTES: Final = 2**16


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line without its line end, numbered from 1; ``size`` is its length in the input, line end included.

    Of a line that is ``too_long`` only the beginning is held. ``bare_returns`` tells whether one that is too long
    reads like many, whose ends are carriage returns without line feeds. ``length`` is that of a row of a table that is
    too long, once it is a line.
    """

    number: int
    data: bytes
    size: int
    too_long: bool = False
    bare_returns: bool = False
    length: int | None = None

    @property
    def blank(self) -> bool:
        """Tell whether nothing but white space stands on the line."""
        return not self.too_long and not self.data.removeprefix(BYTE_ORDER_MARK).strip()


class LineStream:
    """The lines of a stream, one after the other, never more of one held than ``max_line_bytes``.

    ``number`` and ``position`` are those of the line that comes next; nothing is read from position ``end`` on.

    Raises DataError where the stream breaks off, as a gzip file does that was cut short.
    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        max_line_bytes: int,
        number: int = 1,
        position: int = 0,
        end: int | None = None,
    ) -> None:
        self._stream, self._name, self._most = stream, name, max_line_bytes
        self.number, self.position, self.end = number, position, end

    def __iter__(self) -> Iterator[RawLine]:
        return self

    def __next__(self) -> RawLine:
        try:
            line = self._read()
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self._name}: cannot be read beyond line {self.number - 1}: {error}; {_WHOLE}") from error
        if line is None:
            raise StopIteration
        self.number += 1
        self.position += line.size
        return line

    def seek(self, position: int, number: int) -> None:
        """Go to the line of that number, which begins at that position; the stream must be one that can."""
        self._stream.seek(position)
        self.position, self.number = position, number

    def skip(self, count: int) -> None:
        """Read over so many lines, or to the end."""
        for _ in zip(range(count), self, strict=False):
            pass

    def _read(self) -> RawLine | None:
        limit = self._most + 2
        raw = self._read_up_to(limit, 0)
        size = len(raw)
        if not raw.endswith(b"\n"):
            chunk = raw if size == limit else b""
            while chunk and not chunk.endswith(b"\n"):
                chunk = self._read_up_to(_SKIP_BYTES, size)
                size += len(chunk)
            if self.end is not None and self.position + size < self.end and not chunk:
                raise EOFError("the file changed while it was being read")
        if not raw:
            return None
        data = raw.removesuffix(b"\n").removesuffix(b"\r")
        if len(data) > self._most:
            head = data[:LINE_HEAD_BYTES]
            return RawLine(self.number, head, size, too_long=True, bare_returns=has_bare_returns(data))
        return RawLine(self.number, data, size)

    def _read_up_to(self, most: int, read: int) -> bytes:
        room = most if self.end is None else min(most, self.end - self.position - read)
        return self._stream.readline(room) if room > 0 else b""


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
