"""Measuring what extraction writes: labelled text in, its own triples judged by its labels.

The text goes through everything that a corpus goes through, from sentences to decisions, so that what is measured is
what ``zsre-extract`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

import numpy as np

from zsre.relations.examples import LabelledSentence, Mention
from zsre.relations.relation import RelationSet
from zsre.runner.batch import Batch, decide_batch, encoded_batches
from zsre.runner.counts import Counts
from zsre.runner.decide import Decisions
from zsre.runner.entities import Annotator, Document
from zsre.runner.flags import Entities
from zsre.runner.gold import Fact, Gold, Verdict
from zsre.runner.job import Job
from zsre.runner.records import Record
from zsre.runner.rules import Rules
from zsre.runner.triple_metrics import Judged

#: Texts annotated at a time.
_CHUNK: Final = 256


@dataclass(frozen=True)
class Measured:
    """What extraction makes of labelled text.

    ``written`` are the triples that the rules let through, ``possible`` those that would be with no threshold at all:
    with any threshold that all relations share, these have the same order, rivals and most relations for a pair.
    ``labels`` is how many times a pair of the labels states or denies a relation by name, and ``unmet`` how many of
    these no possible triple answers to. ``again`` judges the texts by other rules, if that was asked for.
    """

    written: Judged
    possible: Judged
    counts: Counts
    labels: int = 0
    unmet: int = 0
    again: Callable[[Rules], Judged] | None = None


def measure(
    job: Job,
    sentences: Sequence[LabelledSentence],
    everything: frozenset[str],
    entities: Entities,
    advance: Callable[[int], None] = lambda texts: None,
    again: bool = False,
) -> Measured:
    """Extract from labelled texts by the job's rules, and judge what comes out.

    ``everything`` are the relations that the data set decided on (see `zsre.runner.gold.decided_relations`).
    ``advance`` is told how many texts were read so far. With ``again``, the vectors stay in memory.
    """
    judges = Judges(sentences, job.relations, everything)
    written, possible = Collector(judges), Collector(judges)
    counts = Counts()
    rules = unruled(job.rules)
    batches = []
    documents = judges.watched(labelled_documents(job.annotator, sentences, entities), advance)
    for batch in encoded_batches(documents, job, counts):
        written.add(batch, decide_batch(batch, job, job.rules))
        possible.add(batch, decide_batch(batch, job, rules))
        if again:
            batches.append(batch)

    def judged_by(rules: Rules) -> Judged:
        collector = Collector(judges)
        for batch in batches:
            collector.add(batch, decide_batch(batch, job, rules))
        return collector.judged()

    labels = sum(len(gold.labels) for gold in judges.golds)
    unmet = labels - len(possible.met)
    return Measured(written.judged(), possible.judged(), counts, labels, unmet, judged_by if again else None)


def unruled(rules: Rules) -> Rules:
    """Return the rules without thresholds."""
    return replace(rules, thresholds=np.zeros_like(rules.thresholds))


class Judges:
    """Labelled texts, by their places, and which of their facts the pairs of their documents reach."""

    def __init__(
        self, sentences: Sequence[LabelledSentence], relations: RelationSet, everything: frozenset[str]
    ) -> None:
        self.relations = relations
        self.golds = [Gold(sentence, relations, everything) for sentence in sentences]
        self.reached: list[frozenset[Fact]] = [frozenset()] * len(self.golds)

    def watched(self, documents: Iterable[Document], advance: Callable[[int], None]) -> Iterator[Document]:
        """Note on the way what is within reach of the documents of `labelled_documents`."""
        for document in documents:
            place = int(document.record.id)
            self.reached[place] = self.golds[place].within_reach(_span_pairs(document))
            advance(place + 1)
            yield document


class Collector:
    """Judges triples as they come, and gathers them with the facts that they state."""

    def __init__(self, judges: Judges) -> None:
        self._judges = judges
        #: The labels that speak of a triple which was added, each with the place of its text.
        self.met: set[tuple[int, Fact]] = set()
        self._rows: list[tuple[float, float, int, bool, int]] = []
        self._stated: list[tuple[int, tuple[int, Fact]]] = []
        self._undecided = 0

    def add(self, batch: Batch, decisions: Decisions) -> list[int]:
        """Judge the decisions on a batch; return the rows of those that count: they are right or wrong."""
        rows = []
        relations = self._judges.relations.ids
        for row, pair in enumerate(decisions.pair.tolist()):
            candidate, ends = batch.pairs[pair]
            place, relation = int(candidate.record.id), int(decisions.relation[row])
            judgement = self._judges.golds[place].judge(relations[relation], *(candidate.span(end) for end in ends))
            self.met.update((place, label) for label in judgement.labels)
            if judgement.verdict is Verdict.OPEN:
                self._undecided += 1
                continue
            rows.append(row)
            score, similarity = float(decisions.score[row]), float(decisions.similarity[row])
            self._stated.extend((len(self._rows), (place, fact)) for fact in judgement.facts)
            self._rows.append((score, similarity, relation, judgement.verdict is Verdict.RIGHT, place))
        return rows

    def judged(self) -> Judged:
        """Return all that was added; every document must have been watched."""
        golds, reached = self._judges.golds, self._judges.reached
        facts = [(place, fact) for place, gold in enumerate(golds) for fact in sorted(gold.facts)]
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


def labelled_documents(
    annotator: Annotator, sentences: Sequence[LabelledSentence], entities: Entities
) -> Iterator[Document]:
    """Yield the texts as documents, called by their places, with the entities that are asked for."""
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
