"""Measuring a model on labelled data: classification among relations, and what of it was seen in training."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from zsre.relations.equivalents import Overlap, seen_overlap
from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledSentence
from zsre.relations.metrics import ClassificationReport, classification_report
from zsre.relations.relation import RelationSet
from zsre.relations.vectors import PairSentence
from zsre.runner.scorer import Scorer

#: Pairs encoded at a time: bounded memory, and rows enough to sort by length.
CHUNK = 4096


@dataclass(frozen=True)
class Evaluation:
    """A report, how many pairs stand behind it, and what the model had seen.

    ``left_out`` counts pairs that the model could not read (see `PairVectors`); they are no part of the report.
    """

    report: ClassificationReport
    pairs: int
    left_out: int
    overlap: Overlap
    seen_data: tuple[str, ...]


def single_relation_pairs(
    sentences: Iterable[LabelledSentence], relations: RelationSet
) -> Iterator[tuple[PairSentence, str]]:
    """Yield each pair that states exactly one relation, if it is one of ``relations``."""
    for sentence in sentences:
        for pair in sentence.pairs:
            if len(pair.relations) == 1 and (relation := next(iter(pair.relations))) in relations:
                yield PairSentence(sentence.text, sentence.mentions, ((pair.head, pair.tail),)), relation


def sample_per_relation(
    examples: Iterable[tuple[PairSentence, str]], per_relation: int, seed: int
) -> Iterator[tuple[PairSentence, str]]:
    """Yield at most ``per_relation`` examples of each relation, drawn by the seed."""
    shuffled = list(examples)
    random.Random(seed).shuffle(shuffled)
    counts: Counter[str] = Counter()
    for sentence, relation in shuffled:
        counts[relation] += 1
        if counts[relation] <= per_relation:
            yield sentence, relation


def evaluate(scorer: Scorer, examples: Iterable[tuple[PairSentence, str]], relations: RelationSet) -> Evaluation:
    """Classify every example among ``relations``; raise DataError if there is no example."""
    vectors = scorer.model.relation_vectors(relations)
    gold: list[str] = []
    predicted: list[str] = []
    total = 0
    stream = iter(examples)
    while chunk := list(islice(stream, CHUNK)):
        encoded = scorer.model.encode([sentence for sentence, _ in chunk])
        best = encoded.similarities(vectors).sum(-1).argmax(-1)
        gold.extend(chunk[position][1] for position in encoded.kept)
        predicted.extend(relations.ids[index] for index in np.asarray(best))
        total += len(chunk)
    if not gold:
        raise DataError(
            f"no pair of the data states exactly one of the {len(relations)} relations ({some(relations.ids)}): "
            "check that their ids are the data's"
        )
    report = classification_report(gold, predicted)
    overlap = seen_overlap(scorer.seen_relations, relations.ids)
    return Evaluation(report, len(gold), total - len(gold), overlap, scorer.seen_data)


def some(ids: Sequence[str], limit: int = 8) -> str:
    """Return the first few ids for a message."""
    return ", ".join(ids[:limit]) + (", …" if len(ids) > limit else "")
