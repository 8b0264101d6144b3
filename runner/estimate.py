"""What a run would come to, from a sample of its input: nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final

import numpy as np
import pyarrow as pa

from zsre.relations.errors import NothingExtractedError
from zsre.runner.corpus import Place, Shard
from zsre.runner.counts import Counts
from zsre.runner.ending import EMPTY
from zsre.runner.inputs import Kind, Segment
from zsre.runner.job import Job
from zsre.runner.kept_tables import vector_bytes
from zsre.runner.lines import LineStream, RawLine
from zsre.runner.output import parquet_bytes
from zsre.runner.parquet_input import read_rows, row_count
from zsre.runner.plan import Plan
from zsre.runner.reading import open_lines
from zsre.runner.stages import process_shards

#: Places of the input that are looked at, and the records that are read at each.
SPOTS: Final = 8
SPOT_LINES: Final = 32
#: How far a compressed file is read to see how much a line takes.
_COMPRESSED_LINES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Sample:
    """What a few records came to, and how many times as much the whole input holds."""

    counts: Counts
    seconds: float
    part_bytes: int
    scale: float
    vector_bytes: int
    device: str


@dataclass(frozen=True, slots=True)
class _Probe:
    """Lines at some place of the input, which are ``size`` bytes of it; a file that is empty has none."""

    segment: Segment
    lines: tuple[RawLine, ...]
    size: float


def sample(plan: Plan, job: Job, precision: str) -> Sample:
    """Run some records from all over the input, which is no stream, through the whole pipeline, and time that.

    Raises NothingExtractedError for an input without lines.
    """
    looked_at = list(_probes(plan, job.records.fields))
    probes = [probe for probe in looked_at if probe.lines]
    if not probes:
        raise NothingExtractedError(f"{plan.corpus}: {EMPTY}")
    read = max(1, sum(probe.size for probe in looked_at))
    counts, tables = Counts(), []
    started = time.monotonic()
    with closing(process_shards(map(_shard, range(len(probes)), probes), job)) as results:
        for result in results:
            counts.add(result.counts)
            tables.append(result.table)
    seconds = time.monotonic() - started
    records = counts.lines - counts.blank_lines
    scale = max(1.0, sum(segment.size or 0 for segment in plan.segments) / read)
    if plan.cut.limit is not None and records:
        scale = min(scale, plan.cut.limit / records)
    vectors = _kept_vectors(counts, job) * vector_bytes(job.engine.contract.dimension, precision) if plan.kept else 0
    part = len(parquet_bytes(pa.concat_tables(tables)))
    return Sample(counts, seconds, part, scale, vectors, job.engine.device)


def _kept_vectors(counts: Counts, job: Job) -> int:
    """Return how many vectors would be kept: of mentions, and of pairs that are encoded, allowed or not."""
    return counts.mentions + counts.scored_pairs + (counts.unfitting_pairs if job.all_types else 0)


def estimate_lines(taken: Sample, plan: Plan) -> Iterator[str]:
    """Yield what a run would come to, for a person."""
    counts, scale = taken.counts, taken.scale
    what = ("documents", "sentences", "pairs", "scored_pairs", "triples", "rejected")
    about = {name: _rounded(getattr(counts, name) * scale) for name in what}
    yield f"{plan.corpus}: estimated from {counts.documents:,} documents, read in {taken.seconds:.1f} s"
    for name in what:
        yield f"  {name.replace('_', ' '):<13}{about[name]:>15,}"
    yield f"  {'time':<13}{_duration(taken.seconds * scale):>15} on {taken.device}"
    yield f"  {'triples take':<13}{_bytes(taken.part_bytes * scale):>15}"
    if taken.vector_bytes:
        yield f"  {'vectors take':<13}{_bytes(taken.vector_bytes * scale):>15}"
    yield "nothing was written"


def _probes(plan: Plan, fields: tuple[str, ...]) -> Iterator[_Probe]:
    """Yield lines from places that are evenly spread over the bytes of all inputs.

    From each, reading goes on up to the next, through one file after the other, until there are lines enough.
    """
    ends = np.cumsum([segment.size or 0 for segment in plan.segments])
    spots = [int(ends[-1]) * spot // SPOTS for spot in range(SPOTS + 1)]
    compressed: set[int] = set()
    for position, beyond in pairwise(spots):
        wanted = SPOT_LINES
        for number in range(int(np.searchsorted(ends, position, side="right")), len(ends)):
            segment, end = plan.segments[number], int(ends[number])
            assert segment.size is not None
            start = end - segment.size
            if start >= beyond or wanted <= 0:
                break
            if not segment.size or number in compressed:
                continue
            if segment.kind in (Kind.PLAIN, Kind.PARQUET):
                within = range(max(position - start, 0), min(beyond - start, segment.size))
                probe = _probe(segment, within, wanted, plan.cut.max_line_bytes, fields)
            else:
                compressed.add(number)
                # It is entered at its beginning alone, also for the places that lie further on in it.
                later = sum(beyond <= spot < end for spot in spots[:-1])
                probe = _compressed_probe(segment, wanted + later * SPOT_LINES, plan.cut.max_line_bytes)
            wanted -= len(probe.lines)
            yield probe


def _probe(segment: Segment, within: range, most: int, max_line_bytes: int, fields: tuple[str, ...]) -> _Probe:
    """Read lines that begin within those bytes, so that no line is read for two places."""
    assert segment.size is not None
    if segment.kind == Kind.PARQUET:
        rows = row_count(segment.name)
        first, beyond = (-(-rows * place // segment.size) for place in (within.start, within.stop))
        some = min(most, beyond - first)
        lines = tuple(read_rows(segment.name, first + 1, some, max_line_bytes, fields)) if some else ()
        return _Probe(segment, lines, segment.size * len(lines) / rows if rows else len(within))
    with closing(open_lines(segment, max_line_bytes)) as opened:
        lines_of = opened.lines
        if within.start:
            lines_of.seek(within.start - 1, 1)
            lines_of.skip(1)
        lines = tuple(islice(_beginning_before(within.stop, lines_of), most))
        return _Probe(segment, lines, sum(line.size for line in lines))


def _beginning_before(end: int, lines: LineStream) -> Iterator[RawLine]:
    while lines.position < end and (line := next(lines, None)) is not None:
        yield line


def _compressed_probe(segment: Segment, most: int, max_line_bytes: int) -> _Probe:
    """Read lines from the beginning, and look how much of the file some thousands of them take."""
    assert segment.size is not None
    with closing(open_lines(segment, max_line_bytes)) as opened:
        lines_of = opened.lines
        lines = tuple(islice(lines_of, most))
        lines_of.skip(_COMPRESSED_LINES)
        passed = min(opened.raw_position(), segment.size)
        return _Probe(segment, lines, passed * len(lines) / (lines_of.number - 1) if lines else passed)


def _shard(index: int, probe: _Probe) -> Shard:
    segment = probe.segment
    place = Place(0, probe.lines[0].number, len(probe.lines), len(probe.lines), 0, 0)
    return Shard(index, segment.name, Kind.STREAM, place, 0, segment.id_prefix, probe.lines)


def _rounded(exact: float) -> int:
    """Return a number to two digits, or to one if it is small: an estimate isn't better than that."""
    number = round(exact)
    return round(number, min(0, 2 - len(str(number))))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
