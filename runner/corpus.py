"""A corpus cut into shards: the unit of work, of part files, of resuming and of distribution.

A shard is a run of whole lines of one input, and its boundaries depend on the lines alone: the same text as a plain
file, compressed, from standard input or with Windows line ends is cut at the same places. A shard names what it is cut
from, so that any process can read it for itself; only a shard of a stream, which can't be read again, holds its lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from zsre.relations.errors import DataError, UsageError
from zsre.runner.inputs import Kind, Segment
from zsre.runner.lines import MAX_LINE_BYTES, LineStream, RawLine
from zsre.runner.parquet_input import row_runs
from zsre.runner.reading import open_lines
from zsre.runner.store_names import readable

#: A shard ends early once its lines hold this much, so that what is held of it stays bounded.
SHARD_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class CutSettings:
    """How a corpus becomes lines and shards; ``limit`` stops after that many records (lines that aren't blank)."""

    shard_lines: int = 5000
    max_line_bytes: int = MAX_LINE_BYTES
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
class Place:
    """Where a shard stands: ``lines`` lines, or rows, of a segment; ``records`` of them aren't blank.

    ``start`` and ``end`` are its bytes in a file that can be entered anywhere, and in a stream they count from its
    beginning, once it is decompressed.
    """

    segment: int
    first_line: int
    lines: int
    records: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive lines of one input; ``held`` are those of a stream, which can't be read again."""

    index: int
    file: str
    kind: Kind
    place: Place
    max_line_bytes: int
    id_prefix: str = ""
    held: tuple[RawLine, ...] = ()


def cut(
    segments: Sequence[Segment],
    settings: CutSettings,
    done: Mapping[int, Place] | None = None,
    fields: Sequence[str] | None = None,
) -> Iterator[Shard]:
    """Cut inputs into shards, one after the other; those that are ``done`` are passed over, not yielded.

    ``fields`` are those that are read, by default all: what is in others makes no shard shorter, if they are columns.
    Raises DataError for what can't be read, and for shards that are done but don't lie where the cut would put them.
    """
    return _Cutter(segments, settings, done or {}, fields).shards()


class _Cutter:
    def __init__(
        self,
        segments: Sequence[Segment],
        settings: CutSettings,
        done: Mapping[int, Place],
        fields: Sequence[str] | None,
    ) -> None:
        self._segments, self._settings, self._done, self._fields = segments, settings, done, fields
        self._index = 0
        self._left = settings.limit

    def shards(self) -> Iterator[Shard]:
        for number, segment in enumerate(self._segments):
            if self._left == 0:
                return
            yield from self._rows(number, segment) if segment.kind == Kind.PARQUET else self._lines(number, segment)

    def _lines(self, number: int, segment: Segment) -> Iterator[Shard]:
        with closing(open_lines(segment, self._settings.max_line_bytes)) as opened:
            lines = opened.lines
            while self._left != 0:
                place = self._passed(number, lines.number)
                if place is not None:
                    if segment.kind == Kind.PLAIN:
                        lines.seek(place.end, place.first_line + place.lines)
                    else:
                        lines.skip(place.lines)
                    continue
                start = lines.position
                group, broken = self._group(lines)
                if group:
                    records = sum(not line.blank for line in group)
                    place = Place(number, group[0].number, len(group), records, start, lines.position)
                    yield self._shard(segment, place, tuple(group) if segment.kind == Kind.STREAM else ())
                if broken is not None:
                    raise broken
                if not group:
                    return

    def _rows(self, number: int, segment: Segment) -> Iterator[Shard]:
        """Cut a Parquet file at its row groups, as far as they are neither too large nor too small."""
        assert segment.size is not None
        position = 0
        for first, count, share in self._runs(segment.name):
            if self._left == 0:
                return
            end = round(segment.size * share)
            if self._passed(number, first + 1) is None:
                rows = count if self._left is None else min(count, self._left)
                yield self._shard(segment, Place(number, first + 1, rows, rows, position, end), ())
            position = end

    def _runs(self, name: str) -> Iterator[tuple[int, int, float]]:
        return row_runs(name, self._settings.shard_lines, SHARD_BYTES, self._fields)

    def _group(self, lines: LineStream) -> tuple[list[RawLine], DataError | None]:
        """Return the lines of a shard, and what broke off after them: they are still worth having."""
        group: list[RawLine] = []
        held, left = 0, self._left
        try:
            while left != 0 and len(group) < self._settings.shard_lines and held < SHARD_BYTES:
                line = next(lines, None)
                if line is None:
                    break
                group.append(line)
                held += len(line.data)
                if left is not None:
                    left -= not line.blank
        except DataError as error:
            return group, error
        return group, None

    def _passed(self, number: int, first_line: int) -> Place | None:
        """Return the next shard's place if it is done, and pass over it."""
        place = self._done.get(self._index)
        if place is None:
            return None
        if place.segment > number:
            # It begins another input, so this one must be at its end, as the next read will show.
            return None
        self._check_unmoved(place, number, first_line)
        self._count(place)
        return place

    def _shard(self, segment: Segment, place: Place, held: tuple[RawLine, ...]) -> Shard:
        index = self._index
        if index in self._done:
            self._check_unmoved(self._done[index], place.segment, place.first_line)
        self._count(place)
        return Shard(index, segment.name, segment.kind, place, self._settings.max_line_bytes, segment.id_prefix, held)

    def _check_unmoved(self, done: Place, number: int, first_line: int) -> None:
        if (done.segment, done.first_line) != (number, first_line):
            raise DataError(
                f"{readable(self._segments[number].name)}: part {self._index} of the run so far begins at line "
                f"{done.first_line:,} of input {done.segment + 1}, and would now at line {first_line:,} of input "
                f"{number + 1}; start anew with --overwrite"
            )

    def _count(self, place: Place) -> None:
        self._index += 1
        if self._left is not None:
            self._left -= place.records
