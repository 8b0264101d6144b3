"""Measuring what extraction writes: labelled text in, its own triples judged by its labels.

The text goes through everything that a corpus goes through, from sentences to decisions, so that what is measured is
what ``zsre-extract`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, Literal, get_args

import numpy as np

from zsre.relations.examples import LabelledSentence, Mention
from zsre.runner.counts import Counts
from zsre.runner.decide import Decisions, Rules
from zsre.runner.entities import Annotator, Document
from zsre.runner.extract import Batch, Job, decide_batch, encoded_batches
from zsre.runner.gold import Fact, Gold, Judgement, Verdict
from zsre.runner.records import Record
from zsre.runner.triple_metrics import Judged

#: Whose mentions are paired: the labels' own, those that spaCy finds, or both.
Entities = Literal["given", "spacy", "both"]
ENTITIES: Final[tuple[Entities, ...]] = get_args(Entities)
DEFAULT_ENTITIES: Final = "given"
#: Texts annotated at a time.
_CHUNK: Final = 256


@dataclass(frozen=True)
class Measured:
    """What extraction makes of labelled text.

    ``written`` are the triples that the rules let through, ``possible`` those that would be with no threshold at all:
    whatever the threshold, these have the same order, partners and most relations for a pair.
    """

    written: Judged
    possible: Judged
    counts: Counts


def measure(
    job: Job,
    sentences: Sequence[LabelledSentence],
    everything: frozenset[str],
    entities: Entities,
    advance: Callable[[int], None] = lambda texts: None,
) -> Measured:
    """Extract from labelled texts by the job's rules, and judge what comes out.

    ``everything`` are the relations that the data set decided on (see `zsre.runner.gold.decided_relations`).
    ``advance`` is told how many texts were read so far.
    """
    golds = [Gold(sentence, job.relations, everything) for sentence in sentences]
    reached: list[frozenset[Fact]] = [frozenset()] * len(golds)
    counts = Counts()
    written, possible = _Collector(golds), _Collector(golds)
    unruled = replace(job.rules, thresholds=np.zeros_like(job.rules.thresholds))

    def documents() -> Iterator[Document]:
        for document in _documents(job.annotator, sentences, entities):
            place = int(document.record.id)
            reached[place] = golds[place].within_reach(_span_pairs(document))
            advance(place + 1)
            yield document

    for batch in encoded_batches(documents(), job, counts):
        _collect(batch, job, job.rules, written)
        _collect(batch, job, unruled, possible)
    return Measured(written.judged(reached), possible.judged(reached), counts)


class _Collector:
    """Gathers judged triples, and which facts they state."""

    def __init__(self, golds: Sequence[Gold]) -> None:
        self._golds = golds
        self._rows: list[tuple[float, float, int, bool, int]] = []
        self._stated: list[tuple[int, tuple[int, Fact]]] = []
        self._undecided = 0

    def judge(self, place: int, relation_id: str, spans: Sequence[tuple[int, int]]) -> Judgement:
        return self._golds[place].judge(relation_id, *spans)

    def add(self, place: int, decisions: Decisions, row: int, judgement: Judgement) -> None:
        if judgement.verdict is Verdict.OPEN:
            self._undecided += 1
            return
        score, similarity = float(decisions.score[row]), float(decisions.similarity[row])
        self._stated.extend((len(self._rows), (place, fact)) for fact in judgement.facts)
        right = judgement.verdict is Verdict.RIGHT
        self._rows.append((score, similarity, int(decisions.relation[row]), right, place))

    def judged(self, reached: Sequence[frozenset[Fact]]) -> Judged:
        facts = [(place, fact) for place, gold in enumerate(self._golds) for fact in sorted(gold.facts)]
        number = {fact: index for index, fact in enumerate(facts)}
        scores, similarities, relations, right, texts = zip(*self._rows, strict=True) if self._rows else ((),) * 5
        return Judged(
            score=np.asarray(scores, dtype=np.float64),
            similarity=np.asarray(similarities, dtype=np.float64),
            relation=np.asarray(relations, dtype=np.int64),
            right=np.asarray(right, dtype=np.bool_),
            text=np.asarray(texts, dtype=np.int64),
            fact_relation=np.asarray([fact.relation for _, fact in facts], dtype=np.int64),
            fact_reachable=np.asarray([fact in reached[place] for place, fact in facts], dtype=np.bool_),
            fact_text=np.asarray([place for place, _ in facts], dtype=np.int64),
            states=np.asarray([(row, number[fact]) for row, fact in self._stated], dtype=np.int64).reshape(-1, 2),
            undecided=self._undecided,
        )


def _collect(batch: Batch, job: Job, rules: Rules, collector: _Collector) -> None:
    decisions = decide_batch(batch, job, rules)
    for row, pair in enumerate(decisions.pair.tolist()):
        candidate, ends = batch.pairs[pair]
        place = int(candidate.record.id)
        relation_id = job.relations.ids[int(decisions.relation[row])]
        judgement = collector.judge(place, relation_id, [candidate.span(end) for end in ends])
        collector.add(place, decisions, row, judgement)


def _documents(annotator: Annotator, sentences: Sequence[LabelledSentence], entities: Entities) -> Iterator[Document]:
    """Yield the texts as documents, called by their places."""
    for start in range(0, len(sentences), _CHUNK):
        chunk = sentences[start : start + _CHUNK]
        records = [
            Record(id=str(place), text=sentence.text, entities=sentence.mentions, kept=(), size=0)
            for place, sentence in enumerate(chunk, start)
        ]
        if entities != "given":
            found = annotator.annotate([replace(record, entities=None) for record in records])
            both = entities == "both"
            records = [
                replace(document.record, entities=_merged(sentence.mentions if both else (), document))
                for sentence, document in zip(chunk, found, strict=True)
            ]
        yield from annotator.annotate(records)


def _merged(given: Sequence[Mention], document: Document) -> tuple[Mention, ...]:
    """Return the given mentions and the found ones that overlap none of them, in text order.

    A given mention without a type takes that of a found one that it overlaps.
    """
    found = [
        Mention(sentence.start + mention.start, sentence.start + mention.end, mention.type)
        for sentence in document.sentences
        for mention in sentence.mentions
    ]
    typed = [
        replace(mention, type=next((other.type for other in found if other.overlaps(mention)), None))
        if mention.type is None
        else mention
        for mention in given
    ]
    free = [mention for mention in found if not any(mention.overlaps(other) for other in given)]
    return tuple(sorted([*typed, *free], key=lambda mention: (mention.start, mention.end)))


def _span_pairs(document: Document) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield where the two mentions of every pair stand that a sentence holds, in one order."""
    for sentence in document.sentences:
        spans = [(sentence.start + mention.start, sentence.start + mention.end) for mention in sentence.mentions]
        yield from combinations(spans, 2)
