"""Sentences with pairs, encoded together: what is decided on, and what its triples say of the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner.counts import Counts
from zsre.runner.decide import Decisions, decide
from zsre.runner.entities import Document, Sentence
from zsre.runner.job import Decider, Job
from zsre.runner.pair_types import PairTypes
from zsre.runner.pairing import pair_mentions
from zsre.runner.records import Record
from zsre.runner.rules import Rules
from zsre.runner.scorer import Encoding, Scorer

#: Pairs and sentences encoded at a time; a batch also ends with its shard.
BATCH_PAIRS, BATCH_SENTENCES = 8192, 2048


@dataclass(frozen=True, slots=True)
class NamedEnd:
    """The head or the tail of a pair: its type, and where it stands in the document's text."""

    type: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PairInText:
    """What a triple says of its pair, beside the relation; offsets count from the start of the document."""

    doc_id: str
    kept: tuple[str | None, ...]
    sent_start: int
    sent_end: int
    sentence: str
    head: NamedEnd
    tail: NamedEnd

    def named(self, end: NamedEnd) -> str:
        """Return what head or tail reads."""
        return self.sentence[end.start - self.sent_start : end.end - self.sent_start]


class EncodedPairs(Protocol):
    """Pairs with their vectors, whether just encoded or kept from an earlier run.

    ``vectors.kept`` numbers the pairs among all that `types`, `ends` and `in_text` speak of, P of them.
    """

    @property
    def vectors(self) -> PairVectors:
        """Return the vectors of the pairs that could be encoded."""

    def types(self) -> PairTypes:
        """Return the types of head and tail of every pair."""

    def ends(self) -> NDArray[np.int64]:
        """Return (P, 2): numbers that identify the mentions of every pair, and grow along the text."""

    def in_text(self, pair: int) -> PairInText:
        """Return where a pair stands."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence with pairs to score, ready to be encoded."""

    record: Record
    sentence: Sentence
    pairs: PairSentence

    def span(self, mention: int) -> tuple[int, int]:
        """Return where a mention stands in the document's text."""
        own = self.pairs.mentions[mention]
        return self.sentence.start + own.start, self.sentence.start + own.end

    def named(self, mention: int) -> NamedEnd:
        """Return a mention with its type."""
        return NamedEnd(self.pairs.mentions[mention].type, *self.span(mention))


@dataclass(frozen=True, slots=True)
class Batch:
    """Candidates that were encoded together; ``pairs`` lists all of their pairs, each with its candidate."""

    candidates: Sequence[Candidate]
    vectors: PairVectors
    pairs: Sequence[tuple[Candidate, tuple[int, int]]]

    def types(self) -> PairTypes:
        """Return the types of head and tail of every pair."""
        mentions = ((candidate.pairs.mentions, pair) for candidate, pair in self.pairs)
        return PairTypes.of((own[head].type, own[tail].type) for own, (head, tail) in mentions)

    def ends(self) -> NDArray[np.int64]:
        """Return (P, 2): head and tail of every pair, numbered through the mentions of the candidates."""
        ends: list[tuple[int, int]] = []
        base = 0
        for candidate in self.candidates:
            ends.extend((base + head, base + tail) for head, tail in candidate.pairs.pairs)
            base += len(candidate.pairs.mentions)
        return np.asarray(ends, dtype=np.int64).reshape(-1, 2)

    def in_text(self, pair: int) -> PairInText:
        """Return where a pair stands."""
        candidate, (head, tail) = self.pairs[pair]
        record, sentence = candidate.record, candidate.sentence
        return PairInText(
            record.id,
            record.kept,
            sentence.start,
            sentence.end,
            sentence.text,
            candidate.named(head),
            candidate.named(tail),
        )


def candidates_of(document: Document, job: Job, counts: Counts) -> Iterator[Candidate]:
    """Pair the mentions of a document's sentences, and count what is left out."""
    for sentence in document.sentences:
        paired = pair_mentions(sentence.text, sentence.mentions, job.max_mentions, job.admits)
        counts.duplicate_mentions += paired.duplicates
        counts.overlapping_pairs += paired.overlapping
        counts.same_name_pairs += paired.same_name
        counts.crowded_pairs += paired.crowded
        counts.crowded_sentences += paired.crowded > 0
        counts.unfitting_pairs += paired.unfitting
        counts.pairs += len(paired.mentions) * (len(paired.mentions) - 1)
        types = {mention.type for mention in paired.mentions}
        # What spaCy finds has the types that it has; nobody spelled them.
        counts.add_types(job.mask.named(types), job.mask.unnamed(types) if document.record.entities is not None else ())
        if paired.pairs:
            encodable = PairSentence(sentence.text, paired.mentions, paired.pairs)
            yield Candidate(document.record, sentence, encodable)


def windows(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """Cut candidates into lists that are worth encoding together and small enough to hold."""
    window: list[Candidate] = []
    pairs = 0
    for candidate in candidates:
        window.append(candidate)
        pairs += len(candidate.pairs.pairs)
        if pairs >= BATCH_PAIRS or len(window) == BATCH_SENTENCES:
            yield window
            window, pairs = [], 0
    if window:
        yield window


def begin(candidates: Sequence[Candidate], scorer: Scorer) -> Encoding:
    """Begin to encode candidates together."""
    return scorer.begin([candidate.pairs for candidate in candidates])


def encoded(candidates: Sequence[Candidate], encoding: Encoding) -> Batch:
    """Wait for the encoding of candidates."""
    vectors = encoding.result()
    return Batch(candidates, vectors, [(each, pair) for each in candidates for pair in each.pairs.pairs])


def encoded_batches(documents: Iterable[Document], job: Job, counts: Counts) -> Iterator[Batch]:
    """Pair and encode what documents hold, and count what is left out on the way."""
    for window in windows(chain.from_iterable(candidates_of(document, job, counts) for document in documents)):
        batch = encoded(window, begin(window, job.engine))
        count_unread(batch.vectors, counts)
        count_scored(batch, job, counts)
        yield batch


def count_unread(vectors: PairVectors, counts: Counts) -> None:
    """Count what the model could not read."""
    counts.long_pairs += vectors.too_long
    counts.tokenless_pairs += vectors.no_tokens
    counts.cut_sentences += vectors.cut_sentences


def count_scored(pairs: EncodedPairs, job: Decider, counts: Counts) -> None:
    """Count the encoded pairs that some relation allows, and those that none does."""
    types = pairs.types()
    allowed: NDArray[np.bool_] = job.mask.rows(types.distinct)
    fitting = np.asarray(allowed.any(axis=1))[types.which[pairs.vectors.kept]]
    counts.scored_pairs += int(fitting.sum())
    counts.unfitting_pairs += int((~fitting).sum())


def decide_batch(pairs: EncodedPairs, job: Decider, rules: Rules) -> Decisions:
    """Decide on a batch by the rules, which need not be the job's own."""
    return decide(pairs.vectors, job.relation_vectors, job.mask, pairs.types(), pairs.ends(), rules)
