"""From pairs with their vectors to the triples of a shard, wherever the vectors come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from zsre.runner.batch import EncodedPairs, PairInText, count_scored, decide_batch
from zsre.runner.counts import Counts
from zsre.runner.decide import Decisions
from zsre.runner.job import Decider
from zsre.runner.records import Reject
from zsre.runner.shared_texts import SharedTexts
from zsre.runner.triples import Triple, triple_id, triples_batch, triples_table


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a shard came to; ``table`` is a `triples_table`."""

    index: int
    table: pa.Table
    rejects: tuple[Reject, ...]
    counts: Counts


@dataclass(frozen=True, slots=True)
class Decided:
    """What is to be written of some pairs: rows, their fields passed through, each `triple_id`, and counts."""

    rows: pa.RecordBatch
    kept: tuple[tuple[str | None, ...], ...]
    facts: frozenset[str]
    counts: Counts


def decided(pairs: EncodedPairs, job: Decider) -> Decided:
    """Decide on pairs; this may be done by several threads at once."""
    counts = Counts()
    count_scored(pairs, job, counts)
    decisions = decide_batch(pairs, job, job.rules)
    triples = [_triple(pairs.in_text(pair), job, decisions, row) for row, pair in enumerate(decisions.pair.tolist())]
    kept = tuple(triple.kept for triple in triples)
    return Decided(triples_batch(triples), kept, frozenset(triple.triple_id for triple in triples), counts)


class TripleTable:
    """The triples of one shard, batch by batch."""

    def __init__(self, job: Decider) -> None:
        self._job = job
        self._counts = Counts()
        self._facts: set[str] = set()
        self._rows: list[pa.RecordBatch] = []
        self._kept = [SharedTexts() for _ in job.keep]

    def add(self, decided: Decided) -> None:
        """Add what was decided on next."""
        self._counts.add(decided.counts)
        self._facts.update(decided.facts)
        self._rows.append(decided.rows)
        for number, texts in enumerate(self._kept):
            texts.extend(kept[number] for kept in decided.kept)

    def result(self, index: int, rejects: tuple[Reject, ...], counts: Counts) -> ShardResult:
        """Return the triples in the order in which they came, their numbers added to what was counted before."""
        counts.add(self._counts)
        counts.triples += sum(len(rows) for rows in self._rows)
        counts.facts += len(self._facts)
        kept = [texts.column() for texts in self._kept]
        return ShardResult(index, triples_table(self._rows, kept, self._job.schema), rejects, counts)


def _triple(pair: PairInText, job: Decider, decisions: Decisions, row: int) -> Triple:
    relation = job.relations.relations[int(decisions.relation[row])]
    head, tail = pair.named(pair.head), pair.named(pair.tail)
    margin = float(decisions.margin[row])
    return Triple(
        triple_id=triple_id(pair.doc_id, relation.id, head, tail, relation.symmetric),
        doc_id=pair.doc_id,
        sent_start=pair.sent_start,
        sent_end=pair.sent_end,
        sentence=pair.sentence,
        head=head,
        head_type=pair.head.type,
        head_start=pair.head.start,
        head_end=pair.head.end,
        relation_id=relation.id,
        relation=relation.name,
        tail=tail,
        tail_type=pair.tail.type,
        tail_start=pair.tail.start,
        tail_end=pair.tail.end,
        score=float(decisions.score[row]),
        similarity=float(decisions.similarity[row]),
        similarity_head=float(decisions.parts[row, 0]),
        similarity_tail=float(decisions.parts[row, 1]),
        similarity_context=float(decisions.parts[row, 2]),
        margin=None if np.isnan(margin) else margin,
        kept=pair.kept,
    )
