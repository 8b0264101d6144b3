"""Opening inputs as lines, and reading the lines of shards, in whatever process that is."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import pyarrow as pa

from zsre.relations.errors import DataError
from zsre.runner.inputs import STANDARD_INPUT_NAME, Kind, Segment, kind_of
from zsre.runner.lines import LineStream, RawLine
from zsre.runner.parquet_input import RowStream
from zsre.runner.storage import open_input
from zsre.runner.store_names import readable

if TYPE_CHECKING:
    from zsre.runner.corpus import Shard

#: What is lost of a compressed file before the place where it breaks off.
_BUFFER_BYTES: Final = 2**14


@dataclass(slots=True)
class OpenLines:
    """The lines of an input that is open."""

    lines: LineStream
    _raw: BinaryIO
    _opened: ExitStack

    def raw_position(self) -> int:
        """Return how far the file has been read, in its own bytes, compressed or not."""
        return self._raw.tell()

    def close(self) -> None:
        """Close what was opened for it."""
        # What is decompressed complains on its way out of what it already complained about.
        with suppress(OSError, pa.ArrowException):
            self._opened.close()


def open_lines(segment: Segment, max_line_bytes: int) -> OpenLines:
    """Open an input, where its segment begins; raise DataError if that can't be done."""
    opened, shown = ExitStack(), readable(segment.name)
    try:
        stream = sys.stdin.buffer if segment.name == STANDARD_INPUT_NAME else open_input(segment.name)
        if segment.name != STANDARD_INPUT_NAME:
            opened.enter_context(stream)
        raw = stream
        kind = segment.kind
        if kind == Kind.STREAM:
            peek = getattr(stream, "peek", None)
            kind = Kind.PLAIN if peek is None else kind_of(peek(4)[:4])
        if kind == Kind.PARQUET:
            raise DataError(f"{shown}: Parquet cannot be read as a stream; give it as a file")
        if segment.start:
            stream.seek(segment.start)
        if kind != Kind.PLAIN:
            stream = opened.enter_context(_decompressed(stream, kind))
    except OSError as error:
        opened.close()
        raise DataError(f"{shown}: {error.strerror or error}; check its name and permissions") from error
    end = segment.size if segment.kind == Kind.PLAIN else None
    lines = LineStream(stream, shown, max_line_bytes, segment.first_line, segment.start, end)
    return OpenLines(lines, raw, opened)


class ShardReader:
    """Reads the lines of shards; a file is gone through just once if its shards come in their order.

    Of a file that has columns, those are read that ``fields`` name.
    """

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self._fields = fields
        self._open: OpenLines | None = None
        self._file = ""
        self._rows: RowStream | None = None

    def lines(self, shard: Shard) -> Iterator[RawLine]:
        """Yield a shard's lines; raise DataError if the file is no longer what it was when it was cut."""
        if shard.kind == Kind.STREAM:
            return iter(shard.held)
        if shard.kind == Kind.PARQUET:
            return self._rows_at(shard).take(shard.place.lines)
        return self._read(shard)

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            self._open.close()
            self._open = None
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def _rows_at(self, shard: Shard) -> RowStream:
        """Return the rows of the shard's file, where the shard begins."""
        first = shard.place.first_line
        if self._rows is None or self._rows.name != shard.file or not self._rows.seek(first):
            self.close()
            self._rows = RowStream(shard.file, first, shard.max_line_bytes, self._fields)
        return self._rows

    def _read(self, shard: Shard) -> Iterator[RawLine]:
        place, lines = shard.place, self._at(shard)
        yield from islice(lines, place.lines)
        if lines.position != place.end or lines.number != place.first_line + place.lines:
            raise DataError(
                f"{readable(shard.file)}: the file changed while it was being read; start again with a still copy"
            )

    def _at(self, shard: Shard) -> LineStream:
        """Return the lines of the shard's file, where the shard begins."""
        place = shard.place
        if self._open is None or self._file != shard.file or self._open.lines.number > place.first_line:
            self.close()
            self._open = open_lines(Segment(shard.file, shard.kind, None, ""), shard.max_line_bytes)
            self._file = shard.file
        lines = self._open.lines
        if shard.kind == Kind.PLAIN:
            lines.seek(place.start, place.first_line)
            lines.end = place.end
        else:
            lines.skip(place.first_line - lines.number)
        return lines


def _decompressed(stream: BinaryIO, kind: Kind) -> BinaryIO:
    if kind == Kind.GZIP:
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    raw = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")
    return io.BufferedReader(cast(io.RawIOBase, raw), _BUFFER_BYTES)
