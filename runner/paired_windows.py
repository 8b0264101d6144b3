"""The first stage of a shard: its records are read, their sentences and mentions found, and these paired."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, takewhile
from threading import Event

from zsre.relations.errors import DataError
from zsre.runner.batch import Candidate, candidates_of, windows
from zsre.runner.corpus import Shard
from zsre.runner.counts import Counts
from zsre.runner.entities import Document
from zsre.runner.job import Job
from zsre.runner.reading import ShardReader
from zsre.runner.records import Record, Reject, parse_line
from zsre.runner.store_names import readable


@dataclass(slots=True)
class Progress:
    """Work done since it was last told."""

    size: int = 0
    documents: int = 0

    def add(self, size: int, documents: int) -> None:
        """Add work."""
        self.size += size
        self.documents += documents

    def taken(self) -> Progress:
        """Return it, and begin anew."""
        taken = Progress(self.size, self.documents)
        self.size = self.documents = 0
        return taken


@dataclass(frozen=True, slots=True)
class Window:
    """A window of a shard, and what was read since the one before."""

    index: int
    candidates: list[Candidate]
    progress: Progress


@dataclass(frozen=True, slots=True)
class ShardEnd:
    """All windows of a shard have gone by; ``counts`` has what was counted until they were encoded."""

    index: int
    rejects: tuple[Reject, ...]
    counts: Counts
    progress: Progress


@dataclass(slots=True)
class _Reading:
    """What is gathered while a shard is read."""

    counts: Counts = field(default_factory=lambda: Counts(shards=1))
    rejects: list[Reject] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)


def paired_windows(
    shards: Iterable[Shard], job: Job, reader: ShardReader, stopped: Event
) -> Generator[Window | ShardEnd]:
    """Read shards, find sentences and mentions, and pair them."""
    for shard in shards:
        reading = _Reading()
        documents = _tracked(job.annotator.annotate(_records(shard, job, reader, reading)), job.keep, reading)
        going_on = takewhile(lambda document: not stopped.is_set(), documents)
        candidates = chain.from_iterable(candidates_of(document, job, reading.counts) for document in going_on)
        for window in windows(candidates):
            yield Window(shard.index, window, reading.progress.taken())
        if stopped.is_set():
            return
        yield ShardEnd(shard.index, tuple(reading.rejects), reading.counts, reading.progress.taken())


def _records(shard: Shard, job: Job, reader: ShardReader, reading: _Reading) -> list[Record]:
    """Read the records of a shard; note its rejects and blank lines."""
    records: list[Record] = []
    counts, file = reading.counts, readable(shard.file)
    for line in reader.lines(shard):
        counts.lines += 1
        match parse_line(line, file, job.records, shard.id_prefix):
            case Record() as record:
                records.append(record)
                continue
            case Reject() as reject:
                if job.records.stop_at_reject:
                    raise DataError(_stopping(reject))
                reading.rejects.append(reject)
                counts.rejects[reject.reason.value] += 1
            case None:
                counts.blank_lines += 1
        reading.progress.add(line.size, 0)
    counts.repeated_ids = len(records) - len({record.id for record in records})
    return records


def _stopping(reject: Reject) -> str:
    return (
        f"{reject.file}, line {reject.line}: {reject.reason}: {reject.detail}; "
        "mend it, or leave such lines out: --on-error skip"
    )


def _tracked(documents: Iterable[Document], keep: Sequence[str], reading: _Reading) -> Iterator[Document]:
    counts = reading.counts
    for document in documents:
        counts.documents += 1
        counts.given_entities += document.record.entities is not None
        kept = zip(keep, document.record.kept, strict=True)
        counts.fields_missing.update(name for name, value in kept if value is None)
        counts.sentences += len(document.sentences)
        counts.crossing_mentions += document.crossing
        counts.mentions += document.crossing + sum(len(sentence.mentions) for sentence in document.sentences)
        reading.progress.add(document.record.size, 1)
        yield document
