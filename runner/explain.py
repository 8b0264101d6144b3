"""Why a text's triples are written and others are not: of every pair of mentions, the relations that came closest.

What is told is worked out by the functions that extraction uses, on the same batches, so that whatever is called
written here is what ``zsre-extract`` writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from zsre.relations.examples import Mention
from zsre.relations.relation import Relation
from zsre.runner.batch import Batch, Candidate, decide_batch, encoded_batches
from zsre.runner.counts import Counts
from zsre.runner.decide import DECIMALS, Decisions, best_per_pair, said_by, scored
from zsre.runner.entities import Sentence
from zsre.runner.job import Job
from zsre.runner.pair_types import Types
from zsre.runner.pairing import LeftOut, folded, pair_mentions
from zsre.runner.records import Record


class Verdict(StrEnum):
    """What became of a relation that was considered for a pair."""

    WRITTEN = "written"
    BELOW_THRESHOLD = "below_threshold"
    OTHER_WAY_ROUND = "other_way_round"
    BEYOND_MAX_RELATIONS = "beyond_max_relations"
    TYPES = "types"


@dataclass(frozen=True, slots=True)
class NamedMention:
    """A mention with what it reads; ``start`` and ``end`` are code points of the document's text."""

    text: str
    type: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class OtherWay:
    """What says a fact the other way round; it may go unwritten itself, beyond the most relations of its pair."""

    head: str
    relation: str
    tail: str
    similarity: float
    written: bool


@dataclass(frozen=True, slots=True)
class Considered:
    """A relation that was considered for a pair: the figures of a triple, and what became of it.

    ``other_way`` is only there for the verdict of that name. The margin of a relation that the types exclude is its
    distance to the best one that they allow, as it is for the others.
    """

    relation: Relation
    score: float
    threshold: float
    similarity: float
    similarity_head: float
    similarity_tail: float
    similarity_context: float
    margin: float | None
    verdict: Verdict
    other_way: OtherWay | None = None


@dataclass(frozen=True, slots=True)
class ExplainedPair:
    """An ordered pair of mentions: why it was left out, or else its best relations, from the best score down."""

    head: NamedMention
    tail: NamedMention
    left_out: LeftOut | None
    relations: tuple[Considered, ...]


@dataclass(frozen=True, slots=True)
class ExplainedSentence:
    """A sentence, its mentions in text order, and all of their ordered pairs by head, then tail.

    ``duplicates`` counts mentions left out because they were given twice.
    """

    start: int
    end: int
    text: str
    mentions: tuple[NamedMention, ...]
    pairs: tuple[ExplainedPair, ...]
    duplicates: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """A text's sentences; ``crossing`` counts mentions that lie within no single one. The limits are the job's."""

    sentences: tuple[ExplainedSentence, ...]
    crossing: int
    max_relations: int
    max_mentions: int

    def only(self, head: str | None, tail: str | None) -> Explanation:
        """Return the pairs whose head and tail read so, whatever their case and spacing; ``None`` for any."""

        def wanted(pair: ExplainedPair) -> bool:
            ends = ((head, pair.head), (tail, pair.tail))
            return all(name is None or folded(name) == folded(mention.text) for name, mention in ends)

        sentences = (replace(own, pairs=tuple(filter(wanted, own.pairs))) for own in self.sentences)
        return replace(self, sentences=tuple(sentences))


#: A decision's pair and relation, as positions in a batch and in the relations.
_Key = tuple[int, int]
#: Where a sentence begins, and the positions of a head and a tail among its mentions.
_Place = tuple[int, int, int]
_Answer = tuple[Considered, ...] | LeftOut


def explain(record: Record, job: Job, top: int) -> Explanation:
    """Explain a document: for every pair all relations that are written, and the ``top`` by score.

    Of relations that the types exclude, the ``top`` are there that are more similar than every allowed one.
    """
    (document,) = job.annotator.annotate([record])
    answers: dict[_Place, _Answer] = {}
    for batch in encoded_batches([document], job, Counts()):
        answers.update(_answers(batch, job, top))
    sentences = tuple(_sentence(sentence, job, answers) for sentence in document.sentences)
    return Explanation(sentences, document.crossing, job.rules.max_relations, job.max_mentions)


def _sentence(sentence: Sentence, job: Job, answers: Mapping[_Place, _Answer]) -> ExplainedSentence:
    paired = pair_mentions(sentence.text, sentence.mentions, job.max_mentions, job.mask.admits)
    mentions = tuple(_named(sentence, mention) for mention in paired.mentions)
    pairs = []
    for head, tail in permutations(range(len(mentions)), 2):
        answer = paired.left_out(head, tail) or answers[sentence.start, head, tail]
        reason, relations = (answer, ()) if isinstance(answer, LeftOut) else (None, answer)
        pairs.append(ExplainedPair(mentions[head], mentions[tail], reason, relations))
    return ExplainedSentence(sentence.start, sentence.end, sentence.text, mentions, tuple(pairs), paired.duplicates)


def _named(sentence: Sentence, mention: Mention) -> NamedMention:
    text = sentence.text[mention.start : mention.end]
    return NamedMention(text, mention.type, sentence.start + mention.start, sentence.start + mention.end)


def _answers(batch: Batch, job: Job, top: int) -> Iterator[tuple[_Place, _Answer]]:
    """Yield what is to be said of each pair of a batch."""
    allowed = _unruled(batch, job, job.mask.rows)
    considered = defaultdict(list)
    for position, own in [*_excluded(batch, job, allowed, top), *_allowed(batch, job, allowed, top)]:
        considered[position].append(own)
    read = frozenset(batch.vectors.kept.tolist())
    for position, (candidate, pair) in enumerate(batch.pairs):
        answer = tuple(considered[position]) if position in read else _unread(candidate, pair, job)
        yield (candidate.sentence.start, *pair), answer


def _unread(candidate: Candidate, pair: tuple[int, int], job: Job) -> LeftOut:
    """Ask the model about a pair that it didn't read once more, alone: among others, it only counts them."""
    alone = job.engine.encode([replace(candidate.pairs, pairs=(pair,))])
    return LeftOut.LONG if alone.too_long else LeftOut.TOKENLESS


def _allowed(batch: Batch, job: Job, allowed: Decisions, top: int) -> Iterator[tuple[int, Considered]]:
    """Yield the relations that are written and the ``top`` of those that a pair's types allow, best score first."""
    verdicts = _verdicts(batch, job)
    shown = set(_keys(best_per_pair(allowed, top)))
    ranked = best_per_pair(allowed, len(job.relations))
    for row, key in enumerate(_keys(ranked)):
        verdict, other_way = verdicts.get(key, (Verdict.BELOW_THRESHOLD, None))
        if key in shown or verdict is Verdict.WRITTEN:
            margin = float(ranked.margin[row])
            own = _considered(ranked, row, job, verdict, None if np.isnan(margin) else margin)
            yield key[0], replace(own, other_way=other_way)


def _excluded(batch: Batch, job: Job, allowed: Decisions, top: int) -> Iterator[tuple[int, Considered]]:
    """Yield the ``top`` of the relations that a pair's types exclude and that match better than all they allow."""
    best = np.full(len(batch.pairs), -np.inf)
    np.maximum.at(best, allowed.pair, allowed.similarity)
    excluded = _unruled(batch, job, lambda types: ~job.mask.rows(types))
    better = best_per_pair(excluded.take(np.flatnonzero(excluded.similarity > best[excluded.pair])), top)
    for row, (pair, _) in enumerate(_keys(better)):
        margin = round(float(better.similarity[row] - best[pair]), DECIMALS)
        yield pair, _considered(better, row, job, Verdict.TYPES, margin)


def _unruled(batch: Batch, job: Job, rows: Callable[[Sequence[Types]], NDArray[np.bool_]]) -> Decisions:
    """Return every relation that ``rows`` gives a pair, as if there were no thresholds."""
    unruled = replace(job.rules, thresholds=np.zeros_like(job.rules.thresholds))
    return scored(batch.vectors, job.relation_vectors, rows, batch.types(), unruled)


def _verdicts(batch: Batch, job: Job) -> dict[_Key, tuple[Verdict, OtherWay | None]]:
    """Return what becomes of every relation that reaches its threshold."""
    found = scored(batch.vectors, job.relation_vectors, job.mask.rows, batch.types(), job.rules)
    written = set(_keys(decide_batch(batch, job, job.rules)))
    keys = _keys(found)
    verdicts: dict[_Key, tuple[Verdict, OtherWay | None]] = {}
    for key, said in zip(keys, said_by(found, batch.ends(), job.rules.rivals).tolist(), strict=True):
        if said >= 0:
            better = keys[said]
            other_way = _other_way(batch, job, better, float(found.similarity[said]), better in written)
            verdicts[key] = (Verdict.OTHER_WAY_ROUND, other_way)
        else:
            verdicts[key] = (Verdict.WRITTEN if key in written else Verdict.BEYOND_MAX_RELATIONS, None)
    return verdicts


def _other_way(batch: Batch, job: Job, key: _Key, similarity: float, written: bool) -> OtherWay:
    candidate, pair = batch.pairs[key[0]]
    head, tail = (_named(candidate.sentence, candidate.pairs.mentions[end]).text for end in pair)
    return OtherWay(head, job.relations.relations[key[1]].name, tail, similarity, written)


def _considered(decisions: Decisions, row: int, job: Job, verdict: Verdict, margin: float | None) -> Considered:
    relation = int(decisions.relation[row])
    head, tail, context = decisions.parts[row].tolist()
    return Considered(
        relation=job.relations.relations[relation],
        score=float(decisions.score[row]),
        threshold=float(job.rules.thresholds[relation]),
        similarity=float(decisions.similarity[row]),
        similarity_head=head,
        similarity_tail=tail,
        similarity_context=context,
        margin=margin,
        verdict=verdict,
    )


def _keys(decisions: Decisions) -> list[_Key]:
    return list(zip(decisions.pair.tolist(), decisions.relation.tolist(), strict=True))
