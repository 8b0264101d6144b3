"""Measuring a model on labelled data: classification among relations, and what of it was seen in training."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from time import perf_counter

import numpy as np

from zsre.relations.contract import Contract
from zsre.relations.equivalents import Overlap, seen_overlap
from zsre.relations.errors import DataError, UsageError
from zsre.relations.examples import LabelledSentence
from zsre.relations.metrics import ClassificationReport, classification_report
from zsre.relations.readers import read_labelled
from zsre.relations.relation import RelationSet
from zsre.relations.vectors import PairSentence
from zsre.runner.scorer import Scorer

#: A sentence with one pair, and the relation that it states.
Example = tuple[PairSentence, str]
#: Pairs encoded at a time: bounded memory, and rows enough to sort by length.
CHUNK = 1024


@dataclass
class Passed:
    """The labelled pairs that were not measured, counted by the reason; readers of the data add to it as they go.

    ``unrelated`` state no relation, ``several`` more than one, ``other`` (by id) one that could not be chosen.
    ``shared`` stand in sentences of ``training_data``, the names of the files that sentences were compared with.
    ``beyond`` are more than were wanted of their relation.
    """

    unrelated: int = 0
    several: int = 0
    other: Counter[str] = field(default_factory=Counter)
    shared: int = 0
    beyond: int = 0
    training_data: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """A report, the relations that were chosen among, and how many pairs stand behind it.

    ``left_out`` counts pairs that the model could not read (see `PairVectors`); like those in ``passed`` they are no
    part of the report. ``overlap`` says which of the relations the model had seen in training. ``seconds`` were
    spent on encoding the pairs and comparing them with the relations: without loading, reading data, encoding the
    relations, and the first run of the model, which is slower than any other.
    """

    report: ClassificationReport
    relations: RelationSet
    pairs: int
    left_out: int
    passed: Passed
    overlap: Overlap
    seconds: float

    @property
    def pairs_per_second(self) -> float:
        """Return how many of the pairs were encoded and compared in a second."""
        return self.pairs / max(self.seconds, 1e-9)

    @property
    def without_pairs(self) -> tuple[str, ...]:
        """Return the relations that no measured pair states."""
        known = self.report.relations
        return tuple(
            relation for relation in self.relations.ids if relation not in known or not known[relation].support
        )


def single_relation_pairs(
    sentences: Iterable[LabelledSentence], relations: RelationSet, passed: Passed
) -> Iterator[Example]:
    """Yield each pair that states exactly one relation, if it is one of ``relations``, and count the rest."""
    for sentence in sentences:
        for pair in sentence.pairs:
            if not pair.relations:
                passed.unrelated += 1
            elif len(pair.relations) > 1:
                passed.several += 1
            elif (relation := next(iter(pair.relations))) in relations:
                yield PairSentence(sentence.text, sentence.mentions, ((pair.head, pair.tail),)), relation
            else:
                passed.other[relation] += 1


def sentence_key(text: str) -> bytes:
    """Return what two copies of a sentence have in common: the same letters and digits in the same order.

    Data sets differ in case, in spaces, in how they write quotes and brackets, and in where tokens are joined.
    """
    letters = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
    return hashlib.blake2b((letters or text).encode(), digest_size=16).digest()


def trained_sentences(sentences: Iterable[LabelledSentence], seen: Collection[str]) -> set[bytes]:
    """Return the keys of the sentences that training on the relations ``seen`` could use.

    These are the sentences with a pair that states one of them, or that states none and may have been a negative.
    The others of a file that is split by relation were not trained on.
    """
    known = frozenset(seen)
    return {
        sentence_key(sentence.text)
        for sentence in sentences
        if any(not pair.relations or pair.relations & known for pair in sentence.pairs)
    }


@dataclass(frozen=True)
class TrainingTexts:
    """The sentences that a model may have been trained on, by their keys, and the names of the files they came from."""

    names: tuple[str, ...]
    keys: frozenset[bytes]


def open_training(paths: Iterable[Path], data_format: str | None) -> dict[Path, Iterable[LabelledSentence]]:
    """Open the files that a model was trained on; raises for one that can't be read, before any is."""
    return {path: read_labelled(path, data_format, "--training-format") for path in paths}


def read_training(sources: Mapping[Path, Iterable[LabelledSentence]], contract: Contract) -> TrainingTexts:
    """Return what a model may have been trained on.

    Raises UsageError for a file with no such sentence: it was not trained on that one.
    """
    seen = contract.seen_relations
    keys: set[bytes] = set()
    for path, sentences in sources.items():
        found = trained_sentences(sentences, seen)
        if not found:
            raise UsageError(
                f"--training-data {path}: no sentence states one of the {len(seen)} relations that {contract.name} was "
                f"trained on ({some(seen)}); give the files that it was trained on"
            )
        keys |= found
    return TrainingTexts(tuple(path.name for path in sources), frozenset(keys))


def without_shared(examples: Iterable[Example], trained: Collection[bytes], passed: Passed) -> Iterator[Example]:
    """Yield the examples whose sentence is not among those trained on, and count the rest."""
    for example in examples:
        if sentence_key(example[0].text) in trained:
            passed.shared += 1
        else:
            yield example


def sample_per_relation(examples: Iterable[Example], per_relation: int, seed: int, passed: Passed) -> list[Example]:
    """Draw at most ``per_relation`` examples of each relation, every one as likely, and keep their order.

    The draw of one relation depends on the seed and its own examples alone, whatever else is measured.
    """
    generators: dict[str, random.Random] = {}
    counts: Counter[str] = Counter()
    drawn: defaultdict[str, list[tuple[int, Example]]] = defaultdict(list)
    for position, example in enumerate(examples):
        relation = example[1]
        counts[relation] += 1
        if counts[relation] <= per_relation:
            drawn[relation].append((position, example))
            continue
        passed.beyond += 1
        # Reservoir sampling: one pass, and no more held than is drawn.
        generator = generators.setdefault(relation, random.Random(f"{seed} {relation}"))
        place = generator.randrange(counts[relation])
        if place < per_relation:
            drawn[relation][place] = (position, example)
    return [example for _, example in sorted(chain.from_iterable(drawn.values()), key=itemgetter(0))]


def evaluate(
    scorer: Scorer,
    examples: Iterable[Example],
    relations: RelationSet,
    passed: Passed,
    advance: Callable[[int], None] = lambda total: None,
) -> Evaluation:
    """Classify every example among ``relations``; raise DataError if there is none, or none that the model can read.

    ``passed`` is complete once the examples have been read. ``advance`` is told after each
    chunk how many pairs have been classified so far.
    """
    vectors = scorer.relation_vectors(relations)
    gold: list[str] = []
    predicted: list[str] = []
    total, seconds = 0, 0.0
    stream = iter(examples)
    while chunk := list(islice(stream, CHUNK)):
        sentences = joined(chunk)
        if not total:
            # The first run claims memory and compiles kernels, which would pass for the model's own speed.
            scorer.encode(sentences[:1])
        start = perf_counter()
        encoded = scorer.encode(sentences)
        best = encoded.similarities(vectors).sum(-1).argmax(-1)
        seconds += perf_counter() - start
        gold.extend(chunk[position][1] for position in encoded.kept)
        predicted.extend(relations.ids[index] for index in np.asarray(best))
        total += len(chunk)
        advance(total)
    if not gold:
        raise _nothing_measured(total, relations, passed)
    overlap = seen_overlap(scorer.contract.seen_relations, relations.ids)
    report = classification_report(gold, predicted)
    return Evaluation(report, relations, len(gold), total - len(gold), passed, overlap, seconds)


def joined(examples: Iterable[Example]) -> list[PairSentence]:
    """Put the pairs of one sentence together where they follow each other, so that it is encoded once."""
    return [
        PairSentence(text, mentions, tuple(pair for sentence, _ in group for pair in sentence.pairs))
        for (text, mentions), group in groupby(examples, key=lambda example: (example[0].text, example[0].mentions))
    ]


def some(ids: Sequence[str], limit: int = 8, separator: str = ", ") -> str:
    """Return the first few ids for a message."""
    return separator.join([*ids[:limit], *("…" for _ in ids[limit : limit + 1])])


def _nothing_measured(read: int, relations: RelationSet, passed: Passed) -> DataError:
    if read:
        return DataError(
            f"the model can read none of the {read:,} pairs: their mentions lie further apart than it reads, or have "
            "no token that it knows; check the mentions' offsets"
        )
    if passed.shared:
        return DataError(
            f"all {passed.shared:,} pairs that could be measured stand in sentences of the training data "
            f"({some(passed.training_data)}); measure on other data, or without --training-data"
        )
    stated = [relation for relation, _ in passed.other.most_common()]
    found = f"it states {some(stated)}: give relations with these ids" if stated else "check that it is labelled"
    return DataError(
        f"no pair of the data states exactly one of the {len(relations)} relations ({some(relations.ids)}); {found}"
    )
