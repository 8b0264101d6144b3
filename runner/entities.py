"""From records to documents: sentences, and the mentions that lie within each. All offsets are code points."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from zsre.relations.examples import Mention
from zsre.runner.pipeline import Annotation, Pipeline, load_pipeline
from zsre.runner.records import Record
from zsre.runner.workers import WorkerPipeline

logger = logging.getLogger(__name__)

#: spaCy needs some 3 kB a character, so that a long text is cut at line ends into pieces of at most this size.
PIECE_CHARS: Final = 20_000
_BLANK_LINE: Final = re.compile(r"\n[^\S\n]*\n")


@dataclass(frozen=True, slots=True)
class Sentence:
    """Code points ``start`` to ``end`` of a document, white space at the ends left out, and what lies within.

    The offsets of ``mentions`` count from the start of the sentence.
    """

    start: int
    end: int
    text: str
    mentions: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A record with its sentences; ``crossing`` counts mentions that lie within no single sentence."""

    record: Record
    sentences: tuple[Sentence, ...]
    crossing: int


class Annotator(Protocol):
    """Anything that finds the sentences and mentions of records."""

    @property
    def name(self) -> str:
        """Return what it is called in ``run.json``."""

    @property
    def labels(self) -> frozenset[str]:
        """Return the entity types that it can give."""

    def annotate(self, records: Sequence[Record]) -> Iterator[Document]:
        """Yield the records' documents, in order."""

    def close(self) -> None:
        """Let go of whatever it holds."""


class PipelineAnnotator:
    """A pipeline that reads records; entities that a record brings along are taken instead of the pipeline's."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @property
    def name(self) -> str:
        """Return the pipeline's name and version."""
        return self._pipeline.name

    @property
    def labels(self) -> frozenset[str]:
        """Return the entity types that the pipeline can give."""
        return self._pipeline.labels

    def annotate(self, records: Sequence[Record]) -> Iterator[Document]:
        """Yield the records' documents, in order; entities are only looked for where none were given."""
        given = self._pieces([record for record in records if record.entities is not None], find_entities=False)
        found = self._pieces([record for record in records if record.entities is None], find_entities=True)
        for record in records:
            yield _document(record, next(found if record.entities is None else given))

    def close(self) -> None:
        """Close the pipeline."""
        self._pipeline.close()

    def _pieces(self, records: list[Record], find_entities: bool) -> Iterator[list[tuple[int, Annotation]]]:
        """Yield, for each record, what is found in its pieces, each with the code point where it begins."""
        spans = [list(piece_spans(record.text)) for record in records]
        texts = (record.text[start:end] for record, pieces in zip(records, spans, strict=True) for start, end in pieces)
        found = self._pipeline.annotate(texts, find_entities)
        for pieces in spans:
            yield [(start, next(found)) for start, _ in pieces]


def load_annotator(name: str | None = None, processes: int = 1) -> PipelineAnnotator:
    """Load a spaCy pipeline (see `load_pipeline`) to read records with, in so many processes."""
    pipeline = load_pipeline(name)
    if not pipeline.labels:
        logger.warning("spaCy pipeline '%s' finds no entities: only those given in the input are used", pipeline.spec)
    return PipelineAnnotator(pipeline if processes == 1 else WorkerPipeline(pipeline, processes))


def piece_spans(text: str, size: int = PIECE_CHARS) -> Iterator[tuple[int, int]]:
    """Cut a text into spans of at most ``size`` code points, after a line end, or else a full stop, or else a space."""
    start = 0
    while len(text) - start > size:
        for mark in ("\n", ". ", " "):
            cut = text.rfind(mark, start, start + size)
            if cut > start:
                end = cut + len(mark)
                break
        else:
            end = start + size
        yield start, end
        start = end
    yield start, len(text)


def _document(record: Record, pieces: Iterable[tuple[int, Annotation]]) -> Document:
    spans: list[tuple[int, int]] = []
    found: list[Mention] = []
    for offset, annotation in pieces:
        for start, end in annotation.sentences:
            spans.extend(_paragraphs(record.text, offset + start, offset + end))
        found.extend(Mention(offset + own.start, offset + own.end, own.type) for own in annotation.entities)
    mentions = found if record.entities is None else record.entities
    sentences = tuple(_sentences(record.text, spans, sorted(mentions, key=lambda mention: mention.start)))
    inside = sum(len(sentence.mentions) for sentence in sentences)
    return Document(record, sentences, crossing=len(mentions) - inside)


def _sentences(text: str, spans: Iterable[tuple[int, int]], mentions: Sequence[Mention]) -> Iterator[Sentence]:
    """Yield the sentences that aren't blank, with the mentions (in text order) that lie wholly within each."""
    position = 0
    for first, last in spans:
        raw = text[first:last]
        stripped = raw.strip()
        if not stripped:
            continue
        start = first + len(raw) - len(raw.lstrip())
        end = start + len(stripped)
        while position < len(mentions) and mentions[position].start < start:
            position += 1
        inside = []
        while position < len(mentions) and mentions[position].start < end:
            mention = mentions[position]
            if mention.end <= end:
                inside.append(Mention(mention.start - start, mention.end - start, mention.type))
            position += 1
        yield Sentence(start, end, stripped, tuple(inside))


def _paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a sentence at blank lines, which spaCy reads over: a heading is not part of what follows it."""
    for blank in _BLANK_LINE.finditer(text, start, end):
        yield start, blank.start()
        start = blank.end()
    yield start, end
