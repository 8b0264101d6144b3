"""A shard in, a table of triples out; and the loop that does so for a corpus."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from zsre.relations.relation import RelationSet
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner.corpus import Shard
from zsre.runner.counts import Counts
from zsre.runner.decide import Decisions, PairTypes, Rules, TypeMask, decide
from zsre.runner.entities import Annotator, Document, Sentence
from zsre.runner.output import OutputDirectory
from zsre.runner.pairing import pair_mentions
from zsre.runner.records import Record, RecordSettings, Reject, parse_line
from zsre.runner.scorer import Scorer
from zsre.runner.triples import (
    SCHEMA_VERSION,
    Triple,
    relations_fingerprint,
    triple_id,
    triples_batch,
    triples_schema,
)

#: Pairs and sentences encoded at a time; a batch also ends with its shard.
BATCH_PAIRS, BATCH_SENTENCES = 4096, 1024
_PACKAGES: Final = ("zsre", "spacy", "onnxruntime-gpu", "onnxruntime", "tokenizers", "numpy", "pyarrow")

#: Called as work gets done, with the bytes of input and the documents it came to.
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """Everything that a shard needs to become triples; the same for all shards of a run."""

    records: RecordSettings
    annotator: Annotator
    engine: Scorer
    relations: RelationSet
    rules: Rules
    max_mentions: int = 40

    @cached_property
    def relation_vectors(self) -> NDArray[np.float32]:
        """Return the relations' vectors, (R, 3, D), encoded once."""
        return self.engine.relation_vectors(self.relations)

    @cached_property
    def mask(self) -> TypeMask:
        """Return which relations allow which types."""
        return TypeMask(self.relations)

    @cached_property
    def schema(self) -> pa.Schema:
        """Return the output's schema, with the facts of the run in its metadata."""
        return triples_schema(self.records.keep, self.facts)

    @cached_property
    def facts(self) -> dict[str, object]:
        """Return what made these triples, for the metadata of every part and for ``run.json``."""
        thresholds = zip(self.relations.ids, self.rules.thresholds.tolist(), strict=True)
        contract, calibration = self.engine.contract, self.rules.calibration
        return {
            "schema": SCHEMA_VERSION,
            "model": {
                "name": contract.name,
                "fingerprint": contract.fingerprint,
                "pairing": contract.pairing,
            },
            "relations": relations_fingerprint(self.relations),
            "thresholds": dict(thresholds),
            "calibration": {"slope": calibration.slope, "intercept": calibration.intercept},
            "max_relations": self.rules.max_relations,
            "max_mentions": self.max_mentions,
            "pipeline": self.annotator.name,
            "versions": installed_versions(),
        }


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a shard came to."""

    table: pa.Table
    rejects: tuple[Reject, ...]
    counts: Counts


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


def extract(shards: Iterable[Shard], job: Job, output: OutputDirectory, advance: Advance, totals: Counts) -> None:
    """Process shards one after the other, each into a part file, and add what happened to ``totals``."""
    for shard in shards:
        result = process_shard(shard, job, advance)
        output.add_rejects(result.rejects)
        output.write_part(shard.index, result.table)
        totals.add(result.counts)


def process_shard(shard: Shard, job: Job, advance: Advance = lambda size, documents: None) -> ShardResult:
    """Turn a shard into one table of triples, by document, sentence, head, tail and falling score.

    It depends on the shard and the job alone, so that it can be done anywhere, and done again.
    """
    counts = Counts(shards=1)
    records, rejects = _read(shard, job.records, counts, advance)
    documents = _tracked(job.annotator.annotate(records), counts, advance)
    facts: set[str] = set()
    rows = []
    for batch in encoded_batches(documents, job, counts):
        decisions = decide_batch(batch, job, job.rules)
        places = enumerate(decisions.pair.tolist())
        triples = [_triple(batch.pairs[pair], job, decisions, row) for row, pair in places]
        facts.update(triple.triple_id for triple in triples)
        counts.triples += len(triples)
        rows.append(triples_batch(triples, job.schema))
    counts.facts = len(facts)
    return ShardResult(pa.Table.from_batches(rows, schema=job.schema), tuple(rejects), counts)


def encoded_batches(documents: Iterable[Document], job: Job, counts: Counts) -> Iterator[Batch]:
    """Pair and encode what documents hold, and count what is left out on the way."""
    for candidates in _batched(chain.from_iterable(_candidates(document, job, counts) for document in documents)):
        vectors = job.engine.encode([candidate.pairs for candidate in candidates])
        counts.scored_pairs += len(vectors.kept)
        counts.long_pairs += vectors.too_long
        counts.tokenless_pairs += vectors.no_tokens
        counts.cut_sentences += vectors.cut_sentences
        yield Batch(candidates, vectors, [(each, pair) for each in candidates for pair in each.pairs.pairs])


def decide_batch(batch: Batch, job: Job, rules: Rules) -> Decisions:
    """Decide on a batch by the rules, which need not be the job's own."""
    return decide(batch.vectors, job.relation_vectors, job.mask, batch.types(), batch.ends(), rules)


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that can make a difference to a triple."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _read(
    shard: Shard, settings: RecordSettings, counts: Counts, advance: Advance
) -> tuple[list[Record], list[Reject]]:
    records: list[Record] = []
    rejects: list[Reject] = []
    for line in shard.lines():
        counts.lines += 1
        match parse_line(line, shard.file, settings):
            case Record() as record:
                records.append(record)
                continue
            case Reject() as reject:
                rejects.append(reject)
                counts.rejects[reject.reason.value] += 1
            case None:
                counts.blank_lines += 1
        advance(line.size, 0)
    counts.repeated_ids = len(records) - len({record.id for record in records})
    return records, rejects


def _tracked(documents: Iterable[Document], counts: Counts, advance: Advance) -> Iterator[Document]:
    for document in documents:
        counts.documents += 1
        counts.given_entities += document.record.entities is not None
        counts.sentences += len(document.sentences)
        counts.crossing_mentions += document.crossing
        counts.mentions += document.crossing + sum(len(sentence.mentions) for sentence in document.sentences)
        advance(document.record.size, 1)
        yield document


def _candidates(document: Document, job: Job, counts: Counts) -> Iterator[Candidate]:
    for sentence in document.sentences:
        paired = pair_mentions(sentence.text, sentence.mentions, job.max_mentions, job.mask.admits)
        counts.duplicate_mentions += paired.duplicates
        counts.overlapping_pairs += paired.overlapping
        counts.same_name_pairs += paired.same_name
        counts.crowded_pairs += paired.crowded
        counts.crowded_sentences += paired.crowded > 0
        counts.unfitting_pairs += paired.unfitting
        counts.pairs += len(paired.mentions) * (len(paired.mentions) - 1)
        counts.types_seen.update(job.mask.named(mention.type for mention in paired.mentions))
        if paired.pairs:
            encodable = PairSentence(sentence.text, paired.mentions, paired.pairs)
            yield Candidate(document.record, sentence, encodable)


def _batched(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    batch: list[Candidate] = []
    pairs = 0
    for candidate in candidates:
        batch.append(candidate)
        pairs += len(candidate.pairs.pairs)
        if pairs >= BATCH_PAIRS or len(batch) == BATCH_SENTENCES:
            yield batch
            batch, pairs = [], 0
    if batch:
        yield batch


def _triple(owned: tuple[Candidate, tuple[int, int]], job: Job, decisions: Decisions, row: int) -> Triple:
    candidate, pair = owned
    record, sentence = candidate.record, candidate.sentence
    relation = job.relations.relations[int(decisions.relation[row])]
    head, tail = (candidate.pairs.mentions[end] for end in pair)
    head_text, tail_text = (sentence.text[mention.start : mention.end] for mention in (head, tail))
    (head_start, head_end), (tail_start, tail_end) = (candidate.span(end) for end in pair)
    margin = float(decisions.margin[row])
    return Triple(
        triple_id=triple_id(record.id, relation.id, head_text, tail_text, relation.symmetric),
        doc_id=record.id,
        sent_start=sentence.start,
        sent_end=sentence.end,
        sentence=sentence.text,
        head=head_text,
        head_type=head.type,
        head_start=head_start,
        head_end=head_end,
        relation_id=relation.id,
        relation=relation.name,
        tail=tail_text,
        tail_type=tail.type,
        tail_start=tail_start,
        tail_end=tail_end,
        score=float(decisions.score[row]),
        similarity=float(decisions.similarity[row]),
        similarity_head=float(decisions.parts[row, 0]),
        similarity_tail=float(decisions.parts[row, 1]),
        similarity_context=float(decisions.parts[row, 2]),
        margin=None if np.isnan(margin) else margin,
        kept=record.kept,
    )
