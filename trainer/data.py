"""From labelled data sets to what one run trains on: chosen pairs, their targets and permitted negatives."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsre.relations.equivalents import equivalents_of
from zsre.relations.errors import ConfigError
from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.readers import read_labelled
from zsre.relations.vectors import PairSentence
from zsre.trainer.config import DataConfig, find_data

logger = logging.getLogger(__name__)
#: What errors call the field that names a source's format.
FORMAT_FIELD = "'format' under 'data'"


@dataclass(frozen=True)
class PairSet:
    """Sentences with chosen pairs, and the targets of the pairs in flattened order.

    ``stated`` and ``negative`` are bool (P, R) over ``relations``: what a pair states, and which relations
    may serve as its negatives. ``source_counts`` tells how many pairs each data set gave, by the data set's name.
    """

    relations: tuple[str, ...]
    sentences: tuple[PairSentence, ...]
    stated: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    source_counts: dict[str, int]


@dataclass(frozen=True)
class ChosenPair:
    """A pair that was picked from a sentence, with the ids it states and those it may be a negative for."""

    head: int
    tail: int
    stated: frozenset[str]
    negative: frozenset[str]


def read_sources(configs: Iterable[DataConfig]) -> list[tuple[DataConfig, list[LabelledSentence]]]:
    """Read every source whole; data sets for training fit into memory."""
    return [(config, list(_read(config))) for config in configs]


def check_sources(configs: Iterable[DataConfig]) -> None:
    """Raise for a source that is not there or does not begin as it should, without reading the rest."""
    for config in configs:
        next(_read(config), None)


def relations_of(sentences: Iterable[LabelledSentence]) -> Counter[str]:
    """Count the pairs that state each relation."""
    return Counter(relation for sentence in sentences for pair in sentence.pairs for relation in pair.relations)


def trainable_relations(sources: Iterable[tuple[DataConfig, Iterable[LabelledSentence]]]) -> frozenset[str]:
    """Return the relations that some source states and does not leave out."""
    return frozenset().union(*(set(relations_of(labelled)) - set(config.leave_out) for config, labelled in sources))


def warn_of_unstated(
    sources: Iterable[tuple[DataConfig, Iterable[LabelledSentence]]], held_out: Collection[str]
) -> None:
    """Log a warning for ids that are held out, or left out of a source, though the data states nothing like them.

    It may be that a name was given for an id, or a wrong one, and that the relation is trained on after all.
    """
    stated: set[str] = set()
    for config, labelled in sources:
        own = set(relations_of(labelled))
        stated |= own
        if unknown := [relation for relation in config.leave_out if relation not in own]:
            logger.warning(
                "leave_out: %s states none of %s; leave_out takes the ids of relations", config.path, ", ".join(unknown)
            )
    if unknown := [relation for relation in held_out if relation not in stated]:
        logger.warning("held_out: the data states none of %s; held_out takes the ids of relations", ", ".join(unknown))


def choose_pairs(
    sources: Sequence[tuple[DataConfig, Sequence[LabelledSentence]]],
    seen: Collection[str],
    held_out: Collection[str],
    symmetric: Collection[str],
    seed: int,
) -> PairSet:
    """Choose the pairs to train on.

    ``seen`` are the relations of the run; a pair that states a relation of ``held_out`` is never used, not
    even as a negative. Raises ConfigError if nothing is left.
    """
    relations = tuple(sorted(seen))
    sentences: list[PairSentence] = []
    pairs: list[ChosenPair] = []
    counts: Counter[str] = Counter()
    for config, labelled in sources:
        own = (frozenset(relations_of(labelled)) & set(seen)) - set(config.leave_out)
        chooser = _Chooser(config, own, frozenset(relations), frozenset(held_out), frozenset(symmetric), seed)
        before = len(pairs)
        for sentence, chosen in chooser.choose(labelled):
            sentences.append(
                PairSentence(sentence.text, sentence.mentions, tuple((pair.head, pair.tail) for pair in chosen))
            )
            pairs.extend(chosen)
            counts[sentence.source] += len(chosen)
        logger.info("%s: %d pairs of %d relations", config.path, len(pairs) - before, len(own))
    if not any(pair.stated for pair in pairs):
        raise ConfigError("the data states none of the relations to train on; check 'split' and 'data'")
    return PairSet(
        relations,
        tuple(sentences),
        _matrix([pair.stated for pair in pairs], relations),
        _matrix([pair.negative for pair in pairs], relations),
        dict(counts),
    )


@dataclass
class _Chooser:
    """Picks pairs of one source up to its caps, in an order that depends on the seed alone."""

    config: DataConfig
    own: frozenset[str]
    seen: frozenset[str]
    held_out: frozenset[str]
    symmetric: frozenset[str]
    seed: int

    def choose(self, labelled: Sequence[LabelledSentence]) -> Iterable[tuple[LabelledSentence, list[ChosenPair]]]:
        generator = random.Random(self.seed)
        order = list(range(len(labelled)))
        generator.shuffle(order)
        per_relation: Counter[str] = Counter()
        unrelated_left = self.config.unrelated
        for index in order:
            sentence = labelled[index]
            chosen: list[ChosenPair] = []
            candidates = list(sentence.pairs)
            generator.shuffle(candidates)
            # Stated pairs first, so that a sentence's cap is not spent on its many unrelated ones.
            for pair in sorted(candidates, key=lambda pair: not pair.relations):
                if len(chosen) >= self.config.pairs_per_sentence or pair.relations & self.held_out:
                    continue
                if pair.relations:
                    stated = pair.relations & self.own
                    if stated and self._wanted(stated, per_relation):
                        per_relation.update(stated)
                        chosen.append(self._stating(pair, stated))
                        chosen.extend(self._reversed(sentence, pair, stated))
                elif unrelated_left > 0 and (negative := self._own_negatives(pair)):
                    unrelated_left -= 1
                    chosen.append(ChosenPair(pair.head, pair.tail, frozenset(), negative))
            if chosen:
                # A reversed pair comes with its pair, and may be one too many.
                yield sentence, chosen[: self.config.pairs_per_sentence]

    def _wanted(self, stated: frozenset[str], counts: Counter[str]) -> bool:
        cap = self.config.per_relation
        return cap is None or any(counts[relation] < cap for relation in stated)

    def _own_negatives(self, pair: LabelledPair) -> frozenset[str]:
        return self.own if pair.looked_for is None else self.own & pair.looked_for

    def _stating(self, pair: LabelledPair, stated: frozenset[str]) -> ChosenPair:
        # Relations of other data sets were not annotated here: those close in meaning may hold as well.
        near = {other for relation in pair.relations for other in equivalents_of(relation, "near")}
        own = self._own_negatives(pair) - (set() if self.config.near_negatives else near)
        foreign = self.seen - self.own - near if self.config.foreign_negatives else frozenset()
        negative = (own | foreign) - pair.relations
        return ChosenPair(pair.head, pair.tail, stated, negative)

    def _reversed(self, sentence: LabelledSentence, pair: LabelledPair, stated: frozenset[str]) -> list[ChosenPair]:
        labelled = any((other.head, other.tail) == (pair.tail, pair.head) for other in sentence.pairs)
        directed = stated - self.symmetric
        if not self.config.reversed or labelled or not directed:
            return []
        return [ChosenPair(pair.tail, pair.head, frozenset(), directed)]


def evaluation_pairs(
    sources: Sequence[tuple[DataConfig, Sequence[LabelledSentence]]],
    relations: Sequence[str],
    per_relation: int | None,
    seed: int,
) -> tuple[list[PairSentence], list[str]]:
    """Return sentences of one pair each and the relation that it states, for relations that are not trained on."""
    wanted = set(relations)
    counts: Counter[str] = Counter()
    found: list[tuple[PairSentence, str]] = []
    for _, labelled in sources:
        order = list(range(len(labelled)))
        random.Random(seed).shuffle(order)
        for index in order:
            sentence = labelled[index]
            for pair in sentence.pairs:
                hits = pair.relations & wanted
                if len(pair.relations) == 1 and hits:
                    (relation,) = hits
                    if per_relation is None or counts[relation] < per_relation:
                        counts[relation] += 1
                        pair_sentence = PairSentence(sentence.text, sentence.mentions, ((pair.head, pair.tail),))
                        found.append((pair_sentence, relation))
    return [sentence for sentence, _ in found], [relation for _, relation in found]


def _read(config: DataConfig) -> Iterator[LabelledSentence]:
    return read_labelled(find_data(config.path), config.format, FORMAT_FIELD)


def _matrix(sets: Sequence[frozenset[str]], relations: Sequence[str]) -> NDArray[np.bool_]:
    index = {relation: column for column, relation in enumerate(relations)}
    matrix = np.zeros((len(sets), len(relations)), dtype=np.bool_)
    for row, ids in enumerate(sets):
        for relation in ids:
            matrix[row, index[relation]] = True
    return matrix
